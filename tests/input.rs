//! What no profile should be, and what a user then reads: files that are none, texts that are none,
//! and more of both than is sane.
//!
//! Each case makes its files in a directory of its own; `UPDATE=1 cargo test --test all input::`
//! rewrites the goldens of tests/input.

use crate::plans::machine;
use crate::support::{As, Place, text};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use stockade::internals::host::caller::Caller;
use stockade::internals::plan::plan;
use stockade::internals::profile::{Profile, Request, load};
use stockade::internals::text::problem::{Problem, Problems, Style};
use stockade::internals::text::source::Sources;

// ---- what a case is made of ----

/// Loads `main.toml` of the place and plans it on the invented machine.
fn tried(place: &Place, request: Request) -> (Result<Profile, Problems>, Sources) {
    let mut sources = Sources::default();
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let profile = if request.profile.is_empty() { "main.toml".into() } else { request.profile };
    let request =
        Request { profile: place.path.join(profile).to_str().unwrap().to_owned(), ..request };
    let loaded = load(&request, &caller, &mut sources)
        .and_then(|profile| plan(&profile, &machine::for_user(&profile)).map(|_| profile));
    (loaded, sources)
}

/// What a user reads, without the directory of this run.
fn said(place: &Place, request: Request) -> String {
    let folder = format!("{}/", place.path.display());
    let (loaded, sources) = tried(place, request);
    let clean = |text: String| text.replace(&folder, "");
    let mut problems = Problems::default();
    problems.extend(loaded.expect_err("it should be refused").into_iter().map(|problem| Problem {
        message: clean(problem.message),
        help: problem.help.map(clean),
        ..problem
    }));
    clean(problems.render(&sources, Style::Plain))
}

fn make(place: &Place, files: &[(&str, &str)]) {
    for (name, text) in files {
        place.file(name, &format!("format = 1\n{text}"));
    }
}

fn many(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

fn set(name: &str, value: &str) -> Request {
    Request { params: vec![(name.into(), value.into())], ..Request::default() }
}

fn config(toml: &str) -> Request {
    Request { config: vec![("--config".into(), toml.into())], ..Request::default() }
}

/// A case: it makes files, and says what is asked for.
type Make = fn(&Place) -> Request;

const COMMAND: &str = "[process]\ncommand = [\"true\"]\n";

// ---- the cases ----

/// Where a value comes from, and who inherits it.
const INHERITED: &[(&str, Make)] = &[
    ("inherited-value", |place| {
        make(
            place,
            &[
                ("main.toml", "extends = [\"base.toml\"]\n"),
                ("base.toml", "[process]\ntimeout = \"soon\"\n"),
            ],
        );
        Request::default()
    }),
    ("inherited-through-two", |place| {
        make(
            place,
            &[
                ("main.toml", &format!("extends = [\"strict\", \"mid.toml\"]\n{COMMAND}")),
                ("mid.toml", "description = \"in the middle\"\nextends = [\"./sub/base.toml\"]\n"),
                ("sub/base.toml", "[mounts]\n\"/data\" = \"ro\"\n"),
            ],
        );
        Request::default()
    }),
    ("inherited-syntax", |place| {
        make(place, &[("main.toml", "extends = [\"base.toml\"]\n"), ("base.toml", "[process\n")]);
        Request::default()
    }),
    ("parameter-of-the-command-line", |place| {
        let base = "[params]\nproject = { type = \"path\" }\n[mounts]\n\"/work\" = { bind = \
                    \"${project}/src\" }\n";
        make(
            place,
            &[("main.toml", &format!("extends = [\"base.toml\"]\n{COMMAND}")), ("base.toml", base)],
        );
        set("project", "/home/ann/nowhere")
    }),
    ("parameter-of-a-layer", |place| {
        let base = "[params]\nlimit = { type = \"string\", default = \"64\" }\n[rlimits]\nnofile = \
                    \"${limit}\"\n";
        make(
            place,
            &[
                ("main.toml", "extends = [\"base.toml\"]\n[params]\nlimit = \"lots\"\n"),
                ("base.toml", base),
            ],
        );
        Request::default()
    }),
    ("parameter-default", |place| {
        make(
            place,
            &[(
                "main.toml",
                &format!(
                    "{COMMAND}[params]\nwhere = {{ type = \"path\", default = \"/nowhere\" \
                     }}\n[mounts]\n\"${{where}}\" = \"ro\"\n"
                ),
            )],
        );
        Request::default()
    }),
    ("parameter-of-a-flag", |place| {
        make(
            place,
            &[(
                "main.toml",
                "[params]\nsize = { type = \"string\" }\n[mounts]\n\"/tmp\" = { tmpfs = \
                 \"${size}\" }\n",
            )],
        );
        config("params.size = \"big\"")
    }),
    ("wrong-type", |place| {
        make(place, &[("main.toml", "[params]\njobs = { type = \"integer\", default = 1 }\n")]);
        set("jobs", "many")
    }),
    ("wrong-word", |place| {
        make(
            place,
            &[(
                "main.toml",
                "[params]\nmode = \
                 { type = \"enum\", values = [\"fast\", \"safe\"], default = \"fast\" }\n",
            )],
        );
        set("mode", "faster")
    }),
    ("missing-parameter", |place| {
        make(
            place,
            &[
                ("main.toml", "extends = [\"base.toml\"]\n"),
                ("base.toml", "[params]\nproject = { type = \"path\" }\n"),
            ],
        );
        Request::default()
    }),
    ("flag-over-inherited", |place| {
        make(
            place,
            &[
                ("main.toml", "extends = [\"base.toml\"]\n"),
                ("base.toml", "[capabilities]\nkeep = [\"chown\"]\n"),
            ],
        );
        config("capabilities.keep = []")
    }),
];

/// Files that are no profile.
const FILES: &[(&str, Make)] = &[
    ("absent", |_| Request::default()),
    ("fifo", |place| {
        nix::unistd::mkfifo(
            &place.path.join("main.toml"),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        Request::default()
    }),
    ("folder", |place| {
        std::fs::create_dir(place.path.join("main.toml")).unwrap();
        Request::default()
    }),
    ("device", |place| {
        symlink("/dev/zero", place.path.join("main.toml")).unwrap();
        Request::default()
    }),
    ("link-loop", |place| {
        symlink("main.toml", place.path.join("main.toml")).unwrap();
        Request::default()
    }),
    ("extends-link-loop", |place| {
        symlink("b.toml", place.path.join("a.toml")).unwrap();
        symlink("a.toml", place.path.join("b.toml")).unwrap();
        make(place, &[("main.toml", "extends = [\"a.toml\"]\n")]);
        Request::default()
    }),
    ("extends-fifo", |place| {
        nix::unistd::mkfifo(
            &place.path.join("a.toml"),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        make(place, &[("main.toml", "extends = [\"a.toml\"]\n")]);
        Request::default()
    }),
    ("circle", |place| {
        make(
            place,
            &[
                ("main.toml", "extends = [\"a.toml\"]\n"),
                ("a.toml", "extends = [\"b.toml\"]\n"),
                ("b.toml", "extends = [\"main.toml\"]\n"),
            ],
        );
        Request::default()
    }),
    ("chain-of-a-thousand", |place| {
        make(place, &[("main.toml", "extends = [\"0.toml\"]\n")]);
        (0..1_000).for_each(|nth| {
            make(place, &[(&format!("{nth}.toml"), &format!("extends = [\"{}.toml\"]\n", nth + 1))])
        });
        Request::default()
    }),
    ("many-files", |place| {
        make(
            place,
            &[(
                "main.toml",
                &format!("extends = [{}]\n", many(300, |nth| format!("\"{nth}.toml\",\n"))),
            )],
        );
        (0..300).for_each(|nth| make(place, &[(&format!("{nth}.toml"), "")]));
        Request::default()
    }),
];

/// Texts that are no profile, or too much of one.
const TEXTS: &[(&str, Make)] = &[
    ("large-file", |place| {
        place.file("main.toml", &"#".repeat((1 << 20) + 1));
        Request::default()
    }),
    ("large-sum", |place| {
        make(
            place,
            &[(
                "main.toml",
                "extends = [\"a.toml\", \"b.toml\", \"c.toml\", \"d.toml\", \"e.toml\"]\n",
            )],
        );
        ["a", "b", "c", "d", "e"].iter().for_each(|name| {
            make(place, &[(&format!("{name}.toml"), &format!("# {}\n", "x".repeat(1_000_000)))])
        });
        Request::default()
    }),
    ("many-words", |place| {
        make(
            place,
            &[("main.toml", &format!("optional = [\n{}]\n", many(140_000, |_| "1,\n".into())))],
        );
        Request::default()
    }),
    ("many-entries", |place| {
        let entries = |letter: char| {
            format!("[env]\n{}", many(6_000, |nth| format!("{letter}{nth} = \"x\"\n")))
        };
        make(
            place,
            &[
                ("main.toml", &format!("extends = [\"base.toml\"]\n{}", entries('A'))),
                ("base.toml", &entries('B')),
            ],
        );
        Request::default()
    }),
    ("long-table", |place| {
        make(
            place,
            &[(
                "main.toml",
                &format!("[mounts]\n{}", many(10_001, |nth| format!("\"/m/{nth}\" = \"dir\"\n"))),
            )],
        );
        Request::default()
    }),
    ("long-list", |place| {
        make(
            place,
            &[(
                "main.toml",
                &format!("[identity]\ngroups = [\n{}]\n", many(10_001, |nth| format!("{nth},\n"))),
            )],
        );
        Request::default()
    }),
    ("deep", |place| {
        make(place, &[("main.toml", &format!("[process]\n{}x = 1\n", "a.".repeat(70)))]);
        Request::default()
    }),
    ("deep-lists", |place| {
        make(place, &[("main.toml", &format!("optional = {}\n", "[".repeat(50_000)))]);
        Request::default()
    }),
    ("not-utf8", |place| {
        std::fs::write(place.file("main.toml", ""), b"format = 1\ndescription = \"caf\xe9\"\n")
            .unwrap();
        Request::default()
    }),
    ("not-utf8-inherited", |place| {
        make(place, &[("main.toml", "extends = [\"base.toml\"]\n")]);
        std::fs::write(place.file("base.toml", ""), b"format = 1\n# \xff\xfe\n").unwrap();
        Request::default()
    }),
    ("zero-byte", |place| {
        make(place, &[("main.toml", "description = \"a\0b\"\n")]);
        Request::default()
    }),
    ("zero-byte-escaped", |place| {
        make(place, &[("main.toml", &format!("{COMMAND}[mounts]\n\"/a\\u0000b\" = \"dir\"\n"))]);
        Request::default()
    }),
    ("mark-and-carriage-returns", |place| {
        place.file("main.toml", "\u{feff}format = 1\r\n[process]\r\nnise = 3\r\n");
        Request::default()
    }),
    ("lone-carriage-return", |place| {
        make(place, &[("main.toml", "description = \"a\"\r[process]\n")]);
        Request::default()
    }),
    ("recursive-parameters", |place| {
        let params = "a = { type = \"string\", default = \"${b}\" }\nb = { type = \"string\", \
                      default = \"${a}\" }\n";
        make(place, &[("main.toml", &format!("description = \"${{a}}\"\n[params]\n{params}"))]);
        Request::default()
    }),
    ("nested-variables", |place| {
        make(place, &[("main.toml", "description = \"${env:A:-${env:B}}\"\n")]);
        Request::default()
    }),
    ("growing-variables", |place| {
        let long = "x".repeat(100_000);
        let env = many(200, |nth| format!("E{nth} = \"${{long}}\"\n"));
        make(
            place,
            &[("main.toml", &format!("[params]\nlong = {{ type = \"string\" }}\n[env]\n{env}"))],
        );
        set("long", &long)
    }),
];

#[test]
fn what_is_no_profile_is_explained() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/input");
    let mut wrong = vec![];
    for (name, make) in INHERITED.iter().chain(FILES).chain(TEXTS) {
        let place = Place::new();
        let request = make(&place);
        let said = said(&place, request);
        let golden = goldens.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &said).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{name}:\n{said}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "not as the golden files have it; UPDATE=1 rewrites them:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_mark_and_carriage_returns_do_no_harm() {
    let place = Place::new();
    place.file("main.toml", "\u{feff}format = 1\r\n[process]\r\ncommand = [\"true\"]\r\n");
    assert!(tried(&place, Request::default()).0.is_ok());
}

#[test]
fn standard_input_has_the_same_bound() {
    let place = Place::new();
    for (bytes, words) in [
        ((1 << 20) + 1, "cannot read the profile from standard input: it is larger than 1 MiB"),
        (1 << 20, "<stdin>:1:1"),
    ] {
        let mut check = place.stockade(As::all()[0]);
        let mut check = check
            .args(["check", "--format", "json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // A reader that has read enough may be gone.
        drop(std::io::Write::write_all(&mut check.stdin.take().unwrap(), &vec![b'#'; bytes]));
        let output = check.wait_with_output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let place = format!(
            "{}:{}:{}",
            found[0]["file"].as_str().unwrap_or_default(),
            found[0]["line"],
            found[0]["column"]
        );
        let said = format!("{place} {}", found[0]["message"]);
        assert!(output.status.code() == Some(125) && said.contains(words), "{said}");
    }
}

/// A writer that puts a whole file in the place of another, as editors do, is never seen half-way:
/// the profile is one or the other.
#[test]
fn a_profile_that_is_replaced_is_one_or_the_other() {
    let place = Place::new();
    let whole = |letter: char| {
        format!(
            "format = 1\n{}description = \"{letter}\"\n{COMMAND}",
            format!("# {}\n", letter.to_string().repeat(2_000)).repeat(20)
        )
    };
    let texts = ['a', 'b'].map(whole);
    place.file("main.toml", &texts[0]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for nth in 0.. {
                let new = place.file("new.toml", &texts[nth % 2]);
                std::fs::rename(new, place.path.join("main.toml")).unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut seen = [0, 0];
        for _ in 0..2_000 {
            let (loaded, sources) = tried(&place, Request::default());
            let profile = loaded.unwrap_or_else(|problems| panic!("{}", problems.json(&sources)));
            let letter = profile.description.get().unwrap().value.clone();
            let source = sources.source(profile.description.at()).unwrap();
            assert!(texts.iter().any(|text| **text == *source.text), "the text is neither");
            seen[usize::from(letter == "b")] += 1;
            if seen.iter().all(|times| *times > 20) {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(seen.iter().all(|times| *times > 0), "the writer did not write: {seen:?}");
    });
}

/// A writer that writes into the file itself can be seen half-way. What grew or shrank while it was
/// read is refused; whatever is read whole is taken for what it is.
#[test]
fn a_profile_that_is_rewritten_is_refused_or_read() {
    let place = Place::new();
    let text = format!("format = 1\n{COMMAND}{}", "# a comment of some length\n".repeat(20_000));
    let path = place.file("main.toml", &text);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::fs::write(&path, &text).unwrap();
            }
        });
        for _ in 0..300 {
            let (loaded, sources) = tried(&place, Request::default());
            let Err(problems) = loaded else { continue };
            for problem in problems.iter() {
                let known = problem.message.ends_with("it changed while it was read")
                    || sources.place(problem.at).is_some()
                    || problem.code == "process::command";
                assert!(known, "{problem:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_refused_is_refused_before_it_waits() {
    let place = Place::new();
    for (name, make) in FILES {
        let place = Place::new();
        make(&place);
        let start = std::time::Instant::now();
        let output = place.stockade(As::all()[0]).args(["check", "./main.toml"]).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{name}: {}", text(&output.stderr));
        assert!(
            start.elapsed() < std::time::Duration::from_secs(10),
            "{name}: {:?}",
            start.elapsed()
        );
    }
    drop(place);
}

// ---- bytes that are not UTF-8 ----

/// It names such bytes by variables, by a pattern and by themselves.
const STRANGE: &str = r#"format = 1
extends = ["base"]
[process]
command = ["/bin/sh", "-c", "printf '%s|' \"$A\" \"$HALF\" \"$@\" \"$PWD\"; printf '%s ' *; cat h* w*", "sh", "${ARGS}"]
cwd = "${CWD}"
[env]
A = true
HALF = "${env:HALF}\U0010ffa9"
"LC_*" = true
[mounts]
"${PROFILE_DIR}" = "ro"
"${CWD}/h*" = { hide = true }
"${CWD}/w\U0010ff80" = { text = "w\U0010ffff" }
"#;

#[test]
fn bytes_that_are_not_utf8_reach_the_target_as_they_are() {
    let place = Place::new();
    let bytes = OsStr::from_bytes;
    for who in As::all() {
        let strange = place.folder(&format!("bytes-{who:?}"), *who).join(bytes(b"caf\xe9"));
        let profile = strange.join(bytes(b"\xc3.toml"));
        std::fs::create_dir(&strange).unwrap();
        std::fs::write(&profile, STRANGE).unwrap();
        std::fs::write(strange.join(bytes(b"h\xff")), "hidden").unwrap();
        std::fs::write(strange.join(bytes(b"w\x80")), "covered").unwrap();
        for path in [&strange, &profile] {
            std::os::unix::fs::chown(path, who.id(), None).unwrap();
        }
        let stockade = |words: &[&str]| {
            let mut command = place.stockade(*who);
            command.current_dir(&strange).env("A", bytes(b"v\xff\xe2\x82"));
            command.env("HALF", bytes(b"\xc3")).env(bytes(b"LC_\xe9"), "\u{10ffe9}");
            command.args(words).arg(bytes(b"./\xc3.toml"));
            command
        };
        let run = stockade(&["run"]).arg(bytes(b"word\xe9")).output().unwrap();
        let mut expected = b"v\xff\xe2\x82|\xc3\xa9|word\xe9|".to_vec();
        expected.extend(strange.as_os_str().as_bytes());
        expected.extend(b"|h\xff w\x80 \xc3.toml w\xff");
        assert!(run.stdout == expected, "{who:?} {run:?}");
        // What people and programs read is UTF-8, and shows the bytes.
        let plan = String::from_utf8(stockade(&["plan"]).output().unwrap().stdout).unwrap();
        assert!(plan.contains(r"caf\xe9") && plan.contains(r"LC_\xe9"), "{plan}");
        let json = stockade(&["plan", "--format", "json"]).output().unwrap();
        let json = String::from_utf8(json.stdout).unwrap();
        assert!(json.contains(r"caf\udbff\udfe9/h\udbff\udfff"), "{json}");
    }
}

#[test]
fn a_built_in_profile_works_in_a_directory_that_is_not_utf8() {
    let place = Place::new();
    let strange = place.folder("top", As::User).join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&strange).unwrap();
    std::os::unix::fs::chown(&strange, As::User.id(), None).unwrap();
    let mut command = place.stockade(As::User);
    command.current_dir(&strange).args(["run", "default", "sh", "-c", "echo a > b; cat b"]);
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "a\n"));
    assert!(strange.join("b").exists());
}
