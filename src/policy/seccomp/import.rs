//! Seccomp policies of docker, podman and other OCI runtimes (JSON): what they come to on this
//! machine. It reads no file.
//!
//! `includes` and `excludes` are docker's, `defaultErrno` and `errno` podman's. Of several entries
//! for one call whose conditions hold the strictest counts; libseccomp leaves that to the order of
//! the entries. Architectures are `[seccomp].architectures` alone.

use super::condition;
use super::condition::Is;
use super::filter::{Case, EPERM, Rule, Test, Verdict};
use super::section::errno;
use crate::kernel::syscalls::known_name;
use crate::language::read::Why;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// What decides which entries of a policy are for this sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The capabilities that the target keeps, as the kernel names them.
    pub capabilities: &'a [String],
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
}

/// A policy, for this sandbox.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The verdict for calls without an entry.
    pub default: Verdict,
    /// Cases by call, the strictest first; an entry without conditions has no tests.
    cases: BTreeMap<&'static str, Vec<Case>>,
    /// Names that no architecture of ours has.
    pub unknown: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    default_action: String,
    default_errno_ret: Option<i32>,
    default_errno: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Entry>>,
    // Fields for which stockade has its own words, or no use.
    #[serde(rename = "architectures")]
    _architectures: Option<IgnoredAny>,
    #[serde(rename = "archMap")]
    _arch_map: Option<IgnoredAny>,
    #[serde(rename = "flags")]
    _flags: Option<IgnoredAny>,
    #[serde(rename = "listenerPath")]
    _listener_path: Option<IgnoredAny>,
    #[serde(rename = "listenerMetadata")]
    _listener_metadata: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<i32>,
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Only>,
    #[serde(default)]
    excludes: Option<Only>,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Only {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

impl Imported {
    /// Reads a policy; an error says what is wrong with it.
    pub fn read(text: &str, facts: &Facts) -> Result<Imported, Why> {
        let policy: Policy =
            serde_json::from_str(text).map_err(|error| Why::new(error.to_string()))?;
        let default = verdict(
            &policy.default_action,
            policy.default_errno_ret,
            policy.default_errno.as_deref(),
        )?;
        let mut imported = Imported { default, cases: BTreeMap::new(), unknown: vec![] };
        for entry in policy.syscalls.unwrap_or_default() {
            if entry.counts(facts)? {
                imported.add(&entry)?;
            }
        }
        imported.cases.values_mut().for_each(|cases| {
            cases.sort_by_key(|case| std::cmp::Reverse(case.verdict.strictness()))
        });
        Ok(imported)
    }

    fn add(&mut self, entry: &Entry) -> Result<(), Why> {
        let verdict = verdict(&entry.action, entry.errno_ret, entry.errno.as_deref())?;
        // As runc does: such an entry changes nothing, and must not contradict another of the same
        // call.
        if verdict == self.default {
            return Ok(());
        }
        for name in entry.names.iter().flatten().chain(&entry.name) {
            let Some(call) = known_name(name) else {
                if verdict.refuses() && !self.default.refuses() {
                    return Err(Why::new(format!(
                        "it refuses {name:?}, a call that is not known here"
                    )));
                }
                self.unknown.push(name.clone());
                continue;
            };
            let cases = self.cases.entry(call).or_default();
            for tests in entry.alternatives(call, verdict)? {
                cases.push(Case { tests, verdict });
            }
        }
        Ok(())
    }

    /// The rule of a call.
    pub fn rule(&self, call: &str) -> Rule {
        let mut rule = Rule::always(self.default);
        for case in self.cases.get(call).into_iter().flatten() {
            if case.tests.is_empty() {
                rule.otherwise = case.verdict;
                break;
            }
            rule.cases.push(case.clone());
        }
        rule
    }
}

impl Entry {
    /// Whether it is for this sandbox.
    fn counts(&self, facts: &Facts) -> Result<bool, Why> {
        let arch = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        let has = |cap: &String| facts.capabilities.contains(cap);
        let (empty, none) = (Only::default(), vec![]);
        let (includes, excludes) =
            (self.includes.as_ref().unwrap_or(&empty), self.excludes.as_ref().unwrap_or(&empty));
        let arches = |only: &Only| {
            only.arches.as_ref().map(|arches| arches.iter().any(|known| known == arch))
        };
        let new_enough = |only: &Only| {
            only.min_kernel
                .as_deref()
                .map(|least| version(least).map(|least| facts.kernel >= least))
                .transpose()
        };
        let included = arches(includes).unwrap_or(true)
            && includes.caps.as_ref().unwrap_or(&none).iter().all(has)
            && new_enough(includes)?.unwrap_or(true);
        let excluded = arches(excludes).unwrap_or(false)
            || excludes.caps.as_ref().unwrap_or(&none).iter().any(has)
            || new_enough(excludes)?.unwrap_or(false);
        Ok(included && !excluded)
    }

    /// Each set of tests that is enough. As runc has it: conditions on different arguments must all
    /// hold; where two are on the same argument, each is enough by itself.
    fn alternatives(&self, call: &str, verdict: Verdict) -> Result<Vec<Vec<Test>>, Why> {
        let args = self.args.as_deref().unwrap_or_default();
        let twice = args
            .iter()
            .enumerate()
            .any(|(nth, arg)| args[..nth].iter().any(|before| before.index == arg.index));
        let tests: Result<Vec<Option<Test>>, Why> =
            args.iter().map(|arg| arg.test(call, verdict.refuses())).collect();
        let tests = tests?.into_iter();
        Ok(if twice {
            tests.map(|test| test.into_iter().collect()).collect()
        } else {
            vec![tests.flatten().collect()]
        })
    }
}

impl Argument {
    /// Its test, or none where it always holds.
    fn test(&self, call: &str, refuses: bool) -> Result<Option<Test>, Why> {
        let never = || Err(());
        let is = match self.op.as_str() {
            "SCMP_CMP_EQ" => Ok(Is::OneOf(None, vec![self.value])),
            "SCMP_CMP_NE" => Ok(Is::NoneOf(None, vec![self.value])),
            "SCMP_CMP_LT" => {
                self.value.checked_sub(1).map_or_else(never, |most| Ok(Is::Between(0, most)))
            }
            "SCMP_CMP_LE" => Ok(Is::Between(0, self.value)),
            "SCMP_CMP_GE" => Ok(Is::Between(self.value, u64::MAX)),
            "SCMP_CMP_GT" => self
                .value
                .checked_add(1)
                .map_or_else(never, |least| Ok(Is::Between(least, u64::MAX))),
            "SCMP_CMP_MASKED_EQ" => Ok(Is::OneOf(Some(self.value), vec![self.value_two])),
            other => return Err(Why::new(format!("{other:?} is not an operator"))),
        };
        if self.index > 5 {
            return Err(Why::new(format!("{} is not an argument: 0 to 5", self.index)));
        }
        Ok(match is {
            Err(()) => Some(Test::full(self.index, super::filter::Compare::one_of(&[]))),
            Ok(Is::Between(0, u64::MAX)) => None,
            Ok(is) => Some(
                condition::test(call, self.index, &is, refuses)
                    .unwrap_or_else(|_| as_written(self.index, &is)),
            ),
        })
    }
}

/// A condition that the tables do not foresee, over all 64 bits, as libseccomp reads it.
fn as_written(argument: u8, is: &Is) -> Test {
    Test::full(argument, condition::full(is))
}

fn version(text: &str) -> Result<(u32, u32), Why> {
    let mut numbers = text.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next().unwrap_or(Ok(0))) {
        (Some(Ok(major)), Ok(minor)) => Ok((major, minor)),
        _ => Err(Why::new(format!("{text:?} is not a version of a kernel"))),
    }
}

fn verdict(action: &str, number: Option<i32>, name: Option<&str>) -> Result<Verdict, Why> {
    Ok(match action {
        "SCMP_ACT_ALLOW" => Verdict::Allow,
        "SCMP_ACT_LOG" => Verdict::Log,
        "SCMP_ACT_TRACE" => Verdict::Trace,
        "SCMP_ACT_TRAP" => Verdict::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Verdict::KillProcess,
        // There is no agent as an engine has: the call is refused and reported.
        "SCMP_ACT_NOTIFY" => Verdict::Notify,
        "SCMP_ACT_ERRNO" => match (number, name) {
            (Some(number), _) if !(0..=4095).contains(&number) => {
                return Err(Why::new(format!("{number} is not an errno: 0 to 4095")));
            }
            (Some(number), _) => Verdict::Errno(number),
            (None, Some(name)) => Verdict::Errno(errno(name)?),
            (None, None) => EPERM,
        },
        other => return Err(Why::new(format!("{other:?} is not an action"))),
    })
}
