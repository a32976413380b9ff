//! A file system that is made anew, with its options: raw system calls and nothing else (see
//! [`super::child`]).

use super::digits::{decimal, octal, percent};
use crate::language::value::Room;
use crate::step::file_system::{Options, Setting};
use crate::sys::{self, Result};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// A file system to be made.
pub(super) fn configured((name, options): (&CStr, Options)) -> Result<RawFd> {
    let fs = sys::fsopen(name)?;
    let mut digits = [0; 24];
    for (key, setting) in options.into_iter().flatten() {
        let value = match setting {
            Setting::Text(text) => text,
            Setting::Decimal(number) => decimal(&mut digits, number),
            Setting::Octal(number) => octal(&mut digits, number),
            Setting::Room(Room::Bytes(bytes)) => decimal(&mut digits, bytes),
            Setting::Room(Room::Percent(number)) => percent(&mut digits, number),
        };
        sys::fsconfig_string(fs, key, value)?;
    }
    Ok(fs)
}
