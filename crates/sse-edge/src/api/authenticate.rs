//! Adds the principal to every request, or refuses the request: without a valid token, or beyond the rates
//! of its principal. A stranger costs a digest and a look at a table in memory; nothing of a store is asked
//! before the principal is known. What follows runs in turns of the principal and its connection.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Uri, header, request::Parts};

use super::{answers::unavailable, audited, query_token};
use crate::error::EdgeError;
use access::{AuthError, Authenticator, Principal};
use mcp_server::{RateClass, RateLimiter, cpu_turns::CpuTurns};
use service_kit::{
    audit::AuditLog,
    http::{RemoteAddr, RequestSender},
};

/// Paths on which a client expects JSON-RPC, also in refusals.
const JSON_RPC: [&str; 5] = ["/mcp", "/mcp/readonly", "/mcp/stream", "/sse", "/messages"];
/// What other such paths begin with.
const CHOSEN_TOOLS: &str = "/mcp/x/";

/// Whether the clients of this path expect JSON-RPC.
pub(super) fn speaks_json_rpc(uri: &Uri) -> bool {
    JSON_RPC.contains(&uri.path()) || uri.path().starts_with(CHOSEN_TOOLS)
}

/// The principal of the request: an extractor of every handler.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated(pub(crate) Arc<Principal>);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = EdgeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, EdgeError> {
        // A route outside the layer has no principal, so it is refused.
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or(EdgeError::Denied(AuthError::NoToken))
    }
}

/// What a request has to pass before it reaches a route.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) auth: Arc<Authenticator>,
    pub(crate) rates: Arc<RateLimiter>,
    pub(crate) turns: Arc<CpuTurns>,
    /// Whether `/mcp/sse` takes a token in the query. Without authentication, none is looked at.
    pub(crate) has_query_tokens: bool,
    pub(crate) audit: Arc<AuditLog>,
}

impl Gate {
    fn admit(&self, request: &Request) -> Result<Arc<Principal>, EdgeError> {
        let of_query = match self.auth.needs_tokens() {
            true => query_token::credentials(request, self.has_query_tokens)?,
            false => None,
        };
        let headers = of_query.as_ref().unwrap_or(request.headers());
        let principal = self.auth.authenticate(headers)?;
        self.rates.admit(&principal.id, RateClass::Memory)?;
        Ok(principal)
    }
}

/// The layer around all routes, including unknown ones. The body of a refused request is not read.
pub(crate) async fn check(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.admit(&request) {
        Ok(principal) => {
            if let Some(sender) = request.extensions().get::<RequestSender>() {
                sender.name(&principal.id);
            }
            let client = request.extensions().get::<RemoteAddr>();
            let client = client.map(|RemoteAddr(address)| *address);
            let account = gate.turns.account(&principal.id, client);
            request.extensions_mut().insert(Authenticated(principal));
            uncached(account.run(next.run(request)).await)
        }
        Err(refused) => {
            audited::note(&gate.audit, &request, &refused);
            uncached(match speaks_json_rpc(request.uri()) {
                true => unavailable(refused, None),
                false => refused.into_response(),
            })
        }
    }
}

/// What an answer says depends on the token, and the next one says something else: no cache keeps it. Streams say more.
fn uncached(mut answer: Response) -> Response {
    const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
    let entry = answer.headers_mut().entry(header::CACHE_CONTROL);
    entry.or_insert(PRIVATE);
    answer
}

#[cfg(test)]
mod tests;
