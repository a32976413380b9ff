//! What the policies write into: steps, problems and notes. [`mod@crate::plan`] puts the steps in
//! order.

use crate::step::{Op, Slot, Stage, Step};
use crate::text::problem::{Note, Problem, Problems};
use crate::text::source::Span;

/// A plan in the making.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Steps, in the order of each policy.
    pub steps: Vec<Step>,
    /// What is wrong.
    pub problems: Problems,
    /// What the user should know.
    pub notes: Vec<Note>,
    slots: usize,
}

impl Draft {
    /// Adds a step.
    pub fn step(&mut self, stage: Stage, op: Op, at: Span) {
        self.steps.push(Step { stage, op, at });
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

    /// Adds a problem.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Adds a note.
    pub fn note(&mut self, at: Span, text: impl Into<String>) {
        self.notes.push(Note { less: false, text: text.into(), at });
    }

    /// Adds a note that `run` prints too.
    pub fn note_less(&mut self, at: Span, text: impl Into<String>) {
        self.notes.push(Note { less: true, text: text.into(), at });
    }
}
