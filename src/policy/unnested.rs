//! `nested` where the sandbox shares a user namespace: the system call filter alone keeps the
//! target from what is not listed, since the kernel's limits (namespaces(7)) are those of a
//! namespace with other processes in it. It decides nothing else.

use crate::kernel::namespace::Kind;
use crate::kernel::syscalls;
use crate::policy::namespaces::{Choice, Namespaces};
use crate::policy::seccomp::{Filter, Verdict};
use crate::step::draft::Draft;
use crate::text::problem::Problem;

/// Refuses a `nested` that is written and that `[seccomp]` opens. Where no line says it, the words
/// of `[seccomp]` are all.
pub(crate) fn draft(namespaces: &Namespaces, choice: &Choice, filter: &Filter, draft: &mut Draft) {
    let Some(nested) = namespaces.nested.get() else { return };
    if choice.is_new(Kind::User) {
        return;
    }
    // In a user namespace of its own the target could make every other kind.
    let kept = |kind: &Kind| {
        if nested.value.has(Kind::User) { !nested.value.has(*kind) } else { *kind == Kind::User }
    };
    let makes = |kind: Kind| {
        // clone3(2) has its flags behind a pointer, and clone(2) has no bit for the clocks.
        let calls = ["unshare", "clone", "clone3"]
            .into_iter()
            .filter(move |call| (*call, kind) != ("clone", Kind::Time));
        calls.map(move |call| (call, kind))
    };
    let is_open = |(call, kind): &(&str, Kind)| {
        let verdict = syscalls::number(call)
            .map(|number| filter.native.judge(number, &[kind.flag(), 0, 0, 0, 0, 0]));
        matches!(verdict, Some(Verdict::Allow | Verdict::Log | Verdict::Trace | Verdict::Notify))
    };
    if let Some((call, kind)) = Kind::ALL.into_iter().filter(kept).flat_map(makes).find(is_open) {
        let word = kind.word();
        let message = format!(
            "cannot keep the target from making a {word} namespace: {call}(2) is allowed, and its \
             user namespace is shared"
        );
        let help = "remove what allows it from [seccomp], or `nested`";
        draft.problem(
            Problem::new("namespaces::open", nested.at, message)
                .also(choice.at(Kind::User), "because of this")
                .help(help),
        );
    }
}
