//! Grants that are refused unless the entry says the word: wide ones, and those through which the
//! host could be reached.

use super::kinds::{Access, Bind, Broad, Dev, Device, Mount, Proc, Sockets, Sysfs};
use super::system::{is_system, lies_in_the_system};
use super::tree::Tree;
use super::{beside, sockets, written};
use crate::host::{File, FileKind, Host, Loose};
use crate::language::value::{AbsolutePath, below, parent};
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;

/// The surroundings of a bind.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    /// What else the profile puts there.
    pub tree: &'a Tree,
    pub host: &'a Host,
    /// Whether a socket can be covered: nothing is mounted in the host's own file tree.
    pub can_cover: bool,
    pub fresh: Fresh,
}

/// Which file systems of the kernel can be mounted anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh {
    /// Not where the processes are those of another user namespace.
    pub proc: bool,
    /// Not where the network is.
    pub sysfs: bool,
}

impl Fresh {
    /// Where nothing is shared.
    pub(crate) const ALL: Fresh = Fresh { proc: true, sysfs: true };
}

/// Why a bind is refused, and what to do.
pub(crate) struct Refused {
    code: &'static str,
    /// What cannot be done: `cannot VERB OBJECT`.
    what: String,
    pub why: String,
    help: String,
}

impl Refused {
    /// Whether it is only wider than the entry says the word for.
    pub(crate) fn is_broad(&self) -> bool {
        self.code == BROAD
    }

    /// Whether it is a link that another user could lead elsewhere.
    pub(crate) fn is_link(&self) -> bool {
        self.code == LINK
    }

    /// The problem of the entry that is at this place.
    pub(crate) fn problem(self, at: Span) -> Problem {
        let label = if self.is_broad() { "too broad" } else { "here" };
        let Refused { code, what, why, help } = self;
        Problem::new(code, at, format!("{what}: {why}")).label(label).help(help)
    }
}

const BROAD: &str = "mounts::broad";
const LINK: &str = "mounts::link";

/// Checks a bind of `source` at `path`.
pub(crate) fn check(
    path: &str,
    source: &str,
    bind: &Bind,
    file: &File,
    around: Around<'_>,
) -> Option<Refused> {
    // The real place counts, not the name that leads there.
    let place = file.real.as_ref().map_or(source, |(real, _)| real.as_str());
    kernel_tree(path, place, file, around.fresh)
        .or_else(|| foreign_link(path, source, bind, file))
        .or_else(|| no_sockets(path, place, bind, (file, around)))
        .or_else(|| {
            (bind.access == Access::ReadWrite && bind.broad == Broad::Refuse)
                .then(|| refuse_broad(path, place, bind, around))
                .flatten()
        })
}

/// What to do where there is no sysfs of the sandbox's own.
pub(crate) const PARTS_OF_SYS: &str =
    "name the directories that are needed, such as \"/sys/devices/system/cpu\" = \"ro\"";

/// The host's proc, sys and dev have kinds of their own: bound, they would show the host's
/// processes and devices.
fn kernel_tree(path: &str, source: &str, file: &File, fresh: Fresh) -> Option<Refused> {
    let refuse = |help: String| {
        Some(Refused {
            code: "mounts::kernel-tree",
            what: format!("cannot bind the host's {source}"),
            why: "it shows the host, not the sandbox".into(),
            help,
        })
    };
    if below(source, "/proc").is_some() && !fresh.proc {
        return refuse("leave the entry out: its processes are not those of the sandbox".into());
    }
    if below(source, "/proc").is_some() {
        let line = written::line(path, &Mount::Proc(Proc::PLAIN));
        return refuse(format!("write {line} for the sandbox's own"));
    }
    if source == "/sys" && !fresh.sysfs {
        return refuse(PARTS_OF_SYS.into());
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
    device.then(|| Refused {
        code: "mounts::device",
        what: format!("cannot bind {source}"),
        why: "it is a device, and bound trees have no devices".into(),
        help: format!("write {}", written::line(path, &Mount::Device(Device::of(source)))),
    })
}

/// A sysfs shows the devices of a network, and the kernel mounts it only for a user namespace that
/// this network belongs to (sysfs(5)): not where the network, of this line, is the host's.
pub(crate) fn refuse_sysfs(tree: &Tree, network: Span, draft: &mut Draft) {
    for (path, node) in tree.iter().filter(|(_, node)| matches!(node.mount, Mount::Sysfs(_))) {
        let message = format!(
            "cannot mount a sysfs at {path}: it shows the devices of the network, and that is the \
             host's"
        );
        let help = "grant the parts of the host's that are needed in its place, such as /sys/class and \
                    /sys/devices, each as \"ro\"";
        draft.problem(
            Problem::new("mounts::sysfs", node.at, message)
                .also(network, "because of this")
                .help(help),
        );
    }
}

/// A link that an ordinary user owns can have been put there by an earlier target that had the
/// directory writable.
fn foreign_link(path: &str, source: &str, bind: &Bind, file: &File) -> Option<Refused> {
    let (real, roots) = file.real.as_ref()?;
    (!roots).then(|| Refused {
        code: LINK,
        what: format!("cannot bind {source}"),
        why: "a directory on the way is a symbolic link that is not root's".into(),
        help: format!(
            "name the place that it means now: {}",
            bound(path, Bind { source: Some(AbsolutePath(real.clone())), ..bind.clone() })
        ),
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
) -> Option<Refused> {
    let Around { tree, can_cover, .. } = around;
    if bind.sockets == Sockets::Allow || file.kind != FileKind::Directory {
        return None;
    }
    let with =
        |sockets: Sockets| written::line(path, &Mount::Bind(Bind { sockets, ..bind.clone() }));
    let refuse = |what: String, why: String, help: String| {
        Some(Refused { code: "mounts::sockets", what, why, help })
    };
    let grant = || {
        format!("bind what is needed below it, or grant what is in it: {}", with(Sockets::Allow))
    };
    let runtime = ["/run", "/tmp", "/var/run", "/var/tmp"].contains(&source)
        || ["/run/user", "/run/dbus", "/run/systemd"].iter().any(|of| below(source, of).is_some());
    if runtime {
        let why = format!("it is where services keep their sockets, and {}", connects(bind));
        return refuse(format!("cannot bind {source} whole"), why, grant());
    }
    let first =
        sockets::shown(tree, path, file).next().filter(|_| bind.sockets == Sockets::Refuse)?;
    let why = format!("it holds sockets ({first}), and {}", connects(bind));
    let help = if can_cover { format!("cover them: {}", with(Sockets::Hide)) } else { grant() };
    refuse(format!("cannot bind {source}"), why, help)
}

/// The line of a bind.
fn bound(path: &str, bind: Bind) -> String {
    written::line(path, &Mount::Bind(bind))
}

/// A writable grant that is wider than it looks.
fn refuse_broad(path: &str, source: &str, bind: &Bind, around: Around<'_>) -> Option<Refused> {
    let Around { host, can_cover, .. } = around;
    let why = why_broad(source, host).or_else(|| holds_profile(source, host, can_cover))?;
    Some(Refused {
        code: BROAD,
        what: format!("cannot grant {source} for writing"),
        why,
        help: format!(
            "bind a directory below it, or give this protection up if that is what you want: {}",
            bound(path, Bind { broad: Broad::Allow, ..bind.clone() })
        ),
    })
}

/// Where all services of the system keep their state.
const STATE: &[&str] = &["/var/lib", "/var/spool", "/var/cache"];
/// Where users' jobs lie (cron(8)).
const CRON: &str = "/var/spool/cron";

/// Why the target could widen the next run by what it writes in a place, if it could: the profile
/// of this run is there, or a name by which this run found it, and no entry keeps that.
pub(crate) fn holds_profile(source: &str, host: &Host, can_cover: bool) -> Option<String> {
    let holds = |path: &&String| below(path, source).is_some();
    let loose = host.loose_profiles.iter().find(|loose| holds(&&loose.path));
    let is_open = |profile: &&String| {
        holds(profile) && !(can_cover && *profile != source && beside::can_be_kept(profile, host))
    };
    let open = || host.profiles.iter().find(is_open);
    if let Some(Loose { path, is_link }) = loose {
        return Some(match is_link {
            true => format!(
                "it holds the symbolic link {path}, by which this run found its profile, and which \
                 the target could replace"
            ),
            false => format!(
                "it has room for {path}, which this run's profile extends once it is there, and \
                 which the target could make"
            ),
        });
    }
    let profile = open()?;
    let names = host.present(profile).is_some_and(|file| file.names > 1);
    Some(match names && can_cover {
        true => format!(
            "it holds a profile of this run, {profile}, of which there is another hard link that \
             the target could write to"
        ),
        false => format!(
            "it holds a profile of this run, {profile}, which the target could widen for the next \
             one"
        ),
    })
}

/// Whether a directory is the system's own, or holds what that keeps.
pub(crate) fn is_of_the_system(path: &str) -> bool {
    is_system(path) || lies_in_the_system(path) || STATE.contains(&path)
}

/// Why a directory is too wide to be written to, if it is: what is written there is run or read
/// later by the host.
pub(crate) fn why_broad(source: &str, host: &Host) -> Option<String> {
    let holds = |path: &str| below(path, source).is_some();
    // Another run may have another XDG_CONFIG_HOME, or none.
    let config = ["/etc/stockade".to_owned(), format!("{}/.config/stockade", host.caller.home)];
    let mut config = config.iter().chain(&host.caller.user_profiles);
    if source == "/" {
        Some("it is the whole tree".into())
    } else if is_of_the_system(source) {
        Some("it belongs to the system".into())
    } else if below(source, CRON).is_some() {
        Some("cron runs what is in it".into())
    } else if holds(&host.caller.home)
        || ["/home", "/root"].contains(&source)
        || parent(source) == "/home"
    {
        Some("it is a home, or holds one".into())
    } else if config.any(|path| holds(path)) {
        Some("it holds stockade's configuration".into())
    } else {
        // A target that writes there chooses whom `stockade kill` and the next run end.
        let registry = host.caller.registry();
        let why = "it holds the records of running sandboxes, by which stockade ends processes";
        holds(&registry).then(|| why.into())
    }
}
