//! The id maps of the new user namespace, written from outside (user_namespaces(7)).

use super::idmap::lines;
use super::{Failure, own};
use crate::kernel::idmap::{Extent, Maps};
use crate::kernel::name::Name;
use crate::sys::{self, Errno};
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::process::Command;

/// The set-id helpers of shadow, by absolute path: a PATH of the caller could name others.
pub(crate) const HELPERS: [&str; 2] = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"];

/// Writes the maps of `pid`, which is our own child, blocked and not waited for, so that no other
/// process can have its number.
pub(crate) fn write(maps: &Maps, pid: i32) -> Result<(), Failure> {
    if maps.helpers {
        run_helper(HELPERS[0], pid, &maps.uid)?;
        return run_helper(HELPERS[1], pid, &maps.gid);
    }
    if maps.deny_setgroups {
        put(pid, "setgroups", "deny")?;
    }
    put(pid, "uid_map", &lines(&maps.uid))?;
    put(pid, "gid_map", &lines(&maps.gid))
}

fn put(pid: i32, file: &str, text: &str) -> Result<(), Failure> {
    let path = format!("/proc/{pid}/{file}");
    let written = sys::openat(libc::AT_FDCWD, Name::new(&path).as_c_str(), libc::O_WRONLY, 0)
        .and_then(|fd| {
            // The kernel takes a map in one write and no other. The descriptor is of no more use,
            // and ends with the launcher.
            if sys::write(fd, text.as_bytes())? == text.len() {
                Ok(())
            } else {
                Err(Errno(libc::EIO))
            }
        });
    written.map_err(|errno| super::why::map_failed(file, errno).into())
}

fn run_helper(helper: &str, pid: i32, extents: &[Extent]) -> Result<(), Failure> {
    let mut command = Command::new(helper);
    command.env_clear().arg(pid.to_string());
    for extent in extents {
        command.args([
            extent.inside.to_string(),
            extent.outside.to_string(),
            extent.count.to_string(),
        ]);
    }
    let output = command.output().map_err(|error| {
        own(&format!("run {helper}"), Errno(error.raw_os_error().unwrap_or(libc::EIO)))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it said nothing").to_owned();
    let problem = Problem::new(
        "launch::id-map",
        Span::NOWHERE,
        format!("cannot map subordinate ids: {helper}: {first}"),
    )
    .help(
        "see that /etc/subuid and /etc/subgid grant the ranges, and that the helper is set-id and \
         not under no_new_privs (as in a unit with NoNewPrivileges=)",
    );
    Err(problem.into())
}
