//! The list of changes, for people and for programs.

use super::super::{print_line, warn};
use super::diff::{LARGEST, Pair};
use super::{Result, open, refused, stopped, wrong};
use crate::cli::Format;
use crate::host::upper::Cover;
use crate::launch::changes::{Change, Contents, Item, Kept, Kind, Refused, State, What};
use crate::text::bytes;
use crate::text::problem::{escape, quiet_json};
use serde::Serialize;

const ACT: &str = "read the changes of";
/// How many changes are kept for a record of them.
const MOST: usize = 1_000_000;

pub(super) fn list(directory: &str, diff: bool, format: Format) -> Result {
    let kept = open(ACT, directory)?;
    let held = match kept.held() {
        Err(Refused::Held(pid)) => Some(pid.unwrap_or(0)),
        other => other.map(|()| None).map_err(|why| refused(ACT, directory, &why))?,
    };
    let mut rows = Rows { format, held, covered: vec![], rows: vec![], lines: String::new() };
    let found = each(directory, &kept, diff, &mut |change, pair| rows.take(&kept, change, pair));
    rows.finish(&kept, found.is_ok());
    found
}

/// Reads the changes one by one, each with its bytes where they are asked for.
fn each(
    directory: &str,
    kept: &Kept,
    diff: bool,
    take: &mut dyn FnMut(&Change, Option<Pair>) -> Result,
) -> Result {
    let layers = kept.layers().map_err(|why| refused(ACT, directory, &why))?;
    let contents = if diff { Contents::Both(LARGEST) } else { Contents::Nothing };
    let mut reader = kept.read(&layers, contents).map_err(|why| refused(ACT, directory, &why))?;
    let mut last: Option<(Box<Change>, Pair)> = None;
    loop {
        let item = reader.next();
        match (&item, &mut last) {
            (Ok(Some(Item::Data { before, bytes, .. })), last) => {
                last.iter_mut().for_each(|(_, pair)| pair.add(*before, bytes));
                continue;
            }
            (Ok(Some(Item::End { before })), last) => {
                last.iter_mut().for_each(|(_, pair)| pair.end(*before));
                continue;
            }
            _ => {}
        }
        if let Some((change, pair)) = last.take() {
            take(&change, diff.then_some(pair))?;
        }
        match item {
            Ok(Some(Item::Change(change))) => last = Some((change, Pair::default())),
            Ok(_) => return Ok(()),
            Err(why) => return Err(stopped(ACT, directory, &why)),
        }
    }
}

/// What was found so far.
struct Rows {
    format: Format,
    /// The launcher that uses the upper; 0: one that is not known.
    held: Option<i32>,
    /// Lines of changes that entries of `[mounts]` cover.
    covered: Vec<String>,
    rows: Vec<Row>,
    /// Lines to be written.
    lines: String,
}

impl Rows {
    fn take(&mut self, kept: &Kept, change: &Change, pair: Option<Pair>) -> Result {
        let cover = kept.record.cover(&change.path);
        if cover == Cover::Above && change.is_new_directory() {
            // A mount point below it is of stockade's making.
            return Ok(());
        }
        let is_covered = cover == Cover::Covered;
        let is_json = self.format == Format::Json;
        if self.rows.len().max(self.covered.len()) >= MOST && (is_json || is_covered) {
            let why = "there are more than a million; export them";
            return Err(wrong("launch::upper", format!("cannot list the changes: {why}")));
        }
        let diff = pair.and_then(|pair| pair.text(change));
        if is_json {
            self.rows.push(Row::of(change, is_covered, diff));
        } else if is_covered {
            self.covered.push(line(change));
        } else {
            self.add(&line(change));
            diff.iter().for_each(|diff| self.add(diff.trim_end_matches('\n')));
        }
        Ok(())
    }

    fn add(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
        if self.lines.len() > 1 << 16 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        lines.strip_suffix('\n').into_iter().for_each(print_line);
    }

    fn finish(mut self, kept: &Kept, is_whole: bool) {
        if self.format == Format::Json {
            // A part of it would be taken for all.
            if is_whole {
                let all = All {
                    path: &kept.record.path,
                    layers: &kept.record.layers,
                    held_by: self.held,
                    changes: self.rows,
                };
                let json = serde_json::to_string_pretty(&all).unwrap_or_default();
                print_line(&quiet_json(json));
            }
            return;
        }
        let covered = std::mem::take(&mut self.covered);
        if !covered.is_empty() {
            self.add("Kept back, as entries of [mounts] cover them:");
            covered.iter().for_each(|line| self.add(&format!("  {line}")));
        }
        self.flush();
        if kept.is_half_applied() {
            warn("note: an apply of it did not come to its end: the next one ends it\n");
        }
        if let Some(pid) = self.held {
            let by = if pid > 0 { format!(" of the launcher {pid}") } else { String::new() };
            warn(&format!("note: a running sandbox{by} uses it, and may change it further\n"));
        }
    }
}

/// A change in one line.
pub(super) fn line(change: &Change) -> String {
    let letter = match change.what {
        What::Added => 'A',
        What::Changed | What::Rights => 'M',
        What::Removed => 'D',
        What::Replaced => 'T',
    };
    let mut line = format!("{letter}  {}", path(change));
    let now = change.after.as_ref().or(change.before.as_ref());
    match now.map(|now| now.kind) {
        Some(Kind::Link) => {
            let target = change.after.as_ref().map(|after| escape(&bytes::text(&after.target)));
            line += &target.map_or(String::new(), |target| format!(" -> {target}"));
        }
        None | Some(Kind::File | Kind::Directory) => {}
        Some(kind) => line += &format!(" ({})", kind.word()),
    }
    if let (What::Replaced, Some(before)) = (change.what, &change.before) {
        line += &format!(" (was a {})", before.kind.word());
    }
    line + &rights(change)
}

/// The path; that of a directory ends with `/`.
fn path(change: &Change) -> String {
    let path = if change.path.is_empty() { ".".into() } else { bytes::text(&change.path) };
    let now = change.after.as_ref().or(change.before.as_ref());
    let is_directory = now.is_some_and(|now| now.kind == Kind::Directory);
    escape(&path) + if is_directory { "/" } else { "" }
}

/// How mode and owner are others.
fn rights(change: &Change) -> String {
    let (What::Changed | What::Rights, Some(before), Some(after)) =
        (change.what, &change.before, &change.after)
    else {
        return String::new();
    };
    let mut words = vec![];
    if before.mode != after.mode && after.kind != Kind::Link {
        words.push(format!("mode {:04o}, was {:04o}", after.mode, before.mode));
    }
    if (before.owner, before.group) != (after.owner, after.group) {
        let id = |id: Option<u32>| id.map_or("?".into(), |id| id.to_string());
        let of = |state: &State| format!("{}:{}", id(state.owner), id(state.group));
        words.push(format!("owner {}, was {}", of(after), of(before)));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct All<'k> {
    path: &'k str,
    layers: &'k [String],
    /// The launcher of the sandbox that uses it.
    held_by: Option<i32>,
    changes: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    path: String,
    change: &'static str,
    before: Option<Side>,
    after: Option<Side>,
    /// Whether an entry of `[mounts]` covers it: it is not applied.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kept_back: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Side {
    kind: &'static str,
    mode: String,
    /// None: another user's.
    owner: Option<u32>,
    group: Option<u32>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Row {
    fn of(change: &Change, kept_back: bool, diff: Option<String>) -> Row {
        Row {
            path: bytes::text(&change.path),
            change: change.what.word(),
            before: change.before.as_ref().map(Side::of),
            after: change.after.as_ref().map(Side::of),
            kept_back,
            diff,
        }
    }
}

impl Side {
    fn of(state: &State) -> Side {
        Side {
            kind: state.kind.word(),
            mode: format!("{:04o}", state.mode),
            owner: state.owner,
            group: state.group,
            size: state.size,
            target: (state.kind == Kind::Link).then(|| bytes::text(&state.target)),
        }
    }
}
