//! Files of the host's in the place of 0, 1 and 2. The launcher opens them before the clone, in its
//! own tree.

use super::Failure;
use super::content::{self, Why, open_found, plain, walk};
use crate::kernel::name::Name;
use crate::language::value::{ancestors, parent};
use crate::plan::Plan;
use crate::step::{FileStream, Made, ProcessOp, Step};
use crate::sys::{self, Errno};
use crate::text::bytes;
use crate::text::problem::Problem;
use crate::text::source::Span;
use crate::tree::walk::Last;
use nix::unistd::{AccessFlags, access, getegid, geteuid};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

/// Opens all; what is there is emptied only when all are open. A file that two streams name is
/// opened once, so that they share its offset.
pub(super) fn open(plan: &Plan) -> Result<[RawFd; 3], Failure> {
    let mut opened: Vec<(&ProcessOp, Span, File)> = vec![];
    let mut fds = [-1; 3];
    for step in &plan.steps {
        let Some((op, (fd, path, made))) = file_stream(step) else { continue };
        let is_it = |other: &ProcessOp| {
            other
                .facets()
                .file_stream
                .is_some_and(|(_, other, how)| made.is_some() && (other, how) == (path, made))
        };
        if let Some((.., file)) = opened.iter().find(|(other, ..)| is_it(other)) {
            fds[fd as usize] = file.as_raw_fd();
            continue;
        }
        let file = match made {
            None => input(path.text()),
            Some(made) => output(path.text(), made),
        };
        let file = file.map_err(|why| refuse(op, why, step.at))?;
        fds[fd as usize] = file.as_raw_fd();
        opened.push((op, step.at, file));
    }
    for (op, at, file) in opened {
        let made = op.facets().file_stream.and_then(|(.., made)| made);
        if made.is_some_and(|made| !made.append) {
            let emptied = file.set_len(0).map_err(|error| of_error(&error));
            emptied.map_err(|why| refuse(op, why, at))?;
        }
        // It stays open for the child, which has a copy of this process's table.
        std::mem::forget(file);
    }
    Ok(fds)
}

/// The same without making or emptying anything, for a rehearsal; the descriptor that it would be.
pub(super) fn look(step: &Step) -> Result<Option<u32>, Box<Problem>> {
    let Some((op, (fd, path, made))) = file_stream(step) else { return Ok(None) };
    let looked = match made {
        None => input(path.text()).map(drop),
        Some(made) => look_at_output(path.text(), made),
    };
    looked.map_err(|why| Box::new(refuse(op, why, step.at)))?;
    Ok(Some(fd))
}

/// The step's operation, and the stream in whose place it puts a file.
fn file_stream(step: &Step) -> Option<(&ProcessOp, FileStream<'_>)> {
    let op = step.process()?;
    Some((op, op.facets().file_stream?))
}

fn refuse(op: &ProcessOp, (why, help): Why, at: Span) -> Problem {
    Problem::new("launch::stream", at, format!("cannot {op}: {why}")).help_maybe(help)
}

fn of_error(error: &std::io::Error) -> Why {
    plain(error.raw_os_error().unwrap_or(libc::EIO))
}

fn input(path: &str) -> Result<File, Why> {
    let file = content::open(
        path,
        "give it by the shell: leave `stdin` out, and write stockade run ... < FIFO",
    )?;
    // The target's reads wait as those of any file do.
    sys::set_open_flags(file.as_raw_fd(), 0).map_err(|Errno(errno)| plain(errno))?;
    Ok(file)
}

fn output(path: &str, made: Made) -> Result<File, Why> {
    let (directory, name) = place(path)?;
    let append = if made.append { libc::O_APPEND } else { 0 };
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | append;
    // O_EXCL follows no link (open(2)).
    match sys::openat(directory.as_raw_fd(), name.as_c_str(), flags, made.mode.0) {
        Ok(fd) => Ok(File::from(sys::owned(fd))),
        Err(Errno(libc::EEXIST)) => {
            let file = existing(&directory, &name, made, append)?;
            sys::set_open_flags(file.as_raw_fd(), append).map_err(|Errno(errno)| plain(errno))?;
            Ok(file)
        }
        Err(Errno(errno)) => Err(plain(errno)),
    }
}

fn look_at_output(path: &str, made: Made) -> Result<(), Why> {
    let (directory, name) = place(path)?;
    match existing(&directory, &name, made, 0) {
        Err((_, None)) if is_absent(&directory, &name) => {
            let parent = format!("/proc/self/fd/{}", directory.as_raw_fd());
            access(parent.as_str(), AccessFlags::W_OK | AccessFlags::X_OK)
                .map_err(|errno| plain(errno as i32))
        }
        looked => looked.map(drop),
    }
}

fn is_absent(directory: &OwnedFd, name: &Name) -> bool {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    match sys::openat(directory.as_raw_fd(), name.as_c_str(), flags, 0) {
        Ok(fd) => {
            drop(sys::owned(fd));
            false
        }
        Err(Errno(errno)) => errno == libc::ENOENT,
    }
}

/// The directory of an output, and the name in it.
fn place(path: &str) -> Result<(OwnedFd, Name), Why> {
    let (directory, end) = walk(parent(path), Last::Followed, &|| None)?;
    if geteuid().is_root() {
        roots_alone(&end)?;
    }
    Ok((directory, Name::new(path.rsplit('/').next().unwrap_or_default())))
}

/// Root makes and empties files only where nobody else chooses which: every directory on the way is
/// root's, and writable by root alone; in a sticky one others can move nothing of root's.
fn roots_alone(end: &str) -> Result<(), Why> {
    for directory in ancestors(end).chain(["/"]) {
        let found =
            std::fs::symlink_metadata(bytes::path(directory)).map_err(|error| of_error(&error))?;
        let sticky = found.mode() & libc::S_ISVTX != 0;
        if found.uid() != 0 || found.mode() & 0o022 != 0 && !sticky {
            let why = format!("others than root can write to {directory}");
            let help = "name a file in a directory that root alone can write to, or start it as \
                        the owner of that one";
            return Err((why, Some(help.into())));
        }
    }
    Ok(())
}

/// A file that is there already: a regular one of the caller's, under one name. Another could be
/// one that an earlier target, or another user in a sticky directory, chose for the next run to
/// empty.
fn existing(directory: &OwnedFd, name: &Name, made: Made, append: i32) -> Result<File, Why> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let found = sys::openat(directory.as_raw_fd(), name.as_c_str(), flags, 0)
        .map(sys::owned)
        .map_err(|Errno(errno)| plain(errno))?;
    let is = sys::describe(found.as_raw_fd()).map_err(|Errno(errno)| plain(errno))?;
    let refuse = |why: &str| Err((why.to_owned(), None));
    let move_away = "name another file, or move this one away";
    match is.mode & libc::S_IFMT {
        libc::S_IFREG => {}
        libc::S_IFLNK => {
            return Err(("it is a symbolic link".into(), Some(move_away.into())));
        }
        libc::S_IFDIR => return refuse("it is a directory"),
        libc::S_IFIFO | libc::S_IFCHR | libc::S_IFSOCK | libc::S_IFBLK => {
            let help =
                "give it by the shell: leave the line out, and write stockade run ... > PATH";
            return Err(("it is not a regular file".into(), Some(help.into())));
        }
        _ => return refuse("it is not a regular file"),
    }
    if is.owner != geteuid().as_raw() {
        return Err(("it is another user's".into(), Some(move_away.into())));
    }
    if is.links != 1 {
        return Err((format!("it has {} names", is.links), Some(move_away.into())));
    }
    let file = open_found(&found, libc::O_WRONLY | append)?;
    if geteuid().is_root() && opens_to_others(directory, &file, made)? {
        let why = "it gives others more than a file that is made anew, and another user can have \
                   moved it there";
        return Err((why.into(), Some(move_away.into())));
    }
    Ok(file)
}

/// Whether a file of root's in a directory that others write to (/tmp) lets others do what a new
/// one would not. A user who has such a file in a directory of their own can move it there
/// (rename(2) asks for that directory alone), and reads or writes what root's target writes.
fn opens_to_others(directory: &OwnedFd, file: &File, made: Made) -> Result<bool, Why> {
    let look = |fd: RawFd| sys::describe(fd).map_err(|Errno(errno)| plain(errno));
    if look(directory.as_raw_fd())?.mode & 0o022 == 0 {
        return Ok(false);
    }
    let is = look(file.as_raw_fd())?;
    let mask = sys::umask(0o077).and_then(|mask| sys::umask(mask).map(|_| mask));
    let mut granted = made.mode.0 & !mask.map_err(|Errno(errno)| plain(errno))?;
    // The group is the user's where their directory is set-group-id, and an access list (acl(5))
    // names users within the bits of the group.
    if is.group != getegid().as_raw() || sys::has_access_list(file.as_raw_fd()) {
        granted &= 0o700 | (granted & 0o007) << 3 | 0o007;
    }
    Ok(is.mode & 0o077 & !granted != 0)
}
