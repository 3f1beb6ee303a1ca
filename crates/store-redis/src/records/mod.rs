//! [`ports::Records`]: a record is one hash in a slot of its own, `{prefix}<collection>:{<id>}`, with the key's
//! expiry as its time to live. An index of five keys per collection lists and counts the records; its surplus
//! entries are checked against the records themselves (`keys`).
//!
//! | module | idea |
//! | --- | --- |
//! | `keys` | the names of keys, and what the index contains |
//! | `scripts`, `index_scripts` | the scripts on a record, and on the index of a collection |
//! | `hash` | the calls on one record |
//! | `index` | the calls on the index |
//! | `room` | the bounds: room that a record takes before it is stored |
//! | `changes` | creates and replaces: record and index in the right order |
//! | `pages` | lists |

mod changes;
mod hash;
mod index;
mod index_scripts;
mod keys;
mod pages;
mod room;
mod scripts;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::HashesInterface;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoreFailure, StoredRecord,
};
use tokio::time::Instant;

pub(crate) use index_scripts::RecordIndexScripts;
pub(crate) use keys::RecordKeys;
pub(crate) use scripts::RecordScripts;

use self::{
    hash::{NewState, of_one_record},
    index::IndexCall,
    keys::RecordEntry,
};
use crate::{RedisSessionStore, config::PIPELINED, shared_keys::names, store::millis};

/// A collection whose index gives the keys for calls on no collection.
const NO_COLLECTION: Collection = Collection::new("store");

#[async_trait]
impl Records for RedisSessionStore {
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        const OP: &str = "create a record";
        RecordsError::check_state(&record.state)?;
        let call = IndexCall {
            op: OP,
            collection: record.key.collection,
        };
        self.bounded(OP, self.create_record(call, record, limits))
            .await
    }

    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError> {
        const OP: &str = "load a record";
        self.bounded(OP, self.find_record(OP, key.collection, &key.id))
            .await
    }

    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError> {
        const OP: &str = "load records";
        let mut finds = Vec::with_capacity(ids.len());
        for id in ids {
            finds.push(self.find_record(OP, collection, id));
        }
        let found = stream::iter(finds).buffered(PIPELINED).try_collect();
        self.bounded(OP, found).await
    }

    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError> {
        const OP: &str = "find a record";
        self.bounded(OP, async {
            let (began, client) = (Instant::now(), self.connection.client());
            let name = self.record_keys.of(key);
            let till = client.hget::<Option<i64>, _, _>(name, "till").await;
            let till = till.map_err(|error| of_one_record(self.failed(OP, began, error)))?;
            Ok(till.map(Timestamp::from_unix_millis))
        })
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
        let call = IndexCall {
            op: OP,
            collection: key.collection,
        };
        let new = NewState {
            key,
            state,
            expected,
            life,
        };
        self.bounded(OP, self.replace_record(call, &new, limits))
            .await
    }

    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError> {
        const OP: &str = "touch a record";
        let call = IndexCall {
            op: OP,
            collection: key.collection,
        };
        self.bounded(OP, async {
            let (script, arguments) = (&self.record_scripts.touch, vec![millis(ttl).into()]);
            let touched = self.on_record::<(i64, String)>(OP, script, key, arguments);
            let (touched, owner) = touched.await?;
            if !owner.is_empty() {
                let entry = RecordEntry::new(&key.id, &owner);
                self.make_record_due_earlier(call, &entry, ttl).await;
            }
            Ok(touched == 1)
        })
        .await
    }

    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError> {
        const OP: &str = "end a record";
        let call = IndexCall {
            op: OP,
            collection: key.collection,
        };
        self.bounded(OP, async {
            let ended = self.on_record(OP, &self.record_scripts.end, key, Vec::new());
            let (ended, owner): (i64, String) = ended.await?;
            if ended == 1 {
                let entry = RecordEntry::new(&key.id, &owner);
                self.remove_record_entry(call, &entry).await;
            }
            Ok(ended == 1)
        })
        .await
    }

    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        const OP: &str = "list records";
        let call = IndexCall { op: OP, collection };
        self.bounded(OP, self.page_of_records(call, owner, None, after, limit))
            .await
    }

    async fn list_under(
        &self,
        collection: Collection,
        (owner, prefix): (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        const OP: &str = "list records";
        let call = IndexCall { op: OP, collection };
        let page = self.page_of_records(call, Some(owner), Some(prefix), after, limit);
        self.bounded(OP, page).await
    }

    async fn check(&self, collection: Collection) -> Result<(), StoreFailure> {
        const OP: &str = "store anything";
        let index = self.record_keys.index(collection);
        // No record is there, because no id is empty. Mailboxes and leases have no check of their own.
        let record = self.record_keys.record(collection, "");
        let kinds = self.keys.key_of_each_kind().into_iter().chain([record]);
        self.bounded(OP, self.check_access(OP, kinds, &index)).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        const OP: &str = "tell the time";
        let keys = names(&self.record_keys.index(NO_COLLECTION));
        let millis = self.run::<i64>(OP, &self.record_scripts.time, keys, Vec::new());
        let millis = self.bounded(OP, millis).await?;
        Ok(Timestamp::from_unix_millis(millis))
    }
}
