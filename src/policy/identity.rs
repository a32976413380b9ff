//! `[identity]`: who the target is inside, and which ids of the host stand behind it.

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::questions::Questions;
use crate::kernel::idmap::{Extent, Maps};
use crate::kernel::namespace::Kind;
use crate::language::read::{Node, Read, Why, Wrongs, list, mismatch};
use crate::language::section::{Key, Set, section};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{Spelled, Written, words};
use crate::policy::namespaces::{Choice, Namespace};
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use crate::text::source::{At, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use toml::de::DeValue;

// ---- section ----

section! {
    /// `[identity]`: who the target is inside, and which ids of the host stand behind it.
    pub struct Identity {
        /// The user inside: a number, or a name of the host's /etc/passwd; default: the caller's
        /// own, started by root: 1000.
        user: Key<Id>,
        /// The group inside: a number, or a name of the host's /etc/group; default: the caller's
        /// own, started by root: 1000.
        group: Key<Id>,
        /// Supplementary groups; default: none.
        groups: Set<Id>,
        /// `"auto"` (subordinate ranges), or a list of { inside, outside, count }; default: one id.
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
            DeValue::Array(_) => extents(list(node, WHAT)?).map_err(|why| why.at(node)),
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
    asks.users = identity.user.get().and_then(|id| named(id)).into_iter().collect();
    let groups = identity.group.get().into_iter().chain(&identity.groups.items);
    asks.groups = groups.filter_map(|id| named(id)).collect();
    asks.taken = caller.uid == 0;
    let maps = identity.uid_map.get().is_some() || identity.gid_map.get().is_some();
    asks.subordinate = caller.uid == 0 || maps;
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
        ) && (needs_idmap, single, groups_stay, home)
            == (&other.needs_idmap, &other.single, &other.groups_stay, &other.home)
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

/// The first host id for sandboxes that root starts. systemd's table of ids leaves 0x70000000 to
/// 0x7FFDFFFF unused (systemd's UIDS-GIDS.md); a process id, unique while its process lives, picks
/// 16 of them, so no file and no lock is needed.
const FIRST_HOST_ID: u32 = 0x7000_0000;

/// How many ids a launcher has for itself.
const IDS_PER_LAUNCHER: u32 = 16;

/// The user, and the group, of a sandbox that root starts, where the profile says none.
pub(crate) const UNSAID_FOR_ROOT: u32 = 1000;

/// Settles ids and maps. The user namespace comes with the line that chose it.
pub(crate) fn draft(
    identity: &Identity,
    (user_ns, user_ns_at): (&Namespace, Span),
    host: &Host,
    draft: &mut Draft,
) -> Ids {
    let root = host.caller.uid == 0;
    let own = |id: u32| if root { UNSAID_FOR_ROOT } else { id };
    let mut resolve = |id: Option<&At<Id>>,
                       names: &BTreeMap<String, u32>,
                       unsaid: u32,
                       what: &str| match id {
        None => unsaid,
        Some(At { value: Id::Number(number), .. }) => *number,
        Some(At { value: Id::Name(name), at }) => names.get(name).copied().unwrap_or_else(|| {
            draft.problem(
                Problem::new(
                    "identity::name",
                    *at,
                    format!("cannot find the {what} `{name}`: the host has none of that name"),
                )
                .help("write its number"),
            );
            unsaid
        }),
    };
    let user = resolve(identity.user.get(), &host.users, own(host.caller.uid), "user");
    let group = resolve(identity.group.get(), &host.groups, own(host.caller.gid), "group");
    let groups: Vec<u32> = identity
        .groups
        .items
        .iter()
        .map(|id| resolve(Some(id), &host.groups, 0, "group"))
        .collect();
    let places: Vec<(Span, u32)> =
        identity.groups.items.iter().map(|item| item.at).zip(groups.iter().copied()).collect();
    let groups: Vec<u32> = groups.into_iter().collect::<BTreeSet<u32>>().into_iter().collect();
    let at = (
        identity.user.at().or(identity.group.at()),
        places.first().map_or(Span::NOWHERE, |(at, _)| *at),
    );
    let mut ids =
        Ids { user, group, groups, host_user: user, host_group: group, at, ..Ids::default() };
    let real = identity.host.get().filter(|real| real.value);
    if let (Some(real), false) = (real, root) {
        draft.problem(
            Problem::new(
                "identity::host",
                real.at,
                "cannot take host ids: only root can choose them",
            )
            .help("leave `host` out: an ordinary user's sandbox has that user's own id"),
        );
    }
    if let (Some(first), true) = (identity.host_ids.get(), !root || *user_ns != Namespace::New) {
        let message =
            "cannot choose host ids: only root does, for a user namespace of the sandbox's own";
        draft.problem(
            Problem::new("identity::range", first.at, message).help("leave `host-ids` out"),
        );
    }
    if *user_ns != Namespace::New {
        if root && real.is_none() && *user_ns == Namespace::Host {
            let at = identity.host.at().or(user_ns_at);
            if host.powerless_root {
                let text = format!(
                    "this root has no CAP_SYS_ADMIN, so the target has ids of this container's: \
                     user {user}, group {group}"
                );
                draft.note(at, text);
                without_user_namespace(identity, draft);
                return ids;
            }
            draft.problem(
                Problem::new(
                    "identity::host",
                    at,
                    "cannot share the user namespace: the target would have ids of the host",
                )
                .help(format!(
                    "say so in [identity]: host = true; it runs then as the host's user {user} and \
                     group {group} (root names others with `user` and `group`); or leave \
                     namespaces.user new"
                )),
            );
        }
        without_user_namespace(identity, draft);
        if let (Some(real), Namespace::Join(_)) = (real.filter(|_| root), user_ns) {
            draft.problem(
                Problem::new(
                    "identity::host",
                    real.at,
                    "cannot take host ids: the ids are those of the user namespace that the \
                     sandbox joins",
                )
                .also(user_ns_at, "because of this")
                .help("leave `host` out"),
            );
        }
        if *user_ns == Namespace::Host && !root {
            keep_own_ids(identity, &ids, host, (user_ns_at, places), draft);
        }
        return ids;
    }
    let maps = if root {
        maps_for_root(identity, &ids, real.is_some(), host, draft)
    } else {
        maps_for_user(identity, &ids, host, draft)
    };
    let outside = |extents: &[Extent], id: u32| {
        extents
            .iter()
            .find(|extent| id >= extent.inside && id - extent.inside < extent.count)
            .map(|extent| extent.outside + (id - extent.inside))
    };
    let (user_at, group_at) = (
        identity.user.at().or(identity.uid_map.at()),
        identity.group.at().or(identity.gid_map.at()),
    );
    for (at, extents, id, kind) in
        [(user_at, &maps.uid, ids.user, "user"), (group_at, &maps.gid, ids.group, "group")]
    {
        if outside(extents, id).is_none() && draft.problems.is_empty() {
            draft.problem(
                Problem::new(
                    "identity::unmapped",
                    at,
                    format!("cannot become {kind} {id}: it is not in the {kind} map"),
                )
                .help("add a range that holds it"),
            );
        }
    }
    for (at, id) in places {
        if outside(&maps.gid, id).is_none() {
            draft.problem(
                Problem::new(
                    "identity::unmapped",
                    at,
                    format!("cannot join group {id}: it is not in the group map"),
                )
                .help("an ordinary user needs gid-map = \"auto\" for further groups"),
            );
        }
    }
    ids.host_user = outside(&maps.uid, ids.user).unwrap_or(ids.user);
    ids.host_group = outside(&maps.gid, ids.group).unwrap_or(ids.group);
    ids.single = maps.uid.len() == 1 && maps.uid[0].count == 1;
    ids.needs_idmap = root && real.is_none() && identity.uid_map.get().is_none();
    ids.groups_stay = groups_stay(&maps, host);
    ids.maps = Some(maps);
    ids
}

/// Maps belong to a new user namespace.
fn without_user_namespace(identity: &Identity, draft: &mut Draft) {
    for (name, map) in [("uid-map", &identity.uid_map), ("gid-map", &identity.gid_map)] {
        if let Some(map) = map.get() {
            draft.problem(Problem::new(
                "identity::map",
                map.at,
                format!("cannot write `{name}`: the sandbox has no user namespace of its own"),
            ));
        }
    }
}

/// An ordinary user without a user namespace has its own ids, and cannot change them (setresuid(2),
/// setgroups(2)).
fn keep_own_ids(
    identity: &Identity,
    ids: &Ids,
    host: &Host,
    (why, groups): (Span, Vec<(Span, u32)>),
    draft: &mut Draft,
) {
    let mut refuse = |at, what: String, help: &str| {
        let message = format!(
            "cannot {what}: an ordinary user has its own ids alone without a user namespace"
        );
        draft.problem(
            Problem::new("identity::unmapped", at, message).also(why, "because of this").help(help),
        );
    };
    let own = [
        (identity.user.at(), ids.user, host.caller.uid, "user"),
        (identity.group.at(), ids.group, host.caller.gid, "group"),
    ];
    for (at, id, _, kind) in own.into_iter().filter(|(_, id, own, _)| id != own) {
        refuse(
            at,
            format!("become {kind} {id}"),
            "leave it out, or let the sandbox have one: namespaces.user = \"new\"",
        );
    }
    for (at, id) in groups {
        refuse(at, format!("join group {id}"), "leave it out: the caller's own groups stay");
    }
}

/// The first of the host ids that a launcher started by root has for its sandbox.
pub(crate) fn unused_host_id(launcher: u32) -> u32 {
    FIRST_HOST_ID + launcher.wrapping_mul(IDS_PER_LAUNCHER) % 0x0FFD_0000
}

/// The first host id that no system user, container's `nobody` or service of systemd's has
/// (UIDS-GIDS.md of systemd).
const LEAST_HOST_ID: u32 = 0x8_0000;

/// Why a sandbox that root starts cannot have these host ids, if it cannot. `unused` is whether
/// they are mapped at all.
fn cannot_take(identity: &Identity, base: u32, unused: bool, host: &Host) -> Option<Problem> {
    let (at, end) = (identity.host_ids.at(), base.saturating_add(IDS_PER_LAUNCHER - 1));
    let refuse = |why: &str, help: &str| {
        Some(
            Problem::new(
                "identity::range",
                at,
                format!("cannot take the host ids {base} to {end}: {why}"),
            )
            .help(help),
        )
    };
    let is_chosen = identity.host_ids.get().is_some();
    if is_chosen && !unused {
        return refuse("`uid-map` or `host` says which ids the target has", "leave `host-ids` out");
    }
    if is_chosen && (base < LEAST_HOST_ID || end - base < IDS_PER_LAUNCHER - 1 || end == u32::MAX) {
        return refuse("users of the system may have them", "begin at 524288 or later");
    }
    let taken = host
        .taken
        .iter()
        .any(|(first, count)| base < first.saturating_add(*count) && *first <= end);
    let help = match is_chosen {
        true => "begin where no line of /etc/passwd, /etc/group, /etc/subuid and /etc/subgid does",
        false => "choose others: identity.host-ids = FIRST; or give uid-map and gid-map",
    };
    (taken && unused).then(|| refuse("they belong to somebody", help)).flatten()
}

/// Root writes any map itself.
fn maps_for_root(
    identity: &Identity,
    ids: &Ids,
    real: bool,
    host: &Host,
    draft: &mut Draft,
) -> Maps {
    let base =
        identity.host_ids.get().map_or_else(|| unused_host_id(host.pid), |first| first.value);
    let unused = identity.uid_map.get().is_none() && !real;
    if let Some(problem) = cannot_take(identity, base, unused, host) {
        draft.problem(problem);
    }
    if ids.groups.len() >= IDS_PER_LAUNCHER as usize && unused {
        draft.problem(
            Problem::new(
                "identity::groups",
                identity.groups.items[0].at,
                "cannot map more than 15 supplementary groups: a launcher has 16 ids for itself",
            )
            .help("give gid-map the ranges that they need"),
        );
    }
    if unused && identity.gid_map.get().is_none() {
        let end = base.saturating_add(IDS_PER_LAUNCHER - 1);
        let how = match identity.host_ids.get() {
            Some(_) => "sandboxes with the same `identity.host-ids` share them",
            None => "identity.host-ids = FIRST chooses others",
        };
        let text = format!(
            "the target has the host ids {base} to {end}; whether users of LDAP or SSSD have them \
             is not known: {how}"
        );
        draft.note(identity.host_ids.at(), text);
    }
    let one = |inside: u32, nth: u32| Extent {
        inside,
        outside: if real { inside } else { base + nth },
        count: 1,
    };
    let mut all_groups = vec![ids.group];
    all_groups.extend(ids.groups.iter().filter(|group| **group != ids.group));
    let uid = chosen(&identity.uid_map, &host.subuid, ids.user, None, draft)
        .unwrap_or_else(|| vec![one(ids.user, 0)]);
    let gid =
        chosen(&identity.gid_map, &host.subgid, ids.group, None, draft).unwrap_or_else(|| {
            all_groups.iter().zip(0..).map(|(group, nth)| one(*group, nth)).collect()
        });
    Maps { uid, gid, helpers: false, deny_setgroups: false }
}

/// An ordinary user maps its own id alone, and ranges of /etc/subuid through the set-id helpers.
fn maps_for_user(identity: &Identity, ids: &Ids, host: &Host, draft: &mut Draft) -> Maps {
    let own = |inside: u32, outside: u32| vec![Extent { inside, outside, count: 1 }];
    let (uid, gid) = (host.caller.uid, host.caller.gid);
    let uid_map = chosen(&identity.uid_map, &host.subuid, ids.user, Some(uid), draft);
    let gid_map = chosen(&identity.gid_map, &host.subgid, ids.group, Some(gid), draft);
    let helpers = uid_map.is_some() || gid_map.is_some();
    // newgidmap(1) denies setgroups(2) itself where it maps the caller's own group alone
    // (CVE-2018-7169).
    let alone = |extents: &Vec<Extent>| {
        extents.iter().all(|extent| (extent.outside, extent.count) == (gid, 1))
    };
    let deny_setgroups = gid_map.as_ref().is_none_or(alone);
    let maps = Maps {
        uid: uid_map.unwrap_or_else(|| own(ids.user, uid)),
        gid: gid_map.unwrap_or_else(|| own(ids.group, gid)),
        helpers,
        deny_setgroups,
    };
    if groups_stay(&maps, host) {
        draft.note(
            Span::NOWHERE,
            "the caller's supplementary groups stay: the kernel lets an ordinary user drop them \
             only with gid-map = \"auto\"",
        );
    }
    maps
}

/// Whether the target has groups of the caller's that no line gives it.
fn groups_stay(maps: &Maps, host: &Host) -> bool {
    let more = |groups: &Vec<u32>| groups.iter().any(|group| *group != host.caller.gid);
    maps.deny_setgroups && host.groups_of_caller.as_ref().is_none_or(more)
}

/// The map that the profile chooses: as written, or the caller's own id (if any) amid the
/// subordinate ranges.
fn chosen(
    map: &Key<IdMap>,
    ranges: &[(u32, u32)],
    id: u32,
    own: Option<u32>,
    draft: &mut Draft,
) -> Option<Vec<Extent>> {
    let map = map.get()?;
    match &map.value {
        IdMap::Extents(extents) => Some(extents.clone()),
        IdMap::Auto if ranges.is_empty() => {
            let who = if own.is_some() { "$USER" } else { "root" };
            draft.problem(
                Problem::new(
                    "identity::subordinate",
                    map.at,
                    "cannot map \"auto\": this user has no subordinate ids in /etc/subuid and \
                     /etc/subgid",
                )
                .help(format!(
                    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who}"
                )),
            );
            None
        }
        IdMap::Auto => Some(spread(ranges, id, own)),
    }
}

/// Lays the subordinate ranges over 0, 1, 2, …, but for the place of the caller's own id.
fn spread(ranges: &[(u32, u32)], id: u32, own: Option<u32>) -> Vec<Extent> {
    let mut extents: Vec<Extent> =
        own.map(|outside| Extent { inside: id, outside, count: 1 }).into_iter().collect();
    let mut next = 0u32;
    for &(first, count) in ranges {
        let (mut outside, mut left) = (first, count);
        while left > 0 {
            if own.is_some() && next == id {
                next += 1;
            }
            let until_own = if own.is_some() && next < id { id - next } else { left };
            let count = left.min(until_own).min(u32::MAX - next);
            if count == 0 {
                break;
            }
            extents.push(Extent { inside: next, outside, count });
            next += count;
            outside = outside.saturating_add(count);
            left -= count;
        }
    }
    extents
}

/// The process that builds the world owns what it makes, so it takes the target's ids first.
pub(crate) fn become_owner(choice: &Choice, ids: &Ids, draft: &mut Draft) {
    match &ids.maps {
        // One's own ids alone are mapped, and the child has them.
        Some(Maps { deny_setgroups: true, helpers: false, .. }) => {}
        Some(Maps { deny_setgroups: true, .. }) => {
            draft.step(Stage::Ids, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0)
        }
        Some(_) => {
            draft.step(Stage::Ids, ProcessOp::Groups { groups: ids.groups.clone() }, ids.at.1);
            draft.step(Stage::Ids, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0);
        }
        None if *choice.of(Kind::User) == Namespace::Host => {
            draft.step(
                Stage::Ids,
                ProcessOp::FileIds { user: ids.user, group: ids.group },
                ids.at.0,
            );
        }
        None => {}
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

    #[test]
    fn subordinate_ranges_leave_room_for_the_callers_id() {
        let map = spread(&[(100_000, 65_536)], 1000, Some(1001));
        let lines: Vec<String> = map.iter().map(Extent::to_string).collect();
        assert_eq!(lines, ["1000 1001 1", "0 100000 1000", "1001 101000 64536"]);
        let root: Vec<String> =
            spread(&[(100_000, 10)], 0, Some(1001)).iter().map(Extent::to_string).collect();
        assert_eq!(root, ["0 1001 1", "1 100000 10"]);
    }
}
