//! Where keys, tokens and sessions are on a machine. Which of them are there,
//! [`Host::look_closer`](crate::host::Host::look_closer) reads.

use crate::language::value::join;

/// Where they are, by the path below a home.
const KEYS: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".vault-token",
    ".terraform.d",
    ".password-store",
    ".cargo/credentials.toml",
    ".config/gcloud",
    ".config/gh",
    ".config/op",
    ".local/share/keyrings",
    ".mozilla",
    ".config/chromium",
    ".config/google-chrome",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".thunderbird",
];

/// The system's: only root reads them, and they give access to every user, or to the machine.
const SYSTEM: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/krb5.keytab",
    "/etc/ssl/private",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
];

/// The host's paths at which keys are looked for.
pub fn wanted<'h>(homes: impl IntoIterator<Item = &'h str>) -> Vec<String> {
    let in_home = |home: &'h str| KEYS.iter().map(move |key| join(home, &format!("/{key}")));
    let homes = homes.into_iter().filter(|home| home.len() > 1).flat_map(in_home);
    homes.chain(SYSTEM.iter().map(|path| (*path).to_owned())).collect()
}

/// Whether a path is one of the system's.
pub(crate) fn is_of_the_system(path: &str) -> bool {
    SYSTEM.contains(&path)
}
