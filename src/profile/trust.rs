//! Whether another user could write to a profile. Such a file is refused: it decides what its
//! caller grants.

use crate::host::caller::Caller;
use crate::profile::BUILTIN;
use crate::sys;
use crate::text::bytes;
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io::Error;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// A file or directory to check.
struct Asked<'a> {
    what: &'static str,
    /// Its path in messages.
    path: &'a str,
    /// The path that its attributes are read from.
    open: &'a str,
    meta: &'a Metadata,
}

/// Why it is not trusted.
enum Fault {
    /// It belongs to a third user.
    Owner(String),
    /// Others have the right to write, which its owner can take away.
    Mode(String),
}

/// Checks a file by its descriptor, and its directory, and reports what is wrong with both. A user
/// who can write in the directory can put another file in the place of this one.
pub(super) fn check(
    path: &str,
    (file, meta): (&File, &Metadata),
    directory: &str,
    caller: &Caller,
    at: Span,
) -> Result<(), Problem> {
    let of_directory = std::fs::metadata(bytes::path(directory)).map_err(|error| {
        let why = words(&error);
        Problem::new("profile::read", at, format!("cannot read the profile {path}: {why}"))
    })?;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let asked = [
        Asked { what: "it", path, open: &open, meta },
        Asked { what: "its directory", path: directory, open: directory, meta: &of_directory },
    ];
    refuse(path, &asked, caller, at)
}

/// The same of the directory in which an optional file is not there: a user who can write in it can
/// have removed the file.
pub(super) fn check_absent(
    path: &str,
    directory: &str,
    caller: &Caller,
    at: Span,
) -> Result<(), Problem> {
    // No user can write to a directory that does not exist.
    let Ok(meta) = std::fs::metadata(bytes::path(directory)) else { return Ok(()) };
    let asked = [Asked { what: "its directory", path: directory, open: directory, meta: &meta }];
    refuse(path, &asked, caller, at)
}

fn refuse(path: &str, asked: &[Asked<'_>], caller: &Caller, at: Span) -> Result<(), Problem> {
    let mut whys: Vec<String> = vec![];
    let (mut foreign, mut writable) = (false, String::new());
    for one in asked {
        match fault(one, caller) {
            None => {}
            Some(Fault::Owner(why)) => {
                foreign = true;
                whys.push(format!("{} {why}", one.what));
            }
            Some(Fault::Mode(why)) => {
                writable += &format!(" {}", shell_word(one.path));
                whys.push(format!("{} {why}", one.what));
            }
        }
    }
    if whys.is_empty() {
        return Ok(());
    }
    let help = match (foreign, caller.uid) {
        // A file of somebody's home must not become root's, and its directory never.
        (true, 0) => install(path, caller),
        (true, _) => "read it, and copy it to a directory of your own".into(),
        (false, _) => format!("chmod go-w{writable}"),
    };
    let message = format!("cannot trust the profile {path}: {}", whys.join(", and "));
    Err(Problem::new("profile::trust", at, message).help(help))
}

/// The problem of one, if there is any. Root trusts root alone.
fn fault(Asked { open, meta, .. }: &Asked<'_>, caller: &Caller) -> Option<Fault> {
    let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
    if owner != 0 && caller.uid == 0 {
        let why = format!("belongs to user {owner}, who could change it before root reads it");
        return Some(Fault::Owner(why));
    }
    if owner != 0 && owner != caller.uid {
        return Some(Fault::Owner(format!("belongs to user {owner}, not to root or the caller")));
    }
    let is_sticky = meta.is_dir() && mode & libc::S_ISVTX != 0;
    if mode & 0o022 == 0 || is_sticky {
        return None;
    }
    let others = |why: &str| Some(Fault::Mode(format!("can be written by others ({why})")));
    if mode & 0o002 != 0 {
        return others(&format!("mode {mode:04o}"));
    }
    // With an access control list the bits of the group are its mask: any user can be named in it
    // (acl(5)).
    if has_acl(open) {
        return others(&format!("mode {mode:04o}, with an access control list"));
    }
    let text = |path| std::fs::read(path).unwrap_or_default();
    let (passwd, group) = (text("/etc/passwd"), text("/etc/group"));
    let (passwd, group) = (String::from_utf8_lossy(&passwd), String::from_utf8_lossy(&group));
    let why = shared(meta.uid(), meta.gid(), &passwd, &group)?;
    others(&format!("mode {mode:04o}: {why}"))
}

fn has_acl(path: &str) -> bool {
    CString::new(bytes::path(path).as_os_str().as_bytes())
        .is_ok_and(|path| sys::has_attribute(&path, c"system.posix_acl_access"))
}

/// Why a group is not its owner's own, if it is not: it has the owner's name and is the owner's
/// primary group, it has no other member, and it is no other user's primary group. That is how
/// useradd(8) makes a user's group, and what Debian's ssh asks of a file that a group can write.
/// Members that a directory service gives to such a group are not seen.
pub(super) fn shared(owner: u32, gid: u32, passwd: &str, group: &str) -> Option<String> {
    let users = || {
        passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((name, fields.nth(1)?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?))
        })
    };
    let Some((name, ..)) = users().find(|(_, uid, primary)| (*uid, *primary) == (owner, gid))
    else {
        return Some(format!("group {gid} is not the owner's primary group in /etc/passwd"));
    };
    if let Some((other, ..)) = users().find(|(_, uid, primary)| *primary == gid && *uid != owner) {
        return Some(format!("group {gid} is also the primary group of {other}"));
    }
    let mut known = false;
    for line in group.lines() {
        let mut fields = line.split(':');
        let Some(called) = fields.next() else { continue };
        if fields.nth(1).and_then(|number| number.parse::<u32>().ok()) != Some(gid) {
            continue;
        }
        if called != name {
            return Some(format!("its group {called} does not have the owner's name, {name}"));
        }
        let mut members = fields.next().unwrap_or("").split(',').map(str::trim);
        if let Some(other) = members.find(|member| !member.is_empty() && *member != name) {
            return Some(format!("its group {called} has the member {other}"));
        }
        known = true;
    }
    (!known).then(|| format!("group {gid} is not in /etc/group"))
}

/// The command that makes a copy of root's own, under a name that means nothing else.
fn install(path: &str, caller: &Caller) -> String {
    let directory = &caller.system_profiles;
    let file = path.rsplit('/').next().unwrap_or_default();
    let stem = file.strip_suffix(".toml").unwrap_or(file);
    let is_free = |name: &str| {
        BUILTIN.iter().all(|(known, _)| *known != name)
            && !is_there(&format!("{directory}/{name}.toml"))
    };
    let numbered = (2..100).map(|number| format!("{stem}-{number}"));
    let Some(name) = std::iter::once(stem.to_owned()).chain(numbered).find(|name| is_free(name))
    else {
        return format!("read it, and copy it to {directory}, as a file of root's");
    };
    let sudo = if caller.env.contains_key("SUDO_UID") { "sudo " } else { "" };
    format!(
        "read it, copy it, and run the copy by its name, `{name}`: {sudo}install -D -o root -g root \
         -m 644 {} {}",
        shell_word(path),
        shell_word(&format!("{directory}/{name}.toml"))
    )
}

/// Whether something has the path. A path that cannot be examined counts as present: reading it
/// then reports the reason, and no weaker profile of the same name is used in its place.
pub(super) fn is_there(path: &str) -> bool {
    match std::fs::symlink_metadata(bytes::path(path)) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.raw_os_error(),
            None | Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG)
        ),
    }
}

pub(super) fn words(error: &Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), errno_words)
}

#[cfg(test)]
mod tests {
    use super::shared;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n\
                          bob:x:1001:100::/home/bob:/bin/sh\ncy:x:1002:1002::/:/bin/sh\n\
                          di:x:1003:1002::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nada:x:1000:\nusers:x:100:\ncy:x:1002:\n";

    #[track_caller]
    fn is_shared(owner: u32, gid: u32, group: &str, why: &str) {
        let found = shared(owner, gid, PASSWD, group);
        assert!(found.as_ref().is_some_and(|found| found.contains(why)), "{found:?}");
    }

    #[test]
    fn a_group_of_the_owner_alone_is_no_other() {
        assert_eq!(shared(1000, 1000, PASSWD, GROUP), None);
        assert_eq!(shared(0, 0, PASSWD, GROUP), None);
        // The owner may be named in it.
        assert_eq!(shared(1000, 1000, PASSWD, "ada:x:1000:ada\n"), None);
    }

    #[test]
    fn a_group_that_others_have_is_shared() {
        is_shared(1000, 1000, "ada:x:1000:ada,bob\n", "has the member bob");
        is_shared(0, 0, "root:x:0:bob\n", "has the member bob");
        is_shared(1000, 1000, "ada:x:1000:\nada:x:1000:bob\n", "has the member bob");
        is_shared(1001, 100, GROUP, "its group users does not have the owner's name");
        is_shared(1002, 1002, GROUP, "primary group of di");
        is_shared(1000, 100, GROUP, "not the owner's primary group");
        // A user or a group of a directory service, of which nothing is seen.
        is_shared(5000, 5000, GROUP, "not the owner's primary group");
        is_shared(1000, 1000, "root:x:0:\n", "is not in /etc/group");
    }
}
