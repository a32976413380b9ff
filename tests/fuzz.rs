//! Whatever the texts: no panic, no hang, no memory without a bound, every problem with its place,
//! every plan in its order.
//!
//! The texts are made by a generator of numbers, so every run tries the same; TRIES in the
//! environment says how many. `fuzz/` tries with libFuzzer what is checked here.

pub mod case;
mod upper;

use crate::plans::{machine, order};
use crate::support::{As, Place, text};
use case::{Case, Dice, try_case};
use std::path::Path;
use std::time::{Duration, Instant};
use stockade::internals::profile::BUILTIN;

// ---- profiles that say something ----

/// Lines of each section. `@` becomes a path inside, `%` one of the host, `#` a number, `&` a
/// mount.
const LINES: &[(&str, &[&str])] = &[
    ("", &["description = \"${text} $${x} ${env:LANG}\"", "optional = [\"landlock\"]"]),
    (
        "params",
        &[
            "text = { type = \"string\", default = \"a*b\" }",
            "path = { type = \"path\", default = \"%\" }",
            "number = { type = \"integer\", default = # }",
            "size = { type = \"size\", default = \"#M\" }",
            "time = { type = \"duration\", default = \"#s\" }",
            "flag = { type = \"boolean\", default = true }",
            "word = { type = \"enum\", values = [\"null\", \"inherit\"], default = \"null\" }",
            "more = { type = \"list\", default = [\"x\", \"${env:LANG}\"] }",
        ],
    ),
    (
        "process",
        &[
            "command = [\"sh\", \"${more}\", \"${ARGS}\"]",
            "command = [\"/usr/bin/true\"]",
            "cwd = \"@\"",
            "umask = \"0077\"",
            "nice = \"${number}\"",
            "timeout = \"${time}\"",
            "timeout = \"default\"",
            "stdin = \"${word}\"",
            "init = \"${flag}\"",
            "pass-fds = [#]",
            "keyring = \"inherit\"",
        ],
    ),
    (
        "env",
        &[
            "A = \"${text}\"",
            "HOME = \"@\"",
            "TOKEN = true",
            "LANG = { pass = true, or = \"C\" }",
            "B = { file = \"%\" }",
            "C = { fd = # }",
        ],
    ),
    (
        "identity",
        &[
            "user = #",
            "user = \"daemon\"",
            "group = #",
            "groups = [#, \"adm\"]",
            "uid-map = \"auto\"",
            "gid-map = \"auto\"",
            "uid-map = \"default\"",
        ],
    ),
    (
        "namespaces",
        &[
            "hostname = \"x\"",
            "nested = true",
            "cgroup = \"host\"",
            "pid = \"host\"",
            "mount = \"host\"",
            "user = \"host\"",
            "time-offsets = { monotonic = \"#s\" }",
        ],
    ),
    (
        "rlimits",
        &[
            "nofile = #",
            "cpu = \"#s\"",
            "stack = { soft = \"8M\", hard = \"unlimited\" }",
            "core = 0",
        ],
    ),
    (
        "capabilities",
        &[
            "keep = [\"net-raw\", \"chown\"]",
            "keep = [\"!*\"]",
            "ambient = [\"kill\"]",
            "keep = \"default\"",
        ],
    ),
    ("network", &["mode = \"host\"", "mode = \"none\""]),
];

/// What may be at a path.
const MOUNTS: &[&str] = &[
    "\"ro\"",
    "\"ro\"",
    "\"rw\"",
    "\"hide\"",
    "\"hide\"",
    "\"dir\"",
    "\"tmpfs\"",
    "\"proc\"",
    "\"dev\"",
    "\"device\"",
    "\"sysfs\"",
    "\"mqueue\"",
    "{ bind = \"%\" }",
    "{ bind = \"%\", access = \"rw\" }",
    "{ bind = \"%\", access = \"rw\", broad = true, sockets = true, owner = \"root\" }",
    "{ bind = \"%\", missing = \"skip\" }",
    "{ bind = \"%/made\", access = \"rw\", missing = \"create\" }",
    "{ bind = \"%/*\" }",
    "{ bind = \"%/**/*.x\", missing = \"skip\" }",
    "{ bind = \"${path}\", access = \"rw\" }",
    "{ hide = true, missing = \"skip\" }",
    "{ tmpfs = \"${size}\", exec = true }",
    "{ text = \"${text}\" }",
    "{ symlink = \"@\" }",
    "{ socket = \"%\" }",
    "{ device = \"/dev/null\" }",
    "{ dev = [\"/dev/fuse\"] }",
    "{ env = \"TOKEN\" }",
    "{ fd = # }",
];

/// What may be at a pattern.
const OF_PATTERNS: &[&str] = &[
    "\"hide\"",
    "\"hide\"",
    "{ hide = true, missing = \"skip\" }",
    "\"ro\"",
    "{ bind = \"/srv/*\" }",
    "{ bind = \"/srv/**/*.x\" }",
    "{ hide = true, missing = \"skip\", except = [\"**/b\", \"c\"] }",
];

/// Paths inside; the more of them lie in each other, the better.
const INSIDE: &[&str] = &[
    "/",
    "/usr",
    "/usr/share",
    "/bin",
    "/etc",
    "/etc/passwd",
    "/etc/hosts",
    "/tmp",
    "/tmp/a",
    "/tmp/a/b",
    "/proc",
    "/proc/kallsyms",
    "/sys",
    "/dev",
    "/dev/null",
    "/dev/shm",
    "/work",
    "/work/.git/hooks",
    "/work/.env",
    "/work/deep/er/secret",
    "/work/cache",
    "/work/*",
    "/work/**/.env",
    "/work/**",
    "/**/x",
    "/*",
    "/usr/*",
    "/home/ann/work/*.x",
    "/home/ann/work/**/*.x",
    "${path}",
    "${path}/*",
    "${CWD}/**/.env",
    "/${text}/*",
    "//a/./b/",
    "/run/agent",
    "${HOME}",
];

const OF_THE_HOST: &[&str] = &[
    "/",
    "/usr",
    "/etc",
    "/home/ann/work",
    "/home/ann",
    "/srv/data",
    "/srv/rootfs",
    "/run/agent.sock",
    "/dev/null",
    "/bin",
    "/nowhere",
    "/srv/services",
    "${path}",
    "${CWD}",
    "/home/ann/alias/x",
];

const NUMBERS: &[&str] = &["1", "2", "3", "7", "64"];
const ODD_NUMBERS: &[&str] = &["0", "-1", "65535", "4294967295", "9223372036854775807"];

fn filled(template: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    for c in template.chars() {
        match c {
            '@' => out.push_str(dice.pick(INSIDE)),
            '%' => out.push_str(dice.pick(OF_THE_HOST)),
            '#' => {
                let numbers = if dice.throw(60) == 0 { ODD_NUMBERS } else { NUMBERS };
                out.push_str(dice.pick(numbers));
            }
            other => out.push(other),
        }
    }
    out
}

/// A text whose keys are known, each once, and whose values are of their kind more often than not.
fn some_text(dice: &mut Dice, bases: &[&str]) -> String {
    let mut out = "format = 1\n".to_owned();
    let extended: Vec<String> =
        bases.iter().filter(|_| dice.throw(3) == 0).map(|base| format!("\"{base}\"")).collect();
    if !extended.is_empty() {
        out += &format!("extends = [{}]\n", extended.join(", "));
    }
    for (section, lines) in LINES {
        if !section.is_empty() {
            out += &format!("[{section}]\n");
        }
        let mut seen: Vec<&str> = vec![];
        for line in lines.iter() {
            let key = line.split(" = ").next().unwrap();
            // Much depends on the parameters, so they are left out only now and then.
            let wanted = match *section {
                "params" => dice.throw(200) != 0,
                "process" if key == "command" => dice.throw(4) != 0,
                // Few: most lines are at odds with one another, and what is refused has no plan to
                // look at.
                _ => dice.throw(10) == 0,
            };
            if wanted && !seen.contains(&key) {
                seen.push(key);
                out += &(filled(line, dice) + "\n");
            }
        }
    }
    out += "[mounts]\n";
    let mut seen: Vec<&str> = vec![];
    for _ in 0..dice.throw(4) {
        let path = dice.pick(INSIDE);
        if !seen.contains(&path) {
            seen.push(path);
            // What goes with a pattern is seldom met by chance.
            let kinds = if path.contains('*') && dice.throw(8) != 0 { OF_PATTERNS } else { MOUNTS };
            let mount = filled(dice.pick(kinds), dice);
            out += &format!("\"{path}\" = {mount}\n");
        }
    }
    out
}

// ---- texts that say little ----

/// What a mutation puts in.
const SEEDS: &[&str] = &[
    "\"",
    "'",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "\r",
    "#",
    "\0",
    "ü",
    "\u{202e}",
    "\u{feff}",
    "\u{9b}",
    "\\",
    "\\u0000",
    "${",
    "}",
    "$${",
    "${ARGS}",
    "${HOME}",
    "${x}",
    "${path}",
    "${env:",
    "*",
    "**",
    "\\\\*",
    "/",
    "..",
    "//",
    "-1",
    "0",
    "1e9",
    "nan",
    "99999999999999999999",
    "0x7fffffffffffffff",
    "18446744073709551615T",
    "true",
    "\"!*\"",
    "\"default\"",
    "[[mounts]]",
    "[mounts]\n",
    "\"ro\"",
    "\"rw\"",
    "\"hide\"",
    "extends = [\"base.toml\"]\n",
    "1979-05-27",
    "[identity]\nuid-map = [{ inside = 0, outside = 4294967294, count = 1 }]\n",
    "groups = [1, 2, 3]\n",
    "host = true\n",
    "{ bind = \"/etc\", access = \"rw\", broad = true }",
    "\"/etc/passwd/x\" = \"tmpfs\"\n",
    "\"/\" = \"ro\"\n",
    "= \"auto\"",
    "a.a.a.a.a.a.a.a=1\n",
    "[a.b.c.d]\n",
];

fn mutated(text: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.to_vec();
    let at = dice.throw(bytes.len() + 1);
    let end = (at + dice.throw(24)).min(bytes.len());
    match dice.throw(7) {
        0 => drop(bytes.drain(at..end)),
        1 => {
            let copy = bytes[at..end].to_vec();
            let to = dice.throw(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        2 if at < bytes.len() => bytes[at] = dice.throw(256) as u8,
        3 => {
            let lines: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
            let line =
                if lines.is_empty() { vec![] } else { lines[dice.throw(lines.len())].to_vec() };
            let start = bytes[..at]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |newline| newline + 1);
            bytes.splice(start..start, line);
        }
        _ => {
            let seed = dice.pick(SEEDS).bytes();
            bytes.splice(at..at, seed);
        }
    }
    bytes
}

/// The texts of the repository: they use the whole language.
fn written_texts() -> Vec<String> {
    let mut texts: Vec<String> = BUILTIN.iter().map(|(_, text)| (*text).to_owned()).collect();
    for folder in ["tests/problems", "tests/plans"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap()
        {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts.sort();
    texts
}

fn some_case(written: &[String], dice: &mut Dice) -> Case {
    let mut case = Case {
        main: if dice.throw(2) == 0 {
            written[dice.throw(written.len())].clone()
        } else {
            some_text(dice, &["base.toml", "${PROFILE_DIR}/other.toml", "strict"])
        }
        .into_bytes(),
        bases: [some_text(dice, &["./other.toml"]).into_bytes(), some_text(dice, &[]).into_bytes()],
        ..Case::default()
    };
    if dice.throw(3) == 0 {
        case.config = filled(
            dice.pick(&[
                "mounts.\"@\" = \"hide\"",
                "env.A = false",
                "process.nice = #",
                "params.number = #",
                "capabilities.keep = [\"!*\"]",
            ]),
            dice,
        );
    }
    if dice.throw(3) == 0 {
        case.set = filled(
            dice.pick(&[
                "number=#",
                "path=%",
                "path=*",
                "text=\u{1b}[31m",
                "more=a,b",
                "word=nul",
                "flag=false\ntime=#m",
            ]),
            dice,
        );
    }
    if dice.throw(3) == 0 {
        case.args = dice.pick(&["ls\n-l", "", "${HOME}\n*", "\u{202e}"]).to_owned();
    }
    let times = [0, 0, 0, 0, 0, 1, 1, 3][dice.throw(8)];
    for _ in 0..times {
        let other = written[dice.throw(written.len())].as_bytes();
        match dice.throw(5) {
            0 => case.bases[0] = mutated(&case.bases[0], other, dice),
            1 => {
                case.config = String::from_utf8_lossy(&mutated(case.config.as_bytes(), other, dice))
                    .into_owned()
            }
            2 => {
                case.set =
                    String::from_utf8_lossy(&mutated(case.set.as_bytes(), other, dice)).into_owned()
            }
            _ => case.main = mutated(&case.main, other, dice),
        }
    }
    case
}

#[test]
fn no_texts_make_it_panic_and_what_must_hold_holds() {
    let place = Place::new();
    for name in ["main.toml", "base.toml", "other.toml"] {
        place.file(name, "");
    }
    let written = written_texts();
    let mut dice = Dice(0x5eed_f00d);
    let tries = std::env::var("TRIES").map_or(600, |tries| tries.parse().unwrap());
    let (mut outcomes, mut slowest) = ([0; 3], Duration::ZERO);
    for nth in 0..tries {
        let case = some_case(&written, &mut dice);
        let start = Instant::now();
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            try_case(&case, &place.path, &mut dice)
        }));
        let Ok(outcome) = tried else {
            let texts =
                [&case.main, &case.bases[0], &case.bases[1]].map(|bytes| text(bytes)).join("---\n");
            panic!(
                "case {nth} fails (see above):\n{texts}---\n{}\n---\n{}\n---\n{}",
                case.config, case.set, case.args
            );
        };
        outcomes[outcome as usize] += 1;
        slowest = slowest.max(start.elapsed());
    }
    let [not_loaded, not_planned, planned] = outcomes;
    eprintln!(
        "{not_loaded} not loaded, {not_planned} not planned, {planned} planned; the slowest took \
         {slowest:?}"
    );
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
    assert!(
        outcomes.iter().all(|count| *count * 30 > tries),
        "the generator is one-sided: {outcomes:?}"
    );
}

// ---- what lies in an upper ----

/// What libFuzzer has found that leads to places of its own, and what that becomes.
#[test]
fn no_bytes_of_an_upper_make_its_readers_panic() {
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    let of_line = |line: &str| line.as_bytes().chunks(2).map(byte).collect();
    let corpus: Vec<Vec<u8>> = include_str!("fuzz/upper.txt").lines().map(of_line).collect();
    let mut dice = Dice(0x5eed_f00d);
    for bytes in &corpus {
        upper::try_bytes(bytes);
        for _ in 0..20 {
            let other = &corpus[dice.throw(corpus.len())];
            let mut changed = mutated(bytes, other, &mut dice);
            // It stays what it is read as.
            changed.splice(..changed.len().min(1), [bytes[0]]);
            upper::try_bytes(&changed);
        }
    }
}

// ---- texts that ask for much ----

/// Names, and texts of at most 1 MiB that make naive readers take all the memory or all the time.
fn hostile_texts() -> Vec<(&'static str, String)> {
    const MOST: usize = (1 << 20) - 100;
    let full = |piece: &str| piece.repeat(MOST / piece.len());
    let many =
        |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let long = "x".repeat(500_000);
    vec![
        ("numbers", format!("a = [{}]", full("1,"))),
        ("tables", format!("a = [{}]", full("{a=1},"))),
        ("a quarter of the tables", format!("a = [{}]", "{a=1},".repeat(40_000))),
        ("headers", full("[[a]]\n")),
        ("mistakes", full("=\n")),
        (
            "as many mistakes as are read",
            format!("{}\n#{}", "=\n".repeat(120_000), "x".repeat(700_000)),
        ),
        ("carriage returns", full("\r")),
        ("zeros", full("\0")),
        ("marks", full("\u{feff}")),
        ("quotes", full("\"")),
        ("open lists", full("[")),
        ("open tables", full("{a=")),
        ("dots", full("a.")),
        ("comments", full("#\n")),
        ("variables", format!("[env]\nA = '{}'", full("${HOME}"))),
        ("unknown variables", format!("[env]\nA = '{}'", full("${NO}"))),
        (
            "a long value named often",
            format!(
                "[params]\np = {{ type = 'string', default = '{long}' }}\n[env]\n{}",
                many(9_000, &|n| format!("E{n} = '${{p}}'\n"))
            ),
        ),
        (
            "a long list named often",
            format!(
                "[params]\np = {{ type = 'list', default = [{}] }}\n[process]\ncommand = [{}]",
                "'x',".repeat(9_000),
                "'${p}',".repeat(9_000)
            ),
        ),
        (
            "near misses",
            format!(
                "[params]\n{}[env]\n{}",
                many(6_000, &|n| format!("p{n}={{type='string'}}\n")),
                many(9_000, &|n| format!("E{n} = '${{q{n}}}'\n"))
            ),
        ),
        (
            "removals of nothing",
            format!(
                "[mounts]\n{}",
                many(9_900, &|n| format!("\"/{}{n}\"=false\n", "a".repeat(60)))
            ),
        ),
        (
            "patterns",
            format!("[mounts]\n{}", many(3_000, &|n| format!("\"/nowhere/**/*{n}*/**\"='hide'\n"))),
        ),
        (
            "capabilities",
            format!("[capabilities]\nkeep = [{}]", many(9_900, &|n| format!("'c{n}',"))),
        ),
        ("one long word", format!("[capabilities]\nkeep = ['{long}', '!{long}']")),
        ("entries", format!("[mounts]\n{}", many(9_990, &|n| format!("\"/m/{n}\" = \"dir\"\n")))),
        (
            "binds",
            format!(
                "[mounts]\n{}",
                many(9_990, &|n| format!("\"/m/{n}\" = {{ bind = \"/usr\" }}\n"))
            ),
        ),
        ("a path of 1,900 names", format!("[mounts]\n\"{}\" = \"tmpfs\"", "/d".repeat(1_900))),
        (
            "a deep path",
            format!(
                "[mounts]\n{}",
                many(400, &|n| format!("\"{}\" = \"dir\"\n", "/d".repeat(n + 1)))
            ),
        ),
    ]
}

/// Of the whole process: 100 MB of address space, so less of memory, besides what a build without
/// optimization maps of its own file; and 20 seconds of a processor.
#[test]
fn no_text_takes_much_memory_or_time() {
    let place = Place::new();
    for (name, hostile) in hostile_texts() {
        assert!(hostile.len() <= 1 << 20, "{name}");
        let path = place.file("main.toml", &format!("format = 1\n{hostile}\n"));
        let start = Instant::now();
        let mut limited = place.outside(As::all()[0], "/bin/sh");
        limited
            .args(["-c", "ulimit -v $((102400 + 16384)); ulimit -t 20; exec \"$0\" check \"$1\""])
            .arg(place.path.join("stockade"))
            .arg(&path);
        let output = limited.output().unwrap();
        let (took, said) = (start.elapsed(), text(&output.stdout) + &text(&output.stderr));
        eprintln!("{took:>10.1?} {name}");
        let ended_well = output.status.code() == Some(125) && said.contains("main.toml:");
        assert!(
            ended_well
                || output.status.success()
                || said.contains("cannot run the profile: it has no command"),
            "{name}: {:?} {said:.2000}",
            output.status
        );
        // What waits takes no processor time.
        assert!(took < Duration::from_secs(300), "{name}: {took:?}");
        // What is wrong with nothing but its command is shown and asked about, too.
        if output.status.success()
            || (said.contains("it has no command") && !said.contains(" problems"))
        {
            for words in [["plan", "true"], ["why", "/m/1/d"]] {
                let mut limited = place.outside(As::all()[0], "/bin/sh");
                limited.args([
                    "-c",
                    "ulimit -v $((2 * 102400)); ulimit -t 20; exec \"$0\" \"$2\" \"$1\" \"$3\" \
                     >/dev/null",
                ]);
                let output = limited
                    .arg(place.path.join("stockade"))
                    .arg(&path)
                    .args(words)
                    .output()
                    .unwrap();
                eprintln!("{:>10.1?} {name}, {}", start.elapsed(), words[0]);
                assert!(
                    output.status.code().is_some_and(|status| status <= 1),
                    "{name}: {words:?}: {:?} {}",
                    output.status,
                    text(&output.stderr)
                );
            }
        }
    }
}
