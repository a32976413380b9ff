//! Job `facts`: what does not depend on the machine's speed: system calls, memory, size, shared
//! libraries.

use crate::gates::Gates;
use crate::sandbox::{Stage, find};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

// Of them 221 are in the floor. Six take the clones of device nodes out of the peer groups of the
// host's mounts. Of ten that came with the proofs before exec, 3 (fcntl(2)) read what is put back
// on 0 to 2 at the end, 2 prove that the start's pipe closes, 3 (sigaltstack(2), rt_sigaction(2))
// let a launcher without memory or stack say so, openat(2) and ioctl(2) try what Landlock and the
// filter refuse. Four more look at the pipes that this job gives as 1 and 2.
const GATE_CALLS: (f64, &str) = (270.0, "system calls until the target's exec");
// Of the launcher alone 2.5; the schema, the manual, the explanations and the tables of system
// calls are not read at a start.
const GATE_SIZE: (f64, &str) = (4.7, "MB of binary");
// Nearly all of it is the binary itself, as far as a start touches it.
const GATE_MEMORY: (f64, &str) = (4.3, "MB of memory");
const GATE_LIBRARIES: (f64, &str) = (0.0, "shared libraries and interpreters");

/// Prints and judges each fact.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    println!("facts:");
    calls(stage, gates)?;
    let peak = stage.stockade(0)?.repeat(5)?.iter().map(|cost| cost.peak_kib).max().unwrap_or(0);
    gates.judge(GATE_MEMORY.0, GATE_MEMORY.1, peak as f64 * 1024.0 / 1e6);
    let binary = fs::read(stage.stockade_path()).map_err(|error| error.to_string())?;
    gates.judge(GATE_SIZE.0, GATE_SIZE.1, binary.len() as f64 / 1e6);
    let libraries =
        shared_libraries(&binary).ok_or("stockade is not a 64-bit little-endian ELF file")?;
    gates.judge(GATE_LIBRARIES.0, GATE_LIBRARIES.1, libraries as f64);
    Ok(())
}

fn calls(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    let (limit, unit) = GATE_CALLS;
    match find("strace") {
        None => gates.pass_over(limit, unit, "strace is not installed"),
        Some(strace) => {
            let floor = count_calls(stage, &strace, &stage.floor_words())?;
            println!("  {floor} system calls until the target's exec in the floor");
            gates.judge(limit, unit, count_calls(stage, &strace, &stage.stockade_words(0))? as f64);
        }
    }
    Ok(())
}

/// Runs a launcher under strace(1); gives the calls of all its processes up to the target's exec.
fn count_calls(stage: &Stage, strace: &Path, words: &[OsString]) -> Result<usize, String> {
    let output = stage.output("strace");
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-o"]).arg(&output).args(words).env_clear().stdin(Stdio::null());
    // As a shell would start it. A signal that is ignored costs a call, and glibc's posix_spawn(3),
    // by which cargo starts this program, leaves two of its own ignored; a large environment costs
    // another. SAFETY: between fork and exec, rt_sigaction(2) alone is called, with a zeroed
    // action, which is the default one.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            for signal in 1..=64 {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    signal,
                    [0u64; 4].as_ptr(),
                    std::ptr::null_mut::<u64>(),
                    8usize,
                );
            }
            Ok(())
        });
    }
    let said = command.output().map_err(|error| format!("cannot run strace: {error}"))?;
    if !said.status.success() {
        return Err(format!(
            "{} under strace failed: {}",
            words[0].display(),
            String::from_utf8_lossy(&said.stderr).trim()
        ));
    }
    let trace = fs::read_to_string(output).map_err(|error| error.to_string())?;
    calls_until_exec(&trace).ok_or_else(|| "the trace shows no exec of the target".into())
}

/// Counts the lines of calls up to the second exec, the first being the launcher's own. The second
/// half of an interrupted line is no call.
fn calls_until_exec(trace: &str) -> Option<usize> {
    let calls = trace
        .lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start());
    let calls = calls.filter(|call| !call.starts_with(['<', '+', '-']));
    let execs = calls.enumerate().filter(|(_, call)| call.starts_with("execve"));
    execs.map(|(index, _)| index + 1).nth(1)
}

/// How many interpreters (PT_INTERP) and needed libraries (DT_NEEDED) an ELF file names (elf(5)).
fn shared_libraries(elf: &[u8]) -> Option<usize> {
    const PT_DYNAMIC: u64 = 2;
    const PT_INTERP: u64 = 3;
    const DT_NEEDED: u64 = 1;
    elf.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (start, size, count) = (number(elf, 32, 8)?, number(elf, 54, 2)?, number(elf, 56, 2)?);
    let mut found = 0;
    for index in 0..count {
        let header = (start + index * size) as usize;
        match number(elf, header, 4)? {
            PT_INTERP => found += 1,
            PT_DYNAMIC => {
                let (offset, length) =
                    (number(elf, header + 8, 8)? as usize, number(elf, header + 32, 8)? as usize);
                let table = elf.get(offset..offset.checked_add(length)?)?;
                found += table
                    .chunks_exact(16)
                    .filter(|entry| number(entry, 0, 8) == Some(DT_NEEDED))
                    .count();
            }
            _ => {}
        }
    }
    Some(found)
}

/// A little-endian number in `bytes`.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
