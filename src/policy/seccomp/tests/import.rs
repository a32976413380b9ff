//! Policies of container engines against a reference evaluation of their JSON.

use super::sections::filter_with;
use super::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What the reference says of a call, straight from the JSON: the strictest of the entries that
/// hold, else the default.
fn reference(policy: &Value, facts: &Facts, call: &str, arguments: &[u64; 6]) -> Verdict {
    let default = action(policy, "defaultAction", "defaultErrnoRet", "defaultErrno");
    let entries = policy["syscalls"].as_array().into_iter().flatten();
    let named = |entry: &&Value| {
        entry["name"] == call
            || entry["names"].as_array().into_iter().flatten().any(|name| name == call)
    };
    let verdict = |entry: &Value| action(entry, "action", "errnoRet", "errno");
    let holding = entries.filter(named).filter(|entry| {
        is_for(entry, facts) && verdict(entry) != default && holds(entry, call, arguments)
    });
    holding.map(verdict).max_by_key(|verdict| verdict.strictness()).unwrap_or(default)
}

fn action(of: &Value, action: &str, number: &str, name: &str) -> Verdict {
    match of[action].as_str().expect("an action") {
        "SCMP_ACT_ALLOW" => Verdict::Allow,
        "SCMP_ACT_LOG" => Verdict::Log,
        "SCMP_ACT_TRACE" => Verdict::Trace,
        "SCMP_ACT_TRAP" => Verdict::Trap,
        "SCMP_ACT_NOTIFY" => Verdict::Notify,
        "SCMP_ACT_KILL_PROCESS" => Verdict::KillProcess,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict::KillThread,
        _ => Verdict::Errno(match (of[number].as_i64(), of[name].as_str()) {
            (Some(number), _) => number as i32,
            (None, Some("ENOSYS")) => libc::ENOSYS,
            _ => libc::EPERM,
        }),
    }
}

fn is_for(entry: &Value, facts: &Facts) -> bool {
    let strings = |of: &Value| {
        of.as_array()
            .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let new = |of: &Value| {
        of.as_str().map(|version| {
            let (major, minor) = version.split_once('.').expect("a version");
            facts.kernel >= (major.parse().expect("a number"), minor.parse().expect("a number"))
        })
    };
    let (yes, no) = (&entry["includes"], &entry["excludes"]);
    let has = |cap: &String| facts.capabilities.contains(cap);
    strings(&yes["arches"]).is_none_or(|arches| arches.iter().any(|known| known == arch))
        && strings(&yes["caps"]).is_none_or(|caps| caps.iter().all(has))
        && new(&yes["minKernel"]).unwrap_or(true)
        && !strings(&no["arches"]).is_some_and(|arches| arches.iter().any(|known| known == arch))
        && !strings(&no["caps"]).is_some_and(|caps| caps.iter().any(has))
        && !new(&no["minKernel"]).unwrap_or(false)
}

fn holds(entry: &Value, call: &str, arguments: &[u64; 6]) -> bool {
    let args: Vec<&Value> = entry["args"].as_array().into_iter().flatten().collect();
    let index = |arg: &Value| arg["index"].as_u64().expect("an index") as usize;
    let one = |arg: &&Value| {
        // What the kernel reads: all of these calls have `int` there, but for unshare and mmap.
        let whole = ["unshare", "mmap", "lseek"].contains(&call);
        let is = if whole { arguments[index(arg)] } else { arguments[index(arg)] & 0xffff_ffff };
        let (value, two) =
            (arg["value"].as_u64().expect("a value"), arg["valueTwo"].as_u64().unwrap_or(0));
        match arg["op"].as_str().expect("an operator") {
            "SCMP_CMP_EQ" => is == value,
            "SCMP_CMP_NE" => is != value,
            "SCMP_CMP_LT" => is < value,
            "SCMP_CMP_LE" => is <= value,
            "SCMP_CMP_GT" => is > value,
            "SCMP_CMP_GE" => is >= value,
            _ => is & value == two,
        }
    };
    let twice = args
        .iter()
        .enumerate()
        .any(|(nth, arg)| args[..nth].iter().any(|before| index(before) == index(arg)));
    if twice { args.iter().any(one) } else { args.iter().all(one) }
}

/// Every call and number, for some sandboxes.
fn assert_as_the_reference(text: &str) {
    let policy: Value = serde_json::from_str(text).expect("JSON");
    let mut dice = Dice(0xd0c);
    let caps = |caps: &[&str]| caps.iter().map(|cap| (*cap).to_owned()).collect::<Vec<String>>();
    for (capabilities, kernel) in [
        (caps(&[]), (6, 18)),
        (caps(&["CAP_SYS_ADMIN"]), (6, 18)),
        (caps(&["CAP_SYS_PTRACE", "CAP_SYS_CHROOT"]), (5, 14)),
        (caps(&[]), (4, 2)),
    ] {
        let facts = Facts { capabilities: &capabilities, kernel };
        let imported = Imported::read(text, &facts).expect("a policy");
        let mut numbers = vec![0, 1, 2, 3, 12, 13, 40];
        let args = policy["syscalls"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|entry| entry["args"].as_array().into_iter().flatten());
        numbers.extend(
            args.flat_map(|arg| [arg["value"].as_u64(), arg["valueTwo"].as_u64()]).flatten(),
        );
        for (_, call) in Abi::Native.known() {
            let rule = imported.rule(call);
            let samples = if rule.cases.is_empty() { 2 } else { 60 };
            for _ in 0..samples {
                let arguments: [u64; 6] = std::array::from_fn(|_| dice.argument(&numbers));
                assert_eq!(
                    rule.judge(&arguments),
                    reference(&policy, &facts, call, &arguments),
                    "{call} {arguments:#x?}: {rule}"
                );
            }
        }
        // And in the filter, but for what guards and the terminal need.
        let needs = Needs { target_is_init: true, ..Needs::default() };
        let filter = filter_with("", &needs, Some(&imported));
        if let Ok(filter) =
            filter_with("deny = []\nallow = [\"execve\", \"exit_group\"]", &needs, Some(&imported))
                .or(filter)
        {
            assert_same(&filter, &mut dice, 20);
            for (number, call) in Abi::Native.known() {
                if !["ioctl", "prctl", "execve", "exit_group"].contains(&call) {
                    assert_eq!(filter.rule(number), Some(&imported.rule(call)), "{call}");
                }
            }
        }
    }
}

/// Of our own making: each construct that the format has, in few calls.
const EVERY_CONSTRUCT: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
    "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        { "names": ["read", "write", "close", "execve", "exit_group", "no_such_call"], "action": "SCMP_ACT_ALLOW", "comment": "plain", "args": null },
        { "name": "getpid", "action": "SCMP_ACT_LOG", "args": [], "includes": {}, "excludes": {} },
        { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 12, "op": "SCMP_CMP_LT" }] },
        { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }, { "index": 1, "value": 3, "op": "SCMP_CMP_GE" }] },
        { "names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{ "index": 2, "value": 7, "op": "SCMP_CMP_EQ" }] },
        { "names": ["dup3"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 2, "op": "SCMP_CMP_LE" }, { "index": 0, "value": 100, "op": "SCMP_CMP_GT" }] },
        { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ" }], "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
        { "names": ["clone", "setns"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
        { "names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": [{ "index": 0, "value": 255, "valueTwo": 128, "op": "SCMP_CMP_MASKED_EQ" }] },
        { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "4.8" } },
        { "names": ["kcmp"], "action": "SCMP_ACT_ALLOW", "excludes": { "minKernel": "5.15" } },
        { "names": ["mknodat"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["amd64", "arm64"] } },
        { "names": ["mkdirat"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["s390x"] } },
        { "names": ["linkat"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["s390x"], "caps": ["CAP_SYS_ADMIN"] }, "excludes": { "arches": ["arm64"] } },
        { "names": ["symlinkat"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_PTRACE", "CAP_SYS_CHROOT"] } },
        { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ" }] },
        { "names": ["personality"], "action": "SCMP_ACT_TRACE", "args": [{ "index": 0, "value": 8, "op": "SCMP_CMP_EQ" }] },
        { "names": ["mmap"], "action": "SCMP_ACT_TRAP", "args": [{ "index": 2, "value": 6, "valueTwo": 6, "op": "SCMP_CMP_MASKED_EQ" }] },
        { "names": ["mmap"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 1, "value": 4294967296, "op": "SCMP_CMP_LT" }] },
        { "names": ["sync"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS" },
        { "names": ["mount"], "action": "SCMP_ACT_KILL" },
        { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }
    ]
}"#;

#[test]
fn each_construct_does_as_the_reference_says() {
    assert_as_the_reference(EVERY_CONSTRUCT);
    let facts = Facts { capabilities: &[], kernel: (6, 18) };
    assert_eq!(
        Imported::read(EVERY_CONSTRUCT, &facts).expect("a policy").unknown,
        ["no_such_call"]
    );
}

#[test]
fn a_list_of_refusals_is_a_policy_too() {
    assert_as_the_reference(
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["mount", "ptrace"], "action": "SCMP_ACT_ERRNO" },
            { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_EQ" }] }
        ] }"#,
    );
}

#[test]
fn what_is_not_understood_is_not_passed_over() {
    let facts = Facts { capabilities: &[], kernel: (6, 18) };
    for (text, words) in [
        ("{", "EOF"),
        (r#"{ "syscalls": [] }"#, "defaultAction"),
        (r#"{ "defaultAction": "SCMP_ACT_MAYBE" }"#, "is not an action"),
        (r#"{ "defaultAction": "SCMP_ACT_ERRNO", "surprise": 1 }"#, "unknown field"),
        (
            r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "excludes": { "maxKernel": "5.1" } }] }"#,
            "maxKernel",
        ),
        (
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["no_such_call"], "action": "SCMP_ACT_KILL" }] }"#,
            "not known here",
        ),
        (
            r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_ISH" }] }] }"#,
            "is not an operator",
        ),
        (
            r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 6, "value": 1, "op": "SCMP_CMP_EQ" }] }] }"#,
            "0 to 5",
        ),
        (r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000 }"#, "0 to 4095"),
    ] {
        let said = Imported::read(text, &facts).expect_err(text);
        assert!(said.says(words), "{text}\n{said:?}");
    }
}

/// Where Debian's packages put the policies of podman and docker, and where the tests unpack those
/// packages themselves.
const FILES: [(&str, &str); 2] = [
    ("golang-github-containers-common", "usr/share/containers/seccomp.json"),
    (
        "golang-github-docker-docker-dev",
        "usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json",
    ),
];

/// The file on this machine, or from its package, which is fetched and unpacked beside the other
/// things of the tests.
fn found(package: &str, file: &str) -> Option<PathBuf> {
    let installed = Path::new("/").join(file);
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/policies").join(package);
    let unpacked = directory.join(file);
    if installed.exists() || unpacked.exists() {
        return Some(if installed.exists() { installed } else { unpacked });
    }
    std::fs::create_dir_all(&directory).ok()?;
    let run = |line: &str| {
        std::process::Command::new("sh")
            .args(["-c", line])
            .current_dir(&directory)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    (run(&format!("apt-get -q download {package}"))
        && run("dpkg-deb -x *.deb .")
        && unpacked.exists())
    .then_some(unpacked)
}

#[test]
fn the_policies_of_docker_and_podman_do_as_the_reference_says() {
    let more = std::env::var("STOCKADE_POLICIES").unwrap_or_default();
    let mut compared = 0;
    for path in FILES
        .iter()
        .filter_map(|(package, file)| found(package, file))
        .chain(more.split(':').filter(|path| !path.is_empty()).map(PathBuf::from))
    {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_as_the_reference(&text);
        compared += 1;
    }
    if compared == 0 {
        crate::skipped::skip("no policy of a container engine is on this machine");
    }
}
