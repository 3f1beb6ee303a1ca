//! [`ports::Records`] in one table.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoreFailure, StoredRecord,
};
use rusqlite::Connection;

use crate::{
    SqliteCallError, SqliteSessionStore,
    record_rows::{CreatedRow, RawRecord, RecordRows},
};

/// An error of a call that reads records: one that does not decode concerns itself alone.
fn failed(op: &'static str) -> impl Fn(SqliteCallError) -> RecordsError {
    move |error| match error {
        SqliteCallError::Corrupt(source) => RecordsError::Unreadable { source },
        error => error.failing(op).into(),
    }
}

impl SqliteSessionStore {
    async fn read_records<T: Send + 'static>(
        &self,
        op: &'static str,
        collection: Collection,
        read: impl FnOnce(&RecordRows<'_>) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let read = move |connection: &Connection, now| {
            read(&RecordRows {
                connection,
                collection,
                now,
            })
        };
        self.read_few(read).await.map_err(failed(op))
    }

    async fn write_records<T: Send + 'static>(
        &self,
        op: &'static str,
        collection: Collection,
        bytes: usize,
        write: impl FnOnce(&RecordRows<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let write = move |connection: &Connection, now| {
            write(&RecordRows {
                connection,
                collection,
                now,
            })
        };
        self.write_now(bytes, write).await.map_err(failed(op))
    }
}

#[async_trait]
impl Records for SqliteSessionStore {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        const OP: &str = "create a record";
        RecordsError::check_state(&record.state)?;
        let (collection, bytes) = (record.key.collection, record.state.len());
        let new = record.clone();
        let create = move |rows: &RecordRows<'_>| rows.create(&new, limits);
        let created = self.write_records(OP, collection, bytes, create).await??;
        Ok(match created {
            CreatedRow::Created(revision) => RecordCreation::Created(revision),
            CreatedRow::Ended => RecordCreation::Ended,
            CreatedRow::Exists(raw) => RecordCreation::Exists(raw.decode().map_err(failed(OP))?),
        })
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        let id = key.id.clone();
        let load = move |rows: &RecordRows<'_>| {
            let found = rows.load(&id)?;
            found.map(RawRecord::decode).transpose()
        };
        self.read_records("load a record", key.collection, load)
            .await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        let ids = ids.to_vec();
        let load = move |rows: &RecordRows<'_>| {
            let load = |id| rows.load(id)?.map(RawRecord::decode).transpose();
            ids.iter().map(load).collect()
        };
        self.read_records("load records", collection, load).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        let id = key.id.clone();
        let read = move |rows: &RecordRows<'_>| Ok(rows.expires_at(&id)?);
        self.read_records("find a record", key.collection, read)
            .await
    }

    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        const OP: &str = "replace a record";
        RecordsError::check_state(&state)?;
        let (id, bytes) = (key.id.clone(), state.len());
        let replace =
            move |rows: &RecordRows<'_>| rows.replace(&id, &state, expected, (life, limits));
        let replaced = self.write_records(OP, key.collection, bytes, replace);
        Ok(replaced.await??)
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        let id = key.id.clone();
        let touch = move |rows: &RecordRows<'_>| rows.touch(&id, rows.now.plus(ttl));
        self.write_records("touch a record", key.collection, 0, touch)
            .await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        let id = key.id.clone();
        let end = move |rows: &RecordRows<'_>| rows.end(&id);
        self.write_records("end a record", key.collection, 0, end)
            .await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let owner = owner.map(ToString::to_string);
        let after = after.map(ToString::to_string).unwrap_or_default();
        let read = move |connection: &Connection, now| {
            let rows = RecordRows {
                connection,
                collection,
                now,
            };
            rows.page(owner.as_deref(), &after, limit)
        };
        self.read_now(read).await.map_err(failed("list records"))
    }

    async fn list_under(
        &self,
        collection: Collection,
        (owner, prefix): (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let owner = owner.to_string();
        let after = after.map_or(prefix, |after| after.max(prefix)).to_string();
        let before = prefix.end_of_prefix();
        let read = move |connection: &Connection, now| {
            let rows = RecordRows {
                connection,
                collection,
                now,
            };
            rows.page_between(&owner, (&after, &before), limit)
        };
        self.read_now(read).await.map_err(failed("list records"))
    }

    async fn check(&self, _collection: Collection) -> Result<(), StoreFailure> {
        let checked = self.check_file().await;
        checked.map_err(|error| error.failing("answer"))
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        Ok(self.clock.now())
    }
}
