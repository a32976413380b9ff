//! `stockade changes apply`: it shows what will be where, asks, and has it done.

use super::chosen::{Named, ways_out};
use super::later::Later;
use super::line::{line, quoted};
use super::{Result, ask, refused, stopped, take, wrong};
use crate::commands::{print_line, warn};
use crate::launch::changes::apply::{Ended, Failed, Fate, Half, Judged, Planned, WorkedOn};
use crate::launch::changes::{Change, Kept, Kind, Refused, State, Trouble};
use crate::text::bytes;
use crate::text::paths::some_of;
use crate::text::problem::{Problem, errno_words, escape};
use crate::text::shell::shell_word;

pub(super) const ACT: &str = "apply";
/// How many changes of a kind that are no use to read through are shown.
const MOST_SHOWN: usize = 50;

/// How many names of one directory of git's are shown one by one.
const MOST_NAMES: usize = 3;

/// What the caller agrees to without being asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed {
    pub changes: bool,
    /// What the host runs later.
    pub run_later: bool,
}

impl Agreed {
    /// The flags that say so, besides `--yes`.
    fn also(self) -> &'static str {
        if self.run_later { LATER_TOO } else { "" }
    }
}

const LATER_TOO: &str = "--run-later ";
pub(super) const LATER: &str = "the host runs it later";
pub(super) const LATER_SINCE: &str = "the host runs it later, and has changed it since";

pub(super) fn apply(named: Named, agreed: Agreed) -> Result {
    let directory = named.directory;
    let kept = take(ACT, directory)?;
    let record = &kept.record;
    if !record.is_of_the_host() {
        let why = format!("its layers are not the host's tree at {} alone", escape(&record.path));
        let problem = wrong("changes::apply", format!("cannot apply `{directory}`: {why}"));
        return Err(problem.help(export_instead(directory)).into());
    }
    let fail = |why: Failed| failed(ACT, directory, Some(directory), &why);
    if let Some(half) = Half::read(&kept).map_err(fail)?
        && !end(named, &kept, half, agreed)?
    {
        print_line("nothing was applied");
        return Ok(());
    }
    let layer = kept.host_tree().map_err(|why| {
        let problem = *refused(ACT, directory, &why);
        let is_another = matches!(why, Refused::Another(_));
        problem.help_maybe(is_another.then(|| export_instead(directory)))
    })?;
    let mut planned = Planned::read(&kept, &layer).map_err(fail)?;
    if !named.paths.is_empty() {
        let chosen = named.choose(ACT, &kept, &planned, false)?;
        planned.choose(&chosen);
    }
    let run_later = Later::look(&kept, &planned);
    // Git writes to its index when it is only asked for the state of the tree.
    if !agreed.run_later {
        planned.keep_changed_back(LATER_SINCE, |change| run_later.why(change).is_some());
    }
    changed_meanwhile(directory, &planned, || ways_out(named, &planned))?;
    planned.find_shut(&layer);
    shut(&[(&record.path, &planned)], || ways_out(named, &planned))?;
    let later: Vec<(&Change, &str)> =
        planned.applied().filter_map(|change| Some((change, run_later.why(change)?))).collect();
    let (count, kept_back) = (planned.applied().count() - later.len(), later.len());
    show(&planned, &later);
    if planned.applied().next().is_none() {
        print_line("nothing to apply");
        return Ok(());
    }
    let note_kept_back = || {
        if kept_back > 0 {
            let yes = if agreed.changes { "--yes " } else { "" };
            let also = named.line(ACT, &format!("{yes}{LATER_TOO}"));
            let count = counted(kept_back);
            print_line(&format!("kept back {count} of what the host runs later: {also}"));
        }
    };
    let path = escape(&record.path);
    let asked = if agreed.run_later { count + later.len() } else { count };
    if !agreed.changes && asked > 0 {
        let what = || format!("Apply {} to {path}?", counted(asked));
        if !ask(ACT, named, agreed.also(), what)? {
            print_line("nothing was applied");
            return Ok(());
        }
    }
    let with_later = agreed.run_later
        || !later.is_empty() && !agreed.changes && {
            let also = if count > 0 { " also" } else { "" };
            let what = || format!("Apply{also} the {} that the host runs later?", later.len());
            ask(ACT, named, LATER_TOO, what)?
        };
    if count == 0 && !with_later {
        print_line("nothing else to apply");
        note_kept_back();
        return Ok(());
    }
    if !with_later {
        planned.keep_back(LATER, |change| run_later.why(change).is_some());
    }
    let moved: Vec<String> =
        planned.keep_moved_back(&layer).iter().map(|one| line(one, "")).collect();
    for line in moved.iter().take(MOST_SHOWN) {
        print_line(&format!("kept back, as it may have been moved to what is kept back: {line}"));
    }
    if planned.applied().next().is_none() {
        print_line("nothing else to apply");
        note_kept_back();
        return Ok(());
    }
    let total = planned.applied().count();
    let stays = planned.apply(&kept, &layer).map_err(fail)?;
    note_stays(&stays);
    print_line(&format!("applied {} to {}", counted(total), escape(&kept.record.path)));
    if !with_later {
        note_kept_back();
    }
    Ok(())
}

/// Ends what an apply has left half done, if that is agreed to: a process that could write here could
/// have made it.
fn end(named: Named, kept: &Kept, half: Half, agreed: Agreed) -> Result<bool> {
    let directory = named.directory;
    print_line("An apply did not come to its end. To end it:");
    let places = half.places();
    for place in places.iter().take(MOST_SHOWN) {
        print_line(&format!("  {}: {}", quoted(&bytes::text(&place.path)), place.what));
    }
    if let Some(more) = places.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        print_line(&format!("  and {more} more"));
    }
    if !agreed.changes {
        let what = || format!("End it at {}?", escape(&kept.record.path));
        if !ask(ACT, named, agreed.also(), what)? {
            return Ok(false);
        }
    } else if !agreed.run_later {
        let words = "--yes --run-later ";
        later_of_half(named, kept, &half, words)?;
    }
    let ended = half.end(kept).map_err(|why| failed(ACT, directory, Some(directory), &why))?;
    note_recovered(&ended);
    Ok(true)
}

/// What the host runs later `--yes` does not cover here either.
pub(super) fn later_of_half(named: Named, kept: &Kept, half: &Half, words: &str) -> Result {
    let Some((path, why)) = Later::of_half(kept, half) else { return Ok(()) };
    let what = "ends an apply that did not come to its end";
    let problem = wrong(
        "changes::half",
        format!(
            "cannot apply `{}`: `{}`, which this {what} at: {why}",
            named.directory,
            escape(&path)
        ),
    );
    let line = named.line(ACT, words);
    Err(problem.help(format!("look at it, and agree to it: {line}")).into())
}

pub(super) fn counted(count: usize) -> String {
    if count == 1 { "1 change".into() } else { format!("{count} changes") }
}

/// All or nothing: a part of what belongs together may be worse than none.
pub(super) fn changed_meanwhile(
    what: &str,
    planned: &Planned,
    help: impl FnOnce() -> String,
) -> Result {
    let mut found = planned.changes.iter().filter_map(|one| match one.fate {
        Fate::Meanwhile(why) => Some((&one.change, why)),
        Fate::Applied | Fate::KeptBack(_) | Fate::Shut(_) | Fate::NotChosen => None,
    });
    let Some((first, why)) = found.next() else { return Ok(()) };
    let more = match found.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let path = escape(&bytes::text(&first.path));
    let problem =
        wrong("changes::meanwhile", format!("cannot apply `{what}`: `{path}`: {why}{more}"));
    Err(problem.help_lines(&help()).into())
}

/// The same of what the host does not let the caller change, in any of several trees: each is named
/// with its path below the top.
pub(super) fn shut(all: &[(&str, &Planned)], help: impl FnOnce() -> String) -> Result {
    let lines = |planned: &Planned| -> Vec<String> {
        let of = |Judged { change, fate, .. }: &Judged| match fate {
            Fate::Shut(why) => Some(format!("  {}: {why}", line(change, ""))),
            Fate::Applied | Fate::KeptBack(_) | Fate::Meanwhile(_) | Fate::NotChosen => None,
        };
        planned.changes.iter().filter_map(of).collect()
    };
    let found = all.iter().map(|(what, planned)| (*what, lines(planned)));
    let found: Vec<(&str, Vec<String>)> = found.filter(|(_, lines)| !lines.is_empty()).collect();
    let Some((first, _)) = found.first() else { return Ok(()) };
    for (what, lines) in &found {
        let shown = lines.iter().take(MOST_SHOWN).map(String::as_str).collect::<Vec<_>>();
        let more = lines.len() - shown.len();
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        let what = escape(what);
        warn(&format!("stockade: cannot be applied to {what}:\n{}{more}\n", shown.join("\n")));
    }
    let count: usize = found.iter().map(|(_, lines)| lines.len()).sum();
    let others = match found.len() {
        1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    let message = format!(
        "cannot apply what was written to {}{others}: the host does not let the caller make {}; nothing \
         was applied",
        escape(first),
        counted(count)
    );
    Err(wrong("launch::apply", message).help_lines(&help()).into())
}

fn show(planned: &Planned, later: &[(&Change, &str)]) {
    // Both are in one order.
    let mut rest = later.iter().peekable();
    for change in planned.applied() {
        if rest.next_if(|(known, _)| std::ptr::eq(*known, change)).is_none() {
            print_line(&line(change, ""));
        }
    }
    if !later.is_empty() {
        print_line("Run later by the host, without being asked to:");
        for (change, why) in later {
            print_line(&format!("  {}: {why}", line(change, "")));
        }
    }
    if let Some(some) = set_ids(planned) {
        print_line(&format!("Without the set-id bits that the target gave: {some}"));
    }
    let back = kept_back(planned);
    if !back.is_empty() {
        print_line("Kept back:");
        back.iter().for_each(|line| print_line(line));
    }
}

/// The files that are applied without the set-id bits that the target gave them.
pub(super) fn set_ids(planned: &Planned) -> Option<String> {
    // That of a new directory may come from the one above.
    let bits = |state: &State| if state.kind == Kind::File { state.mode & 0o6000 } else { 0 };
    let drops = |change: &&Change| {
        let after = change.after.as_ref().map_or(0, bits);
        after & !change.before.as_ref().map_or(0, bits) != 0
    };
    let paths = planned.applied().filter(drops).map(|change| escape(&bytes::text(&change.path)));
    let paths: Vec<String> = paths.collect();
    some_of(&paths.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Changes that are kept back for one reason, below one directory or by themselves.
struct Back<'p> {
    directory: Option<&'p [u8]>,
    why: &'static str,
    first: Vec<&'p Change>,
    count: usize,
}

impl Back<'_> {
    fn lines(&self) -> Vec<String> {
        let Back { directory, why, first, count } = self;
        match directory {
            Some(directory) if *count > MOST_NAMES => {
                let directory = quoted(&format!("{}/", bytes::text(directory)));
                vec![format!("  {count} names below {directory}: {why}")]
            }
            _ => first.iter().map(|change| format!("  {}: {why}", line(change, ""))).collect(),
        }
    }
}

/// A line for each change that is not applied, up to a number: what git has in a directory of its own
/// is many files, and none of them is read through.
pub(super) fn kept_back(planned: &Planned) -> Vec<String> {
    let mut all: Vec<Back> = vec![];
    let mut more = 0;
    for Judged { change, fate, .. } in &planned.changes {
        let Fate::KeptBack(why) = *fate else { continue };
        let directory = of_git(&change.path);
        let is_one = |back: &Back| (back.directory, back.why) == (directory, why);
        // Those of a directory come one after the other, whatever their reasons are.
        let is_near = |back: &&Back| back.directory.is_some() && back.directory == directory;
        let near = all.iter().rev().take_while(is_near).position(is_one);
        let known = near.and_then(|back| all.iter_mut().nth_back(back));
        if let Some(known) = known {
            known.first.extend((known.first.len() < MOST_NAMES).then_some(change));
            known.count += 1;
        } else if all.len() < MOST_SHOWN {
            all.push(Back { directory, why, first: vec![change], count: 1 });
        } else {
            more += 1;
        }
    }
    let lines = all.iter().flat_map(Back::lines);
    lines.chain((more > 0).then(|| format!("  and {more} more"))).collect()
}

/// The directory of git's own that a path lies in.
fn of_git(path: &[u8]) -> Option<&[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.map(|end| &path[..end]).find(|above| *above == b".git" || above.ends_with(b"/.git"))
}

/// Says that an apply that was killed has its end now.
pub(super) fn note_recovered(ended: &Ended) {
    let but = but_for(&ended.left);
    warn(&format!("note: an apply that did not come to its end was brought to one first{but}\n"));
    note_stays(&ended.stays);
}

/// Says what could not be removed: no later apply does it either.
pub(super) fn note_stays(stays: &[Trouble]) {
    if stays.is_empty() {
        return;
    }
    let line = |Trouble { path, errno }: &Trouble| {
        format!("  {}: {}\n", quoted(&bytes::text(path)), errno_words(*errno))
    };
    let mut lines: String = stays.iter().take(MOST_SHOWN).map(line).collect();
    if let Some(more) = stays.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        lines += &format!("  and {more} more\n");
    }
    warn(&format!("stockade: all is applied, and this could not be removed and stays:\n{lines}"));
}

/// What was not taken back; nothing, where all was.
pub(super) fn but_for(left: &[WorkedOn]) -> String {
    let name = |path: &[u8]| format!("`{}`", escape(&bytes::text(path)));
    let mut some = left.iter().take(MOST_SHOWN).map(|one| match &one.before {
        Some(before) => format!("{} (what was there is {})", name(&one.path), name(before)),
        None => name(&one.path),
    });
    let Some(first) = some.next() else { return String::new() };
    let mut text = some.fold(first, |text, more| text + ", " + &more);
    if left.len() > MOST_SHOWN {
        text += &format!(" and {} more", left.len() - MOST_SHOWN);
    }
    format!(", but for what the host has changed meanwhile: {text}")
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    format!("{:.1}G", bytes as f64 / f64::from(1 << 30))
}

/// The help where a kept upper cannot be applied.
fn export_instead(directory: &str) -> String {
    let directory = shell_word(directory);
    format!("take the changes out of it: stockade changes export {directory} changes.tar")
}

/// Why it failed, and for what is left half done the way back: by the directory of a kept upper. What
/// a run leaves of one that is thrown away the next run ends.
pub(super) fn failed(act: &str, directory: &str, kept: Option<&str>, why: &Failed) -> Box<Problem> {
    let cannot = |why: String| wrong("launch::apply", format!("cannot {act} `{directory}`: {why}"));
    let at = |Trouble { path, errno }: &Trouble| {
        format!("`{}`: {}", escape(&bytes::text(path)), errno_words(*errno))
    };
    let export = kept.map(export_instead);
    match why {
        Failed::WorkedOn(why, left) => {
            let mut problem = failed(act, directory, kept, why);
            problem.message += &match **why {
                Failed::Undone(_) => but_for(left),
                _ => format!("; everything is as it was before{}", but_for(left)),
            };
            problem
        }
        Failed::Refused(why) => refused(act, directory, why),
        Failed::Reading(why) => stopped(act, directory, why),
        Failed::Multiplied(more) => {
            let why = format!(
                "files in it with several names would take {} more than they do, as each name becomes \
                 a file of its own",
                size(*more)
            );
            cannot(why).help_maybe(export).into()
        }
        Failed::TooMany => {
            let problem = cannot("there are more changes than one apply takes".into());
            problem.help_maybe(export).into()
        }
        Failed::Undone(trouble) => {
            cannot(format!("{}; everything is as it was before", at(trouble)))
        }
        Failed::Left(trouble) => {
            let problem = cannot(format!("{}, and to undo it failed, too", at(trouble)));
            let way = match kept {
                Some(kept) => format!("go back with stockade changes apply {}", shell_word(kept)),
                None => "the next run with --changes=apply-on-success goes back".to_owned(),
            };
            problem.help(format!("once that can be written, {way}")).into()
        }
    }
}
