//! The control groups of a sandbox: made and limited before the clone, entered by the child itself,
//! read and removed at the end.
//!
//! What cgroups-rs does well goes through it: the freezer and device rules of version 1
//! ([`mod@write`],
//! [`remove`]). It has no way to find hybrid layouts, to enter a group before exec, to end and
//! remove one; its setters cost twice, its `apply` loses failures, and its readers of accounts
//! panic on texts that they do not know.

pub(super) mod account;
mod dbus;
mod devices;
mod group;
mod io;
mod remove;
mod scope;
mod sweep;
mod wrapped;
mod write;

use crate::kernel::controller::{Controller, Version};
use crate::kernel::name::Name;
use crate::language::value::parent;
use crate::step::{Directory, GroupOp, Slot, Step};
use crate::sys::{self, Errno};
use crate::text::problem::{Note, errno_words};
pub(crate) use account::Account;
pub(crate) use group::Group;
pub(super) use remove::{freezer_of, thaw_all};
use std::os::fd::RawFd;
use std::time::Instant;
pub(super) use sweep::reap;
pub(super) use wrapped::State;

/// How the name of every group of a launcher begins; its process id and the time of its making
/// follow.
const PREFIX: &str = "stockade-";
/// How the name of the group that the launcher itself steps into ends.
const ASIDE: &str = "-launcher";

/// All groups of one launch.
#[derive(Debug)]
pub(super) struct Groups {
    /// When the launch began.
    pub begun: Instant,
    /// The name of all of them: by it what belongs together is found again. Empty before the first.
    name: String,
    /// The directory of the scope that they are in, where systemd made one.
    scope: Option<String>,
    made: Vec<Made>,
    aside: Option<Aside>,
    /// Limits that the kernel lacks and `optional` names.
    pub fallen: Vec<Note>,
    /// Readable once memory is out (version 1); -1 if it is not watched.
    pub out_of_memory: RawFd,
    /// The account of processor time, where pid 1 reads it.
    pub cpu_account: Option<(RawFd, Version)>,
}

#[derive(Debug)]
struct Made {
    slot: Slot,
    version: Version,
    path: String,
    /// Its directory, open and locked by the launcher: where no process has that lock, the launcher
    /// is dead.
    dir: RawFd,
    /// By which pid 1 enters it.
    entrance: RawFd,
    controllers: Vec<Controller>,
}

/// What the launcher did to its own group of version 2.
#[derive(Debug)]
struct Aside {
    directory: String,
    path: String,
    switched_on: Vec<&'static str>,
}

/// Why a step failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The kernel says so.
    Errno(Errno),
    /// The file says something else than what was written.
    Reads(String),
    /// Systemd says so.
    Says(String),
}

impl From<Errno> for Wrong {
    fn from(errno: Errno) -> Wrong {
        Wrong::Errno(errno)
    }
}

impl Wrong {
    /// The reason in words.
    pub(super) fn words(&self) -> String {
        match self {
            Wrong::Errno(Errno(errno)) => errno_words(*errno),
            Wrong::Reads(text) => format!("the kernel made {text} of it"),
            Wrong::Says(text) => text.clone(),
        }
    }
}

type Result<T = ()> = std::result::Result<T, Wrong>;

/// How often another name is tried where one is taken: by a launcher with the same number in
/// another pid namespace.
const NAMES: u32 = 16;

impl Groups {
    /// No group yet.
    pub(super) fn new() -> Groups {
        Groups {
            begun: Instant::now(),
            name: String::new(),
            scope: None,
            made: vec![],
            aside: None,
            fallen: vec![],
            out_of_memory: -1,
            cpu_account: None,
        }
    }

    /// Does one step. An optional limit is skipped only if the kernel has no such file; every other
    /// error stops the run.
    pub(super) fn apply_step(&mut self, step: &Step<GroupOp>) -> Result {
        let may_fall = match &step.op {
            GroupOp::GroupLimit { may_fall, .. } => *may_fall,
            GroupOp::Scope { .. }
            | GroupOp::StepAside { .. }
            | GroupOp::Group { .. }
            | GroupOp::SwitchOn { .. }
            | GroupOp::DeviceRules { .. }
            | GroupOp::WatchMemory { .. }
            | GroupOp::CpuAccount { .. } => false,
        };
        match self.apply(&step.op) {
            Err(wrong @ Wrong::Errno(Errno(libc::EOPNOTSUPP | libc::ENOENT | libc::ENODEV)))
                if may_fall =>
            {
                let why = format!("cannot {}: {}", step.op, wrong.words());
                let note = Note::new(step.at, "a limit is not enforced").because(&why);
                self.fallen.push(note.less());
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn apply(&mut self, op: &GroupOp) -> Result {
        match op {
            GroupOp::Scope { socket, route } => {
                self.scope = Some(scope::enter(socket.text(), *route, &self.name()?)?);
                Ok(())
            }
            GroupOp::StepAside { directory } => self.step_aside(directory),
            GroupOp::Group { slot, version, controllers, directory } => {
                self.make(*slot, *version, controllers, directory)
            }
            GroupOp::SwitchOn { directory, controllers } => self.switch_on(directory, controllers),
            GroupOp::GroupLimit { slot, controller, file, value, .. } => {
                let made = self.of(*slot)?;
                write::limit(made.dir, *controller, file, value.text())
            }
            GroupOp::DeviceRules { slot, version, nodes } => {
                let made = self.of(*slot)?;
                match version {
                    Version::V1 => write::device_rules(&made.path, nodes),
                    Version::V2 => {
                        let program = sys::load_device_program(&devices::program(nodes))?;
                        // The group holds the program from here on.
                        Ok(sys::attach_device_program(made.dir, program)
                            .and(sys::close(program))?)
                    }
                }
            }
            GroupOp::WatchMemory { slot } => {
                self.out_of_memory = write::watch_memory(&self.of(*slot)?.path)?;
                Ok(())
            }
            GroupOp::CpuAccount { slot, version } => {
                let file = if *version == Version::V1 { "cpuacct.usage" } else { "cpu.stat" };
                let path = Name::new(&format!("{}/{file}", self.of(*slot)?.path));
                let fd = sys::openat(libc::AT_FDCWD, path.as_c_str(), libc::O_RDONLY, 0)?;
                self.cpu_account = Some((fd, *version));
                Ok(())
            }
        }
    }

    /// The descriptors by which pid 1 enters them, in their slots.
    pub(super) fn entrances(&self) -> impl Iterator<Item = (Slot, RawFd)> {
        self.made.iter().map(|made| (made.slot, made.entrance))
    }

    /// All of them, to be inspected while they exist.
    pub(super) fn entries(&self) -> Vec<Group> {
        let group = |made: &Made| Group { version: made.version, path: made.path.clone() };
        self.made.iter().map(group).collect()
    }

    /// The group of version 2 that the child begins in.
    pub(super) fn to_clone_into(&self) -> Option<RawFd> {
        self.made.iter().find(|made| made.version == Version::V2).map(|made| made.dir)
    }

    /// The groups of other launchers in these directories.
    pub(super) fn of_others(&self, directories: &[Name]) -> Vec<Group> {
        let paths: Vec<&str> = self
            .made
            .iter()
            .map(|made| made.path.as_str())
            .chain(self.aside.iter().map(|aside| aside.path.as_str()))
            .collect();
        let ours =
            |directory: &str| paths.iter().filter(|path| parent(path) == directory).count() as u64;
        let scopes =
            self.scope.as_deref().map(|scope| sweep::scopes(parent(scope))).unwrap_or_default();
        let beside = scopes.iter().map(|scope| (scope.as_str(), 0));
        sweep::of_others(
            directories
                .iter()
                .map(Name::text)
                .map(|directory| (directory, ours(directory)))
                .chain(beside),
        )
    }

    fn of(&self, slot: Slot) -> Result<&Made> {
        self.made.iter().find(|made| made.slot == slot).ok_or(Errno(libc::ENOENT).into())
    }

    fn with(&self, controller: Controller) -> Option<&Made> {
        self.made.iter().find(|made| made.controllers.contains(&controller))
    }

    fn name(&mut self) -> Result<String> {
        if self.name.is_empty() {
            // It is for the first group that is made: what ends this process by a signal from here
            // on would leave that.
            sys::set_signal_mask(!0)?;
            self.name = format!("{PREFIX}{}-{}", sys::getpid(), sys::boot_ticks()?);
        }
        Ok(self.name.clone())
    }

    fn directory<'a>(&'a self, directory: &'a Directory) -> Result<&'a str> {
        match directory {
            Directory::Path(path) => Ok(path.text()),
            Directory::Scope => self.scope.as_deref().ok_or(Errno(libc::ENOENT).into()),
        }
    }

    fn base(&mut self, directory: &Directory) -> Result<String> {
        let name = self.name()?;
        Ok(format!("{}/{name}", self.directory(directory)?))
    }

    fn make(
        &mut self,
        slot: Slot,
        version: Version,
        controllers: &[Controller],
        directory: &Directory,
    ) -> Result {
        let path = make_new(&self.base(directory)?, "")?;
        // From here on it is removed at the end, whatever fails.
        self.made.push(Made {
            slot,
            version,
            path: path.clone(),
            dir: -1,
            entrance: -1,
            controllers: controllers.to_vec(),
        });
        let dir = open_locked(&path)?;
        if let Some(made) = self.made.last_mut() {
            made.dir = dir;
        }
        let entrance = match version {
            // Opened here, where the launcher's credentials are; the kernel judges the move by them
            // (kernel commit 1756d7994ad8).
            Version::V1 => sys::openat(dir, c"tasks", libc::O_WRONLY, 0)?,
            Version::V2 => dir,
        };
        if let Some(made) = self.made.last_mut() {
            made.entrance = entrance;
        }
        Ok(())
    }

    fn step_aside(&mut self, directory: &Directory) -> Result {
        let path = make_new(&self.base(directory)?, ASIDE)?;
        self.aside = Some(Aside {
            directory: self.directory(directory)?.to_owned(),
            path: path.clone(),
            switched_on: vec![],
        });
        open_locked(&path)?;
        Ok(write::text(&format!("{path}/cgroup.procs"), "0")?)
    }

    fn switch_on(&mut self, directory: &Directory, controllers: &[&'static str]) -> Result {
        if let Some(aside) = &mut self.aside {
            aside.switched_on = controllers.to_vec();
        }
        let words: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
        Ok(write::text(
            &format!("{}/cgroup.subtree_control", self.directory(directory)?),
            &words.join(" "),
        )?)
    }
}

/// The mode of a group. A user who can open it for reading can lock it (fcntl(2), flock(2)), and a
/// lock says that the launcher lives: other users could keep a dead launcher's group from being
/// removed. They can still reach its files by name.
const GROUP_MODE: u32 = 0o711;

/// Makes a directory of a new name.
fn make_new(base: &str, end: &str) -> Result<String> {
    for more in 0..NAMES {
        let path = if more == 0 { format!("{base}{end}") } else { format!("{base}-{more}{end}") };
        match sys::mkdirat(libc::AT_FDCWD, Name::new(&path).as_c_str(), GROUP_MODE) {
            Err(Errno(libc::EEXIST)) => {}
            other => return other.map(|()| path).map_err(Wrong::from),
        }
    }
    Err(Errno(libc::EEXIST).into())
}

fn open_locked(path: &str) -> Result<RawFd> {
    let dir = sys::openat(
        libc::AT_FDCWD,
        Name::new(path).as_c_str(),
        libc::O_RDONLY | libc::O_DIRECTORY,
        0,
    )?;
    // Pid 1 inherits the descriptor, and must not keep the lock where it is frozen when the
    // launcher is killed.
    sys::lock_of_process(dir)?;
    Ok(dir)
}
