//! Files that stockade makes itself: directories, links, files, covers, and the databases of names.

use super::super::kinds::{
    Bind, Content as EntryContent, File as EntryFile, Follow, Hidden, Hide, Missing, Mount, Tmpfs,
};
use super::super::place::{absent_help, is_absent};
use super::super::tree::{Base, Covered, above, base, covered};
use super::super::written;
use super::World;
use super::kept::Kept;
use crate::host::upper::{What, made_again};
use crate::host::{Fact, File, FileKind};
use crate::kernel::name::Name;
use crate::kernel::rights::Rights;
use crate::language::value::{Mode, below, parent};
use crate::policy::identity::Ids;
use crate::policy::network::names::{Made, On};
use crate::step::{COPY_LIMIT, Content, Cover, Ground, TreeOp};
use crate::text::bytes;
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::source::Span;
use crate::tree::walk::meant;
use crate::tree::{Ground as Stood, HasGround, Own};

impl World<'_> {
    pub(super) fn dir(&mut self, path: &str, mode: Mode, at: Span) {
        match base(self.tree, self.host, path) {
            Base::Own { .. } => {
                self.directories(parent(path), at);
                self.make_directory(path, mode, at);
                self.allow(path, Rights::READ, at);
            }
            other => self.cannot_make(
                path,
                "a directory",
                &other,
                &format!(
                    "write it as a tmpfs: {}",
                    written::line(path, &Mount::Tmpfs(Tmpfs::PLAIN))
                ),
                at,
            ),
        }
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str, at: Span) {
        if target.is_empty() || target.contains('\0') {
            return self.draft.problem(Problem::new(
                "mounts::symlink",
                at,
                format!("cannot make the link {path}: its text is empty or holds a NUL byte"),
            ));
        }
        match base(self.tree, self.host, path) {
            Base::Own { .. } => {
                self.directories(parent(path), at);
                self.step(TreeOp::Symlink { path: Name::new(path), target: Name::new(target) }, at);
            }
            // The tree around it shows that very link.
            Base::Host { source, writable } if matches!(self.host.at(&source), Fact::Present(File { kind: FileKind::Link(text), real: None, .. }) if text == target) => {
                if writable {
                    self.hold_link(path, target, at);
                }
            }
            other => self.cannot_make(
                path,
                "a symbolic link",
                &other,
                "leave it out, or make the link on the host",
                at,
            ),
        }
    }

    pub(super) fn file(&mut self, path: &str, entry: &EntryFile, at: Span) {
        let mut unsaid = Mode(0o400);
        let content = match &entry.content {
            EntryContent::Text(text) => {
                unsaid = Mode(0o644);
                Content::Text(bytes::bytes(text).into())
            }
            EntryContent::Fd(fd) => Content::Fd(*fd),
            EntryContent::File(_) => {
                let source = entry.source().unwrap_or_default();
                let file = match self.host.at(source) {
                    Fact::Present(file) => file,
                    Fact::Absent(errno) => return self.absent(path, source, *errno, at),
                };
                if let Some(problem) = self.refuse_copy(path, source, file, at) {
                    return self.draft.problem(problem);
                }
                // Set-id bits are the host's.
                unsaid = Mode(file.mode & 0o777);
                let place = file.real.as_ref().map_or(source, |(real, _)| real);
                Content::Copy(Name::new(place), file.inode)
            }
            EntryContent::Env(name) => match self.host.caller.env.get(name) {
                Some(value) => Content::Secret(bytes::bytes(value).into()),
                None => {
                    let message = format!("cannot write {path}: the caller has no variable {name}");
                    return self.draft.problem(
                        Problem::new("mounts::env", at, message)
                            .help(format!("set it: {name}=... stockade run ...")),
                    );
                }
            },
        };
        self.put_file(path, content, entry.mode.unwrap_or(unsaid), at);
    }

    /// Why a file of the host is not copied, if it is not: by the rule of binds, a link on the way is
    /// root's, as an earlier target that could write there would choose which file is read.
    fn refuse_copy(&self, path: &str, source: &str, file: &File, at: Span) -> Option<Problem> {
        let place = file.real.as_ref().map_or(source, |(real, _)| real);
        let refuse = |code, why: String, help: Option<String>| {
            let message = format!("cannot copy {source}: {why}");
            Some(Problem::new(code, at, message).help_maybe(help))
        };
        let moved = |place: &str| {
            let there = self.current.and_then(|mount| mount.kind().of_place(place));
            there.map(|mount| written::line(path, &mount))
        };
        match &file.kind {
            _ if matches!(file.real, Some((_, false))) => refuse(
                "mounts::link",
                "a directory on the way is a symbolic link that is not root's".into(),
                moved(place).map(|line| format!("name the place that it means now: {line}")),
            ),
            FileKind::Link(text) => refuse(
                "mounts::link",
                format!("it is a symbolic link to {text}"),
                Some(format!("follow it: {}", self.following(path))),
            ),
            FileKind::Directory => refuse(
                "mounts::file",
                "it is a directory".into(),
                Some(format!("bind it: {}", written::line(path, &Mount::Bind(Bind::of(source))))),
            ),
            FileKind::Socket | FileKind::Device | FileKind::Fifo => {
                refuse("mounts::file", format!("it is {}", file.kind.word()), None)
            }
            FileKind::Regular if below(place, "/proc").is_some() => refuse(
                "mounts::file",
                "the kernel writes it anew for each process that reads it".into(),
                None,
            ),
            FileKind::Regular => match self.host.copied.get(source) {
                Some(Err(errno)) => refuse("mounts::file", errno_words(*errno), None),
                Some(Ok(size)) if *size > COPY_LIMIT => refuse(
                    "mounts::file",
                    "a copy holds 1 MiB, and it is larger".into(),
                    Some(format!(
                        "bind it: {}",
                        written::line(path, &Mount::Bind(Bind::of(source)))
                    )),
                ),
                Some(Ok(_)) | None => None,
            },
        }
    }

    /// The entry that is drafted, with its links followed.
    fn following(&self, path: &str) -> String {
        match self.current {
            Some(Mount::File(file)) => {
                written::line(path, &Mount::File(EntryFile { follow: Follow::Yes, ..file.clone() }))
            }
            _ => path.to_owned(),
        }
    }

    pub(super) fn put_file(&mut self, path: &str, content: Content, mode: Mode, at: Span) {
        let name = Name::new(path);
        match base(self.tree, self.host, path) {
            Base::Own { .. } => {
                self.directories(parent(path), at);
                self.step(TreeOp::File { path: name, content, mode }, at);
            }
            _ => {
                if self.site(path, false, at).is_none() {
                    return;
                }
                // On the sandbox's own ground no other process can have put a link on the way.
                let own = matches!(base(self.tree, self.host, parent(path)), Base::Own { .. })
                    && self.tree.contains_key(parent(path));
                let ground = if own { Ground::Own } else { Ground::Bound };
                // Read-only, and Landlock's rule of the tree around it covers it.
                return self.step(TreeOp::CoverFile { path: name, ground, content, mode }, at);
            }
        }
        self.allow(path, bits_of(mode), at);
    }

    pub(super) fn hide(&mut self, path: &str, hide: &Hide, at: Span) {
        // Exceptions concern only the pattern.
        let Hide { missing, known, except: _ } = *hide;
        if self.is_in_unmerged(path) {
            return;
        }
        // A layer of stockade's hides it in the merged tree.
        if self.in_layers.contains(path) {
            // That layer lies below the upper: what a kept one has there by an earlier run is covered.
            if self.is_in_kept(path) {
                self.hide_in_kept(path, at);
            }
            return;
        }
        let (source, is_writable) = match base(self.tree, self.host, path) {
            Base::Own { .. } => return self.hide_own(path, at),
            Base::Host { source, writable } => (source, writable),
            Base::Kernel => (path.to_owned(), false),
            other => return self.cannot_make(path, "a cover", &other, "leave it out", at),
        };
        let kind = self.host.at(&source).clone();
        if let Fact::Absent(errno) = kind
            && !is_absent(errno, is_writable)
        {
            let message = format!("cannot hide {path}: {}", errno_words(errno));
            let help = absent_help(&source, errno, None);
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(help));
        }
        let Fact::Present(file) = kind else {
            if missing == Missing::Skip {
                if self.is_in_kept(path) {
                    return self.hide_in_kept(path, at);
                }
                // Of what the target makes there nothing is applied to the host.
                if self.is_in_written(path) {
                    let (path, cover) = (Name::new(path), Cover::Directory);
                    self.step(TreeOp::Hide { path, cover, if_present: true }, at);
                }
                return self
                    .draft
                    .note(at, format!("nothing is at {path}, so nothing is hidden there"));
            }
            let message = format!(
                "cannot hide {path}: there is nothing, and what appears there later would be seen"
            );
            // Without this help, a user who meant a pattern would add `missing = "skip"` and hide
            // nothing.
            let help = match path.contains(['?', '[', '{']) {
                true => {
                    "of the signs of shells only `*` and `**` are patterns here: `?`, `[ab]` and \
                     `{a,b}` stand for themselves; write `*`, or an entry for each name"
                }
                false => {
                    "make it on the host, or hide the directory that it would be in, or say so: \
                     { hide = true, missing = \"skip\" }"
                }
            };
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(help));
        };
        if let FileKind::Link(to) = &file.kind {
            let (end, is_sure) = meant(parent(path), to);
            let ground = self.tree.over(&end).1.ground();
            if is_sure && matches!(ground, Stood::Own(Own::Memory { .. } | Own::Directory)) {
                let text = format!(
                    "{path} is a symbolic link to {to}, where nothing of the host is, so nothing \
                     is hidden there"
                );
                return self.draft.note(at, text);
            }
            let message = format!("cannot hide {path}: it is a symbolic link to {to}");
            let help = format!("hide what it points at: {}", self.spelled_at(&end));
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(help));
        }
        let directory = file.kind == FileKind::Directory;
        if directory && known == Hidden::File {
            let message = format!("cannot hide {path} as a file: it is a directory");
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(format!(
                "hide it as what it is: {}",
                written::line(path, &Mount::Hide(Hide::PLAIN))
            )));
        }
        let Some(_) = self.site(path, directory, at) else { return };
        let cover = if directory { Cover::Directory } else { Cover::File };
        // A socket is gone with its service.
        self.step(
            TreeOp::Hide { path: Name::new(path), cover, if_present: missing == Missing::Skip },
            at,
        );
    }

    /// A cover of what earlier runs left in a kept upper, if anything.
    fn hide_in_kept(&mut self, path: &str, at: Span) {
        let (over, over_at) = self.tree.over(parent(path));
        let (over, over_at) = (over.to_owned(), over_at.at);
        if let Some((upper, written)) = self.written(path, &over)
            && written.what == What::Link
            && below(path, &over) != Some(&*written.at)
        {
            let help = made_again(upper, written.hides());
            let message = format!(
                "cannot hide {path}: what is kept in {upper} has a symbolic link on the way"
            );
            return self.draft.problem(Problem::new("mounts::hide", at, message).help(help));
        }
        // A directory that an earlier run has made can be renamed, and the next run would cover nothing.
        self.pin_if_there(path, &over, at);
        let is_made = self
            .written(path, &over)
            .filter(|(_, written)| below(path, &over) == Some(&*written.at))
            .is_some_and(|(_, written)| matches!(written.what, What::Directory(_)));
        // The layer's kind, where the upper has no directory there.
        let cover = match base(self.tree, self.host, path) {
            Base::Host { source, .. } if !is_made => match self.host.present(&source) {
                Some(file) if file.kind != FileKind::Directory => Cover::File,
                _ => Cover::Directory,
            },
            _ => Cover::Directory,
        };
        self.kept.push(Kept { path: path.to_owned(), at, over, over_at });
        let path = Name::new(path);
        self.step(TreeOp::Hide { path, cover, if_present: true }, at);
    }

    /// A cover on the sandbox's own ground, in place of the host's file that the entry hides. If
    /// nothing would be there, a lint reports it.
    pub(super) fn hide_own(&mut self, path: &str, at: Span) {
        let directory = match covered(self.tree, self.host, path) {
            None | Some(Covered::Link | Covered::Part) => return,
            Some(Covered::Directory) => true,
            Some(Covered::File) => false,
            Some(Covered::OfRoot(source)) => match self.host.at(&source) {
                Fact::Absent(_) => return,
                Fact::Present(File { kind: FileKind::Link(to), .. }) => {
                    let problem = Problem::new(
                        "mounts::hide",
                        at,
                        format!("cannot hide {path}: it is a symbolic link to {to}"),
                    );
                    let help =
                        format!("hide what it points at: {}", self.spelled_at(&meant("/", to).0));
                    return self.draft.problem(problem.help(help));
                }
                Fact::Present(file) => file.kind == FileKind::Directory,
            },
        };
        if self.site(path, directory, at).is_some() {
            let cover = if directory { Cover::Directory } else { Cover::File };
            self.step(TreeOp::Hide { path: Name::new(path), cover, if_present: false }, at);
        }
    }

    /// A passwd and a group that know the target alone, unless the profile brings its own.
    pub(super) fn databases(&mut self) {
        let Ids { user, group, .. } = *self.ids;
        let caller = &self.host.caller;
        let name = if user == 0 {
            "root"
        } else if user == caller.uid && !caller.user.is_empty() {
            &caller.user
        } else {
            "user"
        };
        let home = self.ids.home.as_deref().unwrap_or("/");
        let passwd = format!(
            "{name}:x:{user}:{group}:{name}:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
        );
        let groups = format!("{name}:x:{group}:\nnogroup:x:65534:\n");
        for (path, text) in [("/etc/passwd", passwd), ("/etc/group", groups)] {
            if self.tree.contains_key(path) {
                continue;
            }
            let content = Content::Text(bytes::bytes(&text).into());
            match base(self.tree, self.host, path) {
                Base::Own { .. } => self.put_file(path, content, Mode(0o644), Span::NOWHERE),
                // Where many ids are mapped, the tree's own names serve them better.
                Base::Host { source, .. }
                    if self.ids.single
                        && matches!(
                            self.host.at(&source),
                            Fact::Present(File { kind: FileKind::Regular, real: None, .. })
                        ) =>
                {
                    self.put_file(path, content, Mode(0o644), Span::NOWHERE);
                }
                // A bound /etc that has none is the profile's word.
                _ => {}
            }
        }
    }
}

impl World<'_> {
    /// A file of names, unless the profile brings its own. In a bound tree it is mounted over what
    /// has its name there, a link too, and that is never followed.
    pub(super) fn names(&mut self, made: &Made) {
        let Made { path, content, at, ground, wanted } = made;
        if self.tree.contains_key(*path) {
            return;
        }
        // The sandbox is less than its line says: a run reports it, too.
        let missed = |why: &str| {
            let note = Note::new(*at, "names cannot be looked up inside").because(why).less();
            Note { left_out: Some((*path).to_owned()), ..note }
        };
        let content = match content {
            Ok(content) => content.clone(),
            Err(why) => return self.draft.notes.push(missed(why)),
        };
        match (base(self.tree, self.host, path), ground) {
            (Base::Own { .. }, On::Both | On::Own) => {
                self.put_file(path, content, Mode(0o644), *at);
            }
            (Base::Host { source, writable }, On::Both | On::Bound) => {
                let covered = |file: &&File| {
                    file.real.is_none()
                        && matches!(file.kind, FileKind::Regular | FileKind::Link(_))
                };
                if self.host.present(&source).filter(covered).is_some() {
                    if writable && let Some((over, _)) = above(self.tree, path) {
                        let over = over.to_owned();
                        self.pin_above(path, &over, *at);
                    }
                    let (path, ground) = (Name::new(path), Ground::Bound);
                    let mode = Mode(0o644);
                    self.step(TreeOp::CoverFile { path, ground, content, mode }, *at);
                } else if *wanted {
                    let why = format!(
                        "{source} is not there, or no file, and stockade makes nothing in a tree of \
                         the host"
                    );
                    self.draft.notes.push(missed(&why));
                }
            }
            (Base::Kernel | Base::Nothing { .. }, _) if *wanted => {
                self.draft.notes.push(missed(&format!("nothing can be made at {path}")));
            }
            (Base::Own { .. } | Base::Host { .. } | Base::Kernel | Base::Nothing { .. }, _) => {}
        }
    }
}

/// The Landlock rights to a file made with a mode: none that its bits do not give.
fn bits_of(mode: Mode) -> Rights {
    Rights::READ
        .and_if(mode.0 & 0o222 != 0, Rights::WRITE)
        .and_if(mode.0 & 0o111 != 0, Rights::EXECUTE)
        .within(Rights::OF_FILES)
}
