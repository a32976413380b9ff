//! Bytes of the host that are not UTF-8, in texts: words of a command line, values of variables,
//! names of files.
//!
//! Each such byte is a character of its own, U+10FF00 and the byte, of the last row of the private
//! use area (U+10FF80 to U+10FFFF), and stays one until the kernel is given the byte again. A
//! character of that row that is in UTF-8 is the four bytes that it is, so that every text of
//! the host is one text here, and comes back as it was. In a profile, `\U0010ffe9` is the byte e9.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is added to a byte.
const ROW: u32 = 0x10_ff00;

/// The byte that a character stands for, where it stands for one.
pub(crate) fn byte_of(c: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(c).checked_sub(ROW)?).ok()?;
    (byte >= 0x80).then_some(byte)
}

fn stand_in(byte: u8) -> char {
    char::from_u32(ROW + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Whether a text stands for bytes that are not its own. Almost none does, and the first byte of
/// such a character is in few others.
fn has_some(text: &str) -> bool {
    text.as_bytes().contains(&0xf4) && text.chars().any(|c| byte_of(c).is_some())
}

/// The text of some bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !has_some(text) => text.to_owned(),
        _ => strange_text(bytes),
    }
}

fn strange_text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match byte_of(c) {
                Some(_) => out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(stand_in)),
                None => out.push(c),
            }
        }
        out.extend(chunk.invalid().iter().map(|byte| stand_in(*byte)));
    }
    out
}

/// The text of a word, a name or a path of the host.
pub(crate) fn of(host: impl AsRef<OsStr>) -> String {
    text(host.as_ref().as_bytes())
}

/// The bytes of a text.
pub(crate) fn bytes(text: &str) -> Cow<'_, [u8]> {
    if !has_some(text) {
        return text.as_bytes().into();
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => out.push(byte),
            None => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    out.into()
}

/// The path of a text.
pub(crate) fn path(text: &str) -> Cow<'_, Path> {
    match bytes(text) {
        Cow::Borrowed(_) => Path::new(text).into(),
        Cow::Owned(bytes) => Path::new(OsStr::from_bytes(&bytes)).to_path_buf().into(),
    }
}

/// The one text of the bytes that a text stands for: escapes that are put together, or that a user
/// wrote, can be UTF-8 as a whole.
pub(crate) fn plain(text: String) -> String {
    if has_some(&text) { self::text(&bytes(&text)) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_the_host_comes_back() {
        let mut texts: Vec<Vec<u8>> = (0..=255).map(|byte| vec![b'a', byte]).collect();
        texts.extend([b"".to_vec(), "caf\u{e9}".into(), b"caf\xe9".to_vec()]);
        // Halves of characters, one that is too long, a surrogate, and the row itself.
        texts
            .extend([&b"\xc3"[..], b"\xe2\x82x", b"\xc0\xaf", b"\xed\xa0\x80"].map(<[u8]>::to_vec));
        texts.extend(["\u{10ffe9}", "\u{10ff7f}\u{10ff80}\u{10ffff}"].map(Into::into));
        let mut seen = std::collections::BTreeSet::new();
        for bytes in texts {
            let there = text(&bytes);
            assert_eq!(*self::bytes(&there), *bytes, "{there:?}");
            assert_eq!(path(&there).as_os_str().as_bytes(), bytes);
            assert_eq!(plain(there.clone()), there);
            assert!(seen.insert(there.clone()), "{there:?} stands for two");
            assert_eq!(std::str::from_utf8(&bytes) == Ok(&there), !has_some(&there));
        }
        assert_eq!(text(b"caf\xe9"), "caf\u{10ffe9}");
    }

    #[test]
    fn halves_that_meet_are_a_whole() {
        assert_eq!(plain(text(b"\xc3") + &text(b"\xa9")), "\u{e9}");
    }
}
