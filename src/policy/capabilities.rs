//! `[capabilities]`: which of root's powers the target keeps, within its own user namespace.

use crate::host::Host;
use crate::host::questions::Questions;
use crate::kernel::capability::{Capability, CapabilitySet, LAST_SURE, SECUREBITS};
use crate::language::read::Why;
use crate::language::section::{Key, Set, section};
use crate::language::shape::Shape;
use crate::language::value::{Spelled, Written, word_of};
use crate::policy::identity::Ids;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use crate::text::source::{At, Span};

// ---- section ----

section! {
    /// `[capabilities]`: what the target keeps; the rest leaves every set (capabilities(7)).
    pub struct Capabilities {
        /// Kept in the bounding, permitted, effective and inheritable sets.
        keep: Set<Capability>,
        /// Kept in the ambient set too, so that a target that is not root inside has them.
        ambient: Set<Capability>,
        /// Securebits to set and lock; default: noroot, no-setuid-fixup, no-cap-ambient-raise where
        /// nothing is kept.
        securebits: Key<Vec<At<Securebit>>>,
        /// Whether execve(2) can never grant privilege; default: true.
        no_new_privs: Key<bool>,
    }
}

// ---- table ----

impl Capabilities {
    /// Every capability that it names.
    pub fn named(&self) -> impl Iterator<Item = &At<Capability>> {
        self.keep.items.iter().chain(&self.ambient.items)
    }
}

/// A securebit by name; each is set together with its lock (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Securebit(pub u32);

/// The securebits if no capability is kept, each locked. Not keep-caps-locked: without capabilities
/// PR_SET_KEEPCAPS keeps none, and setpriv(1) and others stop if it is refused.
const WITHOUT_CAPABILITIES: u32 = 0b11 | 0b11 << 2 | 0b11 << 6;

impl Written for Securebit {
    const WHAT: &'static str = "a securebit such as \"noroot\"";
    fn from_text(text: &str) -> Result<Securebit, Why> {
        word_of("securebit", SECUREBITS, text).map(Securebit)
    }
    fn write(&self) -> Spelled {
        let known = SECUREBITS.iter().find(|(_, bits)| *bits == self.0);
        Spelled::Text(known.map_or_else(String::new, |(name, _)| (*name).to_owned()))
    }
    fn looks() -> Shape {
        Shape::names(SECUREBITS.iter().map(|(name, _)| *name))
    }
}

// ---- draft ----

/// The source of the capabilities of the launcher's child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// A user namespace of the sandbox's own, in which it has all.
    Own,
    /// The host's root, or a user namespace that it joined; a change of ids takes them away.
    Given,
    /// Nowhere: an ordinary user in the host's user namespace has none, and cannot even drop the
    /// bounding set.
    None,
}

/// Capabilities by which a process reads files that are not its own, where its user namespace has
/// their owners: chown, dac-override, dac-read-search, fowner, setgid, setuid (capabilities(7)).
const OVER_FILES: [u8; 6] = [0, 1, 2, 3, 6, 7];

/// Whether the target keeps one of these.
pub(crate) fn over_files(capabilities: &Capabilities) -> bool {
    capabilities.named().any(|cap| OVER_FILES.contains(&cap.0))
}

/// Asks what the kernel knows, where a capability is newer than every kernel is sure to.
pub(crate) fn ask(capabilities: &Capabilities, asks: &mut Questions) {
    asks.last_capability = capabilities.named().any(|cap| cap.0 > LAST_SURE);
}

/// The other parts of a profile that decide about them.
pub(crate) struct Asked<'a> {
    pub power: Power,
    /// Whether pid 1 is stockade's.
    pub init: At<bool>,
    pub ids: &'a Ids,
}

/// Drafts what leaves and what stays.
pub(crate) fn draft(
    capabilities: &Capabilities,
    Asked { power, init, ids }: Asked<'_>,
    host: &Host,
    draft: &mut Draft,
) {
    let set =
        |items: &[At<Capability>]| CapabilitySet(items.iter().fold(0, |set, cap| set | cap.bit()));
    let ambient = set(&capabilities.ambient.items);
    let keep = CapabilitySet(set(&capabilities.keep.items).0 | ambient.0);
    let at = capabilities.named().map(|cap| cap.at).next().unwrap_or_default();
    refuse_newer(capabilities, host, draft);
    refuse_sys_admin(capabilities, draft);
    refuse_to_outlive(capabilities, init, draft);
    refuse_new_privileges(capabilities, draft);
    if power == Power::None {
        return powerless(capabilities, ids, draft);
    }
    draft.step(Stage::Identity, ProcessOp::Bounding { keep }, at);
    if power == Power::Given {
        draft.step(Stage::Identity, ProcessOp::KeepCapabilities, at);
        draft.step(Stage::Identity, ProcessOp::Groups { groups: ids.groups.clone() }, ids.at.1);
        draft.step(Stage::Identity, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0);
    }
    let bits = match capabilities.securebits.get() {
        Some(list) => list.iter().fold(0, |bits, bit| bits | bit.0),
        None if keep.0 == 0 => WITHOUT_CAPABILITIES,
        None => 0,
    };
    let raise = power == Power::Given || keep.0 != 0;
    draft.step(
        Stage::Identity,
        ProcessOp::Capabilities { keep, ambient, bits, raise },
        at.or(capabilities.securebits.at()),
    );
    draft.step(Stage::Identity, ProcessOp::NoNewPrivs, capabilities.no_new_privs.at());
    draft.step(
        Stage::Process,
        ProcessOp::ReadBack { keep, ambient, no_new_privs: true, ids: (ids.user, ids.group) },
        at,
    );
}

fn refuse_newer(capabilities: &Capabilities, host: &Host, draft: &mut Draft) {
    let last = host.last_capability.unwrap_or(LAST_SURE);
    for cap in capabilities.named().filter(|cap| cap.value.0 > last) {
        let message = format!(
            "cannot keep capability {}: the last that this kernel knows is {last}",
            cap.value
        );
        let problem = Problem::new("capabilities::newer", cap.at, message);
        draft.problem(problem.help("leave it out here, or run it on a newer kernel"));
    }
}

/// A mount that was moved in by descriptor is not locked: with CAP_SYS_ADMIN the target could make
/// it writable again.
fn refuse_sys_admin(capabilities: &Capabilities, draft: &mut Draft) {
    let Some(cap) = capabilities.named().find(|cap| cap.value == Capability(21)) else { return };
    let message = "cannot keep sys-admin: with it the target could undo its own mounts";
    draft.problem(Problem::new("capabilities::sys-admin", cap.at, message).help(
        "leave it out; where the target makes namespaces of its own, namespaces.nested is what it \
         needs",
    ));
}

/// A change of ids clears the parent-death signal, and where the target is pid 1 there is none of
/// ours to watch the launcher (prctl(2)).
fn refuse_to_outlive(capabilities: &Capabilities, init: At<bool>, draft: &mut Draft) {
    let changes_ids = |cap: &&At<Capability>| [6, 7].contains(&cap.value.0);
    let (false, Some(cap)) = (init.value, capabilities.named().find(changes_ids)) else { return };
    let message = format!(
        "cannot keep {} in a target that is pid 1: with it the sandbox could outlive the launcher",
        cap.value
    );
    let problem = Problem::new("capabilities::init", cap.at, message);
    draft.problem(problem.also(init.at, "it is pid 1, because of this"));
}

fn refuse_new_privileges(capabilities: &Capabilities, draft: &mut Draft) {
    let Some(off) = capabilities.no_new_privs.get().filter(|on| !on.value) else { return };
    let message = "cannot leave no_new_privs off: the system call filter and Landlock need it";
    draft.problem(Problem::new("capabilities::no-new-privs", off.at, message).help(
        "leave it out; a filter without it would let a set-id program run with calls denied that \
         it counts on",
    ));
}

/// An ordinary user without a user namespace: there is nothing to give up, and no_new_privs keeps
/// it so.
fn powerless(capabilities: &Capabilities, ids: &Ids, draft: &mut Draft) {
    let named = capabilities.named().map(|cap| (cap.at, format!("keep {}", cap.value)));
    let bits = capabilities.securebits.get().map(|bits| (bits.at, "set securebits".to_owned()));
    for (at, what) in named.chain(bits) {
        let message =
            format!("cannot {what}: an ordinary user has no capabilities without a user namespace");
        draft.problem(
            Problem::new("capabilities::none", at, message)
                .help("leave it out, or let the sandbox have one: namespaces.user = \"new\""),
        );
    }
    let none = CapabilitySet(0);
    draft.step(Stage::Identity, ProcessOp::NoNewPrivs, capabilities.no_new_privs.at());
    draft.step(
        Stage::Process,
        ProcessOp::ReadBack {
            keep: none,
            ambient: none,
            no_new_privs: true,
            ids: (ids.user, ids.group),
        },
        Span::NOWHERE,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels_without_prefix() {
        assert_eq!(Capability::from_text("net-bind-service"), Ok(Capability(10)));
        assert_eq!(Capability(10).to_string(), "net-bind-service");
        assert_eq!(Capability::from_text("CAP_NET_RAW"), Capability::from_text("net-raw"));
        assert!(Capability::from_text("CAP_NET_ROW").unwrap_err().says("net-raw"));
        assert_eq!(Capability(63).to_string(), "63");
    }
}
