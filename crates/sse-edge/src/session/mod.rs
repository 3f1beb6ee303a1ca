//! Sessions of the handshake era: in the shared store before their id leaves, usable on any edge at once.

mod bounds;
mod inbox;
mod stream;
mod touches;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use event_tools::sessions::{SessionChange, SessionEditor};
use mcp::RequestId;
use mcp_server::CallError;
use model::{Clock, IdSource, PrincipalId, Session, SessionId, StreamId, Timestamp};
use ports::{Bus, EdgeNews, SessionStore, SessionStoreError, Topic, Versioned};
use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

pub(crate) use bounds::SessionBounds;
pub(crate) use inbox::{Inboxes, Reports, Sent, report};
pub(crate) use stream::{Legacy, open_legacy_stream, open_stream};

use self::touches::Touches;
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, SESSION_CHECK, UPDATE_TRIES},
    metrics::SessionMetrics,
};

/// A session is touched at most once in this part of its idle time.
const TOUCHES_PER_IDLE_TIME: u32 = 20;

/// What a client says of itself at `initialize`.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) owner: PrincipalId,
    pub(crate) protocol_version: String,
    pub(crate) client_info: Value,
    pub(crate) client_capabilities: Value,
    /// HTTP+SSE (2024-11-05): the session goes with its stream.
    pub(crate) ends_with_stream: bool,
}

/// The sessions, as one principal at a time sees them: somebody else's session is not found.
#[derive(Debug)]
pub(crate) struct Sessions {
    store: Arc<dyn SessionStore>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    bounds: SessionBounds,
    metrics: SessionMetrics,
    touches: Touches,
    inboxes: Inboxes,
}

/// What sessions are made of.
#[derive(Debug)]
pub(crate) struct SessionDeps {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) bounds: SessionBounds,
    pub(crate) metrics: SessionMetrics,
    pub(crate) inboxes: Inboxes,
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
            inboxes,
        } = deps;
        Self {
            store,
            bus,
            clock,
            ids,
            bounds,
            metrics,
            touches: Touches::default(),
            inboxes,
        }
    }

    /// Makes a session; it is in the store when this returns.
    pub(crate) async fn create(&self, new: NewSession) -> Result<Session, EdgeError> {
        let session = Session {
            id: SessionId::new(&self.ids.uuid()).expect("a UUID fits a session id"),
            owner: new.owner,
            protocol_version: new.protocol_version,
            client_info: new.client_info,
            client_capabilities: new.client_capabilities,
            initialized: false,
            created_at: self.clock.now(),
            subscriptions: Vec::new(),
            resource_uris: std::collections::BTreeMap::new(),
            resource_wishes: std::collections::BTreeMap::new(),
            wishes: 0,
            log_level: None,
            streamed: false,
            stream_tag: 0,
            ends_with_stream: new.ends_with_stream,
        };
        let ttl = self.bounds.time_to_live(&session, session.created_at);
        let ttl = ttl.expect("a lifetime is at least a second");
        let limits = self.bounds.limits(&session.owner);
        match timeout(CALL_DEADLINE, self.store.create(&session, ttl, limits)).await? {
            Ok(_) => {
                // It has its whole idle time: the first message need not write that again.
                let until = session.created_at.plus(ttl / TOUCHES_PER_IDLE_TIME);
                self.touches.touched(&session.id, session.created_at, until);
                Ok(session)
            }
            Err(SessionStoreError::Overloaded { what }) => {
                self.metrics.refused_session();
                Err(EdgeError::TooManySessions { what })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Loads a session for its owner and keeps it alive; `None` for anybody else.
    pub(crate) async fn load(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
    ) -> Result<Option<Versioned>, EdgeError> {
        let Some(found) = self.find(id, principal).await? else {
            return Ok(None);
        };
        let lives = self.served(&found.session).await?;
        Ok(lives.then_some(found))
    }

    /// Loads a session for its owner, as long as nobody knows whether the request is served: one that is
    /// refused keeps nothing alive.
    pub(crate) async fn find(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
    ) -> Result<Option<Versioned>, EdgeError> {
        let found = self.peek(id).await?;
        Ok(found.filter(|found| found.session.owner == *principal))
    }

    /// Keeps a session alive of which a request is served; whether it still lives.
    pub(crate) async fn served(&self, session: &Session) -> Result<bool, EdgeError> {
        let now = self.clock.now();
        if self.touches.is_fresh(&session.id, now) {
            return Ok(true);
        }
        self.touch(session, now).await
    }

    async fn touch(&self, session: &Session, now: Timestamp) -> Result<bool, EdgeError> {
        let Some(ttl) = self.bounds.time_to_live(session, now) else {
            self.retire(&session.id).await?;
            return Ok(false);
        };
        let lives = timeout(CALL_DEADLINE, self.store.touch(&session.id, ttl)).await??;
        if lives {
            let until = now.plus(ttl / TOUCHES_PER_IDLE_TIME);
            self.touches.touched(&session.id, now, until);
        }
        Ok(lives)
    }

    /// Changes a session and tells the edge that holds its stream. `change` may run several times, because
    /// another edge may change the session meanwhile. `None` if the session is gone.
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
            self.tell(id, EdgeNews::SessionChanged(id.clone())).await;
        }
        Ok(Some(answer))
    }

    /// Changes a session and tells nobody; also says whether it is another now.
    async fn change<T>(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
        mut change: impl FnMut(&mut Session) -> T,
    ) -> Result<Option<(T, bool)>, EdgeError> {
        for _ in 0..UPDATE_TRIES {
            let Some(mut found) = self.find(id, principal).await? else {
                return Ok(None);
            };
            let now = self.clock.now();
            let Some(ttl) = self.bounds.time_to_live(&found.session, now) else {
                return Ok(None);
            };
            let before = found.session.clone();
            let answer = change(&mut found.session);
            if found.session == before {
                return Ok(Some((answer, false)));
            }
            let replace = self.store.replace(&found.session, found.revision, ttl);
            match timeout(CALL_DEADLINE, replace).await? {
                Ok(_) => return Ok(Some((answer, true))),
                Err(SessionStoreError::Conflict { .. }) => {}
                Err(SessionStoreError::Missing) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(EdgeError::Busy)
    }

    /// Ends a session everywhere; whether there was one.
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

    /// A session as it is, whoever asks, for instance for the stream that this edge already holds. One
    /// whose lifetime is over ends.
    pub(crate) async fn peek(&self, id: &SessionId) -> Result<Option<Versioned>, EdgeError> {
        let Some(found) = timeout(CALL_DEADLINE, self.store.load(id)).await?? else {
            return Ok(None);
        };
        let now = self.clock.now();
        if self.bounds.time_to_live(&found.session, now).is_none() {
            self.retire(id).await?;
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Ends a session for everybody; whether there was one.
    async fn retire(&self, id: &SessionId) -> Result<bool, EdgeError> {
        let ended = timeout(CALL_DEADLINE, self.store.end(id)).await??;
        self.touches.forget(id);
        self.tell(id, EdgeNews::SessionEnded(id.clone())).await;
        Ok(ended)
    }

    /// Living sessions after one, ordered by id.
    pub(crate) async fn page(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<Session>, EdgeError> {
        let page = timeout(CALL_DEADLINE, self.store.list(after, limit)).await??;
        let sessions = page.sessions.into_iter();
        Ok(sessions.map(|found| found.session).collect())
    }

    /// Keeps a session alive whose stream is open here; `None` if it is gone.
    pub(crate) async fn keep_alive(&self, id: &SessionId) -> Result<Option<Versioned>, EdgeError> {
        let Some(found) = self.peek(id).await? else {
            return Ok(None);
        };
        let lives = self.touch(&found.session, self.clock.now()).await?;
        Ok(lives.then_some(found))
    }

    /// Tells the edge that waits for a stream of the session's mailbox. A lost message costs time only.
    pub(crate) async fn tell_mail(&self, id: &SessionId, stream: &StreamId) {
        let news = EdgeNews::MailboxChanged {
            session: id.clone(),
            stream: stream.clone(),
        };
        self.tell(id, news).await;
    }

    /// Tells the edge that runs a call that nobody wants its answer. If the message is lost the call runs
    /// to its end, as it may (MCP 2025-11-25, "Cancellation").
    pub(crate) async fn tell_cancelled(&self, id: &SessionId, request: &RequestId) {
        let news = EdgeNews::RequestCancelled {
            session: id.clone(),
            request: request.to_string(),
        };
        self.tell(id, news).await;
    }

    /// How often an edge looks at the sessions whose stream it holds.
    pub(crate) fn round(&self) -> Duration {
        SESSION_CHECK.min(self.bounds.idle / 4)
    }

    /// A lost message costs time only: the holder of the stream looks at the session now and then.
    async fn tell(&self, id: &SessionId, news: EdgeNews) {
        if let Err(error) = self
            .bus
            .publish(&Topic::Session(id.clone()), news.into(), None)
            .await
        {
            warn!(%error, "other edges hear of a session's change later");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session of everybody, as it is made.
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
            resource_wishes: std::collections::BTreeMap::new(),
            wishes: 0,
            log_level: None,
            streamed: false,
            stream_tag: 0,
            ends_with_stream: false,
        }
    }
}
