//! The sandbox that all contenders build, and the stage: a folder with the programs and profiles, that an ordinary user can read.

use crate::measure::Program;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What every contender runs.
pub const TARGET: &str = "/usr/bin/true";

/// How many binds the profiles of the growth job have, besides the system's.
pub const BINDS: [usize; 3] = [10, 100, 1000];

/// The parts of the host that it shows.
pub const SYSTEM: [&str; 6] = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];
const BOUND: &str = "/usr/share";

/// The folder. Who set it removes it.
pub struct Stage {
    path: PathBuf,
    user: Option<u32>,
    owned: bool,
}

impl Stage {
    /// Makes the folder. Its files are the caller's and nobody else can write them, as stockade demands of a profile.
    pub fn set() -> io::Result<Stage> {
        let path = std::env::temp_dir().join(format!("stockade-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        let stage = Stage { path, user: ordinary_user(), owned: true };
        fs::set_permissions(&stage.path, Permissions::from_mode(0o755))?;
        let stockade = std::env::var_os("STOCKADE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_stockade").into());
        stage.add("stockade", 0o755, &fs::read(stockade)?)?;
        stage.add("bench", 0o755, &fs::read(std::env::current_exe()?)?)?;
        for binds in [0].into_iter().chain(BINDS) {
            stage.add(&profile_name(binds), 0o644, profile(binds).as_bytes())?;
        }
        if let Some(user) = stage.user {
            give_groups(user)?;
        }
        let limits = format!("[limits]\nmemory = \"256M\"\npids = 64\ncpu = 2.0\nparent = \"/{}\"\n", group());
        stage.add("limits.toml", 0o644, (profile(0) + &limits).as_bytes())?;
        for (name, text) in crate::check::profiles() {
            stage.add(&name, 0o644, text.as_bytes())?;
        }
        fs::create_dir(stage.path.join("out"))?;
        std::os::unix::fs::chown(stage.path.join("out"), stage.user, stage.user)?;
        Ok(stage)
    }

    /// The folder that another process has made.
    pub fn enter(path: &Path) -> Stage {
        Stage { path: path.to_owned(), user: None, owned: false }
    }

    fn add(&self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id to measure as, where the caller is root.
    pub fn user(&self) -> Option<u32> {
        self.user
    }

    /// The copy of this program.
    pub fn bench(&self) -> PathBuf {
        self.path.join("bench")
    }

    /// The copy of stockade.
    pub fn stockade_path(&self) -> PathBuf {
        self.path.join("stockade")
    }

    /// A file that the user may write.
    pub fn output(&self, name: &str) -> PathBuf {
        self.path.join("out").join(name)
    }

    /// The command line of stockade on the sandbox with so many more binds.
    pub fn stockade_words(&self, binds: usize) -> [OsString; 3] {
        [self.stockade_path().into(), "run".into(), self.path.join(profile_name(binds)).into()]
    }

    /// stockade on the sandbox with so many more binds.
    pub fn stockade(&self, binds: usize) -> Result<Program, String> {
        Program::new("stockade", self.stockade_words(binds))
    }

    /// stockade with three limits, where there are groups for them.
    pub fn limited(&self) -> Result<Option<Program>, String> {
        let name = self.path.file_name().map(|name| name.to_os_string()).unwrap_or_default();
        if !CONTROLLERS.iter().all(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&name).exists()) {
            return Ok(None);
        }
        Program::new("stockade", [self.stockade_path().into(), OsString::from("run"), self.path.join("limits.toml").into()]).map(Some)
    }

    /// The bare system calls.
    pub fn floor(&self) -> Result<Program, String> {
        Program::new("floor", self.floor_words())
    }

    /// The command line of the bare system calls.
    pub fn floor_words(&self) -> [OsString; 3] {
        [self.bench().into(), "--floor".into(), TARGET.into()]
    }

    /// bubblewrap on the sandbox with so many more binds, where it is installed.
    pub fn bwrap(&self, binds: usize) -> Result<Option<Program>, String> {
        let Some(bwrap) = find("bwrap") else { return Ok(None) };
        let system = SYSTEM.iter().flat_map(|path| bwrap_entry(path));
        let more = (0..binds).flat_map(|index| ["--ro-bind".into(), BOUND.into(), inside(index)]);
        let words = [bwrap.to_string_lossy().into_owned(), "--unshare-all".into(), "--die-with-parent".into()]
            .into_iter()
            .chain(system)
            .chain(more)
            .chain(["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", TARGET].map(String::from));
        Program::new("bwrap", words).map(Some)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.owned {
            for controller in CONTROLLERS {
                let folder = Path::new("/sys/fs/cgroup").join(controller).join(group());
                if folder.exists()
                    && let Err(error) = fs::remove_dir(&folder)
                {
                    eprintln!("start bench: {} is left: {error}", folder.display());
                }
            }
        }
        if self.owned
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("start bench: {} is left: {error}", self.path.display());
        }
    }
}

/// The controllers of the limits job.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The group that the user is given in each of their hierarchies: it has the stage's name.
fn group() -> String {
    format!("stockade-bench-{}", std::process::id())
}

/// Makes the groups, where each controller is mounted in version 1.
fn give_groups(user: u32) -> io::Result<()> {
    let folders = CONTROLLERS.map(|controller| Path::new("/sys/fs/cgroup").join(controller));
    if !folders.iter().all(|folder| folder.join("tasks").exists()) {
        return Ok(());
    }
    for folder in folders {
        fs::create_dir(folder.join(group()))?;
        std::os::unix::fs::chown(folder.join(group()), Some(user), Some(user))?;
    }
    Ok(())
}

/// For root: an id that no account has, so that nothing is granted by accident (systemd's dynamic users begin there).
fn ordinary_user() -> Option<u32> {
    let wanted = std::env::var("STOCKADE_BENCH_UID").ok().and_then(|id| id.parse().ok());
    nix::unistd::geteuid().is_root().then(|| wanted.unwrap_or(61184))
}

fn profile_name(binds: usize) -> String {
    format!("binds-{binds}.toml")
}

/// The profile, with so many more binds.
fn profile(binds: usize) -> String {
    let head = format!("format = 1\n[process]\ncommand = [\"{TARGET}\"]\n[mounts]\n");
    let system = SYSTEM.iter().filter(|path| Path::new(path).exists()).map(|path| format!("\"{path}\" = \"ro\"\n"));
    let own = ["\"/tmp\" = { tmpfs = \"64M\" }\n", "\"/proc\" = \"proc\"\n", "\"/dev\" = \"dev\"\n"].map(String::from);
    let more = (0..binds).map(|index| format!("\"{}\" = {{ bind = \"{BOUND}\", access = \"ro\" }}\n", inside(index)));
    [head].into_iter().chain(system).chain(own).chain(more).collect()
}

fn inside(index: usize) -> String {
    format!("/m/{index:04}")
}

/// As in stockade: a link is made again, a folder is bound, what is absent is left out.
fn bwrap_entry(path: &str) -> Vec<String> {
    match fs::read_link(path) {
        Ok(text) => vec!["--symlink".into(), text.to_string_lossy().into_owned(), path.into()],
        Err(_) if Path::new(path).exists() => vec!["--ro-bind".into(), path.into(), path.into()],
        Err(_) => Vec::new(),
    }
}

/// A program of the system.
pub fn find(name: &str) -> Option<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Kernel, processors, user: what a reader of the numbers asks first.
pub fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    format!("Linux {}, {processors} processors, as user {}", kernel.trim(), nix::unistd::geteuid())
}
