//! The process that reads an upper, and the launcher's side of it.
//!
//! It is a fork that leaves the launcher as every helper does (`helper/confine.rs`). What differs:
//! it takes memory while it works, within a limit, as what it reads has any size; and an ordinary
//! user's is root in a user namespace of its own, as the kernel lets an owner without a bit of mode
//! read nothing, and a target can leave such files.

use super::walk::{DIRECTORY, FILE, MOST_OPEN, Most, UNSEEN, WAY, walk};
use super::wire::{self, Item, Writer};
use super::{Change, Contents, State, Stopped};
use crate::launch::helper::End;
use crate::launch::helper::confine::{self, Calls, Confinement, any, with};
use crate::sys::{self, Errno, NoWayBack};
use std::ffi::CStr;
use std::fs::File;
use std::io::BufReader;
use std::os::fd::RawFd;

/// How it is called in lists of processes.
const NAME: &CStr = c"stockade-reader";

/// The capabilities that it keeps, of those that it has: to read what its owner may not
/// (CAP_DAC_READ_SEARCH); and root's, to see attributes of the class `trusted`, which are another
/// engine's (CAP_SYS_ADMIN, xattr(7)). Of all else that they permit the filter has no call.
const CAPABILITIES: u64 = 1 << 2 | 1 << 21;

/// The most memory that it may have.
const MEMORY: u64 = 1 << 30;

/// The reading of one upper.
pub(crate) struct Reader {
    pid: i32,
    stream: BufReader<File>,
    /// The caller, where the reader sees its id as 0 and no other.
    seen_as_root: Option<(u32, u32)>,
    is_root: bool,
    is_done: bool,
}

impl Reader {
    /// Begins to read an upper against its layers, the lowest first. All are open directories.
    pub(crate) fn start(upper: RawFd, layers: &[RawFd], contents: Contents) -> sys::Result<Reader> {
        let ids = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
        let (reader, pipe) = sys::pipe()?;
        let mut pidfd = -1;
        let pid = match sys::clone_process(0, &mut pidfd, None)? {
            0 => run(upper, layers, contents, pipe, ids),
            pid => pid,
        };
        sys::close(pidfd)?;
        sys::close(pipe)?;
        // As large as a pipe of an ordinary user can be: fewer changes of processes.
        let stream = BufReader::with_capacity(64 << 10, File::from(sys::owned(reader)));
        let mut reader =
            Reader { pid, stream, seen_as_root: None, is_root: ids[0] == 0, is_done: false };
        let mut first = [0; 5];
        std::io::Read::read_exact(&mut reader.stream, &mut first)
            .map_err(|_| Errno(libc::EPIPE))?;
        let [how, errno @ ..] = first;
        match how {
            PLAIN => {}
            AS_ROOT => reader.seen_as_root = Some((ids[0], ids[1])),
            _ => return Err(Errno(i32::from_ne_bytes(errno))),
        }
        Ok(reader)
    }

    /// The next of what it finds; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, Stopped> {
        if self.is_done {
            return Ok(None);
        }
        let item = wire::next(&mut self.stream);
        match item {
            Ok(Some(Item::Change(mut change))) => {
                let states = change.before.iter_mut().chain(&mut change.after);
                states.for_each(|state| self.with_ids_outside(state));
                if self.is_of_another(&change) {
                    return self.next();
                }
                Ok(Some(Item::Change(change)))
            }
            Ok(Some(other)) => Ok(Some(other)),
            Ok(None) | Err(_) => {
                self.is_done = true;
                item
            }
        }
    }

    /// Whether it is that the top of an upper is an ordinary user's, over a layer of another user's.
    fn is_of_another(&self, change: &Change) -> bool {
        let modes = [&change.before, &change.after].map(|state| state.as_ref().map(|s| s.mode));
        !self.is_root && change.path.is_empty() && modes[0] == modes[1]
    }

    fn with_ids_outside(&self, state: &mut State) {
        let Some((user, group)) = self.seen_as_root else { return };
        state.owner = state.owner.filter(|id| *id == 0).map(|_| user);
        state.group = state.group.filter(|id| *id == 0).map(|_| group);
    }
}

impl Drop for Reader {
    /// One that is left in the middle would wait for the pipe.
    fn drop(&mut self) {
        if !self.is_done {
            sys::regardless(sys::kill(self.pid, libc::SIGKILL));
        }
        sys::regardless(sys::wait_for(self.pid));
    }
}

/// The first byte of the stream: how it is restricted. The errno of a failure follows.
const PLAIN: u8 = 1;
const AS_ROOT: u8 = 2;
const FAILED: u8 = 3;

/// Becomes that process.
fn run(upper: RawFd, layers: &[RawFd], contents: Contents, pipe: RawFd, ids: [u32; 2]) -> ! {
    let _ends_here = NoWayBack;
    let confined = restrict(upper, layers, pipe, ids);
    let (how, errno, most_open) = match confined {
        Ok((false, most_open)) => (PLAIN, 0, most_open),
        Ok((true, most_open)) => (AS_ROOT, 0, most_open),
        Err(Errno(errno)) => (FAILED, errno, 0),
    };
    let [a, b, c, d] = errno.to_ne_bytes();
    let begun = sys::write_all(pipe, &[how, a, b, c, d]);
    if confined.is_err() || begun.is_err() {
        sys::exit(125);
    }
    let mut writer = Writer::new(pipe);
    // Some are open beside those of the walk.
    let open = most_open.saturating_sub(layers.len() + 16).min(MOST_OPEN);
    let most = Most { open, is_root: ids[0] == 0 };
    let outcome = walk(upper, layers, contents, most, &mut writer);
    sys::exit(if writer.finish(outcome).is_ok() { 0 } else { 125 })
}

/// Its rights go but those that it needs; whether it is root in a namespace of its own, and how many
/// descriptors it may have.
fn restrict(
    upper: RawFd,
    layers: &[RawFd],
    pipe: RawFd,
    ids: [u32; 2],
) -> sys::Result<(bool, usize)> {
    // Where a machine does not let a user have one, the reader does without: no target could have
    // left there what it needs it for.
    let is_root = ids[0] != 0 && become_root(ids).is_ok();
    let (_, most_open) = sys::get_rlimit(libc::RLIMIT_NOFILE)?;
    sys::set_rlimit(libc::RLIMIT_NOFILE, most_open, most_open)?;
    let (_, hard) = sys::get_rlimit(libc::RLIMIT_AS)?;
    sys::set_rlimit(libc::RLIMIT_AS, MEMORY.min(hard), hard)?;
    let confinement =
        Confinement { ids: None, capabilities: CAPABILITIES, reads: None, is_later: false };
    let mut keep: Vec<RawFd> = [upper, pipe].into_iter().chain(layers.iter().copied()).collect();
    confine::leave_the_launcher(NAME, &confinement, &mut keep)?;
    confine::drop_rights(&confinement, End::ByItself)?;
    let trees = std::iter::once(upper).chain(layers.iter().copied());
    confine::restrict_to(trees, READS)?;
    confine::filter(calls(pipe))?;
    Ok((is_root, usize::try_from(most_open).unwrap_or(usize::MAX)))
}

/// To read files, and to list directories.
const READS: u64 = ::landlock::AccessFs::ReadFile as u64 | ::landlock::AccessFs::ReadDir as u64;

/// Enters a user namespace in which the caller is root, and nobody else is anybody.
fn become_root([user, group]: [u32; 2]) -> sys::Result {
    sys::unshare(libc::CLONE_NEWUSER as u64)?;
    // The files of a process that is not dumpable are root's (proc(5)), and after a run the launcher
    // is not. It soon is not again.
    sys::prctl(libc::PR_SET_DUMPABLE, 1, 0)?;
    put(c"/proc/self/setgroups", "deny")?;
    put(c"/proc/self/uid_map", &format!("0 {user} 1"))?;
    put(c"/proc/self/gid_map", &format!("0 {group} 1"))
}

fn put(path: &CStr, text: &str) -> sys::Result {
    let fd = sys::openat(libc::AT_FDCWD, path, libc::O_WRONLY, 0)?;
    let written = sys::write_all(fd, text.as_bytes());
    sys::close(fd)?;
    written
}

/// What it calls from here on.
fn calls(pipe: RawFd) -> Calls {
    let private = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let written = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let mut calls: Calls = [
        "statx",
        "getdents64",
        "readlinkat",
        "flistxattr",
        "fgetxattr",
        "pread64",
        "lseek",
        "close",
        "brk",
        "munmap",
        "mremap",
        "exit_group",
    ]
    .map(any)
    .to_vec();
    calls.extend([
        with("openat", &[(2, &[DIRECTORY, FILE, UNSEEN, WAY].map(i64::from))]),
        with("mmap", &[(2, &[written]), (3, &[private]), (4, &[-1])]),
        with("write", &[(0, &[pipe.into()])]),
    ]);
    calls
}
