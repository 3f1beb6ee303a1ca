//! Records.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoreFailure, StoredRecord,
};

use super::Deadline;

#[async_trait]
impl Records for Deadline<Arc<dyn Records>> {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let call = self.port.create(record, limits);
        self.bounded("create the record", call).await
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        self.bounded("load the record", self.port.load(key)).await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        let call = self.port.load_many(collection, ids);
        self.bounded("load the records", call).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        let call = self.port.expires_at(key);
        self.bounded("load the record", call).await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        let call = self.port.replace(key, state, expected, life, limits);
        self.bounded("replace the record", call).await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        let call = self.port.touch(key, ttl);
        self.bounded("extend the record", call).await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        self.bounded("end the record", self.port.end(key)).await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let call = self.port.list(collection, owner, after, limit);
        self.bounded("list the records", call).await
    }

    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let call = self.port.list_under(collection, under, after, limit);
        self.bounded("list the records", call).await
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        let call = self.port.check(collection);
        self.bounded("take changes", call).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        self.bounded("tell the time", self.port.time()).await
    }

    fn max_state_bytes(&self) -> usize {
        self.port.max_state_bytes()
    }
}
