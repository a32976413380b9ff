//! What forbids that a directory is a layer: by itself, beside the others, or as the target can write
//! to it.

use crate::host::mounted::Region;
use crate::host::{Fact, File, FileKind};
use crate::language::value::{below, join, parent, quoted};
use crate::policy::mounts::checks;
use crate::policy::mounts::draft::World;
use crate::policy::mounts::kinds::{Layers, Mount};
use crate::policy::mounts::tree::{in_parts, real};
use crate::policy::mounts::written;
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use crate::tree::walk::meant;

/// Of more layers a help shows the one that is meant alone.
pub(in crate::policy::mounts::draft) const MOST_IN_HELP: usize = 8;

/// What to do about a layer in another one.
const BESIDE: &str = "name directories beside one another";

/// Where a tree of the host lies.
pub(in crate::policy::mounts::draft) struct Place {
    /// Its path without links.
    real: String,
    /// The parts of file systems that it shows.
    regions: Vec<Region>,
}

/// How a tree lies to another one.
#[derive(Clone, Copy)]
pub(in crate::policy::mounts::draft) enum Lies {
    /// They are one directory.
    There,
    /// It is in the other.
    In,
    /// The other is in it.
    Around,
}

impl Lies {
    fn of(one: &str, other: &str) -> Option<Lies> {
        match (below(one, other), below(other, one)) {
            (Some(_), Some(_)) => Some(Lies::There),
            (Some(_), None) => Some(Lies::In),
            (None, Some(_)) => Some(Lies::Around),
            (None, None) => None,
        }
    }
}

impl Place {
    /// How it lies to another, if they have a directory in common.
    pub(in crate::policy::mounts::draft) fn lies(&self, other: &Place) -> Option<Lies> {
        let by_mounts = || {
            let pairs = self.regions.iter().enumerate().flat_map(|(nth, one)| {
                other.regions.iter().enumerate().map(move |other| ((nth, one), other))
            });
            // The first of its regions is its own, the others are mounted below it.
            let lies = |((nth, one), (mth, other)): ((usize, &Region), (usize, &Region))| {
                let lies = Lies::of(&one.within, &other.within);
                match lies.filter(|_| one.device == other.device)? {
                    _ if nth > 0 => Some(Lies::Around),
                    _ if mth > 0 => Some(Lies::In),
                    lies => Some(lies),
                }
            };
            pairs.into_iter().find_map(lies)
        };
        Lies::of(&self.real, &other.real).or_else(by_mounts)
    }

    /// Whether one of two lies in the other.
    pub(in crate::policy::mounts::draft) fn meets(&self, other: &Place) -> bool {
        self.lies(other).is_some()
    }

    /// The path without links.
    pub(in crate::policy::mounts::draft) fn real(&self) -> &str {
        &self.real
    }
}

impl World<'_> {
    /// A layer that is there and may be one.
    pub(super) fn layer(
        &mut self,
        path: &str,
        layers: &Layers,
        source: &str,
        at: Span,
    ) -> Option<File> {
        let named = layers.places(source).next().map_or(at, |place| place.or(at));
        let refuse = |why: String, help: Option<String>| {
            let message = format!("cannot take {source} as a layer: {why}");
            Problem::new("mounts::layers", named, message).help_maybe(help)
        };
        let is_long = layers.sources(path).len() > MOST_IN_HELP;
        let moved = |to: &str| match is_long {
            true => quoted(to),
            false => written::line(path, &Mount::Layers(layers.moved(source, to))),
        };
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(errno @ libc::ENOENT) if layers.may_miss(source) => {
                let note = Note::new(at, format!("the layer {source} of {path} is left out"));
                self.draft.notes.push(note.because(&errno_words(*errno)));
                return None;
            }
            Fact::Absent(errno) => {
                let make = format!("make it first: mkdir -p {}", shell_word(source));
                // Without the only one there would be nothing.
                let others = layers.upper.is_some() || layers.sources(path).len() > 1;
                let skip = layers.layers.as_ref().filter(|_| others).map(|_| {
                    let line = match is_long {
                        true => format!("{{ path = {}, missing = \"skip\" }}", quoted(source)),
                        false => written::line(path, &Mount::Layers(layers.without(source))),
                    };
                    format!("; or say so: {line}")
                });
                let help = (*errno == libc::ENOENT).then(|| make + &skip.unwrap_or_default());
                self.draft.problem(refuse(errno_words(*errno), help));
                return None;
            }
        };
        if file.kind != FileKind::Directory {
            let help = match &file.kind {
                FileKind::Link(text) => match meant(parent(source), text) {
                    // At its own path it has no list of layers to be corrected.
                    (_, true) if layers.layers.is_none() => {
                        "name the directory that the link leads to".into()
                    }
                    (place, true) => format!("name what the link leads to: {}", moved(&place)),
                    (_, false) => format!("name the directory that the link leads to: {text}"),
                },
                _ => "a layer is a directory".to_owned(),
            };
            self.draft.problem(refuse(format!("it is {}", file.kind.word()), Some(help)));
            return None;
        }
        if let Some(refused) = checks::check(path, source, &layers.words, &file, self.around()) {
            let help = match &file.real {
                Some((place, false)) if refused.is_link() && layers.layers.is_some() => {
                    format!("name the place that it means now: {}", moved(place))
                }
                _ => "name another directory".into(),
            };
            self.draft.problem(refuse(refused.why, Some(help)));
            return None;
        }
        let place = file.real.as_ref().map_or(source, |(real, _)| real);
        let within = |mount: &&String| below(mount, place).is_some_and(|tail| !tail.is_empty());
        // Those of its own tree come along, one overlay each; so do those in one of them.
        let brought = &self.host.brought;
        let whole = self.tree.get(path).and_then(|node| brought.trees.get(node.whole.as_ref()?));
        let comes_along =
            in_parts(path, layers, brought).is_some() || whole.is_some_and(|parts| parts.whole);
        let merged = self.host.merged.iter().filter(|_| !comes_along);
        let mounts = merged.flat_map(|mounted| &mounted.mounts);
        if let Some(mount) = mounts.map(|mount| &mount.at).find(within) {
            let why = format!("{mount} is mounted in it, and no layer has mounts below it");
            let help = "name a directory that has none, or bind it";
            self.draft.problem(refuse(why, Some(help.into())));
            return None;
        }
        Some(file)
    }

    /// What overlayfs refuses of all of them together (ELOOP, EINVAL). Where one was refused by
    /// itself, it is not known that there is none.
    pub(super) fn check_layers(
        &mut self,
        path: &str,
        layers: &Layers,
        (found, all_may_be): (&[(&str, File)], bool),
        at: Span,
    ) -> Vec<Place> {
        let refuse = |why: String, help: &str| {
            Problem::new("mounts::layers", at, format!("cannot merge the layers of {path}: {why}"))
                .help(help)
        };
        let places: Vec<(&str, Place)> =
            found.iter().map(|(source, _)| (*source, self.place(source))).collect();
        for (nth, (one, place)) in places.iter().enumerate() {
            for (other, another) in &places[nth + 1..] {
                let (why, help) = match place.lies(another) {
                    None => continue,
                    Some(Lies::There) if one == other => {
                        (format!("{one} is named twice"), "name it once")
                    }
                    Some(Lies::There) => {
                        (format!("{one} and {other} are one directory"), "name one of them alone")
                    }
                    Some(Lies::In) => (format!("{one} is in {other}"), BESIDE),
                    Some(Lies::Around) => (format!("{other} is in {one}"), BESIDE),
                };
                // Of one that is named more than twice each is at fault but the first.
                let first = layers.places(one).next().unwrap_or(at);
                let last = layers.places(other).next_back().unwrap_or(at);
                let problem = Problem { at: last.or(at), ..refuse(why, help) };
                self.draft.problem(match first.is_somewhere() && last.is_somewhere() {
                    true => problem.also(first, "and this"),
                    false => problem,
                });
            }
        }
        let is_empty = layers.layers.as_ref().is_some_and(Vec::is_empty);
        if found.is_empty() && all_may_be && !is_empty && layers.upper.is_none() {
            let why = "none of them is there, and without an upper there is nothing".to_owned();
            self.draft.problem(refuse(why, "name one that is always there"));
        }
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// What changes a layer while it is merged makes the merged tree undefined (overlayfs of the
    /// kernel), so the target itself may not, but by the same path inside.
    pub(super) fn check_writers(
        &mut self,
        (path, layers): (&str, &Layers),
        found: &[(&str, File)],
        at: Span,
    ) {
        for (other, node) in self.tree {
            let Some(written) = node.mount.grant(other).and_then(|grant| grant.written) else {
                continue;
            };
            let written_place = self.place(written);
            for (source, _) in found {
                // The entry is at that very place below it; or the merged tree covers the place.
                let covered = below(written, source).is_some_and(|tail| *other == join(path, tail))
                    || below(source, written).is_some_and(|tail| path == join(other, tail));
                if !covered && written_place.meets(&self.place(source)) {
                    let message = format!(
                        "cannot take {source} as a layer of {path}: the target can write to \
                         {written}, and so to a layer that is in use"
                    );
                    let named = layers.places(source).next().map_or(at, |place| place.or(at));
                    let problem = Problem::new("mounts::layers", named, message)
                        .also(node.at, "it is granted for writing here")
                        .help("grant it read-only, or name another directory as the layer");
                    self.draft.problem(problem);
                }
            }
        }
    }

    /// Where a path of the host lies, by whichever links and mounts.
    pub(in crate::policy::mounts::draft) fn place(&self, path: &str) -> Place {
        let real = real(self.host, path);
        let regions = self.host.merged.iter().flat_map(|mounted| mounted.regions(real, true));
        Place { real: real.to_owned(), regions: regions.collect() }
    }
}
