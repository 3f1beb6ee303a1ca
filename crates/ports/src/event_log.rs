//! The event log: the source of truth.

use std::time::Duration;

use async_trait::async_trait;
use model::{
    Classified, EntryTag, Epoch, ErrorClass, EventId, Sequence, Sequenced, StoredEvent, Timestamp,
};

use crate::{BoxError, StoreFailure};

/// The result of an append for one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppendResult {
    /// The event.
    pub id: EventId,
    /// Its position in the log.
    pub sequence: Sequence,
    /// Whether the log had it before this append.
    pub duplicate: bool,
}

/// The range of positions that the log holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogHead {
    /// The identity of the log; sequences are meaningful only within it.
    pub epoch: Epoch,
    /// Everything up to and including this position has been trimmed: the first readable event comes
    /// after it. [`Sequence::START`] if nothing was trimmed.
    pub trimmed_through: Sequence,
    /// The last event's position; equal to `trimmed_through` when the log is empty.
    pub last: Sequence,
}

/// The position of a time in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeekResult {
    /// Every event that the log holds and that was received at or after the time comes after this
    /// position.
    pub position: Sequence,
    /// Events that were received at or after the time have been removed, or may have been.
    pub truncated: bool,
    /// Bytes of entries that were read to find it: 0 where an index tells.
    pub read_bytes: usize,
}

/// An entry that a log has and that does not decode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UndecodableEntry {
    /// Its position.
    pub sequence: Sequence,
    /// The tag of its event; [`EntryTag::UNDECODABLE`] if that cannot be told, or if no role vouches for it.
    pub tag: EntryTag,
}

/// A page of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct EventPage {
    /// Events, ascending by sequence.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// The page is complete up to and including this position; read on after it.
    pub through: Sequence,
    /// Whether the log had nothing beyond `through` when the page was read.
    pub at_head: bool,
    /// Set when the entries directly after the requested position are trimmed or do not decode: the page
    /// begins after this position instead.
    pub resumes_after: Option<Sequence>,
    /// The entries up to `resumes_after` that the log has but that do not decode, ascending; empty if all of
    /// the gap was trimmed. Between two of them nothing was trimmed.
    pub undecodable: Vec<UndecodableEntry>,
}

/// Entries before a position.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventsBefore {
    /// Events, descending by sequence.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// The entries in the same range that do not decode, descending.
    pub undecodable: Vec<UndecodableEntry>,
}

impl EventsBefore {
    /// The lowest position of the range, from which to read on; `None` if the log has no entry before
    /// the requested position.
    #[must_use]
    pub fn lowest(&self) -> Option<Sequence> {
        let event = self.events.last().map(|event| event.sequence);
        let undecodable = self.undecodable.last().map(|entry| entry.sequence);
        match (event, undecodable) {
            (Some(event), Some(undecodable)) => Some(event.min(undecodable)),
            (event, undecodable) => event.or(undecodable),
        }
    }
}

/// Errors of an event log.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The store does not answer, or answers too late. The outcome of an append is unknown.
    #[error("event log cannot {op} now")]
    Unavailable {
        /// The operation that failed.
        op: &'static str,
        /// The driver's error.
        #[source]
        source: BoxError,
    },
    /// A limit is reached.
    #[error("event log is full: {what}")]
    Overloaded {
        /// The limit that was reached.
        what: &'static str,
    },
    /// The store itself is damaged. A single entry that does not decode is skipped instead (EL-15).
    #[error("event log is damaged and cannot {op}")]
    Corrupt {
        /// The operation that failed.
        op: &'static str,
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
}

impl From<StoreFailure> for EventLogError {
    fn from(failure: StoreFailure) -> Self {
        match failure {
            StoreFailure::Unavailable { op, source } => Self::Unavailable { op, source },
            StoreFailure::Overloaded { what, .. } => Self::Overloaded { what },
            StoreFailure::Corrupt { op, source } => Self::Corrupt { op, source },
        }
    }
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

/// Bytes of entries with which a page ends, in whichever direction it is read; the last entry may exceed them. A
/// page is what a store does in one go: while it sends one, acknowledgements and events of others wait.
pub const MAX_PAGE_BYTES: usize = 1 << 20;

/// A log of events, each written once and read by every edge and the sync role.
///
/// # Contract
/// - **EL-01** `append` returns one [`AppendResult`] per event, in the order given; new events get sequences
///   that rise strictly in that order.
/// - **EL-02** `append` is idempotent by event id: an id that the log already holds keeps its position,
///   where the event that was first can be read, and is reported as `duplicate`, whichever handle wrote it,
///   also within one batch and after a reopen. (So `event-flow` recognises two events of one delivery GUID
///   by their names: a GUID and an event name are one event.)
/// - **EL-03** after `append` returned `Ok`, every event of the batch can be read; after an error any
///   part of the batch may have been stored, and appending the same batch again completes it.
/// - **EL-04** `read_after` returns up to `limit` events strictly after the position, ascending, with
///   none left out up to `through`; `at_head` says whether these were the last. A page has at least one
///   event that is there, and ends early with the one that reaches [`MAX_PAGE_BYTES`]; so does that of
///   `read_before`.
/// - **EL-05** no reader ever sees an event while one with a lower sequence can still appear.
/// - **EL-06** `read_after` from a position that has been trimmed reports this in `resumes_after`; it
///   never skips silently.
/// - **EL-07** `head` returns an epoch that stays the same for the life of the log, across handles
///   and reopens, and differs between two logs; `last` is at least the sequence that any finished
///   `append` reported.
/// - **EL-08** `read_before` returns up to `limit` entries strictly before a position, newest first.
/// - **EL-09** `seek` returns a position after which every event that was received at or after a time
///   can be read (it may be earlier than necessary, never later). `truncated` is true if such an event was
///   removed. It is false if nothing was removed, and if the first event that is left was received at or
///   before the time; between the two a log that does not know what it removed answers true.
/// - **EL-10** `trim` removes events received before a time, from the front only, and keeps the rest;
///   the sequences of a log that was trimmed empty keep rising.
/// - **EL-11** (durable) events that `append` acknowledged are still there after a reopen.
/// - **EL-12** (shared) events that one handle appended can be read through another at once.
/// - **EL-13** an `append` that is dropped half-way leaves the log consistent: each event is stored once
///   or not at all.
/// - **EL-14** an event is read exactly as it was stored: facts, JSON bytes and trace.
/// - **EL-15** an entry that does not decode (damaged, or written by another build) stops no reader: it
///   keeps its position; `read_after` skips it at the front of a page only, and reports this in
///   `resumes_after` and `undecodable`; `read_before` names its position. It has its event's tag where the
///   store tells the id apart from the body, and has that from a role. `seek` does not go past it when an event
///   after it is asked for, and it is counted.
/// - **EL-16** (restorable) a store can be put back to an earlier state under the same epoch, by a power cut
///   or a restored snapshot, and then gives out the same sequences again. A handle remembers nothing of the
///   lost part: `head`, reads and `append` answer for the store as it is, and a lost id is new. Readers that
///   hold a position notice the set-back by the log's end or by the entry at their position
///   (`event-flow`, ADR 002).
/// - **EL-17** (authenticating) with keys of the roles, an entry is an event if one of them was used to append
///   it, whichever it was; any other entry is skipped as in EL-15, and counted.
/// - **EL-20** an event whose receive time is ahead of the log's clock, because another clock was wrong, is
///   trimmed together with its neighbours, a few minutes late at most: it keeps nothing until its own time
///   has come. If nothing was received after it, it stays.
/// - **EL-25** `check_append` succeeds while `append` does, stores nothing that a reader sees, and
///   does not move `last`.
/// - **EL-26** `time` is the current time by the clock of the log's server, whichever handle asks; `None` if
///   the log has no clock other than this process's.
/// - **EL-27** no event is refused for its size whose JSON has up to `max_event_bytes` bytes and whose
///   facts have up to 40 KiB.
/// - **EL-28** `check_read` succeeds while `head`, `read_after` and `read_before` do, of few and of many
///   entries, and fails with the reason while one of them is refused.
/// - **EL-29** `position_of` returns the position of the event with an id, whichever handle appended it, and `None` if
///   the log does not hold one. It costs about as much as to read one event, however many the log has; what is at the
///   position may not decode.
#[async_trait]
pub trait EventLog: std::fmt::Debug + Send + Sync + 'static {
    /// Stores events durably; see EL-01…03.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError>;

    /// Reads up to `limit` events after a position; see EL-04…06, EL-15. `limit` is at least 1.
    ///
    /// # Errors
    /// The store is unavailable or damaged.
    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError>;

    /// Reads up to `limit` entries before a position, newest first; see EL-08, EL-15.
    ///
    /// # Errors
    /// The store is unavailable or damaged.
    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError>;

    /// The position after which to read everything received at or after `time`, and whether some of it is
    /// gone; see EL-09.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError>;

    /// The position of the event with an id; see EL-29.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError>;

    /// The range of positions that the log holds; see EL-07.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn head(&self) -> Result<LogHead, EventLogError>;

    /// Removes events received before `time` and returns their number; see EL-10.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError>;

    /// Checks whether an append would be accepted now, as far as the store can tell; used for readiness.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn check_append(&self) -> Result<(), EventLogError> {
        self.head().await.map(|_| ())
    }

    /// Checks whether the log can be read now, in each way in which the adapter reads it, and returns its
    /// ends; used for readiness.
    ///
    /// # Errors
    /// The store is unavailable, or refuses a read.
    async fn check_read(&self) -> Result<LogHead, EventLogError> {
        let head = self.head().await?;
        self.read_before(head.last.next(), 1).await?;
        Ok(head)
    }

    /// The log's own time; see EL-26.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn time(&self) -> Result<Option<Timestamp>, EventLogError> {
        Ok(None)
    }

    /// Number of entries that this log's handles in this process have skipped because they do not decode;
    /// an entry counts once, however many readers skip it.
    fn undecodable_entries(&self) -> u64 {
        0
    }

    /// Largest JSON of an event that `append` takes, in bytes; see EL-27. It may change while the store
    /// does, for instance when another server answers.
    fn max_event_bytes(&self) -> usize {
        usize::MAX
    }

    /// Maximum duration of one call, after which it counts as [`EventLogError::Unavailable`].
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }
}
