//! One row per line of the routing rules and per status and error code that the dispatcher answers.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::envelope::RequestId;

mod era;
mod headers;
mod session;
mod surface;

const SESSION: &str = "0b6c3a52-3c1e-4a60-9d6b-2f9f3c1f7f10";
const MODERN: &str = "2026-07-28";

/// What a row expects.
#[derive(PartialEq, Debug)]
enum Is {
    Modern,
    Handshake,
    Batch,
    Initialize(ProtocolVersion),
    OpenStream(Resume),
    EndSession,
    Accepted,
    /// Status, code, and whether the response has the request's id.
    Refused(u16, i32, bool),
}

/// A request that a row changes.
#[derive(Clone)]
struct Sent {
    method: Method,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sent {
    fn post(body: &Value) -> Self {
        Self {
            method: Method::POST,
            headers: Vec::new(),
            body: body.to_string(),
        }
        .with("content-type", "application/json")
        .with("accept", "application/json, text/event-stream")
    }

    fn bare(method: Method) -> Self {
        Self {
            method,
            headers: Vec::new(),
            body: String::new(),
        }
        .with("accept", "text/event-stream")
    }

    /// A well-formed request of the stateless era.
    fn modern(method: &str, params: Value) -> Self {
        Self::modern_with(method, params, meta())
    }

    fn modern_with(method: &str, mut params: Value, meta: Value) -> Self {
        params["_meta"] = meta;
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        Self::post(&body)
            .with("mcp-protocol-version", MODERN)
            .with("mcp-method", method)
    }

    fn with(self, name: &'static str, value: &str) -> Self {
        let mut sent = self.without(name);
        sent.headers.push((name, value.into()));
        sent
    }

    fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self
    }

    fn in_session(self) -> Self {
        self.with("mcp-session-id", SESSION)
    }

    fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    fn decide(&self) -> Decision {
        self.decide_on(&Surface::default())
    }

    fn decide_on(&self, surface: &Surface) -> Decision {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let body = (self.method == Method::POST).then_some(self.body.as_bytes());
        classify(surface, &self.method, &headers, body)
    }

    fn refusal(&self) -> HttpRefusal {
        match self.decide() {
            Decision::Refuse(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn kind(&self) -> Is {
        self.kind_on(&Surface::default())
    }

    fn kind_on(&self, surface: &Surface) -> Is {
        match self.decide_on(surface) {
            Decision::Modern(_) => Is::Modern,
            Decision::Handshake(message) => match message.body {
                HandshakeBody::One(_) => Is::Handshake,
                HandshakeBody::Batch(_) => Is::Batch,
            },
            Decision::Initialize(initialize) => Is::Initialize(initialize.version),
            Decision::OpenStream { resume, .. } => Is::OpenStream(resume),
            Decision::EndSession { .. } => Is::EndSession,
            Decision::Accepted => Is::Accepted,
            Decision::Refuse(refusal) => {
                let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
                assert_eq!(
                    body["jsonrpc"], "2.0",
                    "a refusal always has a JSON-RPC body"
                );
                let code = body["error"]["code"].as_i64().unwrap();
                assert!(body.get("id") != Some(&Value::Null), "an id is never null");
                let has_id = body.get("id").is_some();
                Is::Refused(
                    refusal.status.as_u16(),
                    i32::try_from(code).unwrap(),
                    has_id,
                )
            }
        }
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {}
    })
}

fn meta_without(key: &str) -> Value {
    let mut meta = meta();
    meta.as_object_mut().unwrap().remove(key);
    meta
}

fn meta_with(key: &str, value: Value) -> Value {
    let mut meta = meta();
    meta[key] = value;
    meta
}

fn request(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method})
}

fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}
    }})
}

fn notification() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

fn response() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": {}})
}

fn call(name_header: &str) -> Sent {
    Sent::modern("tools/call", json!({"name": "get_recent_events"})).with("mcp-name", name_header)
}

fn check(rows: Vec<(&str, Sent, Is)>) {
    for (what, sent, expected) in rows {
        assert_eq!(sent.kind(), expected, "{what}");
    }
}

#[test]
fn bodies_that_are_no_message() {
    let post = Sent::post(&request("ping")).in_session();
    check(vec![
        (
            "no content type",
            post.clone().without("content-type"),
            Is::Refused(415, -32600, false),
        ),
        (
            "another content type",
            post.clone().with("content-type", "text/plain"),
            Is::Refused(415, -32600, false),
        ),
        (
            "a charset is fine",
            post.clone()
                .with("content-type", "Application/JSON; charset=utf-8"),
            Is::Handshake,
        ),
        (
            "not JSON",
            post.clone().body("{"),
            Is::Refused(400, -32700, false),
        ),
        (
            "empty",
            post.clone().body(""),
            Is::Refused(400, -32700, false),
        ),
        (
            "too large",
            post.clone().body(&" ".repeat(4 * 1024 * 1024 + 1)),
            Is::Refused(413, -32600, false),
        ),
        (
            "too deep",
            post.clone().body(&"[".repeat(65)),
            Is::Refused(400, -32600, false),
        ),
        (
            "no message",
            post.clone().body("{}"),
            Is::Refused(400, -32600, false),
        ),
        (
            "id null",
            post.clone()
                .body(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#),
            Is::Refused(400, -32600, false),
        ),
        (
            "params are a list",
            post.clone()
                .body(r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}"#),
            Is::Refused(400, -32600, true),
        ),
        (
            "params are an empty list, as PHP writes an empty object",
            post.clone()
                .body(r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#),
            Is::Handshake,
        ),
        (
            "params are null",
            post.clone()
                .body(r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":null}"#),
            Is::Handshake,
        ),
        (
            "a notification with id null",
            post.clone()
                .body(r#"{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}"#),
            Is::Handshake,
        ),
        (
            "a byte order mark",
            post.clone()
                .body("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}"),
            Is::Handshake,
        ),
        (
            "another name of JSON",
            post.with("content-type", "text/json"),
            Is::Handshake,
        ),
    ]);
}

fn any_header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let names = prop::sample::select(vec![
        "accept",
        "content-type",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "last-event-id",
    ]);
    let values = prop_oneof![
        "[ -~]{0,20}".prop_map(String::into_bytes),
        prop::collection::vec(0x80_u8.., 0..5),
        prop::sample::select(vec![
            "application/json",
            MODERN,
            "2025-11-25",
            "tools/call",
            "=?base64?YQ==?=",
            SESSION,
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (names, values)
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let message = Sent::modern("tools/call", json!({"name": "a"}))
        .body
        .into_bytes();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (0..message.len(), any::<u8>()).prop_map(move |(position, byte)| {
            let mut body = message.clone();
            body[position] = byte;
            body
        }),
    ]
}

proptest! {
    #[test]
    fn nothing_that_comes_in_makes_it_panic(
        headers in prop::collection::vec(any_header(), 0..10),
        body in prop::option::of(any_body()),
        method in prop::sample::select(vec![
            Method::POST, Method::GET, Method::DELETE, Method::PATCH,
        ]),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        let decision = classify(&Surface::default(), &method, &map, body.as_deref());
        if let Decision::Refuse(refusal) = decision {
            let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
            prop_assert!(body["error"]["code"].is_i64());
        }
    }
}
