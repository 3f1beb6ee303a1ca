//! The surface of `/mcp/sse`: a stream of named events whose `data` is one JSON object, `{type, requestId?, method?,
//! result?, error?, timestamp}`, and messages that are posted beside it. Its clients need neither a handshake nor
//! JSON-RPC; those that send an id get it back, as `id` and as `requestId`.
//!
//! A message that is stored for such a client has this form already, with `type` as its first member; a JSON-RPC
//! message gets it when it is written ([`shown`]).

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use model::{JsonFault, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use crate::{
    envelope::{self, Incoming, InvalidMessage, MessageBody, RequestId},
    log::{LogLevel, log_message},
    method,
};

/// The types of events, which are the names of their SSE events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionEvent {
    /// The result of a method.
    McpResponse,
    /// A message that answers nothing.
    McpNotification,
    /// The error of a method.
    McpError,
    /// The server is there.
    Heartbeat,
    /// The result of a tool.
    ToolResult,
    /// The connection begins or ends.
    ConnectionStatus,
}

impl ConnectionEvent {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::McpResponse,
        Self::McpNotification,
        Self::McpError,
        Self::Heartbeat,
        Self::ToolResult,
        Self::ConnectionStatus,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::McpResponse => "mcp-response",
            Self::McpNotification => "mcp-notification",
            Self::McpError => "mcp-error",
            Self::Heartbeat => "heartbeat",
            Self::ToolResult => "tool-result",
            Self::ConnectionStatus => "connection-status",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }
}

/// Adds the frame of one event; `data` has no line breaks.
pub fn put_frame(event: ConnectionEvent, id: Option<&str>, data: &[u8], out: &mut BytesMut) {
    debug_assert!(!data.contains(&b'\n') && !data.contains(&b'\r'));
    if let Some(id) = id {
        for part in ["id: ", id, "\n"] {
            out.put_slice(part.as_bytes());
        }
    }
    for part in ["event: ", event.as_str(), "\ndata: "] {
        out.put_slice(part.as_bytes());
    }
    out.put_slice(data);
    out.put_slice(b"\n\n");
}

/// Before the type in a message of this form.
const TYPE: &[u8] = b"{\"type\":\"";

/// The event of a message of this form.
fn event_of(message: &[u8]) -> Option<ConnectionEvent> {
    let rest = message.strip_prefix(TYPE)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    ConnectionEvent::from_name(std::str::from_utf8(&rest[..end]).ok()?)
}

/// A message as this surface shows it: a JSON-RPC message gets its type and the time before its own members.
#[must_use]
pub fn shown(message: &[u8], now: Timestamp) -> (ConnectionEvent, Cow<'_, [u8]>) {
    #[derive(Deserialize)]
    struct Members {
        method: Option<serde::de::IgnoredAny>,
        error: Option<serde::de::IgnoredAny>,
    }
    if let Some(event) = event_of(message) {
        return (event, Cow::Borrowed(message));
    }
    let event = match serde_json::from_slice(message) {
        Ok(Members {
            method: None,
            error: Some(_),
        }) => ConnectionEvent::McpError,
        Ok(Members {
            method: None,
            error: None,
        }) => ConnectionEvent::McpResponse,
        _ => ConnectionEvent::McpNotification,
    };
    let head = format!("{{\"type\":\"{}\",\"timestamp\":\"{now}\"", event.as_str());
    let members = message.strip_prefix(b"{").unwrap_or(b"}");
    let comma: &[u8] = match members {
        [b'}', ..] => b"",
        _ => b",",
    };
    (event, [head.as_bytes(), comma, members].concat().into())
}

/// The request that an answer is for.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectionRequest {
    /// Its id: the client's own, or one that was made for it.
    pub id: RequestId,
    /// Its method.
    pub method: String,
    /// The name of the tool, if it calls one.
    pub tool: Option<String>,
}

/// A message that a client posted.
#[derive(Debug)]
pub enum PostedMessage {
    /// A request, with what its answer says of it.
    Request(envelope::RpcRequest, ConnectionRequest),
    /// A notification, or an answer to a question of the server.
    OneWay(Incoming),
    /// A message for the stream itself, in the form of this surface.
    Direct(Bytes),
}

/// The members of a posted message, in either form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMembers<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Of a message in the form of this surface.
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

const NOT_AN_OBJECT: InvalidMessage = InvalidMessage::Invalid {
    id: None,
    reason: "the message is not an object with a method",
};

/// The refusal of a message that was not read: what it exceeds, or else `otherwise`.
fn unread(error: &serde_json::Error, otherwise: InvalidMessage) -> InvalidMessage {
    match JsonFault::of(error) {
        Some(fault) => InvalidMessage::Invalid {
            id: None,
            reason: fault.as_str(),
        },
        None => otherwise,
    }
}

/// A JSON-RPC message of these members.
fn rpc_message(members: &[(&str, Option<&str>)]) -> Result<Incoming, InvalidMessage> {
    let mut text = "{\"jsonrpc\":\"2.0\"".to_owned();
    for (name, value) in members {
        if let Some(value) = value {
            text.push_str(&format!(",\"{name}\":{value}"));
        }
    }
    text.push('}');
    match envelope::parse(text.as_bytes())? {
        MessageBody::One(message) => Ok(message),
        MessageBody::Batch(_) => Err(NOT_AN_OBJECT),
    }
}

/// The prefix of the methods that have no answer.
const NOTIFICATIONS: &str = "\"notifications/";

impl PostedMessage {
    /// Reads a message. `jsonrpc` may be missing; a method without an id is a request all the same, and gets the
    /// one in `requestId` or else `new_id`, unless it is a notification.
    ///
    /// # Errors
    /// It is no object, or its members have no meaning.
    pub fn read(message: &RawValue, new_id: &str, now: Timestamp) -> Result<Self, InvalidMessage> {
        let members: PostedMembers<'_> =
            serde_json::from_str(message.get()).map_err(|_| NOT_AN_OBJECT)?;
        let text = |value: Option<&RawValue>| value.map(|value| value.get().to_owned());
        let Some(method) = text(members.method) else {
            let (result, error) = (text(members.result), text(members.error));
            let is_answer = members.kind.is_none() && (result.is_some() || error.is_some());
            if let Some(id) = members.id.filter(|_| is_answer) {
                let parts = [
                    ("id", Some(id.get())),
                    ("result", result.as_deref()),
                    ("error", error.as_deref()),
                ];
                return rpc_message(&parts).map(Self::OneWay);
            }
            let object = serde_json::from_str(message.get());
            let object = object.map_err(|error| unread(&error, NOT_AN_OBJECT))?;
            return Ok(Self::Direct(direct(object, now)));
        };
        let params = text(members.params);
        let has_answer = members.id.is_some() || !method.starts_with(NOTIFICATIONS);
        let given = members
            .id
            .or(members.request_id)
            .map(|id| id.get().to_owned());
        let made = || serde_json::to_string(new_id).expect("text is JSON");
        let id = has_answer.then(|| given.unwrap_or_else(made));
        let parts = [
            ("id", id.as_deref()),
            ("method", Some(method.as_str())),
            ("params", params.as_deref()),
        ];
        Ok(match rpc_message(&parts)? {
            Incoming::Request(request) => {
                let about = ConnectionRequest {
                    id: request.id.clone(),
                    method: request.method.clone(),
                    tool: tool_of(&request),
                };
                Self::Request(request, about)
            }
            one_way => Self::OneWay(one_way),
        })
    }
}

fn tool_of(request: &envelope::RpcRequest) -> Option<String> {
    #[derive(Deserialize)]
    struct Call {
        name: String,
    }
    if request.method != method::TOOLS_CALL {
        return None;
    }
    let call: Call = serde_json::from_str(request.params.as_deref()?.get()).ok()?;
    Some(call.name)
}

/// A message that is passed on as it is: its type is one of the known ones, and it says when it was sent.
fn direct(mut object: Map<String, Value>, now: Timestamp) -> Bytes {
    let named = object.remove("type");
    let named = named.as_ref().and_then(Value::as_str);
    let event = named.and_then(ConnectionEvent::from_name);
    let event = event.unwrap_or(ConnectionEvent::McpNotification);
    let at = object.entry("timestamp");
    at.or_insert_with(|| now.to_string().into());
    let members = Value::Object(object).to_string();
    let rest = members.strip_prefix('{').unwrap_or("}");
    Bytes::from(format!("{{\"type\":\"{}\",{rest}", event.as_str()))
}

#[derive(Serialize)]
struct AnswerObject<'a> {
    r#type: ConnectionEvent,
    id: &'a RequestId,
    #[serde(rename = "requestId")]
    request_id: &'a RequestId,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    timestamp: String,
}

/// Whether a message of this form is an error.
#[must_use]
pub fn is_error(message: &[u8]) -> bool {
    event_of(message) == Some(ConnectionEvent::McpError)
}

/// A JSON-RPC response to `request` in the form of this surface.
#[must_use]
pub fn answer(request: &ConnectionRequest, response: &[u8], now: Timestamp) -> Bytes {
    #[derive(Deserialize)]
    struct Outcome<'a> {
        #[serde(borrow)]
        result: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let internal = || to_raw_value(&envelope::RpcError::internal()).expect("an error is JSON");
    let unreadable;
    let (result, error) = match serde_json::from_slice(response) {
        Ok(Outcome {
            result: Some(result),
            ..
        }) => (Some(result), None),
        Ok(Outcome {
            error: Some(error), ..
        }) => (None, Some(error)),
        _ => {
            unreadable = internal();
            (None, Some(&*unreadable))
        }
    };
    let (event, method) = match (&request.tool, error) {
        (_, Some(_)) => (ConnectionEvent::McpError, request.method.as_str()),
        (Some(tool), None) => (ConnectionEvent::ToolResult, tool.as_str()),
        (None, None) => (ConnectionEvent::McpResponse, request.method.as_str()),
    };
    let object = AnswerObject {
        r#type: event,
        id: &request.id,
        request_id: &request.id,
        method,
        result,
        error,
        timestamp: now.to_string(),
    };
    let json = serde_json::to_vec(&object).expect("an answer is JSON");
    json.into()
}

/// The data of a heartbeat.
#[must_use]
pub fn heartbeat(active_connections: usize, now: Timestamp) -> String {
    let event = ConnectionEvent::Heartbeat.as_str();
    format!(
        "{{\"type\":\"{event}\",\"activeConnections\":{active_connections},\"timestamp\":\"{now}\"}}"
    )
}

/// The last data of a stream.
#[must_use]
pub fn closing(connection: &str, reason: &str, now: Timestamp) -> String {
    let text = now.to_string();
    json!({
        "type": ConnectionEvent::ConnectionStatus, "status": "disconnected", "connectionId": connection,
        "reason": reason, "serverTime": text, "timestamp": text,
    })
    .to_string()
}

/// A message to many clients, in the forms of all streams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BroadcastMessage {
    /// A JSON-RPC notification: for MCP streams.
    pub rpc: Bytes,
    /// The form of this surface: for its streams, and for those of events.
    pub object: Bytes,
}

/// The logger's name on notifications in place of a message that is no JSON-RPC.
const BROADCAST_LOGGER: &str = "forgewire.broadcast";

impl BroadcastMessage {
    /// Reads a message: a JSON-RPC notification, with or without `jsonrpc`, or an object of this surface, which MCP
    /// streams show as `notifications/message`.
    ///
    /// # Errors
    /// It is neither: only the server makes requests.
    pub fn read(message: &RawValue, now: Timestamp) -> Result<Self, InvalidMessage> {
        const WRONG: InvalidMessage = InvalidMessage::Invalid {
            id: None,
            reason: "must be one JSON-RPC notification, or an object with result and without id",
        };
        let members: PostedMembers<'_> = serde_json::from_str(message.get()).map_err(|_| WRONG)?;
        let Some(method) = members.method else {
            let object = serde_json::from_str(message.get());
            let object: Map<String, Value> = object.map_err(|error| unread(&error, WRONG))?;
            if object.contains_key("id") {
                return Err(WRONG);
            }
            let data = object.get("result").cloned();
            let data = data.unwrap_or_else(|| Value::Object(object.clone()));
            let level = serde_json::from_value(data["level"].clone()).unwrap_or(LogLevel::Info);
            return Ok(Self {
                rpc: log_message(level, BROADCAST_LOGGER, &data),
                object: direct(object, now),
            });
        };
        let id = members.id.map(RawValue::get);
        let params = members.params.map(RawValue::get);
        let parts = [
            ("id", id),
            ("method", Some(method.get())),
            ("params", params),
        ];
        let Incoming::Notification(notification) = rpc_message(&parts)? else {
            return Err(WRONG);
        };
        // On one line, as frames require, whatever white space the sender used.
        let params = notification.params.as_deref();
        let params = params.map(|params| serde_json::from_str::<Value>(params.get()));
        let params = params.transpose().map_err(|error| unread(&error, WRONG))?;
        let rpc = envelope::notification(&notification.method, params.as_ref());
        let object = Bytes::from(shown(&rpc, now).1.into_owned());
        Ok(Self { rpc, object })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        to_raw_value(value).unwrap()
    }

    fn read(value: &Value) -> Result<PostedMessage, InvalidMessage> {
        PostedMessage::read(&raw(value), "made", Timestamp::default())
    }

    fn object(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_request_has_its_own_id_or_one_that_is_made_and_needs_no_version() {
        for (message, id) in [
            (json!({ "method": "tools/list" }), json!("made")),
            (
                json!({ "method": "tools/list", "requestId": "r" }),
                json!("r"),
            ),
            (
                json!({ "jsonrpc": "2.0", "id": 7, "requestId": "r", "method": "tools/list" }),
                json!(7),
            ),
            (
                json!({ "id": "notified", "method": "notifications/x" }),
                json!("notified"),
            ),
        ] {
            let PostedMessage::Request(request, about) = read(&message).unwrap() else {
                panic!("{message} is a request");
            };
            assert_eq!(json!(request.id), id, "{message}");
            assert_eq!((request.id, request.method), (about.id, about.method));
        }
    }

    #[test]
    fn notifications_answers_and_direct_messages_are_told_apart() {
        let notification = json!({ "method": "notifications/initialized" });
        let read_as = |message: &Value| match read(message) {
            Ok(PostedMessage::OneWay(Incoming::Notification(_))) => "notification",
            Ok(PostedMessage::OneWay(Incoming::Response(_))) => "response",
            Ok(PostedMessage::Direct(_)) => "direct",
            Ok(_) => "request",
            Err(_) => "invalid",
        };
        for (message, kind) in [
            (&notification, "notification"),
            (&json!({ "id": 1, "result": {} }), "response"),
            (
                &json!({ "id": 1, "error": { "code": 1, "message": "no" } }),
                "response",
            ),
            (&json!({ "type": "tool-result", "result": {} }), "direct"),
            (
                &json!({ "type": "mcp-response", "id": 1, "result": 1 }),
                "direct",
            ),
            (&json!({ "text": "hello" }), "direct"),
            (&json!({ "method": 7 }), "invalid"),
            (&json!({ "id": [], "method": "ping" }), "invalid"),
            (&json!("ping"), "invalid"),
            (&json!([]), "invalid"),
        ] {
            assert_eq!(read_as(message), kind, "{message}");
        }
    }

    #[test]
    fn a_direct_message_has_a_known_type_first_whatever_it_says_itself() {
        for (message, event) in [
            (
                json!({ "a": 1, "type": "tool-result" }),
                ConnectionEvent::ToolResult,
            ),
            (
                json!({ "type": "\"}\nevent: x" }),
                ConnectionEvent::McpNotification,
            ),
            (json!({}), ConnectionEvent::McpNotification),
        ] {
            let Ok(PostedMessage::Direct(bytes)) = read(&message) else {
                panic!("{message} is direct");
            };
            let (seen, data) = shown(&bytes, Timestamp::default());
            assert_eq!((seen, &*data), (event, &*bytes));
            assert_eq!(object(&data)["type"], event.as_str());
            assert!(object(&data)["timestamp"].is_string());
        }
    }

    #[test]
    fn an_answer_names_its_request_and_is_one_object() {
        let about = |tool: Option<&str>| ConnectionRequest {
            id: RequestId::Integer(7),
            method: "tools/call".to_owned(),
            tool: tool.map(ToOwned::to_owned),
        };
        let result = envelope::result(&RequestId::Integer(7), &json!({ "n": 1 }));
        let error = envelope::error(
            Some(&RequestId::Integer(7)),
            &envelope::RpcError::internal(),
        );
        for (tool, response, event, method) in [
            (None, &result, "mcp-response", "tools/call"),
            (Some("search"), &result, "tool-result", "search"),
            (Some("search"), &error, "mcp-error", "tools/call"),
            (None, &Bytes::from_static(b"?"), "mcp-error", "tools/call"),
        ] {
            let bytes = answer(&about(tool), response, Timestamp::default());
            let is_error = is_error(&bytes);
            let told = object(&bytes);
            assert_eq!(is_error, event == "mcp-error");
            assert_eq!(
                (told["type"].as_str(), told["method"].as_str()),
                (Some(event), Some(method))
            );
            assert_eq!((&told["id"], &told["requestId"]), (&json!(7), &json!(7)));
            assert!(
                told["result"]["n"] == 1 || told["error"]["code"] == -32603,
                "{told}"
            );
            assert_eq!(shown(&bytes, Timestamp::default()).0.as_str(), event);
        }
    }

    #[test]
    fn json_rpc_gets_its_type_before_its_members() {
        let shown = |message: Value| {
            let text = message.to_string();
            let (event, data) = shown(text.as_bytes(), Timestamp::default());
            let told = object(&data);
            for (name, value) in message.as_object().unwrap() {
                assert_eq!(told[name], *value, "{told}");
            }
            assert_eq!(told["type"], event.as_str());
            event
        };
        let method = json!({ "jsonrpc": "2.0", "id": 1, "method": "elicitation/create" });
        assert_eq!(shown(method), ConnectionEvent::McpNotification);
        let error = json!({ "jsonrpc": "2.0", "id": 1, "error": {} });
        assert_eq!(shown(error), ConnectionEvent::McpError);
        assert_eq!(shown(json!({})), ConnectionEvent::McpResponse);
    }

    #[test]
    fn a_broadcast_is_a_notification_for_mcp_and_an_object_for_the_others() {
        let read = |message: Value| BroadcastMessage::read(&raw(&message), Timestamp::default());
        let documented = json!({ "type": "mcp-notification", "result": { "message": "soon", "level": "warning" } });
        let told = read(documented).unwrap();
        let (rpc, object_form) = (object(&told.rpc), object(&told.object));
        assert_eq!(rpc["params"]["level"], "warning");
        assert_eq!(rpc["params"]["data"]["message"], "soon");
        assert_eq!(object_form["result"]["message"], "soon");
        let told = read(json!({ "method": "notifications/x", "params": { "n": 1 } })).unwrap();
        assert_eq!(
            object(&told.rpc),
            json!({ "jsonrpc": "2.0", "method": "notifications/x", "params": { "n": 1 } })
        );
        assert_eq!(object(&told.object)["type"], "mcp-notification");
        for refused in [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
            json!({ "id": 1, "result": {} }),
            json!({ "method": 7 }),
            json!(7),
        ] {
            assert!(read(refused.clone()).is_err(), "{refused}");
        }
    }
}
