//! Lines about what restricts the target: Landlock, system call filters, keyrings, security modules.

use crate::inspect::doctor::facts::{Act, Facts, Tried};
use crate::inspect::doctor::judge::refused;
use crate::inspect::doctor::{Line, State};
use crate::launch::cause::Fix;
use crate::policy::landlock::LEAST_ABI;
use crate::text::problem::errno_words;

/// What each ABI of Landlock brought that stockade uses, and with which Linux (landlock(7)).
pub(super) const LANDLOCK: &[(u32, &str, &str)] = &[
    (LEAST_ABI, "5.19", "Landlock as a whole: renames between directories would fail"),
    (3, "6.2", "truncation is not controlled"),
    (4, "6.7", "TCP ports are not controlled"),
    (5, "6.10", "ioctl of devices is not controlled"),
    (6, "6.12", "signals and abstract sockets are not scoped"),
    (9, "7.1", "connecting to sockets by path is not controlled"),
];

pub(super) fn landlock(facts: &Facts) -> Line {
    const NAME: &str = "Landlock";
    const LOST: &str = "every profile without optional = [\"landlock\"]";
    let abi = match facts.landlock {
        Some(Ok(abi)) if abi > 0 => abi,
        Some(Err(libc::ENOSYS)) if facts.kernel >= (5, 13) => {
            let fix = Fix::Words(
                "boot a kernel with CONFIG_SECURITY_LANDLOCK, or let a container's filter pass its \
                 system calls"
                    .into(),
            );
            return Line::less(
                NAME,
                State::Missing,
                "this kernel is built without it, or a filter hides it",
                LOST,
            )
            .fix(fix);
        }
        Some(Err(libc::ENOSYS)) | None => {
            return Line::less(NAME, State::Missing, "this kernel has none", LOST)
                .fix(Fix::Words("boot Linux 5.19 or newer".into()));
        }
        // By the kernel's documentation EOPNOTSUPP.
        other => {
            let errno = other.and_then(Result::err).unwrap_or(libc::EOPNOTSUPP);
            let value = if errno == libc::EOPNOTSUPP {
                "it is switched off".into()
            } else {
                errno_words(errno)
            };
            let fix =
                Fix::Words("add landlock to lsm= on the kernel's command line, and boot".into());
            return Line::less(NAME, State::Missing, value, LOST).fix(fix);
        }
    };
    let lacking: Vec<&(u32, &str, &str)> =
        LANDLOCK.iter().filter(|(least, ..)| abi < *least).collect();
    let value = format!("ABI {abi}");
    match (lacking.first(), lacking.last()) {
        (Some((LEAST_ABI, linux, lost)), _) => Line::less(NAME, State::Missing, value, *lost)
            .fix(Fix::Words(format!("boot Linux {linux} or newer"))),
        (Some(_), Some((_, linux, _))) => {
            let lost: Vec<String> =
                lacking.iter().map(|(least, _, lost)| format!("{lost} (ABI {least})")).collect();
            Line::less(NAME, State::Limited, value, lost.join(", ")).fix(Fix::Words(format!(
                "boot Linux {linux} or newer; mounts and filters hold without it"
            )))
        }
        _ => Line::ok(NAME, value),
    }
}

pub(super) fn seccomp(facts: &Facts) -> Line {
    const NAME: &str = "seccomp";
    const LOST: &str = "every sandbox but those with seccomp.policy = \"off\"";
    // What stockade's verdicts compile to (seccomp(2)); `log` and `trace` are for finding out.
    let needed = ["kill_process", "errno", "allow"];
    let lacking: Vec<&str> = needed
        .into_iter()
        .filter(|action| !facts.seccomp_actions.iter().any(|known| known == action))
        .collect();
    match facts.act(Act::Filter) {
        Tried::Untried => Line::less(NAME, State::Missing, "it could not be tried", LOST),
        Tried::Refused(errno) => Line::less(
            NAME,
            State::Missing,
            format!("no filter can be set: {}", refused(errno, None)),
            LOST,
        )
        .fix(Fix::Words("boot a kernel with CONFIG_SECCOMP_FILTER".into())),
        Tried::Works if facts.seccomp_actions.is_empty() => {
            Line::ok(NAME, "filters can be set; their actions cannot be looked up")
        }
        Tried::Works if lacking.is_empty() => {
            Line::ok(NAME, format!("filters with {}", facts.seccomp_actions.join(", ")))
        }
        Tried::Works => {
            Line::less(NAME, State::Missing, format!("no action {}", lacking.join(", ")), LOST)
                .fix(Fix::Words("boot Linux 4.14 or newer".into()))
        }
    }
}

pub(super) fn notification(facts: &Facts) -> Line {
    const NAME: &str = "call supervision";
    const LOST: &str = "asking another process about a system call: records of denials";
    match facts.act(Act::Listener) {
        Tried::Works => Line::ok(NAME, "filters can ask another process (user_notif)"),
        Tried::Untried => Line::less(NAME, State::Missing, "it could not be tried", LOST),
        Tried::Refused(libc::EBUSY) => Line::less(
            NAME,
            State::Missing,
            "an outer filter has a listener already, and there can be one",
            LOST,
        )
        .fix(Fix::Words(
            "start stockade outside of the container that supervises its system calls".into(),
        )),
        Tried::Refused(errno) => Line::less(NAME, State::Missing, refused(errno, None), LOST)
            .fix(Fix::Words("boot Linux 5.0 or newer".into())),
    }
}

pub(super) fn keyring(facts: &Facts) -> Line {
    const NAME: &str = "keyrings";
    const LOST: &str = "every sandbox but those with optional = [\"keyring\"], as the built-in \
                        profile `landlock` has it";
    match facts.act(Act::Keyring) {
        Tried::Works => Line::ok(NAME, "a session keyring of its own is available"),
        Tried::Untried => Line::less(NAME, State::Missing, "it could not be tried", LOST),
        Tried::Refused(libc::EDQUOT) => {
            Line::less(NAME, State::Missing, "this user has no more room for keys", LOST)
                .fix(Fix::Root("sysctl -w kernel.keys.maxkeys=2000".into()))
        }
        Tried::Refused(errno) => Line::less(
            NAME,
            State::Missing,
            format!("no new one: {}", errno_words(errno)),
            LOST,
        )
        .fix(Fix::Words(
            "write optional = [\"keyring\"]: the target cannot make the call either; or let the \
             container's filter pass keyctl"
                .into(),
        )),
    }
}

pub(super) fn modules(facts: &Facts) -> Line {
    const NAME: &str = "security modules";
    let words = |module: &super::super::facts::Module| {
        let mode = match (module.enforcing, module.confined) {
            (false, _) => "permissive",
            // AppArmor has a mode for each profile, and none for the whole machine.
            (true, false) if module.name == "AppArmor" => "on",
            (true, _) => "enforcing",
        };
        let label =
            if module.label.is_empty() { String::new() } else { format!(", as {}", module.label) };
        format!("{} {mode}{label}", module.name)
    };
    let value = facts.modules.iter().map(words).collect::<Vec<_>>().join("; ");
    let confined: Vec<&str> = facts
        .modules
        .iter()
        .filter(|module| module.confined && module.enforcing)
        .map(|module| module.name)
        .collect();
    if facts.signed_alone {
        let what = "systemd lets programs on signed dm-verity devices alone run \
                    (RestrictFileSystemAccess=)";
        let value = if value.is_empty() { what.into() } else { format!("{value}; {what}") };
        return Line::less(NAME, State::Limited, value, signed_lost(facts.kernel)).fix(Fix::Words(
            "bind such directories instead of merging them; boot Linux 7.2 or newer with systemd 262 \
             or newer for layers on such devices"
                .into(),
        ));
    }
    if facts.modules.is_empty() {
        return Line::ok(NAME, "neither AppArmor nor SELinux is on");
    }
    if confined.is_empty() {
        return Line::ok(NAME, value);
    }
    // Its denials of the tried acts are known; others show only at run time.
    let lost = format!("whatever the policy of {} denies, inside as well", confined.join(" and "));
    Line::less(NAME, State::Limited, value, lost)
        .fix(Fix::Words("see the denials: journalctl -k --grep 'DENIED|avc'".into()))
}

/// What goes with systemd's restriction: its filter sees the device of overlayfs itself, and only
/// since Linux 7.2 the one that a layer lies on.
fn signed_lost(kernel: (u32, u32)) -> &'static str {
    if kernel < (7, 2) {
        "programs in merged layers and overlays, whatever they lie on; those that the target writes"
    } else {
        "programs in merged layers and overlays of other devices, or of all with systemd 261; those \
         that the target writes"
    }
}
