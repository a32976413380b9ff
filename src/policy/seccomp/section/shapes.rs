//! What the values of `[seccomp]` look like, for the schema and the reference.

use super::{ACTION_DOCS, ACTIONS};
use crate::kernel::syscalls::{self, groups};
use crate::language::shape::{KeyShape, Need, Shape, Table, Word};
use crate::language::value::Written;

/// A call, or a group.
pub(super) const CALLS: &str = "^@?[a-z0-9_-]+$";

/// The name of one.
pub(super) fn call() -> Shape {
    let names = groups::names().chain(syscalls::names());
    Shape::Part(
        "call",
        "a system call or a group such as `\"@debug\"`",
        Box::new(Shape::names(names)),
    )
}

/// An action, or one of some more words.
pub(super) fn action(more: &[(&str, &'static str)]) -> Shape {
    let actions = ACTIONS.iter().map(|(word, _)| *word).zip(ACTION_DOCS);
    let words = actions
        .chain(more.iter().copied())
        .map(|(word, doc)| Word { word: word.into(), doc })
        .collect();
    Shape::Either(vec![Shape::Words(words), Shape::form("`\"errno:NAME\"`", "^errno:[A-Z0-9]+$")])
}

fn key(name: impl Into<String>, doc: &'static str, shape: Shape) -> KeyShape {
    KeyShape { name: name.into(), doc, shape, need: Need::Optional }
}

pub(super) fn number() -> Shape {
    let number = Shape::Either(vec![
        Shape::Integer(i64::MIN, i64::MAX),
        Shape::form("constants such as `\"PROT_READ|PROT_EXEC\"`", "^[A-Za-z0-9_| ]+$"),
    ]);
    Shape::Part("number", "", Box::new(number))
}

fn numbers() -> Shape {
    Shape::Either(vec![number(), Shape::Sequence(Box::new(number()))])
}

/// What must be so of an argument.
pub(super) fn is() -> Shape {
    let keys = vec![
        key("is", "It is this, or one of these.", numbers()),
        key("not", "It is not this, or none of these.", numbers()),
        key("mask", "With `is` or `not`: which bits are compared.", number()),
        key("any-bit", "At least one of these bits is set.", number()),
        key("no-bit", "None of these bits is set.", number()),
        key("less", "It is less, as a number without sign.", number()),
        key("at-most", "It is this or less.", number()),
        key("greater", "It is greater.", number()),
        key("at-least", "It is this or greater.", number()),
    ];
    let is = Shape::Either(vec![
        number(),
        Shape::Sequence(Box::new(number())),
        Shape::Table(Table { doc: "A comparison.", keys, amends: false }),
    ]);
    Shape::Part("argument", "", Box::new(is))
}

const ARGUMENTS: [(&str, &str); 6] = [
    ("arg0", "The first argument."),
    ("arg1", "The second."),
    ("arg2", "The third."),
    ("arg3", "The fourth."),
    ("arg4", "The fifth."),
    ("arg5", "The sixth."),
];

/// Conditions on arguments.
fn conditions() -> Shape {
    let mut keys: Vec<KeyShape> =
        ARGUMENTS.iter().map(|(name, doc)| key(*name, doc, is())).collect();
    keys.push(key(
        "errno",
        "Of `deny-if` alone: the errno in the place of EPERM.",
        Shape::form("the name of an errno, or a number", "^[A-Z0-9]+$"),
    ));
    Shape::Part(
        "conditions",
        "",
        Box::new(Shape::Table(Table {
            doc: "Conditions that must all hold.",
            keys,
            amends: false,
        })),
    )
}

const IF_DOCS: [&str; 8] = [
    "The call is done where the conditions of one of these tables hold; so with the other actions. \
     Of several that hold the strictest counts.",
    "It fails with EPERM, or the table's errno.",
    "The process dies.",
    "The thread dies.",
    "The thread gets SIGSYS.",
    "It is done and logged.",
    "A tracer decides.",
    "It fails with EPERM, and is reported.",
];

/// A rule: an action, or actions with conditions.
pub(super) fn rule() -> Shape {
    let alternatives =
        || Shape::Either(vec![Shape::Sequence(Box::new(conditions())), conditions()]);
    let mut keys: Vec<KeyShape> = ACTIONS
        .iter()
        .zip(IF_DOCS)
        .map(|((action, _), doc)| key(format!("{action}-if"), doc, alternatives()))
        .collect();
    let policy = [("policy", "What `allow` and `policy` say.")];
    let doc = "What becomes of the call if no condition holds. By default it is refused; where \
                   every action refuses, `policy`.";
    keys.push(key("otherwise", doc, action(&policy)));
    let rule = Shape::Table(Table { doc: "A rule.", keys, amends: false });
    Shape::Either(vec![<super::Action as Written>::looks(), rule])
}
