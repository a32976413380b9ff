//! The parts of a program file that matter for its start: the few headers of ELF (elf(5)); a script
//! has its line ([`super::script`]).
//!
//! It reads by place and never the whole file. The file may come from any user: every size and
//! count has a bound, and a file that goes past one, or past its own end, is no program.

use crate::probe::script::{HEAD, Script};
use elf::abi;
use elf::dynamic::{Dyn, DynamicTable};
use elf::endian::NativeEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Program headers of a file; Linux programs have about a dozen.
const MOST_SEGMENTS: u16 = 256;
/// Entries of the dynamic section.
const MOST_DYNAMIC: usize = 4_096;
/// Libraries that one file may name.
const MOST_NEEDED: usize = 1_024;
/// The texts of one file together: names of libraries, lists of directories.
const MOST_TEXT: usize = 32 << 10;

/// What a file is to execve(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// A program or library.
    Elf(Elf),
    /// A text whose first line names what runs it.
    Script(Script),
    Other,
}

/// What code a file holds; a program and its libraries must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Whether addresses have 64 bits.
    pub wide: bool,
    /// `e_machine`.
    pub number: u16,
}

/// What a dynamic loader needs to know of a file (ld.so(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elf {
    /// What code it holds.
    pub machine: Machine,
    /// Whether it can be loaded at any place: a library, a loader, or a program that is built so.
    pub shared: bool,
    /// The loader that it asks for (`PT_INTERP`).
    pub interpreter: Option<String>,
    /// The libraries that it names (`DT_NEEDED`), in their order.
    pub needed: Vec<String>,
    /// The name that it has for others (`DT_SONAME`).
    pub soname: Option<String>,
    /// `DT_RPATH`.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`.
    pub runpath: Option<String>,
    /// `DF_1_NODEFLIB`: its libraries are not in the default directories.
    pub no_default: bool,
}

impl Machine {
    /// Its usual name, as uname(2) has it and a loader puts it for `$PLATFORM`.
    pub(crate) fn word(self) -> &'static str {
        match (self.number, self.wide) {
            (abi::EM_X86_64, true) => "x86_64",
            (abi::EM_X86_64, false) => "x32",
            (abi::EM_386, _) => "i686",
            (abi::EM_AARCH64, _) => "aarch64",
            (abi::EM_ARM, _) => "arm",
            (abi::EM_RISCV, _) => "riscv64",
            (abi::EM_PPC64, _) => "ppc64",
            (abi::EM_S390, _) => "s390x",
            _ => "another machine",
        }
    }

    /// Whether a kernel for this binary's machine starts it.
    pub(crate) fn runs_here(self) -> bool {
        match std::env::consts::ARCH {
            "x86_64" => matches!(self.number, abi::EM_X86_64 | abi::EM_386),
            "aarch64" => matches!(self.number, abi::EM_AARCH64 | abi::EM_ARM),
            _ => true,
        }
    }
}

/// Reads what a file is.
pub(crate) fn read(file: &File) -> Program {
    let head = piece(file, 0, HEAD);
    if head.starts_with(b"#!") {
        return Script::read(&head).map_or(Program::Other, Program::Script);
    }
    elf(file, &head).map_or(Program::Other, Program::Elf)
}

/// What a file has at a place, up to a length.
fn piece(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    let mut had = 0;
    while had < length {
        match file.read_at(&mut buffer[had..], offset.saturating_add(had as u64)) {
            Ok(0) | Err(_) => break,
            Ok(count) => had += count,
        }
    }
    buffer.truncate(had);
    buffer
}

fn elf(file: &File, head: &[u8]) -> Option<Elf> {
    let ident = parse_ident::<NativeEndian>(head.get(..abi::EI_NIDENT)?).ok()?;
    let header = FileHeader::parse_tail(ident, &head[abi::EI_NIDENT..]).ok()?;
    let shared = match header.e_type {
        abi::ET_DYN => true,
        abi::ET_EXEC => false,
        _ => return None,
    };
    let size = ProgramHeader::size_for(header.class);
    if header.e_phnum > MOST_SEGMENTS || usize::from(header.e_phentsize) != size {
        return None;
    }
    let table = piece(file, header.e_phoff, size * usize::from(header.e_phnum));
    let segments: Vec<ProgramHeader> =
        SegmentTable::new(NativeEndian, header.class, &table).iter().collect();
    let machine = Machine { wide: header.class == Class::ELF64, number: header.e_machine };
    let of_kind = |kind| segments.iter().find(|segment| segment.p_type == kind);
    let interpreter = match of_kind(abi::PT_INTERP) {
        Some(segment) => Some(text(
            file,
            segment.p_offset,
            usize::try_from(segment.p_filesz).ok()?.min(MOST_TEXT),
        )?),
        None => None,
    };
    let mut elf = Elf {
        machine,
        shared,
        interpreter,
        needed: vec![],
        soname: None,
        rpath: None,
        runpath: None,
        no_default: false,
    };
    if let Some(segment) = of_kind(abi::PT_DYNAMIC) {
        dynamic(file, header.class, segment, &segments, &mut elf)?;
    }
    Some(elf)
}

/// Reads the dynamic section. A text that cannot be read makes the file no program: the loader
/// would end there, too.
fn dynamic(
    file: &File,
    class: Class,
    segment: &ProgramHeader,
    segments: &[ProgramHeader],
    elf: &mut Elf,
) -> Option<()> {
    let length = usize::try_from(segment.p_filesz).ok()?.min(MOST_DYNAMIC * Dyn::size_for(class));
    let bytes = piece(file, segment.p_offset, length);
    let entries: Vec<Dyn> = DynamicTable::new(NativeEndian, class, &bytes)
        .iter()
        .take_while(|entry| entry.d_tag != abi::DT_NULL)
        .collect();
    let value = |tag| entries.iter().rev().find(|entry| entry.d_tag == tag).map(Dyn::d_val);
    elf.no_default =
        value(abi::DT_FLAGS_1).is_some_and(|flags| flags & abi::DF_1_NODEFLIB as u64 != 0);
    let Some(strings) = value(abi::DT_STRTAB).and_then(|address| place(address, segments)) else {
        return Some(());
    };
    let mut room = MOST_TEXT;
    let mut string = |offset: u64| {
        let text = text(file, strings.checked_add(offset)?, room)?;
        room -= text.len();
        Some(text)
    };
    for (tag, field) in [
        (abi::DT_SONAME, &mut elf.soname),
        (abi::DT_RPATH, &mut elf.rpath),
        (abi::DT_RUNPATH, &mut elf.runpath),
    ] {
        if let Some(offset) = value(tag) {
            *field = Some(string(offset)?);
        }
    }
    for entry in entries.iter().filter(|entry| entry.d_tag == abi::DT_NEEDED).take(MOST_NEEDED) {
        elf.needed.push(string(entry.d_val())?);
    }
    Some(())
}

/// Where in the file an address of the loaded program is.
fn place(address: u64, segments: &[ProgramHeader]) -> Option<u64> {
    let holds = |segment: &&ProgramHeader| {
        segment.p_type == abi::PT_LOAD
            && address.checked_sub(segment.p_vaddr).is_some_and(|offset| offset < segment.p_filesz)
    };
    let segment = segments.iter().find(holds)?;
    segment.p_offset.checked_add(address - segment.p_vaddr)
}

/// A text up to its NUL. Most are short, so a little is read first.
fn text(file: &File, offset: u64, longest: usize) -> Option<String> {
    let short = 128.min(longest);
    for length in [short, longest] {
        let bytes = piece(file, offset, length);
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            return String::from_utf8(bytes[..end].to_vec()).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let name = std::env::temp_dir().join(format!(
            "stockade-elf-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&name)
            .unwrap();
        std::fs::remove_file(&name).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn this_test_is_a_program_of_this_machine() {
        let Program::Elf(elf) = read(&File::open(std::env::current_exe().unwrap()).unwrap()) else {
            panic!("no ELF")
        };
        assert!(
            elf.machine.runs_here()
                && elf.machine.wide
                && elf.machine.word() == std::env::consts::ARCH,
            "{elf:?}"
        );
    }

    /// Bytes of programs, changed at places that a generator gives: nothing panics, nothing takes
    /// long.
    #[test]
    fn broken_files_are_survived() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut seeds: Vec<Vec<u8>> = vec![
            std::fs::read(std::env::current_exe().unwrap()).unwrap()[..8192].to_vec(),
            b"#!/bin/sh -e\n".to_vec(),
        ];
        seeds.extend(
            ["/bin/sh", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
                .iter()
                .filter_map(|path| std::fs::read(path).ok()),
        );
        let tests = if std::env::var_os("FULL").is_some() { 200_000 } else { 6_000 };
        for round in 0..tests {
            let seed = &seeds[round % seeds.len()];
            let mut head = seed[..seed.len().min(4096)].to_vec();
            for _ in 0..=random(8) {
                let (at, value) =
                    (random(head.len()), [0, 1, 0x7f, 0xff, random(256) as u8][random(5)]);
                // Headers are where a change matters.
                let at = if random(2) == 0 { at % 512 % head.len() } else { at };
                head[at] = value;
            }
            head.truncate(if random(4) == 0 { random(head.len()) } else { head.len() });
            if let Program::Elf(elf) = read(&file(&head)) {
                assert!(
                    elf.needed.len() <= MOST_NEEDED
                        && elf.needed.iter().map(String::len).sum::<usize>() <= MOST_TEXT
                );
            }
        }
    }
}
