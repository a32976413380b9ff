//! The kernel's own checks of a call after the filter: capabilities, and limits on namespaces. It
//! tries nothing.

use crate::inspect::access::query::{Decision, Mechanism, Reason};
use crate::inspect::access::why::Asked as Question;
use crate::kernel::asks::{self, Ask, Asked, Over};
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::language::value::Written;
use crate::policy::namespaces::{Namespace, Nested};
use crate::text::source::Span;

impl Question<'_> {
    /// What the kernel asks besides: a capability, or the right to make a namespace or to act on
    /// one.
    pub(super) fn behind_the_filter(
        &self,
        name: &str,
        arguments: Option<&[u64; 6]>,
        at: Span,
    ) -> Option<Reason> {
        let nested = self.profile.namespaces.made_inside();
        let nested_at = self.profile.namespaces.nested.at();
        let asks_sys_admin = |after_user: bool| match (after_user, arguments) {
            // This very call: the target has not made a user namespace before it.
            (true, Some(_)) => lacks_it_yet(wanted_by(name), nested_at),
            (true, None) => {
                let words = "the kernel requires a capability, which the target has in a user \
                             namespace that it makes itself";
                Reason::new(Mechanism::Capabilities, Decision::Allows, words, at)
            }
            (false, _) => lacks_sys_admin(nested_at),
        };
        if ["clone", "unshare"].contains(&name) {
            let kinds = flags_of(name, arguments?[0]);
            // create_new_namespaces() asks for sys-admin before it counts; CLONE_NEWUSER gives it
            // (unshare(2)).
            if kinds.is_some() && !kinds.has(Kind::User) {
                return Some(asks_sys_admin(
                    nested.has(Kind::User) && kinds.kinds().all(|kind| nested.has(kind)),
                ));
            }
            let mut refused = kinds.kinds().filter(|kind| !nested.has(*kind));
            let kind = refused.find(|kind| self.world.plan.forbids(*kind))?;
            let words = format!(
                "the limit of the sandbox's user namespace on {} namespaces is 0",
                kind.word()
            );
            return Some(Reason::new(Mechanism::Namespaces, Decision::Denies, words, nested_at));
        }
        if let Some(ask) = asks::of(name) {
            let reason = self.asks(ask, arguments, at)?;
            // A namespace that the target makes may give it the missing capability.
            if reason.says != Decision::Denies || !nested.opens(name) {
                return Some(reason);
            }
        }
        const OF_SYS_ADMIN: &[&str] = &[
            "fsmount",
            "fsopen",
            "fspick",
            "mount",
            "mount_setattr",
            "move_mount",
            "pivot_root",
            "setdomainname",
            "sethostname",
            "setns",
            "umount2",
        ];
        let is_free = |[_, second, third, ..]: &[u64; 6]| match name {
            // Its maker has every capability in a user namespace (user_namespaces(7)).
            "setns" => nested.has(Kind::User) && *second == Kind::User.flag(),
            "open_tree" => third & u64::from(libc::OPEN_TREE_CLONE) == 0,
            _ => false,
        };
        if arguments.is_some_and(is_free) {
            return None;
        }
        let opened = nested.opens(name);
        (opened || OF_SYS_ADMIN.contains(&name)).then(|| asks_sys_admin(opened))
    }

    /// What the table says of a call, for this target.
    fn asks(&self, ask: &Ask, arguments: Option<&[u64; 6]>, at: Span) -> Option<Reason> {
        let Some(wanted) = ask.capability.and_then(|name| Capability::from_text(name).ok()) else {
            return Some(Reason::new(
                Mechanism::Kernel,
                Decision::Denies,
                "no kernel has it any more",
                Span::NOWHERE,
            ));
        };
        let reason =
            |says, words: String, at| Some(Reason::new(Mechanism::Capabilities, says, words, at));
        let choice = &self.world.plan.choice;
        let shared = match ask.over {
            Over::Of(kind) if choice.is_new(kind) || kind == Kind::User => None,
            Over::Of(kind) => Some(choice.of(kind)),
            Over::Host => Some(&Namespace::Host),
        };
        // Over what is not the sandbox's own, the host's user namespace alone gives power.
        let counts =
            shared.is_none() || (shared == Some(&Namespace::Host) && self.world.is_host_user());
        let has = self.world.capabilities().has(wanted.0);
        if has && counts {
            return reason(
                Decision::Allows,
                format!("the target has {wanted}, which the kernel requires"),
                self.capability_at(wanted),
            );
        }
        let joined = shared.is_some_and(|shared| shared.joined().is_some());
        let lacks = match shared {
            None => format!("the kernel requires {wanted}, which the target does not have"),
            Some(Namespace::Join(_)) => format!(
                "the kernel requires {wanted} over the joined namespace, which the target does not \
                 have"
            ),
            Some(Namespace::New | Namespace::Host) if counts => {
                format!(
                    "the kernel requires {wanted} over the host, which the target does not have"
                )
            }
            Some(Namespace::New | Namespace::Host) => format!(
                "the kernel requires {wanted} over the host, which nothing in a user namespace of its \
                 own has"
            ),
        };
        match ask.asked(arguments, self.host_fs.sysctl) {
            (Asked::Yes, _) if has && joined => reason(
                Decision::Unknown,
                format!(
                    "the kernel requires {wanted} over the joined namespace, whose owner is not known"
                ),
                at,
            ),
            (Asked::Yes, _) => reason(
                Decision::Denies,
                lacks,
                if has { self.capability_at(wanted) } else { Span::NOWHERE },
            ),
            (Asked::No, _) if arguments.is_some() => None,
            (Asked::No, free) => {
                reason(Decision::Allows, format!("{free}; for the rest {lacks}"), at)
            }
            (Asked::Hidden, free) => {
                reason(Decision::Unknown, format!("{free}; for the rest {lacks}"), at)
            }
        }
    }
}

/// No target keeps sys-admin: it has it only in a user namespace that it makes.
fn lacks_sys_admin(at: Span) -> Reason {
    let words = "the kernel requires sys-admin, which the target has in no user namespace";
    Reason::new(Mechanism::Capabilities, Decision::Denies, words, at)
}

/// The kinds that clone(2) or unshare(2) are asked for. The lowest 8 bits of clone(2) are a signal.
pub(super) fn flags_of(name: &str, flags: u64) -> Nested {
    let asked = |kind: &Kind| flags & kind.flag() != 0 && !(name == "clone" && *kind == Kind::Time);
    Kind::ALL.into_iter().filter(asked).fold(Nested::NONE, Nested::and)
}

/// What the kernel requires for a call that `nested` opens, in the caller's user namespace.
pub(crate) fn wanted_by(name: &str) -> &'static str {
    if name == "chroot" { "sys-chroot" } else { "sys-admin" }
}

fn lacks_it_yet(wanted: &str, at: Span) -> Reason {
    let words = format!(
        "the kernel requires {wanted}, which the target has only in a user namespace that it makes \
         first (unshare -r)"
    );
    Reason::new(Mechanism::Capabilities, Decision::Denies, words, at)
}
