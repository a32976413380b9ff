//! What programs of the host run later without being asked to: the one table of it, for the lint, the
//! exposure and `changes apply`.

use crate::host::Host;

/// Names by their path below a granted directory, and the program that runs each or takes commands
/// from it, as it is set up by default. What its manual page calls a file is a name here. A file that a
/// user runs on purpose, such as a Makefile or a build script, is not listed, and neither is one that
/// names no command (`.gitattributes`) or is believed only once it is named elsewhere.
pub const RUN_LATER: &[(&str, &str)] = &[
    // Whole: a new file `commondir` in it moves hooks and settings elsewhere
    // (gitrepository-layout(5)).
    (".git", REPOSITORY),
    (".hg", "hg runs hooks that its settings name"),
    (".husky", "git runs them as hooks"),
    (".githooks", "git runs them as hooks"),
    (".pre-commit-config.yaml", "git runs it as a hook"),
    ("lefthook.yml", "git runs it as a hook"),
    (".github/workflows", CI),
    (".github/actions", CI),
    (".gitlab-ci.yml", CI),
    (".circleci", CI),
    (".travis.yml", CI),
    (".forgejo/workflows", CI),
    (".gitea/workflows", CI),
    (".woodpecker", CI),
    (".woodpecker.yml", CI),
    (".drone.yml", CI),
    (".buildkite", CI),
    (".cirrus.yml", CI),
    (".build.yml", CI),
    (".builds", CI),
    ("azure-pipelines.yml", CI),
    ("bitbucket-pipelines.yml", CI),
    ("Jenkinsfile", CI),
    (".vscode", "an editor runs its tasks and settings"),
    (".idea", "an editor runs its tasks and settings"),
    (".zed", "an editor runs its tasks and settings"),
    (".devcontainer", "an editor runs its commands"),
    // Servers that agents start, and their hooks.
    (".mcp.json", AGENT),
    (".claude", AGENT),
    (".claude.json", AGENT),
    (".cursor", AGENT),
    (".codex", AGENT),
    (".gemini", AGENT),
    (".envrc", "direnv runs it"),
    (".direnvrc", "direnv runs it"),
    // Profiles, and what runs have left to be done (stockade(1)).
    (".config/stockade", STOCKADE),
    (STATES, STOCKADE),
    (".config/direnv", "direnv runs it"),
    // bash(1), zsh(1), csh(1), fish(1); Debian's .bashrc reads .bash_aliases, Fedora's .bashrc.d.
    (".bashrc", SHELL),
    (".bashrc.d", SHELL),
    (".bash_aliases", SHELL),
    (".bash_completion", SHELL),
    (".bash_profile", SHELL),
    (".bash_login", SHELL),
    (".bash_logout", SHELL),
    (".profile", SHELL),
    (".zshenv", SHELL),
    (".zprofile", SHELL),
    (".zshrc", SHELL),
    (".zlogin", SHELL),
    (".zlogout", SHELL),
    (".cshrc", SHELL),
    (".tcshrc", SHELL),
    (".login", SHELL),
    (".mkshrc", SHELL),
    (".config/fish", SHELL),
    (".config/nushell", SHELL),
    (".config/powershell", SHELL),
    // A key can be made to type a command (readline(3)).
    (".inputrc", "it says what keys type into a shell"),
    (".config/readline", "it says what keys type into a shell"),
    // startx(1), Xsession(5), pam_env(8), systemd.unit(5), and what desktops start.
    (".xprofile", SESSION),
    (".xsessionrc", SESSION),
    (".xsession", SESSION),
    (".Xsession", SESSION),
    (".xinitrc", SESSION),
    (".xserverrc", SESSION),
    (".pam_environment", SESSION),
    (".config/autostart", SESSION),
    (".config/autostart-scripts", SESSION),
    (".config/plasma-workspace", SESSION),
    (".config/environment.d", SESSION),
    (".config/systemd", SESSION),
    (".local/share/systemd", SESSION),
    (".config/i3", SESSION),
    (".config/sway", SESSION),
    (".config/hypr", SESSION),
    (".config/openbox", SESSION),
    (".config/labwc", SESSION),
    (".config/awesome", SESSION),
    (".local/share/gnome-shell", SESSION),
    // dbus-daemon(1); the desktop entry specification: Exec of one with a known name.
    (".local/share/dbus-1", "D-Bus starts the services that it names"),
    (".local/share/applications", "the desktop starts what it names"),
    (".local/bin", PATH),
    (".cargo/bin", PATH),
    // What pip installs: every python of the user's reads `.pth` files and `usercustomize` there
    // (site(3) of python).
    (".local/lib", "python runs what is in it"),
    (".ssh", "ssh runs commands that it names, and lets in whom it names"),
    (".gnupg", "gpg runs programs that it names"),
    // aliases(5), procmailrc(5).
    (".forward", "the mail server runs commands that it names"),
    (".procmailrc", "the mail server runs commands that it names"),
    (".gitconfig", "git runs commands that it names"),
    (".config/git", "git runs commands that it names"),
    (".hgrc", "hg runs commands that it names"),
    (".config/hg", "hg runs commands that it names"),
    (".config/gh", "gh runs commands that it names"),
    // `rustc-wrapper`, `credential-provider`; rustup has shells read `env`.
    (".cargo/config", "cargo runs commands that it names"),
    (".cargo/config.toml", "cargo runs commands that it names"),
    (".cargo/env", SHELL),
    // `script-shell`, `node-options`; `yarnPath`.
    (".npmrc", "npm runs commands that it names"),
    (".yarnrc.yml", "yarn runs the program that it names"),
    // Programs that give credentials.
    (".docker", "docker runs programs that it names"),
    (".kube", "kubectl runs commands that it names"),
    (".aws", "aws runs commands that it names"),
    (".gdbinit", DEBUGGER),
    (".config/gdb", DEBUGGER),
    (".lldbinit", DEBUGGER),
    (".pdbrc", DEBUGGER),
    // Of the directory that it starts in, too (Startup of R).
    (".Rprofile", "R runs it as it starts"),
    (".sqliterc", "sqlite3 runs it as it starts"),
    (".psqlrc", "psql runs it as it starts"),
    // lesspipe(1) of Debian.
    (".lessfilter", "less runs it"),
    (".screenrc", TERMINAL),
    (".tmux.conf", TERMINAL),
    (".config/tmux", TERMINAL),
    (".config/kitty", TERMINAL),
    (".config/alacritty", TERMINAL),
    (".config/foot", TERMINAL),
    (".config/wezterm", TERMINAL),
    (".wezterm.lua", TERMINAL),
    (".config/ghostty", TERMINAL),
    (".vimrc", EDITOR),
    (".gvimrc", EDITOR),
    (".vim", EDITOR),
    (".exrc", EDITOR),
    (".config/vim", EDITOR),
    (".config/nvim", EDITOR),
    (".local/share/nvim", EDITOR),
    (".emacs", EDITOR),
    (".emacs.el", EDITOR),
    (".emacs.d", EDITOR),
    (".config/emacs", EDITOR),
    (".nanorc", EDITOR),
    (".config/nano", EDITOR),
    (".config/helix", EDITOR),
    (".config/zed", EDITOR),
    (".config/Code", EDITOR),
    (".config/VSCodium", EDITOR),
    (".config/Cursor", EDITOR),
    (".config/JetBrains", EDITOR),
    (".vscode-server", EDITOR),
    // Extensions, and programs that these may start (native messaging).
    (".mozilla", BROWSER),
    (".config/mozilla", BROWSER),
    (".thunderbird", BROWSER),
    (".config/chromium", BROWSER),
    (".config/google-chrome", BROWSER),
];

/// Why a `.git` is among it.
pub(crate) const REPOSITORY: &str = "git runs its hooks, and commands that its settings name";
/// Where states are, and what runs have left to be done.
pub(crate) const STATES: &str = ".local/state/stockade";

/// Why what stockade reads is among it.
pub(crate) const STOCKADE: &str = "stockade reads it at the next run";
const CI: &str = "the CI service runs it";
const AGENT: &str = "an agent runs commands that it names";
const SHELL: &str = "a shell runs it as it starts";
const SESSION: &str = "it runs at the next login";
const PATH: &str = "it is on the PATH";
const DEBUGGER: &str = "a debugger runs it as it starts";
const TERMINAL: &str = "a terminal starts what it names";
const EDITOR: &str = "an editor runs it";
const BROWSER: &str = "a browser runs its extensions, and programs that it names";

/// A name of the table as it is called in a granted directory, which may be a directory of the name
/// itself: `.config`, `.local/share`.
pub(crate) fn within<'n>(source: &str, name: &'n str) -> &'n str {
    let inner = name.match_indices('/').find_map(|(slash, _)| {
        let (head, tail) = (&name[..slash], &name[slash + 1..]);
        source.strip_suffix(head).is_some_and(|rest| rest.ends_with('/')).then_some(tail)
    });
    inner.unwrap_or(name)
}

/// The names of the table that a directory of the host has, as they are called in it.
pub(crate) fn there(host: &Host, source: &str) -> Vec<(&'static str, &'static str)> {
    let mut path = format!("{}/", source.trim_end_matches('/'));
    let length = path.len();
    let mut is_there = |name: &str| {
        path.truncate(length);
        path.push_str(name);
        host.present(&path).is_some()
    };
    let named = RUN_LATER.iter().map(|(name, why)| (within(source, name), *why));
    named.filter(|(name, _)| is_there(name)).collect()
}
