//! `stockade changes discard`: a kept upper goes, or paths of it, once that is agreed to.

use super::apply::{counted, failed};
use super::chosen::Named;
use super::line::line;
use super::{Result, ask, refused, take, wrong};
use crate::commands::print_line;
use crate::language::value::Size;
use crate::launch::changes::apply::{Failed, Half, Judged, Planned};
use crate::launch::changes::{self, Change, Chosen, Kept, Trouble, What, end_taking, take_out};
use crate::text::bytes;
use crate::text::gather::Gather;
use crate::text::problem::{errno_words, escape};
use crate::text::shell::shell_word;
use std::collections::BTreeSet;

const ACT: &str = "discard";
/// How many changes are shown.
const MOST_SHOWN: usize = 50;

pub(super) fn discard(named: Named, yes: bool) -> Result {
    let directory = named.directory;
    let kept = take(ACT, directory)?;
    // What an apply has half done lies in the host's tree, and what says so may be another's.
    let fail = |why| failed(ACT, directory, Some(directory), &why);
    if Half::read(&kept).map_err(fail)?.is_some() {
        let why = "an apply of it did not come to its end";
        let problem = wrong("changes::half", format!("cannot discard `{directory}`: {why}"));
        let end = format!("stockade changes apply {}", shell_word(directory));
        return Err(problem.help(format!("end it first: {end}")).into());
    }
    if !named.paths.is_empty() {
        return some(named, &kept, yes);
    }
    let path = escape(&kept.record.path);
    let question = || {
        let (names, bytes, is_whole) = kept.taken();
        let what = if names == 1 { "file or directory" } else { "files and directories" };
        let (size, more) = (Size(bytes >> 10 << 10), if is_whole { "" } else { " or more" });
        let directory = escape(directory);
        if names == 0 {
            return format!("Remove {directory}, in which nothing of {path} is changed?");
        }
        format!(
            "Remove {directory} with the changes to {path} in it ({names} {what}, {size}{more})?"
        )
    };
    if !yes && !ask(ACT, named, "", question)? {
        return Ok(());
    }
    changes::discard(&kept, directory).map_err(|why| refused(ACT, directory, &why))?;
    print_line(&format!("discarded the changes to {path}"));
    Ok(())
}

/// Takes paths out of it.
fn some(named: Named, kept: &Kept, yes: bool) -> Result {
    let directory = named.directory;
    let fail = |why: Failed| failed(ACT, directory, Some(directory), &why);
    let cannot = |Trouble { path, errno }: Trouble| {
        let (path, why) = (escape(&bytes::text(&path)), errno_words(errno));
        wrong("launch::apply", format!("cannot discard `{path}` of `{directory}`: {why}"))
    };
    // What one that was killed had taken out is no change any more: the same words end it.
    let is_rest = end_taking(kept).map_err(cannot)?;
    let layer = match kept.record.is_of_the_host() {
        true => Some(kept.host_tree().map_err(|why| refused(ACT, directory, &why))?),
        false => None,
    };
    let planned = match &layer {
        Some(layer) => Planned::read(kept, layer),
        None => Planned::list(kept),
    };
    let planned = planned.map_err(fail)?;
    let chosen = named.choose(ACT, kept, &planned, is_rest)?;
    let all = || planned.changes.iter().map(|one| &one.change);
    if chosen.has(b"") {
        let whole = format!("stockade changes discard {}", shell_word(directory));
        let why = "that is its top, and all that is in it";
        let problem = wrong("changes::path", format!("cannot discard `.` of `{directory}`: {why}"));
        return Err(problem.help(format!("discard it whole: {whole}")).into());
    }
    let out: Vec<&Change> = all().filter(|change| chosen.has(&change.path)).collect();
    out.iter().take(MOST_SHOWN).for_each(|change| print_line(&line(change, "")));
    if let Some(more) = out.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        print_line(&format!("and {more} more"));
    }
    let path = escape(&kept.record.path);
    let question =
        || format!("Discard {} to {path} from {}?", counted(out.len()), escape(directory));
    let is_asked = !yes && !out.is_empty();
    if is_asked && !ask(ACT, named, "", question)? {
        print_line("nothing was discarded");
        return Ok(());
    }
    let removed = all().filter(|change| change.what == What::Removed);
    let removed: BTreeSet<&[u8]> = removed.map(|change| &*change.path).gather();
    take_out(kept, &chosen, &removed).map_err(cannot)?;
    // Of what lies above something that was taken out nothing may be left either.
    let is_out = |path: &[u8]| {
        let one = Chosen::from_iter([path.to_vec()]);
        let is_left = |change: &Change| one.has(&change.path) && !chosen.has(&change.path);
        chosen.has(path) || chosen.is_below(path) && !all().any(is_left)
    };
    let is_left = |one: &Judged| !chosen.has(&one.change.path);
    let renewed = planned.renew(kept, layer.as_ref(), is_left, is_out);
    renewed.map_err(|errno| {
        let why = errno_words(errno.0);
        wrong("launch::apply", format!("cannot write the record of `{directory}`: {why}"))
    })?;
    if out.is_empty() {
        print_line(&format!("ended a discard of changes to {path} that was killed"));
        return Ok(());
    }
    print_line(&format!("discarded {} to {path}", counted(out.len())));
    Ok(())
}
