//! `[network]`: the one place that speaks of the network.

pub(crate) mod names;

use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::section::{Entries, EntryType, Key, section};
use crate::language::shape::{Named, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, Spelled, Written, words};
use crate::policy::namespaces::{Join, Namespace};
use std::net::IpAddr;
use toml::de::DeValue;

// ---- section ----

section! {
    /// `[network]`: which network the target has, and how names are looked up there.
    pub struct Network {
        /// `"none"` (the default): its own, with loopback alone; `"host"`: the launcher's;
        /// `{ join = PATH }`: the one behind a file.
        mode: Key<Mode>,
        /// Whom /etc/resolv.conf inside names: `"auto"` (the default): with the network of the host,
        /// or one that is joined, those that the host's names at the start; `"none"`: nobody; or one
        /// to three addresses. An entry of `[mounts]` for that path takes its place.
        dns: Key<Dns>,
        /// Names in /etc/hosts inside, before its other lines: `localhost`, the host name inside,
        /// and with the network of the host, or one that is joined, the lines of the host's file.
        hosts: Entries<Addresses>,
    }
    later { "allow", "publish", "routes", "address", "bridge", "parent", "mtu", "mac" }
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

/// Whom names are asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns {
    /// Those that the host asks, where the network is not the sandbox's own.
    Auto,
    /// Nobody.
    None,
    Servers(Vec<Address>),
}

words! {
    /// The words for them.
    Whom {
        /// With the network of the host, or one that is joined, those that the host asks.
        Auto = "auto",
        /// Nobody.
        None = "none",
    }
}

/// What a resolver asks at most (`MAXNS`, resolv.conf(5)).
const MOST_SERVERS: usize = 3;

impl Shaped for Dns {
    fn shape() -> Shape {
        Shape::either(&[Whom::shape, Vec::<Address>::shape])
    }
}

impl Read for Dns {
    fn read(node: &Node<'_>) -> Result<Dns, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => match Whom::from_text(text) {
                Ok(Whom::Auto) => Ok(Dns::Auto),
                Ok(Whom::None) => Ok(Dns::None),
                Err(_) if Address::from_text(text).is_ok() => {
                    Err(Why::new("servers of names are a list")
                        .help(format!("write dns = [\"{text}\"]"))
                        .at(node))
                }
                Err(why) => Err(why.at(node)),
            },
            DeValue::Array(_) => {
                let servers = Vec::<Address>::read(node)?;
                match servers.len() {
                    0 => Err(Why::new("no server is named").help("write dns = \"none\"").at(node)),
                    1..=MOST_SERVERS => Ok(Dns::Servers(servers)),
                    _ => Err(Why::new("a resolver asks three servers at most")
                        .help("name those three")
                        .at(node)),
                }
            }
            _ => Err(mismatch(node, "\"auto\", \"none\" or a list of addresses")),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Dns::Auto => Whom::Auto.spell(),
            Dns::None => Whom::None.spell(),
            Dns::Servers(servers) => servers.spell(),
        }
    }
}

/// An address of the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub IpAddr);

impl Written for Address {
    const WHAT: &'static str = "an address such as \"10.9.1.2\" or \"fd09::2\"";
    fn from_text(text: &str) -> Result<Address, Why> {
        text.parse().map(Address).map_err(|_| {
            Why::not(text, "` is not an address")
                .help("write one such as \"10.9.1.2\" or \"fd09::2\", without a port")
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.to_string())
    }
    fn looks() -> Shape {
        Shape::form("an address such as `\"10.9.1.2\"` or `\"fd09::2\"`", "^[0-9A-Fa-f:.]+$")
    }
}

/// The addresses of a name: one, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub Vec<Address>);

impl Shaped for Addresses {
    fn shape() -> Shape {
        Shape::either(&[Address::shape, Vec::<Address>::shape])
    }
}

impl Read for Addresses {
    fn read(node: &Node<'_>) -> Result<Addresses, Wrongs> {
        match node.get_ref() {
            DeValue::String(_) => Address::read(node).map(|address| Addresses(vec![address])),
            DeValue::Array(_) => match Vec::<Address>::read(node)? {
                none if none.is_empty() => {
                    Err(Why::new("no address is named").help("`false` removes a name").at(node))
                }
                addresses => Ok(Addresses(addresses)),
            },
            _ => Err(mismatch(node, "an address, or a list of addresses")),
        }
    }

    fn spell(&self) -> Toml {
        match self.0.as_slice() {
            [address] => address.spell(),
            addresses => addresses.to_vec().spell(),
        }
    }
}

impl EntryType for Addresses {
    type Keys = std::convert::Infallible;
    fn entries() -> Shape {
        Shape::Named(Named {
            doc: "The address of a name, or a list of them; `false` removes an inherited name.",
            name: "NAME",
            form: "^[A-Za-z0-9._-]+$",
            fills: false,
            value: Box::new(Shape::within(Shape::Entry, Addresses::shape)),
        })
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
