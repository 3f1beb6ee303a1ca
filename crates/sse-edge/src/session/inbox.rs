//! Messages to a session from any edge: stored first, then delivered by the edge that has its
//! stream.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use fanout::inbox::{DeliveryReport, Inbox, InboxStart, MailStream};
use model::{Sequence, SessionId};
use parking_lot::Mutex;
use ports::{EdgeNews, Mailbox, MailboxError, MailboxLimits};
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::Sessions;
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, DELIVERY_REPORTS, DELIVERY_WAIT},
};

/// Up to this many senders are kept without searching for those that no longer wait.
const UNSWEPT_SENDERS: usize = 64;

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
    waiting: Mutex<WaitingSenders>,
}

#[derive(Debug, Default)]
struct WaitingSenders {
    by_session: HashMap<SessionId, Weak<watch::Sender<Sequence>>>,
    /// Number of entries at which those that no sender waits for are removed.
    sweep_at: usize,
}

/// A message that is stored, and may be delivered.
#[derive(Debug)]
pub(crate) struct StoredMessage {
    sequence: Sequence,
    delivered: watch::Receiver<Sequence>,
    /// The reports arrive for as long as this exists.
    _waiting: Arc<watch::Sender<Sequence>>,
}

impl StoredMessage {
    /// The position before it.
    pub(crate) fn before(&self) -> Sequence {
        Sequence(self.sequence.0.saturating_sub(1))
    }

    /// Waits until a connection has taken the message, or until `until`.
    pub(crate) async fn outcome(mut self, until: Instant) -> SendOutcome {
        let sequence = self.sequence;
        let handed_over = self.delivered.wait_for(|through| *through >= sequence);
        match timeout_at(until, handed_over).await {
            Ok(Ok(_)) => SendOutcome::Delivered,
            _ => SendOutcome::Stored,
        }
    }
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
        let waiting = self.waiting.lock();
        let sender = waiting.by_session.get(session).and_then(Weak::upgrade);
        drop(waiting);
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
        if let Some(sender) = waiting.by_session.get(session).and_then(Weak::upgrade) {
            return sender;
        }
        // At each doubling, so that the senders of a broadcast to many sessions do not search for each.
        if waiting.by_session.len() >= waiting.sweep_at {
            waiting
                .by_session
                .retain(|_, sender| sender.strong_count() > 0);
            waiting.sweep_at = (waiting.by_session.len() * 2).max(UNSWEPT_SENDERS);
        }
        let sender = Arc::new(watch::Sender::new(Sequence::START));
        waiting
            .by_session
            .insert(session.clone(), Arc::downgrade(&sender));
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
        let Some(stored) = self.store_message(session, message).await? else {
            return Ok(None);
        };
        Ok(Some(match wait {
            true => stored.outcome(Instant::now() + DELIVERY_WAIT).await,
            false => SendOutcome::Stored,
        }))
    }

    /// Stores a message for a session, regardless of owner; `None` if it does not exist.
    pub(crate) async fn store_message(
        &self,
        session: &SessionId,
        message: Bytes,
    ) -> Result<Option<StoredMessage>, EdgeError> {
        let stream = MailStream::Inbox.name();
        let waiting = self.inboxes.wait_for(session);
        let delivered = waiting.subscribe();
        let limits = MailboxLimits::default();
        let mailbox = &self.inboxes.mailbox;
        let append = mailbox.append(session, &stream, message, limits);
        let sequence = match timeout(CALL_DEADLINE, append).await? {
            Ok(sequence) => sequence,
            Err(MailboxError::Missing) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.announce_mail(session, &stream).await;
        Ok(Some(StoredMessage {
            sequence,
            delivered,
            _waiting: waiting,
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
