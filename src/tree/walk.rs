//! A path followed through a [`Tree`], name by name, as the kernel does it: symbolic links, `..`,
//! and in a stack of sources what overlayfs makes of them: whiteouts, opaque directories, and names
//! that are of another kind further down.
//!
//! It is a pure function over what [`Facts`] answers, and judges nothing: it asks its reader at
//! each directory and link whether the target may enter or follow it.

pub use super::facts::{Facts, Halt, Kind, Looked, Position, Step};
use super::{Ground, HasGround, Own, Source, Stack, Tree};
use crate::host::FileKind;
use crate::language::value::{below, join, parent};
use crate::step::Cover;

/// How many symbolic links the kernel follows for one path (path_resolution(7)).
pub(crate) const MOST_LINKS: usize = 40;

/// How long a path may be, without the NUL at its end (PATH_MAX of limits.h).
const LONGEST: usize = libc::PATH_MAX as usize - 1;

/// How long a name may be in file systems in memory (NAME_MAX of limits.h).
const LONGEST_NAME: usize = 255;

/// Whether a link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    Followed,
    /// It is the end.
    Kept,
}

/// A walk, as far as it went.
#[derive(Debug)]
pub struct Walk<'t, N, F, S> {
    /// The steps of the resolved path, from the root on: directories, and a last one of any kind.
    pub way: Vec<Step<'t, N, F>>,
    /// The links that were followed, in the order in which they were met.
    pub links: Vec<Step<'t, N, F>>,
    /// The directories that it left by `..`.
    pub left: Vec<Step<'t, N, F>>,
    /// The names that were not walked, the first of them where the walk stopped.
    pub rest: Vec<String>,
    /// Why it stopped; none: it is at its end.
    pub halt: Option<Halt<S>>,
}

impl<'t, N, F, S> Walk<'t, N, F, S> {
    /// The file at the end of the path, or the reason why there is none.
    pub fn end(mut self) -> Result<Step<'t, N, F>, Halt<S>> {
        match self.halt {
            Some(halt) => Err(halt),
            None => self.way.pop().ok_or(Halt::Errno(libc::ENOENT)),
        }
    }
}

/// Walks an absolute path.
pub fn walk<'t, N: HasGround, F: Facts<N>>(
    tree: &'t Tree<N>,
    facts: &mut F,
    path: &str,
    last: Last,
) -> Walk<'t, N, F::File, F::Stop> {
    let mut walk = Walk { way: vec![], links: vec![], left: vec![], rest: vec![], halt: None };
    let mut names = names_of(path);
    let mut walker = Walker { tree, facts };
    let halt = match path.len() {
        0 => Err(Halt::Errno(libc::ENOENT)),
        length if length > LONGEST => Err(Halt::Errno(libc::ENAMETOOLONG)),
        _ => walker.go(&mut walk, &mut names, last),
    };
    walk.halt = halt.err();
    walk.rest.extend(names.into_iter().rev());
    walk
}

/// What is at a path that has no link on its way, without a walk to it.
pub(crate) fn look<'t, N: HasGround, F: Facts<N>>(
    tree: &'t Tree<N>,
    facts: &mut F,
    path: &str,
) -> Result<Step<'t, N, F::File>, Halt<F::Stop>> {
    let (over, node) = tree.nearest(path);
    let tail = &path[if over == "/" { 0 } else { over.len() }..];
    let mut walker = Walker { tree, facts };
    match node.ground() {
        // The host's own kernel walks there.
        Ground::Host(stack) if !stack.is_merged() => {
            let places = vec![(0, join(&stack.topmost().path, below(path, over).unwrap_or(tail)))];
            let position = Position { path, over, node };
            let (file, kind, places) = walker.merged(position, stack, places, true)?;
            return Ok(Step { path: path.into(), kind, file, over: over.into(), node, places });
        }
        Ground::Host(_) | Ground::Own(_) | Ground::Kernel(_) | Ground::Same => {}
    }
    let mut here = walker.top(over.to_owned(), node)?;
    for name in names_of(tail).into_iter().rev() {
        if !here.kind.is_directory() {
            return Err(Halt::Errno(libc::ENOTDIR));
        }
        here = walker.child(&here, &name)?;
    }
    Ok(here)
}

/// The names of a path, the last first. A `/` at its end asks for a directory, and so does `/.`: an
/// empty name and `.` stand for them. To the kernel the name before `/.` is not the last.
pub(crate) fn names_of(path: &str) -> Vec<String> {
    let names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    let end = if path.ends_with("/.") { "." } else { "" };
    if (path.ends_with('/') || end == ".") && !names.is_empty() {
        names.push(end.to_owned());
    }
    names.reverse();
    names
}

/// The place that the text of a link in `directory` names, and whether the text alone decides it:
/// where `..` after a name leads depends on whether that name is a link.
pub(crate) fn meant(directory: &str, text: &str) -> (String, bool) {
    let mut place = if text.starts_with('/') { "/" } else { directory }.to_owned();
    let (mut named, mut is_sure) = (false, true);
    for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            is_sure &= !named;
            place = parent(&place).to_owned();
        } else {
            named = true;
            place = join(&place, &format!("/{name}"));
        }
    }
    (place, is_sure)
}

struct Walker<'t, 'f, N, F> {
    tree: &'t Tree<N>,
    facts: &'f mut F,
}

/// A step, or why there is none.
type Stepped<'t, N, F> = Result<Step<'t, N, <F as Facts<N>>::File>, Halt<<F as Facts<N>>::Stop>>;

impl<'t, N: HasGround, F: Facts<N>> Walker<'t, '_, N, F> {
    /// Walks names, the last first, from the root.
    fn go(
        &mut self,
        walk: &mut Walk<'t, N, F::File, F::Stop>,
        names: &mut Vec<String>,
        last: Last,
    ) -> Result<(), Halt<F::Stop>> {
        let root = self.top("/".to_owned(), self.tree.root())?;
        walk.way.push(root);
        while let Some(name) = names.pop() {
            let here = &walk.way[walk.way.len() - 1];
            if let Err(halt) = self.may_go_on(here) {
                walk.rest.push(name);
                return Err(halt);
            }
            if here.kind == Kind::Unknown {
                walk.rest.push(name);
                return Ok(());
            }
            match name.as_str() {
                "" | "." => continue,
                ".." if walk.way.len() == 1 => continue,
                ".." => {
                    walk.left.extend(walk.way.pop());
                    continue;
                }
                _ => {}
            }
            let step = match self.child(here, &name) {
                Ok(step) => step,
                Err(halt) => {
                    walk.rest.push(name);
                    return Err(halt);
                }
            };
            let is_kept = names.is_empty() && last == Last::Kept;
            let Some(text) = step.kind.link().filter(|_| !is_kept).map(str::to_owned) else {
                walk.way.push(step);
                continue;
            };
            let at_end = names.iter().all(String::is_empty);
            self.facts.follow(here, &step, at_end)?;
            walk.links.push(step);
            if walk.links.len() > MOST_LINKS {
                return Err(Halt::Errno(libc::ELOOP));
            }
            names.extend(names_of(&text));
            if text.starts_with('/') {
                walk.way.truncate(1);
            }
        }
        Ok(())
    }

    /// A name is looked up in a directory alone, and where the reader lets it.
    fn may_go_on(&mut self, here: &Step<'t, N, F::File>) -> Result<(), Halt<F::Stop>> {
        match &here.kind {
            Kind::Unknown => Ok(()),
            Kind::File(FileKind::Directory) => self.facts.enter(here),
            Kind::File(_) | Kind::Whiteout => Err(Halt::Errno(libc::ENOTDIR)),
        }
    }

    /// What is at a node.
    fn top(&mut self, path: String, node: &'t N) -> Stepped<'t, N, F> {
        let position = Position { path: &path, over: &path, node };
        let own = |facts: &mut F, kind| (facts.own(position, &kind), Kind::File(kind), vec![]);
        let (file, kind, places) = match node.ground() {
            Ground::Own(Own::Root | Own::Memory { .. } | Own::Directory | Own::Devices(_))
            | Ground::Same => own(self.facts, FileKind::Directory),
            Ground::Own(Own::Link(text)) => own(self.facts, FileKind::Link(text.clone())),
            Ground::Own(Own::File(_) | Own::Hidden(Cover::File)) => {
                own(self.facts, FileKind::Regular)
            }
            Ground::Own(Own::Whiteout) => return Err(Halt::Errno(libc::ENOENT)),
            Ground::Own(Own::Hidden(Cover::Directory)) => own(self.facts, FileKind::Directory),
            Ground::Kernel(kernel) => {
                let (kind, file) = self.facts.kernel(position, kernel)?;
                (file, kind, vec![])
            }
            Ground::Host(stack) => {
                let tops = stack.topmost_first().map(|source| source.path.clone());
                let tops: Vec<(usize, String)> = tops.enumerate().collect();
                self.merged(position, stack, tops, true)?
            }
        };
        Ok(Step { over: path.clone(), path, kind, file, node, places })
    }

    /// The entry of a directory by its name.
    fn child(&mut self, here: &Step<'t, N, F::File>, name: &str) -> Stepped<'t, N, F> {
        let path = join(&here.path, &format!("/{name}"));
        if let Some(node) = self.tree.get(&path)
            && *node.ground() != Ground::Same
        {
            return self.top(path, node);
        }
        let position = Position { path: &path, over: &here.over, node: here.node };
        let (file, kind, places) = match here.node.ground() {
            Ground::Own(own) => {
                let (kind, file) = match own {
                    Own::Root | Own::Memory { .. } | Own::Directory | Own::Devices(_) => {
                        self.on_own_ground(position, name)?
                    }
                    Own::Hidden(_) | Own::Whiteout | Own::Link(_) | Own::File(_) => {
                        return Err(Halt::Errno(libc::ENOENT));
                    }
                };
                (file, kind, vec![])
            }
            Ground::Same => {
                let (kind, file) = self.on_own_ground(position, name)?;
                (file, kind, vec![])
            }
            Ground::Kernel(kernel) => {
                let (kind, file) = self.facts.kernel(position, kernel)?;
                (file, kind, vec![])
            }
            Ground::Host(stack) => {
                let tail = format!("/{name}");
                let places = here.places.iter().map(|(nth, place)| (*nth, join(place, &tail)));
                self.merged(position, stack, places.collect(), false)?
            }
        };
        Ok(Step { over: here.over.clone(), path, kind, file, node: here.node, places })
    }

    /// An entry without a node in a directory of the sandbox's own: a parent of a node, or a file
    /// that the reader knows.
    fn on_own_ground(&mut self, position: Position<'_, N>, name: &str) -> Looked<F::File, F::Stop> {
        if name.len() > LONGEST_NAME {
            return Err(Halt::Errno(libc::ENAMETOOLONG));
        }
        if self.tree.is_way(position.path) {
            let kind = FileKind::Directory;
            return Ok((Kind::File(kind.clone()), self.facts.own(position, &kind)));
        }
        self.facts.bare(position)
    }

    /// The entry of a stack at these places, the topmost first: the first that exists, and if that
    /// is a directory, all directories down to one that is opaque, to a whiteout or to another kind
    /// of file (ovl_lookup() of the kernel). The tops of a stack are merged whatever they say.
    #[allow(clippy::type_complexity, reason = "the parts of a step")]
    fn merged(
        &mut self,
        position: Position<'_, N>,
        stack: &Stack,
        places: Vec<(usize, String)>,
        top: bool,
    ) -> Result<(F::File, Kind, Vec<(usize, String)>), Halt<F::Stop>> {
        let sources: Vec<&Source> = stack.topmost_first().collect();
        let count = places.len();
        let mut found: Option<(F::File, Kind)> = None;
        let mut merged = vec![];
        for (index, (nth, place)) in places.into_iter().enumerate() {
            let (kind, file) = match self.facts.host(position, sources[nth], &place) {
                Err(Halt::Errno(libc::ENOENT)) if stack.is_merged() => continue,
                Err(halt) => return Err(halt),
                Ok((Kind::Whiteout, file)) if !stack.is_merged() => {
                    (Kind::File(FileKind::Device), file)
                }
                Ok(looked) => looked,
            };
            let is_directory = kind.is_directory();
            if kind == Kind::Whiteout || (found.is_some() && !is_directory) {
                break;
            }
            let ends =
                !is_directory || (!top && index + 1 < count && self.facts.is_opaque(&place)?);
            merged.push((nth, place));
            found.get_or_insert((file, kind));
            if ends {
                break;
            }
        }
        let (file, kind) = found.ok_or(Halt::Errno(libc::ENOENT))?;
        Ok((file, kind, merged))
    }
}

#[cfg(test)]
mod tests;
