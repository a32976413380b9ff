//! What a command line that names no profile is meant to say: a program where a profile should
//! be, or nothing. It runs nothing, and takes no file that is not named.

use super::Failed;
use crate::cli::behind_a_blank;
use crate::host::caller::Caller;
use crate::profile::{Request, installed, load_params};
use crate::text::problem::{Problem, Problems, escape};
use crate::text::shell::shell_word;
use crate::text::source::{Sources, Span};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where programs are looked for: the target's own default.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// The file that people write beside their project.
const HERE: &str = "./stockade.toml";

/// Where a problem comes from a program in the place of the profile, that one; else the same.
pub(super) fn program_or(failed: Failed, request: &Request, command: &str) -> Failed {
    let is_unknown =
        |problem: &Problem| problem.code == "profile::unknown" && !problem.at.is_somewhere();
    if failed.problems.iter().any(is_unknown)
        && let Some(help) = behind_a_blank(&request.profile)
    {
        let word = escape(&request.profile);
        let message = format!("cannot find the profile `{word}`: there is none of that name");
        return Failed::of(Problem::new("profile::unknown", Span::NOWHERE, message).help(help));
    }
    let words = [vec![request.profile.clone()], request.args.clone()].concat();
    program_with(failed, request, &format!("stockade {command} default --{}", spaced(&words)))
}

/// The same with another help.
pub(super) fn program_with(failed: Failed, request: &Request, help: &str) -> Failed {
    let word = &request.profile;
    let is_path = word.contains('/');
    let program = match is_path {
        true => is_program(Path::new(word)) && !word.ends_with(".toml"),
        false => {
            failed
                .problems
                .iter()
                .any(|problem| problem.code == "profile::unknown" && !problem.at.is_somewhere())
                && is_installed(word)
        }
    };
    let of_profile = |code: &str| code.starts_with("profile::") || code == "cli::order";
    if !program || !failed.problems.iter().all(|problem| of_profile(problem.code)) {
        return failed;
    }
    a_program(word, help)
}

/// The same, where the command that is missing has its place in this command line.
pub(super) fn with_command(failed: Failed, request: &Request, command: &str) -> Failed {
    let profile = shell_word(&request.profile);
    let of_command = |problem: Problem| match problem.code {
        "process::command" => problem.help(format!(
            "give one in [process]: command = [\"bash\"]; or after the profile: stockade {command} \
             {profile} COMMAND"
        )),
        _ => problem,
    };
    let mut problems = Problems::default();
    problems.extend(failed.problems.into_iter().map(of_command));
    Failed { problems, ..failed }
}

/// A word in the place of the profile is a program.
pub(super) fn a_program(word: &str, help: &str) -> Failed {
    let message = format!("cannot take `{}` for the profile: it is a program", escape(word));
    Failed::of(Problem::new("profile::unknown", Span::NOWHERE, message).help(help))
}

/// Whether a word is the name of a program, and of no profile.
pub(super) fn is_installed(name: &str) -> bool {
    let is_profile = || installed(&Caller::current()).iter().any(|known| known.name == name);
    !name.contains('/')
        && PATH.iter().any(|directory| is_program(&Path::new(directory).join(name)))
        && !is_profile()
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// No profile is given, and these are the words of a command, if any.
pub(super) fn no_profile(command: &str, target: &[String]) -> Problem {
    let problem = Problem::new("cli::flag", Span::NOWHERE, format!("`{command}` needs a profile"));
    // A user who can write to this directory would choose the sandbox.
    let named = |rest: &str| {
        format!(
            "the profile in this directory is taken where it is named: stockade {command} \
             {HERE}{rest}"
        )
    };
    let is_here = std::fs::symlink_metadata(HERE).is_ok();
    if target.is_empty() && is_here && command != "why" {
        return problem.help(named(""));
    }
    if target.is_empty() {
        let mut names: Vec<String> =
            installed(&Caller::current()).into_iter().map(|known| escape(&known.name)).collect();
        names.dedup();
        let more = match command {
            "params" => "",
            "why" => " QUESTION...",
            _ => " [--] [COMMAND [ARGS]...]",
        };
        return problem
            .help(format!("stockade {command} PROFILE{more}; profiles: {}", names.join(", ")));
    }
    let words = spaced(target);
    if is_here {
        return problem.help(named(&format!(" --{words}")));
    }
    problem.help(format!("stockade {command} default --{words}"))
}

/// What `--set` can give to a profile, where that is known.
pub(super) fn parameters(request: &Request, wrong: &str) -> Problems {
    let message = format!("cannot read `--set {}`: it takes NAME=VALUE", escape(wrong));
    let problem = Problem::new("cli::flag", Span::NOWHERE, message);
    let request = Request { params: vec![], ..request.clone() };
    let known = match request.profile.as_str() {
        // It is read once.
        "-" => return problem.into(),
        _ => load_params(&request, &Caller::current(), &mut Sources::default()),
    };
    let Ok(known) = known else { return problem.into() };
    let form = |name: &str, kind: &str| format!("--set {name}={}", kind.to_uppercase());
    let named = known.iter().find(|one| wrong == one.name);
    let help = match (named, known.is_empty()) {
        (Some(one), _) => form(&one.name, one.r#type),
        (None, true) => "the profile has no parameters".into(),
        (None, false) => {
            known.iter().map(|one| form(&one.name, one.r#type)).collect::<Vec<_>>().join(", ")
        }
    };
    problem.help(help).into()
}

pub(super) fn spaced(words: &[String]) -> String {
    words.iter().map(|word| format!(" {}", shell_word(word))).collect()
}
