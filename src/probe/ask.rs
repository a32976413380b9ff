//! Collects the questions of each domain about the machine. Those of `[mounts]` and `[limits]`
//! depend on earlier answers, and are asked as they are read.

use crate::host::caller::Caller;
use crate::host::questions::{Questions, Sought};
use crate::language::value::plain_path;
use crate::policy::mounts::expected::TEMPORARY;
use crate::policy::{
    capabilities, env, identity, landlock, namespaces, network, process, programs, rlimits, seccomp,
};
use crate::profile::Profile;
use crate::text::bytes;
use crate::text::gather::Gather;
use std::collections::BTreeSet;

/// The questions of a profile's single keys.
pub(super) fn questions(profile: &Profile, caller: &Caller) -> Questions {
    let mut asks = Questions::default();
    process::ask(&profile.process, &profile.optional, caller, &mut asks);
    rlimits::ask(&profile.rlimits, caller, &mut asks);
    env::ask(&profile.env, &mut asks);
    identity::ask(&profile.identity, caller, &mut asks);
    namespaces::ask(&profile.namespaces, &profile.optional, caller, &mut asks);
    network::names::ask(&profile.network, &profile.namespaces, &mut asks);
    capabilities::ask(&profile.capabilities, &mut asks);
    seccomp::ask(&profile.seccomp, profile.process.given(), &mut asks);
    asks
}

/// What is looked for in the finished tree.
pub(super) fn sought(profile: &Profile, caller: &Caller) -> Sought {
    let mut sought = Sought::default();
    programs::ask(&profile.programs, &profile.process, &mut sought);
    process::ask_inside(&profile.process, &mut sought);
    env::ask_inside(&profile.env, caller, &mut sought);
    landlock::ask_inside(&profile.landlock, &mut sought);
    sought
}

/// The directories in which a target expects to write.
pub(super) fn expected(profile: &Profile, caller: &Caller) -> Vec<String> {
    let cwd = profile.process.cwd.get().map_or(&caller.cwd, |cwd| &cwd.value.0);
    let home = env::text(&profile.env, "HOME");
    let named = [&caller.home, cwd].into_iter().map(String::as_str).chain(home);
    let named: Vec<String> = named.filter_map(|path| plain_path(path).ok()).collect();
    let places = named.into_iter().chain(TEMPORARY.map(str::to_owned));
    // The way to one may lead through links, and be that of another part.
    let real = |path: &String| std::fs::canonicalize(bytes::path(path)).ok().map(bytes::of);
    let all: BTreeSet<String> =
        places.flat_map(|path| real(&path).into_iter().chain([path])).gather();
    all.into_iter().collect()
}
