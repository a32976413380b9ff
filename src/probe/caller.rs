//! Reads facts of the calling user.

use crate::host::caller::Caller;
use crate::text::bytes;
use crate::text::gather::Gather;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

/// The home of a user without an entry, as in containers with an arbitrary user: Debian's name for
/// none.
const NO_HOME: &str = "/nonexistent";

impl Caller {
    /// The caller of this process.
    pub fn current() -> Caller {
        let (uid, gid) = crate::sys::ids_at_start();
        let env: BTreeMap<String, String> =
            std::env::vars_os().map(|(name, value)| (bytes::of(name), bytes::of(value))).gather();
        let (user, home) = passwd_entry(uid).unwrap_or_else(|| (uid.to_string(), NO_HOME.into()));
        let cwd = std::env::current_dir().map_or(String::new(), bytes::of);
        // The XDG Base Directory Specification has a path that is not absolute ignored.
        let config = env.get("XDG_CONFIG_HOME").filter(|path| path.starts_with('/')).cloned();
        let config = config.or_else(|| home.starts_with('/').then(|| format!("{home}/.config")));
        let user_profiles = config
            .filter(|_| uid != 0)
            .map(|config| format!("{}/stockade", config.trim_end_matches('/')));
        let runtime_dir = env.get("XDG_RUNTIME_DIR").filter(|path| path.starts_with('/')).cloned();
        let session_dir = (uid != 0 && runtime_dir.is_none())
            .then(|| format!("/run/user/{uid}"))
            .filter(|path| is_alone(path, uid).is_ok());
        Caller {
            uid,
            gid,
            user,
            home,
            // A directory that was removed, or lies outside of this process's root, has no path.
            cwd: if cwd.starts_with('/') { cwd } else { String::new() },
            runtime_dir,
            session_dir,
            env,
            system_profiles: "/etc/stockade".into(),
            user_profiles,
        }
    }
}

/// Whether a path is a directory of the user's that no other user may enter; or why not.
pub(super) fn is_alone(path: &str, uid: u32) -> std::io::Result<()> {
    let meta = std::fs::symlink_metadata(bytes::path(path))?;
    if meta.is_dir() && meta.uid() == uid && meta.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

/// Name and home of a user (passwd(5)). A static binary has no NSS modules, so it reads the file.
fn passwd_entry(uid: u32) -> Option<(String, String)> {
    let text = crate::sys::read_whole(c"/etc/passwd").ok()?;
    bytes::text(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let ours = fields.nth(1)?.parse() == Ok(uid);
        ours.then(|| Some((name.to_owned(), fields.nth(2)?.to_owned())))?
    })
}
