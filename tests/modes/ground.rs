//! What the acts need: files, sockets and namespaces of the host, and the profile of each mode.

use crate::modes::table::{Act, Column, Kernel};
use crate::support::{As, Place, USER, is_root, lacking_at, skip, text};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

pub struct Ground {
    pub place: Place,
    /// A process of each caller in namespaces of its own, but for process numbers; a user's has a
    /// user namespace, too.
    joined: Vec<(As, Child)>,
    /// A socket in the file tree, and an abstract one.
    _listeners: [UnixListener; 2],
    /// A device node that all may read and that is not among those of the minimal /dev.
    device: Option<String>,
    /// The name of the abstract socket, and of control groups at the top.
    name: String,
    groups: Vec<PathBuf>,
    next: AtomicU32,
}

/// `watch LINE`: runs the sandbox with a target that sleeps, evaluates LINE outside with the
/// target's process id in PID, and ends it.
const WATCH: &str = r#"#!/bin/sh
$RUN sleep 30 </dev/null >/dev/null &
launcher=$!
PID=$("${0%/*}/act" await $launcher sleep) || { wait $launcher; exit; }
eval "$1"
kill $launcher
wait $launcher
exit 0
"#;

/// `group PID CONTROLLER`: whether a process is in a group that stockade made.
/// `file PID CONTROLLER FILE1 FILE2`: a file of its group, in version 1 of control groups or 2.
/// `limit`: the first word of that.
const SCRIPTS: [(&str, &str); 3] = [
    (
        "group",
        "path=$(sed -n \"s/^[0-9]*:\\([^:]*,\\)*$2\\(,[^:]*\\)*://p; s/^0:://p\" /proc/$1/cgroup | \
         head -n 1)\ncase $path in */stockade-*) echo own;; *) echo \"the launcher's\";; esac\n",
    ),
    (
        "file",
        "of() { sed -n \"$1\" /proc/$pid/cgroup; }\npid=$1\nold=$(of \
         \"s/^[0-9]*:\\([^:]*,\\)*$2\\(,[^:]*\\)*://p\")\n\
         for top in '' /unified; do [ -e /sys/fs/cgroup$top/cgroup.controllers ] && \
         new=/sys/fs/cgroup$top$(of 's/^0:://p'); done\n\
         cat /sys/fs/cgroup/$2$old/$3 2>/dev/null || cat $new/$4 2>/dev/null\n",
    ),
    ("limit", "$(dirname $0)/file \"$@\" | head -n 1 | cut -d' ' -f1\n"),
];

/// Its first word is who runs the rest.
const READ_ONLY_SYSCTLS: &str = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro \
                                 /proc/sys && uid=$1 && shift && exec setpriv --reuid $uid --regid \
                                 $uid --clear-groups \"$@\"";

/// Its first words are a directory and who runs the rest, where fuse's device is open to all.
const OPEN_DEVICE: &str = "mount -t tmpfs t $1 && mknod -m 666 $1/fuse c 10 229 && mount --bind \
                           $1/fuse /dev/fuse && uid=$2 && shift 2 && exec setpriv --reuid $uid \
                           --regid $uid --clear-groups \"$@\"";

impl Ground {
    pub fn new() -> Ground {
        let place = Place::new();
        place.program("probe");
        place.program("modes/act");
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
        };
        place.script("watch", WATCH);
        for (name, script) in SCRIPTS {
            place.script(name, &format!("#!/bin/sh\n{script}"));
        }
        // Written by the caller, by the host's id that stands for it, and by root's ids inside.
        mode(&place.folder("work", As::User), 0o777);
        mode(&place.folder("records", As::User), 0o777);
        mode(&place.folder("data", As::User), 0o777);
        mode(&place.file("data/file", "data\n"), 0o666);
        mode(&place.folder("work/kept", As::User), 0o777);
        mode(&place.folder("roots", As::Root), 0o755);
        mode(&place.folder("installed", As::User), 0o755);
        std::os::unix::fs::chown(
            place.file("installed/tool", "tool\n"),
            is_root().then_some(USER),
            None,
        )
        .unwrap();
        mode(&place.path.join("installed/tool"), 0o4755);
        place.folder("run", As::User);
        mode(&place.path.join("run"), 0o700);
        place.file("token", "token\n");
        std::os::unix::fs::symlink("token", place.path.join("link")).unwrap();
        place.file("below.toml", "format = 1\nprocess.umask = \"0077\"\n");
        place.file("import.json", r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["uname"],"action":"SCMP_ACT_ERRNO"}]}"#);
        place.folder("bin", As::Root);
        std::fs::copy(place.path.join("act"), place.path.join("bin/act")).unwrap();
        place.folder("excepted/kept", As::Root);
        place.file("excepted/kept/f", "kept\n");
        place.file("excepted/f", "f\n");
        place.folder("sockets", As::Root);
        let socket = place.path.join("sockets/socket");
        let listener = UnixListener::bind(&socket).unwrap();
        mode(&socket, 0o777);
        if is_root() {
            // Ceilings that are not 0, so that a limit of 0 is seen.
            use nix::sys::resource::{Resource, setrlimit};
            [Resource::RLIMIT_NICE, Resource::RLIMIT_RTPRIO]
                .iter()
                .for_each(|limit| setrlimit(*limit, 10, 10).unwrap_or_default());
        }
        let joined = As::all().iter().map(|who| (*who, hold(&place, *who))).collect();
        let readable = |path: &&str| {
            std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
        };
        let device = ["/dev/fuse", "/dev/autofs", "/dev/kvm", "/dev/net/tun"]
            .into_iter()
            .find(readable)
            .map(str::to_owned);
        if device.is_none() {
            skip("no device node of the host is for all to read");
        }
        let name = format!("stockade-modes-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let sockets = [listener, UnixListener::bind_addr(&address).unwrap()];
        // Version 1 takes the freezer beside, where the process numbers are the host's.
        let tops = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup"];
        let names = [name.clone(), format!("{name}-other")];
        let groups =
            tops.iter().flat_map(|top| names.each_ref().map(|name| Path::new(top).join(name)));
        let groups = groups.filter(|group| std::fs::create_dir(group).is_ok()).collect();
        Ground { place, joined, _listeners: sockets, device, name, groups, next: AtomicU32::new(1) }
    }

    /// The process whose namespaces are joined.
    fn holder(&self, who: As) -> u32 {
        self.joined.iter().find(|(of, _)| *of == who).map_or(0, |(_, holder)| holder.id())
    }

    /// The lines of a mode's own profile.
    fn lines(&self, column: Column, who: As) -> Vec<String> {
        let mut lines = vec!["format = 1".to_owned()];
        let holder = self.holder(who);
        match column {
            Column::Own | Column::Root => {}
            Column::Host => lines.push("namespaces.mount = \"host\"".into()),
            Column::Alone => lines.extend(
                ["namespaces.all = \"host\"", "network.mode = \"host\""].map(str::to_owned),
            ),
            Column::Joined => {
                lines.push(format!("namespaces.mount = {{ join = \"/proc/{holder}/ns/mnt\" }}"));
                if who == As::User {
                    lines
                        .push(format!("namespaces.user = {{ join = \"/proc/{holder}/ns/user\" }}"));
                }
            }
            Column::Listed => lines.push("namespaces.nested = [\"user\", \"pid\", \"net\"]".into()),
            Column::Nested if who == As::Root => lines
                .extend(["namespaces.nested = true", "seccomp.set-id = true"].map(str::to_owned)),
            Column::Nested => lines.push("namespaces.nested = true".into()),
            Column::Without => lines.push("optional = [\"landlock\"]".into()),
        }
        // What an older Landlock cannot hold.
        let lacking = lacking_at(landlock_abi());
        if matches!(column, Column::Host | Column::Alone) && !lacking.is_empty() {
            lines.push(format!("optional = {lacking:?}"));
        }
        if (column, who) == (Column::Alone, As::Root) {
            lines.push("identity.host = true".into());
        }
        if column == Column::Joined {
            return lines;
        }
        for path in ["/usr", "/bin", "/lib", "/sbin", "/etc"] {
            lines.push(format!("mounts.\"{path}\" = \"ro\""));
        }
        lines.push("mounts.\"/lib64\" = { bind = \"/lib64\", missing = \"skip\" }".into());
        lines.push("mounts.\"/dev\" = \"dev\"".into());
        if !matches!(column, Column::Host | Column::Alone) {
            lines.extend(
                ["mounts.\"/proc\" = \"proc\"", "mounts.\"/tmp\" = \"tmpfs\""].map(str::to_owned),
            );
        }
        for name in ["act", "probe"] {
            lines.push(format!("mounts.\"{{P}}/{name}\" = \"ro\""));
        }
        lines.push("mounts.\"{W}\" = \"rw\"".into());
        lines
    }

    /// The mode's profile with further lines, which replace its own ones with the same keys.
    pub fn profile(&self, column: Column, who: As, more: &str) -> String {
        let more = &more.replace("{H}", &self.holder(who).to_string());
        let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        let more: Vec<String> = more.lines().map(str::to_owned).collect();
        let mut lines = self.lines(column, who);
        lines.retain(|own| more.iter().all(|line| key(line) != key(own)));
        lines.extend(more);
        lines.join("\n") + "\n"
    }

    pub fn next(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn fill(&self, text: &str, id: u32) -> String {
        let place = self.place.path.to_str().unwrap();
        let device = self.device.as_deref().unwrap_or("/dev/absent");
        text.replace("{W}", &format!("{place}/work"))
            .replace("{P}", place)
            .replace("{D}", device)
            .replace("{A}", &self.name)
            .replace("{G}", &self.name)
            .replace("{id}", &id.to_string())
    }

    /// What an act prints under a profile, and the launcher's own words.
    pub fn run(
        &self,
        column: Column,
        who: As,
        uid: Option<u32>,
        profile: &str,
        act: &Act,
        id: u32,
    ) -> (String, String) {
        let path = self.path_of(profile, id);
        let place = self.place.path.to_str().unwrap();
        let abi = if column == Column::Without { Some(0) } else { lowered() };
        let mut launcher =
            abi.map_or(vec![], |abi| vec![format!("{place}/act"), "abi".into(), abi.to_string()]);
        launcher.extend([format!("{place}/stockade"), "run".into(), path.display().to_string()]);
        let (mut id_of_caller, inside) = (uid.or(who.id()), self.fill(act.inside, id));
        if is_root() && act.line.contains("fuse-overlayfs") {
            let as_caller = id_of_caller.take().unwrap_or_default().to_string();
            let device = self.place.folder("fuse", As::Root).display().to_string();
            let words = ["unshare", "--mount", "sh", "-c", OPEN_DEVICE, "sh", &device, &as_caller];
            launcher.splice(..0, words.map(str::to_owned));
        }
        let mut command = if act.outside.is_empty() {
            let mut command = self.place.outside_with(id_of_caller, &launcher[0]);
            command.args(&launcher[1..]).args(["sh", "-c", &inside]);
            command
        } else {
            let mut command = self.place.outside_with(id_of_caller, "/bin/sh");
            command.args(["-c", &self.fill(act.outside, id)]).env("RUN", launcher.join(" "));
            command
        };
        command
            .env("HOLDER", self.holder(who).to_string())
            .env("CALLER", "the caller's")
            .env("STOCKADE", format!("{place}/stockade"));
        if who == As::User {
            command.env("XDG_RUNTIME_DIR", format!("{place}/run"));
            command.env("XDG_STATE_HOME", format!("{place}/records"));
        }
        let output = output(&mut command);
        let status =
            output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let mut printed = text(&output.stdout).trim().to_owned();
        if status != 0 {
            printed = format!("{printed} status {status}").trim().to_owned();
        }
        (printed, text(&output.stderr))
    }

    /// `stockade WORDS PROFILE true` on such a kernel: status and output.
    pub fn stockade(
        &self,
        who: As,
        kernel: Option<Kernel>,
        words: &[&str],
        profile: &str,
        id: u32,
    ) -> (i32, String) {
        let path = self.path_of(profile, id);
        let mut command: Command = match kernel.or(lowered().map(Kernel::Landlock)) {
            Some(Kernel::ReadOnlySysctls) => {
                let uid = if who == As::User { USER } else { 0 };
                let mut command = self.place.outside(As::Root, "unshare");
                command
                    .args(["--mount", "sh", "-c", READ_ONLY_SYSCTLS, "sh", &uid.to_string()])
                    .arg(self.place.path.join("stockade"));
                command
            }
            Some(kernel) => {
                let mut command = self.place.outside(who, self.place.path.join("act"));
                match kernel {
                    Kernel::Landlock(abi) => command.args(["abi", &abi.to_string()]),
                    Kernel::WithoutKeyctl | Kernel::ReadOnlySysctls => {
                        command.arg("without-keyctl")
                    }
                };
                command.arg(self.place.path.join("stockade"));
                command
            }
            None => self.place.stockade(who),
        };
        // An ordinary user's, who has no home.
        command.env("XDG_STATE_HOME", self.place.path.join("records"));
        let output = output(command.args(words).arg(path).arg("true"));
        (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
    }

    fn path_of(&self, profile: &str, id: u32) -> PathBuf {
        self.place.file(&format!("profiles-{id}.toml"), &self.fill(profile, id))
    }

    /// Where a record is written, and its text.
    pub fn record(&self, id: u32) -> PathBuf {
        self.place.path.join(format!("records/{id}.json"))
    }

    pub fn filled(&self, text: &str, id: u32) -> String {
        self.fill(text, id)
    }
}

/// MODES_ABI=2 has every launcher see a kernel whose Landlock has that ABI.
fn lowered() -> Option<u32> {
    std::env::var("MODES_ABI").ok()?.parse().ok()
}

/// Whether launchers see an older Landlock than this kernel's.
pub fn is_lowered() -> bool {
    lowered().is_some()
}

/// Landlock's ABI as every launcher sees it.
pub fn landlock_abi() -> u32 {
    let real = crate::support::landlock_abi();
    lowered().map_or(real, |abi| abi.min(real))
}

/// How long an act may take, where processors are emulated too: one that hangs fails by its name.
const LONGEST: Duration = Duration::from_secs(300);

/// Runs a command. Another test of the same user may have all processes for a moment.
fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = loop {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(50))
            }
            child => break child.unwrap(),
        }
    };
    let group = Pid::from_raw(child.id() as i32);
    let (ended, end) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
                // Nobody has waited for the leader yet, so the number is the group's still.
                let _gone = killpg(group, Signal::SIGKILL);
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        output
    })
}

/// A process in namespaces of its own. The user's is in a user namespace in which setgroups(2) is
/// allowed, as those of rootless containers are: without privilege only newgidmap(1) makes such a
/// one, so root writes the map.
fn hold(place: &Place, who: As) -> Child {
    let flags = if who == As::User { "-UmiunCT" } else { "-miunCT" };
    let mut holder = place
        .outside(who, "unshare")
        .args([flags, "cat"])
        // It ends with this process, however that ends.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let folder = PathBuf::from(format!("/proc/{}", holder.id()));
    let mut tries = 0;
    while std::fs::read_link(folder.join("ns/mnt")).is_ok_and(|namespace| namespace == own) {
        tries += 1;
        assert!(tries < 500 && holder.try_wait().unwrap().is_none(), "unshare {flags}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    if who == As::User && is_root() {
        for map in ["uid_map", "gid_map"] {
            std::fs::write(folder.join(map), format!("{USER} {USER} 1\n")).unwrap();
        }
    }
    holder
}

impl Drop for Ground {
    fn drop(&mut self) {
        for (_, holder) in &mut self.joined {
            drop(holder.kill());
            drop(holder.wait());
        }
        self.groups.iter().for_each(|group| drop(std::fs::remove_dir(group)));
    }
}
