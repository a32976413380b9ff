//! An invented machine, so that what is planned does not depend on the one that runs the tests.

use std::collections::BTreeMap;
use stockade::internals::host::caller::Caller;
use stockade::internals::host::groups::{Groups, Hierarchy};
use stockade::internals::host::keys::Key;
use stockade::internals::host::layering;
use stockade::internals::host::parts::{Brought, Left, Part, Parts, Shown};
use stockade::internals::host::programs::{Lack, Piece, Program};
use stockade::internals::host::streams::{Owner, Stream};
use stockade::internals::host::systemd::{self, Route, Unreached};
use stockade::internals::host::trail::{self, Trail};
use stockade::internals::host::{Fact, File, FileKind, Host};
use stockade::internals::inspect::exposure::keys;
use stockade::internals::inspect::lint;
use stockade::internals::kernel::controller::Version;
use stockade::internals::kernel::device::Node;
use stockade::internals::kernel::limit::LimitKey;
use stockade::internals::kernel::name::Inode;
use stockade::internals::plan::settle;
use stockade::internals::policy::mounts;
use stockade::internals::profile::Profile;

/// A link that a profile may keep.
const LINKED: &str = "/home/ann/linked/.git";

/// Who owns a file of the machine.
const ROOT: u32 = 0;
const ANN: u32 = 1000;

/// A directory without a link in its path, a link, or another kind of file.
enum HostFile {
    Folder,
    Regular,
    Link(&'static str),
    Socket,
    Device,
    /// A directory that holds a socket.
    Sockets,
    /// A directory behind a link, with its real place and whether the link is root's.
    Behind(&'static str, bool),
}

use HostFile::{Behind, Device, Folder, Link, Regular, Socket, Sockets};

/// Everything that the machine has.
const FILES: &[(&str, HostFile, u32)] = &[
    ("/", Folder, ROOT),
    ("/usr", Folder, ROOT),
    ("/usr/local", Folder, ROOT),
    ("/usr/share", Folder, ROOT),
    ("/usr/bin/tool", Regular, ROOT),
    ("/usr/lib64/ld.so", Regular, ROOT),
    ("/usr/lib64/libtool.so.1.2", Regular, ROOT),
    ("/usr/lib/locale", Folder, ROOT),
    ("/bin", Link("usr/bin"), ROOT),
    ("/sbin", Link("usr/sbin"), ROOT),
    ("/lib", Link("usr/lib"), ROOT),
    ("/lib64", Link("usr/lib64"), ROOT),
    ("/etc", Folder, ROOT),
    ("/etc/passwd", Regular, ROOT),
    ("/etc/group", Regular, ROOT),
    ("/etc/ssl/certs", Folder, ROOT),
    ("/etc/localtime", Link("/usr/share/zoneinfo/UTC"), ROOT),
    ("/usr/share/zoneinfo/UTC", Regular, ROOT),
    ("/opt", Folder, ROOT),
    ("/proc", Folder, ROOT),
    ("/proc/kallsyms", Regular, ROOT),
    ("/sys", Folder, ROOT),
    ("/sys/class", Folder, ROOT),
    ("/dev", Folder, ROOT),
    ("/dev/null", Device, ROOT),
    ("/dev/urandom", Device, ROOT),
    ("/dev/fuse", Device, ROOT),
    ("/dev/dri", Folder, ROOT),
    ("/run", Folder, ROOT),
    ("/run/user", Folder, ROOT),
    ("/run/agent.sock", Socket, ANN),
    ("/tmp", Folder, ROOT),
    ("/var/tmp", Folder, ROOT),
    ("/var/run/user", Behind("/run/user", true), ROOT),
    ("/var/alias/etc", Behind("/etc", true), ROOT),
    ("/home", Folder, ROOT),
    ("/home/ann", Folder, ANN),
    ("/home/ann/src", Folder, ANN),
    ("/home/disk", Folder, ROOT),
    ("/home/ann/work", Folder, ANN),
    ("/home/ann/work/.git", Folder, ANN),
    ("/home/ann/work/.git/hooks", Folder, ANN),
    ("/home/ann/work/.env", Regular, ANN),
    ("/home/ann/work/deep/er/secret", Folder, ANN),
    ("/home/ann/work/cache", Folder, ANN),
    ("/home/ann/alias/x", Behind("/srv/data/x", false), ANN),
    ("/srv/data", Folder, ANN),
    ("/srv/data/sub", Folder, ANN),
    ("/srv/data/x", Folder, ANN),
    ("/srv/roots", Folder, ROOT),
    ("/srv/profiles", Folder, ANN),
    ("/srv/profiles/this.toml", Regular, ANN),
    ("/srv/services", Sockets, ANN),
    ("/srv/rootfs", Folder, ROOT),
    ("/srv/rootfs/usr", Folder, ROOT),
    ("/srv/rootfs/bin", Link("usr/bin"), ROOT),
    ("/srv/rootfs/usr/bin", Folder, ROOT),
    ("/srv/rootfs/etc", Folder, ROOT),
    ("/srv/shelf", Folder, ANN),
    ("/srv/shelf/one", Folder, ANN),
    ("/home/ann/.ssh", Folder, ANN),
    ("/home/ann/linked", Folder, ANN),
    (LINKED, Link(".real"), ANN),
    ("/home/ann/linked/.real", Folder, ANN),
    ("/etc/hosts", Regular, 0),
    ("/etc/resolv.conf", Link("../run/systemd/resolve/stub-resolv.conf"), 0),
    ("/root/key", Regular, 0),
    ("/srv/rootfs/usr/share", Folder, ROOT),
    ("/srv/rootfs/var", Folder, ROOT),
    ("/srv/rootfs/var/tmp", Folder, ROOT),
    ("/srv/rootfs/home", Folder, ROOT),
    ("/srv/rootfs/home/ann", Folder, ANN),
    ("/srv/rootfs/home/ann/work", Folder, ANN),
];

pub fn fact(path: &str) -> Fact {
    let Some((place, (_, thing, owner))) = (0..).zip(FILES).find(|(_, (known, ..))| *known == path)
    else {
        return Fact::Absent(libc::ENOENT);
    };
    let (kind, real, sockets) = match thing {
        Folder => (FileKind::Directory, None, vec![]),
        Regular => (FileKind::Regular, None, vec![]),
        Link(text) => (FileKind::Link((*text).into()), None, vec![]),
        Socket => (FileKind::Socket, None, vec![]),
        Device => (FileKind::Device, None, vec![]),
        Sockets => (FileKind::Directory, None, vec!["control.sock".into()]),
        Behind(real, roots) => (FileKind::Directory, Some(((*real).into(), *roots)), vec![]),
    };
    let mode = if kind == FileKind::Directory { 0o755 } else { 0o644 };
    // ext4
    let fs = 0xef53;
    Fact::Present(File {
        kind,
        inode: Inode { dev: 1, ino: place },
        uid: *owner,
        gid: *owner,
        mode,
        names: 1,
        real,
        fs,
        sockets,
    })
}

/// What the lints ask for besides.
pub fn look_closer(host: &mut Host, profile: &Profile) {
    let settled = settle(profile, host);
    for path in lint::wanted(&settled) {
        let fact = fact(&path);
        host.paths.entry(path).or_insert(fact);
    }
    let homes = [host.caller.home.as_str(), "/home/bob"];
    let there =
        keys::wanted(homes).into_iter().filter(|path| matches!(fact(path), Fact::Present(_)));
    host.keys = there.map(|path| Key { place: path.clone(), path }).collect();
    for folder in lint::looked_into(&settled, host) {
        let names =
            FILES.iter().filter_map(|(path, ..)| path.strip_prefix(&folder)?.strip_prefix('/'));
        let names = names.filter(|name| !name.contains('/')).map(str::to_owned).collect();
        host.names.insert(folder, names);
    }
}

/// What a program needs: itself, its loader and one library. The machine has no other.
fn program(word: &str) -> Program {
    let file = |path: &str| {
        let Fact::Present(file) = fact(path) else { panic!("{path}") };
        (path.to_owned(), Piece::File { source: path.to_owned(), inode: file.inode })
    };
    let link = |path: &str, text: &str| (path.to_owned(), Piece::Link(text.to_owned()));
    let word = word.to_owned();
    if word != "sh" && word != "true" && word != "tool" && word != "/usr/bin/tool" {
        let lacks = vec![Lack::Program {
            name: word.clone(),
            directories: vec!["/usr/bin".into(), "/bin".into()],
            near: Some("tool".into()),
            link: None,
        }];
        return Program { word, lacks, ..Program::default() };
    }
    let pieces = [
        file("/usr/bin/tool"),
        link("/lib64", "usr/lib64"),
        file("/usr/lib64/ld.so"),
        link("/usr/lib64/libtool.so.1", "libtool.so.1.2"),
        file("/usr/lib64/libtool.so.1.2"),
        ("/proc".to_owned(), Piece::Proc),
    ];
    Program { word, pieces: pieces.into_iter().collect(), lacks: vec![] }
}

/// Ann, an ordinary user.
pub fn caller() -> Caller {
    let env = [("LANG", "C.UTF-8"), ("TERM", "dumb"), ("TOKEN", "secret"), ("EMPTY", "")];
    Caller {
        uid: ANN,
        gid: ANN,
        user: "ann".into(),
        home: "/home/ann".into(),
        cwd: "/home/ann/work".into(),
        runtime_dir: Some("/run/user/1000".into()),
        session_dir: None,
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
        system_profiles: "/nonexistent".into(),
        user_profiles: None,
    }
}

/// The names of this machine's root, and where it has mounts: one below /home, and one of the
/// kernel's.
fn brought(profile: &Profile) -> Brought {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let root_names = match mounts::bound_root(&profile.mounts) {
        Some("/") => names(&["bin", "dev", "etc", "home", "proc", "run", "tmp", "usr"]),
        Some(_) => names(&["bin", "etc", "usr"]),
        None => vec![],
    };
    let part = |(path, shown): &(&str, Shown)| Part { path: (*path).to_owned(), shown: *shown };
    let home = [("/home/ann", Shown::Merged), ("/home/disk", Shown::Merged)];
    let root = [
        ("/bin", Shown::Bound),
        ("/etc", Shown::Merged),
        ("/home", Shown::Made(0o755)),
        ("/usr", Shown::Merged),
    ];
    let left = vec![Left { path: "/home/kernel".into(), kernel: Some("debugfs".into()) }];
    let parts = |parts: Vec<Part>| Parts { parts, left: left.clone(), ..Parts::default() };
    let trees = [
        ("/", parts(root.iter().chain(&home).map(part).collect())),
        ("/home", parts(home.iter().map(part).collect())),
    ];
    let trees = trees.map(|(path, parts)| (path.to_owned(), parts));
    Brought { root_names, trees: BTreeMap::from(trees) }
}

/// The machine as an ordinary user sees it.
pub fn for_user(profile: &Profile) -> Host {
    let programs: Vec<Program> = profile
        .programs
        .items
        .iter()
        .map(|item| item.value.text(&profile.process).map(program).unwrap_or_default())
        .collect();
    let mut host = Host {
        programs,
        caller: caller(),
        pid: 4242,
        kernel: (6, 12),
        node_name: "box".into(),
        resolver: Some(Ok(b"nameserver 127.0.0.53\n".to_vec())),
        hosts: Some(Ok(b"127.0.0.1 localhost\n127.0.1.1 box\n".to_vec())),
        landlock: Some(6),
        brought: brought(profile),
        streams: [Stream::Other; 3],
        users: BTreeMap::from([("ann".to_owned(), ANN), ("daemon".to_owned(), 1)]),
        groups: BTreeMap::from([("ann".to_owned(), ANN), ("adm".to_owned(), 4)]),
        subuid: vec![(100_000, 65_536)],
        subgid: vec![(100_000, 65_536)],
        taken: vec![(0, 1000), (ANN, 1), (65_534, 1), (100_000, 65_536)],
        profile: "/srv/profiles/this.toml".into(),
        profiles: vec!["/srv/profiles/this.toml".into()],
        control_groups: if profile.limits.is_used() { delegated() } else { Groups::default() },
        ..Host::default()
    };
    // Every link of this machine leads to a file of it.
    for path in mounts::follow::wanted(&profile.mounts) {
        let (links, end) = match FILES.iter().find(|(known, ..)| *known == path) {
            Some((_, Link(text), owner)) => {
                let link = trail::Link { place: path.clone(), text: (*text).into(), owner: *owner };
                (vec![link], (*text).to_owned())
            }
            _ => (vec![], path.clone()),
        };
        host.followed.insert(path, Trail { links, end, ..Trail::default() });
    }
    host.paths = paths(profile, &host);
    host.expected = ["/home/ann", "/home/ann/work", "/tmp", "/var/tmp"].map(str::to_owned).to_vec();
    let expanded = mounts::settle::expanded(&profile.mounts, &host);
    let tree = mounts::tree::tree(expanded.as_ref().unwrap_or(&profile.mounts), &host.brought);
    mounts::look_at_expected(&mut host, &tree, fact);
    if host.paths.contains_key(LINKED) {
        let end = "/home/ann/linked/.real".to_owned();
        host.paths.insert(end.clone(), fact(&end));
        let link = trail::Link { place: LINKED.into(), text: ".real".into(), owner: ANN };
        host.trails.insert(LINKED.into(), Trail { links: vec![link], end, ..Trail::default() });
    }
    for program in &host.programs {
        let sources = program.pieces.values().filter_map(|piece| {
            if let Piece::File { source, .. } = piece { Some(source) } else { None }
        });
        host.paths.extend(sources.map(|source| (source.clone(), fact(source))));
    }
    host
}

/// What the profile asks for of this machine's files.
fn paths(profile: &Profile, host: &Host) -> BTreeMap<String, Fact> {
    let expanded = mounts::settle::expanded(&profile.mounts, host);
    let mounts = expanded.as_ref().unwrap_or(&profile.mounts);
    let tree = mounts::tree::tree(mounts, &host.brought);
    let wanted = mounts::wanted(&tree, mounts, &host.brought).into_iter();
    wanted.map(|path| (path.clone(), fact(&path))).collect()
}

/// Version 2 alone, and Ann's scope in it, which is hers: nobody else is in it, and nothing is
/// switched on yet.
fn delegated() -> Groups {
    let hierarchy = Hierarchy {
        version: Version::V2,
        controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
        mount: "/sys/fs/cgroup".into(),
        directory: "/sys/fs/cgroup/ann.scope".into(),
        enabled: vec!["pids".into()],
        inside: true,
        swap: true,
        least: BTreeMap::from([(LimitKey::Memory, (1 << 30, "/sys/fs/cgroup".to_owned()))]),
        ..Hierarchy::default()
    };
    Groups { hierarchies: vec![hierarchy], ram: 8 << 30, page: 4096, ..Groups::default() }
}

/// What Ann's systemd would give: a scope somewhere below her manager's group.
fn scope() -> Hierarchy {
    let own = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
    let socket =
        systemd::Socket { path: "/run/user/1000/systemd/private".into(), route: Route::Private };
    let [mut hierarchy] = delegated().hierarchies.try_into().unwrap();
    (hierarchy.directory, hierarchy.own, hierarchy.enabled, hierarchy.scope) =
        (own.into(), own.into(), vec![], Some(socket));
    hierarchy
}

/// A hybrid machine: the classic controllers in version 1, huge pages in version 2.
fn hybrid() -> Groups {
    let v1 = |name: &str| Hierarchy {
        version: Version::V1,
        controllers: vec![name.to_owned()],
        mount: format!("/sys/fs/cgroup/{name}"),
        directory: format!("/sys/fs/cgroup/{name}/jobs"),
        swap: true,
        cpus: "0-3".into(),
        nodes: "0".into(),
        ..Hierarchy::default()
    };
    let mut hierarchies: Vec<Hierarchy> =
        ["cpu", "cpuacct", "cpuset", "memory", "blkio", "pids", "devices", "freezer", "net_cls"]
            .map(v1)
            .to_vec();
    let unified = "/sys/fs/cgroup/unified".to_owned();
    let controllers = vec!["hugetlb".to_owned()];
    hierarchies.push(Hierarchy {
        version: Version::V2,
        controllers,
        directory: unified.clone(),
        mount: unified,
        top: true,
        ..Hierarchy::default()
    });
    let nodes = vec![Node { block: false, major: 1, minor: Some(3) }];
    Groups {
        hierarchies,
        ram: 8 << 30,
        page: 4096,
        huge_pages: vec![2 << 20, 1 << 30],
        blocks: BTreeMap::from([
            ("/dev/sda".to_owned(), Ok((8, 0))),
            ("/proc".to_owned(), Err(libc::ENOTBLK)),
        ]),
        nodes,
        ..Groups::default()
    }
}

/// The same for root.
pub fn for_root(profile: &Profile) -> Host {
    let mut host = for_user(profile);
    host.caller =
        Caller { uid: 0, gid: 0, user: "root".into(), home: "/root".into(), ..host.caller };
    if profile.limits.is_used() {
        host.control_groups = hybrid();
    }
    // Root's overlays have the mounts alone as their parts.
    for parts in host.brought.trees.values_mut() {
        parts.whole = true;
        parts.parts.retain(|part| part.path == "/home/disk");
    }
    let hidden = ["/dev", "/proc", "/run"].map(str::to_owned);
    let hidden = hidden.map(|path| Part { path, shown: Shown::Hidden });
    host.brought.trees.entry("/".into()).or_default().parts.extend(hidden);
    host.paths.extend(paths(profile, &host));
    host
}

/// What fuse-overlayfs starts with.
fn server() -> Vec<layering::Part> {
    let part = |(name, source): (&str, &str)| layering::Part {
        name: name.into(),
        source: source.into(),
        inode: Inode::default(),
    };
    [
        ("/fuse-overlayfs", "/usr/lib64/ld-linux-x86-64.so.2"),
        ("/lib/libc.so.6", "/usr/lib64/libc.so.6"),
        ("/program", "/usr/bin/fuse-overlayfs"),
    ]
    .map(part)
    .into()
}

/// By the name of a golden file: `root-` is root's, `old-` has an old kernel, `older-` one before
/// Linux 6.3, `bare-` has no Landlock, `terminal-` a terminal; `shared-`, `scoped-`, `lonely-` and
/// `bound-` are of a login session; `copied-` has no overlayfs,
/// and `served-` has fuse-overlayfs.
pub fn for_name(name: &str, profile: &Profile) -> Host {
    match name.split('-').next() {
        Some("root") => for_root(profile),
        Some("old") => Host { kernel: (5, 10), ..for_user(profile) },
        Some("older") => Host { kernel: (6, 1), landlock: Some(2), ..for_user(profile) },
        // A login session: another process is in the launcher's group, and the group is root's.
        Some("shared") => {
            let mut host = for_user(profile);
            for hierarchy in &mut host.control_groups.hierarchies {
                (hierarchy.others, hierarchy.refused) = (3, libc::EACCES);
            }
            host
        }
        // The same, with systemd: one that gives a scope, one that does not run, and one where the
        // launcher's group has a limit of its own.
        Some(kind @ ("scoped" | "lonely" | "bound")) => {
            let mut host = for_name("shared", profile);
            let groups = &mut host.control_groups;
            groups.systemd = Some(if kind == "lonely" {
                Err(Unreached { socket: None, errno: libc::ENOENT })
            } else {
                Ok(scope())
            });
            if kind == "bound" {
                let least = groups.hierarchies.first_mut().map(|first| &mut first.least);
                least.into_iter().for_each(|least| {
                    drop(least.insert(LimitKey::Pids, (10, "/sys/fs/cgroup/ann.scope".to_owned())))
                });
            }
            host
        }
        Some("copied") => Host { no_overlayfs: true, ..for_user(profile) },
        Some("served") => Host { server: Some(Ok(server())), ..for_user(profile) },
        Some("bare") => Host { landlock: None, ..for_user(profile) },
        Some("terminal") => Host {
            streams: [
                Stream::Terminal { read: true },
                Stream::File { read: false, write: true, owner: Owner::Nobody },
                Stream::Closed,
            ],
            ..for_user(profile)
        },
        _ => for_user(profile),
    }
}
