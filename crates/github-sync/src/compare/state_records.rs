//! The stored states of the mirror: those of a place belong to one owner, so that they are listed without others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use model::{PrincipalId, RecordId};
use ports::{
    Collection, MirroredKind, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits,
    Records, RecordsError, Revision, StoredRecord,
};
use tracing::warn;

use super::error::CompareError;
use crate::{
    limits::{MIRROR_TTL, RESTORED_AT_ONCE, SAVES_AT_ONCE},
    listed::ListedPlace,
    mirror::SavedState,
};

/// The collection of stored states.
const STATES: Collection = Collection::new("mirror-states");

/// Two million states and 32 GiB, of one place a quarter of that. Beyond them states are in memory alone, and a comparison
/// says so.
const LIMITS: RecordLimits = RecordLimits {
    max_records: 2_000_000,
    max_records_per_owner: 500_000,
    max_bytes: 32 << 30,
    max_bytes_per_owner: 8 << 30,
    spare_ttl: Duration::ZERO,
};

/// A page of stored states.
#[derive(Debug, Default)]
pub(super) struct RestoredPage {
    pub(super) states: Vec<SavedState>,
    /// Of another build, or damaged.
    pub(super) unreadable: usize,
    /// The list goes on after this one.
    pub(super) next: Option<RecordId>,
}

/// Stores and reads states.
#[derive(Debug, Clone)]
pub(super) struct StateRecords {
    records: Arc<dyn Records>,
}

impl StateRecords {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Stores states of a place, each in the place of an older one. Gives the kinds of those for which there is no room.
    pub(super) async fn save(
        &self,
        place: &ListedPlace,
        states: &[SavedState],
    ) -> Result<BTreeSet<MirroredKind>, CompareError> {
        let owner = owner_of(place);
        let saves = states
            .iter()
            .map(|state| self.save_one(&owner, state).boxed());
        let saves: Vec<_> = saves.collect();
        let saves = stream::iter(saves).buffer_unordered(SAVES_AT_ONCE);
        let unstored: Vec<Option<MirroredKind>> = saves.try_collect().await?;
        let unstored: Vec<_> = unstored.into_iter().flatten().collect();
        if !unstored.is_empty() {
            let states = unstored.len();
            warn!(
                states,
                "the store has no room for states of the mirror: they are in memory alone"
            );
        }
        Ok(unstored.into_iter().collect())
    }

    /// Stores a state; its kind, if there is no room for it.
    async fn save_one(
        &self,
        owner: &PrincipalId,
        state: &SavedState,
    ) -> Result<Option<MirroredKind>, CompareError> {
        let record = NewRecord {
            key: key(state.record_id()),
            owner: owner.clone(),
            state: state.encode().map_err(CompareError::Encoding)?,
            ttl: MIRROR_TTL,
        };
        if record.state.len() > self.records.max_state_bytes() {
            return Ok(Some(state.kind));
        }
        loop {
            let known = match self.records.create(&record, LIMITS).await {
                Ok(RecordCreation::Created(_) | RecordCreation::Ended) => return Ok(None),
                Ok(RecordCreation::Exists(known)) => known,
                // What is damaged cannot be replaced, and an end would last as long as the record.
                Err(RecordsError::Unreadable { .. } | RecordsError::NoRoom { .. }) => {
                    return Ok(Some(state.kind));
                }
                Err(error) => return Err(error.into()),
            };
            let stored = SavedState::decode(&known.state).ok();
            if stored.is_some_and(|stored| !state.is_newer_than(&stored)) {
                return Ok(None);
            }
            match self.replace(&record, known.revision).await {
                Ok(()) => return Ok(None),
                // Another replica was faster: the newer one of both stays.
                Err(RecordsError::Conflict { .. } | RecordsError::Missing) => {}
                Err(RecordsError::NoRoom { .. }) => return Ok(Some(state.kind)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn replace(&self, record: &NewRecord, revision: Revision) -> Result<(), RecordsError> {
        let life = RecordLife::For(MIRROR_TTL);
        let state = record.state.clone();
        let replaced = self
            .records
            .replace(&record.key, state, revision, life, LIMITS);
        replaced.await.map(drop)
    }

    /// A page of the states of a place, or of all places.
    pub(super) async fn page(
        &self,
        place: Option<&ListedPlace>,
        after: Option<&RecordId>,
    ) -> Result<RestoredPage, CompareError> {
        let owner = place.map(owner_of);
        let page = self
            .records
            .list(STATES, owner.as_ref(), after, RESTORED_AT_ONCE);
        let page = page.await?;
        let states = page
            .records
            .iter()
            .map(|record| SavedState::decode(&record.state));
        let (states, broken): (Vec<_>, Vec<_>) = states.partition(Result::is_ok);
        Ok(RestoredPage {
            states: states.into_iter().flatten().collect(),
            unreadable: page.unreadable + broken.len(),
            next: page.next,
        })
    }

    async fn load_each(&self, ids: Vec<RecordId>) -> Result<Vec<StoredRecord>, RecordsError> {
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            match self.records.load(&key(id)).await {
                Err(RecordsError::Unreadable { .. }) => {}
                record => records.extend(record?),
            }
        }
        Ok(records)
    }

    /// The states with these ids, as far as they are there.
    pub(super) async fn of_ids(&self, ids: &[&str]) -> Result<Vec<SavedState>, CompareError> {
        let ids: Vec<_> = ids.iter().filter_map(|id| RecordId::new(id).ok()).collect();
        let records = match self.records.load_many(STATES, &ids).await {
            Err(RecordsError::Unreadable { .. }) => self.load_each(ids).await?,
            records => records?.into_iter().flatten().collect(),
        };
        let states = records.iter();
        Ok(states
            .filter_map(|record| SavedState::decode(&record.state).ok())
            .collect())
    }
}

fn key(id: RecordId) -> RecordKey {
    RecordKey {
        collection: STATES,
        id,
    }
}

/// A repository, or an owner, by its id: names change hands.
fn owner_of(place: &ListedPlace) -> PrincipalId {
    let id = match &place.repository {
        Some(repository) => format!("github-sync:repository:{}", repository.id),
        None => format!("github-sync:owner:{}", place.owner_id),
    };
    PrincipalId::new(&id).expect("a number is visible ASCII")
}
