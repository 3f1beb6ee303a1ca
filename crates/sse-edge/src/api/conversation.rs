//! Messages of a session that is loaded: what each may do, and how its answer goes out.

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use mcp::{
    Incoming, ProtocolVersion, RequestId, RpcError,
    capability::ClientCapabilities,
    envelope::{self, Request},
    headers::Accepts,
    log::LogLevel,
    mrtr,
};
use model::{Session, TraceContext};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::{
    exchange,
    mcp::{json_or_sse, unavailable},
};
use crate::{
    auth::Principal,
    calls::{
        Answered,
        asking::Asking,
        record::{Recorded, StreamName, record},
        running::RunningCall,
    },
    error::EdgeError,
    protocol::{
        Caller, handshake,
        outlet::{Outlet, Said},
        rpc_error,
    },
    service::Edge,
};

/// A session, and who speaks in it.
pub(super) struct Conversation {
    pub(super) edge: Arc<Edge>,
    pub(super) principal: Arc<Principal>,
    pub(super) version: ProtocolVersion,
    pub(super) session: Arc<Session>,
    pub(super) trace: Option<TraceContext>,
}

impl Conversation {
    fn caller(&self, asking: Asking, outlet: Outlet) -> Caller {
        let client = ClientCapabilities::from_value(self.session.client_capabilities.clone());
        Caller {
            edge: Arc::clone(&self.edge),
            principal: Arc::clone(&self.principal),
            version: self.version,
            session: Some(Arc::clone(&self.session)),
            client: client.unwrap_or_default(),
            trace: self.trace,
            since: self.edge.hub.position(),
            param_headers: HeaderMap::new(),
            asking,
            outlet,
        }
    }

    /// Of messages that say nothing before their answer.
    pub(super) fn silent(&self) -> Caller {
        self.caller(Asking::Never, Outlet::new(None, None).0)
    }

    /// Answers a request. A call's work is a task of its own: the client may hang up, and the work goes on
    /// (MCP 2025-11-25, Streamable HTTP, "Sending Messages to the Server").
    pub(super) async fn request(
        &self,
        accepts: Accepts,
        request: Request,
    ) -> Result<Response, EdgeError> {
        if !mrtr::is_supported(&request.method) {
            let message = Incoming::Request(request);
            let answer = handshake::message(&self.silent(), message).await?;
            return Ok(json_or_sse(accepts, answer.unwrap_or_default()));
        }
        let id = request.id.clone();
        let asking = if accepts.sse {
            Asking::OnStream
        } else {
            Asking::Never
        };
        let call = match self.call(request, asking) {
            Ok(call) => call,
            Err(error) => return Ok(unavailable(&error, Some(&id))),
        };
        if accepts.sse && self.version.has_priming() {
            return Ok(self.recorded(accepts, id, call).await);
        }
        let task = self.edge.spawn(call.work);
        let failed = Answered::of(&id, Err(RpcError::internal().into()));
        let work = Box::pin(async move { task.await.unwrap_or(Some(failed)) });
        Ok(exchange::answer(accepts, work, call.messages).await)
    }

    async fn recorded(&self, accepts: Accepts, request: RequestId, call: Call) -> Response {
        let recorded = Recorded {
            edge: Arc::clone(&self.edge),
            name: StreamName::of_call(&self.principal.id, &self.session.id, &*self.edge.ids),
            request,
            messages: call.messages,
            work: call.work,
        };
        let (begun, beginning) = oneshot::channel();
        drop(self.edge.spawn(record(recorded, begun)));
        exchange::recorded(accepts, beginning).await
    }

    /// A call, not begun.
    ///
    /// # Errors
    /// Too many run already, or one with this id.
    pub(super) fn call(&self, request: Request, asking: Asking) -> Result<Call, EdgeError> {
        let token = progress_token(request.params.as_deref());
        let (outlet, messages) = Outlet::new(token, Some(log_level(&self.session)));
        let caller = self.caller(asking, outlet);
        let running = &self.edge.calls.running;
        let running = running.begin(&self.session.id, &request.id)?;
        Ok(Call {
            work: Box::pin(run(running, caller, request)),
            messages,
        })
    }
}

/// The work of a call, and what it says before it is done. It ends without an answer when the client
/// cancels it.
pub(super) struct Call {
    pub(super) work: exchange::Work,
    pub(super) messages: mpsc::Receiver<Said>,
}

async fn run(running: RunningCall, caller: Caller, request: Request) -> Option<Answered> {
    let id = request.id.clone();
    let answer = handshake::message(&caller, Incoming::Request(request));
    let answer = running.cancelled.run_until_cancelled(answer).await?;
    let message = match answer {
        Ok(message) => message.unwrap_or_default(),
        Err(error) => envelope::error(Some(&id), &rpc_error(&error)),
    };
    Some(Answered {
        status: StatusCode::OK,
        message,
    })
}

/// `_meta.progressToken` of the params.
fn progress_token(params: Option<&RawValue>) -> Option<RequestId> {
    #[derive(Default, Deserialize)]
    struct Params {
        #[serde(rename = "_meta", default)]
        meta: Meta,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        #[serde(default)]
        progress_token: Option<RequestId>,
    }
    let params: Params = serde_json::from_str(params?.get()).unwrap_or_default();
    params.meta.progress_token
}

/// The lowest level that the session wants; it gets everything unless it said otherwise.
fn log_level(session: &Session) -> LogLevel {
    let named = session.log_level.clone().map(serde_json::Value::String);
    named
        .and_then(|level| serde_json::from_value(level).ok())
        .unwrap_or(LogLevel::Debug)
}
