//! Loading, on real files in a directory of each test's own.

use super::*;
use crate::policy::mounts::kinds::Mount;
use crate::text::problem::{Problem, Style};
use crate::tree::Ground;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

mod files;
mod layers;
mod mutations;
mod sections;
mod spelled;
mod variables;

/// A directory with profiles, removed at the end of its test.
struct Place {
    path: PathBuf,
    caller: Caller,
    request: Request,
}

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    fn new() -> Place {
        let path = std::env::temp_dir().join(format!(
            "stockade-load-{}-{}",
            std::process::id(),
            PLACES.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let path = path.canonicalize().unwrap();
        let text = |name: &str| path.join(name).to_str().unwrap().to_owned();
        let caller = Caller {
            uid: nix::unistd::geteuid().as_raw(),
            gid: 100,
            user: "ada".into(),
            home: "/home/ada".into(),
            cwd: "/work/site".into(),
            runtime_dir: Some("/run/user/1000".into()),
            session_dir: None,
            env: [
                ("TOKEN", "hunter2-hunter2"),
                ("EMPTY", ""),
                ("BANG", "!*"),
                ("LINE", "a\nb"),
                ("UP", "x/../y"),
                ("WORD", "default"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            system_profiles: text("system"),
            user_profiles: Some(text("user")),
        };
        let request = Request { profile: text("main.toml"), ..Request::default() };
        Place { path, caller, request }
    }

    /// Writes a file, with `format = 1` as its first line.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        self.raw(name, format!("format = 1\n{text}").as_bytes())
    }

    fn raw(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        path
    }

    fn main(text: &str) -> Place {
        let place = Place::new();
        place.file("main.toml", text);
        place
    }

    fn config(mut self, toml: &str) -> Place {
        self.request.config.push(("--config".into(), toml.into()));
        self
    }

    fn set(mut self, name: &str, value: &str) -> Place {
        self.request.params.push((name.into(), value.into()));
        self
    }

    fn args(mut self, args: &[&str]) -> Place {
        self.request.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    fn try_load(&self) -> (Result<Profile, Problems>, Sources) {
        let mut sources = Sources::default();
        (load(&self.request, &self.caller, &mut sources), sources)
    }

    #[track_caller]
    fn load(&self) -> Profile {
        let (loaded, sources) = self.try_load();
        loaded.unwrap_or_else(|problems| panic!("{}", problems.render(&sources, Style::Plain)))
    }

    /// Every problem as `file:line:column: message (help)`, with the directory's own name left out.
    #[track_caller]
    fn problems(&self) -> Vec<String> {
        let (loaded, sources) = self.try_load();
        let problems = loaded.expect_err("the profile should be refused");
        let directory = format!("{}/", self.path.display());
        let line = |problem: &Problem| {
            let place =
                sources.place(problem.at).map_or(String::new(), |place| format!("{place}: "));
            let help = problem.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
            format!("{place}{}{help}", problem.message).replace(&directory, "")
        };
        problems.iter().map(line).collect()
    }

    #[track_caller]
    fn problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems.into_iter().next().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.path).unwrap();
    }
}

fn command(profile: &Profile) -> Vec<&str> {
    profile.process.command.get().unwrap().iter().map(|word| word.value.as_str()).collect()
}

fn source_of(profile: &Profile, path: &str) -> String {
    match &profile.mounts.get(path).unwrap().value {
        Mount::Bind(bind) => bind.source.as_deref().unwrap_or("").to_owned(),
        other => panic!("{other:?}"),
    }
}

/// What is looked for in grants passes no kind that shows a tree of the host.
#[test]
fn every_kind_grants_the_trees_that_it_shows() {
    let place = Place::new();
    place.raw("main.toml", include_bytes!("../../../tests/plans/kinds.toml"));
    let mounts = place.load().mounts;
    for (path, mount) in mounts.iter() {
        let (path, mount) = (path.value, &mount.value);
        let shown: Vec<String> = match mount.kind().ground(path) {
            Ground::Host(stack) => stack.topmost_first().map(|one| one.path.clone()).collect(),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => vec![],
        };
        let granted: Vec<&str> = match mount.grant(path) {
            Some(grant) => grant.sources().collect(),
            // A copied file is not a tree of the host's.
            None if matches!(mount, Mount::File(_)) => vec![],
            // A device and a socket are no trees.
            None => crate::policy::mounts::tree::source_of(path, mount).into_iter().collect(),
        };
        assert_eq!(granted, shown, "{path}");
    }
    let written = |path| mounts.get(path)?.value.grant(path)?.written;
    assert_eq!((written("/made"), written("/usr")), (Some("/srv/data/made"), None));
}
