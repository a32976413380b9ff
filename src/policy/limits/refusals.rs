//! Why a limit is not available, and what to do: sentences from facts. It drafts nothing.

use super::files::{Refusal, Setting};
use super::manager::{Unable, scope};
use super::place::{Obstacle, obstacle};
use super::{Limits, Wanted};
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::{Controller, Form, Version};
use crate::language::value::{below, quoted};
use crate::step::draft::Draft;
use crate::text::problem::{Problem, errno_words, suggestion};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use std::collections::BTreeMap;

/// Whether a group has the file. Only a group with other files of the controller shows that: else
/// the controller may be off there.
pub(super) fn is_there(setting: &Setting, hierarchy: &Hierarchy) -> Result<(), Refusal> {
    let controller = |file: &str| file.split('.').next().unwrap_or("").to_owned();
    let has_others =
        hierarchy.files.iter().any(|file| controller(file) == controller(&setting.file));
    if !has_others || hierarchy.files.contains(&setting.file) {
        return Ok(());
    }
    let help = "leave it out; or run without it: optional = [\"limits\"] in the same file";
    Err(Refusal {
        why: format!("this kernel has no {} for a group", setting.file),
        help: help.into(),
    })
}

/// The likely intent of a file that `raw` does not take.
pub(super) fn raw_help(file: &str) -> String {
    let begin = file.split('.').next().unwrap_or("");
    if matches!(begin, "freezer" | "devices") {
        return format!(
            "it is no limit; to be in that controller, say controllers = [\"{begin}\"]"
        );
    }
    let limiting = Controller::WORDS
        .iter()
        .copied()
        .filter(|word| *word != begin && Controller::of_file(&format!("{word}.")).is_some());
    suggestion(begin, limiting)
        .unwrap_or_else(|| "write such as \"memory.swappiness\" = \"10\"".into())
}

/// Why a controller is nowhere.
pub(super) fn absent(controller: Controller, groups: &Groups) -> Refusal {
    let unified = groups.hierarchies.iter().any(|hierarchy| hierarchy.version == Version::V2);
    let (why, help) = match controller.v2() {
        _ if groups.hierarchies.is_empty() => (
            "no control groups can be seen here".to_owned(),
            "mount /sys/fs/cgroup, or start it where it is mounted".to_owned(),
        ),
        Form::None if unified => (
            format!("version 2 of control groups has no {}", controller.v1()),
            "match the group itself instead: nft's `socket cgroupv2`, or the sandbox's own \
             interface"
                .to_owned(),
        ),
        _ => {
            let through_systemd =
                groups.hierarchies.iter().any(|hierarchy| hierarchy.scope.is_some());
            let whose =
                if through_systemd { "that systemd may give" } else { "of the launcher's group" };
            (
                format!("the controller {} is not among those {whose}", controller.word()),
                delegate(controller, unified),
            )
        }
    };
    Refusal { why, help }
}

fn delegate(controller: Controller, unified: bool) -> String {
    let name = if unified { controller.word() } else { controller.v1() };
    format!(
        "see that it is mounted, or delegated to the user: Delegate={name} in the unit of the user \
         manager (user@.service)"
    )
}

/// The part of `parent` below the mount, where it is written as a path of the file tree.
fn below_mount<'l>(limits: &'l Limits, mount: &str) -> Option<&'l str> {
    let parent = limits.parent.get()?.value.0.as_str();
    let rest = below(parent, mount).or_else(|| below(parent, "/sys/fs/cgroup"))?;
    Some(if rest.is_empty() { "/" } else { rest })
}

/// Whether a group with this controller can be made there.
pub(super) fn check_place(
    hierarchy: &Hierarchy,
    controller: Controller,
    limits: &Limits,
    root: bool,
    no_systemd: Option<&Unable>,
) -> Result<(), Refusal> {
    let directory = &hierarchy.directory;
    let Some(obstacle) = obstacle(hierarchy, controller) else { return Ok(()) };
    // If systemd cannot do it either, its reason says more than how to ask it.
    let way = no_systemd.map_or_else(|| scope(root), |unable| unable.help.clone());
    let (why, help) = match obstacle {
        Obstacle::Refused(errno) => {
            // Version 1 has a directory for each controller: one reason for all of them.
            let own = hierarchy.version == Version::V1 && limits.parent.get().is_none();
            let place = if own { "the launcher's own" } else { directory };
            let help = match (errno, hierarchy.version) {
                // A path below the mount is meant.
                (libc::ENOENT, _) if let Some(below) = below_mount(limits, &hierarchy.mount) => {
                    format!("`parent` begins at the top of the groups: parent = {}", quoted(below))
                }
                (libc::ENOENT, _) => format!("make it first, as root: mkdir {directory}"),
                (_, Version::V2) => {
                    format!(
                        "{way}\nor start it in a unit with Delegate=yes, or as root; or run \
                         without them: optional = [\"limits\"] in the same file"
                    )
                }
                (_, Version::V1) => format!(
                    "as root make one for the user:\ninstall -d -o USER {}/NAME\nand name it: \
                     parent = \"/NAME\"\nor start it as root; or run without them: optional = \
                     [\"limits\"] in the same file",
                    hierarchy.mount
                ),
            };
            (format!("cannot make a group in {place}: {}", errno_words(errno)), help)
        }
        Obstacle::Barred(above) => (
            format!(
                "this user may move no process through {above}, and the launcher is not in \
                 {directory}"
            ),
            format!("{way}\nor run without them: optional = [\"limits\"] in the same file"),
        ),
        Obstacle::Shared(others) => (
            format!(
                "{directory} has {others} other processes, so no controller can be switched on for \
                 groups in it"
            ),
            format!(
                "{way}\nor name a group without processes with `parent`; or run without them: \
                 optional = [\"limits\"] in the same file"
            ),
        ),
    };
    Err(Refusal {
        why: no_systemd.map_or(why.clone(), |unable| format!("{why}; and {}", unable.why)),
        help,
    })
}

/// In version 1 a group's sets are subsets of its parent's, which are empty until they are written
/// (cpuset(7)).
pub(super) fn check_sets(hierarchy: &Hierarchy, controller: Controller) -> Result<(), Refusal> {
    let (directory, v1) = (&hierarchy.directory, hierarchy.version == Version::V1);
    let empty: Vec<&str> = [("cpuset.cpus", &hierarchy.cpus), ("cpuset.mems", &hierarchy.nodes)]
        .into_iter()
        .filter(|(_, list)| list.is_empty())
        .map(|(file, _)| file)
        .collect();
    if controller != Controller::Cpuset || !v1 || empty.is_empty() || *directory == hierarchy.mount
    {
        return Ok(());
    }
    // Lines short enough that a terminal's width breaks none.
    let fill: Vec<String> = empty.iter().map(|file| format!("cat ../{file} >{file}")).collect();
    let help = format!(
        "as root fill it from the group above:\ncd {} &&\n{}",
        shell_word(directory),
        fill.join(" &&\n")
    );
    Err(Refusal { why: format!("{directory} has nothing in {}", empty.join(", ")), help })
}

/// One problem, or one note, for all limits that fail for the same reason.
pub(super) fn report(
    fallen: Vec<(Wanted, Refusal)>,
    refused: Vec<(Wanted, Refusal)>,
    draft: &mut Draft,
) {
    let mut by_reason: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    let at = fallen.first().map_or(Span::NOWHERE, |(wanted, _)| wanted.at);
    for (wanted, refusal) in fallen {
        by_reason.entry(refusal.why).or_default().push(wanted.what.word());
    }
    for (why, keys) in by_reason {
        draft.note_less(at, format!("limits are not enforced ({})", keys.join(", ")), &why);
    }
    let mut problems: Vec<(String, Problem)> = vec![];
    for (wanted, Refusal { why, help }) in refused {
        match problems.iter_mut().find(|(known, _)| *known == why) {
            Some((_, problem)) => {
                *problem = problem.clone().also(wanted.at, "and this");
                problem.help = problem.help.take().map(|known| more_help(&known, &help));
            }
            None => {
                let problem = Problem::new(
                    "limits::place",
                    wanted.at,
                    format!("cannot limit `{}`: {why}", wanted.what.word()),
                )
                .help_lines(&help);
                problems.push((why, problem));
            }
        }
    }
    problems.into_iter().for_each(|(_, problem)| draft.problem(problem));
}

/// The lines of both, each once; the ones that are the same for all come last.
fn more_help(known: &str, more: &str) -> String {
    let mut lines: Vec<&str> = known.lines().collect();
    for line in more.lines().filter(|line| !known.lines().any(|known| known == *line)) {
        lines.insert(lines.len().saturating_sub(1), line);
    }
    lines.join("\n")
}
