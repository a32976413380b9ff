//! Acts that must fail in the sandbox, each with a twin: the same act without the protection, which
//! must succeed, or the test would prove nothing. As root and as an ordinary user.

mod trees;

use crate::support::{
    As, Place, is_root, landlock_scopes, probe, said, skip, spawned, system, text,
};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

/// Where the act succeeds.
#[derive(Debug, Clone, Copy)]
enum Twin {
    /// Outside, as either user.
    Outside,
    /// Outside, in a user namespace that the probe makes for itself.
    OwnNamespace,
    /// Outside, for root: an ordinary user is refused it by the kernel anyway.
    OutsideRoot,
    /// Nowhere on this machine, or nowhere without harm; the text says why.
    None(&'static str),
}

use Twin::{None as NoTwin, Outside, OutsideRoot, OwnNamespace};

/// An act with its arguments, the errnos that refuse it inside, and its twin.
type Row = (&'static str, &'static [&'static str], Twin);

fn profile(place: &Place, more: &str) -> String {
    system(&format!("\"/probe\" = {{ bind = \"{}\" }}\n{more}", place.path.join("probe").display()))
}

/// The same, where process numbers are the host's.
fn with_host_pids(place: &Place) -> String {
    profile(place, "[namespaces]\npid = \"host\"").replace("\"/proc\" = \"proc\"\n", "")
}

/// The same, where signals may go out if the kernel cannot keep them in.
fn with_leave(profile: &str) -> String {
    profile.replace("format = 1", "format = 1\noptional = [\"landlock.scope\"]")
}

/// The errno that the probe printed.
fn errno(output: &Output) -> String {
    text(&output.stdout).trim().to_owned()
}

fn inside(place: &Place, who: As, profile: &str, act: &str) -> Output {
    let words: Vec<&str> = std::iter::once("/probe").chain(act.split_whitespace()).collect();
    place.run(who, profile, &words)
}

fn outside(place: &Place, who: As, act: &str) -> Output {
    place.outside(who, place.path.join("probe")).args(act.split_whitespace()).output().unwrap()
}

/// What a kernel without the thing says: then there is nothing to hold back here.
const ABSENT: &[&str] = &["ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"];

fn twin_succeeds(place: &Place, who: As, act: &str, twin: Twin) {
    let (who, act) = match twin {
        Outside => (who, act.to_owned()),
        OwnNamespace => (who, format!("own {act}")),
        OutsideRoot if is_root() => (As::Root, act.to_owned()),
        OutsideRoot => return skip(&format!("the twin of `{act}` needs root")),
        NoTwin(why) => return eprintln!("no twin of `{act}`: {why}"),
    };
    let output = outside(place, who, &act);
    if output.status.code() == Some(1) && ABSENT.contains(&errno(&output).as_str()) {
        return eprintln!("no twin: this kernel has no `{act}`: {}", errno(&output));
    }
    assert!(
        output.status.success(),
        "{who:?}: without the sandbox `{act}` must succeed: {}",
        said(&output)
    );
}

/// Every row, for everyone.
fn check(profile_more: &str, rows: &[Row]) {
    let place = Place::new();
    probe(&place);
    let profile = profile(&place, profile_more);
    for who in As::all() {
        for (act, refused, twin) in rows {
            let output = inside(&place, *who, &profile, act);
            assert_eq!(
                output.status.code(),
                Some(1),
                "{who:?}: `{act}` must be refused inside: {}",
                said(&output)
            );
            assert!(
                refused.contains(&errno(&output).as_str()),
                "{who:?}: `{act}` was refused with {}, not {refused:?}",
                errno(&output)
            );
            twin_succeeds(&place, *who, act, *twin);
        }
    }
}

const EPERM: &[&str] = &["EPERM"];
const ENOSYS: &[&str] = &["ENOSYS"];
const NO_FAMILY: &[&str] = &["EAFNOSUPPORT"];
const NO_PROTOCOL: &[&str] = &["EPROTONOSUPPORT"];

#[test]
fn namespaces_cannot_be_made() {
    check(
        "",
        &[
            ("unshare 0x10000000", EPERM, Outside),
            // The kernel reads 64 bits of unshare's flags and 32 of clone's: bits that it ignores
            // or refuses must not hide the others.
            (
                "unshare 0x110000000",
                EPERM,
                NoTwin("the kernel refuses the high bit too, with EINVAL"),
            ),
            ("unshare 0x20000000", EPERM, OutsideRoot),
            ("unshare 0x40000000", EPERM, OutsideRoot),
            ("unshare 0x04000000", EPERM, OutsideRoot),
            ("unshare 0x08000000", EPERM, OutsideRoot),
            ("unshare 0x02000000", EPERM, OutsideRoot),
            ("unshare 0x00020000", EPERM, OutsideRoot),
            ("unshare 0x00000080", EPERM, OutsideRoot),
            ("clone 0x10000000", EPERM, Outside),
            ("clone 0x110000000", EPERM, Outside),
            ("clone 0x20000000", EPERM, OutsideRoot),
            ("clone 0x00020000", EPERM, OutsideRoot),
            ("clone3 0x10000000", ENOSYS, Outside),
            // Also without a flag: what it points at can change after the filter has looked.
            ("clone3", ENOSYS, Outside),
            ("setns /proc/self/ns/uts", EPERM, OwnNamespace),
            ("own mount /tmp", EPERM, Outside),
        ],
    );
}

#[test]
fn the_mount_calls_are_closed() {
    check(
        "",
        &[
            ("mount /tmp", EPERM, OwnNamespace),
            ("umount /tmp", EPERM, OwnNamespace),
            (
                "remount-rw /usr",
                EPERM,
                NoTwin(
                    "in a namespace of one's own the host's /usr is locked where it is read-only; \
                     see a_nested_sandbox_cannot_undo",
                ),
            ),
            ("open-tree /tmp", EPERM, OwnNamespace),
            ("mount-setattr /tmp", EPERM, OwnNamespace),
            ("fsopen", EPERM, OwnNamespace),
            ("pivot-root /tmp", EPERM, OwnNamespace),
            ("chroot /tmp", EPERM, OwnNamespace),
            ("sethostname probe", EPERM, OwnNamespace),
        ],
    );
}

#[test]
fn the_kernel_s_wide_calls_are_closed() {
    check(
        "",
        &[
            ("keyctl", EPERM, Outside),
            ("add-key", EPERM, Outside),
            ("request-key", EPERM, Outside),
            ("io-uring", ENOSYS, OutsideRoot),
            ("bpf", EPERM, OutsideRoot),
            ("perf", EPERM, OutsideRoot),
            ("userfaultfd", EPERM, Outside),
            ("syslog", EPERM, OutsideRoot),
            ("adjtimex", EPERM, Outside),
            ("settimeofday", EPERM, OutsideRoot),
            // READ_IMPLIES_EXEC and ADDR_NO_RANDOMIZE.
            ("personality 0x0400000", EPERM, Outside),
            ("personality 0x0040000", EPERM, Outside),
            // "Done", the filter says, and nothing was done: the probe looks.
            ("core-limit", &["ECANCELED"], Outside),
            ("core-setrlimit", &["ECANCELED"], Outside),
            ("core-limit-and-old", &["EINVAL"], Outside),
            ("name-to-handle /tmp", EPERM, Outside),
            ("open-by-handle /", EPERM, OutsideRoot),
            ("kcmp", EPERM, Outside),
            ("lease", &["EINVAL"], Outside),
            ("mknod /tmp/stockade-probe-node", EPERM, OutsideRoot),
            ("call 600", ENOSYS, NoTwin("no kernel has this call; that one may come is the point")),
            ("call 1000000", ENOSYS, NoTwin("no kernel has this call")),
            (
                "x32",
                ENOSYS,
                NoTwin(
                    "kernels with x32 are rare; src/policy/seccomp/tests.rs runs the filter on its \
                     numbers",
                ),
            ),
        ],
    );
}

#[test]
fn socket_families_are_few() {
    let number = |number: i32| number.to_string();
    let place = Place::new();
    probe(&place);
    let profile = profile(&place, "");
    let (stream, datagram, raw) = (libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW);
    let refused: &[(i32, i32, i32, &[&str], Twin)] = &[
        // Never outside: it would reach for the hypervisor that this machine may run on.
        (libc::AF_VSOCK, stream, 0, NO_FAMILY, NoTwin("it reaches the hypervisor")),
        (libc::AF_ALG, libc::SOCK_SEQPACKET, 0, NO_FAMILY, Outside),
        (libc::AF_PACKET, raw, 0, NO_FAMILY, OutsideRoot),
        (libc::AF_PACKET, datagram, 0, NO_FAMILY, OutsideRoot),
        (libc::AF_KEY, raw, 2, NO_FAMILY, OutsideRoot),
        (libc::AF_BLUETOOTH, raw, 1, NO_FAMILY, OutsideRoot),
        (libc::AF_XDP, raw, 0, NO_FAMILY, OutsideRoot),
        (libc::AF_TIPC, stream, 0, NO_FAMILY, Outside),
        (libc::AF_NETLINK, raw, libc::NETLINK_KOBJECT_UEVENT, NO_PROTOCOL, Outside),
        (libc::AF_NETLINK, raw, libc::NETLINK_NETFILTER, NO_PROTOCOL, Outside),
        (libc::AF_NETLINK, raw, libc::NETLINK_XFRM, NO_PROTOCOL, Outside),
        // MPTCP, which Landlock's rules for TCP do not see; SCTP, whose module anybody would load.
        (libc::AF_INET, stream, 262, NO_PROTOCOL, Outside),
        (libc::AF_INET, stream, 132, NO_PROTOCOL, Outside),
        (libc::AF_INET, raw, libc::IPPROTO_TCP, EPERM, OutsideRoot),
    ];
    let granted = [
        (libc::AF_UNIX, stream, 0),
        (libc::AF_INET, stream, 0),
        (libc::AF_INET, datagram, 0),
        (libc::AF_INET6, stream, 0),
        (libc::AF_NETLINK, raw, libc::NETLINK_ROUTE),
    ];
    for who in As::all() {
        for (family, kind, protocol, errnos, twin) in refused {
            let act = format!("socket {} {} {}", number(*family), number(*kind), number(*protocol));
            let output = inside(&place, *who, &profile, &act);
            assert!(
                output.status.code() == Some(1) && errnos.contains(&errno(&output).as_str()),
                "{who:?}: `{act}`: {}",
                said(&output)
            );
            twin_succeeds(&place, *who, &act, *twin);
        }
        for (family, kind, protocol) in granted {
            let act = format!("socket {family} {kind} {protocol}");
            let output = inside(&place, *who, &profile, &act);
            assert!(output.status.success(), "{who:?}: `{act}` must succeed: {}", said(&output));
        }
    }
}

#[test]
fn ids_and_capabilities_cannot_be_had_again() {
    check(
        "",
        &[
            // No other id is mapped.
            ("setuid 0", &["EINVAL", "EPERM"], OutsideRoot),
            ("setgid 0", &["EINVAL", "EPERM"], OutsideRoot),
            ("setgroups 0", EPERM, OutsideRoot),
            ("capset 21", EPERM, OutsideRoot),
            ("capset 0", EPERM, OutsideRoot),
        ],
    );
}

#[test]
fn a_call_of_another_architecture_kills() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let twin = outside(&place, *who, "int80");
        if twin.status.code() != Some(0) {
            return skip("this kernel has no calls of i386");
        }
        let output = inside(&place, *who, &profile(&place, ""), "int80");
        assert_eq!(output.status.code(), Some(128 + libc::SIGSYS), "{who:?}: {}", said(&output));
    }
}

/// A process of the one who asks, which the twins may look into.
struct Canary(Child);

impl Canary {
    fn new(place: &Place, who: As) -> Canary {
        let mut command = place.outside(who, "sleep");
        command.arg("300").process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        Canary(spawned(&mut command))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // It may have ended already, which is the test's to judge.
        self.0.kill().ok();
        self.0.wait().unwrap();
    }
}

#[test]
fn pid_1_is_closed() {
    let place = Place::new();
    probe(&place);
    let profile = profile(&place, "");
    let denied: &[&str] = &["EACCES", "EPERM"];
    for who in As::all() {
        let canary = Canary::new(&place, *who);
        let acts: &[(&str, &[&str])] = &[
            ("ptrace {pid}", EPERM),
            ("read /proc/{pid}/environ", denied),
            ("read /proc/{pid}/auxv", denied),
            ("open-mem {pid}", denied),
            ("read /proc/{pid}/maps", denied),
            ("read /proc/{pid}/fd/0", denied),
            ("read /proc/{pid}/exe", denied),
            ("open-rw /proc/{pid}/oom_score_adj", denied),
            ("inode /proc/{pid}/root/.", denied),
            ("inode /proc/{pid}/cwd/.", denied),
            ("vm-readv {pid}", EPERM),
            ("vm-writev {pid}", EPERM),
            ("pidfd-getfd {pid}", EPERM),
            ("setns /proc/{pid}/ns/mnt", denied),
            ("setns /proc/{pid}/ns/user", denied),
            ("setns /proc/{pid}/ns/net", denied),
        ];
        for (act, errnos) in acts {
            let output = inside(&place, *who, &profile, &act.replace("{pid}", "1"));
            assert!(
                output.status.code() == Some(1) && errnos.contains(&errno(&output).as_str()),
                "{who:?}: `{act}`: {}",
                said(&output)
            );
            // setns asks for CAP_SYS_ADMIN; into its own user namespace not even root goes
            // (EINVAL).
            let twin = match *act {
                "setns /proc/{pid}/ns/user" => continue,
                act if act.starts_with("setns") => OutsideRoot,
                _ => Outside,
            };
            twin_succeeds(&place, *who, &act.replace("{pid}", &canary.pid().to_string()), twin);
        }
    }
}

#[test]
fn pid_1_keeps_its_limits() {
    // prlimit(2) asks for the same ids only, not for what ptrace asks. Without descriptors pid 1
    // could not even poll.
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let output = inside(&place, *who, &profile(&place, ""), "limit-of 1");
        assert!(
            output.status.code() == Some(1) && errno(&output) == "EPERM",
            "{who:?}: {}",
            said(&output)
        );
        let canary = Canary::new(&place, *who);
        twin_succeeds(&place, *who, &format!("limit-of {}", canary.pid()), Outside);
    }
}

#[test]
fn pid_1_is_closed_to_a_nested_sandbox() {
    // Where the target may make user namespaces it has every capability in them; over pid 1 it must
    // have none.
    let place = Place::new();
    probe(&place);
    let profile = profile(&place, "[namespaces]\nnested = true");
    for who in As::all() {
        let made = inside(&place, *who, &profile, "own mount /tmp");
        assert!(made.status.success(), "{who:?}: the profile grants this: {}", said(&made));
        for act in [
            "own open-mem 1",
            "own read /proc/1/environ",
            "own inode /proc/1/root/.",
            "own read /proc/1/exe",
            "own setns /proc/1/ns/mnt",
        ] {
            let output = inside(&place, *who, &profile, act);
            assert!(
                output.status.code() == Some(1)
                    && ["EACCES", "EPERM"].contains(&errno(&output).as_str()),
                "{who:?}: `{act}`: {}",
                said(&output)
            );
        }
    }
}

#[test]
fn a_nested_sandbox_cannot_undo_a_mount() {
    let place = Place::new();
    probe(&place);
    place.file("secret/token", "secret");
    let folder = place.path.display();
    let mounts = format!(
        "\"/ro\" = {{ bind = \"{folder}\" }}\n\"/ro/secret\" = \"hide\"\n[namespaces]\nnested = \
         true"
    );
    let profile = profile(&place, &mounts);
    for who in As::all() {
        // Each is locked in the copy of the mounts (mount_namespaces(7)).
        for (act, errnos) in [
            ("own remount-rw /ro", EPERM),
            ("own remount-rw /usr", EPERM),
            ("own remount-rw /proc/sys", EPERM),
            ("own umount /ro/secret", &["EINVAL", "EPERM"][..]),
            ("own umount /proc/sys", &["EINVAL", "EPERM"]),
            ("own umount /proc/keys", &["EINVAL", "EPERM"]),
            ("own read /ro/secret/token", &["ENOENT"]),
        ] {
            let output = inside(&place, *who, &profile, act);
            assert!(
                output.status.code() == Some(1) && errnos.contains(&errno(&output).as_str()),
                "{who:?}: `{act}`: {}",
                said(&output)
            );
        }
    }
}

#[test]
fn input_cannot_be_pushed_into_the_terminal() {
    let place = Place::new();
    let binary = probe(&place);
    let path = place.file("profile.toml", &profile(&place, ""));
    let launcher = place.path.join("stockade");
    for who in As::all() {
        for act in ["tiocsti", "tiocsti-high", "tioclinux"] {
            let in_terminal = |words: &[&std::ffi::OsStr]| {
                place.outside(*who, &binary).arg("pty").args(words).output().unwrap()
            };
            let output = in_terminal(&[
                launcher.as_os_str(),
                "run".as_ref(),
                path.as_os_str(),
                "/probe".as_ref(),
                act.as_ref(),
            ]);
            // EIO would be the kernel's own answer where dev.tty.legacy_tiocsti is 0, ENOTTY a
            // pty's to TIOCLINUX: neither is a protection of ours.
            assert!(
                output.status.code() == Some(1) && errno(&output) == "EPERM",
                "{who:?}: {act}: {}",
                said(&output)
            );
            if act != "tioclinux" && is_root() {
                let twin = place
                    .outside(As::Root, &binary)
                    .arg("pty")
                    .arg(&binary)
                    .arg(act)
                    .output()
                    .unwrap();
                assert!(
                    twin.status.success(),
                    "without the sandbox {act} must succeed: {}",
                    said(&twin)
                );
            }
        }
        // The terminal itself is there.
        let words = [
            launcher.as_os_str(),
            "run".as_ref(),
            path.as_os_str(),
            "/probe".as_ref(),
            "tiocgwinsz".as_ref(),
        ];
        let output = place.outside(*who, &binary).arg("pty").args(words).output().unwrap();
        assert!(output.status.success(), "{who:?}: {}", said(&output));
    }
}

#[test]
fn signals_stay_inside() {
    let place = Place::new();
    let binary = probe(&place);
    let path = place.file("profile.toml", &profile(&place, ""));
    for who in As::all() {
        let mut canary = Canary::new(&place, *who);
        let group = canary.pid() as i32;
        let in_group = |command: &mut Command| {
            command.process_group(group).stdin(Stdio::null()).output().unwrap()
        };
        // The group of the target: it dies of its own signal. The launcher, in the canary's group,
        // must live to say so.
        let output =
            in_group(place.stockade(*who).arg("run").arg(&path).args(["/probe", "kill", "0", "9"]));
        assert_eq!(output.status.code(), Some(128 + 9), "{who:?}: {}", said(&output));
        assert!(canary.lives(), "{who:?}: kill(0) went outside");
        // Everyone; no twin, for it would end this machine's session. Nobody is there to take it
        // but pid 1, whom it leaves out.
        let output = in_group(
            place.stockade(*who).arg("run").arg(&path).args(["/probe", "kill", "-1", "9"]),
        );
        assert!(
            output.status.code() == Some(1) && errno(&output) == "ESRCH",
            "{who:?}: {}",
            said(&output)
        );
        assert!(canary.lives(), "{who:?}: kill(-1) went outside");
        // By number, from inside: another number space.
        let output =
            inside(&place, *who, &profile(&place, ""), &format!("kill {} 9", canary.pid()));
        assert!(
            output.status.code() == Some(1) && errno(&output) == "ESRCH",
            "{who:?}: {}",
            said(&output)
        );
        assert!(canary.lives());
        // Pid 1 of the sandbox is not in the target's Landlock domain; where signals are not scoped
        // it takes no notice (pid_namespaces(7)).
        let output = inside(&place, *who, &profile(&place, ""), "kill 1 9");
        let expected = if landlock_scopes() { (Some(1), "EPERM") } else { (Some(0), "") };
        assert_eq!(
            (output.status.code(), errno(&output).as_str()),
            expected,
            "{who:?}: {}",
            said(&output)
        );
        in_group(place.outside(*who, &binary).args(["kill", "0", "9"]));
        assert!(!canary.0.wait().unwrap().success(), "{who:?}: the twin must reach the canary");
    }
}

#[test]
fn signals_stay_inside_where_process_numbers_are_the_hosts() {
    let place = Place::new();
    probe(&place);
    let profile = with_host_pids(&place);
    for who in As::all() {
        let mut canary = Canary::new(&place, *who);
        let output = inside(&place, *who, &profile, &format!("kill {} 9", canary.pid()));
        if !landlock_scopes() {
            assert!(
                output.status.code() == Some(125)
                    && text(&output.stderr).contains("landlock::scope"),
                "{who:?}: {}",
                said(&output)
            );
            let output =
                inside(&place, *who, &with_leave(&profile), &format!("kill {} 0", canary.pid()));
            // A sandbox of root's has ids that no other process has (kill(2)).
            let reaches = match who {
                As::Root => output.status.code() == Some(1) && errno(&output) == "EPERM",
                As::User => output.status.success(),
            };
            assert!(
                reaches && text(&output.stderr).contains("may send signals"),
                "{who:?}: {}",
                said(&output)
            );
            continue;
        }
        assert!(
            output.status.code() == Some(1) && errno(&output) == "EPERM",
            "{who:?}: {}",
            said(&output)
        );
        assert!(canary.lives(), "{who:?}");
        let act = format!("kill {} 9", canary.pid());
        assert!(outside(&place, *who, &act).status.success());
        canary.0.wait().unwrap();
    }
}

#[test]
fn limits_stay_inside_where_process_numbers_are_the_hosts() {
    // Landlock's scope is for signals; prlimit(2) asks for the same ids alone, which an ordinary
    // user's processes have.
    let place = Place::new();
    probe(&place);
    let profile = with_leave(&with_host_pids(&place));
    let canary = Canary::new(&place, As::User);
    let act = format!("limit-of {}", canary.pid());
    let output = inside(&place, As::User, &profile, &act);
    assert!(output.status.code() == Some(1) && errno(&output) == "EPERM", "{}", said(&output));
    twin_succeeds(&place, As::User, &act, Outside);
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    let place = Place::new();
    probe(&place);
    let name = format!("stockade-test-{}", std::process::id());
    let listener =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let act = format!("connect-abstract {name}");
    for who in As::all() {
        let output = inside(&place, *who, &profile(&place, ""), &act);
        assert!(
            output.status.code() == Some(1) && errno(&output) == "ECONNREFUSED",
            "{who:?}: {}",
            said(&output)
        );
        // With the host's network, Landlock's scope is the protection, if the kernel has it.
        let output = inside(&place, *who, &profile(&place, "[network]\nmode = \"host\""), &act);
        let expected = if landlock_scopes() { (Some(1), "EPERM") } else { (Some(0), "") };
        assert_eq!(
            (output.status.code(), errno(&output).as_str()),
            expected,
            "{who:?}: {}",
            said(&output)
        );
        twin_succeeds(&place, *who, &act, Outside);
    }
    drop(listener);
}

#[test]
fn a_socket_file_is_out_of_reach_unless_granted() {
    let place = Place::new();
    probe(&place);
    let folder = place.folder("services", As::Root);
    let listener = UnixListener::bind(folder.join("service")).unwrap();
    std::fs::set_permissions(folder.join("service"), PermissionsExt::from_mode(0o777)).unwrap();
    let grant = |entry: &str| profile(&place, &entry.replace("{}", &folder.display().to_string()));
    for who in As::all() {
        // A directory with a socket is not bound by accident.
        let output = inside(
            &place,
            *who,
            &grant("\"/services\" = { bind = \"{}\" }"),
            "connect-unix /services/service",
        );
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("mounts::sockets"),
            "{who:?}: {}",
            said(&output)
        );
        let granted = grant("\"/service\" = { socket = \"{}/service\" }");
        let output = inside(&place, *who, &granted, "connect-unix /service");
        assert!(output.status.success(), "{who:?}: {}", said(&output));
        let output = inside(
            &place,
            *who,
            &grant(""),
            &format!("connect-unix {}", folder.join("service").display()),
        );
        assert!(
            output.status.code() == Some(1) && errno(&output) == "ENOENT",
            "{who:?}: {}",
            said(&output)
        );
    }
    drop(listener);
}

#[test]
fn the_host_s_kernel_cannot_be_steered() {
    let place = Place::new();
    probe(&place);
    let profile = profile(&place, "");
    let files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger",
    ];
    for who in As::all() {
        for file in files.into_iter().filter(|file| std::path::Path::new(file).exists()) {
            let output = inside(&place, *who, &profile, &format!("open-w {file}"));
            assert!(
                output.status.code() == Some(1)
                    && ["EACCES", "EROFS"].contains(&errno(&output).as_str()),
                "{who:?}: {file}: {}",
                said(&output)
            );
            twin_succeeds(&place, *who, &format!("open-w {file}"), OutsideRoot);
        }
        // Root inside is as far from it.
        let as_root = format!("{profile}\n[identity]\nuser = 0\ngroup = 0\n");
        let output = inside(&place, *who, &as_root, "open-w /proc/sys/kernel/core_pattern");
        assert!(output.status.code() == Some(1), "{who:?}: {}", said(&output));
    }
    if is_root() {
        // With `host = true` the target owns these files: only the mount protects them.
        let host = format!("{profile}\n[identity]\nhost = true\nuser = 0\ngroup = 0\n");
        for file in files.into_iter().filter(|file| std::path::Path::new(file).exists()) {
            let output = inside(&place, As::Root, &host, &format!("open-w {file}"));
            assert!(
                output.status.code() == Some(1) && errno(&output) == "EROFS",
                "{file}: {}",
                said(&output)
            );
        }
    }
}

#[test]
fn the_launcher_s_own_program_cannot_be_written() {
    if !is_root() {
        return skip("only a target with the launcher's owner's id could write it");
    }
    // CVE-2019-5736: /proc/PID/exe leads past every mount.
    let place = Place::new();
    probe(&place);
    let host = format!("{}\n[identity]\nhost = true\nuser = 0\ngroup = 0\n", profile(&place, ""));
    let output = inside(&place, As::Root, &host, "open-w /proc/1/exe");
    assert!(
        output.status.code() == Some(1) && ["EACCES", "EPERM"].contains(&errno(&output).as_str()),
        "{}",
        said(&output)
    );
    let canary = Canary::new(&place, As::Root);
    let twin = outside(&place, As::Root, &format!("open-rw /proc/{}/exe", canary.pid()));
    assert_eq!(
        errno(&twin),
        "ETXTBSY",
        "the twin is refused only because the program runs: {}",
        said(&twin)
    );
}

#[test]
fn a_set_id_program_gives_nothing() {
    let place = Place::new();
    let binary = probe(&place);
    // A copy that is set-user-id root, bound where it may be run.
    let copy = place.path.join("set-id");
    assert!(Command::new("cp").arg(&binary).arg(&copy).status().unwrap().success());
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o4755)).unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o7777, 0o4755);
    let profile = profile(&place, &format!("\"/set-id\" = {{ bind = \"{}\" }}", copy.display()));
    for who in As::all() {
        let output = place.run(*who, &profile, &["/set-id", "capset", "21"]);
        assert!(
            output.status.code() == Some(1) && errno(&output) == "EPERM",
            "{who:?}: {}",
            said(&output)
        );
        if is_root() {
            let twin = place.outside(*who, &copy).args(["capset", "21"]).output().unwrap();
            assert!(twin.status.success(), "{who:?}: {}", said(&twin));
        }
    }
}
