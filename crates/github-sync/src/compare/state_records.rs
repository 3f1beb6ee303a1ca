//! The stored states of the mirror: those of a place belong to one owner, so that they are listed without others.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use model::{PrincipalId, RecordId};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, Records,
    RecordsError, Revision,
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

    /// Stores states of a place, each in the place of an older one.
    pub(super) async fn save(
        &self,
        place: &ListedPlace,
        states: &[SavedState],
    ) -> Result<(), CompareError> {
        let owner = owner_of(place);
        let saves = states
            .iter()
            .map(|state| self.save_one(&owner, state).boxed());
        let saves: Vec<_> = saves.collect();
        let saves = stream::iter(saves).buffer_unordered(SAVES_AT_ONCE);
        saves.try_collect::<()>().await
    }

    async fn save_one(&self, owner: &PrincipalId, state: &SavedState) -> Result<(), CompareError> {
        let encoded = state.encode().map_err(CompareError::Encoding)?;
        let record = NewRecord {
            key: key(state.record_id()),
            owner: owner.clone(),
            state: encoded,
            ttl: MIRROR_TTL,
        };
        if record.state.len() > self.records.max_state_bytes() {
            warn!(id = %record.key.id, bytes = record.state.len(), "a state is too large to be stored: it is in memory alone");
            return Ok(());
        }
        loop {
            let (known, revision) = match self.records.create(&record, LIMITS).await {
                Ok(RecordCreation::Created(_) | RecordCreation::Ended) => return Ok(()),
                Ok(RecordCreation::Exists(known)) => (Some(known.state), known.revision),
                // It cannot be replaced, and an end would last as long as the record.
                Err(RecordsError::Unreadable { .. }) => {
                    warn!(id = %record.key.id, "a stored state is damaged: the present one is in memory alone");
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let known = known.and_then(|known| SavedState::decode(&known).ok());
            if known.is_some_and(|known| !state.is_newer_than(&known)) {
                return Ok(());
            }
            match self.replace(&record, revision).await {
                Ok(()) => return Ok(()),
                // Another replica was faster: the newer one of both stays.
                Err(RecordsError::Conflict { .. } | RecordsError::Missing) => {}
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

    /// The states with these ids, as far as they are there.
    pub(super) async fn of_ids(&self, ids: &[&str]) -> Result<Vec<SavedState>, CompareError> {
        let ids: Vec<_> = ids.iter().filter_map(|id| RecordId::new(id).ok()).collect();
        let records = self.records.load_many(STATES, &ids).await?;
        let states = records.into_iter().flatten();
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
