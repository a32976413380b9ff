//! Which problems have a help that can be pasted: every other one is in a list, with its reason.
//! What is for a shell is read by one.

use super::offers::offers;
use super::{check, examples, goldens};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// Codes of which some problem has no help, each with the reason.
const WITHOUT: &[(&str, &str)] = &[
    ("capabilities::init", "two lines exclude each other, and both are shown"),
    ("env::name", "what the name is to be, its author knows"),
    ("env::prefix", "the sentence says what the entry may be"),
    ("env::nul", "the kernel takes no such byte"),
    ("identity::map", "the sentence says which ids overlap or are not there"),
    ("limits::init", "two lines exclude each other, and both are shown"),
    ("mounts::symlink", "where the link is to lead, its author knows"),
    ("namespaces::time", "the sentence says what is out of range"),
    ("namespaces::uts", "the sentence says how long a name may be"),
    ("params::type", "the sentence says which types there are"),
    ("params::values", "the sentence says which values there are"),
    ("process::init", "two lines exclude each other, and both are shown"),
    ("process::nul", "the kernel takes no such byte"),
    ("profile::value", "the sentence says what the key takes"),
    ("profile::withdraw", "the line removes nothing, and is shown"),
    ("rlimits::soft", "which of the two limits is wrong, its author knows"),
    ("seccomp::condition", "the sentence says what the condition lacks"),
];

/// Codes of which some problem has a help in words, by the reason.
const IN_WORDS: &[(&str, &[&str])] = &[
    (
        "which way is right, its author knows: the help names the ways",
        &[
            "network::hosts",
            "network::no-server",
            "seccomp::logged",
            "capabilities::newer",
            "capabilities::no-effect",
            "capabilities::no-new-privs",
            "capabilities::sys-admin",
            "env::prefix",
            "env::required",
            "identity::groups",
            "identity::host",
            "identity::name",
            "identity::unmapped",
            "landlock::alone",
            "mounts::below",
            "mounts::dev",
            "mounts::env",
            "mounts::glob",
            "mounts::hide",
            "mounts::layers",
            "mounts::no-mount-point",
            "mounts::sysfs",
            "namespaces::open",
            "namespaces::proc",
            "params::missing",
            "process::file",
            "process::pass-fds",
            "profile::amend",
            "seccomp::families",
            "seccomp::set-id",
            "seccomp::write-execute",
            "variable::args",
            "variable::command",
            "variable::list",
            "variable::nested",
            "variable::structure",
            "variable::unset",
        ],
    ),
    (
        "the line is to go, or one of two",
        &[
            "mounts::hides-nothing",
            "mounts::kernel-tree",
            "mounts::redundant",
            "mounts::twice",
            "mounts::upper",
            "seccomp::never",
            "seccomp::redundant",
        ],
    ),
    (
        "the help names what there is, or the form",
        &[
            "limits::raw",
            "mounts::path",
            "params::name",
            "profile::extends",
            "profile::not-yet",
            "profile::syntax",
            "profile::type",
            "profile::unknown-key",
            "profile::value",
            "seccomp::import",
            "seccomp::rule",
            "variable::open",
        ],
    ),
    (
        "the machine is to change, not the profile",
        &["host::kernel", "limits::mount", "limits::place"],
    ),
];

/// Words with which a command begins.
const COMMANDS: &[&str] = &[
    "stockade ",
    "mkdir ",
    "chmod ",
    "chown ",
    "sysctl ",
    "apt-get ",
    "namei ",
    "ls ",
    "cd ",
    "cat ",
];

/// The pieces of a help that are for a shell: behind a colon, in backticks, or a line of their own.
fn commands(help: &str) -> Vec<String> {
    let pieces = help.split('\n').flat_map(|line| line.split(": ").chain(line.split('`')));
    let begins = |piece: &&str| COMMANDS.iter().any(|command| piece.starts_with(command));
    let mut found: Vec<String> = pieces.map(str::trim).filter(begins).map(str::to_owned).collect();
    found.dedup();
    found
}

fn is_shell(command: &str) -> bool {
    let status = Command::new("sh").args(["-n", "-c", command]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn every_problem_has_a_help_to_paste_or_a_reason() {
    let (mut without, mut in_words) = (BTreeSet::new(), BTreeSet::new());
    let (mut pasted, mut wrong, mut shells) = (0, vec![], 0);
    for case in goldens().iter().chain(&examples()) {
        for problem in check(case, &case.text).problems {
            match problem.help.as_deref() {
                None => drop(without.insert(problem.code)),
                Some(help) => {
                    let commands = commands(help);
                    shells += commands.len();
                    wrong.extend(commands.iter().filter(|command| !is_shell(command)).cloned());
                    if offers(help).is_empty() && commands.is_empty() {
                        in_words.insert(problem.code);
                    } else {
                        pasted += 1;
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "no shell reads {wrong:#?}");
    let without_help: BTreeSet<&str> = WITHOUT.iter().map(|(code, _)| *code).collect();
    let with_words = IN_WORDS.iter().flat_map(|(_, codes)| *codes).copied().collect();
    assert_eq!((without, in_words), (without_help, with_words), "without a help, and in words");
    assert!(pasted > 80 && shells > 2, "only {pasted}, {shells} for a shell");
}

/// The twin: what is broken in two is found.
#[test]
fn a_command_that_no_shell_reads_is_found() {
    assert_eq!(commands("fill it:\ncd /x &&\ncat a >b"), ["cd /x &&", "cat a >b"]);
    assert!(is_shell("chmod go-w /x") && !is_shell("cd /x &&") && !is_shell("ls 'x"));
}
