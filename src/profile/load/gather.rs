//! The texts of a profile: PROFILE, what it extends, and the flags, the weakest first. It reads
//! files, and of their contents `extends` alone.

use super::{Request, take};
use crate::host::caller::Caller;
use crate::language::layers::Kind;
use crate::language::reader::{AsWritten, Reader};
use crate::profile::base::Base;
use crate::profile::files;
use crate::profile::layer::{DEEPEST, Layer, MOST_TOKENS, Size};
use crate::profile::variables::Variables;
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Sources, Span};
use std::cell::Cell;
use std::collections::BTreeSet;
use toml::de::DeValue;

/// How many bytes all texts may have together.
const LARGEST_SUM: usize = 4 << 20;
/// How many files may make one profile.
const MOST_FILES: usize = 256;

/// What was found.
pub(super) struct Gathered {
    /// The texts, the weakest first.
    pub layers: Vec<Layer>,
    /// The places of `extends` whose profile is missing and skipped.
    pub skipped: Vec<Span>,
    pub problems: Problems,
}

/// The texts of a profile, the weakest first.
pub(super) fn gather(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
    room: &Cell<Option<usize>>,
) -> Gathered {
    let mut loader = Loader {
        caller,
        sources,
        layers: vec![],
        loaded: BTreeSet::new(),
        read: Size::default(),
        room,
        problems: Problems::default(),
        skipped: vec![],
    };
    let found = match &request.text {
        Some(text) => files::given(&request.profile, text),
        None => files::find(&request.profile, caller),
    };
    match found {
        Ok(text) => loader.gather(text, Span::NOWHERE, &mut vec![]),
        Err(problem) => loader.problems.push(problem),
    }
    let tried = request.tried.iter().map(|text| ("--config", text));
    let flags = request.config.iter().map(|(flag, text)| (flag.as_str(), text));
    for (flag, text) in flags.chain(tried) {
        let shown = if flag.starts_with("--env ") { masked(text) } else { text.clone() };
        let base = loader.sources.add(flag, &shown) as usize;
        if loader.has_room(Size::of(text), Span::from(base..base + 1)) {
            loader.layers.push(Layer {
                name: flag.to_owned(),
                text: text.clone(),
                base,
                directory: None,
                kind: Kind::Flag,
            });
        }
    }
    Gathered { layers: loader.layers, skipped: loader.skipped, problems: loader.problems }
}

/// The line of an `--env NAME=VALUE` as messages and `plan --layers` show it: the value may be a
/// secret. It is as long as the line, so that places in one are places in the other. A name has no
/// `=`, and is in the caller's words.
fn masked(line: &str) -> String {
    let Some((name, value)) = line.split_once(" = \"") else { return line.to_owned() };
    format!("{name} = \"{}\"", "*".repeat(value.len().saturating_sub(1)))
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
    /// The places of `extends` whose profile is missing and skipped.
    skipped: Vec<Span>,
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
        text.links.iter().for_each(|link| self.sources.found_by(link.clone(), true));
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
        let near = (layer.directory.as_deref(), text.is_builtin);
        for base in self.extends(&layer) {
            if base.is_optional {
                match files::is_absent(&base.word, self.caller, base.at) {
                    Ok(false) => {}
                    Ok(true) => {
                        if files::is_path(&base.word) {
                            let (place, links) = files::way(&base.word, &self.caller.cwd);
                            links.into_iter().for_each(|link| self.sources.found_by(link, true));
                            self.sources.found_by(place, false);
                        }
                        self.skipped.push(base.at);
                        continue;
                    }
                    Err(problem) => {
                        self.problems.push(problem);
                        continue;
                    }
                }
            }
            match files::find_base(&base.word, near, self.caller, base.at) {
                Ok(text) => self.gather(text, base.at, chain),
                Err(problem) => {
                    let help = self.or_optional(&base);
                    self.problems.push(problem.help_maybe(help));
                }
            }
        }
        chain.pop();
        self.layers.push(layer);
    }

    /// The help for a file of `extends` that is not there: the item as it is written, made
    /// optional.
    fn or_optional(&self, base: &At<Base>) -> Option<String> {
        let is_absent = || files::is_absent(&base.word, self.caller, base.at) == Ok(true);
        if !files::is_path(&base.word) || !is_absent() {
            return None;
        }
        let word = self.sources.text(base.at)?;
        let is_text = word.starts_with(['"', '\'']) && !word.contains('\n');
        is_text.then(|| {
            format!("make it, or extend it where it is there: {{ profile = {word}, missing = \"skip\" }}")
        })
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

    /// The items of `extends`, with variables put in and paths made absolute.
    fn extends(&mut self, layer: &Layer) -> Vec<At<Base>> {
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
        let Some(bases) = reader.value::<Vec<At<Base>>>(At::unsaid("extends"), &node) else {
            return vec![];
        };
        if bases.len() > MOST_FILES {
            self.problems.push(too_many_files(bases[MOST_FILES].at));
            return vec![];
        }
        let variables = Variables {
            caller: self.caller,
            params: None,
            directory: layer.directory.as_deref(),
            room: self.room,
            paths: false,
        };
        let mut out = vec![];
        for At { value: Base { word, is_optional }, at } in bases {
            let Some(text) = variables.expand(&word, at, self.sources, &mut self.problems) else {
                continue;
            };
            let relative = files::is_path(&text) && !text.starts_with('/');
            match (&layer.directory, relative) {
                (Some(directory), true) => {
                    let word = format!("{directory}/{}", text.trim_start_matches("./"));
                    out.push(At::new(Base { word, is_optional }, at));
                }
                (None, true) => {
                    let problem = Problem::new(
                        "profile::extends",
                        at,
                        format!("cannot extend `{text}`: {} is in no directory", layer.name),
                    );
                    self.problems
                        .push(problem.help("name a built-in profile, or an absolute path"));
                }
                (_, false) => out.push(At::new(Base { word: text, is_optional }, at)),
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
