//! The declaration of a parameter: its type, what it may be, and what it is if nothing gives it a
//! value.

use crate::language::read::{Node, Read, Wrongs};
use crate::language::shape::{Named, Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::words;
use crate::text::source::At;

words! {
    /// The type of a parameter.
    Type {
        /// Any text.
        Text = "string",
        /// An absolute path; a relative one is taken from the caller's directory on the command
        /// line.
        Path = "path",
        /// A whole number.
        Integer = "integer",
        /// A size such as "64M".
        Size = "size",
        /// A time such as "30s".
        Duration = "duration",
        /// true or false.
        Boolean = "boolean",
        /// One of `values`.
        Enum = "enum",
        /// A list of texts.
        List = "list",
    }
}

table! {
    /// The declaration of a parameter.
    pub(super) struct Declaration {
        /// Its type.
        pub(super) r#type: At<Type>,
        /// The words of the type `enum`.
        pub(super) values: Option<Vec<String>>,
        /// Its value where nothing gives another; without a default it must be given.
        pub(super) _default: Option<Given>,
        /// What the parameter is for; shown to users.
        pub(super) help: Option<String>,
    }
}

/// A value of any type of parameter. The declaration's other keys say which, so it is read apart
/// from them.
pub(super) struct Given(Toml);

impl Read for Given {
    fn read(node: &Node<'_>) -> Result<Given, Wrongs> {
        Ok(Given(Toml::of(node.get_ref())))
    }
    fn spell(&self) -> Toml {
        self.0.clone()
    }
}

impl Shaped for Given {
    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::Text,
            Shape::Integer(i64::MIN, i64::MAX),
            Shape::Boolean,
            Vec::<String>::shape(),
        ])
    }
}

/// `[params]`.
#[derive(Debug, Clone)]
pub struct Declarations;

impl Shaped for Declarations {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        let doc = "A table declares a parameter; any other value gives an inherited one its value. \
                   `--set NAME=VALUE` is stronger than both.";
        let value = Shape::either(&[Declaration::shape, Given::shape]);
        Shape::Named(Named {
            doc,
            name: "NAME",
            form: "^[a-z][a-z0-9-]*$",
            fills: false,
            value: Box::new(value),
        })
    }
}
