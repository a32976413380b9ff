//! The internals that the tests, the benches and the fuzz targets of this package need, and nothing
//! else: they invent machines, and look at plans, filters and shapes as data.
//!
//! It is no promise, and no part of the face: any version may change or remove any of it. A name is
//! here as long as one of them uses it, at the place that it has in the house.

pub mod face {
    pub use crate::face::launch_beside;
}
pub mod host {
    pub use crate::host::{Fact, File, FileKind, Host};
    pub mod bounds {
        pub use crate::host::bounds::Bounds;
    }
    pub mod caller {
        pub use crate::host::caller::Caller;
    }
    pub mod globs {
        pub use crate::host::globs::{Found, Match, Stop};
    }
    pub mod groups {
        pub use crate::host::groups::{Groups, Hierarchy};
    }
    pub mod joined {
        pub use crate::host::joined::{Behind, Joined, Joins, UserNamespace};
    }
    pub mod keys {
        pub use crate::host::keys::Key;
    }
    pub mod layering {
        pub use crate::host::layering::Part;
    }
    pub mod parts {
        pub use crate::host::parts::{Brought, Left, Part, Parts, Shown};
    }
    pub mod privileged {
        pub use crate::host::privileged::{Given, Look, Power, Privileged, Useless};
    }
    pub mod programs {
        pub use crate::host::programs::{Lack, Piece, Program};
    }
    pub mod streams {
        pub use crate::host::streams::{Owner, Socket, Stream};
    }
    pub mod systemd {
        pub use crate::host::systemd::{Route, Socket, Unreached};
    }
    pub mod trail {
        pub use crate::host::trail::{Link, Trail};
    }
    pub mod upper {
        pub use crate::host::upper::{LARGEST, RECORD, UPPER, Upper, WORK};
    }
}
pub mod inspect {
    pub mod exposure {
        pub use crate::inspect::exposure::{COSTS, Exposure, weigh};
        pub mod keys {
            pub use crate::inspect::exposure::keys::wanted;
        }
    }
    pub mod lint {
        pub use crate::inspect::lint::{RUN_LATER, lint, looked_into, wanted};
    }
    pub mod view {
        pub use crate::inspect::view::Notes;
        pub use crate::text::layout::{COLUMNS, Paint, width};
        pub mod plan {
            pub use crate::inspect::view::plan::text;
        }
        pub mod steps {
            pub use crate::inspect::view::steps::text;
        }
    }
    pub mod access {
        pub use crate::inspect::access::World;
        pub use crate::inspect::access::stays::Stays;
    }
}
pub mod kernel {
    pub mod asks {
        pub use crate::kernel::asks::ASKS;
    }
    pub mod attrs {
        pub use crate::kernel::attrs::Attrs;
    }
    pub mod capability {
        pub use crate::kernel::capability::{Capability, CapabilitySet};
    }
    pub mod limit {
        pub use crate::kernel::limit::LimitKey;
    }
    pub mod controller {
        pub use crate::kernel::controller::Version;
    }
    pub mod device {
        pub use crate::kernel::device::Node;
    }
    pub mod name {
        pub use crate::kernel::name::Inode;
    }
    pub mod namespace {
        pub use crate::kernel::namespace::Kind;
    }
    pub mod rights {
        pub use crate::kernel::rights::Rights;
    }
    pub mod syscalls {
        pub use crate::kernel::syscalls::{Abi, known, name, number};
    }
}
pub mod launch {
    pub mod changes {
        pub use crate::launch::changes::{Attributes, attributes, understood};
    }
    pub mod helper {
        pub use crate::launch::helper::{About, End, Helper, Inside, Next};
        pub mod denial {
            pub use crate::launch::helper::denial::Denial;
        }
        pub mod records {
            pub use crate::launch::helper::records::Record;
        }
        pub mod confine {
            pub use crate::launch::helper::confine::{Calls, Confinement, any, with};
        }
    }
    pub mod registry {
        pub use crate::launch::registry::plan_of;
    }
}
pub mod language {
    pub mod section {
        pub use crate::language::section::{Key, KeyDoc, Set};
    }
    pub mod shape {
        pub use crate::language::shape::{Shape, Shaped, flat};
    }
    pub mod value {
        pub use crate::language::value::{Room, ancestors, below, parent, plain_path};
    }
}
pub mod plan {
    pub use crate::plan::{Actor, ORDER, Plan, plan, settle};
    pub mod stored {
        pub use crate::plan::stored::{restore, store};
    }
}
pub mod policy {
    pub mod capabilities {
        pub use crate::policy::capabilities::Capabilities;
    }
    pub mod env {
        pub use crate::policy::env::SOURCES;
    }
    pub mod identity {
        pub use crate::policy::identity::Identity;
    }
    pub mod landlock {
        pub use crate::policy::landlock::{Landlock, Scope};
    }
    pub mod limits {
        pub use crate::policy::limits::Limits;
        pub mod values {
            pub use crate::policy::limits::values::IoLimits;
        }
    }
    pub mod mounts {
        pub use crate::policy::mounts::{KINDS, PROC_KEYS, bound_root, look_at_expected, wanted};
        pub mod kinds {
            pub use crate::policy::mounts::kinds::{Access, Mount, Sockets};
        }
        pub mod follow {
            pub use crate::policy::mounts::follow::wanted;
        }
        pub mod settle {
            pub use crate::policy::mounts::settle::expanded;
        }
        pub mod glob {
            pub use crate::policy::mounts::glob::{MOST_NAMES, expand};
        }
        pub mod pattern {
            pub use crate::policy::mounts::pattern::{is_pattern, shown};
        }
        pub mod tree {
            pub use crate::policy::mounts::tree::tree;
        }
    }
    pub mod namespaces {
        pub use crate::policy::namespaces::{CLOCKS, Namespaces};
    }
    pub mod network {
        pub use crate::policy::network::Network;
    }
    pub mod optional {
        pub use crate::policy::optional::OPTIONAL;
    }
    pub mod process {
        pub use crate::policy::process::Process;
    }
    pub mod programs {
        pub use crate::policy::programs::unseen;
    }
    pub mod rlimits {
        pub use crate::policy::rlimits::TABLE;
    }
    pub mod seccomp {
        pub use crate::policy::seccomp::{
            Compare, Filter, Needs, Rule, Seccomp, Verdict, compile, draft,
        };
    }
}
pub mod probe {
    pub use crate::probe::probe;
}
pub mod profile {
    pub use crate::profile::{
        BUILTIN, Profile, Request, as_written, load, load_layers, place_of_key,
    };
}
pub mod step {
    pub use crate::step::{
        Content, FileSystem, Ground, GroupOp, Kernel, Op, OutsideOp, ProcessOp, Shown, Slot, Stage,
        Step, TreeOp,
    };
    pub mod draft {
        pub use crate::step::draft::Draft;
    }
}
pub mod sys {
    pub use crate::sys::{Errno, Program, Result, seccomp_filter};
}
pub mod text {
    pub mod explain {
        pub use crate::text::explain::{Explanation, all, number};
    }
    pub mod problem {
        pub use crate::text::problem::{Problem, Problems, Severity, Style, suggestion};
    }
    pub mod source {
        pub use crate::text::source::{At, Sources, Span};
    }
}
pub mod tree {
    pub use crate::tree::{Ground, HasGround, Own, Source, Stack, Tree};
    pub mod walk {
        pub use crate::tree::walk::{Facts, Halt, Kind, Last, Looked, Position, Step, Walk, walk};
    }
}
