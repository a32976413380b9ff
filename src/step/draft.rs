//! What the policies write into: steps, problems and notes. [`mod@crate::plan`] puts the steps in
//! order.

use crate::step::{GroupOp, Op, OutsideOp, ProcessOp, Slot, Stage, Step, TreeOp};
use crate::text::problem::{Note, Problem, Problems};
use crate::text::source::Span;

/// A plan in the making.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Steps, in the order of each policy.
    pub steps: Vec<Step>,
    /// What the launcher does to control groups.
    pub groups: Vec<Step<GroupOp>>,
    /// What the launcher does after the clone.
    pub outside: Vec<Step<OutsideOp>>,
    pub problems: Problems,
    /// What the user should know.
    pub notes: Vec<Note>,
    slots: usize,
}

impl Draft {
    pub fn step(&mut self, stage: Stage, op: impl Into<Op>, at: Span) {
        self.steps.push(Step { stage, op: op.into(), at });
    }

    /// Adds a step of the launcher's on control groups.
    pub fn group(&mut self, op: GroupOp, at: Span) {
        self.groups.push(Step { stage: op.stage(), op, at });
    }

    /// Adds a step of the launcher's after the clone.
    pub fn outside(&mut self, op: OutsideOp, at: Span) {
        self.outside.push(Step { stage: Stage::Outside, op, at });
    }

    /// The operations on the file tree, with their lines.
    pub fn tree(&self) -> impl Iterator<Item = (&TreeOp, Span)> {
        self.steps.iter().filter_map(|step| Some((step.tree()?, step.at)))
    }

    /// The same, to be changed.
    pub fn tree_mut(&mut self) -> impl Iterator<Item = (&mut TreeOp, Span)> {
        self.steps.iter_mut().filter_map(|step| match &mut step.op {
            Op::Tree(op) => Some((op, step.at)),
            Op::Process(_) => None,
        })
    }

    /// The operations on the process, with their lines.
    pub fn process(&self) -> impl Iterator<Item = (&ProcessOp, Span)> {
        self.steps.iter().filter_map(|step| Some((step.process()?, step.at)))
    }

    /// A new place in the table of descriptors.
    pub fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    /// How many places there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub fn note(&mut self, at: Span, text: impl Into<String>) {
        self.notes.push(Note { less: false, text: text.into(), at });
    }

    /// Adds a note that `run` prints too.
    pub fn note_less(&mut self, at: Span, text: impl Into<String>) {
        self.notes.push(Note { less: true, text: text.into(), at });
    }
}
