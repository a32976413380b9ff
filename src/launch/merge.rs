//! Directories of the host that overlayfs merges, and what the target writes on top.
//!
//! Each of them, and the upper, gets a name beside the new root, its slot's number, and overlayfs is
//! mounted by these names: no path of the host is looked up again, and none needs quoting. Like the
//! rest between clone and exec this is raw system calls and nothing else (see [`super::child`]).

use super::copy::{self, To};
use super::copy_up;
use super::digits::decimal;
use super::fresh::configured;
use super::prepare::Prepared;
use crate::kernel::attrs::Attrs;
use crate::kernel::name::Name;
use crate::language::value::{Mode, Room};
use crate::step::file_system::tmpfs;
use crate::step::{Owned, Slot, UpperPlace};
use crate::sys::{self, Errno, Result};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// The name of a slot.
fn name(slot: Slot, digits: &mut [u8; 24]) -> &CStr {
    decimal(digits, slot.0 as u64)
}

/// The mode of what is mounted over.
const MOUNTED_OVER: Mode = Mode(0o700);

/// A directory beside the root.
fn place(prepared: &Prepared, slot: Slot, mode: Mode) -> Result {
    sys::mkdirat(prepared.backstage, name(slot, &mut [0; 24]), mode.0)
}

/// Attaches an opened source there. Its descriptor stays open: it says how the mount may be used.
pub(super) fn lay(prepared: &Prepared, slot: Slot) -> Result {
    place(prepared, slot, MOUNTED_OVER)?;
    sys::move_mount(prepared.slots[slot.0], prepared.backstage, name(slot, &mut [0; 24]))
}

/// Makes a directory, and gives it to its owner.
pub(super) fn make(above: RawFd, name: &CStr, Owned { mode, owner }: Owned) -> Result {
    sys::mkdirat(above, name, mode.0)?;
    owner.map_or(Ok(()), |(user, group)| sys::own_at(above, name, user, group))?;
    // mkdir(2) passes over these bits, by which what is made in a directory has its group.
    if mode.0 & 0o6000 != 0 { sys::chmod_at(above, name, mode.0) } else { Ok(()) }
}

/// Makes a directory there, and opens it.
pub(super) fn own(prepared: &mut Prepared, slot: Slot, top: Owned) -> Result {
    make(prepared.backstage, name(slot, &mut [0; 24]), top)?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let mut digits = [0; 24];
    prepared.slots[slot.0] = sys::openat(prepared.backstage, name(slot, &mut digits), flags, 0)?;
    Ok(())
}

/// Attaches a tmpfs there.
pub(super) fn upper(prepared: &mut Prepared, slot: Slot, limits: (Room, u64)) -> Result {
    let context = configured(tmpfs(Some(limits), Mode(0o700)))?;
    let mount = sys::fsmount(context, (Attrs::NO_SUID.and(Attrs::NO_DEV)).0)?;
    prepared.done_with(context)?;
    place(prepared, slot, MOUNTED_OVER)?;
    sys::move_mount(mount, prepared.backstage, name(slot, &mut [0; 24]))?;
    prepared.slots[slot.0] = mount;
    Ok(())
}

/// Makes the two directories that overlayfs needs in one file system.
pub(super) fn directories(
    prepared: &Prepared,
    upper: &UpperPlace,
    top: Owned,
    kept: bool,
) -> Result {
    let above = prepared.slots[upper.slot.0];
    let work = Owned { mode: Mode(0o700), owner: None };
    for (name, owned) in [(&upper.upper, top), (&upper.work, work)] {
        match make(above, name.as_c_str(), owned) {
            Err(Errno(libc::EEXIST)) if kept => {}
            made => made?,
        }
    }
    Ok(())
}

/// Where the merged tree is until it is attached.
const MERGED: &CStr = c"merged";

/// The longest text of options that mount(2) takes: a page, with the NUL.
const LONGEST: usize = 4096;

/// The options of a mount, put together without an allocation.
struct Options {
    text: [u8; LONGEST],
    length: usize,
}

impl Options {
    fn add(&mut self, text: &[u8]) -> Result {
        let end = self.length + text.len();
        // The last byte stays NUL.
        let room = self.text[..LONGEST - 1].get_mut(self.length..end).ok_or(Errno(libc::E2BIG))?;
        room.copy_from_slice(text);
        self.length = end;
        Ok(())
    }

    fn add_slot(&mut self, slot: Slot) -> Result {
        self.add(name(slot, &mut [0; 24]).to_bytes())
    }
}

/// Makes directories of the layers in an upper, which none but this process sees so far. They are
/// looked at as they are merged: a layer may hide those of another.
pub(super) fn copy_up(
    prepared: &Prepared,
    lower: (Option<Slot>, &[Slot], Option<Slot>),
    upper: &UpperPlace,
    (tail, all): (&Name, bool),
) -> Result {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let upper = sys::openat(prepared.slots[upper.slot.0], upper.upper.as_c_str(), flags, 0)?;
    // overlayfs merges two at least; and what leads to what is not hidden is in the one layer as it is
    // in the merged tree, without a mount that waits at its end (some 1 ms).
    if let (mask, [only], lowest) = lower
        && (!all || (mask, lowest) == (None, None))
    {
        return copy_up::copy_up(prepared.slots[only.0], upper, (tail.relative(), all));
    }
    let merged = merge(prepared, lower, None, Attrs(0))?;
    let made = copy_up::copy_up(merged, upper, (tail.relative(), all));
    sys::close(merged)?;
    made.and(sys::unmount(MERGED))
}

/// Into an upper overlayfs writes attributes. Where it cannot, it mounts, says so in the kernel's log
/// alone, and no directory of a layer can be removed (EIO).
fn takes_attributes(prepared: &Prepared, upper: &UpperPlace) -> Result {
    const PROBE: &CStr = c"user.overlay.probe";
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let above = prepared.slots[upper.slot.0];
    let top = sys::openat(above, upper.upper.as_c_str(), flags, 0)?;
    sys::set_attribute_of(top, PROBE, b"y")?;
    sys::remove_attribute_of(top, PROBE)?;
    sys::close(top)
}

/// Copies the same layers into an upper, and gives the mount of the copy.
pub(super) fn copy(
    prepared: &mut Prepared,
    (mask, layers, lowest): (Option<Slot>, &[Slot], Option<Slot>),
    upper: &UpperPlace,
    (room, as_caller): (Option<(Room, u64)>, bool),
    attrs: Attrs,
) -> Result<RawFd> {
    let mut copying = prepared.copying.take().ok_or(Errno(libc::EBADF))?;
    let place = prepared.slots[upper.slot.0];
    let to = To { place, room, as_caller };
    let all = mask.iter().chain(layers).chain(&lowest).map(|slot| prepared.slots[slot.0]);
    copy::copy(&mut copying, all, &to, upper.upper.as_c_str())?;
    prepared.copying = Some(copying);
    let mount = sys::open_tree(place, upper.upper.as_c_str(), false)?;
    sys::set_mount_attrs(mount, no_exec(prepared, attrs, layers.iter())?.0)?;
    Ok(mount)
}

/// The flags of a layer's mount do not pass to what is shown of it.
pub(super) fn no_exec<'s>(
    prepared: &Prepared,
    mut attrs: Attrs,
    slots: impl Iterator<Item = &'s Slot>,
) -> Result<Attrs> {
    for slot in slots {
        if sys::mount_flags(prepared.slots[slot.0])? & libc::ST_NOEXEC != 0 {
            attrs = attrs.and(Attrs::NO_EXEC);
        }
    }
    Ok(attrs)
}

/// Mounts overlayfs over the layers, the topmost first between those of ours, and gives its mount.
/// The attributes of a file that it needs are `user.overlay.*`: a user's mount knows no others, and of
/// root's own a layer could bring some that lead elsewhere (`trusted.overlay.redirect`).
pub(super) fn merge(
    prepared: &Prepared,
    (mask, layers, lowest): (Option<Slot>, &[Slot], Option<Slot>),
    upper: Option<&UpperPlace>,
    attrs: Attrs,
) -> Result<RawFd> {
    let mut options = Options { text: [0; LONGEST], length: 0 };
    options.add(b"userxattr,lowerdir=")?;
    for (nth, layer) in mask.iter().chain(layers).chain(&lowest).enumerate() {
        options.add(if nth == 0 { b"" } else { b":" })?;
        options.add_slot(*layer)?;
    }
    if let Some(upper) = upper {
        for (key, name) in [(&b",upperdir="[..], &upper.upper), (b",workdir=", &upper.work)] {
            options.add(key)?;
            options.add_slot(upper.slot)?;
            options.add(b"/")?;
            options.add(name.as_c_str().to_bytes())?;
        }
    }
    if let Some(upper) = upper {
        takes_attributes(prepared, upper)?;
    }
    if upper.is_some_and(|upper| upper.volatile) {
        options.add(b",volatile")?;
    }
    let options = CStr::from_bytes_until_nul(&options.text).map_err(|_| Errno(libc::E2BIG))?;
    sys::fchdir(prepared.backstage)?;
    let slots = layers.iter().chain(upper.map(|upper| &upper.slot));
    let attrs = no_exec(prepared, attrs, slots)?;
    match sys::mkdirat(prepared.backstage, MERGED, 0o700) {
        Ok(()) | Err(Errno(libc::EEXIST)) => {}
        Err(errno) => return Err(errno),
    }
    let mount = sys::mount_overlay(MERGED, options)?;
    // Without its working directory overlayfs mounts read-only, and says so in the kernel's log alone.
    if upper.is_some() && sys::mount_flags(mount)? & libc::ST_RDONLY != 0 {
        return Err(Errno(libc::EROFS));
    }
    sys::set_mount_attrs(mount, attrs.0)?;
    Ok(mount)
}
