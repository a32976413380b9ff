//! Values of the caller's environment in every key of the language: no guess, and no other word of
//! `check`, shows one.

use crate::plans::machine;
use crate::support::Place;
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::lint::lint;
use stockade::internals::language::shape::{Shape, Shaped};
use stockade::internals::plan::{plan, settle};
use stockade::internals::profile::{Profile, Request, as_written, load};
use stockade::internals::text::problem::{Problems, Style};
use stockade::internals::text::source::Sources;

/// Values that read as much: each says the same digits.
const SECRETS: &[&str] = &[
    "4711",
    "-4711",
    "4711m",
    "4711 MB",
    "4711 seconds",
    "4.711 s",
    "47.11%",
    "hunter4711",
    "host:4711",
    "../4711",
];

/// What no plan can name without a value that is a name: a program, a user, a group, a variable, a
/// path.
const NAMED: &[&str] = &[
    "cannot show `",
    "cannot find the user",
    "cannot find the group",
    "cannot join group",
    "cannot write /",
    "cannot bind /",
    "cannot enforce Landlock's ABI",
    "help: set it: ",
];

fn shows(text: &str) -> bool {
    text.contains("4711") || text.contains("47.11") || text.contains("4.711")
}

/// What `check` says of SECRET's value, as text and as JSON.
fn said(place: &Place, text: &str, secret: &str) -> Vec<String> {
    let path = place.file("p.toml", text).display().to_string();
    let mut caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    caller.env.insert("SECRET".into(), secret.into());
    let mut sources = Sources::default();
    let problems =
        match load(&Request { profile: path.clone(), ..Request::default() }, &caller, &mut sources)
        {
            Err(problems) => problems,
            Ok(profile) => {
                let host = machine::for_name("p.toml", &profile);
                let mut found: Problems = plan(&profile, &host).err().unwrap_or_default();
                found.extend(lint(&profile, &host, &settle(&profile, &host)));
                as_written(found, &caller, &sources)
            }
        };
    let found: Vec<String> = problems
        .iter()
        .flat_map(|one| {
            [format!("{} {}", one.message, one.label)]
                .into_iter()
                .chain(one.help.clone().map(|help| format!("help: {help}")))
        })
        .collect();
    // What is drawn takes longest.
    let drawn = if secret == SECRETS[0] {
        problems.render(&sources, Style::Plain) + &problems.json(&sources)
    } else {
        String::new()
    };
    let names = |line: &str| {
        NAMED.iter().any(|name| {
            line.trim_start_matches([' ', '×', '"'])
                .replace("message\": \"", "")
                .replace("help\": \"", "help: ")
                .starts_with(name)
        })
    };
    let said = found.join("\n") + "\n" + &drawn.replace(&path, "p.toml");
    said.lines().filter(|line| shows(line) && !names(line)).map(str::to_owned).collect()
}

/// Every way to put a text into a value of this shape.
fn values(shape: &Shape, text: &str, depth: usize) -> Vec<String> {
    let mut out = match shape {
        Shape::Table(table) => table
            .keys
            .iter()
            .flat_map(|key| {
                values(&key.shape, text, depth + 1)
                    .into_iter()
                    .map(|value| format!("{{ {} = {value} }}", key.name))
            })
            .collect(),
        Shape::Named(named) if depth < 4 => values(&named.value, text, depth + 1)
            .into_iter()
            .map(|value| format!("{{ \"A\" = {value} }}"))
            .collect(),
        Shape::Sequence(shape) | Shape::Set(shape) => {
            values(shape, text, depth + 1).into_iter().map(|value| format!("[{value}]")).collect()
        }
        Shape::Either(shapes) => {
            shapes.iter().flat_map(|shape| values(shape, text, depth)).collect()
        }
        Shape::Key(shape) | Shape::Entry(shape) | Shape::Part(_, _, shape) => {
            values(shape, text, depth)
        }
        _ => vec![],
    };
    if depth < 4 {
        out.extend([
            format!("\"{text}\""),
            format!("[\"{text}\"]"),
            format!("[\"x\", \"{text}\"]"),
        ]);
    }
    out.sort();
    out.dedup();
    out
}

/// Every key of the language with the text as its value.
fn lines(text: &str) -> Vec<String> {
    let mut out = vec![];
    for section in Profile::shape()
        .keys()
        .iter()
        .filter(|section| !["format", "extends", "params"].contains(&section.name.as_str()))
    {
        let names: &[&str] = match section.name.as_str() {
            "env" => &["A"],
            "mounts" => &["/x", "/proc", text],
            _ => &[],
        };
        match &section.shape {
            Shape::Named(named) => {
                for name in names {
                    out.extend(
                        values(&named.value, text, 1)
                            .into_iter()
                            .map(|value| format!("[{}]\n\"{name}\" = {value}", section.name)),
                    );
                }
            }
            shape if shape.keys().is_empty() => out.extend(
                values(shape, text, 1)
                    .into_iter()
                    .map(|value| format!("{} = {value}", section.name)),
            ),
            shape => {
                for key in shape.keys() {
                    out.extend(
                        values(&key.shape, text, 1)
                            .into_iter()
                            .map(|value| format!("[{}]\n{} = {value}", section.name, key.name)),
                    );
                }
            }
        }
    }
    // A key with a variable has a guess with that key.
    out.extend(
        ["5", "[1]", "true", "\"rx\"", "{ bind = 5 }"]
            .map(|value| format!("[mounts]\n\"/{text}\" = {value}\n\"{text}\" = {value}")),
    );
    out
}

/// What is shown of secrets where a text is in every key; `param` declares a parameter that has it.
fn shown(text: &str, secrets: &[&str], param: &str) -> Vec<String> {
    let place = Place::new();
    let lines = lines(text);
    assert!(lines.len() > 500, "only {} keys", lines.len());
    let profiles = lines.iter().flat_map(|line| {
        secrets.iter().map(move |secret| (format!("format = 1\n{line}\n{param}\n"), secret))
    });
    profiles
        .flat_map(|(profile, secret)| {
            said(&place, &profile, secret)
                .into_iter()
                .map(move |shown| format!("{profile:?} {secret:?}: {shown}"))
        })
        .collect()
}

#[test]
fn no_value_of_the_environment_is_shown() {
    let wrong = shown("${env:SECRET}", SECRETS, "");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nor_is_one_that_a_parameter_brings() {
    for (kind, secrets) in [
        ("string", &["4711", "4711m"][..]),
        ("integer", &["4711", "-4711"]),
        ("list", &["4711,4712"]),
        ("size", &["4711M"]),
    ] {
        let wrong = shown(
            "${p}",
            secrets,
            &format!("[params]\np = {{ type = \"{kind}\", default = \"${{env:SECRET}}\" }}"),
        );
        assert!(wrong.is_empty(), "{kind}: {}:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The twin: the same values, written in the profile, are guessed from.
#[test]
fn what_stands_in_the_profile_is_guessed_from() {
    assert!(shown("4711", &["x"], "").iter().filter(|line| line.contains("write ")).count() > 50);
}
