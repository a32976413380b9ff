//! `[env]`: the target's environment, by name or by prefix. It starts empty, but for PATH.

mod prefix;

pub(crate) use prefix::{entry_of, is_kept_from, of};

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::questions::{Questions, Sought};
use crate::kernel::name::Name;
use crate::language::fill::Fill;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch, place_of};
use crate::language::section::{Entries, Entry, EntryType};
use crate::language::shape::{Named, Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{AbsolutePath, OnlyTrue};
use crate::step::Content;
use crate::step::draft::Draft;
use crate::text::bytes;
use crate::text::problem::{Problem, errno_words};
use crate::text::source::{At, Span};
use serde::Serialize;
use toml::de::DeValue;

// ---- section ----

/// `[env]`: text sets a variable, `true` passes the caller's where it is set, `false` removes an
/// inherited entry.
pub(crate) type Env = Entries<Variable>;

/// Where the value of a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// The profile's own text.
    Text(String),
    /// The caller's, where it is set.
    Pass {
        /// Whether it must be set.
        required: bool,
        /// The value where it is not.
        or: Option<String>,
    },
    /// The text of a file, read by the launcher, less one closing newline.
    File(AbsolutePath),
    /// The text read from an inherited descriptor, less one closing newline.
    Fd(u32),
}

impl Read for Variable {
    const FILL: Fill = Fill { text: true, ..Source::FILL };

    fn read(node: &Node<'_>) -> Result<Variable, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => Ok(Variable::Text(text.to_string())),
            // `false` never reaches a value: it removes the entry.
            DeValue::Boolean(_) => Ok(Variable::Pass { required: false, or: None }),
            // `A.B = "x"` is a table in TOML.
            DeValue::Table(table)
                if let Some((key, _)) = table.iter().next()
                    && table.len() == 1
                    && key.get_ref().starts_with(|c: char| c.is_ascii_uppercase()) =>
            {
                let help = "write a name that has a dot in quotes, such as \"A.B\" = \"x\"";
                let why = Why::unknown_key(key.get_ref(), "`").help(help);
                Err(why.at_place(key.span().into()))
            }
            DeValue::Table(_) => Source::read(node)?.settle(node),
            _ => Err(mismatch(node, "a text, true, false, or a table with `file`, `fd` or `pass`")),
        }
    }

    fn spell(&self) -> Toml {
        let none = Source { file: None, fd: None, pass: None, required: None, or: None };
        match self {
            Variable::Text(text) => text.spell(),
            Variable::Pass { required: false, or: None } => OnlyTrue.spell(),
            Variable::Pass { required, or } => {
                let (pass, required) = (Some(OnlyTrue), required.then_some(true));
                Source { pass, required, or: or.clone(), ..none }.spell()
            }
            Variable::File(file) => Source { file: Some(file.clone()), ..none }.spell(),
            Variable::Fd(fd) => Source { fd: Some(*fd), ..none }.spell(),
        }
    }
}

impl Source {
    /// The one that it names.
    fn settle(self, node: &Node<'_>) -> Result<Variable, Wrongs> {
        let Source { file, fd, pass, required, or } = self;
        let sources = [
            pass.map(|OnlyTrue| Variable::Pass { required: false, or: None }),
            file.map(Variable::File),
            fd.map(Variable::Fd),
        ];
        let mut sources = sources.into_iter().flatten();
        let source = sources.next();
        if sources.next().is_some() {
            return Err(Why::new("say one of `file`, `fd` and `pass`").at(node));
        }
        let at_required =
            |sentence: &'static str| Err(Why::new(sentence).at_place(place_of(node, "required")));
        let required = required.unwrap_or(false);
        match source {
            Some(Variable::Pass { .. }) if required && or.is_some() => {
                at_required("`required` and `or` exclude each other")
            }
            Some(Variable::Pass { .. }) => Ok(Variable::Pass { required, or }),
            Some(source) if !required && or.is_none() => Ok(source),
            Some(_) => at_required("`required` and `or` go with `pass` only"),
            None => {
                let sentence = "say where the value comes from: `file`, `fd` or `pass`";
                Err(Why::new(sentence).at(node))
            }
        }
    }
}

table! {
    /// Where the value of a variable comes from.
    struct Source {
        /// A file, read by the launcher, less one closing newline.
        file: Option<AbsolutePath> = Need::Kind,
        /// An inherited descriptor, read by the launcher to its end, less one closing newline.
        fd: Option<u32> = Need::Kind,
        /// The caller's environment, where it has the variable.
        pass: Option<OnlyTrue> = Need::Kind,
        /// Whether it is an error that the caller does not have it; default: `false`.
        required: Option<bool> = Need::With(vec!["pass"]),
        /// The value where the caller does not have it.
        or: Option<String> = Need::With(vec!["pass"]),
    }
}

/// The keys of a variable that is written as a table.
#[cfg(not(face_alone))]
pub const SOURCES: &[&str] = Source::FIELDS;

impl Shaped for Variable {
    fn shape() -> Shape {
        Shape::either(&[String::shape, OnlyTrue::shape, Source::shape])
    }
}

impl EntryType for Variable {
    type Keys = std::convert::Infallible;
    fn entries() -> Shape {
        let value = Shape::within(Shape::Entry, Variable::shape);
        let doc = "A text sets a variable, `true` passes the caller's where it is set, `false` \
                   removes an inherited entry. `\"CI_*\" = true` passes all of the caller's that \
                   begin with `CI_`, but for those an entry of their own or a longer prefix rules: \
                   `CI_JOB_TOKEN = false` keeps that one out. What systemd passes to the launcher \
                   itself (NOTIFY_SOCKET, LISTEN_FDS and the like) goes by its full name only. \
                   Variables that begin with `LD_`, `GLIBC_`, `GCONV_` or `BASH_` can load code \
                   into most programs: they go by their full name, or by a prefix that begins so.";
        Shape::Named(Named {
            doc,
            name: "NAME",
            form: "^([^=*]+[*]?)$",
            fills: false,
            value: Box::new(value),
        })
    }

    fn covers(name: &str, other: &str) -> bool {
        of(name).is_some_and(|prefix| !prefix.is_empty() && other.starts_with(prefix))
    }
}

// ---- ask ----

/// Asks for the files that the launcher reads.
pub(crate) fn ask(env: &Env, asks: &mut Questions) {
    asks.opened.extend(env.iter().filter_map(|(_, variable)| match &variable.value {
        Variable::File(path) => Some(path.0.clone()),
        Variable::Text(_) | Variable::Fd(_) | Variable::Pass { .. } => None,
    }));
}

/// Says where programs and libraries are looked for.
pub(crate) fn ask_inside(env: &Env, caller: &Caller, sought: &mut Sought) {
    sought.directories = directories(&value_of(env, caller, "PATH").unwrap_or_else(|| PATH.into()));
    sought.libraries = value_of(env, caller, "LD_LIBRARY_PATH");
}

// ---- draft ----

/// Where programs are looked for, and the target's PATH, where the profile is silent.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// One variable of the target.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    pub name: Name,
    pub value: Content,
    /// The prefix that passes it, with its `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The line that gives it.
    #[serde(skip)]
    pub at: Span,
}

/// Two are the same where they do the same, whatever line gives them.
impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        (&self.name, &self.value, &self.by) == (&other.name, &other.value, &other.by)
    }
}

impl Eq for Setting {}

/// Drafts the environment, in the order of the names.
pub(crate) fn draft(env: &Env, host: &Host, draft: &mut Draft) -> Vec<Setting> {
    let mut settings = vec![];
    for (name, entry) in &env.map {
        let value = match (refusal(name, entry), &entry.value) {
            (Some(problem), _) => {
                draft.problem(problem);
                continue;
            }
            (None, Some(value)) if of(name).is_none() => value,
            (None, _) => continue,
        };
        match content(name, value, &host.caller) {
            Ok(None) => {}
            Ok(Some(content)) => settings.push(Setting {
                name: Name::new(name),
                value: content,
                by: None,
                at: value.at,
            }),
            Err(problem) => draft.problem(problem),
        }
    }
    refuse_absent(&settings, host, draft);
    settings.extend(prefix::passed(env, &host.caller));
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    let is_there = settings.iter().any(|setting| setting.name.text() == "PATH");
    if !is_there && !env.map.contains_key("PATH") {
        settings.push(Setting {
            name: Name::new("PATH"),
            value: Content::Text(PATH.into()),
            by: None,
            at: Span::NOWHERE,
        });
    }
    settings
}

/// Refuses a value from a file that is not there.
fn refuse_absent(settings: &[Setting], host: &Host, draft: &mut Draft) {
    for setting in settings {
        if let Content::File(path) = &setting.value
            && let Some(errno) = host.unopened.get(path.text())
        {
            let message = format!("cannot read {path}: {}", errno_words(*errno));
            draft.problem(Problem::new("launch::content", setting.at, message));
        }
    }
}

/// Why no variable can have this name, or no prefix this value.
fn refusal(name: &str, entry: &Entry<Variable>) -> Option<Problem> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Some(Problem::new(
            "env::name",
            entry.key,
            "cannot set a variable of this name: a name is not empty, and has no `=` or NUL",
        ));
    }
    prefix::refusal(name, entry)
}

/// The value of a variable, where there is one.
fn content(
    name: &str,
    variable: &At<Variable>,
    caller: &Caller,
) -> Result<Option<Content>, Problem> {
    Ok(Some(match &variable.value {
        Variable::Text(text) | Variable::Pass { or: Some(text), .. } if text.contains('\0') => {
            return Err(Problem::new(
                "env::nul",
                variable.at,
                format!("cannot set `{name}`: its value holds a NUL byte"),
            ));
        }
        Variable::Text(text) => Content::Text(bytes::bytes(text).into()),
        Variable::File(path) => Content::File(Name::new(path)),
        Variable::Fd(fd) => Content::Fd(*fd),
        Variable::Pass { required, or } => match (caller.env.get(name), or) {
            (Some(value), _) => Content::Secret(bytes::bytes(value).into()),
            (None, Some(or)) => Content::Text(bytes::bytes(or).into()),
            (None, None) if *required => {
                let message = format!("cannot pass `{name}`: the caller has no such variable");
                return Err(Problem::new("env::required", variable.at, message)
                    .help(format!("set it: {name}=... stockade run ...")));
            }
            (None, None) => return Ok(None),
        },
    }))
}

/// The text that a profile has for a variable.
pub(crate) fn text<'e>(env: &'e Env, name: &str) -> Option<&'e str> {
    env.iter().find_map(|(key, variable)| match &variable.value {
        Variable::Text(text) if key.value == name => Some(text.as_str()),
        Variable::Text(_) | Variable::Pass { .. } | Variable::File(_) | Variable::Fd(_) => None,
    })
}

/// The target's home directory, for passwd, if its text is known and passwd(5) can hold it.
pub(crate) fn home(settings: &[Setting]) -> Option<String> {
    let home = settings.iter().find(|setting| setting.name.text() == "HOME")?;
    let Content::Text(text) = &home.value else { return None };
    Some(bytes::text(text)).filter(|home| !home.contains([':', '\n']))
}

/// The directories that a program without `/` is looked for in.
pub(crate) fn search_path(settings: &[Setting]) -> Vec<String> {
    let path =
        settings.iter().find(|setting| setting.name.text() == "PATH").map(|setting| &setting.value);
    let text = match path {
        Some(Content::Text(text) | Content::Secret(text)) => bytes::text(text),
        _ => PATH.into(),
    };
    directories(&text)
}

fn directories(path: &str) -> Vec<String> {
    path.split(':').filter(|directory| directory.starts_with('/')).map(str::to_owned).collect()
}

/// The target's value of a variable, where the profile or the caller has it; what only the launch
/// reads is unknown.
pub(crate) fn value_of(env: &Env, caller: &Caller, name: &str) -> Option<String> {
    let (_, entry) = entry_of(env, name)?;
    match &entry.value.as_ref()?.value {
        Variable::Text(text) => Some(text.clone()),
        Variable::Pass { or, .. } => caller.env.get(name).or(or.as_ref()).cloned(),
        Variable::File(_) | Variable::Fd(_) => None,
    }
}
