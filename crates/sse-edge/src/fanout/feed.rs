//! What an open stream has to say next: a position in the ring, and the log when it has fallen off.
//!
//! A feed is driven by hyper's body or by a reactor ([`stream_driver`]), and does not know by which. Its
//! position is what the client's socket took, so what a slow client has not got is not kept for it.

mod reading;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes};
use futures_util::future::BoxFuture;
use model::{Sequence, Timestamp};
use stream_driver::{Fill, Outgoing, Progress, Source};
use tracing::info;

use super::{
    format::{Ending, Reader, lost_mail, mail},
    hub::Hub,
    inbox::{Inbox, MailStream, Mailed, answers},
    interest::Interest,
    pages::{LogPage, PageResult},
    stream::Stream,
};
use crate::{
    limits::{FAREWELL_PATIENCE, RETRY_MILLIS},
    metrics::{CutReason, GapReason},
};

/// Changes of interest that led back and are remembered until the stream is back where it was. A session
/// that changes faster gets some events twice, never none.
const MAX_REWINDS: usize = 8;

/// A comment: keeps proxies from cutting an idle stream (MCP 2026-07-28, Streamable HTTP).
const HEARTBEAT: &[u8] = b":\n\n";

/// An open stream as its driver sees it. Dropping it closes the stream.
pub(crate) struct Feed {
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    slot: usize,
    reader: Reader,
    /// Everything up to here that the stream wants has been taken by the client's socket.
    position: Sequence,
    /// Where the edge was when the stream began: what its client had missed before does not count as lag.
    began_at: Sequence,
    interest: Arc<Interest>,
    /// Empty but for the short time after a change of interest that led back.
    rewinds: Vec<Rewind>,
    /// More lies between the position and the head, whatever the marks say.
    more: bool,
    opening: Option<Bytes>,
    log: Option<BoxFuture<'static, PageResult>>,
    /// Where a stream that is behind the ring reads on.
    page: Option<Arc<LogPage>>,
    /// What the mailbox has for the session; only its streams have one.
    inbox: Option<Box<Inbox>>,
    /// When the newest of the events that are being sent was received, where that is measured.
    newest: Option<Timestamp>,
    wrote_since_beat: bool,
}

/// A session asked for more while its stream was open, so the stream went back. What it wanted before it
/// has had already.
struct Rewind {
    before: Arc<Interest>,
    /// The position that it went back from.
    until: Sequence,
}

impl Feed {
    pub(crate) fn new(hub: Arc<Hub>, stream: Arc<Stream>, slot: usize, reader: Reader) -> Self {
        hub.metrics.opened(stream.kind);
        Self {
            interest: stream.interest(),
            hub,
            stream,
            slot,
            reader,
            position: Sequence::START,
            began_at: Sequence::START,
            rewinds: Vec::new(),
            more: true,
            opening: None,
            log: None,
            page: None,
            inbox: None,
            newest: None,
            wrote_since_beat: false,
        }
    }

    pub(crate) fn begin(&mut self, position: Sequence, truncated: bool, opening: Bytes) {
        self.position = position;
        self.began_at = self.hub.ring.head();
        let mut out = bytes::BytesMut::from(opening);
        if truncated {
            self.stream
                .format
                .truncated(&self.interest, self.reader, position, &mut out);
        }
        self.opening = Some(out.freeze()).filter(|opening| !opening.is_empty());
    }

    /// Reads the session's mailbox too; of the inbox the client has everything up to `known`.
    pub(crate) fn read_inbox(&mut self, inbox: Inbox, known: Sequence) {
        if inbox.has_answers() {
            self.hub.streams.carry_answers(self.slot);
        }
        self.reader.inbox = known;
        self.inbox = Some(Box::new(inbox));
    }

    /// What the mailbox has for the session; whether there was something.
    fn fill_mail(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> bool {
        let Some(inbox) = self.inbox.as_mut() else {
            return false;
        };
        let (of, page) = match inbox.poll(cx, self.stream.take_mail()) {
            None => return false,
            Some(Mailed::Page(of, page)) => (of, page),
            Some(Mailed::Gone) => {
                // Wakes this stream, which then says farewell.
                self.stream.end(Ending::SessionEnded);
                return false;
            }
        };
        if page.resumes_after.is_some() {
            self.hub.metrics.gap(GapReason::Trimmed);
        }
        if of == MailStream::Answers {
            out.keep(|out| answers(&page, out));
            return true;
        }
        let reader = &mut self.reader;
        out.keep(|out| {
            if let Some(resumes_after) = page.resumes_after {
                reader.inbox = resumes_after;
                lost_mail(reader.cursor(self.position), out);
            }
            for message in &page.messages {
                reader.inbox = message.sequence;
                mail(reader.cursor(self.position), &message.item, out);
            }
        });
        inbox.tell();
        true
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

    /// Goes on to a position, never back.
    fn move_to(&mut self, position: Sequence) {
        self.position = self.position.max(position);
        if !self.rewinds.is_empty() {
            self.rewinds.retain(|rewind| rewind.until > self.position);
        }
    }

    /// Why a client that takes nothing, and has been behind for so long, is not waited for any more.
    fn impatience(&self, behind: Duration) -> Option<CutReason> {
        let (ending, patience) = (self.stream.ending(), self.hub.bounds.patience);
        // Who may read no more gets no time to read on; the others may still take their farewell.
        if ending == Some(Ending::Revoked) {
            Some(CutReason::Revoked)
        } else if patience.is_over(behind) {
            Some(CutReason::Time)
        } else if patience.is_far(self.events_behind(), behind) {
            Some(CutReason::Lag)
        } else if ending.is_some() && behind >= FAREWELL_PATIENCE {
            Some(CutReason::Ended)
        } else {
            None
        }
    }

    /// What is told beside events; whether there was something.
    fn fill_news(&mut self, out: &mut Outgoing) -> bool {
        let Some(news) = self.stream.take_news() else {
            return false;
        };
        out.keep(|out| self.stream.format.news(&news, out));
        !out.is_empty()
    }

    fn fill(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> bool {
        if let Some(opening) = self.opening.take() {
            out.keep(|out| out.put_slice(&opening));
            return true;
        }
        // Mail before the events: it is little, and the events of a stream that is behind are many.
        let said = self.fill_news(out) || self.fill_mail(cx, out) || self.fill_events(cx, out);
        if said {
            self.wrote_since_beat = true;
            return true;
        }
        if self.stream.take_beat() && !std::mem::take(&mut self.wrote_since_beat) {
            out.keep(|out| out.put_slice(HEARTBEAT));
            return true;
        }
        false
    }
}

impl Source for Feed {
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> Poll<Fill> {
        self.stream.register(cx.waker());
        if self.opening.is_none()
            && let Some(ending) = self.stream.ending()
        {
            out.keep(|out| self.stream.format.farewell(ending, RETRY_MILLIS, out));
            return Poll::Ready(Fill::Last);
        }
        match self.fill(cx, out) {
            true => Poll::Ready(Fill::Frames),
            false => Poll::Pending,
        }
    }

    fn taken(&mut self, progress: Progress) {
        if let Some(position) = progress.position {
            self.move_to(Sequence(position));
        }
        let late = self.newest.take().filter(|_| progress.is_all);
        let late = late.map(|received| self.hub.clock.now().since(received));
        let metrics = &self.hub.metrics;
        metrics.delivered(self.stream.kind, progress.events, late);
        if !progress.is_all {
            self.more = true;
            // Whoever does not read holds nothing meanwhile, and finds the page again.
            self.page = None;
        }
    }

    fn is_catching_up(&self) -> bool {
        self.log.is_some() || self.page.is_some()
    }

    fn gives_up(&self, behind: Duration) -> bool {
        let Some(why) = self.impatience(behind) else {
            return false;
        };
        let cursor = self.reader.cursor(self.position);
        info!(
            %cursor,
            kind = self.stream.kind.as_str(),
            why = why.as_str(),
            behind_seconds = behind.as_secs(),
            "stream cut: its client does not read"
        );
        self.hub.metrics.cut(why);
        true
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.streams.remove(self.slot);
        self.hub.metrics.closed(self.stream.kind);
    }
}

#[cfg(test)]
mod tests;
