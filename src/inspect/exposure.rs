//! How much a sandbox grants, as one number in the manner of `systemd-analyze security`: 0.0
//! nothing, 10.0 as good as no sandbox.
//!
//! It adds up what is granted, each grant by itself: no grant makes another cheaper, so one grant
//! more never lowers the sum. It says what is open, not what can be broken: limits of resources and
//! bugs of the kernel are no part of it. It changes nothing.

mod files;
pub(crate) mod keys;

use crate::host::Host;
use crate::inspect::access::World;
use crate::kernel::capability::{Capability, CapabilitySet};
use crate::kernel::namespace::Kind;
use crate::plan::Plan;
use crate::policy::landlock::Scope;
use crate::policy::mounts::settle::Settled;
use crate::policy::namespaces::Namespace;
use crate::policy::process::{Keyring, Terminal};
use crate::policy::seccomp::{self, Needs, Rule};
use crate::profile::Profile;
use crate::step::Content;
use crate::text::source::Span;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// What a kind of grant costs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// A stable name.
    pub name: &'static str,
    /// Tenths for each.
    #[serde(skip)]
    pub each: u32,
    /// Tenths for all of them.
    #[serde(skip)]
    pub most: u32,
    pub reason: &'static str,
}

/// Declares the table: name, tenths for each, tenths at most, reason.
macro_rules! costs {
    ($($constant:ident = $name:literal, $each:literal, $most:literal, $reason:literal;)+) => {
        $(const $constant: &Cost = &Cost { name: $name, each: $each, most: $most, reason: $reason };)+
        /// Every cost.
        pub const COSTS: &[&Cost] = &[$($constant),+];
    };
}

costs! {
    NO_TREE = "no-tree", 100, 100, "nothing is mounted, so every file is what the ids make of it, \
                                    and Landlock has nothing to apply to";
    READ_KEYS = "read-keys", 80, 80, "keys, tokens and sessions: who reads them is the user \
                                      elsewhere, for as long as they are good";
    READ_HOME = "read-home", 60, 60, "a whole home holds keys, tokens, histories and the data of every program";
    WRITE_BROAD = "write-broad", 40, 40, "what is written there is run or read later by the host: \
                                          this is a way out of the sandbox";
    READ_ALL = "read-all", 35, 35, "every file of the host that the ids may read: settings, data \
                                    of services and of others";
    RUN_LATER = "run-later", 30, 30, "the host runs it though nobody means to start it: hooks, \
                                      tasks of editors, jobs of a CI service";
    NETWORK_HOST = "network-host", 25, 25, "everything that the machine reaches, services on its loopback \
                                            among it; what is read can be sent away";
    HOST_ROOT = "host-root", 20, 20, "the target's user is root on the host: only the other protections are left";
    HOST_USERS = "host-users", 15, 15, "without a user namespace every capability that is left, \
                                        and every id, is one of the host";
    NETWORK_JOINED = "network-joined", 12, 12, "another namespace's network: what is read can be sent as far as it reaches";
    NESTED = "nested", 12, 12, "in namespaces of its own the target has every capability, which \
                                opens most of the kernel's surface; and Landlock keeps no files";
    HOST_TREE = "host-tree", 10, 10, "every name of the host can be looked up, modes and owners \
                                      changed where the ids may: Landlock alone keeps the files";
    NESTED_PART = "nested-part", 9, 9, "in namespaces of its own the target has every capability, \
                                        which opens much of the kernel's surface; it mounts \
                                        nothing, and Landlock keeps the files";
    HOST_CAPABILITY = "host-capability", 8, 40, "a part of root's power over the host";
    SOCKET = "socket", 8, 24, "the service behind a socket acts for the target, outside of every protection";
    HOST_PROCESSES = "host-processes", 8, 8, "the host's processes are seen, and those of the same ids can be signalled";
    WRITE = "write", 5, 20, "files of the host are changed; a careless program may run or follow \
                             what it finds there later";
    NO_LANDLOCK = "no-landlock", 5, 5, "the mounts alone keep the files: one mistake of the kernel's there is enough";
    HOST_IPC = "host-ipc", 5, 5, "shared memory and message queues of other programs";
    DEVICE = "device", 4, 16, "drivers are large and seldom made for a hostile caller";
    DESCRIPTOR = "descriptor", 3, 9, "what a passed descriptor was opened for, whatever the protections say";
    KEYRING = "keyring", 3, 3, "the caller's session keys";
    CAPABILITY = "capability", 2, 12, "over the sandbox's own namespaces alone, and yet code of \
                                       the kernel that others do not reach";
    READ = "read", 2, 8, "a part of the host's files can be read";
    TERMINAL = "terminal", 2, 2, "what is written to the caller's terminal is read by it: escape sequences";
    SYSFS = "sysfs", 2, 2, "hardware, drivers and kernel objects are seen";
    ARCHITECTURE = "architecture", 2, 4, "a second way into the kernel, whose 32-bit calls are \
                                          little used and less looked at";
    READ_SYSTEM = "read-system", 1, 1, "programs, libraries and settings of the host: they show what runs there";
    PROC = "proc", 1, 1, "the kernel's state is seen, and paths of the host in mountinfo";
    PROGRAMS = "own-programs", 1, 2, "programs that the target brings can be executed from memory that it writes";
    CALLS = "calls", 1, 20, "system calls that the default policy refuses, each a part of the \
                             kernel's surface";
    NO_SCOPE = "no-scope", 1, 2, "the namespaces alone keep signals and abstract sockets from \
                                  processes outside, where they do";
    GROUPS = "groups", 1, 1, "the caller's supplementary groups stay: what they may read is read";
    MANY_IDS = "many-ids", 1, 1, "files can be left behind under ids that the caller does not have";
    VARIABLE = "variable", 1, 3, "a variable of the caller's may hold a secret";
    SHARED_STATE = "shared-state", 1, 3, "host name, control groups or clocks are the host's";
}

/// Readable personal data adds up to no more than this: a target that has the keys gains little by
/// the rest.
const READ_TOGETHER: (&[&Cost], u32) = (&[READ_KEYS, READ_HOME, READ_ALL], 90);

/// How a sum is called: from so many tenths on.
const WORDS: &[(u32, &str)] =
    &[(70, "very large"), (50, "large"), (30, "medium"), (10, "small"), (0, "very small")];

/// One grant that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What kind of grant.
    pub cost: &'static Cost,
    /// What it adds, in tenths.
    pub tenths: u32,
    pub what: String,
    /// How many bytes of it, from its start, are a path: where there is no room, the path is
    /// shortened, and the words stay.
    pub path: usize,
    /// How many bytes of it, from its start, name the grant: the reason, if there is one, follows
    /// them.
    pub verdict: usize,
    /// The line that grants it.
    pub at: Span,
}

/// The sum, with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// 0 to 100.
    pub tenths: u32,
    /// The dearest first.
    pub points: Vec<Point>,
}

impl Exposure {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        WORDS.iter().find(|(from, _)| self.tenths >= *from).map_or("", |(_, word)| word)
    }

    /// As it is written: `1.6`.
    pub fn number(&self) -> String {
        tenths(self.tenths)
    }
}

/// Tenths as people write them.
pub(crate) fn tenths(tenths: u32) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

pub fn weigh(profile: &Profile, host: &Host, settled: &Settled, world: &World<'_>) -> Exposure {
    let mut tally = Tally::default();
    files::files(profile, (host, settled), world, &mut tally);
    kernel(world.plan, profile, &mut tally);
    power(profile, world, &mut tally);
    process(profile, host, world.plan, &mut tally);
    tally.total()
}

#[derive(Default)]
struct Tally {
    points: Vec<Point>,
    /// What is on it already, by cost and words, and by cost and line.
    reported: HashSet<(&'static str, String)>,
    lines: HashSet<(&'static str, Span)>,
    /// What the host runs later of each directory.
    later: BTreeMap<String, Vec<(&'static str, &'static str)>>,
}

impl Tally {
    fn add(&mut self, cost: &'static Cost, what: impl Into<String>, at: Span) {
        let what = what.into();
        self.put(cost, (0, what.len()), what, at);
    }

    /// What is granted at a path.
    fn at(&mut self, cost: &'static Cost, path: &str, words: &str, at: Span) {
        let what = format!("{path} {words}");
        self.put(cost, (path.len(), what.len()), what, at);
    }

    /// The same, and why it counts as it does.
    fn at_because(
        &mut self,
        cost: &'static Cost,
        path: &str,
        (words, why): (&str, &str),
        at: Span,
    ) {
        let verdict = path.len() + 1 + words.len();
        self.put(cost, (path.len(), verdict), format!("{path} {words}: {why}"), at);
    }

    fn put(
        &mut self,
        cost: &'static Cost,
        (path, verdict): (usize, usize),
        what: String,
        at: Span,
    ) {
        // One line is one grant, also where it stands for many names.
        let known = self.reported.contains(&(cost.name, what.clone()))
            || (at.is_somewhere() && self.lines.contains(&(cost.name, at)));
        if !known {
            self.reported.insert((cost.name, what.clone()));
            self.lines.insert((cost.name, at));
            self.points.push(Point { cost, tenths: cost.each, what, path, verdict, at });
        }
    }

    fn total(mut self) -> Exposure {
        for cost in COSTS {
            let mut left = cost.most;
            for point in self.points.iter_mut().filter(|point| point.cost == *cost) {
                point.tenths = point.tenths.min(left);
                left -= point.tenths;
            }
        }
        let (family, mut left) = READ_TOGETHER;
        for cost in family {
            for point in self.points.iter_mut().filter(|point| point.cost == *cost) {
                point.tenths = point.tenths.min(left);
                left -= point.tenths;
            }
        }
        self.points.retain(|point| point.tenths > 0);
        self.points.sort_by_key(|point| std::cmp::Reverse(point.tenths));
        Exposure {
            tenths: self.points.iter().map(|point| point.tenths).sum::<u32>().min(100),
            points: self.points,
        }
    }
}

// ---- the kernel's state ----

fn kernel(plan: &Plan, profile: &Profile, tally: &mut Tally) {
    let nested = profile.namespaces.made_inside();
    if nested.mounts() {
        tally.add(
            NESTED,
            "the target may make sandboxes of its own",
            profile.namespaces.nested.at(),
        );
    } else if nested.is_some() {
        let kinds: Vec<&str> = nested.kinds().map(Kind::word).collect();
        tally.add(
            NESTED_PART,
            format!("the target may make namespaces: {}", kinds.join(", ")),
            profile.namespaces.nested.at(),
        );
    }
    for kind in Kind::ALL {
        let at = plan.choice.at(kind);
        let whose = match plan.choice.of(kind) {
            Namespace::New => continue,
            Namespace::Host => "the host's",
            Namespace::Join(_) => "another's",
        };
        let what = format!("the {} namespace is {whose}", kind.word());
        match (kind, plan.choice.of(kind)) {
            (Kind::Net, Namespace::Host) => {
                tally.add(NETWORK_HOST, "the network is the host's", at)
            }
            (Kind::Net, _) => tally.add(NETWORK_JOINED, "the network is another namespace's", at),
            // An ordinary user has no capabilities there, and the same ids in any.
            (Kind::User, Namespace::Host) if plan.root => tally.add(HOST_USERS, what, at),
            (Kind::User, Namespace::Host) => {}
            (Kind::Pid, _) => tally.add(HOST_PROCESSES, what, at),
            (Kind::Ipc, _) => tally.add(HOST_IPC, what, at),
            // A tree that is not its own is counted with the files.
            (Kind::Mount, _) => {}
            _ => tally.add(SHARED_STATE, what, at),
        }
    }
    calls(plan, profile, tally);
}

/// Calls that the filter allows beyond the default policy, one point for each line that allows
/// some.
fn calls(plan: &Plan, profile: &Profile, tally: &mut Tally) {
    let seccomp = &profile.seccomp;
    if seccomp.is_unsaid() {
        return;
    }
    for architecture in &seccomp.architectures.items {
        tally.add(ARCHITECTURE, format!("programs of {} run", architecture.value), architecture.at);
    }
    let usual =
        seccomp::default(&Needs { nested: profile.namespaces.made_inside(), ..Needs::default() });
    let lets = |rule: &Rule| {
        !rule.otherwise.refuses() || rule.cases.iter().any(|case| !case.verdict.refuses())
    };
    let mut opened: BTreeMap<Span, Vec<String>> = BTreeMap::new();
    for (number, rule) in plan.filter.native.rules() {
        let Some(had) = usual.rule(number) else { continue };
        let wider = if lets(had) {
            !had.cases.is_empty() && rule.cases.is_empty() && lets(rule)
        } else {
            lets(rule)
        };
        if wider {
            let policy = seccomp.import.at().or(seccomp.policy.at());
            let at = plan.filter.native.because(number).map_or(policy, |(_, at)| at);
            opened.entry(at).or_default().push(plan.filter.native.call_name(number));
        }
    }
    for (at, names) in opened {
        let more =
            if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
        let what =
            format!("the filter lets through {}{more}", names[..names.len().min(3)].join(", "));
        let (tenths, verdict) = (names.len() as u32, what.len());
        tally.points.push(Point { cost: CALLS, tenths, what, path: 0, verdict, at });
    }
}

// ---- ids and capabilities ----

fn power(profile: &Profile, world: &World<'_>, tally: &mut Tally) {
    let plan = world.plan;
    let at = plan.capabilities().map_or(Span::NOWHERE, |(.., at)| at);
    let CapabilitySet(kept) = world.capabilities().kept;
    for capability in (0..64).map(Capability).filter(|capability| kept & capability.bit() != 0) {
        let (cost, over) = if world.is_host_user() {
            (HOST_CAPABILITY, ", over the host")
        } else {
            (CAPABILITY, "")
        };
        let what = format!("the capability {capability} is kept{over}");
        let point = Point { cost, tenths: cost.each, verdict: what.len(), what, path: 0, at };
        // They share a line, and each counts.
        tally.points.push(point);
    }
    if let (Some(at), Some(ruleset)) = (profile.landlock.scope.said(), &plan.landlock) {
        let open = [Scope::Signal, Scope::AbstractUnixSocket]
            .into_iter()
            .filter(|scope| ruleset.scoped & scope.bit() == 0);
        for scope in open {
            let what = format!("Landlock does not scope `{scope}`");
            let (cost, verdict) = (NO_SCOPE, what.len());
            let point = Point { cost, tenths: cost.each, what, path: 0, verdict, at };
            tally.points.push(point);
        }
    }
    if plan.ids.host_user == 0 {
        tally.add(HOST_ROOT, "the target's user is root on the host", plan.choice.at(Kind::User));
    }
    if let Some(maps) = &plan.ids.maps {
        if plan.ids.groups_stay {
            tally.add(GROUPS, "the caller's groups stay", Span::NOWHERE);
        }
        let ids = |extents: &[crate::kernel::idmap::Extent]| {
            extents.iter().map(|extent| u64::from(extent.count)).sum::<u64>()
        };
        if ids(&maps.uid) > 1 {
            tally.add(MANY_IDS, format!("{} user ids are mapped", ids(&maps.uid)), Span::NOWHERE);
        }
    }
}

// ---- the process ----

fn process(profile: &Profile, host: &Host, plan: &Plan, tally: &mut Tally) {
    if plan.watch.terminal == Terminal::Kept {
        tally.add(TERMINAL, "the caller's terminal stays", profile.process.tty.at());
    }
    if let Some(keyring) =
        profile.process.keyring.get().filter(|keyring| keyring.value == Keyring::Inherit)
    {
        tally.add(KEYRING, "the caller's session keyring stays", keyring.at);
    }
    for fd in profile.process.pass_fds.get().iter().flat_map(|fds| &fds.value) {
        tally.add(DESCRIPTOR, format!("descriptor {} is passed", fd.value), fd.at);
    }
    streams(profile, host, tally);
    let mut by_prefix: BTreeMap<&str, (usize, Span)> = BTreeMap::new();
    for setting in &plan.exec.env {
        if let Some(by) = &setting.by {
            by_prefix.entry(by).or_insert((0, setting.at)).0 += 1;
            continue;
        }
        let name = setting.name.text();
        let at = profile.env.get(name).map_or(Span::NOWHERE, |value| value.at);
        match &setting.value {
            Content::Text(_) | Content::OfHost(_) => {}
            Content::Secret(_) | Content::Withheld => {
                tally.add(VARIABLE, format!("{name} of the caller is passed"), at)
            }
            Content::Fd(fd) => {
                tally.add(VARIABLE, format!("{name} is read from descriptor {fd}"), at)
            }
            Content::File(path) | Content::Copy(path, _) => {
                match host.keys.iter().any(|key| key.holds(path.text())) {
                    true => tally.add(
                        READ_KEYS,
                        format!("{name} holds {}: keys or sessions", path.text()),
                        at,
                    ),
                    false => tally.add(VARIABLE, format!("{name} holds {}", path.text()), at),
                }
            }
        }
    }
    for (by, (count, at)) in by_prefix {
        let what = if count == 1 { "1 variable".to_owned() } else { format!("{count} variables") };
        tally.add(VARIABLE, format!("{what} of the caller by {by}"), at);
    }
}

/// Files of the host's in the place of standard streams.
fn streams(profile: &Profile, host: &Host, tally: &mut Tally) {
    for file in profile.process.files() {
        let is_key = host.keys.iter().any(|key| key.holds(file.path));
        match file.made {
            None if is_key => {
                let words = "is the standard input: keys or sessions";
                tally.at(READ_KEYS, file.path, words, file.at);
            }
            None => tally.at(READ, file.path, "is the standard input", file.at),
            Some(_) => {
                tally.at(
                    DESCRIPTOR,
                    file.path,
                    &format!("is written by descriptor {}", file.fd),
                    file.at,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cost_has_a_reason_and_a_bound() {
        for cost in COSTS {
            assert!(
                cost.each > 0
                    && cost.most >= cost.each
                    && cost.most <= 100
                    && cost.reason.len() > 20,
                "{cost:?}"
            );
            assert_eq!(
                COSTS.iter().filter(|other| other.name == cost.name).count(),
                1,
                "{}",
                cost.name
            );
        }
        assert!(
            COSTS.is_sorted_by_key(|cost| std::cmp::Reverse(cost.each)),
            "the dearest stand first"
        );
    }

    #[test]
    fn the_words_cover_every_sum() {
        let word = |tenths| Exposure { tenths, points: vec![] }.word();
        assert_eq!(
            (word(0), word(9), word(10), word(100)),
            ("very small", "very small", "small", "very large")
        );
        assert_eq!(Exposure { tenths: 7, points: vec![] }.number(), "0.7");
    }
}
