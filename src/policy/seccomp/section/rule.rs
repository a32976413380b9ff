//! A rule of `[seccomp.rules]` as it is written: an action, or actions with conditions on
//! arguments.

use super::super::condition::{self, Is};
use super::super::filter::{EPERM, Verdict};
use super::{Action, errno};
use crate::language::value::Written;
use crate::text::source::{At, Span};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A rule of `[seccomp.rules]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// Each set of conditions with its action.
    pub cases: Vec<(At<Vec<Condition>>, Verdict)>,
    /// When none of them holds.
    pub otherwise: Option<Otherwise>,
}

impl Spec {
    /// Whether a call with these arguments meets one of its sets of conditions, as the kernel reads
    /// them.
    pub fn is_met(&self, call: &str, arguments: &[u64; 6]) -> bool {
        let holds = |condition: &Condition, refuses| {
            condition::test(call, condition.argument.value, &condition.is, refuses)
                .is_ok_and(|test| test.holds(arguments))
        };
        self.cases.iter().any(|(conditions, verdict)| {
            conditions.value.iter().all(|condition| holds(condition, verdict.refuses()))
        })
    }

    /// Whether what meets none of them is left to `allow` and `policy`. By default it is where
    /// every action refuses.
    pub fn leaves_the_rest(&self) -> bool {
        let refuse = || self.cases.iter().all(|(_, verdict)| verdict.refuses());
        self.otherwise.map_or_else(refuse, |otherwise| otherwise == Otherwise::Policy)
    }
}

/// What a rule says of the calls that no condition holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// What `allow` and `policy` say.
    Policy,
    Said(Verdict),
}

/// One condition on one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: At<u8>,
    /// What must be so.
    pub is: Is,
}

const RULE_KEYS: &str =
    "`otherwise`, and `allow-if`, `deny-if`, `kill-if` and so on, each an action and `-if`";

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spec, D::Error> {
        struct SpecVisitor;
        impl<'de> Visitor<'de> for SpecVisitor {
            type Value = Spec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an action such as \"errno:ENOSYS\", or a table such as { allow-if = [{ arg0 = \
                     \"AF_UNIX\" }] }",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Spec, E> {
                let Action(verdict) = Action::from_text(text).map_err(E::custom)?;
                Ok(Spec { cases: vec![], otherwise: Some(Otherwise::Said(verdict)) })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spec, A::Error> {
                let mut spec = Spec::default();
                while let Some(key) = map.next_key::<At<String>>()? {
                    if key.value == "otherwise" {
                        let text: String = map.next_value()?;
                        spec.otherwise = Some(match text.as_str() {
                            "policy" => Otherwise::Policy,
                            text => Otherwise::Said(
                                Action::from_text(text).map_err(de::Error::custom)?.0,
                            ),
                        });
                        continue;
                    }
                    let Some(action) = key.value.strip_suffix("-if") else {
                        return Err(de::Error::custom(format!(
                            "unknown key `{}` of a rule\nhelp: its keys are {RULE_KEYS}",
                            key.value
                        )));
                    };
                    let Action(verdict) = Action::from_text(action).map_err(de::Error::custom)?;
                    let Alternatives(alternatives) = map.next_value()?;
                    for At { value: Conditions { all, errno }, at } in alternatives {
                        let verdict = match errno {
                            None => verdict,
                            Some(errno) if verdict == EPERM => Verdict::Errno(errno),
                            Some(_) => {
                                return Err(de::Error::custom("`errno` goes with `deny-if` alone"));
                            }
                        };
                        spec.cases.push((At::new(all, at), verdict));
                    }
                }
                if spec.cases.is_empty() && spec.otherwise.is_none() {
                    return Err(de::Error::custom(format!(
                        "the rule says nothing\nhelp: its keys are {RULE_KEYS}"
                    )));
                }
                Ok(spec)
            }
        }
        deserializer.deserialize_any(SpecVisitor)
    }
}

/// Sets of conditions, of which any is enough: a list of tables, or one table.
struct Alternatives(Vec<At<Conditions>>);

impl<'de> Deserialize<'de> for Alternatives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Alternatives, D::Error> {
        struct AlternativesVisitor;
        impl<'de> Visitor<'de> for AlternativesVisitor {
            type Value = Alternatives;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tables such as [{ arg0 = \"AF_UNIX\" }]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Alternatives, A::Error> {
                let mut all = vec![];
                while let Some(conditions) = seq.next_element()? {
                    all.push(conditions);
                }
                Ok(Alternatives(all))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Alternatives, A::Error> {
                let conditions =
                    Conditions::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let at = conditions.all.first().map_or(Span::NOWHERE, |first| first.argument.at);
                Ok(Alternatives(vec![At::new(conditions, at)]))
            }
        }
        deserializer.deserialize_any(AlternativesVisitor)
    }
}

/// Conditions that must all hold: a table by argument, and the errno of a refusal.
struct Conditions {
    all: Vec<Condition>,
    errno: Option<i32>,
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Conditions, D::Error> {
        struct ConditionsVisitor;
        impl<'de> Visitor<'de> for ConditionsVisitor {
            type Value = Conditions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a table such as { arg0 = \"AF_UNIX\", arg1 = { any-bit = \"SOCK_CLOEXEC\" } }",
                )
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Conditions, A::Error> {
                let (mut all, mut name) = (vec![], None);
                while let Some(key) = map.next_key::<At<String>>()? {
                    if key.value == "errno" {
                        name =
                            Some(errno(&map.next_value::<String>()?).map_err(de::Error::custom)?);
                        continue;
                    }
                    let argument = key
                        .value
                        .strip_prefix("arg")
                        .and_then(|digit| digit.parse().ok())
                        .filter(|argument| *argument < 6);
                    let Some(argument) = argument.filter(|_| key.value.len() == 4) else {
                        return Err(de::Error::custom(format!(
                            "`{}` is not an argument: arg0 to arg5",
                            key.value
                        )));
                    };
                    all.push(Condition {
                        argument: At::new(argument, key.at),
                        is: map.next_value()?,
                    });
                }
                match all.as_slice() {
                    [] => Err(de::Error::custom(
                        "a condition without an argument always holds\nhelp: say it as the action \
                         of the rule, without `-if`",
                    )),
                    _ => Ok(Conditions { all, errno: name }),
                }
            }
        }
        deserializer.deserialize_any(ConditionsVisitor)
    }
}
