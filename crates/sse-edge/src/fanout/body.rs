//! The hyper body of a stream: a position in the ring, and the log when it has fallen off.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body::Frame;
use model::{Sequence, Sequenced, StoredEvent};
use ports::{EventLogError, Page};
use tracing::{debug, warn};

use super::{
    format::{Batch, Reader},
    hub::Hub,
    interest::Interest,
    ring::{Entry, Window},
    streams::Stream,
};
use crate::{
    limits::{BATCH_BYTES, BATCH_EVENTS, CATCH_UP_PAUSE, RETRY_MILLIS},
    metrics::GapReason,
};

/// Empty parts of the ring that are looked at in one turn before others get theirs.
const TURNS: usize = 4;

/// A comment: keeps proxies from cutting an idle stream (MCP 2026-07-28, Streamable HTTP).
const HEARTBEAT: &[u8] = b":\n\n";

/// An open stream as hyper sees it. Dropping it closes the stream.
pub(crate) struct StreamBody {
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    slot: usize,
    reader: Reader,
    /// Everything up to here that the stream wants has been handed to hyper.
    position: Sequence,
    interest: Arc<Interest>,
    backfill: Option<Backfill>,
    /// More lies between the position and the head, whatever the marks say.
    more: bool,
    opening: Option<Bytes>,
    log: Option<BoxFuture<'static, Result<Page, EventLogError>>>,
    /// Frames of a page of the log that did not fit into the last turn.
    page: std::vec::IntoIter<Sequenced<StoredEvent>>,
    page_through: Sequence,
    wrote_since_beat: bool,
    ended: bool,
}

/// A session asked for more while its stream was open: until the stream is back where it was, only what
/// was added counts.
struct Backfill {
    added: Interest,
    old: Arc<Interest>,
    until: Sequence,
}

/// What a look at the ring came to.
enum Turn {
    Send(Bytes),
    /// The position has fallen off the ring.
    ReadsLog,
    /// Nothing now; whoever has something wakes the stream.
    Idle,
}

impl StreamBody {
    pub(crate) fn new(hub: Arc<Hub>, stream: Arc<Stream>, slot: usize, reader: Reader) -> Self {
        hub.metrics.opened(stream.kind);
        Self {
            interest: stream.interest(),
            hub,
            stream,
            slot,
            reader,
            position: Sequence::START,
            backfill: None,
            more: true,
            opening: None,
            log: None,
            page: Vec::new().into_iter(),
            page_through: Sequence::START,
            wrote_since_beat: false,
            ended: false,
        }
    }

    pub(crate) fn begin(&mut self, position: Sequence, truncated: bool, opening: Bytes) {
        self.position = position;
        let mut out = BytesMut::from(opening);
        if truncated {
            self.stream
                .format
                .truncated(self.reader, position, &mut out);
        }
        self.opening = Some(out.freeze());
    }

    /// The stream as others see it.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The session asked for something else: goes back to where what was added begins.
    fn change_interest(&mut self, interest: Arc<Interest>, pending: Option<Sequence>) {
        let old = std::mem::replace(&mut self.interest, interest);
        let added = self.interest.minus(&old);
        let Some(since) = added.earliest() else {
            return;
        };
        let known_start = match pending {
            Some(pending) => Some(self.position.max(Sequence(pending.0 - 1))),
            None if self.more => Some(self.position),
            None => None,
        };
        let start = known_start.map_or(since, |start| start.min(since));
        if start < self.position {
            self.backfill = Some(Backfill {
                added,
                old,
                until: self.position,
            });
        }
        self.position = start;
        self.more = true;
    }

    /// Adds an event's frames to the batch if the stream wants it; says whether there is room for more.
    fn visit(
        stream: &Stream,
        (interest, backfill, reader): (&Interest, Option<&Backfill>, Reader),
        entry: &Entry,
        batch: &mut Batch,
    ) -> bool {
        let interest = match backfill {
            Some(backfill) if entry.sequence <= backfill.until => {
                if backfill.old.wants_event(entry) {
                    return true;
                }
                &backfill.added
            }
            _ => interest,
        };
        if interest.wants(entry) {
            stream.format.event(interest, entry, reader, batch);
            if let Some(trace) = entry.event.trace {
                debug!(event_id = %entry.event.facts.id, trace_id = %trace.trace, kind = stream.kind.as_str(), "event written to a stream");
            }
        }
        batch.len() < BATCH_BYTES
    }

    fn move_to(&mut self, position: Sequence) {
        self.position = position;
        if self
            .backfill
            .as_ref()
            .is_some_and(|backfill| backfill.until <= position)
        {
            self.backfill = None;
        }
    }

    /// Looks at what the ring has after the position.
    fn read_ring(&mut self) -> Turn {
        let mut batch = Batch::default();
        let mut newest = None;
        for _ in 0..TURNS {
            let pending = self.stream.take_pending();
            if let Some(interest) = self.stream.take_changed_interest() {
                self.change_interest(interest, pending);
            } else if let Some(pending) = pending.filter(|_| !self.more) {
                // Nothing before the mark concerned this stream.
                self.move_to(self.position.max(Sequence(pending.0 - 1)));
            } else if pending.is_none() && !self.more {
                return Turn::Idle;
            }
            let how = (&*self.interest, self.backfill.as_ref(), self.reader);
            let window = self.hub.ring.read(self.position, BATCH_EVENTS, |entry| {
                let before = batch.events;
                let room = Self::visit(&self.stream, how, entry, &mut batch);
                if batch.events > before {
                    newest = Some(entry.event.facts.received_at);
                }
                room
            });
            match window {
                Window::Behind => {
                    self.more = true;
                    self.log = Some(Box::pin(Arc::clone(&self.hub).read_log(self.position)));
                    return Turn::ReadsLog;
                }
                Window::Read { through, more } => {
                    self.move_to(through.max(self.position));
                    self.more = more;
                }
            }
            let events = batch.events;
            if let Some(bytes) = batch.take() {
                let late = newest.map(|received| self.hub.clock.now().since(received));
                self.hub.metrics.delivered(self.stream.kind, events, late);
                return Turn::Send(bytes);
            }
        }
        // Long stretches that do not concern this stream: let others have their turn.
        self.stream.look_after(self.position);
        Turn::Idle
    }

    /// Sends what the last page brought, as much as fits.
    fn read_page(&mut self) -> Option<Bytes> {
        let mut batch = Batch::default();
        let mut room = true;
        while room {
            let Some(event) = self.page.next() else {
                self.move_to(self.page_through.max(self.position));
                break;
            };
            let entry = Entry::new(event);
            let how = (&*self.interest, self.backfill.as_ref(), self.reader);
            room = Self::visit(&self.stream, how, &entry, &mut batch);
            self.move_to(entry.sequence);
        }
        let events = batch.events;
        let bytes = batch.take()?;
        self.hub.metrics.delivered(self.stream.kind, events, None);
        Some(bytes)
    }

    /// Takes a page of the log. Returns what to send at once.
    fn take_page(&mut self, page: Result<Page, EventLogError>) -> Option<Bytes> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                warn!(%error, "a stream cannot read the log, trying again");
                let (hub, position) = (Arc::clone(&self.hub), self.position);
                self.log = Some(Box::pin(async move {
                    tokio::time::sleep(CATCH_UP_PAUSE).await;
                    hub.read_log(position).await
                }));
                return None;
            }
        };
        self.page_through = page.through;
        self.page = page.events.into_iter();
        let resumes_after = page.resumes_after?;
        self.hub.metrics.gap(GapReason::Trimmed);
        let mut out = BytesMut::new();
        self.stream
            .format
            .truncated(self.reader, resumes_after, &mut out);
        self.move_to(resumes_after.max(self.position));
        (!out.is_empty()).then(|| out.freeze())
    }

    /// The next frames, `None` while there are none.
    fn next_events(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        loop {
            if let Some(log) = &mut self.log {
                let Poll::Ready(page) = log.as_mut().poll(cx) else {
                    return None;
                };
                self.log = None;
                if let Some(notice) = self.take_page(page) {
                    return Some(notice);
                }
                continue;
            }
            if self.page.len() > 0 || self.position < self.page_through {
                match self.read_page() {
                    Some(bytes) => return Some(bytes),
                    None => continue,
                }
            }
            match self.read_ring() {
                Turn::Send(bytes) => return Some(bytes),
                Turn::ReadsLog => {}
                Turn::Idle => return None,
            }
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.stream.register(cx.waker());
        if let Some(opening) = self.opening.take().filter(|opening| !opening.is_empty()) {
            return Poll::Ready(Some(opening));
        }
        if let Some(ending) = self.stream.ending() {
            self.ended = true;
            let mut out = BytesMut::new();
            self.stream.format.farewell(ending, RETRY_MILLIS, &mut out);
            return Poll::Ready(Some(out.freeze()));
        }
        if let Some(bytes) = self.next_events(cx) {
            self.wrote_since_beat = true;
            return Poll::Ready(Some(bytes));
        }
        if self.stream.take_beat() && !std::mem::replace(&mut self.wrote_since_beat, false) {
            return Poll::Ready(Some(Bytes::from_static(HEARTBEAT)));
        }
        Poll::Pending
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.next(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.hub.streams.remove(self.slot);
        self.hub.metrics.closed(self.stream.kind);
    }
}
