//! `[mounts]` where the sandbox has no file tree of its own: the same grants, as Landlock's rights
//! on the host's tree.
//!
//! For machines where an ordinary user may make no namespaces. A rule of Landlock grants, and
//! nothing takes a part of it back (landlock(7)): what an entry says beyond a grant is an error
//! here, never a weaker sandbox.

mod bind;
mod places;

use super::draft::{DEVICE_RIGHTS, Drafted};
use super::kinds::{Makes, Mount, NODE_PATHS, New};
use super::settle::Settled;
use super::tree::{Node, Tree};
use super::{place as looked_up, written};
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::name::{Inode, Name};
use crate::kernel::proc::HidePid;
use crate::kernel::rights::Rights;
use crate::language::section::EntryType;
use crate::language::spelled::quoted;
use crate::step::draft::Draft;
use crate::step::{FileSystem, Kernel};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;
use places::{Places, place, places, wider};
use std::collections::BTreeSet;

/// What the rights are granted on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    /// The line that leaves the host's tree in sight.
    pub why: Span,
    /// What gives the sandbox a tree of its own instead.
    pub own_tree: &'static str,
    /// Whether the process numbers are the host's, so that its /proc is that of the sandbox.
    pub host_pids: bool,
    /// Whether what an entry keeps within a wider grant may be skipped:
    /// `optional = ["mounts.kept"]`.
    pub kept_is_optional: bool,
    /// The target's user and group, where it is not the caller: no mount maps the owners of files
    /// for it.
    pub other: Option<(u32, u32)>,
}

/// Drafts a rule for each grant, of the rights that Landlock makes rules of.
pub(crate) fn draft(
    settled: &Settled,
    host: &Host,
    ruled: Rights,
    ground: Ground,
    draft: &mut Draft,
) -> Drafted {
    let tree = &settled.tree;
    draft.notes.extend(settled.left_out.iter().cloned());
    let places = places(tree, host);
    let (out, closed) = (Drafted::default(), BTreeSet::new());
    let mut reading = Reading { tree, places: &places, host, ruled, ground, draft, out, closed };
    for (path, node) in tree {
        reading.entry(path, node);
    }
    let out = reading.out;
    let why = ground.why;
    draft.note(
        why,
        "Landlock alone: names can be looked up, and modes, owners and times changed where the \
         host lets this user (landlock(7))",
    );
    // A session bus starts programs for every process with its user's id.
    if host.landlock.is_none_or(|abi| abi < SOCKETS_ABI) {
        let text = "the target may connect to every socket file of the host that this user may, a \
                    session bus among them, which starts programs outside";
        draft.note_less(
            why,
            text,
            &format!("to rule over them needs Landlock's ABI {SOCKETS_ABI} (Linux 7.1)"),
        );
    }
    out
}

/// The first ABI that rules over connecting to sockets by path.
pub(crate) const SOCKETS_ABI: u32 = 9;

struct Reading<'a> {
    tree: &'a Tree,
    places: &'a Places<'a>,
    host: &'a Host,
    /// The rights that Landlock makes rules of.
    ruled: Rights,
    ground: Ground,
    draft: &'a mut Draft,
    out: Drafted,
    /// Directories that are closed to the target, and have their note.
    closed: BTreeSet<String>,
}

impl Reading<'_> {
    fn entry(&mut self, path: &str, Node { mount, at, .. }: &Node) {
        let kind = mount.kind();
        if matches!(mount, Mount::State(_)) {
            return self.refuse(path, kind.what(), "leave the entry out", *at);
        }
        match kind.makes(path) {
            Makes::Bind(bind) => self.bind(path, bind, *at),
            Makes::Device(source) => self.device(path, source, *at),
            Makes::Socket(source) => self.socket(path, source, *at),
            Makes::Devices(extra) if path == "/dev" => {
                for node in NODE_PATHS {
                    self.named(node, DEVICE_RIGHTS.within(Rights::OF_FILES), *at);
                }
                extra.iter().for_each(|path| self.device(path, path, *at));
            }
            Makes::FileSystem(New {
                fs: FileSystem::Kernel(Kernel::Proc { hidepid, only_processes }),
                ..
            }) if path == "/proc" && self.ground.host_pids => {
                self.proc(hidepid, only_processes, *at)
            }
            // A lint reports it.
            Makes::Cover(_)
                if wider(self.places, path, self.place_of(path), Rights(0)).is_none() => {}
            Makes::FileSystem(_)
            | Makes::Layers(_)
            | Makes::Devices(_)
            | Makes::Directory(_)
            | Makes::Link(_)
            | Makes::File(_)
            | Makes::Cover(_) => self.refuse(path, kind.what(), "leave the entry out", *at),
        }
    }

    fn place_of<'p>(&'p self, path: &'p str) -> &'p str {
        match self.host.at(path) {
            Fact::Present(file) => place(path, file),
            Fact::Absent(_) => path,
        }
    }

    /// Its processes are those that the target sees anyway. Landlock protects a process's memory,
    /// environment, descriptors and root, as it restricts ptrace(2) (PTRACE_MODE_READ of proc(5)).
    fn proc(&mut self, hidepid: HidePid, only_processes: bool, at: Span) {
        if hidepid != HidePid::Off || only_processes {
            return self.refuse(
                "/proc",
                "a proc with settings of its own",
                "write \"/proc\" = \"proc\"",
                at,
            );
        }
        self.named("/proc", Rights::READ, at);
        self.draft
            .note(at, "/proc is the host's: the target sees its processes and their command lines");
    }

    fn device(&mut self, path: &str, source: &str, at: Span) {
        if source != path {
            return self.renamed(path, source, at);
        }
        match self.host.at(path) {
            Fact::Present(file) => match super::draft::refuse_device(path, source, file, at) {
                Some(problem) => self.draft.problem(problem),
                None => {
                    let rights = if file.kind == FileKind::Directory {
                        DEVICE_RIGHTS
                    } else {
                        DEVICE_RIGHTS.within(Rights::OF_FILES)
                    };
                    self.rule(path, rights, file, at);
                }
            },
            Fact::Absent(errno) => self.absent(path, *errno, at),
        }
    }

    fn socket(&mut self, path: &str, source: &str, at: Span) {
        if source != path {
            return self.renamed(path, source, at);
        }
        match self.host.at(path) {
            Fact::Present(file) => match super::draft::refuse_socket(source, file, at) {
                Some(problem) => self.draft.problem(problem),
                None => self.rule(
                    path,
                    Rights::READ.and(Rights::WRITE).and(Rights::CONNECT).within(Rights::OF_FILES),
                    file,
                    at,
                ),
            },
            Fact::Absent(errno) => self.absent(path, *errno, at),
        }
    }

    fn absent(&mut self, path: &str, errno: i32, at: Span) {
        let problem = Problem::new(
            "mounts::source",
            at,
            format!("cannot grant {path}: {}", errno_words(errno)),
        );
        let mount = self.tree.get(path).and_then(|node| node.mount.kind().skipped());
        let skip = mount.map(|mount| written::line(path, &mount));
        let help = looked_up::absent_help(path, errno, skip);
        self.draft.problem(problem.help(help));
    }

    fn rule(&mut self, path: &str, rights: Rights, file: &File, at: Span) {
        let place = (Name::new(place(path, file)), file.inode);
        self.out.rule(place, rights.within(self.ruled), at, self.draft);
    }

    /// A rule for what every machine has by this name.
    fn named(&mut self, path: &str, rights: Rights, at: Span) {
        let place = (Name::new(path), Inode::default());
        self.out.rule(place, rights.within(self.ruled), at, self.draft);
    }

    fn renamed(&mut self, path: &str, source: &str, at: Span) {
        self.refuse(
            path,
            &format!("{source} under another name"),
            &format!("write {} = ..., and use that name", quoted(&Mount::spell_name(source))),
            at,
        );
    }

    fn refuse(&mut self, path: &str, what: &str, help: &str, at: Span) {
        let message =
            format!("cannot put {what} at {path}: the sandbox has no file tree of its own");
        self.draft.problem(
            Problem::new("namespaces::mount", at, message)
                .also(self.ground.why, "because of this")
                .help(format!("{help}, or let it have one: {}", self.ground.own_tree)),
        );
    }
}
