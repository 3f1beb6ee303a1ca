//! Classifies a request from its method, headers and body, or gives the refusal that the spec
//! demands.
//!
//! A pure function for every revision at once. The era of a POST is decided by its body, never by a
//! header that a proxy may have stripped; a request of the stateless era never gets a bare 4xx,
//! because clients take that for an old server and remember it (MCP 2026-07-28, Streamable HTTP,
//! "Sending Messages to the Server" and "Backward Compatibility").
//!
//! `Origin` is checked before this, principals after it.

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use model::SessionId;

use crate::{
    capability::Capabilities,
    envelope::{self, Incoming, MessageBody, RpcRequest},
    extension::Extensions,
    headers::{self, AcceptedTypes, single},
    limits::MAX_EVENT_ID_BYTES,
    method,
    refusal::HttpRefusal,
    task,
    version::{Era, ProtocolVersion},
};

mod client_record;
mod handshake;
mod meta;
mod stateless;

pub use handshake::{HandshakeBody, HandshakeMessage, InitializeRequest};
pub use meta::RequestMeta;
pub use stateless::ModernRequest;

/// The classification of a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// A request of the stateless era, complete and checked; its method is served.
    Modern(ModernRequest),
    /// Traffic of a session, which the caller loads and then hands to [`HandshakeMessage::admit`].
    Handshake(HandshakeMessage),
    /// Opens a session.
    Initialize(InitializeRequest),
    /// A GET stream of a session.
    OpenStream {
        /// The session that the header names; only the store knows whether it exists.
        session: SessionId,
        /// The position from which the stream continues.
        resume: Resume,
    },
    /// DELETE: the client ends its session.
    EndSession {
        /// The session that the header names.
        session: SessionId,
    },
    /// A notification of the stateless era: 202, empty body, no further action.
    Accepted,
    /// The answer is this refusal.
    Refuse(HttpRefusal),
}

/// The position from which a GET stream continues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resume {
    /// No `Last-Event-ID`: a new stream.
    Fresh,
    /// After this event id, not yet checked.
    After(String),
    /// There is a `Last-Event-ID`, but this server cannot have issued it: the missed events are
    /// unknown.
    Unreadable,
}

impl Resume {
    /// Reads `Last-Event-ID`. An empty one counts as none: EventSource has no other way to say that it
    /// has no id (HTML, "Server-sent events"). One that occurs twice, is too long, or has bytes other
    /// than visible ASCII is unreadable.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        match single(headers, &headers::LAST_EVENT_ID) {
            Ok(None) => Self::Fresh,
            Ok(Some(id)) => Self::of_text(id),
            Err(_) => Self::Unreadable,
        }
    }

    /// As [`Self::read`], for clients that cannot send the header: their query has it.
    #[must_use]
    pub fn read_with_query(headers: &HeaderMap, of_query: Option<&str>) -> Self {
        match Self::read(headers) {
            Self::Fresh => Self::of_text(of_query.unwrap_or_default()),
            of_header => of_header,
        }
    }

    fn of_text(id: &str) -> Self {
        match id.len() {
            0 => Self::Fresh,
            1..=MAX_EVENT_ID_BYTES => Self::After(id.to_owned()),
            _ => Self::Unreadable,
        }
    }
}

/// The methods of the stateless era that are served. Any other method is 404 with -32601. The set
/// has to agree with the capabilities that `server/discover` declares.
#[derive(Clone, Debug)]
pub struct Surface {
    methods: BTreeSet<&'static str>,
}

impl Surface {
    /// A surface of exactly these methods.
    #[must_use]
    pub fn new(methods: &[&'static str]) -> Self {
        Self {
            methods: methods.iter().copied().collect(),
        }
    }

    /// The methods of the declared capabilities and extensions, and no others, so that
    /// `server/discover` and the dispatcher cannot disagree. Discover and listen are always
    /// included.
    #[must_use]
    pub fn of(capabilities: &Capabilities, extensions: &Extensions) -> Self {
        let groups: [(bool, &[&'static str]); 6] = [
            (true, &[method::DISCOVER, method::LISTEN]),
            (capabilities.tools.is_some(), &method::TOOLS),
            (capabilities.resources.is_some(), &method::RESOURCES),
            (capabilities.prompts.is_some(), &method::PROMPTS),
            (capabilities.completions, &[method::COMPLETION]),
            (extensions.has(task::EXTENSION), &method::TASKS),
        ];
        let declared = groups.iter().filter(|(declared, _)| *declared);
        Self {
            methods: declared
                .flat_map(|(_, methods)| methods.iter().copied())
                .collect(),
        }
    }

    fn serves(&self, method: &str) -> bool {
        self.methods.contains(method)
    }
}

/// Discover, tools, resources and listen.
impl Default for Surface {
    fn default() -> Self {
        Self::new(&[
            method::DISCOVER,
            method::LISTEN,
            method::TOOLS_LIST,
            method::TOOLS_CALL,
            method::RESOURCES_LIST,
            method::RESOURCES_TEMPLATES_LIST,
            method::RESOURCES_READ,
        ])
    }
}

/// The claims of the headers, read before the body.
struct Claims<'a> {
    headers: &'a HeaderMap,
    accepts: AcceptedTypes,
    version: VersionClaim<'a>,
}

/// The value of `MCP-Protocol-Version`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum VersionClaim<'a> {
    Absent,
    Known(ProtocolVersion),
    Unknown(&'a str),
    Illegal,
}

impl<'a> Claims<'a> {
    fn read(headers: &'a HeaderMap) -> Self {
        let version = match single(headers, &headers::PROTOCOL_VERSION) {
            Ok(None | Some("")) => VersionClaim::Absent,
            Ok(Some(name)) => ProtocolVersion::parse(name)
                .map_or(VersionClaim::Unknown(name), VersionClaim::Known),
            Err(_) => VersionClaim::Illegal,
        };
        Self {
            headers,
            accepts: AcceptedTypes::read(headers),
            version,
        }
    }

    fn is_stateless(&self) -> bool {
        matches!(self.version, VersionClaim::Known(v) if v.era() == Era::Stateless)
    }

    fn has_session(&self) -> bool {
        self.headers.contains_key(headers::SESSION_ID)
    }

    /// The session that the header names; `Err` if this server cannot have issued such an id.
    fn session(&self) -> Option<Result<SessionId, ()>> {
        match single(self.headers, &headers::SESSION_ID) {
            Ok(None) => None,
            Ok(Some(id)) => Some(SessionId::new(id).map_err(|_| ())),
            Err(_) => Some(Err(())),
        }
    }
}

/// Classifies a request to the MCP endpoint. `body` is the body of a POST (absent counts as empty);
/// the caller bounds the number of bytes that it reads and answers [`HttpRefusal::too_large`] to
/// larger bodies.
#[must_use]
pub fn classify(
    surface: &Surface,
    method: &Method,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Decision {
    let claims = Claims::read(headers);
    let decision = match *method {
        Method::POST => post(surface, &claims, body.unwrap_or_default()),
        Method::GET => get(&claims),
        Method::DELETE => delete(&claims),
        _ => Err(HttpRefusal::method_not_allowed()),
    };
    decision.unwrap_or_else(Decision::Refuse)
}

fn post(surface: &Surface, claims: &Claims<'_>, body: &[u8]) -> Result<Decision, HttpRefusal> {
    if !headers::is_json(claims.headers) {
        return Err(HttpRefusal::not_json());
    }
    match envelope::parse(body).map_err(|rejected| HttpRefusal::from_invalid_message(&rejected))? {
        MessageBody::One(Incoming::Request(request)) => self::request(surface, claims, request),
        MessageBody::One(Incoming::Notification(notification)) => {
            let is_modern = meta::claims_stateless(notification.params.as_deref());
            // The header decides where neither body nor session does. A client of both eras that keeps the
            // header in a session learns it, as with a request: its cancellation would be lost in silence.
            if claims.is_stateless() && claims.has_session() && !is_modern {
                return Err(meta::missing(meta::PROTOCOL_VERSION));
            }
            if claims.is_stateless() || is_modern {
                return Ok(Decision::Accepted);
            }
            let body = HandshakeBody::One(Incoming::Notification(notification));
            handshake::message(claims, body, None)
        }
        MessageBody::One(Incoming::Response(response)) => {
            if claims.is_stateless() {
                return Err(HttpRefusal::invalid_request(
                    "a response has no place in this revision",
                ));
            }
            handshake::message(
                claims,
                HandshakeBody::One(Incoming::Response(response)),
                None,
            )
        }
        MessageBody::Batch(batch) => handshake::batch(claims, batch),
    }
}

fn request(
    surface: &Surface,
    claims: &Claims<'_>,
    request: RpcRequest,
) -> Result<Decision, HttpRefusal> {
    let id = request.id.clone();
    let answered = |refusal: HttpRefusal| refusal.for_request(&id);
    let parts = meta::Parts::read(request.params.as_deref())
        .map_err(|reason| answered(HttpRefusal::invalid_request(reason)))?;
    if !parts.claims_stateless() {
        return without_meta(claims, request).map_err(answered);
    }
    let (version, meta) =
        stateless::check(surface, claims, &request.method, &parts).map_err(answered)?;
    let param_headers = stateless::param_headers(&request.method, claims.headers);
    Ok(Decision::Modern(ModernRequest {
        version,
        meta,
        id: request.id,
        method: request.method,
        params: request.params,
        accepts: claims.accepts,
        param_headers,
    }))
}

/// A request whose body does not claim the stateless era.
fn without_meta(claims: &Claims<'_>, request: RpcRequest) -> Result<Decision, HttpRefusal> {
    if request.method == method::INITIALIZE {
        // A version header is ignored, unless it contradicts the method: nothing is negotiated yet, and
        // the answer names a revision that both sides may speak.
        if claims.is_stateless() {
            return Err(HttpRefusal::header_mismatch(
                "MCP-Protocol-Version names a revision that has no initialize",
            ));
        }
        return handshake::initialize(claims, request).map(Decision::Initialize);
    }
    match claims.version {
        VersionClaim::Illegal if !claims.has_session() => {
            return Err(HttpRefusal::header_mismatch(
                "MCP-Protocol-Version is illegal",
            ));
        }
        VersionClaim::Known(v) if v.era() == Era::Stateless => {
            return Err(meta::missing(meta::PROTOCOL_VERSION));
        }
        VersionClaim::Unknown(name) if !claims.has_session() => {
            return Err(HttpRefusal::unsupported_version(name));
        }
        _ => {}
    }
    let id = request.id.clone();
    handshake::message(
        claims,
        HandshakeBody::One(Incoming::Request(request)),
        Some(&id),
    )
}

fn get(claims: &Claims<'_>) -> Result<Decision, HttpRefusal> {
    let session = session_of_stream(claims)?;
    if !claims.accepts.sse {
        return Err(HttpRefusal::not_acceptable());
    }
    let resume = Resume::read(claims.headers);
    Ok(Decision::OpenStream { session, resume })
}

fn delete(claims: &Claims<'_>) -> Result<Decision, HttpRefusal> {
    let session = session_of_stream(claims)?;
    Ok(Decision::EndSession { session })
}

/// GET and DELETE exist only within a session; in the stateless era they are 405 (MCP 2026-07-28,
/// Streamable HTTP, "Other HTTP methods").
fn session_of_stream(claims: &Claims<'_>) -> Result<SessionId, HttpRefusal> {
    if claims.is_stateless() {
        return Err(HttpRefusal::method_not_allowed());
    }
    let session = claims
        .session()
        .ok_or_else(HttpRefusal::method_not_allowed)?;
    let session = session.map_err(|()| HttpRefusal::session_not_found())?;
    handshake::check_version(claims.version)?;
    Ok(session)
}

#[cfg(test)]
mod tests;
