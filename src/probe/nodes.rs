//! Facts about device nodes: what the mounts grant, and the disks that limits are for.

use crate::kernel::device::Node;
use crate::policy::mounts::Mounts;
use crate::policy::mounts::kinds::Makes;
use crate::text::bytes;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The disk that a path names, or lies on: limits are a disk's, not a partition's.
pub(super) fn block_device(path: &str) -> Result<(u32, u32), i32> {
    let meta = fs::metadata(bytes::path(path))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    let number = if meta.file_type().is_block_device() { meta.rdev() } else { meta.dev() };
    let (major, minor) = (libc::major(number), libc::minor(number));
    let at = format!("/sys/dev/block/{major}:{minor}");
    if !Path::new(&at).exists() {
        return Err(libc::ENOTBLK);
    }
    if !Path::new(&format!("{at}/partition")).exists() {
        return Ok((major, minor));
    }
    let disk = fs::read_to_string(format!("{at}/../dev"))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    let parts = disk
        .trim()
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parts.ok_or(libc::EIO)
}

/// How many names of a directory of nodes are looked at.
const NODES_LOOKED_AT: usize = 4096;

/// The nodes that the mounts grant, as [`crate::policy::mounts`] attaches them.
pub(super) fn nodes(mounts: &Mounts) -> Vec<Node> {
    let mut found = vec![];
    for (path, mount) in mounts.iter() {
        match mount.value.kind().makes(path.value) {
            Makes::Devices(extra) => {
                let standard =
                    crate::policy::mounts::DEV_NODES.iter().map(|name| format!("/dev/{name}"));
                standard
                    .chain(extra.iter().map(|path| path.0.clone()))
                    .for_each(|path| found.extend(node(&bytes::path(&path))));
                // /dev/pts/ptmx, and the terminals that it makes (devices.txt of the kernel: majors
                // 136 to 143).
                found.push(Node { block: false, major: 5, minor: Some(2) });
                found.extend((136..=143).map(|major| Node { block: false, major, minor: None }));
            }
            Makes::Device(source) => {
                let source = &*bytes::path(source);
                match fs::read_dir(source) {
                    Ok(names) => found.extend(
                        names
                            .take(NODES_LOOKED_AT)
                            .flatten()
                            .filter_map(|entry| node(&entry.path())),
                    ),
                    Err(_) => found.extend(node(source)),
                }
            }
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn node(path: &Path) -> Option<Node> {
    let meta = fs::metadata(path).ok()?;
    let block = meta.file_type().is_block_device();
    (block || meta.file_type().is_char_device()).then(|| Node {
        block,
        major: libc::major(meta.rdev()),
        minor: Some(libc::minor(meta.rdev())),
    })
}
