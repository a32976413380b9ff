//! Texts and files as the kernel knows them.

use crate::text::bytes;
use crate::text::problem::escape;
use serde::{Serialize, Serializer};
use std::ffi::{CStr, CString};
use std::fmt;

/// A text for the kernel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    kernels: CString,
    /// The text, where the kernel's bytes are not UTF-8.
    ours: Option<Box<str>>,
}

impl Name {
    /// `text` as the kernel takes it. What follows a NUL is not part of it; the plan has refused
    /// such texts.
    pub fn new(text: &str) -> Name {
        let until_nul = text.split('\0').next().unwrap_or("");
        let kernels = CString::new(bytes::bytes(until_nul)).unwrap_or_default();
        let ours = kernels.to_str().is_err().then(|| bytes::text(kernels.as_bytes()).into());
        Name { kernels, ours }
    }

    /// The C string.
    pub fn as_c_str(&self) -> &CStr {
        &self.kernels
    }

    pub fn text(&self) -> &str {
        match &self.ours {
            Some(text) => text,
            None => self.kernels.to_str().unwrap_or(""),
        }
    }

    /// The path relative to the sandbox's root: `usr/lib` for `/usr/lib`, `.` for `/`.
    pub fn relative(&self) -> &CStr {
        let rest = match self.kernels.as_bytes_with_nul() {
            [b'/', 0] => return c".",
            [b'/', rest @ ..] => rest,
            all => all,
        };
        CStr::from_bytes_with_nul(rest).unwrap_or(c".")
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(self.text()))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// The identity of a file, against an exchange between the check and the use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Inode {
    /// The device, as stat(2) has it.
    pub dev: u64,
    pub ino: u64,
}
