//! A name of the upper, held against the layers.

use super::contents::open_low;
use super::look::{Low, Seen, close_all, is_whiteout};
use super::names::Name;
use super::{Dir, Result, Walk};
use crate::launch::changes::{Contents, Kind, State, What};
use crate::sys::{self, Looked};

impl Walk<'_> {
    /// Holds a name of the upper against the layers; whether it was gone into.
    pub(super) fn compare(
        &mut self,
        name: &Name,
        is_below_alone: bool,
        mut seen: Option<Seen>,
    ) -> Result<bool> {
        if seen.is_none() && !is_below_alone {
            // It went away while this ran.
            return Ok(false);
        }
        let low = self.low(name)?;
        let before = match &low.looked {
            Some(looked) => {
                let state = self.state(low.dir, name, looked)?;
                Some(self.inside(state))
            }
            None => None,
        };
        let is_above_opaque = self.frames.last().is_some_and(|frame| frame.is_opaque);
        if let Some(seen) = seen.as_mut().filter(|seen| seen.is_opaque || is_above_opaque) {
            // What the layers had in it, and is removed, nobody can say.
            seen.is_unread |= low.is_closed;
        }
        let Some(seen) = seen.filter(|seen| !is_whiteout(&seen.looked)) else {
            close_all(&low.merged)?;
            if before.is_some() {
                let is_file = before.as_ref().is_some_and(|before| before.kind == Kind::File);
                self.give(What::Removed, before, None, None)?;
                if is_file {
                    self.contents_before(&low, name)?;
                }
            }
            return Ok(false);
        };
        let dir = self.frames.last().map_or(-1, |frame| frame.upper.fd);
        let after = self.state(dir, name, &seen.looked)?;
        let kind = after.kind;
        if kind == Kind::Directory && seen.is_unread {
            close_all(&low.merged)?;
            let what = match &before {
                None => What::Added,
                Some(before) if before.kind != kind => What::Replaced,
                Some(_) => What::Changed,
            };
            self.give(what, before, Some(after), Some(&seen))?;
            return Ok(false);
        }
        if kind == Kind::Directory && before.as_ref().is_some_and(|before| before.kind == kind) {
            let has_rights =
                |before: &State| after.has_rights_of(before) || Walk::is_copied_up(before, &after);
            if before.as_ref().is_some_and(|before| !has_rights(before)) {
                self.give(What::Rights, before, Some(after), Some(&seen))?;
            }
            self.go_into(&seen, low.merged, seen.is_opaque || is_above_opaque)?;
            return Ok(true);
        }
        close_all(&low.merged)?;
        let what = match &before {
            None => What::Added,
            Some(before) if before.kind != kind => What::Replaced,
            Some(before) if !self.is_same(before, &after, &seen, &low, name)? => What::Changed,
            Some(before) if !after.has_rights_of(before) => What::Rights,
            Some(_) => return Ok(false),
        };
        let was_file = before.as_ref().is_some_and(|before| before.kind == Kind::File);
        self.give(what, before, Some(after), Some(&seen))?;
        if kind == Kind::Directory {
            self.go_into(&seen, vec![], false)?;
            return Ok(true);
        }
        if was_file && what != What::Rights {
            self.contents_before(&low, name)?;
        }
        // A layer of an image has whole files, also where only the mode is another.
        let is_wanted = what != What::Rights || self.contents == Contents::After;
        if kind == Kind::File && seen.fd >= 0 && is_wanted {
            self.contents_after(&seen)?;
        }
        Ok(false)
    }

    /// Whether a directory is as `copy-up` of an entry makes it: the target's own, with the mode of the
    /// layer's. No owner is applied, so that one which the target itself has given is not missed.
    fn is_copied_up(before: &State, after: &State) -> bool {
        let has_another = (after.owner, after.group) != (before.owner, before.group);
        after.mode & 0o1777 == before.mode & 0o1777 && has_another
    }

    pub(super) fn go_into(&mut self, seen: &Seen, lowers: Vec<Dir>, is_opaque: bool) -> Result {
        let Looked { inode, mount, .. } = seen.looked;
        self.push(Dir { fd: seen.fd, inode, mount, from: 0 }, lowers, is_opaque)
    }

    /// Something in the layers with the owner that it has inside.
    pub(super) fn inside(&self, state: State) -> State {
        let Some([top, upper]) = self.stands_for else { return state };
        let place = |id: Option<u32>, one: u32, other: u32| {
            id.map(|id| match id {
                id if id == one => other,
                id if id == other => one,
                id => id,
            })
        };
        State {
            owner: place(state.owner, top.0, upper.0),
            group: place(state.group, top.1, upper.1),
            ..state
        }
    }

    /// Whether two of one kind are the same, but for mode and owner.
    pub(super) fn is_same(
        &mut self,
        before: &State,
        after: &State,
        seen: &Seen,
        low: &Low,
        name: &Name,
    ) -> Result<bool> {
        match after.kind {
            Kind::Link => Ok(before.target == after.target),
            Kind::File => {
                if before.size != after.size {
                    return Ok(false);
                }
                if after.size == 0 {
                    return Ok(true);
                }
                if seen.fd < 0 {
                    return Ok(false);
                }
                let Some(below) = open_low(low, name)? else { return Ok(false) };
                let same = self.has_same_bytes(seen.fd, below, after.size);
                sys::close(below)?;
                same
            }
            Kind::Character | Kind::Block => {
                Ok(low.looked.is_some_and(|looked| looked.node == seen.looked.node))
            }
            Kind::Directory | Kind::Fifo | Kind::Socket => Ok(true),
        }
    }
}
