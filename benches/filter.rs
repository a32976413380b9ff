//! What the system call filter costs: making it, installing it, and each call under it.
//!
//! `cargo bench --bench filter`. Times are those of this machine, and the least of many runs is
//! what is judged: a machine at work only adds. A missed gate fails the run only where
//! `STOCKADE_BENCH_GATE=1` asks for it.
#![allow(unsafe_code, unreachable_pub)]

#[path = "start/gates.rs"]
#[allow(dead_code, reason = "the bench of starts uses all of it")]
mod gates;

use gates::Gates;
use seccompiler::{BpfProgram, sock_filter};
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use stockade::internals::policy::seccomp::{Filter, Needs, Seccomp, compile, draft};
use stockade::internals::step::draft::Draft;

/// Counts what is allocated.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut gates = Gates::default();
    making(&mut gates);
    let filter = the_default();
    installing(&filter, &mut gates);
    calling(&filter, &mut gates);
    println!("{gates}");
    gates.exit_code()
}

fn needs() -> Needs {
    Needs { core_guard: true, ..Needs::default() }
}

fn the_default() -> Filter {
    draft(&Seccomp::default(), &needs(), None, &mut Draft::default())
}

/// Draft and program of a profile that says nothing of system calls.
fn making(gates: &mut Gates) {
    let before = (CALLS.load(Relaxed), BYTES.load(Relaxed));
    let cold = Instant::now();
    let first = compile(&the_default());
    let cold = cold.elapsed().as_secs_f64() * 1e6;
    let (calls, bytes) = (CALLS.load(Relaxed) - before.0, BYTES.load(Relaxed) - before.1);
    let warm = least(1000, || {
        let start = Instant::now();
        std::hint::black_box(compile(&the_default()));
        start.elapsed().as_secs_f64() * 1e6
    });
    println!(
        "making the default filter: {} instructions, {cold:.0} us at first, {warm:.1} us at best",
        first.len()
    );
    gates.judge(20.0, "us at best", warm);
    gates.judge(16.0, "KiB allocated", bytes as f64 / 1024.0);
    gates.judge(150.0, "allocations", calls as f64);
}

/// seccomp(2), in a child each time, as a filter stays.
fn installing(filter: &Filter, gates: &mut Gates) {
    let allowed = filter.native.rules().filter(|(_, rule)| !rule.otherwise.refuses()).count();
    let took = least(200, || in_a_child(|| install(filter)));
    println!("installing it, {allowed} calls allowed: {took:.0} us at best");
    gates.judge(120.0, "us to install", took);
}

/// A call that is measured.
struct Called {
    name: &'static str,
    number: i64,
    argument: u64,
    /// The least program under which the kernel does the same.
    least: &'static [(u16, u32)],
    /// The gate.
    most: f64,
    /// How much of it is the filter's own: of a cached call little, of the other as much as the two
    /// gates differ by.
    own: f64,
}

/// The first is let through by the kernel's bitmap, of the second the arguments are looked at: a
/// program that reads one is asked each time.
const CALLED: [Called; 2] = [
    Called {
        name: "getppid, allowed whatever its arguments",
        number: libc::SYS_getppid,
        argument: 0,
        least: &[(RETURN, ALLOW)],
        most: 40.0,
        own: 10.0,
    },
    Called {
        name: "personality, by its argument",
        number: libc::SYS_personality,
        // It asks, and changes nothing.
        argument: 0xffff_ffff,
        least: &[(LOAD, 16), (RETURN, ALLOW)],
        most: 70.0,
        own: 30.0,
    },
];

/// BPF_LD | BPF_W | BPF_ABS.
const LOAD: u16 = 0x20;
/// BPF_RET | BPF_K.
const RETURN: u16 = 0x06;
/// SECCOMP_RET_ALLOW.
const ALLOW: u32 = 0x7fff_0000;

/// Each call under the default filter, and under the least one: what any filter costs is the
/// machine's.
fn calling(filter: &Filter, gates: &mut Gates) {
    for Called { name, number, argument, least: least_program, most, own } in CALLED {
        let under = |program: Option<BpfProgram>| {
            least(30, || {
                in_a_child(|| {
                    program.clone().map(install_program);
                    time_calls(number, argument)
                })
            })
        };
        let instruction = |&(code, k): &(u16, u32)| sock_filter { code, jt: 0, jf: 0, k };
        let (bare, smallest) =
            (under(None), under(Some(least_program.iter().map(instruction).collect())));
        let with = under(Some(compile(filter)));
        println!(
            "{name}: {bare:.0} ns without, {smallest:.0} ns with the least filter, {with:.0} ns \
             with the default one"
        );
        gates.judge(own, "ns more than under the least filter", with - smallest);
        if smallest - bare > most - own {
            gates.pass_over(
                most,
                "ns more",
                &format!(
                    "the least filter takes {:.0} here; it is {:.0}",
                    smallest - bare,
                    with - bare
                ),
            );
        } else {
            gates.judge(most, "ns more", with - bare);
        }
    }
}

const LOOP: u32 = 100_000;

/// Nanoseconds of one call.
fn time_calls(number: i64, argument: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..LOOP {
        // SAFETY: both calls only read.
        unsafe { libc::syscall(number, argument) };
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(LOOP)
}

/// Microseconds of the installation.
fn install(filter: &Filter) -> f64 {
    install_program(compile(filter))
}

fn install_program(instructions: BpfProgram) -> f64 {
    let mut program = stockade::internals::sys::Program::empty();
    program.fill(instructions);
    // SAFETY: the prctl takes numbers alone.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let start = Instant::now();
    stockade::internals::sys::seccomp_filter(&program).expect("the kernel takes the filter");
    start.elapsed().as_secs_f64() * 1e6
}

/// What `act` gives in a child, by a pipe.
fn in_a_child(act: impl FnOnce() -> f64) -> f64 {
    let mut ends = [0; 2];
    let mut bytes = [0; 8];
    // SAFETY: the pointers are valid for what is written to them; the child ends by _exit(2) and
    // runs no destructor of the parent's.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let child = libc::fork();
        if child == 0 {
            let took = act().to_ne_bytes();
            libc::write(ends[1], took.as_ptr().cast(), 8);
            libc::_exit(0);
        }
        assert_eq!(libc::read(ends[0], bytes.as_mut_ptr().cast(), 8), 8);
        assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    f64::from_ne_bytes(bytes)
}

fn least(runs: usize, mut run: impl FnMut() -> f64) -> f64 {
    (0..runs).map(|_| run()).fold(f64::INFINITY, f64::min)
}
