//! `stockade plan` for people: the file tree, the protections, the exposure with the lines that cost it,
//! and what is not granted.

use crate::host::Host;
use crate::inspect::access::World;
use crate::inspect::access::stays::Stays;
use crate::inspect::exposure::{Exposure, Point, tenths, weigh};
use crate::inspect::view::{Notes, flat, place_words, protections, stays, tree};
use crate::policy::mounts::settle::Settled;
use crate::profile::Profile;
use crate::text::layout::{COLUMNS, Paint, Tone, shorten, width, wrap};
use crate::text::problem::Note;
use crate::text::source::{Place, Sources};
use serde::Serialize;

pub fn text(
    profile: &Profile,
    (host, settled): (&Host, &Settled),
    (world, stays): (&World<'_>, &Stays),
    sources: &Sources,
    paint: Paint,
    notes: Notes,
) -> String {
    let mut out = String::new();
    if let Some(description) = profile.description.get() {
        out += &wrap("", &flat(description), 0);
        out.push('\n');
    }
    let mut head = |text: &str| out += &(paint.tone(Tone::Head, text) + "\n");
    head("files");
    out += &tree::text(world, profile, paint);
    out.push('\n');
    out += &stays::text(stays, paint);
    out += &format!("{}\n", paint.tone(Tone::Head, "protections"));
    out += &protections::text(world, paint);
    out.push('\n');
    out += &exposure(&weigh(profile, host, settled, world), sources, paint);
    let (notes, others) = notes.of(&world.plan.notes, sources);
    let notes: String = notes
        .into_iter()
        .map(|note| note_text(note, sources))
        .chain(others.map(|others| wrap("  - ", &others, 4)))
        .collect();
    if !notes.is_empty() {
        out += &format!("\n{}\n{notes}", paint.tone(Tone::Head, "notes"));
    }
    out.push('\n');
    const LABEL: &str = "not granted: ";
    out += wrap(LABEL, &protections::not_granted(world), LABEL.len()).trim_end();
    out
}

fn note_text(note: &Note, sources: &Sources) -> String {
    let place = sources
        .place(note.at)
        .map_or(String::new(), |_| format!(" ({})", place_words(note.at, sources)));
    wrap("  - ", &format!("{}{place}", flat(&note.text)), 4)
}

fn exposure(exposure: &Exposure, sources: &Sources, paint: Paint) -> String {
    let tone = if exposure.tenths >= 50 { Tone::Bad } else { Tone::Good };
    let number = paint.tone(tone, &format!("{} of 10, {}", exposure.number(), exposure.word()));
    let mut out = format!("{}  {number}\n", paint.tone(Tone::Head, "exposure"));
    for point in &exposure.points {
        let place = shorten(&place_words(point.at, sources), PLACE);
        let room = COLUMNS - 8 - width(&place);
        let what = granted(point, room - 2);
        let gap = " ".repeat(room - width(&what));
        out += &format!(
            "  {:>4}  {what}{gap}{}\n",
            tenths(point.tenths),
            paint.tone(Tone::Faint, &place)
        );
    }
    out += &format!("  {}\n", paint.tone(Tone::Faint, "how it is counted: docs/exposure.md"));
    out
}

/// A grant in at most so many columns: the access is more important than the path, and the path
/// than the reason.
fn granted(point: &Point, most: usize) -> String {
    let (path, words) = point.what.split_at(point.path);
    let verdict = &words[..point.verdict - point.path];
    let (path, verdict, words) = (flat(path), flat(verdict), flat(words));
    if path.is_empty() || width(&verdict) + 8 > most {
        return shorten(&flat(&point.what), most);
    }
    // A few columns are left for the reason.
    let reason = if verdict.len() < words.len() { 6 } else { 0 };
    let path = shorten(&path, (most - width(&verdict)).saturating_sub(reason).max(8));
    path.clone() + &cut(&words, most.saturating_sub(width(&path)))
}

/// A text in at most so many columns, without its end.
fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.into();
    }
    let mut kept = text.to_owned();
    while width(&kept) + 1 > most && kept.pop().is_some() {}
    kept.trim_end_matches([' ', ':', ',']).to_owned() + "…"
}

/// How much of a line a place takes at most.
const PLACE: usize = 28;

/// The exposure, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    score: String,
    tenths: u32,
    word: &'static str,
    points: Vec<PointRecord>,
}

#[derive(Debug, Serialize)]
struct PointRecord {
    tenths: u32,
    name: &'static str,
    what: String,
    reason: &'static str,
    at: Option<Place>,
}

pub(crate) fn record(
    profile: &Profile,
    (host, settled): (&Host, &Settled),
    world: &World<'_>,
    sources: &Sources,
) -> Record {
    let exposure = weigh(profile, host, settled, world);
    let points = exposure.points.iter().map(|point| PointRecord {
        tenths: point.tenths,
        name: point.cost.name,
        what: point.what.clone(),
        reason: point.cost.reason,
        at: sources.place(point.at),
    });
    Record {
        score: exposure.number(),
        tenths: exposure.tenths,
        word: exposure.word(),
        points: points.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::exposure::COSTS;
    use crate::text::source::Span;

    /// A socket may have any name; what is shortened is the path.
    #[test]
    fn a_name_that_reads_like_a_reason_is_no_reason() {
        let verdict = " holds sockets of the host (a: b)";
        for reason in ["", ": it is a home, or holds one"] {
            let path = "/srv/some/where/deep/in/the/tree";
            let point = Point {
                cost: COSTS[0],
                tenths: 1,
                what: format!("{path}{verdict}{reason}"),
                path: path.len(),
                verdict: path.len() + verdict.len(),
                at: Span::NOWHERE,
            };
            let line = granted(&point, 54);
            assert!(width(&line) <= 54 && line.contains(verdict), "{line}");
        }
    }
}
