//! Files of JSON beside an upper. None is written that is too long to be read again: what an apply has
//! left half done could not be ended then.

use super::discard::remove;
use crate::sys::{self, Errno};
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::RawFd;

/// One while it is written.
pub(super) const DRAFT: &CStr = c"journal.new";
/// No link, and no FIFO that keeps the opener waiting.
const WAITS_NOT: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
/// More than a million changes with long paths have; a control character of a name takes six bytes.
pub(super) const LARGEST: u64 = 1 << 30;

/// A file that takes so many bytes more.
struct Within {
    file: File,
    left: u64,
}

impl Write for Within {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::from_raw_os_error(libc::EFBIG))?;
        self.file.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Writes one of so many bytes at most, in the place of the one that is there.
pub(super) fn write(
    directory: RawFd,
    file: &CStr,
    value: &impl Serialize,
    most: u64,
) -> sys::Result {
    let written = draft(directory, value, most);
    if written.is_err() {
        sys::regardless(remove(directory, DRAFT));
    }
    written?;
    sys::rename_at(directory, DRAFT, directory, file, 0)?;
    sys::sync(directory)
}

fn draft(directory: RawFd, value: &impl Serialize, most: u64) -> sys::Result {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | WAITS_NOT;
    let file = File::from(sys::owned(sys::openat(directory, DRAFT, flags, 0o600)?));
    let mut text = BufWriter::with_capacity(64 << 10, Within { file, left: most });
    let written = serde_json::to_writer(&mut text, value).map_err(io::Error::from);
    let written = written.and_then(|()| text.flush());
    written.and_then(|()| text.get_ref().file.sync_all()).map_err(|error| errno(&error))
}

pub(super) fn read<T: for<'d> Deserialize<'d>>(
    directory: RawFd,
    file: &CStr,
) -> sys::Result<Option<T>> {
    let fd = match sys::openat(directory, file, libc::O_RDONLY | WAITS_NOT, 0) {
        Err(Errno(libc::ENOENT)) => return Ok(None),
        other => sys::owned(other?),
    };
    let mut text = vec![];
    File::from(fd).take(LARGEST).read_to_end(&mut text).map_err(|error| errno(&error))?;
    serde_json::from_slice(&text).map(Some).map_err(|_| Errno(libc::EBADMSG))
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Act, Journal, Stage, Unit};
    use super::*;
    use crate::text::gather::Gather;
    use std::fs;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_too_long_to_be_read_again_is_not_written() {
        let place = std::env::temp_dir().join(format!("stockade-files-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let directory = File::open(&place).unwrap();
        let put = |value: &[&str], most| write(directory.as_raw_fd(), c"it", &value, most);
        let there = || read::<Vec<String>>(directory.as_raw_fd(), c"it").unwrap();
        assert_eq!((put(&["old"], 7), there()), (Ok(()), Some(vec!["old".to_owned()])));
        // Each of the two is six bytes there.
        let new = "\u{1}\u{1}";
        assert_eq!(put(&[new], 15), Err(Errno(libc::EFBIG)));
        assert_eq!(there(), Some(vec!["old".to_owned()]));
        let names: Vec<_> =
            fs::read_dir(&place).unwrap().map(|one| one.unwrap().file_name()).gather();
        assert_eq!(names, ["it"]);
        assert_eq!((put(&[new], 16), there()), (Ok(()), Some(vec![new.to_owned()])));
        fs::remove_dir_all(&place).unwrap();
    }

    /// A journal gets half the room before anything is made.
    #[test]
    fn a_journal_gets_less_than_twice_as_long() {
        let length = |stage, units: &[Unit]| {
            let prefix = ".stockade-0123456789abcdef-".to_owned();
            let journal = Journal { stage, prefix, units: units.to_vec(), is_found: false };
            serde_json::to_vec(&journal).unwrap().len()
        };
        let modes = [0, u32::MAX].map(|mode| Act::Open { new: mode, old: mode });
        for act in [Act::Add, Act::Replace, Act::Remove].into_iter().chain(modes) {
            let path = String::new();
            let before = Unit { path, act, new: 0, old: 0, written: (0, 0), made: (0, 0) };
            let after = Unit { new: u64::MAX, made: (i64::MIN, u32::MAX), ..before.clone() };
            for count in [0, 1, 100] {
                let made = length(Stage::Made, &vec![before.clone(); count]);
                for stage in [Stage::Switched, Stage::Done, Stage::Closing] {
                    assert!(length(stage, &vec![after.clone(); count]) < 2 * made, "{act:?}");
                }
            }
        }
    }
}
