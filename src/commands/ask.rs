//! A question on the terminal, before something is done that nobody can undo.

use super::warn;
use std::io::{BufRead, IsTerminal, Write};

/// Asks on the terminal, and takes silence for no; `None` where nobody can be asked.
pub(super) fn ask(question: &str) -> Option<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return None;
    }
    warn(&format!("{question} [y/N] "));
    drop(std::io::stderr().flush());
    let mut answer = String::new();
    let read = input.lock().read_line(&mut answer);
    Some(read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
