//! A small table that is a value: one declaration gives its struct, its parser, its spelling
//! and its shape.

use crate::language::read::{Node, Read, Why, Wrongs, entries};
use crate::language::shape::{is_key_of, key_name};
use crate::language::spelled::Toml;
use crate::text::problem::suggestion;
use toml::de::DeTable;

/// The keys of a table while they are read: what is wrong with one does not hide what is wrong with
/// another.
pub(crate) struct Keys<'n, 'i> {
    node: &'n Node<'i>,
    table: &'n DeTable<'i>,
    wrongs: Wrongs,
}

impl<'n, 'i> Keys<'n, 'i> {
    /// Those of a value that must be a table with no other keys than these fields.
    #[inline(never)]
    pub(crate) fn of(node: &'n Node<'i>, fields: &[&str]) -> Result<Keys<'n, 'i>, Wrongs> {
        let table = entries(node, "a table")?;
        let mut keys = Keys { node, table, wrongs: Wrongs::none() };
        for (key, _) in table {
            if keys.wrongs.is_full() || fields.iter().any(|field| is_key_of(key.get_ref(), field)) {
                continue;
            }
            let names: Vec<String> = fields.iter().map(|field| key_name(field)).collect();
            let names = || names.iter().map(String::as_str);
            let help = suggestion(key.get_ref(), names()).unwrap_or_else(|| {
                let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
                let are = if names.len() == 1 { "its key is" } else { "its keys are" };
                format!("{are} {}", names.join(", "))
            });
            let unknown = Why::unknown_key(key.get_ref(), "`").help(help);
            keys.wrongs.add(unknown.at_place(key.span().into()));
        }
        Ok(keys)
    }

    /// The value at a key, or what it is without one.
    pub(crate) fn take<T: Read>(&mut self, field: &str) -> Option<T> {
        match self.find(field) {
            Some(node) => self.wrongs.take(T::read(node)),
            None => T::absent().or_else(|| self.missing(field)),
        }
    }

    #[inline(never)]
    fn find(&self, field: &str) -> Option<&'n Node<'i>> {
        self.table.iter().find(|(key, _)| is_key_of(key.get_ref(), field)).map(|(_, node)| node)
    }

    /// A missing key may be the misspelt one, and is then no second problem.
    fn missing<T>(&mut self, field: &str) -> Option<T> {
        if self.wrongs.len() == 0 {
            let missing = Why::new(format!("the key `{}` is missing", key_name(field)));
            self.wrongs.add(missing.at(self.node));
        }
        None
    }

    /// What is wrong with them.
    pub(crate) fn wrongs(self) -> Wrongs {
        self.wrongs
    }
}

/// The keys that are written.
pub(crate) fn spell_keys<const N: usize>(keys: [(&str, Option<Toml>); N]) -> Toml {
    let written = keys.into_iter().filter_map(|(field, value)| Some((key_name(field), value?)));
    Toml::Table(written.collect())
}

/// Declares a small table that is a value. After a field's type, `= Need::..` says when the key is
/// required, if the type does not.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $(#[derive($($derive:path),+ $(,)?)])?
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field_vis:vis $field:ident: $type:ty $(= $need:expr)?, )+
        }
    ) => {
        $(#[doc = $doc])+
        $(#[derive($($derive),+)])?
        $vis struct $name {
            $( $(#[doc = $field_doc])+ $field_vis $field: $type, )+
        }

        impl $name {
            /// Its keys, by the names of the fields.
            $vis const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];
        }

        impl $crate::language::read::Read for $name {
            const FILL: $crate::language::fill::Fill = $crate::language::fill::Fill {
                keys: &[$( (stringify!($field), <$type as $crate::language::read::Read>::FILL) ),+],
                ..$crate::language::fill::Fill::VALUE
            };

            fn read(node: &$crate::language::read::Node<'_>) -> Result<$name, $crate::language::read::Wrongs> {
                let mut keys = $crate::language::table::Keys::of(node, Self::FIELDS)?;
                $( let $field: Option<$type> = keys.take(stringify!($field)); )+
                match ($($field,)+) {
                    ($(Some($field),)+) => keys.wrongs().or($name { $($field),+ }),
                    _ => Err(keys.wrongs()),
                }
            }

            fn spell(&self) -> $crate::language::spelled::Toml {
                $crate::language::table::spell_keys([
                    $( (stringify!($field), $crate::language::read::Read::spell_key(&self.$field)) ),+
                ])
            }
        }

        impl $crate::language::shape::Shaped for $name {
            fn shape() -> $crate::language::shape::Shape {
                let mut table = $crate::language::shape::Table::new(concat!($($doc, "\n"),+));
                $( {
                    let need = <$type as $crate::language::shape::Shaped>::NEED;
                    $( let need = { drop(need); $need }; )?
                    table.add(stringify!($field), concat!($($field_doc, "\n"),+), <$type as $crate::language::shape::Shaped>::shape, need);
                } )+
                $crate::language::shape::Shape::Table(table)
            }
        }
    };
}
pub(crate) use table;
