//! Job `limits`: what control groups add to a start, on a machine that is idle between starts:
//! writing to the wrong file (`cgroup.procs`) costs 12 ms there, and next to nothing where starts
//! follow one another.
//!
//! The kernel's own part of it is measured beside it, as it differs by machines: not only the
//! groups are made and removed, but each file system and namespace that begins in a new memory
//! group costs more too. So it is what stockade adds to that which is judged anywhere, and the sum
//! only where the kernel leaves room for it.

use crate::gates::Gates;
use crate::groups;
use crate::measure::{median, millis, quantile};
use crate::sandbox::Stage;
use std::path::Path;
use std::time::Duration;

const ROUNDS: usize = 100;
/// The time between two starts.
const IDLE: Duration = Duration::from_millis(120);
/// What finding, locking, reading back and sweeping may take.
const OWN: f64 = 0.23;

/// What is measured: the version, its limits, and the gate for all together.
const KINDS: [(&str, &str, f64); 2] =
    [("v1", "memory, pids and cpu of version 1", 0.6), ("v2", "hugetlb of version 2", 0.4)];

/// Measures starts with and without limits in turns, of stockade and of the bare system calls, and
/// judges the difference.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    println!(
        "limits: {ROUNDS} rounds in turns, {} ms idle before each; milliseconds",
        IDLE.as_millis()
    );
    let there = groups::there(Path::new(&stage.name()));
    for ((version, limits, whole), there) in KINDS.into_iter().zip([there.v1, there.v2]) {
        let unit = format!("ms added by {limits}");
        if !there {
            gates.pass_over(
                whole,
                &unit,
                "root did not start it, or the machine has not these controllers there",
            );
            continue;
        }
        let [stockade, floor] = added(stage, version)?;
        gates.judge(
            OWN,
            &format!("{unit}, besides what the bare system calls add"),
            stockade.at_rest - floor.at_rest,
        );
        if floor.median > whole - OWN {
            gates.pass_over(
                whole,
                &unit,
                &format!(
                    "the bare system calls add {:.2} here; it is {:.2}",
                    floor.median, stockade.median
                ),
            );
        } else {
            gates.judge(whole, &unit, stockade.median);
        }
    }
    Ok(())
}

/// What limits add to a start.
struct Added {
    /// By pairs.
    median: f64,
    /// Between the lower quartiles: a machine at work only adds, and of two differences the noise
    /// of four measures remains.
    at_rest: f64,
}

/// The same of stockade, and of the bare system calls.
fn added(stage: &Stage, version: &str) -> Result<[Added; 2], String> {
    let [stockade, floor] = stage.limited(version)?;
    let programs = [stage.stockade(0)?, stockade, stage.floor()?, floor];
    let mut costs = [vec![], vec![], vec![], vec![]];
    for round in 0..ROUNDS {
        for turn in 0..programs.len() {
            std::thread::sleep(IDLE);
            let turn = (turn + round) % programs.len();
            costs[turn].push(programs[turn].run()?);
        }
    }
    let [without, with, floor, limited_floor] = costs.map(|costs| millis(&costs));
    Ok([tell(version, "stockade", &without, &with), tell(version, "floor", &floor, &limited_floor)])
}

/// Prints both, and what limits add.
fn tell(version: &str, name: &str, without: &[f64], with: &[f64]) -> Added {
    for (what, times) in [("without", without), ("with", with)] {
        println!(
            "  {version} {name:<9} {what:<8} min {:.2}, p25 {:.2}, median {:.2}",
            quantile(times, 0.0),
            quantile(times, 0.25),
            median(times)
        );
    }
    let pairs: Vec<f64> = with.iter().zip(without).map(|(with, without)| with - without).collect();
    let added =
        Added { median: median(&pairs), at_rest: quantile(with, 0.25) - quantile(without, 0.25) };
    println!(
        "  {version} {name:<9} added    p25 {:.2}, median of pairs {:.2}",
        added.at_rest, added.median
    );
    added
}
