//! The system call filter: the rule of every call, as plain data. It may not act, and it may not look behind a pointer.
//!
//! A filter sees registers alone. What a pointer leads to can change between the filter's look and the kernel's (seccomp(2)), so a call
//! that keeps what matters in memory is open or closed as a whole. Of a register the kernel often reads the low half only: a test must
//! read what the kernel reads, or a value with high bits set goes round it (CVE-2019-10063, CVE-2019-7303). [`compile`] makes the program.

mod program;
#[cfg(test)]
mod tests;

pub use program::{LONGEST, compile};

use crate::policy::syscalls;
use ::syscalls::Sysno;
use nix::errno::Errno;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use syscalls::{ABSENT, ALLOWED, MODES, NESTED, OPENS};

// ---- table ----

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The kernel does it.
    Allow,
    /// The kernel does nothing and gives this errno; the filter cannot give one above 4095.
    Errno(i32),
    /// The process dies of SIGSYS, all its threads with it.
    KillProcess,
}

/// Refused: the call is known, and the sandbox does not have it.
const EPERM: Verdict = Verdict::Errno(libc::EPERM);
/// Absent: what a kernel without the call says.
const ENOSYS: Verdict = Verdict::Errno(libc::ENOSYS);

/// How much of an argument the kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// The low 32 bits: `int`, `unsigned int`, `umode_t`, and where the kernel cuts a `long` itself.
    Low,
    /// All 64 bits: `long`, `size_t`, pointers.
    Full,
}

/// What an argument is held against.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// At least one of these bits is set.
    AnyBit {
        /// The bits.
        bits: u64,
    },
    /// What the mask leaves is one of these.
    OneOf {
        /// The mask.
        mask: u64,
        /// The values.
        values: Vec<u64>,
    },
    /// It lies between these, both included.
    Between {
        /// The least.
        low: u64,
        /// The greatest.
        high: u64,
    },
}

/// One look at one argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Test {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// How much of it.
    pub width: Width,
    /// Against what.
    pub compare: Compare,
}

/// A verdict for the calls whose arguments pass every test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Case {
    /// All of them must hold.
    pub tests: Vec<Test>,
    /// What then.
    pub verdict: Verdict,
}

/// What is done with one system call: the first case that holds decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule {
    /// In order.
    pub cases: Vec<Case>,
    /// When none holds.
    pub otherwise: Verdict,
}

/// The filter: a rule for each system call that this version knows. A number without one is a newer kernel's call, and gets ENOSYS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// By number, of the native architecture.
    pub rules: BTreeMap<u32, Rule>,
}

impl Test {
    fn low(argument: u8, compare: Compare) -> Test {
        Test { argument, width: Width::Low, compare }
    }

    fn full(argument: u8, compare: Compare) -> Test {
        Test { argument, width: Width::Full, compare }
    }

    /// Whether it holds.
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let Some(value) = arguments.get(usize::from(self.argument)) else { return false };
        let value = if self.width == Width::Low { value & 0xffff_ffff } else { *value };
        match &self.compare {
            Compare::AnyBit { bits } => value & bits != 0,
            Compare::OneOf { mask, values } => values.contains(&(value & mask)),
            Compare::Between { low, high } => (*low..=*high).contains(&value),
        }
    }
}

impl Rule {
    /// The same verdict whatever the arguments.
    pub fn always(otherwise: Verdict) -> Rule {
        Rule { cases: vec![], otherwise }
    }

    /// One more case, after those before it.
    #[must_use]
    pub fn case(mut self, tests: impl Into<Vec<Test>>, verdict: Verdict) -> Rule {
        self.cases.push(Case { tests: tests.into(), verdict });
        self
    }
}

impl Filter {
    /// What becomes of a call of the native architecture.
    pub fn judge(&self, number: u32, arguments: &[u64; 6]) -> Verdict {
        let rule = if number < X32 { self.rules.get(&number) } else { None };
        rule.map_or(ENOSYS, |rule| {
            let case = rule.cases.iter().find(|case| case.tests.iter().all(|test| test.holds(arguments)));
            case.map_or(rule.otherwise, |case| case.verdict)
        })
    }

    fn set(&mut self, calls: &[Sysno], rule: &Rule) {
        self.rules.extend(calls.iter().map(|call| (call.id() as u32, rule.clone())));
    }
}

/// The bit of the x32 calls, which come under x86_64's own architecture number (`__X32_SYSCALL_BIT`). A filter that does not look for
/// it lets every refused call through under a second number. No native call of any architecture is as high.
const X32: u32 = 0x4000_0000;

// ---- draft ----

/// What else of the sandbox the filter depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The target may make namespaces and mounts of its own.
    pub nested: bool,
    /// No file may become set-id: a writable bind is mapped onto the host's root.
    pub deny_set_id: bool,
    /// The target is pid 1 of its sandbox, which dies with the launcher by the target's own parent-death signal.
    pub target_is_init: bool,
    /// The limit on core files is stockade's, and must stay.
    pub core_guard: bool,
    /// Process numbers are those of others too, some of whom have the same ids.
    pub foreign_pids: bool,
    /// Landlock rules over TCP ports.
    pub ports: bool,
}

/// Drafts the default policy.
pub fn draft(needs: &Needs) -> Filter {
    let mut filter = Filter { rules: syscalls::known().map(|(number, _)| (number, Rule::always(EPERM))).collect() };
    for (_, calls) in ALLOWED {
        filter.set(calls, &Rule::always(Verdict::Allow));
    }
    filter.set(ABSENT, &Rule::always(ENOSYS));
    filter.set(&[Sysno::ioctl], &terminals());
    filter.set(&[Sysno::socket], &families());
    // Linux has pairs of AF_UNIX and AF_TIPC only.
    let unix = Test::low(0, one_of(&[libc::AF_UNIX as u64]));
    filter.set(&[Sysno::socketpair], &Rule::always(Verdict::Errno(libc::EAFNOSUPPORT)).case([unix], Verdict::Allow));
    // As docker: PER_LINUX and PER_LINUX32, each with UNAME26 or not, and the question. The rest switches off address randomization,
    // maps page zero or makes memory executable (personality(2)).
    let personas = Test::low(0, one_of(&[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff]));
    filter.set(&[Sysno::personality], &Rule::always(EPERM).case([personas], Verdict::Allow));
    filter.set(&[Sysno::prctl], &process_control(needs));
    namespaces(needs, &mut filter);
    keep_limits(needs, &mut filter);
    if needs.deny_set_id {
        refuse_set_id(&mut filter);
    }
    if needs.ports {
        close_ways_round_ports(&mut filter);
    }
    filter
}

fn one_of(values: &[u64]) -> Compare {
    Compare::OneOf { mask: u64::MAX, values: values.to_vec() }
}

/// ioctl(2): `unsigned int cmd`. The terminal that the target keeps is the caller's.
fn terminals() -> Rule {
    let refused = [
        0x540c, // TIOCEXCL: nobody else can open the terminal, also after the end
        0x5412, // TIOCSTI: input for the caller's shell (CVE-2017-5226, CVE-2016-7545)
        0x541c, // TIOCLINUX: the same by selection and paste on a virtual console (CVE-2023-28100)
        0x541d, // TIOCCONS: takes over what is written to the console
        0x541f, // TIOCSSERIAL: settings of the port that outlive the target
        0x5423, // TIOCSETD: loads a line discipline (CVE-2017-2636)
        0x5437, // TIOCVHANGUP: hangs up the caller's terminal
    ];
    Rule::always(Verdict::Allow)
        .case([Test::low(1, one_of(&refused))], EPERM)
        // TIOCSERCONFIG to TIOCSERSETMULTI, TIOCSLCKTRMIOS (locks the settings) and TIOCSERGETLSR among them.
        .case([Test::low(1, Compare::Between { low: 0x5453, high: 0x545b })], EPERM)
        // ioctl_console(2): KD* and VT_*: keyboard map, font, mode and switching of the caller's virtual console.
        .case([Test::low(1, Compare::Between { low: 0x4b00, high: 0x4bff })], EPERM)
        .case([Test::low(1, Compare::Between { low: 0x5600, high: 0x56ff })], EPERM)
}

/// socket(2): three `int`s.
///
/// The errnos are those of a kernel built without the thing, for which programs have a way: libaudit, and PAM behind it, goes on after
/// EPROTONOSUPPORT from NETLINK_AUDIT and stops on EPERM; Go turns from MPTCP to TCP on it; systemd's RestrictAddressFamilies= gives
/// EAFNOSUPPORT. Closed are the families that no namespace holds (AF_VSOCK reaches the hypervisor's host, AF_ALG the kernel's ciphers)
/// and those that are surface for most exploits (AF_PACKET CVE-2017-7308, AF_KEY, AF_TIPC CVE-2021-43267, ...).
fn families() -> Rule {
    const NETLINK_ROUTE: u64 = 0;
    let families = |families: &[i32]| Test::low(0, one_of(&families.iter().map(|family| *family as u64).collect::<Vec<_>>()));
    let internet = || families(&[libc::AF_INET, libc::AF_INET6]);
    // SOCK_NONBLOCK and SOCK_CLOEXEC ride above SOCK_TYPE_MASK. SOCK_PACKET is not among the types: with AF_INET it makes an AF_PACKET socket.
    let kind = |kinds: &[i32]| Test::low(1, Compare::OneOf { mask: 0xf, values: kinds.iter().map(|kind| *kind as u64).collect() });
    let protocols = [libc::IPPROTO_IP, libc::IPPROTO_ICMP, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMPV6];
    let protocols = Test::low(2, one_of(&protocols.map(|protocol| protocol as u64)));
    Rule::always(Verdict::Errno(libc::EAFNOSUPPORT))
        .case([families(&[libc::AF_UNIX])], Verdict::Allow)
        // Another protocol has the kernel load its module for anybody (DCCP CVE-2017-6074, SCTP CVE-2021-3772), and Landlock's rules for
        // TCP do not see MPTCP.
        .case([internet(), kind(&[libc::SOCK_STREAM, libc::SOCK_DGRAM]), protocols], Verdict::Allow)
        // CAP_NET_RAW is the wall here (raw(7)); no protocol of a raw socket loads a module.
        .case([internet(), kind(&[libc::SOCK_RAW])], Verdict::Allow)
        // getifaddrs(3) and getaddrinfo(3) ask it for addresses. nfnetlink and xfrm are the way of most exploits of the last years
        // (CVE-2022-32250, CVE-2024-1086), and NETLINK_KOBJECT_UEVENT tells of the host's devices.
        .case([families(&[libc::AF_NETLINK]), Test::low(2, one_of(&[NETLINK_ROUTE]))], Verdict::Allow)
        .case([families(&[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK])], Verdict::Errno(libc::EPROTONOSUPPORT))
}

/// prctl(2): `int option`.
fn process_control(needs: &Needs) -> Rule {
    // PR_SET_MM exchanges what /proc/PID/exe and cmdline show to who watches from the host. The kernel's own answer is EPERM too.
    let rule = Rule::always(Verdict::Allow).case([Test::low(0, one_of(&[libc::PR_SET_MM as u64]))], EPERM);
    // The signal survives execve(2), and is all that ends a target which is pid 1 when the launcher is killed.
    let parent_death = Test::low(0, one_of(&[libc::PR_SET_PDEATHSIG as u64]));
    if needs.target_is_init { rule.case([parent_death], EPERM) } else { rule }
}

/// clone(2), unshare(2) and, where the profile says nested, all that builds a sandbox.
fn namespaces(needs: &Needs, filter: &mut Filter) {
    if needs.nested {
        filter.set(NESTED, &Rule::always(Verdict::Allow));
        filter.set(&[Sysno::clone, Sysno::unshare], &Rule::always(Verdict::Allow));
        return;
    }
    // A user namespace gives every capability over what is in it, and with them most of the kernel's surface (CVE-2016-3135 and since).
    // clone(2) cuts its flags to 32 bits, and the lowest 8 are the exit signal: CLONE_NEWTIME, 0x80, is none of its flags.
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let cloned = Test::low(0, Compare::AnyBit { bits: u64::from(namespaces as u32) });
    filter.set(&[Sysno::clone], &Rule::always(Verdict::Allow).case([cloned], EPERM));
    // unshare(2) looks at all 64 bits, and its flags grow: UNSHARE_EMPTY_MNTNS, 0x10_0000, means CLONE_NEWNS. So everything but what a
    // thread may stop sharing is refused, CLONE_NEWTIME with it.
    let shares = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM;
    let unshared = Test::full(0, Compare::AnyBit { bits: !u64::from(shares as u32) });
    filter.set(&[Sysno::unshare], &Rule::always(Verdict::Allow).case([unshared], EPERM));
}

/// prlimit(2) asks for the same ids alone, and so do setpriority(2) and ioprio_set(2): where process numbers are shared, they reach the
/// caller's other processes. On pid 1 of the sandbox prlimit is closed always; without descriptors it could not watch over the sandbox any more.
///
/// The limit on core files is 1, which keeps the host's core helper from running as root on the target's image; at 0 it runs (core(5)). The
/// new limit is behind a pointer, so raising is refused like lowering, with EINVAL: gpg(1) stops on EPERM and goes on after EINVAL.
fn keep_limits(needs: &Needs, filter: &mut Filter) {
    let is = |argument, value: u64| Test::low(argument, one_of(&[value]));
    let not_null = || Test::full(2, Compare::AnyBit { bits: u64::MAX });
    let core = u64::from(libc::RLIMIT_CORE);
    let mut rule = Rule::always(Verdict::Allow);
    let other = |argument| Test::low(argument, Compare::AnyBit { bits: u64::MAX });
    if needs.foreign_pids {
        rule = rule.case([other(0), not_null()], EPERM);
        filter.set(&[Sysno::setpriority, Sysno::ioprio_set], &Rule::always(Verdict::Allow).case([other(1)], EPERM));
    } else if !needs.target_is_init {
        rule = rule.case([is(0, 1), not_null()], EPERM);
    }
    if needs.core_guard {
        rule = rule.case([is(1, core), not_null()], Verdict::Errno(libc::EINVAL));
        filter.set(&[Sysno::setrlimit], &Rule::always(Verdict::Allow).case([is(0, core)], Verdict::Errno(libc::EINVAL)));
    }
    filter.set(&[Sysno::prlimit64], &rule);
}

/// Landlock's rules for ports look at connect(2) alone: TCP fast open connects by sending (landlock-lsm issue 41). A kernel without it says
/// EOPNOTSUPP, after which programs connect. MPTCP, which the rules do not see either, is no protocol of [`families`], and io_uring is absent.
fn close_ways_round_ports(filter: &mut Filter) {
    for (call, flags) in [(Sysno::sendto, 3), (Sysno::sendmsg, 2), (Sysno::sendmmsg, 3)] {
        let fast_open = Test::low(flags, Compare::AnyBit { bits: libc::MSG_FASTOPEN as u64 });
        filter.set(&[call], &Rule::always(Verdict::Allow).case([fast_open], Verdict::Errno(libc::EOPNOTSUPP)));
    }
}

/// A file that the target makes set-user-id on a bind whose owner is the host's root would be root's to anyone on the host.
///
/// `umode_t mode` and `int flags`. mkdir(2) cannot set the bits, an access list neither (inode(7), acl(5)). openat2(2) has flags and mode
/// behind a pointer; its users turn to openat(2).
fn refuse_set_id(filter: &mut Filter) {
    let set_id = |argument| Test::low(argument, Compare::AnyBit { bits: u64::from(libc::S_ISUID | libc::S_ISGID) });
    for (call, mode) in MODES {
        filter.set(&[*call], &Rule::always(Verdict::Allow).case([set_id(*mode)], EPERM));
    }
    // The mode is garbage where nothing is made. O_TMPFILE is two bits, of which O_DIRECTORY alone makes nothing.
    let making = libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    for (call, flags) in OPENS {
        let makes = Test::low(*flags, Compare::AnyBit { bits: making as u64 });
        filter.set(&[*call], &Rule::always(Verdict::Allow).case([makes, set_id(flags + 1)], EPERM));
    }
    filter.set(&[Sysno::openat2], &Rule::always(ENOSYS));
}

// ---- words ----

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allow => f.write_str("allow"),
            Verdict::Errno(errno) => match Errno::from_raw(*errno) {
                Errno::UnknownErrno => write!(f, "errno {errno}"),
                known => write!(f, "{known:?}"),
            },
            Verdict::KillProcess => f.write_str("kill"),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argument = match self.width {
            Width::Low => format!("u32(arg{})", self.argument),
            Width::Full => format!("arg{}", self.argument),
        };
        match &self.compare {
            Compare::AnyBit { bits: u64::MAX } => write!(f, "{argument} != 0"),
            Compare::AnyBit { bits } => write!(f, "{argument} & {bits:#x} != 0"),
            Compare::OneOf { mask, values } => {
                let mask = if *mask == u64::MAX { String::new() } else { format!(" & {mask:#x}") };
                let values: Vec<String> = values.iter().map(|value| format!("{value:#x}")).collect();
                match values.as_slice() {
                    [value] => write!(f, "{argument}{mask} == {value}"),
                    values => write!(f, "{argument}{mask} in {{{}}}", values.join(", ")),
                }
            }
            Compare::Between { low, high } => write!(f, "{argument} in {low:#x}..={high:#x}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let tests: Vec<String> = case.tests.iter().map(Test::to_string).collect();
            write!(f, "{} if {}; ", case.verdict, tests.join(" and "))?;
        }
        write!(f, "{}{}", if self.cases.is_empty() { "" } else { "else " }, self.otherwise)
    }
}

fn call_name(number: u32) -> String {
    syscalls::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// One line for each rule with tests, and a list for each verdict.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain: BTreeMap<Verdict, Vec<String>> = BTreeMap::new();
        for (number, rule) in &self.rules {
            match rule.cases.as_slice() {
                [] => plain.entry(rule.otherwise).or_default().push(call_name(*number)),
                _ => writeln!(f, "{}: {rule}", call_name(*number))?,
            }
        }
        for (verdict, mut names) in plain {
            names.sort_unstable();
            writeln!(f, "{verdict}: {}", names.join(" "))?;
        }
        f.write_str("ENOSYS: any other number\nkill: any other architecture")
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rules.iter().map(|(number, rule)| (call_name(*number), rule)))
    }
}
