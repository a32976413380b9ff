//! The precedence of the words of `[seccomp]`. `deny` beats `rules`, `rules` beat `allow`, `allow`
//! beats `policy`.

use super::default::{self, Needs, guarded, injection, is_particular, refusal};
use super::filter::{Case, EPERM, Rule, Source, Verdict};
use super::import::Imported;
use super::section::{Base, Calls, Condition, Otherwise, Refusal, Seccomp, Spec};
use super::{condition, shorthand};
use crate::kernel::syscalls::counterpart;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::{At, Span};
use std::collections::BTreeMap;

/// The verdict of a call that no key mentions.
#[derive(Clone, Copy)]
pub(super) enum Ground<'a> {
    Words(Base),
    Imported(&'a Imported),
}

/// The words of the section by call, so that each call is decided by a few look-ups.
pub(super) struct Words<'a> {
    seccomp: &'a Seccomp,
    needs: &'a Needs,
    pub base: Ground<'a>,
    denied: BTreeMap<&'static str, Span>,
    ruled: BTreeMap<&'static str, (Ruled, Span)>,
    named: BTreeMap<&'static str, Span>,
    grouped: BTreeMap<&'static str, Span>,
}

/// A rule of the profile, with its conditions as tests.
#[derive(Clone)]
struct Ruled {
    cases: Vec<Case>,
    otherwise: Otherwise,
    by: By,
}

/// What a rule was written for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// The call itself.
    Name,
    /// A group that the call is in.
    Group,
}

impl Ruled {
    /// Whether the rule is a group's and lets its calls through. Such a rule opens no call that
    /// only its own name opens: `"log"` on @system-service would open TIOCSTI, and `"trace"` gives
    /// the decision to a tracer of the target's own.
    fn is_open_group(&self) -> bool {
        self.by == By::Group
            && matches!(self.otherwise, Otherwise::Said(verdict) if !verdict.refuses())
    }
}

impl<'a> Words<'a> {
    pub(super) fn of(
        seccomp: &'a Seccomp,
        needs: &'a Needs,
        imported: Option<&'a Imported>,
        draft: &mut Draft,
    ) -> Words<'a> {
        let base = imported
            .map_or(Ground::Words(seccomp.policy.or(Base::Default).value), Ground::Imported);
        let mut words = Words {
            seccomp,
            needs,
            base,
            denied: BTreeMap::new(),
            ruled: BTreeMap::new(),
            named: BTreeMap::new(),
            grouped: BTreeMap::new(),
        };
        for calls in &seccomp.deny.items {
            for call in calls.members() {
                words.denied.entry(call).or_insert(calls.at);
            }
        }
        for calls in &seccomp.allow.items {
            let into = if calls.is_group() { &mut words.grouped } else { &mut words.named };
            for call in calls.members() {
                into.entry(call).or_insert(calls.at);
            }
        }
        words.rules(draft);
        words.check(draft);
        words
    }

    /// A rule for a call itself comes before one for its group; of several groups the strictest
    /// action counts.
    fn rules(&mut self, draft: &mut Draft) {
        for (name, spec) in self.seccomp.rules.iter() {
            let calls = match <Calls as crate::language::value::Written>::from_text(name.value) {
                Ok(calls) => calls,
                Err(why) => {
                    let (message, help) = why.plain();
                    draft.problem(
                        Problem::new(
                            "seccomp::rule",
                            name.at,
                            format!("cannot read the rule: {message}"),
                        )
                        .help_maybe(help),
                    );
                    continue;
                }
            };
            if !calls.is_group() {
                let ruled = ruled(name.value, spec, draft);
                self.ruled.extend(
                    calls.members().into_iter().map(|call| (call, (ruled.clone(), name.at))),
                );
                continue;
            }
            let (Some(otherwise), true) = (spec.otherwise, spec.cases.is_empty()) else {
                let message = format!(
                    "cannot put conditions on {}: the arguments of its calls have nothing in common",
                    name.value
                );
                draft.problem(
                    Problem::new("seccomp::rule", spec.at, message)
                        .help("write a rule for each call that is meant"),
                );
                continue;
            };
            for call in calls.members() {
                // Single rules may come after this one in the table.
                let stricter = |(had, _): &(Ruled, Span)| {
                    had.cases.is_empty() && strictness(had.otherwise) < strictness(otherwise)
                };
                if !self.seccomp.rules.map.contains_key(call)
                    && self.ruled.get(call).is_none_or(stricter)
                {
                    self.ruled
                        .insert(call, (Ruled { cases: vec![], otherwise, by: By::Group }, name.at));
                }
            }
        }
    }

    /// Words that say two things of one call.
    fn check(&self, draft: &mut Draft) {
        let families = self.seccomp.families.said();
        let socket =
            self.ruled.get("socket").map(|(_, at)| *at).or(self.named.get("socket").copied());
        if let (Some(at), Some(also)) = (families, socket) {
            draft.problem(
                Problem::new(
                    "seccomp::families",
                    at,
                    "cannot enforce `families`: another word says which sockets there may be",
                )
                .also(also, "this")
                .help(
                    "leave one of the two out; in a rule for `socket` the families are values of \
                     `arg0`",
                ),
            );
        }
        if let (Some(policy), Some(import)) = (self.seccomp.policy.get(), self.seccomp.import.get())
        {
            draft.problem(
                Problem::new(
                    "seccomp::import",
                    import.at,
                    "cannot import a policy: there is one already",
                )
                .also(policy.at, "this one")
                .help("leave one of them out; `allow`, `deny` and `rules` change either"),
            );
        }
        if let (Some(default), Some(import)) =
            (self.seccomp.default.get(), self.seccomp.import.get())
        {
            let message = "cannot set `default`: the imported policy says what becomes of calls \
                           that it does not name";
            draft.problem(
                Problem::new("seccomp::import", default.at, message)
                    .also(import.at, "this one")
                    .help("leave one of them out"),
            );
        }
        if let (Some(At { value: true, at }), true) =
            (self.seccomp.set_id.get(), self.needs.deny_set_id)
        {
            draft.problem(
                Problem::new(
                    "seccomp::set-id",
                    *at,
                    "cannot allow set-id files: the target's ids are the host's root on files, and \
                     they would be root's",
                )
                .help("leave it out, or bind a directory of another owner"),
            );
        }
    }

    /// The entry of a table for a call.
    pub(super) fn numbered(
        &self,
        number: u32,
        call: &'static str,
    ) -> (u32, Rule, Option<(Source, Span)>) {
        let (rule, because) = self.decide(call);
        (number, rule, because)
    }

    /// Whether the profile decides about the call as a whole: by its own name, or by a group that
    /// refuses it. Of socketcall(2) and ipc(2), which hold many calls, a group that lets them
    /// through says nothing of each.
    pub(super) fn speak_of(&self, call: &str) -> bool {
        let ruled = self.ruled.get(call).is_some_and(|(ruled, _)| !ruled.is_open_group());
        self.denied.contains_key(call) || ruled || self.named.contains_key(call)
    }

    /// Decides about a call: the precedence, and on top what no word lifts.
    pub(super) fn decide(&self, call: &'static str) -> (Rule, Option<(Source, Span)>) {
        let same = counterpart(call);
        let (mut rule, because) = if let Some(at) = find(&self.denied, call, same) {
            (Rule::always(refusal(same)), Some((Source::Deny, *at)))
        } else if let Some((ruled, at)) = find(&self.ruled, call, same) {
            (self.by_rule(ruled, call, same), Some((Source::Rules, *at)))
        } else {
            self.below_rules(call, same)
        };
        shorthand::refusals(self.seccomp, same).into_iter().for_each(|case| rule.refuse(case));
        // nice(2) is of the caller alone, and its only argument is no `which`.
        (guarded(rule, if call == "nice" { call } else { same }, self.needs), because)
    }

    fn by_rule(&self, ruled: &Ruled, call: &'static str, same: &'static str) -> Rule {
        let mut rule = match ruled.otherwise {
            Otherwise::Said(verdict) if ruled.is_open_group() && is_particular(same) => {
                self.in_part(call, same).passing(verdict)
            }
            Otherwise::Said(verdict) => Rule::always(verdict),
            Otherwise::Policy => self.below_rules(call, same).0,
        };
        rule.cases.splice(0..0, ruled.cases.iter().cloned());
        rule
    }

    /// What a group opens of a call that only its own name opens wholly: as much as the words below
    /// have open. `none` has nothing open, and there it is the default policy's part, as in
    /// `allow`.
    fn in_part(&self, call: &'static str, same: &'static str) -> Rule {
        match (self.below_rules(call, same), self.base) {
            ((_, None | Some((Source::Policy, _))), Ground::Words(Base::None)) => {
                default::rule(same, self.needs)
            }
            ((rule, _), _) => rule,
        }
    }

    /// `allow`, then `families`, then the policy.
    fn below_rules(
        &self,
        call: &'static str,
        same: &'static str,
    ) -> (Rule, Option<(Source, Span)>) {
        if let Some(at) = find(&self.named, call, same) {
            return (Rule::always(Verdict::Allow), Some((Source::Allow, *at)));
        }
        if let ("socket", Some(at)) = (same, self.seccomp.families.said()) {
            let granted: Vec<u64> =
                self.seccomp.families.items.iter().map(|family| family.number).collect();
            return (default::families(&granted), Some((Source::Families, at)));
        }
        if let Some(at) = find(&self.grouped, call, same) {
            let rule = if is_particular(same) {
                default::rule(same, self.needs)
            } else {
                Rule::always(Verdict::Allow)
            };
            return (rule, Some((Source::Allow, *at)));
        }
        let mut rule = match self.base {
            Ground::Words(Base::Default) => {
                return self.refused(default::rule(same, self.needs), same);
            }
            Ground::Words(Base::None) => return self.refused(Rule::always(refusal(same)), same),
            Ground::Words(Base::Off) => Rule::always(Verdict::Allow),
            Ground::Imported(imported) => imported.rule(call),
        };
        if same == "ioctl" {
            rule.refuse(injection());
        }
        (rule, None)
    }
}

impl Words<'_> {
    /// A call that the policy refuses as a whole, in the profile's word for those. What programs
    /// understand as absent stays so: libraries try clone3(2) and others first, and go another way
    /// after ENOSYS alone. `log` opens nothing that a group would not open.
    fn refused(&self, rule: Rule, same: &str) -> (Rule, Option<(Source, Span)>) {
        match self.seccomp.default.get() {
            Some(At { value: Refusal(verdict), at })
                if rule == Rule::always(EPERM) && (verdict.refuses() || !is_particular(same)) =>
            {
                (Rule::always(*verdict), Some((Source::Policy, *at)))
            }
            _ => (rule, None),
        }
    }
}

fn find<'m, V>(map: &'m BTreeMap<&'static str, V>, call: &str, same: &str) -> Option<&'m V> {
    map.get(call).or_else(|| map.get(same))
}

fn strictness(otherwise: Otherwise) -> (u8, i32) {
    match otherwise {
        Otherwise::Policy => (0, 0),
        Otherwise::Said(verdict) => verdict.strictness(),
    }
}

/// The rule with its conditions as tests, the strictest first: of several that hold it wins.
///
/// If no condition holds and the rule has no `otherwise`, a rule of refusals alone leaves the call
/// to the words below it, so that it never opens anything; any other rule refuses it.
fn ruled(call: &str, spec: &At<Spec>, draft: &mut Draft) -> Ruled {
    let mut cases = vec![];
    for (conditions, verdict) in &spec.cases {
        let mut tests = vec![];
        for Condition { argument, is } in &conditions.value {
            match condition::test(call, argument.value, is, verdict.refuses()) {
                Ok(test) => tests.push(test),
                Err(message) => draft.problem(Problem::new(
                    "seccomp::condition",
                    argument.at,
                    format!("cannot put a condition on {call}: {message}"),
                )),
            }
        }
        cases.push(Case { tests, verdict: *verdict });
    }
    cases.sort_by_key(|case| std::cmp::Reverse(case.verdict.strictness()));
    let by_default = if spec.value.leaves_the_rest() {
        Otherwise::Policy
    } else {
        Otherwise::Said(refusal(call))
    };
    Ruled { cases, otherwise: spec.otherwise.unwrap_or(by_default), by: By::Name }
}
