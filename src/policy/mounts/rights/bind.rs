//! A bind as a grant on the host's tree: what it says beyond one is refused.

use super::super::draft::bind_rights;
use super::super::kinds::{Access, Bind, Follow, Missing, Mount, Socket};
use super::super::{checks, written};
use super::Reading;
use super::places::{place, redirected, wider};
use crate::host::{Fact, File, FileKind};
use crate::language::value::{ancestors, below, parent};
use crate::text::problem::Problem;
use crate::text::shell::shell_word;
use crate::text::source::Span;

impl Reading<'_> {
    pub(super) fn bind(&mut self, path: &str, bind: &Bind, at: Span) {
        let source = bind.source_at(path);
        if bind.follow != Follow::No {
            let help = "write the path that the link leads to, without `follow`";
            return self.refuse(path, "what a link leads to", help, at);
        }
        if source != path {
            return self.renamed(path, source, at);
        }
        // The names in a bound root are entries of their own.
        if path == "/" {
            return;
        }
        if let Some((what, help)) = self.more_than_a_grant(bind) {
            return self.refuse(path, what, help, at);
        }
        let file = match self.host.at(path) {
            Fact::Present(file) => file,
            Fact::Absent(libc::ENOENT) if bind.missing == Missing::Create => {
                let help = format!("make it first: mkdir -p {path}");
                return self.refuse(path, "a new directory", &help, at);
            }
            Fact::Absent(errno) => return self.absent(path, *errno, at),
        };
        if let Some(grant) = wider(self.places, path, place(path, file), bind_rights(bind, true)) {
            let read_only = bind.access == Access::ReadOnly && grant.writable;
            let kept = if read_only { "read-only" } else { "less" };
            return self.narrower(path, (grant.path, grant.at), kept, at);
        }
        if let FileKind::Link(_) = file.kind {
            return self.link(path, bind, at);
        }
        if let Some(problem) = self.refused(path, bind, file, at) {
            return self.draft.problem(problem);
        }
        if !self.is_closed(place(path, file), at) {
            self.note_unwritable(path, bind, file, at);
        }
        self.rule(path, bind_rights(bind, file.kind == FileKind::Directory), file, at);
    }

    /// A setting of a bind that only a mount can have, and what to do instead.
    fn more_than_a_grant(&self, bind: &Bind) -> Option<(&'static str, &'static str)> {
        if !bind.recursive {
            return Some(("a bind without the mounts below it", "leave `recursive` out"));
        }
        // Ids are mapped on mounts, and to root alone the word means anything.
        let maps = bind.owner_root && self.host.caller.uid == 0;
        maps.then_some(("a bind that is root's for the target", "leave `owner` out"))
    }

    /// Rules are held against the file that a link leads to, and that file's own entry grants it.
    fn link(&mut self, path: &str, bind: &Bind, at: Span) {
        if bind.access == Access::ReadOnly
            && let Some(grant) = redirected(self.places, path, bind, self.host)
        {
            self.narrower(path, (grant.path, grant.at), "read-only", at);
        }
    }

    /// Why what is there is not granted, if it is not.
    fn refused(&self, path: &str, bind: &Bind, file: &File, at: Span) -> Option<Problem> {
        if file.kind == FileKind::Socket {
            let message = format!("cannot bind {path}: it is a socket");
            let line = written::line(path, &Mount::Socket(Socket::of(path)));
            let problem = Problem::new("mounts::socket", at, message);
            return Some(problem.help(format!("write {line}")));
        }
        let around = checks::Around {
            tree: self.tree,
            host: self.host,
            can_cover: false,
            fresh: checks::Fresh::ALL,
        };
        self.kernel_tree(path, place(path, file), at)
            .or_else(|| Some(checks::check(path, path, bind, file, around)?.problem(at)))
            .or_else(|| (!bind.exec).then(|| self.mapped(path, bind, at)))
    }

    fn narrower(&mut self, path: &str, (over, wider_at): (&str, Span), kept: &str, at: Span) {
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

    /// Landlock's right to execute is asked for by execve(2) alone: the loader maps the program
    /// that its arguments name (`ld.so ./program`).
    fn mapped(&self, path: &str, bind: &Bind, at: Span) -> Problem {
        let message = format!(
            "cannot keep what is in {path} from being executed: Landlock does not rule over \
             mmap(2), so a loader can run it"
        );
        let said = written::line(path, &Mount::Bind(Bind { exec: true, ..bind.clone() }));
        let help = format!(
            "let it be executed: {said}; or let the sandbox have a file tree of its own: {}",
            self.ground.own_tree
        );
        Problem::new("landlock::narrower", at, message)
            .also(self.ground.why, "because of this")
            .help(help)
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
            checks::PARTS_OF_SYS
        } else {
            return None;
        };
        let message = format!("cannot bind the host's {path}: it shows the host, not the sandbox");
        Some(Problem::new("mounts::kernel-tree", at, message).help(help))
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

    /// Without the caller's capabilities, only the mode decides what the target may do.
    fn note_unwritable(&mut self, path: &str, bind: &Bind, file: &File, at: Span) {
        let Some((user, group)) = self.ground.other else { return };
        if bind.access == Access::ReadOnly || may(WRITE, file, user, group) {
            return;
        }
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
}

const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// Whether the mode permits that to a user without capabilities and supplementary groups.
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
