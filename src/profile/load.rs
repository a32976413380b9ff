//! From PROFILE and the command line to one profile: files are gathered, parameters settled, variables put in, layers merged.

use super::files::{self, Text};
use super::fill::Filling;
use super::params::Params;
use super::variables::Variables;
use super::{Caller, Profile};
use crate::problem::{Problem, Problems, suggestion};
use crate::section::{Field, Key, Node};
use crate::source::{At, Sources, Span};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

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
const FORMAT: u32 = 1;
/// How deep `extends` may go.
const DEEPEST: usize = 64;
/// How many entries a profile may have once it is merged.
const MOST_ENTRIES: usize = 10_000;
/// Walls that may fall by `optional`.
const OPTIONAL: &[&str] = &["landlock"];

/// Loads a profile with all that it extends, or says all that is wrong.
pub fn load(request: &Request, caller: &Caller, sources: &mut Sources) -> Result<Profile, Problems> {
    let mut loader = Loader { caller, sources, layers: vec![], loaded: BTreeMap::new(), problems: Problems::default() };
    loader.gather(&request.profile, Span::NOWHERE, &mut vec![]);
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
        if let Some(offset) = too_deep(&self.text) {
            let at = Span::from(offset + self.base..offset + self.base + 1);
            problems.push(Problem::new("profile::depth", at, format!("a key goes deeper than {DEEPEST} tables")));
            return None;
        }
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        let mut lines = vec![];
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            // One mistake makes the parser stumble several times; the first of each line says it.
            let line = self.text.get(..span.start).unwrap_or("").matches('\n').count();
            if !lines.contains(&line) {
                lines.push(line);
                let end = span.end.max(span.start + 1);
                problems.push(Problem::new("profile::syntax", Span::from(span.start + self.base..end + self.base), error.message()));
            }
        }
        match shift(Spanned::new(0..0, DeValue::Table(document.into_inner())), self.base).into_inner() {
            DeValue::Table(table) if errors.is_empty() => Some(table),
            _ => None,
        }
    }

    /// The first byte, for what is wrong with the whole.
    fn start(&self) -> Span {
        Span::from(self.base..self.base + 1)
    }
}

/// Where a dotted key goes too deep, if one does: each dot outside of a text is a table in a table, and tables are walked and freed
/// by recursion.
fn too_deep(text: &str) -> Option<usize> {
    let (mut dots, mut quote, mut escaped, mut comment) = (0, None, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(b'"'), _) if escaped => escaped = false,
            (Some(b'"'), b'\\') => escaped = true,
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\n') => (dots, comment) = (0, false),
            (None, b'#') => comment = true,
            (None, _) if comment => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'.') => dots += 1,
            (None, b'=' | b'{' | b',' | b'[') => dots = 0,
            (None, _) => {}
        }
        if dots > DEEPEST {
            return Some(offset);
        }
    }
    None
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
    loaded: BTreeMap<String, ()>,
    problems: Problems,
}

impl Loader<'_> {
    /// Adds a text and, before it, what it extends. A text that is met twice is loaded once.
    fn gather(&mut self, word: &str, at: Span, chain: &mut Vec<String>) {
        let Text { name, text, folder, identity } = match files::find(word, self.caller, at) {
            Ok(text) => text,
            Err(problem) => return self.problems.push(problem),
        };
        if chain.contains(&identity) {
            let circle = chain.iter().chain([&identity]).cloned().collect::<Vec<_>>().join(" → ");
            return self.problems.push(Problem::new("profile::cycle", at, format!("the profile extends itself: {circle}")));
        }
        if self.loaded.insert(identity.clone(), ()).is_some() {
            return;
        }
        if chain.len() >= DEEPEST {
            return self.problems.push(Problem::new("profile::depth", at, format!("`extends` goes deeper than {DEEPEST}")));
        }
        let kind = if chain.is_empty() { Kind::Main } else { Kind::Extended };
        let base = self.sources.add_file(&name, &text, folder.as_ref().map(|_| identity.as_str())) as usize;
        let layer = Layer { name, text, base, folder, kind };
        chain.push(identity);
        for word in self.extends(&layer) {
            self.gather(&word.value, word.at, chain);
        }
        chain.pop();
        self.layers.push(layer);
    }

    /// The words of `extends`, with variables put in and paths made absolute.
    fn extends(&mut self, layer: &Layer) -> Vec<At<String>> {
        // Syntax errors are reported when all layers are parsed.
        let Some(mut document) = layer.parse(&mut Problems::default()) else { return vec![] };
        let Some((_, node)) = take(&mut document, "extends") else { return vec![] };
        let Some(words) = crate::section::parse::<Vec<At<String>>>(node, &mut self.problems) else { return vec![] };
        let params = Params::default();
        let variables = Variables { caller: self.caller, params: &params, folder: layer.folder.as_deref() };
        let mut out = vec![];
        for word in words {
            let Some(text) = variables.expand(&word.value, word.at, self.sources, &mut self.problems) else { continue };
            let relative = files::is_path(&text) && !text.starts_with('/');
            match (&layer.folder, relative) {
                (Some(folder), true) => out.push(At::new(format!("{folder}/{text}"), word.at)),
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

fn take<'i>(document: &mut Document<'i>, name: &str) -> Option<(Spanned<DeString<'i>>, Node<'i>)> {
    let key = document.keys().find(|key| key.get_ref() == name).cloned()?;
    let node = document.remove(&key)?;
    Some((key, node))
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
        check_format(layer, &document, &mut problems);
        match take(&mut document, "extends") {
            Some((key, _)) if layer.kind == Kind::Flag => {
                problems.push(
                    Problem::new("profile::extends", Span::from(key.span()), "a flag cannot extend profiles")
                        .help("give the profile that does as PROFILE"),
                );
            }
            _ => {}
        }
        let variables = Variables { caller, params: &params, folder: layer.folder.as_deref() };
        let mut filling = Filling { variables, words: &words, sources, problems: &mut problems, args: None };
        let Some(node) = filling.fill(Spanned::new(layer.base..layer.base, DeValue::Table(document)), &mut vec![]) else { continue };
        takes_args = filling.args.unwrap_or(takes_args);
        let mut read = Profile::default();
        read.read(&At::new(String::new(), layer.start()), node, &mut problems);
        if layer.kind == Kind::Extended {
            read.optional = Default::default();
        }
        profile.cover(read, &mut problems);
    }
    if !words.is_empty() && !takes_args {
        let at = words.iter().fold(words[0].at, |at, word| Span { start: at.start, end: word.at.end });
        profile.process.command = Key::Said(At::new(words, at));
    }
    finish(&profile, &mut problems);
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
    let none = Params::default();
    let mut params = Params::default();
    for (layer, document) in layers.iter().zip(documents) {
        let Some((key, node)) = take(document, "params") else { continue };
        let key = At::new(key.get_ref().to_string(), key.span().into());
        let variables = Variables { caller, params: &none, folder: layer.folder.as_deref() };
        let mut found = Problems::default();
        params.read(&key, node, &mut |text, at| variables.expand(text, at, sources, &mut found), problems);
        problems.extend(found);
    }
    for (name, text) in &request.params {
        params.set(name, text, &caller.cwd, sources, problems);
    }
    params.settle(problems);
    params
}

fn check_format(layer: &Layer, document: &Document<'_>, problems: &mut Problems) {
    let said = document.iter().find(|(key, _)| key.get_ref() == "format").map(|(_, node)| node);
    match said {
        None if layer.kind == Kind::Flag => {}
        None => problems.push(
            Problem::new("profile::format", layer.start(), format!("{} does not say which version of the language it is in", layer.name))
                .help("begin it with: format = 1"),
        ),
        Some(node) => match node.get_ref() {
            DeValue::Integer(number) if number.as_str().parse() == Ok(FORMAT) => {}
            _ => problems.push(
                Problem::new("profile::format", node.span().into(), format!("this stockade reads format {FORMAT}"))
                    .help("a newer stockade may read this one"),
            ),
        },
    }
}

/// What can be said only of the whole.
fn finish(profile: &Profile, problems: &mut Problems) {
    for name in profile.optional.items.iter().filter(|name| !OPTIONAL.contains(&name.value.as_str())) {
        let help = suggestion(name, OPTIONAL.iter().copied()).unwrap_or_else(|| format!("there are: {}", OPTIONAL.join(", ")));
        problems.push(Problem::new("profile::optional", name.at, format!("`{}` is no wall that may fall", name.value)).help(help));
    }
    let count = profile.mounts.map.len() + profile.env.map.len() + profile.rlimits.map.len();
    if count > MOST_ENTRIES {
        problems.push(Problem::new("profile::size", Span::NOWHERE, format!("the profile has {count} entries; {MOST_ENTRIES} are the most")));
    }
}
