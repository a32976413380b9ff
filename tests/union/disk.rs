//! Layers on the disk, and what is there.

use super::model::{self, Attributes, Leaf, Low, LowDirectory, What, hex};
use crate::support::{As, Place, said, text};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn set(path: &Path, name: &[u8], value: &[u8]) {
    let (path, name) = (c(path), CString::new(name).unwrap());
    // SAFETY: both texts end with a zero, and the value is as long as is said.
    #[allow(unsafe_code, reason = "no safe form is among the dependencies")]
    let status = unsafe {
        libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    assert_eq!(status, 0, "{path:?} {name:?}: {}", std::io::Error::last_os_error());
}

fn node(path: &Path, kind: u32) {
    let path = c(path);
    // SAFETY: the text ends with a zero.
    #[allow(unsafe_code, reason = "no safe form is among the dependencies")]
    let status = unsafe { libc::mknod(path.as_ptr(), kind | 0o600, 0) };
    assert_eq!(status, 0, "{path:?}: {}", std::io::Error::last_os_error());
}

/// Makes a layer in an empty directory.
pub fn make(low: &LowDirectory, top: &Path, who: As) {
    let mut again = vec![];
    make_below(low, top, &mut again);
    for (old, path) in again {
        std::fs::hard_link(top.join(OsStr::from_bytes(&old.join(&b'/'))), path).unwrap();
    }
    crate::merged::own(top, who);
    finish(low, top);
}

fn make_below<'l>(low: &'l LowDirectory, at: &Path, again: &mut Vec<(&'l model::Path, PathBuf)>) {
    for (name, low) in &low.names {
        let path = at.join(OsStr::from_bytes(name));
        match low {
            Low::Directory(inner) => {
                std::fs::create_dir(&path).unwrap();
                make_below(inner, &path, again);
            }
            Low::Leaf(Leaf { what, .. }) => match what {
                What::File(bytes) => std::fs::write(&path, bytes).unwrap(),
                What::Link(text) => {
                    std::os::unix::fs::symlink(OsStr::from_bytes(text), &path).unwrap();
                }
                What::Fifo => node(&path, libc::S_IFIFO),
            },
            Low::Again(old, _) => again.push((old, path)),
            Low::Whiteout => node(&path, libc::S_IFCHR),
        }
    }
}

/// Gives root what is another owner's.
fn give(is_foreign: bool, path: &Path) {
    if is_foreign && crate::support::is_root() {
        std::os::unix::fs::lchown(path, Some(0), Some(0)).unwrap();
    }
}

/// Owners, attributes and modes, the innermost first.
fn finish(low: &LowDirectory, at: &Path) {
    for (name, low) in &low.names {
        let path = at.join(OsStr::from_bytes(name));
        match low {
            Low::Directory(inner) => {
                finish(inner, &path);
                give(inner.is_foreign, &path);
            }
            Low::Leaf(leaf) if !matches!(leaf.what, What::Link(_)) => {
                dress(&path, leaf.mode, &leaf.attributes);
                give(leaf.is_foreign, &path);
            }
            Low::Leaf(leaf) => give(leaf.is_foreign, &path),
            Low::Again(..) | Low::Whiteout => {}
        }
    }
    if low.is_opaque {
        set(at, b"user.overlay.opaque", b"y");
    }
    dress(at, low.mode, &low.attributes);
}

fn dress(path: &Path, mode: u32, attributes: &Attributes) {
    attributes.iter().for_each(|(name, value)| set(path, name, value));
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn dumped(mut command: Command) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"D\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut lines: Vec<String> =
        text(&output.stdout).lines().filter(|line| *line != "end").map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Everything that a tree is: bytes, modes, owners, links, times and attributes.
pub fn full(place: &Place, top: &Path) -> Vec<String> {
    let mut command = Command::new(place.path.join("union"));
    command.arg(top).arg("full");
    dumped(command)
}

/// What its owner sees of a tree.
pub fn seen(place: &Place, who: As, top: &Path) -> Vec<String> {
    let mut command = place.outside(who, place.path.join("union"));
    command.arg(top);
    dumped(command)
}

/// The bytes of a text of stockade's: a byte that is not UTF-8 is a character of the last row.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    for c in text.chars() {
        match u32::from(c).checked_sub(0x10_ff00).and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

/// The path of a text, as a dump has it.
pub fn path(text: &str) -> String {
    hex(&bytes(if text.is_empty() { "." } else { text }))
}
