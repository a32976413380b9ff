//! Which directories are the system's own.

use crate::language::value::below;

/// Directories that belong to the system. They are wide to write to, and hold no sockets worth a
/// look.
const SYSTEM: &[&str] = &[
    "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/opt",
    "/var", "/srv", "/nix", "/gnu",
];

/// Whether a path is a system directory itself.
pub(crate) fn is_system(path: &str) -> bool {
    SYSTEM.contains(&path)
}

/// Trees whose every file is run or read by the host's root.
const ROOTS_OWN: &[&str] = &[
    "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/nix", "/gnu",
];

/// Whether a path is a tree of the system itself, where no service keeps a socket.
pub(crate) fn is_of_the_system(place: &str) -> bool {
    ROOTS_OWN.contains(&place)
}

/// Whether a path lies in such a tree.
pub(crate) fn lies_in_the_system(place: &str) -> bool {
    ROOTS_OWN.iter().any(|tree| below(place, tree).is_some())
}
