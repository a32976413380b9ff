//! Job `start`: one whole run of stockade, of the bare system calls and of bubblewrap, in turns.

use crate::gates::Gates;
use crate::measure::{Program, median, millis, paired_ratio, quantile};
use crate::sandbox::Stage;

const GATE_FLOOR: (f64, &str) = (1.25, "of the floor");
const GATE_BWRAP: (f64, &str) = (0.60, "of bwrap");
/// What the gate of bwrap assumes of the floor. bwrap builds less: no filter, no Landlock, a full
/// bounding set, an uncovered /proc. Where these alone cost more, the bare system calls leave a
/// launcher no room, and the gate of the floor says all that there is to say.
const ROOM: f64 = 0.50;

/// A run whose peer varies more than this, as p75 over p25, was disturbed.
const QUIET: f64 = 1.5;
const TRIES: usize = 4;
const WARM_UP: usize = 10;

/// Runs the contest and judges it.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    let rounds = rounds();
    println!(
        "start: all namespaces, read-only system, tmpfs, proc, dev, true; {rounds} rounds in \
         turns; milliseconds"
    );
    let mut contenders = vec![stage.stockade(0)?, stage.floor()?];
    contenders.extend(stage.bwrap(0)?);
    let (times, quiet) = measure_quietly(&contenders, rounds)?;
    print_times(&contenders, &times);
    print_ratios(&times);
    judge(gates, &times, quiet);
    Ok(())
}

fn rounds() -> usize {
    std::env::var("STOCKADE_BENCH_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .filter(|runs| *runs > 0)
        .unwrap_or(100)
}

/// Measures until a measurement was undisturbed, or it has tried often enough; gives the last, and
/// whether it was quiet.
fn measure_quietly(contenders: &[Program], rounds: usize) -> Result<(Vec<Vec<f64>>, bool), String> {
    let mut times = Vec::new();
    for attempt in 1..=TRIES {
        times = measure(contenders, rounds)?;
        let reference = &times[times.len() - 1];
        let spread = quantile(reference, 0.75) / quantile(reference, 0.25);
        if spread <= QUIET {
            return Ok((times, true));
        }
        println!(
            "  discarded: attempt {attempt} of {TRIES}, p75/p25 of {} is {spread:.2}",
            contenders[times.len() - 1].name()
        );
    }
    Ok((times, false))
}

/// Milliseconds by contender, then by round. Each round begins with another contender, as each pays
/// for what the kernel still clears away of the one before.
fn measure(contenders: &[Program], rounds: usize) -> Result<Vec<Vec<f64>>, String> {
    let mut costs = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..WARM_UP + rounds {
        for turn in 0..contenders.len() {
            let turn = (round + turn) % contenders.len();
            let cost = contenders[turn].run()?;
            if round >= WARM_UP {
                costs[turn].push(cost);
            }
        }
    }
    Ok(costs.iter().map(|costs| millis(costs)).collect())
}

fn print_times(contenders: &[Program], times: &[Vec<f64>]) {
    println!("  {:<10} {:>8} {:>8} {:>8} {:>8}", "", "min", "p25", "median", "p75");
    for (contender, times) in contenders.iter().zip(times) {
        let [least, low, middle, high] = [0.0, 0.25, 0.5, 0.75].map(|share| quantile(times, share));
        println!("  {:<10} {least:>8.2} {low:>8.2} {middle:>8.2} {high:>8.2}", contender.name());
    }
}

/// Both ways to say it: of each round's pair, and of the medians.
fn print_ratios(times: &[Vec<f64>]) {
    let line = |name: &str, of: &[f64], to: &[f64]| {
        println!(
            "  {name:<18} {:.2} by pairs, {:.2} by medians",
            paired_ratio(of, to),
            median(of) / median(to)
        );
    };
    line("stockade / floor", &times[0], &times[1]);
    if let Some(bwrap) = times.get(2) {
        line("stockade / bwrap", &times[0], bwrap);
        line("floor / bwrap", &times[1], bwrap);
    }
}

fn judge(gates: &mut Gates, times: &[Vec<f64>], quiet: bool) {
    let floor = times.get(2).map_or(0.0, |bwrap| paired_ratio(&times[1], bwrap));
    for ((limit, unit), peer) in [(GATE_FLOOR, times.get(1)), (GATE_BWRAP, times.get(2))] {
        match peer {
            Some(_) if unit == GATE_BWRAP.1 && floor > ROOM => {
                gates.pass_over(
                    limit,
                    unit,
                    &format!("the bare system calls take {floor:.2} of it here"),
                );
            }
            None => gates.pass_over(limit, unit, "bwrap is not installed"),
            Some(_) if !quiet => gates.pass_over(limit, unit, "the machine is not quiet"),
            Some(peer) => gates.judge(limit, unit, paired_ratio(&times[0], peer)),
        }
    }
}
