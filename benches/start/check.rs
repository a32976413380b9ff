//! Job `check`: what a user waits for before anything runs. The limits are those of a whole
//! process, and its growth is that of the entries.

use crate::gates::Gates;
use crate::measure::{Program, median, millis};
use crate::sandbox::{SYSTEM, Stage, TARGET};
use std::path::Path;

const GATE_LAYERS: (f64, &str) = (5.0, "ms for three levels of extends");
const GATE_THOUSAND: (f64, &str) = (30.0, "ms for 1000 mounts");
const GATE_LINEAR: f64 = 14.0;

/// How many entries a profile has.
const ENTRIES: [usize; 4] = [10, 100, 1_000, 9_900];

/// A name, what it says, and the text of so many entries.
type Kind = (&'static str, &'static str, fn(usize) -> String);

/// What they are: the word, the section, and an entry.
const KINDS: [Kind; 4] = [
    ("mounts", "mounts", |nth| {
        format!("\"/m/{nth:05}\" = {{ bind = \"/usr/share\", access = \"ro\" }}\n")
    }),
    ("files", "mounts", |nth| format!("\"/m/{nth:05}\" = {{ text = \"x\" }}\n")),
    ("env", "env", |nth| format!("V{nth:05} = \"x\"\n")),
    ("withdrawn", "env", |nth| format!("V{nth:05} = false\n")),
];

/// The files of this job: name and text.
pub fn profiles() -> Vec<(String, String)> {
    let mut files = vec![
        (
            "three.toml".into(),
            format!(
                "format = 1\nextends = [\"./two.toml\"]\n[process]\ncommand = \
                 [\"{TARGET}\"]\n[mounts]\n\"/out\" = {{ bind = \"${{folder}}\" }}\n"
            ),
        ),
        (
            "two.toml".into(),
            "format = 1\nextends = [\"./one.toml\"]\n[params]\nfolder = { type = \"path\", default \
             = \"${PROFILE_DIR}\" }\n[env]\nLANG = \"C\"\n"
                .into(),
        ),
        ("one.toml".into(), "format = 1\nextends = [\"base\"]\n[process]\ntimeout = \
                             \"10m\"\n[rlimits]\nnofile = 256\n".into()),
    ];
    let system = SYSTEM
        .iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| format!("\"{path}\" = \"ro\"\n"))
        .collect::<String>();
    for (kind, section, entry) in KINDS {
        for count in ENTRIES {
            let entries: String = (0..count).map(entry).collect();
            let below = if kind == "withdrawn" {
                format!("extends = [\"./{}\"]\n", name("env", count))
            } else {
                String::new()
            };
            let (mounts, header) = if section == "mounts" {
                (String::new(), format!("[mounts]\n{system}"))
            } else {
                (format!("[mounts]\n{system}"), format!("[{section}]\n"))
            };
            files.push((
                name(kind, count),
                format!(
                    "format = 1\n{below}[process]\ncommand = \
                     [\"{TARGET}\"]\n{mounts}{header}{entries}"
                ),
            ));
        }
    }
    files
}

fn name(kind: &str, count: usize) -> String {
    format!("check-{kind}-{count}.toml")
}

/// Measures each profile and judges the growth.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    println!("check: a whole process, so many entries; median milliseconds");
    println!("  {:<10} {}", "entries", ENTRIES.map(|count| format!("{count:>9}")).concat());
    let layers = measure(stage, "three.toml", 50)?;
    let mut rows = vec![];
    for (kind, ..) in KINDS {
        let mut row = vec![];
        for count in ENTRIES {
            row.push(measure(stage, &name(kind, count), if count > 1_000 { 5 } else { 25 })?);
        }
        println!(
            "  {kind:<10} {}",
            row.iter().map(|time| format!("{time:>9.2}")).collect::<String>()
        );
        rows.push((kind, row));
    }
    println!("  {:<10} {layers:>9.2}", "layers");
    gates.judge(GATE_LAYERS.0, GATE_LAYERS.1, layers);
    gates.judge(GATE_THOUSAND.0, GATE_THOUSAND.1, rows[0].1[2]);
    for (kind, row) in rows {
        gates.judge(GATE_LINEAR, &format!("times 1000 {kind} for 9900"), row[3] / row[2]);
    }
    Ok(())
}

fn measure(stage: &Stage, profile: &str, runs: usize) -> Result<f64, String> {
    let program = Program::new(
        "stockade check",
        [stage.stockade_path().into(), "check".into(), stage.path().join(profile).into_os_string()],
    )?;
    program.run()?;
    program.repeat(runs).map(|costs| median(&millis(&costs)))
}
