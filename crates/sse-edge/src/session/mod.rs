//! Sessions of the handshake era: stored in the shared store before their id is sent, so that they
//! can be used on any edge at once.

mod bounds;
mod ends;
mod inbox;
mod kept;
mod mailboxes;
mod stream;
mod touches;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use edge_records::{SessionRecords, SessionRecordsError, VersionedSession};
use event_tools::sessions::{SessionChange, SessionEditor};
use mcp::RequestId;
use mcp_server::CallError;
use model::{Clock, IdSource, PrincipalId, Sequence, Session, SessionId, StreamId, Timestamp};
use parking_lot::Mutex;
use ports::{BoxError, Bus, EdgeNews, Mailbox, RecordBound, Topic};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{debug, warn};

pub(crate) use bounds::{SessionBounds, SessionLife};
pub(crate) use inbox::{DeliveryReports, Inboxes, SendOutcome, StoredMessage, report};
pub(crate) use kept::KeptBroadcasts;
pub(crate) use mailboxes::SessionMailboxes;
pub(crate) use stream::{
    ConnectionParts, HttpSseParts, open_connection_stream, open_legacy_stream, open_stream,
    stored_rights,
};

use self::{ends::SessionEnds, touches::FreshSessions};
use crate::{
    background::Background,
    error::EdgeError,
    limits::{CALL_DEADLINE, LOGGED_SESSIONS, SESSION_CHECK_INTERVAL, UPDATE_ATTEMPTS},
    metrics::SessionMetrics,
    store_clock::StoreClock,
};

/// A session is touched up to once in this fraction of its idle time.
const TOUCHES_PER_IDLE_TIME: u32 = 20;

/// The session that a client asks for with `initialize`.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) owner: PrincipalId,
    pub(crate) protocol_version: String,
    pub(crate) client_info: Value,
    pub(crate) client_capabilities: Value,
    /// HTTP+SSE (2024-11-05): the session ends with its stream.
    pub(crate) ends_with_stream: bool,
    /// `/mcp/sse`: as [`Session::is_connection`].
    pub(crate) is_connection: bool,
    /// What the token that reads its stream may see, if that is not everything.
    pub(crate) reader_sees: Option<Value>,
}

/// The sessions. A principal finds only its own.
#[derive(Debug)]
pub(crate) struct Sessions {
    store: SessionRecords,
    bus: Arc<dyn Bus>,
    clock: Arc<StoreClock>,
    ids: Arc<dyn IdSource>,
    bounds: SessionBounds,
    metrics: SessionMetrics,
    touches: FreshSessions,
    /// The sessions whose unreadable records the log names.
    unreadable: Mutex<HashSet<SessionId>>,
    mailboxes: Arc<dyn Mailbox>,
    inboxes: Inboxes,
    kept: KeptBroadcasts,
    background: Background,
    /// The ends of subscriptions in the sessions that were read here.
    pub(crate) ends: SessionEnds,
}

/// The dependencies of [`Sessions`].
#[derive(Debug)]
pub(crate) struct SessionDeps {
    pub(crate) store: SessionRecords,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) bounds: SessionBounds,
    pub(crate) metrics: SessionMetrics,
    /// As [`SessionMailboxes`].
    pub(crate) mailboxes: Arc<dyn Mailbox>,
    pub(crate) inboxes: Inboxes,
    pub(crate) kept: KeptBroadcasts,
    pub(crate) background: Background,
}

#[async_trait]
impl SessionEditor for Sessions {
    async fn edit(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        change: SessionChange<'_>,
    ) -> Result<bool, CallError> {
        let updated = self.update(session, owner, |session: &mut Session| change(session));
        Ok(updated.await?.is_some())
    }
}

impl Sessions {
    pub(crate) fn new(deps: SessionDeps) -> Self {
        let SessionDeps {
            store,
            bus,
            clock,
            ids,
            bounds,
            metrics,
            mailboxes,
            inboxes,
            kept,
            background,
        } = deps;
        Self {
            store,
            bus,
            clock,
            ids,
            bounds,
            metrics,
            touches: FreshSessions::default(),
            unreadable: Mutex::default(),
            mailboxes,
            inboxes,
            kept,
            background,
            ends: SessionEnds::default(),
        }
    }

    /// Creates a session; it is in the store when this returns.
    pub(crate) async fn create(&self, new: NewSession) -> Result<Session, EdgeError> {
        let created_at = self.clock.current().await?;
        let session = Session {
            id: SessionId::new(&self.ids.uuid()).expect("a UUID fits a session id"),
            owner: new.owner,
            protocol_version: new.protocol_version,
            client_info: new.client_info,
            client_capabilities: new.client_capabilities,
            initialized: false,
            created_at,
            subscriptions: Vec::new(),
            resource_uris: std::collections::BTreeMap::new(),
            resource_numbers: std::collections::BTreeMap::new(),
            newest_subscription: 0,
            recent_subscriptions: Vec::new(),
            log_level: None,
            channel: None,
            has_streamed: false,
            streamed_subscription: None,
            stream_tag: 0,
            ends_with_stream: new.ends_with_stream,
            times: Some(self.bounds.times()),
            reader_sees: new.reader_sees,
            is_connection: new.is_connection,
            broadcasts_through: Sequence::START,
        };
        let ttl = self.bounds.time_to_live(&session, session.created_at);
        let ttl = ttl.expect("a lifetime is at least a second");
        let limits = self.bounds.limits(&session.owner);
        match timeout(CALL_DEADLINE, self.store.create(&session, ttl, limits)).await? {
            Ok(_) => {
                // It has its whole idle time left: the first message need not be written as a
                // touch.
                let until = session.created_at.plus(ttl / TOUCHES_PER_IDLE_TIME);
                self.touches.record(&session.id, session.created_at, until);
                Ok(session)
            }
            Err(SessionRecordsError::NoRoom { bound }) => {
                self.metrics.session_refused();
                let what = limit_reached(bound);
                Err(EdgeError::TooManySessions { what })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Loads a session for its owner and keeps it alive; `None` for any other principal.
    pub(crate) async fn load(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
    ) -> Result<Option<VersionedSession>, EdgeError> {
        let Some(found) = self.find(id, principal).await? else {
            return Ok(None);
        };
        let session = &found.session;
        let lives = self.touch_served(&session.id, session).await?;
        Ok(lives.then_some(found))
    }

    /// Loads a session for its owner before it is known whether the request is served: a refused
    /// request does not keep a session alive.
    pub(crate) async fn find(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
    ) -> Result<Option<VersionedSession>, EdgeError> {
        let found = self.peek(id).await?;
        Ok(found.filter(|found| found.session.owner == *principal))
    }

    /// Keeps a session alive because one of its requests is served; returns whether it still
    /// exists.
    pub(crate) async fn touch_served(
        &self,
        id: &SessionId,
        life: impl Into<SessionLife>,
    ) -> Result<bool, EdgeError> {
        let life = life.into();
        let now = self.clock.current().await?;
        if self.touches.is_fresh(id, now) {
            return Ok(true);
        }
        self.touch(id, life, now).await
    }

    /// Whether this edge has touched the session recently.
    pub(crate) fn is_fresh(&self, id: &SessionId) -> bool {
        self.touches.is_fresh(id, self.clock.now())
    }

    async fn touch(
        &self,
        id: &SessionId,
        life: SessionLife,
        now: Timestamp,
    ) -> Result<bool, EdgeError> {
        let Some(ttl) = self.time_to_live(life).await? else {
            self.retire(id).await?;
            return Ok(false);
        };
        let touches = async {
            let (store, mailboxes) = (&self.store, &self.mailboxes);
            tokio::join!(store.touch(id, ttl), mailboxes.touch(id, ttl))
        };
        let (lives, mailbox) = timeout(CALL_DEADLINE, touches).await?;
        let lives = lives?;
        // The session may have none.
        let _may_have_one: bool = mailbox?;
        if lives {
            let until = now.plus(ttl / TOUCHES_PER_IDLE_TIME);
            self.touches.record(id, now, until);
        }
        Ok(lives)
    }

    /// Changes a session and notifies the edge that holds its stream. `change` may run several
    /// times, because another edge may change the session at the same time. `None` if the session
    /// has ended.
    pub(crate) async fn update<T>(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
        change: impl FnMut(&mut Session) -> T,
    ) -> Result<Option<T>, EdgeError> {
        let Some((answer, changed)) = self.change(id, principal, change).await? else {
            return Ok(None);
        };
        if changed {
            self.publish(id, EdgeNews::SessionChanged(id.clone())).await;
        }
        Ok(Some(answer))
    }

    /// Changes a session without an announcement; also returns whether it differs now.
    async fn change<T>(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
        mut change: impl FnMut(&mut Session) -> T,
    ) -> Result<Option<(T, bool)>, EdgeError> {
        for _ in 0..UPDATE_ATTEMPTS {
            let found = self.read(id).await?;
            let Some(mut found) = found.filter(|found| found.session.owner == *principal) else {
                return Ok(None);
            };
            let Some(ttl) = self.time_to_live(&found.session).await? else {
                return Ok(None);
            };
            let limits = self.bounds.limits(&found.session.owner);
            let before = found.session.clone();
            found.session.end_subscriptions(self.clock.current().await?);
            let answer = change(&mut found.session);
            if found.session == before {
                return Ok(Some((answer, false)));
            }
            // The mailbox lives on with its session.
            let replaces = async {
                tokio::join!(
                    self.store
                        .replace(&found.session, found.revision, ttl, limits),
                    self.mailboxes.touch(id, ttl)
                )
            };
            let (replaced, touched) = timeout(CALL_DEADLINE, replaces).await?;
            if let Err(error) = touched {
                debug!(%error, session = %id, "a mailbox is touched with the next use of its session");
            }
            match replaced {
                Ok(_) => return Ok(Some((answer, true))),
                Err(SessionRecordsError::Conflict { .. }) => {}
                Err(SessionRecordsError::Missing) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(EdgeError::Busy)
    }

    /// Ends a session on all edges; returns whether it existed.
    pub(crate) async fn end(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
    ) -> Result<bool, EdgeError> {
        match self.find(id, principal).await? {
            Some(_) => self.retire(id).await,
            None => Ok(false),
        }
    }

    /// Takes the subscriptions that are over out of a session, also out of its stream, if that is here.
    pub(crate) async fn end_subscriptions(&self, id: &SessionId) -> Result<(), EdgeError> {
        if let Some(found) = self.read(id).await? {
            let updated = self.update(id, &found.session.owner, |_| ()).await;
            // A store that is read and does not take the change is asked again at the next check, and not at once.
            updated.inspect_err(|_| self.ends.note(id, None))?;
        }
        Ok(())
    }

    /// Loads a session regardless of its owner, for instance for a stream that this edge holds, without the
    /// subscriptions that are over. Ends it if its lifetime is over.
    pub(crate) async fn peek(&self, id: &SessionId) -> Result<Option<VersionedSession>, EdgeError> {
        let Some(mut found) = self.read(id).await? else {
            return Ok(None);
        };
        if found.session.next_end().is_some() {
            found.session.end_subscriptions(self.clock.current().await?);
        }
        Ok(Some(found))
    }

    /// Reads a session as it is stored.
    async fn read(&self, id: &SessionId) -> Result<Option<VersionedSession>, EdgeError> {
        let found = match timeout(CALL_DEADLINE, self.store.load(id)).await? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            // Its client begins a new one when it is told that this one is gone. It is not ended: the build
            // that wrote it may read it.
            Err(SessionRecordsError::Unreadable { source }) => {
                self.note_unreadable(id, &source);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if self.time_to_live(&found.session).await?.is_none() {
            self.retire(id).await?;
            return Ok(None);
        }
        self.ends.note(id, found.session.next_end());
        Ok(Some(found))
    }

    /// Says once per session why it is gone to its client.
    fn note_unreadable(&self, id: &SessionId, source: &BoxError) {
        self.metrics.session_unreadable();
        let mut logged = self.unreadable.lock();
        if logged.len() < LOGGED_SESSIONS && logged.insert(id.clone()) {
            warn!(session = %id, %source, "the record of a session cannot be read; to its client it is gone");
        }
    }

    /// Time that a session used now has left; `None` if its lifetime is over. That ends it for all edges,
    /// so it is judged by the store's own answer and not by what this edge believes of the store's clock.
    async fn time_to_live(
        &self,
        session: impl Into<SessionLife>,
    ) -> Result<Option<Duration>, EdgeError> {
        let session = session.into();
        let left = self
            .bounds
            .time_to_live(session, self.clock.current().await?);
        if left.is_some() {
            return Ok(left);
        }
        let now = self.clock.read().await?;
        Ok(self.bounds.time_to_live(session, now))
    }

    /// The time until an end, by the store's clock.
    pub(crate) fn until(&self, end: Timestamp) -> Duration {
        end.since(self.clock.now())
    }

    /// A session that was read here, and of which a subscription is over.
    pub(crate) fn take_over(&self) -> Option<SessionId> {
        self.ends.take_over(self.clock.now())
    }

    /// The store's time, for what is stored for all edges.
    pub(crate) async fn now(&self) -> Result<Timestamp, EdgeError> {
        self.clock.current().await
    }

    /// Ends a session on all edges; returns whether it existed.
    async fn retire(&self, id: &SessionId) -> Result<bool, EdgeError> {
        let ended = timeout(CALL_DEADLINE, self.store.end(id)).await??;
        self.touches.forget(id);
        self.ends.note(id, None);
        match timeout(CALL_DEADLINE, self.mailboxes.end(id)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, session = %id, "a mailbox is left to expire"),
            Err(error) => debug!(%error, session = %id, "a mailbox is left to expire"),
        }
        self.publish(id, EdgeNews::SessionEnded(id.clone())).await;
        Ok(ended)
    }

    /// Keeps a session alive because its stream is open here; `None` if it has ended.
    pub(crate) async fn keep_alive(
        &self,
        id: &SessionId,
    ) -> Result<Option<VersionedSession>, EdgeError> {
        let Some(found) = self.peek(id).await? else {
            return Ok(None);
        };
        let now = self.clock.current().await?;
        let life = SessionLife::from(&found.session);
        let lives = self.touch(id, life, now).await?;
        Ok(lives.then_some(found))
    }

    /// Records that a stream which covered the subscriptions up to this one has reached the client: the
    /// next stream that names no event begins with the next event.
    pub(crate) async fn record_streamed(
        &self,
        session: &Session,
        subscription: u64,
    ) -> Result<(), EdgeError> {
        let known = session.streamed_subscription;
        if session.has_streamed && known >= Some(subscription) {
            return Ok(());
        }
        let record = |session: &mut Session| session.record_streamed(subscription);
        self.change(&session.id, &session.owner, record).await?;
        Ok(())
    }

    /// Notifies the edge that waits for a stream of the session's mailbox. If the notification is
    /// lost, the edge finds the messages later.
    pub(crate) async fn announce_mail(&self, id: &SessionId, stream: &StreamId) {
        let news = EdgeNews::MailboxChanged {
            session: id.clone(),
            stream: stream.clone(),
        };
        self.publish(id, news).await;
    }

    /// Notifies the edge that runs a call that its client cancelled it. If the notification is
    /// lost, the call runs to its end, which is allowed (MCP 2025-11-25, "Cancellation").
    pub(crate) async fn announce_cancellation(&self, id: &SessionId, request: &RequestId) {
        let news = EdgeNews::RequestCancelled {
            session: id.clone(),
            request: request.to_string(),
        };
        self.publish(id, news).await;
    }

    /// Interval at which an edge checks the sessions whose stream it holds.
    pub(crate) fn round(&self) -> Duration {
        SESSION_CHECK_INTERVAL.min(self.bounds.idle / 4)
    }

    /// If the message is lost, the edge that holds the stream sees the change at its next periodic
    /// check.
    async fn publish(&self, id: &SessionId, news: EdgeNews) {
        if let Err(error) = self
            .bus
            .publish(&Topic::Session(id.clone()), news.into(), None)
            .await
        {
            warn!(%error, "other edges see the change of a session later");
        }
    }
}

/// The limit of sessions that is reached, in words for clients.
const fn limit_reached(bound: RecordBound) -> &'static str {
    match bound {
        RecordBound::Records => "the server has reached its limit of open sessions",
        RecordBound::RecordsOfOwner => "its owner has reached the limit of open sessions",
        RecordBound::Bytes => "the open sessions of the server have reached their limit of bytes",
        RecordBound::BytesOfOwner => {
            "the open sessions of its owner have reached their limit of bytes"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new session of the anonymous principal.
    pub(super) fn session() -> Session {
        Session {
            id: SessionId::new("one").unwrap(),
            owner: PrincipalId::anonymous(),
            protocol_version: "2025-11-25".to_owned(),
            client_info: Value::Null,
            client_capabilities: Value::Null,
            initialized: false,
            created_at: Timestamp::default(),
            subscriptions: Vec::new(),
            resource_uris: std::collections::BTreeMap::new(),
            resource_numbers: std::collections::BTreeMap::new(),
            newest_subscription: 0,
            recent_subscriptions: Vec::new(),
            log_level: None,
            channel: None,
            has_streamed: false,
            streamed_subscription: None,
            stream_tag: 0,
            ends_with_stream: false,
            times: None,
            reader_sees: None,
            is_connection: false,
            broadcasts_through: Sequence::START,
        }
    }
}
