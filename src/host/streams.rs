//! The kinds of the caller's descriptors that the target has.

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stream {
    /// Nothing.
    #[default]
    Closed,
    /// A terminal, with whether it was opened for reading.
    Terminal {
        /// Opened for reading.
        read: bool,
    },
    /// A regular file or another device, with whether it can be read and written.
    File {
        /// Opened for reading.
        read: bool,
        /// Opened for writing.
        write: bool,
        /// Who could open it for what it was not opened for.
        owner: Owner,
    },
    /// A file of memory (memfd_create(2)), with whether it was opened for writing. Landlock rules
    /// over none.
    Memory {
        /// Opened for writing.
        write: bool,
        /// Who could open it for that.
        owner: Owner,
    },
    /// A socket that reaches others of a network namespace.
    Socket(Socket),
    /// Something that could not be looked at; why.
    Unknown(i32),
    Directory,
    /// A pipe without a name that was opened for writing alone (pipe(7)).
    PipeEnd,
    /// Another pipe, a unix socket with a peer or a name that it keeps, or the like.
    Other,
}

/// How a terminal is opened anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anew {
    /// By its own device, through the descriptor.
    #[default]
    Device,
    /// By `/dev/tty`, which anybody can open (tty(4)): behind su(1) and setpriv(1) the device is
    /// another user's.
    Controlling,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// None: bytes written to `/dev/null` and its kin are discarded.
    Nobody,
    /// A user's, with the permission bits of the group and of others.
    User { uid: u32, mode: u32 },
}

/// A socket that belongs to the network namespace that it was made in, whatever namespace its user
/// is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// A unix socket that is not tied to one peer for good.
    Unix(Unix),
    /// Another one.
    Other {
        /// Its family (`AF_*`).
        family: i32,
        protocol: i32,
    },
}

/// A unix socket that reaches the abstract names of its network namespace (unix(7)). One that is
/// connected as a stream or in packets keeps its peer, and one that listens its name: connect(2)
/// and bind(2) on them fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unix {
    /// For datagrams, with an address that it keeps: it sends to any.
    NamedDatagram,
    /// For datagrams, without an address: it takes one, too. Its peer is no hold, as connect(2)
    /// with AF_UNSPEC takes that back.
    Datagram,
    /// A stream, or one in packets, that is not connected yet: it takes a name and listens there,
    /// or connects.
    Unconnected,
}

impl Socket {
    /// What people call it.
    pub fn words(self) -> String {
        let (family, protocol) = match self {
            Socket::Tcp => return "TCP socket".into(),
            Socket::Udp => return "UDP socket".into(),
            Socket::Unix(Unix::NamedDatagram | Unix::Datagram) => {
                return "unix datagram socket".into();
            }
            Socket::Unix(Unix::Unconnected) => return "unconnected unix socket".into(),
            Socket::Other { family, protocol } => (family, protocol),
        };
        match (family, protocol) {
            (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_MPTCP) => "MPTCP socket".into(),
            (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_SCTP) => "SCTP socket".into(),
            (libc::AF_INET | libc::AF_INET6, _) => format!("socket of IP protocol {protocol}"),
            (libc::AF_NETLINK, _) => "netlink socket".into(),
            (libc::AF_PACKET, _) => "packet socket".into(),
            (libc::AF_VSOCK, _) => "vsock socket".into(),
            _ => format!("socket of family {family}"),
        }
    }
}
