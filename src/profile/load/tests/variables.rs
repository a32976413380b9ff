//! Parameters and variables.

use super::*;

fn env<'p>(profile: &'p Profile, name: &str) -> &'p str {
    match &profile.env.get(name).unwrap().value {
        crate::policy::env::Variable::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_variable_has_its_value() {
    let place = Place::main(
        "[env]\nA = '${HOME}|${CWD}|${RUNTIME_DIR}|${GID}|${USER}'\nB = '$${HOME} $5 $'\nC = \
         '${env:NOPE:-text}'\nD = '${env:TOKEN}'\nE = '${env:NOPE:-}'\nF = '${PROFILE_DIR}'\n",
    );
    let profile = place.load();
    assert_eq!(env(&profile, "A"), "/home/ada|/work/site|/run/user/1000|100|ada");
    assert_eq!(env(&profile, "B"), "${HOME} $5 $");
    assert_eq!(env(&profile, "C"), "text");
    assert_eq!(env(&profile, "D"), "hunter2-hunter2");
    assert_eq!(env(&profile, "E"), "");
    assert_eq!(env(&profile, "F"), place.path.to_str().unwrap());
}

#[test]
fn what_is_wrong_in_a_text_is_pointed_at_exactly() {
    let place = Place::main(
        "[env]\nA = \"x${HOEM}y${HOME}${prject}\"\nB = '${env:NOPE}'\nC = \"${env:EMPTY}\"\nD = \
         '''\n${NO}'''\nE = \"\\u0041${NO}\"\nF = '${HOME'\nG = '${env:A:-${HOME}}'\nH = '${}'\nI \
         = '${env:}'\n",
    );
    let problems = place.problems();
    let short: Vec<&str> =
        problems.iter().map(|problem| problem.split(" (").next().unwrap()).collect();
    assert_eq!(
        short,
        [
            "main.toml:3:7: cannot find the variable `HOEM`: there is none of that name",
            "main.toml:3:22: cannot find the variable `prject`: there is none of that name",
            "main.toml:4:6: cannot expand `${env:NOPE}`: the caller's environment does not have \
             it, or it is empty",
            "main.toml:5:6: cannot expand `${env:EMPTY}`: the caller's environment does not have \
             it, or it is empty",
            "main.toml:7:1: cannot find the variable `NO`: there is none of that name",
            "main.toml:8:12: cannot find the variable `NO`: there is none of that name",
            "main.toml:9:6: cannot read the variable: `${` has no `}`",
            "main.toml:10:6: cannot read the variable: none can be part of another",
            "main.toml:11:6: cannot find the variable ``: there is none of that name",
            "main.toml:12:6: cannot read `${env:}`: it names no variable",
        ]
    );
    assert!(problems[0].ends_with("(did you mean `HOME`?)"));
}

#[test]
fn one_mistake_is_one_problem() {
    let place = Place::main(
        "[process]\ntimeout = '${NO}'\ncommand = ['a', '${NO}']\n[mounts]\n'/x' = { bind = \
         '${NO}', access = 'rw' }\n[params]\np = { type = 'path', default = '${NO}' }\nq = \
         { type = 'nope' }\n[env]\nA = '${p}${q}'\n",
    );
    let problems = place.problems();
    assert_eq!(problems.len(), 5, "{problems:#?}");
}

#[test]
fn parameters_have_types_and_take_them_along() {
    let text = "[params]\nn = { type = 'integer', default = 7 }\ns = \
                { type = 'size', default = '2G' }\nt = { type = 'duration' }\nl = { type = 'list', \
                default = ['--a', '${HOME}'] }\nb = { type = 'boolean', default = false }\ne = \
                { type = 'enum', values = ['x', 'y'], default = 'x' }\np = { type = 'path', \
                default = '${CWD}' }\n[process]\ntimeout = '${t}'\nnice = '${n}'\ninit = \
                '${b}'\ncommand = ['make', '-j', '${n}', '${l}', 'p=${n}', '${e}']\n[env]\nN = \
                '${n}'\nB = '${b}'\n[rlimits]\nas = '${s}'\n[mounts]\n'${p}' = { bind = '${p}/' }\n";
    let profile = Place::main(text).set("t", "10m").load();
    assert_eq!(profile.process.nice.get().unwrap().0, 7);
    assert!(!profile.process.init.get().unwrap().value);
    assert_eq!(profile.process.timeout.get().unwrap().to_string(), "10m");
    assert_eq!(command(&profile), ["make", "-j", "7", "--a", "/home/ada", "p=7", "x"]);
    assert_eq!((env(&profile, "N"), env(&profile, "B")), ("7", "false"));
    assert_eq!(source_of(&profile, "/work/site"), "/work/site");
    // On the command line a list is split at commas, and a path may be relative to the caller's
    // directory.
    let profile =
        Place::main(text).set("t", "1s").set("l", "a,b").set("p", "sub").set("n", "-3").load();
    assert_eq!(command(&profile), ["make", "-j", "-3", "a", "b", "p=-3", "x"]);
    assert_eq!(source_of(&profile, "/work/site/sub"), "/work/site/sub");
}

#[test]
fn what_is_wrong_with_a_parameter_is_said_at_its_place() {
    let text = "[params]\nproject = { type = 'path' }\njobs = \
                { type = 'integer', default = 'x' }\nmode = \
                { type = 'enum', values = ['a', 'b'], default = 'c' }\nBad = \
                { type = 'string' }\nhex = { type = 'integer', default = 0x10 }\nstray = 'x'\nold \
                = { type = 'string', defualt = 'x' }\n";
    assert_eq!(
        Place::main(text).problems(),
        [
            "main.toml:3:1: the parameter `project` has no value (give it one: \
             --set project=VALUE, or declare a default)",
            "main.toml:4:38: cannot give `jobs` this value: it is of type `integer`: `x` is not a \
             whole number",
            "main.toml:5:56: cannot give `mode` this value: it is of type `enum`: `c` is not one \
             of its values (one of a, b)",
            "main.toml:6:1: cannot declare the parameter `Bad`: a name is lower case, digits and \
             `-` (such as: project = { type = \"path\" })",
            "main.toml:7:37: cannot give `hex` this value: it is of type `integer`: write the \
             number in decimal",
            "main.toml:8:1: cannot set the parameter `stray`: no layer below declares it (to \
             declare it: stray = { type = \"string\" })",
            "main.toml:9:26: cannot read `defualt`: there is no such key (did you mean `default`?)",
        ]
    );
}

#[test]
fn flags_that_set_are_checked_in_their_own_text() {
    let text = "[params]\nproject = { type = 'path', default = '/p' }\njobs = \
                { type = 'integer', default = 1 }\n";
    assert_eq!(
        Place::main(text).set("jbos", "3").problem(),
        "--set:1:1: cannot set the parameter `jbos`: the profile has none of that name (did you \
         mean `jobs`?)"
    );
    assert_eq!(
        Place::main(text).set("jobs", "many").problem(),
        "--set:1:6: cannot give `jobs` this value: it is of type `integer`: `many` is not a whole \
         number"
    );
    for bad in ["/a/../b", "a/../b", "", "a\nb"] {
        let problem = Place::main(text).set("project", bad).problem();
        assert!(
            problem
                .starts_with("--set:1:9: cannot give `project` this value: it is of type `path`"),
            "{problem}"
        );
    }
    let mut place = Place::main(text).set("project", "sub");
    place.caller.cwd = String::new();
    assert!(place.problem().contains("it is relative, and the caller's directory was removed"));
}

#[test]
fn a_stronger_layer_gives_an_inherited_parameter_its_value() {
    let place =
        Place::main("extends = ['b.toml']\n[params]\np = '/child'\n").config("params.q = '/flag'");
    place.file(
        "b.toml",
        "[params]\np = { type = 'path' }\nq = { type = 'path', default = '/q' }\n[mounts]\n'/p' = \
         { bind = '${p}' }\n'/q' = { bind = '${q}' }\n",
    );
    let profile = place.load();
    assert_eq!(
        (source_of(&profile, "/p"), source_of(&profile, "/q")),
        ("/child".into(), "/flag".into())
    );
    let place = place.set("p", "/set");
    assert_eq!(source_of(&place.load(), "/p"), "/set");
}

/// NOTES-security 86: a value is one value, whatever is in it.
#[test]
fn values_bring_no_structure() {
    let refused = |text: &str, words: &str| {
        let problem = Place::main(text).problem();
        assert!(problem.contains(words), "{problem}");
    };
    refused("[mounts]\n'/x' = { bind = '/${env:UP}' }\n", "goes up with `..`");
    refused("[mounts]\n'/${env:UP}' = 'ro'\n", "goes up with `..`");
    refused(
        "[mounts]\n'/x' = { bind = '/${env:LINE}' }\n",
        "cannot put this variable into a path: its value holds a line break",
    );
    refused("[mounts]\n'/${env:LINE}' = 'ro'\n", "cannot hold a line break");
    // A break of the text's own is none of the variable's.
    let own = Place::main("[mounts]\n'/x' = { bind = \"${CWD}/new\\nline\" }\n").load();
    assert_eq!(source_of(&own, "/x"), "/work/site/new\nline");
    refused(
        "[mounts]\n'/${n}' = 'ro'\n[params]\nn = { type = 'string', default = \"a\\u0000b\" }\n",
        "cannot hold a NUL byte",
    );
    refused("[capabilities]\nkeep = ['${env:BANG}']\n", "a word that removes");
    refused(
        "[capabilities]\nkeep = ['!${s}']\n[params]\ns = { type = 'string', default = '*' }\n",
        "a word that removes",
    );
    refused(
        "[capabilities]\nkeep = ['${l}']\n[params]\nl = { type = 'list', default = ['!*'] }\n",
        "a word that removes",
    );
    refused("[process]\narg0 = '${env:WORD}'\n", "a word that removes");
    refused(
        "[params]\ns = { type = 'string', default = '64M,size=1T' }\n[mounts]\n'/t' = { tmpfs = \
         '${s}' }\n",
        "`64M,size=1T` is not a size",
    );
    let profile = Place::main(
        "[process]\ncommand = ['x', '${env:BANG}', '${env:WORD}', '${s}']\n[params]\ns = \
         { type = 'string', default = '\"] #' }\n[env]\nA = '${s}'\nB = '${t}'\n",
    )
    .set("s", "${HOME}\"]\n[mounts]\n'/' = 'rw'");
    profile.problem();
    let place = Place::main(
        "[process]\ncommand = ['x', '${env:BANG}', '${env:WORD}', '${s}']\n[params]\ns = \
         { type = 'string', default = 'x' }\n",
    );
    let injected = "${HOME}\"]\n[mounts]\n'/' = 'rw'";
    let profile = place.set("s", injected).load();
    assert_eq!(command(&profile), ["x", "!*", "default", injected]);
    assert!(profile.mounts.map.is_empty());
}

/// NOTES-security 90: messages name variables of the caller's environment and do not show them.
#[test]
fn the_callers_environment_is_not_printed() {
    let texts = [
        "[process]\ntimeout = '${env:TOKEN}'\n",
        "[process]\numask = '${env:TOKEN}'\ncwd = '${env:TOKEN}'\n",
        "[mounts]\n'${env:TOKEN}' = 'ro'\n",
        "[mounts]\n'/x' = { bind = '${env:TOKEN}' }\n'/y' = '${env:TOKEN}'\n",
        "[capabilities]\nkeep = ['${env:TOKEN}']\n",
        "[params]\nt = { type = 'integer', default = '${env:TOKEN}' }\n",
        "[params]\nt = { type = 'string', default = '${env:TOKEN}' }\n[process]\ntimeout = '${t}'\n",
        "[identity]\nuser = '${env:TOKEN} '\n",
    ];
    for text in texts {
        let place = Place::main(text);
        let (loaded, sources) = place.try_load();
        let problems = loaded.unwrap_err();
        let shown = problems.render(&sources, Style::Plain) + &problems.json(&sources);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
