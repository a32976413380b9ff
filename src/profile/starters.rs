//! Profiles to start from, by role: texts with a few places that the machine decides.

use crate::language::value::words;

words! {
    /// What a new profile is for.
    Role {
        /// One command on the files of the current directory.
        Command = "command",
        /// An offline build of one directory.
        Build = "build",
        /// A program that serves, under systemd.
        Service = "service",
        /// A program that reads one untrusted input.
        Parser = "parser",
        /// A command that talks to the network.
        NetworkClient = "network-client",
    }
}

/// What of the machine a starter depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fit {
    /// Landlock's ABI, where there is one.
    pub landlock: Option<u32>,
    /// The text of /etc/resolv.conf.
    pub resolv: String,
}

/// The ABI from which Landlock has rules for ports (Linux 6.7).
const PORTS_ABI: u32 = 4;

/// The text of a new profile.
pub(crate) fn starter(role: Role, name: &str, file: &str, fit: &Fit) -> String {
    let text = match role {
        Role::Command => include_str!("../../profiles/starters/command.toml"),
        Role::Build => include_str!("../../profiles/starters/build.toml"),
        Role::Service => include_str!("../../profiles/starters/service.toml"),
        Role::Parser => include_str!("../../profiles/starters/parser.toml"),
        Role::NetworkClient => include_str!("../../profiles/starters/network-client.toml"),
    };
    let optional = match fit.landlock {
        Some(_) => "",
        None => {
            "# This kernel has no Landlock, the second wall behind the mounts. Take this out where \
             it has.\noptional = [\"landlock\"]\n"
        }
    };
    let ports = match fit.landlock {
        Some(abi) if abi >= PORTS_ABI => {
            "\n[landlock]\n# HTTP and HTTPS, and name look-up by TCP.\ntcp-connect = [53, 80, \
             443]\ntcp-bind = []\n"
        }
        _ => {
            "# This kernel's Landlock has no rules for ports (Linux 6.7 has), so the command may \
             connect to any.\n"
        }
    };
    let servers: String = fit
        .resolv
        .lines()
        .filter(|line| line.starts_with("nameserver "))
        .map(|line| format!("{line}\\n"))
        .collect();
    text.replace("#OPTIONAL\n", optional)
        .replace("#PORTS\n", ports)
        .replace("RESOLV", &servers.replace('"', ""))
        .replace("NAME", name)
        .replace("FILE", file)
}
