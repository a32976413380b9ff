//! `stockade why`: may the target do it, which wall says so, by which line, and which line would change that.

use super::{FAILED, Failed, Planned, paint, print_line, settle};
use crate::cli::{Asking, Format};
use stockade::problem::Problem;
use stockade::profile::{Caller, Request};
use stockade::source::Sources;
use stockade::view::answer::{self, Answered};
use stockade::walls::World;
use stockade::walls::change::{Line, candidates};
use stockade::walls::facts::Eyes;
use stockade::walls::query::{Query, Says};
use stockade::walls::why::answer as judge;

/// Answers every question.
pub fn why(mut asking: Asking) -> u8 {
    let format = asking.shown.format;
    let questions = asking.shown.given.take_words();
    let stood = read(&questions).and_then(|queries| Ok((queries, stand(super::request(asking.shown.given.into())?)?)));
    let (queries, (request, planned)) = match stood {
        Ok(stood) => stood,
        Err(failed) => return failed.say(format),
    };
    let (world, eyes) = (World::new(&planned.plan, &planned.profile), Eyes::here());
    let answers: Vec<Answered> = queries
        .into_iter()
        .map(|query| {
            let answer = judge(&query, &planned.profile, &world, &eyes);
            let tries = !asking.no_change && answer.verdict != Says::CannotTell;
            let lines = if tries { candidates(&query, &answer, &planned.profile, &world, &eyes) } else { vec![] };
            let change = lines.into_iter().find(|line| changes(line, &query, answer.verdict, &request, &eyes));
            Answered { query, answer, change, sought: tries }
        })
        .collect();
    print_line(&match format {
        Format::Text => answer::text(&answers, &planned.sources, paint()),
        Format::Json => answer::json(&answers, &planned.sources),
    });
    let said = |says| answers.iter().any(|answered| answered.answer.verdict == says);
    if said(Says::CannotTell) { FAILED } else { u8::from(said(Says::Denies)) }
}

fn wrong(message: String) -> Failed {
    let (message, help) = message.rsplit_once("\nhelp: ").map_or((message.as_str(), None), |(message, help)| (message, Some(help.to_owned())));
    let message = if message.starts_with("cannot ") { message.to_owned() } else { format!("cannot read the question: {message}") };
    Failed { sources: Sources::default(), problems: Problem::new("why::question", Default::default(), message).help_maybe(help).into() }
}

fn read(questions: &[String]) -> Result<Vec<Query>, Failed> {
    if questions.is_empty() {
        return Err(wrong("cannot answer: no question stands after PROFILE\nhelp: stockade why PROFILE /etc/shadow; see stockade why --help".into()));
    }
    questions.iter().map(|question| Query::parse(question).map_err(wrong)).collect()
}

/// The plan of a profile, which may leave its command to whoever runs it.
fn stand(mut request: Request) -> Result<(Request, Planned), Failed> {
    match settle(&request, Caller::current()) {
        Err(Failed { problems, .. }) if problems.iter().any(|problem| problem.code == "process::command") => {
            request.args = vec!["true".into()];
            settle(&request, Caller::current()).map(|planned| (request, planned))
        }
        Err(failed) => Err(failed),
        Ok(planned) => Ok((request, planned)),
    }
}

/// The line that permits a call as the kernel told of it, where there is one: by the filter, and by all that the kernel asks besides.
pub fn line_for(query: &Query, (architecture, number, arguments): (u32, u32, &[u64; 6]), request: &Request, planned: &Planned) -> Option<Line> {
    let (world, eyes) = (World::new(&planned.plan, &planned.profile), Eyes::here());
    let answer = judge(query, &planned.profile, &world, &eyes);
    candidates(query, &answer, &planned.profile, &world, &eyes).into_iter().find(|line| {
        let mut request = request.clone();
        request.config.push(("--config".into(), line.config()));
        let Ok(after) = settle(&request, Caller::current()) else { return false };
        let verdict = judge(query, &after.profile, &World::new(&after.plan, &after.profile), &eyes).verdict;
        verdict != Says::Denies && !after.plan.filter.judge_seen(architecture, number, arguments).refuses()
    })
}

/// Whether a line, laid over the profile, makes another answer.
fn changes(line: &Line, query: &Query, verdict: Says, request: &Request, eyes: &Eyes) -> bool {
    let mut request = request.clone();
    request.config.push(("--config".into(), line.config()));
    let Ok(planned) = settle(&request, Caller::current()) else { return false };
    let after = judge(query, &planned.profile, &World::new(&planned.plan, &planned.profile), eyes).verdict;
    after != Says::CannotTell && after != verdict
}
