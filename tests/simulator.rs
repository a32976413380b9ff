//! The filters of several profiles, read by libseccomp's own simulator of BPF: it and the table
//! that the plan shows say the same.

use crate::support::{Place, skip, system};
use std::path::{Path, PathBuf};
use std::process::Command;
use stockade::internals::host::caller::Caller;
use stockade::internals::kernel::syscalls::Abi;
use stockade::internals::policy::seccomp::{Compare, Filter, Rule, Verdict, compile};
use stockade::internals::probe::probe;
use stockade::internals::profile::{Request, load};
use stockade::internals::text::source::Sources;

/// Words of `[seccomp]`, each with the name that the simulator has for the architecture that is
/// looked at.
const PROFILES: &[(&str, &str)] = &[
    ("", "x86_64"),
    ("policy = \"none\"\nallow = [\"@system-service\"]\ndeny = [\"@keyring\"]\n", "x86_64"),
    (
        "families = [\"AF_UNIX\", \"AF_NETLINK\"]\nwrite-execute = false\nset-id = false\nrealtime \
         = false\n",
        "x86_64",
    ),
    (
        "rules.kill = { allow-if = [{ arg1 = [0, 15] }], otherwise = \"trap\" }\nrules.lseek = { \
         allow-if = [{ arg1 = { less = 4294967296 } }] }\n",
        "x86_64",
    ),
    (
        "rules.fcntl = { allow-if = [{ arg1 = { mask = 255, is = 3 } }], otherwise = \
         \"errno:EBADF\" }\nrules.mkdir = \"kill\"\n",
        "x86_64",
    ),
    ("default = \"kill\"\n", "x86_64"),
    ("default = \"log\"\npolicy = \"none\"\nallow = [\"execve\", \"exit_group\"]\n", "x86_64"),
    ("default = \"errno:ENOENT\"\narchitectures = [\"x86\"]\n", "x86"),
    ("architectures = [\"x86\"]\n", "x86"),
    ("architectures = [\"x32\"]\n", "x32"),
];

fn simulator() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/simulator/scmp_bpf_sim");
    built.exists().then_some(built)
}

fn filter_of(place: &Place, words: &str) -> Filter {
    let text = format!("{}[process]\ncommand = [\"true\"]\n[seccomp]\n{words}", system(""));
    let profile = place.file("profile.toml", &text).display().to_string();
    let (mut sources, caller) = (Sources::default(), Caller::current());
    let profile = load(&Request { profile, ..Request::default() }, &caller, &mut sources)
        .unwrap_or_else(|problems| panic!("{words}\n{problems:?}"));
    let (host, _) = probe(&profile, caller, &sources);
    stockade::internals::plan::plan(&profile, &host)
        .unwrap_or_else(|problems| panic!("{words}\n{problems:?}"))
        .filter
}

/// Arguments on both sides of what a rule looks at.
fn samples(rule: Option<&Rule>) -> Vec<[u64; 6]> {
    let mut found = vec![[0; 6], [u64::MAX; 6], [0x1_0000_0001; 6]];
    for test in rule.into_iter().flat_map(|rule| &rule.cases).flat_map(|case| &case.tests) {
        let near = match &test.compare {
            Compare::AnyBit { bits } => vec![*bits],
            Compare::OneOf { values, .. } | Compare::NoneOf { values, .. } => {
                values.iter().take(3).copied().collect()
            }
            Compare::Between { low, high } => vec![*low, *high],
        };
        for value in near.iter().flat_map(|value| {
            [value.wrapping_sub(1), *value, value.wrapping_add(1), value | 1 << 40]
        }) {
            let mut arguments = [0; 6];
            arguments[usize::from(test.argument)] = value;
            found.push(arguments);
        }
    }
    found
}

fn in_its_words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "ALLOW".into(),
        Verdict::Log => "LOG".into(),
        Verdict::Trace => "TRACE(0)".into(),
        // That of 2.5.4 has no name for it.
        Verdict::Notify => "UNKNOWN".into(),
        Verdict::Errno(errno) => format!("ERRNO({errno})"),
        Verdict::Trap => "TRAP".into(),
        Verdict::KillThread => "KILL".into(),
        Verdict::KillProcess => "KILL_PROCESS".into(),
    }
}

#[test]
fn libseccomp_reads_the_filters_as_we_do() {
    if !cfg!(target_arch = "x86_64") {
        return skip("the simulator is asked of x86_64 alone");
    }
    let Some(simulator) = simulator() else {
        return skip("the simulator is not built: .ci/simulator");
    };
    let place = Place::new();
    let (mut asked, mut refused) = (0, 0);
    for (words, arch) in PROFILES {
        let filter = filter_of(&place, words);
        let program: Vec<u8> = compile(&filter)
            .iter()
            .flat_map(|one| {
                [&one.code.to_ne_bytes()[..], &[one.jt, one.jf], &one.k.to_ne_bytes()].concat()
            })
            .collect();
        let file = place.path.join("program");
        std::fs::write(&file, program).unwrap();
        let (abi, bit) = match *arch {
            "x86" => (Abi::X86, 0),
            "x32" => (Abi::X32, Abi::X32_BIT),
            _ => (Abi::Native, 0),
        };
        let table = filter.table(abi).unwrap();
        for number in (0..480).step_by(if words.is_empty() { 1 } else { 7 }).chain(
            table.rules().filter(|(_, rule)| !rule.cases.is_empty()).map(|(number, _)| number),
        ) {
            for arguments in samples(table.rule(number)) {
                let arguments = arguments
                    .map(|value| if abi == Abi::X86 { value & 0xffff_ffff } else { value });
                let mut command = Command::new(&simulator);
                command.arg("-f").arg(&file).args(["-a", arch, "-s", &(number | bit).to_string()]);
                for (place, value) in arguments.iter().enumerate() {
                    command.args([format!("-{place}"), value.to_string()]);
                }
                let output = command.output().unwrap();
                let verdict = table.judge(number, &arguments);
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout).trim(),
                    in_its_words(verdict),
                    "{words}: {number} of {arch} {arguments:#x?}: {output:?}"
                );
                asked += 1;
                refused += usize::from(verdict.refuses());
            }
        }
    }
    eprintln!("asked {asked} times, {refused} refused");
    assert!(refused * 10 > asked && refused * 10 < asked * 9, "one-sided: {refused} of {asked}");
}
