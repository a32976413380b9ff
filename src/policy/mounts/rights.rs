//! `[mounts]` where the sandbox has no file tree of its own: the same grants, as Landlock's rights
//! on the host's tree.
//!
//! For machines where an ordinary user may make no namespaces. A rule of Landlock grants, and
//! nothing takes a part of it back (landlock(7)): what an entry says beyond a grant is an error
//! here, never a weaker sandbox.

use super::draft::{DEVICE_RIGHTS, Drafted, bind_rights};
use super::kinds::{Access, Bind, Makes, Missing, Mount, NODE_PATHS, New, Socket};
use super::settle::Settled;
use super::tree::{Node, Tree, source_of};
use super::{checks, written};
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::name::{Inode, Name};
use crate::kernel::proc::HidePid;
use crate::kernel::rights::Rights;
use crate::language::section::EntryType;
use crate::language::spelled::quoted;
use crate::language::value::{ancestors, below, parent};
use crate::step::draft::Draft;
use crate::step::{FileSystem, Kernel};
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use crate::tree::{Ground as Standing, Source, Stack, Stands};
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
    // A session bus starts programs for whoever has its user's id.
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

/// What an entry grants, by the place on the host that it means.
struct Grant<'a> {
    path: &'a str,
    rights: Rights,
    writable: bool,
    at: Span,
}

/// A place that entries grant.
struct Granted<'a> {
    ground: Standing,
    grants: Vec<Grant<'a>>,
}

impl Stands for Granted<'_> {
    fn ground(&self) -> &Standing {
        &self.ground
    }
}

/// The host's tree, which stands inside as it is, with what is granted at each place of it.
type Places<'a> = crate::tree::Tree<Granted<'a>>;

/// Every grant of a tree or file, and of devices. That of a bound `/` is in the names below it,
/// which are entries of their own.
fn places<'a>(tree: &'a Tree, host: &'a Host) -> Places<'a> {
    let whole = Standing::Host(Stack::one(Source::new("/")));
    let mut places = Places::new(Granted { ground: whole, grants: vec![] });
    let mut grant = |place: &str, grant: Grant<'a>| {
        let nothing_yet = || Granted { ground: Standing::Same, grants: vec![] };
        places.entry(place.to_owned()).or_insert_with(nothing_yet).grants.push(grant);
    };
    for (path, node) in tree.iter().filter(|(path, _)| *path != "/") {
        let (rights, writable) = match node.mount.kind().makes(path) {
            Makes::Bind(bind) => (bind_rights(bind, true), bind.access == Access::ReadWrite),
            Makes::Device(_) => (DEVICE_RIGHTS, true),
            Makes::Devices(_) => {
                for name in NODE_PATHS {
                    grant(name, Grant { path, rights: DEVICE_RIGHTS, writable: true, at: node.at });
                }
                continue;
            }
            // What a socket leads to holds nothing; the others grant nothing of the host's.
            Makes::Socket(_)
            | Makes::FileSystem(_)
            | Makes::Directory(_)
            | Makes::Link(_)
            | Makes::File(..)
            | Makes::Cover(_) => continue,
        };
        // A link grants nothing: what it leads to has an entry of its own, or none.
        if let Fact::Present(file) = host.at(source_of(path, &node.mount).unwrap_or(path))
            && !matches!(file.kind, FileKind::Link(_))
        {
            grant(place(path, file), Grant { path, rights, writable, at: node.at });
        }
    }
    places
}

/// Where a path lies once the links on the way are followed.
fn place<'a>(path: &'a str, file: &'a File) -> &'a str {
    file.real.as_ref().map_or(path, |(real, _)| real)
}

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
            Makes::Cover(_) if self.wider(path, self.place_of(path), Rights(0)).is_none() => {}
            Makes::FileSystem(_)
            | Makes::Devices(_)
            | Makes::Directory(_)
            | Makes::Link(_)
            | Makes::File(..)
            | Makes::Cover(_) => self.refuse(path, kind.what(), "leave the entry out", *at),
        }
    }

    fn bind(&mut self, path: &str, bind: &Bind, at: Span) {
        let source = bind.source.as_ref().map_or(path, |source| source);
        if source != path {
            return self.renamed(path, source, at);
        }
        // The names in a bound root are entries of their own.
        if path == "/" {
            return;
        }
        if !bind.recursive {
            return self.refuse(
                path,
                "a bind without the mounts below it",
                "leave `recursive` out",
                at,
            );
        }
        // Ids are mapped on mounts, and to root alone the word means anything.
        if bind.owner_root && self.host.caller.uid == 0 {
            return self.refuse(
                path,
                "a bind that is root's for the target",
                "leave `owner` out",
                at,
            );
        }
        let file = match self.host.at(path) {
            Fact::Present(file) => file,
            Fact::Absent(libc::ENOENT) if bind.missing == Missing::Create => {
                return self.refuse(
                    path,
                    "a new directory",
                    &format!("make it first: mkdir -p {path}"),
                    at,
                );
            }
            Fact::Absent(errno) => return self.absent(path, Some(bind), *errno, at),
        };
        let rights = bind_rights(bind, true);
        if let Some(grant) = self.wider(path, place(path, file), rights) {
            let kept = if bind.access == Access::ReadOnly && grant.writable {
                "read-only"
            } else {
                "less"
            };
            let (over, wider_at) = (grant.path.to_owned(), grant.at);
            return self.narrower(path, &over, kept, at, wider_at);
        }
        match file.kind {
            // Rules are held against the file that a link leads to, and that file's own entry
            // grants it.
            FileKind::Link(_) => {
                if let Some(grant) =
                    self.redirected(path, bind).filter(|_| bind.access == Access::ReadOnly)
                {
                    let (over, wider_at) = (grant.path.to_owned(), grant.at);
                    self.narrower(path, &over, "read-only", at, wider_at);
                }
                return;
            }
            FileKind::Socket => {
                let problem = Problem::new(
                    "mounts::socket",
                    at,
                    format!("cannot bind {path}: it is a socket"),
                );
                return self.draft.problem(problem.help(format!(
                    "write {}",
                    written::line(path, &Mount::Socket(Socket::of(path)))
                )));
            }
            _ => {}
        }
        if let Some(problem) = self
            .kernel_tree(path, place(path, file), at)
            .or_else(|| Some(checks::check(path, path, bind, file, self.around())?.problem(at)))
        {
            return self.draft.problem(problem);
        }
        if !bind.exec {
            return self.mapped(path, bind, at);
        }
        if self.is_closed(place(path, file), at) {
        } else if let (Some((user, group)), Access::ReadWrite) = (self.ground.other, bind.access)
            && !may(WRITE, file, user, group)
        {
            let owner = format!(
                "it belongs to {}:{} (mode {:04o}), and the target is user {user}, group {group}",
                file.uid, file.gid, file.mode
            );
            self.draft.note_less(
                at,
                format!("the target cannot write to {path}"),
                &format!("{owner}; give it that owner: chown -R {user}:{group} {path}"),
            );
        }
        self.rule(path, bind_rights(bind, file.kind == FileKind::Directory), file, at);
    }

    /// Whether a directory above is closed to the target, with a note for each such directory.
    fn is_closed(&mut self, place: &str, at: Span) -> bool {
        let Some((user, group)) = self.ground.other else { return false };
        let mut above =
            ancestors(parent(place)).filter_map(|path| Some((path, self.host.above.get(path)?)));
        let Some((directory, File { uid, gid, mode, .. })) =
            above.find(|(_, file)| !may(SEARCH, file, user, group))
        else {
            return false;
        };
        if self.closed.insert(directory.to_owned()) {
            let why = format!(
                "it belongs to {uid}:{gid} (mode {mode:04o}), and the target is user {user}, group \
                 {group}"
            );
            let help = format!("let it through: chmod o+x {}", shell_word(directory));
            self.draft.note_less(
                at,
                format!("the target cannot reach anything below {directory}"),
                &format!("{why}; {help}"),
            );
        }
        true
    }

    fn around(&self) -> checks::Around<'_> {
        checks::Around { tree: self.tree, host: self.host, can_cover: false }
    }

    fn place_of<'p>(&'p self, path: &'p str) -> &'p str {
        match self.host.at(path) {
            Fact::Present(file) => place(path, file),
            Fact::Absent(_) => path,
        }
    }

    /// The grant of the same place, or of one around it, that has more than these rights.
    fn wider(&self, path: &str, place: &str, rights: Rights) -> Option<&Grant<'_>> {
        let mut around = self.places.up(place).flat_map(|(_, granted)| &granted.grants);
        around.find(|grant| grant.path != path && !rights.holds(grant.rights))
    }

    /// The grant by which the target could have a kept link lead elsewhere: what its way leads
    /// through can be renamed, or its end is granted.
    fn redirected(&self, path: &str, bind: &Bind) -> Option<&Grant<'_>> {
        let trail = self.host.trails.get(path)?;
        // Where the entry may be left out, a note reports an end that is not there.
        let has_end =
            trail.errno.is_none_or(|errno| errno != libc::ELOOP && bind.missing != Missing::Skip);
        let way = trail
            .links
            .iter()
            .map(|link| &link.place)
            .chain(&trail.left)
            .map(|place| parent(place));
        let places = way.chain(has_end.then_some(trail.end.as_str()));
        let around = places.flat_map(|place| self.places.up(place));
        let mut around = around.flat_map(|(_, granted)| &granted.grants);
        around.find(|grant| grant.path != path && grant.writable)
    }

    fn narrower(&mut self, path: &str, over: &str, kept: &str, at: Span, wider_at: Span) {
        if self.ground.kept_is_optional {
            let why = format!("a rule of Landlock takes nothing back, and {over} grants more");
            return self.draft.note_less(at, format!("{path} is not kept {kept}"), &why);
        }
        // A link, and what it leads to, are one line.
        if self.draft.problems.iter().any(|problem| problem.at == at) {
            return;
        }
        let message = format!(
            "cannot grant {kept} at {path} below {over}: a rule of Landlock takes nothing back"
        );
        let problem = Problem::new("landlock::narrower", at, message)
            .also(wider_at, "this grants more")
            .also(self.ground.why, "because of this");
        self.draft.problem(problem.help(format!(
            "grant the directories beside it one by one, or skip this with a warning: optional = \
             [\"mounts.kept\"], or let the sandbox have a file tree of its own: {}",
            self.ground.own_tree
        )));
    }

    /// Landlock's right to execute is asked for by execve(2) alone: the loader maps what it is told
    /// to run (`ld.so ./program`).
    fn mapped(&mut self, path: &str, bind: &Bind, at: Span) {
        let message = format!(
            "cannot keep what is in {path} from being executed: Landlock does not rule over \
             mmap(2), so a loader can run it"
        );
        let said = written::line(path, &Mount::Bind(Bind { exec: true, ..bind.clone() }));
        let help = format!(
            "let it be executed: {said}; or let the sandbox have a file tree of its own: {}",
            self.ground.own_tree
        );
        self.draft.problem(
            Problem::new("landlock::narrower", at, message)
                .also(self.ground.why, "because of this")
                .help(help),
        );
    }

    /// The host's proc and sys: of the one there is a word for all of it, of the other parts are
    /// granted.
    fn kernel_tree(&self, path: &str, place: &str, at: Span) -> Option<Problem> {
        let help = if below(place, "/proc").is_some() && self.ground.host_pids {
            "for the processes that the sandbox sees write \"/proc\" = \"proc\": here they are the \
             host's, and all of /proc can be read"
        } else if below(place, "/proc").is_some() {
            "leave the entry out: its processes are not those of the sandbox"
        } else if place == "/sys" {
            "name the directories that are needed, such as \"/sys/devices/system/cpu\" = \"ro\""
        } else {
            return None;
        };
        let message = format!("cannot bind the host's {path}: it shows the host, not the sandbox");
        Some(Problem::new("mounts::kernel-tree", at, message).help(help))
    }

    /// Its processes are those that the target sees anyway. What is behind a process (memory,
    /// environment, descriptors, root) is kept by Landlock, as for ptrace(2) (PTRACE_MODE_READ of
    /// proc(5)).
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
            Fact::Absent(errno) => self.absent(path, None, *errno, at),
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
            Fact::Absent(errno) => self.absent(path, None, *errno, at),
        }
    }

    fn absent(&mut self, path: &str, bind: Option<&Bind>, errno: i32, at: Span) {
        let problem = Problem::new(
            "mounts::source",
            at,
            format!("cannot grant {path}: {}", errno_words(errno)),
        );
        let skip = bind.map(|bind| {
            written::line(path, &Mount::Bind(Bind { missing: Missing::Skip, ..bind.clone() }))
        });
        let help = skip.map_or("make it, or leave the entry out".into(), |line| {
            format!("make it, or let the entry go where it is absent: {line}")
        });
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

const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// Whether the mode lets somebody without capabilities and further groups do that there.
fn may(what: u32, file: &File, user: u32, group: u32) -> bool {
    let class = if user == file.uid {
        6
    } else if group == file.gid {
        3
    } else {
        0
    };
    file.mode >> class & what != 0
}
