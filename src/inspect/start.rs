//! Whether the target starts, as far as a plan and the files of the host say: what the working
//! directory and the program are to the target's ids, its mounts and Landlock. It tries nothing
//! (`stockade doctor PROFILE` does), and what is not known is no reason.

use crate::inspect::access::World;
use crate::inspect::access::facts::HostFs;
use crate::inspect::access::why::{entering, executing};
use crate::language::value::join;
use crate::policy::programs;
use crate::profile::Profile;
use crate::text::problem::{Problem, Problems, escape};
use crate::text::shell::shell_word;

/// The codes of what keeps the target from starting.
const STOPS: [&str; 2] = ["process::unseen-program", "process::unseen-directory"];

/// Those of the warnings that say that the target does not start here.
pub(crate) fn stops(warnings: &Problems) -> impl Iterator<Item = &Problem> {
    warnings.iter().filter(|warning| STOPS.contains(&warning.code))
}

/// What keeps the target from starting beside the file tree itself; `named` is the
/// profile as the command line names it.
pub(crate) fn stopped(
    named: &str,
    profile: &Profile,
    world: &World<'_>,
    host_fs: &HostFs,
) -> Option<Problem> {
    let [program, directory] = STOPS;
    let cwd = world.plan.cwd().unwrap_or("/");
    if let Some(why) = entering(cwd, profile, world, host_fs) {
        let at = profile.process.cwd.at();
        return Some(
            Problem::new(directory, at, format!("cannot enter {cwd}: {why}"))
                .help("name a directory that the target may search, in [process] cwd"),
        );
    }
    let exec = &world.plan.exec;
    let reasons = exec.candidates.iter().map(|candidate| {
        let path = candidate.text();
        let place =
            if path.starts_with('/') { path.to_owned() } else { join(cwd, &format!("/{path}")) };
        let (is_there, why) = executing(&place, profile, world, host_fs)?;
        Some((is_there, place, why))
    });
    // One that may run, or of which that is not known, is enough.
    let denied: Vec<(bool, String, String)> = reasons.collect::<Option<_>>()?;
    // The first that is there is the one that is meant.
    let (_, place, why) = denied.into_iter().find(|(is_there, ..)| *is_there)?;
    let word = programs::first_word(&profile.process)?;
    let text = format!("cannot run `{}`: {why}", escape(word));
    let help = format!(
        "see which line would change that: stockade why {} {}",
        shell_word(named),
        shell_word(&format!("exec:{place}"))
    );
    Some(Problem::new(program, exec.at, text).help(help))
}
