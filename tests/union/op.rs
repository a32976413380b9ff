//! A change of a tree, as one system call does it, and its line for tests/union.c.

use super::model::{Name, Path, hex, joined};
use std::fmt;

#[derive(Clone)]
pub enum Op {
    Create(Path, u32, Vec<u8>),
    Write(Path, usize, Vec<u8>),
    Append(Path, Vec<u8>),
    Overwrite(Path, Vec<u8>),
    /// For reading and writing, and nothing is written.
    Open(Path),
    Truncate(Path, usize),
    Mkdir(Path, u32),
    Fifo(Path, u32),
    Rmdir(Path),
    Unlink(Path),
    Symlink(Path, Vec<u8>),
    Link(Path, Path),
    /// With flags of renameat2(2).
    Rename(Path, Path, u32),
    Chmod(Path, u32),
    Set(Path, Name, Vec<u8>),
    Unset(Path, Name),
}

impl Op {
    /// Whether it is about something at or below a path.
    pub fn is_at(&self, place: &Path) -> bool {
        let (one, other) = match self {
            Op::Create(path, ..)
            | Op::Write(path, ..)
            | Op::Append(path, _)
            | Op::Overwrite(path, _)
            | Op::Open(path)
            | Op::Truncate(path, _)
            | Op::Mkdir(path, _)
            | Op::Fifo(path, _)
            | Op::Rmdir(path)
            | Op::Unlink(path)
            | Op::Symlink(path, _)
            | Op::Chmod(path, _)
            | Op::Set(path, ..)
            | Op::Unset(path, _) => (path, None),
            Op::Link(path, new) | Op::Rename(path, new, _) => (path, Some(new)),
        };
        one.starts_with(place) || other.is_some_and(|path| path.starts_with(place))
    }

    /// LETTER PATH NUMBER BYTES NAME, the number in octal.
    pub fn line(&self) -> String {
        let of = |letter: char, path: &Path, number: usize, bytes: &[u8], name: &[u8]| {
            let path = hex(&joined(path));
            format!("{letter} {path} {number:o} {} {}\n", hex(bytes), hex(name))
        };
        match self {
            Op::Create(path, mode, bytes) => of('c', path, *mode as usize, bytes, b""),
            Op::Write(path, at, bytes) => of('w', path, *at, bytes, b""),
            Op::Append(path, bytes) => of('a', path, 0, bytes, b""),
            Op::Overwrite(path, bytes) => of('o', path, 0, bytes, b""),
            Op::Open(path) => of('p', path, 0, b"", b""),
            Op::Truncate(path, length) => of('t', path, *length, b"", b""),
            Op::Mkdir(path, mode) => of('d', path, *mode as usize, b"", b""),
            Op::Fifo(path, mode) => of('f', path, *mode as usize, b"", b""),
            Op::Rmdir(path) => of('r', path, 0, b"", b""),
            Op::Unlink(path) => of('u', path, 0, b"", b""),
            Op::Symlink(path, text) => of('s', path, 0, text, b""),
            Op::Link(old, new) => of('l', old, 0, &joined(new), b""),
            Op::Rename(old, new, flags) => of('m', old, *flags as usize, &joined(new), b""),
            Op::Chmod(path, mode) => of('h', path, *mode as usize, b"", b""),
            Op::Set(path, name, value) => of('x', path, 1, value, name),
            Op::Unset(path, name) => of('x', path, 0, b"", name),
        }
    }
}

/// As its line, with the path as it is and no more of the bytes than can be read.
impl fmt::Debug for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line();
        let words: Vec<&str> = line.trim_end_matches('\n').split(' ').collect();
        let plain = |hex: &str| {
            let bytes =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
            let bytes: Vec<u8> = bytes.map(Result::unwrap).collect();
            let text = bytes.escape_ascii().to_string().replace(&"l".repeat(255), "LONG");
            text.get(..60).map_or(text.clone(), |begin| format!("{begin}..({})", bytes.len()))
        };
        let [path, bytes, name] = [1, 3, 4].map(|nth| plain(words[nth]));
        write!(out, "{} `{path}` {} `{bytes}` {name}", words[0], words[2])
    }
}
