//! Changes of a record together with its index. The two are in different slots, so the order of the calls
//! matters (see `keys`).

use ports::{
    NewRecord, RecordCreation, RecordLife, RecordLimits, RecordsError, Revision, StoreFailure,
};

use super::{
    hash::{NewState, ReplaceAnswer, unexpected_answer},
    index::IndexCall,
    keys::RecordEntry,
    room::RoomReservation,
};
use crate::RedisSessionStore;

impl RedisSessionStore {
    pub(super) async fn create_record(
        &self,
        call: IndexCall,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError> {
        let entry = RecordEntry::new(&record.key.id, record.owner.as_str());
        let reserved = self.reserve_record(call, (&entry, record), limits).await;
        let RoomReservation { was_there, spared } = match reserved {
            Ok(reserved) => reserved,
            // A key that is in use is reported before a bound.
            Err(refused @ RecordsError::NoRoom { .. }) => {
                let there = self.what_is_there(call.op, &record.key).await?;
                return there.ok_or(refused);
            }
            Err(failed) => return Err(failed),
        };
        let steps = RecordLimits::steps(&record.state);
        let created = self.put_record(call.op, record).await;
        // What gave its place is removed only now that the record is stored.
        match &created {
            Ok(RecordCreation::Created(_)) => {
                if was_there {
                    self.weigh_record(call, &entry, steps).await;
                }
                if let Some(spared) = spared {
                    self.remove_spared(call, spared, limits).await;
                }
            }
            Ok(RecordCreation::Exists(there)) if there.owner == record.owner => {
                let weight = RecordLimits::steps(&there.state);
                if weight != steps {
                    self.weigh_record(call, &entry, weight).await;
                }
                if spared.is_some() {
                    self.release_record(call, None, spared).await;
                }
            }
            // No create of this owner can succeed as long as that is there.
            Ok(RecordCreation::Exists(_) | RecordCreation::Ended) => {
                self.release_record(call, Some(&entry), spared).await;
            }
            // The entry of a record that may not be stored goes when it is due, since another create may rely on it.
            // Only a server without memory needs it now: it has no room for the entry that returns.
            Err(error) if spared.is_some() => {
                let is_full =
                    matches!(error, RecordsError::Failed(StoreFailure::Overloaded { .. }));
                let unstored = is_full.then_some(&entry);
                self.release_record(call, unstored, spared).await;
            }
            Err(_) => {}
        }
        if created.is_ok() {
            self.sweep_records(call).await;
        }
        created
    }

    pub(super) async fn replace_record(
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
                ReplaceAnswer::AskIndex { entry } if !has_grown => {
                    self.grow_record(call, (&entry, steps), limits).await?;
                    has_grown = true;
                }
                ReplaceAnswer::AskIndex { .. } => return Err(unexpected_answer(call.op)),
                ReplaceAnswer::Conflict {
                    current,
                    entry,
                    steps,
                } => {
                    if has_grown {
                        self.weigh_record(call, &entry, steps).await;
                    }
                    return Err(RecordsError::Conflict { current });
                }
                ReplaceAnswer::Done {
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
}
