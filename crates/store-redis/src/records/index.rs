//! The calls that change the index of a collection (see `keys` for its contents).

use std::time::Duration;

use fred::{
    interfaces::SortedSetsInterface,
    types::{
        Value,
        scripts::Script,
        sorted_sets::{ZRange, ZRangeBound, ZRangeKind},
    },
};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::PrincipalId;
use ports::{Collection, NewRecord, RecordBound, RecordLimits, RecordsError, StoreFailure};
use tokio::time::Instant;
use tracing::debug;

use super::keys::{IndexRange, RecordEntry};
use crate::{RedisSessionStore, config::PIPELINED, store::millis};

/// Many times the duration of a create: after this time the entry of an unfinished create is
/// checked.
const CREATE_GRACE: Duration = Duration::from_secs(30);
/// Entries that a search for a record to be spared reads at once.
const SPARE_PAGE: usize = 1000;

#[derive(Debug, thiserror::Error)]
#[error("the index of records returned an unexpected answer")]
struct UnexpectedRecordIndexAnswer;

/// The answer of a script.
struct RecordIndexAnswer {
    outcome: u64,
    /// The number of records of the owner at a bound.
    of_owner: u64,
    /// The server's time in milliseconds, followed by the entries that are due.
    now: u64,
    due: Vec<RecordEntry>,
}

impl RecordIndexAnswer {
    fn read(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter();
        let mut number = || values.next().map_or(Some(0), |value| value.as_u64());
        let (outcome, of_owner, now) = (number()?, number()?, number()?);
        let due = values.filter_map(|entry| entry.into_string().map(RecordEntry::read));
        Some(Self {
            outcome,
            of_owner,
            now,
            due: due.collect(),
        })
    }

    /// The bound that is reached.
    const fn bound(&self) -> Option<RecordBound> {
        match self.outcome {
            2 => Some(RecordBound::Records),
            3 => Some(RecordBound::RecordsOfOwner),
            4 => Some(RecordBound::Bytes),
            5 => Some(RecordBound::BytesOfOwner),
            _ => None,
        }
    }
}

/// The weight of a record beyond its first step.
pub(super) const fn extra(steps: u64) -> u64 {
    steps.saturating_sub(1)
}

/// An index as one call uses it.
#[derive(Clone, Copy)]
pub(super) struct IndexCall {
    /// What the call does, for its errors.
    pub(super) op: &'static str,
    pub(super) collection: Collection,
}

impl RedisSessionStore {
    async fn on_record_index(
        &self,
        call: IndexCall,
        script: &Script,
        arguments: Vec<String>,
    ) -> Result<RecordIndexAnswer, StoreFailure> {
        let arguments = arguments.into_iter().map(Value::from).collect();
        let keys = self.record_keys.index(call.collection);
        let answer = self.run::<Vec<Value>>(call.op, script, keys, arguments);
        RecordIndexAnswer::read(answer.await?)
            .ok_or_else(|| StoreFailure::corrupt(call.op, UnexpectedRecordIndexAnswer))
    }

    /// Reserves room for a record that is about to be stored; returns whether its entry was there already. At a
    /// bound it first checks all due entries, then looks for a record that gives its place: each step removes
    /// or postpones entries, so the loop terminates.
    pub(super) async fn reserve_record(
        &self,
        call: IndexCall,
        (entry, new): (&RecordEntry, &NewRecord),
        limits: RecordLimits,
    ) -> Result<bool, RecordsError> {
        let mut spare: Option<RecordEntry> = None;
        loop {
            let arguments = reserve_arguments(entry, new, limits, spare.as_ref());
            let script = &self.record_index_scripts.reserve;
            let answer = self.on_record_index(call, script, arguments).await?;
            let Some(bound) = answer.bound() else {
                if let Some(spare) = spare.filter(|_| answer.outcome == 0) {
                    self.remove_spared(call, spare, limits).await?;
                }
                return Ok(answer.outcome == 1);
            };
            let most = u64::from(limits.max_records_per_owner);
            let may_spare = bound == RecordBound::RecordsOfOwner
                && answer.of_owner == most
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
            let range = IndexRange::new(Some(owner), after.as_deref());
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

    /// Removes a record whose entry has given its place; if it was given more time meanwhile, it counts again.
    async fn remove_spared(
        &self,
        call: IndexCall,
        spare: RecordEntry,
        limits: RecordLimits,
    ) -> Result<(), StoreFailure> {
        let keys = vec![self.record_keys.record(call.collection, spare.id())];
        let arguments = vec![millis(limits.spare_ttl).into()];
        let script = &self.record_scripts.spare;
        let lives = self.run::<u64>(call.op, script, keys, arguments).await?;
        if lives == 0 {
            return Ok(());
        }
        let unlimited = u64::MAX.to_string();
        let mut arguments = vec![spare.text().to_owned(), "1".to_owned(), "0".to_owned()];
        arguments.extend(std::iter::repeat_n(unlimited, 4));
        arguments.push(String::new());
        let script = &self.record_index_scripts.reserve;
        self.on_record_index(call, script, arguments)
            .await
            .map(drop)
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

    /// Makes the index whole again if the server removed a part of it.
    pub(super) async fn mend_record_index(&self, call: IndexCall) -> Result<(), StoreFailure> {
        let script = &self.record_index_scripts.due;
        self.on_record_index(call, script, Vec::new())
            .await
            .map(drop)
    }

    /// From time to time checks due entries, so that most expired records leave the index, however
    /// many records are created and expire.
    pub(super) async fn sweep_records(&self, call: IndexCall) {
        if !self.index.is_time_to_sweep() {
            return;
        }
        let sweeping = async {
            let script = &self.record_index_scripts.due;
            let answer = self.on_record_index(call, script, Vec::new()).await?;
            self.check_due_records(call, answer).await
        };
        log_index_failure(sweeping.await);
    }

    /// The milliseconds that records have left, 0 for those that are not living, and their steps.
    async fn remaining_ttls(
        &self,
        call: IndexCall,
        entries: &[RecordEntry],
    ) -> Result<Vec<(u64, u64)>, StoreFailure> {
        let mut checks = Vec::with_capacity(entries.len());
        for entry in entries {
            let keys = vec![self.record_keys.record(call.collection, entry.id())];
            let script = &self.record_index_scripts.remaining_ttl;
            checks.push(self.run::<(u64, u64)>(call.op, script, keys, Vec::new()));
        }
        let checks = stream::iter(checks).buffered(PIPELINED);
        checks.try_collect().await
    }

    /// Checks the records of due entries, then removes or postpones the entries.
    async fn check_due_records(
        &self,
        call: IndexCall,
        answer: RecordIndexAnswer,
    ) -> Result<(), StoreFailure> {
        let left = self.remaining_ttls(call, &answer.due).await?;
        let due_at = left.into_iter().map(|(left, steps)| match left {
            0 => None,
            left => Some((answer.now + left, steps)),
        });
        self.reschedule_records(call, answer.due.into_iter().zip(due_at).collect())
            .await
    }

    /// Removes the entries without a new due time, and postpones the others.
    pub(super) async fn reschedule_records(
        &self,
        call: IndexCall,
        entries: Vec<(RecordEntry, Option<(u64, u64)>)>,
    ) -> Result<(), StoreFailure> {
        if entries.is_empty() {
            return Ok(());
        }
        let arguments = entries.into_iter().flat_map(|(entry, due)| {
            let due_at = due.map(|(at, _)| at.to_string()).unwrap_or_default();
            let extra = due.map_or(0, |(_, steps)| extra(steps));
            [entry.text().to_owned(), due_at, extra.to_string()]
        });
        let script = &self.record_index_scripts.reschedule;
        self.on_record_index(call, script, arguments.collect())
            .await
            .map(drop)
    }

    /// Removes the entry of a record that has ended, so that it no longer counts.
    pub(super) async fn remove_record_entry(&self, call: IndexCall, entry: &RecordEntry) {
        let script = &self.record_index_scripts.remove;
        let arguments = vec![entry.text().to_owned()];
        log_index_failure(
            self.on_record_index(call, script, arguments)
                .await
                .map(drop),
        );
    }

    /// Corrects what a record weighs.
    pub(super) async fn weigh_record(&self, call: IndexCall, entry: &RecordEntry, steps: u64) {
        let script = &self.record_index_scripts.weigh;
        let arguments = vec![entry.text().to_owned(), extra(steps).to_string()];
        log_index_failure(
            self.on_record_index(call, script, arguments)
                .await
                .map(drop),
        );
    }

    /// Makes an entry due earlier, because its record has less time left than before.
    pub(super) async fn make_record_due_earlier(
        &self,
        call: IndexCall,
        entry: &RecordEntry,
        ttl: Duration,
    ) {
        let script = &self.record_index_scripts.make_due_earlier;
        let arguments = vec![entry.text().to_owned(), millis(ttl)];
        log_index_failure(
            self.on_record_index(call, script, arguments)
                .await
                .map(drop),
        );
    }

    /// Returns up to `limit` entries of a range, in order. Some of their records may be gone.
    pub(super) async fn record_entries(
        &self,
        call: IndexCall,
        range: &IndexRange,
        limit: usize,
    ) -> Result<Vec<RecordEntry>, StoreFailure> {
        let bound = |text: &Option<String>, open| match text {
            Some(text) => ZRange {
                kind: ZRangeKind::Exclusive,
                range: ZRangeBound::Lex(text.clone()),
            },
            None => ZRange {
                kind: ZRangeKind::Inclusive,
                range: open,
            },
        };
        let from = bound(&range.from, ZRangeBound::NegInfinityLex);
        let to = bound(&range.to, ZRangeBound::InfiniteLex);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let key = self
            .record_keys
            .index(call.collection)
            .swap_remove(range.key);
        let began = Instant::now();
        let client = self.connection.client();
        let found: Result<Vec<String>, _> =
            client.zrangebylex(key, from, to, Some((0, limit))).await;
        let found = found.map_err(|error| self.failed(call.op, began, error))?;
        Ok(found.into_iter().map(|member| range.read(member)).collect())
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

/// Logs a failure of the index. The operation itself succeeded; the index is corrected when the
/// entry is due.
fn log_index_failure(outcome: Result<(), StoreFailure>) {
    if let Err(error) = outcome {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        debug!(%error, source, "the index of records is corrected later");
    }
}
