//! Where a profile's text comes from, and which texts are refused: what another user could have
//! written is not a profile.

use super::BUILTIN;
use super::trust::{self, is_there, words};
use crate::host::caller::Caller;
use crate::language::value::{join, parent};
use crate::text::bytes;
use crate::text::problem::{Problem, suggestion};
use crate::text::source::{Sources, Span};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A text with what messages call it and the directory that `${PROFILE_DIR}` means.
#[derive(Debug)]
pub(super) struct Text {
    pub name: String,
    /// Its identity among all texts: its real path, or its name in `<>`.
    pub identity: String,
    pub bytes: Vec<u8>,
    /// The directory, where it has one.
    pub directory: Option<String>,
    /// Whether it comes with the binary.
    pub is_builtin: bool,
    /// The symbolic links by which it was found.
    pub links: Vec<String>,
}

/// What a built-in profile is called by where a file has its name, too.
const BUILT_IN: &str = "builtin:";

/// The largest profile: 1 MiB.
const LARGEST: u64 = 1 << 20;

/// Whether a word names a file rather than an installed profile.
pub(super) fn is_path(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml")
}

/// Finds PROFILE of the command line: a path, `-`, or a name.
pub(super) fn find(word: &str, caller: &Caller) -> Result<Text, Problem> {
    let at = Span::NOWHERE;
    match word {
        "" => Err(Problem::new("profile::none", at, "cannot find the profile: none is given")
            .help("stockade run PROFILE [ARGS]; `default` is one for untrusted commands")),
        "-" => standard_input(at),
        word if is_path(word) => read(word, caller, at),
        word => builtin(word, at).unwrap_or_else(|| named(word, &caller.cwd, caller, at)),
    }
}

/// A text that the caller has. Its identity is no path and no name in `<>`, so that it is never
/// taken for another text.
pub(super) fn given(name: &str, text: &str) -> Result<Text, Problem> {
    if text.len() as u64 > LARGEST {
        let message = format!("cannot read the profile {name}: it is larger than 1 MiB");
        return Err(Problem::new("profile::read", Span::NOWHERE, message));
    }
    let (name, bytes) = (name.to_owned(), text.as_bytes().to_vec());
    let identity = format!("the text {name}");
    Ok(Text { identity, name, bytes, directory: None, is_builtin: false, links: vec![] })
}

/// The text of PROFILE, to be shown.
pub(crate) fn text_of(word: &str, caller: &Caller) -> Result<String, Problem> {
    let text = find(word, caller)?;
    String::from_utf8(text.bytes).map_err(|_| {
        Problem::new(
            "profile::text",
            Span::NOWHERE,
            format!("cannot show {}: it is not UTF-8", text.name),
        )
    })
}

/// Finds a word of `extends` in a profile: a path, made absolute already, or a name. A built-in
/// profile extends built-in ones, whatever files have their names: no file changes its meaning.
pub(super) fn find_base(
    word: &str,
    (directory, is_builtin): (Option<&str>, bool),
    caller: &Caller,
    at: Span,
) -> Result<Text, Problem> {
    match word {
        // Standard input is read once, for PROFILE; a file must not take it from the target.
        "" | "-" => Err(Problem::new(
            "profile::extends",
            at,
            format!("cannot extend `{word}`: it names no profile"),
        )
        .help("write a name, or a path from this file's directory")),
        word if is_path(word) => read(word, caller, at),
        word if is_builtin => comes_along(word).ok_or_else(|| unknown_builtin(word, at)),
        word => builtin(word, at)
            .unwrap_or_else(|| named(word, directory.unwrap_or_default(), caller, at)),
    }
}

/// Whether there is no file that a word of `extends` means, so that it can be skipped. A directory
/// in which another user could have removed it is refused.
pub(super) fn is_absent(word: &str, caller: &Caller, at: Span) -> Result<bool, Problem> {
    let is_none = |path: &str| {
        let looked = std::fs::symlink_metadata(bytes::path(path));
        looked.is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT))
    };
    if word.is_empty() || word == "-" || word.starts_with(BUILT_IN) || comes_along(word).is_some() {
        return Ok(false);
    }
    let paths: Vec<String> = if is_path(word) {
        vec![word.to_owned()]
    } else {
        installed(caller).map(|directory| format!("{directory}/{word}.toml")).collect()
    };
    if !paths.iter().all(|path| is_none(path)) {
        return Ok(false);
    }
    paths.iter().try_for_each(|path| trust::check_absent(path, parent(path), caller, at))?;
    Ok(true)
}

/// The built-in profile of a name.
fn comes_along(name: &str) -> Option<Text> {
    let (name, text) = BUILTIN.iter().find(|(known, _)| *known == name)?;
    let name = format!("<{name}>");
    let bytes = text.as_bytes().to_vec();
    let identity = name.clone();
    Some(Text { identity, name, bytes, directory: None, is_builtin: true, links: vec![] })
}

/// `builtin:NAME`: that one, whatever else has the name.
fn builtin(word: &str, at: Span) -> Option<Result<Text, Problem>> {
    let name = word.strip_prefix(BUILT_IN)?;
    Some(comes_along(name).ok_or_else(|| unknown_builtin(name, at)))
}

fn unknown_builtin(name: &str, at: Span) -> Problem {
    let message = format!("cannot find the profile `{name}`: none of that name is built in");
    let known = || BUILTIN.iter().map(|(name, _)| *name);
    let help = suggestion(name, known())
        .unwrap_or_else(|| format!("there are {}", known().collect::<Vec<_>>().join(", ")));
    Problem::new("profile::unknown", at, message).help(help)
}

fn standard_input(at: Span) -> Result<Text, Problem> {
    let mut bytes = vec![];
    let read = std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| {
        Problem::new(
            "profile::read",
            at,
            format!("cannot read the profile from standard input: {}", words(&error)),
        )
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::new(
            "profile::read",
            at,
            "cannot read the profile from standard input: it is larger than 1 MiB",
        ));
    }
    let (name, identity) = ("<stdin>".into(), "<stdin>".into());
    Ok(Text { name, identity, bytes, directory: None, is_builtin: false, links: vec![] })
}

/// A bare name: of the machine's, the caller's or the built-in profiles. Two files of one name are
/// ambiguous. A file takes the place of a built-in profile where it extends that one by its full
/// name, so that it was written for that. A file of that name in the current directory is none of
/// them: a user who can write there would choose the sandbox (firejail issue 7154).
fn named(name: &str, near: &str, caller: &Caller, at: Span) -> Result<Text, Problem> {
    let files: Vec<String> = installed(caller)
        .map(|directory| format!("{directory}/{name}.toml"))
        .filter(|path| is_there(path))
        .collect();
    let builtin = comes_along(name);
    let ambiguous = |places: &[&str], help: String| {
        let places = places.join(" and ");
        let message = format!("cannot find the profile `{name}`: the name is ambiguous: {places}");
        Problem::new("profile::ambiguous", at, message).help(help)
    };
    match (files.as_slice(), builtin) {
        ([one, other, ..], _) => Err(ambiguous(
            &[one, other],
            "give the path of the one that is meant, or rename one".into(),
        )),
        ([path], None) => read(path, caller, at),
        ([path], Some(_)) => {
            let text = read(path, caller, at)?;
            if replaces(&text, name) {
                return Ok(text);
            }
            // One that extends its own name means the built-in profile.
            let help = match extends(&text, name) {
                true => format!(
                    "in {path} write extends = [\"{BUILT_IN}{name}\"]: then it takes the place of \
                     the built-in profile"
                ),
                false => format!(
                    "give the path of the file, or {BUILT_IN}{name}; the file takes the place of \
                     the built-in profile where it has extends = [\"{BUILT_IN}{name}\"]"
                ),
            };
            Err(ambiguous(&[path, "built in"], help))
        }
        ([], Some(text)) => Ok(text),
        ([], None) => {
            let known = known_names(caller);
            let here = is_there(&format!("{near}/{name}.toml"))
                .then(|| format!("for the file in this directory write ./{name}.toml"));
            let help = here
                .or_else(|| suggestion(name, known.iter().map(String::as_str)))
                .unwrap_or_else(|| format!("there are {}", known.join(", ")));
            Err(Problem::new(
                "profile::unknown",
                at,
                format!("cannot find the profile `{name}`: there is none of that name"),
            )
            .help(help))
        }
    }
}

/// Whether a text says itself that it is laid over the built-in profile of its name.
fn replaces(text: &Text, name: &str) -> bool {
    extends(text, &format!("{BUILT_IN}{name}"))
}

/// Whether a text has a word in its `extends`.
fn extends(text: &Text, wanted: &str) -> bool {
    let Ok(text) = std::str::from_utf8(&text.bytes) else { return false };
    let (document, _) = DeTable::parse_recoverable(text);
    let Some(DeValue::Array(bases)) = document.get_ref().get("extends").map(|node| node.get_ref())
    else {
        return false;
    };
    bases.iter().any(|base| {
        let word = match base.get_ref() {
            DeValue::Table(table) => table.get("profile").map(|node| node.get_ref()),
            word => Some(word),
        };
        matches!(word, Some(DeValue::String(word)) if word == wanted)
    })
}

fn installed(caller: &Caller) -> impl Iterator<Item = &String> {
    [Some(&caller.system_profiles), caller.user_profiles.as_ref()].into_iter().flatten()
}

/// Every name that PROFILE may be, for suggestions.
fn known_names(caller: &Caller) -> Vec<String> {
    let entries = installed(caller)
        .filter_map(|directory| std::fs::read_dir(bytes::path(directory)).ok())
        .flatten()
        .flatten();
    let stems = entries
        .filter_map(|entry| bytes::of(entry.file_name()).strip_suffix(".toml").map(str::to_owned));
    let mut names: Vec<String> =
        BUILTIN.iter().map(|(name, _)| (*name).to_owned()).chain(stems).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn read(path: &str, caller: &Caller, at: Span) -> Result<Text, Problem> {
    read_trusted("the profile", path, caller, at)
}

/// Reads a file that a profile imports: it says as much about the sandbox as the profile, so the
/// same is asked of it.
pub(crate) fn read_import(path: &str, caller: &Caller, at: Span) -> Result<String, Problem> {
    let text = read_trusted("the import", path, caller, at)?;
    String::from_utf8(text.bytes).map_err(|_| {
        Problem::new("profile::read", at, format!("cannot read the import {path}: it is not UTF-8"))
    })
}

/// Reads a file through one descriptor, which is also what is checked.
fn read_trusted(what: &str, path: &str, caller: &Caller, at: Span) -> Result<Text, Problem> {
    let refuse =
        |why: &str| Problem::new("profile::read", at, format!("cannot read {what} {path}: {why}"));
    // Without O_NONBLOCK the open of a FIFO would wait for a writer; without O_NOCTTY that of a
    // terminal could take it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(bytes::path(path));
    let file = file.map_err(|error| refuse(&words(&error)))?;
    let meta = file.metadata().map_err(|error| refuse(&words(&error)))?;
    if !meta.is_file() {
        return Err(refuse("it is not a regular file")
            .help("stockade run - reads the profile from standard input"));
    }
    if meta.len() > LARGEST {
        return Err(refuse("it is larger than 1 MiB"));
    }
    let (absolute, directory) = place_of(&file).map_err(|why| refuse(&why))?;
    trust::check(path, (&file, &meta), &directory, caller, at)?;
    let read = contents(file, meta.len()).map_err(|why| refuse(&why))?;
    let plain = if path.starts_with('/') {
        path.to_owned()
    } else {
        join(&caller.cwd, &format!("/{}", path.trim_start_matches("./")))
    };
    let links = if plain == absolute { vec![] } else { way(path, &caller.cwd).1 };
    Ok(Text {
        name: path.to_owned(),
        identity: absolute,
        bytes: read,
        directory: Some(directory),
        is_builtin: false,
        links,
    })
}

/// How many links a path may have (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where a path leads without links, and the links on the way, each in its place.
pub(crate) fn way(path: &str, cwd: &str) -> (String, Vec<String>) {
    let absolute = if path.starts_with('/') { path.to_owned() } else { format!("{cwd}/{path}") };
    let plain = absolute.split('/').filter(|name| !name.is_empty() && *name != ".");
    let mut left: Vec<String> = plain.rev().map(str::to_owned).collect();
    let (mut place, mut links) = (String::new(), vec![]);
    while let Some(name) = left.pop() {
        if name == ".." {
            place.truncate(place.rfind('/').unwrap_or(0));
            continue;
        }
        let next = format!("{place}/{name}");
        match std::fs::read_link(bytes::path(&next)) {
            Ok(target) if links.len() < MOST_LINKS => {
                let target = bytes::of(target);
                if target.starts_with('/') {
                    place.clear();
                }
                let names = target.split('/').filter(|name| !name.is_empty() && *name != ".");
                left.extend(names.rev().map(str::to_owned));
                links.push(next);
            }
            _ => place = next,
        }
    }
    (place, links)
}

fn contents(mut file: File, length: u64) -> Result<Vec<u8>, String> {
    // One byte more than there should be: a read that gives all the others met the end.
    let mut bytes = vec![0; length.min(LARGEST) as usize + 1];
    let first = file.read(&mut bytes).map_err(|error| words(&error))?;
    bytes.truncate(first);
    if first as u64 != length {
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| words(&error))?;
    }
    match bytes.len() as u64 {
        read if read > LARGEST => Err("it is larger than 1 MiB".into()),
        // Half of a profile is another one: it may lack the line that hides.
        read if read != length => Err("it changed while it was read".into()),
        _ => Ok(bytes),
    }
}

/// The real path of an open file, not of what its path may mean by now, and its directory.
fn place_of(file: &File) -> Result<(String, String), String> {
    let absolute = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .map_err(|error| words(&error))?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    Ok((bytes::of(&absolute), bytes::of(directory)))
}

/// Adds a text to the sources and gives its offset there; what is not UTF-8 is a problem at its
/// first wrong byte.
pub(super) fn decode(text: &Text, sources: &mut Sources) -> Result<(usize, String), Problem> {
    let file = text.directory.as_ref().map(|_| text.identity.as_str());
    match std::str::from_utf8(&text.bytes) {
        Ok(utf8) => Ok((sources.add_file(&text.name, utf8, file) as usize, utf8.to_owned())),
        Err(error) => {
            // The text before the wrong byte keeps its offsets; the byte itself becomes U+FFFD,
            // which has three bytes.
            let base =
                sources.add_file(&text.name, &String::from_utf8_lossy(&text.bytes), file) as usize;
            let at = base + error.valid_up_to();
            let byte = text.bytes.get(error.valid_up_to()).copied().unwrap_or_default();
            let message =
                format!("cannot read the byte 0x{byte:02x}: it is not UTF-8, and a profile is");
            Err(Problem::new("profile::text", Span::from(at..at + '\u{fffd}'.len_utf8()), message))
        }
    }
}
