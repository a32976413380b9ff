//! Who called: what variables and look-up of profiles may know. Plain data, so that a test can invent a caller.

use std::collections::BTreeMap;

/// The caller.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The name in /etc/passwd, or the number.
    pub user: String,
    /// The home in /etc/passwd, never $HOME, which the environment could point elsewhere.
    pub home: String,
    /// getcwd(3), never $PWD.
    pub cwd: String,
    /// $XDG_RUNTIME_DIR, where it is set.
    pub runtime_dir: Option<String>,
    /// The environment, but for what is not UTF-8.
    pub env: BTreeMap<String, String>,
    /// Where the machine's profiles are.
    pub system_profiles: String,
    /// Where the caller's profiles are; root has none, as an unprivileged program could have put one there.
    pub user_profiles: Option<String>,
}

/// The home of a user without an entry, as in containers with an arbitrary user: Debian's name for none.
const NO_HOME: &str = "/nonexistent";

impl Caller {
    /// Who called this process.
    pub fn current() -> Caller {
        let (uid, gid) = crate::sys::ids_at_start();
        let env: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        let (user, home) = passwd_entry(uid).unwrap_or_else(|| (uid.to_string(), NO_HOME.into()));
        let cwd = std::env::current_dir().ok().and_then(|cwd| cwd.to_str().map(str::to_owned)).unwrap_or_default();
        let user_profiles = (uid != 0 && home.starts_with('/')).then(|| format!("{home}/.config/stockade"));
        Caller {
            uid,
            gid,
            user,
            home,
            // A folder that was removed, or lies outside of this process's root, has no path.
            cwd: if cwd.starts_with('/') { cwd } else { String::new() },
            runtime_dir: env.get("XDG_RUNTIME_DIR").filter(|path| path.starts_with('/')).cloned(),
            env,
            system_profiles: "/etc/stockade".into(),
            user_profiles,
        }
    }
}

impl Caller {
    /// The directory of the caller's running sandboxes that have a name. Root's is the machine's, whatever its environment says.
    pub fn registry(&self) -> Option<String> {
        match (self.uid, &self.runtime_dir) {
            (0, _) => Some("/run/stockade".into()),
            (_, dir) => dir.as_ref().map(|dir| format!("{dir}/stockade")),
        }
    }
}

/// Name and home of a user (passwd(5)). A static binary has no NSS modules, so it reads the file.
fn passwd_entry(uid: u32) -> Option<(String, String)> {
    let text = crate::sys::read_whole(c"/etc/passwd").ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let ours = fields.nth(1)?.parse() == Ok(uid);
        ours.then(|| Some((name.to_owned(), fields.nth(2)?.to_owned())))?
    })
}
