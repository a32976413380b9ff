//! The default policy, and what no policy lifts: guards of the sandbox itself. Each refusal has its
//! reason here.
//!
//! Of a register the kernel often reads the low half only: a test must read what the kernel reads,
//! or a value with high bits set goes round it (CVE-2019-10063, CVE-2019-7303).

use super::filter::{Case, Compare, ENOSYS, EPERM, Filter, Rule, Table, Test, Verdict};
use crate::kernel::namespace::Kind;
use crate::kernel::syscalls::{self, ABSENT, ALLOWED, MODES, NUMBERS, OPENS};
use crate::policy::namespaces::Nested;
use std::borrow::Cow;

/// Properties of the sandbox that the filter depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The kinds of namespace that the target may make.
    pub nested: Nested,
    /// No file may become set-id: root started the sandbox, and its ids map to owners of host
    /// files.
    pub deny_set_id: bool,
    /// No file may get capabilities: it would be such a bind's, and the target may have CAP_SETFCAP
    /// over it.
    pub deny_file_capabilities: bool,
    /// The target is pid 1 of its sandbox, which dies with the launcher by the target's own
    /// parent-death signal.
    pub target_is_init: bool,
    /// The limit on core files is stockade's, and must stay.
    pub core_guard: bool,
    /// Process numbers are those of others too, some of whom have the same ids.
    pub foreign_pids: bool,
    /// System V and POSIX IPC are those of others too, and no line asked for them.
    pub foreign_ipc: bool,
    /// Landlock rules over TCP ports.
    pub ports: bool,
}

// ---- the table, made at compile time ----

// The places of the plain rules in a table; 0 is for numbers that are not known.
const REFUSED: u16 = 1;
const PERMITTED: u16 = 2;
const MISSING: u16 = 3;
const SPECIAL: u16 = 4;

/// Calls with a rule of their own, here or in a guard. Each has a place of its own in the table.
#[rustfmt::skip]
const OWN_RULE: &[&str] = &[
    "clone", "fcntl", "ioctl", "ioprio_set", "openat2", "personality", "prctl", "prlimit64", "setpriority", "setrlimit", "socket", "socketpair",
    "unshare", "sendmmsg", "sendmsg", "sendto", "chmod", "creat", "fchmod", "fchmodat", "fchmodat2", "mknod", "mknodat", "open", "openat",
    "setns", "fsetxattr", "lsetxattr", "setxattr", "setxattrat",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "mq_open", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmget",
];

const fn table() -> [u16; NUMBERS] {
    let mut numbers = syscalls::mark(syscalls::mark_all(REFUSED), ABSENT, MISSING);
    let mut topic = 0;
    while topic < ALLOWED.len() {
        numbers = syscalls::mark(numbers, ALLOWED[topic].1, PERMITTED);
        topic += 1;
    }
    let mut own = 0;
    while own < OWN_RULE.len() {
        numbers = syscalls::mark(numbers, &[OWN_RULE[own]], SPECIAL + own as u16);
        own += 1;
    }
    numbers
}

static PLAIN: [u16; NUMBERS] = table();

/// The table of a sandbox whose target may make these.
fn numbers(nested: Nested) -> Cow<'static, [u16]> {
    if !nested.is_some() {
        return Cow::Borrowed(&PLAIN);
    }
    let mut numbers = PLAIN.to_vec();
    let opened = nested
        .kinds()
        .flat_map(|kind| syscalls::opened_by(kind.word()))
        .filter_map(|call| syscalls::number(call));
    opened.for_each(|number| numbers[number as usize] = PERMITTED);
    Cow::Owned(numbers)
}

/// The filter of a profile that says nothing of system calls.
pub(crate) fn default(needs: &Needs) -> Filter {
    let mut rules = Vec::with_capacity(usize::from(SPECIAL) + OWN_RULE.len());
    rules.extend([ENOSYS, EPERM, Verdict::Allow, ENOSYS].map(Rule::always));
    rules.extend(OWN_RULE.iter().map(|call| guarded(own_rule(call, needs), call, needs)));
    Filter { native: Table::marked(numbers(needs.nested), rules), others: vec![] }
}

/// Whether the default policy has more to say of a call than yes or no: it looks at arguments, or
/// has the call absent. A group does not open such a call, or `allow = ["@process"]` would let the
/// target make namespaces.
pub(crate) fn is_particular(call: &str) -> bool {
    matches!(
        call,
        "clone"
            | "fcntl"
            | "ioctl"
            | "personality"
            | "prctl"
            | "setns"
            | "socket"
            | "socketpair"
            | "unshare"
    ) || ABSENT.contains(&call)
}

/// The default policy's rule for a call, without the guards.
pub(super) fn rule(call: &str, needs: &Needs) -> Rule {
    let place = syscalls::number(call).map_or(REFUSED, |number| PLAIN[number as usize]);
    match place {
        _ if needs.nested.kinds().any(|kind| syscalls::opened_by(kind.word()).contains(&call)) => {
            Rule::always(Verdict::Allow)
        }
        SPECIAL.. => own_rule(call, needs),
        PERMITTED => Rule::always(Verdict::Allow),
        _ => Rule::always(refusal(call)),
    }
}

/// How a call is refused: with EPERM, and with ENOSYS where that is what programs understand.
pub(super) fn refusal(call: &str) -> Verdict {
    if ABSENT.contains(&call) { ENOSYS } else { EPERM }
}

// ---- the rules on arguments ----

fn own_rule(call: &str, needs: &Needs) -> Rule {
    match call {
        "clone" => clone(needs.nested),
        "unshare" => unshare(needs.nested),
        "setns" => setns(needs.nested),
        "fcntl" => leases(),
        "ioctl" => terminals(),
        "socket" => families(&DEFAULT_FAMILIES),
        "socketpair" => pairs(),
        "personality" => personas(&[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff]),
        // PR_SET_MM changes what /proc/PID/exe and cmdline show to the host. The kernel's own
        // answer is EPERM too.
        "prctl" => Rule::always(Verdict::Allow).case([is(0, libc::PR_SET_MM as u64)], EPERM),
        _ => Rule::always(Verdict::Allow),
    }
}

pub(super) fn is(argument: u8, value: u64) -> Test {
    Test::low(argument, Compare::one_of(&[value]))
}

/// A user namespace gives every capability over what is in it, and with them most of the kernel's
/// surface (CVE-2016-3135 and since). clone(2) cuts its flags to 32 bits, each of which has its
/// meaning; the lowest 8 are the exit signal, so CLONE_NEWTIME, 0x80, is none.
fn clone(nested: Nested) -> Rule {
    let refused = Nested::ALL.flags() & !nested.flags() & !Kind::Time.flag();
    let rule = Rule::always(Verdict::Allow);
    if refused == 0 {
        rule
    } else {
        rule.case([Test::low(0, Compare::AnyBit { bits: refused })], EPERM)
    }
}

/// unshare(2) looks at all 64 bits, and its flags grow: UNSHARE_EMPTY_MNTNS, 0x10_0000, means
/// CLONE_NEWNS. So everything is refused but what a thread may stop sharing and the kinds that are
/// listed.
fn unshare(nested: Nested) -> Rule {
    let shares = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    let unshared =
        Test::full(0, Compare::AnyBit { bits: !(u64::from(shares as u32) | nested.flags()) });
    Rule::always(Verdict::Allow).case([unshared], EPERM)
}

/// setns(2): `int nstype`. 0 takes a namespace of any kind.
fn setns(nested: Nested) -> Rule {
    if !nested.is_some() {
        return Rule::always(EPERM);
    }
    let others = Test::low(1, Compare::AnyBit { bits: !nested.flags() & 0xffff_ffff });
    Rule::always(Verdict::Allow).case([is(1, 0)], EPERM).case([others], EPERM)
}

/// fcntl(2): `unsigned int cmd`. The owner of a file may have a lease on it by any descriptor, and
/// every open(2) of it on the host waits for the holder, up to 45 s (proc(5), lease-break-time): a
/// read-only bind would hold up the caller's programs. The errno is that of a file system without
/// leases. A file server that leaves its locks to the kernel uses them (samba's kernel oplocks).
fn leases() -> Rule {
    // F_SETLEASE, and F_SETDELEG of Linux 6.19, the same for directories.
    let refused = Test::low(1, Compare::one_of(&[1024, 1040]));
    Rule::always(Verdict::Allow).case([refused], Verdict::Errno(libc::EINVAL))
}

/// Input for the caller's shell: TIOCSTI (CVE-2017-5226, CVE-2016-7545), and TIOCLINUX, by
/// selection and paste on a virtual console (CVE-2023-28100).
const INJECTION: [u64; 2] = [0x5412, 0x541c];

/// Requests that push input into the terminal that the target shares with its caller. Denied under
/// every policy that does not name ioctl itself.
pub(super) fn injection() -> Case {
    Case { tests: vec![Test::low(1, Compare::one_of(&INJECTION))], verdict: EPERM }
}

/// ioctl(2): `unsigned int cmd`. The terminal that the target keeps is the caller's.
fn terminals() -> Rule {
    let refused = [
        0x540c, // TIOCEXCL: nobody else can open the terminal, also after the end
        INJECTION[0],
        INJECTION[1],
        0x541d, // TIOCCONS: takes over what is written to the console
        0x541f, // TIOCSSERIAL: settings of the port that outlive the target
        0x5423, // TIOCSETD: loads a line discipline (CVE-2017-2636)
        0x5437, // TIOCVHANGUP: hangs up the caller's terminal
    ];
    Rule::always(Verdict::Allow)
        .case([Test::low(1, Compare::one_of(&refused))], EPERM)
        // TIOCSERCONFIG to TIOCSERSETMULTI, TIOCSLCKTRMIOS (locks the settings) and TIOCSERGETLSR
        // among them.
        .case([Test::low(1, Compare::Between { low: 0x5453, high: 0x545b })], EPERM)
        // ioctl_console(2): KD* and VT_*: keyboard map, font, mode and switching of the caller's
        // virtual console.
        .case([Test::low(1, Compare::Between { low: 0x4b00, high: 0x4bff })], EPERM)
        .case([Test::low(1, Compare::Between { low: 0x5600, high: 0x56ff })], EPERM)
}

const UNIX: u64 = libc::AF_UNIX as u64;
const INET: u64 = libc::AF_INET as u64;
const INET6: u64 = libc::AF_INET6 as u64;
const NETLINK: u64 = libc::AF_NETLINK as u64;
const DEFAULT_FAMILIES: [u64; 4] = [UNIX, INET, INET6, NETLINK];

/// socket(2): three `int`s. Of the families that the default policy has, its own choice of types
/// and protocols; of others, all.
///
/// The errnos are those of a kernel built without the thing, for which programs have a way:
/// libaudit, and PAM behind it, continues after EPROTONOSUPPORT from NETLINK_AUDIT and stops on
/// EPERM; Go turns from MPTCP to TCP on it; systemd's RestrictAddressFamilies= gives EAFNOSUPPORT.
/// Closed are the families that no namespace holds (AF_VSOCK reaches the hypervisor's host, AF_ALG
/// the kernel's ciphers) and those that are surface for most exploits (AF_PACKET CVE-2017-7308,
/// AF_KEY, AF_TIPC CVE-2021-43267, ...).
pub(super) fn families(granted: &[u64]) -> Rule {
    const NETLINK_ROUTE: u64 = 0;
    let among = |known: &[u64]| {
        granted.iter().copied().filter(|family| known.contains(family)).collect::<Vec<_>>()
    };
    let whole: Vec<u64> = granted
        .iter()
        .copied()
        .filter(|family| *family == UNIX || !DEFAULT_FAMILIES.contains(family))
        .collect();
    let internet = among(&[INET, INET6]);
    let in_part = among(&[INET, INET6, NETLINK]);
    let family = |families: &[u64]| Test::low(0, Compare::one_of(families));
    // SOCK_NONBLOCK and SOCK_CLOEXEC ride above SOCK_TYPE_MASK. SOCK_PACKET is not among the types:
    // with AF_INET it makes an AF_PACKET socket.
    let kind = |kinds: &[i32]| {
        Test::low(
            1,
            Compare::OneOf { mask: 0xf, values: kinds.iter().map(|kind| *kind as u64).collect() },
        )
    };
    let protocols = [
        libc::IPPROTO_IP,
        libc::IPPROTO_ICMP,
        libc::IPPROTO_TCP,
        libc::IPPROTO_UDP,
        libc::IPPROTO_ICMPV6,
    ];
    let protocols = Test::low(2, Compare::one_of(&protocols.map(|protocol| protocol as u64)));
    let mut rule = Rule::always(Verdict::Errno(libc::EAFNOSUPPORT));
    if !whole.is_empty() {
        rule = rule.case([family(&whole)], Verdict::Allow);
    }
    if !internet.is_empty() {
        // Another protocol makes the kernel load its module for every user (DCCP CVE-2017-6074,
        // SCTP CVE-2021-3772), and Landlock's rules for TCP do not see MPTCP.
        rule = rule.case(
            [family(&internet), kind(&[libc::SOCK_STREAM, libc::SOCK_DGRAM]), protocols],
            Verdict::Allow,
        );
        // CAP_NET_RAW is the protection here (raw(7)); no protocol of a raw socket loads a module.
        rule = rule.case([family(&internet), kind(&[libc::SOCK_RAW])], Verdict::Allow);
    }
    if granted.contains(&NETLINK) {
        // getifaddrs(3) and getaddrinfo(3) ask it for addresses. nfnetlink and xfrm are the entry
        // of most recent exploits (CVE-2022-32250, CVE-2024-1086), and NETLINK_KOBJECT_UEVENT
        // reports the host's devices.
        rule = rule.case([family(&[NETLINK]), is(2, NETLINK_ROUTE)], Verdict::Allow);
    }
    if in_part.is_empty() {
        rule
    } else {
        rule.case([family(&in_part)], Verdict::Errno(libc::EPROTONOSUPPORT))
    }
}

/// socketpair(2). Linux has pairs of AF_UNIX and AF_TIPC only.
fn pairs() -> Rule {
    Rule::always(Verdict::Errno(libc::EAFNOSUPPORT)).case([is(0, UNIX)], Verdict::Allow)
}

/// As docker: PER_LINUX and PER_LINUX32, each with UNAME26 or not, and the question. The rest
/// switches off address randomization, maps page zero or makes memory executable (personality(2)).
fn personas(granted: &[u64]) -> Rule {
    Rule::always(EPERM).case([Test::low(0, Compare::one_of(granted))], Verdict::Allow)
}

// ---- guards ----

/// The rule with what the sandbox itself needs, whatever the profile says of system calls.
pub(super) fn guarded(mut rule: Rule, call: &str, needs: &Needs) -> Rule {
    let mut refuse = |tests: Vec<Test>, verdict| rule.refuse(Case { tests, verdict });
    match call {
        // The signal survives execve(2), and it alone ends a target that is pid 1 when the launcher
        // is killed.
        "prctl" if needs.target_is_init => {
            refuse(vec![is(0, libc::PR_SET_PDEATHSIG as u64)], EPERM)
        }
        "prlimit64" => {
            let not_null = || Test::full(2, Compare::AnyBit { bits: u64::MAX });
            if let Some(process) = guarded_process(0, needs) {
                refuse(vec![process, not_null()], EPERM);
            }
            if needs.core_guard {
                let core = || is(1, u64::from(libc::RLIMIT_CORE));
                // A program that asks for the old limit too would read uninitialized memory, as
                // nothing is written there.
                refuse(vec![core(), not_null(), Test::full(3, Compare::one_of(&[0]))], CORE);
                refuse(vec![core(), not_null()], Verdict::Errno(libc::EINVAL));
            }
        }
        "sched_setaffinity" | "sched_setattr" | "sched_setparam" | "sched_setscheduler" => {
            guarded_process(0, needs).into_iter().for_each(|process| refuse(vec![process], EPERM));
        }
        "setpriority" | "ioprio_set" => {
            if let Some(process) = guarded_process(1, needs) {
                // A group of processes, and all of a user, have pid 1 among them: with 0 for one's
                // own, and after setpgid(2) into its group.
                let one = if call == "setpriority" {
                    u64::from(libc::PRIO_PROCESS)
                } else {
                    IOPRIO_WHO_PROCESS
                };
                refuse(
                    vec![Test::low(0, Compare::NoneOf { mask: u64::MAX, values: vec![one] })],
                    EPERM,
                );
                refuse(vec![process], EPERM);
            }
        }
        _ if needs.foreign_ipc && IPC.contains(&call) => refuse(vec![], EPERM),
        "setrlimit" if needs.core_guard => refuse(vec![is(0, u64::from(libc::RLIMIT_CORE))], CORE),
        _ => {}
    }
    if needs.ports {
        way_round_ports(call).into_iter().for_each(|case| rule.refuse(case));
    }
    if needs.deny_file_capabilities && FILE_CAPABILITIES.contains(&call) {
        rule.refuse(Case { tests: vec![], verdict: Verdict::Errno(libc::EOPNOTSUPP) });
    }
    if needs.deny_set_id {
        set_id(call).into_iter().for_each(|case| rule.refuse(case));
    }
    rule
}

/// Which processes these calls must not reach, by the argument that names one. They ask for the
/// same user alone, so where process numbers are shared they reach the caller's other processes,
/// and in a sandbox with numbers of its own its pid 1, which is stockade's: without descriptors it
/// could not watch over the sandbox, and on a processor that others keep busy, or as SCHED_IDLE, it
/// would keep no time.
fn guarded_process(argument: u8, needs: &Needs) -> Option<Test> {
    match needs {
        Needs { foreign_pids: true, .. } => {
            Some(Test::low(argument, Compare::AnyBit { bits: u64::MAX }))
        }
        Needs { target_is_init: false, .. } => Some(is(argument, 1)),
        _ => None,
    }
}

/// IOPRIO_WHO_PROCESS (linux/ioprio.h).
const IOPRIO_WHO_PROCESS: u64 = 1;

/// Calls that reach System V and POSIX IPC objects by key, number or name (sysvipc(7),
/// mq_overview(7)). ipc(2) is all of them in one.
const IPC: &[&str] = &[
    "ipc",
    "mq_open",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmget",
];

/// Landlock's rules for ports look at connect(2) of TCP sockets alone. TCP fast open connects by
/// sending (landlock-lsm issue 41); a kernel without it says EOPNOTSUPP, after which programs
/// connect. MPTCP and SMC carry TCP and are other sockets, and what io_uring does no filter sees.
fn way_round_ports(call: &str) -> Vec<Case> {
    const SMC: u64 = 43;
    let fast_open =
        |flags| vec![Test::low(flags, Compare::AnyBit { bits: libc::MSG_FASTOPEN as u64 })];
    let case = |tests, verdict| Case { tests, verdict };
    match call {
        "sendto" | "sendmmsg" => vec![case(fast_open(3), Verdict::Errno(libc::EOPNOTSUPP))],
        "sendmsg" => vec![case(fast_open(2), Verdict::Errno(libc::EOPNOTSUPP))],
        "socket" => {
            let multipath = vec![
                Test::low(0, Compare::one_of(&[INET, INET6])),
                is(2, libc::IPPROTO_MPTCP as u64),
            ];
            vec![
                case(multipath, Verdict::Errno(libc::EPROTONOSUPPORT)),
                case(vec![is(0, SMC)], Verdict::Errno(libc::EAFNOSUPPORT)),
            ]
        }
        // socketcall(2) has its arguments in memory.
        "io_uring_setup" | "io_uring_enter" | "io_uring_register" | "socketcall" => {
            vec![case(vec![], ENOSYS)]
        }
        _ => vec![],
    }
}

/// The limit on core files is 1, which keeps the host's core helper from running as root on the
/// target's image; at 0 it runs (core(5)). So it stays, and the call returns 0: a program that
/// lowers the limit asks for no core file and gets none, and many stop on any errno (ssh-agent,
/// gpg, programs built with AddressSanitizer). The new limit is behind a pointer, so a program that
/// raises it gets the same 0, and no core file either.
const CORE: Verdict = Verdict::Errno(0);

/// Calls that give a file its capabilities (capabilities(7)). The name of the attribute is behind a
/// pointer, so no attribute can be set; this errno is that of a file system without them, after
/// which cp(1), tar(1) and rsync(1) continue.
const FILE_CAPABILITIES: &[&str] = &["fsetxattr", "lsetxattr", "setxattr", "setxattrat"];

/// If ids of the sandbox map to owners of host files, a set-user-id file that the target makes runs
/// with its owner's id for every user of the host, and a set-group-id one with its group's.
///
/// `umode_t mode` and `int flags`. mkdir(2) cannot set the bits, an access list neither (inode(7),
/// acl(5)). openat2(2) has flags and mode behind a pointer; its users turn to openat(2). io_uring
/// opens files with a mode of its own (IORING_OP_OPENAT), and no filter sees it.
pub(super) fn set_id(call: &str) -> Option<Case> {
    let bits = |argument| {
        Test::low(argument, Compare::AnyBit { bits: u64::from(libc::S_ISUID | libc::S_ISGID) })
    };
    if matches!(call, "openat2" | "io_uring_setup" | "io_uring_enter" | "io_uring_register") {
        return Some(Case { tests: vec![], verdict: ENOSYS });
    }
    if let Some((_, mode)) = MODES.iter().find(|(name, _)| *name == call) {
        return Some(Case { tests: vec![bits(*mode)], verdict: EPERM });
    }
    // The mode is garbage where nothing is made. O_TMPFILE is two bits, of which O_DIRECTORY alone
    // makes nothing.
    let making = libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    let (_, flags) = OPENS.iter().find(|(name, _)| *name == call)?;
    let makes = Test::low(*flags, Compare::AnyBit { bits: making as u64 });
    Some(Case { tests: vec![makes, bits(flags + 1)], verdict: EPERM })
}
