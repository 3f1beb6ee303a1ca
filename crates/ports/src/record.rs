//! What [`Records`](crate::Records) keeps: records, their bounds, and the errors of calls.

use std::{fmt, time::Duration};

use bytes::Bytes;
use model::{Classified, ErrorClass, PrincipalId, RecordId, Timestamp};

use crate::{BoxError, StoreFailure};

/// A version of a stored record; it rises with each change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Revision(pub u64);

/// A kind of record, for instance `sessions`. Collections are independent of each other; each has its own ids
/// and its own bounds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection(&'static str);

impl Collection {
    /// A collection of this name, which becomes part of keys and is never changed.
    ///
    /// # Panics
    /// The name is empty, or has anything but small letters and `-`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a collection has a name");
        let mut at = 0;
        while at < bytes.len() {
            let fits = bytes[at].is_ascii_lowercase() || bytes[at] == b'-';
            assert!(fits, "the name of a collection has small letters and '-'");
            at += 1;
        }
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collection({})", self.0)
    }
}

/// The address of a record: its id is unique in its collection, whoever its owner is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordKey {
    /// The collection.
    pub collection: Collection,
    /// The id in it.
    pub id: RecordId,
}

/// A record to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRecord {
    /// Its address.
    pub key: RecordKey,
    /// The owner for whom it counts. It never changes.
    pub owner: PrincipalId,
    /// Its state, opaque to the store; up to [`RecordLimits::MAX_STATE_BYTES`].
    pub state: Bytes,
    /// Time to live; at least a millisecond.
    pub ttl: Duration,
}

/// A living record as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// Its id.
    pub id: RecordId,
    /// The owner for whom it counts.
    pub owner: PrincipalId,
    /// Its state.
    pub state: Bytes,
    /// Its revision.
    pub revision: Revision,
    /// When it ends, in the store's time.
    pub expires_at: Timestamp,
}

/// The answer to a create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordCreation {
    /// The record was stored, with this revision.
    Created(Revision),
    /// There is a living record under this key: this one.
    Exists(StoredRecord),
    /// A record under this key has ended, and its time to live is not over.
    Ended,
}

/// The time to live of a record that is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordLife {
    /// From now on.
    For(Duration),
    /// It ends when it would have ended.
    Unchanged,
}

/// Limits on the living records of one collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordLimits {
    /// Maximum number of records; at the limit, a create is refused.
    pub max_records: u64,
    /// Maximum number of records of one owner; at the limit, a create takes the place of a record that can be
    /// spared, or is refused.
    pub max_records_per_owner: u32,
    /// Maximum weight in bytes of all records; see [`RecordLimits::weight`].
    pub max_bytes: u64,
    /// Maximum weight in bytes of the records of one owner.
    pub max_bytes_per_owner: u64,
    /// A record with at most this much time left can be spared. Zero: none.
    pub spare_ttl: Duration,
}

impl RecordLimits {
    /// Maximum state of one record in bytes: 1 MiB, and room for what a façade puts before it.
    pub const MAX_STATE_BYTES: usize = (1 << 20) + (1 << 10);
    /// The weight of a state is counted in steps of this number of bytes, so that most changes of a record do
    /// not change it.
    pub const WEIGHT_STEP_BYTES: u64 = 4 << 10;

    /// The weight of a state in steps, at least one.
    #[must_use]
    pub const fn steps(state: &[u8]) -> u64 {
        let steps = (state.len() as u64).div_ceil(Self::WEIGHT_STEP_BYTES);
        if steps == 0 { 1 } else { steps }
    }

    /// The weight of a state in bytes: its length, rounded up to full steps.
    #[must_use]
    pub const fn weight(state: &[u8]) -> u64 {
        Self::steps(state) * Self::WEIGHT_STEP_BYTES
    }

    /// The steps that fit into a number of bytes.
    #[must_use]
    pub const fn steps_in(bytes: u64) -> u64 {
        bytes / Self::WEIGHT_STEP_BYTES
    }
}

/// One million records and 8 GiB in all, 10,000 and 256 MiB per owner, of which none can be spared.
impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            max_records: 1_000_000,
            max_records_per_owner: 10_000,
            max_bytes: 8 << 30,
            max_bytes_per_owner: 256 << 20,
            spare_ttl: Duration::ZERO,
        }
    }
}

/// The limit of [`RecordLimits`] that is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordBound {
    /// The number of records.
    Records,
    /// The number of records of the owner.
    RecordsOfOwner,
    /// The bytes of all records.
    Bytes,
    /// The bytes of the owner's records.
    BytesOfOwner,
}

impl fmt::Display for RecordBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records => "the number of records",
            Self::RecordsOfOwner => "the number of records of one owner",
            Self::Bytes => "the bytes of all records",
            Self::BytesOfOwner => "the bytes of one owner's records",
        })
    }
}

/// A page of a list of records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordPage {
    /// Records, ordered by id.
    pub records: Vec<StoredRecord>,
    /// Number of further records in the same range that cannot be read.
    pub unreadable: usize,
    /// Continue the list after this id; `None` at the end.
    pub next: Option<RecordId>,
}

impl RecordPage {
    /// Maximum number of records in one page, whatever limit was requested.
    pub const MAX_RECORDS: usize = 1000;
    /// A page ends before its states exceed this number of bytes; its first record always fits.
    pub const MAX_BYTES: usize = 16 << 20;
}

/// Errors of a call on records.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The record does not exist, has expired or has ended.
    #[error("no such record")]
    Missing,
    /// Another caller changed it first.
    #[error("the record was changed meanwhile; its revision is {}", current.0)]
    Conflict {
        /// The revision that is stored now.
        current: Revision,
    },
    /// The state is longer than [`RecordLimits::MAX_STATE_BYTES`].
    #[error(
        "a state of {bytes} bytes is longer than {} bytes",
        RecordLimits::MAX_STATE_BYTES
    )]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A limit of the caller is reached; nothing was changed.
    #[error("no room for the record: {bound} has reached its limit")]
    NoRoom {
        /// The limit.
        bound: RecordBound,
    },
    /// This record is damaged. Others are not affected.
    #[error("the record cannot be read")]
    Unreadable {
        /// The reason why it cannot be read.
        #[source]
        source: BoxError,
    },
    /// The store failed; the outcome of a change is unknown unless it is `Overloaded`.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

impl RecordsError {
    /// Refuses a state that is too long, before anything is sent to the store.
    ///
    /// # Errors
    /// [`RecordsError::TooLarge`].
    pub const fn check_state(state: &[u8]) -> Result<(), Self> {
        let bytes = state.len();
        if bytes > RecordLimits::MAX_STATE_BYTES {
            return Err(Self::TooLarge { bytes });
        }
        Ok(())
    }
}

impl Classified for RecordsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing => ErrorClass::Missing,
            Self::Conflict { .. } => ErrorClass::Conflict,
            Self::TooLarge { .. } => ErrorClass::Caller,
            Self::NoRoom { .. } => ErrorClass::Overloaded,
            Self::Unreadable { .. } => ErrorClass::Permanent,
            Self::Failed(failure) => failure.class(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_of_full_steps() {
        for (bytes, steps) in [
            (0, 1),
            (1, 1),
            (4096, 1),
            (4097, 2),
            (8192, 2),
            (1 << 20, 256),
        ] {
            let state = vec![0; bytes];
            assert_eq!(RecordLimits::steps(&state), steps, "{bytes}");
            assert_eq!(RecordLimits::weight(&state), steps * 4096, "{bytes}");
        }
        assert_eq!(RecordLimits::steps_in(8191), 1);
    }
}
