//! `[identity]`: who the target is inside, and which ids of the host are behind it.

mod draft;
mod maps;

use crate::host::caller::Caller;
use crate::host::questions::Questions;
use crate::kernel::idmap::{Extent, Maps};
use crate::language::read::{Node, Read, Why, Wrongs, list, mismatch};
use crate::language::section::{Key, Set, section};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{Spelled, Written, words};
use crate::text::gather::Gather;
use crate::text::source::Span;
pub(crate) use draft::{UNSAID_FOR_ROOT, become_owner, draft};
pub(crate) use maps::{block_of, blocks, unused_host_id};
use std::fmt;
use toml::de::DeValue;

// ---- section ----

section! {
    /// `[identity]`: who the target is inside, and which ids of the host are behind it.
    pub struct Identity {
        /// The user inside: a number, or a name of the host's /etc/passwd; default: the caller's
        /// own, started by root: 1000.
        user: Key<Id>,
        /// The group inside: a number, or a name of the host's /etc/group; default: the caller's
        /// own, started by root: 1000.
        group: Key<Id>,
        /// Supplementary groups; default: none.
        groups: Set<Id>,
        /// `"auto"` (subordinate ranges), or a list of { inside, outside, count }, in numbers;
        /// default: one id.
        uid_map: Key<IdMap>,
        /// The same for groups.
        gid_map: Key<IdMap>,
        /// Root only: the target's ids are the host's own.
        host: Key<bool>,
        /// Root only: the first of the 16 host ids behind the target; default: 16 of 0x70000000 to
        /// 0x7FFDFFFF, by the launcher's process id.
        host_ids: Key<u32>,
    }
}

// ---- table ----

/// A user or group: a number or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// A numeric id. 4294967295 is the kernel's "no id" and never one (setresuid(2)).
    Number(u32),
    /// A name, looked up on the host.
    Name(String),
}

impl Id {
    /// Whether it is root's.
    pub fn is_root(&self) -> bool {
        match self {
            Id::Number(number) => *number == 0,
            Id::Name(name) => name == "root",
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => write!(f, "{number}"),
            Id::Name(name) => f.write_str(name),
        }
    }
}

impl Written for Id {
    const WHAT: &'static str = "a numeric id or a name";
    fn from_text(text: &str) -> Result<Id, Why> {
        let first = text.bytes().next().unwrap_or(b'0');
        // A name never begins with a digit here, so that "0x0", "0:0" or "+0" cannot be taken for
        // one (CVE-2026-30892 is such a case in crun).
        let name = !first.is_ascii_digit()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
            && first != b'-';
        if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            return text
                .parse::<u32>()
                .ok()
                .filter(|id| *id != u32::MAX)
                .map(Id::Number)
                .ok_or_else(|| Why::not(text, "` is not an id: 0 to 4294967294"));
        }
        if name {
            Ok(Id::Name(text.into()))
        } else {
            Err(Why::not(text, "` is neither an id nor a name")
                .help("write a number, such as 1000"))
        }
    }
    fn from_integer(number: i64) -> Option<Result<Id, Why>> {
        let id = u32::try_from(number).ok().filter(|id| *id != u32::MAX);
        let why = || Why::of("", number.to_string(), " is not an id: 0 to 4294967294");
        Some(id.map(Id::Number).ok_or_else(why))
    }
    fn write(&self) -> Spelled {
        match self {
            Id::Number(number) => Spelled::Integer((*number).into()),
            Id::Name(name) => Spelled::Text(name.clone()),
        }
    }
    fn looks() -> Shape {
        let name = Shape::form(
            "a name of the host's database, or digits",
            r"^([0-9]+|[A-Za-z_.][A-Za-z0-9_.-]*)$",
        );
        Shape::Either(vec![Shape::Integer(0, i64::from(u32::MAX) - 1), name])
    }
}

words! {
    /// An id map by a word.
    MapWord {
        /// The caller's own id and the subordinate ranges of /etc/subuid or /etc/subgid.
        Auto = "auto",
    }
}

/// How ids inside correspond to ids outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdMap {
    /// The caller's own id and the subordinate ranges of /etc/subuid or /etc/subgid.
    Auto,
    /// As written.
    Extents(Vec<Extent>),
}

impl Shaped for IdMap {
    fn shape() -> Shape {
        Shape::either(&[MapWord::shape, Vec::<Extent>::shape])
    }
}

impl Read for IdMap {
    fn read(node: &Node<'_>) -> Result<IdMap, Wrongs> {
        const WHAT: &str = "\"auto\" or a list of { inside = .., outside = .., count = .. }";
        match node.get_ref() {
            DeValue::String(text) => MapWord::from_text(text)
                .map(|MapWord::Auto| IdMap::Auto)
                .map_err(|why| why.at(node)),
            DeValue::Array(items) => match items.iter().find_map(named) {
                Some(wrong) => Err(wrong),
                None => extents(list(node, WHAT)?).map_err(|why| why.at(node)),
            },
            _ => Err(mismatch(node, WHAT)),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            IdMap::Auto => MapWord::Auto.spell(),
            IdMap::Extents(extents) => extents.spell(),
        }
    }
}

/// A name in a map. An id inside has its name from a database that need not be the host's, and most
/// ids of a range have none.
fn named(item: &Node<'_>) -> Option<Wrongs> {
    let DeValue::Table(extent) = item.get_ref() else { return None };
    let ids = extent.iter().filter(|(key, _)| ["inside", "outside"].contains(&&**key.get_ref()));
    ids.filter_map(|(_, id)| Some((id, id.get_ref().as_str()?))).find_map(|(id, name)| {
        let is_name = matches!(Id::from_text(name), Ok(Id::Name(_)));
        let why = Why::of("a map has numbers, and ", name.to_owned(), " is a name");
        let help = format!(
            "write its number: id -u {name} prints a user's, getent group {name} a group's"
        );
        is_name.then(|| why.help_of_value(help).at(id))
    })
}

fn extents(extents: Vec<Extent>) -> Result<IdMap, Why> {
    for extent in &extents {
        let fits = |first: u32| first.checked_add(extent.count).is_some();
        if extent.count == 0 || !fits(extent.inside) || !fits(extent.outside) {
            let rule = " is empty or goes past 4294967294";
            return Err(Why::of("the range ", extent.to_string(), rule));
        }
    }
    // The kernel takes at most 340 lines (user_namespaces(7)).
    if extents.is_empty() || extents.len() > 340 {
        return Err(Why::new("an id map has 1 to 340 ranges"));
    }
    Ok(IdMap::Extents(extents))
}

// ---- ask ----

/// Asks for the ids of names, and for what is taken.
pub(crate) fn ask(identity: &Identity, caller: &Caller, asks: &mut Questions) {
    let named = |id: &Id| match id {
        Id::Name(name) => Some(name.clone()),
        Id::Number(_) => None,
    };
    asks.users = identity.user.get().and_then(|id| named(id)).into_iter().gather();
    let groups = identity.group.get().into_iter().chain(&identity.groups.items);
    asks.groups = groups.filter_map(|id| named(id)).gather();
    asks.taken = caller.uid == 0;
    let maps = identity.uid_map.get().is_some() || identity.gid_map.get().is_some();
    asks.subordinate = caller.uid == 0 || maps;
}

/// Whether the ids of a user namespace of the sandbox's own are nobody's on the host, as root chose
/// no others.
pub(crate) fn is_mapped(identity: &Identity, caller: &Caller) -> bool {
    let is_real = identity.host.get().is_some_and(|host| host.value);
    caller.uid == 0 && !is_real && identity.uid_map.get().is_none()
}

// ---- draft ----

/// Who the target is, in numbers.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    /// The user inside.
    pub user: u32,
    /// The group inside.
    pub group: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
    /// The host's id behind the user.
    pub host_user: u32,
    /// The host's id behind the group.
    pub host_group: u32,
    /// The maps, where the user namespace is new.
    pub maps: Option<Maps>,
    /// Whether writable binds must be mapped, since root started the sandbox and the target has no
    /// host id of its own.
    pub needs_idmap: bool,
    /// Whether the target has capabilities by which files of others are its own, where a mount shows
    /// their owners.
    pub reads_all: bool,
    /// Whether the host ids are held by a lock, as no other sandbox may have them meanwhile.
    pub held: bool,
    /// Whether one user and one group are all that is mapped.
    pub single: bool,
    /// Whether supplementary groups of the caller's stay with the target.
    pub groups_stay: bool,
    /// The target's home, for passwd.
    pub home: Option<String>,
    /// The line that chooses the user or the group, and that of the supplementary groups.
    pub at: (Span, Span),
}

/// Two are the same where the numbers are, whatever line gives them.
impl PartialEq for Ids {
    fn eq(&self, other: &Ids) -> bool {
        let Ids {
            user,
            group,
            groups,
            host_user,
            host_group,
            maps,
            needs_idmap,
            reads_all,
            held,
            single,
            groups_stay,
            home,
            at: _,
        } = self;
        let ids = (user, group, groups, host_user, host_group, maps);
        ids == (
            &other.user,
            &other.group,
            &other.groups,
            &other.host_user,
            &other.host_group,
            &other.maps,
        ) && (needs_idmap, reads_all, held) == (&other.needs_idmap, &other.reads_all, &other.held)
            && (single, groups_stay, home) == (&other.single, &other.groups_stay, &other.home)
    }
}

impl Eq for Ids {}

impl Ids {
    /// Whether the host's root is among the ids that the target can have.
    pub fn is_host_root(&self) -> bool {
        match &self.maps {
            Some(maps) => maps.uid.iter().chain(&maps.gid).any(|extent| extent.outside == 0),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_strictly() {
        for bad in ["0x0", "+0", "4294967295", "1000:0", "-1", "", " 0"] {
            assert!(Id::from_text(bad).is_err(), "{bad:?}");
        }
        assert!(
            Id::from_integer(-1).unwrap().is_err()
                && Id::from_integer(4_294_967_295).unwrap().is_err()
        );
        assert_eq!(Id::from_text("www-data"), Ok(Id::Name("www-data".into())));
    }
}
