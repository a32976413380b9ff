//! The walk with few descriptors, over files that change, and records that lie.

use super::*;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What was given, and what is done at each piece of a file.
#[derive(Default)]
struct Given {
    changes: Vec<(What, String)>,
    bytes: u64,
    grows: Option<PathBuf>,
}

impl Sink for Given {
    fn change(&mut self, change: &Change) -> sys::Result {
        let path = String::from_utf8(change.path.clone()).unwrap();
        self.changes.push((change.what, path));
        Ok(())
    }

    fn data(&mut self, _: bool, _: u64, bytes: &[u8]) -> sys::Result {
        self.bytes += bytes.len() as u64;
        if let Some(path) = &self.grows {
            let mut more = fs::read(path).unwrap();
            more.extend_from_within(..);
            fs::write(path, more).unwrap();
        }
        Ok(())
    }

    fn end(&mut self, _: bool) -> sys::Result {
        Ok(())
    }
}

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let name = format!("stockade-walk-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("upper")).unwrap();
        fs::create_dir_all(path.join("low")).unwrap();
        Place(path)
    }

    fn walk(&self, contents: Contents, open: usize, given: &mut Given) -> Option<Stopped> {
        let most = Most { open, is_root: false };
        let [upper, low] = ["upper", "low"].map(|name| File::open(self.0.join(name)).unwrap());
        walk(upper.as_raw_fd(), &[low.as_raw_fd()], contents, most, given).err()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_deep_tree_is_walked_with_few_descriptors() {
    let place = Place::new("deep");
    let (mut upper, mut low) = (place.0.join("upper"), place.0.join("low"));
    for _ in 0..100 {
        upper.push("d");
        low.push("d");
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&low).unwrap();
        fs::write(upper.join("z"), "z").unwrap();
    }
    let mut given = Given::default();
    assert_eq!(place.walk(Contents::Nothing, 8, &mut given), None);
    // The deepest first, as `d` comes before `z`.
    let paths = (1..=100).rev().map(|depth| "d/".repeat(depth) + "z");
    let all: Vec<_> = paths.map(|path| (What::Added, path)).collect();
    assert_eq!(given.changes, all);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_read_to_its_old_end() {
    let place = Place::new("grows");
    let path = place.0.join("upper/file");
    fs::write(&path, vec![b'a'; PIECE]).unwrap();
    let mut given = Given { grows: Some(path), ..Given::default() };
    assert_eq!(place.walk(Contents::After, 8, &mut given), None);
    assert_eq!((given.bytes, given.changes.len()), (PIECE as u64, 1));
}

/// By how many bytes were read: to compare a file of any size takes what is in it.
#[test]
fn what_is_a_hole_in_both_files_is_not_read() {
    let place = Place::new("holes");
    // How much this thread has read, where the kernel counts it (proc(5)).
    let read = || -> Option<u64> {
        let text = fs::read_to_string("/proc/thread-self/io").ok()?;
        text.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
    };
    let put = |side: &str, name: &str, at: &[(u64, &[u8])]| {
        let file = File::create(place.0.join(side).join(name)).unwrap();
        file.set_len(1 << 30).unwrap();
        at.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    };
    let (middle, end) = (300 << 20, (1 << 30) - 1);
    let zeros = &[0; 1 << 17][..];
    for (name, upper, low) in [
        ("empty", &[][..], &[][..]),
        ("same", &[(middle, &b"x"[..]), (end, b"y")], &[(middle, &b"x"[..]), (end, b"y")]),
        // Zeros that are written down are those of a hole.
        ("zeros", &[(middle, zeros)], &[(end - 5000, &zeros[..5000])]),
        ("other", &[(middle, b"x")], &[(middle, b"z")]),
        ("later", &[(middle, b"x")], &[(middle, b"x"), (end, b"y")]),
        ("moved", &[(end, b"x")], &[(middle, b"x")]),
    ] {
        put("upper", name, upper);
        put("low", name, low);
    }
    let (mut given, before) = (Given::default(), read());
    assert_eq!(place.walk(Contents::Nothing, 8, &mut given), None);
    let paths: Vec<_> = given.changes.iter().map(|(what, path)| (*what, path.as_str())).collect();
    assert_eq!(paths, ["later", "moved", "other"].map(|path| (What::Changed, path)));
    if let (Some(before), Some(after)) = (before, read()) {
        assert!(after - before < 4 << 20, "{}", after - before);
    }
}

#[test]
fn records_of_a_directory_are_read_and_nothing_beyond_them() {
    let record = |name: &[u8], length: u16| {
        let mut record = vec![0; 16];
        record.extend_from_slice(&length.to_ne_bytes());
        record.push(libc::DT_DIR);
        record.extend_from_slice(name);
        record.resize(usize::from(length).max(19 + name.len()), 0);
        record
    };
    let read = |bytes: &[u8]| -> Vec<Vec<u8>> {
        sys::records(bytes).map(|(name, _)| name.to_vec()).collect()
    };
    let two = [record(b".", 24), record(b"a\n", 24), record(b"bc", 24)].concat();
    assert_eq!(read(&two), [b"a\n".to_vec(), b"bc".to_vec()]);
    for length in 0..24 {
        assert!(read(&two[..24 + length]).is_empty(), "{length}");
    }
    // A length of nothing, or beyond the end.
    assert!(read(&record(b"a", 0)).is_empty() && read(&record(b"a", 0)[..19]).is_empty());
    assert!(read(&record(b"a", 24)[..23]).is_empty());
}
