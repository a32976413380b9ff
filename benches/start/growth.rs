//! Job `growth`: what more binds cost. bubblewrap reads /proc/self/mountinfo again for each, so its
//! time grows with the square.

use crate::gates::Gates;
use crate::measure::{Program, median, millis};
use crate::sandbox::{BINDS, Stage};

const GATE_LINEAR: (f64, &str) = (20.0, "times 100 binds for 1000");
const GATES_BWRAP: [Option<(f64, &str)>; 3] =
    [None, Some((0.25, "of bwrap with 100 binds")), Some((0.08, "of bwrap with 1000 binds"))];

/// Measures each number of binds and judges the growth.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    println!("growth: the same sandbox with so many more binds; median milliseconds");
    println!("  {:<8} {:>6} {:>10} {:>10} {:>8}", "binds", "runs", "stockade", "bwrap", "ratio");
    let mut rows = Vec::new();
    for binds in BINDS {
        rows.push(measure(stage, binds)?);
    }
    judge(gates, &rows);
    Ok(())
}

/// Prints one line; gives the medians of stockade and of bubblewrap.
fn measure(stage: &Stage, binds: usize) -> Result<(f64, Option<f64>), String> {
    let runs = if binds >= 1000 { 3 } else { 15 };
    let middle = |program: &Program| program.repeat(runs).map(|costs| median(&millis(&costs)));
    let program = stage.stockade(binds)?;
    program.run()?;
    let stockade = middle(&program)?;
    let bwrap = stage.bwrap(binds)?.as_ref().map(middle).transpose()?;
    let peer = bwrap.map_or(format!("{:>10} {:>8}", "-", "-"), |bwrap| {
        format!("{bwrap:>10.2} {:>8.3}", stockade / bwrap)
    });
    println!("  {binds:<8} {runs:>6} {stockade:>10.2} {peer}");
    Ok((stockade, bwrap))
}

fn judge(gates: &mut Gates, rows: &[(f64, Option<f64>)]) {
    gates.judge(GATE_LINEAR.0, GATE_LINEAR.1, rows[2].0 / rows[1].0);
    for ((stockade, bwrap), gate) in rows.iter().zip(GATES_BWRAP) {
        match (gate, bwrap) {
            (None, _) => {}
            (Some((limit, unit)), Some(bwrap)) => gates.judge(limit, unit, stockade / bwrap),
            (Some((limit, unit)), None) => gates.pass_over(limit, unit, "bwrap is not installed"),
        }
    }
}
