//! `stockade freeze`, `thaw`, `stop` and `kill`: what is done to a running sandbox by its name.

use super::{FAILED, print_problems, registry};
use crate::cli::Running;
use crate::launch::registry::{Live, Registry};
use crate::launch::{Denied, freeze, go_on, kill, stop};
use crate::text::problem::{Problem, Problems, errno_words, suggestion};
use crate::text::source::Sources;

#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// Every process of it is frozen.
    Freeze,
    Thaw,
    /// Its target is asked to end, and after a time all of it is ended.
    Stop,
    Kill,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Freeze => "freeze",
            Action::Thaw => "thaw",
            Action::Stop => "stop",
            Action::Kill => "kill",
        }
    }
}

/// Does it to each; one that fails does not keep the others from it.
pub(super) fn control(action: Action, running: Running) -> u8 {
    let mut problems = Problems::default();
    match registry() {
        Ok(registry) => running
            .names
            .iter()
            .filter_map(|name| one(action, registry.as_ref(), name).err())
            .for_each(|problem| problems.push(*problem)),
        Err(problem) => problems.push(*problem),
    }
    if problems.is_empty() {
        return 0;
    }
    print_problems(&problems, &Sources::default());
    FAILED
}

fn one(action: Action, registry: Option<&Registry>, name: &str) -> Result<(), Box<Problem>> {
    let cannot = |code, why: &str| {
        Problem::new(code, Default::default(), format!("cannot {} `{name}`: {why}", action.word()))
    };
    // A name is a name, and no way to another directory.
    let known = |live: &Live| live.name == name;
    let mut all = registry.map_or(vec![], Registry::list);
    let Some(live) = all.iter_mut().find(|live| known(live)) else {
        let help = suggestion(name, all.iter().map(|live| live.name.as_str()))
            .unwrap_or("stockade ps".into());
        return Err(cannot("cli::sandbox", "no sandbox of that name runs").help(help).into());
    };
    let done = match action {
        Action::Freeze => freeze(live),
        Action::Thaw => go_on(live),
        Action::Stop => stop(live),
        Action::Kill => kill(live),
    };
    done.map_err(|denied| {
        let problem = match denied {
            Denied::NoGroup => cannot("launch::control", "it has no control group that freezes")
                .help("give it one in its profile: limits.controllers = [\"freezer\"]"),
            Denied::Late => {
                cannot("launch::control", "it takes longer than ten seconds").help(format!(
                    "look at its processes: ps -o pid,stat,wchan,cmd --ppid {}",
                    live.entry.init
                ))
            }
            Denied::Stopped => {
                cannot("launch::control", "its launcher is stopped, and ends it once it continues")
                    .help(format!("kill -CONT {}", live.entry.launcher))
            }
            Denied::Gone => cannot("launch::control", "it has ended meanwhile"),
            Denied::Errno(errno) => cannot("launch::control", &errno_words(errno)),
        };
        problem.into()
    })
}
