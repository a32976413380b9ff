//! `stockade why`: may the target do it, which protection says so, by which line, and which line would
//! change that.

use super::meant::{self, a_program};
use super::{FAILED, Failed, Planned, print_line, settle};
use crate::cli::{Asking, Format, Given};
use crate::host::caller::Caller;
use crate::inspect::access::World;
use crate::inspect::access::change::{Line, Over, candidates, inside_its_own};
use crate::inspect::access::facts::HostFs;
use crate::inspect::access::query::{Act, Decision, Query};
use crate::inspect::access::why::{Answer, answer as judge};
use crate::inspect::view::answer::{self, Answered};
use crate::language::read::{Kind, Why};
use crate::launch::Call;
use crate::policy::env::search_path;
use crate::profile::{Request, rewritten};
use crate::text::layout::Paint;
use crate::text::problem::Problem;
use crate::text::shell::shell_word;

pub(super) fn why(mut asking: Asking) -> u8 {
    let format = asking.shown.format;
    let questions = asking.shown.given.take_words();
    let stood = asked(&questions, asking.shown.given.into());
    let (queries, (request, planned)) = match stood {
        Ok(stood) => stood,
        Err(failed) => return failed.print(format),
    };
    let (world, host_fs) = (World::new(&planned.plan, &planned.profile), HostFs::here());
    let answers: Vec<Answered> = queries
        .into_iter()
        .map(|query| {
            let query = found(query, &planned, &world, &host_fs);
            let answer = judge(&query, &planned.profile, &world, &host_fs);
            let tries = !asking.no_change && answer.verdict != Decision::Unknown;
            let lines = if tries {
                candidates(&query, &answer, &planned.profile, &world, &host_fs)
            } else {
                vec![]
            };
            let mut change = lines
                .iter()
                .find(|line| {
                    after(line, &query, &request, &host_fs)
                        .is_some_and(|after| answer.is_changed_by(&after))
                })
                .cloned();
            let mut doubt = None;
            // With it the filter allows the call; whether the kernel then does is unknown.
            if let (None, Decision::Denies, Query::Call { .. }) = (&change, answer.verdict, &query)
            {
                let doubted = |line: &Line| {
                    Some((
                        line.clone(),
                        after(line, &query, &request, &host_fs)?
                            .reason(Decision::Unknown)?
                            .words
                            .clone(),
                    ))
                };
                (change, doubt) = lines.iter().find_map(doubted).unzip();
            }
            let change = change
                .map(|line| if format == Format::Text { written(line, &planned) } else { line });
            let denied = change.is_none() && answer.verdict == Decision::Denies;
            let first = if denied { first(&lines, &query, &request, &host_fs) } else { None };
            let never = if change.is_none() && first.is_none() && answer.verdict == Decision::Denies
            {
                never(&lines, &query, &request, &host_fs)
            } else {
                None
            };
            Answered { query, answer, change, doubt, first, never, sought: tries }
        })
        .collect();
    print_line(&match format {
        Format::Text => answer::text(&answers, &planned.sources, Paint::of(&std::io::stdout())),
        Format::Json => answer::json(&answers, &planned.sources),
    });
    let said = |says| answers.iter().any(|answered| answered.answer.verdict == says);
    if said(Decision::Unknown) { FAILED } else { u8::from(said(Decision::Denies)) }
}

/// A line in the words of the one whose place it takes. Programs lay it over the profile by
/// `--config`, which has no `${PROFILE_DIR}`.
fn written(line: Line, planned: &Planned) -> Line {
    match line.over {
        Over::Replaces(at) => {
            Line { text: rewritten(&line.text, at, &planned.host.caller, &planned.sources), ..line }
        }
        Over::Nothing | Over::Joins(_) => line,
    }
}

/// The questions, and the plan that they are about.
fn asked(questions: &[String], given: Given) -> Result<(Vec<Query>, (Request, Planned)), Failed> {
    if questions.is_empty() {
        let request = super::request(given)?;
        let word = request.profile.as_str();
        return Err(if meant::is_installed(word) {
            a_program(
                word,
                &format!("stockade why default {}", shell_word(&format!("exec:{word}"))),
            )
        } else {
            no_question()
        });
    }
    let queries = read(questions)?;
    let request = super::request(given)?;
    let help = format!("stockade why default{}", meant::spaced(questions));
    let planned =
        plan_of(request.clone()).map_err(|failed| meant::program_with(failed, &request, &help))?;
    Ok((queries, planned))
}

fn no_question() -> Failed {
    let why = Why::new("cannot answer: no question comes after PROFILE").whole("why::question");
    wrong(why.help("stockade why PROFILE /etc/shadow; see stockade why --help"))
}

fn wrong(why: Why) -> Failed {
    let is_whole = matches!(why.kind(), Kind::Whole(_));
    let (message, help) = why.plain();
    let message = if is_whole { message } else { format!("cannot read the question: {message}") };
    Failed::of(Problem::new("why::question", Default::default(), message).help_maybe(help))
}

fn read(questions: &[String]) -> Result<Vec<Query>, Failed> {
    questions.iter().map(|question| Query::parse(&placed(question)).map_err(wrong)).collect()
}

/// What a question may ask of a path.
const OF_PATHS: &[&str] = &["read", "write", "exec", "list", "connect"];

/// A question about a path in the words of a shell: `./x` and `../x` are below the caller's
/// directory, `~/x` is below the home.
fn placed(question: &str) -> String {
    let (act, path) = match question.split_once(':') {
        Some((act, path)) if OF_PATHS.contains(&act) => (&question[..=act.len()], path),
        _ => ("", question),
    };
    let begins = |sign: &str| {
        path.strip_prefix(sign).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if begins(".") || begins("..") {
        format!("{act}{}/{path}", Caller::current().cwd)
    } else if begins("~") {
        format!("{act}{}{}", Caller::current().home, &path[1..])
    } else {
        question.to_owned()
    }
}

/// The question with the path of a program that it names alone: the first that may be executed, as
/// the target's PATH has it.
fn found(query: Query, planned: &Planned, world: &World<'_>, host_fs: &HostFs) -> Query {
    let Query::Path(Act::Execute, name) = &query else { return query };
    if name.contains('/') {
        return query;
    }
    let at = |directory: &String| Query::Path(Act::Execute, format!("{directory}/{name}"));
    let all: Vec<Query> = search_path(&planned.plan.exec.env).iter().map(at).collect();
    let may_run =
        |query: &&Query| judge(query, &planned.profile, world, host_fs).verdict != Decision::Denies;
    all.iter().find(may_run).or(all.first()).cloned().unwrap_or(query)
}

/// The plan of a profile, which may leave its command to the command line of `run`.
fn plan_of(mut request: Request) -> Result<(Request, Planned), Failed> {
    match settle(&request, Caller::current()) {
        Err(Failed { problems, .. })
            if problems.iter().any(|problem| problem.code == "process::command") =>
        {
            request.args = vec!["true".into()];
            settle(&request, Caller::current()).map(|planned| (request, planned))
        }
        Err(failed) => Err(failed),
        Ok(planned) => Ok((request, planned)),
    }
}

/// What a line does for a denied call.
pub(super) enum Permits {
    /// The call succeeds as it is.
    AsItIs(Line),
    /// The filter lets it through; what the kernel then does is not visible in the arguments.
    Perhaps(Line, String),
    /// None does, for this reason.
    Never(String),
    /// It succeeds for a program that makes a user namespace first.
    InItsOwn(Line),
}

/// The line that permits a call as the kernel reported it, if there is one: by the filter, and by
/// every further check of the kernel.
pub(super) fn line_for(
    query: &Query,
    call: &Call,
    request: &Request,
    planned: &Planned,
) -> Option<Permits> {
    let (world, host_fs) = (World::new(&planned.plan, &planned.profile), HostFs::here());
    let answer = judge(query, &planned.profile, &world, &host_fs);
    let lines = candidates(query, &answer, &planned.profile, &world, &host_fs);
    let (mut own, mut perhaps, mut never) = (None, None, None);
    for line in lines {
        let Some(after) = laid_over(&line, request) else { continue };
        if !after.plan.filter.judge_seen(call.architecture, call.number, &call.arguments).permits()
        {
            continue;
        }
        let says = |query: &Query| {
            judge(query, &after.profile, &World::new(&after.plan, &after.profile), &host_fs).verdict
        };
        let answer =
            judge(query, &after.profile, &World::new(&after.plan, &after.profile), &host_fs);
        match answer.reason(Decision::Unknown) {
            _ if answer.verdict == Decision::Denies => {
                never = never.or(answer.behind_an_open_filter(query))
            }
            Some(reason) => {
                perhaps = perhaps.or(Some(Permits::Perhaps(line.clone(), reason.words.clone())))
            }
            None => return Some(Permits::AsItIs(line)),
        }
        let in_its_own = |query: Query| line.is_nested() && says(&query) == Decision::Allows;
        if own.is_none() && inside_its_own(query).is_some_and(in_its_own) {
            own = Some(line);
        }
    }
    perhaps.or(own.map(Permits::InItsOwn)).or(never.map(Permits::Never))
}

/// The line with which a program that makes a user namespace first may do it.
fn first(lines: &[Line], query: &Query, request: &Request, host_fs: &HostFs) -> Option<Line> {
    let own = inside_its_own(query)?;
    let permits = |line: &Line| {
        let allows = |query: &Query, after: &Planned| {
            judge(query, &after.profile, &World::new(&after.plan, &after.profile), host_fs).verdict
                == Decision::Allows
        };
        let is_open = |after: &Planned| match query {
            Query::Call { number, arguments: Some(arguments) } => {
                after.plan.filter.judge(*number, arguments).permits()
            }
            _ => false,
        };
        line.is_nested()
            && laid_over(line, request).is_some_and(|after| is_open(&after) && allows(&own, &after))
    };
    lines.iter().find(|line| permits(line)).cloned()
}

fn laid_over(line: &Line, request: &Request) -> Option<Planned> {
    let mut request = request.clone();
    request.tried.extend(line.each().map(|line| line.config()));
    settle(&request, Caller::current()).ok()
}

/// The answer where a line is laid over the profile.
fn after(line: &Line, query: &Query, request: &Request, host_fs: &HostFs) -> Option<Answer> {
    let planned = laid_over(line, request)?;
    Some(judge(query, &planned.profile, &World::new(&planned.plan, &planned.profile), host_fs))
}

/// The restriction behind an open filter that denies the call and that no line lifts.
fn never(lines: &[Line], query: &Query, request: &Request, host_fs: &HostFs) -> Option<String> {
    lines
        .iter()
        .filter_map(|line| after(line, query, request, host_fs))
        .find_map(|after| after.behind_an_open_filter(query))
}
