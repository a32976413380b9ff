//! Everything that the child needs, made before the clone: arrays of pointers, texts that were read, the
//! filter, the ruleset.
//!
//! Between clone and exec nothing is allocated, so what is not here does not exist.

use super::cgroup::Groups;
use super::copy::Copying;
use super::helper::handover::Handover;
use super::helper::{Helpers, answer, server};
use super::proof::{Filtered, Landlocked};
use super::states::States;
use super::terminal::Inherited;
use super::tops::Hands;
use super::uppers::Uppers;
use super::{Failure, content, streams};
use crate::kernel::controller::Version;
use crate::plan::Plan;
use crate::policy::seccomp;
use crate::step::{Content, TreeOp};
use crate::sys;
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::ffi::{CString, c_char};
use std::os::fd::RawFd;

/// The directory that the last source was opened in.
pub(super) struct Way {
    /// -1 before the first.
    pub fd: RawFd,
    /// Its path, ending in NUL, in room for the longest.
    pub path: Vec<u8>,
}

impl Way {
    fn none() -> Way {
        Way { fd: -1, path: Vec::with_capacity(libc::PATH_MAX as usize) }
    }
}

/// Everything that the child needs for the steps.
pub(super) struct Prepared {
    /// Descriptors by slot; -1 where none is open.
    pub slots: Vec<RawFd>,
    pub way: Way,
    /// The directories of the host that take what the target writes on top of layers.
    pub uppers: Uppers,
    /// How pid 1 hands uppers to the launcher, where it is asked what was written.
    pub hands: Option<Hands>,
    /// The launcher's /proc, where a server of layers joins this process's namespaces; -1 elsewhere.
    pub proc: RawFd,
    /// How each of those servers is given what it shows, the last one first.
    pub servers: Vec<server::Serving>,
    /// The place of the first step that one of them answers for.
    pub first_served: Option<usize>,
    /// What layers are copied with, where they are.
    pub copying: Option<Box<Copying>>,
    /// The directories of the host that are kept between runs.
    pub states: States,
    /// Texts by the index of their step.
    pub texts: Vec<Option<Vec<u8>>>,
    /// Pointers to the words of the command, ending in null.
    pub argv: Vec<*const c_char>,
    /// Pointers to the environment, ending in null.
    pub envp: Vec<*const c_char>,
    /// What `envp` points into.
    pub _env: Vec<CString>,
    /// The system call filter.
    pub program: Box<sys::Program>,
    /// How its listener gets to the process that answers, where there is one.
    pub handover: Option<Handover>,
    /// The call that shows that it is in force.
    pub filtered: Filtered,
    pub ruleset: RawFd,
    /// The act that shows that it is in force, and the kernel's ABI.
    pub landlocked: (Landlocked, u32),
    /// A descriptor that the target's process has no use for: it shows that close_range(2) closes.
    pub spare: RawFd,
    pub root: RawFd,
    /// The file system that it is a directory of, where the covers lie.
    pub backstage: RawFd,
    /// The context of that file system, by which it is sealed.
    pub root_context: RawFd,
    /// Whether it will be sealed.
    pub sealed_root: bool,
    /// The caller's limit of open files, which the target gets back.
    pub file_limit: (u64, u64),
    /// The caller's terminal, where the target keeps it.
    pub terminal: Option<Inherited>,
    /// `/dev/null` of the host, for a sandbox without one.
    pub null: RawFd,
    /// Files in the place of 0, 1 and 2.
    pub streams: [RawFd; 3],
    /// `children` of this process in /proc, for a sandbox without a pid namespace of its own.
    pub children: RawFd,
    /// How many processors there are, where there is such an account.
    pub processors: u64,
    /// The account of processor time, where pid 1 reads it.
    pub cpu_account: Option<(RawFd, Version)>,
    /// Whether the cover of hidden directories is made.
    pub cover_directory: bool,
    /// Whether the cover of hidden files is made.
    pub cover_file: bool,
    /// Signals that this process ignores.
    pub ignored: u64,
    /// Whether the limit of open files was raised for the launch.
    pub file_limit_raised: bool,
    /// Whether descriptors are closed one by one, since the limit of open files is near.
    pub thrifty: bool,
    /// The caller's umask, once this process has none. The launcher keeps its own in force.
    pub umask: u32,
}

/// How many descriptors one step may leave open: a file system's context, its mount, and the place
/// that it is attached to.
const MOST_PER_STEP: usize = 3;
/// Room for descriptors that no step opens: the caller's, the pipes, the terminal.
const OTHERS: usize = 32;

impl Prepared {
    pub(super) fn new(
        plan: &Plan,
        groups: &Groups,
        helpers: &Helpers<'_>,
    ) -> Result<Prepared, Failure> {
        let mut texts = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let content = step.tree().and_then(TreeOp::content);
            texts.push(content.map(|content| content::read(content, step.at)).transpose()?);
        }
        let mut env = vec![];
        for setting in &plan.exec.env {
            let mut bytes = setting.name.as_c_str().to_bytes().to_vec();
            bytes.push(b'=');
            let mut value = content::read(&setting.value, setting.at)?;
            let is_read = match setting.value {
                Content::Fd(_) | Content::File(_) | Content::Copy(..) => true,
                Content::Text(_) | Content::OfHost(_) => false,
                Content::Secret(_) | Content::Withheld => false,
            };
            value.pop_if(|last| is_read && *last == b'\n');
            bytes.extend(value);
            let variable = CString::new(bytes).map_err(|_| {
                Problem::new(
                    "env::nul",
                    setting.at,
                    format!("cannot set `{}`: its value holds a NUL byte", setting.name),
                )
            })?;
            env.push(variable);
        }
        let null_ended = |pointers: &mut dyn Iterator<Item = *const c_char>| {
            pointers.chain([std::ptr::null()]).collect::<Vec<_>>()
        };
        let mut program = sys::Program::empty();
        let socket = helpers.socket_of(answer::NAME);
        let handover = socket.map(|socket| Handover::new(plan, socket, &mut program));
        if handover.is_none() {
            program.fill(seccomp::compile(&plan.filter));
        }
        let mut slots = vec![-1; plan.slots];
        groups.entrances().for_each(|(slot, fd)| slots[slot.0] = fd);
        Ok(Prepared {
            slots,
            way: Way::none(),
            argv: null_ended(&mut plan.exec.argv.iter().map(|word| word.as_c_str().as_ptr())),
            envp: null_ended(&mut env.iter().map(|variable| variable.as_ptr())),
            handover,
            filtered: Filtered::by(&plan.filter, plan.notifications),
            ruleset: ruleset(plan)?,
            landlocked: plan.landlock.map_or((Landlocked::Unknown, 0), |ruleset| {
                (Landlocked::of(plan, ruleset), ruleset.abi)
            }),
            proc: proc_for(plan)?,
            servers: helpers.sockets_of(server::NAME).map(server::Serving::new).rev().collect(),
            first_served: plan.served().next(),
            copying: Copying::of(plan),
            terminal: Inherited::of(plan),
            null: null_for(plan)?,
            cpu_account: groups.cpu_account,
            processors: if plan.grouped.cpu_time_ms.is_some() { sys::processors() } else { 1 },
            ignored: ignored_signals()?,
            // Last, as this empties files.
            streams: streams::open(plan)?,
            texts,
            _env: env,
            uppers: Uppers::reading(&plan.profiles),
            ..Prepared::bare(program)
        })
    }

    /// For steps that need nothing made before.
    pub(super) fn bare(program: Box<sys::Program>) -> Prepared {
        Prepared {
            slots: vec![],
            way: Way::none(),
            uppers: Uppers::default(),
            hands: None,
            proc: -1,
            servers: vec![],
            first_served: None,
            copying: None,
            states: States::default(),
            texts: vec![],
            argv: vec![],
            envp: vec![],
            _env: vec![],
            program,
            handover: None,
            filtered: Filtered::Unknown,
            ruleset: -1,
            landlocked: (Landlocked::Unknown, 0),
            spare: -1,
            root: -1,
            backstage: -1,
            root_context: -1,
            sealed_root: false,
            file_limit: (0, 0),
            terminal: None,
            null: -1,
            streams: [-1; 3],
            children: -1,
            processors: 1,
            cpu_account: None,
            cover_directory: false,
            cover_file: false,
            ignored: 0,
            file_limit_raised: false,
            thrifty: false,
            umask: 0,
        }
    }

    /// A descriptor that is not needed any more. All are closed at once before the target runs; one
    /// by one only where the limit of open files would be reached, as each close costs a call.
    pub(super) fn done_with(&self, fd: RawFd) -> sys::Result {
        if self.thrifty { sys::close(fd) } else { Ok(()) }
    }

    /// Looks how the plan fits under the limit of open files: sources are open all at once, other
    /// descriptors may be. Where the sources do not fit, the soft limit goes up to the hard one,
    /// and back in the target.
    pub(super) fn fit_file_limit(&mut self, plan: &Plan) -> sys::Result {
        self.file_limit = sys::get_rlimit(libc::RLIMIT_NOFILE)?;
        let (soft, hard) = self.file_limit;
        self.thrifty = (plan.steps.len() * MOST_PER_STEP + OTHERS) as u64 > soft;
        let copies = self.copying.is_some();
        if soft < hard && (copies || (self.slots.len() + OTHERS) as u64 > soft) {
            sys::set_rlimit(libc::RLIMIT_NOFILE, hard, hard)?;
            self.file_limit_raised = true;
        }
        Ok(())
    }
}

/// The empty ruleset; pid 1 adds the rules once the new root is there.
fn ruleset(plan: &Plan) -> Result<RawFd, Failure> {
    let Some(ruleset) = plan.landlock else { return Ok(-1) };
    sys::landlock_ruleset(ruleset.handled.0, ruleset.ports, ruleset.scoped)
        .map_err(|errno| super::own("make the Landlock ruleset", errno).into())
}

fn null_for(plan: &Plan) -> Result<RawFd, Failure> {
    if !plan.has_null_streams() {
        return Ok(-1);
    }
    sys::openat(libc::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0)
        .map_err(|errno| super::own("open /dev/null", errno).into())
}

fn proc_for(plan: &Plan) -> Result<RawFd, Failure> {
    if plan.served().next().is_none() {
        return Ok(-1);
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    sys::openat(libc::AT_FDCWD, c"/proc", flags, 0)
        .map_err(|errno| super::own("open /proc", errno).into())
}

/// `SigIgn` of `/proc/self/status` (proc_pid_status(5)), which the kernel gives whole to one read.
fn ignored_signals() -> Result<u64, Failure> {
    let mut text = [0; 4096];
    let length =
        sys::openat(libc::AT_FDCWD, c"/proc/self/status", libc::O_RDONLY, 0).and_then(|fd| {
            let length = sys::read(fd, &mut text);
            sys::close(fd).and(length)
        });
    let status = String::from_utf8_lossy(&text[..length.unwrap_or(0)]);
    // The line must be there to its end.
    let line = status
        .split_inclusive('\n')
        .find_map(|line| line.strip_prefix("SigIgn:")?.strip_suffix('\n'));
    let ignored = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    ignored.ok_or_else(|| {
        Problem::new(
            "launch::proc",
            Span::NOWHERE,
            "cannot read /proc/self/status: is /proc mounted?",
        )
        .into()
    })
}
