//! Traffic of the handshake era: `initialize`, and what a session sends.

use model::SessionId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Claims, Decision, VersionClaim};
use crate::{
    capability::ClientCapabilities,
    envelope::{Incoming, Rejected, Request, RequestId, RpcError},
    headers::Accepts,
    limits::MAX_CLIENT_FACTS_BYTES,
    method, params,
    refusal::Refusal,
    version::{Era, ProtocolVersion},
};

/// `initialize`, read and bounded.
#[derive(Clone, Debug)]
pub struct InitializeRequest {
    /// Echoed in the answer.
    pub id: RequestId,
    /// What [`ProtocolVersion::negotiate`] makes of the requested revision.
    pub version: ProtocolVersion,
    /// What the client can do; at most 16 KiB.
    pub capabilities: ClientCapabilities,
    /// What the client says it is; an object, at most 16 KiB.
    pub client_info: Value,
    /// What kinds of answer the client takes; at least one.
    pub accepts: Accepts,
}

/// What a POST within a session carries.
#[derive(Clone, Debug)]
pub enum HandshakeBody {
    /// One message.
    One(Incoming),
    /// Several; legal only if the session settled on 2025-03-26.
    Batch(Vec<Result<Incoming, Rejected>>),
}

/// A POST within a session.
#[derive(Clone, Debug)]
pub struct HandshakeMessage {
    /// The session as named; whether it exists, and whose it is, the store says.
    pub session: SessionId,
    /// The revision that the header names, if there is one.
    pub version: Option<ProtocolVersion>,
    /// What was sent.
    pub body: HandshakeBody,
    /// What kinds of answer the client takes.
    pub accepts: Accepts,
}

impl HandshakeMessage {
    /// Checks what only the session knows: batches exist under 2025-03-26 alone (MCP 2025-06-18,
    /// changelog 1).
    ///
    /// A version header that names another handshake revision than the negotiated one is let pass:
    /// the spec refuses only revisions that the server does not speak, the session's own counts, and
    /// the official conformance suite (0.1.16) itself sends such requests.
    ///
    /// # Errors
    /// A batch in another revision.
    pub fn admit(&self, negotiated: ProtocolVersion) -> Result<(), Refusal> {
        match self.body {
            HandshakeBody::Batch(_) if !negotiated.has_batches() => Err(no_batch()),
            _ => Ok(()),
        }
    }

    /// Whether nothing in it wants an answer: 202, empty body.
    #[must_use]
    pub fn wants_no_answer(&self) -> bool {
        match &self.body {
            HandshakeBody::One(message) => !matches!(message, Incoming::Request(_)),
            HandshakeBody::Batch(batch) => batch
                .iter()
                .all(|message| matches!(message, Ok(m) if !matches!(m, Incoming::Request(_)))),
        }
    }
}

fn no_batch() -> Refusal {
    Refusal::invalid_request("batches exist only in a session of revision 2025-03-26")
}

/// Absent means the negotiated revision; one that we do not speak, or that has no sessions, is
/// refused (MCP 2025-06-18, Transports, "Protocol Version Header").
pub(super) fn check_version(version: VersionClaim<'_>) -> Result<Option<ProtocolVersion>, Refusal> {
    match version {
        VersionClaim::Absent => Ok(None),
        VersionClaim::Known(version) if version.era() == Era::Handshake => Ok(Some(version)),
        _ => Err(Refusal::invalid_request(
            "MCP-Protocol-Version names no revision that this session could speak",
        )),
    }
}

pub(super) fn message(
    claims: &Claims<'_>,
    body: HandshakeBody,
    id: Option<&RequestId>,
) -> Result<Decision, Refusal> {
    let Some(session) = claims.session() else {
        // Without a session an unknown revision may be a newer client's; it needs to hear what we
        // speak.
        return Err(match claims.version {
            VersionClaim::Unknown(name) => Refusal::unsupported_version(name),
            _ => Refusal::session_missing(),
        });
    };
    let session = session.map_err(|()| Refusal::session_not_found())?;
    let version = check_version(claims.version)?;
    let is_batch = matches!(body, HandshakeBody::Batch(_));
    if claims.accepts.is_nothing() && (id.is_some() || is_batch) {
        return Err(Refusal::not_acceptable());
    }
    Ok(Decision::Handshake(HandshakeMessage {
        session,
        version,
        body,
        accepts: claims.accepts,
    }))
}

pub(super) fn batch(
    claims: &Claims<'_>,
    batch: Vec<Result<Incoming, Rejected>>,
) -> Result<Decision, Refusal> {
    let has_initialize = batch
        .iter()
        .any(|m| matches!(m, Ok(Incoming::Request(r)) if r.method == method::INITIALIZE));
    if has_initialize {
        return Err(Refusal::invalid_request("initialize cannot be in a batch"));
    }
    if !claims.has_session() || claims.is_stateless() {
        return Err(no_batch());
    }
    message(claims, HandshakeBody::Batch(batch), None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeParams {
    protocol_version: String,
    #[serde(default)]
    capabilities: ClientCapabilities,
    #[serde(default)]
    client_info: serde_json::Map<String, Value>,
}

/// The sizes, without building anything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeSizes<'a> {
    #[serde(borrow, default)]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, default)]
    client_info: Option<&'a RawValue>,
}

/// A session header on `initialize` is ignored: a client that lost its session may still send it.
pub(super) fn initialize(
    claims: &Claims<'_>,
    request: Request,
) -> Result<InitializeRequest, Refusal> {
    if claims.accepts.is_nothing() {
        return Err(Refusal::not_acceptable());
    }
    InitializeRequest::read(request, claims.accepts)
}

impl InitializeRequest {
    /// Reads the request, however it came.
    ///
    /// # Errors
    /// -32602: a member is missing, of the wrong shape or too large.
    pub fn read(request: Request, accepts: Accepts) -> Result<Self, Refusal> {
        let bad_params = |error: RpcError| Refusal::new(http::StatusCode::OK, error);
        let raw = request.params.as_deref();
        let sizes: InitializeSizes<'_> = serde_json::from_str(raw.map_or("{}", RawValue::get))
            .map_err(|_| bad_params(RpcError::invalid_params("params have a member twice")))?;
        let is_large =
            |raw: Option<&RawValue>| raw.is_some_and(|r| r.get().len() > MAX_CLIENT_FACTS_BYTES);
        if is_large(sizes.capabilities) || is_large(sizes.client_info) {
            return Err(bad_params(RpcError::invalid_params(
                "clientInfo and capabilities have at most 16 KiB each",
            )));
        }
        let params: InitializeParams =
            params::parse(raw).map_err(|error| bad_params(error.into()))?;
        Ok(Self {
            id: request.id,
            version: ProtocolVersion::negotiate(&params.protocol_version),
            capabilities: params.capabilities,
            client_info: Value::Object(params.client_info),
            accepts,
        })
    }
}
