//! What a launcher makes and the kernel does not free by itself: a SIGKILL of the launcher leaves
//! it, and the next run removes it. It is found in the entries of dead launchers and where runs
//! make such things; the one sweep is here, and nothing here is reported: what cannot be removed
//! stays for a later run.

use super::cgroup::{self, Group};
use serde::{Deserialize, Serialize};

/// A thing that a run may leave behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Leftover {
    /// A control group.
    Group(Group),
}

impl Leftover {
    /// Whether it is this launcher's by its name: an entry is a file, and nothing else is touched
    /// because of what it says.
    pub(super) fn is_of(&self, launcher: i32) -> bool {
        match self {
            Leftover::Group(group) => group.is_of(launcher),
        }
    }
}

/// Removes what is a dead launcher's among these.
pub(super) fn sweep(found: impl IntoIterator<Item = Leftover>) {
    let mut groups = vec![];
    for left in found {
        match left {
            Leftover::Group(group) => groups.push(group),
        }
    }
    cgroup::reap(groups);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::controller::Version;

    fn group(path: &str) -> Leftover {
        Leftover::Group(Group { version: Version::V2, path: path.into() })
    }

    #[test]
    fn an_entry_reads_as_it_was_written_and_no_other_kind_is_taken_for_one() {
        let one = group("/sys/fs/cgroup/stockade-7-1");
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, r#"{"kind":"group","version":"v2","path":"/sys/fs/cgroup/stockade-7-1"}"#);
        assert_eq!(serde_json::from_str::<Leftover>(&text).unwrap(), one);
        for other in [
            r#"{"kind":"table","path":"/x"}"#,
            r#"{"version":"v2","path":"/x"}"#,
            r#"{"kind":"group","version":3,"path":"/x"}"#,
            r#"{"kind":"group","version":"v2","path":"/x","more":1}"#,
        ] {
            assert!(serde_json::from_str::<Leftover>(other).is_err(), "{other}");
        }
    }

    /// An entry must not lead the sweep to a directory that is no launcher's control group.
    #[test]
    fn nothing_else_is_a_launcher_s() {
        let place = std::env::temp_dir().join(format!("stockade-7-left-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        for path in [
            place.to_str().unwrap(),
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/stockade-8-1",
            "/sys/fs/cgroup/../../../stockade-7-1",
            "/sys/fs/cgroup/stockade-7-1/..",
            "/sys/fs/cgroup/\0/stockade-7-1",
            "",
        ] {
            assert!(!group(path).is_of(7), "{path}");
            sweep([group(path)]);
        }
        assert!(place.exists());
        std::fs::remove_dir(place).unwrap();
    }

    /// A user can give a symbolic link a launcher's name. A group behind such a link is not the
    /// launcher's, be the link at the end of a path or on the way.
    #[test]
    fn what_a_link_leads_to_is_nobody_s() {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (path, kind) = (fields.next()?, fields.next()?);
            kind.starts_with("cgroup").then_some(path)
        });
        let Some(mount) = mount else { return };
        // To the kernel this is the group of the mount itself.
        assert!(!group(&format!("{mount}/\0/stockade-7-1")).is_of(7));
        let place = std::env::temp_dir().join(format!("stockade-link-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let link = place.join("stockade-7-1");
        std::os::unix::fs::symlink(mount, &link).unwrap();
        // It is a control group's, and has the name.
        assert!(
            std::fs::read_dir(&link)
                .unwrap()
                .flatten()
                .any(|file| { file.file_name().to_string_lossy().starts_with("cgroup.") })
        );
        assert!(!group(link.to_str().unwrap()).is_of(7));
        std::fs::remove_dir_all(place).unwrap();
    }
}
