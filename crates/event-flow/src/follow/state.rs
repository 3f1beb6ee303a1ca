//! The state of a follower, and the answers of the log that it waits for.

use std::time::Duration;

use futures_util::future::BoxFuture;
use model::{Epoch, Sequence, Sequencer, StoredEvent};
use ports::{EventLogError, EventPage, LogHead};
use tokio::time::Instant;

use super::{set_back::LogComparison, trail::Trail};

/// A read in progress: of a page, or of the head.
pub(super) type Read = BoxFuture<'static, Result<Answer, EventLogError>>;

pub(super) enum Answer {
    /// A page after a position, which was asked for at another position of the follower.
    Page(PageRequest, EventPage),
    /// The head, and for a comparison the newest followed entries as the log has them.
    Head {
        position: Sequence,
        head: LogHead,
        check: Option<(Sequence, EventPage)>,
    },
    Compared(LogComparison),
}

#[derive(Clone, Copy)]
pub(super) struct PageRequest {
    pub(super) after: Sequence,
    pub(super) position: Sequence,
}

/// The state of one follower.
pub(super) struct FollowerState {
    pub(super) epoch: Epoch,
    pub(super) machine: Sequencer<StoredEvent>,
    /// The log's head when the follower began with this log.
    pub(super) old_through: Sequence,
    pub(super) read: Option<Read>,
    /// The time at which the grace period ends and a page is read.
    pub(super) read_at: Option<Instant>,
    pub(super) poll_at: Instant,
    /// Time for which an early hint waits for the missing ones.
    pub(super) grace: Duration,
    /// No page is read until the head, which is read at `poll_at`, has shown whether this is still the same
    /// log.
    pub(super) reads_head_first: bool,
    pub(super) failures: u32,
    pub(super) trail: Trail,
    /// The lowest position at which the log may differ from what was followed. Until the comparison has
    /// shown it, no event is passed on.
    pub(super) suspect: Option<Sequence>,
    /// Whether the next page overlaps with the trail. A page ends before an entry that does not decode
    /// unless it begins there, so after one without progress the next begins at the position.
    pub(super) overlaps: bool,
    /// Contradicting hints are ignored until then: a comparison has just shown that they are wrong.
    pub(super) trusts_at: Instant,
}

impl FollowerState {
    pub(super) fn read_head_first_at(&mut self, at: Instant) {
        (self.reads_head_first, self.poll_at, self.read_at) = (true, at, None);
    }

    pub(super) fn suspect(&mut self, at: Sequence) {
        self.suspect = Some(self.suspect.map_or(at, |suspect| suspect.min(at)));
        self.read_at = None;
    }
}

pub(super) async fn answer_of(read: &mut Option<Read>) -> Result<Answer, EventLogError> {
    match read {
        Some(read) => read.await,
        None => std::future::pending().await,
    }
}
