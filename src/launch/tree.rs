//! The file tree that the target will see: mounts, directories, links and files, made below the new
//! root.
//!
//! Part of what runs between clone and exec: raw system calls and nothing else (see
//! [`super::child`]).

use super::digits::decimal;
use super::fresh::configured;
use super::merge;
use super::prepare::Prepared;
use super::serve;
use super::uppers;
use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::language::value::{Mode, Room};
use crate::step::file_system::{TMPFS_MODE, tmpfs};
use crate::step::{Cover, Ground, InLayer, Owned, TreeOp};
use crate::sys::{self, Errno, Result};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// Does one operation, which has this place in the plan.
pub(super) fn apply(op: &TreeOp, index: usize, prepared: &mut Prepared) -> Result {
    let root = prepared.root;
    match op {
        TreeOp::OpenTree { slot, source, inode, recursive, attrs } => {
            let fd = open_source(prepared, source, *recursive)?;
            prepared.slots[slot.0] = fd;
            verify(fd, *inode)?;
            sys::set_mount_attrs(fd, attrs.0)
        }
        TreeOp::HostDirectory { slot, parent, made, name, inode, owner, masked, .. } => {
            let above = match made {
                Some(made) => prepared.slots[made.0],
                None => {
                    let flags = libc::O_PATH | libc::O_NOFOLLOW;
                    let above = sys::open_without_links(parent.as_c_str(), flags)?;
                    verify(above, *inode)?;
                    above
                }
            };
            let mask = masked.then_some(prepared.umask);
            prepared.slots[slot.0] = make_on_host(above, name, *owner, mask)?;
            if made.is_some() { Ok(()) } else { prepared.done_with(above) }
        }
        TreeOp::OpenMade { slot, made, attrs, .. } => {
            let fd = sys::open_tree(prepared.slots[made.0], c"", false)?;
            prepared.slots[slot.0] = fd;
            sys::set_mount_attrs(fd, attrs.0)
        }
        TreeOp::PrivateMounts => sys::make_private(),
        TreeOp::Pivot => {
            sys::fchdir(prepared.root)?;
            sys::pivot_here()
        }
        TreeOp::Root { limits, attrs } => make_root(prepared, *limits, *attrs),
        TreeOp::Dir { path, mode } => sys::mkdirat(root, path.relative(), mode.0),
        TreeOp::Symlink { path, target } => {
            sys::symlinkat(target.as_c_str(), root, path.relative())
        }
        TreeOp::MountPoint { path } => sys::mkfile(root, path.relative(), 0),
        TreeOp::Mount { fs, path, attrs, ground, rights } => {
            let context = configured(fs.made())?;
            let mount = sys::fsmount(context, attrs.0)?;
            prepared.done_with(context)?;
            attach(prepared, mount, path, *ground, *rights)
        }
        TreeOp::Attach { slot, path, ground, rights } => {
            let mount = std::mem::replace(&mut prepared.slots[slot.0], -1);
            attach(prepared, mount, path, *ground, *rights)
        }
        TreeOp::Lay { slot, .. } => merge::lay(prepared, *slot),
        TreeOp::OwnLayer { slot, top } => merge::own(prepared, *slot, *top),
        TreeOp::InLayer { slot, path, what } => {
            let (layer, path) = (prepared.slots[slot.0], path.relative());
            match what {
                InLayer::Directory(owned) => merge::make(layer, path, *owned),
                InLayer::File => sys::mkfile(layer, path, 0),
                InLayer::Whiteout => sys::make_whiteout(layer, path),
            }
        }
        TreeOp::Upper { slot, size, inodes } => merge::upper(prepared, *slot, (*size, *inodes)),
        TreeOp::UpperInRoot { slot } => {
            let top = Owned { mode: Mode(0o700), owner: None };
            merge::own(prepared, *slot, top)
        }
        TreeOp::UpperDirectories { upper, top, kept } => {
            merge::directories(prepared, upper, *top, *kept)
        }
        TreeOp::HoldUpper { slot, directory, kept, path, layers, mounts } => {
            let (slot, kept) = (*slot, *kept);
            let profiles = prepared.uppers.profiles.clone();
            let wanted = uppers::Wanted { slot, directory, kept, path, layers, mounts, profiles };
            prepared.slots[slot.0] = prepared.uppers.hold(&wanted)?;
            Ok(())
        }
        TreeOp::OpenUpper { slot, held, .. } => {
            let attrs = Attrs::NO_SUID.and(Attrs::NO_DEV);
            let (path, directory) = prepared.uppers.of(*held).ok_or(Errno(libc::EBADF))?;
            let mount = open_held(prepared, path, directory, attrs)?;
            prepared.slots[slot.0] = mount;
            Ok(())
        }
        TreeOp::HoldState { slot, directory, owner, .. } => {
            prepared.slots[slot.0] = prepared.states.hold(*slot, directory, *owner)?;
            Ok(())
        }
        TreeOp::OpenState { slot, held, attrs, .. } => {
            let (path, directory) = prepared.states.of(*held).ok_or(Errno(libc::EBADF))?;
            let mount = open_held(prepared, path, directory, *attrs)?;
            prepared.slots[slot.0] = mount;
            Ok(())
        }
        TreeOp::CopyUp { path: _, tail, all, mask, layers, lowest, upper } => {
            merge::copy_up(prepared, (*mask, layers, *lowest), upper, (tail, *all))
        }
        TreeOp::Merge { path, mask, layers, lowest, upper, attrs, ground, rights } => {
            let mount = merge::merge(prepared, (*mask, layers, *lowest), upper.as_ref(), *attrs)?;
            match path.text() {
                "/" => become_root(prepared, mount, *rights),
                _ => attach(prepared, mount, path, *ground, *rights),
            }
        }
        TreeOp::CopyLayers {
            path,
            mask,
            layers,
            lowest,
            upper,
            room,
            as_caller,
            attrs,
            ground,
            rights,
            because: _,
        } => {
            let (layers, how) = ((*mask, layers.as_slice(), *lowest), (*room, *as_caller));
            let mount = merge::copy(prepared, layers, upper, how, *attrs)?;
            match path.text() {
                "/" => become_root(prepared, mount, *rights),
                _ => attach(prepared, mount, path, *ground, *rights),
            }
        }
        TreeOp::Serve { path, ground, rights, .. } => {
            let served = op.facets().served.ok_or(Errno(libc::EINVAL))?;
            let mount = serve::serve(prepared, &served)?;
            match path.text() {
                "/" => become_root(prepared, mount, *rights),
                _ => attach(prepared, mount, path, *ground, *rights),
            }
        }
        TreeOp::Pin { path, only_with: None } => {
            let place = sys::open_below(root, path.relative(), libc::O_PATH)?;
            bind_onto_itself(prepared, place, Attrs(0))
        }
        TreeOp::Pin { path, only_with: Some(name) } => pin_with(prepared, path, name),
        TreeOp::HoldLink { path, text } => hold_link(prepared, path, text),
        TreeOp::ReadOnly { path, ground: Ground::Own, if_present } => {
            let open = || sys::open_tree(root, path.relative(), true);
            present(*if_present, open)?.map_or(Ok(()), |part| make_read_only(prepared, path, part))
        }
        TreeOp::ReadOnly { path, ground: Ground::Bound, if_present } => {
            let open = || sys::open_below(root, path.relative(), libc::O_PATH);
            let read_only = |part| bind_onto_itself(prepared, part, Attrs::READ_ONLY);
            present(*if_present, open)?.map_or(Ok(()), read_only)
        }
        TreeOp::Hide { path, cover, if_present } => {
            let open = || sys::open_below(root, path.relative(), libc::O_PATH);
            let Some(part) = present(*if_present, open)? else { return Ok(()) };
            // What a target made there before is of any kind.
            let cover = match (*if_present, sys::look(part, c"")?.mode & libc::S_IFMT) {
                (true, libc::S_IFDIR) => Cover::Directory,
                (true, _) => Cover::File,
                (false, _) => *cover,
            };
            hide(prepared, part, cover)
        }
        TreeOp::SealRoot => sys::reconfigure_read_only(prepared.root_context),
        TreeOp::Seal { path, attrs } => sys::seal_mount(root, path.relative(), attrs.0),
        TreeOp::File { path, mode, .. } => put(prepared, root, path.relative(), index, mode.0),
        TreeOp::CoverFile { path, ground, mode, .. } => {
            cover_file(prepared, path, *ground, index, mode.0)
        }
        TreeOp::LandlockRule { path, rights, inode } => allow(prepared, path, *rights, *inode),
    }
}

const INERT: Attrs = Attrs::NO_SUID.and(Attrs::NO_DEV).and(Attrs::NO_EXEC);

/// Opens a source by the descriptor of the directory that it is in, which is walked to without
/// links: open_tree(2) alone follows those on the way, and with a link there now and then a user
/// would choose what is checked and what is opened, one and the same file of another user's.
/// Sources are in the order of their paths, so that the directory is walked to once for all in it.
fn open_source(prepared: &mut Prepared, source: &Name, recursive: bool) -> Result<RawFd> {
    let path = source.as_c_str().to_bytes_with_nul();
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    // Above it is `/` alone.
    if end == 0 {
        return sys::open_tree(libc::AT_FDCWD, source.as_c_str(), recursive);
    }
    let way = &mut prepared.way;
    if way.fd < 0 || way.path[..way.path.len() - 1] != path[..end] {
        let left = std::mem::replace(&mut way.fd, -1);
        // Nothing is allocated here: it has room for what the kernel takes.
        if end >= way.path.capacity() {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        way.path.clear();
        way.path.extend_from_slice(&path[..end]);
        way.path.push(0);
        let directory = CStr::from_bytes_with_nul(&way.path).map_err(|_| Errno(libc::EINVAL))?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        way.fd = sys::open_without_links(directory, flags).map_err(|errno| match errno.0 {
            // It was a directory without a link on the way when the plan was made.
            libc::ELOOP | libc::ENOTDIR => Errno(libc::ESTALE),
            _ => errno,
        })?;
        if left >= 0 {
            prepared.done_with(left)?;
        }
    }
    let name = CStr::from_bytes_with_nul(&path[end + 1..]).map_err(|_| Errno(libc::EINVAL))?;
    sys::open_tree(prepared.way.fd, name, recursive)
}

/// Opens the mount of a held directory, in the mount namespace of the process that does it.
fn open_held(prepared: &Prepared, path: &CStr, directory: RawFd, attrs: Attrs) -> Result<RawFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let found = sys::open_without_links(path, flags)?;
    if sys::describe(found)?.inode != sys::describe(directory)?.inode {
        return Err(Errno(libc::ESTALE));
    }
    let mount = sys::open_tree(found, c"", false)?;
    sys::set_mount_attrs(mount, attrs.0)?;
    prepared.done_with(found)?;
    Ok(mount)
}

/// The file that was opened must be the one that was checked.
fn verify(fd: RawFd, inode: Inode) -> Result {
    let unchecked = inode == Inode { dev: 0, ino: 0 };
    if unchecked || sys::describe(fd)?.inode == (inode.dev, inode.ino) {
        Ok(())
    } else {
        Err(Errno(libc::ESTALE))
    }
}

/// Makes a directory of the host in one that was checked, and opens it. In another user's directory
/// root makes it with that owner's rights, so it makes nothing there that the owner could not. A
/// user who may write there can replace it meanwhile, so the opened file must be a directory of the
/// same file system that belongs to its maker.
fn make_on_host(
    above: RawFd,
    name: &Name,
    owner: Option<(u32, u32)>,
    mask: Option<u32>,
) -> Result<RawFd> {
    let [_, user, _, _, group, _] = sys::ids()?;
    // That of the launcher is the caller's; pid 1 has none any more.
    let own = sys::umask(0)?;
    let mode = 0o755 & !mask.map_or(0, |mask| mask | own);
    let made = match owner {
        None => sys::mkdirat(above, name.as_c_str(), mode),
        Some((owner, owners)) => {
            sys::setfsids(owner, owners)?;
            let made = sys::mkdirat(above, name.as_c_str(), mode);
            sys::setfsids(user, group)?;
            made
        }
    };
    sys::umask(own)?;
    made?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let fresh = sys::openat(above, name.as_c_str(), flags, 0).map_err(|errno| match errno.0 {
        // It was moved away, or is a link or a file by now.
        libc::ENOENT | libc::ENOTDIR | libc::ELOOP => Errno(libc::ESTALE),
        _ => errno,
    })?;
    let (around, found) = (sys::describe(above)?, sys::describe(fresh)?);
    let maker = owner.map_or(user, |(owner, _)| owner);
    if found.owner == maker && found.inode.0 == around.inode.0 {
        Ok(fresh)
    } else {
        Err(Errno(libc::ESTALE))
    }
}

/// The names in the file system that the root comes from. Nothing but `root` is in sight once that
/// is the root.
const ROOT: &CStr = c"root";
const COVER_DIRECTORY: &CStr = c"directory";
const COVER_FILE: &CStr = c"file";

/// The root is a directory of a tmpfs, and the covers lie beside it, so that they keep names which
/// no process inside can reach.
fn make_root(prepared: &mut Prepared, limits: Option<(Room, u64)>, attrs: Attrs) -> Result {
    prepared.root_context = configured(tmpfs(limits, TMPFS_MODE))?;
    prepared.sealed_root = limits.is_none();
    prepared.backstage = sys::fsmount(prepared.root_context, attrs.0)?;
    // Over /proc of the old root: it exists, it is covered rather than changed, and no other
    // process sees it.
    sys::move_mount(prepared.backstage, libc::AT_FDCWD, c"/proc")?;
    sys::mkdirat(prepared.backstage, ROOT, 0o755)?;
    prepared.root = sys::open_tree(prepared.backstage, ROOT, false)?;
    sys::move_mount(prepared.root, prepared.backstage, c"")
}

/// A name in a tree that is not ours, to mount on. Where it is a link, the link itself is covered, and
/// is never followed: a directory cannot be mounted there (ENOTDIR).
fn mount_point(root: RawFd, path: &Name) -> Result<RawFd> {
    sys::open_below(root, path.relative(), libc::O_PATH | libc::O_NOFOLLOW)
}

/// Attaches a detached mount. On ground that is not ours the path is walked without following any
/// link.
fn attach(
    prepared: &mut Prepared,
    mount: RawFd,
    path: &Name,
    ground: Ground,
    rights: Rights,
) -> Result {
    match ground {
        Ground::Own => sys::move_mount(mount, prepared.root, path.relative())?,
        Ground::Bound => {
            let place = mount_point(prepared.root, path)?;
            sys::move_mount(mount, place, c"")?;
            prepared.done_with(place)?;
        }
    }
    // A rule binds the file, so the descriptor of its mount names it as well as a path would.
    if rights != Rights(0) {
        sys::landlock_allow(prepared.ruleset, mount, rights.0)?;
    }
    prepared.done_with(mount)
}

/// Attaches a detached mount over the root, and takes it as the root.
fn become_root(prepared: &mut Prepared, mount: RawFd, rights: Rights) -> Result {
    sys::move_mount(mount, prepared.root, c"")?;
    if rights != Rights(0) {
        sys::landlock_allow(prepared.ruleset, mount, rights.0)?;
    }
    let under = std::mem::replace(&mut prepared.root, mount);
    prepared.done_with(under)
}

fn bind_onto_itself(prepared: &mut Prepared, place: RawFd, attrs: Attrs) -> Result {
    let mount = sys::open_tree(place, c"", true)?;
    if attrs != Attrs(0) {
        sys::set_mount_attrs(mount, attrs.0)?;
    }
    sys::move_mount(mount, place, c"")?;
    prepared.done_with(mount)?;
    prepared.done_with(place)
}

/// Pins a directory if a name below it is there. Where a link is on the way, the cover of that name is
/// refused.
fn pin_with(prepared: &mut Prepared, path: &Name, name: &Name) -> Result {
    let root = prepared.root;
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let open = || sys::open_below(root, name.relative(), flags);
    let found = match present(true, open) {
        Err(Errno(libc::ELOOP)) => present(true, open),
        found => found,
    };
    match found {
        Ok(None) | Err(Errno(libc::ELOOP)) => return Ok(()),
        found => found?.map_or(Ok(()), |found| prepared.done_with(found))?,
    }
    let place = sys::open_below(root, path.relative(), libc::O_PATH)?;
    // One for each of many names in it would be as many mounts on top of one another.
    if sys::look(place, c"")?.mount != sys::look(place, c"..")?.mount {
        return prepared.done_with(place);
    }
    bind_onto_itself(prepared, place, Attrs(0))
}

/// The longest text of a link that is held (symlink(2) takes no longer one than a path).
const LINK_TEXT: usize = libc::PATH_MAX as usize;

/// A mount on the link itself: unlink(2) of a mount point, rename(2) of it and over it give EBUSY.
/// The text of the link must be the one that the plan has read: another link could lead to an
/// unprotected place.
fn hold_link(prepared: &mut Prepared, path: &Name, text: &Name) -> Result {
    let place = sys::open_below(prepared.root, path.relative(), libc::O_PATH | libc::O_NOFOLLOW)?;
    let mut found = [0; LINK_TEXT];
    // EINVAL or ENOENT: it is no link any more.
    let length = sys::read_link(place, &mut found).map_err(|_| Errno(libc::ESTALE))?;
    if found[..length] != *text.as_c_str().to_bytes() {
        return Err(Errno(libc::ESTALE));
    }
    let mount = sys::open_tree(place, c"", false)?;
    sys::move_mount(mount, place, c"")?;
    prepared.done_with(mount)?;
    prepared.done_with(place)
}

/// The same for a path of the sandbox's own, where no other process can have put a link.
fn make_read_only(prepared: &mut Prepared, path: &Name, mount: RawFd) -> Result {
    sys::set_mount_attrs(mount, Attrs::READ_ONLY.0)?;
    sys::move_mount(mount, prepared.root, path.relative())?;
    prepared.done_with(mount)
}

/// Takes the attributes of a cover. One of a root that is sealed at the end becomes read-only with
/// the root's file system.
fn cover_attrs(prepared: &Prepared, mount: RawFd, attrs: Attrs) -> Result {
    if prepared.sealed_root { Ok(()) } else { sys::set_mount_attrs(mount, attrs.0) }
}

/// Opens a file to hide from the target; `None` if it is absent and may be. The second look-up
/// guards against a single failing call that looks like absence.
fn present(may_be_absent: bool, open: impl Fn() -> Result<RawFd>) -> Result<Option<RawFd>> {
    let mut opened = open();
    if may_be_absent && matches!(opened, Err(Errno(libc::ENOENT | libc::ENOTDIR))) {
        opened = open();
    }
    match opened {
        Err(Errno(libc::ENOENT | libc::ENOTDIR)) if may_be_absent => Ok(None),
        other => other.map(Some),
    }
}

fn hide(prepared: &mut Prepared, place: RawFd, cover: Cover) -> Result {
    let (name, made) = match cover {
        Cover::Directory => (COVER_DIRECTORY, &mut prepared.cover_directory),
        Cover::File => (COVER_FILE, &mut prepared.cover_file),
    };
    if !std::mem::replace(made, true) {
        match cover {
            Cover::Directory => sys::mkdirat(prepared.backstage, name, 0o555)?,
            Cover::File => sys::mkfile(prepared.backstage, name, 0)?,
        }
    }
    let mount = sys::open_tree(prepared.backstage, name, false)?;
    cover_attrs(prepared, mount, INERT.and(Attrs::READ_ONLY))?;
    sys::move_mount(mount, place, c"")?;
    prepared.done_with(mount)?;
    prepared.done_with(place)
}

/// A file of the sandbox's own, whose text lies beside the plan.
fn put(prepared: &Prepared, directory: RawFd, path: &CStr, index: usize, mode: u32) -> Result {
    let text = prepared.texts[index].as_deref().unwrap_or_default();
    // The umask is 0, and the descriptor that creates a file of mode 0400 can still write it
    // (open(2)).
    let fd = sys::openat(
        directory,
        path,
        libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW,
        mode & 0o777,
    )?;
    sys::write_all(fd, text)?;
    if mode & !0o777 != 0 {
        sys::fchmod(fd, mode)?;
    }
    sys::close(fd)
}

/// A file of the sandbox's own over one of a bound tree, or over a link there.
fn cover_file(
    prepared: &mut Prepared,
    path: &Name,
    ground: Ground,
    index: usize,
    mode: u32,
) -> Result {
    let mut digits = [0; 24];
    let name = decimal(&mut digits, index as u64);
    put(prepared, prepared.backstage, name, index, mode)?;
    let mount = sys::open_tree(prepared.backstage, name, false)?;
    let attrs = if mode & 0o111 == 0 { INERT } else { Attrs::NO_SUID.and(Attrs::NO_DEV) };
    cover_attrs(prepared, mount, attrs.and(Attrs::READ_ONLY))?;
    match ground {
        Ground::Own => sys::move_mount(mount, prepared.root, path.relative())?,
        // On a link the mount is on the link itself: what it leads to is not met again, and
        // unlink(2) and rename(2) of the name give EBUSY.
        Ground::Bound => {
            let how = libc::O_PATH | libc::O_NOFOLLOW;
            let place = sys::open_below(prepared.root, path.relative(), how)?;
            sys::move_mount(mount, place, c"")?;
            prepared.done_with(place)?;
        }
    }
    prepared.done_with(mount)
}

/// Landlock's rule for a path inside.
fn allow(prepared: &mut Prepared, path: &Name, rights: Rights, inode: Inode) -> Result {
    let fd = match (prepared.root, path.text()) {
        // There is no root of our own: the path is the host's, without links on the way.
        (-1, _) => sys::open_without_links(path.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW)?,
        (root, "/") => return sys::landlock_allow(prepared.ruleset, root, rights.0),
        (root, _) => sys::open_below(root, path.relative(), libc::O_PATH)?,
    };
    verify(fd, inode)?;
    match sys::landlock_allow(prepared.ruleset, fd, rights.0) {
        // A file has fewer rights than a directory, and the kernel refuses the others.
        Err(Errno(libc::EINVAL)) => {
            sys::landlock_allow(prepared.ruleset, fd, rights.within(Rights::OF_FILES).0)?
        }
        other => other?,
    }
    prepared.done_with(fd)
}
