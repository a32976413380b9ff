//! Whether the kernel finds what runs a program.

use super::Asked;
use crate::host::FileKind;
use crate::inspect::access::path::{Need, ResolvedFile};
use crate::inspect::access::query::{Decision, Mechanism, Reason};
use crate::kernel::rights::Rights;
use crate::probe::elf::{Elf, Program};
use crate::probe::script::Script;
use landlock::AccessFs;

/// How many programs may run one another: the kernel stops at five (execve(2)).
pub(super) const MOST_INTERPRETERS: usize = 5;

/// What Landlock is asked for where the kernel runs a file.
pub(super) const TO_RUN: Rights = Rights::EXECUTE.and(Rights(AccessFs::ReadFile as u64));

impl Asked<'_> {
    /// Whether the kernel finds what runs the program, and may run that.
    pub(super) fn runs(&self, thing: &ResolvedFile, left: usize) -> Reason {
        let reason = |says, words: String| Reason::new(Mechanism::File, says, words, thing.at);
        let text = self.world.tree.get(&thing.over).and_then(|entry| entry.ground.text());
        let program = match (&thing.host, text) {
            (Some(host), _) => match (self.host_fs.program)(host) {
                Ok(program) => program,
                // A program without read permission can still be executed.
                Err(_) => {
                    return reason(
                        Decision::Unknown,
                        format!("{host} cannot be read here, so what runs it is not known"),
                    );
                }
            },
            (None, Some(text)) => Script::read(text).map_or(Program::Other, Program::Script),
            (None, None) => {
                return reason(
                    Decision::Unknown,
                    format!("what {} holds is not known before the run", thing.path),
                );
            }
        };
        let (through, is_script) = match program {
            Program::Elf(elf) if !elf.machine.runs_here() => {
                return reason(
                    Decision::Denies,
                    format!("{} is for {}", thing.path, elf.machine.word()),
                );
            }
            Program::Elf(Elf { interpreter: None, .. }) => {
                return reason(Decision::Allows, format!("{} is machine code", thing.path));
            }
            Program::Elf(Elf { interpreter: Some(loader), .. }) => (loader, false),
            Program::Script(script) => (script.interpreter, true),
            Program::Other => {
                return reason(
                    Decision::Denies,
                    format!("{} is neither machine code nor a script", thing.path),
                );
            }
        };
        let denied = |why: String| {
            reason(
                Decision::Denies,
                format!("{} is run by {through}, which cannot run: {why}", thing.path),
            )
        };
        let Some(left) = left.checked_sub(1) else {
            return denied("too many programs run one another".into());
        };
        if !through.starts_with('/') {
            return reason(
                Decision::Unknown,
                format!(
                    "{} is run by {through}, whose place depends on the working directory",
                    thing.path
                ),
            );
        }
        match self
            .interpreter(&through, is_script.then_some(left))
            .into_iter()
            .max_by_key(|reason| reason.says)
        {
            Some(Reason { says: Decision::Denies, words, .. }) => denied(words),
            Some(Reason { says: Decision::Unknown, words, .. }) => reason(Decision::Unknown, words),
            _ => reason(Decision::Allows, format!("{} is run by {through}", thing.path)),
        }
    }

    /// The answer of each restriction for an interpreter; that of a script may have one of its own.
    fn interpreter(&self, path: &str, left: Option<usize>) -> Vec<Reason> {
        let walk = match self.walker.walk(path) {
            Ok(walk) => walk,
            Err(reason) => return vec![reason],
        };
        let Some(last) = walk.way.last() else { return vec![] };
        if !walk.missing.is_empty() || last.kind != FileKind::Regular {
            return vec![self.absent(path, &walk, last)];
        }
        let mut reasons = self.judge(&walk, last, Need::Search, TO_RUN);
        if let (true, Some(left)) =
            (reasons.iter().all(|reason| reason.says == Decision::Allows), left)
        {
            reasons.push(self.runs(last, left));
        }
        reasons
    }
}
