use super::*;

#[test]
fn suggestions_are_near_or_absent() {
    assert_eq!(did_you_mean("memroy", ["memory", "pids"]), Some("memory"));
    assert_eq!(did_you_mean("zzz", ["memory", "pids"]), None);
    assert_eq!(did_you_mean(&"x".repeat(1 << 20), [&*"x".repeat(1 << 20)]), None);
}

#[test]
fn a_line_that_is_too_long_to_draw_is_cut() {
    let mut sources = Sources::default();
    let base =
        sources.add("p.toml", &format!("a = 1\n{} = 1\nb = 1\n\n\nc = 1\n", "x".repeat(70_000)));
    let shown = |start: u32| {
        Problems::from(Problem::new("t::x", Span { start, end: start + 3 }, "bad"))
            .render(&sources, Style::Plain)
    };
    let (long, last, past) = (shown(base + 70_000), shown(base + 70_018), shown(base + 70_900));
    assert!(
        long.contains("p.toml:2:69995")
            && long.len() < 2_000
            && last.contains("c = 1")
            && !past.is_empty(),
        "{long}{last}{past}"
    );
}

#[test]
fn a_place_in_another_text_of_the_same_name_is_told_in_words() {
    let mut sources = Sources::default();
    let (first, second) = (sources.add("--config", "a = 1"), sources.add("--config", "bcd = 2"));
    let problem = Problem::new("t::x", Span { start: second, end: second + 3 }, "bad")
        .also(Span { start: first, end: first + 1 }, "was here");
    let shown = Problems::from(problem).render(&sources, Style::Plain);
    assert!(shown.contains("--config:1:1: was here") && shown.contains("bcd = 2"), "{shown}");
}

#[test]
fn control_characters_are_shown_not_sent() {
    assert_eq!(escape("a\x1b]0;x\x07b"), "a\\u{1b}]0;x\\u{7}b");
    // Neither does it begin a line, a column, or hide.
    assert_eq!(
        escape("a\n\t\u{61c}\u{2028}\u{2029}\u{feff}\u{200b}"),
        r"a\n\t\u{61c}\u{2028}\u{2029}\u{feff}\u{200b}"
    );
    assert_eq!(escape_lines("a\n\tb\x1b"), "a\n\tb\\u{1b}");
    // Tags, which machines read and terminals do not show; a selector of a glyph; DEL.
    assert_eq!(escape("a\u{e0041}\u{fe0f}\u{7f}"), r"a\u{e0041}\u{fe0f}\u{7f}");
    let tagged = serde_json::to_string("a\u{e0041}b\u{2060}").unwrap();
    let quiet = quiet_json(tagged.clone());
    assert!(quiet.is_ascii(), "{quiet}");
    let read = |json: &str| serde_json::from_str::<String>(json).unwrap();
    assert_eq!(read(&quiet), read(&tagged));
    let mut sources = Sources::default();
    let base = sources.add("p\x1b.toml", "a = '\x1b[31m'\n");
    let problem = Problem::new("t::x", Span { start: base, end: base + 1 }, "bad \u{202e} thing");
    let shown = Problems::from(problem).render(&sources, Style::Plain);
    assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown}");
    let json = Problems::from(Problem::new(
        "t::x",
        Span { start: base, end: base + 1 },
        "\u{202e}\u{9b}é\n",
    ))
    .json(&sources);
    assert!(json.contains(r#""\u202e\u009bé\n""#), "{json}");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json).unwrap()[0]["message"],
        "\u{202e}\u{9b}é\n"
    );
}

#[test]
fn one_cause_is_one_problem() {
    let mut sources = Sources::default();
    let base = sources.add("p.toml", "a = 1\nb = 1\nc = 1\nd = 1\n");
    let at = |line: u32| Span { start: base + line * 6, end: base + line * 6 + 1 };
    let unset =
        |line| Problem::new("variable::unset", at(line), "cannot expand `${X}`").help("set it");
    let all = |problems: Vec<Problem>| {
        let mut all = Problems::default();
        all.extend(problems);
        (
            all.render(&sources, Style::Plain),
            serde_json::from_str::<serde_json::Value>(&all.json(&sources)).unwrap(),
        )
    };
    let (shown, json) = all((0..4).map(unset).collect());
    assert_eq!(shown.matches("cannot expand").count(), 1, "{shown}");
    assert!(shown.contains("the same at p.toml:2:1, p.toml:3:1 and 1 more place\n"), "{shown}");
    assert!(!shown.contains("problem"), "one needs no count: {shown}");
    let lines: Vec<_> =
        json[0]["places"].as_array().unwrap().iter().map(|place| &place["line"]).collect();
    assert_eq!((json.as_array().unwrap().len(), lines), (1, vec![&2.into(), &3.into(), &4.into()]));
    let (two, _) = all((0..3).map(unset).collect());
    assert!(two.contains("the same at p.toml:2:1 and p.toml:3:1\n"), "{two}");
    // Another help, another reason, or no place: another cause.
    let (apart, json) = all(vec![
        unset(0),
        unset(1).help("leave it out"),
        Problem::new("variable::unset", at(2), "cannot expand `${Y}`"),
    ]);
    assert!(apart.ends_with("3 problems\n") && json.as_array().unwrap().len() == 3, "{apart}");
    // A line that makes many grants, and one that has two faults.
    let grant = |path: &str, why: &str| {
        Problem::new("mounts::owner", at(1), format!("cannot grant {path}: {why}"))
    };
    let (line, json) = all(vec![
        grant("/a", "it is root's"),
        grant("/b", "it is root's"),
        grant("/c", "it is root's"),
        grant("/d", "it is a link"),
    ]);
    assert!(
        line.contains("the same of 2 more grants, which this line makes")
            && line.contains("2 problems"),
        "{line}"
    );
    assert_eq!(json.as_array().unwrap().len(), 4);
    let typo = |key: &str| {
        Problem::new("profile::value", at(1), format!("cannot read `{key}`: there is no such key"))
    };
    assert!(all(vec![typo("x"), typo("y")]).0.contains("2 problems"));
}
