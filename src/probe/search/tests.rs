//! Forged files: what they name is walked within bounds.

use super::*;
use crate::policy::mounts::tree::empty;
use crate::probe::view::Bare;
use std::os::unix::fs::PermissionsExt;

/// A program for this machine with an interpreter, libraries and a RPATH.
fn forge(interpreter: &str, needed: &[String], rpath: &str) -> Vec<u8> {
    let machine =
        if cfg!(target_arch = "x86_64") { ::elf::abi::EM_X86_64 } else { ::elf::abi::EM_AARCH64 };
    let (headers, segments) = (64, 56 * 3);
    let interpreter_at = headers + segments;
    let strings_at = interpreter_at + interpreter.len() + 1;
    let mut strings = vec![0];
    let mut put = |text: &str| {
        let at = strings.len() as u64;
        strings.extend(text.bytes().chain([0]));
        at
    };
    let mut dynamic = vec![(5, strings_at as u64), (15, put(rpath))];
    dynamic.extend(needed.iter().map(|name| (1, put(name))));
    dynamic.push((0, 0));
    let dynamic_at = strings_at + strings.len();
    let size = dynamic_at + dynamic.len() * 16;
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend(3_u16.to_le_bytes());
    out.extend(machine.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    out.extend([0, 64, 0].map(u64::to_le_bytes).concat());
    out.extend(0_u32.to_le_bytes());
    out.extend([64, 56, 3, 64, 0, 0].map(u16::to_le_bytes).concat());
    for (kind, at, length) in [
        (1_u32, 0, size),
        (2, dynamic_at, dynamic.len() * 16),
        (3, interpreter_at, interpreter.len() + 1),
    ] {
        out.extend(kind.to_le_bytes());
        out.extend(5_u32.to_le_bytes());
        out.extend(
            [at, at, at, length, length, 1].map(|number| (number as u64).to_le_bytes()).concat(),
        );
    }
    out.extend(interpreter.bytes().chain([0]));
    out.extend(strings);
    dynamic.iter().for_each(|(tag, value): &(u64, u64)| {
        out.extend([tag.to_le_bytes(), value.to_le_bytes()].concat())
    });
    out
}

/// A directory of programs that is gone at the end.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path =
            std::env::temp_dir().join(format!("stockade-programs-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn need(word: &str) -> Program {
    Search::new(View::new(&empty(), Bare::System), vec!["/usr/bin".into()], None).need(word, None)
}

#[test]
fn a_forged_program_is_walked() {
    let directory = Directory::new("walked");
    let loader = directory.put("loader", &forge("", &[], ""));
    let library = directory.put("x.so", &forge("", &[], ""));
    let program = need(&directory.put(
        "program",
        &forge(&loader, &["x.so".into(), "y.so".into()], directory.0.to_str().unwrap()),
    ));
    assert_eq!(
        program
            .pieces
            .keys()
            .filter(|path| path.ends_with("/program") || **path == loader || **path == library)
            .count(),
        3
    );
    assert_eq!(
        program.lacks,
        [Lack::Library {
            name: "y.so".into(),
            of: directory.0.join("program").to_str().unwrap().into()
        }]
    );
}

/// Libraries that all name each other, and many that are not there, by long lists of directories:
/// the walk ends.
#[test]
fn a_forged_tangle_has_an_end() {
    let directory = Directory::new("tangle");
    let loader = directory.put("loader", &forge("", &[], ""));
    let mut rpath: String =
        (0..500).map(|index| format!("{}/{index}:", directory.0.display())).collect();
    rpath.truncate(20_000);
    rpath.push_str(&format!(":{}", directory.0.display()));
    let names: Vec<String> = (0..800).map(|index| format!("{index}.so")).collect();
    for name in names.iter().step_by(2).take(60) {
        directory.put(name, &forge(&loader, &names, &rpath));
    }
    let program = directory
        .put("program", &forge(&loader, &names, &format!("{}:{rpath}", directory.0.display())));
    let program = need(&program);
    assert!(
        program.lacks.iter().any(|lack| matches!(lack, Lack::TooMany(_))),
        "{:?}",
        program.lacks.len()
    );
}

#[test]
fn forged_files_are_survived() {
    let directory = Directory::new("broken");
    let loader = directory.put("loader", &forge("", &[], ""));
    let whole = forge(&loader, &["x.so".into(), "$ORIGIN/y.so".into()], "$ORIGIN:/usr/lib:${LIB}");
    let mut state = 0x1234_5678_9abc_def1_u64;
    for _ in 0..2_000 {
        let mut broken = whole.clone();
        for _ in 0..2 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 33) as usize % broken.len();
            broken[at] = [0, 1, 255, (state >> 24) as u8][(state >> 20) as usize % 4];
        }
        let program = need(&directory.put("program", &broken));
        assert!(program.pieces.len() < 100 && program.lacks.len() < 100);
    }
}

#[test]
fn kernel_files_and_directories_are_no_programs() {
    assert!(matches!(need("/proc/self/exe").lacks[..], [Lack::Program { .. }]));
    assert!(matches!(need("/dev/null").lacks[..], [Lack::Program { .. }]));
    assert!(matches!(need("/usr").lacks[..], [Lack::NoProgram(_)]));
}
