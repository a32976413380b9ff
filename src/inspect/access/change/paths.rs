//! Lines of `[mounts]` that could change what may be done with a path.

use super::{Asked, Line};
use crate::host::FileKind;
use crate::inspect::access::path::{ResolvedFile, Walk};
use crate::inspect::access::query::{Act, Decision, Mechanism};
use crate::inspect::access::why::Answer;
use crate::language::value::{AbsolutePath, Room, ancestors, below, join, parent};
use crate::policy::mounts::kinds::{
    Access, Bind, Broad, Dev, Device, Dir, Driver, File, Hide, Layers, Mount, Mqueue, Proc, Socket,
    Sysfs, Tmpfs, Upper,
};
use crate::probe::elf::{Elf, Program};

/// What the host has at another path.
fn bound(source: &str, access: Access) -> Bind {
    Bind { access, ..Bind::of(source) }
}

/// A read-only bind, in the shortest words.
fn shown(path: &str, source: &str) -> Mount {
    if path == source {
        Mount::here(Access::ReadOnly)
    } else {
        Mount::Bind(bound(source, Access::ReadOnly))
    }
}

fn copy(source: &str) -> Mount {
    Mount::File(File::copy(source))
}

fn socket(source: &str) -> Mount {
    Mount::Socket(Socket::of(source))
}

impl Asked<'_> {
    pub(super) fn mount(&self, path: &str, value: Mount) -> Line {
        Line::entry("mounts", path, &self.profile.mounts, Some(value))
    }

    /// The entry whose layers are there.
    fn written_over<'p>(&'p self, over: &'p str) -> Option<(&'p str, &'p Layers)> {
        let mut paths = ancestors(over).chain(["/"]);
        let (path, mount) =
            paths.find_map(|path| Some((path, &self.profile.mounts.get(path)?.value)))?;
        // An overlay that is shown in parts is one entry.
        mount.layers().map(|layers| (path, layers))
    }

    /// The same entry with the words that let more of it be changed. A bind would be the host's own.
    /// The whole entry, as without `layers` it would change one of a layer below, and there may be
    /// none.
    fn change_layers(&self, real: &str, (path, layers): (&str, &Layers)) -> Vec<Line> {
        let mut layers = layers.at(path);
        let without = layers.upper.is_none();
        layers.upper.get_or_insert(Upper::Discard);
        let mut owner = layers.clone();
        owner.words.owner_root = true;
        let mut up = layers.clone();
        up.copy_up.push(AbsolutePath(parent(real).to_owned()));
        let [fuse, copy] = [Driver::Fuse, Driver::Copy].map(|driver| layers.with_driver(driver));
        let plain = without.then(|| layers.clone());
        let all = plain.into_iter().chain([owner, up, fuse, copy]);
        all.map(|layers| self.mount(path, Mount::Layers(layers))).collect()
    }

    fn unmount(&self, path: &str) -> Line {
        Line::entry("mounts", path, &self.profile.mounts, None)
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
            return vec![self.unmount(&thing.over)];
        }
        let denies = |mechanism| {
            answer
                .reasons
                .iter()
                .any(|reason| reason.mechanism == mechanism && reason.says == Decision::Denies)
        };
        let real = walk
            .missing
            .iter()
            .filter(|name| *name != ".")
            .fold(thing.path.clone(), |path, name| join(&path, &format!("/{name}")));
        if let (Act::Write, Some(layers)) = (act, self.written_over(&thing.over)) {
            return self.change_layers(&real, layers);
        }
        let mut lines = vec![];
        if !walk.missing.is_empty() {
            lines.extend(self.grant(act, &real));
        }
        match act {
            Act::Write => lines.extend(self.open_for_writing(&walk, thing, &real)),
            Act::Execute => lines.extend(self.open_for_running(thing, denies(Mechanism::File))),
            Act::Connect => {
                lines.extend(thing.host.iter().map(|host| self.mount(&thing.path, socket(host))))
            }
            Act::Read | Act::List => {}
        }
        // Where root starts the sandbox the target is another user: a copy is the target's own, and
        // a writable bind maps its owner to the target.
        if denies(Mechanism::Permissions)
            && self.world.plan.ids.needs_idmap
            && let Some(host) = &thing.host
        {
            match act {
                Act::Read if thing.kind == FileKind::Regular => {
                    lines.push(self.mount(&thing.path, copy(host)))
                }
                Act::Write => lines.extend(self.writable(&thing.path, host)),
                Act::Read | Act::Execute | Act::List | Act::Connect => {}
            }
        }
        lines
    }

    /// Shows the host's file at its own path.
    fn grant(&self, act: Act, path: &str) -> Vec<Line> {
        let kernel = [
            ("/dev/mqueue", Mount::Mqueue(Mqueue)),
            ("/proc", Mount::Proc(Proc::PLAIN)),
            ("/sys", Mount::Sysfs(Sysfs)),
        ];
        for (top, mount) in kernel {
            if below(path, top).is_some() {
                return vec![self.mount(top, mount)];
            }
        }
        let mut lines = vec![];
        match (self.host_fs.see)(path).map(|seen| seen.kind) {
            Ok(FileKind::Socket) => lines.push(self.mount(path, socket(path))),
            Ok(FileKind::Device) => lines.push(self.mount(path, Mount::Device(Device::here()))),
            Ok(_) if act == Act::Write => lines.extend(self.writable(path, path)),
            Ok(_) => lines.push(self.mount(path, Mount::here(Access::ReadOnly))),
            Err(_) => {}
        }
        if let Some(real) = (self.host_fs.real)(path).filter(|real| real != path) {
            match act {
                Act::Write => lines.extend(self.writable(path, &real)),
                Act::Read | Act::Execute | Act::List | Act::Connect => {
                    lines.push(self.mount(path, shown(path, &real)))
                }
            }
        }
        if below(path, "/dev").is_some() {
            lines.push(self.mount("/dev", Mount::Dev(Dev { extra: vec![] })));
        }
        lines
    }

    /// A writable bind, with the words that it may need.
    fn writable(&self, path: &str, source: &str) -> Vec<Line> {
        let short = if path == source { vec![Mount::here(Access::ReadWrite)] } else { vec![] };
        let words = [
            (Broad::Refuse, false),
            (Broad::Refuse, true),
            (Broad::Allow, false),
            (Broad::Allow, true),
        ];
        let long = words.map(|(broad, owner_root)| {
            Mount::Bind(Bind { broad, owner_root, ..bound(source, Access::ReadWrite) })
        });
        short.into_iter().chain(long).map(|value| self.mount(path, value)).collect()
    }

    fn open_for_writing(&self, walk: &Walk, thing: &ResolvedFile, real: &str) -> Vec<Line> {
        if let Some(host) = &thing.host {
            return self.writable(&thing.path, host);
        }
        let memory = |path: &str| self.mount(path, Mount::Tmpfs(Tmpfs::PLAIN));
        let mut lines = vec![];
        if !walk.missing.is_empty() {
            lines.push(memory(parent(real)));
        }
        if thing.kind == FileKind::Directory {
            lines.push(memory(&thing.path));
        }
        lines
    }

    fn open_for_running(&self, thing: &ResolvedFile, because_of_the_file: bool) -> Vec<Line> {
        if because_of_the_file {
            let program = thing.host.as_deref().and_then(|host| (self.host_fs.program)(host).ok());
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
            lines.push(self.mount(&thing.path, shown(&thing.path, host)));
        }
        let over = self.world.tree.get(&thing.over);
        if let Some(size) = over.and_then(|entry| entry.ground.nature().memory) {
            lines.push(self.mount(&thing.over, self.memory(&thing.over, size)));
        }
        lines
    }

    /// The file system in memory that is there, with programs.
    fn memory(&self, path: &str, size: Room) -> Mount {
        let now = self.profile.mounts.get(path).and_then(|mount| mount.value.tmpfs());
        Mount::Tmpfs(Tmpfs { size, exec: true, ..now.cloned().unwrap_or(Tmpfs::PLAIN) })
    }

    fn take_away(&self, act: Act, thing: &ResolvedFile) -> Vec<Line> {
        let mut lines = vec![];
        if let Some(host) = &thing.host {
            match act {
                Act::Write => lines.push(self.mount(&thing.path, shown(&thing.path, host))),
                Act::Execute => {
                    let bind = Bind { exec: false, ..bound(host, Access::ReadOnly) };
                    lines.push(self.mount(&thing.path, Mount::Bind(bind)));
                }
                Act::Read | Act::List | Act::Connect => {}
            }
        }
        if thing.over != thing.path || thing.host.is_some() {
            lines.push(self.mount(&thing.path, Mount::Hide(Hide::PLAIN)));
        }
        if self.profile.mounts.get(&thing.over).is_some() {
            lines.push(self.unmount(&thing.over));
        }
        if thing.kind == FileKind::Directory {
            lines.push(self.mount(&thing.over, Mount::Dir(Dir::PLAIN)));
        }
        lines
    }
}
