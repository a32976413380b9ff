//! `[network]`: the one place that speaks of the network.

use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::section::{Key, section};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, words};
use crate::policy::namespaces::{Join, Namespace};
use toml::de::DeValue;

// ---- section ----

section! {
    /// `[network]`: which network the target has.
    pub struct Network {
        /// `"none"` (the default): its own, with loopback alone; `"host"`: the launcher's;
        /// `{ join = PATH }`: the one behind a file.
        mode: Key<Mode>,
    }
    later { "allow", "publish", "dns", "routes", "address", "bridge", "parent", "mtu", "mac" }
}

// ---- table ----

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A new network namespace, loopback up.
    None,
    /// The launcher's.
    Host,
    /// The one behind a file such as `/run/netns/NAME`.
    Join(AbsolutePath),
}

words! {
    /// The modes that a word says.
    Plain {
        /// A network of its own, with loopback alone.
        None = "none",
        /// The launcher's.
        Host = "host",
    }
}

impl Shaped for Mode {
    fn shape() -> Shape {
        Shape::either(&[Plain::shape, Join::shape])
    }
}

const LATER: &[&str] = &["relay", "user", "veth", "macvlan", "ipvlan", "vlan", "phys"];

impl Read for Mode {
    fn read(node: &Node<'_>) -> Result<Mode, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => word(text).map_err(|why| why.at(node)),
            DeValue::Table(_) => Join::read(node).map(|table| Mode::Join(table.join)),
            _ => Err(mismatch(node, "\"none\", \"host\" or { join = PATH }")),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Mode::None => Plain::None.spell(),
            Mode::Host => Plain::Host.spell(),
            Mode::Join(join) => Join { join: join.clone() }.spell(),
        }
    }
}

fn word(text: &str) -> Result<Mode, Why> {
    match text {
        _ if text == Plain::None.word() => Ok(Mode::None),
        _ if text == Plain::Host.word() => Ok(Mode::Host),
        "join" => {
            Err(Why::new("`join` needs a path").help("write mode = { join = \"/run/netns/NAME\" }"))
        }
        _ if LATER.contains(&text) => Err(Why::of("network mode `", text, "` is not built yet")
            .not_yet()
            .help("\"none\", \"host\" and { join = PATH } are")),
        _ => Err(Why::of("unknown network mode `", text, "`")
            .help("write \"none\", \"host\" or { join = PATH }")),
    }
}

// ---- draft ----

/// The network namespace that a mode means.
pub(crate) fn namespace(network: &Network) -> Namespace {
    match network.mode.get().map(|mode| &mode.value) {
        None | Some(Mode::None) => Namespace::New,
        Some(Mode::Host) => Namespace::Host,
        Some(Mode::Join(path)) => Namespace::Join(path.clone()),
    }
}
