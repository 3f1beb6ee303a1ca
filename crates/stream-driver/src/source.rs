//! What a driver drives.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use crate::Outgoing;

/// What [`Source::poll_fill`] has put into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Frames; ask again when they are gone.
    Frames,
    /// The last frames of the stream, or none: it ends well.
    Last,
}

/// How far a socket took what was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where the stream stands now; `None` if it is where it was.
    pub position: Option<u64>,
    /// Events that count as sent. The last of them may still be on its way.
    pub events: usize,
    /// Whether that is all that was offered.
    pub is_all: bool,
}

/// A stream's content. It is asked when its client can take something, and wakes the waker of the last
/// question when there is something after all.
pub trait Source: Send {
    /// Puts what comes next into `out`, which is empty. One answer holds either frames that can be offered
    /// again ([`Outgoing::event`], [`Outgoing::shared`]) or what cannot ([`Outgoing::keep`]), not both.
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> Poll<Fill>;

    /// How much of the frames that were offered last the client's socket took. The rest is forgotten, and
    /// has to be offered again.
    fn taken(&mut self, progress: Progress);

    /// Whether what comes next is old: a stream that catches up lets those go first that are told what
    /// happens now.
    fn is_catching_up(&self) -> bool {
        false
    }

    /// The client has been behind for so long, and takes nothing now: whether to cut it off. Also asked
    /// when the source woke its stream meanwhile, since it may have ended.
    fn gives_up(&self, behind: Duration) -> bool;
}
