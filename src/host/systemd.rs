//! The systemd that takes the caller's orders, or why there is none.

use crate::text::problem::errno_words;
use serde::Serialize;

/// Where a manager listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    pub path: String,
    pub route: Route,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// The manager itself, as systemctl(1) speaks to it.
    Private,
    /// A message bus, which hands on.
    Bus,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// The socket; none where there is no such file.
    pub socket: Option<String>,
    /// Why it could not be connected to.
    pub errno: i32,
}

impl Unreached {
    /// The reason in words.
    pub fn words(&self, root: bool) -> String {
        let whose = if root { "the system's systemd" } else { "the user's systemd" };
        match &self.socket {
            None => format!("{whose} is not running"),
            Some(socket) => {
                format!("{whose} does not answer at {socket}: {}", errno_words(self.errno))
            }
        }
    }
}
