//! Looks whether there is overlayfs, and which layers it may not take. The kernel writes the reason to
//! its log alone, and a container does not show what its root lies on, so that launch tries these
//! ([`crate::launch::refused_layers`]).

use super::parts::{KERNELS, is_taken};
use super::server;
use crate::host::layering::{Doubt, Unlayered};
use crate::host::mounted::Mounted;
use crate::host::{Fact, FileKind, Host};
use crate::kernel::name::Name;
use crate::language::value::{ancestors, below};
use crate::policy::mounts::kinds::{Driver, Makes};
use crate::policy::mounts::tree::Tree;
use crate::sys;
use crate::text::bytes;
use crate::text::gather::Gather;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::{metadata, read_to_string};

impl Host {
    /// Looks at the layers of each entry, and at what overlayfs is to merge.
    pub(super) fn read_layering(&mut self, tree: &Tree) {
        let layers = tree.iter().filter_map(|(path, node)| Some((path, node.mount.layers()?)));
        let sources = layers.flat_map(|(path, layers)| layers.sources(path));
        self.noexec = sources.filter(|source| is_noexec(source)).map(str::to_owned).gather();
        let Some(mounted) = &self.merged else { return };
        let (mut is_merged, mut is_served, mut found) = (false, false, vec![]);
        for (path, node) in tree {
            let Makes::Layers(layers) = node.mount.kind().makes(path) else { continue };
            match layers.driver {
                Driver::Auto | Driver::Overlay => {}
                Driver::Copy => continue,
                Driver::Fuse => {
                    is_served = true;
                    continue;
                }
            }
            is_merged = true;
            for source in layers.sources(path) {
                let Fact::Present(file) = self.at(source) else { continue };
                if file.kind != FileKind::Directory {
                    continue;
                }
                let place = file.real.as_ref().map_or(source, |(real, _)| real);
                if let Some(reason) = doubt(mounted, place) {
                    let (source, place) = (source.to_owned(), place.to_owned());
                    found.push(Doubt { source, place, reason });
                }
            }
        }
        self.doubtful = found;
        self.no_overlayfs = is_merged && lacks_overlayfs();
        self.server = is_served.then(|| server::look(self.caller.uid == 0));
    }
}

/// Whether its mount runs no program.
fn is_noexec(directory: &str) -> bool {
    let looked = statvfs(&*bytes::path(directory));
    looked.is_ok_and(|looked| looked.flags().contains(FsFlags::ST_NOEXEC))
}

/// Why overlayfs may take this directory as no layer.
fn doubt(mounted: &Mounted, place: &str) -> Option<Unlayered> {
    let mounts = || mounted.mounts.iter();
    let over = ancestors(place).chain(["/"]);
    let kind = over.filter_map(|over| mounts().rfind(|mount| mount.at == over)).next()?;
    let kind = kind.kind.as_str();
    // What is mounted below is another matter, and so are the kernel's own files.
    let has_mounts =
        mounts().any(|mount| below(&mount.at, place).is_some_and(|tail| !tail.is_empty()));
    if KERNELS.contains(&kind) || has_mounts {
        return None;
    }
    let is_casefold = MAY_FOLD.contains(&kind) && folds_case(place);
    match kind {
        _ if is_casefold => Some(Unlayered::Casefold),
        "overlay" => Some(Unlayered::Stacked),
        kind if is_taken(kind) => None,
        kind => Some(Unlayered::Kind(kind.to_owned())),
    }
}

/// File systems with directories that fold the case of names (`chattr +F`).
const MAY_FOLD: &[&str] = &["ext4", "f2fs", "tmpfs"];

fn folds_case(place: &str) -> bool {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let Ok(fd) = sys::openat(libc::AT_FDCWD, Name::new(place).as_c_str(), flags, 0) else {
        return false;
    };
    let folds = sys::folds_case(fd);
    sys::regardless(sys::close(fd));
    folds
}

/// Whether there is no overlayfs to be had. A module is loaded when it is first asked for; whose
/// modules are not to be seen, as in a container, may have it.
pub(crate) fn lacks_overlayfs() -> bool {
    let Ok(known) = read_to_string("/proc/filesystems") else { return false };
    if known.lines().any(|line| line.ends_with("\toverlay")) {
        return false;
    }
    if metadata("/proc/modules").is_err() {
        return true;
    }
    let closed = read_to_string("/proc/sys/kernel/modules_disabled");
    if closed.is_ok_and(|closed| closed.trim() == "1") {
        return true;
    }
    let Ok(kernel) = nix::sys::utsname::uname() else { return false };
    let list = format!("/lib/modules/{}/modules.dep", kernel.release().to_string_lossy());
    read_to_string(list).is_ok_and(|list| !list.contains("/overlay.ko"))
}
