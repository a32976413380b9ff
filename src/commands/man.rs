//! `stockade man`: the manual pages. The one of the command is made of the declaration of the
//! command line, the one of the language of the parser's shapes; this file knows no option and no
//! key.

use super::page::{Block, Page, roff};
use super::{pager, print_line, reference};
use crate::cli::{Cli, Manual};
use clap::{Arg, Command};

/// Prints a manual page for man(1).
pub(super) fn man(manual: Manual) -> u8 {
    let page = match manual {
        Manual::Command => command_page(),
        Manual::Language => reference::page(),
    };
    let text = roff(&page);
    if !pager::show(&text) {
        print_line(text.trim_end());
    }
    0
}

fn command_page() -> Page {
    let command = Cli::built();
    let mut blocks = vec![Block::heading(1, "Synopsis")];
    let shown: Vec<&Command> =
        command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    blocks.push(Block::Code(
        shown.iter().map(|command| usage(command)).collect::<Vec<_>>().join("\n"),
    ));
    blocks.push(Block::heading(1, "Description"));
    blocks.push(Block::text(format!(
        "{}.",
        command.get_about().map(ToString::to_string).unwrap_or_default().trim_end_matches('.')
    )));
    blocks.push(Block::text(
        "Options of `run` come before PROFILE; what follows it is the target's, also when it \
         begins with `-`. The other commands take theirs anywhere before `--`.",
    ));
    blocks.push(Block::heading(1, "Commands"));
    shown.iter().for_each(|command| explain(command, 0, &mut blocks));
    blocks.extend(facts());
    Page {
        name: "stockade",
        section: 1,
        what: "Run a command in a sandbox that a profile declares",
        blocks,
    }
}

/// How a command is called, in one line.
fn usage(command: &Command) -> String {
    let text = command.clone().render_usage().to_string();
    // A command that also works without a subcommand has a line for each form; the subcommands have
    // items of their own.
    text.trim_start_matches("Usage: ").lines().next().unwrap_or_default().trim().to_owned()
}

fn explain(command: &Command, depth: u8, blocks: &mut Vec<Block>) {
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    blocks.push(Block::item(
        depth,
        format!("`{}`", usage(command)),
        format!("{}.", about.trim_end_matches('.')),
    ));
    for arg in command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
    {
        blocks.push(Block::item(depth + 1, term(arg), words(arg)));
    }
    if let Some(more) = command.get_after_help() {
        blocks.push(Block::Code(more.to_string().replace('`', "")));
    }
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .for_each(|command| explain(command, depth + 1, blocks));
}

fn term(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .map(|names| names.join(" "))
        .filter(|_| arg.get_action().takes_values());
    match (arg.get_long(), value) {
        (Some(long), None) if arg.get_short().is_some() => {
            format!("`-{}`, `--{long}`", arg.get_short().unwrap_or_default())
        }
        (Some(long), Some(value)) if arg.is_require_equals_set() => format!("`--{long}`[={value}]"),
        (Some(long), Some(value)) => format!("`--{long}` {value}"),
        (Some(long), None) => format!("`--{long}`"),
        (None, value) => value.unwrap_or_default(),
    }
}

fn words(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    if values.is_empty() {
        return format!("{help}.");
    }
    let values: Vec<String> = values
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!(
                "`{}` ({})",
                value.get_name(),
                help.to_string().trim_end_matches('.').to_ascii_lowercase()
            ),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    format!("{help}: {}.", values.join(", "))
}

/// What the declaration of the command line does not say.
fn facts() -> Vec<Block> {
    vec![
        Block::heading(1, "Exit status"),
        Block::text("That of the target, or:"),
        Block::item(0, "128 + n", "Signal n ended the target."),
        Block::item(0, "124", "`process.timeout` was over."),
        Block::item(
            0,
            "125",
            "The profile is wrong, or the sandbox could not be built: the target did not run.",
        ),
        Block::item(0, "126", "The program may not be executed."),
        Block::item(0, "127", "The program was not found in the sandbox."),
        Block::heading(1, "Environment"),
        Block::item(0, "`NO_COLOR`", "Where it is set and not empty, messages have no colour."),
        Block::item(
            0,
            "`STOCKADE_QUIET`",
            "Where it is set, not empty and not 0, `run` is as quiet as with `--quiet`.",
        ),
        Block::item(
            0,
            "`XDG_RUNTIME_DIR`",
            "The directory in which running sandboxes with a name are kept for `ps`, `freeze`, \
             `thaw`, `stop` and `kill`, and what `${RUNTIME_DIR}` means. Where it is not set, they \
             are in /run/user/UID or /tmp/stockade-UID. Root's are in /run/stockade.",
        ),
        Block::heading(1, "Files"),
        Block::item(0, "/etc/stockade/NAME.toml", "Profiles of the machine."),
        Block::item(
            0,
            "$XDG_CONFIG_HOME/stockade/NAME.toml",
            "Profiles of the user; root has none. Where XDG_CONFIG_HOME is not set to an absolute \
             path, it is ~/.config, in the home of the passwd entry.",
        ),
        Block::heading(1, "See also"),
        Block::text(
            "`stockade.toml(5)`, `namespaces(7)`, `landlock(7)`, `seccomp(2)`, `capabilities(7)`",
        ),
    ]
}
