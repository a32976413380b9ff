//! From entries and facts to steps: what is opened, where it is attached, what pins it, and what Landlock allows there.

use super::entry::{Access, Bind, Content as EntryContent, Hidden, HidePid, Missing, Mount, TMPFS, Tmpfs};
use super::tree::{Base, Covered, NOT_WITH_ROOT, Node, Tree, above, base, covered, root_is_writable, root_tmpfs, settle};
use super::{Mounts, checks, dev, place, spelled};
use crate::draft::Draft;
use crate::host::{Fact, File, FileKind, Host};
use crate::policy::identity::Ids;
use crate::policy::landlock::Rights;
use crate::problem::{Problem, errno_words};
use crate::source::Span;
use crate::step::{Attrs, Content, Cover, Ground, Inode, Name, Op, Slot, Stage};
use crate::value::{Mode, Size, ancestors, below, join, literal, parent};
use std::collections::BTreeSet;

/// What a file system in memory allows, but for running programs.
const TMPFS_RIGHTS: Rights = Rights::READ.and(Rights::WRITE).and(Rights::CHANGE).and(Rights::CONNECT);

/// What is granted of devices.
pub const DEVICE_RIGHTS: Rights = Rights::READ.and(Rights::WRITE).and(Rights::IOCTL);

/// What every mount has: set-id bits mean nothing, device nodes cannot be opened.
const PLAIN: Attrs = Attrs::NO_SUID.and(Attrs::NO_DEV);
/// What file systems without programs have.
const INERT: Attrs = PLAIN.and(Attrs::NO_EXEC);
const SEALED: Attrs = PLAIN.and(Attrs::READ_ONLY);

/// Drafts the file tree: the profile's entries, and those that its programs imply where no entry is.
pub fn draft(mounts: &Mounts, implied: Tree, host: &Host, ids: &Ids, draft: &mut Draft) {
    let (mut all, left_out) = settle(mounts, host);
    draft.notes.extend(left_out);
    for (path, node) in implied {
        all.entry(path).or_insert(node);
    }
    let root = all.get("/").cloned();
    let mut world = World { host, ids, draft, tree: all, made: BTreeSet::new(), pinned: BTreeSet::new(), seals: vec![], current: None };
    world.check_root(root.as_ref());
    world.root(root.as_ref().map_or(Span::NOWHERE, |node| node.at));
    for (path, node) in world.tree.clone() {
        if path != "/" {
            world.current = Some(node.mount.clone());
            world.entry(&path, &node);
        }
    }
    world.databases();
    for (path, attrs, at) in std::mem::take(&mut world.seals) {
        let op = if path == "/" { Op::SealRoot } else { Op::Seal { path: Name::new(&path), attrs } };
        world.draft.step(Stage::World, op, at);
    }
}

struct World<'a> {
    host: &'a Host,
    ids: &'a Ids,
    draft: &'a mut Draft,
    tree: Tree,
    made: BTreeSet<String>,
    pinned: BTreeSet<String>,
    seals: Vec<(String, Attrs, Span)>,
    /// The entry that is drafted.
    current: Option<Mount>,
}

/// A place to mount on.
struct Site {
    ground: Ground,
}

impl World<'_> {
    fn step(&mut self, op: Op, at: Span) {
        self.draft.step(Stage::World, op, at);
    }

    fn allow(&mut self, path: &str, rights: Rights, at: Span) {
        self.draft.step(Stage::Rules, Op::LandlockRule { path: Name::new(path), rights, inode: Inode::default() }, at);
    }

    // ---- the root ----

    fn check_root(&mut self, root: Option<&Node>) {
        let Some(Node { mount, at }) = root else { return };
        match mount {
            Mount::Tmpfs(_) => {}
            Mount::Bind(bind) => {
                let source = bind.source.as_ref().map_or("/", |source| source);
                match self.host.at(source) {
                    Fact::Present(file) if file.kind == FileKind::Folder => {
                        if let Some(problem) = (source != "/" || bind.access == Access::ReadWrite)
                            .then(|| checks::check("/", source, bind, file, self.host, *at))
                            .flatten()
                        {
                            self.draft.problem(problem);
                        }
                    }
                    Fact::Present(file) => {
                        let message = format!("cannot take {source} as the root: it is {}", file.kind.word());
                        self.draft.problem(Problem::new("mounts::root", *at, message));
                    }
                    Fact::Absent(errno) => {
                        let message = format!("cannot take {source} as the root: {}", errno_words(*errno));
                        self.draft.problem(Problem::new("mounts::source", *at, message));
                    }
                }
                if source == "/" {
                    let named: Vec<String> = NOT_WITH_ROOT.iter().map(|name| format!("/{name}")).collect();
                    self.draft.note(*at, format!("{} of the host are not bound with /; name those that are wanted", named.join(", ")));
                }
            }
            _ => self.draft.problem(
                Problem::new("mounts::root", *at, "cannot take this as the root: it can be a tmpfs or a bind")
                    .help("write \"/\" = \"tmpfs\", \"/\" = \"ro\" or \"/\" = { bind = \"/srv/rootfs\" }"),
            ),
        }
    }

    fn root(&mut self, at: Span) {
        let Tmpfs { size, inodes, exec, .. } = root_tmpfs(&self.tree);
        let writable = root_is_writable(&self.tree);
        let attrs = PLAIN.and_if(writable && !exec, Attrs::NO_EXEC);
        // A sealed root holds what stockade puts there and no more.
        self.step(Op::Root { limits: writable.then_some((size, inodes)), attrs }, at);
        if writable {
            self.allow("/", Rights::READ.and(Rights::WRITE).and(Rights::CHANGE).and_if(exec, Rights::EXECUTE), at);
        } else {
            // Names alone: a right on `/` is inherited by all below it.
            self.allow("/", Rights::LIST, at);
            self.seals.push(("/".into(), SEALED, at));
        }
    }

    // ---- entries ----

    fn entry(&mut self, path: &str, node: &Node) {
        let at = node.at;
        match &node.mount {
            Mount::Bind(bind) => self.bind(path, bind, at),
            Mount::Tmpfs(tmpfs) => self.tmpfs(path, tmpfs, at),
            Mount::Proc { hidepid, only_processes } => self.proc(path, *hidepid, *only_processes, at),
            Mount::Dev { extra } => self.dev(path, extra.iter().map(|path| path.0.as_str()), at),
            Mount::Device { source } => self.device(path, source.as_ref().map_or(path, |source| source), at),
            Mount::Socket(source) => self.socket(path, source, at),
            Mount::Sysfs => {
                let Some(site) = self.site(path, true, at) else { return };
                self.step(Op::Sysfs { path: Name::new(path), ground: site.ground }, at);
                self.allow(path, Rights::READ, at);
            }
            Mount::Mqueue => {
                let Some(site) = self.site(path, true, at) else { return };
                self.step(Op::Mqueue { path: Name::new(path), ground: site.ground }, at);
                self.allow(path, Rights::READ.and(Rights::WRITE).and(Rights::CHANGE), at);
            }
            Mount::Dir { mode } => self.dir(path, mode.unwrap_or(Mode(0o755)), at),
            Mount::Symlink(target) => self.symlink(path, target, at),
            Mount::File { content, mode } => self.file(path, content, *mode, at),
            Mount::Hide { missing, known } => self.hide(path, *missing, *known, at),
        }
    }

    fn bind(&mut self, path: &str, bind: &Bind, at: Span) {
        let own_path = bind.source.as_ref().is_none_or(|source| **source == *path);
        let source = bind.source.as_ref().map_or(path, |source| source);
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(libc::ENOENT) if bind.missing == Missing::Create => return self.create(path, source, bind, at),
            Fact::Absent(errno) => return self.absent(path, source, *errno, at),
        };
        if let FileKind::Link(text) = &file.kind {
            let first_level = path.rfind('/') == Some(0);
            if own_path || (first_level && self.tree.get("/").is_some_and(|root| matches!(root.mount, Mount::Bind(_)))) {
                return self.symlink(path, text, at);
            }
            let message = format!("cannot bind {source}: it is a symbolic link to {text}");
            return self.draft.problem(Problem::new("mounts::link", at, message).help("bind what it points at"));
        }
        if let Some(problem) = checks::check(path, source, bind, &file, self.host, at) {
            return self.draft.problem(problem);
        }
        if file.kind == FileKind::Socket {
            let message = format!("cannot bind {source}: it is a socket");
            let help = format!("write \"{path}\" = {{ socket = \"{source}\" }}");
            return self.draft.problem(Problem::new("mounts::socket", at, message).help(help));
        }
        let folder = file.kind == FileKind::Folder;
        let Some(site) = self.site(path, folder, at) else { return };
        let slot = self.open(source, &file, bind.recursive, self.bind_attrs(bind), at);
        // Read-only, `owner` asks for the same: a part of a writable grant is then the target's, as the rest of it is.
        if bind.access == Access::ReadWrite || bind.owner_root {
            self.map_owner(slot, path, source, &file, bind, at);
        }
        self.step(Op::Attach { slot, path: Name::new(path), ground: site.ground, rights: bind_rights(bind, folder) }, at);
    }

    fn bind_attrs(&self, bind: &Bind) -> Attrs {
        PLAIN.and_if(bind.access == Access::ReadOnly, Attrs::READ_ONLY).and_if(!bind.exec, Attrs::NO_EXEC)
    }

    fn create(&mut self, path: &str, source: &str, bind: &Bind, at: Span) {
        let file = match self.host.at(parent(source)) {
            Fact::Present(file) if file.kind == FileKind::Folder => file.clone(),
            Fact::Present(file) => {
                let message = format!("cannot make {source}: {} is {}", parent(source), file.kind.word());
                return self.draft.problem(Problem::new("mounts::create", at, message).help("name the real place"));
            }
            Fact::Absent(errno) => {
                let message = format!("cannot make {source}: {}: {}", parent(source), errno_words(*errno));
                return self.draft.problem(Problem::new("mounts::create", at, message).help(format!("make it first: mkdir -p {}", parent(source))));
            }
        };
        // The new folder lies where the links on the way lead, and is as broad as any other there; it holds no sockets yet.
        let real = file.real.map(|(folder, roots)| (join(&folder, &source[source.rfind('/').unwrap_or(0)..]), roots));
        let made = File { real, sockets: vec![], ..file };
        if let Some(problem) = checks::check(path, source, bind, &made, self.host, at) {
            return self.draft.problem(problem);
        }
        let source = made.real.as_ref().map_or(source, |(real, _)| real);
        let Some(site) = self.site(path, true, at) else { return };
        if self.ids.needs_idmap && bind.access == Access::ReadWrite {
            let message = format!("cannot make {source}: started by root, it would be the host root's");
            return self.draft.problem(Problem::new("mounts::create", at, message).help("make it for the user who is to own it before the run"));
        }
        self.draft.step(Stage::Sources, Op::HostFolder { path: Name::new(source) }, at);
        let slot = self.draft.slot();
        let op = Op::OpenTree {
            slot,
            source: Name::new(source),
            inode: Inode { dev: 0, ino: 0 },
            recursive: bind.recursive,
            attrs: self.bind_attrs(bind),
        };
        self.draft.step(Stage::Sources, op, at);
        self.step(Op::Attach { slot, path: Name::new(path), ground: site.ground, rights: bind_rights(bind, true) }, at);
    }

    fn open(&mut self, source: &str, file: &File, recursive: bool, attrs: Attrs, at: Span) -> Slot {
        let slot = self.draft.slot();
        let place = file.real.as_ref().map_or(source, |(real, _)| real);
        self.draft.step(Stage::Sources, Op::OpenTree { slot, source: Name::new(place), inode: file.inode, recursive, attrs }, at);
        slot
    }

    /// Started by root, a writable bind is mapped for one pair of ids: its owner on disk, and the target.
    fn map_owner(&mut self, slot: Slot, path: &str, source: &str, file: &File, bind: &Bind, at: Span) {
        if !self.ids.needs_idmap {
            return;
        }
        if file.uid == 0 && !bind.owner_root {
            let message = format!("cannot grant {source} for writing: it belongs to the host's root");
            let said = spelled::line(path, &Mount::Bind(Bind { owner_root: true, ..bind.clone() }));
            let help = format!("give it to the user who is to own it, or say so: {said}");
            return self.draft.problem(Problem::new("mounts::owner", at, message).help(help));
        }
        if let Some(name) = file_system_without_idmap(file.fs, self.host.kernel) {
            let (major, minor) = self.host.kernel;
            let message = format!("cannot map the owner of {source}: {name} has no idmapped mounts on Linux {major}.{minor}");
            let help = "set identity.host = true, or give uid-map and gid-map the owner's ids, or access = \"ro\"";
            return self.draft.problem(Problem::new("mounts::idmap", at, message).help(help));
        }
        let op = Op::IdMapMount { slot, source: Name::new(source), disk: (file.uid, file.gid), ids: (self.ids.host_user, self.ids.host_group) };
        self.draft.step(Stage::Sources, op, at);
    }

    fn tmpfs(&mut self, path: &str, tmpfs: &Tmpfs, at: Span) {
        let Some(site) = self.site(path, true, at) else { return };
        let shared = ["/tmp", "/var/tmp", "/dev/shm"].contains(&path);
        let mode = tmpfs.mode.unwrap_or(Mode(if shared { 0o1777 } else { 0o755 }));
        let attrs = PLAIN.and_if(!tmpfs.exec, Attrs::NO_EXEC);
        let rights = TMPFS_RIGHTS.and_if(tmpfs.exec, Rights::EXECUTE);
        self.step(Op::Tmpfs { path: Name::new(path), size: tmpfs.size, inodes: tmpfs.inodes, mode, attrs, ground: site.ground, rights }, at);
    }

    fn proc(&mut self, path: &str, hidepid: HidePid, only_processes: bool, at: Span) {
        let Some(site) = self.site(path, true, at) else { return };
        // Processes write their own comm, oom_score_adj, and the like.
        let rights = Rights::READ.and(Rights::WRITE);
        self.step(Op::Proc { path: Name::new(path), hidepid, only_processes, ground: site.ground, rights }, at);
        if !only_processes {
            // What the kernel shows to the host's root alone needs no cover where the target is somebody else.
            let roots = self.ids.is_host_root();
            for (name, _) in dev::PROC_READ_ONLY.iter().filter(|(_, only_root)| roots || !only_root) {
                self.step(Op::ReadOnly { path: Name::new(&format!("{path}/{name}")), ground: site.ground, if_present: true }, at);
            }
            for (name, cover, _) in dev::PROC_HIDDEN.iter().filter(|(.., only_root)| roots || !only_root) {
                self.step(Op::Hide { path: Name::new(&format!("{path}/{name}")), cover: *cover, if_present: true }, at);
            }
        }
    }

    fn dev<'b>(&mut self, path: &str, extra: impl Iterator<Item = &'b str>, at: Span) {
        let Some(site) = self.site(path, true, at) else { return };
        let rights = DEVICE_RIGHTS;
        let attrs = Attrs::NO_SUID.and(Attrs::NO_EXEC);
        let sealed_root = base(&self.tree, self.host, path) == Base::Own { writable: false };
        if sealed_root {
            // A folder of the root, and sealed with it.
            self.allow(path, rights, at);
        } else {
            let (size, inodes) = (Size(1 << 20), 4096);
            self.step(Op::Tmpfs { path: Name::new(path), size, inodes, mode: Mode(0o755), attrs, ground: site.ground, rights }, at);
        }
        for name in dev::NODES {
            self.attach_node(&format!("{path}/{name}"), &format!("/dev/{name}"), None, at);
        }
        for source in extra.collect::<BTreeSet<&str>>() {
            match below(source, "/dev").filter(|tail| !tail.is_empty()) {
                Some(tail) if dev::NODES.contains(&&tail[1..]) || self.tree.contains_key(&format!("{path}{tail}")) => {}
                Some(tail) => self.device(&format!("{path}{tail}"), source, at),
                None => self.draft.problem(
                    Problem::new("mounts::dev", at, format!("cannot show {source} in {path}: it is not below /dev"))
                        .help("give it an entry of its own: { device = PATH }"),
                ),
            }
        }
        for (name, target) in dev::LINKS {
            let link = format!("{path}/{name}");
            if !self.tree.contains_key(&link) {
                self.step(Op::Symlink { path: Name::new(&link), target: Name::new(target) }, at);
            }
        }
        let pts = format!("{path}/pts");
        if !self.tree.contains_key(&pts) {
            self.make_folder(&pts, Mode(0o755), at);
            self.step(Op::Devpts { path: Name::new(&pts) }, at);
        }
        let shm = format!("{path}/shm");
        if !self.tree.contains_key(&shm) {
            self.make_folder(&shm, Mode(0o755), at);
            let Tmpfs { size, inodes, .. } = TMPFS;
            let op = Op::Tmpfs { path: Name::new(&shm), size, inodes, mode: Mode(0o1777), attrs: INERT, ground: Ground::Own, rights: TMPFS_RIGHTS };
            self.step(op, at);
        }
        if !sealed_root {
            self.seals.push((path.into(), attrs.and(Attrs::READ_ONLY), at));
        }
    }

    fn attach_node(&mut self, path: &str, source: &str, file: Option<&File>, at: Span) {
        if file.is_none() && self.tree.contains_key(path) {
            return;
        }
        self.step(Op::MountPoint { path: Name::new(path) }, at);
        let slot = self.draft.slot();
        // A device on a read-only mount can be written to; what it keeps out is a change of the node's mode, by its owner alone.
        let attrs = if self.ids.is_host_root() { Attrs::NO_SUID.and(Attrs::NO_EXEC).and(Attrs::READ_ONLY) } else { Attrs(0) };
        let inode = file.map_or(Inode { dev: 0, ino: 0 }, |file| file.inode);
        self.draft.step(Stage::Sources, Op::OpenTree { slot, source: Name::new(source), inode, recursive: false, attrs }, at);
        // The rule of /dev covers its nodes.
        self.step(Op::Attach { slot, path: Name::new(path), ground: Ground::Own, rights: Rights(0) }, at);
    }

    fn device(&mut self, path: &str, source: &str, at: Span) {
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(errno) => return self.absent(path, source, *errno, at),
        };
        let folder = file.kind == FileKind::Folder;
        if !folder && file.kind != FileKind::Device {
            let message = format!("cannot grant {source} as a device: it is {}", file.kind.word());
            return self
                .draft
                .problem(Problem::new("mounts::device", at, message).help(format!("to bind it, write \"{path}\" = {{ bind = \"{source}\" }}")));
        }
        if folder && below(source, "/dev").is_none_or(str::is_empty) {
            let message = format!("cannot grant all of {source} as devices: only folders below /dev are granted whole");
            return self.draft.problem(Problem::new("mounts::device", at, message).help("name the nodes, or a folder below /dev such as /dev/dri"));
        }
        let Some(site) = self.site(path, folder, at) else { return };
        let attrs = Attrs::NO_SUID.and(Attrs::NO_EXEC).and(Attrs::READ_ONLY);
        let slot = self.open(source, &file, folder, attrs, at);
        let rights = DEVICE_RIGHTS;
        let rights = if folder { rights } else { rights.within(Rights::OF_FILES) };
        self.step(Op::Attach { slot, path: Name::new(path), ground: site.ground, rights }, at);
    }

    fn socket(&mut self, path: &str, source: &str, at: Span) {
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(errno) => return self.absent(path, source, *errno, at),
        };
        if file.kind != FileKind::Socket {
            let message = format!("cannot grant {source} as a socket: it is {}", file.kind.word());
            return self.draft.problem(Problem::new("mounts::socket", at, message));
        }
        let Some(site) = self.site(path, false, at) else { return };
        let slot = self.open(source, &file, false, INERT.and(Attrs::READ_ONLY), at);
        let rights = Rights::READ.and(Rights::WRITE).and(Rights::CONNECT).within(Rights::OF_FILES);
        self.step(Op::Attach { slot, path: Name::new(path), ground: site.ground, rights }, at);
    }

    fn dir(&mut self, path: &str, mode: Mode, at: Span) {
        match base(&self.tree, self.host, path) {
            Base::Own { .. } => {
                self.folders(parent(path), at);
                self.make_folder(path, mode, at);
                self.allow(path, Rights::READ, at);
            }
            other => self.cannot_make(path, "a folder", &other, "write it as a tmpfs: \"PATH\" = \"tmpfs\"", at),
        }
    }

    fn symlink(&mut self, path: &str, target: &str, at: Span) {
        if target.is_empty() || target.contains('\0') {
            return self.draft.problem(Problem::new(
                "mounts::symlink",
                at,
                format!("cannot make the link {path}: its text is empty or holds a NUL byte"),
            ));
        }
        match base(&self.tree, self.host, path) {
            Base::Own { .. } => {
                self.folders(parent(path), at);
                self.step(Op::Symlink { path: Name::new(path), target: Name::new(target) }, at);
            }
            // The tree around it shows that very link.
            Base::Host { source, .. } if matches!(self.host.at(&source), Fact::Present(File { kind: FileKind::Link(text), .. }) if text == target) => {
            }
            other => self.cannot_make(path, "a symbolic link", &other, "leave it out, or make the link on the host", at),
        }
    }

    fn file(&mut self, path: &str, content: &EntryContent, mode: Option<Mode>, at: Span) {
        let (content, unsaid) = match content {
            EntryContent::Text(text) => (Content::Text(text.as_bytes().to_vec()), Mode(0o644)),
            EntryContent::Fd(fd) => (Content::Fd(*fd), Mode(0o400)),
            EntryContent::Env(name) => match self.host.caller.env.get(name) {
                Some(value) => (Content::Secret(value.as_bytes().to_vec()), Mode(0o400)),
                None => {
                    let message = format!("cannot write {path}: the caller has no variable {name}");
                    return self.draft.problem(Problem::new("mounts::env", at, message).help(format!("set it: {name}=... stockade run ...")));
                }
            },
        };
        self.put_file(path, content, mode.unwrap_or(unsaid), at);
    }

    fn put_file(&mut self, path: &str, content: Content, mode: Mode, at: Span) {
        let name = Name::new(path);
        match base(&self.tree, self.host, path) {
            Base::Own { .. } => {
                self.folders(parent(path), at);
                self.step(Op::File { path: name, content, mode }, at);
            }
            _ => {
                if self.site(path, false, at).is_none() {
                    return;
                }
                // In an entry on our own ground nobody else has put a link on the way.
                let own = matches!(base(&self.tree, self.host, parent(path)), Base::Own { .. }) && self.tree.contains_key(parent(path));
                let ground = if own { Ground::Own } else { Ground::Bound };
                // Read-only, and Landlock's rule of the tree around it covers it.
                return self.step(Op::CoverFile { path: name, ground, content, mode }, at);
            }
        }
        self.allow(path, bits_of(mode), at);
    }

    fn hide(&mut self, path: &str, missing: Missing, known: Hidden, at: Span) {
        let kind = match base(&self.tree, self.host, path) {
            Base::Own { .. } => return self.hide_own(path, at),
            Base::Host { source, .. } => self.host.at(&source).clone(),
            Base::Kernel => self.host.at(path).clone(),
            other => return self.cannot_make(path, "a cover", &other, "leave it out", at),
        };
        let Fact::Present(file) = kind else {
            if missing == Missing::Skip {
                return self.draft.note(at, format!("nothing is at {path}, so nothing is hidden there"));
            }
            let message = format!("cannot hide {path}: there is nothing, and what appears there later would be seen");
            // Who meant a pattern would else write the wall away.
            let help = match path.contains(['?', '[', '{']) {
                true => {
                    "of the signs of shells only `*` and `**` are patterns here: `?`, `[ab]` and `{a,b}` stand for themselves; write `*`, or an entry for each name"
                }
                false => "make it on the host, or hide the folder that it would be in, or say so: { hide = true, missing = \"skip\" }",
            };
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(help));
        };
        if let FileKind::Link(to) = &file.kind {
            let message = format!("cannot hide {path}: it is a symbolic link to {to}");
            let help = format!("hide what it points at: {}", self.spelled_at(&place::follow(parent(path), to)));
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(help));
        }
        let folder = file.kind == FileKind::Folder;
        if folder && known == Hidden::File {
            let message = format!("cannot hide {path} as a file: it is a folder");
            return self
                .draft
                .problem(Problem::new("mounts::hide", at, message).help(format!("hide it as what it is: {} = \"hide\"", literal(path))));
        }
        let Some(_) = self.site(path, folder, at) else { return };
        let cover = if folder { Cover::Folder } else { Cover::File };
        self.step(Op::Hide { path: Name::new(path), cover, if_present: false }, at);
    }

    /// A cover on the sandbox's own ground, in the place of what the entry kept away. Where nothing would be, a lint tells of it.
    fn hide_own(&mut self, path: &str, at: Span) {
        let folder = match covered(&self.tree, self.host, path) {
            None | Some(Covered::Link) => return,
            Some(Covered::Folder) => true,
            Some(Covered::File) => false,
            Some(Covered::OfRoot(source)) => match self.host.at(&source) {
                Fact::Absent(_) => return,
                Fact::Present(File { kind: FileKind::Link(to), .. }) => {
                    let problem = Problem::new("mounts::hide", at, format!("cannot hide {path}: it is a symbolic link to {to}"));
                    let help = format!("hide what it points at: {}", self.spelled_at(&place::follow("/", to)));
                    return self.draft.problem(problem.help(help));
                }
                Fact::Present(file) => file.kind == FileKind::Folder,
            },
        };
        if self.site(path, folder, at).is_some() {
            let cover = if folder { Cover::Folder } else { Cover::File };
            self.step(Op::Hide { path: Name::new(path), cover, if_present: false }, at);
        }
    }

    // ---- places ----

    /// Makes sure that something can be mounted at `path`: makes the mount point on the sandbox's own ground, or finds it in a
    /// bound tree, whose folders above it are pinned where the target could rename them.
    fn site(&mut self, path: &str, folder: bool, at: Span) -> Option<Site> {
        match base(&self.tree, self.host, path) {
            Base::Own { .. } => {
                if folder {
                    self.folders(path, at);
                } else {
                    self.folders(parent(path), at);
                    if self.made.insert(path.to_owned()) {
                        self.step(Op::MountPoint { path: Name::new(path) }, at);
                    }
                }
                Some(Site { ground: Ground::Own })
            }
            Base::Kernel => Some(Site { ground: Ground::Bound }),
            Base::Nothing { what } => {
                let (over, node) = above(&self.tree, path).map(|(over, node)| (over.to_owned(), node.at)).unwrap_or_default();
                let message = format!("cannot mount at {path}: {over} is {what}");
                let help = self.through_link(path);
                self.draft.problem(Problem::new("mounts::below", at, message).also(node, "it is here").help_maybe(help));
                None
            }
            Base::Host { source, writable } => self.site_in_host(path, &source, writable, folder, at),
        }
    }

    fn site_in_host(&mut self, path: &str, source: &str, writable: bool, folder: bool, at: Span) -> Option<Site> {
        let (over, over_at) = above(&self.tree, path).map(|(over, node)| (over.to_owned(), node.at)).unwrap_or_default();
        let refuse = |draft: &mut Draft, why: String, help: String| {
            draft.problem(
                Problem::new("mounts::no-mount-point", at, format!("cannot mount at {path}: {why}"))
                    .also(over_at, format!("{over} is bound here"))
                    .help(help),
            );
            None
        };
        let file = match self.host.at(source) {
            Fact::Present(file) => file,
            Fact::Absent(libc::ENOENT) => {
                let make = if folder { format!("mkdir -p {source}") } else { format!("mkdir -p {} && touch {source}", parent(source)) };
                let why = format!("{over} is a tree of the host, and there is no {source} in it; stockade makes nothing there");
                return refuse(self.draft, why, format!("make it first: {make}"));
            }
            Fact::Absent(errno) => {
                return refuse(self.draft, format!("{source}: {}", errno_words(*errno)), "make it reachable, or bind a folder nearer to it".into());
            }
        };
        if let Some((real, _)) = &file.real {
            let help = match place::shown_at(&self.tree, self.host, real) {
                Some(inside) => format!("name the real place: {}", self.spelled_at(&inside)),
                None => format!("the link leads out of {over}, to the host's {real}, which nothing shows inside: grant that under a name of its own"),
            };
            return refuse(self.draft, "a folder on the way is a symbolic link".into(), help);
        }
        if let FileKind::Link(to) = &file.kind {
            let help = format!("name what it points at: {}", self.spelled_at(&place::follow(parent(path), to)));
            return refuse(self.draft, format!("it is a symbolic link to {to}"), help);
        }
        if folder != (file.kind == FileKind::Folder) {
            let wanted = if folder { "a folder" } else { "a file" };
            return refuse(self.draft, format!("{source} is {}, and this entry needs {wanted}", file.kind.word()), "give it another path".into());
        }
        if writable {
            let mut between: Vec<&str> = ancestors(parent(path)).take_while(|folder| *folder != over).collect();
            between.reverse();
            for pin in between {
                if !self.tree.contains_key(pin) && self.pinned.insert(pin.to_owned()) {
                    self.draft.step(Stage::World, Op::Pin { path: Name::new(pin) }, at);
                }
            }
        }
        Some(Site { ground: Ground::Bound })
    }

    /// The entry that is drafted, as it would stand at another path.
    fn spelled_at(&self, path: &str) -> String {
        self.current.as_ref().map_or_else(|| path.to_owned(), |mount| spelled::line(path, mount))
    }

    /// The line to write in place of one whose path leads through a link.
    fn through_link(&self, path: &str) -> Option<String> {
        let place = place::behind_links(&self.tree, self.host, path)?;
        Some(format!("name the place that the link leads to: {}", self.spelled_at(&place)))
    }

    /// Makes a folder of the sandbox's own and those above it.
    fn folders(&mut self, path: &str, at: Span) {
        // What is made, is an entry of its own or lies in one is there by the time, and so is all above it.
        let is_there = |folder: &str| self.made.contains(folder) || (folder != path && self.tree.contains_key(folder));
        let mut missing: Vec<&str> = ancestors(path).take_while(|folder| !is_there(folder)).collect();
        missing.reverse();
        for folder in missing {
            self.make_folder(folder, Mode(0o755), at);
        }
    }

    fn make_folder(&mut self, path: &str, mode: Mode, at: Span) {
        if path != "/" && self.made.insert(path.to_owned()) {
            self.step(Op::Dir { path: Name::new(path), mode }, at);
        }
    }

    fn cannot_make(&mut self, path: &str, what: &str, base: &Base, help: &str, at: Span) {
        let over = above(&self.tree, path).map_or("/", |(over, _)| over);
        let why = match base {
            Base::Host { .. } => format!("{over} is a tree of the host, and stockade makes nothing there"),
            Base::Kernel => format!("{over} is the kernel's"),
            Base::Nothing { what } => format!("{over} is {what}"),
            Base::Own { .. } => "it cannot be".into(),
        };
        let help = self.through_link(path).unwrap_or_else(|| help.into());
        self.draft.problem(Problem::new("mounts::below", at, format!("cannot make {what} at {path}: {why}")).help(help));
    }

    // ---- absence ----

    fn absent(&mut self, path: &str, source: &str, errno: i32, at: Span) {
        let arrow = if path == source { String::new() } else { format!(" → {path}") };
        let problem = Problem::new("mounts::source", at, format!("cannot bind {source}{arrow}: {}", errno_words(errno)));
        let help = match &self.current {
            Some(Mount::Bind(bind)) => {
                let skip = Mount::Bind(Bind { missing: Missing::Skip, ..bind.clone() });
                format!("make it, or let the entry go where it is absent: {}", spelled::line(path, &skip))
            }
            _ => "make it, or leave the entry out".into(),
        };
        self.draft.problem(problem.label("asked for here").help(help));
    }

    // ---- generated files ----

    /// A passwd and a group that know the target alone, unless the profile brings its own.
    fn databases(&mut self) {
        let Ids { user, group, .. } = *self.ids;
        let caller = &self.host.caller;
        let name = if user == 0 {
            "root"
        } else if user == caller.uid && !caller.user.is_empty() {
            &caller.user
        } else {
            "user"
        };
        let home = self.ids.home.as_deref().unwrap_or("/");
        let passwd = format!("{name}:x:{user}:{group}:{name}:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n");
        let groups = format!("{name}:x:{group}:\nnogroup:x:65534:\n");
        for (path, text) in [("/etc/passwd", passwd), ("/etc/group", groups)] {
            if self.tree.contains_key(path) {
                continue;
            }
            let content = Content::Text(text.into_bytes());
            match base(&self.tree, self.host, path) {
                Base::Own { .. } => self.put_file(path, content, Mode(0o644), Span::NOWHERE),
                // Where many ids are mapped, the tree's own names serve them better.
                Base::Host { source, .. }
                    if self.ids.single && matches!(self.host.at(&source), Fact::Present(File { kind: FileKind::Regular, real: None, .. })) =>
                {
                    self.put_file(path, content, Mode(0o644), Span::NOWHERE);
                }
                // A bound /etc that has none is the profile's word.
                _ => {}
            }
        }
    }
}

/// What a bind grants.
pub fn bind_rights(bind: &Bind, folder: bool) -> Rights {
    let rights = Rights::READ.and_if(bind.exec, Rights::EXECUTE).and_if(bind.sockets, Rights::CONNECT);
    let rights = rights.and_if(bind.access == Access::ReadWrite, Rights::WRITE.and(Rights::CHANGE).and(Rights::CONNECT));
    if folder { rights } else { rights.within(Rights::OF_FILES) }
}

/// What Landlock allows of a file made with a mode: nothing that its bits do not.
fn bits_of(mode: Mode) -> Rights {
    Rights::READ.and_if(mode.0 & 0o222 != 0, Rights::WRITE).and_if(mode.0 & 0o111 != 0, Rights::EXECUTE).within(Rights::OF_FILES)
}

/// File systems that cannot be idmapped on a kernel (measured on 6.1, 6.12, 6.18 and 7.3; the network ones by the kernel's source).
fn file_system_without_idmap(magic: i64, kernel: (u32, u32)) -> Option<&'static str> {
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
