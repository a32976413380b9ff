//! Job `layers`: what a start costs with merged layers, and how long a list of changes takes.

use crate::gates::Gates;
use crate::measure::{Program, median, millis, paired_ratio};
use crate::sandbox::{Stage, TARGET, profile};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GATE_MERGED: (f64, &str) = (1.15, "of the start with a bind in their place");
const GATE_ROOT: (f64, &str) = (4.0, "ms more than with \"/\" read-only");
const GATE_COPY_UP: (f64, &str) = (12.0, "us for each directory of copy-up");
const GATE_CHANGES: (f64, &str) = (150.0, "ms to list 10,000 changes");

/// How many layers are merged.
const LAYERS: usize = 5;

/// How many directories are made in an upper beforehand: so many in each of so many.
const DIRECTORIES: (usize, usize) = (40, 50);

/// Starts in turns, and lists.
pub fn run(stage: &Stage, gates: &mut Gates) -> Result<(), String> {
    let error = |error: io::Error| format!("cannot make the layers: {error}");
    let runs = std::env::var("STOCKADE_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok());
    let runs = runs.unwrap_or(100);
    let top = stage.output("layers");
    let layers = (0..LAYERS).map(|nth| layer(&top.join(nth.to_string())));
    let layers = layers.collect::<io::Result<Vec<String>>>().map_err(error)?;
    let start = |name: &'static str, text: String| {
        let path = stage.output(&format!("{name}.toml"));
        fs::write(&path, text).map_err(error)?;
        Program::new(name, [stage.stockade_path().into(), OsString::from("run"), path.into()])
    };
    let whole = |entry: &str| {
        let head = format!("format = 1\n[process]\ncommand = [\"{TARGET}\"]\n[mounts]\n");
        format!(
            "{head}\"/\" = \"{entry}\"\n\"/proc\" = \"proc\"\n\"/dev\" = \"dev\"\n\"/tmp\" = \"tmpfs\"\n"
        )
    };
    let merged =
        format!("\"/work\" = {{ layers = [{}], upper = \"discard\" }}\n", layers.join(", "));
    let bound = format!("\"/work\" = {{ bind = {}, access = \"rw\" }}\n", layers[0]);
    let wide = directories(&top.join("wide")).map_err(error)?;
    let copied = |more: &str| {
        let entry = format!("\"/work\" = {{ layers = [{wide}], upper = \"discard\"{more} }}\n");
        profile(0) + &entry
    };
    println!("layers: median milliseconds, {runs} rounds in turns");
    let pairs = [
        (start("layers", profile(0) + &merged)?, start("bind", profile(0) + &bound)?),
        (start("overlay", whole("overlay"))?, start("read-only", whole("ro"))?),
        (start("copy-up", copied(", copy-up = [\"/work\"]"))?, start("without", copied(""))?),
    ];
    let mut medians = vec![];
    for (of, to) in &pairs {
        let (mut costs, mut others) = (vec![], vec![]);
        for _ in 0..runs {
            costs.push(of.run()?);
            others.push(to.run()?);
        }
        let (costs, others) = (millis(&costs), millis(&others));
        let [own, other] = [&costs, &others].map(|costs| median(costs));
        println!("  {:<10} {own:>8.2}  {:<10} {other:>8.2}", of.name(), to.name());
        medians.push((paired_ratio(&costs, &others), own - other));
    }
    gates.judge(GATE_MERGED.0, GATE_MERGED.1, medians[0].0);
    gates.judge(GATE_ROOT.0, GATE_ROOT.1, medians[1].1);
    let made = (DIRECTORIES.0 * (DIRECTORIES.1 + 1)) as f64;
    gates.judge(GATE_COPY_UP.0, GATE_COPY_UP.1, medians[2].1 * 1000.0 / made);
    let kept = kept(&stage.output("kept"), &layers[0]).map_err(error)?;
    let list = Program::new("changes", [stage.stockade_path().into(), "changes".into(), kept])?;
    let listed = median(&millis(&list.repeat(runs.min(20))?));
    println!("  changes {listed:>8.2}");
    gates.judge(GATE_CHANGES.0, GATE_CHANGES.1, listed);
    Ok(())
}

/// Makes a layer of a few files; its path as a TOML string.
fn layer(path: &Path) -> io::Result<String> {
    fs::create_dir_all(path.join("sub"))?;
    for name in ["one", "sub/two"] {
        fs::write(path.join(name), "text\n")?;
    }
    Ok(format!("\"{}\"", path.display()))
}

/// Makes a layer of many directories, each with a file; its path as a TOML string.
fn directories(path: &Path) -> io::Result<String> {
    for above in 0..DIRECTORIES.0 {
        for below in 0..DIRECTORIES.1 {
            let directory = path.join(format!("{above}/{below}"));
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("file"), "text\n")?;
        }
    }
    Ok(format!("\"{}\"", path.display()))
}

/// Makes a kept upper of 10,000 new files and directories over a layer.
fn kept(path: &Path, layer: &str) -> io::Result<OsString> {
    for directory in 0..100 {
        let directory = path.join(format!("upper/{directory}"));
        fs::create_dir_all(&directory)?;
        for file in 0..99 {
            fs::write(directory.join(file.to_string()), "x")?;
        }
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    let record = format!("{{\"format\":1,\"path\":\"/work\",\"layers\":[{layer}],\"pid\":0}}\n");
    fs::write(path.join("stockade"), record)?;
    Ok(path.into())
}
