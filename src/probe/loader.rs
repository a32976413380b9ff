//! Where a dynamic loader looks for a library: the rules of glibc (ld.so(8)) and of musl, as a list
//! of paths. It opens nothing.

use crate::language::value::{below, parent};
use crate::probe::elf::{Elf, Machine};

/// A file that is in the process: the program, its loader, a library.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Its real path inside.
    pub path: String,
    /// The names under which it is asked for.
    pub names: Vec<String>,
    /// What `$ORIGIN` means in it.
    pub origin: String,
    pub elf: Elf,
    /// The object that named it first; the program has none.
    pub by: Option<usize>,
}

impl Object {
    /// Whether the loader takes it for a name instead of looking for a file.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.elf.soname.as_deref() == Some(name) || self.names.iter().any(|own| own == name)
    }
}

/// A place where a library may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub path: String,
    /// Whether only the cache leads there, so that it must be in the sandbox.
    pub by_cache: bool,
    /// Builds of the same library for newer processors, which the cache names beside it.
    pub variants: Vec<String>,
}

/// The loader of one program.
#[derive(Debug, Clone)]
pub(super) struct Loader {
    musl: bool,
    machine: Machine,
    /// What `$LIB` means.
    lib: String,
    /// The directories that are looked at last.
    pub directories: Vec<String>,
    /// The target's `LD_LIBRARY_PATH`.
    pub library_path: Option<String>,
}

/// Directories of one list.
const MOST_DIRECTORIES: usize = 256;
/// Directories that a loader has built in: Debian's has four.
const MOST_BUILT_IN: usize = 16;
/// How much of a loader's file is read for them; Debian's has 0.2 MB.
pub(super) const LARGEST_LOADER: u64 = 1 << 20;

impl Loader {
    /// The loader whose file, its links resolved, is at `path`.
    pub(super) fn new(path: &str, machine: Machine, library_path: Option<String>) -> Loader {
        let musl = path
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("ld-musl-") || name == "libc.so");
        let directory = parent(path);
        // glibc's own directory is its first default one; built with the prefix /usr it has another
        // in /usr (Makeconfig, sysd-dirs).
        let tail = below(directory, "/usr")
            .filter(|tail| tail.starts_with("/lib"))
            .or(directory.starts_with("/lib").then_some(directory));
        let directories: Vec<String> = match tail {
            _ if musl => ["/lib", "/usr/local/lib", "/usr/lib"].map(str::to_owned).to_vec(),
            // Debian's directory of an architecture comes before the common ones.
            Some(tail) if tail.len() > "/lib/".len() && tail.starts_with("/lib/") => {
                vec![
                    tail.to_owned(),
                    format!("/usr{tail}"),
                    "/lib".to_owned(),
                    "/usr/lib".to_owned(),
                ]
            }
            Some(tail) => vec![tail.to_owned(), format!("/usr{tail}")],
            None => vec![directory.to_owned()],
        };
        let lib = tail.map_or("lib", |tail| &tail[1..]).to_owned();
        // The environment may separate its directories by `;`, too.
        Loader {
            musl,
            machine,
            lib,
            directories,
            library_path: library_path.map(|path| path.replace(';', ":")),
        }
    }

    /// The same with other default directories: musl's are in a file.
    pub(super) fn with_directories(self, directories: Option<Vec<String>>) -> Loader {
        Loader { directories: directories.unwrap_or(self.directories), ..self }
    }

    /// The same with the directories that glibc's loader has in its own file, where it has more than
    /// the ones that its place suggests: Debian's has those of its architecture, wherever it lies.
    pub(super) fn with_built_in(&self, file: &[u8]) -> Option<Loader> {
        let mut directories = self.directories.clone();
        let built_in = built_in(file);
        let lib = built_in.first()?[1..].to_owned();
        let further =
            built_in.into_iter().filter(|directory| !self.directories.contains(directory));
        directories.extend(further);
        (!self.musl && directories.len() > self.directories.len()).then(|| Loader {
            lib,
            directories,
            ..self.clone()
        })
    }

    /// The names that musl's loader answers to by itself (its ldso/dynlink.c).
    pub(super) fn is_itself(&self, name: &str) -> bool {
        let rest = name.strip_prefix("lib").unwrap_or("");
        self.musl
            && ["c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."]
                .iter()
                .any(|own| rest.starts_with(own))
    }

    /// Where `objects[by]` finds a library, in the order of the search.
    pub(super) fn places(
        &self,
        objects: &[Object],
        by: usize,
        name: &str,
        cache: Option<&Cache>,
    ) -> Vec<Place> {
        let asks = &objects[by];
        if name.contains('/') {
            return self
                .expand(name, &asks.origin)
                .filter(|path| path.starts_with('/'))
                .map(plain)
                .into_iter()
                .collect();
        }
        let mut lists: Vec<String> = vec![];
        let mut chain =
            std::iter::successors(Some(asks), |object| object.by.map(|by| &objects[by]));
        let environment =
            self.library_path.as_ref().map(|path| self.list(path, &objects[0].origin));
        if self.musl {
            lists.extend(environment.into_iter().flatten());
            // Either tag, of the object and of every object that loaded it.
            lists.extend(
                chain
                    .filter_map(|object| {
                        Some((object.elf.runpath.as_ref().or(object.elf.rpath.as_ref())?, object))
                    })
                    .flat_map(|(path, object)| self.list(path, &object.origin)),
            );
        } else {
            // An object with a RUNPATH ignores its own RPATH and that of every other (ld.so(8)).
            if asks.elf.runpath.is_none() {
                let rpaths = chain.by_ref().filter(|object| object.elf.runpath.is_none());
                lists.extend(
                    rpaths
                        .filter_map(|object| Some((object.elf.rpath.as_ref()?, object)))
                        .flat_map(|(path, object)| self.list(path, &object.origin)),
                );
            }
            lists.extend(environment.into_iter().flatten());
            // A RUNPATH is for the object's own libraries, not for theirs.
            lists.extend(asks.elf.runpath.iter().flat_map(|path| self.list(path, &asks.origin)));
        }
        lists.truncate(MOST_DIRECTORIES);
        let mut places: Vec<Place> =
            lists.iter().map(|directory| plain(format!("{directory}/{name}"))).collect();
        let no_default = asks.elf.no_default && !self.musl;
        if let Some(cache) = cache.filter(|_| !self.musl) {
            let is_default = |path: &str| {
                self.directories.iter().any(|directory| below(path, directory).is_some())
            };
            let (base, variants) = cache.find(name);
            let found = base.into_iter().filter(|path| !(no_default && is_default(path)));
            places.extend(found.map(|path| Place {
                by_cache: !self.directories.iter().any(|directory| directory == parent(&path)),
                variants: variants.clone(),
                path,
            }));
        }
        if !no_default {
            places.extend(
                self.directories.iter().map(|directory| plain(format!("{directory}/{name}"))),
            );
        }
        places
    }

    /// The directories of a list. One that is relative to the working directory is not granted.
    fn list<'a>(&'a self, list: &'a str, origin: &'a str) -> impl Iterator<Item = String> + 'a {
        list.split(':')
            .take(MOST_DIRECTORIES)
            .filter_map(|directory| self.expand(directory, origin))
            .filter(|directory| directory.starts_with('/'))
    }

    /// A text with `$ORIGIN`, `$LIB` and `$PLATFORM` put in, with braces or without.
    fn expand(&self, text: &str, origin: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('$') {
            out.push_str(&rest[..start]);
            rest = &rest[start..];
            let known = [("ORIGIN", origin), ("LIB", &self.lib), ("PLATFORM", self.machine.word())];
            let meant = known.iter().find_map(|(name, value)| {
                let braced = rest
                    .strip_prefix("${")
                    .and_then(|tail| tail.strip_prefix(name)?.strip_prefix('}'));
                let bare = rest[1..].strip_prefix(name).filter(|tail| {
                    !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                });
                braced.or(bare).map(|tail| (*value, tail))
            });
            let (value, tail) = meant.unwrap_or(("$", &rest[1..]));
            out.push_str(value);
            rest = tail;
            if out.len() > 4095 {
                return None;
            }
        }
        out.push_str(rest);
        (out.len() <= 4095).then_some(out)
    }
}

/// glibc's `system_dirs` (elf/dl-load.c): texts one after the other, each with a `/` at its end.
fn built_in(file: &[u8]) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    for text in file.split(|byte| *byte == 0).filter(|text| text.ends_with(b"/")) {
        // A number before it may have no zero at its end.
        let text = text.rsplit(|byte| !byte.is_ascii_graphic()).next().unwrap_or_default();
        let directory = std::str::from_utf8(text).unwrap_or("").trim_end_matches('/');
        let is_new = || out.iter().all(|had| had != directory);
        if directory.starts_with('/') && directory.contains("/lib") && is_new() {
            out.push(directory.to_owned());
        }
        if out.len() == MOST_BUILT_IN {
            break;
        }
    }
    out
}

fn plain(path: String) -> Place {
    Place { path, by_cache: false, variants: vec![] }
}

// ---- the cache ----

/// `/etc/ld.so.cache` in the format of glibc 2.2 and later (sysdeps/generic/dl-cache.h), alone or
/// behind the old one.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    bytes: Vec<u8>,
    start: usize,
    count: usize,
}

/// How much of a cache is read: one of a large machine has a megabyte.
pub(super) const LARGEST_CACHE: u64 = 32 << 20;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const HEADER: usize = 48;
const ENTRY: usize = 24;

impl Cache {
    /// Takes the bytes of the file, if they are a cache.
    pub(super) fn new(bytes: Vec<u8>) -> Option<Cache> {
        let start = if bytes.starts_with(OLD_MAGIC) {
            // The new table begins behind the old one, aligned for its numbers.
            usize::try_from(number(&bytes, 12)?).ok()?.checked_mul(12)?.checked_add(16 + 7)? & !7
        } else {
            0
        };
        let count = usize::try_from(number(&bytes, start.checked_add(MAGIC.len())?)?).ok()?;
        let end = count.checked_mul(ENTRY)?.checked_add(start)?.checked_add(HEADER)?;
        (bytes.get(start..)?.starts_with(MAGIC) && end <= bytes.len()).then_some(Cache {
            bytes,
            start,
            count,
        })
    }

    /// The paths under a name: the plain ones, and those for certain processors.
    pub(super) fn find(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let (mut base, mut variants) = (vec![], vec![]);
        for index in 0..self.count {
            let at = self.start + HEADER + index * ENTRY;
            // Only ELF libraries of the C library that is in use: flags are 3 in their low byte.
            if self.bytes[at] != 3 || !self.text_is(at + 4, name) {
                continue;
            }
            let Some(path) = self.text(at + 8).filter(|path| path.starts_with('/')) else {
                continue;
            };
            let list = if self.bytes[at + 16..at + ENTRY].iter().all(|byte| *byte == 0) {
                &mut base
            } else {
                &mut variants
            };
            if list.len() < 64 {
                list.push(path);
            }
        }
        (base, variants)
    }

    fn bytes_at(&self, offset: usize) -> Option<&[u8]> {
        self.bytes
            .get(self.start.checked_add(usize::try_from(number(&self.bytes, offset)?).ok()?)?..)
    }

    fn text_is(&self, offset: usize, name: &str) -> bool {
        self.bytes_at(offset).is_some_and(|bytes| {
            bytes.starts_with(name.as_bytes()) && bytes.get(name.len()) == Some(&0)
        })
    }

    fn text(&self, offset: usize) -> Option<String> {
        let bytes = self.bytes_at(offset)?;
        let end = bytes.iter().take(4096).position(|byte| *byte == 0)?;
        String::from_utf8(bytes[..end].to_vec()).ok()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { wide: true, number: elf::abi::EM_X86_64 };

    fn object(rpath: Option<&str>, runpath: Option<&str>, by: Option<usize>) -> Object {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let elf = Elf {
            machine: MACHINE,
            shared: true,
            interpreter: None,
            needed: vec![],
            soname: None,
            rpath: own(rpath),
            runpath: own(runpath),
            no_default: false,
        };
        Object {
            path: String::new(),
            names: vec![],
            origin: format!("/o{}", by.map_or(0, |by| by + 1)),
            elf,
            by,
        }
    }

    fn paths(loader: &Loader, objects: &[Object], by: usize, cache: Option<&Cache>) -> Vec<String> {
        loader.places(objects, by, "x.so", cache).into_iter().map(|place| place.path).collect()
    }

    fn with(library_path: Option<&str>) -> Loader {
        let own = Loader::new(
            "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            MACHINE,
            library_path.map(str::to_owned),
        );
        own.with_directories(Some(vec!["/lib".into()]))
    }

    fn glibc() -> Loader {
        with(None)
    }

    #[test]
    fn the_loaders_own_place_gives_the_default_directories() {
        let directories = |path: &str| Loader::new(path, MACHINE, None).directories.join(" ");
        assert_eq!(
            directories("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
            "/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib /usr/lib"
        );
        assert_eq!(directories("/usr/lib64/ld-linux-x86-64.so.2"), "/lib64 /usr/lib64");
        assert_eq!(directories("/usr/lib/ld-linux-x86-64.so.2"), "/lib /usr/lib");
        assert_eq!(
            directories("/gnu/store/x-glibc/lib/ld-linux-x86-64.so.2"),
            "/gnu/store/x-glibc/lib"
        );
        assert_eq!(directories("/lib/ld-musl-x86_64.so.1"), "/lib /usr/local/lib /usr/lib");
    }

    #[test]
    fn a_loader_has_directories_built_in() {
        let file =
            b"\x7fELF\0\x01\xff/lib/x-gnu/\0/usr/lib/x-gnu/\0/lib/\0/usr/lib/\0/lib/x-gnu/\0\
            /var/tmp\0/lib/no\0lib/no/\0/dev/";
        assert_eq!(built_in(file), ["/lib/x-gnu", "/usr/lib/x-gnu", "/lib", "/usr/lib"]);
        let loader = Loader::new("/lib64/ld-linux-x86-64.so.2", MACHINE, None);
        let more = loader.with_built_in(file).unwrap();
        assert_eq!(
            more.directories.join(" "),
            "/lib64 /usr/lib64 /lib/x-gnu /usr/lib/x-gnu /lib /usr/lib"
        );
        assert_eq!(more.expand("/usr/$LIB", "/").as_deref(), Some("/usr/lib/x-gnu"));
        // The twins: one that has no more, one that has none, and musl's.
        assert!(more.with_built_in(file).is_none() && loader.with_built_in(b"").is_none());
        let musl = Loader::new("/lib/ld-musl-x86_64.so.1", MACHINE, None);
        assert!(musl.with_built_in(file).is_none());
        let many: Vec<u8> = (0..99).flat_map(|n| format!("/lib{n}/\0").into_bytes()).collect();
        assert_eq!(built_in(&many).len(), MOST_BUILT_IN);
    }

    #[test]
    fn rpath_is_inherited_and_runpath_is_not() {
        let loader = glibc();
        // The program has a RPATH: it counts for the library of its library.
        assert_eq!(
            paths(
                &loader,
                &[object(Some("/a:$ORIGIN/b"), None, None), object(None, None, Some(0))],
                1,
                None
            ),
            ["/a/x.so", "/o0/b/x.so", "/lib/x.so"]
        );
        // A RUNPATH of the program does not.
        assert_eq!(
            paths(&loader, &[object(None, Some("/a"), None), object(None, None, Some(0))], 1, None),
            ["/lib/x.so"]
        );
        assert_eq!(
            paths(&loader, &[object(None, Some("/a"), None)], 0, None),
            ["/a/x.so", "/lib/x.so"]
        );
        // An object with a RUNPATH looks at no RPATH, neither its own nor that of others.
        assert_eq!(
            paths(
                &loader,
                &[object(Some("/a"), None, None), object(Some("/b"), Some("/c"), Some(0))],
                1,
                None
            ),
            ["/c/x.so", "/lib/x.so"]
        );
        // A RPATH in between with a RUNPATH beside it is none.
        let chain = [
            object(Some("/a"), None, None),
            object(Some("/b"), Some("/c"), Some(0)),
            object(None, None, Some(1)),
        ];
        assert_eq!(paths(&loader, &chain, 2, None), ["/a/x.so", "/lib/x.so"]);
    }

    #[test]
    fn the_environment_stands_between_rpath_and_runpath() {
        let loader = with(Some("/e;relative:"));
        assert_eq!(
            paths(&loader, &[object(Some("/a"), None, None)], 0, None),
            ["/a/x.so", "/e/x.so", "/lib/x.so"]
        );
        assert_eq!(
            paths(&loader, &[object(None, Some("/a"), None)], 0, None),
            ["/e/x.so", "/a/x.so", "/lib/x.so"]
        );
        let musl = Loader { musl: true, ..loader };
        assert_eq!(
            paths(
                &musl,
                &[object(None, Some("/a"), None), object(Some("/b"), None, Some(0))],
                1,
                None
            ),
            ["/e/x.so", "/b/x.so", "/a/x.so", "/lib/x.so"]
        );
    }

    #[test]
    fn names_are_put_in() {
        let loader = glibc();
        let expand = |text: &str| loader.expand(text, "/o").unwrap();
        assert_eq!(expand("${ORIGIN}/../$LIB/$PLATFORM"), "/o/../lib/x86_64-linux-gnu/x86_64");
        assert_eq!(expand("$ORIGINAL/$$ORIGIN/${LIB"), "$ORIGINAL/$/o/${LIB");
        assert_eq!(loader.expand(&"$ORIGIN/".repeat(3_000), "/o"), None);
        assert_eq!(
            loader.places(&[object(None, None, None)], 0, "$ORIGIN/x.so", None),
            [plain("/o0/x.so".into())]
        );
        assert_eq!(loader.places(&[object(None, None, None)], 0, "lib/x.so", None), []);
    }

    /// A cache as ldconfig writes it, with the name, the path and the processor of each entry.
    fn cache(entries: &[(&str, &str, u64)], old: bool) -> Vec<u8> {
        let mut strings = vec![];
        let mut table = vec![];
        let text_start = HEADER + entries.len() * ENTRY;
        for (name, path, hwcap) in entries {
            table.extend(0x0303_i32.to_ne_bytes());
            for text in [name, path] {
                table.extend(u32::try_from(text_start + strings.len()).unwrap().to_ne_bytes());
                strings.extend(text.bytes().chain([0]));
            }
            table.extend(0_u32.to_ne_bytes());
            table.extend(hwcap.to_ne_bytes());
        }
        let mut out =
            if old { [OLD_MAGIC, &[1, 0, 0, 0], &[0; 12], &[0; 4]].concat() } else { vec![] };
        out.extend(MAGIC);
        out.extend(u32::try_from(entries.len()).unwrap().to_ne_bytes());
        out.extend(u32::try_from(strings.len()).unwrap().to_ne_bytes());
        out.resize(out.len() + 20, 0);
        out.extend(table);
        out.extend(strings);
        out
    }

    #[test]
    fn the_cache_stands_before_the_default_directories() {
        for old in [false, true] {
            let cache = Cache::new(cache(
                &[("x.so.1", "/no", 0), ("x.so", "/v3/x.so", 1 << 62), ("x.so", "/opt/x.so", 0)],
                old,
            ))
            .unwrap();
            let loader = glibc();
            let places = loader.places(&[object(None, None, None)], 0, "x.so", Some(&cache));
            assert_eq!(
                places,
                [
                    Place {
                        path: "/opt/x.so".into(),
                        by_cache: true,
                        variants: vec!["/v3/x.so".into()]
                    },
                    plain("/lib/x.so".into())
                ]
            );
        }
        let cache = Cache::new(cache(&[("x.so", "/lib/x.so", 0), ("x.so", "/opt/x.so", 0)], false))
            .unwrap();
        let mut alone = object(None, None, None);
        assert!(!glibc().places(&[alone.clone()], 0, "x.so", Some(&cache))[0].by_cache);
        // DF_1_NODEFLIB: neither the default directories nor the cache's entries of them.
        alone.elf.no_default = true;
        assert_eq!(paths(&glibc(), &[alone], 0, Some(&cache)), ["/opt/x.so"]);
    }

    #[test]
    fn broken_caches_are_survived() {
        let whole = cache(&[("x.so", "/lib/x.so", 0), ("y.so", "/lib/y.so", 0)], true);
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut broken = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (state >> 33) as usize % broken.len();
                broken[at] = (state >> 24) as u8;
            }
            broken.truncate(if state & 1 == 0 {
                (state >> 40) as usize % broken.len()
            } else {
                broken.len()
            });
            if let Some(cache) = Cache::new(broken) {
                let (base, variants) = cache.find("x.so");
                assert!(base.len() + variants.len() <= 2);
            }
        }
    }
}
