//! A rule of `[seccomp.rules]` as it is written: an action, or actions with conditions on
//! arguments.

use super::super::condition::{self, Is};
use super::super::filter::{EPERM, Verdict};
use super::{Action, errno, shapes};
use crate::language::read::{Node, Read, Why, Wrongs, entries, mismatch};
use crate::language::section::EntryType;
use crate::language::shape::{Named, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::Written;
use crate::text::source::{At, Span};
use toml::de::DeValue;

/// A rule of `[seccomp.rules]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// Each set of conditions with its action.
    pub cases: Vec<(At<Vec<Condition>>, Verdict)>,
    /// When none of them holds.
    pub otherwise: Option<Otherwise>,
}

impl Spec {
    /// The rule that is an action alone.
    pub fn always(verdict: Verdict) -> Spec {
        Spec { cases: vec![], otherwise: Some(Otherwise::Said(verdict)) }
    }

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

/// The verdict of a rule for calls that meet no condition.
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
    /// The comparison.
    pub is: Is,
}

const RULE_KEYS: &str =
    "`otherwise`, and `allow-if`, `deny-if`, `kill-if` and so on, each an action and `-if`";

impl Shaped for Spec {
    fn shape() -> Shape {
        shapes::rule()
    }
}

impl EntryType for Spec {
    type Keys = std::convert::Infallible;
    fn entries() -> Shape {
        let value = Shape::Entry(Box::new(Spec::shape()));
        let doc =
            "An action, or actions with conditions on arguments; a group takes an action alone.";
        Shape::Named(Named {
            doc,
            name: "CALL",
            form: shapes::CALLS,
            fills: false,
            value: Box::new(value),
        })
    }
}

impl Read for Spec {
    fn read(node: &Node<'_>) -> Result<Spec, Wrongs> {
        match node.get_ref() {
            DeValue::String(_) => {
                let Action(verdict) = Action::read(node)?;
                Ok(Spec::always(verdict))
            }
            DeValue::Table(_) => of_table(node),
            _ => Err(mismatch(
                node,
                "an action such as \"errno:ENOSYS\", or a table such as { allow-if = [{ arg0 = \
                 \"AF_UNIX\" }] }",
            )),
        }
    }

    fn spell(&self) -> Toml {
        if let (Some(Otherwise::Said(verdict)), true) = (self.otherwise, self.cases.is_empty()) {
            return Action(verdict).spell();
        }
        let mut keys: Vec<(String, Toml)> = vec![];
        for (conditions, verdict) in &self.cases {
            let (key, errno) = match verdict {
                Verdict::Errno(number) if *verdict != EPERM => {
                    ("deny-if".to_owned(), Some(*number))
                }
                verdict => (format!("{}-if", Action(*verdict).word()), None),
            };
            let case = spell_conditions(&conditions.value, errno);
            match keys.last_mut() {
                Some((last, Toml::List(cases))) if *last == key => cases.push(case),
                _ => keys.push((key, Toml::List(vec![case]))),
            }
        }
        keys.extend(self.otherwise.map(|otherwise| {
            let value = match otherwise {
                Otherwise::Policy => Toml::word("policy"),
                Otherwise::Said(verdict) => Action(verdict).spell(),
            };
            ("otherwise".to_owned(), value)
        }));
        Toml::Table(keys)
    }
}

fn of_table(node: &Node<'_>) -> Result<Spec, Wrongs> {
    let mut spec = Spec::default();
    for (key, value) in entries(node, "a table")? {
        let place = Span::from(key.span());
        if key.get_ref() == "otherwise" {
            spec.otherwise = Some(match value.get_ref() {
                DeValue::String(text) if text == "policy" => Otherwise::Policy,
                DeValue::String(text) => Otherwise::Said(action(text, node)?),
                _ => return Err(mismatch(value, "a string")),
            });
            continue;
        }
        let Some(word) = key.get_ref().strip_suffix("-if") else {
            return Err(Why::unknown_key(key.get_ref(), "` of a rule")
                .help(format!("its keys are {RULE_KEYS}"))
                .at_place(place));
        };
        let verdict = action(word, node)?;
        for At { value: Conditions { all, errno }, at } in alternatives(value)? {
            let verdict = match errno {
                None => verdict,
                Some((errno, _)) if verdict == EPERM => Verdict::Errno(errno),
                Some((_, place)) => {
                    return Err(Why::new("`errno` goes with `deny-if` alone").at_place(place));
                }
            };
            spec.cases.push((At::new(all, at), verdict));
        }
    }
    if spec.cases.is_empty() && spec.otherwise.is_none() {
        return Err(Why::new("the rule says nothing")
            .help(format!("its keys are {RULE_KEYS}"))
            .at(node));
    }
    Ok(spec)
}

/// The verdict of an action in a rule.
fn action(text: &str, rule: &Node<'_>) -> Result<Verdict, Wrongs> {
    Action::from_text(text).map(|Action(verdict)| verdict).map_err(|why| why.at(rule))
}

/// Sets of conditions, of which any is enough: a list of tables, or one table.
fn alternatives(node: &Node<'_>) -> Result<Vec<At<Conditions>>, Wrongs> {
    match node.get_ref() {
        DeValue::Array(items) => {
            let (mut all, mut wrongs) = (vec![], Wrongs::none());
            for item in items.iter() {
                if wrongs.is_full() {
                    break;
                }
                let conditions = wrongs.take(conditions(item));
                all.extend(conditions.map(|conditions| At::new(conditions, item.span().into())));
            }
            wrongs.or(all)
        }
        DeValue::Table(_) => {
            let conditions = conditions(node)?;
            let at = conditions.all.first().map_or(Span::NOWHERE, |first| first.argument.at);
            Ok(vec![At::new(conditions, at)])
        }
        _ => Err(mismatch(node, "a list of tables such as [{ arg0 = \"AF_UNIX\" }]")),
    }
}

/// Conditions that must all hold: a table by argument, and the errno of a refusal with the place of
/// its key.
struct Conditions {
    all: Vec<Condition>,
    errno: Option<(i32, Span)>,
}

fn conditions(node: &Node<'_>) -> Result<Conditions, Wrongs> {
    const WHAT: &str =
        "a table such as { arg0 = \"AF_UNIX\", arg1 = { any-bit = \"SOCK_CLOEXEC\" } }";
    let (mut all, mut name) = (vec![], None);
    for (key, value) in entries(node, WHAT)? {
        let at = Span::from(key.span());
        if key.get_ref() == "errno" {
            let text = String::read(value)?;
            name = Some((errno(&text).map_err(|why| why.at(node))?, at));
            continue;
        }
        let digit = key.get_ref().strip_prefix("arg").filter(|digit| digit.len() == 1);
        let argument = digit.and_then(|digit| digit.parse().ok()).filter(|argument| *argument < 6);
        let Some(argument) = argument else {
            let why = Why::not(key.get_ref(), "` is not an argument: arg0 to arg5");
            return Err(why.at_place(at));
        };
        all.push(Condition { argument: At::new(argument, at), is: Is::read(value)? });
    }
    if all.is_empty() {
        return Err(Why::new("a condition without an argument always holds")
            .help("say it as the action of the rule, without `-if`")
            .at(node));
    }
    Ok(Conditions { all, errno: name })
}

fn spell_conditions(all: &[Condition], errno: Option<i32>) -> Toml {
    let key = |condition: &Condition| format!("arg{}", condition.argument.value);
    let conditions = all.iter().map(|condition| (key(condition), condition.is.spell()));
    let errno = errno.map(|number| ("errno".to_owned(), Toml::Text(number.to_string())));
    Toml::Table(conditions.chain(errno).collect())
}
