//! Job `limits`: what three control groups of version 1 add to a start, on a machine that is idle between starts: writing to the wrong file
//! (`cgroup.procs`) costs 12 ms there, and next to nothing where starts follow one another.

use crate::gates::Gates;
use crate::measure::{median, millis, quantile};
use crate::sandbox::Stage;
use std::time::Duration;

const GATE: (f64, &str) = (0.6, "ms added by three controllers of version 1");
const ROUNDS: usize = 40;
/// The time between two starts.
const IDLE: Duration = Duration::from_millis(120);

/// Measures starts with and without limits in turns, and judges the difference.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    println!("limits: memory, pids and cpu limited, {ROUNDS} rounds in turns, {} ms idle before each; milliseconds", IDLE.as_millis());
    let Some(limited) = stage.limited()? else {
        gates.pass_over(GATE.0, GATE.1, "root did not start it, or the machine has not these controllers in version 1");
        return Ok(());
    };
    let programs = [stage.stockade(0)?, limited];
    let mut costs = [vec![], vec![]];
    for round in 0..ROUNDS {
        for turn in [round % 2, 1 - round % 2] {
            std::thread::sleep(IDLE);
            costs[turn].push(programs[turn].run()?);
        }
    }
    let [without, with] = costs.map(|costs| millis(&costs));
    for (name, times) in [("without", &without), ("with", &with)] {
        println!("  {name:<10} min {:.2}, p25 {:.2}, median {:.2}", quantile(times, 0.0), quantile(times, 0.25), median(times));
    }
    let added: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    println!(
        "  added by pairs: p25 {:.2}, median {:.2}; by minima {:.2}",
        quantile(&added, 0.25),
        median(&added),
        quantile(&with, 0.0) - quantile(&without, 0.0)
    );
    gates.judge(GATE.0, GATE.1, median(&added));
    Ok(())
}
