//! Messages that arrive as lines and continue over HTTP: `forgewire stdio`, and NDJSON at the edge.
//!
//! A line has no headers, and Streamable HTTP requires some: the revision, the method and the name
//! in the stateless era, the session in the handshake era. [`LineHeaders::of`] makes them from the
//! message and from earlier responses ([`LineContext`]); [`OpenRequests`] tracks the requests that
//! have no response yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    envelope::{self, Incoming, MessageBody, RequestId, RpcError},
    headers::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID, encode_value},
    limits::MAX_KNOWN_TOOLS,
    method,
    tool::{ParamHeader, mirror_arguments},
};

/// The facts learned from responses to earlier lines.
#[derive(Clone, Debug, Default)]
pub struct LineContext {
    session: Option<LineSession>,
    /// The last revision of the stateless era that a request named: notifications do not name one.
    stateless: Option<HeaderValue>,
    tools: BTreeMap<String, Vec<ParamHeader>>,
}

/// A session of the handshake era. Servers may omit the id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineSession {
    /// The server's session id.
    pub id: Option<HeaderValue>,
    /// The negotiated revision.
    pub version: Option<HeaderValue>,
}

impl LineSession {
    /// The session that a response to `initialize` opens: `id` is the response's `Mcp-Session-Id`,
    /// `message` its body. `None` if the response is not a result.
    #[must_use]
    pub fn opened(id: Option<&HeaderValue>, message: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            result: Negotiated,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Negotiated {
            protocol_version: String,
        }
        let Answer { result } = serde_json::from_slice(message).ok()?;
        Some(Self {
            id: id.cloned(),
            version: HeaderValue::from_str(&result.protocol_version).ok(),
        })
    }

    /// The headers of all messages within the session.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        put(&mut headers, SESSION_ID, self.id.clone());
        put(&mut headers, PROTOCOL_VERSION, self.version.clone());
        headers
    }
}

impl LineContext {
    /// The current session.
    #[must_use]
    pub const fn session(&self) -> Option<&LineSession> {
        self.session.as_ref()
    }

    /// Replaces the current session, or ends it with `None`.
    pub fn set_session(&mut self, session: Option<LineSession>) {
        self.session = session;
    }

    /// Remembers the revision that a request of the stateless era names.
    pub fn remember_version(&mut self, head: &LineHeaders) {
        if head.kind == LineKind::Stateless
            && let Some(version) = head.headers.get(PROTOCOL_VERSION)
        {
            self.stateless = Some(version.clone());
        }
    }

    /// Remembers which arguments must be mirrored for the tools in a response to `tools/list`. Up
    /// to 1024 tools.
    pub fn learn_tools(&mut self, message: &[u8]) {
        #[derive(Deserialize)]
        struct Answer {
            result: List,
        }
        #[derive(Deserialize)]
        struct List {
            tools: Vec<Tool>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Tool {
            name: String,
            #[serde(default)]
            input_schema: Value,
        }
        let Ok(Answer { result }) = serde_json::from_slice(message) else {
            return;
        };
        for tool in result.tools {
            let marked = ParamHeader::read(&tool.input_schema).unwrap_or_default();
            self.learn_tool(&tool.name, marked);
        }
    }

    /// Remembers which arguments must be mirrored for a tool.
    pub fn learn_tool(&mut self, name: &str, marked: Vec<ParamHeader>) {
        if marked.is_empty() {
            self.tools.remove(name);
        } else if self.tools.len() < MAX_KNOWN_TOOLS || self.tools.contains_key(name) {
            self.tools.insert(name.to_owned(), marked);
        }
    }
}

/// How a line is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineKind {
    /// The message carries everything itself.
    Stateless,
    /// The message opens a session.
    Initialize,
    /// The message belongs to the session, if there is one.
    Session,
}

/// The headers that turn a line into a POST, beside `Accept` and `Content-Type`.
#[derive(Clone, Debug)]
pub struct LineHeaders {
    /// How the line is sent.
    pub kind: LineKind,
    /// Revision and session, or revision, method, name and mirrored arguments.
    pub headers: HeaderMap,
}

impl LineHeaders {
    /// Reads a line. Judging the message is left to the server: a header that cannot be made is
    /// simply missing.
    #[must_use]
    pub fn of(body: &MessageBody, known: &LineContext) -> Self {
        match body {
            MessageBody::One(Incoming::Request(request)) => {
                let params = Params::read(request.params.as_deref());
                if let Some(version) = params.version() {
                    return Self::stateless(version, &request.method, &params, known);
                }
                if request.method == method::INITIALIZE {
                    return Self {
                        kind: LineKind::Initialize,
                        headers: HeaderMap::new(),
                    };
                }
                Self::session(known)
            }
            MessageBody::One(Incoming::Notification(notification)) => {
                let params = Params::read(notification.params.as_deref());
                let said = params.version();
                let is_stateless = said.is_some() || known.session.is_none();
                match said.flatten().or_else(|| known.stateless.clone()) {
                    Some(version) if is_stateless => {
                        Self::stateless(Some(version), &notification.method, &params, known)
                    }
                    _ => Self::session(known),
                }
            }
            MessageBody::One(Incoming::Response(_)) | MessageBody::Batch(_) => Self::session(known),
        }
    }

    fn session(known: &LineContext) -> Self {
        let session = known.session.as_ref();
        Self {
            kind: LineKind::Session,
            headers: session.map(LineSession::headers).unwrap_or_default(),
        }
    }

    fn stateless(
        version: Option<HeaderValue>,
        method: &str,
        params: &Params<'_>,
        known: &LineContext,
    ) -> Self {
        let name = match method {
            method::TOOLS_CALL | method::PROMPTS_GET => text(params.name),
            method::RESOURCES_READ => text(params.uri),
            method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => text(params.task_id),
            _ => None,
        };
        let mut headers = match &name {
            Some(tool) if method == method::TOOLS_CALL => known
                .tools
                .get(tool)
                .map(|marked| mirror_arguments(marked, params.arguments))
                .unwrap_or_default(),
            _ => HeaderMap::new(),
        };
        put(&mut headers, PROTOCOL_VERSION, version);
        put(&mut headers, METHOD, HeaderValue::from_str(method).ok());
        let name = name.and_then(|name| HeaderValue::from_str(&encode_value(&name)).ok());
        put(&mut headers, NAME, name);
        Self {
            kind: LineKind::Stateless,
            headers,
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// The members that headers are made from.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(borrow, rename = "_meta", default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default)]
    task_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl<'a> Params<'a> {
    fn read(raw: Option<&'a RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }

    /// `Some` if the message belongs to the stateless era; the inner value is the revision, if it
    /// can be a header.
    fn version(&self) -> Option<Option<HeaderValue>> {
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
            version: &'a RawValue,
        }
        let meta: Meta<'_> = serde_json::from_str(self.meta?.get()).ok()?;
        let version = text(Some(meta.version));
        Some(version.and_then(|version| HeaderValue::from_str(&version).ok()))
    }
}

/// The kind of a message from the server, as far as a proxy needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerMessageKind {
    /// Response to a request of the line.
    Answer(RequestId),
    /// A request, a notification, or a response without a pending request.
    Other,
}

/// The requests of a line that have no response yet.
#[derive(Clone, Debug, Default)]
pub struct OpenRequests(Vec<RequestId>);

impl OpenRequests {
    /// All requests of a line: none, one, or those of a batch.
    #[must_use]
    pub fn of(body: &MessageBody) -> Self {
        let id = |message: &Incoming| match message {
            Incoming::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        Self(match body {
            MessageBody::One(message) => id(message).into_iter().collect(),
            MessageBody::Batch(batch) => batch.iter().flatten().filter_map(id).collect(),
        })
    }

    /// A single request.
    #[must_use]
    pub fn one(id: RequestId) -> Self {
        Self(vec![id])
    }

    /// The ids of these requests.
    #[must_use]
    pub fn ids(&self) -> &[RequestId] {
        &self.0
    }

    /// Whether all have a response.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Registers a message from the server. Answers to a batch may come in one, of which each is registered.
    pub fn register(&mut self, message: &[u8]) -> ServerMessageKind {
        if message.trim_ascii_start().starts_with(b"[") {
            let answers: Vec<&RawValue> = serde_json::from_slice(message).unwrap_or_default();
            for answer in answers {
                self.register_one(answer.get().as_bytes());
            }
            return ServerMessageKind::Other;
        }
        self.register_one(message)
    }

    fn register_one(&mut self, message: &[u8]) -> ServerMessageKind {
        let Some(id) = answered(message) else {
            return ServerMessageKind::Other;
        };
        match self.0.iter().position(|owed| *owed == id) {
            Some(at) => ServerMessageKind::Answer(self.0.swap_remove(at)),
            None => ServerMessageKind::Other,
        }
    }

    /// Answers the remaining requests with an error, one line each.
    pub fn fail(&mut self, error: &RpcError) -> Vec<Bytes> {
        let owed = std::mem::take(&mut self.0);
        owed.iter()
            .map(|id| envelope::error(Some(id), error))
            .collect()
    }

    /// Registers the body of a response that is not a stream, and returns the messages to pass on,
    /// one line each. A batch stays one line, as it was sent. An error without id belongs to the
    /// only open request, if there is exactly one. `None` if the body is not JSON-RPC.
    pub fn register_json(&mut self, body: &[u8]) -> Option<Bytes> {
        let raw: &RawValue = serde_json::from_slice(body).ok()?;
        if raw.get().starts_with('[') {
            let messages: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            for message in messages {
                self.register_one(message.get().as_bytes());
            }
            return Some(compact(raw.get()));
        }
        let peek: Peek<'_> = serde_json::from_str(raw.get()).ok()?;
        if let (None, Some(error), [only]) = (peek.id(), peek.error, self.0.as_slice()) {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{only},"error":{error}}}"#);
            self.0.clear();
            return Some(compact(&text));
        }
        if peek.method.is_none() && peek.result.is_none() && peek.error.is_none() {
            return None;
        }
        self.register(raw.get().as_bytes());
        Some(compact(raw.get()))
    }
}

/// The id of the request that a message answers.
fn answered(message: &[u8]) -> Option<RequestId> {
    let peek: Peek<'_> = serde_json::from_slice(message).ok()?;
    let is_answer = peek.method.is_none() && (peek.result.is_some() || peek.error.is_some());
    is_answer.then(|| peek.id()).flatten()
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl Peek<'_> {
    fn id(&self) -> Option<RequestId> {
        RequestId::from_raw(self.id?)
    }
}

/// Keeps a null result distinct from an absent one.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// JSON on one line. Line breaks in JSON are white space, because those within strings are escaped.
#[must_use]
pub fn compact(json: &str) -> Bytes {
    if json.contains(['\n', '\r']) {
        Bytes::from(json.replace(['\n', '\r'], " "))
    } else {
        Bytes::copy_from_slice(json.as_bytes())
    }
}

#[cfg(test)]
mod tests;
