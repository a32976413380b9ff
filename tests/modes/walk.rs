//! Walks the table: every cell is tried on this kernel.

use crate::modes::ground::{Ground, is_lowered, landlock_abi};
use crate::modes::table::{Act, Cell, Column, Kernel, OTHER, Row};
use crate::support::{As, is_emulated, is_root, kernel as linux, lacking_at, skip};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Job {
    row: Row,
    column: Column,
    who: As,
}

/// What Landlock has since which ABI, as words of `optional`, and the keys that ask for just that.
const SINCE: [(u32, &str, &[&str]); 4] = [
    (3, "landlock.truncate", &[]),
    (4, "landlock.tcp", &["landlock.tcp-bind", "landlock.tcp-connect"]),
    (6, "landlock.scope", &["landlock.scope"]),
    (7, "landlock.audit", &["landlock.audit"]),
];

/// The words of what this kernel's Landlock lacks.
fn lacking() -> Vec<&'static str> {
    let abi = landlock_abi();
    SINCE.iter().filter(|(since, ..)| abi < *since).map(|(_, word, _)| *word).collect()
}

/// Tries every cell of these rows; gives what is not as the table says.
pub fn walk(ground: &Ground, rows: &[Row]) -> Vec<String> {
    let mut jobs = vec![];
    for row in rows {
        for column in Column::ALL {
            let callers = column.callers().iter().filter(|who| As::all().contains(who));
            jobs.extend(callers.map(|who| Job { row: *row, column, who: *who }));
        }
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        // Some acts sleep.
        for _ in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = attempt(ground, job) {
                        let Job { row, column, who } = job;
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{} × {column:?} by {who:?}: {why}", row.key));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    wrong
}

/// What this machine, or who runs the tests, lacks for a cell.
fn lacks(job: &Job) -> Option<&'static str> {
    let timed = ["process.stop-signal", "process.kill-after"].contains(&job.row.key);
    if timed && is_emulated() {
        return Some("100 ms are too few where the processors are emulated");
    }
    let map = ["identity.uid-map", "identity.gid-map"].contains(&job.row.key);
    if map && job.who == As::User && is_lowered() {
        return Some("what lowers Landlock's ABI keeps newuidmap(1) from its capabilities");
    }
    // A joined time namespace holds for the children: the tool enters it when it is executed. A
    // kernel before 6.3 does not follow, and the tool is in the host's, as root's target is without
    // a line.
    let in_the_hosts = job.who == As::User || job.column == Column::Alone;
    if job.row.key == "namespaces.time.join" && in_the_hosts && linux() < (6, 3) {
        return Some("unshare(1) itself is not in the time namespace that it makes");
    }
    if is_root() {
        return None;
    }
    match (job.row.key, job.column) {
        (_, Column::Joined) => Some("a namespace that can be joined is made by root"),
        ("mounts.layers.copy-up", _) => Some("the directory is to be another user's"),
        ("process.pass-fds", Column::Nested) => Some("the passed file is to be another user's"),
        (key, _) if key.starts_with("limits.") => Some("root gives the caller a control group"),
        _ => None,
    }
}

fn attempt(ground: &Ground, job: &Job) -> Result<(), String> {
    if let Some(why) = lacks(job) {
        skip(&format!("{} × {:?} by {:?}: {why}", job.row.key, job.column, job.who));
        return Ok(());
    }
    match job.row.cell(job.column, job.who) {
        Cell::Held(act) => {
            let asks = SINCE.iter().find(|(_, _, keys)| keys.contains(&job.row.key));
            match asks.filter(|(since, ..)| landlock_abi() < *since) {
                Some((_, word, _)) if job.column != Column::Without => {
                    skipped(ground, job, None, "landlock::absent", word, job.row.line)
                }
                _ => held(ground, job, None, &act),
            }
        }
        Cell::Refused(code) => refused(ground, job, kernel(job.column), code, None, job.row.line),
        Cell::RefusedLine(line, code) => refused(ground, job, kernel(job.column), code, None, line),
        Cell::Skipped(code, word) => {
            skipped(ground, job, kernel(job.column), code, word, job.row.line)
        }
        Cell::Lacking(_, Kernel::ReadOnlySysctls, ..) if !is_root() => {
            skip("a read-only /proc/sys takes root");
            Ok(())
        }
        Cell::Lacking(line, kernel, code, "") => {
            refused(ground, job, older(kernel), code, None, line)
                .and_then(|()| refused(ground, job, older(kernel), code, Some(&["landlock"]), line))
        }
        Cell::Lacking(line, kernel, code, word) => {
            skipped(ground, job, older(kernel), code, word, line)
        }
        Cell::Possible(act, code, word) => {
            let Err(why) = held(ground, job, None, &act) else { return Ok(()) };
            let kernel = kernel(job.column);
            match word {
                "" => refused(ground, job, kernel, code, None, act.line),
                word => skipped(ground, job, kernel, code, word, act.line),
            }
            .map_err(|not| format!("{why}\nand {not}"))
        }
        Cell::Since(act, since, words) => {
            let has = landlock_abi() >= since;
            if has { held(ground, job, None, &act) } else { stated(ground, job, words) }
        }
        Cell::Below(act, raised, limit) => {
            // The limits of this process, which its children inherit; the names are those of
            // proc_pid_limits(5).
            let name = if limit == libc::RLIMIT_NICE {
                "Max nice priority"
            } else {
                "Max realtime priority"
            };
            let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
            let ceiling = limits
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().nth(1));
            if ceiling != Some("0") {
                return held(ground, job, None, &act);
            }
            let Err(why) = held(ground, job, None, &raised) else { return Ok(()) };
            let code = if job.who == As::User { "E0506" } else { "E1201" };
            refused(ground, job, None, code, None, raised.line)
                .map_err(|refused| format!("{why}\nand {refused}"))
        }
        Cell::Helped(act) => helped(ground, job, &act),
        Cell::Nothing(_) | Cell::Open(_) | Cell::Same(_) => Ok(()),
    }
}

/// The act prints one thing with the line, and another without.
fn held(ground: &Ground, job: &Job, uid: Option<u32>, act: &Act) -> Result<(), String> {
    let [with, without] = [act.line, act.twin].map(|lines| {
        let (id, profile) = (ground.next(), ground.profile(job.column, job.who, lines));
        let (printed, words) = ground.run(job.column, job.who, uid, &profile, act, id);
        // A restriction that an older Landlock lacks is refused, unless it is optional.
        let lacking = lacking();
        let refused = ["E1101", "E1104"].iter().any(|code| words.contains(code));
        if lacking.is_empty() || !refused {
            return ((printed, words), id);
        }
        let own = profile.lines().find_map(|line| line.strip_prefix("optional = "));
        let own = own.unwrap_or_default().split('"').skip(1).step_by(2);
        let words: Vec<&str> = own.chain(lacking).collect();
        let profile = with_optional(&profile, &words);
        let id = ground.next();
        (ground.run(job.column, job.who, uid, &profile, act, id), id)
    });
    let ((printed, words), id) = with;
    let wanted = ground.filled(act.held, id);
    let holds = if act.held == OTHER {
        !printed.contains("status 125")
    } else {
        wanted.split('|').any(|wanted| wanted == printed)
    };
    if !holds {
        return Err(format!("printed {printed:?}, not {wanted:?}\n{words}"));
    }
    let ((twin, words), id) = without;
    let differs =
        if act.bare == OTHER { twin != printed } else { twin == ground.filled(act.bare, id) };
    if !differs {
        return Err(format!("the twin printed {twin:?}, not {:?}\n{words}", act.bare));
    }
    Ok(())
}

/// As a user of the machine's whom the set-id helpers know.
fn helped(ground: &Ground, job: &Job, act: &Act) -> Result<(), String> {
    let [users, ranges] = ["/etc/passwd", "/etc/subuid"]
        .map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let known = ranges.lines().filter_map(|line| line.split(':').next());
    let uid = known.filter_map(|name| {
        users.lines().find_map(|line| {
            line.strip_prefix(name)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok()
        })
    });
    let Some(uid) = uid.into_iter().find(|uid| is_root() && *uid != 0) else {
        skip("nobody has subordinate ids, or the tests do not run as root");
        return Ok(());
    };
    held(ground, job, Some(uid), act)
}

fn kernel(column: Column) -> Option<Kernel> {
    (column == Column::Without).then_some(Kernel::Landlock(0))
}

fn refused(
    ground: &Ground,
    job: &Job,
    kernel: Option<Kernel>,
    code: &str,
    optional: Option<&[&str]>,
    line: &str,
) -> Result<(), String> {
    let mut profile = ground.profile(job.column, job.who, line);
    if let Some(optional) = optional {
        profile = with_optional(&profile, optional);
    }
    let (status, said) = ground.stockade(job.who, kernel, &["run"], &profile, ground.next());
    if status != 125 || !said.contains(code) {
        return Err(format!("status {status}, and not refused with {code}\n{said}"));
    }
    Ok(())
}

/// Refused as it is; with the word the run continues, and its record says what was skipped.
fn skipped(
    ground: &Ground,
    job: &Job,
    kernel: Option<Kernel>,
    code: &str,
    word: &str,
    line: &str,
) -> Result<(), String> {
    let mut words = others(job.column, kernel);
    words.retain(|other| *other != word);
    refused(ground, job, kernel, code, Some(&words), line)?;
    words.push(word);
    let profile = with_optional(&ground.profile(job.column, job.who, line), &words);
    let id = ground.next();
    let record = ground.record(id);
    let (status, said) = ground.stockade(
        job.who,
        kernel,
        &["run", "--report", record.to_str().unwrap()],
        &profile,
        id,
    );
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&record).unwrap_or_default())
            .unwrap_or_default();
    let told = json["skipped"].as_array().is_some_and(|skipped| !skipped.is_empty());
    if status != 0 || !told {
        return Err(format!(
            "status {status} with optional = {words:?}, reported: {}\n{said}",
            json["skipped"]
        ));
    }
    Ok(())
}

/// What the mode's own profile goes without on such a kernel.
fn others(column: Column, kernel: Option<Kernel>) -> Vec<&'static str> {
    let alone = [Column::Host, Column::Alone].contains(&column);
    match kernel {
        _ if column == Column::Without => vec!["landlock"],
        kernel if alone => {
            let abi = match kernel {
                Some(Kernel::Landlock(abi)) => abi,
                _ => landlock_abi(),
            };
            if abi > 0 { lacking_at(abi) } else { vec![] }
        }
        _ => vec![],
    }
}

/// A kernel is made older, never newer.
fn older(kernel: Kernel) -> Option<Kernel> {
    Some(match kernel {
        Kernel::Landlock(abi) => Kernel::Landlock(abi.min(landlock_abi())),
        other => other,
    })
}

/// The profile with these words in `optional`, and no others.
fn with_optional(profile: &str, words: &[&str]) -> String {
    let rest: Vec<&str> = profile.lines().filter(|line| !line.starts_with("optional = ")).collect();
    format!("optional = {words:?}\n{}\n", rest.join("\n"))
}

fn stated(ground: &Ground, job: &Job, words: &str) -> Result<(), String> {
    let profile = ground.profile(job.column, job.who, job.row.line);
    let (status, said) =
        ground.stockade(job.who, kernel(job.column), &["plan"], &profile, ground.next());
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if status != 0 || !flat.contains(words) {
        return Err(format!("status {status}, and `plan` does not say {words:?}\n{said}"));
    }
    Ok(())
}
