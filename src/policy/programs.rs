//! `programs`: a program by its name brings its file, its interpreter and its libraries, read-only,
//! at the same paths.
//!
//! What a program needs is a fact of the machine ([`crate::host::programs`]); here it becomes
//! entries of the tree, which yield to those of `[mounts]`, and problems. A command whose pieces
//! the tree does not show is reported by [`unseen()`].

mod unseen;

use super::mounts::kinds::{Access, Bind, Dir, Mount, Proc, Symlink};
use super::mounts::tree::{self, Node, Tree};
use super::mounts::written;
use super::process::Process;
use crate::host::Host;
use crate::host::programs::{Lack, Piece};
use crate::host::questions::Sought;
use crate::language::fill::Fill;
use crate::language::read::Why;
use crate::language::section::Set;
use crate::language::shape::Shape;
use crate::language::value::{PATH_FORM, Spelled, Written, literal, plain_path};
use crate::step::draft::Draft;
use crate::text::problem::{Problem, errno_words};
use crate::text::source::{At, Span};
use std::fmt;
pub(crate) use unseen::Unseen;
pub use unseen::unseen;

// ---- section ----

/// `programs`: names that are found on the sandbox's PATH, absolute paths, or `"${COMMAND}"`.
pub(crate) type Programs = Set<Word>;

/// The word for the program of `process.command`. Which one it is, all layers together say.
pub(crate) const COMMAND: &str = "${COMMAND}";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// That of the command.
    Command,
    /// A name, or an absolute path in its plain spelling.
    Name(String),
}

impl Written for Word {
    const WHAT: &'static str = "the name of a program, or its absolute path";
    // Which command it is can be said only of all layers together, so the word stays.
    const PUT: Fill = Fill { keeps: Some(COMMAND), ..Fill::VALUE };
    fn from_text(text: &str) -> Result<Word, Why> {
        match text {
            COMMAND => Ok(Word::Command),
            "" | "." | ".." => Err(Why::not(text, "` is not a program")),
            _ if text.contains('/') => plain_path(text).map(Word::Name),
            _ if text.contains('\0') || text.len() > 255 => {
                Err(Why::new("the name of a program has at most 255 bytes, and no NUL"))
            }
            _ => Ok(Word::Name(text.into())),
        }
    }
    fn write(&self) -> Spelled {
        match self {
            Word::Command => Spelled::Variable(COMMAND),
            Word::Name(name) => Spelled::Text(name.clone()),
        }
    }
    fn looks() -> Shape {
        // A name, or a path; `.` and `..` are neither.
        Shape::form(
            "the name of a program, its absolute path, or `\"${COMMAND}\"`",
            format!(r"^(?!\.\.?$)[^/]+$|{PATH_FORM}"),
        )
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Word::Command => COMMAND,
            Word::Name(name) => name,
        })
    }
}

impl Word {
    /// What to look for; a profile without a command has a problem of its own.
    pub fn text<'a>(&'a self, process: &'a Process) -> Option<&'a str> {
        match self {
            Word::Command => first_word(process).map(|word| word.value.as_str()),
            Word::Name(name) => Some(name),
        }
    }
}

/// The program's word of the command.
pub(crate) fn first_word(process: &Process) -> Option<&At<String>> {
    process.command.get()?.first().filter(|word| !word.is_empty() && !word.contains('\0'))
}

// ---- ask ----

/// Asks for what each program needs, and for what the command finds.
pub(crate) fn ask(programs: &Programs, process: &Process, sought: &mut Sought) {
    let word = |item: &At<Word>| Some(At::new(item.value.text(process)?.to_owned(), item.at));
    sought.programs = programs.items.iter().map(word).collect();
    sought.command = first_word(process).cloned();
}

// ---- draft ----

/// Says what is not there of what the programs need.
pub(crate) fn draft(programs: &Programs, process: &Process, host: &Host, draft: &mut Draft) {
    for (index, item) in programs.items.iter().enumerate() {
        if item.value.text(process).is_none() {
            continue;
        }
        let Some(program) = host.programs.get(index) else {
            draft.problem(Problem::new(
                "programs::not-found",
                item.at,
                format!("cannot show `{}`: it was not looked for", item.value),
            ));
            continue;
        };
        for lack in &program.lacks {
            draft.problem(refuse(&program.word, lack, item, process));
        }
    }
}

/// Refuses the host's programs in a root of another system, of this line: they would find its
/// libraries, and its programs theirs.
pub(crate) fn refuse_in(programs: &Programs, root: Span, draft: &mut Draft) {
    for item in &programs.items {
        let message = "cannot show programs of the host: the root is not the host's own";
        draft.problem(
            Problem::new("programs::mixed", item.at, message)
                .also(root, "this is the root")
                .help("take those that the root has, without this key: programs = [\"!*\"]"),
        );
    }
}

/// The entries that the programs imply, each with the line that names its program.
pub(crate) fn implied(programs: &Programs, process: &Process, host: &Host) -> Tree {
    let mut tree = tree::empty();
    for (item, program) in programs.items.iter().zip(&host.programs) {
        if item.value.text(process).is_none() {
            continue;
        }
        for (path, piece) in &program.pieces {
            let mount = match piece {
                Piece::File { source, .. } => Mount::Bind(Bind::file(source.clone())),
                Piece::Link(text) => Mount::Symlink(Symlink { text: text.clone() }),
                Piece::Directory => Mount::Dir(Dir::PLAIN),
                Piece::Proc => Mount::Proc(Proc::PROCESSES),
            };
            tree.entry(path.clone()).or_insert_with(|| Node::new(path, mount, item.at));
        }
    }
    // A directory with something in it is made on the way to that.
    let is_above = |path: &str| {
        let under = format!("{path}/");
        tree.range(under.clone()..).next().is_some_and(|(entry, _)| entry.starts_with(&under))
    };
    let needless: Vec<String> = tree
        .iter()
        .filter(|(path, node)| matches!(node.mount, Mount::Dir(_)) && is_above(path))
        .map(|(path, _)| path.clone())
        .collect();
    tree.retain(|path, _| !needless.contains(path));
    tree
}

fn refuse(word: &str, lack: &Lack, item: &At<Word>, process: &Process) -> Problem {
    let (code, message, help) = problem_of(word, lack);
    let problem = match (&item.value, first_word(process)) {
        (Word::Command, Some(word)) => Problem::new(code, word.at, message)
            .label("this program")
            .also(item.at, "it is to be shown because of this"),
        _ => Problem::new(code, item.at, message).label("this program"),
    };
    problem.help_maybe(help)
}

/// A lack in words: the problem's code, its sentence, and what to do.
fn problem_of(word: &str, lack: &Lack) -> (&'static str, String, Option<String>) {
    let cannot = |why: String| format!("cannot show `{word}`: {why}");
    let help = |text: String| Some(text);
    match lack {
        Lack::Program { link: Some((link, to)), .. } => {
            let why = format!("{link} is a symbolic link to {to}, which is not there");
            let help = "install what it leads to, or name another program".to_owned();
            ("programs::not-found", cannot(why), Some(help))
        }
        Lack::Program { name, directories, near, link: None } => {
            let place = match directories.as_slice() {
                [] if name.contains('/') => format!("there is no {name}"),
                [] => "[env] PATH has no directory to look in".into(),
                directories => format!("no `{name}` is in {}", directories.join(", ")),
            };
            let guess = near.as_ref().map(|near| format!("did you mean `{near}`?"));
            (
                "programs::not-found",
                cannot(place),
                guess.or(help(
                    "install it, name its absolute path, or set [env] PATH to the directories that \
                     it is in"
                        .into(),
                )),
            )
        }
        Lack::Relative(path) => {
            let help = help(
                "give its absolute path, or a working directory that is there inside: process.cwd"
                    .into(),
            );
            (
                "programs::not-found",
                cannot(format!(
                    "{path} begins in the working directory, which is not there inside"
                )),
                help,
            )
        }
        Lack::NotExecutable { path, mount: true } => {
            let entry = format!(
                "leave `exec = false` out, or the layer whose own mount has noexec; or give it an \
                 entry of its own: {}",
                granted(path)
            );
            (
                "programs::not-executable",
                cannot(format!("{path} lies on a mount with noexec")),
                help(entry),
            )
        }
        Lack::NotExecutable { path, mount: false } => (
            "programs::not-executable",
            cannot(format!("{path} may not be executed by the caller")),
            help(format!("see its mode: chmod +x {path}")),
        ),
        Lack::NoProgram(path) => {
            let why = format!("{path} is neither an ELF file nor a script");
            (
                "programs::no-program",
                cannot(why),
                help("a script begins with a line such as #!/bin/sh".into()),
            )
        }
        Lack::Machine { path, machine } => {
            let why =
                format!("{path} is for {machine}, and this machine is {}", std::env::consts::ARCH);
            ("programs::machine", cannot(why), help("install the build for this machine".into()))
        }
        Lack::Unreadable { path, errno } => {
            let why = format!(
                "{path} cannot be read, so that what it needs is unknown: {}",
                errno_words(*errno)
            );
            (
                "programs::unreadable",
                cannot(why),
                help(format!("make it readable: chmod +r {path}")),
            )
        }
        Lack::Interpreter { path, of, errno } => {
            let help = help(format!("install it; the first line or the header of {of} names it"));
            (
                "programs::interpreter",
                cannot(format!("{of} is run by {path}: {}", errno_words(*errno))),
                help,
            )
        }
        Lack::Library { name, of } => {
            let help = help(
                "install it; if it is in a directory that the loader does not look at, set [env] \
                 LD_LIBRARY_PATH"
                    .into(),
            );
            (
                "programs::library",
                cannot(format!("the library {name}, which {of} needs, is not found")),
                help,
            )
        }
        Lack::Foreign { path, by } => {
            let why = format!(
                "the script {path} is named by {by}, which is not root's, so that another user may \
                 have put it there"
            );
            (
                "programs::link",
                cannot(why),
                help(format!("name the script itself: programs = [{}]", literal(path))),
            )
        }
        Lack::TooMany(path) => (
            "programs::size",
            cannot(format!("{path} leads to more scripts or libraries than a program has")),
            None,
        ),
    }
}

/// The entry that shows a path of the host.
fn granted(path: &str) -> String {
    written::line(path, &Mount::here(Access::ReadOnly))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_or_absolute_paths() {
        let word = |text: &str| Word::from_text(text).map(|word| word.to_string());
        assert_eq!(word("git").as_deref(), Ok("git"));
        assert_eq!(word("//usr/./bin/git").as_deref(), Ok("/usr/bin/git"));
        assert_eq!(Word::from_text("${COMMAND}"), Ok(Word::Command));
        for wrong in ["", ".", "..", "./git", "bin/git", "/a/../b", "a\0b", &"x".repeat(256)] {
            assert!(word(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_lack_has_a_sentence_without_control_characters_of_its_own() {
        let text = || "x".to_owned();
        let all = [
            Lack::Program {
                name: text(),
                directories: vec![text()],
                near: Some(text()),
                link: Some((text(), text())),
            },
            Lack::Relative(text()),
            Lack::NotExecutable { path: text(), mount: true },
            Lack::NotExecutable { path: text(), mount: false },
            Lack::NoProgram(text()),
            Lack::Machine { path: text(), machine: "arm" },
            Lack::Unreadable { path: text(), errno: libc::EACCES },
            Lack::Interpreter { path: text(), of: text(), errno: libc::ENOENT },
            Lack::Library { name: text(), of: text() },
            Lack::Foreign { path: text(), by: text() },
            Lack::TooMany(text()),
        ];
        for lack in &all {
            let (code, message, _) = problem_of("tool", lack);
            assert!(
                code.starts_with("programs::")
                    && message.starts_with("cannot show `tool`: ")
                    && !message.contains("  "),
                "{message}"
            );
        }
    }
}
