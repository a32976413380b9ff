//! The filter from inside, on the running kernel: every call that is refused is attempted by
//! number, and what comes of it is compared with what `plan --format json` says. As root and as an
//! ordinary user.

use crate::support::{self, As, Place, skip, system, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use stockade::internals::kernel::syscalls::Abi;

/// An attempt, and what must come of it.
struct Attempt {
    line: String,
    expected: String,
}

/// Arguments that no call can use: nothing is at that address, no descriptor and no process has
/// that number.
const USELESS: [u64; 6] = [u64::MAX; 6];

fn attempt(way: &str, number: u32, arguments: &[u64; 6], expected: String) -> Attempt {
    let arguments: Vec<String> = arguments.iter().map(|argument| format!("{argument:x}")).collect();
    Attempt { line: format!("{way} {number} {}", arguments.join(" ")), expected }
}

/// The errno that a verdict of the plan is.
fn errno_of(verdict: &str) -> i32 {
    let names =
        (1..=133).map(|number| (number, format!("{:?}", nix::errno::Errno::from_raw(number))));
    names
        .into_iter()
        .find(|(_, name)| name == verdict)
        .map_or_else(|| panic!("{verdict} is no errno"), |(number, _)| number)
}

/// Arguments under which the plan's rule refuses, with the verdict, for each of its cases and for
/// what is left.
fn samples(rule: &Value) -> Vec<([u64; 6], String)> {
    let cases: Vec<&Value> = rule["cases"].as_array().unwrap().iter().collect();
    let mut found: Vec<([u64; 6], String)> = cases
        .iter()
        .map(|case| arguments_for(case))
        .map(|arguments| (arguments, judge(rule, &arguments)))
        .collect();
    found.push((USELESS, judge(rule, &USELESS)));
    found.retain(|(_, verdict)| verdict != "allow");
    found
}

fn tests_of(case: &Value) -> impl Iterator<Item = (usize, &Value, bool)> {
    case["tests"].as_array().unwrap().iter().map(|test| {
        (test["argument"].as_u64().unwrap() as usize, &test["compare"], test["width"] == "low")
    })
}

/// Arguments for which each test of a case holds; what it does not look at stays useless.
fn arguments_for(case: &Value) -> [u64; 6] {
    let mut arguments = USELESS;
    for (argument, compare, _) in tests_of(case) {
        let (kind, of) = compare.as_object().unwrap().iter().next().unwrap();
        arguments[argument] = match kind.as_str() {
            "any-bit" => of["bits"].as_u64().unwrap(),
            "one-of" => of["values"][0].as_u64().unwrap(),
            "between" => of["low"].as_u64().unwrap(),
            _ => u64::MAX,
        };
    }
    arguments
}

/// What the plan's words say of a call, read once more.
fn judge(rule: &Value, arguments: &[u64; 6]) -> String {
    let holds = |(argument, compare, low): (usize, &Value, bool)| {
        let value = if low { arguments[argument] & 0xffff_ffff } else { arguments[argument] };
        let (kind, of) = compare.as_object().unwrap().iter().next().unwrap();
        let among = || {
            of["values"]
                .as_array()
                .unwrap()
                .iter()
                .any(|known| known.as_u64() == Some(value & of["mask"].as_u64().unwrap()))
        };
        match kind.as_str() {
            "any-bit" => value & of["bits"].as_u64().unwrap() != 0,
            "one-of" => among(),
            "none-of" => !among(),
            _ => (of["low"].as_u64().unwrap()..=of["high"].as_u64().unwrap()).contains(&value),
        }
    };
    let case = rule["cases"].as_array().unwrap().iter().find(|case| tests_of(case).all(holds));
    case.map_or(&rule["otherwise"], |case| &case["verdict"]).as_str().unwrap().to_owned()
}

fn planned(place: &Place, who: As, profile: &str) -> Value {
    let path = place.file("plan.toml", profile);
    let output = place
        .stockade(who)
        .args(["plan", "--format", "json"])
        .arg(path)
        .arg("/calls")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes the attempts inside, and compares.
fn assert_refused(place: &Place, who: As, profile: &str, attempts: &[Attempt]) {
    let lines: Vec<&str> = attempts.iter().map(|attempt| attempt.line.as_str()).collect();
    place.file("list", &(lines.join("\n") + "\n"));
    let output = place.run(who, profile, &["/calls", "/list"]);
    let said = text(&output.stdout);
    let said: Vec<&str> = said.lines().collect();
    assert!(
        output.status.success() && said.len() == attempts.len(),
        "{who:?}: {:?} after {:?}\n{}",
        output.status,
        said.last(),
        text(&output.stderr)
    );
    let wrong: Vec<String> = attempts
        .iter()
        .zip(said)
        .filter(|(attempt, said)| attempt.expected != *said)
        .map(|(attempt, said)| format!("{}: {said}, not {}", attempt.line, attempt.expected))
        .collect();
    assert!(wrong.is_empty(), "{who:?}:\n{}", wrong.join("\n"));
}

fn place() -> Place {
    let place = Place::new();
    place.program("calls");
    place.file("list", "");
    place
}

fn profile(place: &Place, more: &str) -> String {
    let at = place.path.display();
    system(&format!(
        "\"/calls\" = {{ bind = \"{at}/calls\" }}\n\"/list\" = {{ bind = \"{at}/list\" }}\n{more}"
    ))
}

/// Attempts at everything that the plan refuses with an errno.
fn refusals(plan: &Value) -> Vec<Attempt> {
    let mut attempts = vec![];
    for (name, rule) in plan["seccomp"].as_object().unwrap() {
        let number = Abi::Native.number(name).expect(name);
        for (arguments, verdict) in samples(rule) {
            // "Done", of what the kernel would answer with EFAULT.
            let expected = if verdict == "errno 0" {
                "success 0".into()
            } else {
                format!("errno {}", errno_of(&verdict))
            };
            attempts.push(attempt("native", number, &arguments, expected));
        }
    }
    attempts
}

#[test]
fn every_refused_call_is_refused_as_the_plan_says() {
    let place = place();
    for more in [
        "",
        "[seccomp]\npolicy = \"none\"\nallow = [\"@default\", \"@basic-io\", \"@file-system\", \
         \"@process\", \"@signal\"]\n",
    ] {
        let profile = profile(&place, more);
        for who in As::all() {
            let plan = planned(&place, *who, &profile);
            let mut attempts = refusals(&plan);
            assert!(attempts.len() > 70, "{}", attempts.len());
            // What no version of stockade knows yet.
            attempts.extend((473..520).map(|number| {
                attempt("native", number, &USELESS, format!("errno {}", libc::ENOSYS))
            }));
            assert_refused(&place, *who, &profile, &attempts);
        }
    }
}

#[test]
fn no_second_number_leads_to_a_refused_call() {
    if !cfg!(target_arch = "x86_64") {
        return skip("x32 and int 0x80 are of x86_64");
    }
    let place = place();
    let profile = profile(&place, "");
    let x32 =
        (0..560).map(|number| attempt("x32", number, &USELESS, format!("errno {}", libc::ENOSYS)));
    let int80 = (0..480)
        .map(|number| attempt("int80", number, &USELESS, format!("signal {}", libc::SIGSYS)));
    let attempts: Vec<Attempt> = x32.chain(int80).collect();
    for who in As::all() {
        assert_refused(&place, *who, &profile, &attempts);
    }
}

#[test]
fn what_is_granted_is_granted_and_no_more() {
    let place = place();
    let profile = profile(
        &place,
        "[seccomp]\nallow = [\"kcmp\"]\ndeny = [\"getppid\"]\n[seccomp.rules]\nsync = \
         \"errno:EIO\"\ndup = { deny-if = [{ arg0 = { at-least = 1000 } }] }\n\
         getpgid = { kill-if = { arg0 = 77 } }\n",
    );
    for who in As::all() {
        let number = |name: &str| Abi::Native.number(name).expect(name);
        let first = |value: u64| [value, 0, 0, 0, 0, 0];
        let errno = |errno: i32| format!("errno {errno}");
        let attempts = [
            // The kernel's own answer: there is no such process.
            attempt("native", number("kcmp"), &USELESS, errno(libc::ESRCH)),
            attempt("native", number("getppid"), &USELESS, errno(libc::EPERM)),
            attempt("native", number("sync"), &USELESS, errno(libc::EIO)),
            attempt("native", number("dup"), &first(999), errno(libc::EBADF)),
            attempt("native", number("dup"), &first(0xdead_0000_0000_03e8), errno(libc::EPERM)),
            attempt("native", number("getpgid"), &first(0), "success 0".into()),
            attempt("native", number("ptrace"), &USELESS, errno(libc::EPERM)),
        ];
        assert_refused(&place, *who, &profile, &attempts);
        place.file(
            "list",
            &(attempt("native", number("getpgid"), &first(77), String::new()).line + "\n"),
        );
        let killed = place.run(*who, &profile, &["/calls", "/list"]);
        assert_eq!(
            killed.status.code(),
            Some(128 + libc::SIGSYS),
            "{who:?}: {}",
            text(&killed.stderr)
        );
        assert!(
            text(&killed.stderr).contains("the target died of SIGSYS"),
            "{who:?}: {}",
            text(&killed.stderr)
        );
    }
}

/// Builds for 32 bits; where gcc cannot, says why and gives `None`.
fn build_32(place: &Place, name: &str, options: &[&str]) -> Option<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let built = Command::new("gcc")
        .args(["-m32", "-O1", "-Wall", "-o"])
        .arg(place.path.join("small"))
        .arg(source)
        .args(options)
        .output()
        .unwrap();
    if !built.status.success() {
        eprintln!("gcc -m32: {}", text(&built.stderr));
    }
    built.status.success().then_some(())
}

#[test]
fn a_32_bit_program_runs_where_it_is_granted_and_dies_with_words_where_not() {
    let place = Place::new();
    if !cfg!(target_arch = "x86_64")
        || build_32(
            &place,
            "thirty-two.c",
            &["-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-no-pie"],
        )
        .is_none()
    {
        return skip("gcc builds no 32-bit programs here");
    }
    if !Command::new(place.path.join("small")).status().is_ok_and(|status| status.code().is_some())
    {
        return skip("this kernel runs no 32-bit programs");
    }
    let profile = system(&format!("\"/small\" = {{ bind = \"{}/small\" }}", place.path.display()));
    for who in As::all() {
        let dead = place.run(*who, &profile, &["/small"]);
        assert_eq!(dead.status.code(), Some(128 + libc::SIGSYS), "{who:?}");
        assert!(
            text(&dead.stderr)
                .contains("a 32-bit program needs [seccomp] architectures = [\"x86\"]"),
            "{who:?}: {}",
            text(&dead.stderr)
        );
        let granted = format!("{profile}\n[seccomp]\narchitectures = [\"x86\"]\n");
        let lives = place.run(*who, &granted, &["/small"]);
        // 7: mount(2) of x86 was refused by the filter.
        assert_eq!(
            (lives.status.code(), text(&lives.stdout).as_str()),
            (Some(7), "thirty-two\n"),
            "{who:?}: {}",
            text(&lives.stderr)
        );
    }
}

#[test]
fn a_policy_of_docker_s_format_is_imported() {
    let place = place();
    let policy = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["sync"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5 },
        { "names": ["syncfs"], "action": "SCMP_ACT_ERRNO", "excludes": { "caps": ["CAP_SYS_ADMIN"] } }] }"#;
    let file = place.file("policy.json", policy);
    let profile = profile(&place, &format!("[seccomp]\nimport = \"{}\"\n", file.display()));
    let number = |name: &str| Abi::Native.number(name).expect(name);
    for who in As::all() {
        let attempts = [
            attempt("native", number("sync"), &USELESS, format!("errno {}", libc::EIO)),
            attempt("native", number("syncfs"), &USELESS, format!("errno {}", libc::EPERM)),
            attempt(
                "native",
                number("ioctl"),
                &[0, 0x5412, 0, 0, 0, 0],
                format!("errno {}", libc::EPERM),
            ),
        ];
        assert_refused(&place, *who, &profile, &attempts);
        let plan: BTreeMap<String, Value> =
            serde_json::from_value(planned(&place, *who, &profile)["seccomp"].clone()).unwrap();
        assert_eq!(plan["sync"]["otherwise"], "EIO");
    }
    // What says as much as a profile must be as safe from others.
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let said = place.run(As::all()[0], &profile, &["/bin/true"]);
    assert_eq!(said.status.code(), Some(125));
    assert!(support::errors(&said).contains("can be written by others"), "{}", text(&said.stderr));
}

#[test]
fn what_can_be_written_cannot_be_executed_where_the_profile_says_so() {
    let place = Place::new();
    let folder = place.path.join("work");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mounts = format!(
        "\"/work\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}",
        folder.display()
    );
    let line =
        "cp /bin/true /work/copy && { /work/copy && echo ran || echo refused; }; rm -f /work/copy";
    for who in As::all() {
        assert_eq!(place.sh(*who, &system(&mounts), line), "ran", "{who:?}");
        let strict = system(&format!("{mounts}\n[seccomp]\nwrite-execute = false\n"));
        let output = place.run(*who, &strict, &["/bin/sh", "-c", line]);
        assert_eq!(text(&output.stdout).trim(), "refused", "{who:?}: {}", text(&output.stderr));
    }
    let said = place.run(
        As::all()[0],
        &system("\"/x\" = { tmpfs = \"1M\", exec = true }\n[seccomp]\nwrite-execute = false\n"),
        &["/bin/true"],
    );
    assert!(
        said.status.code() == Some(125)
            && text(&said.stderr).contains("cannot make /x executable: `write-execute` is false"),
        "{}",
        text(&said.stderr)
    );
}

/// A directory that the run makes is a grant for writing as any other; so is one that is seen
/// through the directory above it.
#[test]
fn what_is_made_to_be_written_is_not_executed_either() {
    let place = Place::new();
    // Root's launch makes none.
    let who = As::User;
    let own = place.folder("own", who);
    let mounts = format!(
        "\"/new\" = {{ bind = \"{0}/made\", access = \"rw\", missing = \"create\" }}\n\
         \"/above\" = {{ bind = \"{0}\" }}",
        own.display()
    );
    let line = "cp /bin/true /new/copy; for name in /new /above/made; do \
                $name/copy && echo ran || echo refused; done";
    let run = |more: &str| {
        drop(std::fs::remove_dir_all(own.join("made")));
        let output =
            place.run(who, &system(&format!("{mounts}\n{more}")), &["/bin/sh", "-c", line]);
        (text(&output.stdout), text(&output.stderr))
    };
    let (said, errors) = run("");
    assert_eq!(said, "ran\nran\n", "the twin: {errors}");
    let (said, errors) = run("[seccomp]\nwrite-execute = false\n");
    assert_eq!(said, "refused\nrefused\n", "{errors}");
}

#[test]
fn the_section_of_the_page_is_one() {
    let place = Place::new();
    let page = crate::support::page("docs/seccomp.md");
    let start = page.find("```toml\n[seccomp]\n").expect("the block") + "```toml\n".len();
    let block = &page[start..start + page[start..].find("```").unwrap()];
    let block = if cfg!(target_arch = "x86_64") {
        block.to_owned()
    } else {
        block.lines().filter(|line| !line.starts_with("architectures")).collect()
    };
    for who in As::all() {
        assert_eq!(place.sh(*who, &system(&block), "echo runs"), "runs", "{who:?}");
    }
}
