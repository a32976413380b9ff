//! Has each domain ask what it wants to know of the machine. What `[mounts]`, `[limits]`,
//! `programs` and Landlock's own rules ask for hangs on what was found before, and is asked as it
//! is read.

use crate::host::caller::Caller;
use crate::host::questions::Questions;
use crate::policy::{capabilities, env, identity, namespaces, process, rlimits, seccomp};
use crate::profile::Profile;

/// The questions of a profile's single keys.
pub(super) fn questions(profile: &Profile, caller: &Caller) -> Questions {
    let mut asks = Questions::default();
    process::ask(&profile.process, &profile.optional, caller, &mut asks);
    rlimits::ask(&profile.rlimits, caller, &mut asks);
    env::ask(&profile.env, caller, &mut asks);
    identity::ask(&profile.identity, caller, &mut asks);
    namespaces::ask(&profile.namespaces, &profile.optional, caller, &mut asks);
    capabilities::ask(&profile.capabilities, &mut asks);
    seccomp::ask(&profile.seccomp, profile.process.given(), &mut asks);
    asks
}
