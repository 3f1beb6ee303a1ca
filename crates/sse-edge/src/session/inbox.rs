//! Messages to a session from any edge: stored first, then handed to whichever edge has its stream.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use fanout::inbox::{Inbox, MailStream, Start, Told};
use model::{Sequence, SessionId};
use parking_lot::Mutex;
use ports::{EdgeNews, Mailbox, MailboxError, MailboxLimits};
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::Sessions;
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, DELIVERY_REPORTS},
};

/// How long a sender waits for the word that its message was handed over.
const DELIVERY_WAIT: Duration = Duration::from_millis(500);

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sent {
    /// It is stored, and was handed to the connection of the session's stream.
    Delivered,
    /// It is stored: the session's next stream brings it.
    Stored,
}

/// The inboxes of this edge's sessions.
#[derive(Debug)]
pub(crate) struct Inboxes {
    mailbox: Arc<dyn Mailbox>,
    told: mpsc::Sender<Told>,
    /// How far streams are, for senders that wait.
    waiting: Mutex<HashMap<SessionId, Weak<watch::Sender<Sequence>>>>,
}

/// What streams of this edge say, for [`report`].
#[derive(Debug)]
pub(crate) struct Reports(mpsc::Receiver<Told>);

impl Inboxes {
    pub(crate) fn new(mailbox: Arc<dyn Mailbox>) -> (Self, Reports) {
        let (told, reports) = mpsc::channel(DELIVERY_REPORTS);
        let inboxes = Self {
            mailbox,
            told,
            waiting: Mutex::default(),
        };
        (inboxes, Reports(reports))
    }

    /// For a stream of the session.
    pub(super) fn open(&self, session: &SessionId, start: Start) -> Inbox {
        let mailbox = Arc::clone(&self.mailbox);
        Inbox::new(mailbox, session.clone(), start, self.told.clone())
    }

    /// A stream of the session, on whichever edge, has handed over everything up to here.
    fn delivered(&self, session: &SessionId, through: Sequence) {
        let sender = self.waiting.lock().get(session).and_then(Weak::upgrade);
        if let Some(sender) = sender {
            sender.send_if_modified(|known| {
                let rises = through > *known;
                *known = through.max(*known);
                rises
            });
        }
    }

    fn wait_for(&self, session: &SessionId) -> Arc<watch::Sender<Sequence>> {
        let mut waiting = self.waiting.lock();
        if let Some(sender) = waiting.get(session).and_then(Weak::upgrade) {
            return sender;
        }
        waiting.retain(|_, sender| sender.strong_count() > 0);
        let sender = Arc::new(watch::Sender::new(Sequence::START));
        waiting.insert(session.clone(), Arc::downgrade(&sender));
        sender
    }
}

impl Sessions {
    /// A stream of the session, on whichever edge, has handed over everything up to here.
    pub(crate) fn delivered(&self, session: &SessionId, through: Sequence) {
        self.inboxes.delivered(session, through);
    }

    /// Sends a message to a session, whoever's it is; `None` if there is none. True to what happened: it
    /// is stored when this returns, and delivered if that is said, which takes a moment.
    pub(crate) async fn send(
        &self,
        session: &SessionId,
        message: Bytes,
        wait: bool,
    ) -> Result<Option<Sent>, EdgeError> {
        let stream = MailStream::Inbox.name();
        let waiting = self.inboxes.wait_for(session);
        let mut delivered = waiting.subscribe();
        let limits = MailboxLimits::default();
        let mailbox = &self.inboxes.mailbox;
        let append = mailbox.append(session, &stream, message, limits);
        let sequence = match timeout(CALL_DEADLINE, append).await? {
            Ok(sequence) => sequence,
            Err(MailboxError::Missing) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.tell_mail(session, &stream).await;
        if !wait {
            return Ok(Some(Sent::Stored));
        }
        let handed_over = delivered.wait_for(|through| *through >= sequence);
        Ok(Some(match timeout(DELIVERY_WAIT, handed_over).await {
            Ok(Ok(_)) => Sent::Delivered,
            _ => Sent::Stored,
        }))
    }
}

/// Passes on what streams of this edge have handed over. Runs until `stop`.
pub(crate) async fn report(
    sessions: Arc<Sessions>,
    Reports(mut reports): Reports,
    stop: CancellationToken,
) {
    let endless = async {
        while let Some((session, through)) = reports.recv().await {
            sessions.inboxes.delivered(&session, through);
            let news = EdgeNews::MessagesDelivered {
                session: session.clone(),
                through,
            };
            sessions.tell(&session, news).await;
        }
    };
    stop.run_until_cancelled(endless).await;
}
