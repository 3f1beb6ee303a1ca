//! The client of one call.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use access::{PresentRights, Principal};
use bytes::Bytes;
use http::HeaderMap;
use mcp::{
    HttpRefusal, ProtocolVersion, RequestId,
    answer::{CacheHint, EmptyResult, VersionedResult},
    capability::ClientCapabilities,
    profile::ServerInfo,
    tool::CallToolParams,
};
use model::{LogPosition, Session, Timestamp, TraceContext};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    ask::Ask,
    call_error::CallError,
    offered_tools::OfferedTools,
    output::CallOutput,
    policy::Policy,
    rates::{AdmissionPermit, RateLimiter},
    repeatable::RepeatableCall,
    waiting::{CallWait, WaitPosition},
};

/// The context of one request, as methods see it. Owned, because a call of the handshake era
/// outlives its connection.
#[derive(Debug)]
pub struct Caller {
    /// The principal that calls, with the rights that it had then.
    pub principal: Arc<Principal>,
    /// Its rights at the moment at which the call reads something.
    pub rights: PresentRights,
    /// The revision of the request.
    pub version: ProtocolVersion,
    /// The client, until the call only waits ([`Self::release_client`]).
    pub client: ClientSlot,
    /// The trace that the request belongs to.
    pub trace: Option<TraceContext>,
    /// The position of this server in the log when the request arrived: "from now on" means after
    /// it.
    pub since: LogPosition,
    /// The time at which the call was made first, by the clock that edges share.
    pub began: Timestamp,
    /// How long other edges have worked on the call before.
    pub ran_before: Duration,
    /// Messages that are sent before the answer.
    pub output: CallOutput,
    /// Whether the call continues as a task after its answer, for up to a day.
    pub is_task: bool,
    /// The time at which its waits have to end; `None`: as late as a request may wait. The calls of a
    /// batch share one.
    pub waits_until: Option<Instant>,
    /// Whether a tool of which only a wait is left may say so ([`CallError::Waits`]), to be called again later. Otherwise
    /// it waits within the call.
    pub parks: bool,
    /// Where the call goes on: it has waited on this edge before.
    pub earlier: Option<WaitPosition>,
    /// The identity of the server, part of every answer of the stateless era.
    pub server: Arc<ServerInfo>,
    /// The tools that the request asks for.
    pub offered: OfferedTools,
    /// The rate limits.
    pub rates: Arc<RateLimiter>,
}

/// The client of a call, for as long as the call may ask it something or change its session.
#[derive(Debug, Clone, Default)]
pub struct CallClient {
    /// The session, in the handshake era.
    pub session: Option<Arc<Session>>,
    /// The client's capabilities, declared with this request or for its session.
    pub capabilities: ClientCapabilities,
    /// Arguments that are repeated in headers, so that a balancer can route by them (stateless
    /// era).
    pub param_headers: HeaderMap,
    /// The way to ask the client; `None` if it cannot be asked.
    pub asking: Option<Arc<dyn Ask>>,
}

/// The client of calls that only wait.
static RELEASED: LazyLock<Arc<CallClient>> = LazyLock::new(Arc::default);

/// The place of a call's client.
#[derive(Debug)]
pub struct ClientSlot(Mutex<Arc<CallClient>>);

impl From<CallClient> for ClientSlot {
    fn from(client: CallClient) -> Self {
        Self(Mutex::new(Arc::new(client)))
    }
}

impl Default for ClientSlot {
    fn default() -> Self {
        Self(Mutex::new(Arc::clone(&RELEASED)))
    }
}

impl Caller {
    /// The client.
    #[must_use]
    pub fn client(&self) -> Arc<CallClient> {
        Arc::clone(&self.client.0.lock())
    }

    /// The session, in the handshake era.
    #[must_use]
    pub fn session(&self) -> Option<Arc<Session>> {
        self.client.0.lock().session.clone()
    }

    /// The call only waits from here on, for hours perhaps: it asks its client nothing, and needs neither its session
    /// nor its capabilities, which are larger than what a wait needs.
    pub fn release_client(&self) {
        let released = Arc::clone(&RELEASED);
        let client = std::mem::replace(&mut *self.client.0.lock(), released);
        // Outside the lock.
        drop(client);
    }

    /// The answer to a request.
    pub fn answer<T: Serialize>(&self, id: &RequestId, body: &T) -> Bytes {
        VersionedResult::new(self.version, &self.server, body).encode(id)
    }

    /// An answer that clients may cache.
    pub(crate) fn cached<T: Serialize>(&self, id: &RequestId, body: &T, hint: CacheHint) -> Bytes {
        VersionedResult::new(self.version, &self.server, body)
            .cached(hint)
            .encode(id)
    }

    /// The empty answer.
    #[must_use]
    pub fn done(&self, id: &RequestId) -> Bytes {
        self.answer(id, &EmptyResult)
    }

    /// The message to send in place of a result.
    ///
    /// # Errors
    /// A JSON-RPC error, unless the message is a question to the client.
    pub(crate) fn error_answer(
        &self,
        id: &RequestId,
        error: CallError,
    ) -> Result<Bytes, HttpRefusal> {
        match error {
            CallError::InputRequired(question) => {
                Ok(question.encode(self.version, &self.server, id))
            }
            CallError::Refused(refusal) => Err(refusal),
            error => Err(error.into_rpc().into()),
        }
    }

    /// The principal with its present rights, for one read of events or resources.
    ///
    /// # Errors
    /// The token was revoked or has expired, or may not read any more.
    pub fn reader(&self) -> Result<Arc<Principal>, CallError> {
        Ok(self.rights.now()?)
    }

    /// What a call of a tool that waits is made again from, here or on another edge: it changes nothing, and its answer
    /// covers the time in between.
    pub(crate) fn repeatable(&self, call: CallToolParams, wait: &dyn CallWait) -> RepeatableCall {
        RepeatableCall {
            tool: call.name,
            arguments: call.arguments,
            progress_token: self.output.progress_token().cloned(),
            since: self.since,
            began: self.began,
            most_seconds: Some(wait.most_seconds()),
        }
    }

    /// Admits a call; the permit has to be held while the call runs.
    ///
    /// # Errors
    /// The principal lacks the permission, or has reached a rate limit; the error then says when to
    /// try again.
    pub fn admit(&self, policy: Policy) -> Result<AdmissionPermit, CallError> {
        self.principal.require(policy.permission)?;
        Ok(self.rates.admit(&self.principal.id, policy.rate)?)
    }
}
