//! The kinds of value that a profile writes as text or numbers: sizes, times, modes, paths, names.
//! Parsed once, here.
//!
//! An error may end in `\nhelp: ...`; [`crate::language::section::parse`] makes the help of the
//! problem of it.

use crate::language::shape::{Shape, Shaped, Slot};
use crate::text::problem::is_hostile;
use serde::de::{self, DeserializeOwned, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};
use std::{fmt, marker::PhantomData, time::Duration};
use toml::{Spanned, de::DeValue};

/// A value of the document, with its span in the common offset space.
pub(crate) type Node<'i> = Spanned<DeValue<'i>>;

/// A type that is written as a text, as an integer, or as either.
pub trait Written: Sized {
    /// What it is, for `expected ...`.
    const WHAT: &'static str;
    /// From a text; the error is a sentence.
    fn from_text(text: &str) -> Result<Self, String>;
    /// From an integer; most have none.
    fn from_integer(_: i64) -> Option<Result<Self, String>> {
        None
    }
    /// What its values look like: no narrower than what [`Written::from_text`] and
    /// [`Written::from_integer`] take in plain spelling.
    fn looks() -> Shape;
}

impl<T: Written> Shaped for T {
    fn shape() -> Shape {
        T::looks()
    }
}

impl<T: Written + DeserializeOwned> Slot for T {
    type Value = T;
    fn settle(read: Option<T>) -> Option<T> {
        read
    }
}

struct WrittenVisitor<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for WrittenVisitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        T::from_integer(number)
            .unwrap_or_else(|| Err(format!("expected {}, not a bare number", T::WHAT)))
            .map_err(E::custom)
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
    fn visit_i128<E: de::Error>(self, number: i128) -> Result<T, E> {
        Err(too_large(&number, &self))
    }
    fn visit_u128<E: de::Error>(self, number: u128) -> Result<T, E> {
        Err(too_large(&number, &self))
    }
}

/// One for all types: each visitor would have a copy of serde's own, and the launcher is to stay
/// small.
#[inline(never)]
fn too_large<E: de::Error>(number: &dyn fmt::Display, expected: &dyn de::Expected) -> E {
    E::invalid_type(Unexpected::Other(&format!("integer `{number}`")), expected)
}

/// Deserializes a [`Written`] type.
pub(crate) fn deserialize<'de, T: Written, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(WrittenVisitor(PhantomData))
}

/// Gives a [`Written`] type its `Deserialize`.
macro_rules! written {
    ($($name:ty),+ $(,)?) => { $(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::language::value::deserialize(deserializer)
            }
        }
    )+ };
}
pub(crate) use written;

/// One of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(unreachable_pub, reason = "some are reached from outside")]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant),+ }

        #[allow(unreachable_pub, reason = "as above")]
        impl $name {
            /// Every word.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            /// The word of this one.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl $crate::language::value::Written for $name {
            const WHAT: &'static str = concat!("one of the words", $(" `", $word, "`"),+);
            fn from_text(text: &str) -> Result<$name, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => {
                        let help = $crate::text::problem::suggestion(text, Self::WORDS.iter().copied())
                            .unwrap_or_else(|| format!("write one of {}", Self::WORDS.join(", ")));
                        Err(format!("unknown word `{text}`\nhelp: {help}"))
                    }
                }
            }
            fn looks() -> $crate::language::shape::Shape {
                $crate::language::shape::Shape::words(Self::WORDS, &[$(concat!($($variant_doc, "\n"),+)),+])
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

written!(Size, Time, Mode, AbsolutePath);

/// An amount of memory in bytes: `"512M"` (powers of 1024) or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Size(pub u64);

impl Written for Size {
    const WHAT: &'static str = "a size such as \"64M\", or a number of bytes";
    fn from_text(text: &str) -> Result<Size, String> {
        let (digits, unit) = split_number(text);
        let shift = match unit {
            "" | "B" => Some(0),
            "K" | "k" => Some(10),
            "M" => Some(20),
            "G" => Some(30),
            "T" => Some(40),
            _ => None,
        };
        shift
            .zip(digits.parse::<u64>().ok())
            .and_then(|(shift, number)| number.checked_mul(1 << shift))
            .map(Size)
            .ok_or_else(|| {
                format!(
                    "`{text}` is not a size\nhelp: write digits and a unit of K, M, G or T, such \
                     as \"512M\""
                )
            })
    }
    fn from_integer(number: i64) -> Option<Result<Size, String>> {
        Some(
            u64::try_from(number)
                .map(Size)
                .map_err(|_| format!("a size cannot be negative: {number}")),
        )
    }
    fn looks() -> Shape {
        Shape::Either(vec![
            Shape::form("a size such as `\"64M\"`", "^[0-9]+[BKkMGT]?$"),
            Shape::Integer(0, i64::MAX),
        ])
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')]
            .iter()
            .find(|(shift, _)| self.0 != 0 && self.0.is_multiple_of(1 << shift))
        {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A span of time: `"30s"`, `"10m"`, `"1h"`, `"250ms"`; never a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Written for Time {
    const WHAT: &'static str = "a time such as \"30s\" or \"10m\"";
    fn from_text(text: &str) -> Result<Time, String> {
        let (digits, unit) = split_number(text);
        let millis = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" | "min" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        millis
            .zip(digits.parse::<u64>().ok())
            .and_then(|(millis, number)| number.checked_mul(millis))
            .map(|millis| Time(Duration::from_millis(millis)))
            .ok_or_else(|| {
                format!(
                    "`{text}` is not a time\nhelp: write digits and a unit of ms, s, m, h or d, \
                     such as \"30s\""
                )
            })
    }
    fn looks() -> Shape {
        Shape::form("a time such as `\"30s\"`", "^[0-9]+(ms|s|m|min|h|d)$")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .iter()
            .find(|(unit, _)| millis != 0 && millis.is_multiple_of(*unit))
        {
            Some((unit, name)) => write!(f, "{}{name}", millis / unit),
            None => write!(f, "{millis}ms"),
        }
    }
}

/// Permission bits, octal text: `"0755"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(pub u32);

impl Written for Mode {
    const WHAT: &'static str = "a mode such as \"0755\"";
    fn from_text(text: &str) -> Result<Mode, String> {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777 && text.bytes().all(|digit| digit.is_ascii_digit()))
            .map(Mode)
            .ok_or_else(|| {
                format!(
                    "`{text}` is not a mode\nhelp: write octal digits in quotes, such as \"0755\""
                )
            })
    }
    fn looks() -> Shape {
        Shape::form("an octal mode such as `\"0755\"`", "^0*[0-7]{1,4}$")
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An absolute path in its one plain spelling: no `.`, no `..`, no `//`, no trailing `/`, no NUL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AbsolutePath(pub String);

impl Written for AbsolutePath {
    const WHAT: &'static str = "an absolute path";
    fn from_text(text: &str) -> Result<AbsolutePath, String> {
        plain_path(text).map(AbsolutePath)
    }
    fn looks() -> Shape {
        Shape::form("an absolute path", PATH_FORM)
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for AbsolutePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for AbsolutePath {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// An absolute path without `..`, as a regular expression.
pub(crate) const PATH_FORM: &str = r"^(/(?!\.\.(/|$))[^/]*)+$";

/// `true`, where `false` would say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnlyTrue;

impl Shaped for OnlyTrue {
    fn shape() -> Shape {
        Shape::True
    }
}

impl<'de> de::Deserialize<'de> for OnlyTrue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OnlyTrue, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(OnlyTrue),
            false => Err(de::Error::custom(
                "this can only be true\nhelp: leave it out; an inherited entry is withdrawn with \
                 `false` in its place",
            )),
        }
    }
}

/// The longest path that the kernel takes, less its closing NUL (`PATH_MAX`, limits.h).
const PATH_MAX: usize = 4095;

/// The plain spelling of an absolute path: `//`, `/./` and a trailing `/` go; `..`, NUL and
/// relative paths are errors.
pub fn plain_path(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("a path cannot hold a NUL byte".into());
    }
    if !text.starts_with('/') {
        return Err(relative(text));
    }
    let mut plain = String::with_capacity(text.len());
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(format!("`{text}` goes up with `..`\nhelp: write the path that it means"));
        }
        if part.len() > 255 {
            return Err("a name in a path is longer than 255 bytes".into());
        }
        plain.push('/');
        plain.push_str(part);
    }
    if plain.len() > PATH_MAX {
        return Err(format!("a path is longer than {PATH_MAX} bytes"));
    }
    // `.` is the directory that somebody is in; nobody who writes it means the whole tree.
    if plain.is_empty() && text.contains('.') {
        return Err(format!(
            "`{text}` is `/`, the whole tree\nhelp: write the directory that is meant: \
             \"${{CWD}}\" or \"${{PROFILE_DIR}}\""
        ));
    }
    Ok(if plain.is_empty() { "/".into() } else { plain })
}

/// What a shell puts in, and the variable that means the same.
const SHELL_WORDS: &[(&str, &str)] = &[
    ("~", "${HOME}"),
    ("$HOME", "${HOME}"),
    ("$PWD", "${CWD}"),
    ("$CWD", "${CWD}"),
    ("$USER", "${USER}"),
    ("$XDG_RUNTIME_DIR", "${RUNTIME_DIR}"),
];

/// Why a path that does not begin at the root is none, and how to write the one that is meant. No
/// spelling that is offered is wider than the text: `.` is the working directory, never `/`.
pub(crate) fn relative(text: &str) -> String {
    let word = text.split('/').next().unwrap_or_default();
    if let Some((_, variable)) = SHELL_WORDS.iter().find(|(known, _)| *known == word) {
        let meant = quoted(&format!("{variable}{}", &text[word.len()..]));
        return format!("`{text}` is no path: only a shell knows `{word}`\nhelp: write {meant}");
    }
    if word.starts_with(['~', '$']) {
        return format!(
            "`{text}` is no path: only a shell knows `{word}`\nhelp: write the path from `/` on"
        );
    }
    let names: Vec<&str> =
        text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if text.is_empty() || names.contains(&"..") {
        return format!(
            "`{text}` is a relative path\nhelp: write the path that it means, from `/` on"
        );
    }
    let [cwd, profile] =
        ["${CWD}", "${PROFILE_DIR}"].map(|base| quoted(&[&[base], &names[..]].concat().join("/")));
    format!("`{text}` is a relative path\nhelp: say from where: {cwd} or {profile}")
}

/// The path and every directory above it up to (not including) `/`, the nearest first.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    std::iter::from_fn(move || {
        let current = rest.filter(|path| path.len() > 1)?;
        rest = current.rfind('/').map(|slash| &current[..slash]);
        Some(current)
    })
}

/// The directory that a path lies in.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => &path[..slash],
    }
}

/// `tail` below `base`, where `tail` begins with `/` or is empty.
pub(crate) fn join(base: &str, tail: &str) -> String {
    match (base, tail) {
        ("/", "") => "/".into(),
        ("/", tail) => tail.into(),
        (base, tail) => format!("{base}{tail}"),
    }
}

/// What remains of `path` below `base` (`""` for the same path), or `None` where it is not below.
pub fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    if base == "/" {
        return Some(if path == "/" { "" } else { path });
    }
    path.strip_prefix(base).filter(|tail| tail.is_empty() || tail.starts_with('/'))
}

/// A basic string of TOML: what TOML has no plain spelling for, and what would drive the reader's
/// terminal, is escaped as TOML does it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hostile(c) && u32::from(c) <= 0xffff => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c if is_hostile(c) => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A text as TOML has it, with nothing in it that would be put in as a variable.
pub(crate) fn literal(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_and_modes() {
        assert_eq!(Size::from_text("64M"), Ok(Size(64 << 20)));
        assert_eq!(Size(64 << 20).to_string(), "64M");
        assert!(
            Size::from_text("99999999999T").is_err()
                && Size::from_text("M").is_err()
                && Size::from_text("-1").is_err()
        );
        assert_eq!(Time::from_text("10m").unwrap().to_string(), "10m");
        assert!(Time::from_text("10").is_err());
        assert_eq!(Mode::from_text("0755"), Ok(Mode(0o755)));
        assert!(
            Mode::from_text("+755").is_err()
                && Mode::from_text("888").is_err()
                && Mode::from_text("77777").is_err()
        );
    }

    #[test]
    fn what_is_offered_for_a_relative_path_is_not_wider_than_it() {
        for (text, offered) in [
            (".", "say from where: \"${CWD}\" or \"${PROFILE_DIR}\""),
            ("./", "say from where: \"${CWD}\" or \"${PROFILE_DIR}\""),
            ("./x/./y/", "say from where: \"${CWD}/x/y\" or \"${PROFILE_DIR}/x/y\""),
            ("x", "say from where: \"${CWD}/x\" or \"${PROFILE_DIR}/x\""),
            ("~", "write \"${HOME}\""),
            ("~/x", "write \"${HOME}/x\""),
            ("$HOME", "write \"${HOME}\""),
            ("$HOME/x", "write \"${HOME}/x\""),
            ("$PWD/x", "write \"${CWD}/x\""),
            ("~other/x", "write the path from `/` on"),
            ("$X/x", "write the path from `/` on"),
            ("../x", "write the path that it means, from `/` on"),
            ("", "write the path that it means, from `/` on"),
        ] {
            assert_eq!(relative(text).split_once("\nhelp: ").unwrap().1, offered, "{text}");
        }
    }

    #[test]
    fn paths_have_one_spelling() {
        assert_eq!(plain_path("//usr/./lib/").as_deref(), Ok("/usr/lib"));
        assert_eq!(plain_path("/").as_deref(), Ok("/"));
        assert!(
            plain_path("/a/../b").is_err()
                && plain_path("x").is_err()
                && plain_path("/\0").is_err()
        );
        assert_eq!(plain_path("/a/.").as_deref(), Ok("/a"));
        assert!(["/.", "/./", "//.", "/./."].iter().all(|root| plain_path(root).is_err()));
        assert_eq!(below("/usr/lib", "/usr"), Some("/lib"));
        assert_eq!(below("/usrlib", "/usr"), None);
        assert_eq!(below("/a", "/"), Some("/a"));
        assert_eq!(ancestors("/a/b").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(parent("/a"), "/");
    }
}
