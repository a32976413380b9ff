//! What a sandbox lets its target do, as a set, and how tight its limits are: two of them are
//! compared.

use std::collections::{BTreeMap, BTreeSet};
use stockade::internals::inspect::access::World;
use stockade::internals::kernel::attrs::Attrs;
use stockade::internals::kernel::capability::{Capability, CapabilitySet};
use stockade::internals::kernel::namespace::Kind;
use stockade::internals::kernel::rights::Rights;
use stockade::internals::language::value::below;
use stockade::internals::policy::landlock::Scope;
use stockade::internals::policy::mounts::kinds::Mount;
use stockade::internals::policy::mounts::kinds::Sockets;
use stockade::internals::profile::Profile;
use stockade::internals::step::{Content, GroupOp, Kernel, ProcessOp};
use stockade::internals::text::problem::suggestion;
use stockade::internals::tree::{Ground, Own};

/// One thing that a sandbox lets the target do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    Read(String),
    Write(String),
    /// Programs can be run from a path inside.
    Execute(String),
    /// A device of the host, by its path there.
    Device(String),
    /// A file system of the kernel's that shows more than the sandbox.
    Kernel(&'static str),
    Capability(String),
    Call(String),
    /// A namespace that is the host's.
    Shared(String),
    /// A kind of namespace that the target may make.
    Nested(&'static str),
    /// A socket, by its path inside, or the services whose sockets are below a directory.
    Socket(String),
    Sockets(String),
    /// Files are not Landlock's, ports by the kernel's bit are not, or a scope is not.
    Unruled,
    AnyPort(u64),
    Port(u64, u16),
    Unscoped(&'static str),
    /// Ids of the host, and ids inside: the word is the profile's.
    Id(&'static str, u32),
    /// How many ids of the host are behind the target's, by the first of them.
    Map(u32, u32),
    /// A variable whose value is the caller's, or is read outside.
    Variable(String),
    /// A descriptor of the caller's.
    Descriptor(u32),
    /// A state that is the caller's, or that a process has by default.
    Kept(&'static str),
    /// A limit that is higher, or is gone.
    Limit(String),
    /// An optional protection.
    Optional(String),
    /// The line asks for a protection, and none is left.
    Removed(String),
}

impl Grant {
    /// The name of its kind, for the list of what a help offers on purpose.
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }
}

/// Everything that a sandbox grants.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grants {
    pub set: BTreeSet<Grant>,
    /// What each limit lets through, by its name.
    pub limits: BTreeMap<String, Limit>,
}

/// The value of a limit.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// More lets more through.
    AtMost(f64),
    /// A list, or another text.
    Text(String),
}

impl Grants {
    pub fn of(world: &World<'_>, profile: &Profile) -> Grants {
        let mut grants = Grants::default();
        files(world, profile, &mut grants.set);
        powers(world, profile, &mut grants.set);
        ids(world, &mut grants.set);
        streams(world, &mut grants.set);
        grants.set.extend(
            profile.optional.items.iter().map(|wall| Grant::Optional(wall.value.to_string())),
        );
        limits(world, &mut grants.limits);
        grants
    }

    /// What these grant beyond others.
    pub fn beyond(&self, base: &Grants) -> Vec<Grant> {
        let covered = |grant: &Grant| match grant {
            Grant::Port(access, _) => base.set.contains(&Grant::AnyPort(*access)),
            // A map of the one id that is behind the target anyway.
            Grant::Map(id, 1) => ["host user", "host group"]
                .iter()
                .any(|kind| base.set.contains(&Grant::Id(kind, *id))),
            _ => false,
        };
        let more = self.set.difference(&base.set).filter(|grant| !covered(grant)).cloned();
        let is_higher = |(name, limit): &(&String, &Limit)| match (limit, self.limits.get(*name)) {
            (_, None) => true,
            (Limit::AtMost(before), Some(Limit::AtMost(after))) => after > before,
            (before, Some(after)) => *before != after,
        };
        let raised =
            base.limits.iter().filter(is_higher).map(|(name, _)| Grant::Limit(name.clone()));
        more.chain(raised).collect()
    }
}

fn files(world: &World<'_>, profile: &Profile, out: &mut BTreeSet<Grant>) {
    for (path, entry) in &world.tree {
        match &entry.ground {
            Ground::Host(stack) if !entry.attrs.has(Attrs::NO_DEV) && world.has_tree() => {
                out.extend([Grant::Device(stack.topmost().path.clone())])
            }
            // If Landlock alone protects the host's tree, its rules are the grants.
            Ground::Host(_) if !world.has_tree() && world.is_ruled() => {}
            Ground::Host(stack) => {
                out.insert(Grant::Read(stack.topmost().path.clone()));
                out.extend(
                    (!entry.attrs.has(Attrs::READ_ONLY))
                        .then(|| Grant::Write(stack.topmost().path.clone())),
                );
                out.extend(
                    (!entry.attrs.has(Attrs::NO_EXEC)).then(|| Grant::Execute(path.clone())),
                );
            }
            Ground::Own(Own::Memory { .. }) => {
                out.extend((!entry.attrs.has(Attrs::NO_EXEC)).then(|| Grant::Execute(path.clone())))
            }
            Ground::Kernel(Kernel::Proc { only_processes: false, .. }) => {
                out.extend([Grant::Kernel("proc")])
            }
            Ground::Kernel(Kernel::Sysfs) => out.extend([Grant::Kernel("sysfs")]),
            _ => {}
        }
        if !world.has_tree() {
            let any = |rights| entry.rights.within(rights) != Rights(0);
            out.extend(any(Rights::READ).then(|| Grant::Read(path.clone())));
            out.extend(any(Rights::WRITE.and(Rights::CHANGE)).then(|| Grant::Write(path.clone())));
            out.extend(any(Rights::EXECUTE).then(|| Grant::Execute(path.clone())));
            out.extend(any(Rights::IOCTL).then(|| Grant::Device(path.clone())));
        }
    }
    let open = profile.mounts.iter().filter_map(|(path, mount)| match &mount.value {
        Mount::Bind(bind) => {
            (bind.sockets == Sockets::Allow).then(|| Grant::Sockets(path.value.to_owned()))
        }
        Mount::Socket(_) => Some(Grant::Socket(path.value.to_owned())),
        _ => None,
    });
    out.extend(open);
}

fn powers(world: &World<'_>, profile: &Profile, out: &mut BTreeSet<Grant>) {
    let CapabilitySet(kept) = world.capabilities().kept;
    out.extend(
        (0..64)
            .map(Capability)
            .filter(|known| kept & known.bit() != 0)
            .map(|known| Grant::Capability(known.to_string())),
    );
    let native = &world.plan.filter.native;
    out.extend(
        native
            .rules()
            .filter(|(_, rule)| !rule.otherwise.refuses())
            .map(|(call, _)| Grant::Call(native.call_name(call))),
    );
    out.extend(
        Kind::ALL
            .into_iter()
            .filter(|kind| !world.plan.choice.is_new(*kind))
            .map(|kind| Grant::Shared(kind.word().to_owned())),
    );
    out.extend(profile.namespaces.made_inside().kinds().map(|kind| Grant::Nested(kind.word())));
    out.extend((!world.is_ruled()).then_some(Grant::Unruled));
    let ruleset = world.plan.landlock;
    let handled = ruleset.map_or(0, |ruleset| ruleset.ports);
    out.extend(
        (0..4).map(|bit| 1 << bit).filter(|access| handled & access == 0).map(Grant::AnyPort),
    );
    let scoped = ruleset.map_or(0, |ruleset| ruleset.scoped);
    let scopes = [Scope::Signal, Scope::AbstractUnixSocket].into_iter();
    out.extend(
        scopes.filter(|scope| scoped & scope.bit() == 0).map(|scope| Grant::Unscoped(scope.word())),
    );
    for (op, _) in world.plan.process() {
        if let ProcessOp::LandlockPort { access, port } = op {
            out.insert(Grant::Port(*access, *port));
        }
    }
}

fn ids(world: &World<'_>, out: &mut BTreeSet<Grant>) {
    let ids = &world.plan.ids;
    out.extend([Grant::Id("host user", ids.host_user), Grant::Id("host group", ids.host_group)]);
    out.extend([Grant::Id("user", ids.user), Grant::Id("group", ids.group)]);
    out.extend(ids.groups.iter().map(|group| Grant::Id("groups", *group)));
    let maps = ids.maps.iter().flat_map(|maps| maps.uid.iter().chain(&maps.gid));
    out.extend(maps.map(|extent| Grant::Map(extent.outside, extent.count)));
}

fn streams(world: &World<'_>, out: &mut BTreeSet<Grant>) {
    let of_outside = |value: &Content| !matches!(value, Content::Text(_));
    let passed = world.plan.exec.env.iter().filter(|setting| of_outside(&setting.value));
    out.extend(passed.map(|setting| Grant::Variable(setting.name.text().to_owned())));
    let does = |op: ProcessOp| world.plan.process().any(|(other, _)| *other == op);
    for stream in 0..3 {
        out.extend(
            (!does(ProcessOp::NullStream { fd: stream })).then_some(Grant::Descriptor(stream)),
        );
    }
    for (op, _) in world.plan.process() {
        if let ProcessOp::FileStream { path, .. } = op {
            out.insert(Grant::Variable(format!("stream {path}")));
        }
        if let ProcessOp::CloseDescriptors { keep } = op {
            out.extend(keep.iter().map(|fd| Grant::Descriptor(*fd)));
        }
    }
    out.extend((!does(ProcessOp::NewKeyring)).then_some(Grant::Kept("keyring")));
    out.extend((!does(ProcessOp::NoNewPrivs)).then_some(Grant::Kept("no-new-privs")));
}

fn limits(world: &World<'_>, out: &mut BTreeMap<String, Limit>) {
    for step in &world.plan.groups {
        match &step.op {
            GroupOp::GroupLimit { file, value, .. } => {
                out.insert(file.text().to_owned(), value_of(value.text()));
            }
            GroupOp::DeviceRules { nodes, .. } => {
                out.insert("devices".to_owned(), Limit::Text(format!("{nodes:?}")));
            }
            _ => {}
        }
    }
    for (op, _) in world.plan.process() {
        match op {
            ProcessOp::Rlimit { name, soft, hard, .. } => {
                out.insert(format!("{name} soft"), Limit::AtMost(*soft as f64));
                out.insert(format!("{name} hard"), Limit::AtMost(*hard as f64));
            }
            ProcessOp::Nice { value } => {
                out.insert("nice".to_owned(), Limit::AtMost(f64::from(-value)));
            }
            ProcessOp::OomScoreAdj { score } => {
                out.insert("oom-score-adj".to_owned(), Limit::AtMost(f64::from(-score)));
            }
            _ => {}
        }
    }
    out.retain(|_, limit| {
        *limit != Limit::AtMost(f64::MAX) && *limit != Limit::AtMost(u64::MAX as f64)
    });
    let watch = &world.plan.watch;
    out.extend(watch.timeout_ms.map(|time| ("timeout".to_owned(), Limit::AtMost(time as f64))));
}

/// `max`, a number, or a quota with its period.
fn value_of(text: &str) -> Limit {
    let numbers: Vec<Option<f64>> = text
        .split(' ')
        .map(|word| if word == "max" { Some(f64::MAX) } else { word.parse().ok() })
        .collect();
    match numbers[..] {
        [Some(number)] => Limit::AtMost(number),
        [Some(quota), Some(period)] => Limit::AtMost(quota / period),
        _ => Limit::Text(text.to_owned()),
    }
}

/// Whether what is granted more was asked for by the line.
pub fn asked(grant: &Grant, line: &str) -> bool {
    let line = line.to_owned() + " " + &line.to_ascii_lowercase().replace('_', "-");
    let line = line.replace("${CWD}", "/home/ann/work").replace("${HOME}", "/home/ann");
    let words: Vec<&str> = line.split('"').collect();
    let relative = |path: &str| {
        words.iter().any(|word| {
            [".", "/."].contains(word) && path == "/home/ann/work"
                || (*word == "~" && path == "/home/ann")
        })
    };
    let tail = |path: &str| {
        words.iter().any(|word| {
            let rest =
                word.trim_start_matches("./").trim_start_matches("$HOME/").trim_start_matches("~/");
            !rest.is_empty() && !rest.starts_with('.') && path.ends_with(&format!("/{rest}"))
        })
    };
    let named = |path: &str| {
        words.iter().any(|word| word.starts_with('/') && below(path, word).is_some())
            || relative(path)
            || tail(path)
    };
    let has_number = |number: u64| {
        line.split(|c: char| !c.is_ascii_digit()).any(|word| word.parse() == Ok(number))
    };
    // A word of the line is this one, or a slip of it.
    let meant = |name: &str| {
        let slip = |word: &str| suggestion(word, std::iter::once(name)).is_some();
        line.contains(name) || line.split([' ', '"', '[', ']', ',', '=']).any(slip)
    };
    match grant {
        Grant::Read(path) | Grant::Execute(path) => {
            named(path) && *path != "/" || line.contains("\"/\"")
        }
        Grant::Write(path) => {
            named(path) && ["rw", "overlay", "upper"].iter().any(|word| line.contains(word))
        }
        Grant::Device(path) => named(path) && line.contains("dev"),
        Grant::Capability(name)
        | Grant::Call(name)
        | Grant::Shared(name)
        | Grant::Variable(name) => meant(name),
        Grant::Kernel("sysfs") => line.contains("/sys"),
        Grant::Kernel(name) | Grant::Kept(name) => line.contains(name),
        Grant::Nested(kind) => line.contains("nested") && (meant(kind) || line.contains("true")),
        Grant::Socket(path) => words.contains(&path.as_str()),
        Grant::Sockets(_) => line.contains("sockets = true"),
        Grant::Id(_, id) | Grant::Map(id, _) => has_number(u64::from(*id)),
        Grant::Port(_, port) => has_number(u64::from(*port)),
        Grant::Descriptor(fd) => line.contains("fd") && has_number(u64::from(*fd)),
        Grant::Optional(word) => line.contains("optional") && meant(word),
        Grant::Unruled
        | Grant::AnyPort(_)
        | Grant::Unscoped(_)
        | Grant::Limit(_)
        | Grant::Removed(_) => false,
    }
}
