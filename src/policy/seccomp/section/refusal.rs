//! What becomes of calls that the policy refuses, as a profile says it.

use super::super::filter::Verdict;
use super::{Action, errno};
use crate::language::read::Why;
use crate::language::shape::{Shape, Word};
use crate::language::value::{Spelled, Written};

/// The verdict on a call that is neither allowed nor ruled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub Verdict);

const WORDS: [(&str, Verdict, &str); 2] = [
    ("kill", Verdict::KillProcess, "The process dies of SIGSYS."),
    ("log", Verdict::Log, "The kernel does the call, and writes it into its log."),
];

impl Written for Refusal {
    const WHAT: &'static str = "\"errno:EPERM\", \"kill\" or \"log\"";
    fn from_text(text: &str) -> Result<Refusal, Why> {
        if let Some(name) = text.strip_prefix("errno:") {
            return match errno(name)? {
                // Programs would take it for done, whatever the call is.
                0 => Err(Why::new("0 is no errno here: every refused call would seem to succeed")
                    .help("write a rule for the call that is meant")),
                errno => Ok(Refusal(Verdict::Errno(errno))),
            };
        }
        let found = WORDS.iter().find(|(word, ..)| *word == text);
        found.map(|(_, verdict, _)| Refusal(*verdict)).ok_or_else(|| {
            let help = match Action::from_text(text) {
                Ok(_) if text == "allow" => "policy = \"off\" allows every call".to_owned(),
                Ok(_) if text == "deny" => "write \"errno:EPERM\"".to_owned(),
                Ok(_) => format!("a rule for single calls may say it: write {}", Self::WHAT),
                Err(_) => format!("write {}", Self::WHAT),
            };
            Why::of("`", text, "` is not for every call that is refused").help(help)
        })
    }
    fn write(&self) -> Spelled {
        let found = WORDS.iter().find(|(_, verdict, _)| *verdict == self.0);
        match (found, self.0) {
            (Some((word, ..)), _) => Spelled::Text((*word).into()),
            (None, Verdict::Errno(libc::EPERM)) => Spelled::Text("errno:EPERM".into()),
            (None, Verdict::Errno(errno)) => Spelled::Text(format!("errno:{errno}")),
            (None, verdict) => Spelled::Text(verdict.to_string()),
        }
    }
    fn looks() -> Shape {
        let words = WORDS.iter().map(|(word, _, doc)| Word { word: (*word).into(), doc });
        Shape::Either(vec![
            Shape::Words(words.collect()),
            Shape::form("`\"errno:NAME\"`", "^errno:[A-Z0-9]+$"),
        ])
    }
}
