//! How a distribution installs what stockade can use.

use crate::inspect::doctor::facts::Packages;
use crate::launch::cause::Fix;

/// A program that is not stockade's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Package {
    /// newuidmap and newgidmap.
    Uidmap,
    /// pasta.
    Passt,
}

/// The command that installs a package here.
pub(super) fn install(packages: Packages, package: Package) -> Fix {
    let (command, uidmap) = match packages {
        Packages::Apt => ("apt-get install", "uidmap"),
        Packages::Dnf => ("dnf install", "shadow-utils"),
        Packages::Apk => ("apk add", "shadow-uidmap"),
        Packages::Pacman => ("pacman -S", "shadow"),
        Packages::Zypper => ("zypper install", "shadow"),
        Packages::Unknown => {
            let what = match package {
                Package::Uidmap => "install newuidmap and newgidmap (shadow, or uidmap)",
                Package::Passt => "install pasta (passt)",
            };
            return Fix::Words(what.into());
        }
    };
    let name = if package == Package::Uidmap { uidmap } else { "passt" };
    Fix::Root(format!("{command} {name}"))
}
