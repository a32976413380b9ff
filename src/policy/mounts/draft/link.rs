//! A symbolic link in a bound tree that an entry keeps: it is held where the target could replace
//! it, and what it leads to has an entry of its own ([`super::super::links`]). What cannot be kept
//! is refused here.

use super::super::kinds::{Access, Bind, Missing};
use super::super::links::{Left, left, loose_end, writable_at};
use super::super::tree::above;
use super::World;
use super::kept::Kept;
use crate::host::{Fact, File, FileKind};
use crate::kernel::name::Name;
use crate::step::TreeOp;
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;

impl World<'_> {
    /// An entry whose path is a link of the tree around it.
    pub(super) fn keep_link(
        &mut self,
        path: &str,
        source: &str,
        bind: &Bind,
        writable: bool,
        at: Span,
    ) {
        let text = match self.host.at(source) {
            Fact::Present(File { kind: FileKind::Link(text), real: None, .. }) => text.clone(),
            // A directory on the way is a link, too, and is refused as for every other entry.
            _ => {
                self.site_in_host(path, source, writable, false, at);
                return;
            }
        };
        if bind.access == Access::ReadOnly
            && let Some(problem) = self.cannot_keep(path, source, bind, at)
        {
            return self.draft.problem(problem);
        }
        // A writable entry grants the link as the tree around it does.
        if writable && bind.access == Access::ReadOnly {
            self.hold_link(path, &text, at);
        }
    }

    pub(super) fn hold_link(&mut self, path: &str, text: &str, at: Span) {
        let over = above(self.tree, path).map_or("/", |(over, _)| over).to_owned();
        self.pin_above(path, &over, at);
        self.undone(path, &over, at);
        self.step(TreeOp::HoldLink { path: Name::new(path), text: Name::new(text) }, at);
    }

    /// Remembers what a target that makes mount namespaces undoes.
    fn undone(&mut self, path: &str, over: &str, at: Span) {
        let over_at = self.tree.get(over).map_or(Span::NOWHERE, |node| node.at);
        self.kept.push(Kept { path: path.to_owned(), at, over: over.to_owned(), over_at });
    }

    /// Pins what kept links leave by `..`, once every mount is there.
    pub(super) fn pin_left(&mut self) {
        for Left { inside, over, at, path } in left(self.tree, self.host) {
            if self.pinned.contains_key(&inside) {
                continue;
            }
            self.pin(&inside, &over, at);
            self.undone(&inside, &over, at);
            self.draft.note(
                at,
                format!(
                    "{path} is a symbolic link, and leads through {inside}, which can be neither \
                     renamed nor removed"
                ),
            );
        }
    }

    /// Why what a link leads to cannot be kept, if it cannot.
    fn cannot_keep(&self, path: &str, source: &str, bind: &Bind, at: Span) -> Option<Problem> {
        // A link that another one leads through is judged with that one.
        let trail = self.host.trails.get(source)?;
        let to = &trail.end;
        let refuse = |why: String, help: String| {
            Some(
                Problem::new(
                    "mounts::link",
                    at,
                    format!("cannot keep {path} read-only: it is a symbolic link to {to}, {why}"),
                )
                .help(help),
            )
        };
        if let Some(errno) = trail.errno.filter(|errno| {
            ![libc::ENOENT, libc::ENOTDIR, libc::EACCES, libc::ELOOP].contains(errno)
        }) {
            return refuse(
                format!("which cannot be looked at: {}", errno_words(errno)),
                "make it reachable, or remove the link on the host".into(),
            );
        }
        if bind.missing != Missing::Skip && loose_end(self.tree, self.host, trail).is_some() {
            return refuse(
                "which is not there, and which the target could make".into(),
                "make it on the host, or remove the link there".into(),
            );
        }
        // A link on the way with a writable entry of its own is held by nothing.
        let granted = |over: &str| self.tree.get(over).map_or(Span::NOWHERE, |node| node.at);
        let granted_on =
            |place| writable_at(self.tree, self.host, place).find(|(inside, over)| inside == over);
        if let Some((_, over)) = trail.links.iter().skip(1).find_map(|link| granted_on(&link.place))
        {
            let why = format!("by way of {over}, which is granted for writing");
            return refuse(why, "remove that entry, or this one".into())
                .map(|problem| problem.also(granted(over), "granted here"));
        }
        let (inside, over) =
            writable_at(self.tree, self.host, to).next().filter(|_| trail.errno.is_none())?;
        let what = if inside == over {
            format!("which {over} grants for writing")
        } else {
            format!("and {inside} would stay writable")
        };
        refuse(what, "have the link lead elsewhere, or remove it on the host".into())
            .map(|problem| problem.also(granted(over), "granted here"))
    }
}
