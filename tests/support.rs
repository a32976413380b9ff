//! What the real-kernel tests share: profiles in a directory that only root can write to, the
//! launcher as root and as an ordinary user, and what must not be left behind.

pub mod ground;
pub mod processes;
mod skipped;

pub use crate::fuzz::case::Dice;
pub use skipped::skip;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// An id that no user of the machine has: the ordinary user of these tests, where they are started
/// by root.
pub const USER: u32 = 61_184;

/// Who starts the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    Root,
    User,
}

impl As {
    /// Both, where the tests are started by root; else the user that started them.
    pub fn all() -> &'static [As] {
        if is_root() { &[As::Root, As::User] } else { &[As::User] }
    }

    /// The id to start it with, where that is not this process's own.
    pub fn id(self) -> Option<u32> {
        (is_root() && self == As::User).then_some(USER)
    }

    /// The user and group that it is.
    pub fn owner(self) -> (u32, u32) {
        let own = || (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        self.id().map_or_else(own, |id| (id, id))
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// This kernel's version.
pub fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Whether tmpfs can be idmapped (Linux 6.3).
pub fn tmpfs_can_be_mapped() -> bool {
    kernel() >= (6, 3)
}

/// The ABI of this kernel's Landlock; 0 where there is none.
#[allow(unsafe_code)]
pub fn landlock_abi() -> u32 {
    const VERSION: u32 = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: the call reads no memory: it has a length of 0.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, VERSION) };
    u32::try_from(abi).unwrap_or(0)
}

/// Whether this kernel's Landlock keeps signals and abstract sockets inside (ABI 6, Linux 6.12).
pub fn landlock_scopes() -> bool {
    landlock_abi() >= 6
}

/// The restrictions of files and signals that this kernel's Landlock lacks, for `optional`.
pub fn lacking() -> Vec<&'static str> {
    lacking_at(landlock_abi())
}

/// The same of a Landlock with this ABI.
pub fn lacking_at(abi: u32) -> Vec<&'static str> {
    [(3, "landlock.truncate"), (6, "landlock.scope")]
        .into_iter()
        .filter(|(since, _)| abi < *since)
        .map(|(_, wall)| wall)
        .collect()
}

/// Whether the processors are emulated: then time is no measure.
pub fn is_emulated() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").unwrap().contains("QEMU")
}

/// How long a test waits for what must happen soon.
pub fn patient(wait: Duration) -> Duration {
    if is_emulated() { 10 * wait } else { wait }
}

/// A directory of one test, removed at its end. Both the launcher's user and root can walk it; only
/// its owner can write there.
pub struct Place {
    pub path: PathBuf,
}

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub fn new() -> Place {
        let name = format!(
            "stockade-test-{}-{}",
            std::process::id(),
            PLACES.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        // The copy that cargo made of the launcher may lie where an ordinary user cannot walk.
        let binary = path.join("stockade");
        install(Path::new(env!("CARGO_BIN_EXE_stockade")), &binary);
        Place { path }
    }

    /// Writes a file that all may read.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text.as_bytes());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        path
    }

    /// Puts the program of `tests/NAME.c` here, under the last part of its name.
    pub fn program(&self, name: &str) -> PathBuf {
        let path = self.path.join(name.rsplit('/').next().unwrap_or(name));
        install(&built(name).expect("gcc is installed"), &path);
        path
    }

    /// Writes a program that is a text. Like [`install`], by a process of its own.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let (from, path) = (self.file(&format!("{name}.text"), text), self.path.join(name));
        copy(&from, &path);
        path
    }

    /// Makes a directory that belongs to the user who starts the launcher.
    pub fn folder(&self, name: &str, owner: As) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).unwrap();
        if is_root() && owner == As::User {
            std::os::unix::fs::chown(&path, Some(USER), Some(USER)).unwrap();
        }
        path
    }

    /// The launcher, to be started by `who`, with a clean environment.
    pub fn stockade(&self, who: As) -> Command {
        self.outside(who, self.path.join("stockade"))
    }

    /// Any other program, started by `who` outside of every sandbox.
    pub fn outside(&self, who: As, program: impl AsRef<OsStr>) -> Command {
        self.outside_with(who.id(), program)
    }

    /// The same with an id, where there is one.
    pub fn outside_with(&self, id: Option<u32>, program: impl AsRef<OsStr>) -> Command {
        let mut command = started(id, program);
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(&self.path);
        // What is thrown away is on disk before Linux 6.6, and these users have no home.
        if kernel() < (6, 6) {
            let cache = self.path.join(".cache");
            if std::fs::create_dir(&cache).is_ok() {
                std::os::unix::fs::chown(&cache, id, id).unwrap();
            }
            command.env("XDG_CACHE_HOME", cache);
        }
        command
    }

    /// `stockade run` of a profile's text, with words after it.
    pub fn run(&self, who: As, profile: &str, words: &[&str]) -> Output {
        let path = self.file("profile.toml", profile);
        self.stockade(who).arg("run").arg(path).args(words).output().unwrap()
    }

    /// `stockade run --report` of a shell line, and the record.
    pub fn report(&self, who: As, profile: &str, line: &str) -> (Output, serde_json::Value) {
        self.report_with(who, profile, &[], line)
    }

    /// The same with further flags.
    pub fn report_with(
        &self,
        who: As,
        profile: &str,
        flags: &[&str],
        line: &str,
    ) -> (Output, serde_json::Value) {
        let path = self.file("profile.toml", profile);
        let record = self.folder("records", who).join("record.json");
        let output = self
            .stockade(who)
            .arg("run")
            .arg("--report")
            .arg(&record)
            .args(flags)
            .arg(path)
            .args(["/bin/sh", "-c", line])
            .output()
            .unwrap();
        let json = std::fs::read_to_string(&record).unwrap();
        assert_eq!(json.lines().count(), 1, "{json}");
        (output, serde_json::from_str(&json).unwrap())
    }

    /// What a shell line prints inside the profile, less the closing newline; the run must succeed.
    pub fn sh(&self, who: As, profile: &str, line: &str) -> String {
        let output = self.run(who, profile, &["/bin/sh", "-c", line]);
        assert!(
            output.status.success(),
            "{who:?}: `{line}` gave {:?}\n{}",
            output.status,
            text(&output.stderr)
        );
        text(&output.stdout).trim_end().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Who is not root opens first what nobody may look into.
        let removed = std::fs::remove_dir_all(&self.path).or_else(|_| {
            Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.path).status()?;
            std::fs::remove_dir_all(&self.path)
        });
        assert!(
            removed.is_ok() || std::thread::panicking(),
            "{}: {removed:?}",
            self.path.display()
        );
    }
}

/// Does something in a working directory that nobody else has: it is a thread's own then, or the
/// other tests would be moved too.
pub fn in_directory<T: Send>(directory: &Path, act: impl FnOnce() -> T + Send) -> T {
    let go = || {
        // SAFETY: it takes no pointer, and changes what belongs to this thread alone.
        #[allow(unsafe_code, reason = "no safe form is among the dependencies")]
        let status = unsafe { libc::unshare(libc::CLONE_FS) };
        assert_eq!(status, 0, "unshare: {}", std::io::Error::last_os_error());
        std::env::set_current_dir(directory).unwrap();
        act()
    };
    let ended = std::thread::scope(|scope| scope.spawn(go).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What this process's tree of mounts shows of a place, and of the covers that the launcher makes.
pub fn mounts_of(place: &Place) -> Vec<String> {
    let at = format!("{}/", place.path.display());
    let all = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines()
        .filter(|line| line.replace(' ', "/ ").contains(&at) || line.contains("/.stockade"))
        .map(str::to_owned)
        .collect()
}

/// The limits that a record says were met.
pub fn limits_hit(record: &serde_json::Value) -> Vec<&str> {
    record["limits-hit"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect()
}

/// Whether these controllers are mounted in version 1 of control groups, each by itself.
pub fn has_v1(controllers: &[&str]) -> bool {
    controllers.iter().all(|name| v1_folder(name).is_some())
}

/// The directory of this process's group with a controller in version 1.
pub fn v1_folder(controller: &str) -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields.next().filter(|names| names.split(',').any(|name| name == controller))?;
        fields.next().map(str::to_owned)
    })?;
    let folder = Path::new("/sys/fs/cgroup").join(controller).join(path.trim_start_matches('/'));
    folder.exists().then_some(folder)
}

/// Groups of launchers that are dead. Tests run side by side, so those of living ones are nobody's
/// leftovers; nor are those of launchers that another test killed: see [`ground::no_other_kills`].
pub fn dead_groups() -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let Some(folder) = v1_folder(&entry.file_name().to_string_lossy()) else { continue };
        for group in std::fs::read_dir(folder).unwrap().flatten() {
            let name = group.file_name().to_string_lossy().into_owned();
            let Some(pid) = name.strip_prefix("stockade-").and_then(|rest| rest.split('-').next())
            else {
                continue;
            };
            // One that ended well meanwhile took its group with it first.
            if pid.parse::<u32>().is_ok()
                && !Path::new("/proc").join(pid).exists()
                && group.path().exists()
            {
                found.push(group.path().display().to_string());
            }
        }
    }
    found
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything that a process printed, for a failure's message.
pub fn said(output: &Output) -> String {
    format!("{:?}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A problem's sentence and its help in one line each.
pub fn unwrapped(text: &str) -> String {
    text.replace("\n  │ ", " ").replace("\n        ", " ")
}

/// What a process wrote to standard error, so.
pub fn errors(output: &Output) -> String {
    unwrapped(&text(&output.stderr))
}

/// The system's programs, proc, dev and a /tmp: what most tests want. Further lines go to
/// `[mounts]`.
pub fn system(more_mounts: &str) -> String {
    format!(
        "format = 1\n[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" \
         = {{ bind = \"/lib64\", missing = \"skip\" }}\n\
         \"/sbin\" = \"ro\"\n\"/etc\" = \"ro\"\n\"/tmp\" = \"tmpfs\"\n\"/proc\" = \
         \"proc\"\n\"/dev\" = \"dev\"\n{more_mounts}\n"
    )
}

/// Writes a file. One that is cut to nothing ext4 writes to the disk when it is closed
/// (auto_da_alloc, ext4(5)), so this one is cut at its new end.
pub fn write(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Puts a program somewhere. Not with std::fs::copy: a fork of another test's thread would hold it
/// open for writing for a moment, and executing it would fail with ETXTBSY.
pub fn install(program: &Path, into: &Path) {
    if std::fs::hard_link(program, into).is_err() {
        copy(program, into);
    }
}

/// The same with a file of its own.
pub fn copy(program: &Path, into: &Path) {
    let status = Command::new("cp").arg(program).arg(into).status().unwrap();
    assert!(status.success(), "cp {program:?} {into:?}");
    std::fs::set_permissions(into, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Builds a program that uses the library (Cargo.toml has its file), or says why it cannot be built
/// here. The library is built for it already: the program `stockade` is made of the same.
pub fn example(name: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if Command::new(&cargo).arg("--version").output().is_err() {
        return Err("there is no cargo".into());
    }
    let built = Command::new(cargo)
        .args(["build", "--offline", "--locked", "--quiet", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    Ok(Path::new(env!("CARGO_BIN_EXE_stockade")).with_file_name("examples").join(name))
}

/// tests/probe.c, put into a place.
pub fn probe(place: &Place) -> PathBuf {
    place.program("probe")
}

/// The program of `tests/NAME.c`, built by the first that needs it, of these tests and of later
/// ones; none where there is no compiler.
fn built(name: &str) -> Option<PathBuf> {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<Option<PathBuf>>>>> =
        Mutex::new(BTreeMap::new());
    let cell = BUILT.lock().unwrap().entry(name.to_owned()).or_default().clone();
    let build = || {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name).with_extension("c");
        let mut hasher = DefaultHasher::new();
        std::fs::read(&source).unwrap().hash(&mut hasher);
        let file = format!("{}-{:016x}", name.replace('/', "-"), hasher.finish());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&file);
        if !path.exists() {
            Command::new("gcc").arg("--version").output().ok()?;
            let new = path.with_file_name(format!("{file}-{}", std::process::id()));
            compile(&source, &new);
            std::fs::rename(new, &path).unwrap();
        }
        Some(path)
    };
    cell.get_or_init(build).clone()
}

/// Static, so that it runs in an empty sandbox.
fn compile(source: &Path, into: &Path) {
    let status = Command::new("gcc")
        .args(["-O1", "-static", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(into)
        .arg(source)
        .status()
        .unwrap();
    assert!(status.success(), "gcc {source:?}");
}

/// Without it in the program std::process::Command forks to change the directory, too: std asks for
/// it by a weak name, for which nothing is taken out of a static libc.
#[used]
static SPAWNS_IN_A_DIRECTORY: unsafe extern "C" fn(
    *mut libc::posix_spawn_file_actions_t,
    *const libc::c_char,
) -> libc::c_int = libc::posix_spawn_file_actions_addchdir_np;

/// A command that is started with an id, where there is one: by tests/ids.c, which says why.
pub fn started(id: Option<u32>, program: impl AsRef<OsStr>) -> Command {
    let Some(id) = id else { return Command::new(program) };
    let tool = built("ids");
    let mut command = Command::new(tool.as_deref().map_or(program.as_ref(), Path::as_os_str));
    match tool {
        Some(_) => command.arg(id.to_string()).arg(program),
        None => command.uid(id).gid(id),
    };
    command
}

/// Spawns a command whose process is inspected. After `spawn` alone it may still be tests/ids.c,
/// with the ids of root, or a fork of this process: vfork(2) returns before execve(2) is complete.
pub fn spawned(command: &mut Command) -> std::process::Child {
    let is_ids = Path::new(command.get_program())
        .file_name()
        .unwrap()
        .as_encoded_bytes()
        .starts_with(b"ids-");
    let program = if is_ids { command.get_args().nth(1).unwrap() } else { command.get_program() };
    let name = Path::new(program).file_name().unwrap().to_str().unwrap().to_owned();
    let child = command.spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    let until = Instant::now() + Duration::from_secs(30);
    // The kernel keeps 15 bytes of it.
    while std::fs::read_to_string(&comm).unwrap().trim_end() != &name[..name.len().min(15)] {
        assert!(Instant::now() < until, "{command:?} did not begin");
        std::thread::sleep(Duration::from_micros(200));
    }
    child
}

/// Processes whose command line holds `needle`: nothing of a sandbox may be left.
pub fn processes_with(needle: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = text(&line).replace('\0', " ");
        if line.contains(needle) {
            found.push(format!("{}: {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// A page of the repository.
pub fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The README and the pages of `docs`, by their paths.
pub fn pages() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let mut names: Vec<String> = docs
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| name.ends_with(".md"))
        .chain(["README.md".into()])
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), page(&name))).collect()
}

/// That a page says a thing in these words, wherever its lines are broken.
pub fn a_page_says(words: &str) {
    let said = |(_, page): &(String, String)| {
        page.split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
    };
    assert!(pages().iter().any(said), "no page says: {words}");
}
