//! What a run leaves in its uppers, for as long as the launcher holds them: pid 1 sends the file
//! system of each upper in memory, which is in its mount namespace alone, and the launcher has those
//! on disk itself.

use super::uppers::{Uppers, open_upper};
use crate::host::upper::{FORMAT, Upper};
use crate::kernel::idmap::outside;
use crate::kernel::name::{Inode, Name};
use crate::language::value::{below, join};
use crate::plan::Plan;
use crate::step::{Merged, Slot, UpperPlace};
use crate::sys::{self, Errno, FdMessage, Result};
use crate::text::source::Span;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

/// What a target wrote on top of layers.
#[derive(Debug)]
pub(crate) struct Top {
    /// What it was written over.
    pub record: Upper,
    /// What overlayfs calls the upper.
    pub upper: File,
    /// The layers, the lowest first.
    pub layers: Vec<File>,
    /// The directory that it stays in, where it is kept, and its path.
    pub kept: Option<(File, String)>,
    /// The ids of the host behind user 0 and group 0, where these files have shifted ones.
    pub shift: Option<(u32, u32)>,
}

/// Whether a directory has no names.
fn is_empty(directory: &File) -> Result<bool> {
    let mut buffer = vec![0; 4096];
    let length = sys::read_directory(directory.as_raw_fd(), &mut buffer)?;
    Ok(sys::records(&buffer[..length]).next().is_none())
}

/// How pid 1 hands the uppers over that are in memory.
pub(super) struct Hands {
    socket: RawFd,
    message: Box<FdMessage>,
    slots: Vec<Slot>,
}

impl Hands {
    /// Both ends: the launcher's is the second.
    pub(super) fn new(plan: &Plan) -> Result<(Hands, RawFd)> {
        let (socket, ours) = sys::socket_pair()?;
        let slots = memory(plan).map(|(slot, _)| slot).collect();
        Ok((Hands { socket, message: FdMessage::empty(), slots }, ours))
    }

    /// Sends them: part of what runs between clone and exec.
    pub(super) fn hand_over(&mut self, slots: &[RawFd]) -> Result {
        for slot in &self.slots {
            self.message.send(self.socket, slots[slot.0])?;
        }
        Ok(())
    }

    /// The launcher keeps its own end alone, so that it sees the end of file.
    pub(super) fn close(&self) {
        sys::regardless(sys::close(self.socket));
    }
}

/// Whether something of what is written on top of layers can be put where its layer is.
pub(crate) fn is_of_the_host(plan: &Plan) -> bool {
    let merged = plan.steps.iter().filter_map(|step| step.tree()?.facets().merged);
    merged.filter(|merged| merged.upper.is_some()).any(|merged| {
        let [layer] = merged.layers else { return false };
        source(plan, *layer).is_some_and(|source| source.text() == merged.path.text())
    })
}

/// The host's path of a layer.
fn source(plan: &Plan, layer: Slot) -> Option<&Name> {
    opened(plan, layer).map(|(source, _)| source)
}

/// The same, and which directory it was.
fn opened(plan: &Plan, layer: Slot) -> Option<(&Name, Inode)> {
    let mut facets = plan.steps.iter().filter_map(|step| Some(step.tree()?.facets()));
    facets.find_map(|facets| {
        let (_, source) = facets.source.filter(|(slot, _)| *slot == layer)?;
        Some((source, facets.inode.unwrap_or_default()))
    })
}

/// The slots of uppers in memory, in the order of their steps, each with its line.
pub(super) fn memory(plan: &Plan) -> impl Iterator<Item = (Slot, Span)> {
    plan.steps.iter().filter_map(|step| Some((step.tree()?.facets().memory?, step.at)))
}

/// Which bound of an entry's upper was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// The entry's line.
    pub at: Span,
    /// The key of its bound.
    pub key: &'static str,
}

/// The uppers in memory, by their slots.
pub(super) type Memory = BTreeMap<usize, File>;

/// The bounds of uppers in memory that are met: what was full meanwhile, and has room by now, does
/// not show.
pub(super) fn full(plan: &Plan, received: &Memory) -> Vec<Full> {
    let mut all = vec![];
    for (slot, at) in memory(plan) {
        let Some(file) = received.get(&slot.0) else { continue };
        let Ok((blocks, files)) = sys::room(file.as_raw_fd()) else { continue };
        let keys = [("size", blocks), ("inodes", files)];
        all.extend(
            keys.into_iter().filter(|(_, free)| *free == 0).map(|(key, _)| Full { at, key }),
        );
    }
    all
}

/// Takes what pid 1 has sent.
pub(super) fn receive(plan: &Plan, ours: RawFd) -> Memory {
    // All of it is there once pid 1 has ended; a helper may still have a copy of its end.
    sys::regardless(sys::limit_wait(ours, 1));
    let mut received = BTreeMap::new();
    for (slot, _) in memory(plan) {
        match FdMessage::empty().receive(ours) {
            Ok(Some(fd)) => received.insert(slot.0, File::from(sys::owned(fd))),
            // It did not come so far.
            Ok(None) | Err(_) => break,
        };
    }
    received
}

/// Takes hold of what is in each upper. What cannot be opened is left out, and its path given.
pub(super) fn collect(
    plan: &Plan,
    (slots, uppers, begun): (&[RawFd], &Uppers, u64),
    received: &Memory,
) -> (Vec<Top>, Vec<(String, Errno)>) {
    let (mut tops, mut failed) = (vec![], vec![]);
    for step in &plan.steps {
        let merged = step.tree().and_then(|op| op.facets().merged);
        let Some(merged @ Merged { upper: Some(upper), .. }) = merged else { continue };
        match top(plan, (slots, uppers, begun), received, (&merged, upper)) {
            Ok(top) => tops.extend(top),
            Err(errno) => failed.push((merged.path.text().to_owned(), errno)),
        }
    }
    (tops, failed)
}

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;

fn top(
    plan: &Plan,
    (slots, uppers, begun): (&[RawFd], &Uppers, u64),
    received: &Memory,
    (merged, upper): (&Merged<'_>, &UpperPlace),
) -> Result<Option<Top>> {
    let Merged { path, mask, layers, .. } = *merged;
    let open = |directory: RawFd, name: &Name| {
        sys::openat(directory, name.as_c_str(), DIRECTORY, 0).map(|fd| File::from(sys::owned(fd)))
    };
    let held = uppers.of_place(upper.slot, plan);
    let kept = match held {
        Some((directory, Some(path))) => {
            let copy = File::from(sys::owned(sys::dup_above(directory, 3)?));
            Some((copy, path.to_owned()))
        }
        Some((_, None)) | None => None,
    };
    let opened = match (received.get(&upper.slot.0), held) {
        (Some(memory), _) => open_upper(memory.as_raw_fd(), upper.upper.as_c_str())?,
        // Its mount shows the ids that those of the layers show.
        (None, Some(_)) if plan.root => open_upper(slots[upper.slot.0], upper.upper.as_c_str())?,
        (None, Some((directory, _))) => open_upper(directory, upper.upper.as_c_str())?,
        (None, None) => return Err(Errno(libc::ENOENT)),
    };
    let mut sources = vec![];
    let mut files = vec![];
    for slot in layers.iter().rev() {
        let (source, inode) = self::opened(plan, *slot).ok_or(Errno(libc::ENOENT))?;
        let file = match plan.root {
            true => open(slots[slot.0], &Name::new("."))?,
            false => match sys::open_without_links(source.as_c_str(), DIRECTORY) {
                // Where the caller may not look, overlayfs lets nothing be made, either.
                Err(Errno(libc::EACCES)) if is_empty(&opened)? => return Ok(None),
                layer => File::from(sys::owned(layer?)),
            },
        };
        // What has its name by now may be another one.
        let known = inode != Inode::default();
        if known && sys::describe(file.as_raw_fd())?.inode != (inode.dev, inode.ino) {
            return Err(Errno(libc::ESTALE));
        }
        sources.push(source.text().to_owned());
        files.push(file);
    }
    // What is hidden has a name in the mask, and is mounted nowhere.
    let covers = plan.steps.iter().filter_map(|step| {
        let op = step.tree()?;
        // The target sees what is in a directory that is pinned.
        if op.facets().pinned {
            return None;
        }
        let hidden = op.facets().hidden.filter(|(slot, _)| Some(*slot) == mask);
        match hidden {
            Some((_, tail)) => Some(join(path.text(), tail.text())),
            None => op.inside().map(|inside| inside.text().to_owned()),
        }
    });
    let is_below = |inside: &String| inside != path.text() && below(inside, path.text()).is_some();
    let mut mounts: Vec<String> = covers.filter(is_below).collect();
    mounts.sort_unstable();
    mounts.dedup();
    let first = |extents| outside(extents, 0);
    let maps = plan.ids.maps.as_ref().filter(|_| plan.ids.needs_idmap);
    Ok(Some(Top {
        record: Upper {
            format: FORMAT,
            path: path.text().to_owned(),
            layers: sources,
            pid: 0,
            begun,
            number: 0,
            mounts,
            profiles: plan.profiles.clone(),
        },
        upper: opened,
        kept,
        layers: files,
        shift: maps.and_then(|maps| Some((first(&maps.uid)?, first(&maps.gid)?))),
    }))
}
