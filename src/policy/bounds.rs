//! Limits and priorities that only the host's root may set: refused before the run, not in the
//! middle of it.

use crate::host::Host;
use crate::host::bounds::Bounds;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use crate::text::source::Span;

/// The class of I/O priorities that needs a capability over the host (ioprio_set(2)).
const REALTIME_CLASS: u16 = 1;

/// Drafts a step, and refuses it where it goes beyond the caller's bounds.
pub(crate) fn step(stage: Stage, op: ProcessOp, at: Span, host: &Host, draft: &mut Draft) {
    if let Some((what, why)) = host.bounds.as_ref().and_then(|bounds| beyond(&op, bounds)) {
        let problem = Problem::new("process::bounds", at, format!("cannot {what}: {why}"));
        draft.problem(problem.help(
            "ask for less, start it as root, or raise the caller's limits: limits.conf(5), or \
             LimitNOFILE= and its kin in a unit",
        ));
    }
    draft.step(stage, op, at);
}

/// A value beyond the caller's bounds, and why.
fn beyond(op: &ProcessOp, bounds: &Bounds) -> Option<(String, String)> {
    match op {
        ProcessOp::Rlimit { name, resource, hard, .. } => {
            bounds.hard.get(resource).filter(|most| hard > most).map(|most| {
                let most =
                    if *most == u64::MAX { "unlimited".to_owned() } else { most.to_string() };
                (
                    format!("raise the limit `{name}`"),
                    format!("the caller's own hard limit is {most}"),
                )
            })
        }
        ProcessOp::Nice { value } if *value < bounds.nice => Some((
            format!("set the nice value to {value}"),
            format!("the caller may not go below {}", bounds.nice),
        )),
        ProcessOp::OomScoreAdj { score } if *score < bounds.oom_score_adj => Some((
            format!("set the OOM score adjustment to {score}"),
            format!("the caller may not go below {}", bounds.oom_score_adj),
        )),
        ProcessOp::Scheduler { priority, .. }
            if *priority > 0 && i64::from(*priority) as u64 > bounds.realtime =>
        {
            let most = if bounds.realtime == 0 {
                "no real-time priority".to_owned()
            } else {
                format!("priorities up to {}", bounds.realtime)
            };
            Some((
                format!("take the real-time priority {priority}"),
                format!("the caller may have {most}"),
            ))
        }
        ProcessOp::IoPriority { value } if value >> 13 == REALTIME_CLASS => Some((
            "take a real-time I/O priority".to_owned(),
            "it requires a capability over the host".to_owned(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_bounds_is_let_through() {
        let bounds = Bounds { hard: [(7, 100)].into(), nice: 0, realtime: 5, oom_score_adj: 0 };
        let host = Host { bounds: Some(bounds), ..Host::default() };
        let refused = |op: ProcessOp| {
            let mut draft = Draft::default();
            step(Stage::Process, op, Span::NOWHERE, &host, &mut draft);
            !draft.problems.is_empty()
        };
        let rlimit = |resource, hard| ProcessOp::Rlimit { name: "nofile", resource, soft: 1, hard };
        assert_eq!(
            [rlimit(7, 100), rlimit(7, 101), rlimit(8, 101)].map(refused),
            [false, true, false]
        );
        assert_eq!(
            [ProcessOp::Nice { value: 0 }, ProcessOp::Nice { value: -1 }].map(refused),
            [false, true]
        );
        assert_eq!(
            [ProcessOp::OomScoreAdj { score: 0 }, ProcessOp::OomScoreAdj { score: -1 }]
                .map(refused),
            [false, true]
        );
        let scheduler = |priority| ProcessOp::Scheduler { policy: 1, priority };
        assert_eq!([scheduler(0), scheduler(5), scheduler(6)].map(refused), [false, false, true]);
        assert_eq!(
            [ProcessOp::IoPriority { value: 1 << 13 }, ProcessOp::IoPriority { value: 2 << 13 }]
                .map(refused),
            [true, false]
        );
    }
}
