//! The hub: takes events in and opens streams.

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
    /// The position of the newest event, for requests that wait for one.
    pub(super) published: watch::Sender<Sequence>,
    draining: OnceLock<CancellationToken>,
    pub(crate) bounds: StreamBounds,
    ids: Arc<dyn IdSource>,
    began: Instant,
}

/// The point from which a new stream starts.
#[derive(Debug)]
pub(crate) enum Begin {
    /// With the next event.
    Now,
    /// After a cursor.
    After(Cursor),
    /// After a position of this log.
    Position(Sequence),
    /// With the next event; the reader is told that its cursor is not valid here.
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
    /// Whether the stream ends at the maximum age. Off where its end costs the client more than a
    /// reconnect.
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

    /// As [`Hub::new`] with a ring of the given size.
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
                // Each stream finds that it is behind, reads the log and tells its client what is
                // gone.
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

    /// Seconds since the hub began: the unit in which stream ages are counted.
    pub(crate) fn second(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
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

    /// Notifies the streams that asked for changes of lists.
    pub(crate) fn lists_changed(&self, lists: ChangedLists) {
        self.streams
            .for_slice(0, 1, |stream| stream.lists_changed(lists));
    }

    /// Ends the streams whose reader's token is no longer valid.
    pub(crate) fn end_revoked(&self) {
        self.streams.for_slice(0, 1, |stream| {
            if !stream.may_read() {
                stream.end(Ending::Revoked);
            }
        });
    }

    /// Waits until an event after `position` fits, until one may have fitted but has left the ring,
    /// or until the edge drains.
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

    /// From now on, waiting requests return as soon as `draining` begins.
    pub(crate) fn watch_drain(&self, draining: CancellationToken) {
        let _ = self.draining.set(draining);
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// This edge's position in the log; never ahead of the log.
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

    /// Opens a stream; `opening` builds its first frames from the cursor at which it begins.
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
        // Inserted into the slab before its position is taken, so that no event is missed in
        // between.
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
            // Revoked while the stream was being opened, perhaps before the revocation could end
            // it.
            return Err(EdgeError::Denied(Denied::Unknown));
        }
        if self.epoch() != reader.epoch {
            // The log was replaced just now, perhaps before the replacement could end this stream.
            return Err(EdgeError::NotReady);
        }
        let (position, truncated) = self.resolve(begin).await?;
        feed.begin(position, truncated, opening(reader, position));
        Ok(feed)
    }

    /// The position at which to begin, and whether requested events are gone.
    ///
    /// # Errors
    /// The cursor is ahead of this edge, and the log cannot tell now whether it is also ahead of
    /// the log.
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
        // A cursor ahead of this edge is normal for a moment; one ahead of the log means that the
        // log lost events.
        let last = timeout(CALL_DEADLINE, self.log.head()).await??.last;
        if position > last {
            self.metrics.gap(GapReason::AheadOfLog);
            return Ok((last, true));
        }
        Ok((position, false))
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
