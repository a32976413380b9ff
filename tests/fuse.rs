//! `driver = "fuse-overlayfs"`: layers that a program outside of the kernel shows, and the sandbox that
//! this program is in.

use crate::helpers::poke;
use crate::merged::{own, state};
use crate::support::ground::wait_for;
use crate::support::processes::{
    children, children_named, has_ended, name as name_of, stat, state as state_of, status,
};
use crate::support::{
    As, Place, USER, errors, is_root, landlock_abi, skip, system, text, unwrapped,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use syscalls::Sysno;

/// A device that everybody may open, as most distributions have it; it is this place's alone.
const DEVICE: &str = "mount -t tmpfs t dev; mknod -m 666 dev/fuse c 10 229; mount --bind dev/fuse \
                      /dev/fuse";

/// Whether the driver can be tried.
pub fn can_be_tried() -> bool {
    if !is_root() {
        skip("it needs root, which makes the device");
        return false;
    }
    if !Path::new("/dev/fuse").exists() || !Path::new("/usr/bin/fuse-overlayfs").exists() {
        skip("there is no fuse-overlayfs here");
        return false;
    }
    true
}

/// A place with that device; none where the driver cannot be tried.
fn place() -> Option<Place> {
    if !can_be_tried() {
        return None;
    }
    let place = Place::new();
    place.folder("dev", As::User);
    Some(place)
}

/// A command where these mounts are, which no other process sees.
fn command(place: &Place, who: As, mounts: &str, words: &[&str]) -> Command {
    let ids = match who {
        As::Root => String::new(),
        As::User => format!("setpriv --reuid={USER} --regid={USER} --clear-groups"),
    };
    let line = format!("set -e; {mounts}\nexec {ids} \"$@\"");
    let mut command = place.outside(As::Root, "unshare");
    command.args(["-m", "sh", "-c", &line, "sh"]).args(words).stdin(Stdio::null());
    command
}

/// A run where the device is open to everybody; the place has a directory for it, `dev`.
pub fn stockade(place: &Place, who: As, words: &[&str]) -> Output {
    let words: Vec<&str> = ["./stockade"].iter().chain(words).copied().collect();
    command(place, who, DEVICE, &words).output().unwrap()
}

/// Two layers, root's as the distribution's files are, in which each rule of a union is met.
fn layers(place: &Place) -> String {
    if place.path.join("high/gone").symlink_metadata().is_ok() {
        return named(place);
    }
    for path in ["low/both/low", "low/both/same", "low/gone", "low/replaced/old", "low/file"] {
        place.file(path, &format!("{path}\n"));
    }
    for path in
        ["high/both/same", "high/replaced/new", "low/secret", "low/dir/deep/x", "low/closed"]
    {
        place.file(path, &format!("{path}\n"));
    }
    let (kind, mode) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::empty());
    nix::sys::stat::mknod(&place.path.join("high/gone"), kind, mode, 0).unwrap();
    let mark = "import os, sys; os.setxattr(sys.argv[1], 'user.overlay.opaque', b'y')";
    let replaced = place.path.join("high/replaced");
    assert!(Command::new("python3").args(["-c", mark]).arg(replaced).status().unwrap().success());
    symlink("both/same", place.path.join("low/link")).unwrap();
    std::fs::set_permissions(place.path.join("low/closed"), PermissionsExt::from_mode(0o600))
        .unwrap();
    for top in ["low", "high"] {
        chown(place.path.join(top), Some(0), Some(0)).unwrap();
    }
    named(place)
}

fn named(place: &Place) -> String {
    format!("[\"{0}/low\", \"{0}/high\"]", place.path.display())
}

fn profile(place: &Place, more: &str, mounts: &str) -> String {
    let layers = layers(place);
    let entry =
        format!("\"/m\" = {{ layers = {layers}{more}, driver = \"fuse-overlayfs\" }}\n{mounts}");
    place.file("p.toml", &system(&entry)).display().to_string()
}

#[test]
fn it_shows_one_tree_that_is_the_targets_own() {
    for who in As::all() {
        let Some(place) = place() else { return };
        let disk = place.folder("disk", *who);
        own(&disk, *who);
        let on_disk = format!("{{ discard = \"{}\" }}", disk.display());
        for upper in ["\"discard\"", &on_disk] {
            let path = profile(&place, &format!(", upper = {upper}"), "");
            let tops = ["low", "high"].map(|top| place.path.join(top));
            let before = tops.each_ref().map(|top| state(top));
            let line = "cd /m && ls && cat both/* replaced/* && stat -f -c %T . && [ $(stat -c %u low \
                        2>/dev/null || stat -c %u file) = $(id -u) ] && echo more >>file && cat file && rm \
                        -r both && mkdir both && ls both && mv dir moved && cat moved/deep/x && chmod \
                        700 replaced && ln file hard && cat hard && cat closed || rm -f \
                        closed || ls closed";
            let output = stockade(&place, *who, &["run", &path, "sh", "-c", line]);
            let seen = "both\nclosed\ndir\nfile\nlink\nreplaced\nsecret\nlow/both/low\nhigh/both/same\n\
                        high/replaced/new\nfuseblk\nlow/file\nmore\nlow/dir/deep/x\nlow/file\nmore\nclosed\n";
            assert_eq!(text(&output.stdout), seen, "{who:?} {upper}: {}", errors(&output));
            // What the target may not read by its mode its server does not read either.
            let said = errors(&output);
            assert!(said.contains("closed: Permission denied"), "{who:?} {upper}: {said}");
            assert!(tops.each_ref().map(|top| state(top)) == before, "{who:?} {upper}");
            assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0, "{who:?}");
        }
        let path = profile(&place, "", "");
        let line = "cd /m; (echo x >file || rm file || mkdir new) 2>/dev/null || cat file";
        let output = stockade(&place, *who, &["run", &path, "sh", "-c", line]);
        assert_eq!(text(&output.stdout), "low/file\n", "{who:?}: {}", errors(&output));
    }
}

#[test]
fn entries_below_hold_in_it() {
    for who in As::all() {
        let Some(place) = place() else { return };
        let at = place.path.display().to_string();
        place.file("other/file", "other\n");
        let mounts = format!(
            "\"/m/both\" = {{ bind = \"{at}/low/both\" }}\n\"/m/new/tmp\" = \"tmpfs\"\n\"/m/dir/deep\" = {{ bind = \
             \"{at}/other\" }}\n"
        );
        let path = profile(&place, ", upper = \"discard\"", &mounts);
        let line = "cd /m; touch both/x; mv dir away; rmdir dir/deep; touch new/tmp/x && ls both \
                    dir/deep new/tmp";
        let output = stockade(&place, *who, &["run", &path, "sh", "-c", line]);
        let said = errors(&output);
        for refused in
            ["'both/x': Read-only file system", "'dir' to 'away': Device or resource busy"]
        {
            assert!(said.contains(refused), "{who:?}: {refused}: {said}");
        }
        let seen = "both:\nlow\nsame\n\ndir/deep:\nfile\n\nnew/tmp:\nx\n";
        assert_eq!(text(&output.stdout), seen, "{who:?}: {said}");
        // What is hidden there a target could make show again, but where it cannot write.
        let hidden = "\"/m/dir/deep\" = \"hide\"\n";
        let path = profile(&place, ", upper = \"discard\"", hidden);
        let output = stockade(&place, *who, &["run", &path, "true"]);
        let said = unwrapped(&errors(&output));
        assert_eq!(output.status.code(), Some(125), "{who:?}: {said}");
        assert!(said.contains("the target can make it show again"), "{who:?}: {said}");
        let path = profile(&place, "", hidden);
        let output = stockade(&place, *who, &["run", &path, "ls", "/m/dir"]);
        assert_eq!(text(&output.stdout), "", "{who:?}: {}", errors(&output));
    }
}

/// It can be the root, too.
#[test]
fn the_root_can_be_its_tree() {
    for who in As::all() {
        let Some(place) = place() else { return };
        place.folder("top", As::Root);
        for name in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), place.path.join("top").join(name)).unwrap();
        }
        let at = place.path.display();
        let text = format!(
            "format = 1\n[mounts]\n\"/\" = {{ layers = [\"{at}/top\"], upper = \"discard\", driver = \
             \"fuse-overlayfs\" }}\n\"/usr\" = \"ro\"\n"
        );
        let path = place.file("root.toml", &text).display().to_string();
        let line = "echo x >/new && cat /new && stat -f -c %T /";
        let output = stockade(&place, *who, &["run", &path, "sh", "-c", line]);
        assert_eq!(
            crate::support::text(&output.stdout),
            "x\nfuseblk\n",
            "{who:?}: {}",
            errors(&output)
        );
        assert!(!place.path.join("top/new").exists());
    }
}

/// A run whose target has begun.
struct Run {
    launcher: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    server: u32,
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.launcher.kill());
        drop(self.launcher.wait());
    }
}

impl Run {
    fn start(place: &Place, who: As, script: &str) -> Run {
        let path = profile(place, ", upper = \"discard\"", "");
        let script = format!("echo begun; read line; {script}");
        let words = ["./stockade", "run", &path, "sh", "-c", &script];
        let mut command = command(place, who, DEVICE, &words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut launcher = command.spawn().unwrap();
        let input = launcher.stdin.take().unwrap();
        let mut output = BufReader::new(launcher.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if line != "begun\n" {
            let mut said = String::new();
            launcher.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{who:?}: {said}");
        }
        let [server] = children_named(launcher.id(), "fuse-overlayfs")[..] else {
            panic!("{who:?}: {:?}", children(launcher.id()))
        };
        Run { launcher, input, output, server }
    }

    /// The status and what the target says from here on.
    fn end(mut self) -> (Option<i32>, String) {
        self.input.write_all(b"\n").unwrap();
        let mut out = String::new();
        self.output.read_to_string(&mut out).unwrap();
        let status = self.launcher.wait().unwrap();
        assert!(has_ended(self.server), "{:?}", stat(self.server, 3));
        (status.code(), out)
    }
}

fn link(pid: u32, name: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap().display().to_string()
}

#[test]
fn its_server_has_its_layers_and_nothing_else() {
    for who in As::all() {
        let Some(place) = place() else { return };
        place.program("poke");
        let run = Run::start(&place, *who, "exit 7");
        let of = |line| status(run.server, line);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(of(set), "0000000000000000", "{who:?}: {set}");
        }
        assert_eq!((of("NoNewPrivs"), of("Seccomp")), ("1".to_owned(), "2".to_owned()));
        assert_eq!(of("SigBlk"), "fffffffffffbfeff");
        assert!(!of("Uid").split(' ').any(|id| id == "0"), "{}", of("Uid"));
        assert_eq!(of("Groups"), "", "{who:?}");
        let pid_1 = children(run.launcher.id()).into_iter().find(|pid| *pid != run.server).unwrap();
        assert_eq!(link(run.server, "ns/user"), link(pid_1, "ns/user"));
        for other in [pid_1, run.launcher.id()] {
            assert_ne!(link(run.server, "ns/mnt"), link(other, "ns/mnt"));
        }
        let environment = std::fs::read(format!("/proc/{}/environ", run.server)).unwrap();
        assert_eq!(text(&environment), "");
        let names = |path: &str| -> BTreeSet<String> {
            let path = format!("/proc/{}/root/{path}", run.server);
            let entries = std::fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let known = ["fuse-overlayfs", "lib", "proc", "program"];
        let (fixed, layers): (Vec<String>, Vec<String>) =
            names("").into_iter().partition(|name| known.contains(&name.as_str()));
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        assert!(fixed == known && layers.len() == 3 && layers.iter().all(is_number), "{layers:?}");
        assert_eq!(names("proc"), BTreeSet::from(["self".to_owned(), "sys".to_owned()]));
        assert_eq!(names("proc/self"), BTreeSet::from(["fd".to_owned()]));
        assert!(names("lib").len() < 10, "{:?}", names("lib"));
        // The device, /dev/null, and what is in its root.
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", run.server)).unwrap();
        let mounts: BTreeSet<&str> =
            mounts.lines().filter_map(|line| line.split(' ').next()).collect();
        for fd in std::fs::read_dir(format!("/proc/{}/fd", run.server)).unwrap() {
            let fd = fd.unwrap().file_name().into_string().unwrap();
            let info = format!("/proc/{}/fdinfo/{fd}", run.server);
            let info = std::fs::read_to_string(info).unwrap();
            let of = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap().trim();
            let place = link(run.server, &format!("fd/{fd}"));
            let is_its = fd == "3"
                || place.starts_with("pipe:")
                || place == "/dev/null"
                || mounts.contains(of);
            assert!(is_its, "{who:?}: {fd}: {place}");
        }
        // What takes it over gets no further.
        let refused = |errno: i32| format!("errno {errno}");
        let low = layers.iter().find(|layer| names(layer).contains("file")).unwrap();
        let (file, program) = (format!("@/{low}/file"), format!("@/{low}/both/low"));
        let launcher = run.launcher.id().to_string();
        let calls: [(&str, &[&str], &[i32]); 13] = [
            ("openat", &["-100", "@/etc/passwd", "0"], &[libc::ENOENT]),
            ("openat", &["-100", &file, "1"], &[libc::EROFS, libc::EACCES]),
            ("execve", &[&program, "0", "0"], &[libc::EACCES]),
            ("socket", &["1", "1", "0"], &[libc::EPERM]),
            ("kill", &[&launcher, "0"], &[libc::EPERM]),
            ("tgkill", &[&launcher, &launcher, "0"], &[libc::EPERM]),
            ("ptrace", &["16", &launcher, "0", "0"], &[libc::EPERM]),
            ("pidfd_open", &[&launcher, "0"], &[libc::EPERM]),
            ("prlimit64", &[&launcher, "7", "0", "0"], &[libc::EPERM]),
            ("unshare", &["0x10000000"], &[libc::EPERM]),
            ("mount", &["@/", "@/", "0", "4096", "0"], &[libc::EPERM]),
            ("fork", &[], &[libc::EPERM]),
            ("io_uring_setup", &["1", "0"], &[libc::EPERM, libc::ENOSYS]),
        ];
        for (call, arguments, errnos) in calls {
            if call == "fork" && !cfg!(target_arch = "x86_64") {
                continue;
            }
            let got = poke(&place, run.server, call, arguments);
            let mut all = errnos.iter().map(|errno| refused(*errno));
            // Without Landlock the layer has no program: it is not executable.
            assert!(all.any(|refused| refused == got), "{who:?}: {call}: {got}");
        }
        let upper = layers.iter().find(|layer| names(layer).contains("upper")).unwrap();
        let made =
            poke(&place, run.server, "mkdirat", &["-100", &format!("@/{upper}/upper/its"), "448"]);
        assert_eq!(made, "success 0", "{who:?}");
        if landlock_abi() > 0 {
            let made = poke(&place, run.server, "mkdirat", &["-100", "@/its", "448"]);
            let errnos = [libc::EACCES, libc::EROFS].map(refused);
            assert!(errnos.contains(&made), "{who:?}: {made}");
        }
        assert_eq!(run.end().0, Some(7));
    }
}

/// Its process is in no list of the target's, and gets no signal of it.
#[test]
fn the_target_cannot_reach_its_server() {
    for who in As::all() {
        let Some(place) = place() else { return };
        let script = "cat /proc/[0-9]*/comm | grep -c overlayfs; kill -9 -1; cat /m/file";
        let run = Run::start(&place, *who, script);
        assert_eq!(run.end(), (Some(0), "0\nlow/file\n".to_owned()), "{who:?}");
    }
}

#[test]
fn without_its_server_calls_fail_and_none_hangs() {
    for who in As::all() {
        let Some(place) = place() else { return };
        let run =
            Run::start(&place, *who, "cat /m/file 2>&1; touch /m/new 2>&1; echo ends; exit 3");
        // A descriptor of the target's in the middle of something ends as well.
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(run.server as i32),
            nix::sys::signal::SIGKILL,
        )
        .unwrap();
        wait_for(|| has_ended(run.server).then_some(()));
        let (status, out) = run.end();
        assert!(
            status == Some(3) && out.contains("not connected") && out.ends_with("ends\n"),
            "{out}"
        );
    }
}

#[test]
fn its_server_ends_with_the_launcher() {
    for who in As::all() {
        let Some(place) = place() else { return };
        let mut run = Run::start(&place, *who, "sleep 60");
        let all = children(run.launcher.id());
        run.launcher.kill().unwrap();
        run.launcher.wait().unwrap();
        wait_for(|| all.iter().all(|pid| has_ended(*pid)).then_some(()));
    }
}

/// A call of a launch: who makes it, its number, and which of the calls of this number it is there.
#[derive(Clone, Copy)]
struct Call {
    process: u32,
    number: u32,
    nth: u32,
}

/// Every call of a run, in the order of each process.
fn calls(trace: &str) -> Vec<Call> {
    let mut counts = BTreeMap::new();
    let of = |line: &str| {
        let [process, _, number] = line.strip_prefix("call ")?.split(' ').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let (process, number) = (process.parse().unwrap(), number.parse().unwrap());
        let nth = counts.entry((process, number)).or_insert(0);
        *nth += 1;
        Some(Call { process, number, nth: *nth })
    };
    trace.lines().filter_map(of).collect()
}

/// A call of those by which the server becomes what it is fails: nothing runs, and that is said. The
/// launcher is killed in the middle: nothing is left.
#[test]
fn no_failure_weakens_it_and_nothing_is_left() {
    let number = |name: Sysno| name.id() as u32;
    for who in As::all() {
        let Some(place) = place() else { return };
        place.program("faults");
        let path = profile(&place, ", upper = \"discard\"", "");
        let run = |words: &[&str]| {
            let words =
                [&["./faults"], words, &["--", "./stockade", "run", &path, "cat", "/m/file"]];
            let output = command(&place, *who, DEVICE, &words.concat()).output().unwrap();
            (output.status.code(), text(&output.stdout), errors(&output))
        };
        let list = place.folder("traces", *who).join("list");
        let traced = run(&["trace", list.to_str().unwrap()]);
        assert_eq!((traced.0, &*traced.1), (Some(0), "low/file\n"), "{who:?}: {}", traced.2);
        let all = calls(&std::fs::read_to_string(&list).unwrap());
        let by = |process: u32| -> Vec<Call> {
            all.iter().filter(|call| call.process == process).copied().collect()
        };
        let is = |name| move |call: &Call| call.number == number(name);
        let server = all.iter().find(|call| is(Sysno::setns)(call)).unwrap().process;
        let sender = all.iter().find(|call| is(Sysno::sendmsg)(call)).unwrap().process;
        let mut cases = by(server);
        cases.truncate(cases.iter().position(is(Sysno::execve)).unwrap() + 1);
        let of_pid_1 = by(sender);
        let first = of_pid_1.iter().position(is(Sysno::sendmsg)).unwrap();
        let last = of_pid_1.iter().rposition(is(Sysno::sendmsg)).unwrap();
        assert!(cases.len() > 80 && first > 40, "{} {first}", cases.len());
        cases.extend(&of_pid_1[first - 40..last + 5]);
        // Each user tries another quarter; of calls that drop capabilities a few: the last fails anyway.
        let part = 2 * usize::from(*who == As::Root);
        let is_full = std::env::var_os("FULL").is_some();
        let cases = cases.iter().enumerate().filter(|(index, call)| {
            let is_one_of_many = is(Sysno::prctl)(call) && (5..45).contains(&call.nth);
            (is_full || index % 4 == part) && !is_one_of_many
        });
        for (index, call) in cases {
            let errno = [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::EMFILE][index / 4 % 4];
            let numbers =
                [call.process, call.number, call.nth, errno as u32].map(|n| n.to_string());
            let [process, name, nth, errno] = numbers.each_ref().map(String::as_str);
            let (status, out, said) = run(&["inject", process, name, nth, errno]);
            let case = format!(
                "{who:?}: {process} {} {nth} {errno}",
                Sysno::new(call.number as usize).unwrap()
            );
            assert!(!said.contains("was not met"), "{case}: {said}");
            // The first of pid 1's are of the steps before.
            let is_told = status == Some(125)
                && out.is_empty()
                && (said.contains("fuse-overlayfs") || said.contains("launch::"))
                || said.contains("the process that shows layers");
            assert!(is_told, "{case}: {status:?} {out} {said}");
        }
        let count = by(0).len();
        for ordinal in (1..count).rev().step_by(if is_full { 1 } else { 29 }) {
            let (status, _, said) = run(&["kill", &ordinal.to_string()]);
            assert_eq!(status, Some(137), "{who:?}: {ordinal}: {said}");
        }
    }
}

#[test]
fn it_is_refused_where_it_cannot_be() {
    let Some(place) = place() else { return };
    let discard = ", upper = \"discard\"";
    let asked = |who: As, mounts: &str, more: &str, sections: &str| {
        let path = profile(&place, more, "");
        let text = std::fs::read_to_string(&path).unwrap() + sections;
        place.file("p.toml", &text);
        let output =
            command(&place, who, mounts, &["./stockade", "run", &path, "true"]).output().unwrap();
        (output.status.code(), unwrapped(&errors(&output)))
    };
    let closed = DEVICE.replace("666", "600");
    let none = format!("{DEVICE}; mount --bind /dev/null /usr/bin/fuse-overlayfs");
    let kept = format!(", upper = \"{}/kept\"", place.path.display());
    let up = ", upper = \"discard\", copy-up = [\"/m/dir\"]";
    for (who, mounts, more, sections, words) in [
        (As::User, &*none, discard, "", "install fuse-overlayfs; or let them be copied"),
        (As::User, &closed, discard, "", "/dev/fuse is closed to the caller"),
        (As::Root, &closed, discard, "", "/dev/fuse is closed to all but root"),
        (As::User, DEVICE, discard, "[namespaces]\npid = \"host\"\n", "out of the target's sight"),
        (
            As::Root,
            DEVICE,
            discard,
            "[namespaces]\nuser = \"host\"\n[identity]\nhost = true\n",
            "the sandbox's own user namespace",
        ),
        (As::User, DEVICE, &kept, "", "nothing is kept"),
        (As::User, DEVICE, up, "", "`copy-up` has nothing to do"),
    ] {
        let (status, said) = asked(who, mounts, more, sections);
        assert!(status == Some(125) && said.contains(words), "{who:?}: {words}: {said}");
    }
    // It shows one directory, and no mounts below it.
    let at = place.path.display();
    place.folder("over/mounted", As::User);
    let over = format!(
        "\"{at}/over\" = {{ layers = [\"{at}/over\"]{discard}, driver = \"fuse-overlayfs\" }}"
    );
    let over = place.file("over.toml", &system(&over)).display().to_string();
    let mounts = format!("{DEVICE}; mount -t tmpfs t over/mounted");
    let words = ["./stockade", "run", &over, "true"];
    let said = unwrapped(&errors(&command(&place, As::User, &mounts, &words).output().unwrap()));
    assert_eq!(said.matches("there are mounts below it").count(), 1, "{said}");
    let path = profile(&place, discard, "");
    let output = stockade(&place, As::User, &["run", "--changes", &path, "true"]);
    let said = unwrapped(&errors(&output));
    assert!(output.status.code() == Some(125) && said.contains("in a way of its own"), "{said}");
}

#[test]
fn what_it_shows_is_said() {
    let Some(place) = place() else { return };
    let path = profile(&place, ", upper = \"discard\"", "");
    let ask = |words: &[&str]| {
        let output = stockade(&place, As::User, words);
        (output.status.code(), unwrapped(&text(&output.stdout)) + &unwrapped(&errors(&output)))
    };
    let (_, plan) = ask(&["plan", &path, "/bin/true"]);
    assert!(plan.contains("layers, served"), "{plan}");
    let (_, steps) = ask(&["plan", "--steps", &path, "/bin/true"]);
    assert!(steps.contains("let fuse-overlayfs show"), "{steps}");
    // What overlayfs copies for no user can be changed, and what the target may not read cannot.
    for (query, allows) in
        [("write:/m/file", true), ("read:/m/dir/deep/x", true), ("read:/m/closed", false)]
    {
        let (status, why) = ask(&["why", &path, query]);
        assert_eq!(status == Some(0), allows, "{query}: {why}");
        let is_said = why.contains("by fuse-overlayfs") || !allows;
        assert!(is_said, "{why}");
    }
    let (_, doctor) = ask(&["doctor"]);
    assert!(doctor.contains("fuse-overlayfs"), "{doctor}");
}

/// A device, and a program in the place of fuse-overlayfs that does not answer: see silent.c.
fn silent(place: &Place) -> String {
    if !place.path.join("silent").exists() {
        place.program("silent");
    }
    format!("{DEVICE}; mount --bind silent /usr/bin/fuse-overlayfs")
}

/// A run with that program in its place.
fn begin(place: &Place, who: As, (head, more): (&str, &str), line: &str) -> Child {
    let mounts = silent(place);
    let path = profile(place, ", upper = \"discard\"", "");
    let written = std::fs::read_to_string(&path).unwrap();
    place.file("p.toml", &format!("{head}{written}{more}"));
    let words = ["./stockade", "run", &path, "sh", "-c", line];
    let mut command = command(place, who, &mounts, &words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How a run ends, and what it says.
fn ended(run: Child) -> (Option<i32>, String) {
    let output = run.wait_with_output().unwrap();
    (output.status.code(), unwrapped(&errors(&output)))
}

fn server_of(run: &Child) -> u32 {
    wait_for(|| children_named(run.id(), "fuse-overlayfs").into_iter().next())
}

fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
}

/// No signal ends who waits for an answer that a server has begun with; the end of the sandbox does.
#[test]
fn a_server_that_does_not_answer_keeps_no_sandbox() {
    for who in As::all() {
        let Some(place) = place() else { return };
        // The target ends, beside a process that SIGKILL does not end. One that the server has not begun
        // to answer it ends: then another is tried.
        let line = "is() { grep -q \"^State:.[$1]\" /proc/$pid/status; }
                    until cat /m/hang & pid=$!; until is SD; do :; done; sleep 0.1; kill -9 $pid
                        until is DZ; do :; done; is D
                    do wait $pid; done; exit 5";
        assert_eq!(ended(begin(&place, *who, ("", ""), line)), (Some(5), String::new()), "{who:?}");
        // Its time is over.
        let times = "[process]\ntimeout = \"300ms\"\nkill-after = \"100ms\"\n";
        let (status, said) = ended(begin(&place, *who, ("", times), "cat /m/hang"));
        assert_eq!(status, Some(124), "{who:?}: {said}");
        // Pid 1 is killed; and `stockade kill`, where the target is pid 1 itself as well.
        let name = format!("silent-{}-{}", std::process::id(), who.id().unwrap_or(0));
        let head = format!("name = \"{name}\"\n");
        for (head, more, is_its) in
            [("", "", true), (&*head, "", false), (&*head, "[process]\ninit = false\n", false)]
        {
            let run = begin(&place, *who, (head, more), "exec cat /m/hang");
            let server = server_of(&run);
            let pid_1 = wait_for(|| {
                let pid_1 = children(run.id()).into_iter().find(|pid| *pid != server)?;
                let waits = |pid: &u32| {
                    name_of(*pid).as_deref() == Some("cat") && state_of(*pid) == Some('S')
                };
                children(pid_1).iter().chain([&pid_1]).any(waits).then_some(pid_1)
            });
            if is_its {
                // Until pid 1 has said that the target runs, its end is that of a start (E1208).
                std::thread::sleep(std::time::Duration::from_millis(700));
                signal(pid_1, nix::sys::signal::Signal::SIGKILL);
            } else {
                let words = ["./stockade", "kill", &name];
                let killed = command(&place, *who, "true", &words).output().unwrap();
                assert!(killed.status.success(), "{who:?} {more}: {}", errors(&killed));
            }
            let (status, said) = ended(run);
            assert_eq!(status, Some(137), "{who:?} {more}: {said}");
            assert!(has_ended(server) && has_ended(pid_1), "{who:?} {more}");
        }
    }
}

/// A start does not wait for it without an end, and one that a signal ends does not wait.
#[test]
fn a_server_that_does_not_answer_ends_the_start() {
    for who in As::all() {
        let Some(place) = place() else { return };
        place.file("low/never", "");
        let run = begin(&place, *who, ("", ""), "true");
        let server = server_of(&run);
        signal(run.id(), nix::sys::signal::Signal::SIGTERM);
        let (status, said) = ended(run);
        assert!(status == Some(143) && said.is_empty(), "{who:?}: {status:?} {said}");
        assert!(has_ended(server), "{who:?}");
    }
    // Where it never answers the kernel's first question, or at a mount point in its tree.
    let starts = [true, false].map(|never| {
        std::thread::spawn(move || {
            let Some(place) = place() else { return };
            if never {
                place.file("low/never", "");
            }
            let more = if never { "" } else { "\"/m/hang\" = \"tmpfs\"\n" };
            let (status, said) = ended(begin(&place, As::User, ("", more), "true"));
            let is_said = said.contains("cannot let fuse-overlayfs show ")
                && said.contains("it does not answer");
            assert!(status == Some(125) && is_said, "{never}: {status:?} {said}");
        })
    });
    starts.into_iter().for_each(|start| start.join().unwrap());
}
