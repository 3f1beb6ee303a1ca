//! The mirror: the state of each resource, as learned from the events.
//!
//! `reading` extracts the state from one event, `table` keeps the newest state per resource within
//! bounds, by ids; `places` knows who has which address; this module feeds them from the follower, and `lists` from GitHub's
//! lists and from the store. Readers come through [`crate::reader`].

mod addresses;
mod carried;
mod facts;
mod fuller;
mod kept;
mod key;
mod list;
mod lists;
mod missing;
mod places;
mod progress;
mod reading;
mod saved;
mod shown;
mod table;
mod version;

use std::sync::atomic::{AtomicU64, Ordering};

use event_flow::follow::{Followed, LostEvents};
use model::{Epoch, FoundResource, ResourceId, ResourceUri, Sequence, Sequenced, StoredEvent};
use parking_lot::Mutex;
use ports::{ResourceState, SyncStatus};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{limits::MAX_STATE_BYTES, metrics::SyncMetrics};
pub(crate) use fuller::fuller;
pub(crate) use key::is_of_owner;
pub(crate) use saved::SavedState;
pub(crate) use shown::{KnownBefore, LivingState, ShownOutcome, listed_event_id};

pub(crate) use shown::ShownAs;

use kept::ApplyOutcome;
use progress::ListProgress;
use table::Table;

/// Shared by the follower, which writes, and all readers.
#[derive(Debug)]
pub(crate) struct Mirror {
    table: Mutex<Table>,
    followed: watch::Sender<MirrorPosition>,
    head: AtomicU64,
    caught_up: watch::Sender<bool>,
    progress: Mutex<ListProgress>,
    metrics: SyncMetrics,
}

/// The position to which the mirror has followed the log: the table has every event up to here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MirrorPosition {
    /// The log; `None` before it was found.
    pub(crate) epoch: Option<Epoch>,
    pub(crate) sequence: Sequence,
    /// Rises when the log is found, replaced or put back: from then on positions are others.
    pub(crate) generation: u64,
}

impl Mirror {
    pub(crate) fn new(max_resources: usize, metrics: SyncMetrics) -> Self {
        Self {
            table: Mutex::new(Table::new(max_resources, MAX_STATE_BYTES)),
            followed: watch::Sender::default(),
            head: AtomicU64::new(0),
            caught_up: watch::Sender::new(false),
            progress: Mutex::default(),
            metrics,
        }
    }

    /// Whether the mirror has caught up with the log since its start, and a signal of changes.
    pub(crate) fn caught_up(&self) -> watch::Receiver<bool> {
        self.caught_up.subscribe()
    }

    /// The position, and a signal of changes.
    pub(crate) fn followed(&self) -> watch::Receiver<MirrorPosition> {
        self.followed.subscribe()
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
            Followed::Lost(lost) => self.lose(lost),
            Followed::CaughtUp { through } => {
                self.advance(through);
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
        let before = self.followed.borrow().epoch;
        if before.is_some_and(|before| before != epoch) {
            // A new log: its sequences say nothing about the states of the old one, which GitHub had all the same.
            self.table.lock().set_back(Sequence(0));
            self.caught_up.send_replace(false);
        }
        self.move_to(epoch, position, head);
    }

    /// The log lost what came after `resumes_after`. That happened at GitHub all the same, so the states
    /// stay; the events that took their numbers count as later.
    fn set_back(&self, resumes_after: Sequence, head: Sequence) {
        self.table.lock().set_back(resumes_after);
        let epoch = self.followed.borrow().epoch;
        if let Some(epoch) = epoch {
            self.move_to(epoch, resumes_after, head);
        }
    }

    /// Begins another part of a log, which may have lower positions.
    fn move_to(&self, epoch: Epoch, sequence: Sequence, head: Sequence) {
        self.head.store(head.0, Ordering::Relaxed);
        self.followed.send_modify(|followed| {
            *followed = MirrorPosition {
                epoch: Some(epoch),
                sequence,
                generation: followed.generation + 1,
            };
        });
    }

    /// The table has everything up to here.
    fn advance(&self, through: Sequence) {
        self.head.fetch_max(through.0, Ordering::Relaxed);
        self.followed.send_if_modified(|followed| {
            let advances = through > followed.sequence;
            followed.sequence = through.max(followed.sequence);
            advances
        });
    }

    fn lose(&self, lost: LostEvents) {
        let (range, reason) = (lost.range, lost.reason.as_str());
        let (after, resumes_after) = (range.after, range.resumes_after);
        warn!(%after, %resumes_after, reason, "events were gone before sync read them; states stay as they were");
        self.advance(resumes_after);
    }

    fn events(&self, events: &[Sequenced<StoredEvent>]) {
        for event in events {
            self.event(event);
        }
        if let Some(last) = events.last() {
            self.advance(last.sequence);
        }
    }

    fn event(&self, event: &Sequenced<StoredEvent>) {
        let facts = &event.item.facts;
        if facts.ids.owner.is_none() && facts.ids.repository.is_none() && facts.number.is_none() {
            return;
        }
        let reading = match reading::read(&event.item) {
            Ok(reading) => reading,
            Err(error) => {
                // One unreadable event must not block the others; the log's owner has to
                // investigate.
                warn!(%error, event = %facts.id, "skipping an unreadable event");
                return;
            }
        };
        let mut table = self.table.lock();
        match table.apply(facts, event.sequence, reading) {
            ApplyOutcome::Newer { evicted } => {
                self.count(&table, evicted);
            }
            ApplyOutcome::Outdated => {
                self.metrics.outdated.inc();
            }
            ApplyOutcome::Stateless => {}
        }
    }

    fn count(&self, table: &Table, evicted: u64) {
        self.metrics.evicted.inc_by(evicted);
        let resources = i64::try_from(table.len()).unwrap_or(i64::MAX);
        self.metrics.resources.set(resources);
    }

    fn show_lag(&self) {
        let position = self.followed.borrow().sequence;
        let lag = self.head.load(Ordering::Relaxed).saturating_sub(position.0);
        self.metrics
            .lag_events
            .set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    /// How far the mirror has followed the log.
    pub(crate) fn progress(&self) -> SyncStatus {
        SyncStatus {
            position: self.followed.borrow().sequence,
            head: Sequence(self.head.load(Ordering::Relaxed)),
            resources: self.table.lock().len() as u64,
            caught_up: *self.caught_up.borrow(),
        }
    }

    /// The state of a resource, as of the present position.
    pub(crate) fn get(&self, uri: &ResourceUri) -> Option<ResourceState> {
        let found = self.table.lock().found(uri);
        // Without the lock: an object may be large.
        let (state, news) = found?;
        Some(ResourceState {
            json: news.applied_to(&state.json),
            ..state
        })
    }

    /// Where the resource with a node id is and what names it, as of the present position.
    pub(crate) fn find(&self, id: &ResourceId) -> Option<FoundResource> {
        let found = self.table.lock().find(id);
        // Without the lock: an object may be large.
        let (mut found, json, news) = found?;
        github_events::describe_content(&mut found, &news.applied_to(&json));
        Some(found)
    }
}
