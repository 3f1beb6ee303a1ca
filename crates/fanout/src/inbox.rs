//! The part of a session's stream that comes from the session's mailbox, beside the events.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use mcp::log::{LogLevel, log_message};
use model::{Sequence, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxPage, StoreFailure};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::debug;

use crate::limits::{CALL_DEADLINE, CATCH_UP_PAUSE};

/// Maximum number of messages per read.
const PAGE_MESSAGES: usize = 64;

/// A stream of the mailbox that is delivered on the session's own stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailStream {
    /// Messages sent to the session. The session's next stream continues with it.
    Inbox,
    /// Answers to the POSTs of an HTTP+SSE session (2024-11-05). No client resumes it.
    Answers,
}

impl MailStream {
    /// Its name in the mailbox.
    pub fn name(self) -> StreamId {
        let name = match self {
            Self::Inbox => "inbox",
            Self::Answers => "answers",
        };
        StreamId::new(name).expect("letters")
    }

    /// The mail stream with this name; `None` for the stream of a call.
    pub fn from_name(stream: &StreamId) -> Option<Self> {
        [Self::Inbox, Self::Answers]
            .into_iter()
            .find(|mail| mail.name() == *stream)
    }

    /// Its bit in a [`PendingMail`].
    pub(crate) const fn bit(self) -> u8 {
        match self {
            Self::Inbox => 1,
            Self::Answers => 2,
        }
    }
}

/// The streams of the mailbox that may have something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PendingMail(pub(crate) u8);

impl PendingMail {
    const fn has(self, mail: MailStream) -> bool {
        self.0 & mail.bit() != 0
    }
}

/// A delivery report: a session's stream has handed the inbox up to this position to its client's
/// connection.
pub type DeliveryReport = (SessionId, Sequence);

/// Dropped together with the stream that owns it.
pub type OnClose = Box<dyn Send + Sync>;

/// The point of the inbox at which a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxStart {
    /// After what the client has; messages up to there are no longer needed.
    After(Sequence),
    /// With the next message.
    Head,
}

/// The result of reading the mailbox.
pub(crate) enum MailUpdate {
    /// The next messages of one of its streams.
    Page(MailStream, MailboxPage),
    /// The store went back to before the position of this stream: some messages may be lost, and those that
    /// are there are sent again.
    WentBack(MailStream),
    /// The session is gone: there is nothing left that the stream could carry.
    SessionGone,
}

/// The mailbox as read by one open stream of its session.
pub struct Inbox {
    mailbox: Arc<dyn Mailbox>,
    session: SessionId,
    reports: mpsc::Sender<DeliveryReport>,
    inbox: MailReader,
    answers: Option<Box<AnswerReader>>,
}

/// The additional part of an HTTP+SSE stream.
struct AnswerReader {
    reading: MailReader,
    /// Ends the session when dropped.
    _on_close: OnClose,
}

impl Inbox {
    /// The mailbox of `session` as one of its streams reads it; what the stream hands over is reported to
    /// `reports`.
    #[must_use]
    pub fn new(
        mailbox: Arc<dyn Mailbox>,
        session: SessionId,
        start: InboxStart,
        reports: mpsc::Sender<DeliveryReport>,
    ) -> Self {
        Self {
            mailbox,
            session,
            reports,
            inbox: MailReader::new(MailStream::Inbox, start),
            answers: None,
        }
    }

    /// Makes the stream read the answers to POSTs too; `on_close` is dropped with the stream.
    pub fn with_answers(mut self, on_close: OnClose) -> Self {
        self.answers = Some(Box::new(AnswerReader {
            reading: MailReader::new(MailStream::Answers, InboxStart::After(Sequence::START)),
            _on_close: on_close,
        }));
        self
    }

    pub(crate) fn has_answers(&self) -> bool {
        self.answers.is_some()
    }

    /// The next messages, `None` while there are none; `came` names the mail streams that may have
    /// something new.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, came: PendingMail) -> Option<MailUpdate> {
        let of = (&self.mailbox, &self.session);
        // Both hints are recorded first, so that an early return forgets neither.
        self.inbox.more |= came.has(MailStream::Inbox);
        if let Some(answers) = &mut self.answers {
            answers.reading.more |= came.has(MailStream::Answers);
            if let Some(mailed) = answers.reading.poll(cx, of) {
                return Some(mailed);
            }
        }
        self.inbox.poll(cx, of)
    }

    /// Reports the delivered position to the sender of the messages; few senders wait for this
    /// report.
    pub(crate) fn report_delivery(&self) {
        let _ = self
            .reports
            .try_send((self.session.clone(), self.inbox.position));
    }
}

type Read = BoxFuture<'static, Result<MailboxPage, MailboxError>>;

/// A position in one stream of the mailbox.
struct MailReader {
    mail: MailStream,
    /// Messages that are already there are skipped.
    skips: bool,
    /// Messages that the client has are removed with the next read.
    trims: bool,
    /// There may be something after the position.
    more: bool,
    position: Sequence,
    read: Option<Read>,
}

impl MailReader {
    fn new(mail: MailStream, start: InboxStart) -> Self {
        let (position, skips) = match start {
            InboxStart::After(position) => (position, false),
            InboxStart::Head => (Sequence::START, true),
        };
        Self {
            mail,
            skips,
            trims: position != Sequence::START,
            more: true,
            position,
            read: None,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        of: (&Arc<dyn Mailbox>, &SessionId),
    ) -> Option<MailUpdate> {
        loop {
            let read = match &mut self.read {
                Some(read) => read,
                None if self.more => {
                    let read = self.begin(of, false);
                    self.read.insert(read)
                }
                None => return None,
            };
            let Poll::Ready(page) = read.as_mut().poll(cx) else {
                return None;
            };
            self.read = None;
            match page {
                Ok(page) => {
                    if let Some(mailed) = self.accept_page(page) {
                        return Some(mailed);
                    }
                }
                Err(MailboxError::Missing) => {
                    self.more = false;
                    return Some(MailUpdate::SessionGone);
                }
                // Every stream of the edge logs this while the store is unavailable: no warning for
                // each.
                Err(error) => {
                    debug!(%error, session = %of.1, "a mailbox cannot be read, trying again");
                    self.read = Some(self.begin(of, true));
                }
            }
        }
    }

    fn accept_page(&mut self, page: MailboxPage) -> Option<MailUpdate> {
        if page.went_back(self.position) {
            (self.position, self.more) = (Sequence::START, true);
            return Some(MailUpdate::WentBack(self.mail));
        }
        // Everything in the mailbox comes after its beginning: a later one is recognised by that, though this reader
        // has had no message.
        self.position = self.position.max(page.through).max(page.began);
        // A hint that arrived while the page was being read counts.
        self.more |= !page.at_head;
        if self.skips {
            self.skips = !page.at_head;
            return None;
        }
        let is_answers = self.mail == MailStream::Answers;
        if !page.messages.is_empty() || page.resumes_after.is_some() {
            self.trims |= is_answers;
            self.more |= page.closed;
            return Some(MailUpdate::Page(self.mail, page));
        }
        // The mailbox has dropped the stream: no further answer can arrive (MB-10).
        (is_answers && page.closed && page.at_head).then_some(MailUpdate::SessionGone)
    }

    fn begin(&mut self, of: (&Arc<dyn Mailbox>, &SessionId), after_pause: bool) -> Read {
        // Messages stored from now on are announced by another hint.
        self.more = false;
        let (mailbox, session) = (Arc::clone(of.0), of.1.clone());
        let (mail, position) = (self.mail, self.position);
        let trims = std::mem::take(&mut self.trims);
        Box::pin(async move {
            if after_pause {
                sleep(CATCH_UP_PAUSE).await;
            }
            let stream = mail.name();
            let read = mailbox.read_after(&session, &stream, position, PAGE_MESSAGES);
            let read = async {
                let page = read.await?;
                // Not if the store went back: messages before the position may be new ones.
                if trims && !page.went_back(position) {
                    // Messages that cannot be removed now are removed with later ones, or by their age.
                    let _ = mailbox.trim(&session, &stream, position).await;
                }
                Ok(page)
            };
            timeout(CALL_DEADLINE, read)
                .await
                .unwrap_or_else(|elapsed| Err(StoreFailure::unavailable("read", elapsed).into()))
        })
    }
}

/// Adds answers in the form of an HTTP+SSE stream: without ids, because this transport cannot
/// resume.
pub(crate) fn answers(page: &MailboxPage, out: &mut BytesMut) {
    if page.resumes_after.is_some() {
        out.put_slice(&mcp::sse::message(None, &lost_notice()));
    }
    for message in &page.messages {
        out.put_slice(&mcp::sse::message(None, &message.item));
    }
}

/// A message that reports the loss of earlier ones.
pub fn lost_notice() -> Bytes {
    gap_notice("messages of this stream before this one are no longer kept")
}

/// A message that reports that the store of sessions went back to an earlier state.
pub fn set_back_notice() -> Bytes {
    gap_notice(
        "the server lost the last changes of this session: messages may be missing or be sent again, and \
         subscriptions made just before may be gone",
    )
}

/// A message that reports that something of this stream is missing, as the text says.
#[must_use]
pub fn gap_notice(message: &str) -> Bytes {
    let data = json!({ "type": "gap", "message": message });
    log_message(LogLevel::Warning, "forgewire.gap", &data)
}

#[cfg(test)]
mod tests;
