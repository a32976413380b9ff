//! The operations that a plan is made of, each about the size of a system call.
//!
//! There is a type for each executor, which matches it exhaustively: [`GroupOp`] and [`OutsideOp`]
//! are the launcher's, before and after the clone; [`TreeOp`] and [`ProcessOp`] are raw system
//! calls, which any process of a launch can make. An operation that nobody executes, or that the
//! model behind `why` does not know, does not compile.
//!
//! Their `Display` is what `stockade plan` prints and what an error says:
//! `cannot <op>: <errno in words>`. They hold everything that the kernel will be given, as C
//! strings, so that nothing is allocated between clone and exec. They do nothing themselves.

#![deny(clippy::wildcard_enum_match_arm)]

pub(crate) mod draft;
pub(crate) mod file_system;
mod group;
mod outside;
mod process;
mod tree;

use crate::kernel::name::{Inode, Name};
use crate::text::source::Span;
pub use file_system::{FileSystem, Kernel};
pub use group::GroupOp;
pub use outside::OutsideOp;
pub use process::ProcessOp;
pub(crate) use process::{FileStream, Made};
use serde::{Serialize, Serializer};
use std::fmt;
pub use tree::TreeOp;
pub(crate) use tree::{InLayer, Merged, Owned, Served, UpperPlace};

/// One thing to do, when, and which text asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<O = Op> {
    pub stage: Stage,
    pub op: O,
    /// The line of the profile that asked for it, or nowhere for stockade's own.
    pub at: Span,
}

/// An operation of raw system calls alone: nothing is allocated, no lock is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Op {
    /// On the file tree.
    Tree(TreeOp),
    /// On the process that does it.
    Process(ProcessOp),
}

impl From<TreeOp> for Op {
    fn from(op: TreeOp) -> Op {
        Op::Tree(op)
    }
}

impl From<ProcessOp> for Op {
    fn from(op: ProcessOp) -> Op {
        Op::Process(op)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Tree(op) => op.fmt(f),
            Op::Process(op) => op.fmt(f),
        }
    }
}

/// Any operation, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Shown<'a> {
    /// The launcher's, before the clone.
    Group(&'a GroupOp),
    /// The launcher's, after the clone.
    Outside(&'a OutsideOp),
    /// Anybody's.
    Raw(&'a Op),
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Group(op) => op.fmt(f),
            Shown::Outside(op) => op.fmt(f),
            Shown::Raw(op) => op.fmt(f),
        }
    }
}

impl<O> Step<O> {
    /// A step with another operation.
    pub fn with<P>(&self, op: P) -> Step<P> {
        Step { stage: self.stage, op, at: self.at }
    }
}

impl Step {
    /// The step as it is shown.
    pub fn shown(&self) -> Step<Shown<'_>> {
        self.with(Shown::Raw(&self.op))
    }

    /// Its operation, where that is one on the file tree.
    pub fn tree(&self) -> Option<&TreeOp> {
        match &self.op {
            Op::Tree(op) => Some(op),
            Op::Process(_) => None,
        }
    }

    /// Has no directory kept that it would make.
    pub(crate) fn keep_nothing(&mut self) {
        match &mut self.op {
            Op::Tree(op) => op.keep_nothing(),
            Op::Process(_) => {}
        }
    }

    /// Its operation, where that is one on the process.
    pub fn process(&self) -> Option<&ProcessOp> {
        match &self.op {
            Op::Process(op) => Some(op),
            Op::Tree(_) => None,
        }
    }
}

/// The stages of a start, in order. [`crate::plan::ORDER`] gives the reason of each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The launcher moves to where it may make control groups.
    Aside,
    /// Control groups are made, and their limits set.
    Limits,
    /// The caller's terminal is opened anew, for writing alone.
    Terminal,
    /// Host-owned namespaces are entered.
    Join,
    /// Directories that take what the target writes are locked.
    Uppers,
    /// What the launcher does for pid 1, which waits meanwhile.
    Outside,
    /// The sandbox enters its control groups.
    Group,
    /// What the profile binds is opened.
    Sources,
    /// Files that only a process with the caller's credentials may write.
    Enter,
    /// The ids that own all that is made from here on.
    Ids,
    /// The file tree, and the rest of the world that the target sees.
    World,
    /// The old root goes.
    Pivot,
    /// Landlock's rules are collected.
    Rules,
    /// Ids and privileges are given up.
    Identity,
    /// The target's process: session, streams, working directory, limits.
    Process,
    Landlock,
    /// The system call filter.
    Seccomp,
}

impl Stage {
    pub(crate) const LAST: Stage = Stage::Seccomp;

    /// What `plan` calls it.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Aside => "Aside",
            Stage::Limits => "Limits",
            Stage::Terminal => "Terminal",
            Stage::Join => "Join",
            Stage::Uppers => "Uppers",
            Stage::Outside => "Outside",
            Stage::Group => "Group",
            Stage::Sources => "Sources",
            Stage::Enter => "Enter",
            Stage::Ids => "Ids",
            Stage::World => "World",
            Stage::Pivot => "Pivot",
            Stage::Rules => "Rules",
            Stage::Identity => "Identity",
            Stage::Process => "Process",
            Stage::Landlock => "Landlock",
            Stage::Seccomp => "Seccomp",
        }
    }
}

/// A place in the table of descriptors that a launch opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slot(pub usize);

/// The directory of a control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    /// A directory of the host.
    Path(Name),
    /// The scope that [`GroupOp::Scope`] gives, whose place systemd chooses.
    Scope,
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Directory::Path(path) => path.fmt(f),
            Directory::Scope => f.write_str("the scope"),
        }
    }
}

impl Serialize for Directory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Directory::Path(path) => path.text(),
            Directory::Scope => "scope",
        })
    }
}

/// Whose tree a mount point lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ground {
    /// The sandbox's own: no other process can put a link in the way.
    Own,
    /// The host's: the path is walked without following any link.
    Bound,
}

/// How many bytes a copy of a file of the host may have.
pub(crate) const COPY_LIMIT: u64 = 1 << 20;

/// The text of a file or variable.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// It is in the profile.
    Text(Vec<u8>),
    /// The launcher read it on the host when the plan was made.
    OfHost(Vec<u8>),
    /// It must not be shown: it comes from the caller's environment.
    Secret(Vec<u8>),
    /// Such a text in a plan that was read back: it is not kept.
    Withheld,
    /// The launcher reads it from an inherited descriptor.
    Fd(u32),
    /// The launcher reads it from a file of the host.
    File(Name),
    /// The launcher copies this file of the host: a path without links, and what was there when the
    /// plan was made.
    Copy(Name, Inode),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Text(text) => write!(f, "{} bytes of the profile", text.len()),
            Content::OfHost(text) => write!(f, "{} bytes, as the host has it", text.len()),
            Content::Secret(_) | Content::Withheld => f.write_str("a variable of the caller"),
            Content::Fd(fd) => write!(f, "descriptor {fd}"),
            Content::File(path) => write!(f, "{path}"),
            Content::Copy(path, _) => write!(f, "a copy of {path}"),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What covers a hidden path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cover {
    /// An empty read-only directory.
    Directory,
    /// An empty file of mode 0.
    File,
}

fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_texts<T: fmt::Display, S: Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(T::to_string))
}

fn joined<T: fmt::Display>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
