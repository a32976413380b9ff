//! The command inside: what an entry of the tree, or the command, refers to and is not there.

use super::{Word, first_word, granted, problem_of};
use crate::host::inside::NoEntry;
use crate::host::programs::Lack;
use crate::host::{Fact, FileKind, Host};
use crate::language::value::{Written, below, literal, parent};
use crate::policy::mounts::tree::DATABASES;
use crate::policy::process::Process;
use crate::text::problem::escape;
use crate::text::source::{At, Span};

/// For lints, and for a target that did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// The code of the warning.
    pub code: &'static str,
    pub at: Span,
    pub text: String,
    pub help: Option<String>,
}

/// Commands that a shell does itself, and that are no programs (POSIX, special built-in utilities,
/// and `cd`).
const SHELL_WORDS: &[&str] = &[
    "cd", "export", "source", ".", "exec", "eval", "set", "unset", "alias", "exit", "umask",
    "ulimit",
];

/// What is not visible in the final tree, where [`Host::look_inside`] was asked: the command, its
/// loader and libraries, the working directory, the targets of links.
pub fn unseen(process: &Process, host: &Host) -> Vec<Unseen> {
    let Some(inside) = &host.inside else { return vec![] };
    let mut out = vec![];
    if let Some(word) = first_word(process) {
        let lacks = inside.command.lacks.iter().filter(|lack| stops(lack));
        out.extend(lacks.map(|lack| lacking(word, lack, host)));
        out.extend(inside.unruled.as_ref().map(|place| unruled(word, place)));
    }
    if let (Some(no_entry), Some(cwd)) = (&inside.cwd, process.cwd.get()) {
        out.push(directory(&cwd.value.0, no_entry, inside.of_host, cwd.at));
    }
    out.extend(inside.dangling.iter().map(|(path, text, at)| dangling(path, text, *at)));
    out
}

/// Whether a lack keeps the command from starting. That a file cannot be read by this caller, or
/// leads to too many others, leaves open what it needs.
fn stops(lack: &Lack) -> bool {
    match lack {
        Lack::Program { .. }
        | Lack::Relative(_)
        | Lack::NotExecutable { .. }
        | Lack::NoProgram(_)
        | Lack::Machine { .. }
        | Lack::Interpreter { .. }
        | Lack::Library { .. } => true,
        Lack::Unreadable { .. } | Lack::Foreign { .. } | Lack::TooMany(_) => false,
    }
}

/// The working directory, where it cannot be entered.
fn directory(path: &str, no_entry: &NoEntry, of_host: bool, at: Span) -> Unseen {
    let inside = if of_host { "" } else { " inside" };
    let why = match no_entry {
        NoEntry::Unshown | NoEntry::Absent | NoEntry::Lost => format!("it is not there{inside}"),
        NoEntry::NotDirectory(Some(_)) => "it is not a directory".to_owned(),
        NoEntry::NotDirectory(None) => "something on the way is not a directory".to_owned(),
        NoEntry::Dangling(to) => format!("it is a link to {to}, which is not there{inside}"),
        NoEntry::Hidden(by) => format!("{by} is hidden, and nothing is below it"),
    };
    let help = match no_entry {
        NoEntry::Unshown => format!("grant it, in [mounts]: {}", granted(path)),
        NoEntry::Absent => format!(
            "the host has none, either; for an empty one, in [mounts]: {} = \"tmpfs\"",
            literal(path)
        ),
        NoEntry::NotDirectory(Some(above)) => {
            format!("name the directory that it is in: cwd = {}", literal(above))
        }
        NoEntry::NotDirectory(None) | NoEntry::Lost | NoEntry::Dangling(_) | NoEntry::Hidden(_) => {
            format!("name a directory that is there{inside}, in [process] cwd")
        }
    };
    let text = format!("cannot enter {path}: {why}");
    Unseen { code: "process::unseen-directory", at, text, help: Some(help) }
}

/// The command, or a piece of it, that is not there.
fn lacking(word: &At<String>, lack: &Lack, host: &Host) -> Unseen {
    let (_, text, help) = problem_of(word, lack);
    let mut text = text.replacen("cannot show", "cannot run", 1);
    let of_host = host.inside.as_ref().is_some_and(|inside| inside.of_host);
    let no_program = match lack {
        // Stockade writes these files inside, and a look at the profile's entries does not find them.
        Lack::Program { name, link: None, .. }
            if !of_host && DATABASES.contains(&name.as_str()) =>
        {
            Some("it is a file that stockade writes, and no program")
        }
        Lack::NoProgram(path)
            if host.present(path).is_some_and(|file| file.kind == FileKind::Directory) =>
        {
            Some("it is a directory")
        }
        _ => None,
    };
    if let Some(why) = no_program {
        let text = format!("cannot run `{}`: {why}", escape(word));
        let help = Some("name a program after PROFILE".to_owned());
        return Unseen { code: "process::unseen-program", at: word.at, text, help };
    }
    let help = match lack {
        _ if of_host && Word::from_text(word).is_ok() => help,
        Lack::Program { name, near: Some(_), .. }
            if !SHELL_WORDS.contains(&name.as_str()) && !name.contains(char::is_whitespace) =>
        {
            help
        }
        // Here it is the tree that lacks it, not the machine.
        Lack::Program { .. } | Lack::Interpreter { .. } | Lack::Library { .. } => {
            text.push_str(" inside");
            Some(to_have_inside(word, lack, host))
        }
        _ => help,
    };
    Unseen { code: "process::unseen-program", at: word.at, text, help }
}

/// What to do so that the command is there inside.
fn to_have_inside(word: &At<String>, lack: &Lack, host: &Host) -> String {
    // A profile that shows /usr has the whole system already.
    let whole = if matches!(host.at("/usr"), Fact::Present(_)) {
        ""
    } else {
        "; or show the whole system: extends = [\"base\"]"
    };
    match Word::from_text(word) {
        Ok(_) if word.contains(char::is_whitespace) => {
            format!("write the words of a command apart: {}", apart(word))
        }
        Ok(_) if SHELL_WORDS.contains(&word.as_str()) => {
            format!("`{}` is a word of the shell: command = [\"sh\", \"-c\", \"...\"]", word.value)
        }
        // Programs of the host's, and its system, do not go with that root.
        _ if host.inside.iter().any(|inside| inside.is_foreign) && !word.starts_with('-') => {
            "name a program that the root directory has, or put it there with what it needs".into()
        }
        // The help names where the link leads, but offers no grant of it: the maker of the link may
        // have named any file.
        _ if let Lack::Program { link: Some((link, _)), .. } = lack => {
            format!("let it bring what it needs: programs = [{}]", literal(link))
        }
        Ok(_) if word.starts_with('-') => {
            "if it is an option of stockade's, write it before PROFILE".into()
        }
        Ok(_) if host.inside.iter().any(|inside| inside.nowhere.contains(word)) => {
            "the host has none, either: correct the path, or install it".into()
        }
        Ok(_) if is_nowhere(lack, whole) => {
            "install it, or name its absolute path and grant the directory that it is in".into()
        }
        Ok(_) => format!("let it bring what it needs: programs = [{}]{whole}", literal(word)),
        Err(_) => "name its absolute path, and grant the directory that it is in".into(),
    }
}

/// The command, at a place that no rule lets be executed.
fn unruled(word: &At<String>, place: &str) -> Unseen {
    let text = format!(
        "cannot run `{}`: no rule of landlock.paths lets {place} be executed",
        escape(word)
    );
    let help = format!(
        "add a rule for it, its interpreter and its libraries, in [landlock.paths]: {} = \"rx\"",
        literal(place)
    );
    Unseen { code: "process::unseen-program", at: word.at, text, help: Some(help) }
}

/// A symbolic link at `path`, with this text, that leads to nothing.
fn dangling(path: &str, text: &str, at: Span) -> Unseen {
    let to = if text.starts_with('/') {
        text.to_owned()
    } else {
        format!("{}/{text}", parent(path).trim_end_matches('/'))
    };
    let to = plain(&to);
    Unseen {
        code: "mounts::dangling",
        at,
        text: format!("cannot follow the link {path}: {to} is not there inside"),
        help: Some(format!("grant it: {}", granted(&to))),
    }
}

/// A command in one text as the list that it is.
fn apart(command: &str) -> String {
    let words: Vec<String> = command.split_whitespace().map(literal).collect();
    format!("command = [{}]", words.join(", "))
}

/// Whether a name is in none of the system's directories, where all of them are shown: the machine
/// does not have it.
fn is_nowhere(lack: &Lack, whole: &str) -> bool {
    let of_system = |directory: &String| {
        ["/usr", "/bin", "/sbin"].iter().any(|top| below(directory, top).is_some())
    };
    matches!(
        lack,
        Lack::Program { name, directories, .. }
            if whole.is_empty() && !name.contains('/') && directories.iter().all(of_system)
    )
}

/// A path without `..`, as an entry of `[mounts]` is written.
fn plain(path: &str) -> String {
    let mut names: Vec<&str> = vec![];
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        match name {
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_goes_up_is_offered_as_an_entry_is_written() {
        assert_eq!(plain("/a/p/../ext/./g//.git"), "/a/ext/g/.git");
        assert_eq!(plain("/../.."), "/");
    }
}
