//! An empty file system in memory.

use super::further::Further;
use super::{Form, Kind, Makes, Mount, New, PLAIN, Word, form, said};
use crate::kernel::attrs::Attrs;
use crate::kernel::rights::Rights;
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::language::value::{Mode, Room};
use crate::step::FileSystem;
use crate::tree::{Ground, Own};

pub(super) const WORDS: &[Word] = &[Word {
    word: "tmpfs",
    doc: "An empty file system in memory: 64M, no programs.",
    meant: &[],
    make: || Mount::Tmpfs(Tmpfs::PLAIN),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// An empty file system in memory, of this size.
    "tmpfs": Room => |size| Mount::Tmpfs(Tmpfs { size, ..Tmpfs::PLAIN }), ["inodes", "mode", "exec"]
}];

/// An empty file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// How much it holds; default: 64M.
    pub size: Room,
    /// How many files and directories; default: 65536.
    pub inodes: u64,
    /// The mode of its top; default: 0755, and 1777 for /tmp, /var/tmp and /dev/shm.
    pub mode: Option<Mode>,
    /// Whether programs on it may be run.
    pub exec: bool,
}

impl Tmpfs {
    /// 64 MiB, and as many inodes as a source tree needs.
    pub const PLAIN: Tmpfs =
        Tmpfs { size: Room::Bytes(64 << 20), inodes: 65_536, mode: None, exec: false };
    /// What it lets a target do, but for running programs.
    pub const RIGHTS: Rights =
        Rights::READ.and(Rights::WRITE).and(Rights::CHANGE).and(Rights::CONNECT);
}

impl Kind for Tmpfs {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.inodes = further.inodes.map_or(self.inodes, |inodes| inodes.0);
        self.mode = further.mode.or(self.mode);
        self.exec = further.exec.unwrap_or(self.exec);
        // To the kernel 0 is no limit at all (tmpfs(5)).
        if self.size == Room::Bytes(0) {
            return Err(Why::new("a tmpfs of size 0 would have no limit")
                .help("write how much it may hold, such as tmpfs = \"64M\""));
        }
        Ok(())
    }

    fn spell(&self) -> Toml {
        if *self == Tmpfs::PLAIN {
            return Toml::word("tmpfs");
        }
        let Tmpfs { size, inodes, mode, exec } = self;
        said([
            ("tmpfs", Some(size.spell())),
            ("inodes", (*inodes != Tmpfs::PLAIN.inodes).then(|| inodes.spell())),
            ("mode", mode.spell_key()),
            ("exec", exec.then(|| exec.spell())),
        ])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::Memory { size: self.size, inodes: self.inodes })
    }

    fn makes<'a>(&'a self, path: &'a str) -> Makes<'a> {
        let shared = ["/tmp", "/var/tmp", "/dev/shm"].contains(&path);
        let mode = self.mode.unwrap_or(Mode(if shared { 0o1777 } else { 0o755 }));
        Makes::FileSystem(New {
            fs: FileSystem::Tmpfs { size: self.size, inodes: self.inodes, mode },
            attrs: PLAIN.and_if(!self.exec, Attrs::NO_EXEC),
            rights: Tmpfs::RIGHTS.and_if(self.exec, Rights::EXECUTE),
            parts: &[],
        })
    }

    fn form(&self) -> &'static str {
        "tmpfs"
    }

    fn what(&self) -> &'static str {
        "a tmpfs"
    }
}

impl Mount {
    /// The file system in memory that it is.
    pub fn tmpfs(&self) -> Option<&Tmpfs> {
        match self {
            Mount::Tmpfs(tmpfs) => Some(tmpfs),
            _ => None,
        }
    }
}
