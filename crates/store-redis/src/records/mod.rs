//! [`ports::Records`]: a record is one hash in a slot of its own, `{prefix}<collection>:{<id>}`, with the key's
//! expiry as its time to live. An index of five keys per collection lists and counts the records; its surplus
//! entries are checked against the records themselves (`keys`).

mod index;
mod index_scripts;
mod keys;
mod scripts;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    interfaces::HashesInterface,
    types::{FromValue, Value, scripts::Script},
};
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
    index::IndexCall,
    keys::{IndexRange, RecordEntry},
};
use crate::{RedisSessionStore, config::PIPELINED, store::millis};

/// A collection whose index gives the keys for calls on no collection.
const NO_COLLECTION: Collection = Collection::new("store");

#[derive(Debug, thiserror::Error)]
enum MalformedRecord {
    #[error("the store of records returned an unexpected answer")]
    Answer,
    #[error("the hash of the record has lost one of its fields, or one of them is not ours")]
    Fields,
}

fn unexpected_answer(op: &'static str) -> RecordsError {
    StoreFailure::corrupt(op, MalformedRecord::Answer).into()
}

fn unreadable() -> RecordsError {
    RecordsError::Unreadable {
        source: MalformedRecord::Fields.into(),
    }
}

/// A failure of a call on one record: a value of another program concerns its key alone.
fn of_one_record(failure: StoreFailure) -> RecordsError {
    match failure {
        StoreFailure::Corrupt { source, .. } => RecordsError::Unreadable { source },
        failure => failure.into(),
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        other => other.as_str()?.parse().ok(),
    }
}

/// The fields of a living record: revision, owner, state and end. `None` if there is no record.
const FIELDS: [&str; 4] = ["revision", "owner", "state", "till"];

fn read_fields(id: &RecordId, fields: Vec<Value>) -> Result<Option<StoredRecord>, RecordsError> {
    if fields.iter().all(Value::is_null) {
        return Ok(None);
    }
    let mut fields = fields.into_iter();
    let mut read = || {
        let revision = Revision(number(&fields.next()?)?);
        let owner = PrincipalId::new(&fields.next()?.into_string()?).ok()?;
        let state = fields.next().filter(|state| !state.is_null())?;
        let state = state.into_bytes()?;
        let till = i64::try_from(number(&fields.next()?)?).ok()?;
        Some(StoredRecord {
            id: id.clone(),
            owner,
            state,
            revision,
            expires_at: Timestamp::from_unix_millis(till),
        })
    };
    read().map(Some).ok_or_else(unreadable)
}

/// What a replace found.
enum Replaced {
    Done {
        revision: Revision,
        entry: RecordEntry,
        steps_before: u64,
        is_shortened: bool,
    },
    Conflict {
        current: Revision,
        entry: RecordEntry,
        steps: u64,
    },
    /// Nothing was done: the index has to be asked for room first.
    AskIndex { entry: RecordEntry },
}

impl Replaced {
    fn read(op: &'static str, id: &RecordId, values: Vec<Value>) -> Result<Self, RecordsError> {
        let mut values = values.into_iter();
        let mut read = || {
            let outcome = number(&values.next()?)?;
            if outcome == 0 {
                return Some(None);
            }
            let revision = Revision(number(&values.next()?)?);
            let entry = RecordEntry::new(id, &values.next()?.into_string()?);
            let steps = number(&values.next()?)?;
            Some(Some(match outcome {
                1 => Self::Conflict {
                    current: revision,
                    entry,
                    steps,
                },
                2 => Self::Done {
                    revision,
                    entry,
                    steps_before: steps,
                    is_shortened: !values.next()?.into_string()?.is_empty(),
                },
                3 => Self::AskIndex { entry },
                _ => return None,
            }))
        };
        let found = read().ok_or_else(|| unexpected_answer(op))?;
        found.ok_or(RecordsError::Missing)
    }
}

/// A state that replaces another one.
struct NewState<'a> {
    key: &'a RecordKey,
    state: Bytes,
    expected: Revision,
    life: RecordLife,
}

impl RedisSessionStore {
    /// Runs a script on one record.
    async fn on_record<R: FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        key: &RecordKey,
        arguments: Vec<Value>,
    ) -> Result<R, RecordsError> {
        let keys = vec![self.record_keys.of(key)];
        self.run(op, script, keys, arguments)
            .await
            .map_err(of_one_record)
    }

    async fn find_record(
        &self,
        op: &'static str,
        collection: Collection,
        id: &RecordId,
    ) -> Result<Option<StoredRecord>, RecordsError> {
        let key = self.record_keys.record(collection, id.as_str());
        let (began, client) = (Instant::now(), self.connection.client());
        let found = client.hmget::<Vec<Value>, _, _>(key, FIELDS.to_vec()).await;
        let found = found.map_err(|error| of_one_record(self.failed(op, began, error)))?;
        read_fields(id, found)
    }

    /// Stores a record for which there is room.
    async fn put_record(
        &self,
        op: &'static str,
        record: &NewRecord,
    ) -> Result<RecordCreation, RecordsError> {
        let arguments = vec![
            Value::Bytes(record.state.clone()),
            millis(record.ttl).into(),
            record.owner.as_str().into(),
            RecordLimits::steps(&record.state).to_string().into(),
        ];
        let script = &self.record_scripts.create;
        let call = self.on_record::<Vec<Value>>(op, script, &record.key, arguments);
        let mut answer = call.await?;
        let outcome = answer.first().and_then(number);
        match outcome {
            Some(0) => Ok(RecordCreation::Ended),
            Some(1) => {
                answer.remove(0);
                let there = read_fields(&record.key.id, answer)?;
                there.map(RecordCreation::Exists).ok_or_else(unreadable)
            }
            Some(2) => {
                let revision = answer.get(1).and_then(number).map(Revision);
                let revision = revision.ok_or_else(|| unexpected_answer(op))?;
                Ok(RecordCreation::Created(revision))
            }
            _ => Err(unexpected_answer(op)),
        }
    }

    async fn create_record(
        &self,
        call: IndexCall,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let entry = RecordEntry::new(&record.key.id, record.owner.as_str());
        let reserved = self.reserve_record(call, (&entry, record), limits).await;
        let was_there = match reserved {
            Ok(was_there) => was_there,
            // A key that is in use is reported before a bound.
            Err(refused @ RecordsError::NoRoom { .. }) => {
                let there = self.what_is_there(call, &record.key).await?;
                return there.ok_or(refused);
            }
            Err(failed) => return Err(failed),
        };
        let created = self.put_record(call.op, record).await?;
        let steps = RecordLimits::steps(&record.state);
        match &created {
            RecordCreation::Created(_) if was_there => {
                self.weigh_record(call, &entry, steps).await;
            }
            RecordCreation::Exists(there) if there.owner == record.owner => {
                let weight = RecordLimits::steps(&there.state);
                if weight != steps {
                    self.weigh_record(call, &entry, weight).await;
                }
            }
            RecordCreation::Created(_) => {}
            // No create of this owner can succeed as long as that is there.
            RecordCreation::Exists(_) | RecordCreation::Ended => {
                self.remove_record_entry(call, &entry).await;
            }
        }
        self.sweep_records(call).await;
        Ok(created)
    }

    /// The answer to a create for which there is no room, if its key is in use.
    async fn what_is_there(
        &self,
        call: IndexCall,
        key: &RecordKey,
    ) -> Result<Option<RecordCreation>, RecordsError> {
        if let Some(there) = self.find_record(call.op, key.collection, &key.id).await? {
            return Ok(Some(RecordCreation::Exists(there)));
        }
        let (began, client) = (Instant::now(), self.connection.client());
        let ended = client.hexists(self.record_keys.of(key), "ended").await;
        let ended: bool = ended.map_err(|error| self.failed(call.op, began, error))?;
        Ok(ended.then_some(RecordCreation::Ended))
    }

    /// Replaces a state by one of up to `room` steps, or of no more than it has.
    async fn replace_within(
        &self,
        op: &'static str,
        new: &NewState<'_>,
        room: u64,
    ) -> Result<Replaced, RecordsError> {
        let ttl = match new.life {
            RecordLife::For(ttl) => millis(ttl),
            RecordLife::Unchanged => String::new(),
        };
        let arguments = vec![
            new.expected.0.to_string().into(),
            Value::Bytes(new.state.clone()),
            ttl.into(),
            RecordLimits::steps(&new.state).to_string().into(),
            room.to_string().into(),
        ];
        let script = &self.record_scripts.replace;
        let answer = self.on_record::<Vec<Value>>(op, script, new.key, arguments);
        Replaced::read(op, &new.key.id, answer.await?)
    }

    async fn replace_record(
        &self,
        call: IndexCall,
        new: &NewState<'_>,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError> {
        let steps = RecordLimits::steps(&new.state);
        let mut has_grown = false;
        loop {
            let room = if has_grown { steps } else { 0 };
            match self.replace_within(call.op, new, room).await? {
                Replaced::AskIndex { entry } if !has_grown => {
                    self.grow_record(call, (&entry, steps), limits).await?;
                    has_grown = true;
                }
                Replaced::AskIndex { .. } => return Err(unexpected_answer(call.op)),
                Replaced::Conflict {
                    current,
                    entry,
                    steps,
                } => {
                    if has_grown {
                        self.weigh_record(call, &entry, steps).await;
                    }
                    return Err(RecordsError::Conflict { current });
                }
                Replaced::Done {
                    revision,
                    entry,
                    steps_before,
                    is_shortened,
                } => {
                    if steps < steps_before {
                        self.weigh_record(call, &entry, steps).await;
                    }
                    if let (RecordLife::For(ttl), true) = (new.life, is_shortened) {
                        self.make_record_due_earlier(call, &entry, ttl).await;
                    }
                    return Ok(revision);
                }
            }
        }
    }

    /// Reads from the index until the page is full or the index ends.
    async fn page_of_records(
        &self,
        call: IndexCall,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let limit = limit.clamp(1, RecordPage::MAX_RECORDS);
        let mut after = after.map(|id| id.as_str().to_owned());
        if after.is_none() {
            self.mend_record_index(call).await?;
        }
        let (mut page, mut bytes) = (RecordPage::default(), 0);
        loop {
            let wanted = limit - page.records.len();
            // One more than wanted, which shows whether there is a next page.
            let range = IndexRange::new(owner, after.as_deref());
            let entries = self.record_entries(call, &range, wanted + 1).await?;
            let at_end = entries.len() <= wanted;
            let (mut finds, mut gone) = (Vec::with_capacity(wanted), Vec::new());
            for entry in entries.iter().take(wanted) {
                finds.push(self.find_entry(call, entry));
            }
            let mut found = stream::iter(finds).buffered(PIPELINED);
            let mut of = entries.iter();
            while let (Some(found), Some(entry)) = (found.next().await, of.next()) {
                match found {
                    Ok(Some(record)) => {
                        bytes += record.state.len();
                        if bytes > RecordPage::MAX_BYTES && !page.records.is_empty() {
                            page.next = page.records.last().map(|last| last.id.clone());
                            return Ok(page);
                        }
                        page.records.push(record);
                    }
                    Ok(None) => gone.push((entry.clone(), None)),
                    Err(RecordsError::Unreadable { .. }) => page.unreadable += 1,
                    Err(failed) => return Err(failed),
                }
            }
            drop(found);
            self.reschedule_records(call, gone).await?;
            if at_end || page.records.len() == limit {
                let last = page.records.last().filter(|_| !at_end);
                page.next = last.map(|last| last.id.clone());
                return Ok(page);
            }
            after = entries.get(wanted - 1).map(|last| last.id().to_owned());
        }
    }

    /// The record of an entry; `None` if it is gone, or another owner's by now.
    async fn find_entry(
        &self,
        call: IndexCall,
        entry: &RecordEntry,
    ) -> Result<Option<StoredRecord>, RecordsError> {
        let id = RecordId::new(entry.id()).map_err(|_| unreadable())?;
        let found = self.find_record(call.op, call.collection, &id).await?;
        Ok(found.filter(|found| found.owner.as_str() == entry.owner()))
    }
}

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
        self.bounded(OP, self.page_of_records(call, owner, after, limit))
            .await
    }

    async fn check(&self) -> Result<(), StoreFailure> {
        const OP: &str = "store anything";
        self.bounded(OP, self.check_access(OP)).await
    }

    async fn time(&self) -> Result<Timestamp, StoreFailure> {
        const OP: &str = "tell the time";
        let keys = self.record_keys.index(NO_COLLECTION);
        let millis = self.run::<i64>(OP, &self.record_scripts.time, keys, Vec::new());
        let millis = self.bounded(OP, millis).await?;
        Ok(Timestamp::from_unix_millis(millis))
    }
}
