//! One declaration of a section of the profile gives its struct, its parser, its spelling, its
//! merge rule, its shape and its words.
//!
//! A field's type says how layers merge: [`Key`] is replaced whole, [`Set`] is united, [`Entries`]
//! merge name by name. Values are read from a tree whose spans are already offsets into
//! [`crate::text::source::Sources`], so every error keeps its place.

pub(crate) use crate::language::entries::EntryType;
pub(crate) use crate::language::entries::{Entries, Entry};
pub use crate::language::field::KeyDoc;
pub(crate) use crate::language::field::{
    Field, nothing_to_remove, spell_section, table, unknown_key,
};
pub(crate) use crate::language::key::Early;
pub use crate::language::key::Key;
pub use crate::language::set::Set;
pub(crate) use crate::language::set::spell_removed;

/// Declares a section. After a key's type, `= Fill::..` says how variables are put into its value,
/// where the type does not. `later { .. }` lists the keys of the language that are not built yet:
/// they are refused, never ignored.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $kind:ty $(= $fill:expr)?, )*
        }
        $( later { $($later:literal),* $(,)? } )?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name {
            $( $(#[doc = $field_doc])+ pub $field: $kind, )*
        }

        impl $name {
            /// Every key.
            pub const KEYS: &'static [$crate::language::section::KeyDoc] = &[
                $( $crate::language::section::KeyDoc { field: stringify!($field) }, )*
            ];
            /// Keys of the language that this version refuses as not built yet.
            pub const LATER: &'static [&'static str] = &[$($($later),*)?];
        }

        impl $crate::language::shape::Shaped for $name {
            const NEED: $crate::language::shape::Need = $crate::language::shape::Need::Optional;
            fn shape() -> $crate::language::shape::Shape {
                let mut table = $crate::language::shape::Table::new(concat!($($doc, "\n"),*));
                $( table.add(
                    stringify!($field),
                    concat!($($field_doc, "\n"),+),
                    <$kind as $crate::language::shape::Shaped>::shape,
                    <$kind as $crate::language::shape::Shaped>::NEED,
                ); )*
                $crate::language::shape::Shape::Table(table)
            }
        }

        impl $crate::language::section::Field for $name {
            const FILL: $crate::language::fill::Fill = $crate::language::fill::Fill {
                keys: &[$( (stringify!($field), {
                    let fill = <$kind as $crate::language::section::Field>::FILL;
                    $( let fill = { let _ = fill; $fill }; )?
                    fill
                }) ),*],
                removes: true,
                ..$crate::language::fill::Fill::VALUE
            };

            fn read(&mut self, key: $crate::text::source::At<&str>, node: &$crate::language::read::Node<'_>, reader: &mut $crate::language::reader::Reader<'_>) {
                for (name, node) in $crate::language::section::table(key, node, reader) {
                    if reader.problems.is_full() {
                        break;
                    }
                    $( if $crate::language::shape::is_key_of(name.value, stringify!($field)) {
                        $crate::language::section::Field::read(&mut self.$field, name, node, reader);
                        continue;
                    } )*
                    $crate::language::section::unknown_key(name, key.value, Self::KEYS, Self::LATER, reader);
                }
            }

            fn spell(&self) -> Option<$crate::language::spelled::Toml> {
                $crate::language::section::spell_section([
                    $( (stringify!($field), $crate::language::section::Field::spell(&self.$field)) ),*
                ])
            }

            fn cover(&mut self, upper: Self, problems: &mut $crate::text::problem::Problems) {
                $( $crate::language::section::Field::cover(&mut self.$field, upper.$field, problems); )*
            }

            fn trace(&self, upper: &Self, changes: &mut $crate::language::layers::Changes) {
                $(
                    changes.enter(stringify!($field));
                    $crate::language::section::Field::trace(&self.$field, &upper.$field, changes);
                    changes.leave();
                )*
            }
        }
    };
}
pub(crate) use section;
