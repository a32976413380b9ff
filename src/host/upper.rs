//! The record of a kept upper: the file `stockade` of its directory, which marks the directory as
//! one of stockade's own and says what lies below it. Plain data: launch writes it, and believes one
//! that it reads as far as it has the right form.
//!
//! ```text
//! DIR/            0700, of the caller
//! DIR/upper/      overlayfs's upper, attributes user.overlay.*
//! DIR/work/       overlayfs's
//! DIR/stockade    this record, one line of JSON; flock(2) is held on it while the upper is used
//! ```

use crate::text::shell::shell_word;
use crate::text::{bytes, paths};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file of the record.
pub const RECORD: &str = "stockade";
/// The directory of what a target changed.
pub const UPPER: &str = "upper";
/// The directory that overlayfs works in.
pub const WORK: &str = "work";
/// What a directory of one run is called: this, the launcher's pid, when it was made, and a number.
pub(crate) const PREFIX: &str = "stockade-upper-";
/// The one format that is there.
pub(crate) const FORMAT: u32 = 1;
/// More than any record has: 500 layers of the longest paths (PATH_MAX), each byte escaped.
pub const LARGEST: u64 = 16 << 20;

/// What is known of a kept upper. Paths are texts as `text::bytes` has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upper {
    pub format: u32,
    /// The entry's path inside.
    pub path: String,
    /// The host's paths of its layers, the lowest first.
    pub layers: Vec<String>,
    /// The launcher that holds it; 0 where none does. The lock says whether it lives.
    pub pid: i32,
    /// When the first sandbox with it began, in nanoseconds since 1970: what a layer's file shows as
    /// changed since (ctime) was not what the target saw.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub begun: u64,
    /// The number of the directory that is the host's tree, where it is of that alone: the owner of a
    /// directory above may put another there, of the same file system. 0: not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// Paths inside of other entries at or below `path`, those of every run since the upper was empty:
    /// mount points there are of stockade's making, and nothing at, below or over them is applied to a
    /// layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// The host's paths of the profiles of those runs, of links that led to them, and of where one was
    /// looked for: the next run reads what is applied there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// This moment, as a record has it. What is changed from here on shows a later one, but for the few
/// milliseconds of a tick, which a sandbox takes to begin.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(u64::MAX)
}

impl Upper {
    /// The line of the file.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// The record that a file holds, if it is one of this format.
    pub fn parse(file: &[u8]) -> Option<Upper> {
        let record: Upper = serde_json::from_slice(file).ok()?;
        let plain = |path: &String| path.starts_with('/') && !path.contains('\0');
        let known = record.format == FORMAT && record.pid >= 0;
        let paths = record.layers.iter().chain(&record.mounts).chain(&record.profiles).all(plain);
        (known && paths && plain(&record.path)).then_some(record)
    }

    /// The entries where the top is at another path.
    pub(crate) fn mounts_at<'m>(&'m self, path: &'m str) -> impl Iterator<Item = String> + 'm {
        let tails = self.mounts.iter().filter_map(|mount| paths::below(mount, &self.path));
        tails.map(move |tail| paths::join(path, tail))
    }

    /// How a path below the top (without a `/` before it) lies to the entries that are mounted over
    /// it.
    pub(crate) fn cover(&self, path: &[u8]) -> Cover {
        let inside = self.mounts.iter().filter_map(|mount| {
            let below = paths::below(mount, &self.path)?;
            Some(bytes::bytes(below.trim_start_matches('/')).into_owned())
        });
        let mut cover = Cover::Free;
        for mount in inside {
            if is_below(path, &mount) {
                return Cover::Covered;
            }
            if is_below(&mount, path) {
                cover = Cover::Above;
            }
        }
        cover
    }

    /// Whether what a target changed can be put where its layer is: the one layer is the host's
    /// tree at the entry's own path.
    pub fn is_of_the_host(&self) -> bool {
        matches!(&self.layers[..], [only] if *only == self.path)
    }
}

/// How a path lies to entries of `[mounts]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    /// None is at it, above it or below it.
    Free,
    /// One is at it or above it: the target's change there is of what the entry covers.
    Covered,
    /// One is below it.
    Above,
}

/// Whether a path is another, or below it.
fn is_below(path: &[u8], base: &[u8]) -> bool {
    base.is_empty()
        || path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// What is where an upper is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The record of the one that is there.
    pub record: Option<Upper>,
    /// Whether nothing is in the directory, or it is not there.
    pub is_empty: bool,
    /// The magic number of its file system (statfs(2)).
    pub fs: i64,
    /// Why the caller can make nothing there.
    pub refused: Option<i32>,
    /// What it has at or above the mount points of entries in the tree, by their paths inside.
    pub over: BTreeMap<String, Written>,
}

/// What an upper has on the way to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The part of the path, below the top, at which it is.
    pub at: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing of the layers shows there.
    Removed,
    /// A directory with this mode, the last of the path that is there: what is in it is merged.
    Directory(u32),
    /// Another file than the layers'.
    Own,
    /// A symbolic link.
    Link,
    /// The caller may not look.
    Unseen,
}

impl Written {
    /// The path below the top whose change hides what the layers have, if it does.
    pub(crate) fn hides(&self) -> Option<&str> {
        let is_over = !matches!(self.what, What::Directory(_));
        is_over.then(|| self.at.trim_start_matches('/'))
    }
}

/// What to do where an earlier run changed a mount point, by a path below the top of the upper that
/// is kept in this directory.
pub(crate) fn made_again(directory: &str, path: Option<&str>) -> String {
    let discard = format!("stockade changes discard {}", shell_word(directory));
    let path = path.map_or(String::new(), |path| format!(" {}", shell_word(path)));
    format!(
        "an earlier run removed or replaced it, or a directory above it, and the upper keeps that: \
         make it again in a run without this line, or have the layers' again: {discard}{path}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written_and_nothing_else_is_one() {
        let text = r#"{"format":1,"path":"/work","layers":["/srv/base","/srv/python"],"pid":1234}"#;
        let record = Upper::parse(text.as_bytes()).unwrap();
        assert_eq!(record.line(), format!("{text}\n"));
        assert_eq!(Upper::parse(record.line().as_bytes()), Some(record.clone()));
        assert!(!record.is_of_the_host());
        let own = Upper { layers: vec!["/work".into()], begun: 7, ..record };
        assert!(own.is_of_the_host());
        assert_eq!(Upper::parse(own.line().as_bytes()), Some(own));
        for other in [
            "",
            "{}",
            r#"{"format":2,"path":"/w","layers":[],"pid":0}"#,
            r#"{"format":1,"path":"w","layers":[],"pid":0}"#,
            r#"{"format":1,"path":"/w","layers":["b"],"pid":0}"#,
            r#"{"format":1,"path":"/w","layers":["/b\u0000"],"pid":0}"#,
            r#"{"format":1,"path":"/w","layers":[],"pid":-1}"#,
            r#"{"format":1,"path":"/w","layers":[],"pid":0,"more":1}"#,
            r#"{"format":1,"path":"/w","layers":[],"pid":0} {}"#,
        ] {
            assert_eq!(Upper::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_entries_cover_is_known() {
        let text =
            r#"{"format":1,"path":"/work","layers":[],"pid":0,"mounts":["/work/a/b","/other"]}"#;
        let record = Upper::parse(text.as_bytes()).unwrap();
        for (path, cover) in [
            ("a/b", Cover::Covered),
            ("a/b/c", Cover::Covered),
            ("a/bc", Cover::Free),
            ("a", Cover::Above),
            ("", Cover::Above),
            ("other", Cover::Free),
        ] {
            assert_eq!(record.cover(path.as_bytes()), cover, "{path}");
        }
    }
}
