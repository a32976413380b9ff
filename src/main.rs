//! stockade reads a TOML profile, checks it, builds the sandbox that it declares and executes the target in it.
//!
//! The architecture is a compiler's, in one direction (see the library's page): `load` makes a typed profile of text, `plan`
//! makes steps of the profile and the facts of the machine, `launch` walks the steps. Every error is a
//! [`Problem`](stockade::problem::Problem) with its line; status 125 means that stockade failed, not the target.

mod cli;
mod commands;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(message) = commands::refuse_privilege() {
        eprintln!("stockade: {message}");
        return ExitCode::from(commands::FAILED);
    }
    match cli::Cli::try_parse() {
        Ok(cli) => commands::dispatch(cli),
        Err(error) => {
            // Help and version are no failure; a wrong command line is ours, not the target's.
            let failed = error.use_stderr();
            if error.print().is_err() || failed { ExitCode::from(commands::FAILED) } else { ExitCode::SUCCESS }
        }
    }
}
