//! How a distribution installs what stockade can use.

use crate::inspect::doctor::facts::Packages;
use crate::launch::cause::Fix;

/// The command that installs newuidmap and newgidmap here.
pub(super) fn install_uidmap(packages: Packages) -> Fix {
    let (command, name) = match packages {
        Packages::Apt => ("apt-get install", "uidmap"),
        Packages::Dnf => ("dnf install", "shadow-utils"),
        Packages::Apk => ("apk add", "shadow-uidmap"),
        Packages::Pacman => ("pacman -S", "shadow"),
        Packages::Zypper => ("zypper install", "shadow"),
        Packages::Unknown => {
            return Fix::Words("install newuidmap and newgidmap (shadow, or uidmap)".into());
        }
    };
    Fix::Root(format!("{command} {name}"))
}
