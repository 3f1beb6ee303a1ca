//! The bounds of a collection: room in the index is taken before a record is stored.

use std::time::Duration;

use model::PrincipalId;
use ports::{NewRecord, RecordBound, RecordLimits, RecordsError, StoreFailure};

use super::{
    index::{IndexCall, extra, log_index_failure},
    keys::{IndexRange, RecordEntry},
};
use crate::{RedisSessionStore, store::millis};

/// Many times the duration of a create: after this time the entry of an unfinished create is
/// checked.
const CREATE_GRACE: Duration = Duration::from_secs(30);
/// Entries that a search for a record to be spared reads at once.
const SPARE_PAGE: usize = 1000;

/// The room that was taken for a record.
pub(super) struct RoomReservation {
    /// The entry was there already.
    pub(super) was_there: bool,
    /// The entry that gave its place. Its record is removed once the new one is stored.
    pub(super) spared: Option<SparedEntry>,
}

/// An entry that gave its place to another one.
pub(super) struct SparedEntry {
    entry: RecordEntry,
    steps: u64,
}

impl RedisSessionStore {
    /// Reserves room for a record that is about to be stored. At a bound it first checks all due entries, then
    /// looks for a record that gives its place: each step removes or postpones entries, so the loop terminates.
    pub(super) async fn reserve_record(
        &self,
        call: IndexCall,
        (entry, new): (&RecordEntry, &NewRecord),
        limits: RecordLimits,
    ) -> Result<RoomReservation, RecordsError> {
        let mut spare: Option<RecordEntry> = None;
        loop {
            let arguments = reserve_arguments(entry, new, limits, spare.as_ref());
            let script = &self.record_index_scripts.reserve;
            let answer = self.on_record_index(call, script, arguments).await?;
            let Some(bound) = answer.bound() else {
                let spared = spare.filter(|_| answer.amount > 0);
                return Ok(RoomReservation {
                    was_there: answer.outcome == 1,
                    spared: spared.map(|entry| SparedEntry {
                        entry,
                        steps: answer.amount,
                    }),
                });
            };
            let most = u64::from(limits.max_records_per_owner);
            let may_spare = bound == RecordBound::RecordsOfOwner
                && answer.amount == most
                && !limits.spare_ttl.is_zero();
            if !answer.due.is_empty() {
                self.check_due_records(call, answer).await?;
                continue;
            }
            let refused = RecordsError::NoRoom { bound };
            if !may_spare {
                return Err(refused);
            }
            let found = self.first_expiring(call, &new.owner, limits.spare_ttl);
            let found = found.await?.ok_or(refused)?;
            // One that is found again has not made room.
            if spare.as_ref() == Some(&found) {
                return Err(RecordsError::NoRoom { bound });
            }
            spare = Some(found);
        }
    }

    /// The record of an owner that expires first, if it has at most this much time left.
    async fn first_expiring(
        &self,
        call: IndexCall,
        owner: &PrincipalId,
        spare_ttl: Duration,
    ) -> Result<Option<RecordEntry>, StoreFailure> {
        let (mut after, mut first): (Option<String>, Option<(u64, RecordEntry)>) = (None, None);
        let most = u64::try_from(spare_ttl.as_millis()).unwrap_or(u64::MAX);
        loop {
            let range = IndexRange::new(Some(owner), None, after.as_deref());
            let entries = self.record_entries(call, &range, SPARE_PAGE).await?;
            let left = self.remaining_ttls(call, &entries).await?;
            let living = left.into_iter().zip(&entries);
            let living = living.map(|((left, _), entry)| (left, entry.clone()));
            let in_page = living.filter(|(left, _)| (1..=most).contains(left));
            let in_page = in_page.min_by_key(|(left, _)| *left);
            first = [first, in_page]
                .into_iter()
                .flatten()
                .min_by_key(|(left, _)| *left);
            match entries.last().filter(|_| entries.len() == SPARE_PAGE) {
                Some(last) => after = Some(last.id().to_owned()),
                None => return Ok(first.map(|(_, entry)| entry)),
            }
        }
    }

    /// Removes the record that has given its place, now that the new one is stored. One that was given more time
    /// meanwhile, or of which that is not known, counts again.
    pub(super) async fn remove_spared(
        &self,
        call: IndexCall,
        spared: SparedEntry,
        limits: RecordLimits,
    ) {
        let keys = vec![self.record_keys.record(call.collection, spared.entry.id())];
        let arguments = vec![millis(limits.spare_ttl).into()];
        let script = &self.record_scripts.spare;
        let lives = self.run::<u64>(call.op, script, keys, arguments).await;
        if !matches!(lives, Ok(0)) {
            log_index_failure(lives.map(drop));
            self.release_record(call, None, Some(spared)).await;
        }
    }

    /// Gives back what was reserved: the entry of a record that was not stored, if that is certain, goes, and the
    /// one that gave its place returns.
    pub(super) async fn release_record(
        &self,
        call: IndexCall,
        unstored: Option<&RecordEntry>,
        spared: Option<SparedEntry>,
    ) {
        let (spare, steps) = spared.map_or((String::new(), 0), |spared| {
            (spared.entry.text().to_owned(), spared.steps)
        });
        let unstored = unstored.map_or("", RecordEntry::text).to_owned();
        let arguments = vec![unstored, spare, extra(steps).to_string()];
        let script = &self.record_index_scripts.release;
        let released = self.on_record_index(call, script, arguments).await;
        log_index_failure(released.map(drop));
    }

    /// Takes room for a record that becomes heavier.
    pub(super) async fn grow_record(
        &self,
        call: IndexCall,
        (entry, steps): (&RecordEntry, u64),
        limits: RecordLimits,
    ) -> Result<(), RecordsError> {
        loop {
            let arguments = vec![
                entry.text().to_owned(),
                extra(steps).to_string(),
                RecordLimits::steps_in(limits.max_bytes).to_string(),
                RecordLimits::steps_in(limits.max_bytes_per_owner).to_string(),
            ];
            let script = &self.record_index_scripts.grow;
            let answer = self.on_record_index(call, script, arguments).await?;
            match answer.bound() {
                None => return Ok(()),
                Some(bound) if answer.due.is_empty() => {
                    return Err(RecordsError::NoRoom { bound });
                }
                Some(_) => self.check_due_records(call, answer).await?,
            }
        }
    }
}

/// The arguments of `RESERVE`.
fn reserve_arguments(
    entry: &RecordEntry,
    new: &NewRecord,
    limits: RecordLimits,
    spare: Option<&RecordEntry>,
) -> Vec<String> {
    vec![
        entry.text().to_owned(),
        millis(new.ttl.min(CREATE_GRACE)),
        extra(RecordLimits::steps(&new.state)).to_string(),
        limits.max_records.to_string(),
        limits.max_records_per_owner.to_string(),
        RecordLimits::steps_in(limits.max_bytes).to_string(),
        RecordLimits::steps_in(limits.max_bytes_per_owner).to_string(),
        spare
            .map(|spare| spare.text().to_owned())
            .unwrap_or_default(),
    ]
}
