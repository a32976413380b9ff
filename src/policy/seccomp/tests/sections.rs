//! `[seccomp]` as it is written: what is read, and what is refused with which words.

use super::*;
use crate::kernel::syscalls::groups;
use crate::language::reader::{AsWritten, Reader};
use crate::language::section::Field;
use crate::step::draft::Draft;
use crate::text::problem::Problems;
use crate::text::source::{At, Span};

/// The section of a text, or what is wrong with it, one line each.
pub(super) fn section(text: &str) -> Result<Seccomp, String> {
    let text = format!("[seccomp]\n{text}");
    let (document, errors) = toml::de::DeTable::parse_recoverable(&text);
    assert!(errors.is_empty(), "{text}: {errors:?}");
    let mut problems = Problems::default();
    let mut seccomp = Seccomp::default();
    let mut reader = Reader { origin: &AsWritten, problems: &mut problems };
    for (key, node) in document.get_ref() {
        seccomp.read(At::new(key.get_ref(), key.span().into()), node, &mut reader);
    }
    if problems.is_empty() { Ok(seccomp) } else { Err(lines(&problems)) }
}

fn lines(problems: &Problems) -> String {
    problems
        .iter()
        .map(|problem| {
            format!(
                "{}: {} ({})\n",
                problem.code,
                problem.message,
                problem.help.clone().unwrap_or_default()
            )
        })
        .collect()
}

/// The filter of a text under the plainest needs, or what is wrong.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    filter_with(text, &Needs::default(), None)
}

pub(super) fn filter_with(
    text: &str,
    needs: &Needs,
    imported: Option<&Imported>,
) -> Result<Filter, String> {
    let section = section(text)?;
    let mut said = Draft::default();
    let filter = draft(&section, needs, imported, &mut said);
    if said.problems.is_empty() { Ok(filter) } else { Err(lines(&said.problems)) }
}

/// What the filter of a text says of a call.
#[track_caller]
fn says(text: &str, call: &str, arguments: &[u64], verdict: Verdict) {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let filter = filter(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let number = Abi::Native.number(call).expect(call);
    assert_eq!(
        filter.judge(number, &all),
        verdict,
        "{text}\n{call} {arguments:#x?}: {}",
        filter.rule(number).expect(call)
    );
}

#[track_caller]
fn refused(text: &str, words: &str) {
    let said = filter(text).map(|_| "nothing".to_owned()).unwrap_or_else(|said| said);
    assert!(said.contains(words), "{text:.200}\nsays {said}\nnot {words}");
}

const ALLOW: Verdict = Verdict::Allow;
const KILL: Verdict = Verdict::KillProcess;

#[test]
fn a_section_that_says_nothing_new_is_the_default_policy() {
    for needs in NEEDS {
        let plain = default(&needs);
        let drafted = filter_with("policy = \"default\"", &needs, None).expect("a filter");
        for (number, _) in Abi::Native.known() {
            assert_eq!(plain.rule(number), drafted.rule(number), "{needs:?} {number}");
        }
        assert_eq!(plain.native.unknown(), drafted.native.unknown());
    }
}

#[test]
fn each_word_beats_the_one_below_it() {
    says("allow = [\"ptrace\"]", "ptrace", &[], ALLOW);
    says("allow = [\"@debug\"]", "ptrace", &[], ALLOW);
    says("allow = [\"ptrace\"]\nrules.ptrace = \"errno:ENOSYS\"", "ptrace", &[], ENOSYS);
    says("deny = [\"@debug\"]\nrules.ptrace = \"allow\"", "ptrace", &[], EPERM);
    says("deny = [\"read\"]", "read", &[], EPERM);
    says("deny = [\"clone3\"]", "clone3", &[], ENOSYS);
    says("rules.\"@keyring\" = \"kill\"", "keyctl", &[], KILL);
    says("rules.\"@keyring\" = \"kill\"\nrules.keyctl = \"allow\"", "keyctl", &[], ALLOW);
    says("policy = \"none\"\nallow = [\"@default\"]", "openat", &[], EPERM);
    says("policy = \"none\"\nallow = [\"@default\"]", "futex", &[], ALLOW);
    says("policy = \"off\"", "mount", &[], ALLOW);
    says("policy = \"off\"\ndeny = [\"@mount\"]", "mount", &[], EPERM);
}

#[test]
fn a_group_does_not_open_what_the_policy_looks_into() {
    const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;
    says("allow = [\"@process\"]", "clone", &[NEW_USER], EPERM);
    says("allow = [\"@process\"]", "clone3", &[], ENOSYS);
    says("allow = [\"@process\"]", "setns", &[3, NEW_USER], EPERM);
    says("allow = [\"setns\"]", "setns", &[3, NEW_USER], ALLOW);
    says("policy = \"none\"\nallow = [\"@system-service\"]", "clone", &[NEW_USER], EPERM);
    says("policy = \"none\"\nallow = [\"@system-service\"]", "ioctl", &[0, 0x5412], EPERM);
    says("policy = \"none\"\nallow = [\"@system-service\"]", "io_uring_setup", &[], ENOSYS);
    says("allow = [\"clone\"]", "clone", &[NEW_USER], ALLOW);
    says("allow = [\"ioctl\"]", "ioctl", &[0, 0x5412], ALLOW);
}

/// Over all groups, verdicts, policies and architectures: of a call that only its own name opens, a
/// group's rule opens nothing that `allow` with the group does not open.
#[test]
fn no_rule_of_a_group_opens_what_only_a_call_s_own_name_opens() {
    // First those that open something.
    let verdicts = [
        "allow",
        "log",
        "trace",
        "notify",
        "deny",
        "errno:EIO",
        "errno:0",
        "trap",
        "kill-thread",
        "kill",
    ];
    let others =
        if cfg!(target_arch = "x86_64") { "architectures = [\"x86\", \"x32\"]\n" } else { "" };
    let mut dice = Dice(0x9e1d);
    for policy in ["default", "none", "off"] {
        let start = format!(
            "policy = \"{policy}\"\n{others}rules.execve = \"allow\"\nrules.exit_group = \
             \"allow\"\n"
        );
        for group in groups::names() {
            // `off` opens more than a group does.
            let below = if policy == "off" {
                start.clone()
            } else {
                format!("{start}allow = [\"{group}\"]")
            };
            let below = filter(&below).unwrap_or_else(|problems| panic!("{below}\n{problems}"));
            for verdict in &verdicts[..if policy == "default" { verdicts.len() } else { 4 }] {
                let text = format!("{start}rules.\"{group}\" = \"{verdict}\"");
                let ruled = filter(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
                for table in std::iter::once(&ruled.native).chain(&ruled.others) {
                    assert_opens_no_more(
                        table,
                        below.table(table.abi).expect("the same tables"),
                        &mut dice,
                        &text,
                    );
                }
            }
        }
    }
}

/// Of the particular calls, and of the bundles that they are in.
#[track_caller]
fn assert_opens_no_more(table: &Table, than: &Table, dice: &mut Dice, text: &str) {
    for (number, call) in table.abi.known() {
        let bundle = table.abi == Abi::X86 && ["ipc", "socketcall"].contains(&call);
        if !bundle && !is_particular(crate::kernel::syscalls::counterpart(call)) {
            continue;
        }
        let near = than.rule(number).map_or(vec![], numbers_in);
        for _ in 0..20 {
            let arguments: [u64; 6] = std::array::from_fn(|_| dice.argument(&near));
            let (is, other) = (table.judge(number, &arguments), than.judge(number, &arguments));
            assert!(
                is.refuses() || !other.refuses(),
                "{text}\n{call} of {:?} {arguments:#x?}: {is:?}, not {other:?}",
                table.abi
            );
        }
    }
}

#[test]
fn what_a_group_lets_through_has_the_verdict_of_its_rule() {
    const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;
    let rule = "rules.\"@system-service\" = \"log\"";
    says(rule, "clone", &[NEW_USER], EPERM);
    says(rule, "clone", &[0], Verdict::Log);
    says(rule, "ioctl", &[0, 0x5412], EPERM);
    says(rule, "ioctl", &[0, 0x5413], Verdict::Log);
    says(rule, "io_uring_setup", &[], ENOSYS);
    says(rule, "read", &[], Verdict::Log);
    says(
        "rules.\"@system-service\" = \"kill\"\nrules.execve = \"allow\"\nrules.exit_group = \
         \"allow\"",
        "clone",
        &[0],
        KILL,
    );
    says(
        "rules.\"@system-service\" = \"log\"\nallow = [\"clone\"]",
        "clone",
        &[NEW_USER],
        Verdict::Log,
    );
}

#[test]
fn input_cannot_be_pushed_into_a_terminal_unless_ioctl_is_named() {
    says("policy = \"off\"", "ioctl", &[0, 0xdead_0000_0000_5412], EPERM);
    says("policy = \"off\"", "ioctl", &[0, 0x5413], ALLOW);
    says(
        "policy = \"off\"\nrules.ioctl = { deny-if = { arg1 = \"TIOCCONS\" } }",
        "ioctl",
        &[0, 0x5412],
        EPERM,
    );
    says("policy = \"off\"\nrules.ioctl = \"allow\"", "ioctl", &[0, 0x5412], ALLOW);
}

#[test]
fn conditions_say_what_they_say() {
    let rule = "rules.socket = { allow-if = [{ arg0 = [\"AF_UNIX\", \"AF_INET\"] }, \
                { arg0 = \"AF_VSOCK\", arg1 = 1 }], otherwise = \"errno:EAFNOSUPPORT\" }";
    says(rule, "socket", &[1], ALLOW);
    says(rule, "socket", &[40, 1], ALLOW);
    says(rule, "socket", &[40, 2], Verdict::Errno(libc::EAFNOSUPPORT));
    says("rules.socket = { allow-if = [{ arg0 = 1 }] }", "socket", &[2], EPERM);
    says(
        "rules.mmap = { kill-if = { arg2 = \
         { mask = \"PROT_WRITE|PROT_EXEC\", is = \"PROT_WRITE|PROT_EXEC\" } } }",
        "mmap",
        &[0, 0, 7],
        KILL,
    );
    says("rules.mmap = { kill-if = { arg2 = { mask = 6, is = 6 } } }", "mmap", &[0, 0, 5], ALLOW);
    says("rules.kill = { deny-if = { arg0 = { not = [0, -1] } } }", "kill", &[0xffff_ffff], ALLOW);
    says("rules.kill = { deny-if = { arg0 = { not = [0, -1] } } }", "kill", &[5], EPERM);
    says("rules.dup = { deny-if = { arg0 = { at-least = 3, less = 10 } } }", "dup", &[9], EPERM);
    says("rules.dup = { deny-if = { arg0 = { at-least = 3, less = 10 } } }", "dup", &[10], ALLOW);
    says("rules.dup = { deny-if = { arg0 = { greater = 3 } } }", "dup", &[3], ALLOW);
    says("rules.dup = { deny-if = { arg0 = { at-most = 3 } } }", "dup", &[3], EPERM);
    says(
        "rules.openat = { deny-if = { arg2 = { any-bit = \"O_CREAT\" } } }",
        "openat",
        &[0, 0, 0o100],
        EPERM,
    );
    says(
        "rules.openat = { deny-if = { arg2 = { no-bit = \"O_CLOEXEC\" } } }",
        "openat",
        &[0, 0, 0o100],
        EPERM,
    );
    says(
        "rules.read = { deny-if = { arg0 = 5, errno = \"EIO\" } }",
        "read",
        &[5],
        Verdict::Errno(libc::EIO),
    );
    says("rules.mount = \"errno:0\"", "mount", &[], Verdict::Errno(0));
    says("rules.mount = \"log\"", "mount", &[], Verdict::Log);
    says("rules.mount = \"trap\"", "mount", &[], Verdict::Trap);
    says("rules.mount = \"kill-thread\"", "mount", &[], Verdict::KillThread);
    says("rules.mount = \"trace\"", "mount", &[], Verdict::Trace);
    says("rules.mount = \"notify\"", "mount", &[], Verdict::Notify);
    says("rules.ptrace = { notify-if = { arg0 = 1 } }", "ptrace", &[1], Verdict::Notify);
}

#[test]
fn the_strictest_of_several_conditions_wins_whatever_their_order() {
    for rule in [
        "rules.dup = { allow-if = { arg0 = [1, 2] }, kill-if = { arg0 = [2, 3] }, deny-if = \
         { arg0 = [2, 3, 4] } }",
        "rules.dup = { deny-if = { arg0 = [2, 3, 4] }, kill-if = { arg0 = [2, 3] }, allow-if = \
         { arg0 = [1, 2] } }",
    ] {
        for (argument, verdict) in [(1, ALLOW), (2, KILL), (3, KILL), (4, EPERM), (5, EPERM)] {
            says(rule, "dup", &[argument], verdict);
        }
    }
}

#[test]
fn a_rule_of_refusals_alone_opens_nothing() {
    says("rules.mount = { deny-if = { arg3 = 1 } }", "mount", &[0, 0, 0, 2], EPERM);
    says(
        "allow = [\"mount\"]\nrules.mount = { deny-if = { arg3 = 1 } }",
        "mount",
        &[0, 0, 0, 2],
        ALLOW,
    );
    says("rules.ioctl = { deny-if = { arg1 = 7 } }", "ioctl", &[0, 0x5412], EPERM);
    says("rules.ioctl = { deny-if = { arg1 = 7 } }", "ioctl", &[0, 7], EPERM);
    says(
        "rules.ioctl = { deny-if = { arg1 = 7 }, otherwise = \"allow\" }",
        "ioctl",
        &[0, 0x5412],
        ALLOW,
    );
    says(
        "rules.ioctl = { allow-if = { arg1 = 7 }, otherwise = \"policy\" }",
        "ioctl",
        &[0, 0x5412],
        EPERM,
    );
}

#[test]
fn shorthands_refuse_on_top_of_all_else() {
    let wx = "write-execute = false\nallow = [\"mmap\", \"memfd_create\"]";
    says(wx, "mmap", &[0, 0, 6], EPERM);
    says(wx, "mmap", &[0, 0, 5], ALLOW);
    says(wx, "mprotect", &[0, 0, 4], EPERM);
    says(wx, "pkey_mprotect", &[0, 0, 4], EPERM);
    says(wx, "shmat", &[0, 0, 0o100_000], EPERM);
    says(wx, "memfd_create", &[], ENOSYS);
    says(&format!("{wx}\nrules.personality = \"allow\""), "personality", &[0x40_0000], EPERM);
    says(&format!("{wx}\nrules.personality = \"allow\""), "personality", &[0xffff_ffff], ALLOW);
    says("personality = false", "personality", &[8], EPERM);
    says("personality = false", "personality", &[0xffff_ffff], ALLOW);
    says("personality = false", "personality", &[0], ALLOW);
    for (policy, verdict) in [
        (0, ALLOW),
        (1, EPERM),
        (2, EPERM),
        (3, ALLOW),
        (6, EPERM),
        (0x4000_0000, ALLOW),
        (0x4000_0001, EPERM),
    ] {
        says("realtime = false", "sched_setscheduler", &[0, policy], verdict);
    }
    says("realtime = false", "sched_setattr", &[], ENOSYS);
    says("set-id = false", "fchmodat", &[0, 0, 0o4755], EPERM);
    says("set-id = false", "openat", &[0, 0, 0o100, 0o2755], EPERM);
    says("set-id = false", "openat2", &[], ENOSYS);
    says("set-id = true", "fchmodat", &[0, 0, 0o4755], ALLOW);
}

#[test]
fn families_are_those_that_are_listed() {
    let only = "families = [\"AF_UNIX\"]";
    says(only, "socket", &[1, 1], ALLOW);
    says(only, "socket", &[2, 1], Verdict::Errno(libc::EAFNOSUPPORT));
    says("families = [\"AF_VSOCK\", \"AF_INET\"]", "socket", &[40, 1], ALLOW);
    says(
        "families = [\"AF_VSOCK\", \"AF_INET\"]",
        "socket",
        &[2, 1, 262],
        Verdict::Errno(libc::EPROTONOSUPPORT),
    );
    says(
        "families = [\"AF_VSOCK\", \"AF_INET\"]",
        "socket",
        &[10, 1],
        Verdict::Errno(libc::EAFNOSUPPORT),
    );
    refused(
        "families = [\"AF_UNIX\"]\nrules.socket = \"allow\"",
        "cannot enforce `families`: another word says which sockets",
    );
    refused("families = [\"AF_UNX\"]", "did you mean `AF_UNIX`?");
}

#[test]
fn guards_stand_above_every_word() {
    let needs =
        Needs { deny_set_id: true, target_is_init: true, core_guard: true, ..Needs::default() };
    for text in [
        "policy = \"off\"",
        "allow = [\"prctl\", \"prlimit64\", \"openat2\", \"fchmod\"]",
        "rules.prctl = \"allow\"\npolicy = \"off\"",
    ] {
        let filter = filter_with(text, &needs, None).expect(text);
        for (call, arguments, verdict) in [
            ("prctl", [1, 0, 0, 0, 0, 0], EPERM),
            ("prlimit64", [0, 4, 1, 0, 0, 0], Verdict::Errno(0)),
            ("prlimit64", [0, 4, 1, 1, 0, 0], Verdict::Errno(libc::EINVAL)),
            ("fchmod", [0, 0o4755, 0, 0, 0, 0], EPERM),
            ("openat2", [0; 6], ENOSYS),
        ] {
            assert_eq!(
                filter.judge(Abi::Native.number(call).expect(call), &arguments),
                verdict,
                "{text} {call}"
            );
        }
    }
    let said = filter_with("set-id = true", &needs, None).expect_err("a contradiction");
    assert!(said.contains("cannot allow set-id files"), "{said}");
}

#[test]
fn what_cannot_be_is_said() {
    for (text, words) in [
        ("policy = \"defualt\"", "did you mean `default`?"),
        ("allow = [\"ptrase\"]", "did you mean `ptrace`?"),
        ("allow = [\"@debgu\"]", "did you mean `@debug`?"),
        ("rules.ptrase = \"kill\"", "did you mean `ptrace`?"),
        ("rules.ptrace = \"kil\"", "did you mean `kill`?"),
        ("rules.ptrace = \"errno:EPREM\"", "did you mean `EPERM`?"),
        ("rules.ptrace = \"errno:5000\"", "0 to 4095"),
        ("rules.ptrace = \"notfy\"", "did you mean `notify`?"),
        ("rules.ptrace = {}", "the rule says nothing"),
        (
            "rules.ptrace = { kill-if = { arg0 = 1, errno = \"EIO\" } }",
            "`errno` goes with `deny-if` alone",
        ),
        ("rules.ptrace = { deny-if = { errno = \"EIO\" } }", "always holds"),
        ("rules.ptrace = { alow-if = { arg0 = 1 } }", "did you mean `allow`?"),
        ("rules.ptrace = { when = 1 }", "cannot read `when` of a rule: there is no such key"),
        ("rules.ptrace = { allow-if = [{}] }", "always holds"),
        ("rules.ptrace = { allow-if = [{ arg6 = 1 }] }", "arg0 to arg5"),
        ("rules.ptrace = { allow-if = [{ arg00 = 1 }] }", "arg0 to arg5"),
        (
            "rules.ptrace = { allow-if = [{ arg0 = \"PTRACE_ATACH\" }] }",
            "did you mean `PTRACE_ATTACH`?",
        ),
        ("rules.ptrace = { allow-if = [{ arg0 = { mask = 1 } }] }", "`mask` needs"),
        ("rules.ptrace = { allow-if = [{ arg0 = { is = 1, less = 2 } }] }", "one comparison"),
        ("rules.ptrace = { allow-if = [{ arg0 = { less = 0 } }] }", "no number is so"),
        ("rules.ptrace = { allow-if = [{ arg0 = [] }] }", "an empty list"),
        ("rules.getpid = { allow-if = [{ arg0 = 1 }] }", "getpid has no arguments"),
        ("rules.openat = { allow-if = [{ arg1 = 1 }] }", "is an address"),
        ("rules.socket = { allow-if = [{ arg0 = 0x100000000 }] }", "does not fit into the 32 bits"),
        ("rules.\"@debug\" = { allow-if = [{ arg0 = 1 }] }", "cannot put conditions on @debug"),
        ("policy = \"none\"", "cannot refuse execve: the target itself starts by it"),
        ("deny = [\"@default\"]", "cannot refuse exit_group"),
        ("architectures = [\"x64\"]", "unknown architecture `x64`"),
        ("familes = []", "did you mean `families`?"),
    ] {
        refused(text, words);
    }
    let many: Vec<String> = (0..5000).map(|value| (value * 3).to_string()).collect();
    refused(
        &format!("rules.dup = {{ deny-if = {{ arg0 = [{}] }} }}", many.join(", ")),
        "the kernel takes 4096",
    );
}

#[test]
fn every_place_that_decided_is_kept() {
    let filter = filter("deny = [\"@keyring\"]\nallow = [\"ptrace\"]\nrules.dup = \"kill\"")
        .expect("a filter");
    let because = |call: &str| {
        filter.native.because(Abi::Native.number(call).expect(call)).map(|(source, _)| source)
    };
    assert_eq!(
        [because("keyctl"), because("ptrace"), because("dup"), because("read")],
        [Some(Source::Deny), Some(Source::Allow), Some(Source::Rules), None]
    );
    assert!(filter.native.sources().keys().all(|(_, at)| *at != Span::NOWHERE));
}

#[test]
fn what_the_policy_refuses_becomes_what_default_says() {
    let errno = |errno| Verdict::Errno(errno);
    for (word, verdict) in [
        ("kill", Verdict::KillProcess),
        ("log", Verdict::Log),
        ("errno:ENOENT", errno(libc::ENOENT)),
        ("errno:EPERM", EPERM),
        ("errno:ENOSYS", ENOSYS),
    ] {
        let text = format!("default = \"{word}\"\n");
        let none = format!("{text}policy = \"none\"\nallow = [\"@default\", \"execve\"]\n");
        says(&text, "ptrace", &[], verdict);
        says(&text, "read", &[], Verdict::Allow);
        says(&none, "mkdirat", &[], verdict);
        // Programs go another way after ENOSYS alone.
        says(&text, "clone3", &[], ENOSYS);
        says(&none, "clone3", &[], ENOSYS);
        assert_eq!(filter(&text).unwrap().judge(559, &[0; 6]), ENOSYS);
        // What is looked into keeps its errnos, and is opened by its own name alone.
        says(&text, "socket", &[40, 1], errno(libc::EAFNOSUPPORT));
        says(&text, "ioctl", &[0, 0x5412], EPERM);
        says(&text, "unshare", &[0x1000_0000], EPERM);
        let whole = if word == "log" { EPERM } else { verdict };
        says(&text, "setns", &[], whole);
        says(&none, "socket", &[1, 1], whole);
        // Stronger words.
        says(&format!("{text}deny = [\"ptrace\", \"read\"]\n"), "ptrace", &[], EPERM);
        says(&format!("{text}allow = [\"ptrace\"]\n"), "ptrace", &[], Verdict::Allow);
        let ruled = format!("{text}rules.ptrace = {{ deny-if = [{{ arg0 = 1 }}] }}\n");
        says(&ruled, "ptrace", &[1], EPERM);
        says(&ruled, "ptrace", &[0], verdict);
        let guarded = filter_with(&text, &NEEDS[4], None).unwrap();
        let openat2 = Abi::Native.number("openat2").unwrap();
        assert_eq!(guarded.judge(openat2, &[0; 6]), ENOSYS);
    }
    for (word, said) in [
        ("allow", "policy = \"off\""),
        ("deny", "errno:EPERM"),
        ("trap", "a rule for single calls"),
        ("errno:0", "seem to succeed"),
        ("errno:EPREM", "EPERM"),
        ("kil", "write \"errno:EPERM\""),
    ] {
        let found = section(&format!("default = \"{word}\"\n")).unwrap_err();
        assert!(found.contains(said), "{word}: {found}");
    }
}
