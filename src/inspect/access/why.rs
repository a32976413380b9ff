//! Whether the target may do a thing, which protections say so, and by which line. It asks the model and
//! the host's facts; it tries nothing.
//!
//! What it does not know: security modules, immutable files, routes and packet filters, binary
//! formats of binfmt_misc.

mod calls;
mod files;
mod kept;
mod network;
mod programs;

use crate::host::FileKind;
use crate::inspect::access::World;
use crate::inspect::access::facts::HostFs;
use crate::inspect::access::path::{Need, Walker};
use crate::inspect::access::query::{Act, Decision, Mechanism, Query, Reason};
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::kernel::{asks, syscalls};
use crate::policy::env;
use crate::policy::namespaces::Namespace;
use crate::profile::Profile;
use crate::step::Content;
use crate::text::source::Span;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The verdict of all restrictions together.
    pub verdict: Decision,
    /// What each says, as far as it has a say.
    pub reasons: Vec<Reason>,
}

impl Answer {
    fn new(reasons: Vec<Reason>) -> Answer {
        // One restriction that denies it is enough; an unknown one leaves the verdict open.
        Answer {
            verdict: reasons.iter().map(|reason| reason.says).max().unwrap_or(Decision::Unknown),
            reasons,
        }
    }
}

impl Answer {
    /// The first reason that says this.
    pub(crate) fn reason(&self, says: Decision) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.says == says)
    }

    /// Whether another is known, and is not the same.
    pub(crate) fn is_changed_by(&self, after: &Answer) -> bool {
        after.verdict != Decision::Unknown && after.verdict != self.verdict
    }

    /// Why the kernel denies a call that the filter permits, where no line of a profile makes it do
    /// that.
    pub(crate) fn behind_an_open_filter(&self, query: &Query) -> Option<String> {
        let Query::Call { number, .. } = query else { return None };
        // Of a limit, or of a power over the sandbox's own, a line may be found that goes with the
        // profile once another is out of it.
        asks::of(syscalls::name(*number)?).filter(|ask| ask.over == asks::Over::Host)?;
        let open = self.reasons.iter().any(|reason| {
            reason.mechanism == Mechanism::Seccomp && reason.says == Decision::Allows
        });
        self.reason(Decision::Denies).filter(|_| open).map(|reason| reason.words.clone())
    }
}

pub(crate) fn answer(
    query: &Query,
    profile: &Profile,
    world: &World<'_>,
    host_fs: &HostFs,
) -> Answer {
    let asked = Asked { profile, world, walker: Walker::new(world, host_fs), host_fs };
    let mut reasons = match query {
        Query::Path(act, path) => asked.path(*act, path).unwrap_or_else(|reason| vec![reason]),
        Query::Call { number, arguments } => asked.call(*number, arguments.as_ref()),
        Query::Connect(peer) => asked.connect(peer),
        Query::Bind(port) => asked.bind(port),
        Query::Capability(capability) => vec![asked.capability(*capability)],
        Query::Variable(name) => vec![asked.variable(name)],
    };
    for reason in &mut reasons {
        let entry = profile.mounts.map.values().find(|entry| entry.key == reason.at);
        reason.changed = entry.map(|entry| entry.amended.clone()).unwrap_or_default();
    }
    Answer::new(reasons)
}

/// Why the target cannot enter a directory, where that is known. Landlock does not rule over
/// chdir(2).
pub(crate) fn entering(
    path: &str,
    profile: &Profile,
    world: &World<'_>,
    host_fs: &HostFs,
) -> Option<String> {
    let asked = Asked { profile, world, walker: Walker::new(world, host_fs), host_fs };
    let reason = match asked.walker.walk(path) {
        Err(reason) => reason,
        Ok(walk) => {
            let last = walk.way.last()?;
            match (walk.missing.is_empty(), &last.kind) {
                (false, _) => asked.absent(path, &walk, last),
                (true, FileKind::Directory) => asked.walker.refuses(last, Need::Search)?,
                (true, kind) => return Some(format!("it is {}, not a directory", kind.word())),
            }
        }
    };
    (reason.says == Decision::Denies).then_some(reason.words)
}

/// Why the target cannot execute a file, where that is known, and whether there is one.
pub(crate) fn executing(
    path: &str,
    profile: &Profile,
    world: &World<'_>,
    host_fs: &HostFs,
) -> Option<(bool, String)> {
    let asked = Asked { profile, world, walker: Walker::new(world, host_fs), host_fs };
    let is_there = asked.walker.walk(path).is_ok_and(|walk| walk.missing.is_empty());
    let answer = answer(&Query::Path(Act::Execute, path.to_owned()), profile, world, host_fs);
    let denies = answer.reason(Decision::Denies)?;
    Some((is_there, denies.words.clone()))
}

pub(super) struct Asked<'a> {
    pub(super) profile: &'a Profile,
    pub(super) world: &'a World<'a>,
    walker: Walker<'a>,
    pub(super) host_fs: &'a HostFs,
}

impl Asked<'_> {
    pub(super) fn capability_at(&self, capability: Capability) -> Span {
        let sets = &self.profile.capabilities;
        let mut items = sets.ambient.items.iter().chain(&sets.keep.items);
        items.find(|item| item.value == capability).map_or(Span::NOWHERE, |item| item.at)
    }

    fn capability(&self, capability: Capability) -> Reason {
        let at = self.capability_at(capability);
        let sets = self.world.capabilities();
        let reason = |says, words: String| Reason::new(Mechanism::Capabilities, says, words, at);
        if sets.has(capability.0) {
            let over = match self.world.plan.choice.of(Kind::User) {
                Namespace::New => {
                    "over what the sandbox's own user namespace owns, and nothing of the host's"
                }
                Namespace::Host => "over the host",
                Namespace::Join(_) => "over what the joined user namespace owns",
            };
            return reason(Decision::Allows, format!("the target has {capability}, {over}"));
        }
        if sets.kept.0 & capability.bit() != 0 {
            let words = format!(
                "{capability} is kept, and a target that is not root inside loses it when it is \
                 executed; `ambient` keeps it then"
            );
            return reason(Decision::Denies, words);
        }
        reason(
            Decision::Denies,
            format!("{capability} leaves every set, and nothing inside can give it back"),
        )
    }

    fn variable(&self, name: &str) -> Reason {
        let ruled = env::entry_of(&self.profile.env, name);
        let at = ruled.map_or(Span::NOWHERE, |(_, entry)| {
            entry.value.as_ref().map_or(entry.key, |value| value.at)
        });
        let Some(setting) =
            self.world.plan.exec.env.iter().find(|setting| setting.name.text() == name)
        else {
            let prefix = ruled.and_then(|(key, _)| env::of(key));
            let why = match ruled.map(|(_, entry)| entry.value.is_some()) {
                Some(true) if prefix.is_some_and(|prefix| env::is_kept_from(prefix, name)) => {
                    "a prefix does not pass this one: it goes by its full name only"
                }
                Some(true) => "the caller has none, so none is passed",
                Some(false) => "it is removed",
                None => "the profile does not name it, and the environment starts empty",
            };
            return Reason::new(Mechanism::Environment, Decision::Denies, why, at);
        };
        let words = match &setting.value {
            // Its text may hold a variable of the caller's.
            Content::Text(_) | Content::OfHost(_) => "it is set".into(),
            Content::Secret(_) | Content::Withheld => match &setting.by {
                Some(by) => format!("it is the caller's, and passed by the prefix {by}"),
                None => "it is the caller's, and passed".into(),
            },
            Content::Fd(fd) => format!("it is read from descriptor {fd}"),
            Content::File(path) | Content::Copy(path, _) => format!("it is read from {path}"),
        };
        Reason::new(Mechanism::Environment, Decision::Allows, words, at)
    }
}
