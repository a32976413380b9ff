//! An entry of `[mounts]` as a profile writes it, for help that can be pasted. It reads entries and
//! judges none.

use super::entry::{Access, Bind, Broad, Content, Hidden, Missing, Mount, Sockets, TMPFS, Tmpfs};
use crate::kernel::proc::HidePid;
use crate::language::value::literal;

/// The line of an entry: `"/usr" = "ro"`.
pub(crate) fn line(path: &str, mount: &Mount) -> String {
    format!("{} = {}", literal(path), value(path, mount))
}

/// What stands behind the path.
fn value(path: &str, mount: &Mount) -> String {
    match mount {
        Mount::Bind(bind) => bound(path, bind),
        Mount::Tmpfs(tmpfs) if *tmpfs == TMPFS => "\"tmpfs\"".into(),
        Mount::Tmpfs(Tmpfs { size, inodes, mode, exec }) => {
            let mut keys = vec![format!("tmpfs = \"{size}\"")];
            keys.extend((*inodes != TMPFS.inodes).then(|| format!("inodes = {inodes}")));
            keys.extend(mode.map(|mode| format!("mode = \"{mode}\"")));
            keys.extend(exec.then(|| "exec = true".to_owned()));
            table(keys)
        }
        Mount::Proc { hidepid: HidePid::Off, only_processes: false } => "\"proc\"".into(),
        Mount::Proc { hidepid, only_processes } => {
            let mut keys = vec![];
            keys.extend((*hidepid != HidePid::Off).then(|| format!("hidepid = \"{hidepid}\"")));
            keys.extend(only_processes.then(|| "subset = \"pid\"".to_owned()));
            format!("{{ proc = {} }}", table(keys))
        }
        Mount::Dev { extra } if extra.is_empty() => "\"dev\"".into(),
        Mount::Dev { extra } => {
            let nodes: Vec<String> = extra.iter().map(|node| literal(node)).collect();
            format!("{{ dev = [{}] }}", nodes.join(", "))
        }
        Mount::Device { source: None } => "\"device\"".into(),
        Mount::Device { source: Some(source) } => format!("{{ device = {} }}", literal(source)),
        Mount::Socket(source) => format!("{{ socket = {} }}", literal(source)),
        Mount::Sysfs => "\"sysfs\"".into(),
        Mount::Mqueue => "\"mqueue\"".into(),
        Mount::Dir { mode: None } => "\"dir\"".into(),
        Mount::Dir { mode: Some(mode) } => format!("{{ dir = \"{mode}\" }}"),
        Mount::Symlink(text) => format!("{{ symlink = {} }}", literal(text)),
        Mount::File { content, mode } => {
            let mut keys = vec![match content {
                Content::Text(text) => format!("text = {}", literal(text)),
                Content::Fd(fd) => format!("fd = {fd}"),
                Content::Env(name) => format!("env = {}", literal(name)),
            }];
            keys.extend(mode.map(|mode| format!("mode = \"{mode}\"")));
            table(keys)
        }
        Mount::Hide { missing: Missing::Error, known: Hidden::Unsaid } => "\"hide\"".into(),
        Mount::Hide { missing, known } => {
            let mut keys = vec![format!(
                "hide = {}",
                if *known == Hidden::File { "\"file\"" } else { "true" }
            )];
            keys.extend((*missing != Missing::Error).then(|| format!("missing = \"{missing}\"")));
            table(keys)
        }
    }
}

fn bound(path: &str, bind: &Bind) -> String {
    if *bind == Bind::new(None, bind.access) {
        return format!("\"{}\"", bind.access);
    }
    let Bind { source, access, recursive, exec, missing, broad, sockets, owner_root } = bind;
    let mut keys =
        vec![format!("bind = {}", literal(source.as_ref().map_or(path, |source| source)))];
    keys.extend((*access == Access::ReadWrite).then(|| "access = \"rw\"".to_owned()));
    keys.extend((!recursive).then(|| "recursive = false".to_owned()));
    keys.extend((!exec).then(|| "exec = false".to_owned()));
    keys.extend((*missing != Missing::Error).then(|| format!("missing = \"{missing}\"")));
    keys.extend(match broad {
        Broad::Refuse => None,
        Broad::Allow => Some("broad = true".to_owned()),
        Broad::Skip => Some("broad = \"skip\"".to_owned()),
    });
    keys.extend(match sockets {
        Sockets::Refuse => None,
        Sockets::Allow => Some("sockets = true".to_owned()),
        Sockets::Hide => Some("sockets = \"hide\"".to_owned()),
    });
    keys.extend(owner_root.then(|| "owner = \"root\"".to_owned()));
    table(keys)
}

fn table(keys: Vec<String>) -> String {
    format!("{{ {} }}", keys.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of a profile, and that it is spelled as it was.
    #[track_caller]
    fn same(text: &str) {
        let table: std::collections::BTreeMap<String, Mount> = toml::from_str(text).unwrap();
        let (path, mount) = table.iter().next().unwrap();
        assert_eq!(line(path, mount), text);
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
