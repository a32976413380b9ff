//! Invented sections against a reference evaluation that knows the precedence and nothing of how
//! the filter is made.

use super::sections::{filter_with, section};
use super::*;
use crate::kernel::syscalls::groups;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Calls whose arguments no guard looks at.
const CALLS: [&str; 12] = [
    "read",
    "dup",
    "ptrace",
    "fsmount",
    "keyctl",
    "pidfd_getfd",
    "clone",
    "clone3",
    "ioctl",
    "socket",
    "personality",
    "sched_setscheduler",
];
/// Those of them that only their own name opens wholly.
const LOOKED_INTO: [&str; 5] = ["clone", "clone3", "ioctl", "socket", "personality"];
const GROUPS: [&str; 6] =
    ["@debug", "@keyring", "@process", "@mount", "@system-service", "@basic-io"];
const ACTIONS: [(&str, Verdict); 8] = [
    ("allow", Verdict::Allow),
    ("log", Verdict::Log),
    ("trace", Verdict::Trace),
    ("notify", Verdict::Notify),
    ("deny", EPERM),
    ("errno:EIO", Verdict::Errno(libc::EIO)),
    ("trap", Verdict::Trap),
    ("kill", Verdict::KillProcess),
];

/// Without a pid 1 of stockade's, which scheduling calls must not reach.
const UNGUARDED: Needs = Needs { target_is_init: true, ..NEEDS[0] };

/// Words of `default`; the first is none.
const DEFAULTS: [(&str, Verdict); 4] = [
    ("", EPERM),
    ("errno:EIO", Verdict::Errno(libc::EIO)),
    ("kill", Verdict::KillProcess),
    ("log", Verdict::Log),
];

/// A section as the reference knows it.
#[derive(Default)]
struct Model {
    policy: usize,
    default: usize,
    allow: Vec<&'static str>,
    deny: Vec<&'static str>,
    rules: BTreeMap<&'static str, ModelRule>,
    personality: bool,
    realtime: bool,
}

struct ModelRule {
    /// The action, and the values of the first argument for which it is.
    cases: Vec<(usize, Vec<u64>)>,
    otherwise: Option<Option<usize>>,
}

impl Model {
    fn roll(dice: &mut Dice) -> Model {
        let word = |dice: &mut Dice| match dice.below(3) {
            0 => GROUPS[dice.below(6) as usize],
            _ => CALLS[dice.below(12) as usize],
        };
        let mut model = Model {
            policy: dice.below(3) as usize,
            default: dice.below(4) as usize,
            personality: dice.below(4) != 0,
            realtime: dice.below(4) != 0,
            ..Model::default()
        };
        model.allow = (0..dice.below(4)).map(|_| word(dice)).collect();
        model.deny = (0..dice.below(3)).map(|_| word(dice)).collect();
        for _ in 0..dice.below(5) {
            let name = word(dice);
            let action = |dice: &mut Dice| dice.below(ACTIONS.len() as u64) as usize;
            let count = if name.starts_with('@') || name == "clone3" { 0 } else { dice.below(4) };
            let cases: Vec<_> = (0..count)
                .map(|_| (action(dice), (0..=dice.below(2)).map(|_| dice.below(4)).collect()))
                .collect();
            let otherwise = match dice.below(3) {
                0 if !cases.is_empty() => None,
                1 if !name.starts_with('@') => Some(None),
                _ => Some(Some(action(dice))),
            };
            model.rules.insert(name, ModelRule { cases, otherwise });
        }
        model
    }

    fn text(&self) -> String {
        let list = |words: &[&str]| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        // What the start of the target needs is not in question here.
        let (allow, deny) =
            (list(&[&self.allow[..], &["execve", "exit_group"]].concat()), list(&self.deny));
        let mut text = format!(
            "policy = \"{}\"\nallow = [{allow}]\ndeny = [{deny}]\n",
            ["default", "none", "off"][self.policy]
        );
        if self.default > 0 {
            text += &format!("default = \"{}\"\n", DEFAULTS[self.default].0);
        }
        text += &format!("personality = {}\nrealtime = {}\n", self.personality, self.realtime);
        for (name, rule) in &self.rules {
            let case = |(action, values): &(usize, Vec<u64>)| {
                let values: Vec<String> = values.iter().map(u64::to_string).collect();
                let (action, errno) = match ACTIONS[*action].0.strip_prefix("errno:") {
                    Some(errno) => ("deny", format!(", errno = \"{errno}\"")),
                    None => (ACTIONS[*action].0, String::new()),
                };
                (action, format!("{{ arg0 = [{}]{errno} }}", values.join(", ")))
            };
            let mut keys: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            rule.cases
                .iter()
                .map(case)
                .for_each(|(action, condition)| keys.entry(action).or_default().push(condition));
            let mut parts: Vec<String> = keys
                .into_iter()
                .map(|(action, conditions)| {
                    format!("\"{action}-if\" = [{}]", conditions.join(", "))
                })
                .collect();
            parts.extend(rule.otherwise.map(|otherwise| {
                format!(
                    "otherwise = \"{}\"",
                    otherwise.map_or("policy", |action| ACTIONS[action].0)
                )
            }));
            text += &format!("rules.\"{name}\" = {{ {} }}\n", parts.join(", "));
        }
        text
    }

    /// The precedence, said once more.
    fn judge(&self, call: &'static str, arguments: &[u64; 6]) -> Verdict {
        let shorthand = self.shorthand(call, arguments);
        let verdict = if self.deny.iter().any(|word| means(word, call)) {
            refusal(call)
        } else if let Some(rule) = self.rules.get(call) {
            self.by_rule(rule, call, arguments, shorthand)
        } else if let Some(verdict) = self.strictest_group(call) {
            self.by_group(verdict, call, arguments)
        } else {
            self.below(call, arguments)
        };
        // A condition that holds beats one that is less strict; a plain refusal is as good as any.
        match shorthand {
            Some(refused) if !verdict.refuses() => refused,
            _ => verdict,
        }
    }

    fn by_rule(
        &self,
        rule: &ModelRule,
        call: &'static str,
        arguments: &[u64; 6],
        shorthand: Option<Verdict>,
    ) -> Verdict {
        // The first argument of each of these calls has 32 bits, but for ptrace's.
        let first = if call == "ptrace" { arguments[0] } else { arguments[0] & 0xffff_ffff };
        let holding = rule
            .cases
            .iter()
            .filter(|(_, values)| values.contains(&first))
            .map(|(action, _)| ACTIONS[*action].1);
        // A shorthand's condition that holds is one of them.
        let shorthand = shorthand.filter(|_| !rule.cases.is_empty());
        if let Some(verdict) = holding.chain(shorthand).max_by_key(|verdict| verdict.strictness()) {
            return verdict;
        }
        match rule.otherwise {
            Some(Some(action)) => ACTIONS[action].1,
            Some(None) => self.below(call, arguments),
            None if rule.cases.iter().all(|(action, _)| ACTIONS[*action].1.refuses()) => {
                self.below(call, arguments)
            }
            None => refusal(call),
        }
    }

    /// A group opens no more of these calls than the words below it do, or where those are `none`
    /// the default policy.
    fn by_group(&self, verdict: Verdict, call: &'static str, arguments: &[u64; 6]) -> Verdict {
        if verdict.refuses() || !LOOKED_INTO.contains(&call) {
            return verdict;
        }
        let none = self.policy == 1 && !self.allow.iter().any(|word| means(word, call));
        let below = if none {
            default(&UNGUARDED).judge(Abi::Native.number(call).expect(call), arguments)
        } else {
            self.below(call, arguments)
        };
        if below == Verdict::Allow { verdict } else { below }
    }

    fn strictest_group(&self, call: &str) -> Option<Verdict> {
        let groups =
            self.rules.iter().filter(|(name, _)| name.starts_with('@') && means(name, call));
        let actions =
            groups.filter_map(|(_, rule)| rule.otherwise.flatten().map(|action| ACTIONS[action].1));
        actions.max_by_key(|verdict| verdict.strictness())
    }

    fn below(&self, call: &'static str, arguments: &[u64; 6]) -> Verdict {
        let default =
            || default(&UNGUARDED).judge(Abi::Native.number(call).expect(call), arguments);
        let looked_into = LOOKED_INTO.contains(&call);
        if self.allow.contains(&call) {
            return Verdict::Allow;
        }
        if self.allow.iter().any(|word| means(word, call)) {
            return if looked_into { default() } else { Verdict::Allow };
        }
        let (_, word) = DEFAULTS[self.default];
        let word = if looked_into && word == Verdict::Log { EPERM } else { word };
        match self.policy {
            // Of what is looked into a part alone is refused.
            0 if !looked_into && default() == EPERM => word,
            0 => default(),
            1 if refusal(call) == EPERM => word,
            1 => refusal(call),
            _ if call == "ioctl" && [0x5412, 0x541c].contains(&(arguments[1] & 0xffff_ffff)) => {
                EPERM
            }
            _ => Verdict::Allow,
        }
    }

    fn shorthand(&self, call: &str, arguments: &[u64; 6]) -> Option<Verdict> {
        let low = arguments.map(|argument| argument as u32);
        let refused = match call {
            "personality" => !self.personality && ![0, u32::MAX].contains(&low[0]),
            "sched_setscheduler" => {
                !self.realtime && ![0, 3, 5, 7].contains(&(low[1] & !0x4000_0000))
            }
            _ => false,
        };
        refused.then_some(EPERM)
    }
}

fn means(word: &str, call: &str) -> bool {
    static MEMBERS: LazyLock<BTreeMap<&str, BTreeSet<&str>>> = LazyLock::new(|| {
        GROUPS.map(|group| (group, groups::members(group).expect(group))).into_iter().collect()
    });
    word == call || MEMBERS.get(word).is_some_and(|calls| calls.contains(call))
}

fn refusal(call: &str) -> Verdict {
    if call == "clone3" { ENOSYS } else { EPERM }
}

#[test]
fn invented_sections_do_as_the_reference_says() {
    let mut dice = Dice(0xfeed);
    let needs = UNGUARDED;
    for _ in 0..200 {
        let model = Model::roll(&mut dice);
        let text = model.text();
        // A word that denies the start of the target is refused, which is another test's.
        let filter = match filter_with(&text, &needs, None) {
            Ok(filter) => filter,
            Err(said) => {
                assert!(said.contains("seccomp::start"), "{text}\n{said}");
                continue;
            }
        };
        for call in CALLS {
            let number = Abi::Native.number(call).expect(call);
            for _ in 0..30 {
                let near = [0, 1, 2, 3, 0x5412, 0x541c, 0x1000_0000, 0x4000_0000];
                let arguments: [u64; 6] = std::array::from_fn(|_| dice.argument(&near));
                let (is, expected) =
                    (filter.judge(number, &arguments), model.judge(call, &arguments));
                assert_eq!(
                    is,
                    expected,
                    "{text}\n{call} {arguments:#x?}: {}",
                    filter.rule(number).expect(call)
                );
            }
        }
    }
}

#[test]
fn programs_of_invented_sections_read_as_their_filters() {
    let mut dice = Dice(0xbead);
    for _ in 0..12 {
        let text = Model::roll(&mut dice).text()
            + if cfg!(target_arch = "x86_64") {
                "architectures = [\"x86\", \"x32\"]\n"
            } else {
                ""
            };
        assert!(section(&text).is_ok(), "{text}");
        if let Ok(filter) = filter_with(&text, &NEEDS[dice.below(5) as usize], None) {
            assert_same(&filter, &mut dice, 30);
        }
    }
}
