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
use ports::{Collection, RecordBound, StoreFailure};
use tokio::time::Instant;
use tracing::debug;

use super::keys::{IndexRange, RecordEntry};
use crate::{RedisSessionStore, config::PIPELINED, store::millis};

#[derive(Debug, thiserror::Error)]
#[error("the index of records returned an unexpected answer")]
struct UnexpectedRecordIndexAnswer;

/// The answer of a script.
pub(super) struct RecordIndexAnswer {
    pub(super) outcome: u64,
    /// At a bound, the number of records of the owner; otherwise the steps that a spared record gave.
    pub(super) amount: u64,
    /// The server's time in milliseconds, followed by the entries that are due.
    now: u64,
    pub(super) due: Vec<RecordEntry>,
}

impl RecordIndexAnswer {
    fn read(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter();
        let mut number = || values.next().map_or(Some(0), |value| value.as_u64());
        let (outcome, amount, now) = (number()?, number()?, number()?);
        let due = values.filter_map(|entry| entry.into_string().map(RecordEntry::read));
        Some(Self {
            outcome,
            amount,
            now,
            due: due.collect(),
        })
    }

    /// The bound that is reached.
    pub(super) const fn bound(&self) -> Option<RecordBound> {
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
    pub(super) async fn on_record_index(
        &self,
        call: IndexCall,
        script: &Script,
        arguments: Vec<String>,
    ) -> Result<RecordIndexAnswer, StoreFailure> {
        let arguments = arguments.into_iter().map(Value::from).collect();
        let keys = self.record_keys.index(call.collection);
        let answer = self.run_on_shared::<Vec<Value>>(call.op, script, &keys, arguments);
        RecordIndexAnswer::read(answer.await?)
            .ok_or_else(|| StoreFailure::corrupt(call.op, UnexpectedRecordIndexAnswer))
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
        if !self.keys.is_time_to_sweep() {
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
    pub(super) async fn remaining_ttls(
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
    pub(super) async fn check_due_records(
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
        let keys = self.record_keys.index(call.collection);
        let key = keys[range.key].name();
        let began = Instant::now();
        let client = self.connection.client();
        let found = client.zrangebylex::<Vec<String>, _, _, _>(key, from, to, Some((0, limit)));
        match found.await {
            Ok(found) => Ok(found.into_iter().map(|member| range.read(member)).collect()),
            Err(error) => {
                let failure = self.failed(call.op, began, error);
                Err(self.name_foreign_key(call.op, &keys, failure).await)
            }
        }
    }
}

/// Logs a failure of the index. The operation itself succeeded; the index is corrected when the
/// entry is due.
pub(super) fn log_index_failure(outcome: Result<(), StoreFailure>) {
    if let Err(error) = outcome {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        debug!(%error, source, "the index of records is corrected later");
    }
}
