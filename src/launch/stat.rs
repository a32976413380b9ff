//! What /proc/PID/stat reports of a process (proc_pid_stat(5)).

use crate::kernel::name::Name;
use crate::sys::{self, Errno};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Whether it has ended, and only waits to be waited for.
    pub ended: bool,
    /// Whether it is stopped, by a signal or a tracer.
    pub stopped: bool,
    /// When it began, in hundredths of a second since the machine did (CLOCK_BOOTTIME).
    pub began: u64,
}

/// Looks at a process; `None` where there is none of that number.
pub(super) fn of(pid: u64) -> Result<Option<Stat>, Errno> {
    match sys::read_generated(Name::new(&format!("/proc/{pid}/stat")).as_c_str()) {
        Ok(bytes) => read(&String::from_utf8_lossy(&bytes)).map(Some).ok_or(Errno(libc::EINVAL)),
        Err(Errno(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The fields follow the name, which may hold any byte.
fn read(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let state = *fields.first()?;
    Some(Stat {
        ended: matches!(state, "Z" | "X"),
        stopped: matches!(state, "T" | "t"),
        began: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        assert_eq!(read(stat), Some(Stat { ended: false, stopped: false, began: 12345 }));
        assert!(
            read("7 (a) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0").unwrap().ended
        );
        assert!(!of(sys::getpid() as u64).unwrap().unwrap().ended);
        assert_eq!(of(1 << 40), Ok(None));
    }
}
