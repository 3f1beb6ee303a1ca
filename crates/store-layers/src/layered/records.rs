//! The states of records.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoreFailure, StoredRecord,
};

use super::Layered;
use crate::{BodyLayer, BodyPlace};

impl<B: BodyLayer> Layered<B, Arc<dyn Records>> {
    fn stored_state(&self, key: &RecordKey, state: Bytes) -> Result<Bytes, RecordsError> {
        let bytes = state.len();
        if bytes > self.max_state_bytes() {
            return Err(RecordsError::TooLarge { bytes });
        }
        let place = BodyPlace::Record {
            collection: key.collection,
            id: &key.id,
        };
        let state = self.layer.write(place, state);
        state.map_err(|error| StoreFailure::unavailable("take the record", error).into())
    }

    fn opened(
        &self,
        collection: Collection,
        mut record: StoredRecord,
    ) -> Result<StoredRecord, RecordsError> {
        let id = &record.id;
        let state = self
            .layer
            .read(BodyPlace::Record { collection, id }, record.state);
        record.state = state.map_err(|error| {
            let what = format!("the record {id} of {}", collection.name());
            let source = self.failed(&what, error).into();
            RecordsError::Unreadable { source }
        })?;
        Ok(record)
    }

    /// The records of a page with their states; `None` if these are more than a page holds, unless it is one.
    fn opened_page(&self, collection: Collection, stored: RecordPage) -> Result<RecordPage, usize> {
        let mut page = RecordPage {
            records: Vec::with_capacity(stored.records.len()),
            ..stored
        };
        let mut bytes = 0;
        for record in stored.records {
            match self.opened(collection, record) {
                Ok(record) => {
                    bytes += record.state.len();
                    let fits = bytes <= RecordPage::MAX_BYTES || page.records.is_empty();
                    page.records.push(record);
                    if !fits {
                        return Err(page.records.len() - 1);
                    }
                }
                Err(_) => page.unreadable += 1,
            }
        }
        Ok(page)
    }
}

#[async_trait]
impl<B: BodyLayer> Records for Layered<B, Arc<dyn Records>> {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let stored = NewRecord {
            state: self.stored_state(&record.key, record.state.clone())?,
            key: record.key.clone(),
            owner: record.owner.clone(),
            ttl: record.ttl,
        };
        Ok(match self.store.create(&stored, limits).await? {
            RecordCreation::Exists(there) => {
                RecordCreation::Exists(self.opened(record.key.collection, there)?)
            }
            other => other,
        })
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        let found = self.store.load(key).await?;
        let opened = found.map(|record| self.opened(key.collection, record));
        opened.transpose()
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        let found = self.store.load_many(collection, ids).await?;
        let opened = |record: Option<_>| {
            let opened = record.map(|record| self.opened(collection, record));
            opened.transpose()
        };
        found.into_iter().map(opened).collect()
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        self.store.expires_at(key).await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        let state = self.stored_state(key, state)?;
        let replaced = self.store.replace(key, state, expected, life, limits);
        replaced.await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        self.store.touch(key, ttl).await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        self.store.end(key).await
    }

    /// A page whose states become too large is read again with fewer records, so that each record that cannot be
    /// read counts in one page.
    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let mut limit = limit;
        loop {
            let stored = self.store.list(collection, owner, after, limit).await?;
            match self.opened_page(collection, stored) {
                Ok(page) => return Ok(page),
                Err(fitting) => limit = fitting.max(1),
            }
        }
    }

    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let mut limit = limit;
        loop {
            let stored = self
                .store
                .list_under(collection, under, after, limit)
                .await?;
            match self.opened_page(collection, stored) {
                Ok(page) => return Ok(page),
                Err(fitting) => limit = fitting.max(1),
            }
        }
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        self.store.check(collection).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        self.store.time().await
    }

    fn max_state_bytes(&self) -> usize {
        let most = self.store.max_state_bytes();
        most.saturating_sub(self.layer.added_bytes())
    }
}
