//! The extended attributes of a file in an upper, as far as overlayfs means something by them.

/// What the names of a file's attributes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// Whether there is one whose value says that a directory replaces those below it.
    pub has_opaque: bool,
    /// Whether there is one that says that a copy was made of something in the layers, for a change.
    pub is_copy: bool,
    /// The first that overlayfs, mounted as stockade does it, neither writes nor follows: what lies
    /// here means something else to the engine that wrote it.
    pub foreign: Option<&'a [u8]>,
}

/// overlayfs's own, with `userxattr`.
const OWN: &[u8] = b"user.overlay.";
/// Those of it that say nothing about what is there: that a directory has copies, which file systems,
/// how many links.
const SILENT: [&[u8]; 5] = [b"impure", b"nlink", b"upper", b"uuid", b"protattr"];
/// Those of other engines.
const OTHERS: [&[u8]; 3] =
    [b"trusted.overlay.", b"user.fuseoverlayfs.", b"user.containers.override_stat"];

/// Reads names of attributes as flistxattr(2) gives them, each with a zero at its end.
pub fn attributes(names: &[u8]) -> Attributes<'_> {
    let mut out = Attributes::default();
    for name in names.split(|byte| *byte == 0) {
        let is_foreign = match name.strip_prefix(OWN) {
            Some(b"opaque") => {
                out.has_opaque = true;
                false
            }
            // Without the right to open files by handles it says of none (ovl_set_origin_fh).
            Some(b"origin") => {
                out.is_copy = true;
                false
            }
            // Under this one the target's own attributes of such names are kept.
            Some(own) => !SILENT.contains(&own) && !own.starts_with(b"overlay."),
            None => OTHERS.iter().any(|other| name.starts_with(other)),
        };
        if is_foreign && out.foreign.is_none() {
            out.foreign = Some(name);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_overlayfs_are_told_from_those_of_others() {
        let read = |names: &'static str| {
            let read = attributes(names.as_bytes());
            (read.has_opaque, read.foreign.map(|name| std::str::from_utf8(name).unwrap()))
        };
        assert_eq!(read(""), (false, None));
        assert_eq!(read("user.overlay.origin\0user.overlay.impure\0"), (false, None));
        assert!(attributes(b"user.overlay.origin\0").is_copy);
        assert!(!attributes(b"user.overlay.impure\0user.overlay.overlay.origin\0").is_copy);
        assert_eq!(read("user.mine\0security.capability\0"), (false, None));
        assert_eq!(read("user.overlay.origin\0user.overlay.opaque\0"), (true, None));
        assert_eq!(read("user.overlay.overlay.redirect\0"), (false, None));
        for foreign in [
            "user.overlay.redirect",
            "user.overlay.metacopy",
            "user.overlay.whiteout",
            "user.overlay.opaqu",
            "trusted.overlay.opaque",
            "user.fuseoverlayfs.opaque",
        ] {
            let names = format!("user.mine\0{foreign}\0user.overlay.redirect\0");
            assert_eq!(attributes(names.as_bytes()).foreign, Some(foreign.as_bytes()), "{foreign}");
        }
    }
}
