//! What a layer has now goes out of the upper.

use super::is_inside;
use crate::launch::changes::discard::remove;
use crate::launch::changes::doors::ENTERS;
use crate::launch::changes::journal::DEEPEST;
use crate::sys;
use std::ffi::CString;
use std::os::fd::{AsRawFd, RawFd};

/// Removes from a directory of an upper what holds nothing that is left. One that hides what lies
/// below it stays whole.
pub(super) fn prune(directory: RawFd, path: &[u8], left: &[&[u8]], depth: usize) -> sys::Result {
    if depth > DEEPEST || sys::attribute_of(directory, c"user.overlay.opaque", &mut [0; 2]).is_ok()
    {
        return Ok(());
    }
    let mut names: Vec<CString> = vec![];
    let mut buffer = vec![0; 32 << 10];
    sys::rewind(directory)?;
    loop {
        let length = sys::read_directory(directory, &mut buffer)?;
        if length == 0 {
            break;
        }
        let found = sys::records(&buffer[..length]);
        names.extend(found.filter_map(|(name, _)| CString::new(name).ok()));
    }
    for name in names {
        let inner = match path {
            b"" => name.to_bytes().to_vec(),
            path => [path, b"/", name.to_bytes()].concat(),
        };
        let below: Vec<&[u8]> =
            left.iter().copied().filter(|left| *left == inner || is_inside(left, &inner)).collect();
        if below.is_empty() {
            remove(directory, &name)?;
        } else if !below.contains(&&*inner) {
            let held = sys::openat(directory, &name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
            let held = sys::owned(held);
            let looked = sys::look(held.as_raw_fd(), c"")?;
            if looked.mode & libc::S_IFMT != libc::S_IFDIR {
                continue;
            }
            let mode = looked.mode & 0o7777;
            if mode & ENTERS != ENTERS {
                sys::chmod_held(held.as_raw_fd(), mode | ENTERS)?;
            }
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let open = sys::owned(sys::openat(directory, &name, flags, 0)?);
            let pruned = prune(open.as_raw_fd(), &inner, &below, depth + 1);
            if mode & ENTERS != ENTERS {
                sys::chmod_held(held.as_raw_fd(), mode)?;
            }
            pruned?;
        }
    }
    Ok(())
}
