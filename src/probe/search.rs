//! The search for what a program needs in order to start: its file, its interpreters, its
//! libraries, and the links that lead to them.
//!
//! It reads the host and grants nothing. The files may be an earlier target's: what they name is
//! bounded in number, and a script that they lead to is not taken for granted.

use crate::host::programs::{Lack, Piece, Program};
use crate::kernel::name::Inode;
use crate::language::value::parent;
use crate::probe::elf::{self, Elf, Machine, Program as Head};
use crate::probe::loader::{Cache, LARGEST_CACHE, LARGEST_LOADER, Loader, Object};
use crate::probe::script::{Script, program_of_env};
use crate::probe::view::{Found, View, What};
use crate::text::bytes;
use crate::text::gather::Gather;
use crate::text::problem::did_you_mean;
use crate::tree::walk::meant;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// Scripts run by scripts: the kernel follows five (fs/exec.c).
const MOST_SCRIPTS: usize = 6;
/// Files in one process.
const MOST_OBJECTS: usize = 1_024;

/// Places that are tried for all libraries of one run; a large program takes some hundreds.
const MOST_TRIED: usize = 20_000;

/// What the search for one run's programs remembers.
pub(super) struct Search<'a> {
    view: View<'a>,
    directories: Vec<String>,
    library_path: Option<String>,
    /// By the host's path, with the file's identity.
    heads: BTreeMap<String, Result<(Head, Inode), i32>>,
    cache: Option<Option<Cache>>,
    /// What was needed already: the same file as a program is walked once.
    started: BTreeSet<String>,
    /// How many places were tried for libraries.
    tried: usize,
    program: Program,
}

impl<'a> Search<'a> {
    /// A search in a tree, with the target's PATH and LD_LIBRARY_PATH.
    pub(super) fn new(
        view: View<'a>,
        directories: Vec<String>,
        library_path: Option<String>,
    ) -> Search<'a> {
        Search {
            view,
            directories,
            library_path,
            heads: BTreeMap::new(),
            cache: None,
            started: BTreeSet::new(),
            tried: 0,
            program: Program::default(),
        }
    }

    /// The view that it looks through.
    pub(super) fn view(&mut self) -> &mut View<'a> {
        &mut self.view
    }

    /// Every file that the program of this word needs. A relative path begins at `cwd`, where there
    /// is one.
    pub(super) fn need(&mut self, word: &str, cwd: Option<&str>) -> Program {
        self.program = Program { word: word.to_owned(), ..Program::default() };
        self.started.clear();
        if let Some(found) = self.find(word, cwd) {
            self.start(&found, None, 0);
        }
        std::mem::take(&mut self.program)
    }

    fn lack(&mut self, lack: Lack) {
        if !self.program.lacks.contains(&lack) {
            self.program.lacks.push(lack);
        }
    }

    /// The program's file, as execvp(3) looks for it: what may not be executed is passed over.
    fn find(&mut self, word: &str, cwd: Option<&str>) -> Option<Found> {
        let absolute = word.starts_with('/');
        let (paths, directories) = match (word.contains('/'), cwd) {
            (true, _) if absolute => (vec![word.to_owned()], vec![]),
            (true, Some(cwd)) => (vec![format!("{cwd}/{word}")], vec![]),
            (true, None) => {
                self.lack(Lack::Relative(word.to_owned()));
                return None;
            }
            (false, _) => (
                self.directories.iter().map(|directory| format!("{directory}/{word}")).collect(),
                self.directories.clone(),
            ),
        };
        let mut forbidden = None;
        for path in &paths {
            let Ok(found) = self.view.follow(path) else { continue };
            match &found.what {
                What::File { mode, source, exec, .. } if may_execute(source, *mode) && *exec => {
                    return Some(found);
                }
                What::File { exec, .. } => {
                    forbidden =
                        forbidden.or(Some(Lack::NotExecutable { path: found.path, mount: !exec }))
                }
                What::Text(_) => return Some(found),
                // The running sandbox alone knows what is there.
                What::Unknown => return None,
                What::Directory | What::Other => {
                    forbidden = forbidden.or(Some(Lack::NoProgram(found.path)))
                }
            }
        }
        let missing = || {
            let link = paths.iter().find_map(|path| self.view.link(&meant("/", path).0));
            let near = if link.is_some() { None } else { self.near(word, &directories) };
            Lack::Program { name: word.to_owned(), near, directories: directories.clone(), link }
        };
        let lack = forbidden.unwrap_or_else(missing);
        self.lack(lack);
        None
    }

    fn near(&self, word: &str, directories: &[String]) -> Option<String> {
        let names: BTreeSet<String> = match directories {
            [] => self.view.names(parent(word)).into_iter().gather(),
            directories => {
                directories.iter().flat_map(|directory| self.view.names(directory)).gather()
            }
        };
        let last = word.rsplit('/').next().unwrap_or(word);
        // What was asked for, by a link that leads nowhere, is no suggestion.
        did_you_mean(last, names.iter().map(String::as_str).filter(|name| *name != last))
            .map(str::to_owned)
    }

    /// Walks what is executed: `by` is the script that names it, where it is not the profile.
    fn start(&mut self, found: &Found, by: Option<&Found>, depth: usize) {
        if depth == MOST_SCRIPTS {
            return self.lack(Lack::TooMany(found.path.clone()));
        }
        let head = match &found.what {
            What::Text(text) => head_of_text(text),
            What::File { source, .. } => match self.head(source) {
                Ok(head) => head,
                Err(errno) => {
                    return self.lack(Lack::Unreadable { path: found.path.clone(), errno });
                }
            },
            _ => return self.lack(Lack::NoProgram(found.path.clone())),
        };
        match head {
            Head::Other => self.lack(Lack::NoProgram(found.path.clone())),
            Head::Script(script) => match self.foreign(found, by) {
                Some(by) => self.lack(Lack::Foreign { path: found.path.clone(), by }),
                None => {
                    self.take(found);
                    self.script(&script, found, depth);
                }
            },
            Head::Elf(elf) if !elf.machine.runs_here() => {
                self.lack(Lack::Machine { path: found.path.clone(), machine: elf.machine.word() });
            }
            Head::Elf(elf) => {
                self.take(found);
                if self.started.insert(found.path.clone()) {
                    self.elf(elf, found);
                }
            }
        }
    }

    /// The link or script that leads to a script which the profile does not name, unless it is
    /// root's. Scripts may hold secrets, and an earlier target may have been able to write to the
    /// directory; ELF files and libraries hold none.
    fn foreign(&self, found: &Found, by: Option<&Found>) -> Option<String> {
        let What::File { uid, granted: false, .. } = &found.what else { return None };
        let owner = |found: &Found| match &found.what {
            What::File { uid, .. } => *uid,
            _ => 0,
        };
        let by_script = by.filter(|by| owner(by) != 0 && *uid != 0).map(|by| by.path.clone());
        found.foreign.clone().or(by_script)
    }

    fn script(&mut self, script: &Script, found: &Found, depth: usize) {
        let Some(interpreter) = self.interpreter(&script.interpreter, &found.path) else { return };
        self.start(&interpreter, Some(found), depth + 1);
        if script.interpreter.rsplit('/').next() == Some("env")
            && let Some(word) = program_of_env(script.argument.as_deref().unwrap_or(""))
            && let Some(program) = self.find(&word, None)
        {
            self.start(&program, Some(found), depth + 1);
        }
    }

    /// The file that a program names to run it.
    fn interpreter(&mut self, path: &str, of: &str) -> Option<Found> {
        let lack = |errno| Lack::Interpreter { path: path.to_owned(), of: of.to_owned(), errno };
        let found = if path.starts_with('/') { self.view.follow(path) } else { Err(libc::ENOENT) };
        let lack = match found {
            Ok(found) => match &found.what {
                What::File { mode, source, exec: true, .. } if may_execute(source, *mode) => {
                    return Some(found);
                }
                What::File { exec, .. } => Lack::NotExecutable { path: found.path, mount: !exec },
                What::Text(_) => return Some(found),
                What::Unknown => return None,
                What::Directory | What::Other => lack(libc::EACCES),
            },
            Err(errno) => lack(errno),
        };
        self.lack(lack);
        None
    }

    /// Loads a program as its loader does: breadth first, each name once.
    fn elf(&mut self, elf: Elf, found: &Found) {
        // Without a loader its dynamic section is not read.
        let Some(interpreter) = elf.interpreter.clone() else { return };
        let Some(file) = self.interpreter(&interpreter, &found.path) else { return };
        let own = match self.head_of(&file) {
            Ok(Head::Elf(own)) if own.machine == elf.machine => own,
            Ok(_) => {
                return self.lack(Lack::Interpreter {
                    path: interpreter,
                    of: found.path.clone(),
                    errno: libc::ENOEXEC,
                });
            }
            Err(errno) => return self.lack(Lack::Unreadable { path: file.path, errno }),
        };
        self.take(&file);
        let mut loader = Loader::new(&file.path, elf.machine, self.library_path.clone())
            .with_directories(self.musl_directories(&file.path));
        if uses_its_place(&elf, &loader) && !self.view.is_entry("/proc/self/exe") {
            self.program.pieces.insert("/proc".into(), Piece::Proc);
        }
        let names = [Some(interpreter.as_str()), interpreter.rsplit('/').next()]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        // Read only where a library is not where the loader's place suggests.
        let mut unread = match &file.what {
            What::File { source, .. } => Some(source.clone()),
            _ => None,
        };
        // The loader is in the process from the start.
        let mut objects = vec![
            Object {
                path: found.path.clone(),
                names: vec![],
                origin: parent(&found.path).to_owned(),
                elf,
                by: None,
            },
            Object {
                path: file.path,
                names,
                origin: parent(&interpreter).to_owned(),
                elf: own,
                by: Some(0),
            },
        ];
        let mut by = 0;
        while by < objects.len() {
            for name in objects[by].elf.needed.clone() {
                if objects.iter().any(|object| object.is_called(&name)) || loader.is_itself(&name) {
                    continue;
                }
                if objects.len() >= MOST_OBJECTS || self.tried >= MOST_TRIED {
                    return self.lack(Lack::TooMany(found.path.clone()));
                }
                let mut libraries = self.library(&loader, &objects, by, &name);
                if libraries.is_empty()
                    && let Some(source) = unread.take()
                    && let Some(file) = read_bounded(&source, LARGEST_LOADER)
                    && let Some(more) = loader.with_built_in(&file)
                {
                    loader = more;
                    libraries = self.library(&loader, &objects, by, &name);
                }
                if libraries.is_empty() {
                    self.lack(Lack::Library { name, of: objects[by].path.clone() });
                }
                objects.extend(libraries);
            }
            by += 1;
        }
    }

    /// The library of a name, and its builds for newer processors.
    fn library(
        &mut self,
        loader: &Loader,
        objects: &[Object],
        by: usize,
        name: &str,
    ) -> Vec<Object> {
        if self.cache.is_none() {
            self.cache = Some(self.read_cache());
        }
        let places = loader.places(objects, by, name, self.cache.as_ref().and_then(Option::as_ref));
        let machine = objects[by].elf.machine;
        for place in places {
            self.tried += 1;
            let Some(first) = self.load(&place.path, name, machine, by) else { continue };
            let mut loaded = vec![first];
            if place.by_cache {
                if let Ok(cache) = self.view.follow(CACHE) {
                    self.take(&cache);
                }
                loaded.extend(
                    place.variants.iter().filter_map(|path| self.load(path, name, machine, by)),
                );
            }
            return loaded;
        }
        vec![]
    }

    /// A library at a path, if there is one for this machine; a loader passes over others.
    fn load(&mut self, path: &str, name: &str, machine: Machine, by: usize) -> Option<Object> {
        let found = self.view.follow(path).ok()?;
        match self.head_of(&found) {
            Ok(Head::Elf(elf)) if elf.machine == machine && elf.shared => {
                self.take(&found);
                if matches!(found.what, What::File { exec: false, .. }) {
                    self.lack(Lack::NotExecutable { path: found.path.clone(), mount: true });
                }
                Some(Object {
                    path: found.path,
                    names: vec![name.to_owned()],
                    origin: parent(path).to_owned(),
                    elf,
                    by: Some(by),
                })
            }
            _ => None,
        }
    }

    fn read_cache(&mut self) -> Option<Cache> {
        let found = self.view.follow(CACHE).ok()?;
        let What::File { source, .. } = &found.what else { return None };
        Cache::new(read_bounded(source, LARGEST_CACHE)?)
    }

    /// musl's default directories are in a file beside its loader's directory, if there is one.
    fn musl_directories(&mut self, loader: &str) -> Option<Vec<String>> {
        let machine = loader.rsplit('/').next()?.strip_prefix("ld-musl-")?.strip_suffix(".so.1")?;
        let prefix = parent(parent(loader)).trim_end_matches('/');
        let found = self.view.follow(&format!("{prefix}/etc/ld-musl-{machine}.path")).ok()?;
        let What::File { source, .. } = &found.what else { return None };
        let text = String::from_utf8(read_bounded(source, 1 << 16)?).ok()?;
        self.take(&found);
        Some(
            text.split([':', '\n'])
                .filter(|directory| directory.starts_with('/'))
                .map(str::to_owned)
                .collect(),
        )
    }

    fn head_of(&mut self, found: &Found) -> Result<Head, i32> {
        match &found.what {
            What::File { source, .. } => self.head(source),
            What::Text(text) => Ok(head_of_text(text)),
            _ => Ok(Head::Other),
        }
    }

    fn head(&mut self, source: &str) -> Result<Head, i32> {
        let read = self.heads.entry(source.to_owned()).or_insert_with(|| {
            let (file, inode) = open(source)?;
            Ok((elf::read(&file), inode))
        });
        read.as_ref().map(|(head, _)| head.clone()).map_err(|errno| *errno)
    }

    /// Takes note of a file and of the way to it, where no entry shows them.
    fn take(&mut self, found: &Found) {
        let links =
            found.links.iter().map(|(path, text)| (path.clone(), Piece::Link(text.clone())));
        self.program.pieces.extend(links);
        for directory in &found.directories {
            self.program.pieces.entry(directory.clone()).or_insert(Piece::Directory);
        }
        let What::File { source, granted: false, .. } = &found.what else { return };
        let inode = match self.heads.get(source) {
            Some(Ok((_, inode))) => *inode,
            // The cache, which is not read for its kind.
            _ => match open(source) {
                Ok((_, inode)) => inode,
                Err(_) => return,
            },
        };
        self.program
            .pieces
            .insert(found.path.clone(), Piece::File { source: source.clone(), inode });
    }
}

fn head_of_text(text: &str) -> Head {
    Script::read(text.as_bytes()).map_or(Head::Other, Head::Script)
}

const CACHE: &str = "/etc/ld.so.cache";

/// Opens a regular file, and nothing that would wait or act when it is opened.
fn open(path: &str) -> Result<(File, Inode), i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(bytes::path(path))
        .map_err(errno)?;
    let meta = file.metadata().map_err(errno)?;
    if meta.is_file() {
        Ok((file, Inode { dev: meta.dev(), ino: meta.ino() }))
    } else {
        Err(libc::EACCES)
    }
}

fn read_bounded(path: &str, most: u64) -> Option<Vec<u8>> {
    let (file, _) = open(path).ok()?;
    let mut bytes = vec![];
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether the caller may execute a file: the target is the caller's user, or one with less.
fn may_execute(path: &str, mode: u32) -> bool {
    mode & 0o111 != 0
        && nix::unistd::access(&*bytes::path(path), nix::unistd::AccessFlags::X_OK).is_ok()
}

/// Whether a program's own place says where its libraries are.
fn uses_its_place(elf: &Elf, loader: &Loader) -> bool {
    let texts = elf.rpath.iter().chain(&elf.runpath).chain(&elf.needed).chain(&loader.library_path);
    texts.into_iter().any(|text| text.contains("$ORIGIN") || text.contains("${ORIGIN}"))
}

#[cfg(test)]
mod tests;
