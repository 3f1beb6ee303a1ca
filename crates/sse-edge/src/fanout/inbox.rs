//! What a session's stream reads from the session's mailbox, beside the events.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use mcp::log::{LogLevel, log_message};
use model::{Sequence, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxPage};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::debug;

use crate::limits::{CALL_DEADLINE, CATCH_UP_PAUSE};

/// Messages that one read brings.
const PAGE_MESSAGES: usize = 64;

/// A stream of the mailbox that the session's own stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailStream {
    /// What others send to the session. The session's next stream goes on with it.
    Inbox,
    /// What the POSTs of an HTTP+SSE session are answered with (2024-11-05). Nobody comes back for it.
    Answers,
}

impl MailStream {
    /// What the mailbox knows it by.
    pub(crate) fn name(self) -> StreamId {
        let name = match self {
            Self::Inbox => "inbox",
            Self::Answers => "answers",
        };
        StreamId::new(name).expect("letters")
    }

    /// The one with this name; `None` for the stream of a call.
    pub(crate) fn named(stream: &StreamId) -> Option<Self> {
        [Self::Inbox, Self::Answers]
            .into_iter()
            .find(|mail| mail.name() == *stream)
    }

    /// Its bit in a [`Came`].
    pub(crate) const fn bit(self) -> u8 {
        match self {
            Self::Inbox => 1,
            Self::Answers => 2,
        }
    }
}

/// Which streams of the mailbox may have something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Came(pub(crate) u8);

impl Came {
    const fn has(self, mail: MailStream) -> bool {
        self.0 & mail.bit() != 0
    }
}

/// A session's stream has handed everything in the inbox up to here to its client's connection.
pub(crate) type Told = (SessionId, Sequence);

/// Is dropped with the stream that it was given to.
pub(crate) type OnClose = Box<dyn Send + Sync>;

/// Where a stream begins in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// After what the client has; that is not needed any more.
    After(Sequence),
    /// With what comes next.
    Head,
}

/// What a look at the mailbox came to.
pub(crate) enum Mailed {
    /// The next messages of one of its streams.
    Page(MailStream, MailboxPage),
    /// There is nothing any more that the stream could carry: the session is gone.
    Gone,
}

/// The mailbox as one open stream of its session reads it.
pub(crate) struct Inbox {
    mailbox: Arc<dyn Mailbox>,
    session: SessionId,
    told: mpsc::Sender<Told>,
    inbox: Reading,
    answers: Option<Box<Answers>>,
}

/// What an HTTP+SSE stream has beside the inbox.
struct Answers {
    reading: Reading,
    /// Ends the session.
    _on_close: OnClose,
}

impl Inbox {
    pub(crate) fn new(
        mailbox: Arc<dyn Mailbox>,
        session: SessionId,
        start: Start,
        told: mpsc::Sender<Told>,
    ) -> Self {
        Self {
            mailbox,
            session,
            told,
            inbox: Reading::new(MailStream::Inbox, start),
            answers: None,
        }
    }

    /// Reads what POSTs are answered with, too; `on_close` is dropped with the stream.
    pub(crate) fn with_answers(mut self, on_close: OnClose) -> Self {
        self.answers = Some(Box::new(Answers {
            reading: Reading::new(MailStream::Answers, Start::After(Sequence::START)),
            _on_close: on_close,
        }));
        self
    }

    pub(crate) fn has_answers(&self) -> bool {
        self.answers.is_some()
    }

    /// What comes next, `None` while there is nothing; `came` says where there may be something new.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, came: Came) -> Option<Mailed> {
        let of = (&self.mailbox, &self.session);
        // Whichever comes first, none forgets that it was told.
        self.inbox.more |= came.has(MailStream::Inbox);
        if let Some(answers) = &mut self.answers {
            answers.reading.more |= came.has(MailStream::Answers);
            if let Some(mailed) = answers.reading.poll(cx, of) {
                return Some(mailed);
            }
        }
        self.inbox.poll(cx, of)
    }

    /// Whoever sent what was handed over is told so; that somebody waits for it is rare.
    pub(crate) fn tell(&self) {
        let _ = self
            .told
            .try_send((self.session.clone(), self.inbox.position));
    }
}

type Read = BoxFuture<'static, Result<MailboxPage, MailboxError>>;

/// A position in one stream of the mailbox.
struct Reading {
    mail: MailStream,
    /// What is there already is left out.
    skips: bool,
    /// What the client has is removed with the next read.
    trims: bool,
    /// There may be something after the position.
    more: bool,
    position: Sequence,
    read: Option<Read>,
}

impl Reading {
    fn new(mail: MailStream, start: Start) -> Self {
        let (position, skips) = match start {
            Start::After(position) => (position, false),
            Start::Head => (Sequence::START, true),
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
    ) -> Option<Mailed> {
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
                    if let Some(mailed) = self.take(page) {
                        return Some(mailed);
                    }
                }
                Err(MailboxError::Missing) => {
                    self.more = false;
                    return Some(Mailed::Gone);
                }
                // Every stream of the edge says so while the store is away: not a warning each.
                Err(error) => {
                    debug!(%error, session = %of.1, "a mailbox cannot be read, trying again");
                    self.read = Some(self.begin(of, true));
                }
            }
        }
    }

    fn take(&mut self, page: MailboxPage) -> Option<Mailed> {
        self.position = self.position.max(page.through);
        // A hint that came while the page was read counts.
        self.more |= !page.at_head;
        if self.skips {
            self.skips = !page.at_head;
            return None;
        }
        let is_answers = self.mail == MailStream::Answers;
        if !page.messages.is_empty() || page.resumes_after.is_some() {
            self.trims |= is_answers;
            self.more |= page.closed;
            return Some(Mailed::Page(self.mail, page));
        }
        // The mailbox has forgotten the stream: no answer would ever come again (MB-10).
        (is_answers && page.closed && page.at_head).then_some(Mailed::Gone)
    }

    fn begin(&mut self, of: (&Arc<dyn Mailbox>, &SessionId), after_pause: bool) -> Read {
        // What comes from now on is hinted again.
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
                if !trims {
                    return read.await;
                }
                // What cannot be removed now goes with what comes next, or by its age.
                let trim = mailbox.trim(&session, &stream, position);
                tokio::join!(read, trim).0
            };
            timeout(CALL_DEADLINE, read)
                .await
                .unwrap_or_else(|elapsed| {
                    Err(MailboxError::Unavailable {
                        op: "read",
                        source: elapsed.into(),
                    })
                })
        })
    }
}

/// Adds answers as they look on an HTTP+SSE stream: without ids, because nothing resumes there.
pub(crate) fn answers(page: &MailboxPage, out: &mut BytesMut) {
    if page.resumes_after.is_some() {
        out.put_slice(&mcp::sse::message(None, &lost_notice()));
    }
    for message in &page.messages {
        out.put_slice(&mcp::sse::message(None, &message.item));
    }
}

/// A message which says that others before it are gone.
pub(crate) fn lost_notice() -> Bytes {
    let data = json!({
        "type": "gap",
        "message": "messages of this stream before this one are no longer kept",
    });
    log_message(LogLevel::Warning, "forgewire.gap", &data)
}

#[cfg(test)]
mod tests;
