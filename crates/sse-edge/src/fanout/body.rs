//! The hyper body of a stream: a position in the ring, and the log when it has fallen off.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body::Frame;
use model::{Sequence, Sequenced, StoredEvent};
use ports::{EventLogError, Page};
use tracing::{debug, warn};

use super::{
    format::{Batch, Ending, Reader, lost_mail, mail},
    hub::Hub,
    inbox::{Inbox, MailStream, Mailed, answers},
    interest::Interest,
    ring::{Entry, Window},
    streams::Stream,
};
use crate::{
    limits::{BATCH_BYTES, BATCH_EVENTS, CATCH_UP_PAUSE, RETRY_MILLIS},
    metrics::GapReason,
};

/// The latency of one stream in so many is measured: looking at the clock and the histogram for each would
/// cost as much as matching.
const LATENCY_SAMPLE: usize = 8;

/// Empty parts of the ring that are looked at in one turn before others get theirs.
const TURNS: usize = 4;

/// Changes of interest that led back and are remembered until the stream is back where it was. A session
/// that changes faster gets some events twice, never none.
const MAX_REWINDS: usize = 8;

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
    /// Empty but for the short time after a change of interest that led back.
    rewinds: Vec<Rewind>,
    /// More lies between the position and the head, whatever the marks say.
    more: bool,
    opening: Option<Bytes>,
    log: Option<BoxFuture<'static, Result<Page, EventLogError>>>,
    /// What is left of a page of the log.
    page: Option<Rest>,
    /// What the mailbox has for the session; only its streams have one.
    inbox: Option<Box<Inbox>>,
    wrote_since_beat: bool,
    ended: bool,
}

/// A session asked for more while its stream was open, so the stream went back. What it wanted before it
/// has had already.
struct Rewind {
    before: Arc<Interest>,
    /// The position that it went back from.
    until: Sequence,
}

/// Events of a page that are still to be written; they reach up to `through`.
struct Rest {
    events: std::vec::IntoIter<Sequenced<StoredEvent>>,
    through: Sequence,
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
            rewinds: Vec::new(),
            more: true,
            opening: None,
            log: None,
            page: None,
            inbox: None,
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
                .truncated(&self.interest, self.reader, position, &mut out);
        }
        self.opening = Some(out.freeze());
    }

    /// Reads the session's mailbox too; of the inbox the client has everything up to `known`.
    pub(crate) fn read_inbox(&mut self, inbox: Inbox, known: Sequence) {
        if inbox.has_answers() {
            self.hub.streams.carry_answers(self.slot);
        }
        self.reader.inbox = known;
        self.inbox = Some(Box::new(inbox));
    }

    /// What the mailbox has for the session.
    fn next_mail(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let inbox = self.inbox.as_mut()?;
        let Mailed::Page(of, page) = inbox.poll(cx, self.stream.take_mail())? else {
            // Wakes this body, which then says farewell.
            self.stream.end(Ending::SessionEnded);
            return None;
        };
        if page.resumes_after.is_some() {
            self.hub.metrics.gap(GapReason::Trimmed);
        }
        let mut out = BytesMut::new();
        if of == MailStream::Answers {
            answers(&page, &mut out);
            return Some(out.freeze());
        }
        if let Some(resumes_after) = page.resumes_after {
            self.reader.inbox = resumes_after;
            lost_mail(self.reader.cursor(self.position), &mut out);
        }
        for message in &page.messages {
            self.reader.inbox = message.sequence;
            mail(self.reader.cursor(self.position), &message.item, &mut out);
        }
        inbox.tell();
        Some(out.freeze())
    }

    /// The stream as others see it.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The session asked for something else: goes back to where what was added begins. What follows is
    /// looked at again, because a mark says nothing about what was wanted in between.
    fn change_interest(&mut self, interest: Arc<Interest>) {
        let before = std::mem::replace(&mut self.interest, interest);
        self.reader.wishes = self.interest.wishes;
        self.more = true;
        let Some(since) = self.interest.earliest_added(&before) else {
            return;
        };
        if since < self.position {
            if self.rewinds.len() == MAX_REWINDS {
                self.rewinds.remove(0);
            }
            self.rewinds.push(Rewind {
                before,
                until: self.position,
            });
            self.position = since;
        }
    }

    /// Adds an event's frames to the batch if the stream wants it; says whether there is room for more.
    fn visit(
        stream: &Stream,
        (interest, rewinds, reader): (&Interest, &[Rewind], Reader),
        entry: &Entry,
        batch: &mut Batch,
    ) -> bool {
        if interest.wants(entry) {
            let had = rewinds
                .iter()
                .filter(|rewind| entry.sequence <= rewind.until);
            let had: Vec<_> = had.map(|rewind| &*rewind.before).collect();
            if had.is_empty() {
                stream.format.event(interest, entry, reader, batch);
            } else {
                let rest = interest.without(entry, &had);
                if !rest.wants(entry) {
                    return true;
                }
                stream.format.event(&rest, entry, reader, batch);
            }
            if let Some(trace) = entry.event.trace {
                debug!(event_id = %entry.event.facts.id, trace_id = %trace.trace, kind = stream.kind.as_str(), "event written to a stream");
            }
        }
        batch.len() < BATCH_BYTES
    }

    /// Goes on to a position, never back.
    fn move_to(&mut self, position: Sequence) {
        self.position = self.position.max(position);
        if !self.rewinds.is_empty() {
            self.rewinds.retain(|rewind| rewind.until > self.position);
        }
    }

    /// Takes what others told the stream; whether there is anything to look at.
    fn take_news(&mut self) -> bool {
        // Loaded before the mark is taken: what is not marked by then did not concern this stream.
        let marked_through = self.hub.streams.marked_through();
        let pending = self.stream.take_pending();
        if let Some(interest) = self.stream.take_changed_interest() {
            self.change_interest(interest);
        } else if !self.more {
            let first = pending.map(|pending| Sequence(pending.0 - 1));
            self.move_to(first.unwrap_or(marked_through));
        }
        self.more || pending.is_some()
    }

    /// Looks at what the ring has after the position.
    fn read_ring(&mut self) -> Turn {
        let mut batch = Batch::default();
        let mut newest = None;
        for _ in 0..TURNS {
            if !self.take_news() {
                return Turn::Idle;
            }
            let how = (&*self.interest, &*self.rewinds, self.reader);
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
                    self.read_log(None);
                    return Turn::ReadsLog;
                }
                Window::Read { through, more } => {
                    self.move_to(through);
                    self.more = more;
                }
            }
            let events = batch.events;
            if let Some(bytes) = batch.take() {
                let sampled = newest.filter(|_| self.slot.is_multiple_of(LATENCY_SAMPLE));
                let late = sampled.map(|received| self.hub.clock.now().since(received));
                self.hub.metrics.delivered(self.stream.kind, events, late);
                return Turn::Send(bytes);
            }
        }
        // Long stretches that do not concern this stream: let others have their turn.
        self.stream.look_after(self.position);
        Turn::Idle
    }

    /// Sends what the last page brought, as much as fits; `None` when the page is through.
    fn read_page(&mut self) -> Option<Bytes> {
        let mut page = self.page.take()?;
        let mut batch = Batch::default();
        let mut room = true;
        while room {
            let Some(event) = page.events.next() else {
                break;
            };
            let entry = Entry::new(event);
            let how = (&*self.interest, &*self.rewinds, self.reader);
            room = Self::visit(&self.stream, how, &entry, &mut batch);
            self.move_to(entry.sequence);
        }
        if room {
            self.move_to(page.through);
        } else {
            self.page = Some(page);
        }
        let events = batch.events;
        let bytes = batch.take()?;
        self.hub.metrics.delivered(self.stream.kind, events, None);
        Some(bytes)
    }

    /// Reads the log after the position, now or after a pause.
    fn read_log(&mut self, pause: Option<Duration>) {
        let (hub, position) = (Arc::clone(&self.hub), self.position);
        self.log = Some(Box::pin(async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            hub.read_log(position).await
        }));
    }

    /// Takes a page of the log. Returns what to send at once.
    fn take_page(&mut self, page: Result<Page, EventLogError>) -> Option<Bytes> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                warn!(%error, "a stream cannot read the log, trying again");
                self.read_log(Some(CATCH_UP_PAUSE));
                return None;
            }
        };
        if page.through <= self.position && page.events.is_empty() {
            // The ring had something here and the log has not: that cannot last, so no haste.
            self.read_log(Some(CATCH_UP_PAUSE));
            return None;
        }
        self.page = Some(Rest {
            events: page.events.into_iter(),
            through: page.through,
        });
        let resumes_after = page.resumes_after?;
        self.hub.metrics.gap(GapReason::Trimmed);
        let mut out = BytesMut::new();
        self.stream
            .format
            .truncated(&self.interest, self.reader, resumes_after, &mut out);
        self.move_to(resumes_after);
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
            if self.page.is_some() {
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
        if let Some(news) = self.stream.take_news() {
            let mut out = BytesMut::new();
            self.stream.format.news(&news, &mut out);
            if !out.is_empty() {
                self.wrote_since_beat = true;
                return Poll::Ready(Some(out.freeze()));
            }
        }
        // Before the events: answers are few, and the events of a stream that is behind are many.
        if let Some(bytes) = self.next_mail(cx) {
            self.wrote_since_beat = true;
            return Poll::Ready(Some(bytes));
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

#[cfg(test)]
mod tests;
