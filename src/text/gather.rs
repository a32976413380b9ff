//! Sorted collections that are filled one by one.

/// What `collect` is for the others: that of a sorted collection sorts all of it first, by a sort
/// whose code is some 5 KB for each type, and what is gathered here is short.
pub(crate) trait Gather: Iterator + Sized {
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }
}

impl<I: Iterator> Gather for I {}
