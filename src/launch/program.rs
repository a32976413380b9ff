//! Looks for the program as execve(2) would, and executes nothing: for a rehearsal.
//!
//! Part of what runs between clone and exec: raw system calls and nothing else (see
//! [`super::child`]). For that it is a second reader of `#!` and ELF beside [`crate::probe::elf`],
//! which asks for more, before the clone, and may allocate: this one looks in the sandbox's own
//! tree, through a buffer on the stack, for the one word that execve(2) continues with.

use crate::kernel::name::Name;
use crate::sys::{self, Errno, Result};
use std::ffi::CStr;

/// By execvp(3)'s rule, as [`super::child`] executes: what may not be run is remembered, what is
/// not there is passed over.
pub(super) fn find(candidates: &[Name]) -> Result {
    let mut last = libc::ENOENT;
    for candidate in candidates {
        match runnable(candidate.as_c_str(), MOST_INTERPRETERS) {
            Ok(()) => return Ok(()),
            Err(Errno(libc::EACCES)) => last = libc::EACCES,
            Err(Errno(libc::ENOENT | libc::ENOTDIR)) => {}
            other => return other,
        }
    }
    Err(Errno(last))
}

/// A script's interpreter may be a script itself, up to four times (bprm_execve of fs/exec.c).
const MOST_INTERPRETERS: u32 = 5;

fn runnable(path: &CStr, left: u32) -> Result {
    sys::may_execute(path)?;
    let fd = match sys::openat(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0) {
        // It may be executed and not be read, so nothing more is known.
        Err(Errno(libc::EACCES)) => return Ok(()),
        other => other?,
    };
    let regular = sys::describe(fd)?.mode & libc::S_IFMT == libc::S_IFREG;
    let mut head = [0; 4096];
    let length = if regular { sys::read(fd, &mut head)? } else { 0 };
    sys::close(fd)?;
    let head = &head[..length];
    match head {
        _ if !regular => Err(Errno(libc::EACCES)),
        [b'#', b'!', line @ ..] => {
            let Some(left) = left.checked_sub(1) else { return Err(Errno(libc::ELOOP)) };
            let start = line.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(line.len());
            let word = line[start..].split(|byte| b" \t\n\0".contains(byte)).next().unwrap_or(&[]);
            if word.is_empty() { Err(Errno(libc::ENOEXEC)) } else { named(word, left) }
        }
        // ELF of 64 bits.
        [0x7f, b'E', b'L', b'F', 2, ..] => {
            elf_interpreter(head).map_or(Ok(()), |word| named(word, 0))
        }
        // A text without #! is what people forget; other formats may be registered (binfmt_misc).
        _ if head.is_empty() || !head.contains(&0) => Err(Errno(libc::ENOEXEC)),
        _ => Ok(()),
    }
}

fn named(word: &[u8], left: u32) -> Result {
    let mut path = [0; 256];
    match path.get_mut(..word.len()) {
        Some(place) if word.len() < 256 => place.copy_from_slice(word),
        _ => return Err(Errno(libc::ENAMETOOLONG)),
    }
    runnable(CStr::from_bytes_until_nul(&path).map_err(|_| Errno(libc::ENOEXEC))?, left)
}

/// The loader that PT_INTERP names (elf(5)), if it is in the first page, where linkers put it.
fn elf_interpreter(head: &[u8]) -> Option<&[u8]> {
    let bytes = |at: usize, length: usize| head.get(at..at.checked_add(length)?);
    let number = |at: usize, length: usize| {
        Some(
            bytes(at, length)?
                .iter()
                .rev()
                .fold(0usize, |number, byte| number << 8 | usize::from(*byte)),
        )
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let at = (0..count)
        .map_while(|nth| table.checked_add(nth * size))
        .find(|at| number(*at, 4) == Some(3))?;
    bytes(number(at + 8, 8)?, number(at + 32, 8)?)?
        .split(|byte| *byte == 0)
        .next()
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_execve_would_refuse_is_refused() {
        let directory =
            std::env::temp_dir().join(format!("stockade-program-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let find_file = |name: &str, text: &[u8], mode: u32| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))
                .unwrap();
            find(&[Name::new("/nonexistent/x"), Name::new(path.to_str().unwrap())])
        };
        assert_eq!(find_file("script", b"#! /bin/sh -e\n", 0o755), Ok(()));
        assert_eq!(find_file("plain", b"echo\n", 0o755), Err(Errno(libc::ENOEXEC)));
        assert_eq!(
            find_file("orphan", b"#!/nonexistent/python\n", 0o755),
            Err(Errno(libc::ENOENT))
        );
        assert_eq!(find_file("data", b"#!/bin/sh\n", 0o644), Err(Errno(libc::EACCES)));
        assert_eq!(find(&[Name::new("/usr")]), Err(Errno(libc::EACCES)));
        assert_eq!(find(&[Name::new("/bin/true")]), Ok(()));
        let mut elf = std::fs::read("/bin/true").unwrap();
        let loader = elf_interpreter(&elf[..4096]).unwrap().to_vec();
        let at = elf.windows(loader.len()).position(|window| window == loader).unwrap();
        elf[at + 1] = b'_';
        assert_eq!(find_file("loaderless", &elf, 0o755), Err(Errno(libc::ENOENT)));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
