//! Access to a path: the answer of each protection for the file that is there, or would be made.

use super::Asked;
use super::programs::{MOST_INTERPRETERS, TO_RUN};
use crate::host::FileKind;
use crate::inspect::access::Entry;
use crate::inspect::access::path::{Need, ResolvedFile, Walk};
use crate::inspect::access::query::{Act, Decision, Mechanism, Reason};
use crate::kernel::attrs::Attrs;
use crate::kernel::rights::Rights;
use crate::language::value::ancestors;
use crate::text::source::Span;
use crate::tree::{Ground, Own};
use landlock::AccessFs;

const READ_FILE: Rights = Rights(AccessFs::ReadFile as u64);
const WRITE_FILE: Rights = Rights(AccessFs::WriteFile as u64);
const MAKE_FILE: Rights = Rights(AccessFs::MakeReg as u64);

impl Asked<'_> {
    pub(super) fn path(&self, act: Act, path: &str) -> Result<Vec<Reason>, Reason> {
        let walk = self.walker.walk(path)?;
        let mut reasons = self.of_layers(act, path, &walk)?;
        if let Some(reason) = self.in_upper(act, &walk) {
            // Of the file these know what the layers have.
            let is_of_file = |reason: &Reason| {
                matches!(reason.mechanism, Mechanism::File | Mechanism::Permissions)
            };
            reasons.retain(|reason| !is_of_file(reason));
            reasons.push(reason);
        }
        Ok(reasons)
    }

    /// The answer where nothing is in a kept upper.
    fn of_layers(&self, act: Act, path: &str, walk: &Walk) -> Result<Vec<Reason>, Reason> {
        let Some(thing) = walk.way.last() else { return Ok(vec![]) };
        if !walk.missing.is_empty() {
            return if act == Act::Write {
                self.make(walk, thing)
            } else {
                Ok(vec![self.absent(path, walk, thing)])
            };
        }
        let mut reasons = match (act, &thing.kind) {
            (Act::Write, FileKind::Directory) => return self.make(walk, thing),
            (Act::Read | Act::List, FileKind::Directory) => {
                self.judge(walk, thing, Need::Read, Rights::LIST)
            }
            (Act::List, kind) => {
                vec![wrong(thing, format!("it is {}, not a directory", kind.word()))]
            }
            (Act::Read, FileKind::Socket) => {
                vec![wrong(thing, format!("it is a socket: ask connect:{path}"))]
            }
            (Act::Read, _) => self.judge(walk, thing, Need::Read, READ_FILE),
            (Act::Write, FileKind::Socket) | (Act::Connect, FileKind::Socket) => {
                self.judge(walk, thing, Need::Write, Rights::CONNECT)
            }
            (Act::Connect, kind) => {
                vec![wrong(thing, format!("it is {}, not a socket", kind.word()))]
            }
            (Act::Write, _) => self.judge(walk, thing, Need::Write, WRITE_FILE),
            (Act::Execute, FileKind::Regular) => self.judge(walk, thing, Need::Search, TO_RUN),
            (Act::Execute, kind) => {
                vec![wrong(thing, format!("it is {}, not a program", kind.word()))]
            }
        };
        if act == Act::Execute && reasons.iter().all(|reason| reason.says == Decision::Allows) {
            reasons.push(self.runs(thing, MOST_INTERPRETERS));
            let given =
                thing.host.as_deref().and_then(|host| (self.host_fs.given)(host, thing.mode));
            let useless = |given| {
                Reason::new(
                    Mechanism::File,
                    Decision::Allows,
                    format!("without {given}, which it has outside (no_new_privs)"),
                    thing.at,
                )
            };
            reasons.extend(given.map(useless));
        }
        Ok(reasons)
    }

    /// A file is to be made in a directory that is there; open(2) makes none between.
    fn make(&self, walk: &Walk, directory: &ResolvedFile) -> Result<Vec<Reason>, Reason> {
        let over = self.world.tree.get(&directory.over);
        if directory.over == "/proc" || over.is_some_and(|entry| entry.ground.nature().fixed) {
            return Ok(vec![wrong(
                directory,
                format!("nothing can be made in {}", directory.path),
            )]);
        }
        let mut reasons = self.judge(walk, directory, Need::Make, MAKE_FILE.and(WRITE_FILE));
        if let [between, _, ..] = walk.missing.as_slice() {
            let parent = format!("{}/{between}", directory.path.trim_end_matches('/'));
            reasons.push(Reason::new(
                Mechanism::File,
                Decision::Denies,
                format!("there is no directory {parent}: ask write:{parent}"),
                directory.at,
            ));
        }
        Ok(reasons)
    }

    /// The path of an entry that merges several layers.
    fn in_layers<'p>(&self, over: &'p str) -> Option<&'p str> {
        match &self.world.tree.get(over)?.ground {
            Ground::Host(stack) => (stack.topmost_first().count() > 1).then_some(over),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
        }
    }

    pub(super) fn absent(&self, path: &str, walk: &Walk, directory: &ResolvedFile) -> Reason {
        let from = walk.links.last().map_or(String::new(), |(link, text)| {
            format!(", where the link {link} leads ({text})")
        });
        let missing =
            format!("{}/{}", directory.path.trim_end_matches('/'), walk.missing.join("/"));
        let what = if missing == path { path.to_owned() } else { missing };
        let first = walk.missing.first().map(String::as_str).unwrap_or_default();
        let first = format!("{}/{first}", directory.path.trim_end_matches('/'));
        if let Some(entry) = self.world.tree.get(&first)
            && entry.ground == Ground::Own(Own::Whiteout)
        {
            let words = format!("{first} is {}{from}", words(entry));
            return Reason::new(Mechanism::Mounts, Decision::Denies, words, entry.at);
        }
        match (&directory.host, self.world.tree.get(&directory.over)) {
            (Some(host), _) => {
                let has_none = match self.in_layers(&directory.over) {
                    Some(over) => format!("no layer of {over} has {what}"),
                    None => format!("the host's {host} has no {}", walk.missing.join("/")),
                };
                let words = format!("{has_none}{from}");
                Reason::new(Mechanism::File, Decision::Denies, words, directory.at)
            }
            (None, Some(entry)) => {
                let (gone, at) = match self.removed(&what, &directory.over) {
                    Some((path, at)) => (format!("the entry for {path} is removed, and "), at),
                    None => (String::new(), directory.at),
                };
                let words = format!(
                    "nothing is at {what}{from}: {gone}{} is {}",
                    directory.over,
                    words(entry)
                );
                Reason::new(Mechanism::Mounts, Decision::Denies, words, at)
            }
            (None, None) => Reason::new(
                Mechanism::Mounts,
                Decision::Denies,
                format!("nothing is at {what}{from}"),
                directory.at,
            ),
        }
    }

    /// The nearest entry above or at a path that a stronger layer removes, below what is there.
    fn removed<'p>(&self, path: &'p str, over: &str) -> Option<(&'p str, Span)> {
        let entries = &self.profile.mounts.map;
        ancestors(path).take_while(|above| *above != over).find_map(|above| {
            Some((above, entries.get(above).filter(|entry| entry.value.is_none())?.key))
        })
    }

    /// The answer of each restriction for a file that exists.
    pub(super) fn judge(
        &self,
        walk: &Walk,
        thing: &ResolvedFile,
        need: Need,
        rights: Rights,
    ) -> Vec<Reason> {
        let mut reasons = vec![self.mounts(walk, thing, need)];
        if thing.hidden {
            return reasons;
        }
        let refused = self.walker.refuses(thing, need).map(|mut reason| {
            if need == Need::Write && self.walker.can_be_replaced(walk) {
                reason.words += "; it can be replaced: removed, and made anew";
            }
            reason
        });
        reasons.push(refused.unwrap_or_else(|| {
            let path = match self.in_layers(&thing.over).zip(thing.host.as_ref()) {
                Some((_, host)) => format!("{}, the host's {host},", thing.path),
                None => thing.path.clone(),
            };
            let words = format!("mode {:04o} of {path} lets the target's ids", thing.mode);
            Reason::new(Mechanism::Permissions, Decision::Allows, words, Span::NOWHERE)
        }));
        reasons.extend(self.landlock(walk, thing, rights));
        reasons
    }

    fn mounts(&self, walk: &Walk, thing: &ResolvedFile, need: Need) -> Reason {
        let entry = self.world.tree.get(&thing.over);
        let shows =
            entry.map_or(String::new(), |entry| format!("{} is {}", thing.over, words(entry)));
        let from = walk
            .links
            .iter()
            .map(|(link, text)| format!("; {link} is a link to {text}"))
            .collect::<String>();
        let deny = |why: &str, at: Span| {
            Reason::new(Mechanism::Mounts, Decision::Denies, format!("{shows}{why}{from}"), at)
        };
        // The nearest mount may say more than what shows the file: a part of /proc that is
        // read-only.
        let mount = self.world.mount(&thing.path);
        let at = mount.map_or(thing.at, |(_, mount)| mount.at);
        let special = !matches!(thing.kind, FileKind::Regular | FileKind::Directory);
        let by_host = |attr: Attrs| {
            if mount.is_some_and(|(_, mount)| mount.attrs.has(attr)) { "" } else { " on the host" }
        };
        match need {
            _ if thing.hidden => deny("", at),
            Need::Write | Need::Make if thing.attrs.has(Attrs::READ_ONLY) && !special => {
                let why = match mount {
                    Some((path, _)) if path != thing.over => format!("; {path} is read-only"),
                    _ if by_host(Attrs::READ_ONLY).is_empty() => "".into(),
                    _ => "; its file system is read-only on the host".into(),
                };
                deny(&why, at)
            }
            Need::Search if thing.attrs.has(Attrs::NO_EXEC) => {
                deny(&format!("; it is mounted noexec{}", by_host(Attrs::NO_EXEC)), at)
            }
            Need::Read | Need::Write
                if thing.kind == FileKind::Device && thing.attrs.has(Attrs::NO_DEV) =>
            {
                deny(&format!("; it is mounted nodev{}", by_host(Attrs::NO_DEV)), at)
            }
            Need::Read | Need::Write | Need::Search | Need::Make => {
                Reason::new(Mechanism::Mounts, Decision::Allows, format!("{shows}{from}"), thing.at)
            }
        }
    }

    fn landlock(&self, walk: &Walk, thing: &ResolvedFile, needed: Rights) -> Option<Reason> {
        let ruleset = self.world.plan.landlock?;
        let needed = needed.within(ruleset.handled);
        if needed == Rights(0) {
            return None;
        }
        let (granted, at) = self.walker.rights(&walk.way);
        let lacking = Rights(needed.0 & !granted.0);
        Some(if lacking == Rights(0) {
            Reason::new(
                Mechanism::Landlock,
                Decision::Allows,
                format!("its rules allow {} at {}", granted.within(ruleset.handled), thing.path),
                at,
            )
        } else {
            Reason::new(
                Mechanism::Landlock,
                Decision::Denies,
                format!("no rule allows to {lacking} at {}", thing.path),
                at,
            )
        })
    }
}

fn wrong(thing: &ResolvedFile, words: String) -> Reason {
    Reason::new(Mechanism::File, Decision::Denies, format!("{}: {words}", thing.path), thing.at)
}

/// What an entry is, in words.
fn words(entry: &Entry) -> String {
    let access = if entry.attrs.has(Attrs::READ_ONLY) { "read-only" } else { "writable" };
    match &entry.ground {
        Ground::Own(Own::Root) => "the sandbox's own empty root, read-only".into(),
        Ground::Own(Own::Memory { size, .. }) => format!("in memory, {size}, {access}"),
        Ground::Host(stack) if stack.is_copied().is_some() => {
            let because = stack.is_copied().unwrap_or_default();
            let of = format!("a copy of the host's {} (since {because})", stack.words());
            match stack.upper() {
                Some(top) => format!("{of}, and what is written is {}", top.words()),
                None => format!("{of}, {access}"),
            }
        }
        Ground::Host(stack) if stack.is_served() => {
            let of = format!("the host's {}, by fuse-overlayfs", stack.words());
            match stack.upper() {
                Some(top) => format!("{of}, and what is written is {}", top.words()),
                None => format!("{of}, {access}"),
            }
        }
        Ground::Host(stack) if stack.is_merged() => match stack.upper() {
            Some(top) => {
                format!("the host's {}, and what is written is {}", stack.words(), top.words())
            }
            None => format!("the host's {}, {access}", stack.words()),
        },
        Ground::Host(stack) if stack.topmost().path == "/" => format!("the host's tree, {access}"),
        Ground::Host(stack) => format!("the host's {}, {access}", stack.topmost().path),
        Ground::Kernel(kernel) => kernel.facts().words.into(),
        Ground::Own(Own::Directory | Own::Devices(_)) => {
            format!("a directory of stockade's, {access}")
        }
        Ground::Own(Own::Link(text)) => format!("a link to {text}"),
        Ground::Own(Own::File(_)) => format!("a file of the profile's, {access}"),
        Ground::Own(Own::Hidden(_)) => "hidden behind an empty cover".into(),
        Ground::Own(Own::Whiteout) => "hidden in the layers".into(),
        Ground::Same => access.into(),
    }
}
