//! [`ports::Records`] in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoreFailure, StoredRecord,
};

use crate::{MemorySessionStore, record_table::RecordTable};

/// Maximum weight of the records of one collection in bytes, whatever limits a call has.
const MAX_TOTAL_BYTES: u64 = 512 << 20;

impl MemorySessionStore {
    /// Runs `work` on the records that have not expired.
    fn with_records<T>(&self, work: impl FnOnce(&mut RecordTable, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut records = self.records.lock();
        records.forget_expired(now);
        work(&mut records, now)
    }

    /// The limits of a call, within those of this store.
    fn within_own(&self, limits: RecordLimits) -> RecordLimits {
        let own = u64::try_from(self.max_sessions).unwrap_or(u64::MAX);
        RecordLimits {
            max_records: limits.max_records.min(own),
            max_bytes: limits.max_bytes.min(MAX_TOTAL_BYTES),
            ..limits
        }
    }
}

#[async_trait]
impl Records for MemorySessionStore {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        RecordsError::check_state(&record.state)?;
        let limits = self.within_own(limits);
        self.with_records(|records, now| match records.find(&record.key) {
            Some(Ok(there)) => Ok(RecordCreation::Exists(there)),
            Some(Err(())) => Ok(RecordCreation::Ended),
            None => records
                .create(record, limits, now)
                .map(RecordCreation::Created),
        })
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        Ok(self.with_records(|records, _| records.load(key)))
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        let key = |id: &RecordId| RecordKey {
            collection,
            id: id.clone(),
        };
        let load = |records: &mut RecordTable, _| {
            let found = ids.iter().map(|id| records.load(&key(id)));
            found.collect()
        };
        Ok(self.with_records(load))
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        let found = self.with_records(|records, _| records.load(key));
        Ok(found.map(|record| record.expires_at))
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        RecordsError::check_state(&state)?;
        let limits = self.within_own(limits);
        self.with_records(|records, now| {
            records.replace(key, &state, expected, (life, limits, now))
        })
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        Ok(self.with_records(|records, now| records.touch(key, now.plus(ttl))))
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        Ok(self.with_records(|records, _| records.end(key, self.max_sessions)))
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        Ok(self.with_records(|records, _| records.page(collection, owner, after, limit)))
    }

    async fn list_under(
        &self,
        collection: Collection,
        (owner, prefix): (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let range = (prefix, after);
        Ok(self.with_records(|records, _| records.page_under(collection, owner, range, limit)))
    }

    async fn check(&self, _collection: Collection) -> Result<(), StoreFailure> {
        Ok(())
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        Ok(self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::ManualClock;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const THINGS: Collection = Collection::new("things");

    fn record(n: usize) -> NewRecord {
        NewRecord {
            key: RecordKey {
                collection: THINGS,
                id: RecordId::new(&format!("thing-{n}")).unwrap(),
            },
            owner: PrincipalId::new(&format!("owner-{}", n % 7)).unwrap(),
            state: vec![7; n].into(),
            ttl: MINUTE,
        }
    }

    async fn create(store: &MemorySessionStore, n: usize) -> RecordCreation {
        let created = store.create(&record(n), RecordLimits::default()).await;
        created.unwrap()
    }

    #[tokio::test]
    async fn what_expired_or_ended_leaves_no_memory_behind() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 1000);
        for n in 0..500 {
            create(&store, n).await;
            Records::touch(&store, &record(n).key, MINUTE)
                .await
                .unwrap();
            if n % 2 == 0 {
                Records::end(&store, &record(n).key).await.unwrap();
            }
        }
        let kept = || store.records.lock().assert_consistent();
        assert_eq!(kept(), 500, "ended ones stay while they would have lived");
        clock.advance(MINUTE);
        assert!(store.load(&record(1).key).await.unwrap().is_none());
        assert_eq!(kept(), 0);
    }

    #[tokio::test]
    async fn up_to_as_many_ended_records_as_living_ones_are_remembered() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock, 10);
        for n in 0..30 {
            create(&store, n).await;
            Records::end(&store, &record(n).key).await.unwrap();
        }
        assert_eq!(store.records.lock().assert_consistent(), 10);
        assert_eq!(create(&store, 29).await, RecordCreation::Ended);
    }

    #[test]
    fn a_collection_has_a_bound_whatever_a_call_asks_for() {
        let store = MemorySessionStore::new(Arc::new(ManualClock::default()), 10);
        let endless = RecordLimits {
            max_records: u64::MAX,
            max_bytes: u64::MAX,
            ..RecordLimits::default()
        };
        let own = store.within_own(endless);
        assert_eq!((own.max_records, own.max_bytes), (10, MAX_TOTAL_BYTES));
        let narrow = RecordLimits {
            max_records: 1,
            max_bytes: 1,
            ..endless
        };
        assert_eq!(store.within_own(narrow), narrow);
    }
}
