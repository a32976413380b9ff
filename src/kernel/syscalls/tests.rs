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

/// Name and number of each `#define __NR_NAME NUMBER`.
fn header(path: &str) -> Option<BTreeMap<String, u32>> {
    let text = std::fs::read_to_string(path).ok()?;
    let define = |line: &str| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(char::is_whitespace)?;
        let number =
            number.trim().trim_start_matches("(__X32_SYSCALL_BIT + ").trim_end_matches(')');
        Some((name.to_owned(), number.parse().ok()?))
    };
    Some(text.lines().filter_map(define).collect())
}

/// The directories where Debian, Fedora, Arch and the like keep `asm/unistd*.h`, and one more, for
/// newer headers than the machine's.
fn headers(file: &str) -> Vec<(String, BTreeMap<String, u32>)> {
    let arch = std::env::consts::ARCH;
    let more = std::env::var("STOCKADE_HEADERS").ok();
    let folders =
        [Some(format!("/usr/include/{arch}-linux-gnu")), Some("/usr/include".into()), more];
    let paths = folders.into_iter().flatten().map(|folder| format!("{folder}/asm/{file}"));
    paths.filter_map(|path| header(&path).map(|numbers| (path, numbers))).collect()
}

#[test]
fn every_number_of_the_installed_headers_is_in_the_table() {
    let files: &[(&str, Abi)] = match std::env::consts::ARCH {
        "x86_64" => {
            &[("unistd_64.h", Abi::Native), ("unistd_32.h", Abi::X86), ("unistd_x32.h", Abi::X32)]
        }
        _ => &[("unistd_64.h", Abi::Native)],
    };
    let mut compared = 0;
    for (file, abi) in files {
        for (path, numbers) in headers(file) {
            compared += 1;
            assert!(numbers.len() > 300, "{path}");
            for (name, number) in numbers {
                assert_eq!(abi.number(&name), Some(number), "{name} of {path}");
            }
        }
    }
    if compared == 0 {
        assert!(
            std::env::var_os("REQUIRE").is_none_or(|value| value != "1"),
            "no kernel headers (linux-libc-dev)"
        );
        eprintln!("SKIP: no kernel headers are installed");
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
