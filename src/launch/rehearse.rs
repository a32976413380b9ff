//! A launch without a target: all that a run does up to its exec, in namespaces that end with it. Nothing is executed, nothing of the
//! caller's is read from a descriptor, and no folder is made on the host.

use super::{launch, why};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::step::{Content, Name, Op, Stage, Step};
use crate::sys::Errno;
use crate::value::parent;
use nix::unistd::{AccessFlags, access};

/// Whether the program is looked for inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// It must be there.
    Sought,
    /// Only the sandbox matters.
    Ignored,
}

/// Goes through a launch, and says what would stop it. It leaves this process as a launch does: with its signals blocked, and in the
/// namespaces that the plan joins.
pub fn rehearse(plan: &Plan, program: Program) -> Result<(), Box<Problem>> {
    let mut plan = plan.clone();
    let candidates = std::mem::take(&mut plan.exec.candidates);
    make_no_folders(&mut plan)?;
    consume_nothing(&mut plan);
    plan.watch.terminal = false;
    if program == Program::Sought {
        // Behind Landlock, and before the filter, which may leave no call to look with.
        let place = plan.steps.iter().position(|step| step.stage == Stage::Seccomp).unwrap_or(plan.steps.len());
        plan.steps.insert(place, Step { stage: Stage::Landlock, op: Op::FindProgram { candidates }, at: plan.exec.at });
    }
    match launch(&plan, &mut |_| {}) {
        // All was walked: the list of what to execute is empty.
        Err(failure) if failure.problem.code == why::NOT_EXECUTED => Ok(()),
        Err(failure) => Err(failure.problem),
        Ok(_) => Ok(()),
    }
}

/// What `missing = "create"` would make is stood for by the folder that it would be made in, which must be writable.
fn make_no_folders(plan: &mut Plan) -> Result<(), Box<Problem>> {
    let folders: Vec<(usize, Name)> = plan
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| match &step.op {
            Op::HostFolder { path } => Some((index, path.clone())),
            _ => None,
        })
        .collect();
    for (index, folder) in &folders {
        let made_before = folders.iter().any(|(_, other)| other.text() == parent(folder.text()));
        if let (Err(errno), false) = (access(parent(folder.text()), AccessFlags::W_OK | AccessFlags::X_OK), made_before) {
            return Err(Box::new(why::step_failed(plan, *index, Errno(errno as i32))));
        }
    }
    for step in &mut plan.steps {
        if let Op::OpenTree { source, .. } = &mut step.op
            && folders.iter().any(|(_, folder)| folder == source)
        {
            let there = crate::value::ancestors(source.text()).find(|place| std::path::Path::new(place).is_dir());
            *source = Name::new(there.unwrap_or("/"));
        }
    }
    plan.steps.retain(|step| !matches!(step.op, Op::HostFolder { .. }));
    Ok(())
}

/// A descriptor can be read once, and a FIFO makes its reader wait: neither is read here.
fn consume_nothing(plan: &mut Plan) {
    let stand_in = |content: &mut Content| {
        let once = match content {
            Content::Fd(_) => true,
            Content::File(path) => std::fs::metadata(path.text()).is_ok_and(|meta| !meta.is_file()),
            Content::Text(_) | Content::Secret(_) => false,
        };
        if once {
            *content = Content::Text(vec![]);
        }
    };
    for step in &mut plan.steps {
        if let Op::File { content, .. } | Op::CoverFile { content, .. } = &mut step.op {
            stand_in(content);
        }
    }
    plan.exec.env.iter_mut().for_each(|setting| stand_in(&mut setting.value));
}
