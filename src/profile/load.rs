//! From PROFILE and the command line to one profile: files are gathered, parameters settled, variables put in, layers merged.

use super::files;
use super::fill::{Filling, MOST_ENTRIES, hide};
use super::params::Params;
use super::variables::Variables;
use super::{Caller, Profile};
use crate::policy::landlock::OPTIONAL;
use crate::problem::{Problem, Problems, suggestion};
use crate::section::{Field, Key, Node};
use crate::source::{At, Sources, Span};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// PROFILE.
    pub profile: String,
    /// Further layers: the flag, and its TOML.
    pub config: Vec<(String, String)>,
    /// `--set`: names and values.
    pub params: Vec<(String, String)>,
    /// The words after PROFILE.
    pub args: Vec<String>,
}

/// The version of the language that this stockade reads.
pub const FORMAT: i64 = 1;
/// How deep `extends` may go, and tables in tables.
const DEEPEST: usize = 64;
/// How many syntax errors of a text are told.
const MOST_ERRORS: usize = 100;
/// How many files may make one profile.
const MOST_FILES: usize = 256;

/// Loads a profile with all that it extends, or says all that is wrong.
pub fn load(request: &Request, caller: &Caller, sources: &mut Sources) -> Result<Profile, Problems> {
    let mut loader = Loader { caller, sources, layers: vec![], loaded: BTreeSet::new(), problems: Problems::default() };
    match files::find(&request.profile, caller) {
        Ok(text) => loader.gather(text, Span::NOWHERE, &mut vec![]),
        Err(problem) => loader.problems.push(problem),
    }
    for (flag, text) in &request.config {
        let base = loader.sources.add(flag, text) as usize;
        loader.layers.push(Layer { name: flag.clone(), text: text.clone(), base, folder: None, kind: Kind::Flag });
    }
    let Loader { layers, mut problems, .. } = loader;
    let mut documents = vec![];
    for layer in &layers {
        documents.extend(layer.parse(&mut problems));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    merge(&layers, documents, request, caller, sources, problems)
}

/// One text of the profile, the weakest first.
struct Layer {
    name: String,
    text: String,
    base: usize,
    folder: Option<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// PROFILE itself.
    Main,
    /// What it extends.
    Extended,
    /// A flag.
    Flag,
}

type Document<'i> = DeTable<'i>;

impl Layer {
    /// Parses the text; its spans become places in the common space.
    fn parse(&self, problems: &mut Problems) -> Option<Document<'_>> {
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        let document = DeValue::Table(document.into_inner());
        if let Some(span) = too_deep(&document) {
            let at = Span::from(span.start + self.base..span.end + self.base);
            problems.push(Problem::new("profile::depth", at, format!("a value goes deeper than {DEEPEST} tables and lists")));
            dismantle(document);
            return None;
        }
        let mut lines = vec![];
        for error in errors.iter().take(MOST_ERRORS) {
            let span = error.span().unwrap_or(0..0);
            // One mistake makes the parser stumble several times; the first of each line says it.
            let line = self.text.get(..span.start).unwrap_or("").matches('\n').count();
            if !lines.contains(&line) {
                lines.push(line);
                let end = span.end.max(span.start + 1);
                problems.push(Problem::new("profile::syntax", Span::from(span.start + self.base..end + self.base), error.message()));
            }
        }
        match shift(Spanned::new(0..0, document), self.base).into_inner() {
            DeValue::Table(table) if errors.is_empty() => Some(table),
            _ => None,
        }
    }

    /// The first byte, for what is wrong with the whole.
    fn start(&self) -> Span {
        Span::from(self.base..self.base + 1)
    }
}

/// Where a document goes too deep, if it does. The parser bounds each key and each value by itself, but a long key in a table in a
/// long key makes thousands of levels, and tables are walked and freed by recursion.
fn too_deep(document: &DeValue<'_>) -> Option<std::ops::Range<usize>> {
    let mut open = vec![(document, 0..0, 0)];
    while let Some((value, span, depth)) = open.pop() {
        if depth > DEEPEST {
            return Some(span);
        }
        match value {
            DeValue::Array(items) => open.extend(items.iter().map(|item| (item.get_ref(), item.span(), depth + 1))),
            DeValue::Table(table) => open.extend(table.values().map(|item| (item.get_ref(), item.span(), depth + 1))),
            _ => {}
        }
    }
    None
}

/// Frees a document of any depth without recursion.
fn dismantle(document: DeValue<'_>) {
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            DeValue::Array(items) => open.extend(items.into_iter().map(Spanned::into_inner)),
            DeValue::Table(table) => open.extend(table.into_iter().map(|(_, item)| item.into_inner())),
            _ => {}
        }
    }
}

fn shift(node: Node<'_>, base: usize) -> Node<'_> {
    let moved = |span: std::ops::Range<usize>| span.start + base..span.end + base;
    let span = moved(node.span());
    let value = match node.into_inner() {
        DeValue::Array(array) => {
            let mut out = DeArray::new();
            array.into_iter().for_each(|item| out.push(shift(item, base)));
            DeValue::Array(out)
        }
        DeValue::Table(table) => {
            DeValue::Table(table.into_iter().map(|(key, value)| (Spanned::new(moved(key.span()), key.into_inner()), shift(value, base))).collect())
        }
        other => other,
    };
    Spanned::new(span, value)
}

struct Loader<'a> {
    caller: &'a Caller,
    sources: &'a mut Sources,
    layers: Vec<Layer>,
    /// What was loaded, by its real path or name.
    loaded: BTreeSet<String>,
    problems: Problems,
}

impl Loader<'_> {
    /// Adds a text and, before it, what it extends. A text that is met twice is loaded once.
    fn gather(&mut self, text: files::Text, at: Span, chain: &mut Vec<String>) {
        if chain.contains(&text.identity) {
            let circle = chain.iter().chain([&text.identity]).cloned().collect::<Vec<_>>().join(" → ");
            return self.problems.push(Problem::new("profile::cycle", at, format!("the profile extends itself: {circle}")));
        }
        if !self.loaded.insert(text.identity.clone()) {
            return;
        }
        if chain.len() >= DEEPEST {
            return self.problems.push(Problem::new("profile::depth", at, format!("`extends` goes deeper than {DEEPEST} files")));
        }
        if self.loaded.len() > MOST_FILES {
            return self.problems.push(Problem::new("profile::size", at, format!("the profile has more than {MOST_FILES} files")));
        }
        let (base, utf8) = match files::decode(&text, self.sources) {
            Ok(decoded) => decoded,
            Err(problem) => return self.problems.push(problem),
        };
        let kind = if chain.is_empty() { Kind::Main } else { Kind::Extended };
        let layer = Layer { name: text.name, text: utf8, base, folder: text.folder, kind };
        chain.push(text.identity);
        for word in self.extends(&layer) {
            match files::find_base(&word, layer.folder.as_deref(), self.caller, word.at) {
                Ok(text) => self.gather(text, word.at, chain),
                Err(problem) => self.problems.push(problem),
            }
        }
        chain.pop();
        self.layers.push(layer);
    }

    /// The words of `extends`, with variables put in and paths made absolute.
    fn extends(&mut self, layer: &Layer) -> Vec<At<String>> {
        // Syntax errors are reported when all layers are parsed.
        let Some(mut document) = layer.parse(&mut Problems::default()) else { return vec![] };
        let Some((_, node)) = take(&mut document, "extends") else { return vec![] };
        if !matches!(node.get_ref(), DeValue::Array(_)) {
            let problem = Problem::new("profile::type", Span::from(node.span()), "`extends` must be a list");
            self.problems.push(problem.help("put it in `[ ]`: extends = [\"base\"]"));
            return vec![];
        }
        let Some(words) = crate::section::parse::<Vec<At<String>>>(node, &mut self.problems) else { return vec![] };
        let variables = Variables { caller: self.caller, params: None, folder: layer.folder.as_deref() };
        let mut out = vec![];
        for word in words {
            let Some(text) = variables.expand(&word.value, word.at, self.sources, &mut self.problems) else { continue };
            let relative = files::is_path(&text) && !text.starts_with('/');
            match (&layer.folder, relative) {
                (Some(folder), true) => out.push(At::new(format!("{folder}/{}", text.trim_start_matches("./")), word.at)),
                (None, true) => {
                    let problem = Problem::new("profile::extends", word.at, format!("cannot extend `{text}`: {} is in no folder", layer.name));
                    self.problems.push(problem.help("name a built-in profile, or an absolute path"));
                }
                (_, false) => out.push(At::new(text, word.at)),
            }
        }
        out
    }
}

/// Takes the value of a key out of a document, with the key's place.
fn take<'i>(document: &mut Document<'i>, name: &str) -> Option<(Span, Node<'i>)> {
    let (key, node) = document.remove_entry(name)?;
    Some((key.span().into(), node))
}

fn merge(
    layers: &[Layer],
    mut documents: Vec<Document<'_>>,
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
    mut problems: Problems,
) -> Result<Profile, Problems> {
    let params = settle_params(layers, &mut documents, request, caller, sources, &mut problems);
    let words = command_line(&request.args, sources);
    let mut profile = Profile::default();
    let mut takes_args = false;
    for (layer, mut document) in layers.iter().zip(documents) {
        check_format(layer, &mut document, sources, &mut problems);
        if let (Some((at, _)), Kind::Flag) = (take(&mut document, "extends"), layer.kind) {
            problems.push(Problem::new("profile::extends", at, "a flag cannot extend profiles").help("give the profile that does as PROFILE"));
        }
        let variables = Variables { caller, params: Some(&params), folder: layer.folder.as_deref() };
        let mut filling = Filling { variables, words: &words, sources, problems: &mut problems, takes_args: None, secrets: vec![] };
        let node = filling.fill(Spanned::new(layer.base..layer.base, DeValue::Table(document)), &mut vec![]);
        takes_args = filling.takes_args.unwrap_or(takes_args);
        let secrets = filling.secrets;
        let (mut read, mut found) = (Profile::default(), Problems::default());
        if let Some(node) = node {
            read.read(&At::new(String::new(), layer.start()), node, &mut found);
        }
        check_optional(&read, &mut found);
        problems.extend(found.into_iter().map(|problem| hide(problem, &secrets)));
        if layer.kind == Kind::Extended {
            // A base cannot let fall a wall that another file relies on.
            read.optional = Default::default();
        }
        profile.cover(read, &mut problems);
    }
    if !words.is_empty() && !takes_args {
        let at = words.iter().fold(words[0].at, |at, word| Span { start: at.start, end: word.at.end });
        profile.process.command = Key::Said(At::new(words, at));
    }
    check_size(&profile, &mut problems);
    problems.or(profile)
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

fn settle_params(
    layers: &[Layer],
    documents: &mut [Document<'_>],
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Params {
    let mut params = Params::default();
    for (layer, document) in layers.iter().zip(documents) {
        let Some((key, node)) = take(document, "params") else { continue };
        let variables = Variables { caller, params: None, folder: layer.folder.as_deref() };
        let mut found = Problems::default();
        params.read(&At::new("params".into(), key), node, &mut |text, at| variables.expand(text, at, sources, &mut found), problems);
        problems.extend(found);
    }
    for (name, text) in &request.params {
        params.set(name, text, &caller.cwd, sources, problems);
    }
    params.settle(problems);
    params
}

/// Whether a text says the version of the language that this stockade reads.
fn check_format(layer: &Layer, document: &mut Document<'_>, sources: &Sources, problems: &mut Problems) {
    match document.get("format") {
        None if layer.kind == Kind::Flag => {}
        None => problems.push(
            Problem::new("profile::format", layer.start(), format!("{} does not say which version of the language it is in", layer.name))
                .help("begin it with: format = 1"),
        ),
        Some(node) => {
            let why = match node.get_ref() {
                DeValue::Integer(number) if number.as_str().starts_with('-') => "no stockade does",
                DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(FORMAT) => return,
                    Ok(0) => "no stockade does",
                    _ => "only a newer stockade does",
                },
                _ => "it is not a whole number",
            };
            let written = sources.text(node.span().into()).unwrap_or_default();
            let message = format!("cannot read format `{written}`: {why}; this one, {}, reads format {FORMAT}", env!("CARGO_PKG_VERSION"));
            let help = format!("write format = {FORMAT}, or use the stockade that the profile was written for");
            problems.push(Problem::new("profile::format", node.span().into(), message).help(help));
            document.remove("format");
        }
    }
}

/// A wall that may fall is one that there is.
fn check_optional(profile: &Profile, problems: &mut Problems) {
    for name in profile.optional.items.iter().filter(|name| !OPTIONAL.contains(&name.value.as_str())) {
        let help = suggestion(name.value.as_str(), OPTIONAL.iter().copied()).unwrap_or_else(|| format!("there are: {}", OPTIONAL.join(", ")));
        problems.push(Problem::new("profile::optional", name.at, format!("`{}` is no wall that may fall", name.value)).help(help));
    }
}

/// What can be said only of the whole.
fn check_size(profile: &Profile, problems: &mut Problems) {
    let count = profile.programs.items.len() + profile.mounts.map.len() + profile.env.map.len() + profile.rlimits.map.len();
    if count > MOST_ENTRIES {
        problems.push(Problem::new("profile::size", Span::NOWHERE, format!("the profile has {count} entries; {MOST_ENTRIES} are the most")));
    }
}

#[cfg(test)]
mod tests;
