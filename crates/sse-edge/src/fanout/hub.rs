//! Where events come in and streams are opened.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use event_flow::follow::Followed;
use model::{
    Clock, Cursor, CursorScope, Epoch, EventFacts, IdSource, LogPosition, Sequence, Sequenced,
    StoredEvent,
};
use ports::{ChangedLists, EventLog};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    bounds::{MaxAge, StreamBounds},
    feed::Feed,
    format::{Ending, Format, Reader},
    interest::Interest,
    newest::LogEnd,
    notices::Wants,
    pages::{PageResult, Pages},
    ring::{Entry, Ring, Window},
    stream::Stream,
    streams::Streams,
};
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, RING_BYTES, RING_EVENTS},
    metrics::{GapReason, Metrics, StreamKind},
};
use access::{Denied, Principal};

/// The fan-out of one edge.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) ring: Ring,
    pub(crate) streams: Streams,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) log_end: LogEnd,
    pub(super) pages: Arc<Pages>,
    epoch: AtomicU64,
    started: AtomicBool,
    /// Rises with each event; for requests that wait for one.
    pub(super) published: watch::Sender<Sequence>,
    draining: OnceLock<CancellationToken>,
    pub(crate) bounds: StreamBounds,
    ids: Arc<dyn IdSource>,
    began: Instant,
}

/// What a new stream begins with.
#[derive(Debug)]
pub(crate) enum Begin {
    /// What comes next.
    Now,
    /// What comes after a cursor.
    After(Cursor),
    /// What comes after a position of this log.
    Position(Sequence),
    /// What comes next; the reader is told that its cursor means nothing here.
    Unknown,
}

/// A stream to open.
#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) kind: StreamKind,
    pub(crate) format: Format,
    pub(crate) scope: CursorScope,
    pub(crate) session: Option<(model::SessionId, u64)>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) interest: Interest,
    pub(crate) begin: Begin,
    pub(crate) wants: Wants,
    /// Whether it ends when it is old. Not where its end is more than a reconnect.
    pub(crate) ages: bool,
}

impl Hub {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        metrics: Metrics,
        bounds: StreamBounds,
    ) -> Self {
        Self::with_ring(
            Ring::new(RING_EVENTS, RING_BYTES),
            log,
            clock,
            ids,
            metrics,
            bounds,
        )
    }

    /// As [`Hub::new`] with a ring of another size.
    pub(crate) fn with_ring(
        ring: Ring,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        metrics: Metrics,
        bounds: StreamBounds,
    ) -> Self {
        metrics.bounded(bounds);
        Self {
            ring,
            pages: Pages::new(Arc::clone(&log), metrics.clone()),
            streams: Streams::new(metrics.ended_streams.clone()),
            metrics,
            clock,
            log,
            log_end: LogEnd::default(),
            epoch: AtomicU64::new(0),
            started: AtomicBool::new(false),
            published: watch::Sender::new(Sequence::START),
            draining: OnceLock::new(),
            bounds,
            ids,
            began: Instant::now(),
        }
    }

    /// Takes what the follower passes on. Never blocks.
    pub(crate) fn take(&self, followed: Followed) {
        match followed {
            Followed::Started {
                epoch, position, ..
            } => self.start(epoch, position),
            Followed::Events(events) => events.into_iter().for_each(|event| self.publish(event)),
            Followed::Lost(lost) => {
                warn!(after = %lost.after, resumes_after = %lost.resumes_after, "the log trimmed events before this edge read them");
                self.metrics.gap(GapReason::Trimmed);
                self.ring.restart(lost.resumes_after);
                // Each stream finds itself behind, reads the log and tells its client what is gone.
                self.streams
                    .for_slice(0, 1, |stream| stream.look_after(lost.after));
            }
            Followed::CaughtUp
            | Followed::Stalled
            | Followed::Recovered
            | Followed::Other(_)
            | Followed::OtherGap => {}
        }
    }

    /// Seconds since the hub began: what the ages of streams are counted in.
    pub(crate) fn second(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn start(&self, epoch: Epoch, position: Sequence) {
        let replaced = self.started.load(Ordering::Acquire);
        self.streams.restart(position);
        self.ring.restart(position);
        self.pages.clear();
        // Last: who sees the new epoch sees positions of the new log only.
        self.epoch.store(epoch.0, Ordering::Release);
        if replaced {
            self.metrics.gap(GapReason::LogReplaced);
            self.streams.end_all(Ending::LogReplaced);
        }
        self.started.store(true, Ordering::Release);
    }

    fn publish(&self, event: Sequenced<StoredEvent>) {
        let entry = Arc::new(Entry::new(event));
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

    /// Tells the streams that want to know that lists changed.
    pub(crate) fn lists_changed(&self, lists: ChangedLists) {
        self.streams
            .for_slice(0, 1, |stream| stream.lists_changed(lists));
    }

    /// Ends the streams whose reader's token is no longer good.
    pub(crate) fn end_revoked(&self) {
        self.streams.for_slice(0, 1, |stream| {
            if !stream.may_read() {
                stream.end(Ending::Revoked);
            }
        });
    }

    /// Waits until an event after `position` fits, or may (it has left the ring), or the edge drains.
    pub(crate) async fn published_after(
        &self,
        position: Sequence,
        fits_event: impl Fn(&EventFacts) -> bool,
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
                    Window::Read { through, .. } if !found => looked_through = through,
                    _ => return,
                }
                if published.changed().await.is_err() {
                    return;
                }
            }
        };
        match self.draining.get() {
            Some(draining) => drop(draining.run_until_cancelled(fits).await),
            None => fits.await,
        }
    }

    /// From now on requests that wait are sent away when `draining` begins.
    pub(crate) fn watch_drain(&self, draining: CancellationToken) {
        let _ = self.draining.set(draining);
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Where this edge is in the log: at most where the log is.
    pub(crate) fn position(&self) -> LogPosition {
        LogPosition {
            epoch: self.epoch(),
            sequence: self.ring.head(),
        }
    }

    pub(crate) fn reader(&self, scope: CursorScope) -> Reader {
        Reader {
            epoch: self.epoch(),
            scope,
            inbox: Sequence::START,
            wishes: 0,
        }
    }

    /// Opens a stream; `opening` makes its first frames from the cursor that it begins with.
    ///
    /// # Errors
    /// The edge has not reached the log yet, is full, or cannot check the cursor now.
    pub(crate) async fn open(
        self: &Arc<Self>,
        open: OpenStream,
        opening: impl FnOnce(Reader, Sequence) -> Bytes,
    ) -> Result<Feed, EdgeError> {
        if !self.started.load(Ordering::Acquire) {
            return Err(EdgeError::NotReady);
        }
        let reader = Reader {
            wishes: open.interest.wishes,
            ..self.reader(open.scope)
        };
        let OpenStream {
            kind,
            format,
            session,
            principal,
            interest,
            begin,
            wants,
            ages,
            ..
        } = open;
        let age = self.bounds.age;
        let ends_at = match ages {
            true => age.end(self.second(), || self.ids.random_u64()),
            false => MaxAge::NEVER,
        };
        let stream = Stream::new(kind, format, session, principal, interest, wants, ends_at);
        let stream = Arc::new(stream);
        // In the slab before its position is taken: nothing falls in between.
        let slot = self
            .streams
            .insert(&stream, self.bounds.max_streams)
            .map_err(|_| {
                self.metrics.refused();
                EdgeError::TooManyStreams {
                    max_streams: self.bounds.max_streams,
                    bound: self.bounds.bound,
                }
            })?;
        let may_read = stream.may_read();
        let mut feed = Feed::new(Arc::clone(self), stream, slot, reader);
        if !may_read {
            // Revoked while it was being opened, and maybe too early to be ended by that.
            return Err(EdgeError::Denied(Denied::Unknown));
        }
        if self.epoch() != reader.epoch {
            // The log was replaced just now, and maybe too early for this stream to be ended by that.
            return Err(EdgeError::NotReady);
        }
        let (position, truncated) = self.resolve(begin).await?;
        feed.begin(position, truncated, opening(reader, position));
        Ok(feed)
    }

    /// The position to begin with, and whether something that was asked for is gone.
    ///
    /// # Errors
    /// The cursor is ahead of this edge, and the log cannot say now whether it is ahead of all.
    pub(crate) async fn resolve(&self, begin: Begin) -> Result<(Sequence, bool), EdgeError> {
        let head = self.ring.head();
        let position = match begin {
            Begin::Now => return Ok((head, false)),
            Begin::Unknown => {
                self.metrics.gap(GapReason::UnknownCursor);
                return Ok((head, true));
            }
            Begin::After(cursor) if cursor.epoch != self.epoch() => {
                self.metrics.gap(GapReason::LogReplaced);
                return Ok((Sequence::START, true));
            }
            Begin::After(cursor) => cursor.sequence,
            Begin::Position(position) => position,
        };
        if position <= head {
            return Ok((position, false));
        }
        // Ahead of this edge is normal for a moment; ahead of the log means that the log lost something.
        let last = timeout(CALL_DEADLINE, self.log.head()).await??.last;
        if position > last {
            self.metrics.gap(GapReason::AheadOfLog);
            return Ok((last, true));
        }
        Ok((position, false))
    }

    /// What the log has after `position`, for a stream that fell off the ring: one read serves all streams
    /// that ask for about the same. See [`Pages::after`].
    ///
    /// # Errors
    /// The log cannot be read now, or was replaced meanwhile.
    pub(crate) async fn page_after(&self, position: Sequence) -> PageResult {
        self.pages.after(position).await
    }
}
