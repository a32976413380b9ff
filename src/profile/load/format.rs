//! `format`: the version of the language that a text is in.

use crate::language::layers::Kind;
use crate::profile::layer::{Document, Layer};
use crate::text::problem::{Problem, Problems};
use crate::text::source::Sources;
use toml::de::DeValue;

/// The version of the language that this stockade reads.
pub(in crate::profile) const FORMAT: i64 = 1;

/// Whether a text says the version of the language that this stockade reads.
pub(super) fn check_format(
    layer: &Layer,
    document: &mut Document<'_>,
    sources: &Sources,
    problems: &mut Problems,
) {
    match document.get("format") {
        None if layer.kind == Kind::Flag => {}
        None => problems.push(
            Problem::new(
                "profile::format",
                layer.start(),
                format!(
                    "cannot read {}: it does not say which version of the language it is in",
                    layer.name
                ),
            )
            .help("begin it with: format = 1"),
        ),
        Some(node) => {
            let why = match node.get_ref() {
                DeValue::Integer(number) if number.as_str().starts_with('-') => "no stockade does",
                DeValue::Integer(number) => {
                    match i64::from_str_radix(number.as_str(), number.radix()) {
                        Ok(FORMAT) => return,
                        Ok(0) => "no stockade does",
                        _ => "only a newer stockade does",
                    }
                }
                _ => "it is not a whole number",
            };
            let written = sources.text(node.span().into()).unwrap_or_default();
            let message = format!(
                "cannot read format `{written}`: {why}; this one, {}, reads format {FORMAT}",
                env!("CARGO_PKG_VERSION")
            );
            let help = format!(
                "write format = {FORMAT}, or use the stockade that the profile was written for"
            );
            problems.push(Problem::new("profile::format", node.span().into(), message).help(help));
            document.remove("format");
        }
    }
}
