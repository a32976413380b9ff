//! The table against the kernel headers of this machine, and against the `syscalls` crate.

use super::*;
use std::collections::BTreeMap;

#[test]
fn the_table_is_in_the_order_of_names_and_has_each_number_once() {
    assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
    assert!(
        ONLY_X86.is_sorted_by(|a, b| a.0 < b.0)
            && ONLY_X86.iter().all(|(name, ..)| find(name).is_none())
    );
    for abi in [Abi::Native, Abi::X86, Abi::X32] {
        let known = abi.known();
        assert!(known.len() > 300 && known.is_sorted_by(|a, b| a.0 < b.0), "{abi:?}");
        for (number, name) in known {
            assert!((number as usize) < NUMBERS);
            assert_eq!((abi.name(number), abi.number(name)), (Some(name), Some(number)), "{abi:?}");
        }
        assert_eq!(
            (abi.name(5000), abi.name(u32::from(NO)), abi.number("nonsense")),
            (None, None, None)
        );
    }
    assert_eq!(Abi::Native.number("waitpid"), None);
}

#[test]
fn what_leads_to_another_call_leads_to_one() {
    for (name, _, same) in ONLY_X86 {
        assert!(same.is_none_or(|same| find(same).is_some()), "{name}");
    }
    for name in OTHER_ARGUMENTS
        .iter()
        .copied()
        .chain(BUNDLES.iter().flat_map(|(.., calls)| calls.iter().map(|(_, name)| *name)))
    {
        assert!(known_name(name).is_some(), "{name}");
    }
    assert_eq!(
        (counterpart("chown32"), counterpart("chown"), counterpart("ipc")),
        ("chown", "chown", "ipc")
    );
}

#[test]
fn arguments_are_read_as_the_kernel_reads_them() {
    for (call, argument, is) in [
        ("ioctl", 1, Some(Read::Low)),
        ("ioctl", 2, Some(Read::Mixed)),
        ("clone", 0, Some(Read::Low)),
        ("unshare", 0, Some(Read::Full)),
        ("chmod", 1, Some(Read::Half)),
        ("openat2", 2, Some(Read::Pointer)),
        ("fcntl64", 1, Some(Read::Low)),
        ("getpid", 0, None),
        ("nonsense", 0, None),
    ] {
        assert_eq!(reads(call, argument), is, "{call} {argument}");
    }
    for call in TABLE {
        assert!(
            call.arguments.len() <= 6
                && call.arguments.bytes().all(|letter| b"hilpm".contains(&letter)),
            "{}",
            call.name
        );
    }
}

/// Name and number of each `#define __NR_NAME NUMBER`, and of each whose number has a name.
fn defined(text: &str) -> BTreeMap<String, u32> {
    let all: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(char::is_whitespace))
        .collect();
    let number = |value: &str| {
        let value = all.get(value).copied().unwrap_or(value);
        value.trim().trim_start_matches("(__X32_SYSCALL_BIT + ").trim_end_matches(')').parse().ok()
    };
    all.iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("__NR_")?.to_owned(), number(value)?)))
        .collect()
}

/// The directories where Debian, Fedora, Arch and the like keep `asm/unistd*.h`, and one more, for
/// newer headers than the machine's.
fn headers(file: &str) -> Vec<(String, BTreeMap<String, u32>)> {
    let more = std::env::var("STOCKADE_HEADERS").ok();
    let directories =
        [Some("/usr/include/x86_64-linux-gnu".into()), Some("/usr/include".into()), more];
    let paths =
        directories.into_iter().flatten().map(|directory| format!("{directory}/asm/{file}"));
    let read = |path: String| Some((path.clone(), defined(&std::fs::read_to_string(path).ok()?)));
    paths.filter_map(read).collect()
}

/// What a C compiler for aarch64 makes of `asm/unistd.h`. In the headers of Linux 6.1 that
/// architecture shares a file with others, and conditions select its numbers.
fn preprocessed() -> Option<BTreeMap<String, u32>> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut compiler = std::process::Command::new(compiler);
    compiler.args(["-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"]);
    let text = String::from_utf8(compiler.output().ok()?.stdout).ok()?;
    let mut numbers = text.contains("#define __aarch64__ ").then(|| defined(&text))?;
    // Bounds, which no call has.
    numbers.remove("arch_specific_syscall");
    numbers.remove("syscalls");
    Some(numbers)
}

#[test]
fn every_number_of_the_installed_headers_is_in_the_table() {
    let found: Vec<(Abi, String, BTreeMap<String, u32>)> = if cfg!(target_arch = "x86_64") {
        [("unistd_64.h", Abi::Native), ("unistd_32.h", Abi::X86), ("unistd_x32.h", Abi::X32)]
            .into_iter()
            .flat_map(|(file, abi)| headers(file).into_iter().map(move |(path, n)| (abi, path, n)))
            .collect()
    } else {
        preprocessed().into_iter().map(|n| (Abi::Native, "asm/unistd.h".into(), n)).collect()
    };
    for (abi, path, numbers) in &found {
        assert!(numbers.len() > 300, "{path}");
        for (name, number) in numbers {
            assert_eq!(abi.number(name), Some(*number), "{name} of {path}");
        }
    }
    if found.is_empty() {
        crate::skipped::skip("no kernel headers are installed (linux-libc-dev)");
    }
}

#[test]
fn the_syscalls_crate_has_the_same_numbers() {
    let mut compared = 0;
    for (number, name) in known() {
        if let Ok(theirs) = name.parse::<::syscalls::Sysno>() {
            compared += 1;
            assert_eq!(theirs.id() as u32, number, "{name}");
        }
    }
    assert!(compared > 300);
}
