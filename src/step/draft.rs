//! What the policies write into: steps, problems and notes. [`mod@crate::plan`] puts the steps in
//! order.

use crate::step::{GroupOp, Op, OutsideOp, Slot, Stage, Step};
use crate::text::problem::{Note, Problem, Problems};
use crate::text::source::Span;

/// A plan in the making.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Steps, in the order of each policy. None of them searches or edits another's.
    steps: Vec<Step>,
    /// What the launcher does to control groups.
    groups: Vec<Step<GroupOp>>,
    /// What the launcher does after the clone.
    outside: Vec<Step<OutsideOp>>,
    pub problems: Problems,
    /// What the user should know.
    pub notes: Vec<Note>,
    slots: usize,
}

/// Everything that was drafted.
#[derive(Debug)]
pub struct Sorted {
    pub groups: Vec<Step<GroupOp>>,
    pub steps: Vec<Step>,
    pub outside: Vec<Step<OutsideOp>>,
    pub problems: Problems,
    pub notes: Vec<Note>,
    /// How many slots there are.
    pub slots: usize,
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

    /// Adds what was drafted elsewhere. It may have no slots.
    pub fn append(&mut self, other: Draft) {
        let Draft { steps, groups, outside, problems, notes, slots: _ } = other;
        self.steps.extend(steps);
        self.groups.extend(groups);
        self.outside.extend(outside);
        self.problems.extend(problems);
        self.notes.extend(notes);
    }

    /// The steps of each sort, in an order of stages: within one, each policy's own order holds.
    pub fn sorted<K: Ord>(self, order: impl Fn(Stage) -> K) -> Sorted {
        let Draft { mut steps, mut groups, outside, problems, notes, slots } = self;
        groups.sort_by_key(|step| step.stage);
        steps.sort_by_key(|step| order(step.stage));
        Sorted { groups, steps, outside, problems, notes, slots }
    }

    /// A new place in the table of descriptors.
    pub fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub fn note(&mut self, at: Span, text: impl Into<String>) {
        self.notes.push(Note::new(at, text));
    }

    /// Adds a note that `run` prints too, with its reason.
    pub fn note_less(&mut self, at: Span, what: impl Into<String>, why: &str) {
        self.notes.push(Note::new(at, what).because(why).less());
    }
}
