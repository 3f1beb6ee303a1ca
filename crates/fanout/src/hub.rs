//! The hub: receives events and opens streams.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use event_flow::follow::Followed;
use model::{
    Clock, Cursor, CursorScope, Epoch, EventFacts, IdSource, LogPosition, Sequence, Sequenced,
    StoredEvent, Timestamp,
};
use ports::EventLog;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    bounds::StreamBounds,
    format::{StreamEnd, StreamFormat, StreamReader},
    interest::StreamInterest,
    log_end::LogEnd,
    news::NewsSelection,
    pages::{PageResult, Pages},
    ring::{Ring, RingEntry, RingRead},
    streams::OpenStreams,
};
use crate::{
    error::HubError,
    limits::{CALL_DEADLINE, RING_BYTES, RING_EVENTS},
    metrics::{FanoutMetrics, GapReason, StreamKind},
};
use access::Principal;

/// The fan-out of one edge.
#[derive(Debug)]
pub struct Hub {
    pub(crate) ring: Ring,
    pub(crate) streams: OpenStreams,
    pub(crate) metrics: FanoutMetrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) log_end: LogEnd,
    pub(super) pages: Arc<Pages>,
    epoch: AtomicU64,
    started: AtomicBool,
    /// The position of the newest event, for requests that wait for one.
    pub(super) published: watch::Sender<Sequence>,
    draining: CancellationToken,
    pub(crate) bounds: StreamBounds,
    ids: Arc<dyn IdSource>,
    started_at: Instant,
}

/// The point from which a new stream starts.
#[derive(Debug)]
pub enum StreamStart {
    /// With the next event.
    Head,
    /// After a cursor.
    After(Cursor),
    /// After a position of this log.
    Position(Sequence),
    /// With the next event; a notice to the reader says that its cursor is not valid here.
    UnknownCursor,
}

/// A stream to open.
#[derive(Debug)]
pub struct StreamRequest {
    /// For metrics.
    pub kind: StreamKind,
    /// The format of its frames.
    pub format: StreamFormat,
    /// The scope of its cursors.
    pub scope: CursorScope,
    /// The session that it belongs to, with the tag of this stream.
    pub session: Option<(model::SessionId, u64)>,
    /// The reader.
    pub principal: Arc<Principal>,
    /// The events and resources that it wants.
    pub interest: StreamInterest,
    /// The point from which it starts.
    pub begin: StreamStart,
    /// The news that it wants in addition to events.
    pub wants: NewsSelection,
    /// Whether the stream ends at the maximum age; false if its end would cost the client more than
    /// a reconnect.
    pub ages: bool,
}

/// The dependencies of a hub.
#[derive(Debug)]
pub struct HubParts {
    /// The event log, for streams that are behind the ring.
    pub log: Arc<dyn EventLog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for the ages of streams.
    pub ids: Arc<dyn IdSource>,
    /// The instruments.
    pub metrics: FanoutMetrics,
    /// The bounds on the number, age and lag of streams.
    pub bounds: StreamBounds,
    /// Cancelled when the process drains: requests that wait for an event return.
    pub draining: CancellationToken,
}

impl Hub {
    /// A hub that has not begun to follow the log; it serves streams after [`Followed::Started`].
    #[must_use]
    pub fn new(parts: HubParts) -> Self {
        Self::with_ring(Ring::new(RING_EVENTS, RING_BYTES), parts)
    }

    /// As [`Hub::new`] with a ring of the given size.
    pub(crate) fn with_ring(ring: Ring, parts: HubParts) -> Self {
        let HubParts {
            log,
            clock,
            ids,
            metrics,
            bounds,
            draining,
        } = parts;
        metrics.set_max_streams(bounds);
        Self {
            ring,
            pages: Pages::new(Arc::clone(&log), metrics.clone()),
            streams: OpenStreams::new(metrics.ended_streams.clone()),
            metrics,
            clock,
            log,
            log_end: LogEnd::default(),
            epoch: AtomicU64::new(0),
            started: AtomicBool::new(false),
            published: watch::Sender::new(Sequence::START),
            draining,
            bounds,
            ids,
            started_at: Instant::now(),
        }
    }

    /// Applies an update of the follower. Never blocks.
    pub fn apply(&self, followed: Followed) {
        match followed {
            Followed::Started {
                epoch, position, ..
            } => self.start(epoch, position),
            Followed::Events(events) => events.into_iter().for_each(|event| self.publish(event)),
            Followed::Lost(lost) => {
                warn!(after = %lost.after, resumes_after = %lost.resumes_after, "the log trimmed events before this edge read them, or has entries that do not decode");
                self.metrics.gap(GapReason::Trimmed);
                self.ring.restart(lost.resumes_after);
                // Each stream finds that it is behind, reads the log and reports the gap to its
                // client.
                self.streams
                    .for_slice(0, 1, |stream| stream.rescan_after(lost.after));
            }
            Followed::CaughtUp
            | Followed::Stalled
            | Followed::Recovered
            | Followed::Other(_)
            | Followed::OtherGap => {}
        }
    }

    /// Seconds since the hub began: the unit in which stream ages are counted.
    pub(crate) fn second(&self) -> u32 {
        u32::try_from(self.started_at.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn start(&self, epoch: Epoch, position: Sequence) {
        let replaced = self.started.load(Ordering::Acquire);
        self.streams.restart(position);
        self.ring.restart(position);
        self.pages.clear();
        // Last: a reader that sees the new epoch sees positions of the new log only.
        self.epoch.store(epoch.0, Ordering::Release);
        if replaced {
            self.metrics.gap(GapReason::LogReplaced);
            self.streams.end_all(StreamEnd::LogReplaced);
        }
        self.started.store(true, Ordering::Release);
    }

    fn publish(&self, event: Sequenced<StoredEvent>) {
        let entry = Arc::new(RingEntry::new(event));
        self.ring.push(Arc::clone(&entry));
        self.published.send_replace(entry.sequence);
        let streams = self.streams.mark(&entry);
        if streams > 0 {
            let trace_id = entry.event.trace.map(|trace| trace.trace.to_string());
            info!(
                event_id = %entry.event.facts.id,
                sequence = entry.sequence.0,
                streams,
                trace_id,
                "event goes to streams"
            );
        }
    }

    /// Waits until an event after `position` fits, until one may have fitted but has left the ring,
    /// or until the edge drains.
    pub async fn published_after(
        &self,
        position: Sequence,
        fits_event: impl Fn(&EventFacts) -> bool + Send,
    ) {
        let mut published = self.published.subscribe();
        let mut looked_through = position;
        let fits = async {
            loop {
                published.borrow_and_update();
                let mut found = false;
                let window = self.ring.read(looked_through, usize::MAX, |entry| {
                    found = fits_event(&entry.event.facts);
                    !found
                });
                match window {
                    RingRead::Read { through, .. } if !found => looked_through = through,
                    _ => return,
                }
                if published.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = self.draining.run_until_cancelled(fits).await;
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// A random number, for the ages of streams.
    pub(crate) fn random(&self) -> u64 {
        self.ids.random_u64()
    }

    /// The identity of the log that this edge follows.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// This edge's position in the log; never ahead of the log.
    pub fn position(&self) -> LogPosition {
        LogPosition {
            epoch: self.epoch(),
            sequence: self.ring.head(),
        }
    }

    /// A reader of this log at its beginning, for cursors of `scope`.
    pub fn reader(&self, scope: CursorScope) -> StreamReader {
        StreamReader {
            epoch: self.epoch(),
            scope,
            inbox: Sequence::START,
            newest_subscription: 0,
        }
    }

    /// The position at which to begin, and whether requested events are gone.
    ///
    /// # Errors
    /// The cursor is ahead of this edge, and the log cannot tell now whether it is also ahead of
    /// the log.
    pub async fn resolve(&self, begin: StreamStart) -> Result<(Sequence, bool), HubError> {
        let head = self.ring.head();
        let position = match begin {
            StreamStart::Head => return Ok((head, false)),
            StreamStart::UnknownCursor => {
                self.metrics.gap(GapReason::UnknownCursor);
                return Ok((head, true));
            }
            StreamStart::After(cursor) if cursor.epoch != self.epoch() => {
                self.metrics.gap(GapReason::LogReplaced);
                return Ok((Sequence::START, true));
            }
            StreamStart::After(cursor) => cursor.sequence,
            StreamStart::Position(position) => position,
        };
        if position <= head {
            return Ok((position, false));
        }
        // A cursor ahead of this edge is normal for a moment; one ahead of the log means that the
        // log lost events.
        let last = timeout(CALL_DEADLINE, self.log.head()).await??.last;
        if position > last {
            self.metrics.gap(GapReason::AheadOfLog);
            return Ok((last, true));
        }
        Ok((position, false))
    }

    /// The position after which events were received at or after `time`.
    ///
    /// # Errors
    /// The log does not answer in time.
    pub async fn position_at(&self, time: Timestamp) -> Result<Sequence, HubError> {
        Ok(timeout(CALL_DEADLINE, self.log.seek(time)).await??)
    }

    /// A page of the log after `position`, for a stream that fell off the ring: one read serves all
    /// streams that ask for nearby positions. See [`Pages::after`].
    ///
    /// # Errors
    /// The log cannot be read now, or was replaced meanwhile.
    pub(crate) async fn page_after(&self, position: Sequence) -> PageResult {
        self.pages.after(position).await
    }
}
