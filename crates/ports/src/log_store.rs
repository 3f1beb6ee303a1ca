//! The log as its stores keep it: entries of opaque bytes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{EntryDigest, EntryTag, EventId, Sequence, Timestamp};

use crate::{AppendResult, BoxError, LogHead, SeekResult, StoreFailure};

/// An entry to be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// Its id, by which it is stored once.
    pub id: EventId,
    /// The time by which it is found and trimmed.
    pub received_at: Timestamp,
    /// Its bytes, up to [`LogStore::max_body_bytes`]. The store does not look into them.
    pub body: Bytes,
}

/// What a store can tell of the id of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryName {
    /// The id itself.
    Id(EventId),
    /// Its digest.
    Digest(EntryDigest),
    /// Nothing: whatever wrote the entry gave it no id, or no role vouches for it.
    Unknown,
}

impl EntryName {
    /// The digest of the id; `None` if nothing is known of it.
    #[must_use]
    pub fn digest(&self) -> Option<EntryDigest> {
        match self {
            Self::Id(id) => Some(EntryDigest::of(id)),
            Self::Digest(digest) => Some(*digest),
            Self::Unknown => None,
        }
    }

    /// The tag of the entry; [`EntryTag::UNDECODABLE`] if nothing is known of its id.
    #[must_use]
    pub fn tag(&self) -> EntryTag {
        self.digest()
            .map_or(EntryTag::UNDECODABLE, EntryDigest::tag)
    }
}

/// What an entry holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryContent {
    /// The time that was appended with it.
    pub received_at: Timestamp,
    /// Its bytes.
    pub body: Bytes,
}

/// The reason why an entry cannot be read. The others can.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// The store should have an entry here, and has none.
    #[error("the store has lost the entry")]
    Lost,
    /// What is stored here is no entry, or none of ours.
    #[error("the entry cannot be read")]
    Unreadable(#[source] BoxError),
}

/// An entry at its position.
#[derive(Debug)]
pub struct ReadEntry {
    /// Its position.
    pub sequence: Sequence,
    /// What the store can tell of its id.
    pub name: EntryName,
    /// What it holds, or why that cannot be read.
    pub content: Result<EntryContent, EntryFault>,
}

/// A page of a store.
#[derive(Debug)]
pub struct EntryPage {
    /// Entries, ascending by sequence, with those that cannot be read.
    pub entries: Vec<ReadEntry>,
    /// The page is complete up to and including this position; read on after it.
    pub through: Sequence,
    /// Whether the log had nothing beyond `through` when the page was read.
    pub at_head: bool,
    /// Set when what came directly after the requested position is trimmed or lost: the page begins after
    /// this position instead.
    pub resumes_after: Option<Sequence>,
}

/// A store for the event log, over opaque bytes. `StoredLog` (crate `store-layers`) is the event log on it;
/// layers between the two change bodies.
///
/// # Contract
/// What [`EventLog`](crate::EventLog) promises of order, idempotence, ends, times and trimming is its store's
/// work, entry for event: EL-01 to EL-13, EL-16, EL-17, EL-20, EL-25, EL-26, EL-28 and EL-29. Of bytes:
/// - **LS-01** a body is read as it was appended, byte for byte, whatever it is: empty, or any bytes up to
///   `max_body_bytes`.
/// - **LS-02** the body that was first under an id stays; one that is appended again under it is not looked at.
/// - **LS-03** an entry is read with the time that was appended with it, and its name has the tag and the digest
///   of its id.
/// - **LS-04** `seek` and `trim` go by that time, whatever the body is.
/// - **LS-05** a page, in either direction, has at least one entry if there is one, up to `limit`, and ends with
///   the body that reaches [`MAX_PAGE_BYTES`](crate::MAX_PAGE_BYTES).
/// - **LS-06** (foreign bytes) bytes that another program put into the log are a body or a fault at their
///   position; whatever they are, the entries around them are read.
/// - **LS-07** (authenticating) an entry that no role appended has a fault and no name.
#[async_trait]
pub trait LogStore: std::fmt::Debug + Send + Sync + 'static {
    /// Stores entries durably; returns one result per entry, in the order given.
    ///
    /// # Errors
    /// The store is unavailable or full; any part may have been stored.
    async fn append(&self, entries: Vec<LogEntry>) -> Result<Vec<AppendResult>, StoreFailure>;

    /// Reads up to `limit` entries after a position, ascending. `limit` is at least 1.
    ///
    /// # Errors
    /// The store is unavailable or damaged.
    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EntryPage, StoreFailure>;

    /// Reads up to `limit` entries before a position, newest first; nothing between two of them is left out.
    ///
    /// # Errors
    /// The store is unavailable or damaged.
    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, StoreFailure>;

    /// The position after which to read everything received at or after `time`.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn seek(&self, time: Timestamp) -> Result<SeekResult, StoreFailure>;

    /// The position of the entry with an id; `None` if the store does not hold one.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, StoreFailure>;

    /// The range of positions that the log holds.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn head(&self) -> Result<LogHead, StoreFailure>;

    /// Removes entries received before `time`, from the front only, and returns their number.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn trim(&self, time: Timestamp) -> Result<u64, StoreFailure>;

    /// Checks whether an append would be accepted now, as far as the store can tell.
    ///
    /// # Errors
    /// The store is unavailable or full.
    async fn check_append(&self) -> Result<(), StoreFailure> {
        self.head().await.map(|_| ())
    }

    /// Checks whether the log can be read now, in each way in which the adapter reads it; returns its ends.
    ///
    /// # Errors
    /// The store is unavailable, or refuses a read.
    async fn check_read(&self) -> Result<LogHead, StoreFailure> {
        let head = self.head().await?;
        self.read_before(head.last.next(), 1).await?;
        Ok(head)
    }

    /// The time by the clock of the log's server; `None` if it has no clock but this process's.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn time(&self) -> Result<Option<Timestamp>, StoreFailure> {
        Ok(None)
    }

    /// Largest body that `append` takes, in bytes. It may change while the store does.
    fn max_body_bytes(&self) -> usize {
        usize::MAX
    }

    /// Maximum duration of one call, after which it counts as [`StoreFailure::Unavailable`].
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A handle that is shared is a store as well.
#[async_trait]
impl<S: LogStore + ?Sized> LogStore for Arc<S> {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<Vec<AppendResult>, StoreFailure> {
        (**self).append(entries).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EntryPage, StoreFailure> {
        (**self).read_after(after, limit).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, StoreFailure> {
        (**self).read_before(before, limit).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, StoreFailure> {
        (**self).seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, StoreFailure> {
        (**self).position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, StoreFailure> {
        (**self).head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, StoreFailure> {
        (**self).trim(time).await
    }

    async fn check_append(&self) -> Result<(), StoreFailure> {
        (**self).check_append().await
    }

    async fn check_read(&self) -> Result<LogHead, StoreFailure> {
        (**self).check_read().await
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreFailure> {
        (**self).time().await
    }

    fn max_body_bytes(&self) -> usize {
        (**self).max_body_bytes()
    }

    fn deadline(&self) -> Duration {
        (**self).deadline()
    }
}
