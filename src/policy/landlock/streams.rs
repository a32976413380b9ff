//! What Landlock holds of the descriptors that the target has from its caller.

use super::{LEAST_ABI, Landlock, SCOPE_ABI, Scope};
use crate::host::Host;
use crate::host::streams::{Owner, Socket, Stream, Unix};
use crate::kernel::rights::Rights;
use crate::language::section::Set;
use crate::policy::identity::Ids;
use crate::policy::optional::Protection;
use crate::policy::process::{Kept, Process};
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use crate::text::source::Span;
use landlock::{ABI, AccessNet};

/// What of the profile decides about them.
pub(crate) struct Asked<'a> {
    /// `optional`.
    pub optional: &'a Set<Protection>,
    /// `[process]`.
    pub process: &'a Process,
    /// Whether the network is another one than the caller's.
    pub own_network: bool,
    pub ids: &'a Ids,
}

// ---- files ----

/// A file on 0, 1 or 2 gives what it was opened for: it cannot be opened anew by /proc/self/fd for
/// more. A terminal gives input only if it is 0. A descriptor that is passed by number has no rule,
/// and cannot be reopened at all.
pub(super) fn rules(process: &Process, host: &Host, handled: Rights, draft: &mut Draft) {
    let input = is_input(process, host);
    for Kept { fd, stream, .. } in process.kept(host).filter(|kept| kept.fd <= 2) {
        let rights = rights(stream, input).within(Rights::OF_FILES).within(handled);
        if rights != Rights(0) {
            draft.step(Stage::Rules, ProcessOp::LandlockStream { fd, rights }, Span::NOWHERE);
        }
    }
}

fn is_input(process: &Process, host: &Host) -> bool {
    process.kept(host).any(|kept| kept.fd == 0 && matches!(kept.stream, Stream::Terminal { .. }))
}

fn rights(stream: Stream, input: bool) -> Rights {
    match stream {
        Stream::File { read, write, .. } => {
            Rights::default().and_if(read, Rights::READ).and_if(write, Rights::WRITE)
        }
        Stream::Terminal { read } => {
            Rights::WRITE.and(Rights::IOCTL).and_if(read && input, Rights::READ)
        }
        Stream::Closed
        | Stream::Unknown(_)
        | Stream::Directory
        | Stream::Memory { .. }
        | Stream::Socket(_)
        | Stream::PipeEnd
        | Stream::Other => Rights(0),
    }
}

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;

/// Files of memory are in no tree that Landlock rules over (the kernel's own mount of tmpfs).
pub(super) fn memory(asked: &Asked<'_>, host: &Host, draft: &mut Draft) {
    for Kept { fd, stream, at } in asked.process.kept(host) {
        let Stream::Memory { write: false, owner } = stream else { continue };
        if opens(asked.ids, host.caller.uid == 0, owner, WRITE) {
            let why = "it was opened for reading, and the target can open it anew for writing, as \
                       Landlock does not rule over files of memory";
            let problem = Problem::new(
                "landlock::stream",
                at,
                format!("cannot keep the file on descriptor {fd} read-only: {why}"),
            );
            draft.problem(problem.help("give it by a pipe: cat FILE | stockade run ..."));
        }
    }
}

/// Where Landlock rules over no files, by the line `why`, the permission bits alone decide what
/// /proc/self/fd/N opens.
pub(super) fn without_rules(asked: &Asked<'_>, why: Span, host: &Host, draft: &mut Draft) {
    let fell = host.landlock.is_none_or(|abi| abi < LEAST_ABI);
    let input = is_input(asked.process, host);
    let reaches = |owner: Owner, want: u32| opens(asked.ids, host.caller.uid == 0, owner, want);
    for Kept { fd, stream, at } in asked.process.kept(host) {
        match stream {
            Stream::File { read: true, write: false, owner } if reaches(owner, WRITE) => {
                let what = "it was opened for reading, and the target can open it anew for writing \
                            where Landlock rules over no files";
                if fell {
                    draft.note_less(
                        at,
                        format!("the file on descriptor {fd} is not kept read-only"),
                        what,
                    );
                    continue;
                }
                let at = if at.is_somewhere() { at } else { why };
                let problem = Problem::new(
                    "landlock::stream",
                    at,
                    format!("cannot keep the file on descriptor {fd} read-only: {what}"),
                );
                let help = match asked.process.file(fd) {
                    Some(_) => {
                        "leave `stdin` out, and give it by a pipe: cat FILE | stockade run ..."
                    }
                    None => "give it by a pipe: cat FILE | stockade run ...",
                };
                draft.problem(problem.help(help));
            }
            Stream::File { read: false, write: true, owner } if reaches(owner, READ) => {
                draft.note(
                    at,
                    format!(
                        "the target can read the file on descriptor {fd}, too: Landlock rules over \
                         no files"
                    ),
                );
            }
            Stream::Terminal { .. } if !input && fd <= 2 && host.caller.uid != 0 => {
                draft.note_less(
                    at,
                    format!("the target can read the terminal on descriptor {fd}"),
                    "Landlock rules over no files",
                );
            }
            _ => {}
        }
    }
}

/// Whether the target could open a file for what it was not opened for. An owner can change the
/// mode; of a user's groups not all are known.
fn opens(ids: &Ids, root: bool, owner: Owner, want: u32) -> bool {
    let Owner::User { uid, mode } = owner else { return false };
    let mapped = ids
        .maps
        .iter()
        .flat_map(|maps| &maps.uid)
        .any(|extent| (extent.outside..extent.outside + extent.count).contains(&uid));
    uid == ids.host_user || mapped || mode & want != 0 || !root && mode & want << 3 != 0
}

// ---- sockets ----

/// A socket stays in the network namespace that it was made in (network_namespaces(7)). connect(2)
/// with AF_UNSPEC takes one back from its peer, also one that was accepted or listens, and then it
/// is connected or bound to what its own network has. So do unix sockets with the abstract names
/// there: Landlock's scope keeps them from connecting and sending, and has no hook for bind(2).
/// Gives the uses of ports that must be closed.
pub(super) fn sockets(
    landlock: &Landlock,
    asked: &Asked<'_>,
    host: &Host,
    draft: &mut Draft,
) -> u64 {
    let abi = host.landlock.filter(|abi| *abi >= LEAST_ABI);
    let scope = &landlock.scope;
    let scoped = abi.is_some_and(|abi| abi >= SCOPE_ABI)
        && (scope.said().is_none()
            || scope.items.iter().any(|item| item.value == Scope::AbstractUnixSocket));
    let mut implied = 0;
    for Kept { fd, stream, at } in asked.process.kept(host).filter(|_| asked.own_network) {
        let Stream::Socket(socket) = stream else { continue };
        let held = match socket {
            Socket::Tcp => Some((
                ABI::V4,
                AccessNet::BindTcp as u64 | AccessNet::ConnectTcp as u64,
                "tcp-connect = [], tcp-bind = []",
            )),
            Socket::Udp => Some((
                ABI::V10,
                AccessNet::BindUdp as u64 | AccessNet::ConnectSendUdp as u64,
                "udp-connect = [], udp-bind = []",
            )),
            Socket::Unix(Unix::NamedDatagram) if scoped => continue,
            Socket::Unix(_) | Socket::Other { .. } => None,
        };
        let words = socket.words();
        let why = match (held, abi) {
            (Some((since, uses, lists)), Some(abi)) if abi >= since as u32 => {
                implied |= uses;
                let listens = if socket == Socket::Tcp {
                    "; it can still listen there on a port that the kernel picks"
                } else {
                    ""
                };
                draft.note(
                    at,
                    format!(
                        "descriptor {fd} is a {words} of the caller's network: [landlock] {lists}, \
                         where it says nothing else{listens}"
                    ),
                );
                continue;
            }
            (Some((since, ..)), Some(abi)) => {
                format!("it takes Landlock's ABI {}, and this kernel has {abi}", since as u32)
            }
            (Some((since, ..)), None) => {
                format!("it takes Landlock's ABI {}, which this kernel does not have", since as u32)
            }
            (None, _) => match socket {
                Socket::Unix(Unix::NamedDatagram) => {
                    "Landlock's scope \"abstract-unix-socket\" (Linux 6.12) does not hold it here"
                        .into()
                }
                Socket::Unix(_) => "it can take an abstract name there, and Landlock has no rules \
                                    for bind(2) of a unix socket"
                    .into(),
                _ => "Landlock has no rules for it".into(),
            },
        };
        refuse(asked, at, &format!("the {words} on descriptor {fd}"), &why, draft);
    }
    implied
}

fn refuse(asked: &Asked<'_>, at: Span, what: &str, why: &str, draft: &mut Draft) {
    if asked.optional.items.iter().any(|name| name.value == "network.passed-sockets") {
        return draft.note_less(at, format!("{what} is not kept from the caller's network"), why);
    }
    let problem = Problem::new(
        "landlock::socket",
        at,
        format!("cannot keep {what} from the caller's network: {why}"),
    );
    let help = "give the target a pipe or a connected unix stream socket, or let it reach that \
                network: optional = [\"network.passed-sockets\"]";
    draft.problem(problem.help(help));
}
