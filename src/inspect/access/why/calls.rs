//! Whether a system call passes the filter, and what is behind it.

use super::Asked;
use crate::inspect::access::query::{Decision, Mechanism, Reason};
use crate::kernel::syscalls;
use crate::policy::seccomp::{Source, Verdict};
use crate::text::source::Span;

impl Asked<'_> {
    pub(super) fn call(&self, number: u32, arguments: Option<&[u64; 6]>) -> Vec<Reason> {
        let filter = &self.world.plan.filter;
        let name = syscalls::name(number).unwrap_or_default();
        let nested = self.profile.namespaces.nested.get().filter(|nested| nested.value.opens(name));
        // A rule decides about what meets its conditions; the rest may be the policy's.
        let left = |arguments| {
            self.profile.seccomp.rules.get(name).is_some_and(|rule| {
                rule.value.leaves_the_rest() && !rule.value.is_met(name, arguments)
            })
        };
        let because = filter
            .native
            .because(number)
            .filter(|(source, _)| *source != Source::Rules || !arguments.is_some_and(left));
        let nested_at = nested.map_or(Span::NOWHERE, |nested| nested.at);
        let at = because.map_or(nested_at, |(_, at)| at);
        let topic = syscalls::ALLOWED
            .iter()
            .find(|(_, calls)| calls.contains(&name))
            .map(|(topic, _)| *topic);
        let rule = filter.rule(number);
        let says =
            |verdict: Verdict| if verdict.permits() { Decision::Allows } else { Decision::Denies };
        let policy = match because {
            Some((Source::Policy, _)) => "`default` of [seccomp]".to_owned(),
            Some((source, _)) => format!("`{source}` of [seccomp]"),
            None if nested_at.is_somewhere() => "the policy for nested sandboxes".to_owned(),
            None => self.profile.seccomp.policy_in_words().to_owned(),
        };
        let topic = topic.filter(|_| because.is_none());
        let (says, words) = match (rule, arguments) {
            (Some(rule), None) if !rule.cases.is_empty() => {
                let any = rule.otherwise.permits()
                    || rule.cases.iter().any(|case| case.verdict.permits());
                let says = if any { Decision::Allows } else { Decision::Denies };
                (says, format!("{policy} looks at its arguments: {rule}"))
            }
            (rule, arguments) => {
                let verdict = filter.judge(number, arguments.unwrap_or(&[0; 6]));
                let of = topic
                    .filter(|_| rule.is_some_and(|rule| rule.cases.is_empty()))
                    .map_or(String::new(), |topic| format!(" ({topic})"));
                let with = if arguments.is_some() && rule.is_some_and(|rule| !rule.cases.is_empty())
                {
                    " with these arguments"
                } else {
                    ""
                };
                match verdict {
                    Verdict::Allow => (says(verdict), format!("{policy} allows it{with}{of}")),
                    Verdict::Log => (
                        says(verdict),
                        format!("{policy} allows it{with}{of}, and the kernel logs it"),
                    ),
                    Verdict::Errno(0) => (
                        says(verdict),
                        format!("{policy} does nothing and answers 0{with}, as if it were done"),
                    ),
                    Verdict::Trace
                    | Verdict::Notify
                    | Verdict::Errno(_)
                    | Verdict::Trap
                    | Verdict::KillThread
                    | Verdict::KillProcess => {
                        (says(verdict), format!("{policy} answers {verdict}{with}"))
                    }
                }
            }
        };
        let mut reasons = vec![Reason::new(Mechanism::Seccomp, says, words, at)];
        if says == Decision::Allows {
            reasons.extend(self.behind_the_filter(name, arguments, at));
        }
        reasons
    }
}
