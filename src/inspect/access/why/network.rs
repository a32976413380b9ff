//! Whether the network is reached, and an address listened on.

use super::Asked;
use crate::inspect::access::query::{Act, Decision, Mechanism, Port, Protocol, Reason};
use crate::kernel::capability::Capability;
use crate::kernel::rights::port_words;
use crate::kernel::syscalls;
use crate::policy::namespaces::Namespace;
use crate::policy::network::names;
use crate::policy::seccomp::Verdict;
use crate::text::source::Span;
use landlock::AccessNet;
use std::net::IpAddr;

impl Asked<'_> {
    pub(super) fn connect(&self, peer: &Port) -> Vec<Reason> {
        let (network, at) = self.world.network();
        let mut reasons = vec![self.may_call("connect", peer)];
        let listed = self.listed(&peer.host);
        reasons.extend(self.looked_up(peer, &listed));
        let is_loopback = peer.is_loopback() || listed.iter().any(IpAddr::is_loopback);
        reasons.push(match network {
            Namespace::New if is_loopback => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                "it is the sandbox's own loopback, where the target alone listens",
                at,
            ),
            Namespace::New => Reason::new(
                Mechanism::Network,
                Decision::Denies,
                "the sandbox has a network of its own, with loopback alone",
                at,
            ),
            Namespace::Host => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                "the network is the host's; its routes and filters apply",
                at,
            ),
            Namespace::Join(path) => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                format!("the network is that of {}; its routes apply", path.0),
                at,
            ),
        });
        let access = if peer.protocol == Protocol::Tcp {
            AccessNet::ConnectTcp
        } else {
            AccessNet::ConnectSendUdp
        };
        reasons.extend(self.ruled_port(access, peer.port));
        reasons
    }

    pub(super) fn bind(&self, port: &Port) -> Vec<Reason> {
        let (network, at) = self.world.network();
        let host = &port.host;
        let mut reasons = vec![self.may_call("bind", port)];
        let own = port.is_loopback();
        reasons.push(match network {
            Namespace::New if own => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                "the network is the sandbox's own: nobody outside reaches it",
                at,
            ),
            Namespace::New => Reason::new(
                Mechanism::Network,
                Decision::Denies,
                format!("the sandbox's own network has no address {host}"),
                at,
            ),
            Namespace::Host if own => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                "the network is the host's: every peer that reaches the host reaches it",
                at,
            ),
            Namespace::Host => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                format!("the network is the host's, as far as {host} is its address"),
                at,
            ),
            Namespace::Join(path) => Reason::new(
                Mechanism::Network,
                Decision::Allows,
                format!("the network is that of {}", path.0),
                at,
            ),
        });
        let access =
            if port.protocol == Protocol::Tcp { AccessNet::BindTcp } else { AccessNet::BindUdp };
        reasons.extend(self.ruled_port(access, port.port));
        reasons.extend(self.low_port(network, port.port));
        reasons
    }

    /// The addresses that /etc/hosts inside has for a name, where its text is known.
    fn listed(&self, name: &str) -> Vec<IpAddr> {
        let text = self.world.tree.get(names::HOSTS).and_then(|entry| entry.ground.text());
        names::addresses_of(text.unwrap_or_default(), name)
    }

    /// Whether a name is looked up inside, where a network is shared. A failed look-up stops no
    /// connection: the target may have the address from elsewhere.
    fn looked_up(&self, peer: &Port, listed: &[IpAddr]) -> Option<Reason> {
        let name = &peer.host;
        let (network, _) = self.world.network();
        if peer.is_loopback() || name.parse::<IpAddr>().is_ok() || *network == Namespace::New {
            return None;
        }
        if let Some(address) = listed.first() {
            let words = format!("{} inside has {name}: {address}", names::HOSTS);
            let at = self.world.tree.get(names::HOSTS).map_or(Span::NOWHERE, |entry| entry.at);
            return Some(Reason::new(Mechanism::Network, Decision::Allows, words, at));
        }
        let path = names::RESOLVER;
        let entry = self.world.tree.get(path);
        let at = entry.map_or(Span::NOWHERE, |entry| entry.at);
        let reason = |says, words: String| Some(Reason::new(Mechanism::Network, says, words, at));
        if let Some(text) = entry.and_then(|entry| entry.ground.text()) {
            let servers = names::servers(text);
            let Some(server) = servers.first() else {
                let words = format!("{path} inside names no server, so {name} is not looked up");
                return reason(Decision::Unknown, words);
            };
            // The loopback of a joined network is another one than that of the host.
            let is_there = *network == Namespace::Host || !server.is_loopback();
            let says = if is_there { Decision::Allows } else { Decision::Unknown };
            return reason(says, format!("{path} inside has {name} asked of {server}"));
        }
        let denied = match self.path(Act::Read, path) {
            Ok(reasons) => reasons.into_iter().find(|reason| reason.says == Decision::Denies),
            Err(reason) => Some(reason),
        };
        match denied {
            Some(why) => {
                let words = format!("{name} is not looked up, for lack of {path}: {}", why.words);
                Some(Reason { words, says: Decision::Unknown, ..why })
            }
            None => {
                reason(Decision::Allows, format!("{name} is asked of whom {path} inside names"))
            }
        }
    }

    /// Landlock's rules for ports, where there are any.
    fn ruled_port(&self, access: AccessNet, port: u16) -> Option<Reason> {
        let (allowed, at) = self.world.port(access as u64, port)?;
        let to = port_words(access as u64);
        Some(if allowed {
            Reason::new(
                Mechanism::Landlock,
                Decision::Allows,
                format!("a rule allows to {to} port {port}"),
                at,
            )
        } else {
            Reason::new(
                Mechanism::Landlock,
                Decision::Denies,
                format!("no rule allows to {to} port {port}"),
                self.ports_at(access),
            )
        })
    }

    fn ports_at(&self, access: AccessNet) -> Span {
        let landlock = &self.profile.landlock;
        let set = match access {
            AccessNet::BindTcp => &landlock.tcp_bind,
            AccessNet::ConnectTcp => &landlock.tcp_connect,
            AccessNet::BindUdp => &landlock.udp_bind,
            // The library's enumeration may grow; a question about a port uses only these four.
            AccessNet::ConnectSendUdp | _ => &landlock.udp_connect,
        };
        set.said().unwrap_or_default()
    }

    /// Ports below `net.ipv4.ip_unprivileged_port_start` want CAP_NET_BIND_SERVICE over the network
    /// (ip(7)); a new network begins with 1024.
    fn low_port(&self, network: &Namespace, port: u16) -> Option<Reason> {
        const NET_BIND_SERVICE: u8 = 10;
        let first = if *network == Namespace::New { 1024 } else { self.host_fs.first_free_port };
        if port == 0 || u32::from(port) >= first {
            return None;
        }
        let has = self.world.capabilities().has(NET_BIND_SERVICE);
        let over = *network == Namespace::New || self.world.is_host_user();
        let reason = |says, words: String| {
            Some(Reason::new(
                Mechanism::Capabilities,
                says,
                words,
                self.capability_at(Capability(NET_BIND_SERVICE)),
            ))
        };
        if has && over {
            return reason(Decision::Allows, "the target has net-bind-service".into());
        }
        match network {
            Namespace::Join(_) => reason(
                Decision::Unknown,
                format!("whether port {port} is free for all there is not known"),
            ),
            // No line gives a power over the host to what has a user namespace of its own.
            Namespace::Host if !over => reason(
                Decision::Denies,
                format!(
                    "ports below {first} require net-bind-service over the host, which a user \
                     namespace of the sandbox's own does not give; as root: sysctl \
                     net.ipv4.ip_unprivileged_port_start={port}, or pass the socket"
                ),
            ),
            Namespace::New | Namespace::Host => {
                reason(Decision::Denies, format!("ports below {first} want net-bind-service"))
            }
        }
    }

    /// socket(2), and what is done with it.
    fn may_call(&self, name: &str, port: &Port) -> Reason {
        let six = port.host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let family = if six { libc::AF_INET6 } else { libc::AF_INET };
        let kind =
            if port.protocol == Protocol::Tcp { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
        let judge = |name, arguments: [u64; 6]| {
            let verdict = syscalls::number(name).map_or(Verdict::KillProcess, |number| {
                self.world.plan.filter.judge(number, &arguments)
            });
            (name, verdict)
        };
        let calls =
            [judge("socket", [family as u64, kind as u64, 0, 0, 0, 0]), judge(name, [0; 6])];
        match calls.iter().find(|(_, verdict)| !verdict.permits()) {
            Some((name, verdict)) => Reason::new(
                Mechanism::Seccomp,
                Decision::Denies,
                format!("the filter answers {name} with {verdict}"),
                Span::NOWHERE,
            ),
            None => Reason::new(
                Mechanism::Seccomp,
                Decision::Allows,
                format!("the filter allows socket and {name}"),
                Span::NOWHERE,
            ),
        }
    }
}
