//! What a plan says of itself to who executes it: the executors match operations, and search none.

use super::Plan;
use crate::kernel::capability::CapabilitySet;
use crate::kernel::controller::Version;
use crate::kernel::namespace::Kind;
use crate::step::{GroupOp, Op, ProcessOp, TreeOp};
use crate::text::source::Span;

impl Plan {
    /// The operations on the file tree, with their lines.
    pub fn tree(&self) -> impl Iterator<Item = (&TreeOp, Span)> {
        self.steps.iter().filter_map(|step| Some((step.tree()?, step.at)))
    }

    /// The operations on the file tree, to be changed.
    pub fn tree_mut(&mut self) -> impl Iterator<Item = &mut TreeOp> {
        self.steps.iter_mut().filter_map(|step| match &mut step.op {
            Op::Tree(op) => Some(op),
            Op::Process(_) => None,
        })
    }

    /// The operations on a process, with their lines.
    pub fn process(&self) -> impl Iterator<Item = (&ProcessOp, Span)> {
        self.steps.iter().filter_map(|step| Some((step.process()?, step.at)))
    }

    /// The namespaces that the clone makes. Pid 1 unshares the others itself: the clone would
    /// freeze the offsets of the clocks, and take the launcher's groups for the top.
    pub fn cloned(&self) -> impl Iterator<Item = Kind> {
        let unshares = |kind| {
            self.process().any(|(op, _)| match op {
                ProcessOp::TimeNamespace { .. } => kind == Kind::Time,
                ProcessOp::CgroupNamespace => kind == Kind::Cgroup,
                _ => false,
            })
        };
        self.new.iter().copied().filter(move |kind| !unshares(*kind))
    }

    /// The descriptors above 2 that the target gets, and the step that leaves them open.
    pub fn passed(&self) -> (usize, &[u32]) {
        let keeps = |op: &ProcessOp| matches!(op, ProcessOp::CloseDescriptors { .. });
        let index = self.steps.iter().position(|step| step.process().is_some_and(keeps));
        match index.and_then(|index| Some((index, self.steps[index].process()?))) {
            Some((index, ProcessOp::CloseDescriptors { keep })) => (index, keep),
            _ => (self.steps.len(), &[]),
        }
    }

    /// The capabilities that are kept and raised, with their SECBIT_* flags, and the line; none
    /// where the target has no power over its namespaces.
    pub fn capabilities(&self) -> Option<(CapabilitySet, CapabilitySet, u32, Span)> {
        self.process().find_map(|(op, at)| match op {
            ProcessOp::Capabilities { keep, ambient, bits, .. } => {
                Some((*keep, *ambient, *bits, at))
            }
            _ => None,
        })
    }

    /// Whether the limit on a kind of namespace inside is 0.
    pub fn forbids(&self, kind: Kind) -> bool {
        self.process().any(|(op, _)| match op {
            ProcessOp::ForbidNamespaces { kind: of } | ProcessOp::WriteLimit { kind: of, .. } => {
                *of == kind
            }
            _ => false,
        })
    }

    /// The working directory inside.
    pub fn cwd(&self) -> Option<&str> {
        self.process().find_map(|(op, _)| match op {
            ProcessOp::WorkingFolder { path } => Some(path.text()),
            _ => None,
        })
    }

    /// Whether a standard stream becomes `/dev/null`.
    pub fn has_null_streams(&self) -> bool {
        self.process().any(|(op, _)| matches!(op, ProcessOp::NullStream { .. }))
    }

    /// What an operation opens to be bound, and where it is attached.
    pub(crate) fn binds<'a>(&'a self, op: &'a TreeOp) -> Option<(&'a str, &'a str)> {
        let TreeOp::OpenTree { slot, source, .. } = op else { return None };
        let path = self.tree().find_map(|(op, _)| match op {
            TreeOp::Attach { slot: other, path, .. } if other == slot => Some(path.text()),
            _ => None,
        })?;
        Some((source.text(), path))
    }

    /// Whether a rule of Landlock stands on this very path.
    pub fn rules_over(&self, place: &str) -> bool {
        self.tree()
            .any(|(op, _)| matches!(op, TreeOp::LandlockRule { path, .. } if path.text() == place))
    }

    /// Whether a file of a control group gets this text.
    pub fn has_limit(&self, name: &str, text: &str) -> bool {
        self.groups.iter().any(|step| match &step.op {
            GroupOp::GroupLimit { file, value, .. } => file.text() == name && value.text() == text,
            _ => false,
        })
    }

    /// The line of the group that the clone begins in.
    pub fn group_of_clone(&self) -> Option<Span> {
        let of_clone = |op: &GroupOp| matches!(op, GroupOp::Group { version: Version::V2, .. });
        self.groups.iter().find(|step| of_clone(&step.op)).map(|step| step.at)
    }
}
