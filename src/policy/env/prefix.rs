//! Variables of the caller by prefix: `"CI_*" = true`.
//!
//! An entry rules the variables that no narrower one does: a variable's own name is narrower than
//! every prefix, and a longer prefix than a shorter.

use super::{Env, Setting, Variable};
use crate::host::caller::Caller;
use crate::kernel::name::Name;
use crate::language::section::Entry;
use crate::step::Content;
use crate::text::bytes;
use crate::text::problem::Problem;

/// What systemd says to the process that it starts, which is the launcher (sd_notify(3),
/// sd_listen_fds(3), sd_watchdog_enabled(3)). A target that takes it for its own speaks to the
/// host's manager, or takes descriptors for sockets that are none.
const OF_THE_LAUNCHER: &[&str] = &[
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What ld.so(8), the C library (iconv(3)'s modules, tunables) and bash(1) run code by, whatever the
/// program: passed by prefix only where the prefix names the kind. What one interpreter alone reads
/// (PYTHONSTARTUP, PERL5OPT) is asked for by its prefix.
const OF_CODE: [&str; 4] = ["BASH_", "GCONV_", "GLIBC_", "LD_"];

/// The prefix that a key of `[env]` stands for, if it does.
pub(crate) fn of(key: &str) -> Option<&str> {
    key.strip_suffix('*')
}

/// Whether this prefix does not pass a variable that it covers.
pub(crate) fn is_kept_from(prefix: &str, name: &str) -> bool {
    OF_THE_LAUNCHER.contains(&name)
        || OF_CODE.iter().any(|kind| name.starts_with(kind) && !prefix.starts_with(kind))
}

/// The entry that rules a variable, with its key.
pub(crate) fn entry_of<'e>(env: &'e Env, name: &str) -> Option<(&'e str, &'e Entry<Variable>)> {
    let own = env.map.get_key_value(name).filter(|(key, _)| of(key).is_none());
    let narrowest = || {
        let ends = (0..=name.len()).rev().filter(|end| name.is_char_boundary(*end));
        ends.filter_map(|end| env.map.get_key_value(&format!("{}*", &name[..end]))).next()
    };
    own.or_else(narrowest).map(|(key, entry)| (key.as_str(), entry))
}

/// What prefixes pass of the caller's environment.
pub(super) fn passed(env: &Env, caller: &Caller) -> Vec<Setting> {
    if !env.map.keys().any(|key| of(key).is_some()) {
        return vec![];
    }
    let setting = |(name, value): (&String, &String)| {
        let (key, entry) = entry_of(env, name)?;
        let at = entry.value.as_ref()?.at;
        (!is_kept_from(of(key)?, name)).then(|| Setting {
            name: Name::new(name),
            value: Content::Secret(bytes::bytes(value).into()),
            by: Some(key.to_owned()),
            at,
        })
    };
    caller.env.iter().filter_map(setting).collect()
}

/// Why a key with `*` is none, or cannot have this value.
pub(super) fn refusal(name: &str, entry: &Entry<Variable>) -> Option<Problem> {
    let problem = |message: String| Some(Problem::new("env::prefix", entry.key, message));
    let prefix = of(name);
    if prefix.unwrap_or(name).contains('*') {
        let start = name.split('*').next().unwrap_or_default();
        let found = problem(format!("cannot read `{name}`: `*` may only be the end of a prefix"))?;
        let help = format!("end it there: `{start}*`");
        return Some(found.help_maybe((!start.is_empty()).then_some(help)));
    }
    match (prefix?, entry.value.as_ref().map(|value| &value.value)) {
        ("", _) => {
            let message = "cannot pass every variable: tokens and passwords of the caller would \
                           be among them";
            let help = "name what the target needs, or begin with what its names begin with: \
                        `CI_*`";
            Some(problem(message.into())?.help(help))
        }
        (_, None | Some(Variable::Pass { required: false, or: None })) => None,
        (prefix, Some(_)) => {
            let message = format!(
                "cannot set all variables that begin with `{prefix}`: a prefix only passes"
            );
            Some(problem(message)?.help(line(prefix)))
        }
    }
}

fn line(prefix: &str) -> String {
    format!("{} = true", crate::language::value::quoted(&format!("{prefix}*")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::policy::env::draft;
    use crate::profile::{Request, load};
    use crate::step::draft::Draft;
    use crate::text::source::Sources;

    /// The target's variables, each with the prefix that passes it.
    fn passed(layers: &[&str], caller: &[&str]) -> Result<Vec<String>, Vec<&'static str>> {
        let names = caller.iter().map(|name| ((*name).to_owned(), "secret".to_owned()));
        let caller = Caller { env: names.collect(), ..Caller::default() };
        let (last, below) = layers.split_last().unwrap();
        let text = format!("format = 1\nextends = ['base']\n{}", below.join("\n"));
        let config = vec![("--config".to_owned(), (*last).to_owned())];
        let text = Some(text);
        let request = Request { profile: "p.toml".into(), text, config, ..Request::default() };
        let codes = |problems: crate::text::problem::Problems| {
            problems.iter().map(|problem| problem.code).collect::<Vec<_>>()
        };
        let profile = load(&request, &caller, &mut Sources::default()).map_err(codes)?;
        let mut out = Draft::default();
        let settings = draft(&profile.env, &Host { caller, ..Host::default() }, &mut out);
        let shown = |setting: &Setting| match &setting.by {
            Some(by) => format!("{} by {by}", setting.name),
            None => setting.name.to_string(),
        };
        Ok(settings.iter().map(shown).collect())
    }

    #[test]
    fn the_narrowest_entry_rules() {
        let caller = ["CI", "CI_A", "CI_B_1", "CI_JOB_TOKEN", "PATHS", "XCI_"];
        let say = |layers: &[&str]| passed(layers, &caller).unwrap().join(", ");
        assert_eq!(
            say(&["env.'CI_*' = true\nenv.CI_JOB_TOKEN = false"]),
            "CI_A by CI_*, CI_B_1 by CI_*, PATH"
        );
        // In either order of the layers.
        for layers in [
            ["env.CI_JOB_TOKEN = 'own'", "env.'CI_*' = true\nenv.'CI_B*' = false"],
            ["env.'CI_*' = true", "env.'CI_B*' = false\nenv.CI_JOB_TOKEN = 'own'"],
        ] {
            assert_eq!(say(&layers), "CI_A by CI_*, CI_JOB_TOKEN, PATH", "{layers:?}");
        }
        // `false` takes back that one entry, and what a shorter prefix would pass by these names.
        let all = "env.'C*' = true\nenv.'CI_*' = true\nenv.CI_A = true";
        assert_eq!(say(&[all, "env.'CI_*' = false"]), "CI by C*, CI_A, PATH");
        assert_eq!(passed(&["env.'CI_*' = false"], &caller), Err(vec!["profile::withdraw"]));
        assert_eq!(
            passed(&["env.'CI_*' = true\nenv.CJ_TOKEN = false"], &caller),
            Err(vec!["profile::withdraw"])
        );
    }

    #[test]
    fn an_entry_beats_what_stockade_sets() {
        assert_eq!(passed(&["env.'PA*' = true"], &["PATH"]).unwrap(), ["PATH by PA*"]);
        assert_eq!(passed(&["env.'PA*' = true"], &[]).unwrap(), ["PATH"]);
        assert!(passed(&["env.'PA*' = true\nenv.PATH = false"], &["PATH"]).unwrap().is_empty());
    }

    #[test]
    fn what_is_the_launchers_goes_by_its_full_name() {
        let caller = ["LD_PRELOAD", "LISTEN_FDS", "NOTIFY_SOCKET"];
        assert_eq!(passed(&["env.'L*' = true\nenv.'N*' = true"], &caller).unwrap(), ["PATH"]);
        let said = "env.'LD_*' = true\nenv.'LISTEN_*' = true\nenv.NOTIFY_SOCKET = true";
        assert_eq!(
            passed(&[said], &caller).unwrap(),
            ["LD_PRELOAD by LD_*", "NOTIFY_SOCKET", "PATH"]
        );
        let caller = ["BASH_ENV", "BASH_FUNC_ls%%", "GCONV_PATH", "GLIBC_TUNABLES", "GL_X"];
        assert_eq!(
            passed(&["env.'B*' = true\nenv.'G*' = true"], &caller).unwrap(),
            ["GL_X by G*", "PATH"]
        );
        let said = "env.'BASH_E*' = true\nenv.'G*' = true\nenv.GCONV_PATH = true";
        assert_eq!(
            passed(&[said], &caller).unwrap(),
            ["BASH_ENV by BASH_E*", "GCONV_PATH", "GL_X by G*", "PATH"]
        );
    }
}
