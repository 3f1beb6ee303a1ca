//! Sessions of the handshake era: in the shared store before their id leaves, usable on any edge at once.

mod stream;
mod watch;

use std::{sync::Arc, time::Duration};

use mcp::RequestId;
use model::{Clock, IdSource, PrincipalId, Session, SessionId, StreamId};
use moka::sync::Cache;
use ports::{Bus, BusMessage, SessionStore, SessionStoreError, Topic, Versioned};
use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

pub(crate) use stream::{open_endpoint_stream, open_stream};
pub(crate) use watch::{SessionNews, watch};

use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, UPDATE_TRIES},
};

/// Sessions whose last touch this edge remembers; an evicted one is touched once more than needed.
const REMEMBERED_TOUCHES: u64 = 100_000;
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
    idle: Duration,
    touched: Cache<SessionId, ()>,
}

impl Sessions {
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        idle: Duration,
    ) -> Self {
        let touched = Cache::builder()
            .max_capacity(REMEMBERED_TOUCHES)
            .time_to_live(idle / TOUCHES_PER_IDLE_TIME)
            .build();
        Self {
            store,
            bus,
            clock,
            ids,
            idle,
            touched,
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
            log_level: None,
            streamed: false,
            stream_tag: 0,
            ends_with_stream: new.ends_with_stream,
        };
        timeout(CALL_DEADLINE, self.store.create(&session, self.idle)).await??;
        // It has its whole idle time: the first message need not write that again.
        self.touched.insert(session.id.clone(), ());
        Ok(session)
    }

    /// Loads a session for its owner and keeps it alive; `None` for anybody else.
    pub(crate) async fn load(
        &self,
        id: &SessionId,
        principal: &PrincipalId,
    ) -> Result<Option<Versioned>, EdgeError> {
        let loaded = timeout(CALL_DEADLINE, self.store.load(id)).await??;
        let Some(found) = loaded.filter(|found| found.session.owner == *principal) else {
            return Ok(None);
        };
        if !self.touched.contains_key(id) {
            if !timeout(CALL_DEADLINE, self.store.touch(id, self.idle)).await?? {
                return Ok(None);
            }
            self.touched.insert(id.clone(), ());
        }
        Ok(Some(found))
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
            self.tell(id, BusMessage::SessionChanged(id.clone())).await;
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
            let Some(mut found) = self.load(id, principal).await? else {
                return Ok(None);
            };
            let before = found.session.clone();
            let answer = change(&mut found.session);
            if found.session == before {
                return Ok(Some((answer, false)));
            }
            let replace = self
                .store
                .replace(&found.session, found.revision, self.idle);
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
        if self.load(id, principal).await?.is_none() {
            return Ok(false);
        }
        let ended = timeout(CALL_DEADLINE, self.store.end(id)).await??;
        self.touched.invalidate(id);
        self.tell(id, BusMessage::SessionEnded(id.clone())).await;
        Ok(ended)
    }

    /// A session as it is, for the stream that this edge already holds.
    async fn peek(&self, id: &SessionId) -> Result<Option<Versioned>, EdgeError> {
        Ok(timeout(CALL_DEADLINE, self.store.load(id)).await??)
    }

    /// Keeps a session alive whose stream is open; whether it still lives.
    pub(crate) async fn keep_alive(&self, id: &SessionId) -> Result<bool, EdgeError> {
        Ok(timeout(CALL_DEADLINE, self.store.touch(id, self.idle)).await??)
    }

    /// Tells the edge that waits for a stream of the session's mailbox. A lost message costs time only.
    pub(crate) async fn tell_mail(&self, id: &SessionId, stream: &StreamId) {
        let message = BusMessage::MailboxChanged {
            session: id.clone(),
            stream: stream.clone(),
        };
        self.tell(id, message).await;
    }

    /// Tells the edge that runs a call that nobody wants its answer. If the message is lost the call runs
    /// to its end, as it may (MCP 2025-11-25, "Cancellation").
    pub(crate) async fn tell_cancelled(&self, id: &SessionId, request: &RequestId) {
        let message = BusMessage::RequestCancelled {
            session: id.clone(),
            request: request.to_string(),
        };
        self.tell(id, message).await;
    }

    /// A lost message costs time only: the holder of the stream looks at the session now and then.
    async fn tell(&self, id: &SessionId, message: BusMessage) {
        if let Err(error) = self
            .bus
            .publish(&Topic::Session(id.clone()), message, None)
            .await
        {
            warn!(%error, "other edges hear of a session's change later");
        }
    }
}
