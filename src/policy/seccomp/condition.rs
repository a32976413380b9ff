//! From a condition as it is written to a test of what the kernel reads. A test that reads more, or
//! less, could be gone round.

use super::filter::{Compare, Test, Width};
use crate::kernel::syscalls::{Read, reads};

/// What must be so of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Is {
    /// What the mask leaves is one of these.
    OneOf(Option<u64>, Vec<u64>),
    /// What the mask leaves is none of these.
    NoneOf(Option<u64>, Vec<u64>),
    /// At least one of these bits is set.
    AnyBit(u64),
    /// It lies between these, both included.
    Between(u64, u64),
}

/// Makes the test of a condition; an error says why there is none. `refuses` is whether the call is
/// not done where it holds.
pub(super) fn test(call: &str, argument: u8, is: &Is, refuses: bool) -> Result<Test, String> {
    let read = reads(call, argument).ok_or_else(|| match reads(call, 0) {
        Some(_) => format!("{call} has no argument {argument}"),
        None => format!("{call} has no arguments"),
    })?;
    match read {
        Read::Full => Ok(Test { argument, width: Width::Full, compare: full(is) }),
        Read::Low => Ok(Test { argument, width: Width::Low, compare: narrow(is, 32)? }),
        Read::Half => half(argument, is),
        Read::Pointer => pointer(call, argument, is),
        Read::Mixed => mixed(call, argument, is, refuses),
    }
}

pub(super) fn full(is: &Is) -> Compare {
    match is {
        Is::OneOf(mask, values) => {
            Compare::OneOf { mask: mask.unwrap_or(u64::MAX), values: values.clone() }
        }
        Is::NoneOf(mask, values) => {
            Compare::NoneOf { mask: mask.unwrap_or(u64::MAX), values: values.clone() }
        }
        Is::AnyBit(bits) => Compare::AnyBit { bits: *bits },
        Is::Between(least, most) => Compare::Between { low: *least, high: *most },
    }
}

/// A number in as many bits, without sign or with it.
fn fit(number: u64, bits: u32) -> Result<u64, String> {
    let mask = (1 << bits) - 1;
    let negative = number as i64 >= -(1 << (bits - 1)) && (number as i64) < 0;
    if number <= mask || negative {
        Ok(number & mask)
    } else {
        Err(format!("{number:#x} does not fit into the {bits} bits that the kernel reads"))
    }
}

fn narrow(is: &Is, bits: u32) -> Result<Compare, String> {
    let all = |values: &[u64]| {
        values.iter().map(|value| fit(*value, bits)).collect::<Result<Vec<_>, _>>()
    };
    // Without a mask of the profile's own the test's is whole, which is how a plain comparison is
    // known.
    let mask = |mask: &Option<u64>| {
        mask.map_or(Ok(if bits == 32 { u64::MAX } else { (1 << bits) - 1 }), |mask| fit(mask, bits))
    };
    Ok(match is {
        Is::OneOf(under, values) => Compare::OneOf { mask: mask(under)?, values: all(values)? },
        Is::NoneOf(under, values) => Compare::NoneOf { mask: mask(under)?, values: all(values)? },
        Is::AnyBit(bit) => Compare::AnyBit { bits: fit(*bit, bits)? },
        Is::Between(least, u64::MAX) => {
            Compare::Between { low: fit(*least, bits)?, high: (1 << bits) - 1 }
        }
        Is::Between(least, most) => {
            Compare::Between { low: fit(*least, bits)?, high: fit(*most, bits)? }
        }
    })
}

/// `umode_t` has 16 bits, and no test reads so few: a mask must leave them.
fn half(argument: u8, is: &Is) -> Result<Test, String> {
    match is {
        Is::Between(..) => Err("the kernel reads 16 bits of this argument, so it can be compared \
                                by values and bits alone"
            .into()),
        is => Ok(Test::low(argument, narrow(is, 16)?)),
    }
}

fn pointer(call: &str, argument: u8, is: &Is) -> Result<Test, String> {
    match is {
        Is::OneOf(None, values) if values == &[0] => Ok(Test::full(argument, full(is))),
        Is::NoneOf(None, values) if values == &[0] => {
            Ok(Test::full(argument, Compare::AnyBit { bits: u64::MAX }))
        }
        _ => Err(format!(
            "argument {argument} of {call} is an address, and what is there can change after the \
             filter has looked; only 0 can be asked for"
        )),
    }
}

/// Where the kernel reads 32 bits for some uses and 64 for others, a refusal holds if either has
/// the value, a permission only if both do.
fn mixed(call: &str, argument: u8, is: &Is, refuses: bool) -> Result<Test, String> {
    let unsure = || {
        format!(
            "the kernel reads argument {argument} of {call} in 32 bits or in 64, as another \
             argument has it, so it has no bounds"
        )
    };
    match (is, refuses) {
        (Is::OneOf(..), true) | (Is::NoneOf(..), false) => Ok(Test::low(argument, narrow(is, 32)?)),
        (Is::Between(_, most), false) if *most <= u64::from(u32::MAX) => {
            Ok(Test::full(argument, full(is)))
        }
        (Is::Between(..), _) => Err(unsure()),
        (is, _) => Ok(Test::full(argument, full(is))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: u64 = 0xdead_beef_0000_0000;

    fn holds(call: &str, argument: u8, is: Is, refuses: bool, value: u64) -> bool {
        test(call, argument, &is, refuses).expect("a test").holds(&[value; 6])
    }

    #[test]
    fn garbage_in_high_bits_hides_nothing_that_the_kernel_does_not_read() {
        let sti = || Is::OneOf(None, vec![0x5412]);
        assert!(holds("ioctl", 1, sti(), true, HIGH | 0x5412));
        assert!(holds(
            "chmod",
            1,
            Is::OneOf(None, vec![0o4755]),
            true,
            HIGH | 0xffff_0000 | 0o4755
        ));
        assert!(holds("kill", 0, Is::OneOf(None, vec![u64::MAX]), true, 0xffff_ffff));
        assert!(!holds("mmap", 2, Is::OneOf(None, vec![7]), true, HIGH | 7));
    }

    #[test]
    fn where_the_width_depends_the_careful_reading_counts() {
        let session = || Is::OneOf(None, vec![-3i64 as u64]);
        assert!(holds("keyctl", 1, session(), true, HIGH | 0xffff_fffd));
        assert!(!holds("keyctl", 1, session(), false, HIGH | 0xffff_fffd));
        let other = || Is::NoneOf(None, vec![5]);
        assert!(
            holds("prctl", 1, other(), true, HIGH | 5)
                && !holds("prctl", 1, other(), false, HIGH | 5)
        );
        assert!(
            test("prctl", 1, &Is::Between(1, 2), true).is_err()
                && test("prctl", 1, &Is::Between(1, 2), false).is_ok()
        );
    }

    #[test]
    fn what_cannot_be_asked_is_an_error() {
        for (call, argument, is) in [
            ("getpid", 0, Is::AnyBit(1)),
            ("socket", 3, Is::AnyBit(1)),
            ("openat", 1, Is::OneOf(None, vec![4])),
            ("openat2", 2, Is::AnyBit(1)),
            ("socket", 0, Is::OneOf(None, vec![1 << 32])),
            ("chmod", 1, Is::Between(0, 1)),
        ] {
            assert!(test(call, argument, &is, true).is_err(), "{call} {argument} {is:?}");
        }
        assert!(holds("prlimit64", 2, Is::NoneOf(None, vec![0]), true, HIGH));
    }
}
