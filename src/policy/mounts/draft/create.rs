//! `missing = "create"`: a directory of the host that is made before it is bound, with all above it
//! that are absent.

use super::super::checks;
use super::super::kinds::{Access, Bind, Missing};
use super::super::tree::{Tree, real};
use super::{What, World, bind_rights};
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::name::Name;
use crate::language::value::{ancestors, below, join, parent};
use crate::step::{Slot, Stage, TreeOp};
use crate::text::gather::Gather;
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use std::collections::BTreeSet;

/// Every directory that entries have made on the host, in its place without links: what lies in
/// one of these trees inside is there by the time that something is mounted on it.
pub(super) fn to_make(tree: &Tree, host: &Host) -> BTreeSet<String> {
    let grants = tree.iter().filter_map(|(path, node)| node.mount.grant(path));
    grants
        .filter(|grant| grant.words.missing == Missing::Create)
        .filter(|grant| matches!(host.at(grant.topmost), Fact::Absent(libc::ENOENT)))
        .flat_map(|grant| {
            let (there, tail) = nearest(grant.topmost, host);
            levels(real(host, there), tail).collect::<Vec<_>>()
        })
        .gather()
}

/// Of the directories above a path, the nearest of which something is known, and the rest of the
/// path.
pub(super) fn nearest<'p>(path: &'p str, host: &Host) -> (&'p str, &'p str) {
    let is_absent = |above: &&str| matches!(host.at(above), Fact::Absent(libc::ENOENT));
    let there = ancestors(parent(path)).find(|above| !is_absent(above)).unwrap_or("/");
    (there, below(path, there).unwrap_or_default())
}

/// The paths of all the names of `tail` below a directory, from the top.
fn levels<'a>(there: &'a str, tail: &'a str) -> impl Iterator<Item = String> + 'a {
    let ends = tail.match_indices('/').map(|(at, _)| at).skip(1).chain([tail.len()]);
    ends.map(move |end| join(there, &tail[..end]))
}

impl World<'_> {
    pub(super) fn create(&mut self, path: &str, source: &str, bind: &Bind, at: Span) {
        let (there, tail) = nearest(source, self.host);
        let refuse = |why: String| {
            Problem::new("mounts::create", at, format!("cannot make {source}: {there}{why}"))
        };
        let file = match self.host.at(there) {
            Fact::Present(file) if file.kind == FileKind::Directory => file.clone(),
            Fact::Present(file) => {
                let problem = refuse(format!(" is {}", file.kind.word()));
                return self.draft.problem(problem.help("name the real place"));
            }
            Fact::Absent(errno) => {
                let problem = refuse(format!(": {}", errno_words(*errno)));
                let help = format!("make it first: mkdir -p {}", shell_word(parent(source)));
                return self.draft.problem(problem.help(help));
            }
        };
        // The new directory lies where the links on the way lead, and is as broad as any other
        // there; it holds no sockets yet.
        let real = file.real.as_ref().map(|(directory, roots)| (join(directory, tail), *roots));
        let made = File { real, sockets: vec![], ..file.clone() };
        if let Some(refused) = checks::check(path, source, bind, &made, self.around()) {
            return self.draft.problem(refused.problem(at));
        }
        if let Some(errno) = self.host.unwritable.get(there) {
            let problem = refuse(format!(": {}", errno_words(*errno)));
            let help = "make it first, as a user who may write there, and give it to this user";
            return self.draft.problem(problem.help(help));
        }
        let Some(site) = self.site(path, true, at) else { return };
        let Some(directory) = self.make_on_host(&file, there, tail, at) else { return };
        let source = made.real.as_ref().map_or(source, |(real, _)| real);
        let what = What::Made { path: Name::new(source), made: directory };
        let slot = self.opened(what, self.bind_attrs(bind), at);
        if bind.access == Access::ReadWrite {
            self.map_owner(slot, path, source, &self.as_made(&file), bind, at);
        }
        self.attach(slot, path, site.ground, bind_rights(bind, true), at);
    }

    /// The facts of a directory that is made in this one (mkdir(2)).
    fn as_made(&self, above: &File) -> File {
        const SET_GROUP: u32 = 0o2000;
        let by_root = self.host.caller.uid == 0 && above.uid == 0;
        let gid = if by_root && above.mode & SET_GROUP == 0 { 0 } else { above.gid };
        File { gid, ..above.clone() }
    }

    /// Makes each directory of `tail` that no step makes yet; the descriptor of the last.
    fn make_on_host(&mut self, file: &File, there: &str, tail: &str, at: Span) -> Option<Slot> {
        let there = file.real.as_ref().map_or(there, |(real, _)| real);
        // Root makes nothing in somebody's directory that its owner could not make.
        let owner = (self.host.caller.uid == 0 && file.uid != 0).then_some((file.uid, file.gid));
        let by_root = self.host.caller.uid == 0;
        let mut above = None;
        for path in levels(there, tail) {
            if let Some(made) = self.made_on_host.get(&path) {
                above = Some(*made);
                continue;
            }
            let is_on_the_way = self
                .to_make
                .iter()
                .any(|other| below(other, &path).is_some_and(|tail| !tail.is_empty()));
            let slot = self.draft.slot();
            let op = TreeOp::HostDirectory {
                slot,
                path: Name::new(&path),
                parent: Name::new(parent(&path)),
                made: above,
                name: Name::new(path.rsplit('/').next().unwrap_or_default()),
                inode: file.inode,
                owner,
                masked: !(by_root && is_on_the_way),
            };
            self.draft.step(Stage::Sources, op, at);
            self.made_on_host.insert(path, slot);
            above = Some(slot);
        }
        above
    }
}
