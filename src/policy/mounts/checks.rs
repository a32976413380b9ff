//! Grants that are refused unless the entry says the word: wide ones, and those through which the
//! host could be reached.

use super::kinds::{Access, Bind, Broad, Dev, Device, Mount, Proc, Sockets, Sysfs};
use super::system::{is_system, lies_in_the_system};
use super::tree::Tree;
use super::{sockets, written};
use crate::host::{File, FileKind, Host};
use crate::language::value::{AbsolutePath, below, parent};
use crate::text::problem::Problem;
use crate::text::shell::shell_word;
use crate::text::source::Span;

/// What a bind stands in.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    /// What else the profile puts there.
    pub tree: &'a Tree,
    pub host: &'a Host,
    /// Whether a socket can be covered: nothing is mounted in the host's own file tree.
    pub can_cover: bool,
}

/// Checks a bind of `source` at `path`; the problem says what to do.
pub(crate) fn check(
    path: &str,
    source: &str,
    bind: &Bind,
    file: &File,
    around: Around<'_>,
    at: Span,
) -> Option<Problem> {
    // What counts is the place, not the name that leads there.
    let place = file.real.as_ref().map_or(source, |(real, _)| real.as_str());
    kernel_tree(path, place, file, at)
        .or_else(|| foreign_link(path, source, bind, file, at))
        .or_else(|| no_sockets(path, place, bind, (file, around), at))
        .or_else(|| {
            (bind.access == Access::ReadWrite && bind.broad == Broad::Refuse)
                .then(|| refuse_broad(path, place, bind, around.host, at))
                .flatten()
        })
}

/// The host's proc, sys and dev have kinds of their own: bound, they would show the host's
/// processes and devices.
fn kernel_tree(path: &str, source: &str, file: &File, at: Span) -> Option<Problem> {
    let refuse = |help: String| {
        Some(
            Problem::new(
                "mounts::kernel-tree",
                at,
                format!("cannot bind the host's {source}: it shows the host, not the sandbox"),
            )
            .help(help),
        )
    };
    if below(source, "/proc").is_some() {
        let line = written::line(path, &Mount::Proc(Proc::PLAIN));
        return refuse(format!("write {line} for the sandbox's own"));
    }
    if source == "/sys" {
        let line = written::line(path, &Mount::Sysfs(Sysfs));
        return refuse(format!("write {line} for that of the sandbox's own network namespace"));
    }
    if source == "/dev" {
        return refuse(format!(
            "write {} for the minimal one, and for each node more an entry of the kind `device`",
            written::line(path, &Mount::Dev(Dev { extra: vec![] }))
        ));
    }
    let device = file.kind == FileKind::Device;
    device.then(|| {
        Problem::new(
            "mounts::device",
            at,
            format!("cannot bind {source}: it is a device, and bound trees have no devices"),
        )
        .help(format!("write {}", written::line(path, &Mount::Device(Device::of(source)))))
    })
}

/// A link that an ordinary user owns can have been put there by an earlier target that had the
/// directory writable.
fn foreign_link(path: &str, source: &str, bind: &Bind, file: &File, at: Span) -> Option<Problem> {
    let (real, roots) = file.real.as_ref()?;
    (!roots).then(|| {
        Problem::new(
            "mounts::link",
            at,
            format!(
                "cannot bind {source}: a directory on the way is a symbolic link that is not root's"
            ),
        )
        .help(format!(
            "name the place that it means now: {}",
            bound(path, Bind { source: Some(AbsolutePath(real.clone())), ..bind.clone() })
        ))
    })
}

/// Why sockets in a bind are the target's.
fn connects(bind: &Bind) -> &'static str {
    match bind.access {
        Access::ReadOnly => "a read-only bind does not stop connect(2)",
        Access::ReadWrite => "the target could connect(2) to them",
    }
}

/// Read-only does not stop connect(2): a directory of sockets is a grant of the services behind
/// them.
fn no_sockets(
    path: &str,
    source: &str,
    bind: &Bind,
    (file, around): (&File, Around<'_>),
    at: Span,
) -> Option<Problem> {
    let Around { tree, can_cover, .. } = around;
    if bind.sockets == Sockets::Allow || file.kind != FileKind::Directory {
        return None;
    }
    let with =
        |sockets: Sockets| written::line(path, &Mount::Bind(Bind { sockets, ..bind.clone() }));
    let grant = || {
        format!("bind what is needed below it, or grant what is in it: {}", with(Sockets::Allow))
    };
    let runtime = ["/run", "/tmp", "/var/run", "/var/tmp"].contains(&source)
        || ["/run/user", "/run/dbus", "/run/systemd"].iter().any(|of| below(source, of).is_some());
    if runtime {
        let why = format!("it is where services keep their sockets, and {}", connects(bind));
        return Some(
            Problem::new("mounts::sockets", at, format!("cannot bind {source} whole: {why}"))
                .help(grant()),
        );
    }
    if let Some(unnamed) =
        sockets::shown(tree, path, file).find(|socket| socket.contains(sockets::UNNAMED))
    {
        let message = format!(
            "cannot bind {source}: the path of a socket in it is not UTF-8 ({unnamed}), so that \
             nothing can cover it"
        );
        let help = format!(
            "find it with find {} -type s, and rename or remove it there",
            shell_word(source)
        );
        return Some(Problem::new("mounts::sockets", at, message).help(help));
    }
    let first =
        sockets::shown(tree, path, file).next().filter(|_| bind.sockets == Sockets::Refuse)?;
    let message =
        format!("cannot bind {source}: it holds sockets ({first}), and {}", connects(bind));
    let help = if can_cover { format!("cover them: {}", with(Sockets::Hide)) } else { grant() };
    Some(Problem::new("mounts::sockets", at, message).help(help))
}

/// The line of a bind.
fn bound(path: &str, bind: Bind) -> String {
    written::line(path, &Mount::Bind(bind))
}

/// A writable grant that is wider than it looks.
fn refuse_broad(path: &str, source: &str, bind: &Bind, host: &Host, at: Span) -> Option<Problem> {
    let why = why_broad(source, host)?;
    Some(Problem::new("mounts::broad", at, format!("cannot grant {source} for writing: {why}")).label("too broad").help(format!(
        "bind a directory below it, or give this protection up if that is what you want: {}",
        bound(path, Bind { broad: Broad::Allow, ..bind.clone() })
    )))
}

/// Where all services of the system keep their state.
const STATE: &[&str] = &["/var/lib", "/var/spool", "/var/cache"];
/// Where users' jobs lie (cron(8)).
const CRON: &str = "/var/spool/cron";

/// Why a directory is too wide to be written to, if it is: what is written there is run or read
/// later by the host.
pub(crate) fn why_broad(source: &str, host: &Host) -> Option<String> {
    let holds = |path: &str| below(path, source).is_some();
    let config = ["/etc/stockade".to_owned(), format!("{}/.config/stockade", host.caller.home)];
    if source == "/" {
        Some("it is the whole tree".into())
    } else if is_system(source) || lies_in_the_system(source) || STATE.contains(&source) {
        Some("it belongs to the system".into())
    } else if below(source, CRON).is_some() {
        Some("cron runs what is in it".into())
    } else if holds(&host.caller.home)
        || ["/home", "/root"].contains(&source)
        || parent(source) == "/home"
    {
        Some("it is a home, or holds one".into())
    } else if let Some(profile) = host.profiles.iter().find(|profile| holds(profile)) {
        Some(format!(
            "it holds a profile of this run, {profile}, which the target could widen for the next \
             one"
        ))
    } else if config.iter().any(|path| holds(path)) {
        Some("it holds stockade's configuration".into())
    } else {
        // A target that writes there chooses whom `stockade kill` and the next run end.
        let registry = host.caller.registry()?;
        let why = "it holds the records of running sandboxes, by which stockade ends processes";
        holds(&registry).then(|| why.into())
    }
}
