//! The ruleset that `[landlock]` comes to on this kernel, and its rules; what is skipped is
//! reported.

use super::rights::Granted;
use super::streams::Asked;
use super::{AUDIT_ABI, LEAST_ABI, Landlock, Paths, Ruleset, SCOPE_ABI, Sight, abi, all, streams};
use crate::host::Host;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::language::section::{Key, Set};
use crate::language::value::AbsolutePath;
use crate::policy::namespaces::Nested;
use crate::policy::optional::Protection;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage, TreeOp};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::{At, Span};
use landlock::{ABI, Access, AccessNet, BitFlags, Scope as Bits};

struct Drafting<'a> {
    landlock: &'a Landlock,
    optional: &'a Set<Protection>,
    host: &'a Host,
    draft: Draft,
    abi: u32,
    /// Uses of ports that are closed by a socket that the caller passes.
    implied: u64,
    /// The rules that the profile writes.
    written: Vec<(Name, Rights, Span)>,
}

/// What `[landlock]` comes to here, before anything else is drafted: `[mounts]` must know which of
/// its rights become rules.
#[derive(Debug)]
pub(crate) struct Ruled {
    /// What is enforced, if anything is.
    pub ruleset: Option<Ruleset>,
    /// The rights of `[mounts]` that become rules: none where the profile writes the rules.
    pub of_mounts: Rights,
    /// The rules that the profile writes.
    pub written: Vec<(Name, Rights, Span)>,
    /// Its steps, problems and notes.
    pub draft: Draft,
}

impl Ruled {
    /// Whether files are ruled over.
    pub(crate) fn rules_files(&self) -> bool {
        self.ruleset.is_some_and(|ruleset| ruleset.handled != Rights(0))
    }
}

/// Settles the ruleset and its rules, with a note for each protection that is skipped.
pub(crate) fn settle(
    landlock: &Landlock,
    asked: &Asked<'_>,
    nested: &Key<Nested>,
    sight: Sight,
    host: &Host,
) -> Ruled {
    let optional = asked.optional;
    let mut draft = Draft::default();
    let implied = streams::sockets(landlock, asked, host, &mut draft);
    streams::memory(asked, host, &mut draft);
    let mut drafting =
        Drafting { landlock, optional, host, draft, abi: 0, implied, written: vec![] };
    let ruleset = drafting.ruleset(nested, sight, host.landlock);
    let Drafting { mut draft, written, .. } = drafting;
    let handled = ruleset.map_or(Rights(0), |ruleset| ruleset.handled);
    if handled == Rights(0) {
        let off =
            landlock.paths.get().filter(|paths| paths.value == Paths::Off).map(|paths| paths.at);
        let why = off.or(nested.get().map(|nested| nested.at)).unwrap_or(Span::NOWHERE);
        streams::without_rules(asked, why, host, &mut draft);
    }
    let ruleset =
        ruleset.filter(|ruleset| (ruleset.handled.0, ruleset.ports, ruleset.scoped) != (0, 0, 0));
    let is_written =
        matches!(landlock.paths.get().map(|paths| &paths.value), Some(Paths::Table(_)));
    let of_mounts = if is_written { Rights(0) } else { handled };
    // The kernel refuses rights that the ruleset does not handle, and empty rules.
    let written: Vec<(Name, Rights, Span)> = written
        .into_iter()
        .map(|(path, rights, at): (Name, Rights, Span)| (path, rights.within(handled), at))
        .filter(|(_, rights, _)| *rights != Rights(0))
        .collect();
    for (path, rights, at) in &written {
        let (path, rights) = (path.clone(), *rights);
        let op = TreeOp::LandlockRule { path, rights, inode: Inode::default() };
        draft.step(Stage::Rules, op, *at);
    }
    if let Some(ruleset) = ruleset {
        if handled != Rights(0) {
            streams::rules(asked.process, host, handled, &mut draft);
        }
        let audit =
            landlock.audit.get().is_some_and(|audit| audit.value) && ruleset.abi >= AUDIT_ABI;
        draft.step(Stage::Landlock, ProcessOp::RestrictSelf { audit }, landlock.audit.at());
    }
    Ruled { ruleset, of_mounts, written, draft }
}

impl Drafting<'_> {
    fn ruleset(&mut self, nested: &Key<Nested>, sight: Sight, abi: Option<u32>) -> Option<Ruleset> {
        // Without "mount" every call that mounts stays refused, so that rules for files take
        // nothing from it (landlock(7)).
        let nested = nested.get().filter(|nested| nested.value.mounts()).map(|nested| nested.at);
        let switched_off =
            matches!(self.landlock.paths.get().map(|paths| &paths.value), Some(Paths::Off));
        let table =
            matches!(self.landlock.paths.get().map(|paths| &paths.value), Some(Paths::Table(_)));
        match (sight, nested) {
            _ if switched_off => self.without_rules(sight),
            (Sight::Host(alone) | Sight::Ungranted(alone), Some(nested)) if !table => {
                let why = "a process under rules for files can make no mounts, which `nested` lets \
                           the target make";
                self.alone(
                    alone,
                    nested,
                    why,
                    "leave \"mount\" out of `nested`, or namespaces.mount new",
                );
            }
            _ => {}
        }
        let off = switched_off || nested.is_some() || sight == Sight::Joined;
        let ports = [
            &self.landlock.tcp_bind,
            &self.landlock.tcp_connect,
            &self.landlock.udp_bind,
            &self.landlock.udp_connect,
        ];
        let asked = !off
            || self.implied != 0
            || ports.iter().any(|set| set.said().is_some())
            || self.landlock.scope.said().is_some();
        self.abi = match abi.filter(|abi| *abi >= LEAST_ABI) {
            Some(abi) => abi,
            // The profile asks for nothing of Landlock: the default is skipped without a note.
            None if !asked => return None,
            None => return self.absent(if switched_off { Sight::Own } else { sight }, abi),
        };
        self.check_abi();
        let handled = self.paths(nested, sight);
        self.check_truncate(handled, sight);
        let ports = self.ports();
        let scoped = self.scope();
        self.check_audit();
        Some(Ruleset { abi: self.abi, handled, ports, scoped })
    }

    fn may_fall(&self, protection: &str) -> bool {
        self.optional.items.iter().any(|name| name.value == "landlock" || name.value == protection)
    }

    /// A protection that this kernel lacks: a problem, or a note if it is optional.
    fn lacks(&mut self, protection: &str, at: Span, what: &str, why: &str) {
        if self.may_fall(protection) {
            self.draft.note_less(at, format!("{what} not enforced"), why);
        } else {
            self.refuse_lacking(
                protection,
                at,
                what.trim_end_matches(" is").trim_end_matches(" are"),
                why,
            );
        }
    }

    fn refuse_lacking(&mut self, protection: &str, at: Span, what: &str, why: &str) {
        let message = format!("cannot enforce {what}: {why}");
        let help = format!("boot a newer kernel, or run without it: optional = [\"{protection}\"]");
        self.draft.problem(Problem::new("landlock::absent", at, message).help(help));
    }

    fn absent(&mut self, sight: Sight, abi: Option<u32>) -> Option<Ruleset> {
        let why = match abi {
            Some(abi) => format!(
                "this kernel's Landlock has ABI {abi}, under which every rename between \
                 directories fails; {LEAST_ABI} is needed"
            ),
            None => "this kernel has no Landlock, or it is switched off".into(),
        };
        if let Sight::Host(at) | Sight::Ungranted(at) = sight {
            self.alone(
                at,
                Span::NOWHERE,
                &why,
                "boot a kernel with Landlock (lsm=landlock, Linux 5.19), or leave namespaces.mount \
                 new",
            );
        } else if self.may_fall("landlock") {
            self.draft.note_less(Span::NOWHERE, "Landlock is not enforced", &why);
        } else {
            let help = "boot with landlock in lsm=, or run without it: optional = [\"landlock\"]";
            self.draft.problem(
                Problem::new(
                    "landlock::absent",
                    Span::NOWHERE,
                    format!("cannot enforce Landlock: {why}"),
                )
                .help(help),
            );
        }
        None
    }

    fn check_abi(&mut self) {
        if let Some(least) = self.landlock.min_abi.get().filter(|least| least.0 > self.abi) {
            let (least, at) = (least.0, least.at);
            self.lacks(
                "landlock",
                at,
                &format!("Landlock's ABI {least} is"),
                &format!("this kernel has ABI {}", self.abi),
            );
        }
    }

    /// The rules for files; gives what is ruled over.
    fn paths(&mut self, nested: Option<Span>, sight: Sight) -> Rights {
        let (said, at) =
            (self.landlock.paths.get().map(|paths| &paths.value), self.landlock.paths.at());
        match (said, nested) {
            (Some(Paths::Off), _) => Rights(0),
            (Some(Paths::Table(_)), Some(nested)) => {
                let message = "cannot enforce `paths` where the target makes mount namespaces: a \
                               process under rules for files can mount nothing";
                let help = "remove one of them: landlock.paths = \"off\", or name the kinds \
                            without `mount`: namespaces.nested = [\"user\", \"pid\", \"net\"]";
                self.draft.problem(
                    Problem::new("landlock::nested", at, message)
                        .also(nested, "because of this")
                        .help(help),
                );
                Rights(0)
            }
            (None | Some(Paths::Auto), Some(nested)) => {
                self.draft.note(
                    nested,
                    "Landlock does not rule over files: a process under such rules can mount \
                     nothing, also in namespaces of its own",
                );
                Rights(0)
            }
            (Some(Paths::Auto), None) if sight == Sight::Joined => {
                let message = "cannot derive rules for files from [mounts]: the sandbox has no \
                               file tree of its own, and no mounts";
                let help = "name what may be reached: landlock.paths = { \"/usr\" = \"rx\" }, or \
                            leave `paths` out";
                self.draft.problem(Problem::new("namespaces::mount", at, message).help(help));
                Rights(0)
            }
            (None, None) if sight == Sight::Joined => {
                self.draft.note_less(
                    at,
                    "the target sees the tree of the namespace that it joins, without Landlock",
                    "this sandbox does not protect files",
                );
                Rights(0)
            }
            (None | Some(Paths::Auto), None) => all(self.abi),
            (Some(Paths::Table(table)), None) => {
                let place = |path: &'_ AbsolutePath| {
                    self.host
                        .ruled
                        .get(&path.0)
                        .and_then(|place| place.as_ref().ok())
                        .unwrap_or(&path.0)
                        .clone()
                };
                let places: Vec<String> = table.iter().map(|(path, _)| place(path)).collect();
                for ((path, rights), place) in table.iter().zip(&places) {
                    let around =
                        |(other, _): &(&(AbsolutePath, At<Granted>), &String)| other.0 != *path;
                    let wider =
                        table.iter().zip(&places).filter(around).find(|((_, wider), around)| {
                            crate::language::value::below(place, around).is_some()
                                && !rights.0.holds(wider.0)
                        });
                    if let Some(((over, wider), _)) = wider {
                        self.draft.problem(refuse_narrower(path, rights.at, over, wider.at));
                    }
                    match self.host.ruled.get(&path.0) {
                        Some(Err(errno)) => {
                            self.draft.problem(refuse_path(path, *errno, rights.at))
                        }
                        _ => self.written.push((Name::new(place), rights.0, rights.at)),
                    }
                }
                all(self.abi)
            }
        }
    }

    /// `paths = "off"`: in the host's tree the profile then grants nothing by `[mounts]`, and keeps
    /// nothing.
    fn without_rules(&mut self, sight: Sight) {
        let at = self.landlock.paths.at();
        match sight {
            Sight::Host(alone) => {
                let help = "take the entries out of [mounts]: then the sandbox does not protect \
                            files, and `run` says so; or leave `paths` out";
                self.alone(alone, at, "`paths` switches its rules for files off", help);
            }
            Sight::Ungranted(alone) => self.draft.note_less(
                at.or(alone),
                "the target has all files of the caller",
                "it sees the host's tree, and landlock.paths is \"off\"",
            ),
            Sight::Own | Sight::Joined => {}
        }
    }

    /// In the host's tree nothing but Landlock's rules keeps the files, so there is no sandbox of
    /// files without them.
    fn alone(&mut self, alone: Span, at: Span, why: &str, help: &str) {
        let message = format!(
            "cannot keep files: Landlock alone protects them in the host's tree, and {why}"
        );
        self.draft.problem(
            Problem::new("landlock::alone", at.or(alone), message)
                .also(alone, "because of this")
                .help(help),
        );
    }

    /// Without a read-only mount, a target that may only read a file could still empty it, by
    /// truncate(2) or open(2) with O_TRUNC.
    fn check_truncate(&mut self, handled: Rights, sight: Sight) {
        let at = match (self.landlock.paths.get().map(|paths| &paths.value), sight) {
            (Some(Paths::Table(_)), _) => self.landlock.paths.at(),
            (_, Sight::Host(why) | Sight::Ungranted(why)) => why,
            _ => return,
        };
        if handled != Rights(0) && self.abi < ABI::V3 as u32 {
            let why =
                format!("they need Landlock's ABI 3 (Linux 6.2), and this kernel has {}", self.abi);
            // In the host's tree every file of the user's could be emptied: only its own word skips
            // that.
            match sight {
                Sight::Host(_) | Sight::Ungranted(_)
                    if !self
                        .optional
                        .items
                        .iter()
                        .any(|name| name.value == "landlock.truncate") =>
                {
                    self.refuse_lacking("landlock.truncate", at, "rules for truncate(2)", &why);
                }
                _ => self.lacks("landlock.truncate", at, "rules for truncate(2) are", &why),
            }
        }
    }

    /// The rules for ports; gives the uses that are ruled over.
    fn ports(&mut self) -> u64 {
        let Landlock { tcp_bind, tcp_connect, udp_bind, udp_connect, .. } = self.landlock;
        let table = [
            (AccessNet::BindTcp, tcp_bind, "landlock.tcp", "rules for TCP ports are", ABI::V4),
            (
                AccessNet::ConnectTcp,
                tcp_connect,
                "landlock.tcp",
                "rules for TCP ports are",
                ABI::V4,
            ),
            (AccessNet::BindUdp, udp_bind, "landlock.udp", "rules for UDP ports are", ABI::V10),
            (
                AccessNet::ConnectSendUdp,
                udp_connect,
                "landlock.udp",
                "rules for UDP ports are",
                ABI::V10,
            ),
        ];
        let mut handled = 0;
        for (access, set, protection, what, since) in table {
            let Some(at) = set.said() else {
                handled |= self.implied & access as u64;
                continue;
            };
            if self.abi < since as u32 {
                self.lacks(
                    protection,
                    at,
                    what,
                    &format!(
                        "they need Landlock's ABI {}, and this kernel has {}",
                        since as u32, self.abi
                    ),
                );
                continue;
            }
            handled |= access as u64;
            for port in &set.items {
                self.draft.step(
                    Stage::Rules,
                    ProcessOp::LandlockPort { access: access as u64, port: port.0 },
                    port.at,
                );
            }
        }
        handled
    }

    fn scope(&mut self) -> u64 {
        let scope = &self.landlock.scope;
        let wanted = scope.items.iter().fold(0, |bits, scope| bits | scope.bit());
        match scope.said() {
            None => {
                let known: BitFlags<Bits> = Bits::from_all(abi(self.abi));
                known.bits()
            }
            Some(at) if wanted != 0 && self.abi < SCOPE_ABI => {
                self.lacks(
                    "landlock.scope",
                    at,
                    "`scope` is",
                    &format!(
                        "it needs Landlock's ABI {SCOPE_ABI}, and this kernel has {}",
                        self.abi
                    ),
                );
                0
            }
            Some(_) => wanted,
        }
    }

    fn check_audit(&mut self) {
        if let Some(audit) =
            self.landlock.audit.get().filter(|audit| audit.value && self.abi < AUDIT_ABI)
        {
            let at = audit.at;
            self.lacks(
                "landlock.audit",
                at,
                "`audit` is",
                &format!("it needs Landlock's ABI {AUDIT_ABI}, and this kernel has {}", self.abi),
            );
        }
    }
}

/// A rule needs a file that exists (landlock_add_rule(2)): a file that appears there later would
/// have no rule.
fn refuse_path(path: &AbsolutePath, errno: i32, at: Span) -> Problem {
    Problem::new("landlock::path", at, format!("cannot rule over {path}: {}", errno_words(errno)))
        .help("name what the tree shows, or leave it out: a path that no rule names is denied")
}

/// Rules add up from a path to the root, so a part of a grant cannot have less.
fn refuse_narrower(path: &AbsolutePath, at: Span, over: &AbsolutePath, wider: Span) -> Problem {
    Problem::new(
        "landlock::narrower",
        at,
        format!("cannot grant less at {path} below {over}: a rule of Landlock takes nothing back"),
    )
    .also(wider, "this grants more")
    .help("grant the directories beside it one by one, or leave this out")
}

/// listen(2) on a socket that is not bound takes a free port (ip(7), "ephemeral"), and Landlock has
/// no hook there; of a socket the filter sees its number alone.
pub(crate) fn note_listening(landlock: &Landlock, draft: &mut Draft) {
    if let Some(at) = landlock.tcp_bind.said() {
        draft.note(
            at,
            "`tcp-bind` does not keep from listening: a TCP socket that listens without bind(2) \
             gets a free port of the host",
        );
    }
}
