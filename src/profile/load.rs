//! From PROFILE and the command line to one profile: files are gathered, parameters settled,
//! variables put in, layers merged.

use super::Profile;
use super::files;
use super::fill::{Filling, Secret};
use super::layer::{DEEPEST, Document, Layer, MOST_TOKENS, Size};
use super::params::{Declared, Params};
use super::variables::{MOST_PUT_IN, Variables};
use crate::host::caller::Caller;
use crate::language::fill::MOST_ENTRIES;
use crate::language::layers::{Changes, Kind, Layers};
use crate::language::read::Node;
use crate::language::reader::{AsWritten, Origin, Reader};
use crate::language::section::Field;
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Sources, Span};
use std::cell::Cell;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// PROFILE; where there is a text, what messages call that.
    pub profile: String,
    /// The text itself, where the caller has it.
    pub text: Option<String>,
    /// Further layers: the flag, and its TOML.
    pub config: Vec<(String, String)>,
    /// `--set`: names and values.
    pub params: Vec<(String, String)>,
    /// The words after PROFILE.
    pub args: Vec<String>,
    /// How to write a command line whose first word after PROFILE begins with `-` where no `--`
    /// stands before it.
    pub dashed: Option<String>,
}

/// The version of the language that this stockade reads.
pub(super) const FORMAT: i64 = 1;
/// How many bytes they may have together.
const LARGEST_SUM: usize = 4 << 20;
/// How many files may make one profile.
const MOST_FILES: usize = 256;

/// Problems of `extends` beside which the rest of a text can be judged.
const GOES_ON: &[&str] = &[
    "profile::read",
    "profile::trust",
    "profile::type",
    "profile::value",
    "profile::unknown",
    "variable::unknown",
    "variable::unset",
];

/// What another problem may be the cause of: a base that is not there sets nothing that could be
/// removed, or given a value.
const OF_A_BASE: &[&str] =
    &["profile::withdraw", "profile::empty-set", "params::unknown", "variable::unknown"];

/// Loads a profile with all that it extends, or says all that is wrong.
pub fn load(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
) -> Result<Profile, Problems> {
    load_and_tell(request, caller, sources, None)
}

/// The same, and what each layer does.
pub fn load_layers(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
) -> Result<(Profile, Layers), Problems> {
    let mut layers = Layers::default();
    let profile = load_and_tell(request, caller, sources, Some(&mut layers))?;
    Ok((profile, layers))
}

fn load_and_tell(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
    mut told: Option<&mut Layers>,
) -> Result<Profile, Problems> {
    let room = Cell::new(Some(MOST_PUT_IN));
    let (layers, mut problems) = gather(request, caller, sources, &room);
    let documents = parse(&layers, &mut problems);
    // A text that is no TOML has nothing more to say, and one that cannot be found would be missed
    // by others.
    if documents.len() < layers.len()
        || !problems.iter().all(|problem| GOES_ON.contains(&problem.code))
    {
        return Err(problems);
    }
    if let Some(told) = &mut told {
        told.layers = layers
            .iter()
            .map(|layer| crate::language::layers::Layer { kind: layer.kind, start: layer.start() })
            .collect();
    }
    let given = Given { request, caller, room: &room };
    merge(&layers, documents, &given, sources, problems, told.map(|told| &mut told.changes))
}

/// What a profile leaves to its user. A value that is missing is no problem here.
pub(crate) fn load_params(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
) -> Result<Vec<Declared>, Problems> {
    let room = Cell::new(Some(MOST_PUT_IN));
    let (layers, mut problems) = gather(request, caller, sources, &room);
    let mut documents = parse(&layers, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let given = Given { request, caller, room: &room };
    let params = read_params(&layers, &mut documents, &given, sources, &mut problems, false);
    problems.or(params.declared())
}

/// The texts of a profile, the weakest first.
fn gather(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
    room: &Cell<Option<usize>>,
) -> (Vec<Layer>, Problems) {
    let mut loader = Loader {
        caller,
        sources,
        layers: vec![],
        loaded: BTreeSet::new(),
        read: Size::default(),
        room,
        problems: Problems::default(),
    };
    let found = match &request.text {
        Some(text) => files::given(&request.profile, text),
        None => files::find(&request.profile, caller),
    };
    match found {
        Ok(text) => loader.gather(text, Span::NOWHERE, &mut vec![]),
        Err(problem) => loader.problems.push(problem),
    }
    for (flag, text) in &request.config {
        let base = loader.sources.add(flag, text) as usize;
        if loader.has_room(Size::of(text), Span::from(base..base + 1)) {
            loader.layers.push(Layer {
                name: flag.clone(),
                text: text.clone(),
                base,
                directory: None,
                kind: Kind::Flag,
            });
        }
    }
    (loader.layers, loader.problems)
}

fn parse<'l>(layers: &'l [Layer], problems: &mut Problems) -> Vec<Document<'l>> {
    layers.iter().filter_map(|layer| layer.parse(problems)).collect()
}

struct Loader<'a> {
    caller: &'a Caller,
    sources: &'a mut Sources,
    layers: Vec<Layer>,
    /// What was loaded, by its real path or name.
    loaded: BTreeSet<String>,
    /// How much all texts have.
    read: Size,
    /// How many bytes variables may still bring.
    room: &'a Cell<Option<usize>>,
    problems: Problems,
}

impl Loader<'_> {
    /// Adds a text and, before it, what it extends. A text that is met twice is loaded once.
    fn gather(&mut self, text: files::Text, at: Span, chain: &mut Vec<String>) {
        if chain.contains(&text.identity) {
            let circle =
                chain.iter().chain([&text.identity]).cloned().collect::<Vec<_>>().join(" → ");
            return self.problems.push(Problem::new(
                "profile::cycle",
                at,
                format!("cannot load the profile: it extends itself: {circle}"),
            ));
        }
        if !self.loaded.insert(text.identity.clone()) {
            return;
        }
        if chain.len() >= DEEPEST {
            return self.problems.push(Problem::new(
                "profile::depth",
                at,
                format!("cannot load the profile: `extends` goes deeper than {DEEPEST} files"),
            ));
        }
        if self.loaded.len() > MOST_FILES {
            return self.problems.push(too_many_files(at));
        }
        let decoded = files::decode(&text, self.sources);
        self.sources.brought_by(at);
        let (base, utf8) = match decoded {
            Ok(decoded) => decoded,
            Err(problem) => return self.problems.push(problem),
        };
        let kind = if chain.is_empty() { Kind::Profile } else { Kind::Extended };
        if !self.has_room(Size::of(&utf8), at.or(Span::from(base..base + 1))) {
            return;
        }
        let layer = Layer { name: text.name, text: utf8, base, directory: text.directory, kind };
        chain.push(text.identity);
        for word in self.extends(&layer) {
            match files::find_base(&word, layer.directory.as_deref(), self.caller, word.at) {
                Ok(text) => self.gather(text, word.at, chain),
                Err(problem) => self.problems.push(problem),
            }
        }
        chain.pop();
        self.layers.push(layer);
    }

    /// Whether a further text is not too much for one profile.
    fn has_room(&mut self, size: Size, at: Span) -> bool {
        self.read =
            Size { bytes: self.read.bytes + size.bytes, tokens: self.read.tokens + size.tokens };
        let message = if self.read.bytes > LARGEST_SUM {
            format!("the texts of the profile have more than {} MiB together", LARGEST_SUM >> 20)
        } else if self.read.tokens > MOST_TOKENS {
            format!(
                "the texts of the profile have more than {MOST_TOKENS} words and signs together"
            )
        } else {
            return true;
        };
        self.problems.push(Problem::new("profile::size", at, message));
        false
    }

    /// The words of `extends`, with variables put in and paths made absolute.
    fn extends(&mut self, layer: &Layer) -> Vec<At<String>> {
        // Most bases extend nothing, and need no parsing for that. A key can be spelt with escapes.
        if !layer.text.contains("extends") && !layer.text.contains('\\') {
            return vec![];
        }
        // Syntax errors are reported when all layers are parsed.
        let Some(mut document) = layer.parse(&mut Problems::default()) else { return vec![] };
        let Some((_, node)) = take(&mut document, "extends") else { return vec![] };
        if !matches!(node.get_ref(), DeValue::Array(_)) {
            let problem = Problem::new(
                "profile::type",
                Span::from(node.span()),
                "cannot read `extends`: it must be a list",
            );
            self.problems.push(problem.help("put it in `[ ]`: extends = [\"base\"]"));
            return vec![];
        }
        let mut reader = Reader { origin: &AsWritten, problems: &mut self.problems };
        let Some(words) = reader.value::<Vec<At<String>>>(At::unsaid("extends"), &node) else {
            return vec![];
        };
        if words.len() > MOST_FILES {
            self.problems.push(too_many_files(words[MOST_FILES].at));
            return vec![];
        }
        let variables = Variables {
            caller: self.caller,
            params: None,
            directory: layer.directory.as_deref(),
            room: self.room,
        };
        let mut out = vec![];
        for word in words {
            let Some(text) =
                variables.expand(&word.value, word.at, self.sources, &mut self.problems)
            else {
                continue;
            };
            let relative = files::is_path(&text) && !text.starts_with('/');
            match (&layer.directory, relative) {
                (Some(directory), true) => out.push(At::new(
                    format!("{directory}/{}", text.trim_start_matches("./")),
                    word.at,
                )),
                (None, true) => {
                    let problem = Problem::new(
                        "profile::extends",
                        word.at,
                        format!("cannot extend `{text}`: {} is in no directory", layer.name),
                    );
                    self.problems
                        .push(problem.help("name a built-in profile, or an absolute path"));
                }
                (_, false) => out.push(At::new(text, word.at)),
            }
        }
        out
    }
}

fn too_many_files(at: Span) -> Problem {
    Problem::new(
        "profile::size",
        at,
        format!("cannot load the profile: it has more than {MOST_FILES} files"),
    )
}

/// What is the same for all layers.
struct Given<'a> {
    request: &'a Request,
    caller: &'a Caller,
    room: &'a Cell<Option<usize>>,
}

/// Takes the value of a key out of a document, with the key's place.
fn take<'i>(document: &mut Document<'i>, name: &str) -> Option<(Span, Node<'i>)> {
    let (key, node) = document.remove_entry(name)?;
    Some((key.span().into(), node))
}

fn merge(
    layers: &[Layer],
    mut documents: Vec<Document<'_>>,
    given: &Given<'_>,
    sources: &mut Sources,
    mut problems: Problems,
    mut changes: Option<&mut Changes>,
) -> Result<Profile, Problems> {
    let early: Vec<Span> = problems.iter().map(|problem| problem.at).collect();
    let lacks_a_base = !early.is_empty();
    let params =
        read_params(layers, &mut documents, given, sources, &mut problems, changes.is_some());
    params.settle(&given.request.args, &mut problems);
    if let Some(changes) = &mut changes {
        params.tell(changes);
    }
    let words = command_line(&given.request.args, sources);
    let mut profile = Profile::default();
    let mut takes_args = false;
    for (layer, mut document) in layers.iter().zip(documents) {
        check_format(layer, &mut document, sources, &mut problems);
        if let (Some((at, _)), Kind::Flag) = (take(&mut document, "extends"), layer.kind) {
            problems.push(
                Problem::new(
                    "profile::extends",
                    at,
                    "cannot extend profiles here: a flag is no file",
                )
                .help("give the profile that does as PROFILE"),
            );
        }
        let (mut read, args) =
            read_layer(layer, document, (given, &params, &words), sources, &mut problems);
        takes_args = args.unwrap_or(takes_args);
        read.let_fall();
        if layer.kind == Kind::Extended {
            // A base cannot let fall a wall that another file relies on.
            read.keep_back(changes.as_deref_mut());
        }
        if let Some(changes) = &mut changes {
            profile.trace(&read, changes);
        }
        profile.cover(read, &mut problems);
    }
    if let (Some(order), Some(first)) =
        (&given.request.dashed, words.first().filter(|_| !takes_args))
    {
        let message = format!(
            "cannot run `{}`: it reads as an option, and would be the program",
            first.value
        );
        problems.push(Problem::new("cli::order", first.at, message).help(order.clone()));
    }
    if !words.is_empty() && !takes_args {
        let at =
            words.iter().fold(words[0].at, |at, word| Span { start: at.start, end: word.at.end });
        profile.run(At::new(words, at), changes);
    }
    if lacks_a_base {
        problems = problems
            .into_iter()
            .filter(|problem| early.contains(&problem.at) || !OF_A_BASE.contains(&problem.code))
            .fold(Problems::default(), |mut kept, problem| {
                kept.push(problem);
                kept
            });
    }
    let main =
        layers.iter().find(|layer| layer.kind == Kind::Profile).map_or(Span::NOWHERE, Layer::start);
    check_size(&profile, main, &mut problems);
    problems.or(profile)
}

/// What one text says, once its variables are put in, and whether its command takes the words after
/// PROFILE, if it has one.
fn read_layer(
    layer: &Layer,
    document: Document<'_>,
    (given, params, words): (&Given<'_>, &Params, &[At<String>]),
    sources: &mut Sources,
    problems: &mut Problems,
) -> (Profile, Option<bool>) {
    let variables = Variables {
        caller: given.caller,
        params: Some(params),
        directory: layer.directory.as_deref(),
        room: given.room,
    };
    let mut filling = Filling::new(variables, words, sources, problems);
    let whole = Spanned::new(layer.base..layer.base, DeValue::Table(document));
    let node = filling.fill(whole, &Profile::FILL);
    let Filling { secrets, private, uses, filled, takes_args, .. } = filling;
    sources.used(uses);
    sources.filled(filled);
    sources.add_private(private);
    let mut read = Profile::default();
    let mut reader = Reader { origin: &Filled { sources, secrets: &secrets }, problems };
    if let Some(node) = node {
        read.read(At::new("", layer.start()), &node, &mut reader);
    }
    read.check(&mut reader);
    (read, takes_args)
}

/// A text into which variables were put.
struct Filled<'a> {
    sources: &'a Sources,
    secrets: &'a [Secret],
}

impl Origin for Filled<'_> {
    fn hidden(&self, at: Span) -> Option<&str> {
        let is_in = |secret: &&Secret| at.start < secret.at.end && secret.at.start < at.end;
        self.secrets.iter().find(is_in).map(|secret| secret.written.as_str())
    }
    fn is_filled(&self, at: Span) -> bool {
        self.sources.is_filled(at)
    }
    fn elsewhere(&self, key: &str) -> Option<String> {
        super::place_of_key(key)
    }
}

/// The words after PROFILE, each with its place in a text of their own.
fn command_line(args: &[String], sources: &mut Sources) -> Vec<At<String>> {
    if args.is_empty() {
        return vec![];
    }
    let mut at = sources.add("<command line>", &args.join(" ")) as usize;
    let mut words = vec![];
    for arg in args {
        words.push(At::new(arg.clone(), Span::from(at..at + arg.len())));
        at += arg.len() + 1;
    }
    words
}

/// The parameters of all layers, with the values that they and the command line give.
fn read_params(
    layers: &[Layer],
    documents: &mut [Document<'_>],
    given: &Given<'_>,
    sources: &mut Sources,
    problems: &mut Problems,
    told: bool,
) -> Params {
    let mut params = Params::new(told);
    for (layer, document) in layers.iter().zip(documents) {
        let Some((key, node)) = take(document, "params") else { continue };
        let variables = Variables {
            caller: given.caller,
            params: None,
            directory: layer.directory.as_deref(),
            room: given.room,
        };
        let mut found = Problems::default();
        params.read(
            At::new("params", key),
            &node,
            &mut |text, at| variables.expand(text, at, sources, &mut found),
            problems,
        );
        problems.extend(found);
    }
    for (name, text) in &given.request.params {
        params.set(name, text, &given.caller.cwd, sources, problems);
    }
    params
}

/// Whether a text says the version of the language that this stockade reads.
fn check_format(
    layer: &Layer,
    document: &mut Document<'_>,
    sources: &Sources,
    problems: &mut Problems,
) {
    match document.get("format") {
        None if layer.kind == Kind::Flag => {}
        None => problems.push(
            Problem::new(
                "profile::format",
                layer.start(),
                format!(
                    "cannot read {}: it does not say which version of the language it is in",
                    layer.name
                ),
            )
            .help("begin it with: format = 1"),
        ),
        Some(node) => {
            let why = match node.get_ref() {
                DeValue::Integer(number) if number.as_str().starts_with('-') => "no stockade does",
                DeValue::Integer(number) => {
                    match i64::from_str_radix(number.as_str(), number.radix()) {
                        Ok(FORMAT) => return,
                        Ok(0) => "no stockade does",
                        _ => "only a newer stockade does",
                    }
                }
                _ => "it is not a whole number",
            };
            let written = sources.text(node.span().into()).unwrap_or_default();
            let message = format!(
                "cannot read format `{written}`: {why}; this one, {}, reads format {FORMAT}",
                env!("CARGO_PKG_VERSION")
            );
            let help = format!(
                "write format = {FORMAT}, or use the stockade that the profile was written for"
            );
            problems.push(Problem::new("profile::format", node.span().into(), message).help(help));
            document.remove("format");
        }
    }
}

/// What can be said only of the whole.
fn check_size(profile: &Profile, at: Span, problems: &mut Problems) {
    let count = profile.entries();
    if count > MOST_ENTRIES {
        problems.push(Problem::new(
            "profile::size",
            at,
            format!(
                "cannot load the profile: it has {count} entries, and {MOST_ENTRIES} are the most"
            ),
        ));
    }
}

#[cfg(test)]
mod tests;
