//! The acts that must fail, in each kind of tree that a sandbox can have: what keeps the target in is
//! not a matter of where its files come from.

use super::{ENOSYS, EPERM, NoTwin, Outside, OutsideRoot, OwnNamespace, Row, Twin, twin_succeeds};
use crate::fuse;
use crate::merged::{has_upper, own, state};
use crate::states::States;
use crate::support::{As, is_root, probe, said, skip, system, text};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A kind of tree, and whether the target may write in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tree {
    Bound,
    Layers,
    InMemory,
    OnDisk,
    Kept,
    Hosts,
    Copied,
    CopiedReadOnly,
    Served,
    State,
}

const TREES: [Tree; 10] = [
    Tree::Bound,
    Tree::Layers,
    Tree::InMemory,
    Tree::OnDisk,
    Tree::Kept,
    Tree::Hosts,
    Tree::Copied,
    Tree::CopiedReadOnly,
    Tree::Served,
    Tree::State,
];

impl Tree {
    fn is_read_only(self) -> bool {
        matches!(self, Tree::Bound | Tree::Layers | Tree::CopiedReadOnly)
    }
}

/// A tree of a caller's with ways out, and what lies outside of it.
struct Ways {
    /// Its own directories, and the name of its state.
    states: States,
    who: As,
    tree: PathBuf,
    secret: PathBuf,
}

impl Ways {
    fn new(who: As) -> Ways {
        let states = States::new(who);
        probe(&states.place);
        let (tree, secret) = (states.place.folder("tree", who), states.place.path.join("secret"));
        states.place.file("secret", "secret");
        states.place.folder("uppers", who);
        states.place.folder("dev", who);
        let ways = Ways { states, who, tree, secret };
        ways.fill(&ways.tree);
        // In a layer of its own: no bound tree has one.
        let devices = ways.states.place.folder("devices", who);
        if is_root() {
            let (kind, mode) = (SFlag::S_IFCHR, Mode::from_bits_truncate(0o666));
            mknod(&devices.join("null"), kind, mode, makedev(1, 3)).unwrap();
        }
        ways
    }

    /// Links out of the tree, what is hidden and read-only in it, and a device.
    fn fill(&self, top: &Path) {
        for directory in ["proc", "dev", "tmp", "up", "hidden", "ro"] {
            std::fs::create_dir_all(top.join(directory)).unwrap();
        }
        for file in ["up/hidden", "hidden/file", "ro/file", "file"] {
            std::fs::write(top.join(file), "").unwrap();
        }
        let secret = self.secret.to_str().unwrap();
        symlink(secret, top.join("absolute")).unwrap();
        symlink(format!("{}{secret}", "../".repeat(9)), top.join("relative")).unwrap();
        own(top, self.who);
    }

    /// Where the tree is inside.
    fn at(&self, tree: Tree) -> String {
        match tree {
            Tree::Hosts => "/srv/stockade-tree".into(),
            Tree::State => "/home/me".into(),
            _ => String::new(),
        }
    }

    fn profile(&self, tree: Tree, more: &str) -> String {
        let (top, at) = (self.tree.display(), self.at(tree));
        let uppers = self.states.place.path.join("uppers");
        let owner = match self.who {
            As::Root if !tree.is_read_only() => ", owner = \"root\"",
            _ => "",
        };
        let both = format!("[\"{top}\", \"{}/devices\"]", self.states.place.path.display());
        let layers = |words: &str| format!("\"/\" = {{ layers = {both}{words}{owner} }}");
        let root = match tree {
            Tree::Bound => format!("\"/\" = {{ bind = \"{top}\" }}"),
            Tree::Layers => layers(""),
            Tree::InMemory => layers(", upper = \"discard\""),
            Tree::OnDisk => layers(&format!(", upper = {{ discard = \"{}\" }}", uppers.display())),
            Tree::Kept => layers(&format!(", upper = \"{}/kept\"", uppers.display())),
            Tree::Hosts => {
                let [whole, tree] = ["[\"/\"]", &both]
                    .map(|of| format!("{{ layers = {of}, upper = \"discard\"{owner} }}"));
                format!(
                    "\"/\" = {whole}\n\"{at}\" = {tree}\n\"/etc/passwd\" = \"hide\"\n\"/usr\" = \"ro\""
                )
            }
            Tree::Copied => layers(", upper = \"discard\", driver = \"copy\""),
            Tree::CopiedReadOnly => layers(", driver = \"copy\""),
            Tree::Served => layers(", upper = \"discard\", driver = \"fuse-overlayfs\""),
            Tree::State => format!("\"{at}\" = {{ state = \"{}\" }}", self.states.name),
        };
        let below = match tree {
            Tree::State => self.states.directory(),
            _ => self.tree.clone(),
        };
        let mut entries = format!(
            "\"/tmp/probe\" = {{ bind = \"{}/probe\" }}\n",
            self.states.place.path.display()
        );
        // There it is refused.
        if tree != Tree::Served {
            entries += &format!("\"{at}/hidden\" = \"hide\"\n\"{at}/up/hidden\" = \"hide\"\n");
        }
        if !is_undone(tree, more) {
            entries += &format!("\"{at}/ro\" = {{ bind = \"{}/ro\" }}\n", below.display());
        }
        entries += more;
        match tree {
            Tree::State => system(&format!("{root}\n{entries}")),
            _ => format!("format = 1\nextends = [\"minimal\"]\n[mounts]\n{root}\n{entries}\n"),
        }
    }

    /// Each act, and what came of it: all of them in one run.
    fn attempt(&self, tree: Tree, more: &str, acts: &[String]) -> Vec<String> {
        let path = self.states.place.file("profile.toml", &self.profile(tree, more));
        let words = ["run", path.to_str().unwrap(), "/tmp/probe", "each"];
        let output = if tree == Tree::Served {
            let acts = acts.iter().map(String::as_str);
            fuse::stockade(
                &self.states.place,
                self.who,
                &words.into_iter().chain(acts).collect::<Vec<_>>(),
            )
        } else {
            self.states.stockade(&words).args(acts).output().unwrap()
        };
        let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
        let is_whole = output.status.success() && lines.len() == acts.len();
        assert!(is_whole, "{:?} {tree:?}: {}", self.who, said(&output));
        lines
    }
}

/// What leads out of any tree, with its twins.
const OUT: &[Row] = &[
    ("unshare 0x10000000", EPERM, Outside),
    ("unshare 0x20000", EPERM, OutsideRoot),
    ("clone 0x10000000", EPERM, Outside),
    ("clone3", ENOSYS, Outside),
    ("mount /tmp", EPERM, OwnNamespace),
    ("umount /tmp", EPERM, OwnNamespace),
    ("remount-rw /", EPERM, NoTwin("the host's root is not to be touched")),
    ("open-tree /tmp", EPERM, OwnNamespace),
    ("mount-setattr /", EPERM, NoTwin("the host's root is not to be touched")),
    ("fsopen", EPERM, OwnNamespace),
    ("pivot-root /tmp", EPERM, OwnNamespace),
    ("chroot /tmp", EPERM, OwnNamespace),
    ("name-to-handle /", EPERM, Outside),
    ("open-by-handle /", EPERM, OutsideRoot),
    ("mknod /tmp/stockade-probe-node", EPERM, OutsideRoot),
    ("capset 21", EPERM, OutsideRoot),
    ("ptrace 1", EPERM, NoTwin("of the machine's first process; pid_1_is_closed has one")),
    ("open-mem 1", &["EACCES", "EPERM"], NoTwin("as of ptrace")),
    ("read /proc/1/environ", &["EACCES", "EPERM"], NoTwin("as of ptrace")),
    ("inode /proc/1/root/.", &["EACCES", "EPERM"], NoTwin("as of ptrace")),
    ("setns /proc/1/ns/mnt", &["EACCES", "EPERM"], NoTwin("as of ptrace")),
];

/// What leads out of a tree by its own names, TREE; and what is hidden or read-only in it.
const BY_NAME: &[Row] = &[
    ("read TREE/absolute", &["ENOENT"], Outside),
    ("read TREE/relative", &["ENOENT"], Outside),
    ("read TREE/dir/../../../../../../../../..SECRET", &["ENOENT"], NoTwin("as of the link")),
    ("read SECRET", &["ENOENT"], Outside),
    ("read TREE/hidden/file", &["ENOENT"], Outside),
    ("read TREE/up/hidden", &["ENOENT", "EACCES"], Outside),
    ("open-w TREE/ro/file", &["EROFS", "EACCES"], Outside),
    ("creat TREE/ro/new 644", &["EROFS", "EACCES"], Outside),
    ("rename TREE/ro TREE/moved", &["EBUSY", "EROFS", "EXDEV", "EACCES"], Outside),
    ("open-rw TREE/null", &["EACCES", "ENOENT"], OutsideRoot),
];

/// The same of the host's own tree.
const OF_THE_HOST: &[Row] = &[
    ("read /etc/passwd", &["ENOENT"], Outside),
    ("own read /etc/passwd", &["ENOENT"], Outside),
    ("own open-w /usr/bin/env", &["EROFS", "EACCES"], OutsideRoot),
    ("own remount-rw /usr", EPERM, NoTwin("the host's /usr is not to be touched")),
    ("own umount /usr", &["EINVAL", "EPERM"], NoTwin("as of the line above")),
];

/// With a user namespace of its own the target has every capability in it, and still no way out.
const NESTED: &[Row] = &[
    ("own umount TREE/hidden", &["EINVAL", "EPERM", "ENOENT"], NoTwin("")),
    ("own umount TREE/ro", &["EINVAL", "EPERM"], NoTwin("")),
    ("own remount-rw TREE/ro", EPERM, NoTwin("")),
    ("own read TREE/hidden/file", &["ENOENT"], NoTwin("")),
    ("own read TREE/up/hidden", &["ENOENT", "EACCES"], NoTwin("")),
    ("own read SECRET", &["ENOENT"], NoTwin("")),
    ("own open-by-handle /", EPERM, NoTwin("")),
    ("own open-rw TREE/null", &["EACCES", "ENOENT"], NoTwin("")),
    ("own read /proc/1/environ", &["EACCES", "EPERM"], NoTwin("")),
    ("own setns /proc/1/ns/mnt", &["EACCES", "EPERM"], NoTwin("")),
];

const NEST: &str = "[namespaces]\nnested = true";

/// Whether a target that makes mounts undoes a cover in the tree: stockade refuses it (E0321).
fn is_undone(tree: Tree, more: &str) -> bool {
    more == NEST && !tree.is_read_only()
}

#[test]
fn no_kind_of_tree_has_a_way_out() {
    if !has_upper() {
        return;
    }
    for who in As::all() {
        let ways = Ways::new(*who);
        let before = state(&ways.tree);
        for tree in TREES {
            if tree == Tree::Served && !fuse::can_be_tried() {
                continue;
            }
            let at = ways.at(tree);
            let filled = |act: &str| {
                act.replace("TREE", &at).replace("SECRET", ways.secret.to_str().unwrap())
            };
            if tree == Tree::State {
                // Made at its first use, and filled by its owner.
                let first = ways.states.profile();
                ways.states.sh(&first, "true");
                ways.fill(&ways.states.directory());
            }
            // The twin of all: where the target may write, it does.
            let may = if tree.is_read_only() { &["EROFS"] } else { &["ok"] };
            let new: Row = ("creat TREE/new 644", may, NoTwin(""));
            let is_meant = |row: &&Row| tree != Tree::Served || !row.0.contains("hidden");
            let rows = OUT.iter().chain(BY_NAME).chain([&new]).filter(is_meant);
            let rows: Vec<&Row> = rows.collect();
            ways.hold(tree, "", &rows, &filled);
            let of_the_host = if tree == Tree::Hosts { OF_THE_HOST } else { &[] };
            let rows = NESTED.iter().chain(of_the_host);
            let rows: Vec<&Row> = rows
                .filter(is_meant)
                .filter(|(act, ..)| !(is_undone(tree, NEST) && act.contains("TREE/ro")))
                .collect();
            // What is hidden there is such a cover, too.
            if !matches!(tree, Tree::Kept | Tree::State) {
                ways.hold(tree, NEST, &rows, &filled);
            }
        }
        assert!(state(&ways.tree) == before, "{who:?}: the tree has changed");
        let outside = |act: &str| {
            act.replace("TREE/null", ways.states.place.path.join("devices/null").to_str().unwrap())
                .replace("TREE", ways.tree.to_str().unwrap())
                .replace("SECRET", ways.secret.to_str().unwrap())
        };
        for (act, _, twin) in OUT.iter().chain(BY_NAME).chain(OF_THE_HOST) {
            if !matches!(twin, Twin::None(_)) {
                twin_succeeds(&ways.states.place, *who, &outside(act), *twin);
            }
        }
        if !is_root() {
            skip("a device in a tree is made by root");
        }
    }
}

impl Ways {
    fn hold(&self, tree: Tree, more: &str, rows: &[&Row], filled: &dyn Fn(&str) -> String) {
        let acts: Vec<String> = rows.iter().map(|(act, ..)| filled(act)).collect();
        let found = self.attempt(tree, more, &acts);
        for ((act, refused, _), found) in rows.iter().zip(found) {
            let is_refused = refused.contains(&found.as_str());
            assert!(is_refused, "{:?} {tree:?}: `{act}` gave {found}, not {refused:?}", self.who);
        }
    }
}
