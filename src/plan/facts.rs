//! Facts of a whole plan for its executors, which match operations and search none.

#![deny(clippy::wildcard_enum_match_arm)]

use super::Plan;
use crate::kernel::capability::CapabilitySet;
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::step::{FileSystem, Op, ProcessOp, Step, TreeOp};
use crate::text::source::Span;

impl Plan {
    /// The operations on the file tree, with their lines.
    pub fn tree(&self) -> impl Iterator<Item = (&TreeOp, Span)> {
        self.steps.iter().filter_map(|step| Some((step.tree()?, step.at)))
    }

    /// The places of the steps by which a server shows layers.
    pub fn served(&self) -> impl Iterator<Item = usize> {
        let tree =
            |(index, step): (usize, &Step)| step.tree()?.facets().served.is_some().then_some(index);
        self.steps.iter().enumerate().filter_map(tree)
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
        let unshares = |kind| self.process().any(|(op, _)| op.facets().unshares == Some(kind));
        self.new.iter().copied().filter(move |kind| !unshares(*kind))
    }

    /// The descriptors above 2 that the target gets, and the step that leaves them open.
    pub fn passed(&self) -> (usize, &[u32]) {
        let steps = self.steps.iter().enumerate();
        let mut passes =
            steps.filter_map(|(index, step)| Some((index, step.process()?.facets().passes?)));
        passes.next().unwrap_or((self.steps.len(), &[]))
    }

    /// The capabilities that are kept and raised, with their SECBIT_* flags, and the line; none
    /// where the target has no power over its namespaces.
    pub fn capabilities(&self) -> Option<(CapabilitySet, CapabilitySet, u32, Span)> {
        self.process().find_map(|(op, at)| {
            let (keep, ambient, bits) = op.facets().capabilities?;
            Some((keep, ambient, bits, at))
        })
    }

    /// Whether the limit on a kind of namespace inside is 0.
    pub fn forbids(&self, kind: Kind) -> bool {
        self.process().any(|(op, _)| op.facets().forbids == Some(kind))
    }

    /// Whether a new proc is mounted.
    pub(crate) fn mounts_proc(&self) -> bool {
        self.tree().any(|(op, _)| op.facets().fs.is_some_and(FileSystem::shows_processes))
    }

    /// The working directory inside.
    pub fn cwd(&self) -> Option<&str> {
        self.process().find_map(|(op, _)| op.facets().cwd).map(Name::text)
    }

    /// Whether a standard stream becomes `/dev/null`.
    pub fn has_null_streams(&self) -> bool {
        self.process().any(|(op, _)| op.facets().null_stream)
    }

    /// The line of Landlock's rule for the use of a port.
    pub fn port_rule(&self, access: u64, port: u16) -> Option<Span> {
        let rules = |(op, _): &(&ProcessOp, Span)| op.facets().port == Some((access, port));
        self.process().find(rules).map(|(_, at)| at)
    }

    /// What an operation opens to be bound, and where it is attached.
    pub(crate) fn binds<'a>(&'a self, op: &'a TreeOp) -> Option<(&'a str, &'a str)> {
        let (slot, source) = op.facets().source?;
        let mut attached = self.tree().filter_map(|(op, _)| op.facets().attached);
        let (_, path) = attached.find(|(other, _)| *other == slot)?;
        Some((source.text(), path.text()))
    }

    /// The directory that keeps what targets change where the entry of a path is mounted.
    pub(crate) fn kept_around(&self, path: &Name) -> Option<&Name> {
        let mut kept = self.tree().filter_map(|(op, _)| op.facets().kept);
        kept.find(|(_, mounts)| mounts.contains(path)).map(|(directory, _)| directory)
    }

    /// Whether a rule of Landlock is on this very path.
    pub fn rules_over(&self, place: &str) -> bool {
        self.tree().any(|(op, _)| op.facets().rule.is_some_and(|path| path.text() == place))
    }

    /// Whether a file of a control group gets this text.
    pub fn has_limit(&self, name: &str, text: &str) -> bool {
        self.groups.iter().any(|step| step.op.limit() == Some((name, text)))
    }

    /// The line of the group that the clone begins in.
    pub fn group_of_clone(&self) -> Option<Span> {
        self.groups.iter().find(|step| step.op.is_of_clone()).map(|step| step.at)
    }
}
