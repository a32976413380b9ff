//! The program against the plain reading of the filter, against seccompiler's program, and against the kernel.
#![allow(unsafe_code)]

use super::program::ARCHITECTURE;
use super::*;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, sock_filter};

const NEEDS: [Needs; 5] = [
    Needs { nested: false, deny_set_id: false, target_is_init: false, core_guard: false, foreign_pids: false, ports: false },
    Needs { nested: true, deny_set_id: false, target_is_init: false, core_guard: false, foreign_pids: false, ports: false },
    Needs { nested: false, deny_set_id: true, target_is_init: false, core_guard: false, foreign_pids: false, ports: false },
    Needs { nested: false, deny_set_id: false, target_is_init: true, core_guard: true, foreign_pids: false, ports: false },
    Needs { nested: true, deny_set_id: true, target_is_init: true, core_guard: true, foreign_pids: false, ports: true },
];

/// Classic BPF as seccomp(2) runs it, over struct seccomp_data. A read or jump out of bounds panics.
fn interpret(program: &[sock_filter], arch: u32, number: u32, arguments: &[u64; 6]) -> u32 {
    let mut data = vec![number, arch, 0, 0];
    data.extend(arguments.iter().flat_map(|argument| [*argument as u32, (argument >> 32) as u32]));
    let (mut a, mut pc) = (0u32, 0usize);
    loop {
        let sock_filter { code, jt, jf, k } = &program[pc];
        pc += 1;
        let holds = match code {
            0x20 => {
                assert_eq!(k % 4, 0);
                a = data[*k as usize / 4];
                continue;
            }
            0x54 => {
                a &= k;
                continue;
            }
            0x05 => {
                pc += *k as usize;
                continue;
            }
            0x06 => return *k,
            0x15 => a == *k,
            0x25 => a > *k,
            0x35 => a >= *k,
            0x45 => a & k != 0,
            other => panic!("opcode {other:#x}"),
        };
        pc += usize::from(if holds { *jt } else { *jf });
    }
}

fn word(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => libc::SECCOMP_RET_ALLOW,
        Verdict::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
        Verdict::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
    }
}

/// xorshift64, for a test that is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Numbers near those of the tests, and the same with random high bits.
    fn argument(&mut self, near: &[u64]) -> u64 {
        let value = match self.below(4) {
            0 => self.below(64),
            1 => 1 << self.below(64),
            2 => self.roll(),
            _ => near.get(self.below(near.len().max(1) as u64) as usize).map_or(0, |value| value.wrapping_add(self.below(3)).wrapping_sub(1)),
        };
        if self.below(2) == 0 { value } else { value | self.roll() << 32 }
    }
}

fn numbers_in(rule: &Rule) -> Vec<u64> {
    let tests = rule.cases.iter().flat_map(|case| &case.tests);
    tests
        .flat_map(|test| match &test.compare {
            Compare::AnyBit { bits } => vec![*bits],
            Compare::OneOf { values, .. } => values.clone(),
            Compare::Between { low, high } => vec![*low, *high],
        })
        .collect()
}

fn assert_same(filter: &Filter, program: &BpfProgram, dice: &mut Dice, samples: usize) {
    for number in (0..=600).chain([X32 - 1, u32::MAX]) {
        let rule = filter.rules.get(&number);
        let near = rule.map_or(vec![], numbers_in);
        let samples = if rule.is_some_and(|rule| !rule.cases.is_empty()) { samples } else { 3 };
        for _ in 0..samples {
            let arguments: [u64; 6] = std::array::from_fn(|_| dice.argument(&near));
            let is = interpret(program, ARCHITECTURE, number, &arguments);
            let name = call_name(number);
            assert_eq!(is, word(filter.judge(number, &arguments)), "{name} {arguments:#x?} {}", rule.map_or(String::new(), Rule::to_string));
            assert_eq!(interpret(program, ARCHITECTURE, number | X32, &arguments), word(ENOSYS), "{name} of x32");
            // AUDIT_ARCH_I386, AUDIT_ARCH_ARM, none, and this one without __AUDIT_ARCH_LE.
            for foreign in [0x4000_0003, 0x4000_0028, 0, ARCHITECTURE & !0x4000_0000] {
                assert_eq!(interpret(program, foreign, number, &arguments), word(Verdict::KillProcess), "{name} of {foreign:#x}");
            }
        }
    }
}

#[test]
fn programs_of_the_default_policy_read_as_their_filters() {
    let mut dice = Dice(0x5eed);
    for needs in NEEDS {
        let filter = draft(&needs);
        let program = compile(&filter);
        assert!((100..260).contains(&program.len()), "{needs:?}: {} instructions", program.len());
        assert_same(&filter, &program, &mut dice, 2000);
    }
}

#[test]
fn programs_of_invented_filters_read_as_their_filters() {
    let mut dice = Dice(0xd1ce);
    for round in 0..200 {
        let verdict = |dice: &mut Dice| [Verdict::Allow, EPERM, ENOSYS, Verdict::KillProcess][dice.below(4) as usize];
        let compare = |dice: &mut Dice| match dice.below(3) {
            0 => Compare::AnyBit { bits: dice.argument(&[]) },
            1 => {
                let mask = if dice.below(2) == 0 { u64::MAX } else { dice.argument(&[]) };
                // Hundreds of values make jumps that do not fit into a byte.
                let count = if round % 20 == 0 { dice.below(600) } else { dice.below(5) };
                Compare::OneOf { mask, values: (0..count).map(|_| dice.argument(&[])).collect() }
            }
            _ => Compare::Between { low: dice.argument(&[]), high: dice.argument(&[]) },
        };
        let mut filter = Filter::default();
        for _ in 0..dice.below(40) {
            let mut rule = Rule::always(verdict(&mut dice));
            for _ in 0..dice.below(4) {
                let tests: Vec<Test> = (0..dice.below(4))
                    .map(|_| {
                        let width = if dice.below(2) == 0 { Width::Low } else { Width::Full };
                        Test { argument: dice.below(3) as u8, width, compare: compare(&mut dice) }
                    })
                    .collect();
                rule = rule.case(tests, verdict(&mut dice));
            }
            filter.rules.insert(dice.below(100) as u32, rule);
        }
        assert_same(&filter, &compile(&filter), &mut dice, 60);
    }
}

#[test]
fn a_plain_allow_list_has_the_verdicts_of_seccompiler() {
    let numbers: Vec<u32> = ALLOWED.iter().flat_map(|(_, calls)| *calls).map(|call| call.id() as u32).collect();
    let mut ours = Filter::default();
    ours.rules.extend(numbers.iter().map(|number| (*number, Rule::always(Verdict::Allow))));
    let list = numbers.iter().map(|number| (i64::from(*number), vec![])).collect();
    let native = std::env::consts::ARCH.try_into().expect("seccompiler knows this architecture");
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    let theirs: BpfProgram = SeccompFilter::new(list, refused, SeccompAction::Allow, native).expect("a filter").try_into().expect("a program");
    let ours = compile(&ours);
    for number in (0..1000).chain((0..1000).map(|number| number | X32)) {
        for arch in [ARCHITECTURE, 0x4000_0003] {
            let verdicts = [&ours, &theirs].map(|program| interpret(program, arch, number, &[0; 6]));
            assert_eq!(verdicts[0], verdicts[1], "{number} of {arch:#x}");
        }
    }
}

fn judge(needs: Needs, call: Sysno, arguments: &[u64]) -> Verdict {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    draft(&needs).judge(call.id() as u32, &all)
}

#[test]
fn high_bits_go_round_no_rule() {
    const HIGH: u64 = 0xdead_beef_0000_0000;
    let plain = NEEDS[0];
    let guarded = NEEDS[4];
    for (needs, call, arguments, verdict) in [
        (plain, Sysno::ioctl, &[0, HIGH | 0x5412][..], EPERM),
        (plain, Sysno::ioctl, &[0, 0x5413], Verdict::Allow),
        (plain, Sysno::clone, &[HIGH | 0x1000_0000], EPERM),
        // The thread of glibc, and its fork; the exit signal is no flag.
        (plain, Sysno::clone, &[0x003d_0f00], Verdict::Allow),
        (plain, Sysno::clone, &[0x0120_0011], Verdict::Allow),
        (plain, Sysno::clone, &[0x80], Verdict::Allow),
        (plain, Sysno::unshare, &[0x80], EPERM),
        (plain, Sysno::unshare, &[0x10_0000], EPERM),
        (plain, Sysno::unshare, &[0x600], Verdict::Allow),
        (plain, Sysno::unshare, &[HIGH], EPERM),
        (plain, Sysno::personality, &[HIGH], Verdict::Allow),
        (plain, Sysno::personality, &[0x4_0000], EPERM),
        (plain, Sysno::socket, &[HIGH | 40, 1], Verdict::Errno(libc::EAFNOSUPPORT)),
        (plain, Sysno::socket, &[1, 0x8_0001], Verdict::Allow),
        (plain, Sysno::socket, &[2, 0x8_0801, HIGH | 6], Verdict::Allow),
        (plain, Sysno::socket, &[2, 1, 262], Verdict::Errno(libc::EPROTONOSUPPORT)),
        (plain, Sysno::socket, &[2, 10, 0], Verdict::Errno(libc::EPROTONOSUPPORT)),
        (plain, Sysno::socket, &[16, 3, 0], Verdict::Allow),
        (plain, Sysno::socket, &[16, 3, 9], Verdict::Errno(libc::EPROTONOSUPPORT)),
        (plain, Sysno::prctl, &[1, 0], Verdict::Allow),
        (guarded, Sysno::prctl, &[HIGH | 1, 0], EPERM),
        (plain, Sysno::prlimit64, &[0, 4, 1], Verdict::Allow),
        (plain, Sysno::prlimit64, &[HIGH | 1, 7, 1], EPERM),
        (plain, Sysno::prlimit64, &[1, 7, 0], Verdict::Allow),
        (guarded, Sysno::prlimit64, &[0, HIGH | 4, HIGH], Verdict::Errno(libc::EINVAL)),
        (guarded, Sysno::prlimit64, &[0, 4, 0], Verdict::Allow),
        (guarded, Sysno::prlimit64, &[0, 7, 1], Verdict::Allow),
        (guarded, Sysno::setrlimit, &[4, 1], Verdict::Errno(libc::EINVAL)),
        (guarded, Sysno::fchmodat, &[0, 0, HIGH | 0o4755], EPERM),
        (guarded, Sysno::fchmodat, &[0, 0, 0o1777], Verdict::Allow),
        (guarded, Sysno::openat, &[0, 0, 0o101, 0o2644], EPERM),
        (guarded, Sysno::openat, &[0, 0, 0o2020_0001, 0o4600], EPERM),
        (guarded, Sysno::openat, &[0, 0, libc::O_DIRECTORY as u64, 0o6777], Verdict::Allow),
        (guarded, Sysno::openat2, &[], ENOSYS),
        (plain, Sysno::openat2, &[], Verdict::Allow),
        (plain, Sysno::clone3, &[], ENOSYS),
        (guarded, Sysno::clone3, &[], Verdict::Allow),
        (guarded, Sysno::setns, &[], Verdict::Allow),
        (guarded, Sysno::ptrace, &[], EPERM),
        (plain, Sysno::mount, &[], EPERM),
    ] {
        assert_eq!(judge(needs, call, arguments), verdict, "{call}({arguments:#x?}) with {needs:?}");
    }
}

#[test]
fn a_filter_prints_as_lines_and_as_json() {
    let filter = draft(&NEEDS[3]);
    let text = filter.to_string();
    for line in [
        "clone: EPERM if u32(arg0) & 0x7e020000 != 0; else allow",
        "prlimit64: EINVAL if u32(arg1) == 0x4 and arg2 != 0; else allow",
        "ENOSYS: cachestat clone3 io_uring_enter io_uring_register io_uring_setup listmount memfd_secret statmount",
        "kill: any other architecture",
    ] {
        assert!(text.lines().any(|is| is == line), "{line}\nis not in\n{text}");
    }
    let json = serde_json::to_value(&filter).expect("JSON");
    assert_eq!(json["ptrace"], serde_json::json!({ "cases": [], "otherwise": "EPERM" }));
}

/// Runs `act` in a child under the filter, and gives the child's exit status: 255 where the filter could not be installed.
fn under(filter: &Filter, act: fn() -> i32) -> i32 {
    #[repr(C)]
    struct Fprog {
        len: u16,
        filter: *const sock_filter,
    }
    let program = compile(filter);
    let fprog = Fprog { len: program.len() as u16, filter: program.as_ptr() };
    // SAFETY: the child calls nothing but system calls and `act`, which allocates nothing, and ends by _exit(2).
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: `fprog` and the program that it points to live until the end of this function.
        let status = unsafe {
            let privileges = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            match libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const fprog) {
                0 if privileges == 0 => act(),
                _ => 255,
            }
        };
        // SAFETY: _exit(2) ends the child; no destructor of the test runs twice.
        unsafe { libc::_exit(status) }
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` is valid for writing, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1000 + libc::WTERMSIG(status) }
}

/// The errno of a system call, or 0.
fn try_call(number: i64, arguments: [u64; 3]) -> i32 {
    // SAFETY: the callers below pass numbers, and pointers that are NULL; what the filter lets through changes nothing in memory.
    let result = unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2], 0, 0, 0) };
    // SAFETY: errno is this thread's own.
    if result == -1 { unsafe { *libc::__errno_location() } } else { 0 }
}

#[test]
fn the_kernel_does_as_the_filter_says() {
    let filter = draft(&Needs { core_guard: true, ..Needs::default() });
    let failed = under(&filter, || {
        let high = 0xffff_ffff_0000_0000;
        let tries = [
            (libc::SYS_getpid, [0, 0, 0], 0),
            (libc::SYS_io_uring_setup, [1, 0, 0], libc::ENOSYS),
            (libc::SYS_ptrace, [0, 0, 0], libc::EPERM),
            (libc::SYS_clone3, [0, 0, 0], libc::ENOSYS),
            (libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0], libc::EPERM),
            (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0], 0),
            (libc::SYS_clone, [high | libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0, 0], libc::EPERM),
            (libc::SYS_ioctl, [0, high | libc::TIOCSTI, 0], libc::EPERM),
            (libc::SYS_ioctl, [u64::MAX, high | libc::TIOCGWINSZ, 0], libc::EBADF),
            // Only the filter answers: the family is refused before the kernel sees it, and nothing is ever connected.
            (libc::SYS_socket, [high | libc::AF_VSOCK as u64, 1, 0], libc::EAFNOSUPPORT),
            (libc::SYS_socket, [libc::AF_NETLINK as u64, 3, 15], libc::EPROTONOSUPPORT),
            (libc::SYS_socket, [libc::AF_UNIX as u64, 1, 0], 0),
            (libc::SYS_personality, [0x4_0000, 0, 0], libc::EPERM),
            (libc::SYS_prlimit64, [0, u64::from(libc::RLIMIT_CORE), 8], libc::EINVAL),
            (libc::SYS_prlimit64, [0, u64::from(libc::RLIMIT_CORE), 0], 0),
            (libc::SYS_mount, [0, 0, 0], libc::EPERM),
            (499, [0, 0, 0], libc::ENOSYS),
            (i64::from(X32) | 39, [0, 0, 0], libc::ENOSYS),
        ];
        let wrong = tries.iter().position(|(number, arguments, errno)| try_call(*number, *arguments) != *errno);
        wrong.map_or(0, |index| index as i32 + 1)
    });
    assert_eq!(failed, 0, "the number of the try whose errno was another, from 1");
}

/// `int $0x80` reaches the 32-bit table, whose numbers mean other calls.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_call_kills() {
    let status = under(&draft(&Needs::default()), || {
        let result: i64;
        // SAFETY: 20 is getpid of i386, which touches no memory.
        unsafe { std::arch::asm!("int 0x80", inlateout("rax") 20i64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _) };
        i32::from(result > 0)
    });
    assert!([1000 + libc::SIGSYS, 1000 + libc::SIGSEGV].contains(&status), "{status}");
}
