//! Traffic of the handshake era: `initialize`, and messages within a session.

use model::SessionId;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Claims, Decision, VersionClaim, client_record};
use crate::{
    capability::ClientCapabilities,
    envelope::{Incoming, InvalidMessage, RequestId, RpcError, RpcRequest},
    headers::AcceptedTypes,
    lenient, method, params,
    refusal::HttpRefusal,
    version::{Era, ProtocolVersion},
};

/// An `initialize` request that has been read and is within its bounds.
#[derive(Clone, Debug)]
pub struct InitializeRequest {
    /// Echoed in the answer.
    pub id: RequestId,
    /// The revision that [`ProtocolVersion::negotiate`] chose for the requested one.
    pub version: ProtocolVersion,
    /// The capabilities of the client, up to 16 KiB.
    pub capabilities: ClientCapabilities,
    /// The client's description of itself: an object, up to 16 KiB; icons and the like are left out of a
    /// larger one.
    pub client_info: Value,
    /// The content types that the client accepts; at least one.
    pub accepts: AcceptedTypes,
}

/// The messages of a POST within a session.
#[derive(Clone, Debug)]
pub enum HandshakeBody {
    /// One message.
    One(Incoming),
    /// Several messages; legal only if the session negotiated 2025-03-26.
    Batch(Vec<Result<Incoming, InvalidMessage>>),
}

/// A POST within a session.
#[derive(Clone, Debug)]
pub struct HandshakeMessage {
    /// The session that the header names; only the store knows whether it exists and who owns it.
    pub session: SessionId,
    /// The revision that the header names, if the header is present.
    pub version: Option<ProtocolVersion>,
    /// The body.
    pub body: HandshakeBody,
    /// The content types that the client accepts.
    pub accepts: AcceptedTypes,
}

impl HandshakeMessage {
    /// Checks the body against the negotiated revision: batches exist only in 2025-03-26 (MCP
    /// 2025-06-18, changelog 1).
    ///
    /// A version header that names a handshake revision other than the negotiated one is accepted, and
    /// the negotiated revision applies (adr/001).
    ///
    /// # Errors
    /// The body is a batch and the session has another revision.
    pub fn admit(&self, negotiated: ProtocolVersion) -> Result<(), HttpRefusal> {
        match self.body {
            HandshakeBody::Batch(_) if !negotiated.has_batches() => Err(no_batch()),
            _ => Ok(()),
        }
    }

    /// Whether no message in it expects an answer: the response is then 202 with an empty body.
    #[must_use]
    pub fn needs_no_response(&self) -> bool {
        match &self.body {
            HandshakeBody::One(message) => !matches!(message, Incoming::Request(_)),
            HandshakeBody::Batch(batch) => batch
                .iter()
                .all(|message| matches!(message, Ok(m) if !matches!(m, Incoming::Request(_)))),
        }
    }
}

fn no_batch() -> HttpRefusal {
    HttpRefusal::invalid_request("batches exist only in a session of revision 2025-03-26")
}

/// The refusal of a header with any other revision, or with none.
const OTHER_REVISION: &str = "MCP-Protocol-Version names no revision that this session could speak; send the one that \
                              initialize answered with (2024-11-05, 2025-03-26, 2025-06-18 or 2025-11-25), or leave it out";

/// An absent header means the negotiated revision. A revision that is not supported or has no
/// sessions is refused (MCP 2025-06-18, Transports, "Protocol Version Header").
pub(super) fn check_version(
    version: VersionClaim<'_>,
) -> Result<Option<ProtocolVersion>, HttpRefusal> {
    match version {
        VersionClaim::Absent => Ok(None),
        VersionClaim::Known(version) if version.era() == Era::Handshake => Ok(Some(version)),
        _ => Err(HttpRefusal::invalid_request(OTHER_REVISION)),
    }
}

pub(super) fn message(
    claims: &Claims<'_>,
    body: HandshakeBody,
    id: Option<&RequestId>,
) -> Result<Decision, HttpRefusal> {
    let Some(session) = claims.session() else {
        // Without a session, an unknown revision may come from a newer client, which needs the list
        // of supported revisions.
        return Err(match claims.version {
            VersionClaim::Unknown(name) => HttpRefusal::unsupported_version(name),
            _ => HttpRefusal::session_missing(),
        });
    };
    let session = session.map_err(|()| HttpRefusal::session_not_found())?;
    let version = check_version(claims.version)?;
    let is_batch = matches!(body, HandshakeBody::Batch(_));
    if claims.accepts.is_nothing() && (id.is_some() || is_batch) {
        return Err(HttpRefusal::not_acceptable());
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
    batch: Vec<Result<Incoming, InvalidMessage>>,
) -> Result<Decision, HttpRefusal> {
    let has_initialize = batch
        .iter()
        .any(|m| matches!(m, Ok(Incoming::Request(r)) if r.method == method::INITIALIZE));
    if has_initialize {
        return Err(HttpRefusal::invalid_request(
            "initialize cannot be in a batch",
        ));
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
    #[serde(default, deserialize_with = "lenient::members")]
    capabilities: Map<String, Value>,
    #[serde(default, deserialize_with = "lenient::members")]
    client_info: Map<String, Value>,
}

/// Ignores a session header on `initialize`: a client that lost its session may still send it.
pub(super) fn initialize(
    claims: &Claims<'_>,
    request: RpcRequest,
) -> Result<InitializeRequest, HttpRefusal> {
    if claims.accepts.is_nothing() {
        return Err(HttpRefusal::not_acceptable());
    }
    InitializeRequest::read(request, claims.accepts)
}

impl InitializeRequest {
    /// Reads the request, whatever the transport.
    ///
    /// # Errors
    /// -32602: a member is missing, of the wrong shape or too large.
    pub fn read(request: RpcRequest, accepts: AcceptedTypes) -> Result<Self, HttpRefusal> {
        let bad_params = |error: RpcError| HttpRefusal::new(http::StatusCode::OK, error);
        let params: InitializeParams =
            params::parse(request.params.as_deref()).map_err(|error| bad_params(error.into()))?;
        let Some(capabilities) = client_record::capabilities(params.capabilities) else {
            let text =
                "capabilities have at most 16 KiB, experimental ones and extensions not counted";
            return Err(bad_params(RpcError::invalid_params(text)));
        };
        Ok(Self {
            id: request.id,
            version: ProtocolVersion::negotiate(&params.protocol_version),
            capabilities,
            client_info: client_record::client_info(params.client_info),
            accepts,
        })
    }
}
