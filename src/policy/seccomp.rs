//! The system call filter: the rule of every call, as plain data. It may not act, and it may not
//! look behind a pointer.
//!
//! A filter sees registers alone. What a pointer leads to can change between the filter's look and
//! the kernel's (seccomp(2)), so a call that keeps what matters in memory is open or closed as a
//! whole. [`mod@default`] is the policy of a profile that says nothing, [`precedence`] the
//! precedence of what one can say, [`mod@draft`] the filter of it, [`import`] the policies of
//! container engines, and [`compile`] makes the program.

mod condition;
mod default;
mod draft;
mod filter;
mod foreign;
mod import;
mod notify;
mod precedence;
mod program;
mod section;
mod shorthand;
#[cfg(test)]
mod tests;
mod words;

use crate::host::questions::Questions;
pub(crate) use condition::Is;
pub use default::Needs;
pub(crate) use default::{default, is_particular};
pub use draft::draft;
pub(crate) use filter::{Case, Source, Table, Test, Width};
pub use filter::{Compare, Filter, Rule, Verdict};
pub(crate) use import::{Facts, Imported};
pub(crate) use notify::{Exact, Notifications};
pub use program::compile;
pub(crate) use program::{LONGEST, compile_notifying, compile_refusals};
pub use section::Seccomp;
pub(crate) use section::{Base, Calls, Condition, Otherwise, Spec};

use filter::{ENOSYS, EPERM};

/// Asks for the policy that is imported, and for what can be written: `given` are the descriptors
/// that the target has.
pub(crate) fn ask(seccomp: &Seccomp, given: impl Iterator<Item = u32>, asks: &mut Questions) {
    asks.import = seccomp.import.get().cloned();
    let is_parted = seccomp.write_execute.get().is_some_and(|word| !word.value);
    asks.written = is_parted.then(|| given.collect());
}
