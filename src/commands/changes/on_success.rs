//! `stockade run --changes=apply-on-success`: what a run wrote over the host's tree is put there once
//! its target has succeeded.

use super::apply::{ACT, LATER, changed_meanwhile, counted, failed, is_run_later, kept_back};
use super::{Result, refused, take, wrong};
use crate::commands::warn;
use crate::host::caller::Caller;
use crate::language::value::join;
use crate::launch::Top;
use crate::launch::changes::apply::{Planned, recover};
use crate::launch::changes::{Kept, discard};
use crate::text::bytes;
use crate::text::problem::escape;
use crate::text::shell::shell_word;
use std::fs::File;

/// What the directory of a journal is called that is made for one run, among the states: none of them
/// has a name with a dot before it.
const LEFT: &str = ".apply-";

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
        if let Some(directory) = &top.kept {
            let kept = Kept::open(directory).map_err(|why| refused(ACT, directory, &why))?;
            return Ok(Written { kept, directory: directory.clone(), stays: true });
        }
        let name = format!("/{LEFT}{}-{nth}", std::process::id());
        let directory = join(&Caller::current().states(), &name);
        let kept = Kept::of_run(top, &directory).map_err(|why| refused(ACT, &directory, &why))?;
        Ok(Written { kept, directory, stays: false })
    }

    fn path(&self) -> &str {
        &self.kept.record.path
    }

    /// Opens the layer, and judges each change.
    fn judge(&self) -> Result<(File, Planned)> {
        let fail = |why| failed(ACT, self.path(), &why);
        recover(&self.kept).map_err(fail)?;
        let layers = self.kept.layers().map_err(|why| refused(ACT, self.path(), &why))?;
        let Ok([layer]) = <[File; 1]>::try_from(layers) else {
            return Err(wrong("changes::apply", format!("cannot apply `{}`", self.path())));
        };
        let planned = Planned::read(&self.kept, &layer).map_err(fail)?;
        let help = match self.stays {
            true => {
                let see = format!("stockade changes --diff {}", shell_word(&self.directory));
                format!("compare the two, and put it there by hand: {see}")
            }
            false => "an `upper` with a directory keeps what is not applied".to_owned(),
        };
        changed_meanwhile(self.path(), &planned, &help)?;
        Ok((layer, planned))
    }

    fn apply(&self, layer: &File, planned: &mut Planned) -> Result<usize> {
        let path = escape(self.path());
        planned.keep_back(LATER, |change| is_run_later(&self.kept, change).is_some());
        let back = kept_back(planned);
        if !back.is_empty() {
            warn(&format!("stockade: kept back in {path}:\n{}\n", back.join("\n")));
        }
        let total = planned.applied().count();
        if total > 0 {
            let applied = planned.apply(&self.kept, layer);
            applied.map_err(|why| failed(ACT, self.path(), &why))?;
        }
        warn(&format!("stockade: applied {} to {path}\n", counted(total)));
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
/// something meanwhile, at none; how many changes at each.
pub(in crate::commands) fn on_success(tops: &[Top]) -> Result<Vec<(String, usize)>> {
    let of_the_host = tops.iter().filter(|top| top.record.is_of_the_host());
    let written = of_the_host.enumerate().map(|(nth, top)| Written::open(top, nth));
    let written = written.collect::<Result<Vec<Written>>>()?;
    let judged = written.iter().map(Written::judge).collect::<Result<Vec<_>>>()?;
    let mut applied = vec![];
    for (one, (layer, mut planned)) in written.iter().zip(judged) {
        applied.push((one.path().to_owned(), one.apply(&layer, &mut planned)?));
    }
    Ok(applied)
}

/// Ends what runs have left that were killed while they applied changes.
pub(in crate::commands) fn end_left() {
    let states = Caller::current().states();
    let Ok(all) = std::fs::read_dir(bytes::path(&states)) else { return };
    let names = all.flatten().map(|entry| bytes::of(entry.file_name()));
    for name in names.filter(|name| name.starts_with(LEFT)) {
        let path = join(&states, &format!("/{name}"));
        // One that another run has at this moment is its own.
        let Ok(kept) = take(ACT, &path) else { continue };
        match recover(&kept) {
            Ok(ended) => {
                if ended {
                    let path = escape(&kept.record.path);
                    warn(&format!(
                        "stockade: an apply to {path} that did not come to its end was brought to one\n"
                    ));
                }
                discard(&kept, &path).unwrap_or_default();
            }
            Err(why) => warn(&format!("stockade: {}\n", failed(ACT, &path, &why).message)),
        }
    }
}
