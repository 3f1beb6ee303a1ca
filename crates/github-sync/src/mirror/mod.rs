//! The mirror: the state of each resource, as learned from the events.
//!
//! `reading` extracts the state from one event, `table` keeps the newest state per resource within
//! bounds, and this module feeds both from the follower and answers readers.

mod reading;
mod table;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use event_flow::follow::Followed;
use model::{Epoch, ResourceUri, Sequence, Sequenced, StoredEvent, TraceContext};
use parking_lot::Mutex;
use ports::{ResourceError, ResourceReader, ResourceState, SyncStatus};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{
    limits::MAX_STATE_BYTES,
    metrics::{SyncCallOutcome, SyncMethod, SyncMetrics},
};
use reading::StateReading;
use table::{ApplyOutcome, Table};

/// Shared by the follower, which writes, and all readers.
#[derive(Debug)]
pub(crate) struct Mirror {
    table: Mutex<Table>,
    position: AtomicU64,
    head: AtomicU64,
    caught_up: watch::Sender<bool>,
    epoch: Mutex<Option<Epoch>>,
    metrics: SyncMetrics,
}

impl Mirror {
    pub(crate) fn new(max_resources: usize, metrics: SyncMetrics) -> Self {
        Self {
            table: Mutex::new(Table::new(max_resources, MAX_STATE_BYTES)),
            position: AtomicU64::new(0),
            head: AtomicU64::new(0),
            caught_up: watch::Sender::new(false),
            epoch: Mutex::new(None),
            metrics,
        }
    }

    /// Whether the mirror has caught up with the log since its start, and a signal of changes.
    pub(crate) fn caught_up(&self) -> watch::Receiver<bool> {
        self.caught_up.subscribe()
    }

    /// Applies a report from the follower.
    pub(crate) fn apply(&self, followed: Followed) {
        match followed {
            Followed::Started {
                epoch,
                position,
                head,
                ..
            } => self.start(epoch, position, head),
            Followed::SetBack {
                resumes_after,
                head,
                ..
            } => self.set_back(resumes_after, head),
            Followed::Events(events) => self.events(&events),
            Followed::Lost(lost) => {
                warn!(
                    after = lost.after.0,
                    resumes_after = lost.resumes_after.0,
                    "events were trimmed before sync read them, or do not decode; states stay as they were"
                );
                self.position.store(lost.resumes_after.0, Ordering::Relaxed);
            }
            Followed::CaughtUp => {
                if !self.caught_up.send_replace(true) {
                    info!(
                        resources = self.table.lock().len(),
                        "sync has caught up with the log"
                    );
                }
            }
            Followed::Stalled | Followed::Recovered | Followed::Other(_) | Followed::OtherGap => {}
        }
        self.show_lag();
    }

    /// Records that the log's head was seen at `last`.
    pub(crate) fn record_head(&self, last: Sequence) {
        self.head.fetch_max(last.0, Ordering::Relaxed);
        self.show_lag();
    }

    fn start(&self, epoch: Epoch, position: Sequence, head: Sequence) {
        let before = self.epoch.lock().replace(epoch);
        if before.is_some_and(|before| before != epoch) {
            // A new log: its sequences say nothing about the states of the old one.
            self.table.lock().clear();
            self.metrics.resources.set(0);
            self.caught_up.send_replace(false);
        }
        self.position.store(position.0, Ordering::Relaxed);
        self.head.store(head.0, Ordering::Relaxed);
    }

    /// The log lost what came after `resumes_after`. That happened at GitHub all the same, so the states
    /// stay; the events that took their numbers count as later.
    fn set_back(&self, resumes_after: Sequence, head: Sequence) {
        self.table.lock().set_back(resumes_after);
        self.position.store(resumes_after.0, Ordering::Relaxed);
        self.head.store(head.0, Ordering::Relaxed);
    }

    fn events(&self, events: &[Sequenced<StoredEvent>]) {
        for event in events {
            self.event(event);
        }
        if let Some(last) = events.last() {
            self.position.store(last.sequence.0, Ordering::Relaxed);
            self.head.fetch_max(last.sequence.0, Ordering::Relaxed);
        }
    }

    fn event(&self, event: &Sequenced<StoredEvent>) {
        let Some(uri) = event.item.facts.resource_uri() else {
            return;
        };
        let reading = match reading::read(&event.item) {
            Ok(StateReading::Nothing) => return,
            Ok(reading) => reading,
            Err(error) => {
                // One unreadable event must not block the others; the log's owner has to
                // investigate.
                warn!(%error, event = %event.item.facts.id, "skipping an unreadable event");
                return;
            }
        };
        let mut table = self.table.lock();
        match table.apply(uri, &event.item.facts, event.sequence, reading) {
            ApplyOutcome::Newer { evicted } => {
                self.metrics.evicted.inc_by(evicted);
                self.metrics
                    .resources
                    .set(i64::try_from(table.len()).unwrap_or(i64::MAX));
            }
            ApplyOutcome::Outdated => {
                self.metrics.outdated.inc();
            }
        }
    }

    fn show_lag(&self) {
        let position = self.position.load(Ordering::Relaxed);
        let lag = self.head.load(Ordering::Relaxed).saturating_sub(position);
        self.metrics
            .lag_events
            .set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    /// How far the mirror has followed the log.
    pub(crate) fn progress(&self) -> SyncStatus {
        SyncStatus {
            position: Sequence(self.position.load(Ordering::Relaxed)),
            head: Sequence(self.head.load(Ordering::Relaxed)),
            resources: self.table.lock().len() as u64,
            caught_up: *self.caught_up.borrow(),
        }
    }

    fn get(&self, uri: &ResourceUri) -> Option<ResourceState> {
        self.table.lock().get(uri)
    }

    /// Counts a request for a URI that names no single resource.
    pub(crate) fn count_refusal(&self) {
        self.metrics
            .request(SyncMethod::get_resource, SyncCallOutcome::caller);
    }
}

#[async_trait]
impl ResourceReader for Mirror {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        let state = self.get(uri);
        let outcome = if state.is_some() {
            SyncCallOutcome::ok
        } else {
            SyncCallOutcome::missing
        };
        self.metrics.request(SyncMethod::get_resource, outcome);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        debug!(trace_id, %uri, found = state.is_some(), "resource read");
        Ok(state)
    }

    async fn status(&self, _trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        self.metrics
            .request(SyncMethod::status, SyncCallOutcome::ok);
        Ok(self.progress())
    }
}

/// The mirror as callers in the same process see it.
pub(crate) fn reader(mirror: &Arc<Mirror>) -> Arc<dyn ResourceReader> {
    Arc::<Mirror>::clone(mirror)
}
