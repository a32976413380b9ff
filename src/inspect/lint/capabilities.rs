//! Capabilities that open nothing, because what they rule over belongs to another user namespace.

use crate::inspect::lint::Scene;
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::policy::identity::{Id, UNSAID_FOR_ROOT};
use crate::text::problem::{Problem, Problems};

/// Where a capability has its effect.
enum Over {
    /// The kernel asks for it in the first user namespace alone: `capable()`, which
    /// user_namespaces(7) words as "not associated with any namespace". (CAP_SYS_TIME also sets the
    /// offsets of a new time namespace: see `nested`.)
    Machine,
    /// The kernel asks for it in the user namespace that owns this one.
    Namespace(Kind),
}

/// By name: what has no entry has an effect in the sandbox's own user namespace, or in some of its
/// uses.
const TABLE: &[(&str, Over)] = &[
    ("audit-control", Over::Machine),
    ("audit-read", Over::Machine),
    ("audit-write", Over::Machine),
    ("block-suspend", Over::Machine),
    ("bpf", Over::Machine),
    ("lease", Over::Machine),
    ("linux-immutable", Over::Machine),
    ("mknod", Over::Machine),
    ("perfmon", Over::Machine),
    ("sys-module", Over::Machine),
    ("sys-pacct", Over::Machine),
    ("sys-rawio", Over::Machine),
    ("sys-time", Over::Machine),
    ("sys-tty-config", Over::Machine),
    ("syslog", Over::Machine),
    ("wake-alarm", Over::Machine),
    ("net-admin", Over::Namespace(Kind::Net)),
    ("net-bind-service", Over::Namespace(Kind::Net)),
    ("net-broadcast", Over::Namespace(Kind::Net)),
    ("net-raw", Over::Namespace(Kind::Net)),
    ("ipc-owner", Over::Namespace(Kind::Ipc)),
    ("sys-boot", Over::Namespace(Kind::Pid)),
];

/// In a user namespace of its own, the target has its capabilities over what that namespace owns
/// and over nothing else.
pub(super) fn without_effect(scene: &Scene, found: &mut Problems) {
    if !scene.choice.is_new(Kind::User) {
        return;
    }
    let kept = scene
        .profile
        .capabilities
        .keep
        .items
        .iter()
        .chain(&scene.profile.capabilities.ambient.items);
    for cap in kept {
        let name = Capability::to_string(&cap.value);
        let Some((_, over)) = TABLE.iter().find(|(known, _)| *known == name) else { continue };
        let warning = |why: String| {
            Problem::new(
                "capabilities::no-effect",
                cap.at,
                format!("`{name}` has no effect: {why}"),
            )
        };
        match over {
            Over::Machine => found.push(
                warning("in a user namespace the kernel honours it for nothing".into())
                    .help("leave it out"),
            ),
            Over::Namespace(kind) if !scene.choice.is_new(*kind) => found.push(
                warning(format!(
                    "the {} namespace is not the sandbox's own, and only its owner's capabilities \
                     rule over it",
                    kind.word()
                ))
                .also(scene.choice.at(*kind), "because of this")
                .help("leave it out, or let the sandbox have one of its own"),
            ),
            Over::Namespace(_) => {}
        }
    }
    lost_by_execve(scene, found);
}

/// execve(2) leaves a target that is not root inside with the ambient set alone (capabilities(7)),
/// and no file inside gives any.
fn lost_by_execve(scene: &Scene, found: &mut Problems) {
    let user = match scene.profile.identity.user.get().map(|user| &user.value) {
        Some(Id::Number(user)) => Some(*user),
        Some(Id::Name(name)) => scene.host.users.get(name).copied(),
        None => {
            (scene.host.caller.uid != 0).then_some(scene.host.caller.uid).or(Some(UNSAID_FOR_ROOT))
        }
    };
    if user.is_none_or(|user| user == 0) {
        return;
    }
    let sets = &scene.profile.capabilities;
    for cap in sets
        .keep
        .items
        .iter()
        .filter(|cap| sets.ambient.items.iter().all(|ambient| ambient.value != cap.value))
    {
        // One reason is enough.
        if found.iter().any(|known| known.at == cap.at) {
            continue;
        }
        let text = format!(
            "`{}` has no effect: the target is not root inside, and loses it when it is executed",
            cap.value
        );
        let name = cap.value.to_string();
        let help = match name.parse::<u8>() {
            Ok(_) => "leave it out".to_owned(),
            Err(_) => {
                format!("name it as one that stays, in [capabilities]: ambient = [\"{name}\"]")
            }
        };
        found.push(Problem::new("capabilities::no-effect", cap.at, text).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::value::Written;

    #[test]
    fn the_table_has_the_kernels_names() {
        for (name, _) in TABLE {
            assert_eq!(
                Capability::from_text(name).map(|cap| cap.to_string()).as_deref(),
                Ok(*name)
            );
        }
    }
}
