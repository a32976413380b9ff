//! Namespaces that are joined: what setns(2) would refuse. Pure; [`crate::probe`] asked the kernel.

use super::{Choice, Namespace};
use crate::host::Host;
use crate::host::joined::{Behind, Joined, Joins, UserNamespace};
use crate::kernel::namespace::Kind;
use crate::language::value::literal;
use crate::step::draft::Draft;
use crate::text::problem::{Problem, errno_words};

/// Reports the namespaces that this caller cannot join, in the order in which they are joined: the
/// first, a user namespace, gives the powers for the others.
pub(super) fn check(choice: &Choice, host: &Host, draft: &mut Draft) {
    let mut by = By { powers: host.joins, uid: host.caller.uid, joins_user: false };
    for kind in Kind::ALL {
        let Namespace::Join(path) = choice.of(kind) else { continue };
        let Some(joined) = host.joined.get(&path.0) else { continue };
        if let Some((why, help)) = by.refusal(kind, joined) {
            let message = format!("cannot join the {} namespace of {}: {why}", kind.word(), path.0);
            let problem = Problem::new("namespaces::join", choice.at(kind), message);
            draft.problem(problem.help(help));
            // What it would give for the others is not known.
            if kind == Kind::User {
                return;
            }
        } else if kind == Kind::User
            && let Joined::Behind(Behind { chain, .. }) = joined
            && let Some(first) = chain.first()
        {
            let powers = Joins { inode: first.inode, is_admin: true };
            by = By { powers, joins_user: true, ..by };
        }
    }
}

/// The process that joins.
#[derive(Clone, Copy)]
struct By {
    powers: Joins,
    uid: u32,
    /// Whether it has joined a user namespace.
    joins_user: bool,
}

impl By {
    /// Why a namespace cannot be joined, and what to do.
    fn refusal(self, kind: Kind, joined: &Joined) -> Option<(String, String)> {
        let word = kind.word();
        let key = match kind {
            Kind::Net => "network.mode".to_owned(),
            _ => format!("namespaces.{word}"),
        };
        let other = || format!("name the file of one, such as /proc/PID/ns/{}", file(kind));
        let behind = match joined {
            Joined::Closed(errno @ (libc::EACCES | libc::EPERM)) => {
                let help = "start stockade as the user of that process, or as root";
                return Some((errno_words(*errno), help.into()));
            }
            Joined::Closed(errno) => return Some((errno_words(*errno), other())),
            Joined::Other => return Some(("it is the file of no namespace".into(), other())),
            Joined::Behind(behind) => behind,
        };
        if let Some(found) = behind.kind.filter(|found| *found != kind) {
            return Some((format!("it is a {} namespace", found.word()), other()));
        }
        let rules = rules_over(&behind.chain, &self.powers, self.uid);
        let leave = || match self.uid {
            0 => format!("leave {key} out"),
            _ => format!("start stockade as root, or leave {key} out"),
        };
        if kind == Kind::User {
            let is_own = behind.chain.first().is_some_and(|of| of.inode == self.powers.inode);
            return match (is_own, rules, behind.groups_denied) {
                (true, ..) => Some((
                    "stockade is in it already".into(),
                    format!("share it: {key} = \"host\""),
                )),
                (false, false, _) => {
                    Some(("only the user who made it, and root over it, may".into(), leave()))
                }
                (false, true, true) => Some((
                    "setgroups(2) is denied in it, and the target's groups could not be set".into(),
                    "join one that newgidmap(1) mapped, such as a rootless container's".into(),
                )),
                (false, true, false) => None,
            };
        }
        if rules && self.powers.is_admin {
            return None;
        }
        // Who made the owner may join that first.
        let first = behind.owner_file.as_ref();
        let first = first.filter(|_| rules && !self.joins_user && !behind.groups_denied);
        let help = first.map(|file| {
            format!(
                "join that user namespace, too, in [namespaces]: user = {{ join = {} }}",
                literal(file)
            )
        });
        let why = "that takes root over the user namespace that owns it";
        Some((why.into(), help.unwrap_or_else(leave)))
    }
}

/// The name in /proc/PID/ns.
fn file(kind: Kind) -> &'static str {
    if kind == Kind::Mount { "mnt" } else { kind.word() }
}

/// Whether a process has CAP_SYS_ADMIN over a user namespace, given with those above it. It has it
/// where it is in that namespace or in one above and has it there, or where its user made that
/// namespace, or one between, and it is in the one above that (user_namespaces(7)).
fn rules_over(chain: &[UserNamespace], powers: &Joins, uid: u32) -> bool {
    for (index, namespace) in chain.iter().enumerate() {
        if namespace.inode == powers.inode {
            return powers.is_admin;
        }
        let above = chain.get(index + 1).map(|above| above.inode);
        if above == Some(powers.inode) && namespace.owner == Some(uid) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The caller's is 1; 2 and 4 are in it, 3 is in 2.
    fn chain(all: &[(u64, u32)]) -> Vec<UserNamespace> {
        all.iter()
            .map(|(inode, owner)| UserNamespace { inode: *inode, owner: Some(*owner) })
            .collect()
    }

    #[test]
    fn who_made_a_user_namespace_rules_over_it_and_those_in_it() {
        let user = Joins { inode: 1, is_admin: false };
        let root = Joins { is_admin: true, ..user };
        let joined = Joins { inode: 2, is_admin: true };
        let (own, second) = ([(1, 0)], [(2, 1000), (1, 0)]);
        let (third, others) = ([(3, 0), (2, 1000), (1, 0)], [(4, 1001), (1, 0)]);
        for (of, powers, rules) in [
            (&own[..], user, false),
            (&own, root, true),
            (&own, joined, false),
            (&second, user, true),
            (&third, user, true),
            (&third, joined, true),
            (&others, user, false),
            (&others, root, true),
            (&others, joined, false),
            // It is not below the caller's.
            (&[], root, false),
        ] {
            assert_eq!(rules_over(&chain(of), &powers, 1000), rules, "{of:?} {powers:?}");
        }
    }
}
