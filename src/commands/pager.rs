//! A manual page on a terminal: man(1) sets it and calls the reader's pager. It starts that one
//! program, of the reader's PATH, and nothing of what it is given is a command.

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

/// Whether man(1) showed the page. If it is not installed, or standard output is no terminal,
/// nothing was printed.
pub(super) fn show(page: &str) -> bool {
    if !std::io::stdout().is_terminal() {
        return false;
    }
    let mut man = Command::new("man");
    let Ok(mut child) = man.args(["-l", "-"]).stdin(Stdio::piped()).spawn() else {
        return false;
    };
    // A pager that is quit early closes the pipe.
    let written = child.stdin.take().map(|mut pipe| pipe.write_all(page.as_bytes()));
    drop(written);
    child.wait().is_ok_and(|status| status.success())
}
