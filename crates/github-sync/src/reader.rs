//! The door to the states: every read comes through it, in this process and over gRPC.
//!
//! A client that was notified of an event must not read the state from before it, whichever edge told it
//! (RR-02). So a read waits until the mirror has followed the log to the end that the log had when the read
//! began. Where the log does not answer, the caller's own position is what the mirror has to reach.

#[cfg(test)]
mod cached_histories;
mod mirror_reads;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use event_flow::log_end::SharedLogEnd;
use model::{FoundResource, LogPosition, ResourceId, ResourceUri, Sequence, TraceContext};
use ports::{
    EventLog, LogHead, ResourceError, ResourceFinder, ResourceReader, ResourceState, SyncStatus,
};
use tokio::time::timeout;
use tracing::debug;

use crate::{
    limits::{ANSWER_RESERVE, END_RECHECK},
    metrics::{SyncCallOutcome, SyncMethod, SyncMetrics},
    mirror::{Mirror, MirrorPosition},
};

pub(crate) use mirror_reads::{CompareRequests, NoComparison};

/// Reads the mirror, once it is new enough.
#[derive(Debug)]
pub(crate) struct MirrorReader {
    mirror: Arc<Mirror>,
    log_end: SharedLogEnd,
    deadline: Duration,
    comparison: Arc<dyn CompareRequests>,
    metrics: SyncMetrics,
}

impl MirrorReader {
    /// A reader whose calls take up to `deadline`.
    pub(crate) fn new(
        mirror: Arc<Mirror>,
        log: Arc<dyn EventLog>,
        deadline: Duration,
        metrics: SyncMetrics,
    ) -> Self {
        Self {
            mirror,
            log_end: SharedLogEnd::new(log),
            deadline,
            comparison: Arc::new(NoComparison),
            metrics,
        }
    }

    /// With somebody who compares places with GitHub.
    pub(crate) fn with_comparison(self, comparison: Arc<dyn CompareRequests>) -> Self {
        Self { comparison, ..self }
    }

    /// As [`ResourceReader::get_resource`], for a caller that waits no longer than `patience`.
    pub(crate) async fn read(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        patience: Duration,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        let is_fresh = match seen {
            Some(seen) => self.follow_to(seen, patience.min(self.deadline)).await,
            None => true,
        };
        let state = is_fresh.then(|| self.mirror.get(uri));
        let outcome = outcome_of(state.as_ref());
        self.metrics.request(SyncMethod::get_resource, outcome);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        debug!(trace_id, %uri, ?outcome, "resource read");
        state.ok_or(ResourceError::Behind)
    }

    /// As [`ResourceFinder::find`], for a caller that waits no longer than `patience`.
    pub(crate) async fn find(
        &self,
        id: &ResourceId,
        patience: Duration,
        trace: Option<TraceContext>,
    ) -> Result<Option<FoundResource>, ResourceError> {
        let followed = *self.mirror.followed().borrow();
        let seen = followed.epoch.map(|epoch| LogPosition {
            epoch,
            sequence: followed.sequence,
            tag: None,
        });
        let is_fresh = match seen {
            Some(seen) => self.follow_to(seen, patience.min(self.deadline)).await,
            None => false,
        };
        let found = is_fresh.then(|| self.mirror.find(id));
        let outcome = outcome_of(found.as_ref());
        self.metrics.request(SyncMethod::find_resource, outcome);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        debug!(trace_id, %id, ?outcome, "resource looked up");
        found.ok_or(ResourceError::Behind)
    }

    /// Counts a request that names no single resource.
    pub(crate) fn count_refusal(&self, method: SyncMethod) {
        self.metrics.request(method, SyncCallOutcome::caller);
    }

    /// Waits until the mirror is new enough; false if it is not in time.
    async fn follow_to(&self, seen: LogPosition, patience: Duration) -> bool {
        let patience = patience.saturating_sub(ANSWER_RESERVE);
        timeout(patience, self.reach(seen, patience / 2))
            .await
            .is_ok()
    }

    async fn reach(&self, seen: LogPosition, end_patience: Duration) {
        let mut followed = self.mirror.followed();
        loop {
            let before = *followed.borrow_and_update();
            let end = self.log_end.read_since_now(end_patience).await;
            let target = target(before, seen, end);
            let reached = followed.wait_for(|now| {
                now.generation != before.generation
                    || target.is_some_and(|target| now.sequence >= target)
            });
            // Without a target the follower is about to notice that the log is another one.
            let reached = match target {
                Some(_) => reached.await.ok().map(|now| *now),
                None => match timeout(END_RECHECK, reached).await {
                    Ok(reached) => reached.ok().map(|now| *now),
                    Err(_) => continue,
                },
            };
            match reached {
                Some(now) if now.generation != before.generation => {}
                Some(_) => return,
                // The mirror lives as long as its readers.
                None => std::future::pending().await,
            }
        }
    }
}

/// The outcome of a read: `None` if the mirror was not new enough for it.
fn outcome_of<T>(answer: Option<&Option<T>>) -> SyncCallOutcome {
    match answer {
        Some(Some(_)) => SyncCallOutcome::ok,
        Some(None) => SyncCallOutcome::missing,
        None => SyncCallOutcome::behind,
    }
}

/// The position that the mirror, which was at `before`, has to reach; `None` if it follows another state of
/// the log than the present one.
fn target(before: MirrorPosition, seen: LogPosition, end: Option<LogHead>) -> Option<Sequence> {
    match end {
        Some(end) if Some(end.epoch) != before.epoch || end.last < before.sequence => None,
        Some(end) => Some(end.last),
        None => (Some(seen.epoch) == before.epoch).then_some(seen.sequence),
    }
}

#[async_trait]
impl ResourceReader for MirrorReader {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        self.read(uri, seen, self.deadline, trace).await
    }

    async fn status(&self, _trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        self.metrics
            .request(SyncMethod::status, SyncCallOutcome::ok);
        Ok(self.mirror.progress())
    }
}

#[async_trait]
impl ResourceFinder for MirrorReader {
    async fn find(
        &self,
        id: &ResourceId,
        trace: Option<TraceContext>,
    ) -> Result<Option<FoundResource>, ResourceError> {
        self.find(id, self.deadline, trace).await
    }

    async fn check(&self) -> Result<(), ResourceError> {
        Ok(())
    }
}
