//! Gates: a limit, what was measured, and whether that is within it.

use std::fmt;
use std::process::ExitCode;

/// How many gates held, and how many did not.
#[derive(Debug, Default)]
pub struct Gates {
    held: usize,
    missed: usize,
    unjudged: usize,
}

impl Gates {
    /// Prints and counts one gate: `value` is to be at most `limit`, both in `unit`.
    pub fn judge(&mut self, limit: f64, unit: &str, value: f64) {
        let holds = value <= limit;
        *(if holds { &mut self.held } else { &mut self.missed }) += 1;
        println!(
            "  gate: {} {unit}: {} {}",
            Number(limit),
            Number(value),
            if holds { "ok" } else { "MISSED" }
        );
    }

    /// Prints and counts one gate that could not be judged.
    pub fn pass_over(&mut self, limit: f64, unit: &str, why: &str) {
        self.unjudged += 1;
        println!("  gate: {} {unit}: not judged, {why}", Number(limit));
    }

    /// Failure for a gate that was missed or not judged, where the caller wants gates to count.
    pub fn exit_code(&self) -> ExitCode {
        let counts = std::env::var_os("STOCKADE_BENCH_GATE").is_some_and(|value| value == "1");
        if counts && self.missed + self.unjudged > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl fmt::Display for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gates: {} ok, {} missed, {} not judged", self.held, self.missed, self.unjudged)
    }
}

/// A number as people write it: counts whole, ratios with two digits.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0 >= 20.0 || self.0 == 0.0 { 0 } else { 2 };
        write!(f, "{:.digits$}", self.0)
    }
}
