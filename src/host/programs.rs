//! What a program needs in order to start, as plain facts: pieces that the sandbox must have, and
//! what is not there.
//!
//! [`crate::probe`] finds them; [`crate::policy::programs`] makes entries and problems of them.

use crate::kernel::name::Inode;
use std::collections::BTreeMap;

/// A program with every file that it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// As the profile writes it.
    pub word: String,
    /// The pieces that no entry of the profile shows, by the path inside.
    pub pieces: BTreeMap<String, Piece>,
    /// What is not there.
    pub lacks: Vec<Lack>,
}

/// A piece that the sandbox must have at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A file of the host, at `source`.
    File {
        /// Where it is on the host.
        source: String,
        /// Which it was when it was read.
        inode: Inode,
    },
    /// A symbolic link with this text.
    Link(String),
    /// A directory that a path goes through.
    Directory,
    /// `/proc` of processes alone: a loader learns from `/proc/self/exe` what `$ORIGIN` is.
    Proc,
}

/// What keeps a program from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// It is in none of these directories, or not at this path.
    Program {
        /// Its name or path.
        name: String,
        /// Where it was looked for.
        directories: Vec<String>,
        /// A name there that is like it.
        near: Option<String>,
        /// The link there by this name, and where that leads: nothing of it is in sight.
        link: Option<(String, String)>,
    },
    /// The path is relative, and there is no directory that it could begin from.
    Relative(String),
    /// The mode, or the mount, forbids to execute it.
    NotExecutable {
        path: String,
        /// Whether the entry that shows it says `exec = false`, or one of its layers is mounted so.
        mount: bool,
    },
    /// It is neither ELF nor a script.
    NoProgram(String),
    /// It is for another machine.
    Machine { path: String, machine: &'static str },
    /// The caller cannot read it, so that what it needs is unknown.
    Unreadable { path: String, errno: i32 },
    /// A loader or interpreter is not there.
    Interpreter {
        path: String,
        /// Who names it.
        of: String,
        errno: i32,
    },
    /// A library is not there.
    Library {
        name: String,
        /// Who needs it.
        of: String,
    },
    /// A script that is reached only through another user's link or script.
    Foreign {
        path: String,
        /// The link or script.
        by: String,
    },
    /// Scripts run by scripts, without end; or too many libraries.
    TooMany(String),
}
