//! A state: its directory is checked, held by the launcher, and bound as every other one.

use super::super::checks;
use super::super::kinds::State;
use super::super::tree::real;
use super::create::nearest;
use super::{What, World, bind_rights};
use crate::host::{Fact, File, FileKind};
use crate::kernel::name::Name;
use crate::language::value::{below, join, parent};
use crate::step::{Stage, TreeOp};
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;

/// Why a directory cannot be one, and what to do.
type Refused = (String, String);

impl World<'_> {
    pub(super) fn state(&mut self, path: &str, state: &State, at: Span) {
        let (bind, source) = (&state.bind, state.bind.source_at(path));
        let file = match self.kept_directory(source) {
            Ok(file) => file,
            Err((why, help)) => {
                let message = format!("cannot show the state `{}` at {path}: {why}", state.name);
                let problem = Problem::new("mounts::state", at, message).help(help);
                return self.draft.problem(problem);
            }
        };
        if let Some(refused) = checks::check(path, source, bind, &file, self.around()) {
            return self.draft.problem(refused.problem(at));
        }
        let Some(site) = self.site(path, true, at) else { return };
        let directory = Name::new(file.real.as_ref().map_or(source, |(real, _)| real));
        let there = real(self.host, nearest(source, self.host).0).to_owned();
        let held = self.draft.slot();
        let owner = (self.host.caller.uid == 0).then_some((file.uid, file.gid));
        let (path_of, parent) = (directory.clone(), Name::new(&there));
        let hold = TreeOp::HoldState { slot: held, directory: path_of, parent, owner };
        self.draft.step(Stage::Uppers, hold, at);
        let slot = self.opened(What::Held { path: directory, held }, self.bind_attrs(bind), at);
        self.map_owner(slot, path, source, &file, bind, at);
        self.attach(slot, path, site.ground, bind_rights(bind, true), at);
    }

    /// The directory of a state, or the facts of the one that will be made. It lies in one that is
    /// the caller's alone, so that no other user can put something else there or enter what a target
    /// has left.
    fn kept_directory(&self, source: &str) -> Result<File, Refused> {
        let caller = self.host.caller.uid;
        let base = parent(source);
        let (user, group) = self.owner_of_states()?;
        match self.host.at(base) {
            Fact::Absent(libc::ENOENT) => {}
            Fact::Absent(errno) => {
                let why = format!("{base}: {}", errno_words(*errno));
                return Err((why, self.elsewhere()));
            }
            Fact::Present(file) if matches!(file.real, Some((_, false))) => {
                return Err(self.behind_link(base, file));
            }
            Fact::Present(file) if file.kind != FileKind::Directory => {
                let why = format!("{base} is {}", file.kind.word());
                return Err((why, format!("move it away, or {}", self.elsewhere())));
            }
            Fact::Present(file) if file.uid != caller => {
                let why = format!("{base} belongs to the user {}", file.uid);
                return Err((why, format!("see who made it: ls -ld {}", shell_word(base))));
            }
            Fact::Present(file) if file.mode & 0o077 != 0 => {
                let close = format!("close it: chmod 700 {}", shell_word(base));
                return Err((format!("other users may enter {base}"), close));
            }
            Fact::Present(_) => {}
        }
        match self.host.at(source) {
            Fact::Absent(libc::ENOENT) => self.to_be_kept(source, (user, group)),
            Fact::Absent(errno) => {
                Err((format!("{source}: {}", errno_words(*errno)), self.elsewhere()))
            }
            Fact::Present(file) if file.kind != FileKind::Directory => {
                let why = format!("{source} is {}", file.kind.word());
                Err((why, format!("see who made it: ls -ld {}", shell_word(source))))
            }
            Fact::Present(file) if file.uid != user => {
                let why = format!("{source} belongs to the user {}, not to {user}", file.uid);
                let give = format!("chown -R {user}:{group} {}", shell_word(source));
                Err((why, format!("give it to that user: {give}; or name another state")))
            }
            Fact::Present(file) => Ok(file.clone()),
        }
    }

    /// Whose a state is on disk: the target's, or, where that stands for the owner of what it
    /// writes, the caller's.
    fn owner_of_states(&self) -> Result<(u32, u32), Refused> {
        let caller = &self.host.caller;
        let target = (self.ids.host_user, self.ids.host_group);
        if self.ids.needs_idmap {
            return Ok((caller.uid, caller.gid));
        }
        if caller.uid == 0 || target.0 == caller.uid {
            return Ok(target);
        }
        let why = format!("the target is the user {} of the host, not {}", target.0, caller.uid);
        Err((why, "map the caller's own id to the target in uid-map".into()))
    }

    /// One that is made, in the nearest directory that is there.
    fn to_be_kept(&self, source: &str, (uid, gid): (u32, u32)) -> Result<File, Refused> {
        let (there, tail) = nearest(source, self.host);
        let cannot =
            |why: &str| Err((format!("cannot make {source}: {there}{why}"), self.elsewhere()));
        let above = match self.host.at(there) {
            Fact::Present(file) if matches!(file.real, Some((_, false))) => {
                return Err(self.behind_link(there, file));
            }
            Fact::Present(file) if file.kind == FileKind::Directory => file,
            Fact::Present(file) => return cannot(&format!(" is {}", file.kind.word())),
            // No ordinary user makes directories there.
            Fact::Absent(_) if there == "/" => {
                return cannot(&format!(": {}", errno_words(libc::EACCES)));
            }
            Fact::Absent(errno) => return cannot(&format!(": {}", errno_words(*errno))),
        };
        if let Some(errno) = self.host.unwritable.get(there) {
            return cannot(&format!(": {}", errno_words(*errno)));
        }
        let real = above.real.as_ref().map(|(directory, roots)| (join(directory, tail), *roots));
        Ok(File { real, uid, gid, sockets: vec![], ..above.clone() })
    }

    /// An earlier target could have put the link there.
    fn behind_link(&self, path: &str, file: &File) -> Refused {
        let why = format!("a directory on the way to {path} is a symbolic link that is not root's");
        let place = file.real.as_ref().map_or(path, |(real, _)| real);
        if self.host.caller.uid == 0 {
            return (why, format!("see where it leads: namei -l {}", shell_word(path)));
        }
        let states = self.host.caller.states();
        let state = match below(parent(&states), path) {
            Some(tail) => join(place, tail),
            None => parent(place).to_owned(),
        };
        let help = "name the place that it means now: export XDG_STATE_HOME=";
        (why, format!("{help}{}", shell_word(&state)))
    }

    /// What to do where states cannot be.
    fn elsewhere(&self) -> String {
        match self.host.caller.uid {
            0 => "bind a directory of your own: { bind = \"/srv/state\", access = \"rw\" }".into(),
            _ => "set XDG_STATE_HOME to a directory of the caller's".into(),
        }
    }
}
