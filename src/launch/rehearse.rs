//! A launch without a target: all that a run does up to its exec, in namespaces that end with it.
//! Nothing is executed, nothing of the caller's is read from a descriptor, and no directory is made
//! on the host.

use super::{Ask, launch, why};
use crate::plan::Plan;
use crate::policy::process::Terminal;
use crate::step::{Content, ProcessOp, Stage, Step, TreeOp};
use crate::sys::Errno;
use crate::text::problem::Problem;
use nix::unistd::{AccessFlags, access};

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
    match launch(&plan, Ask::Nothing, &mut |_| {}) {
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

/// What `missing = "create"` would make is stood for by the directory that it would be made in,
/// which must be writable.
fn make_no_directories(plan: &mut Plan) -> Result<(), Box<Problem>> {
    for index in 0..plan.steps.len() {
        let step = &plan.steps[index];
        let Some((op, parent)) = step.tree().and_then(TreeOp::rehearsed) else { continue };
        if let Err(errno) = access(parent.text(), AccessFlags::W_OK | AccessFlags::X_OK) {
            return Err(Box::new(why::step_failed(plan, index, Errno(errno as i32))));
        }
        plan.steps[index].op = op.into();
    }
    Ok(())
}

/// A descriptor can be read once, so it is not read here.
fn consume_nothing(plan: &mut Plan) {
    let stand_in = |content: &mut Content| {
        let once = match content {
            Content::Fd(_) => true,
            Content::File(_) | Content::Text(_) | Content::Secret(_) | Content::Withheld => false,
        };
        if once {
            *content = Content::Text(vec![]);
        }
    };
    plan.tree_mut().filter_map(TreeOp::content_mut).for_each(stand_in);
    plan.exec.env.iter_mut().for_each(|setting| stand_in(&mut setting.value));
}
