//! From `[seccomp]` to the filter: a table for each architecture, and what no filter may refuse.

use super::default::{self, Needs};
use super::filter::{ENOSYS, Filter, Source, Table, Verdict};
use super::import::Imported;
use super::precedence::{Ground, Words};
use super::section::{Base, Seccomp};
use super::{compile, foreign};
use crate::kernel::syscalls::Abi;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;

pub fn draft(
    seccomp: &Seccomp,
    needs: &Needs,
    imported: Option<&Imported>,
    draft: &mut Draft,
) -> Filter {
    if seccomp.is_unsaid() {
        return default::default(needs);
    }
    let words = Words::of(seccomp, needs, imported, draft);
    let unknown = match words.base {
        Ground::Words(Base::Off) => Verdict::Allow,
        Ground::Imported(imported) if !imported.default.refuses() => imported.default,
        _ => ENOSYS,
    };
    let table = |abi: Abi| Table::of(abi, unknown, foreign::decide(abi, &words));
    let filter = Filter {
        native: Table::of(
            Abi::Native,
            unknown,
            Abi::Native.known().into_iter().map(|(number, call)| words.numbered(number, call)),
        ),
        others: granted(seccomp, draft).into_iter().map(table).collect(),
    };
    check(&filter, seccomp, draft);
    filter
}

/// The architectures that are granted. They are those of x86_64.
fn granted(seccomp: &Seccomp, draft: &mut Draft) -> Vec<Abi> {
    if let (Some(architecture), false) =
        (seccomp.architectures.items.first(), cfg!(target_arch = "x86_64"))
    {
        let message = format!(
            "cannot grant {}: this machine is {}",
            architecture.value,
            std::env::consts::ARCH
        );
        draft.problem(
            Problem::new("seccomp::architecture", architecture.at, message)
                .help("remove it: architectures = \"default\""),
        );
        return vec![];
    }
    let mut abis: Vec<Abi> =
        seccomp.architectures.items.iter().map(|architecture| architecture.value.0).collect();
    abis.sort_unstable();
    abis
}

/// What a dynamic loader (ld.so(8)) does before the program's own first instruction.
const OF_LOADERS: &[&str] = &["openat", "read", "mmap", "mprotect", "close"];

/// A loader that may not open a library ends with 127 and, where write(2) is refused, says nothing.
fn note_of_libraries(filter: &Filter, seccomp: &Seccomp, draft: &mut Draft) {
    let is_refused = |call: &&&str| {
        Abi::Native
            .number(call)
            .and_then(|number| filter.rule(number))
            .is_some_and(|rule| rule.cases.is_empty() && !rule.otherwise.permits())
    };
    let refused: Vec<&str> = OF_LOADERS.iter().filter(is_refused).copied().collect();
    if !refused.is_empty() {
        let at = seccomp.import.at().or(seccomp.policy.at());
        let text = format!(
            "a program with libraries ends with 127, and may say nothing, as the filter refuses {}; \
             [seccomp] allow = [\"@default\", \"@file-system\", \"@basic-io\"] permits them",
            refused.join(", ")
        );
        draft.note(at, text);
    }
}

/// The target starts by execve(2) under the filter, and the kernel takes no program without end.
fn check(filter: &Filter, seccomp: &Seccomp, draft: &mut Draft) {
    let mut of_policy = false;
    for (call, does) in [("execve", "starts"), ("exit_group", "ends")] {
        let number = Abi::Native.number(call).unwrap_or_default();
        let open = filter
            .rule(number)
            .is_some_and(|rule| rule.cases.is_empty() && rule.otherwise.permits());
        if !open {
            let policy = seccomp.import.at().or(seccomp.policy.at());
            let (source, at) =
                filter.native.because(number).map_or((Source::Policy, policy), |because| because);
            let help = match source {
                // No other word permits a denied call.
                Source::Deny => format!("take {call}, or the group that it is in, out of `deny`"),
                Source::Rules => format!("leave the rule for {call} out"),
                // One word causes both problems, and one help fixes both.
                _ if of_policy => continue,
                _ => {
                    of_policy = true;
                    "permit what every program does, in [seccomp]: allow = [\"@default\"]".into()
                }
            };
            draft.problem(
                Problem::new(
                    "seccomp::start",
                    at,
                    format!("cannot refuse {call}: the target itself {does} by it"),
                )
                .help(help),
            );
        }
    }
    note_of_libraries(filter, seccomp, draft);
    let length = compile(filter).len();
    if length > super::LONGEST {
        draft.problem(
            Problem::new(
                "seccomp::length",
                Span::NOWHERE,
                format!(
                    "cannot enforce the filter: it has {length} instructions, and the kernel takes {}",
                    super::LONGEST
                ),
            )
            .help(
                "compare fewer values: use bounds (`at-least`, `at-most`) or `mask` for neighbours",
            ),
        );
    }
}
