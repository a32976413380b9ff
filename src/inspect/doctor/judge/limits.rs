//! Lines about limits and surroundings: control groups, systemd, the network, the caller's own
//! limits.

use crate::inspect::doctor::facts::{Facts, Layout, Tried};
use crate::inspect::doctor::{Line, State};
use crate::launch::cause::Fix;
use crate::text::problem::errno_words;
use crate::text::shell::shell_word;

/// The controllers that `[limits]` is about.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// How much of a group's name is shown.
const MOST: usize = 32;

/// More would let the container write the groups of the host.
const OF_THE_CONTAINER: &str = "limit the container as a whole (podman and docker: --memory, \
                                --pids-limit, --cpus; a unit: MemoryMax=, TasksMax=, CPUQuota=)";

const LOST: &str = "[limits]: bounds of memory, processes, CPU time and I/O";

fn lacking(controllers: &[String]) -> Vec<&'static str> {
    CONTROLLERS
        .into_iter()
        .filter(|name| {
            !controllers.iter().any(|known| known == name || (*name == "io" && known == "blkio"))
        })
        .collect()
}

pub(super) fn cgroups(facts: &Facts) -> Line {
    const NAME: &str = "control groups";
    let groups = &facts.cgroups;
    let layout = match groups.layout {
        Layout::Absent => {
            let fix = Fix::Root("mount -t cgroup2 cgroup2 /sys/fs/cgroup".into());
            return Line::less(NAME, State::Missing, "none are mounted", LOST).fix(fix);
        }
        Layout::V1 => "v1",
        Layout::Hybrid => "hybrid (controllers in v1)",
        Layout::V2 => "v2",
    };
    // The whole path is in /proc/self/cgroup; what people know is its last name, and of an
    // engine's 64 digits the first.
    let own = groups.group.rsplit('/').find(|name| !name.is_empty()).unwrap_or("/");
    let place = match own.char_indices().nth(MOST) {
        Some((end, _)) => format!("{layout}, in {}...", &own[..end]),
        None => format!("{layout}, in {own}"),
    };
    let through_systemd = facts.manager.reached == Tried::Works && groups.layout == Layout::V2;
    match (groups.delegated, groups.layout) {
        (true, Layout::V2) => {
            let whose = if facts.is_root() { "" } else { ", delegated" };
            let value = format!("{place}{whose}; {}", names(&groups.controllers));
            // Controllers that are not delegated here come through systemd, which has a line of its
            // own.
            if through_systemd && !facts.is_root() {
                Line::ok(NAME, value)
            } else {
                with_controllers(NAME, value, &groups.controllers)
            }
        }
        (true, _) => {
            let fix = Fix::Words(format!("boot with {}", unified(facts)));
            let lost =
                "limits that v1 lacks (memory-high, memory-min), and ending a whole group at once";
            Line::less(
                NAME,
                State::Limited,
                format!("{place}; {}", names(&groups.controllers)),
                lost,
            )
            .fix(fix)
        }
        (false, Layout::V2) if through_systemd => {
            Line::ok(NAME, format!("{place}, not delegated; systemd makes groups on request"))
        }
        (false, _) if groups.read_only || facts.container.is_some() => {
            let why = if groups.read_only { "mounted read-only" } else { "not delegated" };
            Line::less(NAME, State::Missing, format!("{place}, {why}"), LOST)
                .fix(Fix::Words(OF_THE_CONTAINER.into()))
        }
        (false, Layout::V2) => {
            let fix = Fix::Words(
                "start stockade from a login session, or in a unit with Delegate=yes".into(),
            );
            Line::less(NAME, State::Missing, format!("{place}, not delegated"), LOST).fix(fix)
        }
        (false, _) => {
            let fix = Fix::Words(format!(
                "boot with {}: v1 is not delegated to ordinary users",
                unified(facts)
            ));
            Line::less(NAME, State::Missing, format!("{place}, not delegated"), LOST).fix(fix)
        }
    }
}

/// The word of the kernel's command line that makes version 2 the only one.
fn unified(facts: &Facts) -> &'static str {
    if facts.manager.booted { "systemd.unified_cgroup_hierarchy=1" } else { "cgroup_no_v1=all" }
}

fn names(controllers: &[String]) -> String {
    if controllers.is_empty() { "no controllers".into() } else { controllers.join(" ") }
}

fn with_controllers(name: &'static str, value: String, controllers: &[String]) -> Line {
    let lacking = lacking(controllers);
    if lacking.is_empty() {
        return Line::ok(name, value);
    }
    let fix = Fix::Words(format!(
        "give the group above these in cgroup.subtree_control, or Delegate={} in its unit",
        CONTROLLERS.join(" ")
    ));
    let state = if lacking.len() == CONTROLLERS.len() { State::Missing } else { State::Limited };
    Line::less(name, state, value, format!("[limits] of {}", lacking.join(", "))).fix(fix)
}

pub(super) fn systemd(facts: &Facts) -> Line {
    const NAME: &str = "systemd";
    const HERE: &str = "[limits] through systemd";
    let manager = &facts.manager;
    let whose = if facts.is_root() { "the system's" } else { "the user's" };
    if !manager.booted {
        let line = Line::less(NAME, State::Missing, "this machine was not booted by it", HERE);
        let fix = match facts.container {
            Some(_) if !facts.cgroups.delegated => "as for control groups",
            _ => "give stockade a delegated control group by other means",
        };
        return line.fix(Fix::Words(fix.into()));
    }
    match (&manager.socket, manager.reached) {
        (Some(socket), Tried::Works) if facts.is_root() || facts.cgroups.layout != Layout::V2 => {
            Line::ok(NAME, format!("{whose} answers at {socket}"))
        }
        (Some(socket), Tried::Works) => {
            let lacking = lacking(&manager.controllers);
            let value = format!("{whose} answers at {socket}; {}", names(&manager.controllers));
            if lacking.is_empty() {
                return Line::ok(NAME, value);
            }
            let directory = "/etc/systemd/system/user@.service.d";
            let command = format!(
                "mkdir -p {directory} && printf '[Service]\\nDelegate={}\\n' > \
                 {directory}/delegate.conf && systemctl daemon-reload",
                CONTROLLERS.join(" ")
            );
            Line::less(NAME, State::Limited, value, format!("[limits] of {}", lacking.join(", ")))
                .fix(Fix::Root(command))
        }
        (Some(socket), tried) => {
            let why = if let Tried::Refused(errno) = tried {
                errno_words(errno)
            } else {
                "not tried".into()
            };
            let fix = if facts.is_root() {
                "systemctl is-system-running".to_owned()
            } else {
                format!("systemctl restart user@{}", facts.uid)
            };
            Line::less(NAME, State::Missing, format!("{socket}: {why}"), HERE).fix(Fix::Root(fix))
        }
        (None, _) => {
            let user = shell_word(&facts.user);
            Line::less(NAME, State::Missing, format!("{whose} is not running"), HERE)
                .fix(Fix::Root(format!("loginctl enable-linger {user}")))
        }
    }
}

pub(super) fn noexec(facts: &Facts) -> Line {
    const NAME: &str = "programs";
    let Some(first) = facts.noexec.first() else {
        return Line::ok(NAME, "may run from /usr, the home and this directory");
    };
    let fix = Fix::Root(format!("mount -o remount,exec {}", shell_word(first)));
    let lost = "programs in binds of these directories: a bind keeps noexec";
    Line::less(NAME, State::Limited, format!("noexec: {}", facts.noexec.join(", ")), lost).fix(fix)
}

/// A hard limit of 0 cannot be raised to the 1 that keeps the host's core helper from running (see
/// [`crate::policy::rlimits`]).
pub(super) fn core(facts: &Facts) -> Line {
    const NAME: &str = "core limit";
    if facts.core_limit > 0 || facts.is_root() {
        return Line::ok(NAME, "can be set as every profile has it");
    }
    let fix = Fix::Words(
        "start stockade where ulimit -Hc is not 0, or write rlimits.core = 0, with which a core \
         helper of the host sees the target"
            .into(),
    );
    Line::less(
        NAME,
        State::Missing,
        "the hard limit is 0",
        "every profile that does not set rlimits.core",
    )
    .fix(fix)
}
