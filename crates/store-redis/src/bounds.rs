//! The number of sessions: the calls that change the index (see `index` for its contents).

use std::time::Duration;

use fred::types::{Value, scripts::Script};
use futures_util::{StreamExt, TryStreamExt, stream};
use ports::{SessionLimits, SessionStoreError, StoreFailure};
use tracing::debug;

use crate::{RedisSessionStore, config::PIPELINED, index::IndexEntry, store::millis};

/// Many times the duration of a create: after this time the entry of an unfinished create is
/// checked.
const CREATE_GRACE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
#[error("the session index returned an unexpected answer")]
struct UnexpectedIndexAnswer;

/// The answer of a script.
struct IndexAnswer {
    outcome: u64,
    /// The server's time in milliseconds, followed by the entries that are due.
    now: u64,
    due: Vec<IndexEntry>,
}

impl IndexAnswer {
    fn read(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter();
        let outcome = values.next()?.as_u64()?;
        let now = values.next().map_or(Some(0), |now| now.as_u64())?;
        let due = values.filter_map(|entry| entry.into_string().map(IndexEntry::read));
        Some(Self {
            outcome,
            now,
            due: due.collect(),
        })
    }
}

impl RedisSessionStore {
    async fn on_index(
        &self,
        op: &'static str,
        script: &Script,
        arguments: Vec<String>,
    ) -> Result<IndexAnswer, SessionStoreError> {
        let arguments = arguments.into_iter().map(Value::from).collect();
        let keys = self.index.keys();
        let call = self.run_on_shared::<Vec<Value>>(op, script, &keys, arguments);
        IndexAnswer::read(call.await?)
            .ok_or_else(|| StoreFailure::corrupt(op, UnexpectedIndexAnswer).into())
    }

    /// Reserves room for a session that is about to be stored. At a bound it first checks all due
    /// entries; each check removes or postpones entries, so the loop terminates.
    pub(crate) async fn reserve_entry(
        &self,
        op: &'static str,
        entry: &IndexEntry,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<(), SessionStoreError> {
        loop {
            let arguments = vec![
                entry.clone().into_text(),
                millis(ttl.min(CREATE_GRACE)),
                limits.max_sessions.to_string(),
                limits.max_sessions_per_owner.to_string(),
            ];
            let script = &self.bound_scripts.reserve;
            let answer = self.on_index(op, script, arguments).await?;
            match answer.outcome {
                0 => return Ok(()),
                1 if answer.due.is_empty() => return Err(SessionStoreError::too_many()),
                _ if answer.due.is_empty() => return Err(SessionStoreError::too_many_of_owner()),
                _ => self.check_due_entries(op, answer).await?,
            }
        }
    }

    /// Makes the index whole again if the server removed a part of it.
    pub(crate) async fn mend_index(&self, op: &'static str) -> Result<(), SessionStoreError> {
        let script = &self.bound_scripts.due;
        self.on_index(op, script, Vec::new()).await.map(drop)
    }

    /// From time to time checks due entries, so that most expired sessions leave the index, however
    /// many sessions are created and expire.
    pub(crate) async fn sweep(&self, op: &'static str) {
        if !self.index.is_time_to_sweep() {
            return;
        }
        let sweeping = async {
            let script = &self.bound_scripts.due;
            let answer = self.on_index(op, script, Vec::new()).await?;
            self.check_due_entries(op, answer).await
        };
        log_index_error(sweeping.await);
    }

    /// Checks the sessions of due entries, then removes or postpones the entries.
    async fn check_due_entries(
        &self,
        op: &'static str,
        answer: IndexAnswer,
    ) -> Result<(), SessionStoreError> {
        let mut checks = Vec::with_capacity(answer.due.len());
        for entry in &answer.due {
            let keys = vec![self.index.session_key(entry.id())];
            let script = &self.bound_scripts.remaining_ttl;
            checks.push(self.run::<u64>(op, script, keys, Vec::new()));
        }
        let left: Vec<u64> = stream::iter(checks)
            .buffered(PIPELINED)
            .try_collect()
            .await?;
        let due_at = left.into_iter().map(|left| match left {
            0 => None,
            left => Some(answer.now + left),
        });
        self.reschedule_entries(op, answer.due.into_iter().zip(due_at).collect())
            .await
    }

    /// Removes the entries without a new due time, and postpones the others.
    pub(crate) async fn reschedule_entries(
        &self,
        op: &'static str,
        entries: Vec<(IndexEntry, Option<u64>)>,
    ) -> Result<(), SessionStoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let arguments = entries.into_iter().flat_map(|(entry, due_at)| {
            let due_at = due_at.map(|at| at.to_string()).unwrap_or_default();
            [entry.into_text(), due_at]
        });
        let script = &self.bound_scripts.reschedule;
        self.on_index(op, script, arguments.collect())
            .await
            .map(drop)
    }

    /// Removes the entry of a session that has ended, so that it no longer counts.
    pub(crate) async fn remove_entry(&self, op: &'static str, entry: IndexEntry) {
        let script = &self.bound_scripts.remove;
        let arguments = vec![entry.into_text()];
        log_index_error(self.on_index(op, script, arguments).await.map(drop));
    }

    /// Makes an entry due earlier, because its session has less time left than before.
    pub(crate) async fn make_due_earlier(
        &self,
        op: &'static str,
        entry: IndexEntry,
        ttl: Duration,
    ) {
        let script = &self.bound_scripts.make_due_earlier;
        let arguments = vec![entry.into_text(), millis(ttl)];
        log_index_error(self.on_index(op, script, arguments).await.map(drop));
    }
}

/// Logs an error of the index. The operation itself succeeded; the index is corrected when the
/// entry is due.
fn log_index_error(outcome: Result<(), SessionStoreError>) {
    if let Err(error) = outcome {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        debug!(%error, source, "the session index is corrected later");
    }
}
