//! Grants of `[landlock].paths` in the host's tree, where no mount covers them: as broad as
//! those of `[mounts]` may be.

use super::{Landlock, Paths};
use crate::host::Host;
use crate::kernel::rights::Rights;
use crate::policy::mounts::Mounts;
use crate::policy::mounts::checks::{holds_profile, why_broad};
use crate::policy::mounts::kinds::{Access, Bind, Broad, Mount};
use crate::policy::mounts::written::line;
use crate::step::draft::Draft;
use crate::text::problem::Problem;

/// Refuses a right to change what the host runs or reads later, unless an entry of `[mounts]` says
/// `broad = true` for the path.
pub(crate) fn refuse(landlock: &Landlock, mounts: &Mounts, host: &Host, draft: &mut Draft) {
    let Some(Paths::Table(table)) = landlock.paths.get().map(|paths| &paths.value) else { return };
    let meant = |path: &str| {
        matches!(
            mounts.get(path).map(|mount| &mount.value),
            Some(Mount::Bind(Bind { broad: Broad::Allow, .. }))
        )
    };
    for (path, rights) in table.iter().filter(|(path, _)| !meant(path)) {
        let place =
            host.ruled.get(&path.0).and_then(|place| place.as_ref().ok()).unwrap_or(&path.0);
        let changes = rights.0.within(Rights::WRITE.and(Rights::CHANGE)) != Rights(0);
        let why = || why_broad(place, host).or_else(|| holds_profile(place, host, false));
        if let Some(why) = changes.then(why).flatten() {
            let message = format!("cannot grant {path} for writing: {why}");
            let said = Bind { broad: Broad::Allow, ..Bind::new(None, Access::ReadWrite) };
            let help = format!(
                "name a directory below it; if it is meant, [mounts] says so: {}",
                line(&path.0, &Mount::Bind(said))
            );
            draft.problem(
                Problem::new("mounts::broad", rights.at, message).label("too broad").help(help),
            );
        }
    }
}
