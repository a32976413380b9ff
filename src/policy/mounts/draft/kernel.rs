//! File systems of the kernel's: memory, processes, devices; and sockets, which are attached as
//! devices are.

use super::super::kinds::{Bind, LINKS, Mount, NODES, New, Part, Proc, Tmpfs};
use super::super::tree::{Base, Node, base};
use super::super::written;
use super::{DEVICE_RIGHTS, INERT, What, World};
use crate::host::{Fact, File, FileKind};
use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::language::value::{AbsolutePath, Mode, Room, below};
use crate::step::{Cover, FileSystem, Ground, Kernel, TreeOp};
use crate::text::gather::Gather;
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::collections::BTreeSet;

impl World<'_> {
    /// A file system of the kernel's, of which some names are kept.
    pub(super) fn file_system(&mut self, path: &str, new: New, at: Span) {
        let New { fs, attrs, rights, parts } = new;
        let Some(site) = self.site(path, true, at) else { return };
        // In a tree of the host's it lies on a directory that is there.
        self.made.insert(path.to_owned());
        let name = Name::new(path);
        if rights.holds(Rights::EXECUTE) {
            self.out.executable.push((name.clone(), at));
        }
        if fs.shows_processes() {
            self.out.proc.get_or_insert(at);
        }
        let rights = rights.within(self.ruled);
        self.step(TreeOp::Mount { fs, path: name, attrs, ground: site.ground, rights }, at);
        // A file that only the host's root can use needs no cover if the target is another user.
        let roots = self.ids.is_host_root();
        for Part { name, cover, .. } in parts.iter().filter(|part| roots || !part.of_root) {
            let path = Name::new(&format!("{path}/{name}"));
            let op = match *cover {
                None => TreeOp::ReadOnly { path, ground: site.ground, if_present: true },
                Some(cover) => TreeOp::Hide { path, cover, if_present: true },
            };
            self.step(op, at);
        }
    }

    /// Where the target makes mount namespaces, it may mount a new and whole proc as long as one
    /// that it sees is covered nowhere, of which `subset` says nothing (mount_too_revealing of
    /// fs/namespace.c). No process inside may read the arguments of pid 1.
    pub(super) fn cover_processes(&mut self) {
        let of_processes =
            |node: &Node| matches!(node.mount, Mount::Proc(Proc { only_processes: true, .. }));
        let procs: Vec<(String, Span)> = self
            .tree
            .iter()
            .filter(|(_, node)| of_processes(node))
            .map(|(path, node)| (path.clone(), node.at))
            .collect();
        for (path, at) in procs {
            self.step(
                TreeOp::Hide {
                    path: Name::new(&format!("{path}/1/auxv")),
                    cover: Cover::File,
                    if_present: false,
                },
                at,
            );
        }
    }

    pub(super) fn dev(&mut self, path: &str, extra: &[AbsolutePath], at: Span) {
        let Some(site) = self.site(path, true, at) else { return };
        let rights = DEVICE_RIGHTS.within(self.ruled);
        let attrs = Attrs::NO_SUID.and(Attrs::NO_EXEC);
        let sealed_root = base(self.tree, self.host, path) == Base::Own { writable: false };
        if sealed_root {
            // A directory of the root, and sealed with it.
            self.allow(path, rights, at);
        } else {
            self.step(
                TreeOp::Mount {
                    fs: FileSystem::Tmpfs {
                        size: Room::Bytes(1 << 20),
                        inodes: 4096,
                        mode: Mode(0o755),
                    },
                    path: Name::new(path),
                    attrs,
                    ground: site.ground,
                    rights,
                },
                at,
            );
        }
        for name in NODES {
            self.attach_node(&format!("{path}/{name}"), &format!("/dev/{name}"), None, at);
        }
        self.console(path, at);
        for source in extra.iter().map(|path| path.0.as_str()).gather::<BTreeSet<&str>>() {
            match below(source, "/dev").filter(|tail| !tail.is_empty()) {
                Some(tail)
                    if NODES.contains(&&tail[1..])
                        || self.tree.contains_key(&format!("{path}{tail}")) => {}
                Some(tail) => self.device(&format!("{path}{tail}"), source, at),
                None => self.draft.problem(
                    Problem::new(
                        "mounts::dev",
                        at,
                        format!("cannot show {source} in {path}: it is not below /dev"),
                    )
                    .help("give it an entry of its own, of the kind `device`"),
                ),
            }
        }
        for (name, target) in LINKS {
            let link = format!("{path}/{name}");
            if !self.tree.contains_key(&link) {
                self.step(
                    TreeOp::Symlink { path: Name::new(&link), target: Name::new(target) },
                    at,
                );
            }
        }
        let pts = format!("{path}/pts");
        if !self.tree.contains_key(&pts) {
            self.make_directory(&pts, Mode(0o755), at);
            let op = TreeOp::of_the_kernel(Kernel::Devpts, &pts, Ground::Own, Rights(0));
            self.step(op, at);
        }
        let shm = format!("{path}/shm");
        if !self.tree.contains_key(&shm) {
            self.make_directory(&shm, Mode(0o755), at);
            let Tmpfs { size, inodes, .. } = Tmpfs::PLAIN;
            let op = TreeOp::Mount {
                fs: FileSystem::Tmpfs { size, inodes, mode: Mode(0o1777) },
                path: Name::new(&shm),
                attrs: INERT,
                ground: Ground::Own,
                rights: Tmpfs::RIGHTS.within(self.ruled),
            };
            self.step(op, at);
        }
        if !sealed_root {
            self.seals.push((path.into(), attrs.and(Attrs::READ_ONLY), at));
        }
    }

    /// The terminal that the target keeps has a name inside, which ttyname(3) finds: without it
    /// `tty` and gpg's pinentry know of none. It opens nothing that the target has not.
    fn console(&mut self, path: &str, at: Span) {
        if let Some((name, file)) = &self.host.terminal {
            self.attach_node(&format!("{path}/console"), name, Some(file), at);
        }
    }

    pub(super) fn attach_node(&mut self, path: &str, source: &str, file: Option<&File>, at: Span) {
        if self.tree.contains_key(path) {
            return;
        }
        self.step(TreeOp::MountPoint { path: Name::new(path) }, at);
        // A device on a read-only mount can be written to; what it keeps out is a change of the
        // node's mode, by its owner alone.
        let attrs = if self.ids.is_host_root() || file.is_some() {
            Attrs::NO_SUID.and(Attrs::NO_EXEC).and(Attrs::READ_ONLY)
        } else {
            Attrs(0)
        };
        let inode = file.map_or(Inode { dev: 0, ino: 0 }, |file| file.inode);
        let what = What::Tree { source: Name::new(source), inode, recursive: false };
        let slot = self.opened(what, attrs, at);
        // The rule of /dev covers its nodes.
        self.attach(slot, path, Ground::Own, Rights(0), at);
    }

    pub(super) fn device(&mut self, path: &str, source: &str, at: Span) {
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(errno) => return self.absent(path, source, *errno, at),
        };
        if let Some(problem) = refuse_device(path, source, &file, at) {
            return self.draft.problem(problem);
        }
        let directory = file.kind == FileKind::Directory;
        let Some(site) = self.site(path, directory, at) else { return };
        let attrs = Attrs::NO_SUID.and(Attrs::NO_EXEC).and(Attrs::READ_ONLY);
        let slot = self.open(source, &file, directory, attrs, at);
        let rights = DEVICE_RIGHTS;
        let rights = if directory { rights } else { rights.within(Rights::OF_FILES) };
        self.attach(slot, path, site.ground, rights, at);
    }

    pub(super) fn socket(&mut self, path: &str, source: &str, at: Span) {
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(errno) => return self.absent(path, source, *errno, at),
        };
        if let Some(problem) = refuse_socket(source, &file, at) {
            return self.draft.problem(problem);
        }
        let Some(site) = self.site(path, false, at) else { return };
        let slot = self.open(source, &file, false, INERT.and(Attrs::READ_ONLY), at);
        let rights = Rights::READ.and(Rights::WRITE).and(Rights::CONNECT).within(Rights::OF_FILES);
        self.attach(slot, path, site.ground, rights, at);
    }
}

/// A file that is no device is not granted as one: such a grant includes writing.
pub(crate) fn refuse_device(path: &str, source: &str, file: &File, at: Span) -> Option<Problem> {
    let directory = file.kind == FileKind::Directory;
    if !directory && file.kind != FileKind::Device {
        let message = format!("cannot grant {source} as a device: it is {}", file.kind.word());
        let line = written::line(path, &Mount::Bind(Bind::of(source)));
        let help = format!("to bind it, write {line}");
        return Some(Problem::new("mounts::device", at, message).help(help));
    }
    // The place counts, not the name that leads there.
    let place = file.real.as_ref().map_or(source, |(real, _)| real);
    let whole = directory
        && [source, place].into_iter().any(|path| below(path, "/dev").is_none_or(str::is_empty));
    whole.then(|| {
        let message = format!(
            "cannot grant all of {source} as devices: only directories below /dev are granted whole"
        );
        Problem::new("mounts::device", at, message)
            .help("name the nodes, or a directory below /dev such as /dev/dri")
    })
}

/// A file that is no socket is not granted as one.
pub(crate) fn refuse_socket(source: &str, file: &File, at: Span) -> Option<Problem> {
    let message = format!("cannot grant {source} as a socket: it is {}", file.kind.word());
    (file.kind != FileKind::Socket).then(|| Problem::new("mounts::socket", at, message))
}
