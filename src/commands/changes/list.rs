//! The list of changes, for people and for programs.

use super::super::{print_line, warn};
use super::chosen::{LIST as ACT, Named, Wanted, no_command};
use super::diff::{LARGEST, Pair};
use super::line::line;
use super::{Result, open, refused, stopped, wrong};
use crate::cli::Format;
use crate::host::upper::{Cover, Upper};
use crate::launch::Top;
use crate::launch::changes::{Change, Contents, Item, Kind, Reader, Refused, State, Stopped};
use crate::text::bytes;
use crate::text::problem::{Problem, errno_words, quiet_json};
use serde::Serialize;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

/// How many bytes of JSON the changes that are kept may be.
pub(in crate::commands) const MOST_KEPT: usize = 256 << 20;
/// What a change is without its texts.
const BARE: usize = 640;
/// How many bytes the lines may have that are printed after all others.
const MOST_COVERED: usize = 16 << 20;

pub(super) fn list(named: Named, diff: bool, format: Format) -> Result {
    let directory = named.directory;
    let kept = open(ACT, directory).map_err(|why| no_command(named).unwrap_or(why))?;
    let mut wanted = Wanted::new(named, &kept)?;
    let held = match kept.held() {
        Err(Refused::Held(pid)) => Some(pid.unwrap_or(0)),
        other => other.map(|()| None).map_err(|why| refused(ACT, directory, &why))?,
    };
    let layers = kept.layers().map_err(|why| refused(ACT, directory, &why))?;
    let reader = kept.read(&layers, contents(diff)).map_err(|why| refused(ACT, directory, &why))?;
    let mut room = MOST_KEPT;
    let keeps = (format == Format::Json).then_some(&mut room);
    let mut rows = Rows::new(format, diff, "", keeps);
    let take = &mut |change: &mut Change, pair| match wanted.has(change) {
        true => rows.take(&kept.record, change, pair),
        false => Ok(()),
    };
    let found = each(reader, take).map_err(|ended| ended.problem(directory));
    let found = found.and_then(|()| wanted.all_found());
    rows.finish();
    if format == Format::Json && found.is_ok() {
        // A part of it would be taken for all.
        let all = All {
            path: &kept.record.path,
            layers: &kept.record.layers,
            held_by: held,
            changes: &rows.rows,
        };
        let json = serde_json::to_string_pretty(&all).unwrap_or_default();
        print_line(&quiet_json(json));
    }
    if kept.is_half_applied() && format == Format::Text {
        warn("note: an apply of it did not come to its end: the next one ends it\n");
    }
    if let (Some(pid), Format::Text) = (held, format) {
        let by = if pid > 0 { format!(" of the launcher {pid}") } else { String::new() };
        warn(&format!("note: a running sandbox{by} uses it, and may change it further\n"));
    }
    found
}

/// What was found of a run at one entry.
pub(in crate::commands) struct Found {
    /// How many changes there are.
    pub count: usize,
    /// Those for a record, as far as there was room.
    pub rows: Vec<Row>,
    /// Why these are not all.
    pub ended: Result,
}

/// The changes of a run at one entry, as text printed to standard error; where there is room for a
/// record, kept for that, too.
pub(in crate::commands) fn of_run(
    top: &Top,
    (format, diff): (Format, bool),
    room: Option<&mut usize>,
) -> Found {
    let path = &top.record.path;
    let layers: Vec<RawFd> = top.layers.iter().map(File::as_raw_fd).collect();
    let reader = match Reader::start(top.upper.as_raw_fd(), &layers, contents(diff)) {
        Ok(reader) => reader,
        Err(errno) => {
            let message =
                format!("cannot read what was written to {path}: {}", errno_words(errno.0));
            let ended = Err(wrong("launch::upper", message));
            return Found { count: 0, rows: vec![], ended };
        }
    };
    let rows = Rows::new(format, diff, path, room);
    let mut rows = Rows { of_a_run: true, shift: top.shift, ..rows };
    let read = each(reader, &mut |change, pair| rows.take(&top.record, change, pair))
        .map_err(|ended| ended.problem(path));
    rows.finish();
    let full = rows.is_full.then(|| {
        let kept = rows.rows.len();
        let message =
            format!("the report has the first {kept} changes of {path}: all take over 256M");
        wrong("launch::upper", message)
    });
    Found { count: rows.count, rows: rows.rows, ended: read.and(full.map_or(Ok(()), Err)) }
}

fn contents(diff: bool) -> Contents {
    if diff { Contents::Both(LARGEST) } else { Contents::Nothing }
}

/// Why the changes end early.
enum Ended {
    Reading(Stopped),
    Telling(Box<Problem>),
}

impl Ended {
    fn problem(self, directory: &str) -> Box<Problem> {
        match self {
            Ended::Reading(why) => stopped(ACT, directory, &why),
            Ended::Telling(problem) => problem,
        }
    }
}

/// Reads the changes one by one, each with its bytes where they are asked for.
fn each(
    mut reader: Reader,
    take: &mut dyn FnMut(&mut Change, Pair) -> Result,
) -> std::result::Result<(), Ended> {
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
        if let Some((mut change, pair)) = last.take() {
            take(&mut change, pair).map_err(Ended::Telling)?;
        }
        match item {
            Ok(Some(Item::Change(change))) => last = Some((change, Pair::default())),
            Ok(_) => return Ok(()),
            Err(why) => return Err(Ended::Reading(why)),
        }
    }
}

/// What was found so far.
struct Rows<'a> {
    format: Format,
    /// Whether differences of text are shown.
    diff: bool,
    /// What comes before each path.
    prefix: &'a str,
    /// Whether the lines go to standard error.
    of_a_run: bool,
    /// How many bytes more may be kept, where changes are kept; and whether that was too little.
    room: Option<&'a mut usize>,
    is_full: bool,
    count: usize,
    /// The ids of the host behind user 0 and group 0.
    shift: Option<(u32, u32)>,
    /// Lines of changes that entries of `[mounts]` cover.
    covered: Vec<String>,
    covered_length: usize,
    covered_more: usize,
    rows: Vec<Row>,
    /// Lines to be written.
    lines: String,
}

impl<'a> Rows<'a> {
    fn new(format: Format, diff: bool, prefix: &'a str, room: Option<&'a mut usize>) -> Rows<'a> {
        Rows {
            format,
            diff,
            prefix,
            of_a_run: false,
            room,
            is_full: false,
            count: 0,
            shift: None,
            covered: vec![],
            covered_length: 0,
            covered_more: 0,
            rows: vec![],
            lines: String::new(),
        }
    }

    fn take(&mut self, record: &Upper, change: &mut Change, pair: Pair) -> Result {
        let cover = record.cover(&change.path);
        if cover == Cover::Above && change.is_new_directory() {
            // A mount point below it is of stockade's making.
            return Ok(());
        }
        if let Some(first) = self.shift {
            let states = change.before.iter_mut().chain(&mut change.after);
            states.for_each(|state| state.shift_down(first));
        }
        let is_covered = cover == Cover::Covered;
        let is_json = self.format == Format::Json;
        self.count += 1;
        let diff = self.diff.then(|| pair.text(change, self.prefix)).flatten();
        if !is_json && is_covered {
            self.cover(line(change, self.prefix));
        } else if !is_json {
            self.add(&line(change, self.prefix));
            diff.iter().for_each(|diff| self.add(diff.trim_end_matches('\n')));
        }
        self.keep(Row::of(change, is_covered, diff))
    }

    fn cover(&mut self, line: String) {
        match self.covered_length + line.len() <= MOST_COVERED {
            true => {
                self.covered_length += line.len() + size_of::<String>();
                self.covered.push(line);
            }
            false => self.covered_more += 1,
        }
    }

    /// Keeps a change, where changes are kept. A list for programs ends where there is no more room;
    /// lines for people need none.
    fn keep(&mut self, row: Row) -> Result {
        let Some(room) = self.room.as_deref_mut().filter(|_| !self.is_full) else { return Ok(()) };
        match room.checked_sub(row.length()) {
            Some(left) => {
                *room = left;
                self.rows.push(row);
                Ok(())
            }
            None if self.of_a_run => {
                self.is_full = true;
                Ok(())
            }
            None => {
                let message = "cannot list the changes: as JSON they take more than 256M";
                Err(wrong("launch::upper", message.into()))
            }
        }
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
        match self.of_a_run {
            true => warn(&lines),
            false => lines.strip_suffix('\n').into_iter().for_each(print_line),
        }
    }

    fn finish(&mut self) {
        let covered = std::mem::take(&mut self.covered);
        if !covered.is_empty() {
            // What is thrown away is kept for nobody.
            let what = if self.of_a_run { "Apart" } else { "Kept back" };
            self.add(&format!("{what}, as entries of [mounts] cover them:"));
            covered.iter().for_each(|line| self.add(&format!("  {line}")));
            if self.covered_more > 0 {
                self.add(&format!("  and {} more", self.covered_more));
            }
        }
        self.flush();
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct All<'k> {
    path: &'k str,
    layers: &'k [String],
    /// The launcher of the sandbox that uses it.
    held_by: Option<i32>,
    changes: &'k [Row],
}

/// A change, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct Row {
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

#[derive(Debug, Serialize)]
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
    /// How long it is in JSON, about.
    fn length(&self) -> usize {
        let sides = self.before.iter().chain(&self.after);
        let targets = sides.filter_map(|side| side.target.as_deref());
        let texts = targets.chain(self.diff.as_deref()).chain([&*self.path]);
        BARE + texts.map(length).sum::<usize>()
    }

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

/// How long a text is in JSON, about: no shorter, as [`quiet_json`] writes it.
fn length(text: &str) -> usize {
    let of = |byte: u8| match byte {
        0..0x20 | 0x7f => 6,
        b'"' | b'\\' => 2,
        0x80.. => 3,
        _ => 1,
    };
    text.bytes().map(of).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str) -> Row {
        let side = || Side {
            kind: "character device",
            mode: "7777".into(),
            owner: Some(u32::MAX),
            group: None,
            size: u64::MAX,
            target: Some(path.into()),
        };
        let (before, after) = (Some(side()), Some(side()));
        let path = path.into();
        Row { path, change: "replaced", before, after, kept_back: true, diff: Some("-1\n".into()) }
    }

    #[test]
    fn a_change_takes_no_more_than_what_is_counted() {
        let texts =
            ["", "a", "\u{1}\u{1b}\n\u{7f}", "\"\\", "\u{85}\u{202e}\u{e0001}\u{10ff80}", "ä€𝄞"];
        for text in texts.map(|text| text.repeat(100)) {
            let row = row(&text);
            let all = All { path: "", layers: &[], held_by: None, changes: &[row] };
            let json = quiet_json(serde_json::to_string_pretty(&all).unwrap());
            let counted = all.changes[0].length();
            assert!(counted >= json.len(), "{text}: {counted} {}", json.len());
            let held = size_of::<Row>() + 3 * text.len() + 24;
            assert!(counted >= held, "{text}: {counted} {held}");
        }
    }

    /// A record has the first, and says that these are not all; a list is none. Lines are printed all
    /// the same.
    #[test]
    fn what_is_kept_has_a_bound() {
        let path = "d".repeat(255);
        let long = row(&path).length();
        for (format, of_a_run) in [(Format::Text, true), (Format::Json, false)] {
            let mut room = 10 * long;
            let rows = Rows::new(format, false, "/w", Some(&mut room));
            let mut rows = Rows { of_a_run, ..rows };
            let kept = (0..20).take_while(|_| rows.keep(row(&path)).is_ok()).count();
            // A shorter one later would make a hole in the list.
            let last = rows.keep(row(""));
            assert_eq!((kept, rows.rows.len()), (if of_a_run { 20 } else { 10 }, 10));
            assert_eq!((last.is_ok(), rows.is_full), (of_a_run, of_a_run));
        }
        let mut rows = Rows::new(Format::Text, false, "/w", None);
        (0..20).for_each(|_| rows.cover("x".repeat(MOST_COVERED / 10 - 24)));
        assert_eq!((rows.covered.len(), rows.covered_more), (10, 10));
        assert!(rows.keep(row("x")).is_ok() && rows.rows.is_empty());
    }
}
