//! Loads a profile, plans it, prints the plan and runs it, twice: by the public face of the library
//! and by nothing else. What it prints is what `tests/face.rs` looks at.

use std::collections::BTreeSet;
use std::process::ExitCode;
use stockade::{Outcome, Plan, Problems, Request, launch, load, plan};

/// What callers do with results: errors go to other threads, and into `Box<dyn Error + Send + Sync>`.
const _: () = {
    const fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Request>();
    is_shared::<stockade::Profile>();
    is_shared::<Plan>();
    is_shared::<stockade::Ended>();
    is_shared::<Outcome>();
    is_shared::<Problems>();
    is_shared::<stockade::Place>();
};

const PROFILE: &str = r#"
format = 1
optional = ["landlock", "landlock.scope", "landlock.truncate"]
programs = ["${COMMAND}", "cat"]
[process]
command = ["sh", "-c", "${ARGS}"]
[mounts]
"/proc" = "proc"
"#;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (what, script) = (words[0].as_str(), words[1].as_str());
    let done = match what {
        "run" => run(script),
        "threads" => std::thread::scope(|scope| {
            let (end, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            let done = run(script);
            drop(end);
            done
        }),
        _ => unreachable!("{what}"),
    };
    match done {
        Ok(status) => status.into(),
        Err(problems) => {
            for problem in problems.iter() {
                eprintln!("{} {}: {}", problem.number(), problem.code(), problem.message());
            }
            eprintln!("{problems}");
            problems.status().into()
        }
    }
}

fn run(script: &str) -> Result<u8, Problems> {
    let plan = planned(script)?;
    println!("{plan}");
    for skipped in plan.skipped() {
        println!("skipped: {skipped}");
    }
    let before = of_the_process();
    let first = launch(&plan)?;
    for line in of_the_process().symmetric_difference(&before) {
        println!("changed: {line}");
    }
    // This process continues: the same plan again, and another.
    let second = launch(&plan)?;
    let third = launch(&planned(script)?)?;
    for ended in [&first, &second, &third] {
        assert_eq!(ended.outcome(), first.outcome());
        assert!(ended.elapsed() > std::time::Duration::ZERO);
        assert_eq!(ended.leftovers().count(), 0);
    }
    match first.outcome() {
        Outcome::Exited(status) => println!("exited: {status}"),
        other => println!("ended: {other:?}"),
    }
    Ok(first.outcome().status())
}

fn planned(script: &str) -> Result<Plan, Problems> {
    plan(load(&Request::text("face", PROFILE).config("rlimits.nofile = 64").args([script]))?)
}

/// Descriptors, signals, limits and dumpability of this process, which a launch changes for a
/// while.
fn of_the_process() -> BTreeSet<String> {
    let of = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let (status, limits) = (of("status"), of("limits"));
    let kept = ["SigBlk:", "SigIgn:", "SigCgt:", "Threads:", "NoNewPrivs:", "CapEff:"];
    let status = status.lines().filter(|line| kept.iter().any(|key| line.starts_with(key)));
    let files = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| {
        let entry = entry.unwrap();
        format!("{:?} is {:?}", entry.file_name(), std::fs::read_link(entry.path()).ok())
    });
    // Only a dumpable process may be looked into by its user (proc(5)), root apart.
    let dumpable = format!("may be looked into: {}", std::fs::read_link("/proc/self/exe").is_ok());
    status.chain(limits.lines()).map(str::to_owned).chain(files).chain([dumpable]).collect()
}
