//! Lines of `[mounts]` that could change what may be done with a path.

use super::{Asked, Line, Over};
use crate::host::FileKind;
use crate::inspect::walls::path::{Thing, Walk};
use crate::inspect::walls::query::{Act, Says, Wall};
use crate::inspect::walls::why::Answer;
use crate::language::value::{Size, join, literal, parent};
use crate::policy::mounts::kinds::Tmpfs;
use crate::probe::elf::{Elf, Program};

impl Asked<'_> {
    pub(super) fn mount(&self, path: &str, value: &str) -> Line {
        let over = self
            .profile
            .mounts
            .map
            .get(path)
            .map_or(Over::Nothing, |entry| Over::Replaces(entry.key));
        Line::new("mounts", format!("{} = {value}", literal(path)), over)
    }

    pub(super) fn path(&self, act: Act, path: &str, answer: &Answer) -> Vec<Line> {
        let Ok(walk) = self.walker.walk(path) else { return self.grant(act, path) };
        let Some(thing) = walk.way.last() else { return vec![] };
        if !self.denied {
            return self.take_away(act, thing);
        }
        if thing.hidden
            || self.world.tree.get(&thing.over).is_some_and(|entry| entry.ground.nature().hidden)
        {
            return vec![self.mount(&thing.over, "false")];
        }
        let denies = |wall| {
            answer.reasons.iter().any(|reason| reason.wall == wall && reason.says == Says::Denies)
        };
        let real = walk
            .missing
            .iter()
            .filter(|name| *name != ".")
            .fold(thing.path.clone(), |path, name| join(&path, &format!("/{name}")));
        let mut lines = vec![];
        if !walk.missing.is_empty() {
            lines.extend(self.grant(act, &real));
        }
        match act {
            Act::Write => lines.extend(self.open_for_writing(&walk, thing, &real)),
            Act::Execute => lines.extend(self.open_for_running(thing, denies(Wall::File))),
            Act::Connect => {
                lines.extend(thing.host.iter().map(|host| {
                    self.mount(&thing.path, &format!("{{ socket = {} }}", literal(host)))
                }))
            }
            Act::Read | Act::List => {}
        }
        // A writable bind maps its owner to the target, where root starts the sandbox.
        if denies(Wall::Permissions) && self.world.plan.ids.needs_idmap {
            lines.extend(thing.host.iter().flat_map(|host| self.writable(&thing.path, host)));
        }
        lines
    }

    /// What the host has at a path is shown there.
    fn grant(&self, act: Act, path: &str) -> Vec<Line> {
        for (top, word) in [("/dev/mqueue", "mqueue"), ("/proc", "proc"), ("/sys", "sysfs")] {
            if crate::language::value::below(path, top).is_some() {
                return vec![self.mount(top, &literal(word))];
            }
        }
        let mut lines = vec![];
        match (self.eyes.see)(path).map(|seen| seen.kind) {
            Ok(FileKind::Socket) => {
                lines.push(self.mount(path, &format!("{{ socket = {} }}", literal(path))))
            }
            Ok(FileKind::Device) => lines.push(self.mount(path, "\"device\"")),
            Ok(_) if act == Act::Write => lines.extend(self.writable(path, path)),
            Ok(_) => lines.push(self.mount(path, "\"ro\"")),
            Err(_) => {}
        }
        if let Some(real) = (self.eyes.real)(path).filter(|real| real != path) {
            match act {
                Act::Write => lines.extend(self.writable(path, &real)),
                Act::Read | Act::Execute | Act::List | Act::Connect => {
                    lines.push(self.mount(path, &format!("{{ bind = {} }}", literal(&real))))
                }
            }
        }
        if crate::language::value::below(path, "/dev").is_some() {
            lines.push(self.mount("/dev", "\"dev\""));
        }
        lines
    }

    /// A writable bind, with the words that it may need.
    fn writable(&self, path: &str, source: &str) -> Vec<Line> {
        let short = if path == source { vec![self.mount(path, "\"rw\"")] } else { vec![] };
        let long = ["", ", owner = \"root\"", ", broad = true", ", broad = true, owner = \"root\""];
        let long = long.map(|more| {
            self.mount(path, &format!("{{ bind = {}, access = \"rw\"{more} }}", literal(source)))
        });
        short.into_iter().chain(long).collect()
    }

    fn open_for_writing(&self, walk: &Walk, thing: &Thing, real: &str) -> Vec<Line> {
        if let Some(host) = &thing.host {
            return self.writable(&thing.path, host);
        }
        let memory = |path: &str| self.mount(path, "\"tmpfs\"");
        let mut lines = vec![];
        if !walk.missing.is_empty() {
            lines.push(memory(parent(real)));
        }
        if thing.kind == FileKind::Folder {
            lines.push(memory(&thing.path));
        }
        lines
    }

    fn open_for_running(&self, thing: &Thing, because_of_the_file: bool) -> Vec<Line> {
        if because_of_the_file {
            let program = thing.host.as_deref().and_then(|host| (self.eyes.program)(host).ok());
            return match program {
                Some(Program::Elf(Elf { interpreter: Some(through), .. })) => {
                    self.grant(Act::Execute, &through)
                }
                Some(Program::Script(script)) => self.grant(Act::Execute, &script.interpreter),
                _ => vec![],
            };
        }
        let mut lines = vec![];
        if let Some(host) = &thing.host {
            let value = if thing.path == *host {
                "\"ro\"".into()
            } else {
                format!("{{ bind = {} }}", literal(host))
            };
            lines.push(self.mount(&thing.path, &value));
        }
        let over = self.world.tree.get(&thing.over);
        if let Some(size) = over.and_then(|entry| entry.ground.nature().memory) {
            lines.push(self.mount(&thing.over, &self.memory(&thing.over, size)));
        }
        lines
    }

    /// The file system in memory that is there, with programs.
    fn memory(&self, path: &str, size: Size) -> String {
        let mut value = format!("{{ tmpfs = \"{size}\"");
        if let Some(tmpfs) = self.profile.mounts.get(path).and_then(|mount| mount.value.tmpfs()) {
            if tmpfs.inodes != Tmpfs::PLAIN.inodes {
                value += &format!(", inodes = {}", tmpfs.inodes);
            }
            if let Some(mode) = tmpfs.mode {
                value += &format!(", mode = \"{mode}\"");
            }
        }
        value + ", exec = true }"
    }

    fn take_away(&self, act: Act, thing: &Thing) -> Vec<Line> {
        let mut lines = vec![];
        if let Some(host) = &thing.host {
            match act {
                Act::Write if thing.path == *host => lines.push(self.mount(&thing.path, "\"ro\"")),
                Act::Write => {
                    lines.push(self.mount(&thing.path, &format!("{{ bind = {} }}", literal(host))))
                }
                Act::Execute => {
                    lines.push(self.mount(
                        &thing.path,
                        &format!("{{ bind = {}, exec = false }}", literal(host)),
                    ))
                }
                Act::Read | Act::List | Act::Connect => {}
            }
        }
        if thing.over != thing.path || thing.host.is_some() {
            lines.push(self.mount(&thing.path, "\"hide\""));
        }
        if self.profile.mounts.get(&thing.over).is_some() {
            lines.push(self.mount(&thing.over, "false"));
        }
        if thing.kind == FileKind::Folder {
            lines.push(self.mount(&thing.over, "\"dir\""));
        }
        lines
    }
}
