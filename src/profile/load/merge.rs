//! Each layer with its variables put in, and one laid over the other. It reads no file.

use super::format::check_format;
use super::{Given, Request, read_params, take};
use crate::language::fill::MOST_ENTRIES;
use crate::language::layers::{Changes, Effect, Kind};
use crate::language::reader::{Origin, Reader};
use crate::language::section::Field;
use crate::language::spelled::name;
use crate::language::value::quoted;
use crate::profile::Profile;
use crate::profile::fill::{Filling, Secret};
use crate::profile::layer::{Document, Layer};
use crate::profile::params::Params;
use crate::profile::variables::Variables;
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Sources, Span};
use toml::Spanned;
use toml::de::DeValue;

/// Problems that a missing base can cause: it sets nothing that could be removed, or given a value.
const OF_A_BASE: &[&str] =
    &["profile::withdraw", "profile::empty-set", "params::unknown", "variable::unknown"];

/// The profile that the layers make, the weakest first, or all that is wrong with them.
pub(super) fn merge(
    layers: &[Layer],
    mut documents: Vec<Document<'_>>,
    given: &Given<'_>,
    sources: &mut Sources,
    mut problems: Problems,
    mut changes: Option<&mut Changes>,
) -> Result<Profile, Problems> {
    let early: Vec<Span> = problems.iter().map(|problem| problem.at).collect();
    let params =
        read_params(layers, &mut documents, given, sources, &mut problems, changes.is_some());
    params.settle(&given.request.args, &mut problems);
    if let Some(changes) = &mut changes {
        params.record_changes(changes);
    }
    let words = command_line(&given.request.args, sources);
    let mut profile = Profile::default();
    let mut takes_args = false;
    let mut flags = vec![];
    for (layer, mut document) in layers.iter().zip(documents) {
        check_format(layer, &mut document, sources, &mut problems);
        drop_extends(layer, &mut document, &mut problems);
        let (mut read, args) =
            read_layer(layer, document, (given, &params, &words), sources, &mut problems);
        takes_args = args.unwrap_or(takes_args);
        match layer.kind {
            // They are the strongest, and come last.
            Kind::Flag => {
                flags.push(read);
                continue;
            }
            // `optional` of a base must not drop a protection that another file relies on.
            Kind::Extended => {
                read.let_fall(read.lets_fall());
                read.keep_back(changes.as_deref_mut());
            }
            Kind::Profile => read.let_fall(read.lets_fall()),
        }
        lay(&mut profile, read, changes.as_deref_mut(), &mut problems);
    }
    let of_the_line = flags.len().saturating_sub(given.request.tried.len());
    let (of_the_line, tried) = flags.split_at_mut(of_the_line);
    one_layer(of_the_line, &mut problems);
    one_layer(tried, &mut problems);
    for flag in flags {
        lay(&mut profile, flag, changes.as_deref_mut(), &mut problems);
    }
    if !takes_args {
        replace_command(&mut profile, words, given.request, changes, &mut problems);
    }
    if !early.is_empty() {
        problems = without_consequences(problems, &early);
    }
    let main =
        layers.iter().find(|layer| layer.kind == Kind::Profile).map_or(Span::NOWHERE, Layer::start);
    check_size(&profile, main, &mut problems);
    problems.or(profile)
}

/// Lays one text over those below it.
fn lay(
    profile: &mut Profile,
    read: Profile,
    changes: Option<&mut Changes>,
    problems: &mut Problems,
) {
    if let Some(changes) = changes {
        profile.trace(&read, changes);
    }
    profile.cover(read, problems);
}

/// The flags of a command line, which are one layer of the profile: their order means nothing. What
/// one of them makes optional is optional for all, and two that set one key are a problem.
fn one_layer(flags: &mut [Profile], problems: &mut Problems) {
    if flags.len() < 2 {
        return flags.iter_mut().for_each(|flag| flag.let_fall(flag.lets_fall()));
    }
    let falls = flags.iter().any(Profile::lets_fall);
    let mut said = Profile::default();
    let mut removed: Vec<(Vec<String>, Span)> = vec![];
    for flag in flags {
        flag.let_fall(falls);
        let (mut over, mut alone) = (Changes::default(), Changes::default());
        said.trace(flag, &mut over);
        Profile::default().trace(flag, &mut alone);
        let again = over.iter().filter(|change| change.before.is_somewhere());
        let again = again.map(|change| (&change.key, change.at, change.before));
        let given = alone.iter().filter_map(|change| {
            let (_, first) = removed.iter().find(|(key, _)| *key == change.key)?;
            Some((&change.key, change.at, *first))
        });
        for (key, at, first) in again.chain(given) {
            let key = key.iter().map(|part| name(part)).collect::<Vec<_>>().join(".");
            let message = format!("cannot set `{key}` twice: the command line is one layer");
            problems.push(
                Problem::new("cli::twice", at, message)
                    .label("and here")
                    .also(first, "here")
                    .help("remove one of them"),
            );
        }
        let removals = alone.iter().filter(|change| change.effect == Effect::Removed);
        removed.extend(removals.map(|change| (change.key.clone(), change.at)));
        said.cover(flag.clone(), &mut Problems::default());
    }
}

/// Takes `extends` out, which was read when the texts were gathered.
fn drop_extends(layer: &Layer, document: &mut Document<'_>, problems: &mut Problems) {
    if let (Some((at, _)), Kind::Flag) = (take(document, "extends"), layer.kind) {
        problems.push(
            Problem::new("profile::extends", at, "cannot extend profiles here: a flag is no file")
                .help("give the profile that does as PROFILE"),
        );
    }
}

/// Puts the words after PROFILE, if there are any, in the place of a command that does not take
/// them.
fn replace_command(
    profile: &mut Profile,
    words: Vec<At<String>>,
    request: &Request,
    changes: Option<&mut Changes>,
    problems: &mut Problems,
) {
    let Some(first) = words.first() else { return };
    if let Some(order) = &request.dashed {
        let message = format!(
            "cannot run `{}`: it reads as an option, and would be the program",
            first.value
        );
        // A command without `${ARGS}` takes no words.
        let program = profile.program();
        let help = match program.filter(|_| order.starts_with("for a program")) {
            Some(program) => format!(
                "to pass it on, in [process]: command = [{}, \"${{ARGS}}\"]; {order}",
                quoted(program)
            ),
            None => order.clone(),
        };
        problems.push(Problem::new("cli::order", first.at, message).help(help));
    }
    let at = words.iter().fold(first.at, |at, word| Span { start: at.start, end: word.at.end });
    profile.run(At::new(words, at), changes);
}

/// The problems without those that may come from a base that was not read. `early` are the places
/// of those that were found before the merge.
fn without_consequences(problems: Problems, early: &[Span]) -> Problems {
    let mut kept = Problems::default();
    for problem in problems {
        if early.contains(&problem.at) || !OF_A_BASE.contains(&problem.code) {
            kept.push(problem);
        }
    }
    kept
}

/// What one text says, once its variables are put in, and whether its command takes the words after
/// PROFILE, if it has one.
pub(super) fn read_layer(
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
        paths: false,
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
pub(super) struct Filled<'a> {
    pub(super) sources: &'a Sources,
    pub(super) secrets: &'a [Secret],
}

impl Origin for Filled<'_> {
    fn hidden(&self, at: Span) -> Option<&str> {
        let is_in = |secret: &&Secret| at.start < secret.at.end && secret.at.start < at.end;
        self.secrets.iter().find(is_in).map(|secret| secret.written.as_str())
    }
    fn is_filled(&self, at: Span) -> bool {
        self.sources.is_filled(at)
    }
    fn written(&self, at: Span) -> Option<&str> {
        self.sources.text(at)
    }
    fn elsewhere(&self, key: &str) -> Option<String> {
        crate::profile::place_of_key(key)
    }
}

/// The words after PROFILE, each with its place in a text of their own.
pub(super) fn command_line(args: &[String], sources: &mut Sources) -> Vec<At<String>> {
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

/// Checks the merged profile as a whole.
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
