//! [`mcp::classify`]: an HTTP request as text — method, header lines, an empty line, the body.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mcp::{
    Decision, Era, HttpRefusal, Incoming, ProtocolVersion, Surface, classify,
    dispatch::{HandshakeBody, HandshakeMessage, ModernRequest, Resume},
    headers::{self, AcceptedTypes, decode_value, single},
    limits::{MAX_BODY_BYTES, MAX_DEPTH, MAX_EVENT_ID_BYTES},
    method,
};
use serde_json::Value;

use crate::json::{Members, as_id, depth, error_of};

const VERSION_IN_META: &str = "io.modelcontextprotocol/protocolVersion";
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

struct Input<'a> {
    method: Method,
    headers: HeaderMap,
    body: &'a [u8],
}

fn read(data: &[u8]) -> Option<Input<'_>> {
    let (method, mut rest) = line(data);
    let method = Method::from_bytes(method).ok()?;
    let mut headers = HeaderMap::new();
    loop {
        let (header, after) = line(rest);
        rest = after;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&header[..colon]).ok()?;
        let value = header[colon + 1..].trim_ascii();
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let body = rest;
    Some(Input {
        method,
        headers,
        body,
    })
}

fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

pub(crate) fn run(data: &[u8]) {
    let Some(input) = read(data) else {
        return;
    };
    let body = (!input.body.is_empty()).then_some(input.body);
    let decision = classify(&Surface::default(), &input.method, &input.headers, body);
    let claims = Claims::of(&input);
    if claims.is_modern {
        let possible = matches!(decision, Decision::Modern(_) | Decision::Refuse(_));
        assert!(possible, "a stateless request became {decision:?}");
    }
    match &decision {
        Decision::Refuse(refusal) => refused(&input, &claims, refusal),
        Decision::Modern(request) => modern(&input, &claims, request),
        Decision::Handshake(message) => handshake(&input, &claims, message),
        Decision::Initialize(request) => {
            assert_eq!(claims.method.as_deref(), Some(method::INITIALIZE));
            assert_eq!(request.version.era(), Era::Handshake);
            assert!(!request.accepts.is_nothing() && request.client_info.is_object());
        }
        Decision::OpenStream { session, resume } => {
            assert_eq!(input.method, Method::GET);
            assert!(AcceptedTypes::read(&input.headers).sse);
            session_is_named(&input, session.as_str());
            if let Resume::After(id) = resume {
                assert!(!id.is_empty() && id.len() <= MAX_EVENT_ID_BYTES);
            }
        }
        Decision::EndSession { session } => {
            assert_eq!(input.method, Method::DELETE);
            session_is_named(&input, session.as_str());
        }
        Decision::Accepted => assert!(claims.id.is_none() && claims.method.is_some()),
    }
}

/// The facts about the body that any reader can determine.
#[derive(Default)]
struct Claims {
    method: Option<String>,
    id: Option<Value>,
    is_modern: bool,
}

impl Claims {
    fn of(input: &Input<'_>) -> Self {
        let readable = input.method == Method::POST
            && headers::is_json(&input.headers)
            && input.body.len() <= MAX_BODY_BYTES
            && depth(input.body) <= MAX_DEPTH;
        let Some(members) = readable.then(|| Members::read(input.body)).flatten() else {
            return Self::default();
        };
        if members.has_twice(&MEMBERS) {
            return Self::default();
        }
        let method = members.text("method");
        let id = members.get("id").and_then(as_id);
        let meta = members.object("params").and_then(|p| p.object("_meta"));
        let version = meta.as_ref().and_then(|meta| meta.raw(VERSION_IN_META));
        Self {
            is_modern: version.is_some() && id.is_some() && method.is_some(),
            method,
            id,
        }
    }
}

fn refused(input: &Input<'_>, claims: &Claims, refusal: &HttpRefusal) {
    let (code, id) = error_of(&refusal.body());
    let status = refusal.status.as_u16();
    assert!(status == 200 || (400..500).contains(&status), "{refusal:?}");
    if let (Some(sent), Some(_)) = (&claims.id, &claims.method) {
        assert_eq!(*sent, id, "the answer to a request carries its id");
    }
    // Clients take any other 4xx for an old server, and remember that.
    if claims.is_modern {
        assert!([200, 400, 404].contains(&status), "{refusal:?}");
        assert_eq!(status == 404, code == -32601, "{refusal:?}");
        let known = [-32600, -32602, -32020, -32021, -32022, -32601];
        assert!(known.contains(&code), "{refusal:?}");
    }
    assert_eq!(status == 405, refusal.allow.is_some());
    let served = [Method::POST, Method::GET, Method::DELETE].contains(&input.method);
    assert!(served || status == 405);
}

fn modern(input: &Input<'_>, claims: &Claims, request: &ModernRequest) {
    assert!(claims.is_modern, "{request:?}");
    assert_eq!(claims.method.as_ref(), Some(&request.method));
    assert_eq!(serde_json::to_value(&request.id).ok(), claims.id);
    assert_eq!(request.version.era(), Era::Stateless);
    assert_eq!(
        named(input, &headers::METHOD),
        Some(request.method.as_str())
    );
    let version = named(input, &headers::PROTOCOL_VERSION);
    assert_eq!(version, Some(request.version.as_str()));
    let mirrored = match request.method.as_str() {
        method::TOOLS_CALL => Some("name"),
        method::RESOURCES_READ => Some("uri"),
        _ => None,
    };
    if let Some(mirrored) = mirrored {
        let params = request.params.as_ref().expect("params");
        let params = Members::read(params.get().as_bytes()).expect("an object");
        let header = named(input, &headers::NAME).and_then(|name| decode_value(name).ok());
        assert_eq!(header.as_deref(), params.text(mirrored).as_deref());
    }
    assert!(request.param_headers.is_empty() || request.method == method::TOOLS_CALL);
    assert!(request.accepts.sse || (request.accepts.json && request.method != method::LISTEN));
}

fn handshake(input: &Input<'_>, claims: &Claims, message: &HandshakeMessage) {
    assert_eq!(input.method, Method::POST);
    session_is_named(input, message.session.as_str());
    assert!(message.version.is_none_or(|v| v.era() == Era::Handshake));
    assert!(message.needs_no_response() || !message.accepts.is_nothing());
    if let HandshakeBody::One(Incoming::Request(request)) = &message.body {
        assert_ne!(request.method, method::INITIALIZE);
        assert_eq!(serde_json::to_value(&request.id).ok(), claims.id);
    }
    let is_batch = matches!(message.body, HandshakeBody::Batch(_));
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let version = ProtocolVersion::parse(version).expect("a revision");
        let admitted = message.admit(version).is_ok();
        assert_eq!(admitted, !is_batch || version.as_str() == "2025-03-26");
    }
}

fn named<'a>(input: &'a Input<'_>, name: &HeaderName) -> Option<&'a str> {
    single(&input.headers, name).ok().flatten()
}

/// The session id is that of the one session header, and cannot change a subject, a key or a path.
fn session_is_named(input: &Input<'_>, session: &str) {
    assert_eq!(named(input, &headers::SESSION_ID), Some(session));
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    assert!(session.bytes().all(harmless) && (1..=256).contains(&session.len()));
}
