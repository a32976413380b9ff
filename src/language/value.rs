//! The kinds of value that a profile writes as text or numbers: sizes, times, modes, paths, names.
//! Parsed once, here.

use crate::language::fill::Fill;
use crate::language::read::{Node, Read, Why, Wrongs, integer, mismatch};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
pub(crate) use crate::language::spelled::{literal, quoted};
use crate::text::bytes;
pub(crate) use crate::text::paths::join;
pub use crate::text::paths::{ancestors, below, parent};
use crate::text::problem::suggestion;
use serde::{Serialize, Serializer};
use std::{fmt, time::Duration};
use toml::de::DeValue;

/// A type that is written as a text, as an integer, or as either.
pub(crate) trait Written: Sized {
    /// What it is, for `expected ...`.
    const WHAT: &'static str;
    /// How variables are put into it.
    const PUT: Fill = Fill::VALUE;
    /// From a text.
    fn from_text(text: &str) -> Result<Self, Why>;
    /// From an integer; most have none.
    fn from_integer(_: i64) -> Option<Result<Self, Why>> {
        None
    }
    /// What its values look like: no narrower than what [`Written::from_text`] and
    /// [`Written::from_integer`] take in plain spelling.
    fn looks() -> Shape;
    /// As it is written.
    fn write(&self) -> Spelled;

    /// Reads one that is a part of a type, which says by itself what it takes.
    fn read_as(node: &Node<'_>, what: &str) -> Result<Self, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => Self::from_text(text).map_err(|why| why.at(node)),
            DeValue::Integer(number) => match integer(number).map(Self::from_integer) {
                Some(Some(read)) => read.map_err(|why| why.at(node)),
                Some(None) => Err(no_number(node, what)),
                None => Err(mismatch(node, what)),
            },
            _ => Err(mismatch(node, what)),
        }
    }
}

/// How a [`Written`] value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spelled {
    Text(String),
    /// A text in which a variable stays one.
    Variable(&'static str),
    Integer(i64),
}

impl<T: Written> Shaped for T {
    fn shape() -> Shape {
        T::looks()
    }
}

impl<T: Written> Read for T {
    const FILL: Fill = T::PUT;
    fn read(node: &Node<'_>) -> Result<T, Wrongs> {
        T::read_as(node, T::WHAT)
    }

    fn spell(&self) -> Toml {
        match self.write() {
            Spelled::Text(text) => Toml::Text(text),
            Spelled::Variable(text) => Toml::Raw(text.to_owned()),
            Spelled::Integer(number) => Toml::bare(number),
        }
    }
}

#[inline(never)]
fn no_number(node: &Node<'_>, what: &str) -> Wrongs {
    Why::new(format!("expected {what}, not a bare number")).at(node)
}

/// A word of a few, or what is near it.
pub(crate) fn word_of<T: Copy>(what: &str, words: &[(&str, T)], text: &str) -> Result<T, Why> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        unknown_word(what, &names, "write one of ", text)
    })
}

/// Why a text is none of some words; `else_help` comes before their list if none is similar.
#[inline(never)]
pub(crate) fn unknown_word(what: &str, words: &[&str], else_help: &str, text: &str) -> Why {
    let help = suggestion(text, words.iter().copied()).unwrap_or_else(|| match words {
        [word] => format!("write \"{word}\""),
        words => format!("{else_help}{}", words.join(", ")),
    });
    Why::of(format!("unknown {what} `"), text, "`").help(help)
}

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
            fn from_text(text: &str) -> Result<$name, $crate::language::read::Why> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err($crate::language::value::unknown_word("word", Self::WORDS, "write one of ", text)),
                }
            }
            fn write(&self) -> $crate::language::value::Spelled {
                $crate::language::value::Spelled::Text(self.word().into())
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

/// An integer within bounds. The message for a number out of bounds may be given last, as the text
/// before and after the number.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident($int:ty) = $range:expr, $what:literal) => {
        $crate::language::value::bounded! {
            $(#[$doc])* $name($int) = $range, $what, "", concat!(" is out of range: expected ", $what)
        }
    };
    ($(#[$doc:meta])* $name:ident($int:ty) = $range:expr, $what:literal, $before:expr, $after:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(unreachable_pub, reason = "some are reached from outside")]
        pub struct $name(pub $int);

        impl $crate::language::value::Written for $name {
            const WHAT: &'static str = $what;
            fn from_text(text: &str) -> Result<$name, $crate::language::read::Why> {
                Err($crate::language::read::Why::not(text, "` must be a number, without quotes"))
            }
            fn from_integer(number: i64) -> Option<Result<$name, $crate::language::read::Why>> {
                Some(if ($range).contains(&number) {
                    Ok($name(number as $int))
                } else {
                    Err($crate::language::read::Why::of($before, number.to_string(), $after))
                })
            }
            fn looks() -> $crate::language::shape::Shape {
                $crate::language::shape::Shape::Integer(*($range).start(), *($range).end())
            }
            fn write(&self) -> $crate::language::value::Spelled {
                $crate::language::value::Spelled::Integer(self.0 as i64)
            }
        }
    };
}
pub(crate) use bounded;

/// An amount of memory in bytes: `"512M"` (powers of 1024) or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Size(pub u64);

impl Written for Size {
    const WHAT: &'static str = "a size such as \"64M\", or a number of bytes";
    fn from_text(text: &str) -> Result<Size, Why> {
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
                Why::not(text, "` is not a size")
                    .help("write digits and a unit of K, M, G or T, such as \"512M\"")
            })
    }
    fn from_integer(number: i64) -> Option<Result<Size, Why>> {
        Some(
            u64::try_from(number)
                .map(Size)
                .map_err(|_| Why::of("a size cannot be negative: ", number.to_string(), "")),
        )
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.to_string())
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

/// How much a file system in memory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// So many bytes.
    Bytes(u64),
    /// A hundredth of the machine's memory, so many times (tmpfs(5)).
    Percent(u8),
}

/// The number of a share such as `50%`; none: it is no share.
pub(crate) fn share(text: &str) -> Option<Result<u8, Why>> {
    let digits = text.strip_suffix('%')?;
    let number = digits.parse().ok();
    let number =
        number.filter(|number| (1..=100).contains(number) && !digits.starts_with(['+', '0']));
    Some(number.ok_or_else(|| Why::not(text, "` is not a share").help("write \"1%\" to \"100%\"")))
}

/// What a share looks like.
pub(crate) fn share_shape() -> Shape {
    Shape::form("a share such as `\"50%\"`", "^(100|[1-9][0-9]?)%$")
}

impl Written for Room {
    const WHAT: &'static str =
        "a size such as \"64M\", a share such as \"50%\", or a number of bytes";
    fn from_text(text: &str) -> Result<Room, Why> {
        match share(text) {
            Some(share) => share.map(Room::Percent),
            None => Size::from_text(text).map(|size| Room::Bytes(size.0)),
        }
    }
    fn from_integer(number: i64) -> Option<Result<Room, Why>> {
        Size::from_integer(number).map(|size| size.map(|size| Room::Bytes(size.0)))
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.to_string())
    }
    fn looks() -> Shape {
        Shape::Either(vec![Size::shape(), share_shape()])
    }
}

/// A number of bytes, or the text of a share.
impl Serialize for Room {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Room::Bytes(bytes) => out.serialize_u64(*bytes),
            Room::Percent(_) => out.collect_str(self),
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Room::Bytes(bytes) => Size(*bytes).fmt(f),
            Room::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A span of time: `"30s"`, `"10m"`, `"1h"`, `"250ms"`; never a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Time {
    /// Why a text is none.
    pub(crate) fn refuse(text: &str) -> Why {
        Why::not(text, "` is not a time")
            .help("write digits and a unit of ms, s, m, h or d, such as \"30s\"")
    }
}

impl Written for Time {
    const WHAT: &'static str = "a time such as \"30s\" or \"10m\"";
    fn from_text(text: &str) -> Result<Time, Why> {
        let (digits, unit) = split_number(text);
        let millis = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        millis
            .zip(digits.parse::<u64>().ok())
            .and_then(|(millis, number)| number.checked_mul(millis))
            .map(|millis| Time(Duration::from_millis(millis)))
            .ok_or_else(|| Time::refuse(text))
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.to_string())
    }
    fn looks() -> Shape {
        Shape::form("a time such as `\"30s\"`", "^[0-9]+(ms|s|m|h|d)$")
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
    fn from_text(text: &str) -> Result<Mode, Why> {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777 && text.bytes().all(|digit| digit.is_ascii_digit()))
            .map(Mode)
            .ok_or_else(|| {
                Why::not(text, "` is not a mode")
                    .help("write octal digits in quotes, such as \"0755\"")
            })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.to_string())
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
    const PUT: Fill = Fill { path: true, ..Fill::VALUE };
    fn from_text(text: &str) -> Result<AbsolutePath, Why> {
        plain_path(text).map(AbsolutePath)
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
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

impl Read for OnlyTrue {
    fn read(node: &Node<'_>) -> Result<OnlyTrue, Wrongs> {
        if bool::read(node)? { Ok(OnlyTrue) } else { Err(only_true("").at(node)) }
    }
    fn spell(&self) -> Toml {
        Toml::bare(true)
    }
}

/// Why `false` is none of the values of a key; `or` is what it takes besides `true`.
pub(crate) fn only_true(or: &str) -> Why {
    Why::new(format!("this can only be true{or}"))
        .help("leave it out; an inherited entry is removed with `false` in its place")
}

/// The longest path that the kernel takes, less its closing NUL (`PATH_MAX`, limits.h).
const PATH_MAX: usize = 4095;

/// The plain spelling of an absolute path: `//`, `/./` and a trailing `/` go; `..`, NUL and
/// relative paths are errors.
pub fn plain_path(text: &str) -> Result<String, Why> {
    if text.contains('\0') {
        return Err(Why::new("a path cannot hold a NUL byte"));
    }
    if !text.starts_with('/') {
        return Err(relative(text));
    }
    let mut plain = String::with_capacity(text.len());
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(Why::not(text, "` goes up with `..`").help("write the path that it means"));
        }
        if bytes::bytes(part).len() > 255 {
            return Err(Why::new("a name in a path is longer than 255 bytes"));
        }
        plain.push('/');
        plain.push_str(part);
    }
    if bytes::bytes(&plain).len() > PATH_MAX {
        return Err(Why::new(format!("a path is longer than {PATH_MAX} bytes")));
    }
    // `.` means the current directory; a user who writes it does not mean the whole tree.
    if plain.is_empty() && text.contains('.') {
        return Err(Why::not(text, "` is `/`, the whole tree")
            .help("write the directory that is meant: \"${CWD}\" or \"${PROFILE_DIR}\""));
    }
    Ok(if plain.is_empty() { "/".into() } else { bytes::plain(plain) })
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
pub(crate) fn relative(text: &str) -> Why {
    let word = text.split('/').next().unwrap_or_default();
    let of_shell = || Why::not(text, "` is no path: only a shell knows `").and(word, "`");
    if let Some((_, variable)) = SHELL_WORDS.iter().find(|(known, _)| *known == word) {
        let meant = quoted(&format!("{variable}{}", &text[word.len()..]));
        return of_shell().help_of_value(format!("write {meant}"));
    }
    if word.starts_with(['~', '$']) {
        return of_shell().help("write the path from `/` on");
    }
    let relative = Why::not(text, "` is a relative path");
    let names: Vec<&str> =
        text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if text.is_empty() || names.contains(&"..") {
        return relative.help("write the path that it means, from `/` on");
    }
    if names.is_empty() {
        return relative.help("say from where: \"${CWD}\" or \"${PROFILE_DIR}\"");
    }
    let rest = names.join("/");
    relative
        .help("say from where: \"${CWD}/")
        .and_toml(&rest, "\" or \"${PROFILE_DIR}/")
        .and_toml(&rest, "\"")
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
            assert_eq!(relative(text).help_text(None).as_deref(), Some(offered), "{text}");
        }
    }

    #[test]
    fn paths_have_one_spelling() {
        assert_eq!(plain_path("//usr/./lib/"), Ok("/usr/lib".into()));
        assert_eq!(plain_path("/"), Ok("/".into()));
        assert!(
            plain_path("/a/../b").is_err()
                && plain_path("x").is_err()
                && plain_path("/\0").is_err()
        );
        assert_eq!(plain_path("/a/."), Ok("/a".into()));
        assert!(["/.", "/./", "//.", "/./."].iter().all(|root| plain_path(root).is_err()));
    }
}
