//! The walker of `src/tree` against the kernel's own: random stacks of directories are mounted by
//! overlayfs, as the root or below it, and what the walker says of a path in them is what the
//! kernel says. tests/tree.c makes the stacks and asks the kernel.

mod scene;

use crate::support::{As, Dice, Place, skip, text};
use scene::{Mutant, Scene};
use std::io::Write;
use std::process::Stdio;

/// How many stacks are tried for each caller, and how many paths in each.
fn size() -> (usize, usize) {
    if std::env::var_os("FULL").is_some() { (3000, 60) } else { (150, 60) }
}

/// What the kernel answers to every path of every scene.
fn answers(who: As, scenes: &[Scene]) -> Result<Vec<Vec<String>>, String> {
    let place = Place::new();
    let cases = place.folder("cases", who);
    let program = place.program("tree");
    let mut child = place
        .outside(who, program)
        .arg(&cases)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let script: String = scenes.iter().enumerate().map(|(nth, scene)| scene.script(nth)).collect();
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    if let Some(line) = said.lines().find(|line| line.starts_with("failed ")) {
        return Err(line.to_owned());
    }
    assert!(output.status.success(), "{:?}: {said}", output.status);
    writing.join().unwrap().unwrap();
    let of_case = |lines: &str| lines.lines().map(str::to_owned).collect();
    Ok(said.split_terminator("\n\n").map(of_case).collect())
}

/// The paths at which a model and the kernel disagree, with what each says.
fn wrong(scenes: &[Scene], answers: &[Vec<String>], mutant: Option<Mutant>) -> Vec<String> {
    assert_eq!(scenes.len(), answers.len());
    let mut wrong = vec![];
    for (scene, answers) in scenes.iter().zip(answers) {
        assert_eq!(scene.paths.len(), answers.len());
        for ((path, last), answer) in scene.paths.iter().zip(answers) {
            let (says, is) = (scene.says(path, *last, mutant), scene::without_time(answer));
            if says != *answer && says != is {
                wrong.push(format!("{last:?} {path}: {says:?}, but the kernel says {answer:?}"));
            }
        }
    }
    wrong
}

/// Whether this caller can make stacks here at all.
fn can_stack(who: As) -> bool {
    match answers(who, &[Scene::smallest()]) {
        Ok(_) => true,
        Err(line) => {
            skip(&format!("{who:?} can make no stacks here: {line}"));
            false
        }
    }
}

#[test]
fn the_walker_goes_where_the_kernel_goes() {
    let (count, paths) = size();
    for who in As::all().iter().copied().filter(|who| can_stack(*who)) {
        let mut dice = Dice(0x0123_4567_89ab_cdef);
        let some = |nth: usize| {
            let make = if nth.is_multiple_of(3) { Scene::rooted } else { Scene::some };
            make(&mut dice, paths, who == As::Root)
        };
        let scenes: Vec<Scene> = (0..count).map(some).collect();
        let answers = answers(who, &scenes).unwrap_or_else(|line| panic!("{who:?}: {line}"));
        let found = wrong(&scenes, &answers, None);
        assert!(found.is_empty(), "{who:?}, {} paths:\n{}", found.len(), found.join("\n"));
        // What is asked tells models apart: each wrong one is caught.
        for (mutant, rooted) in Mutant::ALL.iter().flat_map(|one| [(*one, false), (*one, true)]) {
            let told = scenes.iter().zip(&answers).filter(|(scene, _)| scene.rooted == rooted);
            let (scenes, answers): (Vec<_>, Vec<_>) =
                told.map(|(scene, answers)| (scene.clone(), answers.clone())).unzip();
            let caught = wrong(&scenes, &answers, Some(mutant)).len();
            assert!(caught > 0, "{who:?}: nothing tells {mutant:?} from the kernel ({rooted})");
        }
        let kinds = |begin: &str| {
            answers.iter().flatten().filter(|answer| answer.starts_with(begin)).count()
        };
        let there = ["d\t", "f\t", "l\t", "x\t"].map(kinds);
        let (enotdir, eloop) = (kinds("20"), kinds("40"));
        assert!(there.iter().all(|count| *count >= 10), "{there:?}");
        assert!(enotdir >= 10 && eloop >= 10, "{enotdir}, {eloop}");
        // Enough of what is asked is there.
        assert!(there.iter().sum::<usize>() > count * paths / 4, "{there:?} of {}", count * paths);
    }
}

#[test]
fn a_path_is_as_long_as_the_kernel_lets_it_be() {
    let scene = Scene::of_bounds();
    for who in As::all().iter().copied().filter(|who| can_stack(*who)) {
        let scenes = std::slice::from_ref(&scene);
        let answers = answers(who, scenes).unwrap_or_else(|line| panic!("{who:?}: {line}"));
        let found = wrong(scenes, &answers, None);
        assert!(found.is_empty(), "{who:?}:\n{}", found.join("\n"));
        for errno in [libc::ELOOP, libc::ENAMETOOLONG] {
            assert!(answers[0].contains(&errno.to_string()), "{:?}", answers[0]);
        }
    }
}
