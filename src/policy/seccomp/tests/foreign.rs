//! The tables of x86 and x32: a rule for a call of x86_64 holds for its counterparts.
#![cfg(target_arch = "x86_64")]

use super::sections::filter;
use super::*;

fn x86(text: &str, call: &str, arguments: &[u64]) -> Verdict {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let filter = filter(&format!("architectures = [\"x86\"]\n{text}"))
        .unwrap_or_else(|said| panic!("{text}\n{said}"));
    filter.table(Abi::X86).expect("granted").judge(Abi::X86.number(call).expect(call), &all)
}

#[test]
fn an_architecture_is_granted_only_where_it_is_asked_for() {
    let plain = filter("policy = \"default\"").expect("a filter");
    assert!(plain.others.is_empty());
    let both = filter("architectures = [\"x32\", \"x86\"]").expect("a filter");
    assert_eq!(both.others.iter().map(|table| table.abi).collect::<Vec<_>>(), [Abi::X86, Abi::X32]);
    assert_eq!(plain.judge(Abi::X32_BIT | 39, &[0; 6]), ENOSYS);
    assert_eq!(both.judge(Abi::X32_BIT | 39, &[0; 6]), Verdict::Allow);
    let x32 = both.table(Abi::X32).expect("granted");
    assert_eq!(
        (x32.judge(514, &[0, 0x5412, 0, 0, 0, 0]), x32.judge(521, &[0; 6]), x32.judge(16, &[0; 6])),
        (EPERM, EPERM, ENOSYS)
    );
}

#[test]
fn counterparts_have_the_same_rule() {
    for (text, call, arguments, verdict) in [
        ("", "set_thread_area", &[][..], Verdict::Allow),
        ("", "chown32", &[], Verdict::Allow),
        ("deny = [\"chown\"]", "chown32", &[], EPERM),
        ("deny = [\"clock_gettime\"]", "clock_gettime64", &[], EPERM),
        ("deny = [\"wait4\"]", "waitpid", &[], EPERM),
        ("deny = [\"chown\"]\nrules.chown32 = \"errno:EIO\"", "chown32", &[], EPERM),
        ("rules.chown32 = \"errno:EIO\"", "chown32", &[], Verdict::Errno(libc::EIO)),
        ("", "ptrace", &[], EPERM),
        ("", "umount", &[], EPERM),
        ("", "clone3", &[], ENOSYS),
        ("", "clone", &[0x1000_0000], EPERM),
        ("", "ioctl", &[0, 0x5412], EPERM),
        ("", "unshare", &[0x400], Verdict::Allow),
        ("", "unshare", &[0x10_0000], EPERM),
        ("rules.kill = { allow-if = { arg0 = -1 } }", "kill", &[0xffff_ffff], Verdict::Allow),
        ("write-execute = false", "mmap2", &[0, 0, 6], EPERM),
        ("write-execute = false", "mmap2", &[0, 0, 5], Verdict::Allow),
        // Its arguments are in memory.
        ("write-execute = false", "mmap", &[], EPERM),
        ("", "mmap", &[], Verdict::Allow),
        ("", "vm86", &[], EPERM),
    ] {
        assert_eq!(x86(text, call, arguments), verdict, "{text}\n{call} {arguments:#x?}");
    }
}

#[test]
fn a_bundle_does_not_go_round_the_rules_of_its_calls() {
    for (text, call, number, verdict) in [
        // The family is in memory.
        ("", "socketcall", 1, Verdict::Errno(libc::EPROTONOSUPPORT)),
        ("", "socketcall", 8, Verdict::Errno(libc::EAFNOSUPPORT)),
        ("", "socketcall", 3, Verdict::Allow),
        ("", "socketcall", 99, EPERM),
        ("deny = [\"connect\"]", "socketcall", 3, EPERM),
        ("rules.connect = \"kill\"", "socketcall", 3, Verdict::KillProcess),
        ("rules.socket = \"allow\"", "socketcall", 1, Verdict::Allow),
        ("allow = [\"socketcall\"]", "socketcall", 1, Verdict::Allow),
        ("deny = [\"socketcall\"]", "socketcall", 3, EPERM),
        ("", "ipc", 21, Verdict::Allow),
        ("", "ipc", 0x1_0015, Verdict::Allow),
        ("write-execute = false", "ipc", 0x1_0015, EPERM),
        ("deny = [\"semop\"]", "ipc", 1, EPERM),
    ] {
        assert_eq!(x86(text, call, &[number]), verdict, "{text}\n{call} {number}");
    }
}

#[test]
fn programs_with_every_architecture_read_as_their_filters() {
    let mut dice = Dice(0x32);
    for text in [
        "",
        "policy = \"off\"\n",
        "policy = \"none\"\nallow = [\"@system-service\"]\n",
        "write-execute = false\nset-id = false\n",
    ] {
        let filter = filter(&format!("{text}architectures = [\"x86\", \"x32\"]")).expect(text);
        assert_same(&filter, &mut dice, 300);
    }
}
