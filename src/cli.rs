//! The command line. Its flags become one more, last, layer of the profile; there is no second way to say a thing.

use clap::{Args, Parser, Subcommand, ValueEnum};
use stockade::profile::Request;

/// A declarative sandbox launcher: a TOML profile becomes a sandbox, and the target runs in it.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Three prefixes of one pipeline.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the profile's command in its sandbox
    Run(Given),
    /// Say all that is wrong with a profile, here
    Check(Shown),
    /// Show what `run` would do, step by step
    Plan(Planned),
}

/// A profile and what the command line adds to it.
#[derive(Debug, Args)]
pub struct Given {
    /// Give a parameter of the profile its value
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Add a line of TOML over the profile, such as 'rlimits.nofile = 64'
    #[arg(long, value_name = "TOML")]
    config: Vec<String>,
    /// A path, `-` for standard input, or the name of a profile; what follows it is the target's
    #[arg(value_name = "PROFILE", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// A profile, and how to show what is found.
#[derive(Debug, Args)]
pub struct Shown {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The profile.
    #[command(flatten)]
    pub given: Given,
}

/// What `plan` shows of a profile.
#[derive(Debug, Args)]
pub struct Planned {
    /// Show what each layer of the profile sets, replaces, widens and withdraws
    #[arg(long)]
    pub layers: bool,
    /// The profile.
    #[command(flatten)]
    pub shown: Shown,
}

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

impl Given {
    /// The request that the loader takes, or what is wrong with a flag.
    pub fn request(self) -> Result<Request, String> {
        let mut words = self.words.into_iter();
        let profile = words.next().unwrap_or_default();
        if profile.starts_with('-') && profile != "-" {
            return Err(format!("unknown option `{profile}`: options stand before PROFILE; see stockade run --help"));
        }
        let mut args: Vec<String> = words.collect();
        if args.first().is_some_and(|first| first == "--") {
            args.remove(0);
        }
        let params: Option<Vec<(String, String)>> =
            self.set.iter().map(|flag| flag.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        let params = params.ok_or("--set takes NAME=VALUE")?;
        let config = self.config.into_iter().map(|toml| ("--config".to_owned(), toml)).collect();
        Ok(Request { profile, config, params, args })
    }
}
