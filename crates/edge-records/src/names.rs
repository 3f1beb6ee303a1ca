//! Names that changed, and the ids to which the names of principals are pinned.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use model::{LogPosition, PrincipalId, RecordId, TaskId};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, Records,
    RecordsError, Revision, StoredRecord,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::state_version::{StateVersionError, of_version, with_version};

/// Where names are kept.
const NAMES: Collection = Collection::new("names");
/// The version of their states.
const VERSION: u8 = 1;
/// Time for which names are kept after their last change: longer than a token is used.
const TIME_TO_LIVE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// An error of a call on names.
#[derive(Debug, thiserror::Error)]
pub enum NameRecordsError {
    /// Another build wrote what is stored.
    #[error(transparent)]
    Version(#[from] StateVersionError),
    /// What is stored is damaged.
    #[error("the stored names cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// The call on the store failed.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// The book of names as it is stored: what changed, and up to where the log has been read for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredBook<C> {
    /// Every change up to here is in it.
    pub through: LogPosition,
    /// The changes.
    pub changes: Vec<C>,
}

/// A record of names with its revision; `None` before the first one was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedNames<N> {
    /// What is stored.
    pub names: N,
    revision: Revision,
}

/// Names that changed, and pins, shared by all edges.
///
/// # Contract
/// - **NR-01** `load_…` returns what was stored last, on every handle, and `None` before.
/// - **NR-02** `store_…` without a revision creates, and with one replaces: of several calls that loaded the same,
///   exactly one stores, and the others get `false` and change nothing. They load again, add what they have, and
///   repeat.
/// - **NR-03** what one principal has pinned is no other's.
/// - **NR-04** a state of another version, or a damaged one, is an error and is never overwritten.
/// - **NR-05** each part of the places is a record of its own, and so is the mark by which an edge finds that all of
///   it is gone or was put right by another.
#[derive(Clone, Debug)]
pub struct NameRecords {
    records: Arc<dyn Records>,
}

impl NameRecords {
    /// The names in a store.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// The book of names.
    ///
    /// # Errors
    /// What is stored cannot be read, or the store failed.
    pub async fn load_book<C: DeserializeOwned>(
        &self,
    ) -> Result<Option<VersionedNames<StoredBook<C>>>, NameRecordsError> {
        self.load(&book()).await
    }

    /// Stores the book; see NR-02.
    ///
    /// # Errors
    /// The store failed, or has no room.
    pub async fn store_book<C: Serialize + Sync>(
        &self,
        book_of_names: &StoredBook<C>,
        before: Option<&VersionedNames<StoredBook<C>>>,
    ) -> Result<bool, NameRecordsError> {
        let before = before.map(|before| before.revision);
        let owner = PrincipalId::anonymous();
        self.store(book(), owner, book_of_names, before).await
    }

    /// The pins of a principal.
    ///
    /// # Errors
    /// What is stored cannot be read, or the store failed.
    pub async fn load_pins<P: DeserializeOwned>(
        &self,
        principal: &PrincipalId,
    ) -> Result<Option<VersionedNames<P>>, NameRecordsError> {
        self.load(&pins_of(principal)).await
    }

    /// The pins of several principals, in their order.
    ///
    /// # Errors
    /// As [`Self::load_pins`], for the first of them.
    pub async fn load_pins_of<P: DeserializeOwned>(
        &self,
        principals: &[PrincipalId],
    ) -> Result<Vec<Option<VersionedNames<P>>>, NameRecordsError> {
        let ids: Vec<_> = principals.iter().map(|id| pins_of(id).id).collect();
        let stored = self.records.load_many(NAMES, &ids).await?;
        let stored = stored.into_iter();
        stored
            .map(|stored| stored.map(decode).transpose())
            .collect()
    }

    /// Stores the pins of a principal; see NR-02.
    ///
    /// # Errors
    /// The store failed, or has no room.
    pub async fn store_pins<P: Serialize + Sync>(
        &self,
        principal: &PrincipalId,
        pins: &P,
        before: Option<&VersionedNames<P>>,
    ) -> Result<bool, NameRecordsError> {
        let before = before.map(|before| before.revision);
        let owner = principal.clone();
        self.store(pins_of(principal), owner, pins, before).await
    }

    /// A part of the names under which places were shown.
    ///
    /// # Errors
    /// What is stored cannot be read, or the store failed.
    pub async fn load_places<P: DeserializeOwned>(
        &self,
        part: usize,
    ) -> Result<Option<VersionedNames<Vec<P>>>, NameRecordsError> {
        self.load(&places(part)).await
    }

    /// Stores a part; see NR-02.
    ///
    /// # Errors
    /// The store failed, or has no room.
    pub async fn store_places<P: Serialize + Sync>(
        &self,
        part: usize,
        of_part: &Vec<P>,
        before: Option<&VersionedNames<Vec<P>>>,
    ) -> Result<bool, NameRecordsError> {
        let before = before.map(|before| before.revision);
        let owner = PrincipalId::anonymous();
        self.store(places(part), owner, of_part, before).await
    }

    /// The mark: another number than before, or none, says that what is stored is to be compared with what is known.
    ///
    /// # Errors
    /// What is stored cannot be read, or the store failed.
    pub async fn load_mark(&self) -> Result<Option<VersionedNames<u64>>, NameRecordsError> {
        self.load(&mark()).await
    }

    /// Stores a mark; see NR-02.
    ///
    /// # Errors
    /// The store failed, or has no room.
    pub async fn store_mark(
        &self,
        number: u64,
        before: Option<&VersionedNames<u64>>,
    ) -> Result<bool, NameRecordsError> {
        let before = before.map(|before| before.revision);
        let owner = PrincipalId::anonymous();
        self.store(mark(), owner, &number, before).await
    }

    async fn load<N: DeserializeOwned>(
        &self,
        key: &RecordKey,
    ) -> Result<Option<VersionedNames<N>>, NameRecordsError> {
        let stored = self.records.load(key).await?;
        stored.map(decode).transpose()
    }

    async fn store<N: Serialize + Sync>(
        &self,
        key: RecordKey,
        owner: PrincipalId,
        names: &N,
        before: Option<Revision>,
    ) -> Result<bool, NameRecordsError> {
        let state: Bytes = with_version(VERSION, &serde_json::to_vec(names)?);
        let limits = RecordLimits::default();
        if let Some(revision) = before {
            let life = RecordLife::For(TIME_TO_LIVE);
            let replaced = self
                .records
                .replace(&key, state, revision, life, limits)
                .await;
            return match replaced {
                Ok(_) => Ok(true),
                Err(RecordsError::Conflict { .. } | RecordsError::Missing) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let record = NewRecord {
            key,
            owner,
            state,
            ttl: TIME_TO_LIVE,
        };
        let created = self.records.create(&record, limits).await?;
        Ok(matches!(created, RecordCreation::Created(_)))
    }
}

fn decode<N: DeserializeOwned>(
    stored: StoredRecord,
) -> Result<VersionedNames<N>, NameRecordsError> {
    let StoredRecord {
        state, revision, ..
    } = stored;
    let names = serde_json::from_slice(&of_version(VERSION, state)?)?;
    Ok(VersionedNames { names, revision })
}

fn key(id: RecordId) -> RecordKey {
    RecordKey {
        collection: NAMES,
        id,
    }
}

fn book() -> RecordKey {
    key(RecordId::new("book").expect("visible ASCII"))
}

fn places(part: usize) -> RecordKey {
    key(RecordId::new(&format!("places-{part}")).expect("visible ASCII"))
}

fn mark() -> RecordKey {
    key(RecordId::new("mark").expect("visible ASCII"))
}

fn pins_of(principal: &PrincipalId) -> RecordKey {
    let kind = TaskId::new("pins").expect("letters");
    key(RecordId::scoped(&kind, principal))
}
