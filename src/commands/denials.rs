//! Denials in words: which call with which arguments, by whom, how often, and the line that permits
//! it. `why` reads them.
//!
//! Names of processes are the target's words, so they are quoted and escaped where they are more
//! than letters.

use super::why::{Permits, line_for};
use super::{Planned, warn};
use crate::inspect::access::change::{Edit, Line, Over};
use crate::inspect::access::query::Query;
use crate::inspect::view::answer::no_line_but;
use crate::kernel::syscalls::{self, Abi, Read};
use crate::launch::{Act, Call, Consequence, Denial, Denials, Who};
use crate::plan::Plan;
use crate::policy::seccomp::{Filter, Source, Verdict};
use crate::profile::Request;
use crate::sys;
use crate::text::problem::escape;
use crate::text::source::Span;
use serde::Serialize;

/// For how many kinds the line is sought: each candidate is planned once more.
const MOST_SOUGHT: usize = 32;

/// Prints all of them on standard error.
pub(super) fn report(denials: &Denials, request: &Request, planned: &Planned) {
    let mut kinds: Vec<&Denial> = denials.kinds.iter().collect();
    // Programs do without what seems to be absent, so that comes last.
    kinds.sort_by_key(|denial| judge(denial, &planned.plan) == Verdict::Errno(libc::ENOSYS));
    for (place, denial) in kinds.into_iter().enumerate() {
        let advice = if place < MOST_SOUGHT {
            advice(denial, request, planned)
        } else {
            "stockade why names the line that permits it".into()
        };
        warn(&format!("stockade: {}: {advice}\n", head(denial, &planned.plan)));
    }
    if denials.more > 0 {
        warn(&format!("stockade: denied: {} more calls, of further kinds\n", denials.more));
    }
    if !denials.complete {
        warn(
            "stockade: the process that answers for denied calls ended before the run did: what \
             was denied after that failed with ENOSYS, and is not listed\n",
        );
    }
}

/// One kind, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Denied {
    /// The call, with its arguments where they decide.
    call: String,
    /// The name that the process has given itself.
    process: String,
    /// Its number inside; 0 where it is not known.
    pid: u32,
    /// The result of the call: an errno, or `killed`.
    with: String,
    count: u64,
}

/// All of them, for programs.
pub(super) fn records(denials: &Denials, plan: &Plan) -> Vec<Denied> {
    let record = |denial: &Denial| Denied {
        call: act(denial.act, &plan.filter),
        process: String::from_utf8_lossy(denial.who.name()).into_owned(),
        pid: denial.who.inside,
        with: if denial.then == Consequence::Failed {
            judge(denial, plan).to_string()
        } else {
            "killed".into()
        },
        count: denial.count,
    };
    denials.kinds.iter().map(record).collect()
}

/// One kind at once, without the line that permits it; the report at the end has it in any case.
/// The target may have filled standard error, or stopped the terminal: nothing waits for that.
pub(super) fn print_first(denial: &Denial, plan: &Plan) {
    let first = Denial { count: 1, ..*denial };
    let line = format!("stockade: {}\n", head(&first, plan));
    sys::regardless(sys::write_at_once(libc::STDERR_FILENO, line.as_bytes()));
}

/// The verdict of the filter.
pub(super) fn judge(denial: &Denial, plan: &Plan) -> Verdict {
    let Act::Call(call) = &denial.act;
    plan.filter.judge_seen(call.architecture, call.number, &call.arguments)
}

/// `denied: socket(17, 3, 0) in ping (pid 12), 3 times, with EPERM`.
fn head(denial: &Denial, plan: &Plan) -> String {
    let times = if denial.count == 1 { String::new() } else { format!(", {} times", denial.count) };
    let then = match (denial.then, judge(denial, plan)) {
        (Consequence::Killed, _) => ", which was killed for it".into(),
        (Consequence::Unkillable, _) => {
            ", which could not be killed for it: the sandbox was ended".into()
        }
        (Consequence::Failed, Verdict::Errno(libc::EPERM) | Verdict::Notify) => String::new(),
        (Consequence::Failed, verdict) => format!(", with {verdict}"),
    };
    format!("denied: {} {}{times}{then}", act(denial.act, &plan.filter), process(&denial.who))
}

fn process(who: &Who) -> String {
    match (who.name(), who.inside) {
        ([], _) => format!("(process {} outside)", who.outside),
        (name, 0) => format!("in {}", shown(name)),
        (name, pid) => format!("in {} (pid {pid})", shown(name)),
    }
}

fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/:@#[]".contains(c)) {
        name.into_owned()
    } else {
        escape(&format!("{name:?}"))
    }
}

/// What was denied.
fn act(Act::Call(call): Act, filter: &Filter) -> String {
    let Some((abi, number)) = Filter::abi_of(call.architecture, call.number) else {
        return format!("call {} of architecture {:#x}", call.number, call.architecture);
    };
    let of = if abi == Abi::Native { String::new() } else { format!(" of {}", abi.word()) };
    let Some(name) = abi.name(number) else { return format!("call {number}{of}") };
    let arguments = if has_conditions(&call, filter) {
        format!("({})", arguments(name, &call.arguments))
    } else {
        String::new()
    };
    format!("{name}{arguments}{of}")
}

/// Whether its arguments decide.
fn has_conditions(call: &Call, filter: &Filter) -> bool {
    let table = Filter::abi_of(call.architecture, call.number)
        .and_then(|(abi, number)| filter.table(abi)?.rule(number));
    table.is_some_and(|rule| !rule.cases.is_empty())
}

/// Integers as the kernel reads them. An address is shown only as null or not: its value means
/// nothing, and differs from run to run.
fn arguments(name: &str, registers: &[u64; 6]) -> String {
    let small = |number: i64, hex: u64| {
        if (-4096..4096).contains(&number) { number.to_string() } else { format!("{hex:#x}") }
    };
    let word = |(place, register): (u8, &u64)| {
        Some(match syscalls::reads(name, place)? {
            Read::Half => format!("{:#x}", register & 0xffff),
            Read::Low => small(i64::from(*register as i32), register & 0xffff_ffff),
            Read::Full | Read::Mixed => small(*register as i64, *register),
            Read::Pointer if *register == 0 => "0".into(),
            Read::Pointer => "*".into(),
        })
    };
    let words: Vec<String> = (0..).zip(registers).map_while(word).collect();
    words.join(", ")
}

/// The line that permits it, which was tried, or the place that denies it.
fn advice(denial: &Denial, request: &Request, planned: &Planned) -> String {
    let absent = judge(denial, &planned.plan) == Verdict::Errno(libc::ENOSYS);
    let all_the_same = if absent {
        "programs do without it, as on an older kernel; to permit it all the same"
    } else {
        "to permit it"
    };
    let filter = &planned.plan.filter;
    let Act::Call(call) = &denial.act;
    let Some((abi, number)) = Filter::abi_of(call.architecture, call.number) else {
        return "this machine's programs have no such calls".into();
    };
    if filter.table(abi).is_none() {
        return format!(
            "{all_the_same}, grant its architecture: add \"{}\" to [seccomp].architectures",
            abi.word()
        );
    }
    let Some(name) = abi.name(number) else {
        return "this version of stockade does not know it, and the target sees an older kernel"
            .into();
    };
    // What decides about a call natively decides about those of its name. A profile from standard
    // input can be read once.
    if request.profile != "-"
        && let Some(native) = syscalls::number(syscalls::counterpart(name))
    {
        let query = Query::Call { number: native, arguments: Some(call.arguments) };
        match line_for(&query, call, request, planned) {
            Some(Permits::AsItIs(line)) => {
                return format!(
                    "{all_the_same}{}",
                    words_of(&line, has_conditions(call, filter), planned)
                );
            }
            Some(Permits::Perhaps(line, doubt)) => {
                let words = words_of(&line, has_conditions(call, filter), planned);
                return format!("{all_the_same} in part{words} (then the kernel decides: {doubt})");
            }
            Some(Permits::Never(words)) => return format!("no line permits it: {words}"),
            Some(Permits::InItsOwn(line)) => return no_line_but(&line, &query),
            None => {}
        }
    }
    let because = filter.table(abi).and_then(|table| table.because(number));
    match because {
        Some((Source::Deny, at)) => {
            format!("{all_the_same}, take it out of [seccomp].deny: {}", place(at, planned))
        }
        Some((Source::Rules, at)) => {
            format!("{all_the_same}, change its rule: {}", place(at, planned))
        }
        Some((Source::Families, at)) => {
            format!("{all_the_same}, add its family to [seccomp].families: {}", place(at, planned))
        }
        _ => "no single line permits it; see stockade why".into(),
    }
}

/// The line, as what is to be done with it, and the one that goes with it.
fn words_of(line: &Line, has_conditions: bool, planned: &Planned) -> String {
    let each: Vec<String> =
        line.each().map(|line| words_of_one(line, has_conditions, planned)).collect();
    each.join(" and").replace(" and, ", " and ")
}

fn words_of_one(line: &Line, has_conditions: bool, planned: &Planned) -> String {
    match (&line.edit, line.over) {
        (Edit::Adds(call), _) if line.is("seccomp", "allow") => {
            let any = if has_conditions { " with any arguments" } else { "" };
            return format!("{any}, add {call} to [seccomp].allow");
        }
        (Edit::Removes(calls), Over::Joins(at)) if line.is("seccomp", "deny") => {
            return format!(", take {calls} out of [seccomp].deny: {}", place(at, planned));
        }
        (Edit::Clears, Over::Replaces(at)) => {
            return format!(", take its rule out of [{}]: {}", line.section, place(at, planned));
        }
        _ => {}
    }
    let over = match line.over {
        Over::Replaces(at) => format!(", in the place of {}", place(at, planned)),
        Over::Joins(_) | Over::Nothing => String::new(),
    };
    let any =
        if has_conditions && line.section == "seccomp.rules" { " with any arguments" } else { "" };
    format!("{any}, write below [{}]: {}{over}", line.section, line.text)
}

fn place(at: Span, planned: &Planned) -> String {
    planned
        .sources
        .place(at)
        .map_or("a line of the profile".into(), |place| escape(&place.to_string()))
}
