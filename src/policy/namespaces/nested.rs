//! `namespaces.nested`: which kinds of namespace the target may make itself, and the limit that
//! keeps it from the others.

use super::{Choice, Namespaces};
use crate::host::Host;
use crate::kernel::namespace::Kind;
use crate::kernel::syscalls;
use crate::language::read::{Node, Read, Why, Wrongs, list, mismatch};
use crate::language::section::Set;
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{Spelled, Written, unknown_word};
use crate::policy::optional::Protection;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use std::fmt;
use toml::de::DeValue;

// ---- table ----

impl Written for Kind {
    const WHAT: &'static str = "a kind of namespace such as \"user\"";
    fn from_text(text: &str) -> Result<Kind, Why> {
        Kind::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| {
            let words = Kind::ALL.map(|kind| kind.word());
            unknown_word("kind of namespace", &words, "write some of ", text)
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.word().into())
    }
    fn looks() -> Shape {
        Shape::names(Kind::ALL.iter().map(|kind| kind.word()))
    }
}

/// The kinds of namespace that the target may make, as their `CLONE_NEW*` flags.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Nested(u64);

impl Nested {
    /// The target makes no namespace.
    pub const NONE: Nested = Nested(0);

    pub const ALL: Nested = Nested::of(&Kind::ALL);

    /// Exactly these.
    pub const fn of(kinds: &[Kind]) -> Nested {
        let (mut flags, mut index) = (0, 0);
        while index < kinds.len() {
            flags |= kinds[index].flag();
            index += 1;
        }
        Nested(flags)
    }

    /// Whether the target may make this kind.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & kind.flag() != 0
    }

    /// Whether it may make any.
    pub fn is_some(self) -> bool {
        self != Nested::NONE
    }

    /// Whether it may make mount namespaces, and so mount and rename what no mount of the sandbox
    /// holds.
    pub fn mounts(self) -> bool {
        self.has(Kind::Mount)
    }

    /// The `CLONE_NEW*` flags of clone(2), unshare(2) and setns(2) that are let through.
    pub fn flags(self) -> u64 {
        self.0
    }

    /// The kinds, in the order in which they are joined.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// Whether it opens a system call that is closed without it.
    pub fn opens(self, call: &str) -> bool {
        let by_flags = self.is_some() && ["clone", "setns", "unshare"].contains(&call);
        by_flags || self.kinds().any(|kind| syscalls::opened_by(kind.word()).contains(&call))
    }

    /// These and one more.
    #[must_use]
    pub fn and(self, kind: Kind) -> Nested {
        Nested(self.0 | kind.flag())
    }

    /// These less one.
    #[must_use]
    pub fn less(self, kind: Kind) -> Nested {
        Nested(self.0 & !kind.flag())
    }
}

/// As a profile writes it.
impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.spell())
    }
}

impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nested({self})")
    }
}

impl Shaped for Nested {
    fn shape() -> Shape {
        Shape::either(&[|| Shape::Boolean, Vec::<Kind>::shape])
    }
}

impl Read for Nested {
    fn read(node: &Node<'_>) -> Result<Nested, Wrongs> {
        const WHAT: &str = "true, false or a list of kinds such as [\"user\", \"pid\", \"net\"]";
        match node.get_ref() {
            DeValue::Boolean(true) => Ok(Nested::ALL),
            DeValue::Boolean(false) => Ok(Nested::NONE),
            DeValue::Array(_) => Ok(list(node, WHAT)?.into_iter().fold(Nested::NONE, Nested::and)),
            _ => Err(mismatch(node, WHAT)),
        }
    }

    fn spell(&self) -> Toml {
        if *self == Nested::ALL || !self.is_some() {
            return Toml::bare(self.is_some());
        }
        Toml::List(self.kinds().map(|kind| kind.spell()).collect())
    }
}

// ---- draft ----

/// The name in `optional` of the limit behind the filter.
pub(crate) const SECOND_LOCK: &str = "namespaces.nested";

/// Every kind but the first takes CAP_SYS_ADMIN, which no target keeps and a user namespace of its
/// own gives (unshare(2)).
pub(super) fn check(namespaces: &Namespaces, draft: &mut Draft) {
    let Some(nested) = namespaces
        .nested
        .get()
        .filter(|nested| nested.value.is_some() && !nested.value.has(Kind::User))
    else {
        return;
    };
    let kind = nested.value.kinds().next().unwrap_or(Kind::User);
    let message = format!(
        "cannot let the target make a {} namespace: it can only in a user namespace that it makes \
         itself",
        kind.word()
    );
    let help = format!(
        "name both, which gives it every capability in there: namespaces.nested = {}",
        nested.value.and(Kind::User)
    );
    draft.problem(Problem::new("namespaces::nested", nested.at, message).help(help));
}

/// The limits behind the filter: the sandbox's own user namespace has 0 for each kind that is not
/// listed, and every user namespace in it counts there too (namespaces(7)). Without a user
/// namespace the target has CAP_SYS_ADMIN nowhere, and can make none of the others.
///
/// A new mount that is attached nowhere yet counts as a mount namespace, so that limit is written
/// when all are made.
pub(crate) fn forbid(
    namespaces: &Namespaces,
    choice: &Choice,
    host: &Host,
    optional: &Set<Protection>,
    draft: &mut Draft,
) {
    let nested = namespaces.made_inside();
    let kinds: Vec<Kind> = match nested.has(Kind::User) {
        true => Kind::ALL.into_iter().filter(|kind| !nested.has(*kind)).collect(),
        false => vec![Kind::User],
    };
    if kinds.is_empty() || !choice.is_new(Kind::User) {
        return;
    }
    let at = namespaces.nested.at();
    if let Some(name) = optional.items.iter().find(|name| name.value == SECOND_LOCK)
        && host.read_only_sysctls
    {
        let text = "the system call filter alone keeps the target from namespaces that it may not \
                    make";
        return draft.note_less(at.or(name.at), text, "/proc/sys is read-only here");
    }
    for kind in kinds {
        if kind == Kind::Mount {
            let slot = draft.slot();
            draft.step(Stage::Enter, ProcessOp::OpenLimit { slot, kind }, at);
            draft.step(Stage::Pivot, ProcessOp::WriteLimit { slot, kind }, at);
        } else {
            draft.step(Stage::Enter, ProcessOp::ForbidNamespaces { kind }, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_as_they_are_read() {
        for (nested, text) in [
            (Nested::NONE, "false"),
            (Nested::ALL, "true"),
            (Nested::of(&[Kind::Net, Kind::User]), "[\"user\", \"net\"]"),
            (
                Nested::ALL.less(Kind::Mount).less(Kind::Time),
                "[\"user\", \"ipc\", \"uts\", \"net\", \"cgroup\", \"pid\"]",
            ),
        ] {
            assert_eq!(nested.to_string(), text);
        }
    }

    #[test]
    fn each_kind_has_a_flag_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Nested::of(&[kind]).kinds().collect::<Vec<_>>(), [kind]);
            assert!(!Nested::ALL.less(kind).has(kind) && Nested::NONE.and(kind).has(kind));
        }
    }
}
