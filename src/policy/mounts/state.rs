//! Where states are on this machine, for this caller: a `state` is a bind of that directory from then
//! on.

use super::Mounts;
use super::kinds::{Further, Mount};
use crate::host::Host;
use crate::language::section::Entry;
use std::borrow::Cow;

/// The entries with the place of each state.
pub(super) fn settle<'m>(mounts: Cow<'m, Mounts>, host: &Host) -> Cow<'m, Mounts> {
    if !mounts.map.values().any(has_state) {
        return mounts;
    }
    let directory = host.caller.states();
    let mut mounts = mounts.into_owned();
    mounts.map.values_mut().for_each(|entry| place(entry, &directory));
    Cow::Owned(mounts)
}

/// Whether an entry, or one that it covers, is one.
fn has_state(entry: &Entry<Mount, Further>) -> bool {
    let is_state = matches!(entry.value.as_ref().map(|value| &value.value), Some(Mount::State(_)));
    is_state || entry.under.as_deref().is_some_and(has_state)
}

fn place(entry: &mut Entry<Mount, Further>, directory: &str) {
    if let Some(under) = &mut entry.under {
        place(under, directory);
    }
    if let Some(Mount::State(state)) = entry.value.as_mut().map(|value| &mut value.value) {
        state.lies_in(directory);
    }
}
