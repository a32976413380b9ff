//! Profiles to start from, by role: texts with a few places that the machine decides.

use crate::language::value::words;
use crate::text::problem::escape;
use crate::text::shell::shell_word;

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

/// Facts of the machine that a starter depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fit {
    /// Landlock's ABI, where there is one.
    pub landlock: Option<u32>,
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
            "# This kernel has no Landlock, the second protection of files. Take this out where \
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
    let places = [
        ("#OPTIONAL\n", optional),
        ("#PORTS\n", ports),
        ("NAME", name),
        // It is put into comments, which end at a line break, and into commands to paste.
        ("FILE", &escape(&shell_word(file))),
    ];
    filled(text, &places)
}

/// A text with its places filled; what is put in is not looked through for others.
fn filled(text: &str, places: &[(&str, &str)]) -> String {
    let next = |rest: &str| {
        let find = |(place, value)| Some((rest.find(place)?, str::len(place), value));
        places.iter().copied().filter_map(find).min()
    };
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((at, length, value)) = next(rest) {
        out.push_str(&rest[..at]);
        out.push_str(value);
        rest = &rest[at + length..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::caller::Caller;
    use crate::language::value::Written;
    use crate::profile::{Request, load};
    use crate::text::source::Sources;

    /// Names with every sign that would end a comment or a placeholder, or be one.
    #[test]
    fn every_starter_is_read_whatever_is_put_in() {
        let landlock = [None, Some(3), Some(6)];
        let roles = Role::WORDS.iter().map(|word| Role::from_text(word).unwrap());
        for (role, landlock) in roles.flat_map(|role| landlock.map(|abi| (role, abi))) {
            let fit = Fit { landlock };
            let text = starter(role, "FILE", "/a\n[mounts]\u{7f}/NAME #PORTS\n.toml", &fit);
            let params = vec![("data".to_owned(), "/srv".to_owned())];
            let params = if role == Role::Service { params } else { vec![] };
            let request = Request { text: Some(text.clone()), params, ..Request::default() };
            let profile = load(&request, &Caller::current(), &mut Sources::default());
            profile.unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
            assert!(text.starts_with("# FILE: "), "{text}");
        }
    }
}
