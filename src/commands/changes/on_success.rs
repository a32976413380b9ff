//! `stockade run --changes=apply-on-success`: what a run wrote over the host's tree is put there once
//! its target has succeeded.

use super::apply::{
    ACT, LATER, LATER_SINCE, but_for, changed_meanwhile, counted, failed, kept_back, later_of_half,
    note_recovered, note_stays, set_ids, shut,
};
use super::chosen::{Named, ways_out};
use super::later::Later;
use super::{Result, refused, wrong};
use crate::commands::warn;
use crate::host::caller::Caller;
use crate::language::value::join;
use crate::launch::Top;
use crate::launch::changes::apply::{Ended, Failed, Half, Planned};
use crate::launch::changes::{Kept, Refused, discard, is_same};
use crate::launch::states;
use crate::text::problem::{Problem, escape};
use crate::text::shell::shell_word;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};

/// What the directory of a journal is called that is made for one run, among the states: none of them
/// has a name with a dot before it.
const LEFT: &str = ".apply-";
/// And while it is made.
const MAKING: &str = ".making-";

const LOST: &str = "an `upper` with a directory keeps what is not applied";

/// The same where one tree is several.
const OWN: &str = "an entry of its own for a directory, with a directory as its `upper`, keeps what is \
                   not applied";

/// What a run wrote over the host's tree at one path.
struct Written {
    kept: Kept,
    /// The directory that it stays in, or that of a journal which is made for this run alone.
    directory: String,
    stays: bool,
}

impl Written {
    fn open(top: &Top, nth: usize) -> Result<Written> {
        // The launcher has the lock of one that is kept until the end of the run.
        if let Some((directory, path)) = &top.kept {
            let copy =
                directory.try_clone().map_err(|error| wrong("launch::upper", error.to_string()))?;
            let kept = Kept::of(copy).map_err(|why| refused(ACT, path, &why))?;
            return Ok(Written { kept, directory: path.clone(), stays: true });
        }
        let states = Caller::current().states();
        if let Err(states::Refused::NotOurs) = states::Kept::open(&states) {
            return Err(refused(ACT, &states, &Refused::NotOurs));
        }
        // Processes in other pid namespaces have the same numbers.
        let random = RandomState::new().build_hasher().finish();
        let [first, directory] =
            [MAKING, LEFT].map(|what| join(&states, &format!("/{what}{random:016x}-{nth}")));
        let kept = Kept::of_run(top, [&first, &directory]);
        let kept = kept.map_err(|why| refused(ACT, &directory, &why))?;
        Ok(Written { kept, directory, stays: false })
    }

    fn path(&self) -> &str {
        &self.kept.record.path
    }

    fn failed(&self, why: &Failed) -> Box<Problem> {
        failed(ACT, self.path(), self.stays.then_some(&*self.directory), why)
    }

    /// Opens the layer, and judges each change.
    fn judge(&self, seen: &File) -> Result<(File, Planned)> {
        let fail = |why| self.failed(&why);
        if let Some(half) = Half::read(&self.kept).map_err(fail)? {
            later_of_half(Named { directory: &self.directory, paths: &[] }, &self.kept, &half, "")?;
            note_recovered(&half.end(&self.kept).map_err(fail)?);
        }
        let refuse = |why| refused(ACT, self.path(), &why);
        let layer = self.kept.host_tree().map_err(refuse)?;
        // The tree that the target saw, and no other that has its name by now.
        if !is_same(&layer, seen).map_err(refuse)? || !self.kept.record.is_of_the_host() {
            return Err(refuse(Refused::Another(self.path().to_owned())));
        }
        let mut planned = Planned::read(&self.kept, &layer).map_err(fail)?;
        let later = Later::look(&self.kept, &planned);
        planned.keep_changed_back(LATER_SINCE, |change| later.why(change).is_some());
        changed_meanwhile(self.path(), &planned, || self.ways(&planned))?;
        planned.keep_back(LATER, |change| later.why(change).is_some());
        planned.keep_moved_back(&layer);
        planned.find_shut(&layer);
        planned.multiplies().map_err(fail)?;
        Ok((layer, planned))
    }

    /// What can be done where not all is applied.
    fn ways(&self, planned: &Planned) -> String {
        match self.stays {
            true => ways_out(Named { directory: &self.directory, paths: &[] }, planned),
            false => LOST.to_owned(),
        }
    }

    fn apply(&self, layer: &File, planned: &Planned) -> Result<usize> {
        let path = escape(self.path());
        let back = kept_back(planned);
        if !back.is_empty() {
            let what = match self.stays {
                true => format!("kept back in {path}"),
                false => format!(
                    "not applied to {path}, and thrown away with the run (`upper = DIR` would keep it)"
                ),
            };
            warn(&format!("stockade: {what}:\n{}\n", back.join("\n")));
        }
        if let Some(some) = set_ids(planned) {
            warn(&format!("stockade: no set-id bit is applied to {path}: {some}\n"));
        }
        let total = planned.applied().count();
        if total > 0 {
            let applied = planned.apply(&self.kept, layer);
            note_stays(&applied.map_err(|why| self.failed(&why))?);
        }
        Ok(total)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // What an apply has left to do the next run does.
        if !self.stays && !self.kept.is_half_applied() {
            discard(&self.kept, &self.directory).unwrap_or_default();
        }
    }
}

/// Applies what a run wrote over the host's tree, at every path or, where the host has changed
/// something meanwhile, at none. `done` gets each path at once, with how many changes there were.
pub(in crate::commands) fn on_success(tops: &[Top], done: &mut dyn FnMut(&str, usize)) -> Result {
    let of_the_host: Vec<&Top> = tops.iter().filter(|top| top.record.is_of_the_host()).collect();
    let written = of_the_host.iter().enumerate().map(|(nth, top)| Written::open(top, nth));
    let written = written.collect::<Result<Vec<Written>>>()?;
    let seen = of_the_host.iter().flat_map(|top| &top.layers);
    let judged = written.iter().zip(seen).map(|(one, seen)| one.judge(seen));
    let judged = judged.collect::<Result<Vec<_>>>()?;
    let all = written.iter().zip(&judged).map(|(one, (_, planned))| (one.path(), planned));
    let ways = || match (&*written, &*judged) {
        ([one], [(_, planned)]) if one.stays => one.ways(planned),
        _ => OWN.to_owned(),
    };
    shut(&all.collect::<Vec<_>>(), ways)?;
    let mut applied = vec![];
    let all = written.iter().zip(judged).try_for_each(|(one, (layer, planned))| {
        let count = one.apply(&layer, &planned)?;
        done(one.path(), count);
        applied
            .extend((count > 0).then(|| format!("{} to {}", counted(count), escape(one.path()))));
        Ok(())
    });
    if !applied.is_empty() {
        warn(&format!("stockade: applied {}\n", applied.join(", ")));
    }
    all
}

/// Ends what runs have left that were killed while they applied changes.
pub(in crate::commands) fn end_left() {
    let states = Caller::current().states();
    // Where others may write, they may have made it.
    let Ok(Some(directory)) = states::Kept::open(&states) else { return };
    for (name, is_old) in directory.hidden() {
        let path = join(&states, &format!("/{name}"));
        if name.starts_with(MAKING) && is_old {
            directory.remove_hidden(&name);
        }
        if !name.starts_with(LEFT) {
            continue;
        }
        // One that another run has at this moment is its own.
        let Ok(mut kept) = Kept::open_itself(&path) else { continue };
        if kept.lock().is_err() {
            continue;
        }
        match end_one(&kept, &path) {
            Ok(ended) => {
                if let Some(Ended { left, stays }) = ended {
                    let (path, but) = (escape(&kept.record.path), but_for(&left));
                    warn(&format!(
                        "stockade: an apply to {path} that did not come to its end was brought to \
                         one{but}\n"
                    ));
                    note_stays(&stays);
                }
                discard(&kept, &path).unwrap_or_default();
            }
            Err(why) => warn(&format!(
                "stockade: {}; the next run tries again to end what was applied there by half; to give \
                 that up: rm -r {}\n",
                why.message,
                shell_word(&path)
            )),
        }
    }
}

/// Ends one, if there is something to end. Such a run applies nothing that the host runs later.
fn end_one(kept: &Kept, path: &str) -> Result<Option<Ended>> {
    let fail = |why| failed(ACT, path, None, &why);
    let Some(half) = Half::read(kept).map_err(fail)? else { return Ok(None) };
    later_of_half(Named { directory: path, paths: &[] }, kept, &half, "")?;
    half.end(kept).map_err(fail).map(Some)
}
