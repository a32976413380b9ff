//! What Landlock holds of the descriptors that the target has from its caller.

use super::Rights;
use crate::draft::Draft;
use crate::host::{Host, Stream};
use crate::source::Span;
use crate::step::{Op, Stage};

/// A file on 0, 1 or 2 gives what it was opened for: it cannot be opened anew by /proc/self/fd for more. A terminal gives no input
/// but to who has it as 0.
pub fn rules(host: &Host, handled: Rights, draft: &mut Draft) {
    let kept = |fd: u32| !draft.steps.iter().any(|step| step.op == Op::NullStream { fd });
    let input = matches!(host.streams[0], Stream::Terminal { .. }) && kept(0);
    let rules: Vec<(u32, Rights)> = (0..).zip(host.streams).filter(|(fd, _)| kept(*fd)).map(|(fd, stream)| (fd, rights(stream, input))).collect();
    for (fd, rights) in rules {
        let rights = rights.within(Rights::OF_FILES).within(handled);
        if rights != Rights(0) {
            draft.step(Stage::Rules, Op::LandlockStream { fd, rights }, Span::NOWHERE);
        }
    }
}

fn rights(stream: Stream, input: bool) -> Rights {
    match stream {
        Stream::File { read, write } => Rights::default().and_if(read, Rights::READ).and_if(write, Rights::WRITE),
        Stream::Terminal { read } => Rights::WRITE.and(Rights::IOCTL).and_if(read && input, Rights::READ),
        Stream::Closed | Stream::Unknown(_) | Stream::Folder | Stream::Other => Rights(0),
    }
}
