//! What a walk asks its reader, and what it comes by.

use super::Source;
use crate::host::FileKind;
use crate::step::Kernel;

/// What is at a path, as far as a walk cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file of any kind. Of a link, its text.
    File(FileKind),
    /// A character device 0:0, with which a layer says that a name of a lower one is removed; where
    /// nothing is merged, a device.
    Whiteout,
    /// Only the running sandbox knows it, and what is below it.
    Unknown,
}

impl Kind {
    /// The text of a link.
    pub(crate) fn link(&self) -> Option<&str> {
        match self {
            Kind::File(FileKind::Link(text)) => Some(text),
            Kind::File(_) | Kind::Whiteout | Kind::Unknown => None,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        *self == Kind::File(FileKind::Directory)
    }
}

/// Why a look-up, or a walk, goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt<S> {
    /// The kernel would say this.
    Errno(i32),
    /// The reader says so.
    Stop(S),
}

/// What is found: its kind, and what the reader needs to know of it.
pub type Looked<F, S> = Result<(Kind, F), Halt<S>>;

/// A path that is asked about, and the node whose it is.
#[derive(Debug)]
pub struct Position<'a, N> {
    /// The path inside, without links.
    pub path: &'a str,
    /// The path of the node.
    pub over: &'a str,
    pub node: &'a N,
}

// Whatever the node is, a reference to it is copied.
impl<N> Clone for Position<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Position<'_, N> {}

/// What a walk asks its reader.
pub trait Facts<N> {
    /// What the reader needs to know of a file.
    type File;
    /// Why the reader lets a walk go no further.
    type Stop;

    /// What the host has at `place`, which is in `source`; a link is not followed.
    fn host(
        &mut self,
        position: Position<'_, N>,
        source: &Source,
        place: &str,
    ) -> Looked<Self::File, Self::Stop>;

    /// Whether a directory of a layer hides what lower layers have of it (`overlay.opaque`).
    fn is_opaque(&mut self, place: &str) -> Result<bool, Halt<Self::Stop>>;

    /// What is in a file system of the kernel's: at its top, or below.
    fn kernel(
        &mut self,
        position: Position<'_, N>,
        kernel: &Kernel,
    ) -> Looked<Self::File, Self::Stop>;

    /// What stockade makes is of this kind.
    fn own(&mut self, position: Position<'_, N>, kind: &FileKind) -> Self::File;

    /// A path on the sandbox's own ground where it makes nothing.
    fn bare(&mut self, _: Position<'_, N>) -> Looked<Self::File, Self::Stop> {
        Err(Halt::Errno(libc::ENOENT))
    }

    /// Whether the walk may enter a directory.
    fn enter(&mut self, _directory: &Step<'_, N, Self::File>) -> Result<(), Halt<Self::Stop>> {
        Ok(())
    }

    /// Whether the walk may follow a link in a directory: at the end of the way (a `/` may follow,
    /// or other links that end there, too), or in the middle.
    fn follow(
        &mut self,
        _directory: &Step<'_, N, Self::File>,
        _link: &Step<'_, N, Self::File>,
        _at_end: bool,
    ) -> Result<(), Halt<Self::Stop>> {
        Ok(())
    }
}

/// Something that a walk came by.
#[derive(Debug)]
pub struct Step<'t, N, F> {
    /// Its path inside, without links.
    pub path: String,
    pub kind: Kind,
    pub file: F,
    /// The path of the node that shows it.
    pub(super) over: String,
    pub(super) node: &'t N,
    /// Where it is on the host: in which source of the stack (0: the topmost), and the path. Of a
    /// directory all that are merged, the topmost first.
    pub places: Vec<(usize, String)>,
}
