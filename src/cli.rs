//! The command line. Its flags become one more, last, layer of the profile; there is no second way
//! to say a thing. It is one file, so that all commands and flags are seen side by side.
#![allow(rustdoc::broken_intra_doc_links, reason = "`fpath[1]` is text of the product")]

mod misplaced;

use crate::language::value::Written;
use crate::profile::{Request, Role};
use crate::text::problem::{Problem, Problems};
use crate::text::source::Span;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
pub(crate) use misplaced::with_dashes;
use misplaced::{in_order, option_like};
use std::path::PathBuf;

/// A declarative sandbox launcher: a TOML profile becomes a sandbox, and the target runs in it.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The whole command line, with the options of every command.
    pub(crate) fn built() -> clap::Command {
        let mut command = Cli::command();
        command.build();
        command
    }
}

/// Prefixes of one pipeline, and questions about what it makes. The options of a command are made
/// when it is the one that is asked for: those of all took a tenth of what a start does before its
/// first process. What a command is for stands here, for the list of them all: a doc comment of its
/// structure would take this one's place.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Run the profile's command in its sandbox
    Run(Runs),
    /// Say all that is wrong with a profile, here
    Check(Checked),
    /// Explain a code such as E0301 or mounts::broad, with a bad and a good example; or list them
    /// all
    Explain(Explained),
    /// Show what `run` would do, step by step
    Plan(Planning),
    /// Say whether the target may do a thing, which wall decides, and which line would change that
    Why(Asking),
    /// List the profiles that a name can mean
    Profiles(Profiles),
    /// List the parameters of a profile: their types, values and what they are for
    Params(Parametrised),
    /// List the running sandboxes that have a name
    Ps(Listing),
    /// Stop every process of a sandbox where it stands
    Freeze(Running),
    /// Let a frozen sandbox go on
    Thaw(Running),
    /// End a sandbox at once, and wait until nothing is left of it
    Kill(Running),
    /// Write a commented profile to start from
    New(New),
    /// Print the JSON Schema of profiles, for editors
    Schema,
    /// Print the reference of the language, as Markdown
    Reference,
    /// Print a manual page: stockade man 5 | man -l -
    Man {
        /// Which page
        #[arg(value_enum, value_name = "PAGE")]
        page: Manual,
    },
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },
    /// Say what fits next on a command line; the completion scripts ask
    #[command(hide = true)]
    Complete {
        /// The words after `stockade`
        #[arg(last = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Say what this machine can enforce for this user, or whether a profile would run here
    Doctor(Examined),
}

/// A manual page.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Manual {
    /// The command: stockade(1)
    #[value(name = "1")]
    Command,
    /// The language of profiles: stockade.toml(5)
    #[value(name = "5")]
    Language,
}

/// A shell that completions are for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    /// source <(stockade completions bash)
    Bash,
    /// stockade completions zsh > "${fpath[1]}/_stockade"
    Zsh,
    /// stockade completions fish > ~/.config/fish/completions/stockade.fish
    Fish,
}

// What the command line adds to a profile.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// Give a parameter of the profile its value
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Add a line of TOML over the profile, such as 'rlimits.nofile = 64'
    #[arg(long, value_name = "TOML")]
    config: Vec<String>,
}

impl Flags {
    /// These flags on a profile, with a command for those that have none.
    pub(crate) fn of(self, profile: &str) -> Given {
        Given { flags: self, words: vec![profile.to_owned(), "--".to_owned(), "true".to_owned()] }
    }
}

// A profile that is looked at: options stand anywhere before `--`, as nothing there is the
// target's.
#[derive(Debug, Args)]
pub(crate) struct Looked {
    /// What is added.
    #[command(flatten)]
    flags: Flags,
    /// A path, `-` for standard input, or the name of a profile
    #[arg(value_name = "PROFILE")]
    profile: String,
    /// The command, for a profile that leaves it open
    #[arg(value_name = "ARGS")]
    words: Vec<String>,
    /// What is the target's also where it begins with `-`
    #[arg(value_name = "ARGS", last = true, hide = true)]
    more: Vec<String>,
}

impl Looked {
    /// Takes the words between PROFILE and `--` away.
    pub(crate) fn take_words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }
}

impl From<Looked> for Given {
    fn from(Looked { flags, profile, words, more }: Looked) -> Given {
        Given { flags, words: [vec![profile, "--".to_owned()], words, more].concat() }
    }
}

// A profile and what the command line adds to it.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// What is added.
    #[command(flatten)]
    flags: Flags,
    /// A path, `-` for standard input, or a name; what follows is the target's
    #[arg(value_name = "PROFILE", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

// A profile to be run, and what is said of the run.
#[derive(Debug, Args)]
#[command(override_usage = "stockade run [OPTIONS] PROFILE [--] [ARGS]...")]
pub(crate) struct Runs {
    /// Write a record of the run there, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "report_fd")]
    pub report: Option<PathBuf>,
    /// Write it to an open descriptor instead
    #[arg(long, value_name = "N")]
    pub report_fd: Option<i32>,
    /// Say on standard error what the run used
    #[arg(long)]
    pub stats: bool,
    /// Say which system calls were denied to whom, and which line would permit each; =live: each
    /// kind at once, too
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "end", hide_possible_values = true)]
    pub explain: Option<Explain>,
    /// The profile.
    #[command(flatten)]
    pub given: Given,
}

/// When denials are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Explain {
    /// At the end of the run.
    End,
    /// The first of each kind at once, and all at the end.
    Live,
}

// A profile, and how to show what is found.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The profile.
    #[command(flatten)]
    pub given: Looked,
}

// A profile, and what is held against it.
#[derive(Debug, Args)]
#[command(override_usage = "stockade check [OPTIONS] PROFILE [--] [ARGS]...")]
pub(crate) struct Checked {
    /// Fail where there is a warning
    #[arg(long)]
    pub deny_warnings: bool,
    /// The profile.
    #[command(flatten)]
    pub shown: Shown,
}

// Codes of problems.
#[derive(Debug, Args)]
pub(crate) struct Explained {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// A code, by number or by words; if not set: list them all
    #[arg(value_name = "CODE")]
    pub codes: Vec<String>,
}

// The profiles that can be named.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Profiles {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
    /// What to do; if not set: list them.
    #[command(subcommand)]
    pub what: Option<ProfilesCommand>,
}

// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// Print the text of a profile
    Show {
        /// A path, or the name of a profile
        #[arg(value_name = "PROFILE")]
        name: String,
    },
    /// Say what a run of the first does and one of the second does not, and the other way round; 1
    /// where they differ
    Diff {
        /// A path, or the name of a profile
        #[arg(value_name = "PROFILE")]
        first: String,
        /// Another
        #[arg(value_name = "PROFILE")]
        second: String,
        /// What both are given.
        #[command(flatten)]
        given: Flags,
    },
}

// A profile that leaves something to its user.
#[derive(Debug, Args)]
pub(crate) struct Parametrised {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// What is added to the profile.
    #[command(flatten)]
    pub flags: Flags,
    /// A path, `-` for standard input, or the name of a profile
    #[arg(value_name = "PROFILE")]
    pub profile: String,
}

// How the list is shown.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

// Sandboxes that run.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// Names that sandboxes have by the key `name` of their profiles
    #[arg(value_name = "SANDBOX", required = true)]
    pub names: Vec<String>,
}

// A profile to be written.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the profile is for
    #[arg(long, value_parser = roles(), default_value = "command", value_name = "ROLE")]
    pub role: Role,
    /// Its name, under which `run` finds it then, or the path of a file to write
    pub name: String,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::WORDS.iter().copied())
        .try_map(|word| Role::from_text(&word).map_err(|why| why.sentence(None)))
}

// The machine, or a profile on it.
#[derive(Debug, Args)]
#[command(override_usage = "stockade doctor [OPTIONS] [PROFILE [--] [ARGS]...]")]
pub(crate) struct Examined {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// What is added to the profile.
    #[command(flatten)]
    flags: Flags,
    /// Say whether this profile would run here; if not set: what the machine can enforce
    #[arg(value_name = "PROFILE")]
    profile: Option<String>,
    /// The command, for a profile that leaves it open
    #[arg(value_name = "ARGS")]
    words: Vec<String>,
    /// What is the target's also where it begins with `-`
    #[arg(value_name = "ARGS", last = true, hide = true)]
    more: Vec<String>,
}

impl Examined {
    /// The profile, where one is named.
    pub(crate) fn given(self) -> Option<Given> {
        let Examined { flags, profile, words, more, .. } = self;
        profile.map(|profile| Looked { flags, profile, words, more }.into())
    }
}

// What of a plan is shown.
#[derive(Debug, Args)]
#[command(override_usage = "stockade plan [OPTIONS] PROFILE [--] [ARGS]...")]
pub(crate) struct Planning {
    /// Show every step, in its order, instead of what comes of it
    #[arg(long)]
    pub steps: bool,
    /// Show what each layer of the profile sets, replaces, widens and withdraws
    #[arg(long, conflicts_with = "steps")]
    pub layers: bool,
    /// The profile.
    #[command(flatten)]
    pub shown: Shown,
}

// Questions to a profile. They stand before the target's words.
#[derive(Debug, Args)]
#[command(after_help = QUESTIONS, override_usage = "stockade why [OPTIONS] PROFILE QUESTION... [-- ARGS...]")]
pub(crate) struct Asking {
    /// Do not look for the line that would change the answer
    #[arg(long)]
    pub no_change: bool,
    /// The profile, and the questions after it.
    #[command(flatten)]
    pub shown: Shown,
}

const QUESTIONS: &str = "\
After PROFILE stand one or more questions:
  /etc/shadow, read:PATH     read a file, or list a directory
  write:PATH                 write to a file, make it, or make one in a directory
  exec:PATH                  execute a program
  list:PATH                  list a directory
  syscall:NAME[:ARG,ARG..]   call the kernel; NAME alone will do
  connect:ADDRESS:PORT       reach a port; connect:PATH a socket of the file tree
  bind:[ADDRESS:]PORT        take a port
  cap:NAME                   have a capability
  env:NAME                   see a variable
A command for the profile, where it hangs on one, stands after them and `--`.
Status 0: allowed; 1: denied; 125: something is wrong, or cannot be told.";

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

impl Given {
    /// The request that the loader takes, or what is wrong with a flag.
    pub(crate) fn request(self) -> Result<Request, Problems> {
        let wrong = |message: String| Problem::new("cli::flag", Span::NOWHERE, message);
        let mut words = self.words.into_iter();
        let profile = words.next().unwrap_or_default();
        if profile.starts_with('-') && profile != "-" {
            let message = format!("cannot read `{profile}`: there is no such option here");
            return Err(wrong(message)
                .help(option_like(&profile).unwrap_or_else(|| "see stockade run --help".into()))
                .into());
        }
        let mut args: Vec<String> = words.collect();
        let mut dashed = None;
        match args.first() {
            Some(first) if first == "--" => drop(args.remove(0)),
            Some(first) if first.starts_with('-') && first != "-" => {
                dashed = Some(in_order(&profile, &args))
            }
            _ => {}
        }
        let pair = |flag: &String| match flag.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(wrong(format!("cannot read `--set {flag}`: it takes NAME=VALUE"))),
        };
        let params = self.flags.set.iter().map(pair).collect::<Result<_, _>>()?;
        let config =
            self.flags.config.into_iter().map(|toml| ("--config".to_owned(), toml)).collect();
        Ok(Request { profile, text: None, config, params, args, dashed })
    }
}
