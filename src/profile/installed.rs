//! The profiles that a name can mean, as a list. It reads their descriptions, and judges nothing.

use super::BUILTIN;
use crate::host::caller::Caller;
use crate::text::bytes;
use serde::Serialize;
use toml::de::{DeTable, DeValue};

/// A profile that can be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    pub name: String,
    /// The directory that it is in; none for what comes with the binary.
    pub directory: Option<String>,
    /// Its description, where it has one.
    pub description: Option<String>,
}

/// How much of a file is read: more than any profile may have.
const LARGEST: u64 = 1 << 20;

/// Those that come with the binary, the machine's, and the caller's; each by name.
pub(crate) fn installed(caller: &Caller) -> Vec<Listed> {
    let builtin = BUILTIN.iter().map(|(name, text)| Listed {
        name: (*name).into(),
        directory: None,
        description: description(text),
    });
    let directories = [Some(&caller.system_profiles), caller.user_profiles.as_ref()];
    builtin
        .chain(directories.into_iter().flatten().flat_map(|directory| in_directory(directory)))
        .collect()
}

fn in_directory(directory: &str) -> Vec<Listed> {
    let Ok(entries) = std::fs::read_dir(bytes::path(directory)) else { return vec![] };
    let mut found: Vec<Listed> = entries
        .flatten()
        .filter_map(|entry| {
            let name = bytes::of(entry.file_name()).strip_suffix(".toml")?.to_owned();
            // What is no file is none, and a FIFO would never end.
            let small = std::fs::metadata(entry.path())
                .is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST);
            let text = small.then(|| std::fs::read_to_string(entry.path()).ok()).flatten();
            Some(Listed {
                name,
                directory: Some(directory.to_owned()),
                description: text.and_then(|text| description(&text)),
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The description that a text gives, whatever else is wrong with it.
fn description(text: &str) -> Option<String> {
    let (document, _) = DeTable::parse_recoverable(text);
    match document.get_ref().get("description")?.get_ref() {
        DeValue::String(words) => Some(words.to_string()),
        _ => None,
    }
}
