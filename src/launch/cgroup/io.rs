//! What block devices report of a group: bytes and operations, and whether its limits held it back.
//! Pure: texts of the kernel in, numbers out.

use crate::text::gather::Gather;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The bytes and operations of block devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Io {
    /// Bytes.
    pub read_bytes: u64,
    /// Bytes.
    pub written_bytes: u64,
    /// Operations.
    pub reads: u64,
    /// Operations.
    pub writes: u64,
}

/// By device, as the kernel writes its numbers: bytes read, bytes written, reads, writes.
pub(super) type ByDevice = BTreeMap<String, [u64; 4]>;

/// The words of each of the four in `io.stat` and `io.max`.
const STAT: [&str; 4] = ["rbytes", "wbytes", "rios", "wios"];
const MAX: [&str; 4] = ["rbps", "wbps", "riops", "wiops"];

/// All devices together.
pub(super) fn sum(devices: &ByDevice) -> Io {
    let all =
        |index: usize| devices.values().map(|numbers| numbers[index]).fold(0, u64::saturating_add);
    Io { read_bytes: all(0), written_bytes: all(1), reads: all(2), writes: all(3) }
}

/// `MAJOR:MINOR Read N` and so on, one to a line, in one file for bytes and one for operations.
pub(super) fn of_v1(bytes: &str, operations: &str) -> ByDevice {
    let mut devices = ByDevice::new();
    for (text, first) in [(bytes, 0), (operations, 2)] {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[device, kind, number] = &words[..] else { continue };
            let index = match kind {
                "Read" => first,
                "Write" => first + 1,
                _ => continue,
            };
            devices.entry(device.to_owned()).or_default()[index] = number.parse().unwrap_or(0);
        }
    }
    devices
}

/// `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N ...`, one device to a line.
pub(super) fn of_v2(text: &str) -> ByDevice {
    keyed(text, STAT, 0)
}

/// `MAJOR:MINOR N`, in a file for each of the four; none is the largest number.
pub(super) fn limits_of_v1(files: [String; 4]) -> ByDevice {
    let mut devices = ByDevice::new();
    for (index, text) in files.iter().enumerate() {
        for (device, number) in text.lines().filter_map(|line| line.split_once(' ')) {
            devices.entry(device.to_owned()).or_insert([u64::MAX; 4])[index] =
                number.trim().parse().unwrap_or(u64::MAX);
        }
    }
    devices
}

/// `MAJOR:MINOR rbps=max wbps=N riops=max wiops=max`, one device to a line.
pub(super) fn limits_of_v2(text: &str) -> ByDevice {
    keyed(text, MAX, u64::MAX)
}

fn keyed(text: &str, words: [&str; 4], unsaid: u64) -> ByDevice {
    let device = |line: &str| {
        let (device, rest) = line.split_once(' ')?;
        let of = |word: &str| {
            rest.split(' ')
                .find_map(|part| part.strip_prefix(word)?.strip_prefix('=')?.parse().ok())
                .unwrap_or(unsaid)
        };
        Some((device.to_owned(), words.map(of)))
    };
    text.lines().filter_map(device).gather()
}

/// The kernel lets through at once what a limit gives in a tenth of a second (blk-throttle.c,
/// `throtl_slice`); less than this is no sign.
const LEAST: Duration = Duration::from_millis(250);

/// Whether a limit slowed a process down. The kernel does not count that, so the sum decides: nine
/// tenths of the bytes or operations that the limit allows in this time. Over the time of a long
/// run a short burst that waited is not seen.
pub(super) fn was_limited(used: &ByDevice, limits: &ByDevice, time: Duration) -> bool {
    let seconds = time.max(LEAST).as_secs_f64();
    limits.iter().any(|(device, limits)| {
        let used = used.get(device).copied().unwrap_or_default();
        limits
            .iter()
            .zip(used)
            .any(|(limit, used)| *limit != u64::MAX && used as f64 >= *limit as f64 * seconds * 0.9)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_both_versions_give_the_same() {
        let second = of_v2(
            "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16\n254:0 rbytes=1 \
             cost.usage=5\n",
        );
        let first = of_v1(
            "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n254:0 Read 1\nTotal 31\n",
            "8:0 Read 1\n8:0 Write 2\nTotal 3\n",
        );
        assert_eq!(
            (sum(&first), &first),
            (Io { read_bytes: 11, written_bytes: 20, reads: 1, writes: 2 }, &second)
        );
        let limits = limits_of_v2("8:0 rbps=max wbps=1000 riops=max wiops=max\n");
        assert_eq!(
            limits,
            limits_of_v1([String::new(), "8:0 1000\n".into(), String::new(), String::new()])
        );
    }

    #[test]
    fn who_moved_as_much_as_the_limit_lets_through_was_held_back() {
        let limits = limits_of_v2("8:0 rbps=max wbps=1000 riops=max wiops=max\n");
        let used =
            |written: u64| of_v2(&format!("8:0 rbytes=99999 wbytes={written} rios=1 wios=2\n"));
        assert!(was_limited(&used(1900), &limits, Duration::from_secs(2)));
        assert!(
            !was_limited(&used(1000), &limits, Duration::from_secs(2))
                && !was_limited(&used(100), &limits, Duration::from_millis(1))
        );
        assert!(!was_limited(&of_v2("8:16 wbytes=9999\n"), &limits, Duration::from_secs(2)));
    }
}
