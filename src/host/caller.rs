//! The caller: what variables and look-up of profiles may know. Plain data, so that a test can
//! invent a caller.

use crate::language::value::{AbsolutePath, Written, join};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// The name in /etc/passwd, or the number.
    pub user: String,
    /// The home in /etc/passwd, never $HOME, which the environment could point elsewhere.
    pub home: String,
    /// getcwd(3), never $PWD.
    pub cwd: String,
    /// $XDG_RUNTIME_DIR, where it is set.
    pub runtime_dir: Option<String>,
    /// The directory that a session of the user has, /run/user/UID; looked for only where
    /// XDG_RUNTIME_DIR is not set, as in `su`, cron and services.
    pub session_dir: Option<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Where the machine's profiles are.
    pub system_profiles: String,
    /// Where the caller's profiles are: $XDG_CONFIG_HOME/stockade, or ~/.config/stockade where that
    /// is not set. Root has none, as an unprivileged program could have put one there.
    pub user_profiles: Option<String>,
}

impl Caller {
    /// The directory of the caller's running sandboxes that have a name. Root's is the machine's,
    /// whatever its environment says.
    pub fn registry(&self) -> String {
        match (self.uid, self.runtime_dir.as_ref().or(self.session_dir.as_ref())) {
            (0, _) => "/run/stockade".into(),
            (_, Some(dir)) => format!("{dir}/stockade"),
            (uid, None) => format!("/tmp/stockade-{uid}"),
        }
    }

    /// The directory of what is thrown away on disk. Root's is the machine's, whatever its
    /// environment says.
    pub fn cache(&self) -> String {
        if self.uid == 0 {
            return "/var/cache/stockade".into();
        }
        join(&self.base("XDG_CACHE_HOME", "/.cache"), "/stockade")
    }

    /// A base directory of the caller's. The XDG Base Directory Specification has a path that is not
    /// absolute ignored.
    fn base(&self, variable: &str, default: &str) -> String {
        let said = self.env.get(variable).and_then(|path| AbsolutePath::from_text(path).ok());
        said.map_or_else(|| join(&self.home, default), |path| path.0)
    }

    /// The directory of what is kept between runs by a name. Root's is the machine's, whatever its
    /// environment says.
    pub fn states(&self) -> String {
        if self.uid == 0 {
            return "/var/lib/stockade/state".into();
        }
        join(&self.base("XDG_STATE_HOME", "/.local/state"), "/stockade")
    }
}
