//! One record: the calls on its hash, and what they answer. None of them touches the index.

use bytes::Bytes;
use fred::{
    interfaces::HashesInterface,
    types::{FromValue, Value, scripts::Script},
};
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordsError,
    Revision, StoreFailure, StoredRecord,
};
use tokio::time::Instant;

use super::keys::RecordEntry;
use crate::{RedisSessionStore, store::millis};

#[derive(Debug, thiserror::Error)]
enum MalformedRecord {
    #[error("the store of records returned an unexpected answer")]
    Answer,
    #[error("the hash of the record has lost one of its fields, or one of them is not ours")]
    Fields,
}

pub(super) fn unexpected_answer(op: &'static str) -> RecordsError {
    StoreFailure::corrupt(op, MalformedRecord::Answer).into()
}

pub(super) fn unreadable() -> RecordsError {
    RecordsError::Unreadable {
        source: MalformedRecord::Fields.into(),
    }
}

/// A failure of a call on one record: a value of another program concerns its key alone.
pub(super) fn of_one_record(failure: StoreFailure) -> RecordsError {
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
pub(super) enum ReplaceAnswer {
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

impl ReplaceAnswer {
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
pub(super) struct NewState<'a> {
    pub(super) key: &'a RecordKey,
    pub(super) state: Bytes,
    pub(super) expected: Revision,
    pub(super) life: RecordLife,
}

impl RedisSessionStore {
    /// Runs a script on one record.
    pub(super) async fn on_record<R: FromValue>(
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

    pub(super) async fn find_record(
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
    pub(super) async fn put_record(
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

    /// The answer to a create for which there is no room, if its key is in use.
    pub(super) async fn what_is_there(
        &self,
        op: &'static str,
        key: &RecordKey,
    ) -> Result<Option<RecordCreation>, RecordsError> {
        if let Some(there) = self.find_record(op, key.collection, &key.id).await? {
            return Ok(Some(RecordCreation::Exists(there)));
        }
        let (began, client) = (Instant::now(), self.connection.client());
        let ended = client.hexists(self.record_keys.of(key), "ended").await;
        let ended: bool = ended.map_err(|error| self.failed(op, began, error))?;
        Ok(ended.then_some(RecordCreation::Ended))
    }

    /// Replaces a state by one of up to `room` steps, or of no more than it has.
    pub(super) async fn replace_within(
        &self,
        op: &'static str,
        new: &NewState<'_>,
        room: u64,
    ) -> Result<ReplaceAnswer, RecordsError> {
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
        ReplaceAnswer::read(op, &new.key.id, answer.await?)
    }
}
