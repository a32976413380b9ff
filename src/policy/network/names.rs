//! The names inside: what /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf hold. An entry of
//! `[mounts]` for one of these paths takes its place.

use super::{Dns, Network};
use crate::host::Host;
use crate::host::questions::Questions;
use crate::kernel::namespace::Kind;
use crate::policy::namespaces::{Choice, Namespace, Namespaces};
use crate::step::Content;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::net::IpAddr;

pub(crate) const HOSTS: &str = "/etc/hosts";
pub(crate) const RESOLVER: &str = "/etc/resolv.conf";
pub(crate) const SWITCH: &str = "/etc/nsswitch.conf";

/// A file that is made where the profile has no entry for its path.
pub(crate) struct Made {
    pub path: &'static str,
    /// What it holds, or why there is nothing to put into it.
    pub content: Result<Content, String>,
    /// The line that asked for it; nowhere: by default.
    pub at: Span,
    pub ground: On,
    /// Whether it is missed where it cannot be made.
    pub wanted: bool,
}

/// Where such a file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// On the sandbox's own ground, and over the file of that name in a bound tree.
    Both,
    /// On the sandbox's own ground: a tree's own stays.
    Own,
    /// Over the file of that name in a bound tree.
    Bound,
}

/// Asks for the host's files: a network that is not the sandbox's own is resolved as the host does.
pub(crate) fn ask(network: &Network, namespaces: &Namespaces, asks: &mut Questions) {
    let shared = super::namespace(network) != Namespace::New;
    asks.names = shared && *namespaces.tree() == Namespace::New;
    asks.joined.extend(super::namespace(network).joined().map(|path| path.0.clone()));
}

/// The files of a sandbox with a file tree of its own.
pub(crate) fn made(
    network: &Network,
    namespaces: &Namespaces,
    choice: &Choice,
    host: &Host,
) -> Vec<Made> {
    let shared = !choice.is_new(Kind::Net);
    let dns = network.dns.or(Dns::Auto);
    let dns_at = dns.at.or(network.mode.at());
    let text = |content: String| Ok(Content::Text(content.into_bytes()));
    let resolver = match (&dns.value, &host.resolver) {
        (Dns::Auto, Some(text)) if shared => Some((text.clone().map(Content::OfHost), On::Both)),
        (Dns::Auto, _) => None,
        // A library that finds no file asks 127.0.0.1 (resolv.conf(5)); one of the tree goes.
        (Dns::None, _) => Some((text("# network.dns = \"none\"\n".into()), On::Bound)),
        (Dns::Servers(servers), _) => {
            let lines = servers.iter().map(|server| format!("nameserver {}\n", server.0));
            Some((text(lines.collect()), On::Both))
        }
    };
    let sources = if dns.value == Dns::None { "files" } else { "files dns" };
    let switch = format!(
        "passwd: files\ngroup: files\nhosts: {sources}\nservices: files\nprotocols: files\n"
    );
    let own_name = match choice.of(Kind::Uts) {
        Namespace::New => Some(namespaces.hostname.get().map_or("stockade", |name| &name.value.0)),
        Namespace::Host => Some(host.node_name.as_str()),
        Namespace::Join(_) => None,
    };
    let copied = host.hosts.as_ref().filter(|_| shared).and_then(|text| text.as_deref().ok());
    let hosts = hosts(network, own_name, copied);
    let hosts = if copied.is_some() { Content::OfHost(hosts) } else { Content::Text(hosts) };
    let named = network.hosts.iter().next().map(|(name, _)| name.at);
    let file = |path, content, at, ground, wanted| Made { path, content, at, ground, wanted };
    let mut made = vec![
        file(HOSTS, Ok(hosts), named.unwrap_or_default(), On::Both, named.is_some()),
        file(SWITCH, text(switch), Span::NOWHERE, On::Own, false),
    ];
    made.extend(
        resolver
            .map(|(content, ground)| file(RESOLVER, content, dns_at, ground, ground == On::Both)),
    );
    made
}

/// The text of /etc/hosts. Of two lines for a name the first holds (hosts(5)).
fn hosts(network: &Network, own_name: Option<&str>, copied: Option<&[u8]>) -> Vec<u8> {
    let copied = copied.unwrap_or_default();
    let is_named = |name: &str| {
        network.hosts.get(name).is_some()
            || names_of(copied).any(|known| known.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut text = String::new();
    if !is_named("localhost") {
        text += "127.0.0.1 localhost\n::1 localhost\n";
    }
    for (name, addresses) in network.hosts.iter() {
        for address in &addresses.value.0 {
            text += &format!("{} {}\n", address.0, name.value);
        }
    }
    let mut text = text.into_bytes();
    text.extend(copied);
    if !copied.is_empty() && !copied.ends_with(b"\n") {
        text.push(b'\n');
    }
    // The kernel takes names that a line of the file cannot hold.
    if let Some(name) = own_name.filter(|name| is_host_name(name) && !is_named(name)) {
        text.extend(format!("127.0.0.1 {name}\n").into_bytes());
    }
    text
}

/// Every name in a text of the form of hosts(5).
pub(crate) fn names_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(text, b"#").flat_map(|mut words| {
        words.next();
        words
    })
}

/// The addresses that a text of the form of hosts(5) has for a name.
pub(crate) fn addresses_of(text: &[u8], name: &str) -> Vec<IpAddr> {
    let line = |mut words: Words<'_>| {
        let address = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())).then_some(address)
    };
    lines(text, b"#").filter_map(line).collect()
}

/// The servers that a text of the form of resolv.conf(5) names.
pub(crate) fn servers(text: &[u8]) -> Vec<IpAddr> {
    let line = |mut words: Words<'_>| {
        let address = words.next().filter(|word| *word == b"nameserver").and(words.next())?;
        // A zone such as `%eth0` may follow it.
        let address = std::str::from_utf8(address).ok()?.split('%').next()?;
        address.parse().ok()
    };
    lines(text, b"#;").filter_map(line).collect()
}

type Words<'t> = Box<dyn Iterator<Item = &'t [u8]> + 't>;

/// The words of each line, without its comment.
fn lines<'t>(text: &'t [u8], signs: &'static [u8]) -> impl Iterator<Item = Words<'t>> {
    text.split(|byte| *byte == b'\n').map(move |line| {
        let line = line.split(|byte| signs.contains(byte)).next().unwrap_or_default();
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        Box::new(words) as Words<'t>
    })
}

/// Whether a line of hosts(5) can hold it.
pub(crate) fn is_host_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Problems of the names that do not depend on the tree.
pub(crate) fn check(network: &Network, draft: &mut Draft) {
    for (name, _) in network.hosts.iter().filter(|(name, _)| !is_host_name(name.value)) {
        let message = format!("cannot give `{}` an address: it is not a host name", name.value);
        let help = "a host name has letters, digits, `-`, `_` and `.`, and at most 253 of them";
        draft.problem(Problem::new("network::hosts", name.at, message).help(help));
    }
}

/// In a tree that is not the sandbox's own nothing is made: the names there are those of the tree.
pub(crate) fn refuse(network: &Network, why: Span, instead: &str, draft: &mut Draft) {
    let mut refuse = |at: Span, path: &str| {
        let message = format!("cannot make {path}: the sandbox has no file tree of its own");
        let problem = Problem::new("network::no-tree", at, message).also(why, "because of this");
        draft.problem(problem.help(format!("{instead}; or leave this line out")));
    };
    if let Some(dns) = network.dns.get().filter(|dns| dns.value != Dns::Auto) {
        refuse(dns.at, RESOLVER);
    }
    if let Some((name, _)) = network.hosts.iter().next() {
        refuse(name.at, HOSTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_host_are_read_as_libraries_do() {
        let text = b"# nameserver 1.1.1.1\nnameserver 127.0.0.53 # x\n nameserver\tfe80::1%eth0\n\
            nameserver\nnameserver x\nsearch nameserver 9.9.9.9\n;nameserver 8.8.8.8\n\xff";
        let local = IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1_u16]);
        assert_eq!(servers(text), [IpAddr::from([127, 0, 0, 53]), local]);
        let names: Vec<&[u8]> = names_of(b"1.2.3.4 a b#c\n#1.2.3.4 d\n\n::1\te\xff").collect();
        assert_eq!(names, [&b"a"[..], b"b", b"e\xff"]);
    }

    #[test]
    fn a_name_of_the_profile_stands_before_the_hosts_own() {
        let mut network = Network::default();
        let read = |text: &str| -> Vec<u8> { hosts(&Network::default(), Some(text), None) };
        assert_eq!(read("a"), b"127.0.0.1 localhost\n::1 localhost\n127.0.0.1 a\n");
        assert_eq!(read("a#"), b"127.0.0.1 localhost\n::1 localhost\n");
        let addresses = super::super::Addresses(vec![super::super::Address([10, 9, 1, 2].into())]);
        let value = Some(crate::text::source::At::new(addresses, Span::NOWHERE));
        let entry = crate::language::section::Entry::new(Span::NOWHERE, value);
        network.hosts.map.insert("db".into(), entry);
        let copied = b"127.0.0.1 localhost box\n10.0.0.1 db";
        let text = b"10.9.1.2 db\n127.0.0.1 localhost box\n10.0.0.1 db\n127.0.0.1 in\n";
        assert_eq!(hosts(&network, Some("in"), Some(copied)), text);
        assert_eq!(hosts(&network, Some("box"), Some(copied)), text[..text.len() - 13]);
    }
}
