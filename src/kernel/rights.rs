//! Access rights of Landlock to files and ports, as the kernel's bits and as words (landlock(7)).

use landlock::{AccessFs, AccessNet};
use serde::{Serialize, Serializer};
use std::fmt;

/// Access rights below a path, as the kernel's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(pub u64);

/// The rights of a list.
pub(crate) const fn bits(rights: &[AccessFs]) -> Rights {
    let (mut all, mut index) = (0, 0);
    while index < rights.len() {
        all |= rights[index] as u64;
        index += 1;
    }
    Rights(all)
}

impl Rights {
    /// Files and directories may be read.
    pub const READ: Rights = bits(&[AccessFs::ReadFile, AccessFs::ReadDir]);
    /// Names may be listed.
    pub const LIST: Rights = bits(&[AccessFs::ReadDir]);
    /// Programs may be run.
    pub const EXECUTE: Rights = bits(&[AccessFs::Execute]);
    /// Files that exist may be written.
    pub const WRITE: Rights = bits(&[AccessFs::WriteFile, AccessFs::Truncate]);
    /// Files of every kind may be made.
    pub const MAKE: Rights = bits(&[
        AccessFs::MakeChar,
        AccessFs::MakeDir,
        AccessFs::MakeReg,
        AccessFs::MakeSock,
        AccessFs::MakeFifo,
        AccessFs::MakeBlock,
        AccessFs::MakeSym,
    ]);
    /// Files and directories may be removed.
    pub const REMOVE: Rights = bits(&[AccessFs::RemoveDir, AccessFs::RemoveFile]);
    /// Both, and moved between directories. Without `Refer` every rename across directories is
    /// EXDEV.
    pub const CHANGE: Rights = Rights::MAKE.and(Rights::REMOVE).and(bits(&[AccessFs::Refer]));
    /// Device nodes may be controlled.
    pub const IOCTL: Rights = bits(&[AccessFs::IoctlDev]);
    /// Sockets may be connected to by their path.
    pub const CONNECT: Rights = bits(&[AccessFs::ResolveUnix]);
    /// The rights that a file, not a directory, can have; the kernel refuses others for it.
    pub const OF_FILES: Rights = bits(&[
        AccessFs::Execute,
        AccessFs::WriteFile,
        AccessFs::ReadFile,
        AccessFs::Truncate,
        AccessFs::IoctlDev,
        AccessFs::ResolveUnix,
    ]);

    /// Both.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// `other` where `yes`.
    pub const fn and_if(self, yes: bool, other: Rights) -> Rights {
        if yes { self.and(other) } else { self }
    }

    /// Whether all of `other` is in it.
    pub const fn holds(self, other: Rights) -> bool {
        other.0 & !self.0 == 0
    }

    /// The rights that both have.
    pub const fn within(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

const WORDS: &[(Rights, &str)] = &[
    (Rights::READ, "read"),
    (Rights::LIST, "list"),
    (Rights::WRITE, "write"),
    (Rights::CHANGE, "change"),
    (Rights::MAKE, "make"),
    (Rights::REMOVE, "remove"),
    (bits(&[AccessFs::Refer]), "refer"),
    (Rights::EXECUTE, "execute"),
    (Rights::IOCTL, "ioctl-dev"),
    (Rights::CONNECT, "connect"),
];

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        let mut words = vec![];
        for (rights, word) in WORDS {
            // Some rights of a word may be unknown to this kernel, or not a file's; reading is
            // named only where files are read.
            let names = if *rights == Rights::READ { AccessFs::ReadFile as u64 } else { rights.0 };
            let whole = *rights != Rights::CHANGE || left & names == names;
            if whole && left & names != 0 {
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

/// What a use of ports is called.
pub(crate) fn port_words(access: u64) -> &'static str {
    const USES: [(AccessNet, &str); 4] = [
        (AccessNet::BindTcp, "bind TCP"),
        (AccessNet::ConnectTcp, "connect to TCP"),
        (AccessNet::BindUdp, "bind UDP"),
        (AccessNet::ConnectSendUdp, "send to UDP"),
    ];
    USES.iter().find(|(bit, _)| *bit as u64 == access).map_or("use", |(_, words)| *words)
}
