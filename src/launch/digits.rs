//! Numbers in digits, without allocation: between clone and exec there is none.

use std::ffi::CStr;

/// A number as the kernel reads it, without allocation.
pub(super) fn decimal(buffer: &mut [u8; 24], number: u64) -> &CStr {
    digits(buffer, number, 10, b"")
}

/// The same, in hundredths.
pub(super) fn percent(buffer: &mut [u8; 24], number: u8) -> &CStr {
    digits(buffer, number.into(), 10, b"%")
}

/// The same of a mode.
pub(super) fn octal(buffer: &mut [u8; 24], number: u32) -> &CStr {
    digits(buffer, number.into(), 8, b"")
}

fn digits<'b>(buffer: &'b mut [u8; 24], mut number: u64, base: u64, unit: &[u8]) -> &'b CStr {
    let mut at = buffer.len() - 1;
    buffer[at] = 0;
    for byte in unit.iter().rev() {
        at -= 1;
        buffer[at] = *byte;
    }
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % base) as u8;
        number /= base;
        if number == 0 {
            return CStr::from_bytes_with_nul(&buffer[at..]).unwrap_or(c"0");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_written_without_allocation() {
        assert_eq!(decimal(&mut [0; 24], u64::MAX).to_str(), Ok("18446744073709551615"));
        assert_eq!(octal(&mut [0; 24], 0o1777).to_str(), Ok("1777"));
        assert_eq!(decimal(&mut [0; 24], 0).to_str(), Ok("0"));
        assert_eq!(percent(&mut [0; 24], 100).to_str(), Ok("100%"));
    }
}
