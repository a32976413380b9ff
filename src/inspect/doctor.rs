//! `stockade doctor`: what this machine can enforce, for this user. Facts are read and tried
//! ([`read`], [`crate::launch::tries`]), lines are judged of them ([`judge`], pure); the reasons
//! and their fixes come from [`crate::launch::cause`]. Nothing that it does outlives it.

pub(crate) mod facts;
pub(crate) mod judge;
mod packages;
mod read;
pub(crate) mod table;

pub(crate) use facts::Facts;

use crate::launch::cause::Fix;
use serde::Serialize;

/// How well the machine does a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// A part of it.
    Limited,
    Missing,
    /// Not known: it needs what another line is about.
    Untried,
}

impl State {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Limited => "limited",
            State::Missing => "missing",
            State::Untried => "untried",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// What it is about.
    pub name: &'static str,
    pub state: State,
    pub value: String,
    /// What profiles lose by it.
    pub lost: Option<String>,
    pub fix: Option<Fix>,
}

/// A line as programs read it; the fix is the bare command.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    name: &'a str,
    state: State,
    value: &'a str,
    lost: Option<&'a str>,
    fix: Option<&'a str>,
}

impl Line {
    pub(crate) fn ok(name: &'static str, value: impl Into<String>) -> Line {
        Line { name, state: State::Ok, value: value.into(), lost: None, fix: None }
    }

    pub(crate) fn less(
        name: &'static str,
        state: State,
        value: impl Into<String>,
        lost: impl Into<String>,
    ) -> Line {
        Line { name, state, value: value.into(), lost: Some(lost.into()), fix: None }
    }

    pub(crate) fn fix(self, fix: Fix) -> Line {
        Line { fix: Some(fix), ..self }
    }

    /// The fix, if one is known.
    pub(crate) fn fix_maybe(self, fix: Option<Fix>) -> Line {
        Line { fix: fix.or(self.fix), ..self }
    }

    pub(crate) fn record(&self) -> Record<'_> {
        let fix = self.fix.as_ref().map(Fix::text);
        Record {
            name: self.name,
            state: self.state,
            value: &self.value,
            lost: self.lost.as_deref(),
            fix,
        }
    }
}
