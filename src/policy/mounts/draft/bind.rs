//! What is bound: a tree or a file of the host, its owner mapped where root starts it.

use super::super::kinds::{Access, Bind, Broad, Follow, Missing, Mount, Socket};
use super::super::{checks, links, place, written};
use super::{PLAIN, What, World, bind_rights};
use crate::host::{Fact, File, FileKind};
use crate::kernel::attrs::Attrs;
use crate::kernel::idmap::MountMap;
use crate::kernel::name::Name;
use crate::language::value::{ancestors, parent};
use crate::step::{OutsideOp, Slot};
use crate::text::problem::Problem;
use crate::text::shell::shell_word;
use crate::text::source::Span;

impl World<'_> {
    pub(super) fn bind(&mut self, path: &str, bind: &Bind, at: Span) {
        let source = bind.source_at(path);
        let own_path = source == path;
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(libc::ENOENT) if bind.missing == Missing::Create => {
                return self.create(path, source, bind, at);
            }
            Fact::Absent(errno) => return self.absent(path, source, *errno, at),
        };
        if let FileKind::Link(text) = &file.kind {
            if let Some(writable) = links::lies_there(self.tree, self.host, path, source) {
                return self.keep_link(path, source, bind, writable, at);
            }
            let first_level = path.rfind('/') == Some(0);
            if own_path
                || (first_level
                    && self.tree.get("/").is_some_and(|root| root.mount.grant("/").is_some()))
            {
                return self.symlink(path, text, at);
            }
            let message = format!("cannot bind {source}: it is a symbolic link to {text}");
            let follow = Follow::Yes;
            let line = written::line(path, &Mount::Bind(Bind { follow, ..bind.clone() }));
            let problem = Problem::new("mounts::link", at, message);
            return self.draft.problem(match bind.missing {
                Missing::Create => problem.help("bind what it points at"),
                Missing::Error | Missing::Skip => problem.help(format!("follow it: {line}")),
            });
        }
        if let Some(refused) = checks::check(path, source, bind, &file, self.around()) {
            if !refused.is_broad() || self.refused != Some(at) {
                self.draft.problem(refused.problem(at));
            }
            return;
        }
        if file.kind == FileKind::Socket {
            let message = format!("cannot bind {source}: it is a socket");
            let line = written::line(path, &Mount::Socket(Socket::of(source)));
            let help = format!("write {line}");
            return self.draft.problem(Problem::new("mounts::socket", at, message).help(help));
        }
        let directory = file.kind == FileKind::Directory;
        let Some(site) = self.site(path, directory, at) else { return };
        let slot = self.open(source, &file, bind.recursive, self.bind_attrs(bind), at);
        if let Some(owned) = self.owned(path, source, &file, bind, at) {
            self.map_owner(slot, path, source, &owned, bind, at);
        }
        self.attach(slot, path, site.ground, bind_rights(bind, directory), at);
        self.note_git(source, at);
        if file.kind == FileKind::Regular && bind.access == Access::ReadWrite {
            let text = format!(
                "the target can write {path}, and not replace it: rename and unlink of a file that \
                 is granted by itself fail (EBUSY), as editors, `sed -i` and `mv` do them"
            );
            self.draft.note(at, text);
        }
    }

    /// A `.git` that is a file names git's directory, without which git finds no repository.
    fn note_git(&mut self, source: &str, at: Span) {
        let Some(directory) = self.host.git_directories.get(source) else { return };
        if place::shown_at(self.tree, self.host, directory).as_ref() != Some(directory) {
            let line = written::line(directory, &Mount::here(Access::ReadOnly));
            let why = format!("{source} says that it is {directory}; grant it: mounts.{line}");
            self.draft.note_less(at, "git's directory is not there inside", &why);
        }
    }

    pub(super) fn bind_attrs(&self, bind: &Bind) -> Attrs {
        PLAIN
            .and_if(bind.access == Access::ReadOnly, Attrs::READ_ONLY)
            .and_if(!bind.exec, Attrs::NO_EXEC)
    }

    pub(super) fn open(
        &mut self,
        source: &str,
        file: &File,
        recursive: bool,
        attrs: Attrs,
        at: Span,
    ) -> Slot {
        let place = file.real.as_ref().map_or(source, |(real, _)| real);
        let what = What::Tree { source: Name::new(place), inode: file.inode, recursive };
        self.opened(what, attrs, at)
    }

    /// The file with the owner whom the target stands for, if it does. Read-only, `owner` asks for
    /// the same as for writing: a part of a writable grant is then the target's, as the rest of it
    /// is. The directory's owner can give another's file that name, so a part with another owner
    /// than the writable bind around it stays that owner's.
    fn owned(
        &mut self,
        path: &str,
        source: &str,
        file: &File,
        bind: &Bind,
        at: Span,
    ) -> Option<File> {
        if bind.access == Access::ReadWrite {
            return Some(file.clone());
        }
        let around = ancestors(parent(path))
            .find_map(|over| self.host.present(self.tree.get(over)?.mount.grant(over)?.written?));
        match around {
            _ if !bind.owner_root || !self.ids.needs_idmap => None,
            None => Some(file.clone()),
            Some(around) if around.uid == file.uid => {
                Some(File { gid: around.gid, ..file.clone() })
            }
            Some(_) => {
                self.draft.note(
                    at,
                    format!(
                        "{source} has another owner than the writable bind around it, and is not \
                         made the target's"
                    ),
                );
                None
            }
        }
    }

    /// Started by root, a writable bind is mapped for one pair of ids: its owner on disk, and the
    /// target.
    pub(super) fn map_owner(
        &mut self,
        slot: Slot,
        path: &str,
        source: &str,
        file: &File,
        bind: &Bind,
        at: Span,
    ) {
        if !self.ids.needs_idmap {
            return;
        }
        if file.uid == 0 && !bind.owner_root {
            let (belongs, give) = match self.made_on_host.contains_key(source) {
                true => ("would belong", "install -d -o USER"),
                false => ("belongs", "chown USER"),
            };
            let message =
                format!("cannot grant {source} for writing: it {belongs} to the host's root");
            let said = written::line(path, &Mount::Bind(Bind { owner_root: true, ..bind.clone() }));
            // `owner` on a whole system would show the target what root alone may read.
            let help = match bind.broad == Broad::Allow
                || checks::why_broad(source, self.host).is_some()
            {
                true => "bind a directory below it".to_owned(),
                false => format!(
                    "give it to the user who is to own it: {give} {}; or say so: {said}",
                    shell_word(source)
                ),
            };
            return self.draft.problem(Problem::new("mounts::owner", at, message).help(help));
        }
        if let Some(name) = file_system_without_idmap(file.fs, self.host.kernel) {
            let (major, minor) = self.host.kernel;
            let message = format!(
                "cannot map the owner of {source}: {name} has no idmapped mounts on Linux \
                 {major}.{minor}"
            );
            // The owner of a state is the host's root, whom no target may be.
            let is_state = self.current.is_some_and(|mount| mount.kind().form() == "state");
            let help = match is_state {
                true => "set identity.host = true",
                false => {
                    "set identity.host = true, or give uid-map and gid-map the owner's ids, or \
                     access = \"ro\""
                }
            };
            return self.draft.problem(Problem::new("mounts::idmap", at, message).help(help));
        }
        let disk = (file.uid, file.gid);
        if let Some(opened) = self.of_slot(slot) {
            opened.owner = Some((disk, Name::new(source)));
        }
        let ids = (self.ids.host_user, self.ids.host_group);
        let map = MountMap::pair(disk, ids);
        let op = OutsideOp::IdMapMount { slot, source: Name::new(source), map };
        self.draft.outside(op, at);
    }
}

/// File systems of the kernel's own files, by linux/magic.h.
pub(super) fn kernels_own(magic: i64) -> Option<&'static str> {
    match magic {
        0x9fa0 => Some("proc"),
        0x6265_6572 => Some("sysfs"),
        0x1cd1 => Some("devpts"),
        0x0027_e0eb => Some("cgroup"),
        0x6367_7270 => Some("cgroup2"),
        0x6462_6720 => Some("debugfs"),
        0x7472_6163 => Some("tracefs"),
        0x7363_6673 => Some("securityfs"),
        0xcafe_4a11 => Some("bpf"),
        0x1980_0202 => Some("mqueue"),
        _ => None,
    }
}

/// File systems that cannot be idmapped on a kernel (measured on 6.1, 6.12, 6.18 and 7.3; the
/// network ones by the kernel's source).
pub(super) fn file_system_without_idmap(magic: i64, kernel: (u32, u32)) -> Option<&'static str> {
    match magic {
        0x794c_7630 if kernel < (7, 0) => Some("overlayfs"),
        0x0102_1994 if kernel < (6, 3) => Some("tmpfs"),
        0x6969 => Some("nfs"),
        0x0102_1997 => Some("9p"),
        0xff53_4d42 | 0xfe53_4d42 => Some("cifs"),
        0x6573_5546 if kernel < (6, 12) => Some("fuse"),
        0x8584_58f6 => Some("ramfs"),
        _ => None,
    }
}
