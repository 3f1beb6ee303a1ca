//! JSON-RPC 2.0 as MCP uses it: ids, messages, errors. Bodies that are only passed on stay raw.
//!
//! MCP 2026-07-28, Base Protocol, "Messages": ids are strings or integers, never null; `params` is
//! an object. A duplicate member is refused, because two readers could see two different values.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::limits::MAX_REQUEST_ID_BYTES;

mod parse;

pub use parse::{InvalidMessage, MessageBody, parse};

/// Up to here, two different whole numbers are different as 64-bit floating-point numbers.
const EXACT_WHOLE: f64 = 9_007_199_254_740_991.0;

/// The id of a request. It keeps its JSON type: 7 is not "7".
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum RequestId {
    /// A 64-bit integer.
    Integer(i64),
    /// Text of up to 256 bytes.
    Text(Box<str>),
}

impl RequestId {
    /// Reads an id; `None` for null, fractions, other types, integers beyond 64 bits and text
    /// longer than 256 bytes. `1.0` is the integer 1: languages with one type of numbers write it so.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(n) => serializer.serialize_i64(*n),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RequestId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "an integer or a string of at most {MAX_REQUEST_ID_BYTES} bytes"
                )
            }
            fn visit_i64<E>(self, n: i64) -> Result<RequestId, E> {
                Ok(RequestId::Integer(n))
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<RequestId, E> {
                i64::try_from(n)
                    .map(RequestId::Integer)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(n), &self))
            }
            fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<RequestId, E> {
                // Written without a fraction, a whole number has digits only.
                match format!("{n:.0}").parse() {
                    Ok(whole) if n.fract() == 0.0 && n.abs() <= EXACT_WHOLE => {
                        Ok(RequestId::Integer(whole))
                    }
                    _ => Err(E::invalid_value(serde::de::Unexpected::Float(n), &self)),
                }
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RequestId, E> {
                if text.len() > MAX_REQUEST_ID_BYTES {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(RequestId::Text(text.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The id as JSON, for logs and for frames that are assembled from parts.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => write!(f, "{n}"),
            Self::Text(text) => f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?),
        }
    }
}

/// A message that requires a response.
#[derive(Clone, Debug)]
pub struct RpcRequest {
    /// The id, repeated in the response.
    pub id: RequestId,
    /// The method's name, up to 128 bytes.
    pub method: String,
    /// An object, not parsed yet.
    pub params: Option<Box<RawValue>>,
}

/// A message without a response.
#[derive(Clone, Debug)]
pub struct RpcNotification {
    /// The method's name, up to 128 bytes.
    pub method: String,
    /// An object, not parsed yet.
    pub params: Option<Box<RawValue>>,
}

/// The client's response to a request from the server (handshake era only).
#[derive(Clone, Debug)]
pub struct RpcResponse {
    /// The id of the request; an error may lack it.
    pub id: Option<RequestId>,
    /// The result, or the error object.
    pub outcome: Result<Box<RawValue>, Box<RawValue>>,
}

impl RpcResponse {
    /// Encodes the message for another process: the response may arrive at a different edge from
    /// the one that waits for it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        #[derive(Serialize)]
        struct Wire<'a> {
            jsonrpc: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a RequestId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            result: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<&'a RawValue>,
        }
        let message = Wire {
            jsonrpc: "2.0",
            id: self.id.as_ref(),
            result: self.outcome.as_deref().ok(),
            error: self.outcome.as_deref().err().map(AsRef::as_ref),
        };
        let json = serde_json::to_vec(&message).expect("members that are JSON already");
        Bytes::from(json)
    }
}

/// One message from a client.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// A message that requires a response.
    Request(RpcRequest),
    /// A message without a response.
    Notification(RpcNotification),
    /// A response to a request from the server.
    Response(RpcResponse),
}

/// The error codes that this server sends. -32000 … -32019 is frozen legacy space; -32020 … -32099
/// belongs to the spec (MCP 2026-07-28, Base Protocol, "Error codes").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorCode {
    /// Not JSON.
    Parse,
    /// JSON, but not a message that is valid here.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// The method does not take these parameters.
    InvalidParams,
    /// A fault in the server.
    Internal,
    /// Handshake era: the session does not exist, or no longer exists. An SDK convention; sent with
    /// 404.
    SessionNotFound,
    /// Handshake era: no such resource.
    ResourceNotFound,
    /// 2025-11-25 only: the user has to visit a page first.
    UrlElicitationRequired,
    /// Stateless era: a header is missing, illegal, or contradicts the body.
    HeaderMismatch,
    /// Stateless era: the request did not declare a capability that it needs.
    MissingCapability,
    /// Stateless era: the server does not support this revision.
    UnsupportedVersion,
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::SessionNotFound => -32001,
            Self::ResourceNotFound => -32002,
            Self::UrlElicitationRequired => -32042,
            Self::HeaderMismatch => -32020,
            Self::MissingCapability => -32021,
            Self::UnsupportedVersion => -32022,
        }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(self.number())
    }
}

/// A JSON-RPC error object. The message is for the client and must not reveal internal details,
/// which belong in the log.
#[derive(Clone, PartialEq, Debug, Serialize, thiserror::Error)]
#[error("{message} ({})", code.number())]
pub struct RpcError {
    /// The kind of error.
    pub code: ErrorCode,
    /// One sentence for the client's developer.
    pub message: Cow<'static, str>,
    /// Details for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// -32602.
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidParams, message)
    }

    /// -32601 for this method (on HTTP 200 in the handshake era, 404 in the stateless one).
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            ErrorCode::MethodNotFound,
            format!("no such method: {method}"),
        )
    }

    /// -32603, without details; those are in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "internal error")
    }

    /// Adds data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

impl model::Classified for RpcError {
    fn class(&self) -> model::ErrorClass {
        match self.code {
            ErrorCode::MethodNotFound
            | ErrorCode::SessionNotFound
            | ErrorCode::ResourceNotFound => model::ErrorClass::Missing,
            ErrorCode::Internal => model::ErrorClass::Permanent,
            _ => model::ErrorClass::Caller,
        }
    }
}

#[derive(Serialize)]
struct Outgoing<'a, T: Serialize> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

impl<T: Serialize> Outgoing<'_, T> {
    const fn new() -> Self {
        Self {
            jsonrpc: "2.0",
            id: None,
            method: None,
            params: None,
            result: None,
            error: None,
        }
    }

    fn encode(&self) -> Option<Bytes> {
        serde_json::to_vec(self).ok().map(Bytes::from)
    }
}

/// Encodes a result. A value that cannot be JSON (a map whose keys are not text) becomes -32603, so
/// that the client always gets a response.
pub fn result<T: Serialize + ?Sized>(id: &RequestId, value: &T) -> Bytes {
    let message = Outgoing {
        id: Some(id),
        result: Some(&value),
        ..Outgoing::new()
    };
    message
        .encode()
        .unwrap_or_else(|| error(Some(id), &RpcError::internal()))
}

/// Encodes an error. `id` is `None` only if the request's id could not be read: the member is left
/// out then, because MCP ids are never null.
#[must_use]
pub fn error(id: Option<&RequestId>, error: &RpcError) -> Bytes {
    let message = Outgoing::<()> {
        id,
        error: Some(error),
        ..Outgoing::new()
    };
    message
        .encode()
        .expect("an error object is text, a number and a JSON value")
}

/// Encodes a notification. Parameters that cannot be JSON are left out; those of this crate always
/// can.
pub fn notification<T: Serialize + ?Sized>(method: &str, params: Option<&T>) -> Bytes {
    let message = Outgoing {
        method: Some(method),
        params: params.as_ref(),
        ..Outgoing::new()
    };
    let bare = Outgoing::<()> {
        method: Some(method),
        ..Outgoing::new()
    };
    let bytes = message.encode().or_else(|| bare.encode());
    bytes.expect("a method name is text")
}

/// Encodes a request from the server to the client (handshake era only).
pub fn request<T: Serialize + ?Sized>(id: &RequestId, method: &str, params: &T) -> Option<Bytes> {
    let message = Outgoing {
        id: Some(id),
        method: Some(method),
        params: Some(&params),
        ..Outgoing::new()
    };
    message.encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn messages_have_exactly_the_members_of_their_kind() {
        let id = RequestId::Integer(7);
        assert_eq!(
            text(&result(&id, &serde_json::json!({}))),
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#
        );
        assert_eq!(
            text(&error(None, &RpcError::new(ErrorCode::Parse, "no"))),
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#
        );
        assert_eq!(
            text(&notification("n", Some(&serde_json::json!({"a": 1})))),
            r#"{"jsonrpc":"2.0","method":"n","params":{"a":1}}"#
        );
        assert_eq!(
            text(&notification::<()>("n", None)),
            r#"{"jsonrpc":"2.0","method":"n"}"#
        );
        let text_id = RequestId::Text("7".into());
        assert_eq!(
            text(&request(&text_id, "ping", &serde_json::json!({})).unwrap()),
            r#"{"jsonrpc":"2.0","id":"7","method":"ping","params":{}}"#
        );
    }

    #[test]
    fn a_result_that_cannot_be_json_is_still_answered() {
        let bad = BTreeMap::from([((1, 2), 3)]);
        let answer = result(&RequestId::Integer(1), &bad);
        assert!(text(&answer).contains("-32603"), "{answer:?}");
    }

    #[test]
    fn an_id_keeps_its_type_and_shows_as_json() {
        for (json, id) in [
            ("7", RequestId::Integer(7)),
            ("-1", RequestId::Integer(-1)),
            (r#""7""#, RequestId::Text("7".into())),
            (r#""a\"b\n""#, RequestId::Text("a\"b\n".into())),
        ] {
            let read: RequestId = serde_json::from_str(json).unwrap();
            assert_eq!(read, id);
            assert_eq!(read.to_string(), json);
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        for bad in [
            "null",
            "1.5",
            "1e300",
            "9007199254740992.0",
            "true",
            "[]",
            "{}",
            "18446744073709551615",
        ] {
            assert!(serde_json::from_str::<RequestId>(bad).is_err(), "{bad}");
        }
        for (json, n) in [("1.0", 1), ("-0.0", 0), ("1e3", 1000), ("-7.0", -7)] {
            let read: RequestId = serde_json::from_str(json).unwrap();
            assert_eq!(read, RequestId::Integer(n), "{json}");
        }
        let long = format!("\"{}\"", "a".repeat(257));
        assert!(serde_json::from_str::<RequestId>(&long).is_err());
    }
}
