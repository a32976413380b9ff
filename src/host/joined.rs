//! Namespaces that a profile joins, and the user namespaces above them, as plain facts.

use crate::kernel::namespace::Kind;

/// What the file of a namespace that is joined is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// It cannot be opened.
    Closed(i32),
    /// It is the file of no namespace.
    Other,
    Behind(Behind),
}

/// A namespace behind a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Nothing: of a kind that this program does not know.
    pub kind: Option<Kind>,
    /// The user namespace that it is, or that owns it, and those above, up to the caller's; none
    /// where the kernel does not name it, as it is not below the caller's (ioctl_nsfs(2)).
    pub chain: Vec<UserNamespace>,
    /// The file of the user namespace that owns it, where the path of another process leads there.
    pub owner_file: Option<String>,
    /// Whether setgroups(2) is denied in the user namespace of that process.
    pub groups_denied: bool,
}

/// A user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserNamespace {
    pub inode: u64,
    /// The user who made it, in the caller's ids.
    pub owner: Option<u32>,
}

/// The caller, as setns(2) looks at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joins {
    /// Its own user namespace.
    pub inode: u64,
    /// Whether it has CAP_SYS_ADMIN there.
    pub is_admin: bool,
}
