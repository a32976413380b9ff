//! `[network]`: the one place that speaks of the network.

use crate::language::section::{Key, section};
use crate::language::shape::{Shape, Shaped};
use crate::language::value::{AbsolutePath, words};
use crate::policy::namespaces::{Join, Namespace};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

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

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        struct ModeVisitor;
        impl<'de> Visitor<'de> for ModeVisitor {
            type Value = Mode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"none\", \"host\" or { join = PATH }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                match text {
                    _ if text == Plain::None.word() => Ok(Mode::None),
                    _ if text == Plain::Host.word() => Ok(Mode::Host),
                    "join" => Err(E::custom(
                        "`join` needs a path\nhelp: write mode = { join = \"/run/netns/NAME\" }",
                    )),
                    _ if LATER.contains(&text) => Err(E::custom(format!(
                        "network mode `{text}` is not built yet\nhelp: \"none\", \"host\" and {{ \
                         join = PATH }} are"
                    ))),
                    _ => Err(E::custom(format!(
                        "unknown network mode `{text}`\nhelp: write \"none\", \"host\" or {{ join \
                         = PATH }}"
                    ))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mode, A::Error> {
                Join::read(map).map(|table| Mode::Join(table.join))
            }
        }
        deserializer.deserialize_any(ModeVisitor)
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
