//! A launch without a target: everything that a run does up to its exec, in namespaces that end with it.
//! Nothing is executed, nothing of the caller's is read from a descriptor, and no directory is made
//! on the host.

use super::{Ask, launch, streams, why};
use crate::kernel::name::{Inode, Name};
use crate::language::value::{below, join};
use crate::plan::Plan;
use crate::policy::process::Terminal;
use crate::step::{Content, ProcessOp, Stage, Step, TreeOp};
use crate::sys::Errno;
use crate::text::gather::Gather;
use crate::text::problem::Problem;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;

/// Whether the program is looked for inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// It must be there.
    Sought,
    /// Only the sandbox matters.
    Ignored,
}

/// Goes through a launch, and says what would stop it. It leaves this process as a launch does:
/// with its signals blocked, and in the namespaces that the plan joins.
pub(crate) fn rehearse(plan: &Plan, program: Program) -> Result<(), Box<Problem>> {
    let mut plan = plan.clone();
    let candidates = std::mem::take(&mut plan.exec.candidates);
    make_no_directories(&mut plan)?;
    consume_nothing(&mut plan);
    plan.steps.iter_mut().for_each(Step::keep_nothing);
    open_no_outputs(&mut plan)?;
    switch_nothing_on(&mut plan);
    plan.watch.terminal = Terminal::None;
    plan.watch.terminals.clear();
    if program == Program::Sought {
        // Behind Landlock, and before the filter, which may leave no call to look with.
        let place = plan
            .steps
            .iter()
            .position(|step| step.stage == Stage::Seccomp)
            .unwrap_or(plan.steps.len());
        plan.steps.insert(
            place,
            Step {
                stage: Stage::Landlock,
                op: ProcessOp::FindProgram { candidates }.into(),
                at: plan.exec.at,
            },
        );
    }
    match launch(&plan, Ask::NOTHING, &mut |_| {}) {
        // All was walked: the list of what to execute is empty.
        Err(failure) if failure.problem.code == why::NOT_EXECUTED => Ok(()),
        Err(failure) => Err(failure.problem),
        Ok(_) => Ok(()),
    }
}

/// Groups are made and removed again, but a controller that is switched on stays so: without that,
/// there are no groups to try.
fn switch_nothing_on(plan: &mut Plan) {
    if plan.groups.iter().any(|step| step.op.lasts()) {
        plan.groups.clear();
        plan.steps.retain(|step| step.stage != Stage::Group);
        plan.grouped = Default::default();
    }
}

/// In place of a directory that `missing = "create"` or a state would make, its parent is used,
/// which must be writable. Mounts on a path within such a directory are left out: the path does not exist.
fn make_no_directories(plan: &mut Plan) -> Result<(), Box<Problem>> {
    // By the slot of a directory, the one that is there and that it would be made below.
    let (mut stand_ins, mut absent) = (BTreeMap::<usize, Name>::new(), vec![]);
    for index in 0..plan.steps.len() {
        let Some(facets) = plan.steps[index].tree().map(TreeOp::facets) else { continue };
        if let Some(made) = facets.made {
            // A state may be there, and is not held.
            if std::fs::symlink_metadata(crate::text::bytes::path(made.path.text()))
                .is_ok_and(|found| found.is_dir())
            {
                stand_ins.insert(made.slot.0, made.path.clone());
                continue;
            }
            let there = made.within.and_then(|slot| stand_ins.get(&slot.0)).cloned();
            if there.is_none()
                && let Err(errno) =
                    access(made.parent.text(), AccessFlags::W_OK | AccessFlags::X_OK)
            {
                return Err(Box::new(why::step_failed(plan, index, Errno(errno as i32))));
            }
            absent.push(made.path.text().to_owned());
            stand_ins.insert(made.slot.0, there.unwrap_or_else(|| made.parent.clone()));
        } else if let Some((slot, made, attrs)) = facets.opens_made
            && let Some(source) = stand_ins.get(&made.0).cloned()
        {
            let inode = Inode::default();
            plan.steps[index].op =
                TreeOp::OpenTree { slot, source, inode, recursive: false, attrs }.into();
        }
    }
    if stand_ins.is_empty() {
        return Ok(());
    }
    let sources: BTreeMap<usize, String> = plan
        .tree()
        .filter_map(|(op, _)| op.facets().source)
        .map(|(slot, source)| (slot.0, source.text().to_owned()))
        .gather();
    let places: Vec<String> = plan
        .tree()
        .filter_map(|(op, _)| op.facets().attached)
        .filter_map(|(slot, inside)| Some((sources.get(&slot.0)?, inside.text())))
        .flat_map(|(source, inside)| {
            let tails = absent.iter().filter_map(|path| below(path, source));
            tails.map(|tail| join(inside, tail)).collect::<Vec<_>>()
        })
        .collect();
    plan.steps.retain(|step| {
        let Some(op) = step.tree() else { return true };
        let goes_there = |path: &Name| places.iter().any(|at| below(path.text(), at).is_some());
        op.facets().made.is_none() && !op.inside().is_some_and(goes_there)
    });
    Ok(())
}

/// Files in the place of standard streams are looked at, and neither made nor emptied.
fn open_no_outputs(plan: &mut Plan) -> Result<(), Box<Problem>> {
    for step in &mut plan.steps {
        if let Some(fd) = streams::look(step)? {
            step.op = ProcessOp::NullStream { fd }.into();
        }
    }
    Ok(())
}

/// A descriptor can be read once, so it is not read here.
fn consume_nothing(plan: &mut Plan) {
    let stand_in = |content: &mut Content| {
        let once = match content {
            Content::Fd(_) => true,
            Content::File(_) | Content::Copy(..) => false,
            Content::Text(_) | Content::OfHost(_) => false,
            Content::Secret(_) | Content::Withheld => false,
        };
        if once {
            *content = Content::Text(vec![]);
        }
    };
    plan.tree_mut().filter_map(TreeOp::content_mut).for_each(stand_in);
    plan.exec.env.iter_mut().for_each(|setting| stand_in(&mut setting.value));
}
