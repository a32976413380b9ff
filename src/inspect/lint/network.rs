//! Lines of `[network]` that are probably not intended.

use super::Scene;
use crate::kernel::namespace::Kind;
use crate::policy::namespaces::Namespace;
use crate::policy::network::Dns;
use crate::policy::network::names::{RESOLVER, servers};
use crate::text::problem::{Problem, Problems};
use crate::tree::{Ground, HasGround, Own};
use std::net::IpAddr;

/// A network that is shared, and an entry that keeps the names from it.
pub(super) fn no_names(scene: &Scene, found: &mut Problems) {
    let is_meant = scene.profile.network.dns.get().is_some_and(|dns| dns.value == Dns::None);
    if scene.choice.is_new(Kind::Net) || !scene.choice.is_new(Kind::Mount) || is_meant {
        return;
    }
    let Some(node) = scene.tree.get(RESOLVER) else { return };
    let what = match node.ground() {
        Ground::Own(Own::Hidden(_) | Own::Whiteout) => "is hidden",
        Ground::Own(Own::Directory | Own::Memory { .. }) => "is a directory",
        Ground::Own(Own::Root | Own::Devices(_) | Own::Link(_) | Own::File(_)) => return,
        Ground::Host(_) | Ground::Kernel(_) | Ground::Same => return,
    };
    let text = format!("the network is open, and names cannot be looked up: {RESOLVER} {what}");
    let help = "if that is meant, say so in [network]: dns = \"none\"; else leave this entry out";
    found.push(Problem::new("network::no-names", node.at, text).help(help));
}

/// Servers that cannot be reached from the network.
pub(super) fn no_server(scene: &Scene, found: &mut Problems) {
    let network = &scene.profile.network;
    if !scene.choice.is_new(Kind::Mount) || scene.tree.get(RESOLVER).is_some() {
        return;
    }
    let servers: Vec<IpAddr> = match (network.dns.get().map(|dns| &dns.value), &scene.host.resolver)
    {
        (Some(Dns::Servers(servers)), _) => servers.iter().map(|server| server.0).collect(),
        (None | Some(Dns::Auto), Some(Ok(text))) => servers(text),
        _ => return,
    };
    let [first, ..] = servers.as_slice() else { return };
    let (text, help) = match scene.choice.of(Kind::Net) {
        Namespace::New if !servers.iter().any(IpAddr::is_loopback) => (
            format!("{first} does not answer: the sandbox's own network has loopback alone"),
            "leave `dns` out",
        ),
        Namespace::Join(_) if servers.iter().all(IpAddr::is_loopback) => (
            format!("{first} is asked for names, on the loopback of the network that is joined"),
            "name servers that this network reaches, in `dns`",
        ),
        Namespace::New | Namespace::Host | Namespace::Join(_) => return,
    };
    let at = network.dns.at().or(network.mode.at());
    found.push(Problem::new("network::no-server", at, text).help(help));
}
