//! Profiles made wrong by a generator: nothing panics, nothing hangs, and every problem has a
//! place.

use super::*;
use nix::sys::resource::{UsageWho, getrusage};

/// xorshift64*: the same texts on every machine. TRIES in the environment says how many.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below.max(1)
    }
}

const SEED: &str = r#"format = 1
description = "Build ${project}"
extends = ["base", "./b.toml"]
optional = ["landlock"]
[params]
project = { type = "path", default = "${CWD}", help = "the crate" }
jobs = { type = "integer", default = 4 }
flags = { type = "list", default = ["-v"] }
[process]
command = ["cargo", "build", "${flags}", "-j", "${jobs}", "${ARGS}"]
cwd = "/work"
timeout = "10m"
[env]
LANG = true
HOME = '/home/build'
TOKEN = { pass = true, or = "ä${env:X:-y}" }
[identity]
user = 1000
uid-map = [{ inside = 0, outside = 1000, count = 1 }]
[namespaces]
all = "new"
[mounts]
"/usr" = "ro"
"/work" = { bind = "${project}", access = "rw" }
"/tmp" = { tmpfs = "64M", exec = true }
"/etc/hosts" = { text = """
127.0.0.1 localhost
""" }
[capabilities]
keep = ["net-bind-service", "!*"]
[rlimits]
nofile = { soft = 10, hard = 20 }
[network]
mode = "none"
"#;

const PIECES: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "\r",
    "\r\n",
    "#",
    "\\",
    "\\u0000",
    "\\ud800",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "𝄞",
    "${",
    "}",
    "$${",
    "${ARGS}",
    "${env:",
    "${project}",
    "${NO}",
    "!",
    "!*",
    "default",
    "false",
    "true",
    "nan",
    "-",
    "1e999",
    "0x",
    "99999999999999999999",
    "1979-05-27",
    "[mounts]",
    "[params]\n",
    "extends = [\"main.toml\"]\n",
    "a.a.a.a.a=1\n",
    "/",
    "//",
    "..",
    " ",
    "\t",
];

fn mutate(random: &mut Random, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.next(4) {
        let at = random.next(bytes.len() + 1);
        let end = (at + random.next(24)).min(bytes.len());
        match random.next(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                let to = random.next(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            2 if at < bytes.len() => bytes[at] = random.next(256) as u8,
            3 => bytes.truncate(bytes.len().saturating_sub(random.next(40))),
            _ => {
                let piece = PIECES[random.next(PIECES.len())].bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[track_caller]
fn check(place: &Place, what: &str) {
    let (loaded, sources) = place.try_load();
    let Err(problems) = loaded else { return };
    for problem in problems.iter() {
        let file_level = matches!(problem.code, "profile::read" | "profile::size");
        assert!(file_level || sources.place(problem.at).is_some(), "{problem:?}\n{what}");
    }
    let shown = problems.render(&sources, Style::Plain) + &problems.json(&sources);
    assert!(!shown.contains(['\0', '\u{202e}', '\u{1b}']), "{shown}\n{what}");
}

#[test]
fn no_text_makes_the_loader_panic() {
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let mut place = Place::new();
    place.file("b.toml", "[env]\nB = 'b'\n");
    let tries = std::env::var("TRIES").map_or(1_000, |tries| tries.parse().unwrap());
    for _ in 0..tries {
        let bytes = mutate(&mut random, SEED);
        place.raw("main.toml", &bytes);
        let flag = mutate(&mut random, "process.nice = '${jobs}'");
        place.request.config =
            vec![("--config".into(), String::from_utf8_lossy(&flag).into_owned())];
        place.request.params =
            vec![("jobs".into(), String::from_utf8_lossy(&mutate(&mut random, "12")).into_owned())];
        place.request.args =
            vec![String::from_utf8_lossy(&mutate(&mut random, "arg")).into_owned()];
        check(&place, &String::from_utf8_lossy(&bytes));
    }
}

/// The processor's seconds that this thread has had: on a busy machine the clock's are no measure.
fn worked() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

#[test]
fn deep_and_long_texts_are_told_in_time() {
    let long = "x".repeat(200_000);
    let texts = [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        // Tables in tables: a dotted key of 79 dots, 79 times.
        format!(
            "{}1{}",
            format!("{}a = {{ ", "a.".repeat(75)).repeat(75).trim_end_matches("{ "),
            "}".repeat(74)
        ),
        // The same with many tokens and a mistake: the parser frees what it has by recursion.
        format!(
            "x = [{}]\n{}1{}\n=",
            "1,".repeat(40_000),
            format!("{}a = {{ ", "a.".repeat(75)).repeat(75).trim_end_matches("{ "),
            "}".repeat(74)
        ),
        format!("[{}a]", "a.".repeat(100_000)),
        // Few names of much: what is put in has a bound.
        format!(
            "[params]\np = {{ type = 'string', default = '{long}' }}\n[env]\n{}",
            (0..9_000).map(|n| format!("E{n} = '${{p}}'\n")).collect::<String>()
        ),
        format!(
            "[params]\np = {{ type = 'list', default = [{}] }}\n[process]\ncommand = [{}]",
            "'x',".repeat(9_000),
            "'${p}',".repeat(9_000)
        ),
        format!(
            "[params]\n{}[env]\n{}",
            (0..9_000).map(|n| format!("p{n} = {{ type = 'string' }}\n")).collect::<String>(),
            (0..9_000).map(|n| format!("E{n} = '${{q{n}}}'\n")).collect::<String>()
        ),
        format!("[env]\nA = '{}'", "${NO}".repeat(200_000)),
        format!("a = [{}]", "{a=1},".repeat(170_000)),
        format!("{long} = 1"),
        "= 1\n".repeat(200_000),
        format!(
            "description = '{long}'\n[env]\n{long} = false\n[capabilities]\nkeep = ['{long}', \
             '!{long}']\n"
        ),
        format!("[env]\nA = '{}'", "${".repeat(100_000)),
        format!("[env]\nA = '{}'", "${HOME}".repeat(100_000)),
        format!("[env]\nA = '{}'", "${NO}".repeat(2_000)),
        (0..9_000).map(|number| format!("k{number} = 1\n")).collect(),
        format!("optional = [{}]", "'x',".repeat(200_000)),
    ];
    let place = Place::new();
    for text in texts {
        let start = worked();
        place.file("main.toml", &text);
        let cut: String = text.chars().take(60).collect();
        check(&place, &cut);
        let seconds = worked() - start;
        assert!(seconds < 30.0, "{cut}: {seconds} s");
        eprintln!("{seconds} s {cut}");
    }
}
