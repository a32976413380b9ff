//! The command line. Its flags become one more, last, layer of the profile; there is no second way
//! to say a thing. It is one file, so that all commands and flags are seen side by side.
#![allow(rustdoc::broken_intra_doc_links, reason = "`fpath[1]` is text of the product")]

mod flags;
mod misplaced;
mod others;

use crate::inspect::view::Notes;
use crate::language::value::Written;
use crate::profile::{Request, Role};
use crate::text::bytes;
use crate::text::problem::Problems;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use flags::Access;
use misplaced::in_order;
pub(crate) use misplaced::{behind_a_blank, option_like, with_dashes};
pub(crate) use others::{command as command_of_others, rewritten};

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

/// Prefixes of one pipeline, and questions about what it makes. clap builds the options of the
/// chosen command only: those of all commands took a tenth of the time before the first process.
/// The summary of each command is here, because a doc comment on its structure would replace it in
/// the list.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Run the profile's command in its sandbox
    Run(Runs),
    /// Check a profile against this machine, and report every problem
    Check(Checked),
    /// Explain a code such as E0301 or mounts::broad with a bad and a good example, or a key such as
    /// limits.memory; or list all codes
    Explain(Explained),
    /// Show what the sandbox of a profile contains, or every step of a run
    Plan(Planning),
    /// Say whether the target may do something, which line decides, and which line would change it
    Why(Asking),
    /// List the available profiles; print one, or compare two
    Profiles(Profiles),
    /// List the parameters of a profile: their types, values and what they are for
    Params(Parametrised),
    /// List the running sandboxes that have a name
    Ps(Listing),
    /// Suspend every process of a sandbox
    #[command(
        after_help = "Example, with name = \"build\" in its profile:\n  stockade freeze build"
    )]
    Freeze(Running),
    /// Resume a frozen sandbox
    #[command(after_help = "Example, with name = \"build\" in its profile:\n  stockade thaw build")]
    Thaw(Running),
    /// Send a sandbox its stop signal, and kill it when its kill-after is over
    #[command(after_help = "Example, with name = \"build\" in its profile:\n  stockade stop build")]
    Stop(Running),
    /// Kill a sandbox, and wait until nothing is left of it
    #[command(after_help = "Example, with name = \"build\" in its profile:\n  stockade kill build")]
    Kill(Running),
    /// List what a target changed in a kept upper; apply it, export it, or throw it away
    Changes(Changed),
    /// List the states that are kept between runs, or remove one
    #[command(subcommand)]
    State(StateCommand),
    /// Write a commented profile to start from
    New(New),
    /// Print the JSON Schema of profiles, for editors
    Schema,
    /// Print the reference of the language, as Markdown
    Reference,
    /// Show a manual page; where the output is no terminal, print it for man(1)
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
    /// Print what fits next on a command line, for the completion scripts
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
    /// Show a path of the host inside, read-only: mounts."/PATH" = "ro"; of several colons the last
    /// with a `/` behind it parts the two
    #[arg(long, value_name = "PATH[:INSIDE]", help_heading = SHORT)]
    ro: Vec<String>,
    /// The same, read-write: mounts."/PATH" = "rw"
    #[arg(long, value_name = "PATH[:INSIDE]", help_heading = SHORT)]
    rw: Vec<String>,
    /// Hide a path: mounts."/PATH" = "hide"
    #[arg(long, value_name = "PATH", help_heading = SHORT)]
    hide: Vec<String>,
    /// Pass a variable, or give it a value: env.NAME = true, env.NAME = "VALUE"
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = SHORT)]
    env: Vec<String>,
    /// The network: network.mode = "MODE"
    #[arg(long, value_name = "MODE", help_heading = SHORT)]
    net: Option<String>,
    /// End the run after that time: process.timeout = "30s"
    #[arg(long, value_name = "TIME", help_heading = SHORT)]
    timeout: Option<String>,
    /// A name for `ps` and `kill`: name = "NAME"
    #[arg(long, value_name = "NAME", help_heading = SHORT)]
    name: Option<String>,
    /// The working directory inside: process.cwd = "/DIR"
    #[arg(long, value_name = "DIR", help_heading = SHORT)]
    cwd: Option<String>,
    /// The most memory of the sandbox: limits.memory = "512M"
    #[arg(long, value_name = "SIZE", help_heading = SHORT)]
    memory: Option<String>,
}

/// The heading of flags that say nothing that a line of TOML does not.
const SHORT: &str = "Short for a line of --config (relative paths are the caller's)";

impl Flags {
    /// The layers of `--config` and of the short flags, each with what messages call it.
    fn layers(&self) -> Result<Vec<(String, String)>, Problems> {
        let has_paths = !(self.ro.is_empty() && self.rw.is_empty() && self.hide.is_empty());
        // Empty where the directory was removed: a relative path is refused then.
        let here = if has_paths || self.cwd.is_some() {
            std::env::current_dir().map_or(String::new(), bytes::of)
        } else {
            String::new()
        };
        let here = here.as_str();
        let mut layers: Vec<(String, String)> =
            self.config.iter().map(|toml| ("--config".to_owned(), toml.clone())).collect();
        let mut problems = Problems::default();
        let mounts = [
            (Access::ReadOnly, &self.ro),
            (Access::ReadWrite, &self.rw),
            (Access::Hidden, &self.hide),
        ];
        let mounts = mounts.into_iter().flat_map(|(access, words)| {
            words.iter().map(move |word| flags::mount(access, word, here))
        });
        let env = self.env.iter().map(|word| flags::env(word));
        let cwd = self.cwd.iter().map(|word| flags::cwd(word, here));
        for read in mounts.chain(env).chain(cwd) {
            match read {
                Ok(layer) => layers.push(layer),
                Err(problem) => problems.push(*problem),
            }
        }
        layers.extend(self.net.iter().map(|word| flags::key("--net", "network.mode", word)));
        layers.extend(
            self.timeout.iter().map(|word| flags::key("--timeout", "process.timeout", word)),
        );
        layers.extend(self.name.iter().map(|word| flags::key("--name", "name", word)));
        layers.extend(self.memory.iter().map(|word| flags::memory(word)));
        problems.or(layers)
    }

    /// These flags on a profile, with a command for those that have none.
    pub(crate) fn of(self, profile: &str) -> Given {
        Given { flags: self, words: vec![profile.to_owned(), "--".to_owned(), "true".to_owned()] }
    }
}

// How much is said beside what was asked for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Loudness {
    /// Print no notes and no warnings, errors alone; for `run`, STOCKADE_QUIET=1 does the same
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print all notes, those of built-in profiles one by one, too
    #[arg(short, long)]
    verbose: bool,
}

impl Loudness {
    /// Which notes are printed.
    pub(crate) fn notes(self) -> Notes {
        match self {
            Loudness { quiet: true, .. } => Notes::None,
            Loudness { verbose: true, .. } => Notes::All,
            _ => Notes::Short,
        }
    }

    /// The same for a run, whose caller may be a script that cannot be changed.
    pub(crate) fn notes_of_run(self) -> Notes {
        let asked = std::env::var_os("STOCKADE_QUIET");
        match asked.is_some_and(|value| !value.is_empty() && value != "0") {
            true if !self.verbose => Notes::None,
            _ => self.notes(),
        }
    }
}

// A profile that is inspected: options may come anywhere before `--`, as nothing there belongs to
// the target.
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

// A profile to be run, and what is reported of the run.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  \
  stockade run default -- make test\n  \
  stockade run --rw . --net host --timeout 10m default -- npm ci\n  \
  stockade run --config 'limits.pids = 64' ./p.toml",
    override_usage = "stockade run [OPTIONS] PROFILE [--] [COMMAND [ARGS]...]"
)]
pub(crate) struct Runs {
    /// Write a record of the run there, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "report_fd")]
    pub report: Option<String>,
    /// Write it to an open descriptor instead
    #[arg(long, value_name = "N")]
    pub report_fd: Option<i32>,
    /// Print the resource usage to standard error
    #[arg(long)]
    pub stats: bool,
    /// Report which system calls were denied, and the line that permits each; =live: each kind at
    /// once, too
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "end", hide_possible_values = true)]
    pub explain: Option<Explain>,
    /// List what the target changed in trees of layers; =diff: with the differences of text;
    /// =apply-on-success: put it into the host's trees if the status is 0
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "list", hide_possible_values = true)]
    pub changes: Option<ChangesAs>,
    /// How --changes lists them; json: one line, the last on standard error
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// How much is said.
    #[command(flatten)]
    pub loudness: Loudness,
    /// The profile.
    #[command(flatten)]
    pub given: Given,
}

/// How changes are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChangesAs {
    /// A line each.
    List,
    /// With the differences of files of text.
    Diff,
    /// A line each, and they are put where they belong if the target succeeds.
    ApplyOnSuccess,
}

/// When denials are reported.
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
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The profile.
    #[command(flatten)]
    pub given: Looked,
}

// What a check prints.
const REPORT: &str = "Example:
  stockade check --deny-warnings ./p.toml

Problems, warnings, notes and the verdict go to standard output. With
--format json each is a record; `less` of a note says that the sandbox is less
than the profile asks for.

The status is 0 where a run would start the target here, else 125.";

// A profile, and what is held against it.
#[derive(Debug, Args)]
#[command(
    after_help = REPORT,
    override_usage = "stockade check [OPTIONS] PROFILE [--] [COMMAND [ARGS]...]"
)]
pub(crate) struct Checked {
    /// Fail if there is a warning
    #[arg(long)]
    pub deny_warnings: bool,
    /// How much is said.
    #[command(flatten)]
    pub loudness: Loudness,
    /// The profile.
    #[command(flatten)]
    pub shown: Shown,
}

// Codes of problems.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockade explain E0301\n  stockade explain limits.memory")]
pub(crate) struct Explained {
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// A code, by number or by words or a part of them, or a key; default: list all codes
    #[arg(value_name = "CODE")]
    pub codes: Vec<String>,
}

// The profiles that can be named.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stockade profiles show default\n  stockade profiles diff default build",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Profiles {
    /// The format of the output
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
    /// Show what a run of the first does and one of the second does not, and vice versa; status 1
    /// if they differ
    Diff {
        /// A path, or the name of a profile
        #[arg(value_name = "PROFILE")]
        first: String,
        /// Another
        #[arg(value_name = "PROFILE")]
        second: String,
        /// The arguments of both.
        #[command(flatten)]
        given: Box<Flags>,
    },
}

// A profile that leaves something to its user.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockade params ./p.toml")]
pub(crate) struct Parametrised {
    /// The format of the output
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
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

// Sandboxes that run.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// Names of sandboxes, as the key `name` of their profiles gives them
    #[arg(value_name = "SANDBOX", required = true)]
    pub names: Vec<String>,
}

// What is done with a kept upper.
#[derive(Debug, Args)]
#[command(
    after_help = CHANGES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Changed {
    /// Show what is different in files of text
    #[arg(long)]
    pub diff: bool,
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The directory of a kept upper, as `upper` of an entry with `layers` names it
    #[arg(value_name = "DIR", required = true)]
    pub directory: Option<String>,
    /// These alone, with what lies below them: paths as the list has them, or inside
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// What to do; if not set: list them.
    #[command(subcommand)]
    pub what: Option<ChangesCommand>,
}

const CHANGES: &str = "\
Each line is a letter and a path below the entry's own: A added, M changed,
D removed, T replaced by another kind of file.
Examples:
  stockade changes --diff /srv/state
  stockade changes --diff /srv/state src
  stockade changes apply /srv/state
  stockade changes apply /srv/state src notes
  stockade changes discard /srv/state notes
  stockade changes export /srv/state changes.tar";

// What to do with changes.
#[derive(Debug, Subcommand)]
pub(crate) enum ChangesCommand {
    /// Put them into the host's tree, where that is the one layer at its own path
    Apply {
        /// Do not ask; what programs of the host run later is kept back
        #[arg(long)]
        yes: bool,
        /// Apply also what programs of the host run later without being asked to, such as .git/hooks
        #[arg(long)]
        run_later: bool,
        /// The directory of a kept upper
        #[arg(value_name = "DIR")]
        directory: String,
        /// These alone, with what lies below them: paths as the list has them, or inside
        #[arg(value_name = "PATH")]
        paths: Vec<String>,
    },
    /// Write them as a layer: a tar file with the whiteouts of OCI images
    Export {
        /// The directory of a kept upper
        #[arg(value_name = "DIR")]
        directory: String,
        /// The file to write; -: standard output
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Remove a kept upper with all that is in it, or paths from it; on a terminal it asks first
    Discard {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// The directory of a kept upper
        #[arg(value_name = "DIR")]
        directory: String,
        /// These alone, with what lies below them: the layers' show there again
        #[arg(value_name = "PATH")]
        paths: Vec<String>,
    },
}

// What to do with states.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example, with \"/home/me\" = { state = \"app\" } in a profile:\n  stockade state remove app"
)]
pub(crate) enum StateCommand {
    /// List them: name, size on disk, last use, directory
    List(Listing),
    /// Remove states with all that is in them; on a terminal it asks first
    Remove {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Names of states, as entries of the kind `state` give them
        #[arg(value_name = "STATE", required = true)]
        names: Vec<String>,
    },
}

// A profile to be written.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockade new --role build my-build")]
pub(crate) struct New {
    /// What the profile is for
    #[arg(long, value_parser = roles(), default_value = "command", value_name = "ROLE")]
    pub role: Role,
    /// The name under which `run` will find it, or the path of a file to write
    pub name: String,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::WORDS.iter().copied())
        .try_map(|word| Role::from_text(&word).map_err(|why| why.sentence(None)))
}

// The machine, or a profile on it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stockade doctor\n  stockade doctor default -- make",
    override_usage = "stockade doctor [OPTIONS] [PROFILE [--] [COMMAND [ARGS]...]]"
)]
pub(crate) struct Examined {
    /// The format of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// How much is said.
    #[command(flatten)]
    pub loudness: Loudness,
    /// What is added to the profile.
    #[command(flatten)]
    flags: Flags,
    /// Say whether this profile would run here; default: what the machine can enforce
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

// The parts of a plan that are shown.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stockade plan default -- make\n  stockade plan --layers ./p.toml",
    override_usage = "stockade plan [OPTIONS] PROFILE [--] [COMMAND [ARGS]...]"
)]
pub(crate) struct Planning {
    /// Show every step of a run, in order, instead of the result
    #[arg(long)]
    pub steps: bool,
    /// Show what each layer of the profile sets, replaces, widens and removes
    #[arg(long, conflicts_with = "steps")]
    pub layers: bool,
    /// How much is said.
    #[command(flatten)]
    pub loudness: Loudness,
    /// The profile.
    #[command(flatten)]
    pub shown: Shown,
}

// Questions about a profile. They come before the target's words.
#[derive(Debug, Args)]
#[command(after_help = QUESTIONS, override_usage = "stockade why [OPTIONS] PROFILE QUESTION... [-- COMMAND [ARGS]...]")]
pub(crate) struct Asking {
    /// Do not look for the line that would change the answer
    #[arg(long)]
    pub no_change: bool,
    /// The profile, and the questions after it.
    #[command(flatten)]
    pub shown: Shown,
}

const QUESTIONS: &str = "\
After PROFILE come one or more questions:
  /etc/shadow, read:PATH     read a file, or list a directory
  write:PATH                 write to a file, make it, or make one in a directory
  exec:PATH                  execute a program
  list:PATH                  list a directory
  syscall:NAME[:ARG,ARG..]   call the kernel; NAME alone will do
  connect:ADDRESS:PORT       reach a port; connect:PATH a socket of the file tree
  bind:[ADDRESS:]PORT        take a port
  cap:NAME                   have a capability
  env:NAME                   see a variable
A command, if the profile depends on one, comes after them and `--`.
Status 0: allowed; 1: denied; 125: something is wrong, or the answer is unknown.
Example:
  stockade why default /etc/shadow connect:192.0.2.1:443 -- make";

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

impl Given {
    /// A word of `--set` that gives no value.
    pub(crate) fn without_value(&self) -> Option<&str> {
        self.flags.set.iter().map(String::as_str).find(|flag| !flag.contains('='))
    }

    /// The word in the place of PROFILE, and what is behind it.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// The request that the loader takes, or what is wrong with a flag.
    pub(crate) fn request(self) -> Result<Request, Problems> {
        let mut words = self.words.into_iter();
        let profile = words.next().unwrap_or_default();
        let mut args: Vec<String> = words.collect();
        let mut dashed = None;
        match args.first() {
            Some(first) if first == "--" => drop(args.remove(0)),
            Some(first) if first.starts_with('-') && first != "-" => {
                dashed = Some(in_order(&profile, &args))
            }
            _ => {}
        }
        let pairs = self.flags.set.iter().filter_map(|flag| flag.split_once('='));
        let params = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let config = self.flags.layers()?;
        Ok(Request { profile, text: None, config, tried: vec![], params, args, dashed })
    }
}
