//! `[mounts]` where the sandbox has no file tree of its own: the same grants, as Landlock's rights on the host's tree.
//!
//! For machines where an ordinary user may make no namespaces. A rule of Landlock grants, and nothing takes a part of it back (landlock(7)):
//! what an entry says beyond a grant is an error here, never a weaker sandbox.

use super::draft::{DEVICE_RIGHTS, bind_rights};
use super::entry::{Access, Bind, Missing, Mount};
use super::tree::{Node, Tree, above, settle};
use super::{Mounts, checks, dev, spelled};
use crate::draft::Draft;
use crate::host::{Fact, File, FileKind, Host};
use crate::policy::landlock::Rights;
use crate::problem::{Problem, errno_words};
use crate::source::Span;
use crate::step::{Inode, Name, Op, Stage};

/// Drafts a rule for each grant. `why` is the line that leaves the host's tree in sight.
pub fn draft(mounts: &Mounts, host: &Host, why: Span, draft: &mut Draft) {
    let (tree, left_out) = settle(mounts, host);
    draft.notes.extend(left_out);
    let mut reading = Reading { tree: &tree, host, why, draft };
    for (path, node) in &tree {
        reading.entry(path, node);
    }
    draft.note(why, "Landlock alone: names can be looked up, and modes, owners and times changed where the host lets this user (landlock(7))");
    // A session bus starts programs for whoever has its user's id.
    if host.landlock.is_none_or(|abi| abi < SOCKETS_ABI) {
        let text =
            "the target may connect to every socket file of the host that this user may, a session bus among them, which starts programs outside";
        draft.note_less(why, format!("{text}: to rule over them needs Landlock's ABI {SOCKETS_ABI} (Linux 7.1)"));
    }
}

/// The first ABI that rules over connecting to sockets by path.
const SOCKETS_ABI: u32 = 9;

struct Reading<'a> {
    tree: &'a Tree,
    host: &'a Host,
    why: Span,
    draft: &'a mut Draft,
}

impl Reading<'_> {
    fn entry(&mut self, path: &str, Node { mount, at }: &Node) {
        match mount {
            Mount::Bind(bind) => self.bind(path, bind, *at),
            Mount::Device { source } => self.device(path, source.as_ref().map_or(path, |source| source), *at),
            Mount::Socket(source) if **source == *path => {
                self.grant(path, Rights::READ.and(Rights::WRITE).and(Rights::CONNECT), *at);
            }
            Mount::Socket(source) => self.renamed(path, source, *at),
            Mount::Dev { extra } if path == "/dev" => {
                for name in dev::NODES {
                    let op = Op::LandlockRule {
                        path: Name::new(&format!("/dev/{name}")),
                        rights: DEVICE_RIGHTS.within(Rights::OF_FILES),
                        inode: Inode::default(),
                    };
                    self.draft.step(Stage::Rules, op, *at);
                }
                for path in extra {
                    self.grant(path, DEVICE_RIGHTS, *at);
                }
            }
            // A lint tells of it.
            Mount::Hide { .. } if above(self.tree, path).is_none_or(|(_, node)| !grants(&node.mount)) => {}
            other => self.refuse(path, what(other), "leave the entry out", *at),
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
            return self.refuse(path, "a bind without the mounts below it", "leave `recursive` out", at);
        }
        let file = match self.host.at(path) {
            Fact::Present(file) => file,
            Fact::Absent(libc::ENOENT) if bind.missing == Missing::Create => {
                return self.refuse(path, "a new folder", &format!("make it first: mkdir -p {path}"), at);
            }
            Fact::Absent(errno) => return self.absent(path, Some(bind), *errno, at),
        };
        match file.kind {
            // Rules are held against the file that a link leads to, and that file's own entry grants it.
            FileKind::Link(_) => return,
            FileKind::Socket => {
                let problem = Problem::new("mounts::socket", at, format!("cannot bind {path}: it is a socket"));
                return self.draft.problem(problem.help(format!("write \"{path}\" = {{ socket = \"{path}\" }}")));
            }
            _ => {}
        }
        if let Some(problem) = checks::check(path, path, bind, file, self.host, at) {
            return self.draft.problem(problem);
        }
        if let Some((over, node)) = above(self.tree, path)
            && let Mount::Bind(wider) = &node.mount
            && !bind_rights(bind, true).holds(bind_rights(wider, true))
        {
            let what = if (bind.access, wider.access) == (Access::ReadOnly, Access::ReadWrite) { "read-only" } else { "less" };
            let message = format!("cannot grant {what} at {path} below {over}: a rule of Landlock takes nothing back");
            let problem = Problem::new("landlock::narrower", at, message).also(node.at, "this grants more").also(self.why, "because of this");
            let help = "grant the folders beside it one by one, or let the sandbox have a file tree of its own: namespaces.mount = \"new\"";
            return self.draft.problem(problem.help(help));
        }
        self.rule(path, bind_rights(bind, file.kind == FileKind::Folder), file, at);
    }

    fn device(&mut self, path: &str, source: &str, at: Span) {
        if source != path {
            return self.renamed(path, source, at);
        }
        self.grant(path, DEVICE_RIGHTS, at);
    }

    /// A rule for what is at `path`, which must be there.
    fn grant(&mut self, path: &str, rights: Rights, at: Span) {
        match self.host.at(path) {
            Fact::Present(file) => {
                let rights = if file.kind == FileKind::Folder { rights } else { rights.within(Rights::OF_FILES) };
                self.rule(path, rights, file, at);
            }
            Fact::Absent(errno) => self.absent(path, None, *errno, at),
        }
    }

    fn absent(&mut self, path: &str, bind: Option<&Bind>, errno: i32, at: Span) {
        let problem = Problem::new("mounts::source", at, format!("cannot grant {path}: {}", errno_words(errno)));
        let skip = bind.map(|bind| spelled::line(path, &Mount::Bind(Bind { missing: Missing::Skip, ..bind.clone() })));
        let help = skip.map_or("make it, or leave the entry out".into(), |line| format!("make it, or let the entry go where it is absent: {line}"));
        self.draft.problem(problem.help(help));
    }

    fn rule(&mut self, path: &str, rights: Rights, file: &File, at: Span) {
        let place = file.real.as_ref().map_or(path, |(real, _)| real);
        let op = Op::LandlockRule { path: Name::new(place), rights, inode: file.inode };
        self.draft.step(Stage::Rules, op, at);
    }

    fn renamed(&mut self, path: &str, source: &str, at: Span) {
        self.refuse(path, &format!("{source} under another name"), &format!("write \"{source}\" = ..., and use that name"), at);
    }

    fn refuse(&mut self, path: &str, what: &str, help: &str, at: Span) {
        let message = format!("cannot put {what} at {path}: the sandbox has no file tree of its own");
        self.draft.problem(
            Problem::new("namespaces::mount", at, message)
                .also(self.why, "because of this")
                .help(format!("{help}, or let it have one: namespaces.mount = \"new\"")),
        );
    }
}

/// Whether an entry grants what is below it.
fn grants(mount: &Mount) -> bool {
    matches!(mount, Mount::Bind(_) | Mount::Device { .. })
}

fn what(mount: &Mount) -> &'static str {
    match mount {
        Mount::Tmpfs(_) => "a tmpfs",
        Mount::Proc { .. } => "a proc of its own",
        Mount::Dev { .. } => "a /dev under another name",
        Mount::Sysfs => "a sysfs of its own",
        Mount::Mqueue => "message queues of its own",
        Mount::Dir { .. } => "a folder of its own",
        Mount::Symlink(_) => "a symbolic link",
        Mount::File { .. } => "a file of its own",
        Mount::Hide { .. } => "a cover",
        Mount::Bind(_) | Mount::Device { .. } | Mount::Socket(_) => "it",
    }
}
