//! What others send to a session, as its stream reads it: from the mailbox, beside the events.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use model::{Sequence, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxPage};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::warn;

use crate::limits::{CALL_DEADLINE, CATCH_UP_PAUSE};

/// The stream of the mailbox that holds what is sent to the session.
const INBOX: &str = "inbox";
/// Messages that one read brings.
const PAGE_MESSAGES: usize = 64;

/// The inbox's name.
pub(crate) fn inbox() -> StreamId {
    StreamId::new(INBOX).expect("letters")
}

/// A session's stream has handed everything in the inbox up to here to its client's connection.
pub(crate) type Told = (SessionId, Sequence);

/// Where a stream begins in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// After what the client has; that is not needed any more.
    After(Sequence),
    /// With what comes next.
    Head,
}

type Read = BoxFuture<'static, Result<MailboxPage, MailboxError>>;

/// The inbox of one open stream.
pub(crate) struct Inbox {
    mailbox: Arc<dyn Mailbox>,
    session: SessionId,
    position: Sequence,
    /// What is there already is left out.
    skips: bool,
    /// What the client has is removed before the first read.
    trims: bool,
    /// There may be something after the position.
    more: bool,
    read: Option<Read>,
    told: mpsc::Sender<Told>,
}

impl Inbox {
    pub(crate) fn new(
        mailbox: Arc<dyn Mailbox>,
        session: SessionId,
        start: Start,
        told: mpsc::Sender<Told>,
    ) -> Self {
        let (position, skips) = match start {
            Start::After(position) => (position, false),
            Start::Head => (Sequence::START, true),
        };
        Self {
            mailbox,
            session,
            position,
            skips,
            trims: position != Sequence::START,
            more: true,
            read: None,
            told,
        }
    }

    /// The next messages, `None` while there are none; `came` says that there may be new ones.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, came: bool) -> Option<MailboxPage> {
        self.more |= came;
        loop {
            let read = match &mut self.read {
                Some(read) => read,
                None if self.more => {
                    let read = self.begin(false);
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
                    self.position = self.position.max(page.through);
                    self.more = !page.at_head;
                    if self.skips {
                        self.skips = self.more;
                    } else if !page.messages.is_empty() || page.resumes_after.is_some() {
                        return Some(page);
                    }
                }
                // With its session the inbox is gone.
                Err(MailboxError::Missing) => self.more = false,
                Err(error) => {
                    warn!(%error, session = %self.session, "an inbox cannot be read, trying again");
                    self.read = Some(self.begin(true));
                }
            }
        }
    }

    fn begin(&mut self, after_pause: bool) -> Read {
        // What comes from now on is hinted again.
        self.more = false;
        let (mailbox, session, position) = (
            Arc::clone(&self.mailbox),
            self.session.clone(),
            self.position,
        );
        let trims = std::mem::take(&mut self.trims);
        Box::pin(async move {
            if after_pause {
                sleep(CATCH_UP_PAUSE).await;
            }
            let stream = inbox();
            let read = async {
                if trims {
                    mailbox.trim(&session, &stream, position).await?;
                }
                mailbox
                    .read_after(&session, &stream, position, PAGE_MESSAGES)
                    .await
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

    /// Whoever sent what was handed over is told so; that somebody waits for it is rare.
    pub(crate) fn tell(&self) {
        let _ = self.told.try_send((self.session.clone(), self.position));
    }
}
