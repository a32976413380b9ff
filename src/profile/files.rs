//! Where a profile's text comes from, and which texts are refused: what another user could have written is not a profile.

use super::{BUILTIN, Caller};
use crate::problem::{Problem, errno_words, suggestion};
use crate::source::Span;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A text with what messages call it and the folder that `${PROFILE_DIR}` means.
#[derive(Debug)]
pub struct Text {
    /// Its name.
    pub name: String,
    /// All of it.
    pub text: String,
    /// The folder, where it has one.
    pub folder: Option<String>,
    /// Its one place, whatever links lead there; a name where it is no file.
    pub identity: String,
}

/// The largest profile: 1 MiB.
const LARGEST: u64 = 1 << 20;

/// Whether a word names a file rather than an installed profile.
pub fn is_path(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml")
}

/// Finds the text of PROFILE: a path, `-`, or a name.
pub fn find(word: &str, caller: &Caller, at: Span) -> Result<Text, Problem> {
    match word {
        "" => {
            Err(Problem::new("profile::none", at, "no profile is given").help("stockade run PROFILE [ARGS]; `default` is one for untrusted commands"))
        }
        "-" => standard_input(at),
        word if is_path(word) => read(word, caller, at),
        word => named(word, caller, at),
    }
}

fn standard_input(at: Span) -> Result<Text, Problem> {
    let mut bytes = vec![];
    let read = std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Problem::new("profile::read", at, format!("cannot read the profile from standard input: {error}")))?;
    Ok(Text { name: "<stdin>".into(), text: decode("<stdin>", bytes, at)?, folder: None, identity: "<stdin>".into() })
}

/// A bare name: of the machine's, the caller's or the built-in profiles; one that is in two places is ambiguous.
fn named(name: &str, caller: &Caller, at: Span) -> Result<Text, Problem> {
    let installed = [Some(&caller.system_profiles), caller.user_profiles.as_ref()].into_iter().flatten();
    let files: Vec<String> = installed.map(|folder| format!("{folder}/{name}.toml")).filter(|path| Path::new(path).exists()).collect();
    let builtin = BUILTIN.iter().find(|(known, _)| *known == name);
    let places: Vec<String> = files.iter().cloned().chain(builtin.map(|_| "built in".to_owned())).collect();
    match (files.first(), builtin) {
        _ if places.len() > 1 => {
            let message = format!("the name `{name}` is ambiguous: {}", places.join(" and "));
            Err(Problem::new("profile::ambiguous", at, message).help("give the path of the one that is meant, or rename one"))
        }
        (Some(path), _) => read(path, caller, at),
        (None, Some((name, text))) => Ok(Text { name: format!("<{name}>"), text: (*text).to_owned(), folder: None, identity: format!("<{name}>") }),
        (None, None) => {
            let known = || BUILTIN.iter().map(|(name, _)| *name);
            let here = Path::new(&format!("{name}.toml")).exists().then(|| format!("for the file in this folder write ./{name}.toml"));
            let help =
                here.or_else(|| suggestion(name, known())).unwrap_or_else(|| format!("built in are {}", known().collect::<Vec<_>>().join(", ")));
            Err(Problem::new("profile::unknown", at, format!("there is no profile named `{name}`")).help(help))
        }
    }
}

/// Reads a file through one descriptor, which is also what is checked.
pub fn read(path: &str, caller: &Caller, at: Span) -> Result<Text, Problem> {
    let refuse = |why: String| Problem::new("profile::read", at, format!("cannot read the profile {path}: {why}"));
    let words = |error: std::io::Error| error.raw_os_error().map_or_else(|| error.to_string(), errno_words);
    // Without O_NONBLOCK the open of a FIFO would wait for a writer.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| refuse(words(error)))?;
    let meta = file.metadata().map_err(|error| refuse(words(error)))?;
    if !meta.is_file() {
        return Err(refuse("it is not a regular file".into()));
    }
    if meta.len() > LARGEST {
        return Err(refuse("it is larger than 1 MiB".into()));
    }
    // The place of what was opened, not of what the path may mean by now.
    let absolute = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|error| refuse(words(error)))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let folder_meta = std::fs::metadata(folder).map_err(|error| refuse(words(error)))?;
    for (what, meta) in [("it", &meta), ("its folder", &folder_meta)] {
        trusted(what, meta, caller).map_err(|(why, help)| refuse(why).help(help))?;
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize + 64);
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| refuse(words(error)))?;
    let folder = folder.to_str().map(str::to_owned);
    Ok(Text { name: path.to_owned(), text: decode(path, bytes, at)?, folder, identity: absolute.to_string_lossy().into_owned() })
}

/// A profile decides what the caller grants, so nobody else may be able to write it. Root trusts root alone.
fn trusted(what: &str, meta: &std::fs::Metadata, caller: &Caller) -> Result<(), (String, &'static str)> {
    let sticky = meta.is_dir() && meta.mode() & libc::S_ISVTX != 0;
    if meta.uid() != 0 && (caller.uid == 0 || meta.uid() != caller.uid) {
        let who = if caller.uid == 0 { "root" } else { "root or the caller" };
        return Err((format!("{what} belongs to user {}, not to {who}", meta.uid()), "copy it to a place of your own"));
    }
    if meta.mode() & 0o022 != 0 && !sticky {
        return Err((format!("{what} can be written by others (mode {:04o})", meta.mode() & 0o7777), "chmod go-w it"));
    }
    Ok(())
}

fn decode(name: &str, bytes: Vec<u8>, at: Span) -> Result<String, Problem> {
    let refuse = |why: &str| Problem::new("profile::text", at, format!("cannot read the profile {name}: {why}"));
    if bytes.len() as u64 > LARGEST {
        return Err(refuse("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(&format!("line {line} is not UTF-8"))
    })
}
