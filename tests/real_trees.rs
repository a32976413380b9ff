//! A Debian tree, as mmdebstrap makes one, is a layer: packages are installed above it, kept, listed,
//! exported and put on top of each other, and it stays as it was. With `FULL=1` alone: the tree comes
//! from the mirrors of this machine, by apt.

use crate::support::{As, Place, USER, said, skip, text};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Who starts stockade: root, a user with its own id alone, and one with subordinate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Root,
    One,
    Ranged(u32),
}

impl Caller {
    /// All of them that there are.
    fn all() -> Vec<Caller> {
        let [users, ranges] = ["/etc/passwd", "/etc/subuid"]
            .map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let ranged = ranges.lines().filter_map(|line| line.split(':').next()).find_map(|name| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let ids: Vec<u32> = line.split(':').skip(2).map_while(|id| id.parse().ok()).collect();
            (ids.len() == 2 && ids[0] == ids[1] && ids[0] != 0).then_some(Caller::Ranged(ids[0]))
        });
        if ranged.is_none() {
            skip("no user has subordinate ids");
        }
        [Caller::Root, Caller::One].into_iter().chain(ranged).collect()
    }

    fn id(self) -> Option<u32> {
        match self {
            Caller::Root => None,
            Caller::One => Some(USER),
            Caller::Ranged(id) => Some(id),
        }
    }
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output
}

/// The tree, made once for these tests and later ones; none where it is not wanted, or cannot be made.
fn debian() -> Option<&'static Path> {
    static TREE: OnceLock<Option<PathBuf>> = OnceLock::new();
    TREE.get_or_init(|| {
        std::env::var_os("FULL")?;
        let tree = made();
        tree.map_err(|why| skip(&why)).ok()
    })
    .as_deref()
}

fn made() -> Result<PathBuf, String> {
    if !crate::support::is_root() {
        return Err("a Debian tree is made by root".into());
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let suite = suite.ok_or("this machine is of no suite of Debian's")?.trim_matches('"');
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("debian-{suite}.tar"));
    if tree.exists() {
        return Ok(tree);
    }
    let lists = ["sources.list.d/debian.sources", "sources.list.d/ubuntu.sources", "sources.list"];
    let sources = lists.map(|name| Path::new("/etc/apt").join(name));
    let sources = sources.iter().find(|path| path.exists()).ok_or("apt has no sources here")?;
    let new = tree.with_file_name(format!("debian-{}.tar", std::process::id()));
    let output = Command::new("mmdebstrap")
        .args(["--variant=minbase", "--mode=root", suite])
        .arg(&new)
        .arg(sources)
        .output()
        .map_err(|error| format!("mmdebstrap: {error}"))?;
    if !output.status.success() {
        return Err(format!("mmdebstrap: {}", said(&output)));
    }
    std::fs::rename(new, &tree).unwrap();
    Ok(tree)
}

/// The tree of a caller's, and packages that it may install.
struct Debian {
    place: Place,
    caller: Caller,
    base: PathBuf,
}

/// What a package does to the tree besides: each kind of change.
const CHANGES: &str = "rm -r /usr/share/doc/adduser\nrm -r /usr/share/bug\necho file > /usr/share/bug\n\
                       rm -r /usr/share/menu\nmkdir /usr/share/menu\necho new > /usr/share/menu/new\n\
                       echo more >> /etc/issue\nchmod 600 /etc/issue.net\nln -sf nowhere \
                       /etc/localtime\nmkdir /var/lib/stk-one\n";

/// How these are listed, together with the files of the package and those of dpkg.
const LISTED: [&str; 19] = [
    "M  etc/issue",
    "M  etc/issue.net (mode 0600, was 0644)",
    "M  etc/localtime -> nowhere",
    "A  etc/stk-one.conf",
    "A  usr/bin/stk-one",
    "A  usr/bin/stk-one-again",
    "T  usr/share/bug (was a directory)",
    "D  usr/share/doc/adduser/",
    "D  usr/share/menu/bash",
    "D  usr/share/menu/dash",
    "A  usr/share/menu/new",
    "A  var/lib/dpkg/info/stk-one.conffiles",
    "A  var/lib/dpkg/info/stk-one.list",
    "A  var/lib/dpkg/info/stk-one.md5sums",
    "A  var/lib/dpkg/info/stk-one.postinst",
    "M  var/lib/dpkg/status",
    "M  var/lib/dpkg/status-old",
    "A  var/lib/stk-one/",
    "A  var/log/dpkg.log",
];

impl Debian {
    fn new(caller: Caller) -> Option<Debian> {
        let tree = debian()?;
        let place = Place::new();
        place.program("union");
        let own = |name: &str| {
            let path = place.folder(name, As::Root);
            chown(&path, caller.id(), caller.id()).unwrap();
            path
        };
        let (base, _) = (own("base"), own("states"));
        let debian = Debian { place, caller, base };
        debian.unpack(tree, &debian.base, &["--exclude=./dev/*"]);
        Some(debian)
    }

    /// GNU tar, by the caller: with the owners that the tree has inside, where it has those.
    fn unpack(&self, tar: &Path, into: &Path, more: &[&str]) {
        let (program, words): (_, &[&str]) = match self.caller {
            Caller::Root => ("tar", &["--numeric-owner"]),
            Caller::One => ("tar", &["--no-same-owner"]),
            Caller::Ranged(_) => ("unshare", &["--map-auto", "-r", "tar", "--numeric-owner"]),
        };
        let mut command = self.place.outside_with(self.caller.id(), program);
        command
            .args(words)
            .args(more)
            .args(["--warning=no-timestamp", "-xpf"])
            .arg(tar)
            .arg("-C")
            .arg(into);
        succeeds(&mut command);
    }

    /// Everything that a tree is, but for the time of the last look.
    fn full(&self, top: &Path) -> Vec<String> {
        let mut command = Command::new(self.place.path.join("union"));
        dumped(command.arg(top).arg("full"))
    }

    /// A package in /in: a program with a second name, a conffile, and what its script does.
    fn package(&self, name: &str, script: &str) {
        let top = format!("packages/{name}");
        let control = format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody \
             <nobody@example.org>\nDescription: a test\n"
        );
        for (path, content) in [
            ("DEBIAN/control", &*control),
            ("DEBIAN/conffiles", &format!("/etc/{name}.conf\n")),
            ("DEBIAN/postinst", &format!("#!/bin/sh\nset -e\n{script}")),
            (&format!("etc/{name}.conf"), "it = 1\n"),
            (&format!("usr/bin/{name}"), &format!("#!/usr/bin/perl\nprint \"{name} runs\\n\";\n")),
        ] {
            self.place.file(&format!("{top}/{path}"), content);
        }
        let at = self.place.path.join(&top);
        let line = format!(
            "chmod 755 DEBIAN/postinst usr/bin/{name} && ln usr/bin/{name} usr/bin/{name}-again && mkdir -p \
             ../../in && dpkg-deb --root-owner-group -b . ../../in/{name}.deb"
        );
        succeeds(Command::new("sh").args(["-c", &line]).current_dir(at));
    }

    fn profile(&self, layers: &[&Path], upper: &str) -> PathBuf {
        let layers: Vec<String> = layers.iter().map(|layer| format!("{layer:?}")).collect();
        let (maps, owner) = match self.caller {
            Caller::Root => ("", ", owner = \"root\""),
            Caller::One => ("", ""),
            Caller::Ranged(_) => ("uid-map = \"auto\"\ngid-map = \"auto\"\n", ""),
        };
        let (top, layers) = (self.place.path.display(), layers.join(", "));
        let profile = format!(
            "format = 1\nextends = [\"minimal\"]\n[identity]\nuser = 0\ngroup = 0\n{maps}[capabilities]\n\
             keep = [\"chown\", \"dac-override\", \"fowner\", \"setgid\", \"setuid\"]\n[env]\n\
             PATH = \"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
             DEBIAN_FRONTEND = \"noninteractive\"\n[mounts]\n\"/\" = {{ layers = [{layers}]{upper}{owner} }}\n\
             \"/in\" = {{ bind = \"{top}/in\" }}\n\"/union\" = {{ bind = \"{top}/union\" }}\n"
        );
        // The same name for two that run at the same time would be the same file.
        let name = profile.replace(|c: char| !c.is_alphanumeric(), "");
        self.place.file(&format!("{:x}.toml", name.len() as u64 ^ fnv(&name)), &profile)
    }

    /// A name for an upper that is kept.
    fn kept(&self, name: &str) -> (PathBuf, String) {
        let path = self.place.path.join("states").join(name);
        let words = format!(", upper = \"{}\"", path.display());
        (path, words)
    }

    fn stockade(&self) -> Command {
        let mut command =
            self.place.outside_with(self.caller.id(), self.place.path.join("stockade"));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, profile: &Path, line: &str) -> Output {
        self.stockade().arg("run").arg(profile).args(["/bin/sh", "-c", line]).output().unwrap()
    }

    fn sh(&self, profile: &Path, line: &str) -> String {
        let output = self.run(profile, line);
        assert!(output.status.success(), "{:?}: {line}: {}", self.caller, said(&output));
        text(&output.stdout)
    }

    fn changes(&self, words: &[&str]) -> String {
        text(&succeeds(self.stockade().arg("changes").args(words)).stdout)
    }

    /// What is to be seen of the tree inside, but for what is mounted in it.
    fn merged(&self, profile: &Path) -> Vec<String> {
        let line = format!("for dir in {DIRECTORIES}; do echo D | /union /$dir; done");
        let mut lines: Vec<String> = self.sh(profile, &line).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The same of a tree on the host.
    fn unpacked(&self, top: &Path) -> Vec<String> {
        let mut lines = vec![];
        for directory in DIRECTORIES.split(' ') {
            let union = self.place.path.join("union");
            let mut command = self.place.outside_with(self.caller.id(), union);
            lines.extend(dumped(command.arg(top.join(directory))));
        }
        lines.sort();
        lines
    }
}

const DIRECTORIES: &str = "boot etc home media mnt opt root srv usr var";

/// As tests/union.c prints it.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn dumped(command: &mut Command) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"D\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Lines that one of two has alone.
fn differ(one: &[String], other: &[String]) -> Vec<String> {
    let alone = |these: &[String], those: &[String]| {
        let those: std::collections::BTreeSet<&String> = those.iter().collect();
        these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
    };
    [alone(one, other), alone(other, one)].concat()
}

#[test]
fn a_package_is_installed_on_a_debian_tree_and_kept() {
    if debian().is_none() {
        return;
    }
    for caller in Caller::all() {
        let debian = Debian::new(caller).unwrap();
        // A user with one id gives nothing to another.
        let chown = if caller == Caller::One { "" } else { "chown 1234:1235 /var/lib/stk-one\n" };
        debian.package("stk-one", &format!("{CHANGES}{chown}"));
        let before = debian.full(&debian.base);
        let (state, upper) = debian.kept("one");
        let profile = debian.profile(&[&debian.base], &upper);
        let fresh = "perl -e 'print 6 * 7, \"\\n\"'; apt-cache --version | cut -c1-3; stk-one || echo absent";
        assert_eq!(debian.sh(&profile, &format!("({fresh}) 2>/dev/null")), "42\napt\nabsent\n");
        debian.sh(&profile, "dpkg -i /in/stk-one.deb");
        // The next run has it, and no installation.
        let has = "stk-one && stk-one-again && dpkg -s stk-one | grep Status && dpkg --audit && stat -c \
                   '%u:%g %h' /var/lib/stk-one /usr/bin/stk-one && cat /usr/share/bug";
        let owner = if caller == Caller::One { "0:0" } else { "1234:1235" };
        let expected = format!(
            "stk-one runs\nstk-one runs\nStatus: install ok installed\n{owner} 2\n0:0 2\nfile\n"
        );
        assert_eq!(debian.sh(&profile, has), expected, "{caller:?}");
        let listed = debian.changes(&[state.to_str().unwrap()]);
        assert_eq!(listed.lines().collect::<Vec<_>>(), LISTED, "{caller:?}");
        // What is exported, on top of the tree, is what was seen. Of several ids it has the host's.
        if !matches!(caller, Caller::Ranged(_)) {
            let (tar, copy) =
                (debian.place.path.join("states/one.tar"), debian.place.path.join("states/copy"));
            debian.changes(&["export", state.to_str().unwrap(), tar.to_str().unwrap()]);
            succeeds(
                debian.place.outside_with(caller.id(), "cp").arg("-a").arg(&debian.base).arg(&copy),
            );
            let names = text(&succeeds(Command::new("tar").arg("-tf").arg(&tar)).stdout);
            for name in names.lines() {
                // tar puts no file in the place of a directory.
                let is_gone =
                    name.contains(".wh.") || !name.ends_with('/') && copy.join(name).is_dir();
                if is_gone {
                    let gone = copy.join(name.replace(".wh.", ""));
                    succeeds(Command::new("rm").arg("-r").arg(gone));
                }
            }
            debian.unpack(&tar, &copy, &["--exclude=.wh.*"]);
            let mut differs = differ(&debian.merged(&profile), &debian.unpacked(&copy));
            // Where one id is mapped, stockade has the names of users and groups.
            let names = ["passwd", "group"].map(|name| format!("{} ", hex(name)));
            let is_covered = |line: &String| names.iter().any(|name| line.starts_with(name));
            differs.retain(|line| caller != Caller::One || !is_covered(line));
            assert!(differs.is_empty(), "{caller:?}: {differs:#?}");
        }
        let differs = differ(&before, &debian.full(&debian.base));
        assert!(differs.is_empty(), "{caller:?}: the base has changed: {differs:#?}");
    }
}

#[test]
fn packages_on_a_debian_tree_are_layers_of_their_own() {
    if debian().is_none() {
        return;
    }
    for caller in Caller::all() {
        let debian = Debian::new(caller).unwrap();
        debian.package("stk-one", "");
        debian.package("stk-two", "");
        let before = debian.full(&debian.base);
        // Two at the same time on one base: each has its own alone.
        let [one, two] = ["one", "two"].map(|name| debian.kept(name));
        let profiles = [&one, &two].map(|(_, upper)| debian.profile(&[&debian.base], upper));
        let install = |name: &str| {
            format!(
                "dpkg -i /in/stk-{name}.deb >&2 && echo there && read go; stk-one; stk-two; true"
            )
        };
        let mut all = vec![];
        for (profile, name) in profiles.iter().zip(["one", "two"]) {
            let mut command = debian.stockade();
            command.arg("run").arg(profile).args(["/bin/sh", "-c", &install(name)]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            all.push(command.spawn().unwrap());
        }
        let mut outs = vec![];
        for child in &mut all {
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            assert_eq!(line, "there\n", "{caller:?}");
            outs.push(out);
        }
        for ((mut child, out), name) in all.into_iter().zip(outs).zip(["one", "two"]) {
            child.stdin.take().unwrap().write_all(b"go\n").unwrap();
            let lines: Vec<String> = out.lines().map(Result::unwrap).collect();
            assert_eq!(lines, [format!("stk-{name} runs")], "{caller:?}");
            child.wait().unwrap();
        }
        // What the first wrote is a layer above the base, and the second's package above both, by apt.
        let tar = debian.place.path.join("states/one.tar");
        debian.changes(&["export", one.0.to_str().unwrap(), tar.to_str().unwrap()]);
        let layer = debian.place.folder("layer", As::Root);
        chown(&layer, caller.id(), caller.id()).unwrap();
        debian.unpack_as_exported(&tar, &layer);
        let (state, upper) = debian.kept("both");
        let profile = debian.profile(&[&debian.base, &layer], &upper);
        debian.sh(&profile, "apt-get -o APT::Sandbox::User=root install -y /in/stk-two.deb");
        let has = "stk-one && stk-two && dpkg -l 'stk-*' | grep -c ^ii && dpkg --audit";
        assert_eq!(debian.sh(&profile, has), "stk-one runs\nstk-two runs\n2\n", "{caller:?}");
        let listed = debian.changes(&[state.to_str().unwrap()]);
        let of_one = listed.lines().filter(|line| line.contains("stk-one")).count();
        assert!(of_one == 0 && listed.contains("A  usr/bin/stk-two\n"), "{caller:?}: {listed}");
        // apt has left a directory that is closed to the caller.
        debian.changes(&["discard", "--yes", state.to_str().unwrap()]);
        assert!(!state.exists(), "{caller:?}");
        let differs = differ(&before, &debian.full(&debian.base));
        assert!(differs.is_empty(), "{caller:?}: the base has changed: {differs:#?}");
    }
}

impl Debian {
    /// Of several ids the host's are exported: to its own caller the files are root's inside.
    fn unpack_as_exported(&self, tar: &Path, into: &Path) {
        match self.caller {
            Caller::Root | Caller::One => self.unpack(tar, into, &[]),
            Caller::Ranged(id) => {
                let mut command = self.place.outside_with(Some(id), "tar");
                succeeds(command.args(["--no-same-owner", "-xpf"]).arg(tar).arg("-C").arg(into));
            }
        }
    }
}

/// Root's tree, for a user who owns nothing of it: everything is read and run, and what is root's stays.
#[test]
fn a_user_runs_a_debian_tree_of_roots_and_installs_nothing() {
    let Some(root) = Debian::new(Caller::Root) else { return };
    root.package("stk-one", "");
    let base = root.base.clone();
    let user = Debian { caller: Caller::One, ..root };
    for upper in ["", ", upper = \"discard\""] {
        let profile = user.profile(&[&base], upper);
        let line = "perl -e 'print 6 * 7, \"\\n\"'; dpkg -l | grep -c ' perl-base '; dpkg -i /in/stk-one.deb \
                    >/dev/null 2>&1 || echo refused; stk-one 2>/dev/null || echo absent";
        assert_eq!(user.sh(&profile, line), "42\n1\nrefused\nabsent\n", "{upper}");
    }
}
