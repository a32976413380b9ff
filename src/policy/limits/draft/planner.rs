//! Which controllers and files a profile asks for, in the group of which hierarchy, and what is
//! skipped or refused of that.

use super::Group;
use crate::host::groups::Groups;
use crate::kernel::controller::Controller;
use crate::kernel::limit::LimitKey;
use crate::policy::limits::files::{Refusal, Setting, less_than_a_page, settings};
use crate::policy::limits::manager::Unable;
use crate::policy::limits::place::place;
use crate::policy::limits::refusals::{absent, check_place, check_sets, is_there, raw_help};
use crate::policy::limits::{Limits, Wanted, What};
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::collections::BTreeMap;

pub(super) struct Planner<'a> {
    pub(super) limits: &'a Limits,
    /// Whether limits are optional by the profile itself: the items of `controllers` may come from
    /// several files.
    pub(super) optional: bool,
    pub(super) nested: bool,
    pub(super) root: bool,
    pub(super) groups: &'a Groups,
    /// Why systemd makes no group, where it could be asked.
    pub(super) no_systemd: Option<Unable>,
    /// Why nobody makes one.
    pub(super) nobody: Option<Unable>,
    pub(super) made: BTreeMap<usize, Group>,
    pub(super) fallen: Vec<(Wanted, Refusal)>,
    pub(super) refused: Vec<(Wanted, Refusal)>,
}

impl Planner<'_> {
    pub(super) fn gather(&mut self, draft: &mut Draft) {
        for (key, wanted) in self.limits.wanted() {
            match key.controller() {
                Some(controller) => self.key(key, wanted, controller, draft),
                None => self.raw(wanted, draft),
            }
        }
        for controller in &self.limits.controllers.items {
            let what = What::Controller(controller.value);
            let wanted = Wanted { what, at: controller.at, may_fall: self.optional };
            if let Err(refusal) = self.join(controller.value, controller.at) {
                self.refuse(wanted, refusal);
            }
        }
    }

    fn key(&mut self, key: LimitKey, wanted: Wanted, controller: Controller, draft: &mut Draft) {
        let written = self.join(controller, wanted.at).and_then(|index| {
            let hierarchy = &self.groups.hierarchies[index];
            if let Some(refusal) = less_than_a_page(self.limits, key, hierarchy, self.groups) {
                self.refused.push((wanted, refusal));
                return Ok((index, (vec![], None)));
            }
            let found = settings(self.limits, key, hierarchy, self.groups)?;
            found.0.iter().try_for_each(|setting| is_there(setting, hierarchy))?;
            Ok((index, found))
        });
        match written {
            Err(refusal) => self.refuse(wanted, refusal),
            Ok((index, (settings, fallen))) => {
                if let Some(refusal) = fallen {
                    self.refuse(wanted, refusal);
                }
                self.note_less_above(key, wanted.at, index, &settings, draft);
                let Some(group) = self.made.get_mut(&index) else { return };
                group.settings.extend(settings.into_iter().map(|setting| (setting, wanted)));
            }
        }
    }

    fn raw(&mut self, wanted: Wanted, draft: &mut Draft) {
        for (file, value) in self.limits.raw.get().into_iter().flat_map(|raw| &raw.0) {
            let controller = match self.of_raw(file, value, wanted) {
                Ok(controller) => controller,
                Err(problem) => {
                    draft.problem(problem);
                    continue;
                }
            };
            let setting = Setting { controller, file: file.clone(), value: value.clone() };
            let joined = self.join(controller, wanted.at);
            match joined.and_then(|index| {
                is_there(&setting, &self.groups.hierarchies[index]).map(|()| index)
            }) {
                Err(refusal) => self.refuse(wanted, refusal),
                Ok(index) => {
                    draft.note(
                        wanted.at,
                        format!(
                            "whether the kernel takes \"{value}\" for {file} shows when it is written"
                        ),
                    );
                    self.made.entry(index).or_default().settings.push((setting, wanted));
                }
            }
        }
    }

    /// The controller of a file in `raw`, if the file may be set there to this value.
    fn of_raw(&self, file: &str, value: &str, wanted: Wanted) -> Result<Controller, Problem> {
        let refuse = |message: String| Problem::new("limits::raw", wanted.at, message);
        let Some(controller) = Controller::of_file(file).filter(|_| is_plain(file)) else {
            let message =
                format!("cannot set `{file}`: it is no file of a controller that is a limit");
            return Err(refuse(message).help(raw_help(file)));
        };
        if !is_line(value) {
            let message = format!("cannot set `{file}`: its value is no line of text");
            return Err(refuse(message)
                .help(format!("write what the kernel shall read, such as \"{file}\" = \"10\"")));
        }
        if let Some(other) = self.set_by(file, wanted) {
            let message =
                format!("cannot set `{file}` in `raw`: `{}` sets it as well", other.what.word());
            return Err(refuse(message).also(other.at, "set here").help("leave one of them out"));
        }
        Ok(controller)
    }

    /// The key of the profile that sets a file.
    fn set_by(&self, file: &str, raw: Wanted) -> Option<Wanted> {
        let mut settings = self.made.values().flat_map(|group| &group.settings);
        settings
            .find(|(setting, wanted)| setting.file == file && wanted.what != raw.what)
            .map(|(_, wanted)| *wanted)
    }

    /// Without a pid namespace that ends with its first process, a group of version 1 is ended
    /// while it is frozen: what forks faster than it is killed would not end.
    pub(super) fn freeze_to_end(&mut self) {
        if let Some(at) = self.made.values().map(|group| group.at).next() {
            // Where there is no freezer, killing goes round by round.
            drop(self.join(Controller::Freezer, at));
        }
    }

    fn refuse(&mut self, wanted: Wanted, refusal: Refusal) {
        if wanted.may_fall {
            self.fallen.push((wanted, refusal))
        } else {
            self.refused.push((wanted, refusal))
        }
    }

    /// Takes a controller into the group of its hierarchy.
    pub(super) fn join(&mut self, controller: Controller, at: Span) -> Result<usize, Refusal> {
        if let Some(Unable { why, help }) = &self.nobody {
            return Err(Refusal {
                why: why.clone(),
                help: format!(
                    "{help}\nor run without them: optional = [\"limits\"] in the same file"
                ),
            });
        }
        let Some(index) = place(controller, self.groups) else {
            return Err(absent(controller, self.groups));
        };
        if controller == Controller::Devices && !self.root {
            // Version 1 asks for CAP_SYS_ADMIN (device_cgroup.c), version 2 for CAP_NET_ADMIN and
            // CAP_BPF (bpf(2)).
            let help = "take `devices` out of `controllers`, or start it as root; or run \
                        without them: optional = [\"limits\"] in the same file";
            return Err(Refusal {
                why: "the kernel takes rules for devices from root alone".into(),
                help: help.into(),
            });
        }
        let hierarchy = &self.groups.hierarchies[index];
        check_place(hierarchy, controller, self.limits, self.root, self.no_systemd.as_ref())?;
        check_sets(hierarchy, controller)?;
        if self.nested && !self.root && !hierarchy.delegates {
            // In namespaces of its own it mounts the hierarchy, with its group as the top: the
            // group's files are those of the user that it is.
            let help = "leave \"mount\" or \"cgroup\" out of `nested`, or start it as root; or run \
                        without them: optional = [\"limits\"] in the same file";
            return Err(Refusal {
                why: "the target may make mount and cgroup namespaces (`nested`), and could lift \
                      in them what this user sets"
                    .into(),
                help: help.into(),
            });
        }
        let group = self.made.entry(index).or_default();
        group.controllers.insert(controller);
        group.at = group.at.or(at);
        Ok(index)
    }

    /// A limit of a group above holds as well, whatever the profile says.
    fn note_less_above(
        &self,
        key: LimitKey,
        at: Span,
        index: usize,
        settings: &[Setting],
        draft: &mut Draft,
    ) {
        let hierarchy = &self.groups.hierarchies[index];
        let Some((least, directory)) = hierarchy.least.get(&key) else { return };
        let own = match key {
            LimitKey::Cpu => self.limits.cpu.get().and_then(|cores| cores.0),
            _ => settings.first().and_then(|setting| setting.value.parse().ok()),
        };
        if own.is_none_or(|own| *least < own) {
            let least = if key == LimitKey::Cpu {
                format!("{} processors", *least as f64 / 1000.0)
            } else {
                least.to_string()
            };
            draft.note(
                at,
                format!("the group {directory} allows less: {} is {least} there", key.word()),
            );
        }
    }
}

/// A name in the directory of a group.
fn is_plain(file: &str) -> bool {
    !file.is_empty() && file.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// Text that a file of the kernel takes as one line. It takes none at all for nothing to do
/// (kernfs, write(2) of 0 bytes).
fn is_line(value: &str) -> bool {
    !value.trim().is_empty() && !value.contains(['\0', '\n', '/'])
}
