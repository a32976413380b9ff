//! Code that changes the machine is in `launch`. Elsewhere there is one file that writes: what a
//! user names as the place of a report or a new profile. Every call of `sys` and of the standard
//! library that another file makes is held against a list of those that change nothing.

use super::finder::Segments;
use super::{House, files, module};
use std::collections::BTreeSet;
use std::path::Path;

/// Where it is, besides the calls themselves.
const ACTING: [&str; 4] = ["launch", "sys", "commands::pager", "commands::place"];

/// What any file may ask of `sys`: it changes nothing but this process's own descriptors, memory
/// and end.
const ASKING: &[&str] = &[
    "Described",
    "Errno",
    "Program",
    "Result",
    "Sets",
    "Usage",
    "attribute",
    "attribute_is",
    "attribute_length",
    "attribute_of",
    "boot_ticks",
    "capget",
    "check_controlling",
    "close",
    "connect_unix",
    "describe",
    "dup_above",
    "end_by_status",
    "folds_case",
    "get_rlimit",
    "groups",
    "has_address",
    "has_attribute",
    "has_peer",
    "ids_at_start",
    "is_bound",
    "is_byte_locked",
    "is_privileged",
    "is_terminal",
    "landlock_abi",
    "look",
    "maker_of_user_namespace",
    "namespace_flag",
    "note_strings",
    "open_flags",
    // A copy of a mount that is attached nowhere is gone with its descriptor.
    "open_tree",
    "open_without_links",
    "openat",
    "owned",
    "owner_of_namespace",
    "page_size",
    "parent_of_namespace",
    "peer",
    "poll",
    "read_generated",
    "read_link",
    "read_whole",
    "regardless",
    "seccomp_filter",
    "session_keyring",
    "socket_option",
    "take_memory_in_large_pieces",
    "terminal_width",
    "total_memory",
    "write_at_once",
];

/// Names of the standard library and of nix that stand for a change, after a segment of these.
const CHANGING: &[(&str, &[&str])] = &[
    (
        "fs",
        &[
            "*",
            "write",
            "copy",
            "rename",
            "create_dir",
            "create_dir_all",
            "remove_file",
            "remove_dir",
            "remove_dir_all",
            "hard_link",
            "soft_link",
            "symlink",
            "set_permissions",
            "chown",
            "lchown",
            "fchown",
            "chroot",
            "DirBuilder",
            "DirBuilderExt",
        ],
    ),
    ("File", &["create", "create_new", "options"]),
    ("process", &["*", "Command"]),
    (
        "unistd",
        &[
            "*",
            "mkdir",
            "mkfifo",
            "unlink",
            "unlinkat",
            "rmdir",
            "symlinkat",
            "chown",
            "truncate",
            "ftruncate",
            "fork",
            "execv",
            "execve",
            "setuid",
            "setgid",
            "setresuid",
            "setresgid",
            "setgroups",
            "sethostname",
            "chroot",
            "pivot_root",
            "write",
        ],
    ),
    ("mount", &["*", "mount", "umount", "umount2"]),
    ("sched", &["*", "clone", "unshare", "setns"]),
    ("signal", &["*", "kill", "killpg", "raise"]),
];

fn is_acting(module: &[String]) -> bool {
    let name = module.join("::");
    ACTING.iter().any(|room| name == *room || name.starts_with(&format!("{room}::")))
}

/// What files that may not act call, each with the file.
fn wrong(house: &House) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    let elsewhere = house.reads.iter().filter(|(module, _)| !is_acting(module));
    for (module, read) in elsewhere {
        let mut told = |words: &[String]| {
            wrong.insert(format!("{} takes {}", module.join("::"), words.join("::")));
        };
        for path in &read.paths {
            for meant in house.names.meanings(path) {
                let is_asked = |name: &&String| ASKING.contains(&name.as_str());
                if meant.first().is_some_and(|room| room == "sys")
                    && meant.get(1).is_some()
                    && meant.get(1).filter(is_asked).is_none()
                {
                    told(&meant);
                }
            }
            let changes = |pair: &[String]| {
                CHANGING
                    .iter()
                    .any(|(of, names)| pair[0] == *of && names.contains(&pair[1].as_str()))
            };
            if path.whole.windows(2).any(changes) {
                told(&path.whole);
            }
        }
    }
    wrong
}

/// Files that write by a method, which no path shows.
fn by_method() -> BTreeSet<Segments> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![];
    files(&source, &mut found);
    let methods =
        [".write(true)", ".append(true)", ".create(true)", ".create_new(true)", ".set_len("];
    let writes = |text: &str| {
        let product = text.split("#[cfg(test)]").next().unwrap_or("").replace([' ', '\n'], "");
        methods.iter().any(|method| product.contains(method))
    };
    let named = found.iter().map(|file| (module(file.strip_prefix(&source).unwrap()), file));
    let named = named.filter(|(module, _)| !module.iter().any(|name| name == "tests"));
    named
        .filter(|(_, file)| writes(&std::fs::read_to_string(file).unwrap()))
        .map(|(module, _)| module)
        .collect()
}

#[test]
fn what_changes_the_machine_has_its_room() {
    let house = House::from_disk();
    assert_eq!(wrong(&house), BTreeSet::new());
    let writers = by_method();
    assert!(writers.len() > 1, "the reader finds none: {writers:?}");
    assert!(writers.iter().all(|module| is_acting(module)), "{writers:?}");
}

#[test]
fn no_call_that_changes_something_is_missed() {
    let of = |text: &str| {
        let files = [
            ("", "mod sys; mod inspect;"),
            ("sys", "pub fn mkdirat() {} pub fn close() {}"),
            ("inspect", text),
        ];
        let names = super::finder::names;
        wrong(&House::of(files.into_iter().map(|(name, text)| (names(name), text.to_owned()))))
    };
    for good in
        ["use crate::sys; fn a() { sys::close() }", "use std::fs::File; fn a() { File::open() }"]
    {
        assert_eq!(of(good), BTreeSet::new(), "{good}");
    }
    for bad in [
        "use crate::sys; fn a() { sys::mkdirat() }",
        "use crate::sys::mkdirat;",
        "use crate::sys as s; fn a() { s::mkdirat() }",
        "fn a() { crate::sys::mkdirat() }",
        "use std::fs; fn a() { fs::write() }",
        "use std::fs::write;",
        "use std::fs::{self, remove_file as r};",
        "use std::fs::*;",
        "fn a() { std::fs::File::create() }",
        "use std::process::Command;",
        "fn a() { nix::unistd::mkdir() }",
    ] {
        assert_eq!(of(bad).len(), 1, "{bad}");
    }
}
