//! The results of the draft of `[mounts]` for other domains, which search no steps.

use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::step::draft::Draft;
use crate::step::{Slot, Stage, TreeOp};
use crate::text::source::Span;

/// What is granted of the host and of memory.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    /// What is opened on the host, in the order of the entries. [`open`] makes steps of it.
    pub opened: Vec<Opened>,
    /// Where the target can write in memory, and execute what it wrote.
    pub executable: Vec<(Name, Span)>,
    /// The line of the first proc.
    pub proc: Option<Span>,
    /// Where there is a rule of Landlock without a mount, and the rights that it gives.
    pub rules: Vec<(Name, Rights, Span)>,
}

impl Drafted {
    /// Whether the target may write to anything of the host's.
    pub(crate) fn writes(&self) -> bool {
        self.opened.iter().any(Opened::is_writable)
    }

    /// Adds a rule, unless it would allow nothing: the kernel takes none such (landlock(7)).
    pub(in crate::policy::mounts) fn rule(
        &mut self,
        (path, inode): (Name, Inode),
        rights: Rights,
        at: Span,
        draft: &mut Draft,
    ) {
        if rights != Rights(0) {
            self.rules.push((path.clone(), rights, at));
            draft.step(Stage::Rules, TreeOp::LandlockRule { path, rights, inode }, at);
        }
    }
}

/// Something of the host that is opened, to be attached.
#[derive(Debug)]
pub(crate) struct Opened {
    pub slot: Slot,
    /// What it is.
    pub what: What,
    /// How it may be used, as its entry says.
    pub attrs: Attrs,
    /// Where it is attached.
    pub inside: Option<Name>,
    /// Whose it is on disk, and its path for people, where the target stands for that owner.
    pub owner: Option<((u32, u32), Name)>,
    pub at: Span,
}

/// What of the host is opened.
#[derive(Debug)]
pub(crate) enum What {
    /// A tree or a file, with or without the mounts below it.
    Tree { source: Name, inode: Inode, recursive: bool },
    /// A directory that is made first.
    Made { path: Name, made: Slot },
    /// A state that the launcher holds.
    Held { path: Name, held: Slot },
}

impl Opened {
    /// Whether the target may write to it. Device nodes have no attributes of their own.
    pub(crate) fn is_writable(&self) -> bool {
        self.attrs != Attrs(0) && !self.attrs.has(Attrs::READ_ONLY)
    }

    fn op(self, inert: bool) -> TreeOp {
        let Opened { slot, what, attrs, .. } = self;
        let attrs = attrs.and_if(inert, Attrs::NO_EXEC);
        match what {
            What::Tree { source, inode, recursive } => {
                TreeOp::OpenTree { slot, source, inode, recursive, attrs }
            }
            What::Made { path, made } => TreeOp::OpenMade { slot, made, path, attrs },
            What::Held { path, held } => TreeOp::OpenState { slot, held, directory: path, attrs },
        }
    }
}

/// Makes steps of what is opened. Of what is in `inert` nothing may be executed, whatever its entry
/// says.
pub(crate) fn open(opened: Vec<Opened>, inert: &[Slot], draft: &mut Draft) {
    for one in opened {
        let at = one.at;
        let inert = inert.contains(&one.slot);
        draft.step(Stage::Sources, one.op(inert), at);
    }
}
