//! The profiles that come with the binary.

/// Name and text of each.
pub const BUILTIN: &[(&str, &str)] = &[
    ("base", include_str!("../../profiles/base.toml")),
    ("build", include_str!("../../profiles/build.toml")),
    ("default", include_str!("../../profiles/default.toml")),
    ("landlock", include_str!("../../profiles/landlock.toml")),
    ("landlock-base", include_str!("../../profiles/landlock-base.toml")),
    ("minimal", include_str!("../../profiles/minimal.toml")),
    ("strict", include_str!("../../profiles/strict.toml")),
];
