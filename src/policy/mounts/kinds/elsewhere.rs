//! Keys that mounts have in other programs, and what an entry has for them: fstab(5), docker,
//! systemd, bubblewrap and overlayfs. It only names them in help.

use crate::language::read::Node;
use crate::language::value::quoted;
use toml::de::DeValue;

/// What to write for a key of another program, with its value.
pub(super) fn meant(key: &str, node: &Node<'_>) -> Option<String> {
    let value = node.get_ref();
    let whether = |yes: &str, no: &str| match value {
        DeValue::Boolean(true) => Some(format!("write {yes}")),
        DeValue::Boolean(false) => Some(format!("write {no}")),
        _ => None,
    };
    match key {
        "readonly" | "read-only" | "readOnly" | "read_only" | "ro" => {
            whether("access = \"ro\"", "access = \"rw\"")
        }
        "writable" | "writeable" | "write" | "rw" => whether("access = \"rw\"", "access = \"ro\""),
        "noexec" => whether("exec = false", "exec = true"),
        "optional" => whether("missing = \"skip\"", "missing = \"error\""),
        "create" | "mkdir" => whether("missing = \"create\"", "missing = \"error\""),
        "source" | "src" | "host" | "from" => match value {
            DeValue::String(path) => Some(format!("write bind = {}", quoted(path))),
            _ => None,
        },
        "target" | "destination" | "dest" | "dst" | "to" | "path" | "mountpoint" => {
            Some("the path inside is the entry's own key, before the `=`".into())
        }
        "type" | "kind" | "fstype" => {
            Some("the kind is a key of its own, such as `bind`, `tmpfs` or `proc`".into())
        }
        "lower" | "lowerdir" | "lower-dir" | "lowers" => match value {
            // The only one has no order.
            DeValue::String(paths) if !paths.contains(',') => {
                let paths: Vec<String> = paths.split(':').rev().map(quoted).collect();
                let order = match paths.len() {
                    1 => "",
                    _ => ", the lowest first (lowerdir of overlayfs has the topmost first)",
                };
                Some(format!("write layers = [{}]{order}", paths.join(", ")))
            }
            _ => Some(
                "write `layers`, the lowest first: lowerdir of overlayfs has the topmost first"
                    .into(),
            ),
        },
        "upperdir" | "upper-dir" => match value {
            DeValue::String(path) => Some(format!("write upper = {}", quoted(path))),
            _ => None,
        },
        "workdir" | "work-dir" | "work" => {
            Some("leave it out: stockade makes that directory itself, beside the upper".into())
        }
        "overlay" | "overlayfs" => Some(match value {
            DeValue::Boolean(true) => {
                "write the word `overlay` in the place of the whole table".into()
            }
            _ => "write `layers`, the lowest first, and `upper` for what is written".into(),
        }),
        "options" | "opts" | "flags" => {
            Some("each option is a key of its own, such as `access` or `exec`".into())
        }
        _ => None,
    }
}
