//! The event log: the truth.

use std::time::Duration;

use async_trait::async_trait;
use model::{Classified, Epoch, ErrorClass, EventId, Sequence, Sequenced, StoredEvent, Timestamp};

use crate::Source;

/// Where one event of an append ended up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The event.
    pub id: EventId,
    /// Its place.
    pub sequence: Sequence,
    /// It was there before this append.
    pub duplicate: bool,
}

/// How far the log reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Which log this is; sequences mean something only within it.
    pub epoch: Epoch,
    /// Everything up to here has been trimmed: the first event that can be read comes after it.
    /// [`Sequence::START`] if nothing was trimmed.
    pub trimmed_through: Sequence,
    /// The last event's place; equal to `trimmed_through` when the log holds nothing.
    pub last: Sequence,
}

/// A part of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// Events, ascending by sequence.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// The page is complete up to and including this position; read on after it.
    pub through: Sequence,
    /// There was nothing beyond `through` when the page was read.
    pub at_head: bool,
    /// Set when the log no longer has what came directly after the position that was asked for: the
    /// page begins after this position instead.
    pub resumes_after: Option<Sequence>,
}

/// What can go wrong with an event log.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The store does not answer, or not in time. Nothing is known about an append.
    #[error("event log cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// A bound is reached.
    #[error("event log is full: {what}")]
    Overloaded {
        /// Which bound.
        what: &'static str,
    },
    /// What the store holds is not what we wrote.
    #[error("event log has an entry that cannot be read while trying to {op}")]
    Corrupt {
        /// What we were doing.
        op: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
}

impl Classified for EventLogError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Corrupt { .. } => ErrorClass::Permanent,
        }
    }
}

/// A log of events, written once and read by everybody.
///
/// # Contract
/// - **EL-01** `append` answers one [`Appended`] per event, in the order given; new events get
///   sequences that rise strictly in that order.
/// - **EL-02** `append` is idempotent by event id: an id that the log holds keeps its place and is
///   reported as `duplicate`, whichever handle wrote it, also within one batch and after a reopen.
/// - **EL-03** after `append` returned `Ok`, every event of the batch can be read; after an error any
///   part of it may be there, and appending the same batch again completes it.
/// - **EL-04** `read_after` gives events strictly after the position, ascending, at most `limit`, with
///   nothing left out up to `through`; `at_head` says whether more was there.
/// - **EL-05** no reader ever sees an event while one with a lower sequence can still appear.
/// - **EL-06** `read_after` of a position that has been trimmed says so in `resumes_after`; it never
///   skips silently.
/// - **EL-07** `head` gives an epoch that stays the same for the life of the log, over handles and
///   reopens, and differs between two logs; `last` is at least what a finished `append` reported.
/// - **EL-08** `read_before` gives the events strictly before a position, newest first, at most `limit`.
/// - **EL-09** `seek` gives the position after which every event that was received at or after a time
///   can be read (it may lie earlier, never later).
/// - **EL-10** `trim` removes events received before a time, from the front only, and leaves the rest;
///   the sequences of a log that was trimmed empty go on rising.
/// - **EL-11** (durable) what `append` acknowledged is there after a reopen.
/// - **EL-12** (shared) what one handle appended, another reads at once.
/// - **EL-13** an `append` that is dropped half-way leaves the log in order: each event is there once or
///   not at all.
/// - **EL-14** an event comes back as it was stored: facts, JSON bytes and trace.
#[async_trait]
pub trait EventLog: std::fmt::Debug + Send + Sync + 'static {
    /// Stores events durably; see EL-01…03.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>, EventLogError>;

    /// Reads at most `limit` events after a position; see EL-04…06. `limit` is at least 1.
    ///
    /// # Errors
    /// The store is unavailable, or holds something unreadable.
    async fn read_after(&self, after: Sequence, limit: usize) -> Result<Page, EventLogError>;

    /// Reads at most `limit` events before a position, newest first; see EL-08.
    ///
    /// # Errors
    /// The store is unavailable, or holds something unreadable.
    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequenced<StoredEvent>>, EventLogError>;

    /// The position from which to read everything received at or after `time`; see EL-09.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn seek(&self, time: Timestamp) -> Result<Sequence, EventLogError>;

    /// How far the log reaches; see EL-07.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn head(&self) -> Result<Head, EventLogError>;

    /// Removes events received before `time`; returns how many; see EL-10.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError>;

    /// How long one call may take before it counts as [`EventLogError::Unavailable`].
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }
}
