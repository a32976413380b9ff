//! What is decided once, before anything is drafted, and read by every domain.

use crate::host::Host;
use crate::kernel::namespace::Kind;
use crate::policy::capabilities::Power;
use crate::policy::env::{self, Setting};
use crate::policy::identity::{self, Ids};
use crate::policy::landlock::{self, Ruled, Sight};
use crate::policy::namespaces::{self, Choice, Namespace, Nested};
use crate::policy::{capabilities, limits, mounts, network};
use crate::profile::Profile;
use crate::step::draft::Draft;
use crate::text::source::Span;

/// A profile on a machine, as far as more than one domain must know it.
pub(super) struct Settled<'a> {
    pub profile: &'a Profile,
    pub host: &'a Host,
    pub mounts: &'a mounts::settle::Settled,
    pub choice: Choice,
    pub ids: Ids,
    /// The target's environment.
    pub settings: Vec<Setting>,
    /// Whose tree the target sees.
    pub sight: Sight,
    /// The namespaces that the target makes itself.
    pub nested: Nested,
}

impl<'a> Settled<'a> {
    pub(super) fn new(
        profile: &'a Profile,
        host: &'a Host,
        mounts: &'a mounts::settle::Settled,
        draft: &mut Draft,
    ) -> Settled<'a> {
        let net = network::namespace(&profile.network);
        let choice = Choice::new(&profile.namespaces, net, profile.network.mode.at());
        let user = (choice.of(Kind::User), choice.at(Kind::User));
        let mut ids = identity::draft(&profile.identity, user, mounts.merges(), host, draft);
        ids.reads_all = capabilities::over_files(&profile.capabilities);
        ids.held = host.caller.uid == 0
            && mounts.merges()
            && ids.needs_idmap
            && profile.identity.host_ids.get().is_none();
        let settings = env::draft(&profile.env, host, draft);
        ids.home = env::home(&settings);
        let at = choice.at(Kind::Mount);
        let sight = match choice.of(Kind::Mount) {
            Namespace::New => Sight::Own,
            Namespace::Host if mounts.entries(&profile.mounts).iter().next().is_none() => {
                Sight::Ungranted(at)
            }
            Namespace::Host => Sight::Host(at),
            Namespace::Join(_) => Sight::Joined,
        };
        let nested = profile.namespaces.made_inside();
        Settled { profile, host, mounts, choice, ids, settings, sight, nested }
    }

    /// Whether a protection is optional, so that it is skipped if the machine lacks it.
    pub(super) fn may_fall(&self, protection: &str) -> bool {
        self.profile.optional.items.iter().any(|name| name.value == protection)
    }

    /// What gives the sandbox a file tree of its own.
    pub(super) fn own_tree(&self) -> &'static str {
        namespaces::own_tree(&self.choice, self.host)
    }

    /// The line by which the target makes mount namespaces.
    pub(super) fn mounts_inside(&self) -> Option<Span> {
        let nested = self.profile.namespaces.nested.get();
        nested.filter(|nested| nested.value.mounts()).map(|nested| nested.at)
    }

    /// What Landlock rules over.
    pub(super) fn landlock(&self) -> Ruled {
        let Settled { profile, host, choice, ids, sight, .. } = self;
        let asked = landlock::Asked {
            optional: &profile.optional,
            process: &profile.process,
            own_network: *choice.of(Kind::Net) != Namespace::Host,
            ids,
        };
        landlock::settle(&profile.landlock, &asked, &profile.namespaces.nested, *sight, host)
    }

    /// What the target's capabilities come from.
    pub(super) fn of_capabilities(&self) -> capabilities::Asked<'_> {
        let power = match self.choice.of(Kind::User) {
            Namespace::New => Power::Own,
            Namespace::Host if self.host.caller.uid != 0 => Power::None,
            _ => Power::Given,
        };
        let init = self.profile.process.init.or(true);
        capabilities::Asked { power, init, ids: &self.ids }
    }

    /// What the control groups come from.
    pub(super) fn of_limits(&self) -> limits::Asked<'_> {
        limits::Asked {
            // A hierarchy is mounted by what has CAP_SYS_ADMIN over mounts and the view of groups
            // (cgroup_namespaces(7)).
            nested: self.nested.mounts() && self.nested.has(Kind::Cgroup),
            limits: &self.profile.limits,
            optional: self.may_fall("limits"),
            mounts: &self.profile.mounts,
            settled: self.mounts,
            choice: &self.choice,
            named: self.profile.name.get().is_some(),
            init: self.profile.process.init.or(true),
        }
    }
}
