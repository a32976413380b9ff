//! What the target's sets are, against what capabilities(7) makes of the plan, for {root, user} ×
//! {user namespace new, host} × {keep, ambient}; and that neither a file nor a call brings back
//! what was given up.

use crate::support::{As, Place, is_root, skip, system, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// The sets of a process, by their names in proc_pid_status(5).
type Sets = BTreeMap<String, u64>;

const NAMES: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// All capabilities of the kernel that the caller has, where it must, but sys-admin (21), which
/// stockade refuses to keep.
fn every(of_the_host: bool) -> String {
    let last: u8 =
        std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    let own = if of_the_host {
        read_sets(&std::fs::read_to_string("/proc/self/status").unwrap())["CapPrm"]
    } else {
        u64::MAX
    };
    let all = (0..=last).filter(|number| *number != 21 && own & 1 << number != 0);
    all.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

fn read_sets(status: &str) -> Sets {
    let hex = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}:")))
            .unwrap_or_else(|| panic!("no {name}: {status}"));
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    NAMES.map(|name| (name.to_owned(), hex(name))).into()
}

/// The set that a step of the plan names.
fn set(step: &Value, key: &str) -> u64 {
    let words = step[key].as_array().unwrap();
    words.iter().fold(0, |set, word| {
        let word = word.as_str().unwrap();
        let number = word.parse().unwrap_or_else(|_| {
            caps::all().into_iter().find(|cap| named(cap) == word).unwrap().index()
        });
        set | 1 << number
    })
}

fn named(cap: &caps::Capability) -> String {
    cap.to_string().trim_start_matches("CAP_").to_lowercase().replace('_', "-")
}

/// The sets after execve(2) of a file without capabilities, by the rules of capabilities(7): root
/// inside, unless a securebit changes it, gets its inheritable and its bounding set, and
/// no_new_privs limits that to what it had.
fn expected(plan: &Value) -> Sets {
    let steps = plan["steps"].as_array().unwrap();
    let step = |op: &str| steps.iter().find(|step| step["op"] == op);
    let Some(limits) = step("capabilities") else {
        // Nothing to give up: the bounding set stays the caller's, which only who has setpcap can
        // narrow.
        let bounding = read_sets(&std::fs::read_to_string("/proc/self/status").unwrap())["CapBnd"];
        return NAMES
            .map(|name| (name.to_owned(), if name == "CapBnd" { bounding } else { 0 }))
            .into();
    };
    let (keep, ambient, bounding) =
        (set(limits, "keep"), set(limits, "ambient"), set(step("bounding").unwrap(), "keep"));
    let bits = limits["bits"].as_u64().unwrap();
    let user = step("read-back").unwrap()["ids"][0].as_u64().unwrap();
    let is_root_inside = user == 0 && bits & 1 == 0;
    let permitted = if is_root_inside { (keep | bounding) & keep } else { ambient };
    [
        ("CapInh", keep),
        ("CapPrm", permitted),
        ("CapEff", permitted),
        ("CapBnd", bounding),
        ("CapAmb", ambient),
    ]
    .map(|(name, set)| (name.to_owned(), set))
    .into()
}

#[test]
fn the_sets_are_those_of_the_plan() {
    let place = Place::new();
    let grants = [
        String::new(),
        "keep = [\"net-raw\", \"chown\"]".into(),
        "ambient = [\"net-bind-service\", \"kill\"]".into(),
        "keep = [\"chown\"]\nambient = [\"net-raw\"]".into(),
        "keep = [40, 13]".into(),
        "keep = [EVERY]".into(),
        "ambient = [EVERY]".into(),
        "keep = [\"net-raw\"]\nsecurebits = [\"noroot\", \"no-cap-ambient-raise\"]".into(),
    ];
    let (mut tried, mut had) = (0, 0);
    for who in As::all() {
        for user in ["new", "host"] {
            for inside in ["", "user = 0\ngroup = 0\n"] {
                for grant in &grants {
                    // An ordinary user without a user namespace has nothing to keep, no ids to
                    // choose, and no mounts to make.
                    let bare = *who == As::User && user == "host";
                    if bare && !(grant.is_empty() && inside.is_empty()) {
                        continue;
                    }
                    let grant = grant.replace("EVERY", &every(user == "host"));
                    let namespaces = if bare {
                        "all = \"host\"\n[network]\nmode = \"host\""
                    } else {
                        &format!("user = \"{user}\"")
                    };
                    let host = if user == "host" && !bare { "host = true\n" } else { "" };
                    // Below Landlock's ABI 6 nothing keeps signals among the host's process
                    // numbers.
                    let bare_head = "format = 1\noptional = [\"landlock.scope\"]\n[landlock]\npaths = \"off\"\n";
                    let mounts = if bare { bare_head.into() } else { system("") };
                    let text_of = format!(
                        "{mounts}[namespaces]\n{namespaces}\n[identity]\n{host}{inside}[capabilities]\n{grant}\n"
                    );
                    let profile = place.file("profile.toml", &text_of);
                    let target = ["/bin/cat", "/proc/self/status"];
                    let plan = place
                        .stockade(*who)
                        .args(["plan", "--format", "json"])
                        .arg(&profile)
                        .args(target)
                        .output()
                        .unwrap();
                    assert!(plan.status.success(), "{who:?}\n{text_of}{}", text(&plan.stdout));
                    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
                    let ran = place
                        .stockade(*who)
                        .arg("run")
                        .arg(&profile)
                        .args(target)
                        .output()
                        .unwrap();
                    assert!(ran.status.success(), "{who:?}\n{text_of}{}", text(&ran.stderr));
                    let status = text(&ran.stdout);
                    assert_eq!(read_sets(&status), expected(&plan), "{who:?}\n{text_of}");
                    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
                    tried += 1;
                    had += usize::from(read_sets(&status)["CapEff"] != 0);
                }
            }
        }
    }
    eprintln!("{tried} combinations, in {had} the target has capabilities");
    assert!(had * 3 > tried && had < tried);
}

#[test]
fn a_capability_that_the_kernel_does_not_have_is_refused() {
    let place = Place::new();
    for who in As::all() {
        let output =
            place.run(*who, &format!("{}[capabilities]\nkeep = [63]\n", system("")), &["true"]);
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(125)
                && said.contains("cannot keep capability 63: the last that this kernel knows is"),
            "{said}"
        );
    }
}

/// The twin of each has the same capability, and no lock.
#[test]
fn securebits_are_locked() {
    let place = Place::new();
    let clear = "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True)\n\
                 print(libc.prctl(28, 0, 0, 0, 0), os.strerror(ctypes.get_errno()), libc.prctl(27, \
                 0, 0, 0, 0))";
    for who in As::all() {
        let inside = |bits: &str| {
            let grant = format!("{}[capabilities]\nambient = [\"setpcap\"]\n{bits}\n", system(""));
            let output = place.run(*who, &grant, &["/usr/bin/python3", "-c", clear]);
            assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
            text(&output.stdout).trim().to_owned()
        };
        assert_eq!(
            inside("securebits = [\"noroot\", \"no-setuid-fixup\"]"),
            "-1 Operation not permitted 15",
            "{who:?}"
        );
        assert_eq!(inside(""), "0 Success 0", "the twin, {who:?}");
    }
}

#[test]
fn file_capabilities_are_inert() {
    if !is_root() {
        return skip("only root can give a file capabilities");
    }
    let place = Place::new();
    let copy = place.path.join("cat");
    assert!(Command::new("cp").arg("/bin/cat").arg(&copy).status().unwrap().success());
    let given = Command::new("python3")
        .args([
            "-c",
            "import os, sys; os.setxattr(sys.argv[1], 'security.capability', \
             bytes.fromhex('0100000200200000000000000000000000000000'))",
        ])
        .arg(&copy)
        .status();
    assert!(given.unwrap().success());
    for who in As::all() {
        // In force where it may be kept, too: the bounding set has it, and no_new_privs does not
        // let it come.
        for grant in ["", "[capabilities]\nkeep = [\"net-raw\"]\n"] {
            let profile = format!(
                "{}{grant}",
                system(&format!("\"/cat\" = {{ bind = \"{}\" }}", copy.display()))
            );
            let output = place.run(*who, &profile, &["/cat", "/proc/self/status"]);
            assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
            assert_eq!(read_sets(&text(&output.stdout))["CapPrm"], 0, "{who:?}");
        }
    }
    let twin = place.outside(As::User, &copy).arg("/proc/self/status").output().unwrap();
    assert_eq!(read_sets(&text(&twin.stdout))["CapEff"], 1 << 13);
}

#[test]
fn what_root_does_not_have_is_named() {
    if !is_root() {
        return skip("only root keeps capabilities of its own");
    }
    let place = Place::new();
    let profile = place.file(
        "profile.toml",
        &format!(
            "{}[namespaces]\nuser = \"host\"\n[identity]\nhost = true\n[capabilities]\nkeep = \
             [\"net-raw\", \"chown\"]\n",
            system("")
        ),
    );
    let output = place
        .outside(As::Root, "setpriv")
        .arg("--bounding-set=-net_raw")
        .arg(place.path.join("stockade"))
        .arg("run")
        .arg(profile)
        .arg("true")
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(125)
            && said.contains("this root does not have them itself: net-raw"),
        "{said}"
    );
}
