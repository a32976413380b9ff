//! The steps by which what a target expects to write to can be written to.

use crate::host::File;
use crate::kernel::name::Name;
use crate::language::value::join;
use crate::policy::mounts::draft::World;
use crate::policy::mounts::expected;
use crate::policy::mounts::kinds::Layers;
use crate::step::{Slot, TreeOp, UpperPlace};
use crate::text::source::Span;

impl World<'_> {
    /// Makes the directories of other owners on the way in the upper.
    pub(super) fn expected(
        &mut self,
        (path, layers, found): (&str, &Layers, &[(&str, File)]),
        (mask, lower, lowest): (Option<Slot>, &[Slot], Option<Slot>),
        upper: &UpperPlace,
        at: Span,
    ) {
        let seen = |tail: &str| self.seen(found, tail)?.ok().cloned();
        let tails = expected::made((self.host, self.ids, self.tree), (path, layers), seen);
        for tail in tails {
            let inside = join(path, tail);
            let op = TreeOp::CopyUp {
                path: Name::new(&inside),
                tail: Name::new(tail),
                all: false,
                mask,
                layers: lower.to_vec(),
                lowest,
                upper: upper.clone(),
            };
            self.step(op, at);
            self.changeable.insert(inside);
        }
    }
}
