//! From PROFILE and the command line to one profile: files are gathered, parameters settled,
//! variables put in, layers merged.

mod format;
mod gather;
mod merge;

use super::Profile;
use super::layer::{Document, Layer};
use super::params::{Declared, Params};
use super::variables::{MOST_PUT_IN, Variables};
use crate::host::caller::Caller;
use crate::language::layers::{Effect, Layers};
use crate::language::read::Node;
use crate::text::problem::Problems;
use crate::text::source::{At, Sources, Span};
pub(super) use format::FORMAT;
use gather::{Gathered, gather};
use merge::merge;
use std::cell::Cell;

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// PROFILE; where there is a text, what messages call that.
    pub profile: String,
    /// The text itself, where the caller has it.
    pub text: Option<String>,
    /// Further layers: the flag, and its TOML.
    pub config: Vec<(String, String)>,
    /// Lines of TOML that are tried over all of these, which may set again what a flag sets.
    pub tried: Vec<String>,
    /// `--set`: names and values.
    pub params: Vec<(String, String)>,
    /// The words after PROFILE.
    pub args: Vec<String>,
    /// The command line to suggest if the first word after PROFILE begins with `-` and no `--`
    /// precedes it.
    pub dashed: Option<String>,
}

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

/// Loads a profile and every profile that it extends, or reports every problem.
pub fn load(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
) -> Result<Profile, Problems> {
    load_with(request, caller, sources, None)
}

/// The same, and what each layer does.
pub fn load_layers(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
) -> Result<(Profile, Layers), Problems> {
    let mut layers = Layers::default();
    let profile = load_with(request, caller, sources, Some(&mut layers))?;
    Ok((profile, layers))
}

fn load_with(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
    mut layers_of: Option<&mut Layers>,
) -> Result<Profile, Problems> {
    let room = Cell::new(Some(MOST_PUT_IN));
    let Gathered { layers, skipped, mut problems } = gather(request, caller, sources, &room);
    let documents = parse(&layers, &mut problems);
    // A text that is no TOML has nothing more to say, and one that cannot be found would be missed
    // by others.
    if documents.len() < layers.len()
        || !problems.iter().all(|problem| GOES_ON.contains(&problem.code))
    {
        return Err(problems);
    }
    if let Some(layers_of) = &mut layers_of {
        layers_of.layers = layers
            .iter()
            .map(|layer| crate::language::layers::Layer { kind: layer.kind, start: layer.start() })
            .collect();
        layers_of.changes.enter("extends");
        skipped.iter().for_each(|at| layers_of.changes.record(Effect::Skipped, *at, Span::NOWHERE));
        layers_of.changes.leave();
    }
    let given = Given { request, caller, room: &room };
    merge(
        &layers,
        documents,
        &given,
        sources,
        problems,
        layers_of.map(|layers_of| &mut layers_of.changes),
    )
}

/// What a profile leaves to its user. A value that is missing is no problem here.
pub(crate) fn load_params(
    request: &Request,
    caller: &Caller,
    sources: &mut Sources,
) -> Result<Vec<Declared>, Problems> {
    let room = Cell::new(Some(MOST_PUT_IN));
    let Gathered { layers, mut problems, .. } = gather(request, caller, sources, &room);
    let mut documents = parse(&layers, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let given = Given { request, caller, room: &room };
    let params = read_params(&layers, &mut documents, &given, sources, &mut problems, false);
    problems.or(params.declared())
}

fn parse<'l>(layers: &'l [Layer], problems: &mut Problems) -> Vec<Document<'l>> {
    layers.iter().filter_map(|layer| layer.parse(problems)).collect()
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

/// The parameters of all layers, with the values that they and the command line give.
fn read_params(
    layers: &[Layer],
    documents: &mut [Document<'_>],
    given: &Given<'_>,
    sources: &mut Sources,
    problems: &mut Problems,
    layers_of: bool,
) -> Params {
    let mut params = Params::new(layers_of);
    for (layer, document) in layers.iter().zip(documents) {
        let Some((key, node)) = take(document, "params") else { continue };
        let variables = Variables {
            caller: given.caller,
            params: None,
            directory: layer.directory.as_deref(),
            room: given.room,
            paths: false,
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

#[cfg(test)]
mod tests;
