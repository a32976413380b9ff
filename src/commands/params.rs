//! `stockade params`: what a profile leaves to its user. It asks nothing of the machine, and a
//! parameter that must be given need not be.

use super::{Failed, meant, print_line, request};
use crate::cli::{Format, Parametrised};
use crate::host::caller::Caller;
use crate::profile::{Declared, load_params};
use crate::text::problem::{escape, quiet_json};
use crate::text::source::{Place, Sources};
use serde::Serialize;

pub(super) fn params(asked: Parametrised) -> u8 {
    let mut sources = Sources::default();
    let request = match request(asked.flags.of(&asked.profile)) {
        Ok(request) => request,
        Err(failed) => return failed.print(asked.format),
    };
    let declared = load_params(&request, &Caller::current(), &mut sources);
    match declared {
        Err(problems) => {
            let failed = Failed::new(problems, sources);
            meant::program_with(failed, &request, "stockade params default").print(asked.format)
        }
        Ok(declared) => {
            let records: Vec<Record> = declared
                .iter()
                .map(|one| Record {
                    declared: one,
                    at: sources.place(one.at),
                    given: one.given.and_then(|at| sources.place(at)),
                })
                .collect();
            match asked.format {
                Format::Json => print_line(&quiet_json(
                    serde_json::to_string_pretty(&records).unwrap_or_default(),
                )),
                Format::Text if records.is_empty() => print_line("the profile has no parameters"),
                Format::Text => records.iter().for_each(|record| print_line(&record.text())),
            }
            0
        }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    declared: &'a Declared,
    /// Where it is declared.
    at: Option<Place>,
    /// Where its value is given, if not there.
    given: Option<Place>,
}

impl Record<'_> {
    /// The flag as it is to be written, and below it what is to be known.
    fn text(&self) -> String {
        let Declared { name, r#type, values, value, help, .. } = self.declared;
        let form = if values.is_empty() { r#type.to_uppercase() } else { values.join("|") };
        let declared = self.at.as_ref().map_or(String::new(), ToString::to_string);
        let value = match (value, &self.given) {
            (None, _) => format!("it must be given ({declared})"),
            (Some(value), None) => format!("default: {value} ({declared})"),
            // The text of a flag has one line, which its name says.
            (Some(value), Some(given)) if &*given.file == "--set" => {
                format!("value: {value} (by --set; declared at {declared})")
            }
            (Some(value), Some(given)) => {
                format!("value: {value} ({given}; declared at {declared})")
            }
        };
        let lines = [Some(format!("--set {name}={form}")), help.clone(), Some(value)];
        lines.into_iter().flatten().map(|line| escape(&line)).collect::<Vec<_>>().join("\n    ")
    }
}
