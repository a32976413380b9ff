//! An entry of `[mounts]` as a profile writes it. It reads entries and judges none.

use super::entry::{Access, Bind, Broad, Content, Hidden, Missing, Mount, Sockets, TMPFS, Tmpfs};
use crate::kernel::proc::HidePid;
use crate::language::read::Read;
use crate::language::section::EntryType;
use crate::language::spelled::{Toml, quoted};
use crate::language::value::AbsolutePath;

/// The line of an entry, for help that can be pasted: `"/usr" = "ro"`.
pub(crate) fn line(path: &str, mount: &Mount) -> String {
    let here = || Some(AbsolutePath(path.to_owned()));
    let value = match mount {
        // Such a bind has no word, so it names its source.
        Mount::Bind(bind) if bind.source.is_none() && *bind != Bind::new(None, bind.access) => {
            bound(&Bind { source: here(), ..bind.clone() })
        }
        mount => value(mount),
    };
    format!("{} = {value}", quoted(&Mount::spell_name(path)))
}

/// What stands behind the path.
pub(super) fn value(mount: &Mount) -> Toml {
    match mount {
        Mount::Bind(bind) => bound(bind),
        Mount::Tmpfs(tmpfs) if *tmpfs == TMPFS => Toml::word("tmpfs"),
        Mount::Tmpfs(Tmpfs { size, inodes, mode, exec }) => table([
            ("tmpfs", Some(size.spell())),
            ("inodes", (*inodes != TMPFS.inodes).then(|| inodes.spell())),
            ("mode", mode.spell_key()),
            ("exec", exec.then(|| exec.spell())),
        ]),
        Mount::Proc { hidepid: HidePid::Off, only_processes: false } => Toml::word("proc"),
        Mount::Proc { hidepid, only_processes } => {
            let options = table([
                ("hidepid", (*hidepid != HidePid::Off).then(|| hidepid.spell())),
                ("subset", only_processes.then(|| Toml::word("pid"))),
            ]);
            table([("proc", Some(options))])
        }
        Mount::Dev { extra } if extra.is_empty() => Toml::word("dev"),
        Mount::Dev { extra } => table([("dev", Some(extra.spell()))]),
        Mount::Device { source: None } => Toml::word("device"),
        Mount::Device { source } => table([("device", source.spell_key())]),
        Mount::Socket(source) => table([("socket", Some(source.spell()))]),
        Mount::Sysfs => Toml::word("sysfs"),
        Mount::Mqueue => Toml::word("mqueue"),
        Mount::Dir { mode: None } => Toml::word("dir"),
        Mount::Dir { mode } => table([("dir", mode.spell_key())]),
        Mount::Symlink(text) => table([("symlink", Some(text.spell()))]),
        Mount::File { content, mode } => {
            let (key, value) = match content {
                Content::Text(text) => ("text", text.spell()),
                Content::Fd(fd) => ("fd", fd.spell()),
                Content::Env(name) => ("env", name.spell()),
            };
            table([(key, Some(value)), ("mode", mode.spell_key())])
        }
        Mount::Hide { missing: Missing::Error, known: Hidden::Unsaid } => Toml::word("hide"),
        Mount::Hide { missing, known } => table([
            ("hide", Some(known.spell())),
            ("missing", (*missing != Missing::Error).then(|| missing.spell())),
        ]),
    }
}

fn bound(bind: &Bind) -> Toml {
    if *bind == Bind::new(None, bind.access) {
        return bind.access.spell();
    }
    let Bind { source, access, recursive, exec, missing, broad, sockets, owner_root } = bind;
    table([
        ("bind", source.spell_key()),
        ("access", (*access == Access::ReadWrite).then(|| access.spell())),
        ("recursive", (!recursive).then(|| recursive.spell())),
        ("exec", (!exec).then(|| exec.spell())),
        ("missing", (*missing != Missing::Error).then(|| missing.spell())),
        ("broad", (*broad != Broad::Refuse).then(|| broad.spell())),
        ("sockets", (*sockets != Sockets::Refuse).then(|| sockets.spell())),
        ("owner", owner_root.then(|| Toml::word("root"))),
    ])
}

fn table<const N: usize>(keys: [(&str, Option<Toml>); N]) -> Toml {
    let said = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Toml::Table(said.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of a profile, and that it is spelled as it was.
    #[track_caller]
    fn same(text: &str) {
        let document = toml::de::DeTable::parse(text).unwrap().into_inner();
        let (path, mount) = document.iter().next().unwrap();
        assert_eq!(line(path.get_ref(), &Mount::read(mount).unwrap()), text);
    }

    #[test]
    fn an_entry_is_spelled_as_it_is_read() {
        for text in [
            "\"/usr\" = \"ro\"",
            "\"/w\" = \"rw\"",
            "\"/w\" = \
             { bind = \"/x\", access = \"rw\", recursive = false, exec = false, missing = \"skip\", broad = true, sockets = true, owner = \"root\" }",
            "\"/w\" = { bind = \"/w\", broad = \"skip\", sockets = \"hide\" }",
            "\"/t\" = \"tmpfs\"",
            "\"/t\" = { tmpfs = \"1M\", inodes = 5, mode = \"0700\", exec = true }",
            "\"/proc\" = \"proc\"",
            "\"/proc\" = { proc = { hidepid = \"invisible\", subset = \"pid\" } }",
            "\"/dev\" = { dev = [\"/dev/fuse\"] }",
            "\"/dev/a\" = { device = \"/dev/b\" }",
            "\"/s\" = { socket = \"/run/s\" }",
            "\"/d\" = { dir = \"0700\" }",
            "\"/l\" = { symlink = \"a b\" }",
            "\"/f\" = { text = \"a\\n\\\"b\\\"\\u202e\", mode = \"0600\" }",
            "\"/f\" = { fd = 5 }",
            "\"/f\" = { env = \"TOKEN\" }",
            "\"/h\" = \"hide\"",
            "\"/h\" = { hide = true, missing = \"skip\" }",
            "\"/h\" = { hide = \"file\" }",
        ] {
            same(text);
        }
    }
}
