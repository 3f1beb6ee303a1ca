//! Messages to a session from any edge: stored first, then delivered by the edge that has its
//! stream.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use fanout::inbox::{DeliveryReport, Inbox, InboxStart, MailStream};
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

/// Time that a sender waits for the report that its message was delivered.
const DELIVERY_WAIT: Duration = Duration::from_millis(500);

/// The outcome of sending a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SendOutcome {
    /// The message is stored, and the connection of the session's stream took it.
    Delivered,
    /// The message is stored: the session's next stream delivers it.
    Stored,
}

/// The inboxes of this edge's sessions.
#[derive(Debug)]
pub(crate) struct Inboxes {
    mailbox: Arc<dyn Mailbox>,
    reports: mpsc::Sender<DeliveryReport>,
    /// Delivered positions, for senders that wait.
    waiting: Mutex<HashMap<SessionId, Weak<watch::Sender<Sequence>>>>,
}

/// Delivery reports of the streams of this edge, for [`report`].
#[derive(Debug)]
pub(crate) struct DeliveryReports(mpsc::Receiver<DeliveryReport>);

impl Inboxes {
    pub(crate) fn new(mailbox: Arc<dyn Mailbox>) -> (Self, DeliveryReports) {
        let (reports, received) = mpsc::channel(DELIVERY_REPORTS);
        let inboxes = Self {
            mailbox,
            reports,
            waiting: Mutex::default(),
        };
        (inboxes, DeliveryReports(received))
    }

    /// The inbox for a stream of the session.
    pub(super) fn open(&self, session: &SessionId, start: InboxStart) -> Inbox {
        let mailbox = Arc::clone(&self.mailbox);
        Inbox::new(mailbox, session.clone(), start, self.reports.clone())
    }

    /// Records that a stream of the session, on any edge, has delivered everything up to `through`.
    fn record_delivery(&self, session: &SessionId, through: Sequence) {
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
    /// Records that a stream of the session, on any edge, has delivered everything up to `through`.
    pub(crate) fn record_delivery(&self, session: &SessionId, through: Sequence) {
        self.inboxes.record_delivery(session, through);
    }

    /// Sends a message to a session, regardless of owner; `None` if it does not exist. The message
    /// is stored when this returns; `Delivered` means that a connection took it.
    pub(crate) async fn send(
        &self,
        session: &SessionId,
        message: Bytes,
        wait: bool,
    ) -> Result<Option<SendOutcome>, EdgeError> {
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
        self.announce_mail(session, &stream).await;
        if !wait {
            return Ok(Some(SendOutcome::Stored));
        }
        let handed_over = delivered.wait_for(|through| *through >= sequence);
        Ok(Some(match timeout(DELIVERY_WAIT, handed_over).await {
            Ok(Ok(_)) => SendOutcome::Delivered,
            _ => SendOutcome::Stored,
        }))
    }
}

/// Passes on the delivery reports of the streams of this edge. Runs until `stop`.
pub(crate) async fn report(
    sessions: Arc<Sessions>,
    DeliveryReports(mut reports): DeliveryReports,
    stop: CancellationToken,
) {
    let endless = async {
        while let Some((session, through)) = reports.recv().await {
            sessions.inboxes.record_delivery(&session, through);
            let news = EdgeNews::MessagesDelivered {
                session: session.clone(),
                through,
            };
            sessions.publish(&session, news).await;
        }
    };
    stop.run_until_cancelled(endless).await;
}
