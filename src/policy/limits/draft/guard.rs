//! What keeps the target from the files of its own groups.

use crate::host::Host;
use crate::host::groups::Groups;
use crate::language::value::below;
use crate::policy::mounts::checks::why_broad;
use crate::policy::mounts::kinds::{Access, Bind, Broad, Grant, Mount};
use crate::policy::mounts::tree::Tree;
use crate::policy::mounts::{Mounts, written};
use crate::step::draft::Draft;
use crate::text::problem::Problem;

/// A target that can write to the hierarchy could raise its limits, or leave its group.
pub(super) fn guard_groups<'a>(
    mounts: &Mounts,
    tree: &Tree,
    groups: &Groups,
    used: impl Iterator<Item = &'a usize>,
    host: &Host,
    draft: &mut Draft,
) {
    // However often a hierarchy is mounted, and whatever part of it.
    let used = used.map(|index| &groups.hierarchies[*index].mount);
    let points: Vec<&String> = groups.points.iter().chain(used).collect();
    // An entry that is left out, as too broad, grants nothing; one that is refused as too broad is
    // reported once.
    for (path, mount) in mounts.iter().filter(|(path, _)| tree.contains_key(path.value)) {
        let Some(Grant { written: Some(source), words: bind, .. }) = mount.value.grant(path.value)
        else {
            continue;
        };
        let over = points
            .iter()
            .find(|point| below(source, point).is_some() || below(point, source).is_some());
        let refused = bind.broad != Broad::Allow && why_broad(source, host).is_some();
        if let (Some(point), false) = (over, refused) {
            let message = format!(
                "cannot grant {source} for writing: the control groups of {point} are in it, and \
                 the target could leave its own"
            );
            draft.problem(
                Problem::new("limits::mount", mount.at, message)
                    .help(read_only(path.value, source, bind)),
            );
        }
    }
}

/// What can be granted of the hierarchy: the kernel's own tree has a kind of its own.
fn read_only(path: &str, source: &str, bind: &Bind) -> String {
    if below(source, "/sys").is_some() {
        return "leave it out: the launcher sets the limits, and the target needs no group".into();
    }
    // Without the words for writing: `owner` would show the target what root alone may read.
    let bind =
        Bind { access: Access::ReadOnly, broad: Broad::Refuse, owner_root: false, ..bind.clone() };
    format!("grant it read-only: {}", written::line(path, &Mount::Bind(bind)))
}
