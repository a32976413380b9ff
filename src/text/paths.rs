//! Plain absolute paths as texts: what lies below what. Nothing here looks at a file.

/// The path and every directory above it up to (not including) `/`, the nearest first.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    std::iter::from_fn(move || {
        let current = rest.filter(|path| path.len() > 1)?;
        rest = current.rfind('/').map(|slash| &current[..slash]);
        Some(current)
    })
}

/// The directory that a path lies in.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => &path[..slash],
    }
}

/// `tail` below `base`, where `tail` begins with `/` or is empty.
pub(crate) fn join(base: &str, tail: &str) -> String {
    match (base, tail) {
        ("/", "") => "/".into(),
        ("/", tail) => tail.into(),
        (base, tail) => format!("{base}{tail}"),
    }
}

/// What remains of `path` below `base` (`""` for the same path), or `None` where it is not below.
pub fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    if base == "/" {
        return Some(if path == "/" { "" } else { path });
    }
    path.strip_prefix(base).filter(|tail| tail.is_empty() || tail.starts_with('/'))
}

/// A path from the caller's directory. That directory comes from getcwd(3) and has no links, so
/// `..` at the beginning is its parent; `..` after a name may mean another directory, and is
/// refused as in a profile.
pub(crate) fn from_directory(path: &str, directory: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(plain(path));
    }
    if !directory.starts_with('/') {
        return None;
    }
    let mut base = directory.trim_end_matches('/');
    let mut rest: Vec<&str> = vec![];
    for part in path.split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." && rest.is_empty() {
            base = base.rfind('/').map_or("", |slash| &base[..slash]);
        } else {
            rest.push(part);
        }
    }
    let path = [vec![base], rest].concat().join("/");
    Some(if path.is_empty() { "/".into() } else { path })
}

/// An absolute path without `//`, `.` and a `/` at its end.
pub(crate) fn plain(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !["", "."].contains(part)).collect();
    format!("/{}", parts.join("/"))
}

/// The first of some paths, and how many more there are: "/a and 2 more"; none: there are none.
pub(crate) fn some_of(paths: &[&str]) -> Option<String> {
    match paths {
        [] => None,
        [one] => Some((*one).to_owned()),
        [one, other] => Some(format!("{one} and {other}")),
        [one, other, more @ ..] => Some(format!("{one}, {other} and {} more", more.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_another_by_whole_names() {
        assert_eq!(below("/usr/lib", "/usr"), Some("/lib"));
        assert_eq!(below("/usrlib", "/usr"), None);
        assert_eq!(below("/a", "/"), Some("/a"));
        assert_eq!(ancestors("/a/b").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(parent("/a"), "/");
        assert_eq!((join("/", "/a"), join("/a", "")), ("/a".into(), "/a".into()));
    }
}
