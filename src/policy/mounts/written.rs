//! How an entry of `[mounts]` is read: a word, or a table with the key of one kind and the further
//! keys that go with it.

use super::kinds::{Broad, FILLS, Form, Further, KINDS, LATER, Layers, Mount, WORDS, Word};
use super::names;
use super::pattern::{self, shown};
use crate::language::fill::{Fill, Names};
use crate::language::read::{Node, Read, Why, Wrongs, entries, mismatch, place_of};
use crate::language::section::EntryType;
use crate::language::shape::{self, Named, Need, Shape, Shaped, Table};
use crate::language::spelled::{Toml, quoted, without_variables};
use crate::language::value::{AbsolutePath, PATH_FORM};
use crate::text::problem::suggestion;
use crate::text::source::{At, Span};
use toml::de::DeValue;

fn all_words() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().copied().flatten()
}

fn words() -> impl Iterator<Item = &'static str> {
    all_words().map(|word| word.word)
}

/// Whether a word stands for a whole entry.
fn is_word(word: &str) -> bool {
    words().any(|known| known == word)
}

fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.word)
}

fn one_of_the_kinds() -> String {
    format!("give it one of the keys {}", kinds().collect::<Vec<_>>().join(", "))
}

impl Shaped for Mount {
    fn shape() -> Shape {
        let word = |word: &Word| shape::Word { word: word.word.into(), doc: word.doc };
        let words = all_words().map(word).collect();
        let mut table = Table::new(
            "One of the keys that say what it is, and further keys that go with it. Without the first \
             the further keys take the place of those of the inherited entry.",
        );
        table.amends = true;
        KINDS.iter().for_each(|kind| table.add(kind.word, kind.doc, kind.shape, Need::Kind));
        Further::add_to(&mut table, goes_with);
        Shape::Either(vec![Shape::Words(words), Shape::Table(table)])
    }
}

impl EntryType for Mount {
    type Keys = Further;

    fn keys(node: &Node<'_>) -> Option<Further> {
        let DeValue::Table(table) = node.get_ref() else { return None };
        // Most tables say what the entry is: nothing is read and refused of those.
        if !table.keys().all(|key| Further::NAMES.contains(&key.get_ref().as_ref())) {
            return None;
        }
        let mut further = Further::default();
        for (key, value) in table {
            let at = At::new(key.get_ref().as_ref(), key.span().into());
            further.read(at, value, std::iter::empty()).ok()?.ok()?;
        }
        (!further.seen.is_empty()).then_some(further)
    }

    fn spell_keys(keys: &Further) -> Toml {
        keys.spell()
    }

    fn said(keys: &Further) -> Vec<At<&'static str>> {
        keys.seen.clone()
    }

    fn whole() -> Option<String> {
        Some(one_of_the_kinds())
    }

    /// What the keys of an upper are most likely meant to be over: the host's directory there.
    fn made(name: &str, keys: &Further) -> Option<String> {
        keys.upper.as_ref().filter(|_| !pattern::is_pattern(name))?;
        let here = Mount::Layers(Layers::here(AbsolutePath(name.to_owned())));
        let made = here.with_keys(keys).ok()?;
        Some(format!("to make one: {}", line(name, &made)))
    }

    fn with_keys(&self, keys: &Further) -> Result<Mount, Wrongs> {
        let word = self.kind().form();
        let at = keys.seen.first().map_or(Span::NOWHERE, |key| key.at);
        match KINDS.iter().find(|form| form.word == word) {
            Some(form) => with(self.clone(), keys, form, at),
            None => Ok(self.clone()),
        }
    }

    const NAMES: Option<&'static dyn Names> = Some(&names::Paths { is_word });

    fn entries() -> Shape {
        let value = Shape::within(Shape::Entry, Mount::shape);
        let doc = "The file tree, by the path inside. The deepest path wins, whatever the order of \
                   the lines.";
        Shape::Named(Named {
            doc,
            name: "PATH",
            form: PATH_FORM,
            fills: true,
            value: Box::new(value),
        })
    }

    fn replaces(&mut self, inherited: &Mount) {
        if let (Mount::Layers(now), Mount::Layers(before)) = (self, inherited) {
            now.replaces(before);
        }
    }

    fn may_be_left_out(&self) -> bool {
        // Its path does not matter for that.
        let may_be_broad = self.grant("/").is_some_and(|grant| grant.words.broad == Broad::Skip);
        may_be_broad || self.kind().may_be_missing()
    }

    /// A pattern has a mark at its end.
    fn written(name: &str) -> &str {
        shown(name)
    }

    /// Variables are put into keys, and stars stand for names.
    fn spell_name(name: &str) -> String {
        without_variables(&pattern::spell(name))
    }
}

impl Read for Mount {
    const FILL: Fill = Fill { keys: FILLS, other: Some(&names::ONE_LINE), ..names::ONE_LINE };

    fn read(node: &Node<'_>) -> Result<Mount, Wrongs> {
        match node.get_ref() {
            DeValue::String(word) => of_word(word).map_err(|why| why.at(node)),
            DeValue::Table(_) => of_table(node),
            _ => {
                let words: Vec<&str> = words().collect();
                Err(mismatch(node, &format!("a word ({}) or a table", words.join(", "))))
            }
        }
    }

    fn spell(&self) -> Toml {
        self.kind().spell()
    }
}

fn of_word(word: &str) -> Result<Mount, Why> {
    if let Some(known) = all_words().find(|known| known.word == word) {
        return Ok((known.make)());
    }
    if LATER.contains(&word) {
        return Err(Why::of("mounts of kind `", word, "` are not built yet").not_yet());
    }
    let lower = word.to_ascii_lowercase();
    let same = all_words()
        .find(|known| known.word == lower || known.meant.contains(&lower.as_str()))
        .map(|known| known.word);
    let near =
        same.map(|same| format!("did you mean `{same}`?")).or_else(|| suggestion(word, words()));
    let unknown = Why::of("unknown kind of mount `", word, "`");
    Err(match near {
        Some(near) => unknown.help(near),
        None if word.starts_with('/') => {
            unknown.help("to bind it here, write { bind = \"").and_toml(word, "\" }")
        }
        None => unknown.help(format!("the words are {}", words().collect::<Vec<_>>().join(", "))),
    })
}

fn of_table(node: &Node<'_>) -> Result<Mount, Wrongs> {
    let (mut wrongs, mut further) = (Wrongs::none(), Further::default());
    let mut named: Vec<&Form> = vec![];
    let mut mount: Option<Mount> = None;
    for (key, value) in entries(node, "a table")? {
        if wrongs.is_full() {
            break;
        }
        match KINDS.iter().find(|form| form.word == key.get_ref()) {
            Some(form) => {
                named.push(form);
                mount = wrongs.take((form.read)(value));
            }
            None => {
                let at = At::new(key.get_ref().as_ref(), key.span().into());
                let read = further.read(at, value, kinds());
                wrongs.take(read.unwrap_or_else(|why| Err(why.at_place(key.span().into()))));
            }
        }
    }
    match (named.as_slice(), mount) {
        ([form], Some(mount)) if wrongs.len() == 0 => {
            with(mount, &further, form, place_of(node, form.word))
        }
        ([], _) if wrongs.len() == 0 => {
            Err(Why::new("this entry does not say what it is").help(one_of_the_kinds()).at(node))
        }
        ([other, form, ..], _) if wrongs.len() == 0 => {
            let (other, word) = (other.word, form.word);
            let why = Why::new(format!("a mount is one thing: `{other}` or `{word}`"));
            Err(why.help(one_of_two(other, word)).at(node))
        }
        _ => Err(wrongs),
    }
}

/// What to do about two keys that each say what an entry is.
fn one_of_two(one: &str, other: &str) -> &'static str {
    match (one, other) {
        ("layers", "state") | ("state", "layers") => {
            "leave `state` out, and a directory keeps what is written over the layers, such as \
             upper = \"${CWD}/kept\"; or leave `layers` out: a state is empty at first"
        }
        ("layers", "tmpfs") | ("tmpfs", "layers") => {
            "leave `tmpfs` out: upper = \"discard\" is in memory, and its bound is a key, such as \
             size = \"64M\""
        }
        ("layers", "bind") | ("bind", "layers") => {
            "leave `bind` out: each directory is in the list, such as layers = [\"/srv/data\"]"
        }
        _ => "leave one of them out",
    }
}

/// An entry with what its further keys say.
fn with(
    mut mount: Mount,
    further: &Further,
    Form { word, takes, .. }: &Form,
    at: Span,
) -> Result<Mount, Wrongs> {
    if let Some(stray) = further.seen.iter().find(|key| !takes.contains(&key.value)) {
        let help = match (takes, further.size) {
            ([], _) => "it takes no further keys".to_owned(),
            (_, Some(size)) if stray.value == "size" && *word == "tmpfs" => {
                format!("its value is the size: tmpfs = {}", size.spell())
            }
            (takes, _) => format!("it takes {}", takes.join(", ")),
        };
        let why = Why::new(format!("`{}` does not go with `{word}`", stray.value)).help(help);
        return Err(why.at_place(stray.at));
    }
    match mount.kind_mut().take(further) {
        Ok(()) => Ok(mount),
        Err(why) => Err(why.at_place(at)),
    }
}

/// The kinds that a further key goes with.
fn goes_with(option: &str) -> Need {
    Need::With(
        KINDS.iter().filter(|kind| kind.takes.contains(&option)).map(|kind| kind.word).collect(),
    )
}

/// The line of an entry, for help that can be pasted: `"/usr" = "ro"`.
pub(crate) fn line(path: &str, mount: &Mount) -> String {
    format!("{} = {}", quoted(&Mount::spell_name(path)), mount.kind().spell_at(shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of a profile, and that it is spelled as it was.
    #[track_caller]
    fn same(text: &str) {
        let document = toml::de::DeTable::parse(text).unwrap().into_inner();
        let (path, mount) = document.iter().next().unwrap();
        assert_eq!(line(path.get_ref(), &Mount::read(mount).unwrap()), text);
    }

    #[test]
    fn an_entry_is_spelled_as_it_is_read() {
        for text in [
            "\"/usr\" = \"ro\"",
            "\"/w\" = \"rw\"",
            "\"/w\" = \
             { bind = \"/x\", access = \"rw\", recursive = false, exec = false, missing = \"skip\", broad = true, sockets = true, owner = \"root\" }",
            "\"/w\" = { bind = \"/w\", broad = \"skip\", sockets = \"hide\" }",
            "\"/t\" = \"tmpfs\"",
            "\"/t\" = { tmpfs = \"1M\", inodes = 5, mode = \"0700\", exec = true }",
            "\"/proc\" = \"proc\"",
            "\"/proc\" = { proc = { hidepid = \"invisible\", subset = \"pid\" } }",
            "\"/dev\" = { dev = [\"/dev/fuse\"] }",
            "\"/dev/a\" = { device = \"/dev/b\" }",
            "\"/s\" = { socket = \"/run/s\" }",
            "\"/s\" = \"socket\"",
            "\"/s\" = { socket = \"\", missing = \"skip\" }",
            "\"/d\" = { device = \"/dev/x\", missing = \"skip\" }",
            "\"/f\" = { file = \"/etc/f\", mode = \"0755\", missing = \"skip\", follow = true }",
            "\"/f\" = { bind = \"/etc/f\", follow = true }",
            "\"/d\" = { dir = \"0700\" }",
            "\"/l\" = { symlink = \"a b\" }",
            "\"/f\" = { text = \"a\\n\\\"b\\\"\\u202e\", mode = \"0600\" }",
            "\"/f\" = { fd = 5 }",
            "\"/f\" = { env = \"TOKEN\" }",
            "\"/h\" = \"hide\"",
            "\"/h\" = { hide = true, missing = \"skip\" }",
            "\"/h\" = { hide = \"file\" }",
            "\"/h\" = { hide = true, except = [\"**/node_modules\", \"b\"] }",
            "\"/w\" = { state = \"app\" }",
            "\"/w\" = { state = \"app\", exec = false }",
            "\"/w\" = { bind = \"/x\", except = [\"a*\"] }",
        ] {
            same(text);
        }
    }
}
