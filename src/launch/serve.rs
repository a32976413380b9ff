//! Layers that a program outside of the kernel shows (fuse-overlayfs): the half of pid 1, which makes
//! the program's root beside the new one, mounts what it will show, and hands both to the helper
//! ([`super::helper::server`]) that becomes the program.
//!
//! Like the rest between clone and exec this is raw system calls and nothing else (see
//! [`super::child`]).

use super::digits::decimal;
use super::helper::handover::receive;
use super::merge;
use super::prepare::Prepared;
use crate::kernel::attrs::Attrs;
use crate::language::value::Mode;
use crate::step::{Owned, Served, Slot, UpperPlace};
use crate::sys::{self, Errno, Result};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// The device by which a server answers.
const DEVICE: &CStr = c"/dev/fuse";

/// Makes what one is given, hands it over, and gives the mount once the server answers.
pub(super) fn serve(prepared: &mut Prepared, served: &Served<'_>) -> Result<RawFd> {
    let Served { mask, layers, lowest, upper, top, root, files, owner, attrs } = *served;
    let mut serving = prepared.servers.pop().ok_or(Errno(libc::EBADF))?;
    let place = own_root(prepared, root)?;
    sys::mkdirat(place, c"lib", 0o755)?;
    for (slot, name) in files {
        sys::mkfile(place, name.relative(), 0)?;
        sys::move_mount(prepared.slots[slot.0], place, name.relative())?;
    }
    for slot in mask.iter().chain(&lowest) {
        let layer = sys::open_tree(prepared.slots[slot.0], c"", false)?;
        sys::set_mount_attrs(layer, READ_ONLY.0)?;
        put(place, *slot, layer)?;
    }
    for slot in layers {
        put(place, *slot, prepared.slots[slot.0])?;
    }
    if let Some(UpperPlace { slot, upper, .. }) = upper {
        let upper = sys::open_tree(prepared.slots[slot.0], upper.as_c_str(), false)?;
        for (name, mode) in [(UPPER, top), (WORK, Mode(0o700))] {
            merge::make(upper, name, Owned { mode, owner: None })?;
        }
        put(place, *slot, upper)?;
    }
    proc_files(place)?;
    let attrs = merge::no_exec(
        prepared,
        attrs,
        layers.iter().chain(upper.iter().map(|upper| &upper.slot)),
    )?;
    // The kernel takes a descriptor that was opened in the user namespace of who mounts alone.
    let device = sys::openat(libc::AT_FDCWD, DEVICE, libc::O_RDWR, 0)?;
    let mount = mount(device, owner, attrs)?;
    let flags = libc::O_RDONLY;
    for namespace in [c"self/ns/user", c"self/ns/mnt"] {
        let fd = sys::openat(prepared.proc, namespace, flags, 0)?;
        serving.message.send(serving.socket, fd)?;
        sys::close(fd)?;
    }
    serving.message.send(serving.socket, place)?;
    serving.message.send(serving.socket, device)?;
    // The end of the server's own copy is the end of the file system: who waits for an answer then
    // gets ENOTCONN.
    sys::close(device)?;
    receive(serving.socket, &mut [0])?;
    sys::close(serving.socket)?;
    sys::look(mount, c"")?;
    prepared.done_with(place)?;
    Ok(mount)
}

/// The directories of a server, in one mount, as files are renamed from one to the other.
const UPPER: &CStr = c"upper";
const WORK: &CStr = c"work";

const READ_ONLY: Attrs =
    Attrs::NO_SUID.and(Attrs::NO_DEV).and(Attrs::NO_EXEC).and(Attrs::READ_ONLY);

/// A directory beside the new root that is a mount of its own, in which the server will be.
fn own_root(prepared: &Prepared, slot: Slot) -> Result<RawFd> {
    let mut digits = [0; 24];
    let name = decimal(&mut digits, slot.0 as u64);
    merge::make(prepared.backstage, name, Owned { mode: Mode(0o755), owner: None })?;
    let place = sys::open_tree(prepared.backstage, name, false)?;
    sys::set_mount_attrs(place, Attrs::NO_SUID.and(Attrs::NO_DEV).0)?;
    sys::move_mount(place, prepared.backstage, name)?;
    Ok(place)
}

/// Attaches what has a slot there, under its number.
fn put(place: RawFd, slot: Slot, mount: RawFd) -> Result {
    let mut digits = [0; 24];
    let name = decimal(&mut digits, slot.0 as u64);
    sys::mkdirat(place, name, 0o755)?;
    sys::move_mount(mount, place, name)
}

/// What the server reads of /proc: the helper binds its own open files there, and no other's.
fn proc_files(place: RawFd) -> Result {
    for directory in [c"proc", c"proc/self", c"proc/self/fd", c"proc/sys", c"proc/sys/kernel"] {
        sys::mkdirat(place, directory, 0o755)?;
    }
    for name in [c"proc/sys/kernel/overflowuid", c"proc/sys/kernel/overflowgid"] {
        let fd = sys::openat(place, name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o444)?;
        sys::write_all(fd, b"65534\n")?;
        sys::close(fd)?;
    }
    Ok(())
}

/// The mount that the server will answer for. The kernel checks modes and owners as it shows them.
fn mount(device: RawFd, (user, group): (u32, u32), attrs: Attrs) -> Result<RawFd> {
    let fs = sys::fsopen(c"fuse")?;
    let mut digits = [0; 24];
    sys::fsconfig_string(fs, c"source", c"fuse-overlayfs")?;
    for (key, number) in
        [(c"fd", device as u64), (c"user_id", user.into()), (c"group_id", group.into())]
    {
        sys::fsconfig_string(fs, key, decimal(&mut digits, number))?;
    }
    sys::fsconfig_string(fs, c"rootmode", c"40000")?;
    sys::fsconfig_flag(fs, c"allow_other")?;
    sys::fsconfig_flag(fs, c"default_permissions")?;
    let mount = sys::fsmount(fs, attrs.0)?;
    sys::close(fs)?;
    Ok(mount)
}
