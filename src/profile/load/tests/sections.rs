//! The loader knows no section: what it does with the variables in one, the section's declaration
//! says. Those here are of no profile.

#![allow(unreachable_pub, reason = "what a section declares is")]

use super::*;
use crate::language::fill::{Fill, Names};
use crate::language::read::{Node, Read, Why, Wrongs};
use crate::language::reader::Reader;
use crate::language::section::{Entries, EntryType, Field, Key, Set, section};
use crate::language::shape::{Named, Shape, Shaped};
use crate::language::spelled::{Toml, document};
use crate::language::value::Size;
use crate::profile::fill::Filling;
use crate::profile::load::merge::Filled;
use toml::Spanned;
use toml::de::DeValue;

section! {
    /// Sections that no profile has.
    pub struct Garden {
        /// Free text, a word, and a list that takes the words after PROFILE.
        shed: Shed,
        /// Names with variables in them.
        beds: Entries<Bed>,
    }
}

section! {
    /// Keys of each sort.
    pub struct Shed {
        /// Free text.
        sign: Key<String>,
        /// A value of a type of its own.
        room: Key<Size>,
        /// A truth value.
        open: Key<bool>,
        /// Takes the words after PROFILE.
        tools: Key<Vec<String>> = Fill { args: true, ..Fill::TEXT }.of_key(),
        /// Has a word that looks as a variable does.
        seeds: Set<Seed>,
    }
}

/// One that keeps a word.
#[derive(Debug, Clone, PartialEq)]
pub struct Seed(String);

impl crate::language::value::Written for Seed {
    const WHAT: &'static str = "a seed";
    const PUT: Fill = Fill { keeps: Some("${ANY}"), ..Fill::VALUE };
    fn from_text(text: &str) -> Result<Seed, Why> {
        Ok(Seed(text.into()))
    }
    fn looks() -> Shape {
        Shape::Text
    }
    fn write(&self) -> crate::language::value::Spelled {
        match self.0.as_str() {
            "${ANY}" => crate::language::value::Spelled::Variable("${ANY}"),
            text => crate::language::value::Spelled::Text(text.into()),
        }
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What grows under a name. A table has its place, a text is free.
#[derive(Debug, Clone, PartialEq)]
pub struct Bed(String);

impl Shaped for Bed {
    fn shape() -> Shape {
        Shape::Text
    }
}

impl Read for Bed {
    const FILL: Fill =
        Fill { text: true, keys: &[("at", Fill { place: true, ..Fill::VALUE })], ..Fill::VALUE };
    fn read(node: &Node<'_>) -> Result<Bed, Wrongs> {
        Ok(Bed(Toml::of(node.get_ref()).to_string()))
    }
    fn spell(&self) -> Toml {
        Toml::Bare(self.0.clone())
    }
}

impl EntryType for Bed {
    type Keys = std::convert::Infallible;
    const NAMES: Option<&'static dyn Names> = Some(&Rows);
    fn entries() -> Shape {
        Shape::Named(Named {
            doc: "",
            name: "ROW",
            form: "^",
            fills: true,
            value: Box::new(Bed::shape()),
        })
    }
}

/// Names in one case, of one word.
struct Rows;

impl Names for Rows {
    fn is_plain(&self, written: &str) -> bool {
        !written.contains('$')
    }
    fn of_text(&self, text: &str) -> String {
        text.to_owned()
    }
    fn of_value(&self, value: &str) -> String {
        value.replace(' ', "-")
    }
    fn read(&self, _: &str, filled: &str) -> Result<String, Why> {
        if filled.contains(' ') {
            return Err(Why::not(filled, "` is more than one word"));
        }
        Ok(filled.to_ascii_lowercase())
    }
    fn is_pattern(&self, _: &str) -> bool {
        false
    }
    fn refuse(&self, at: Span, sentence: &str) -> Problem {
        Problem::new("mounts::path", at, format!("cannot dig: {sentence}"))
    }
    fn misplaced(
        &self,
        _: &str,
        _: &Node<'_>,
        _: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String> {
        None
    }
    fn twice(&self, at: Span, name: &str, first: Span) -> Problem {
        Problem::new("mounts::twice", at, format!("cannot dig {name} twice")).also(first, "here")
    }
    fn shown<'n>(&self, name: &'n str) -> &'n str {
        name
    }
}

/// The sections of a text as they are written once variables are put in, or the codes of what is
/// wrong; and the texts that name a place.
fn garden(text: &str) -> (Result<String, Vec<&'static str>>, Vec<String>, Option<bool>) {
    let text = format!(
        "[params]\nnumber = {{ type = \"integer\", default = 3 }}\nword = {{ type = \"string\", \
         default = \"default\" }}\ntwo = {{ type = \"string\", default = \"A b\" }}\n{text}"
    );
    let place = Place::new();
    let request = Request { profile: "p".into(), text: Some(text), ..Request::default() };
    let room = Cell::new(Some(MOST_PUT_IN));
    let mut sources = Sources::default();
    let Gathered { layers, mut problems, .. } =
        gather(&request, &place.caller, &mut sources, &room);
    let mut documents = parse(&layers, &mut problems);
    let given = Given { request: &request, caller: &place.caller, room: &room };
    let params = read_params(&layers, &mut documents, &given, &mut sources, &mut problems, false);
    let variables = Variables {
        caller: &place.caller,
        params: Some(&params),
        directory: None,
        room: &room,
        paths: false,
    };
    let words = [At::unsaid("rake".to_owned()), At::unsaid("!hoe".to_owned())];
    let mut filling = Filling::new(variables, &words, &sources, &mut problems);
    let whole = DeValue::Table(documents.pop().unwrap());
    let node = filling.fill(Spanned::new(0..1, whole), &Garden::FILL).unwrap();
    let Filling { secrets, uses, takes_args, .. } = filling;
    let places = uses.iter().filter(|used| used.is_place);
    let places = places.map(|used| sources.text(used.text).unwrap().to_owned()).collect();
    let mut garden = Garden::default();
    let origin = Filled { sources: &sources, secrets: &secrets };
    let mut reader = Reader { origin: &origin, problems: &mut problems };
    garden.read(At::new("", Span::NOWHERE), &node, &mut reader);
    let said = match garden.spell() {
        Some(Toml::Section(keys)) => document(&keys),
        _ => String::new(),
    };
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    (if codes.is_empty() { Ok(said) } else { Err(codes) }, places, takes_args)
}

#[test]
fn a_declaration_says_how_variables_are_put_in() {
    let (said, places, takes_args) = garden(
        "[shed]\nsign = \"${number}\"\nroom = \"${number}\"\ntools = [\"${number}\", \"${ARGS}\", \
         \"!x\"]\nseeds = [\"${ANY}\", \"${two}\"]\n[beds]\n\"${two}\" = \"${number}\"\nX = { at = \
         \"/${two}\" }\n",
    );
    let expected = "
[shed]
sign = \"3\"
room = \"3\"
tools = [\"3\", \"rake\", \"!hoe\", \"!x\"]
seeds = [\"${ANY}\", \"A b\"]

[beds]
a-b = \"3\"
x = { at = \"/A b\" }
";
    assert_eq!(said.as_deref(), Ok(expected));
    assert_eq!(places, ["\"${two}\"", "\"/${two}\""]);
    assert_eq!(takes_args, Some(true));
}

#[test]
fn a_declaration_says_what_no_variable_brings() {
    for (text, code) in [
        // What is no free text takes the type of a parameter.
        ("[shed]\nopen = \"${number}\"\n", "profile::value"),
        // Only the profile's own text may remove.
        ("[shed]\nsign = \"${word}\"\n", "variable::structure"),
        ("[shed]\nseeds = [\"${env:BANG}\"]\n", "variable::structure"),
        // Of another section the words of this one are not.
        ("[shed]\nseeds = [\"${ARGS}\"]\n", "variable::args"),
        ("[shed]\ntools = [\"${ANY}\"]\n", "variable::unknown"),
        ("[beds]\n\"a b\" = \"\"\n", "mounts::path"),
        ("[beds]\n\"${two}\" = \"\"\nA-B = \"\"\n", "mounts::twice"),
    ] {
        assert_eq!(garden(text).0, Err(vec![code]), "{text}");
    }
    // In an entry the word is a text like any other.
    assert_eq!(garden("[beds]\nx = \"${word}\"\n").0.as_deref(), Ok("\n[beds]\nx = \"default\"\n"));
}
