//! `stockade new`: a commented profile to start from, fit for this machine.

use super::{FAILED, print_line, warn};
use crate::cli::New;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{Error, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use stockade::problem::{errno_words, escape};
use stockade::profile::{Caller, Fit, starter};

/// Writes it, never over a file that is there. A bare name goes where names are looked up, so that `stockade run NAME` finds it.
pub fn new(new: New) -> u8 {
    let caller = Caller::current();
    let last = new.name.rsplit('/').next().unwrap_or_default();
    let name = last.strip_suffix(".toml").unwrap_or(last);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return refuse(&format!("cannot name a profile `{name}`: a name has letters, digits, `-`, `_` and `.`"));
    }
    let is_path = new.name.contains('/') || new.name.ends_with(".toml");
    let folder = caller.user_profiles.as_ref().unwrap_or(&caller.system_profiles);
    let (file, word) = match is_path {
        true if new.name.contains('/') => (new.name.clone(), new.name.clone()),
        true => (new.name.clone(), format!("./{}", new.name)),
        false => (format!("{folder}/{name}.toml"), name.to_owned()),
    };
    if !is_path && let Err(error) = DirBuilder::new().recursive(true).mode(0o755).create(folder) {
        return refuse(&format!("cannot make the folder {folder}: {}", reason(&error)));
    }
    let fit = Fit {
        landlock: stockade::sys::landlock_abi().ok().filter(|abi| *abi > 0),
        resolv: std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    };
    let text = starter(new.role, name, &word, &fit);
    // One that others can write would be refused, whatever the umask.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&file).and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = made {
        return refuse(&format!("cannot write {file}: {}", reason(&error)));
    }
    print_line(&escape(&format!("{file} is written, for the role {}; see what it does: stockade plan {word} COMMAND", new.role)));
    0
}

fn reason(error: &Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), errno_words)
}

fn refuse(why: &str) -> u8 {
    warn(&format!("stockade: {}\n", escape(why)));
    FAILED
}
