//! The finished tree, looked at from outside: what the profile's programs need of the host, and what the command would find.

use super::programs::{Piece, Program};
use super::search::Search;
use super::view::{View, What};
use super::{Fact, File, FileKind, Host, look, names_in};
use crate::lint;
use crate::policy::mounts::entry::Mount;
use crate::policy::mounts::glob::expand;
use crate::policy::mounts::tree::{Tree, settle, source_of};
use crate::policy::{env, programs};
use crate::profile::Profile;
use crate::source::Span;
use crate::value::parent;

/// The finished tree as the command finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The command's program, with what it lacks.
    pub command: Program,
    /// Whether the working folder is there, where the profile names one.
    pub cwd: bool,
    /// Links to what is not there: path, text, and the line of the entry.
    pub dangling: Vec<(String, String, Span)>,
}

impl Host {
    /// Looks at the finished tree from outside: is the command there, with its loader and libraries? `run` does without, and asks when
    /// the target did not start.
    pub fn look_inside(&mut self, profile: &Profile) {
        let (mut tree, _) = settle(&expand(&profile.mounts, &self.globs), self);
        let implied = programs::draft(&profile.programs, &profile.process, self, &mut Default::default());
        for (path, node) in implied {
            tree.entry(path).or_insert(node);
        }
        let mut search = self.search(profile, &tree, false);
        let cwd =
            profile.process.cwd.get().is_none_or(|cwd| matches!(search.view().follow(cwd).map(|found| found.what), Ok(What::Folder | What::Unknown)));
        let start = self.working_folder(profile, &tree);
        let word = programs::first_word(&profile.process);
        let command = word.map(|word| search.need(word, start.as_deref())).unwrap_or_default();
        let links = tree.iter().filter_map(|(path, node)| match &node.mount {
            Mount::Symlink(text) => Some((path, text.clone(), node.at)),
            Mount::Bind(_) => match self.at(source_of(path, &node.mount)?) {
                Fact::Present(File { kind: FileKind::Link(text), .. }) => Some((path, text.clone(), node.at)),
                _ => None,
            },
            _ => None,
        });
        let dangling = links.filter(|(path, ..)| search.view().follow(path).is_err()).map(|(path, text, at)| (path.clone(), text, at)).collect();
        self.inside = Some(Inside { command, cwd, dangling });
    }

    /// The same, and what the lints ask for.
    pub fn look_closer(&mut self, profile: &Profile) {
        self.look_inside(profile);
        for path in lint::wanted(profile, self) {
            let plain = self.is_plain_folder(parent(&path));
            self.paths.entry(path.clone()).or_insert_with(|| look(&path, plain, false));
        }
        for folder in lint::looked_into(profile, self) {
            let names = names_in(&folder);
            self.names.insert(folder, names);
        }
    }

    /// Reads what the profile's programs need, and the facts of those files.
    pub(super) fn read_programs(&mut self, profile: &Profile, with_fs: bool) {
        let (tree, _) = settle(&expand(&profile.mounts, &self.globs), self);
        let mut search = self.search(profile, &tree, true);
        let start = self.working_folder(profile, &tree);
        let need = |word: Option<&str>| word.map(|word| search.need(word, start.as_deref())).unwrap_or_default();
        self.programs = profile.programs.items.iter().map(|item| item.value.text(&profile.process)).map(need).collect();
        for piece in self.programs.iter().flat_map(|program| program.pieces.values()) {
            let Piece::File { source, inode: read } = piece else { continue };
            let mut fact = look(source, false, with_fs);
            if let Fact::Present(File { inode, .. }) = &mut fact {
                // The file that was read is the one that is shown: one that was put there since is refused at the launch.
                *inode = *read;
            }
            self.paths.insert(source.clone(), fact);
        }
    }

    fn search<'t>(&self, profile: &Profile, tree: &'t Tree, host_shows: bool) -> Search<'t> {
        let folders = env::search_path_of(&profile.env, &self.caller);
        Search::new(View::new(tree, host_shows), folders, env::value_of(&profile.env, &self.caller, "LD_LIBRARY_PATH"))
    }

    /// Where a relative command begins: the profile's folder, or the caller's where an entry shows it.
    fn working_folder(&self, profile: &Profile, tree: &Tree) -> Option<String> {
        match profile.process.cwd.get() {
            Some(cwd) => Some(cwd.value.0.clone()),
            None => View::new(tree, false).shows(&self.caller.cwd).then(|| self.caller.cwd.clone()),
        }
    }
}
