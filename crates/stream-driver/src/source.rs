//! The interface between a stream's content and its driver.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use crate::OutgoingFrames;

/// The kind of content that [`StreamSource::poll_fill`] has put into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillResult {
    /// Frames; poll again when they are sent.
    Frames,
    /// The last frames of the stream, or none: it ends regularly.
    Last,
}

/// The part of the offered frames that a socket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendProgress {
    /// The new position of the stream; `None` if it is unchanged.
    pub position: Option<u64>,
    /// Number of events that count as sent. The last of them may be sent only in part so far.
    pub events: usize,
    /// Whether that is all that was offered.
    pub is_all: bool,
}

/// A stream's content. It is polled when its client can take something; after a poll that found nothing,
/// it wakes the waker of that poll when there is something.
pub trait StreamSource: Send {
    /// Puts the next frames into `out`, which is empty. One poll adds either frames that can be offered
    /// again ([`OutgoingFrames::push_event`], [`OutgoingFrames::push_shared`]) or bytes that cannot
    /// ([`OutgoingFrames::push_unrepeatable`]), not both.
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult>;

    /// Reports how much of the last offered frames the client's socket took. The rest is discarded and
    /// has to be offered again.
    fn record_progress(&mut self, progress: SendProgress);

    /// The client's socket is full, and may stay so: a source gives back what it can ask for again, so that
    /// clients that do not read hold nothing. Called each time.
    fn release(&mut self) {}

    /// The driver holds this many bytes of frames for its client; none any more, once they are sent. Shared
    /// ones are those of a frame that was added with [`OutgoingFrames::push_shared`]. Returns whether it may: if
    /// not, the stream is cut. Also called while the client takes nothing.
    fn hold(&mut self, bytes: usize, is_shared: bool) -> bool {
        let _ = (bytes, is_shared);
        true
    }

    /// Whether the next frames are old: a stream that is catching up yields to streams with current events.
    fn is_catching_up(&self) -> bool {
        false
    }

    /// Whether to cut off a client that has been behind for this long and takes nothing now. Also called
    /// when the source woke its stream meanwhile, since the source may have ended.
    fn should_give_up(&self, behind: Duration) -> bool;
}
