//! System calls as data: every name with its numbers and arguments, the groups, the constants, and
//! the lists of the default policy.
//!
//! Nothing here decides anything: that is [`crate::policy::seccomp`].

mod alike;
mod allowed;
mod compat;
pub(crate) mod constants;
pub(crate) mod groups;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use alike::ALIKE;
pub(crate) use allowed::{ABSENT, ALLOWED, MODES, NESTED, OPENS};
pub(crate) use compat::{BUNDLES, ONLY_X86, OTHER_ARGUMENTS};
pub(crate) use table::TABLE;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub name: &'static str,
    numbers: [u16; 4],
    arguments: &'static str,
}

/// The number of a call that an architecture does not have.
const NO: u16 = u16::MAX;

const fn row(name: &'static str, numbers: [u16; 4], arguments: &'static str) -> Call {
    Call { name, numbers, arguments }
}

/// More than every number of every architecture (x32 goes furthest, to 547).
pub(crate) const NUMBERS: usize = 560;

/// A table of system calls that a program may call by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    /// That of this build.
    Native,
    /// The 32-bit calls of x86 (`int 0x80`), which x86_64 has too.
    X86,
    /// The calls of x86_64 with 32-bit pointers, whose numbers have [`Abi::X32_BIT`] set.
    X32,
}

/// AUDIT_ARCH_* of this build (linux/audit.h): ELF machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
pub(crate) const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(crate) const ARCHITECTURE: u32 = 0xc000_00b7;
/// AUDIT_ARCH_I386.
pub(crate) const I386: u32 = 0x4000_0003;

/// The part of an argument that the kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// 16 bits: `umode_t`.
    Half,
    /// 32 bits: `int`, `unsigned int`, `pid_t`, and where the kernel cuts a `long` itself.
    Low,
    /// All of it: `long`, `size_t`, `loff_t`.
    Full,
    /// An address. The memory there can change between the filter's check and the kernel's read, so
    /// a condition can only compare the address with null.
    Pointer,
    /// 32 bits or all of it, as another argument has it: the last of fcntl(2), most of prctl(2) and
    /// keyctl(2).
    Mixed,
}

impl Abi {
    /// `__X32_SYSCALL_BIT`: x32 calls come under x86_64's own architecture number. A filter that
    /// does not look for it lets every refused call through under a second number. No native call
    /// of any architecture is as high.
    pub const X32_BIT: u32 = 0x4000_0000;

    const fn column(self) -> usize {
        match self {
            Abi::Native if cfg!(target_arch = "aarch64") => 1,
            Abi::Native => 0,
            Abi::X86 => 2,
            Abi::X32 => 3,
        }
    }

    /// What a profile calls it.
    pub fn word(self) -> &'static str {
        match self {
            Abi::Native => std::env::consts::ARCH,
            Abi::X86 => "x86",
            Abi::X32 => "x32",
        }
    }

    /// Every call, in the order of numbers. Those of x32 are without their bit.
    pub fn known(self) -> Vec<(u32, &'static str)> {
        let only: &[_] = if self == Abi::X86 { ONLY_X86 } else { &[] };
        let shared = TABLE
            .iter()
            .map(|call| (call.numbers[self.column()], call.name))
            .filter(|(number, _)| *number != NO);
        let mut known: Vec<_> =
            shared.chain(only.iter().map(|(name, number, _)| (*number, *name))).collect();
        known.sort_unstable();
        known.into_iter().map(|(number, name)| (u32::from(number), name)).collect()
    }

    /// The name of a number.
    pub fn name(self, number: u32) -> Option<&'static str> {
        let number = u16::try_from(number).ok().filter(|number| *number != NO)?;
        let shared =
            TABLE.iter().find(|call| call.numbers[self.column()] == number).map(|call| call.name);
        let only = || {
            ONLY_X86
                .iter()
                .find(|(_, known, _)| self == Abi::X86 && *known == number)
                .map(|(name, ..)| *name)
        };
        shared.or_else(only)
    }

    /// The number of a name.
    pub fn number(self, name: &str) -> Option<u32> {
        let shared = find(name)
            .map(|index| TABLE[index].numbers[self.column()])
            .filter(|number| *number != NO);
        let only = || {
            ONLY_X86
                .iter()
                .find(|(known, ..)| self == Abi::X86 && *known == name)
                .map(|(_, number, _)| *number)
        };
        shared.or_else(only).map(u32::from)
    }
}

/// Every system call that this version knows here, in ascending order.
pub fn known() -> impl Iterator<Item = (u32, &'static str)> {
    Abi::Native.known().into_iter()
}

/// The calls that a kind of namespace opens where `namespaces.nested` lists it, but for those that
/// name the kind themselves.
pub(crate) fn opened_by(kind: &str) -> &'static [&'static str] {
    NESTED.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, calls)| calls)
}

/// The name of a number, natively.
pub fn name(number: u32) -> Option<&'static str> {
    Abi::Native.name(number)
}

/// The number of a name, natively.
pub fn number(name: &str) -> Option<u32> {
    Abi::Native.number(name)
}

/// The name as the tables have it, if any architecture does.
pub(crate) fn known_name(name: &str) -> Option<&'static str> {
    find(name)
        .map(|index| TABLE[index].name)
        .or_else(|| ONLY_X86.iter().find(|(known, ..)| *known == name).map(|(name, ..)| *name))
}

/// The name of every call of every architecture.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|call| call.name).chain(ONLY_X86.iter().map(|(name, ..)| *name))
}

/// The call of x86_64 that an x86 call does the same as; itself, for all others.
pub(crate) fn counterpart(name: &'static str) -> &'static str {
    let found = ONLY_X86.binary_search_by_key(&name, |(known, ..)| known).ok();
    found.and_then(|index| ONLY_X86[index].2).unwrap_or(name)
}

/// What the kernel reads of an argument, or `None` where the call has no such argument.
pub(crate) fn reads(name: &str, argument: u8) -> Option<Read> {
    let letters = find(counterpart(known_name(name)?)).map(|index| TABLE[index].arguments)?;
    match letters.as_bytes().get(usize::from(argument))? {
        b'h' => Some(Read::Half),
        b'i' => Some(Read::Low),
        b'l' => Some(Read::Full),
        b'p' => Some(Read::Pointer),
        _ => Some(Read::Mixed),
    }
}

/// The row of a name. Also at compile time, where a misspelt name of a list here is an error of the
/// build.
pub(crate) const fn find(name: &str) -> Option<usize> {
    let (mut low, mut high) = (0, TABLE.len());
    while low < high {
        let middle = low.midpoint(high);
        match order(name.as_bytes(), TABLE[middle].name.as_bytes()) {
            0 => return Some(middle),
            ..0 => high = middle,
            1.. => low = middle + 1,
        }
    }
    None
}

const fn order(left: &[u8], right: &[u8]) -> i32 {
    let mut index = 0;
    while index < left.len() && index < right.len() {
        if left[index] != right[index] {
            return left[index] as i32 - right[index] as i32;
        }
        index += 1;
    }
    left.len() as i32 - right.len() as i32
}

/// Marks the numbers of some calls in a table of all numbers.
pub(crate) const fn mark(mut numbers: [u16; NUMBERS], names: &[&str], with: u16) -> [u16; NUMBERS] {
    let mut index = 0;
    while index < names.len() {
        let Some(row) = find(names[index]) else { panic!("a list names a call that is none") };
        let number = TABLE[row].numbers[Abi::Native.column()];
        if number != NO {
            numbers[number as usize] = with;
        }
        index += 1;
    }
    numbers
}

/// Marks the numbers of all calls.
pub(crate) const fn mark_all(with: u16) -> [u16; NUMBERS] {
    let mut numbers = [0; NUMBERS];
    let mut index = 0;
    while index < TABLE.len() {
        let number = TABLE[index].numbers[Abi::Native.column()];
        if number != NO {
            numbers[number as usize] = with;
        }
        index += 1;
    }
    numbers
}
