//! The sandbox that all contenders build, and the stage: a directory with the programs and
//! profiles, that an ordinary user can read.

use crate::groups::Given;
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

/// The directory. Who set it removes it.
pub struct Stage {
    path: PathBuf,
    user: Option<u32>,
    owned: bool,
    /// Held for its end.
    _given: Option<Given>,
}

impl Stage {
    /// Makes the directory. Its files are the caller's and nobody else can write them, as stockade
    /// demands of a profile.
    pub fn set() -> io::Result<Stage> {
        let path = std::env::temp_dir().join(format!("stockade-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        let user = ordinary_user();
        let name = name_of(&path);
        let given = user.map(|user| Given::give(user, &name)).transpose()?;
        let stage = Stage { path, user, owned: true, _given: given };
        fs::set_permissions(&stage.path, Permissions::from_mode(0o755))?;
        let stockade = std::env::var_os("STOCKADE_BIN")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_stockade").into());
        stage.add("stockade", 0o755, &fs::read(stockade)?)?;
        stage.add("bench", 0o755, &fs::read(std::env::current_exe()?)?)?;
        for binds in [0].into_iter().chain(BINDS) {
            stage.add(&profile_name(binds), 0o644, profile(binds).as_bytes())?;
        }
        for (version, limits) in [
            ("v1", "memory = \"256M\"\npids = 64\ncpu = 2.0"),
            ("v2", "hugetlb = { \"2M\" = \"64M\" }"),
        ] {
            let limits = format!("[limits]\n{limits}\nparent = \"/{name}\"\n");
            stage.add(
                &format!("limits-{version}.toml"),
                0o644,
                (profile(0) + &limits).as_bytes(),
            )?;
        }
        for (name, text) in crate::check::profiles() {
            stage.add(&name, 0o644, text.as_bytes())?;
        }
        fs::create_dir(stage.path.join("out"))?;
        std::os::unix::fs::chown(stage.path.join("out"), stage.user, stage.user)?;
        Ok(stage)
    }

    /// The directory that another process has made.
    pub fn enter(path: &Path) -> Stage {
        Stage { path: path.to_owned(), user: None, owned: false, _given: None }
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

    /// Its name, which is that of its control groups too.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// stockade and the bare system calls, with limits of this version of control groups.
    pub fn limited(&self, version: &str) -> Result<[Program; 2], String> {
        let stockade = [
            self.stockade_path().into(),
            OsString::from("run"),
            self.path.join(format!("limits-{version}.toml")).into(),
        ];
        let floor = [
            self.bench().into(),
            OsString::from("--limited-floor"),
            version.into(),
            self.name().into(),
            TARGET.into(),
        ];
        Ok([Program::new("stockade", stockade)?, Program::new("floor", floor)?])
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
        let words = [
            bwrap.to_string_lossy().into_owned(),
            "--unshare-all".into(),
            "--die-with-parent".into(),
        ]
        .into_iter()
        .chain(system)
        .chain(more)
        .chain(["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", TARGET].map(String::from));
        Program::new("bwrap", words).map(Some)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.owned
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("start bench: {} is left: {error}", self.path.display());
        }
    }
}

/// The last part of a path.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// For root: an id that no account has, so that nothing is granted by accident (systemd's dynamic
/// users begin there).
fn ordinary_user() -> Option<u32> {
    let wanted = std::env::var("STOCKADE_BENCH_UID").ok().and_then(|id| id.parse().ok());
    nix::unistd::geteuid().is_root().then(|| wanted.unwrap_or(61184))
}

fn profile_name(binds: usize) -> String {
    format!("binds-{binds}.toml")
}

/// The profile, with so many more binds.
pub fn profile(binds: usize) -> String {
    let head = format!("format = 1\n[process]\ncommand = [\"{TARGET}\"]\n[mounts]\n");
    let system = SYSTEM
        .iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| format!("\"{path}\" = \"ro\"\n"));
    let own =
        ["\"/tmp\" = { tmpfs = \"64M\" }\n", "\"/proc\" = \"proc\"\n", "\"/dev\" = \"dev\"\n"]
            .map(String::from);
    let more = (0..binds).map(|index| {
        format!("\"{}\" = {{ bind = \"{BOUND}\", access = \"ro\" }}\n", inside(index))
    });
    [head].into_iter().chain(system).chain(own).chain(more).collect()
}

fn inside(index: usize) -> String {
    format!("/m/{index:04}")
}

/// As in stockade: a link is made again, a directory is bound, what is absent is left out.
fn bwrap_entry(path: &str) -> Vec<String> {
    match fs::read_link(path) {
        Ok(text) => vec!["--symlink".into(), text.to_string_lossy().into_owned(), path.into()],
        Err(_) if Path::new(path).exists() => vec!["--ro-bind".into(), path.into(), path.into()],
        Err(_) => Vec::new(),
    }
}

/// A program of the system.
pub fn find(name: &str) -> Option<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// Kernel, processors, user: what a reader of the numbers asks first.
pub fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    format!("Linux {}, {processors} processors, as user {}", kernel.trim(), nix::unistd::geteuid())
}
