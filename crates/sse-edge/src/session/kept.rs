//! Broadcasts that are kept for sessions without a stream. They are stored once, not once per session; a session
//! takes those that are for it when its stream opens, into its inbox, and remembers how far it has come.

use std::sync::Arc;

use bytes::Bytes;
use fanout::{
    audience::{AudienceMember, ClientLabels},
    metrics::StreamKind,
};
use mcp::{
    connection::BroadcastMessage,
    log::{LogLevel, log_message},
};
use model::{PrincipalId, Sequence, Session, SessionId, StreamId, Timestamp};
use ports::{Mailbox, MailboxError, MailboxLimits};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{Sessions, StoredMessage};
use crate::{
    broadcast_filter::BroadcastFilter,
    error::EdgeError,
    limits::{
        CALL_DEADLINE, KEPT_BROADCAST_BYTES, KEPT_BROADCAST_TTL, KEPT_BROADCASTS, KEPT_CACHE_LIFE,
    },
};
use access::Principal;

/// The mailbox of kept broadcasts, which belongs to no session.
const KEPT: &str = "forgewire-broadcasts";

/// A broadcast as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredBroadcast {
    at: Timestamp,
    message: Box<RawValue>,
    filter: BroadcastFilter,
}

/// A kept broadcast.
#[derive(Debug, Clone)]
struct KeptBroadcast {
    sequence: Sequence,
    at: Timestamp,
    message: BroadcastMessage,
    filter: BroadcastFilter,
}

impl KeptBroadcast {
    /// Whether a session that is read by `principal` has not had it and should.
    fn is_due(&self, session: &Session, principal: &Principal) -> bool {
        let labels = ClientLabels::of(session);
        let member = AudienceMember {
            kind: StreamKind::Session,
            principal,
            labels: Some(&labels),
            protocol_version: None,
        };
        self.sequence > session.broadcasts_through
            && self.at >= session.created_at
            && self.filter.fits(&member)
    }
}

/// A broadcast as a session shows it.
fn form_for(session: &Session, message: &BroadcastMessage) -> Bytes {
    match session.is_connection {
        true => message.object.clone(),
        false => message.rpc.clone(),
    }
}

/// What is kept.
#[derive(Debug, Default)]
struct KeptNow {
    broadcasts: Vec<KeptBroadcast>,
    /// Those up to here are no longer kept: there were more than [`KEPT_BROADCASTS`], or they were too old.
    removed_through: Sequence,
}

impl KeptNow {
    /// The last one, if one before it is no longer kept that a session may not have had: it was there before the oldest
    /// that is kept was sent.
    fn last_after_loss(&self, session: &Session) -> Option<Sequence> {
        let (oldest, last) = (self.broadcasts.first()?, self.broadcasts.last()?);
        let is_missed = self.removed_through > session.broadcasts_through
            && last.sequence > session.broadcasts_through
            && session.created_at < oldest.at;
        is_missed.then_some(last.sequence)
    }

    /// How far a session is that has looked at them and took nothing, if it is about to count as one that missed
    /// something: in the middle, so that it is stored seldom, and what was sent last may still concern it later.
    fn passed_over(&self, session: &Session) -> Option<Sequence> {
        let at = |place: usize| self.broadcasts.get(place).map(|one| one.sequence);
        let (quarter, middle) = (
            at(self.broadcasts.len() / 4)?,
            at(self.broadcasts.len() / 2)?,
        );
        (session.broadcasts_through < quarter).then_some(middle)
    }
}

/// What takes the place of broadcasts that are no longer kept.
fn notice_of_loss(now: Timestamp) -> BroadcastMessage {
    let data = json!({
        "truncated": true,
        "detail": "Some broadcasts sent while this client was disconnected have been removed.",
    });
    let rpc = log_message(LogLevel::Warning, "forgewire.messages", &data);
    let message = serde_json::from_slice::<&RawValue>(&rpc).expect("a notification is JSON");
    BroadcastMessage::read(message, now).expect("a notification is one")
}

/// What is kept, as it was read last.
#[derive(Debug, Default)]
struct KeptCache {
    read_at: Option<Instant>,
    kept: Arc<KeptNow>,
}

/// The kept broadcasts of all edges.
#[derive(Debug)]
pub(crate) struct KeptBroadcasts {
    mailboxes: Arc<dyn Mailbox>,
    cache: Mutex<KeptCache>,
}

fn limits() -> MailboxLimits {
    MailboxLimits {
        max_messages: KEPT_BROADCASTS,
        max_bytes: KEPT_BROADCAST_BYTES,
        max_age: KEPT_BROADCAST_TTL,
        ..MailboxLimits::default()
    }
}

fn mailbox_id() -> SessionId {
    SessionId::new(KEPT).expect("letters and a dash")
}

fn stream() -> StreamId {
    StreamId::new("kept").expect("letters")
}

impl KeptBroadcasts {
    /// `mailboxes` are those of the store, whether a session belongs to them or not.
    pub(crate) fn new(mailboxes: Arc<dyn Mailbox>) -> Self {
        Self {
            mailboxes,
            cache: Mutex::default(),
        }
    }

    /// Whether this is the id of their mailbox, which is no session's.
    pub(crate) fn is_reserved(id: &SessionId) -> bool {
        id.as_str() == KEPT
    }

    /// Stores a broadcast, of the time `at` of the store.
    pub(crate) async fn keep(
        &self,
        message: &RawValue,
        filter: &BroadcastFilter,
        at: Timestamp,
    ) -> Result<(), EdgeError> {
        let stored = StoredBroadcast {
            at,
            message: message.to_owned(),
            filter: filter.clone(),
        };
        let bytes = serde_json::to_vec(&stored).expect("a broadcast is JSON");
        let (id, owner) = (
            mailbox_id(),
            PrincipalId::new(KEPT).expect("letters and a dash"),
        );
        let storing = async {
            self.mailboxes.open(&id, &owner, KEPT_BROADCAST_TTL).await?;
            self.mailboxes
                .append(&id, &stream(), bytes.into(), limits())
                .await
        };
        timeout(CALL_DEADLINE, storing).await??;
        self.forget().await;
        Ok(())
    }

    /// Something was kept: what was read before no longer counts.
    pub(crate) async fn forget(&self) {
        self.cache.lock().await.read_at = None;
    }

    /// What is kept. A store that does not answer is no reason to open no stream: the next check of the session
    /// asks again.
    async fn all(&self) -> Arc<KeptNow> {
        let mut cache = self.cache.lock().await;
        let is_fresh = |at: Instant| at.elapsed() < KEPT_CACHE_LIFE;
        if !cache.read_at.is_some_and(is_fresh) {
            match timeout(CALL_DEADLINE, self.read()).await {
                Ok(Ok(read)) => cache.kept = Arc::new(read),
                Ok(Err(error)) => debug!(%error, "kept broadcasts cannot be read now"),
                Err(error) => debug!(%error, "kept broadcasts cannot be read now"),
            }
            cache.read_at = Some(Instant::now());
        }
        Arc::clone(&cache.kept)
    }

    async fn read(&self) -> Result<KeptNow, MailboxError> {
        let (id, stream) = (mailbox_id(), stream());
        let (mut kept, mut after) = (KeptNow::default(), Sequence::START);
        loop {
            let limit = KEPT_BROADCASTS as usize;
            let page = self.mailboxes.read_after(&id, &stream, after, limit);
            let page = match page.await {
                Ok(page) => page,
                Err(MailboxError::Missing) => return Ok(KeptNow::default()),
                Err(error) => return Err(error),
            };
            kept.removed_through = kept
                .removed_through
                .max(page.resumes_after.unwrap_or_default());
            for message in &page.messages {
                match read_one(message.sequence, &message.item) {
                    Some(broadcast) => kept.broadcasts.push(broadcast),
                    None => warn!(
                        sequence = message.sequence.0,
                        "a kept broadcast cannot be read"
                    ),
                }
            }
            if page.at_head || page.through <= after {
                return Ok(kept);
            }
            after = page.through;
        }
    }
}

fn read_one(sequence: Sequence, stored: &[u8]) -> Option<KeptBroadcast> {
    let StoredBroadcast {
        at,
        message,
        filter,
    } = serde_json::from_slice(stored).ok()?;
    Some(KeptBroadcast {
        sequence,
        at,
        message: BroadcastMessage::read(&message, at).ok()?,
        filter,
    })
}

impl Sessions {
    /// Puts the kept broadcasts that a session has not had into its inbox. Its position is stored first, so that two
    /// edges do not put the same one there twice.
    /// It is not given up with the request that needs it.
    pub(crate) async fn take_kept(
        self: &Arc<Self>,
        id: &SessionId,
        principal: &Arc<Principal>,
    ) -> Result<Vec<StoredMessage>, EdgeError> {
        let kept = self.kept.all().await;
        if kept.broadcasts.is_empty() {
            return Ok(Vec::new());
        }
        let (sessions, id, principal) = (Arc::clone(self), id.clone(), Arc::clone(principal));
        let taking = async move { sessions.take_from(&kept, &id, &principal).await };
        // The process ends.
        self.background
            .spawn(taking)
            .await
            .unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn take_from(
        &self,
        kept: &KeptNow,
        id: &SessionId,
        principal: &Principal,
    ) -> Result<Vec<StoredMessage>, EdgeError> {
        let now = self.clock.current().await?;
        let is_kept = |at: Timestamp| now.since(at) < KEPT_BROADCAST_TTL;
        let due = |session: &Session| {
            let due = kept
                .broadcasts
                .iter()
                .filter(|one| one.is_due(session, principal) && is_kept(one.at));
            due.cloned().collect::<Vec<_>>()
        };
        let taken = self.change(id, &principal.id, |session| {
            let (due, before) = (due(session), session.broadcasts_through);
            let loss = kept.last_after_loss(session);
            let through = loss.or(due.last().map(|one| one.sequence));
            if let Some(through) = through.or_else(|| kept.passed_over(session)) {
                session.broadcasts_through = through;
            }
            let notice = loss.map(|_| notice_of_loss(now));
            let messages = notice.iter().chain(due.iter().map(|one| &one.message));
            let messages: Vec<_> = messages.map(|one| form_for(session, one)).collect();
            (messages, notice.is_some(), before)
        });
        let Some(((messages, has_notice, before), _)) = taken.await? else {
            return Ok(Vec::new());
        };
        let mut stored = Vec::with_capacity(messages.len());
        for (place, message) in messages.into_iter().enumerate() {
            match self.store_message(id, message).await {
                // The notice is no broadcast.
                Ok(Some(_)) if has_notice && place == 0 => {}
                Ok(Some(message)) => stored.push(message),
                Ok(None) => break,
                Err(error) => {
                    // They stay due, those that are stored already too: twice rather than not at all.
                    let back = |session: &mut Session| session.broadcasts_through = before;
                    if let Err(error) = self.change(id, &principal.id, back).await {
                        warn!(%error, session = %id, "a session misses kept broadcasts");
                    }
                    return Err(error);
                }
            }
        }
        Ok(stored)
    }

    /// Stores a broadcast, of the time `at` of the store, for the sessions that are away.
    pub(crate) async fn keep_broadcast(
        &self,
        message: &RawValue,
        filter: &BroadcastFilter,
        at: Timestamp,
    ) -> Result<(), EdgeError> {
        self.kept.keep(message, filter, at).await
    }

    /// Another edge kept a broadcast.
    pub(crate) async fn forget_kept(&self) {
        self.kept.forget().await;
    }
}
