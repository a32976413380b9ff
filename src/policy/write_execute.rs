//! `seccomp.write-execute = false` on files: what can be written is not executed, so that no
//! program is made by writing one.
//!
//! The filter keeps memory; here mounts do their part by noexec, which holds mmap(2) as well as
//! execve(2). Where no mount of the sandbox's own covers the files, nothing does.

use crate::host::mounted::{Mounted, Region, Written};
use crate::host::{Fact, FileKind, Host};
use crate::kernel::attrs::Attrs;
use crate::kernel::rights::Rights;
use crate::language::value::{below, join};
use crate::policy::landlock::{Ruled, Sight};
use crate::policy::mounts::{DEV_NODES, Drafted, Opened, What};
use crate::policy::seccomp::Seccomp;
use crate::step::Slot;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;

struct Bound {
    slot: Slot,
    source: String,
    inside: String,
    writable: bool,
    /// Whether its entry says that nothing is executed.
    noexec: bool,
    regions: Vec<Region>,
    at: Span,
}

/// What the files are kept by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// Whose tree the target sees.
    pub sight: Sight,
    /// What gives it a tree of its own.
    pub own_tree: &'static str,
    /// What Landlock does.
    pub ruled: &'a Ruled,
    /// The line that lets the target mount anything.
    pub nested: Option<Span>,
}

/// Parts what can be written from what can be executed; gives the slots of what is opened of which
/// nothing may be.
pub(crate) fn draft(
    seccomp: &Seccomp,
    host: &Host,
    Kept { sight, own_tree, ruled, nested }: Kept<'_>,
    drafted: &Drafted,
    draft: &mut Draft,
) -> Vec<Slot> {
    let Some(word) = seccomp.write_execute.get().filter(|word| !word.value) else { return vec![] };
    let refuse = |at: Span, message: String, help: &str| {
        Problem::new("seccomp::write-execute", at, message)
            .also(word.at, "because of this")
            .help(help.to_owned())
    };
    if let Some(nested) = nested {
        let message = "cannot keep written files from being executed: the target can mount a file \
                       system of its own, by `nested`"
            .to_owned();
        draft.problem(refuse(
            nested,
            message,
            "leave \"mount\" out of `nested`, or leave `write-execute` out",
        ));
    }
    match sight {
        Sight::Own => {}
        Sight::Host(_) | Sight::Ungranted(_) => {
            without_mounts((host, own_tree), ruled, drafted, &refuse, draft);
            return vec![];
        }
        Sight::Joined => {
            let message =
                "cannot keep written files from being executed: the sandbox has no file tree \
                           of its own"
                    .to_owned();
            draft.problem(refuse(
                word.at,
                message,
                "leave namespaces.mount new, or leave `write-execute` out",
            ));
            return vec![];
        }
    }
    for (path, at) in &drafted.executable {
        let message = format!(
            "cannot make {path} executable: `write-execute` is false, and the target can write \
             there"
        );
        draft.problem(refuse(*at, message, "leave `exec = true` out, or write-execute"));
    }
    let none = Mounted::default();
    let mounted = host.mounted.as_ref().unwrap_or(&none);
    let bound = bound(mounted, &drafted.opened);
    let mut inert: Vec<Slot> =
        bound.iter().filter(|one| one.writable).map(|one| one.slot).collect();
    inert.extend(seen_twice(&bound, draft));
    for file in &mounted.written {
        if let Some(why) = runs(file, (&bound, mounted), &inert, ruled.rules_files()) {
            let message = format!(
                "cannot pass descriptor {}: {} is open for writing, and {why}",
                file.fd, file.path
            );
            draft.problem(refuse(
                Span::NOWHERE,
                message,
                "write to a pipe (stockade run ... | cat > FILE), or leave `write-execute` out",
            ));
        }
    }
    inert
}

/// Landlock's right to execute does not hold mmap(2), so that a loader runs what was written.
fn without_mounts(
    (host, own_tree): (&Host, &str),
    ruled: &Ruled,
    drafted: &Drafted,
    refuse: &impl Fn(Span, String, &str) -> Problem,
    draft: &mut Draft,
) {
    let is_node = |path: &str| {
        path.strip_prefix("/dev/").is_some_and(|name| DEV_NODES.contains(&name))
            || matches!(host.at(path), Fact::Present(file) if file.kind == FileKind::Device)
    };
    let writes = |rights: Rights| rights.within(Rights::WRITE.and(Rights::MAKE)) != Rights(0);
    let rules = drafted.rules.iter().chain(&ruled.written);
    for (path, _, at) in rules.filter(|(path, rights, _)| writes(*rights) && !is_node(path.text()))
    {
        let message = format!(
            "cannot keep what is written in {path} from being executed: Landlock does not rule \
             over mmap(2)"
        );
        let help = format!(
            "let the sandbox have a file tree of its own ({own_tree}), or leave `write-execute` \
             out"
        );
        draft.problem(refuse(*at, message, &help));
    }
}

fn bound(mounted: &Mounted, opened: &[Opened]) -> Vec<Bound> {
    let bound = |one: &Opened| {
        let (source, recursive) = match &one.what {
            // Device nodes have no attributes of their own.
            What::Tree { .. } if one.attrs == Attrs(0) => return None,
            What::Tree { source, recursive, .. } => (source, *recursive),
            What::Made { path, .. } | What::Held { path, .. } => (path, false),
        };
        Some(Bound {
            slot: one.slot,
            source: source.text().to_owned(),
            inside: one.inside.as_ref()?.text().to_owned(),
            writable: one.is_writable(),
            noexec: one.attrs.has(Attrs::NO_EXEC),
            regions: mounted.regions(source.text(), recursive),
            at: one.at,
        })
    };
    opened.iter().filter_map(bound).collect()
}

/// A directory bound for writing and once more for reading: the second is noexec, too, unless the
/// first covers it there.
fn seen_twice(bound: &[Bound], draft: &mut Draft) -> Vec<Slot> {
    let mut inert = vec![];
    for reader in bound.iter().filter(|one| !one.writable && !one.noexec) {
        let Some(writer) =
            bound.iter().filter(|one| one.writable).find(|writer| meets(reader, writer))
        else {
            continue;
        };
        inert.push(reader.slot);
        let text = format!(
            "{} is noexec: `write-execute` is false, and {} lets the target write there",
            reader.inside, writer.inside
        );
        draft.note(reader.at, text);
    }
    inert
}

/// Whether the two share host files, but for binds at the same place inside, where the deeper mount
/// covers the wider one.
fn meets(reader: &Bound, writer: &Bound) -> bool {
    let inside = |bound: &Bound, path: &str| {
        below(path, &bound.source).map(|tail| join(&bound.inside, tail))
    };
    reader.regions.iter().any(|one| {
        writer.regions.iter().any(|other| {
            let deeper =
                if below(&one.path, &other.path).is_some() { &one.path } else { &other.path };
            let place = inside(reader, deeper);
            let covered = place.is_some() && place == inside(writer, deeper);
            one.meets(other) && !covered
        })
    })
}

/// How what is written by a descriptor could be executed, if it could.
fn runs(
    file: &Written,
    (bound, mounted): (&[Bound], &Mounted),
    inert: &[Slot],
    ruled: bool,
) -> Option<String> {
    if file.read {
        return Some("can be mapped by it".into());
    }
    // On the mount that it was opened on, which is not the sandbox's.
    if !ruled {
        return Some(
            "without Landlock's rules it can be opened anew, by /proc/self/fd, and executed".into(),
        );
    }
    let regions = mounted.regions(&file.path, false);
    let shown = bound
        .iter()
        .filter(|one| !one.noexec && !inert.contains(&one.slot))
        .find(|one| one.regions.iter().any(|one| regions.iter().any(|region| one.meets(region))))?;
    Some(format!("{} lets it be executed", shown.inside))
}
