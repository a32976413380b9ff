//! Landlock: a second wall behind the mounts, derived from them (landlock(7)).
//!
//! Its rules add up from a path to the root, so it holds the union of the grants; what is read-only or hidden below a writable
//! grant is kept by the mounts alone.

use landlock::{ABI, Access, AccessFs, BitFlags, Scope};
use serde::{Serialize, Serializer};
use std::fmt;

// ---- table ----

/// Access rights below a path, as the kernel's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(pub u64);

const fn bits(rights: &[AccessFs]) -> Rights {
    let (mut all, mut index) = (0, 0);
    while index < rights.len() {
        all |= rights[index] as u64;
        index += 1;
    }
    Rights(all)
}

impl Rights {
    /// Files and folders may be read.
    pub const READ: Rights = bits(&[AccessFs::ReadFile, AccessFs::ReadDir]);
    /// Names may be listed.
    pub const LIST: Rights = bits(&[AccessFs::ReadDir]);
    /// Programs may be run.
    pub const EXECUTE: Rights = bits(&[AccessFs::Execute]);
    /// Files that exist may be written.
    pub const WRITE: Rights = bits(&[AccessFs::WriteFile, AccessFs::Truncate]);
    /// Files may be made, removed and moved between folders. Without `Refer` every rename across folders is EXDEV.
    pub const CHANGE: Rights = bits(&[
        AccessFs::RemoveDir,
        AccessFs::RemoveFile,
        AccessFs::MakeChar,
        AccessFs::MakeDir,
        AccessFs::MakeReg,
        AccessFs::MakeSock,
        AccessFs::MakeFifo,
        AccessFs::MakeBlock,
        AccessFs::MakeSym,
        AccessFs::Refer,
    ]);
    /// Device nodes may be controlled.
    pub const IOCTL: Rights = bits(&[AccessFs::IoctlDev]);
    /// Sockets may be connected to by their path.
    pub const CONNECT: Rights = bits(&[AccessFs::ResolveUnix]);
    /// The rights that a file, not a folder, can have; the kernel refuses others for it.
    pub const OF_FILES: Rights =
        bits(&[AccessFs::Execute, AccessFs::WriteFile, AccessFs::ReadFile, AccessFs::Truncate, AccessFs::IoctlDev, AccessFs::ResolveUnix]);

    /// Both.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// `other` where `yes`.
    pub const fn and_if(self, yes: bool, other: Rights) -> Rights {
        if yes { self.and(other) } else { self }
    }

    /// What both have.
    pub const fn within(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

const WORDS: &[(Rights, &str)] = &[
    (Rights::READ, "read"),
    (Rights::LIST, "list"),
    (Rights::WRITE, "write"),
    (Rights::CHANGE, "change"),
    (Rights::EXECUTE, "execute"),
    (Rights::IOCTL, "ioctl-dev"),
    (Rights::CONNECT, "connect"),
];

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        let mut words = vec![];
        for (rights, word) in WORDS {
            // Some rights of a word may be unknown to this kernel, or not a file's; reading is named only where files are read.
            let names = if *rights == Rights::READ { AccessFs::ReadFile as u64 } else { rights.0 };
            if left & names != 0 {
                words.push(*word);
                left &= !rights.0;
            }
        }
        f.write_str(&words.join(", "))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the ruleset rules over. What it handles and no rule grants is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    /// The kernel's ABI.
    pub abi: u32,
    /// Rights that are denied unless granted.
    pub handled: Rights,
    /// Signals to, and abstract unix sockets of, processes outside the sandbox.
    pub scoped: u64,
}

impl Ruleset {
    /// Whether signals to processes outside are denied.
    pub fn scopes_signals(&self) -> bool {
        BitFlags::<Scope>::from_bits_truncate(self.scoped).contains(Scope::Signal)
    }
}

/// The least ABI that serves: below it every rename across folders fails (kernel commit b91c3e4ea756).
pub const LEAST_ABI: u32 = 2;

// ---- draft ----

/// The ruleset for a kernel's ABI: all that it can handle.
pub fn draft(abi: u32) -> Ruleset {
    let known = ABI::from(i32::try_from(abi).unwrap_or(i32::MAX));
    let handled: BitFlags<AccessFs> = AccessFs::from_all(known);
    let scoped: BitFlags<Scope> = Scope::from_all(known);
    Ruleset { abi, handled: Rights(handled.bits()), scoped: scoped.bits() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_kernels_handle_more() {
        assert_eq!(draft(2).handled.within(Rights::IOCTL), Rights(0));
        assert_eq!(draft(7).handled.within(Rights::IOCTL), Rights::IOCTL);
        assert_eq!((draft(2).scoped, draft(6).scoped), (0, 3));
        assert!(draft(99).handled.0 >= draft(10).handled.0);
    }

    #[test]
    fn rights_have_words() {
        assert_eq!(Rights::READ.and(Rights::EXECUTE).to_string(), "read, execute");
        assert_eq!(Rights::LIST.to_string(), "list");
    }
}
