//! What a kept upper has where a question goes.

use super::Asked;
use crate::host::upper::What;
use crate::inspect::access::path::Walk;
use crate::inspect::access::query::{Act, Decision, Mechanism, Reason};
use crate::language::value::{ancestors, below};
use crate::text::problem::escape;
use crate::tree::{Ground, Top};

impl Asked<'_> {
    /// What a kept upper has where a walk went: the layers' answer is not that of the next run then.
    pub(super) fn in_upper(&self, act: Act, walk: &Walk) -> Option<Reason> {
        let last = walk.way.last()?;
        let end = [vec![last.path.trim_end_matches('/').to_owned()], walk.missing.clone()].concat();
        let end = end.join("/");
        let links = walk.links.iter().map(|(link, _)| link.as_str());
        links.chain([end.as_str()]).find_map(|path| {
            let (over, directory) = self.upper_over(path)?;
            let written = (self.host_fs.written)(directory, below(path, over)?)?;
            let at = format!("{}{}", over.trim_end_matches('/'), written.at);
            let is_link = path != end;
            let (says, why) = match written.what {
                What::Directory(_) if is_link => return None,
                // Of one above the last the layers have one, too.
                What::Directory(mode)
                    if below(&at, &last.path)?.is_empty() && mode == last.mode =>
                {
                    return None;
                }
                What::Directory(_) | What::Own | What::Link => (Decision::Unknown, "has its own"),
                What::Unseen => (Decision::Unknown, "may have its own"),
                // The layers do not have it either.
                What::Removed if below(&at, &last.path).is_some_and(|tail| !tail.is_empty()) => {
                    return None;
                }
                // What is removed can be made anew.
                What::Removed if act == Act::Write && !is_link => {
                    (Decision::Unknown, "has removed the layers'")
                }
                What::Removed => (Decision::Denies, "has removed the layers'"),
            };
            let at = escape(&at);
            let words =
                format!("at {at} the upper in {}, of earlier runs, {why}", escape(directory));
            Some(Reason::new(Mechanism::File, says, words, last.at))
        })
    }

    /// The entry with a kept upper that shows a path, and the directory of that.
    fn upper_over<'p>(&'p self, path: &'p str) -> Option<(&'p str, &'p str)> {
        for over in ancestors(path).chain(["/"]) {
            match self.world.tree.get(over).map(|entry| &entry.ground) {
                None | Some(Ground::Same) => {}
                Some(Ground::Host(stack)) => match stack.upper() {
                    Some(Top::Disk { directory, kept: true }) => return Some((over, directory)),
                    _ => return None,
                },
                Some(Ground::Own(_) | Ground::Kernel(_)) => return None,
            }
        }
        None
    }
}
