//! From bytes to messages; size and depth are checked before anything is built.

use model::without_byte_order_mark;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{ErrorCode, Incoming, RequestId, RpcError, RpcNotification, RpcRequest, RpcResponse};
use crate::{
    lenient::is_no_object,
    limits::{MAX_BATCH, MAX_BODY_BYTES, MAX_DEPTH, MAX_METHOD_BYTES},
};

/// The content of an HTTP body.
#[derive(Clone, Debug)]
pub enum MessageBody {
    /// One message.
    One(Incoming),
    /// A batch of 1 to 64 messages (legal only under 2025-03-26); each message is valid or rejected
    /// on its own.
    Batch(Vec<Result<Incoming, InvalidMessage>>),
}

/// Bytes that are not a valid message.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum InvalidMessage {
    /// More than 4 MiB.
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not JSON: -32700.
    #[error("the body is not JSON")]
    NotJson,
    /// JSON that is not a message: -32600.
    #[error("{reason}")]
    Invalid {
        /// The request's id, if it could be read.
        id: Option<RequestId>,
        /// The problem.
        reason: &'static str,
    },
}

impl InvalidMessage {
    /// The error object for the client.
    #[must_use]
    pub fn error(&self) -> RpcError {
        let code = match self {
            Self::NotJson => ErrorCode::Parse,
            Self::TooLarge | Self::Invalid { .. } => ErrorCode::InvalidRequest,
        };
        RpcError::new(code, self.to_string())
    }

    /// The request's id, if it could be read.
    #[must_use]
    pub fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Invalid { id, .. } => id.as_ref(),
            _ => None,
        }
    }
}

impl model::Classified for InvalidMessage {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

/// Reads an HTTP body; a byte order mark before it is skipped. Params, results and errors stay raw, but
/// are well-formed and nested up to 64 levels deep.
///
/// Serializers of many languages write the members that a message does not have: `params: null`, an
/// empty array where an empty object is meant (`params: []`), `id: null` on a notification, `error:
/// null` beside a result. They count as absent.
///
/// # Errors
/// Too large, too deep, not JSON, or not a JSON-RPC 2.0 message; a batch is refused as a whole only
/// if it is empty or has more than 64 messages.
pub fn parse(body: &[u8]) -> Result<MessageBody, InvalidMessage> {
    let body = without_byte_order_mark(body);
    if body.len() > MAX_BODY_BYTES {
        return Err(InvalidMessage::TooLarge);
    }
    if deeper_than(body, MAX_DEPTH) {
        return Err(invalid("the body is nested deeper than 64 levels"));
    }
    let raw: &RawValue = serde_json::from_slice(body).map_err(|_| InvalidMessage::NotJson)?;
    if !raw.get().starts_with('[') {
        return message(raw).map(MessageBody::One);
    }
    let batch: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| InvalidMessage::NotJson)?;
    match batch.len() {
        0 => Err(invalid("the batch is empty")),
        1..=MAX_BATCH => Ok(MessageBody::Batch(batch.into_iter().map(message).collect())),
        _ => Err(invalid("the batch has more than 64 messages")),
    }
}

const fn invalid(reason: &'static str) -> InvalidMessage {
    InvalidMessage::Invalid { id: None, reason }
}

/// Whether arrays and objects nest deeper than `limit`. It counts only brackets outside of strings,
/// so it is right for every valid JSON text; the parser rejects invalid ones afterwards.
fn deeper_than(body: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// The members of any message, as written. Null is a value here, not an absent member.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Wire<'_> {
    /// The same message without the members that only say that they are absent. A null result stays
    /// where it can be one, and so does a null id of a request.
    fn meant(self) -> Self {
        let given = |member: Option<&RawValue>| member.is_some_and(|raw| raw.get() != "null");
        let (has_method, has_error) = (given(self.method), given(self.error));
        let result = self
            .result
            .filter(|result| given(Some(result)) || !(has_method || has_error));
        let id = self
            .id
            .filter(|id| given(Some(id)) || !self.method.is_some_and(is_notification));
        Self {
            jsonrpc: self.jsonrpc,
            id,
            method: self.method.filter(|_| has_method),
            params: self.params.filter(|params| !is_no_object(params)),
            result,
            error: self.error.filter(|_| has_error),
        }
    }
}

/// Whether a method is one that has no answer, whatever its id.
fn is_notification(method: &RawValue) -> bool {
    method.get().starts_with("\"notifications/")
}

fn message(raw: &RawValue) -> Result<Incoming, InvalidMessage> {
    if !raw.get().starts_with('{') {
        return Err(invalid("a message is a JSON object"));
    }
    let wire: Wire<'_> = serde_json::from_str(raw.get())
        .map_err(|_| invalid("the message has a duplicate member"))?;
    let wire = wire.meant();
    let id = wire.id.and_then(RequestId::from_raw);
    let refuse = |reason| {
        Err(InvalidMessage::Invalid {
            id: id.clone(),
            reason,
        })
    };
    if !wire.jsonrpc.is_some_and(is_version_two) {
        return refuse("the member jsonrpc has to be \"2.0\"");
    }
    if wire.id.is_some() && id.is_none() && !is_error_without_id(&wire) {
        return refuse("an id is an integer or a string of at most 256 bytes");
    }
    match (wire.method, wire.result, wire.error) {
        (Some(method), None, None) => {
            let Ok(method) = serde_json::from_str::<String>(method.get()) else {
                return refuse("a method is text");
            };
            if method.len() > MAX_METHOD_BYTES {
                return refuse("a method has at most 128 bytes");
            }
            if wire
                .params
                .is_some_and(|params| !params.get().starts_with('{'))
            {
                return refuse("params are a JSON object");
            }
            let params = wire.params.map(ToOwned::to_owned);
            Ok(match id {
                Some(id) => Incoming::Request(RpcRequest { id, method, params }),
                None => Incoming::Notification(RpcNotification { method, params }),
            })
        }
        (None, Some(result), None) if id.is_some() => Ok(Incoming::Response(RpcResponse {
            id,
            outcome: Ok(result.to_owned()),
        })),
        (None, None, Some(error)) if error.get().starts_with('{') => {
            Ok(Incoming::Response(RpcResponse {
                id,
                outcome: Err(error.to_owned()),
            }))
        }
        _ => refuse("a message is a request, a notification, or a response with its id"),
    }
}

fn is_version_two(jsonrpc: &RawValue) -> bool {
    // Text may be written with escapes; few clients do.
    let escaped = || serde_json::from_str::<String>(jsonrpc.get()).is_ok_and(|text| text == "2.0");
    jsonrpc.get() == r#""2.0""# || escaped()
}

/// JSON-RPC 2.0 §5 answers an unreadable request with id null, and some clients do the same.
fn is_error_without_id(wire: &Wire<'_>) -> bool {
    wire.error.is_some() && wire.method.is_none() && wire.id.is_some_and(|id| id.get() == "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(body: &str) -> Incoming {
        match parse(body.as_bytes()) {
            Ok(MessageBody::One(message)) => message,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn refused(body: &str) -> (i32, Option<RequestId>) {
        let rejected = parse(body.as_bytes()).unwrap_err();
        (rejected.error().code.number(), rejected.id().cloned())
    }

    #[test]
    fn the_three_kinds_are_told_apart() {
        let Incoming::Request(request) =
            one(r#" {"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1.50}} "#)
        else {
            panic!("a request")
        };
        assert_eq!(request.id, RequestId::Text("a".into()));
        assert_eq!(request.params.unwrap().get(), r#"{"x":1.50}"#);
        assert!(matches!(
            one(r#"{"jsonrpc":"2.0","method":"n"}"#),
            Incoming::Notification(_)
        ));
        let Incoming::Response(response) = one(r#"{"jsonrpc":"2.0","id":1,"result":null}"#) else {
            panic!("a response")
        };
        assert_eq!(response.outcome.unwrap().get(), "null");
        for error in [
            r#"{"jsonrpc":"2\u002e0","id":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{}}"#,
            r#"{"jsonrpc":"2.0","error":{}}"#,
        ] {
            assert!(matches!(
                one(error),
                Incoming::Response(RpcResponse {
                    outcome: Err(_),
                    ..
                })
            ));
        }
    }

    #[test]
    fn what_is_not_json_is_a_parse_error_and_what_is_no_message_an_invalid_request() {
        for not_json in ["", "{", "nul", "{'a':1}", "{} {}", "\u{0}"] {
            assert_eq!(refused(not_json), (-32700, None), "{not_json}");
        }
        let invalid_utf8 = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}";
        assert_eq!(parse(invalid_utf8).unwrap_err(), InvalidMessage::NotJson);
        for (body, id) in [
            ("1", None),
            ("[]", None),
            ("{}", None),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, Some(1)),
            (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, Some(1)),
            (r#"{"id":1,"method":"m"}"#, Some(1)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, None),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, None),
            (r#"{"jsonrpc":"2.0","id":1,"method":2}"#, Some(1)),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
                Some(1),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, Some(1)),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, None),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
                Some(1),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
                Some(1),
            ),
            (r#"{"jsonrpc":"2.0","result":{}}"#, None),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
                None,
            ),
        ] {
            assert_eq!(
                refused(body),
                (-32600, id.map(RequestId::Integer)),
                "{body}"
            );
        }
    }

    #[test]
    fn members_that_only_say_that_they_are_absent_are_absent() {
        for params in ["null", "[]", "[ ]", "{}"] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params},"result":null,"error":null}}"#
            );
            let Incoming::Request(request) = one(&body) else {
                panic!("a request: {body}")
            };
            let expected = (params == "{}").then_some(params);
            assert_eq!(request.params.as_deref().map(RawValue::get), expected);
        }
        let notification = one(
            r#"{"jsonrpc":"2.0","id":null,"method":"notifications/initialized","params":null}"#,
        );
        assert!(matches!(notification, Incoming::Notification(_)));
        for answered in [
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null,"method":null,"params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":null,"error":null}"#,
        ] {
            let Incoming::Response(response) = one(answered) else {
                panic!("a response: {answered}")
            };
            assert!(response.outcome.is_ok(), "{answered}");
        }
        let failed = one(r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1}}"#);
        assert!(matches!(
            failed,
            Incoming::Response(RpcResponse {
                outcome: Err(_),
                ..
            })
        ));
    }

    #[test]
    fn a_byte_order_mark_before_the_body_is_skipped() {
        let request = one("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}");
        assert!(matches!(request, Incoming::Request(_)));
        assert_eq!(refused("\u{feff}"), (-32700, None));
        assert_eq!(refused("\u{feff}\u{feff}{}"), (-32700, None));
    }

    #[test]
    fn batches_are_bounded_and_each_message_stands_for_itself() {
        let Ok(MessageBody::Batch(batch)) = parse(br#"[{"jsonrpc":"2.0","method":"n"},1]"#) else {
            panic!("a batch")
        };
        assert!(batch[0].is_ok() && batch[1].is_err());
        let many = |n| format!("[{}]", vec!["1"; n].join(","));
        assert!(matches!(parse(many(64).as_bytes()), Ok(MessageBody::Batch(b)) if b.len() == 64));
        assert_eq!(refused(&many(65)).0, -32600);
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |n: usize| {
            let (open, close) = ("[".repeat(n), "]".repeat(n));
            format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"a":{open}{close}}}}}"#)
        };
        assert!(parse(nested(62).as_bytes()).is_ok());
        assert_eq!(refused(&nested(63)).0, -32600);
        let brackets_in_text = format!(r#"{{"jsonrpc":"2.0","method":"\"{}"}}"#, "[".repeat(100));
        assert!(parse(brackets_in_text.as_bytes()).is_ok());
        assert_eq!(
            parse(&vec![b' '; MAX_BODY_BYTES + 1]).unwrap_err(),
            InvalidMessage::TooLarge
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_mutation_of_a_message_makes_it_panic(position in 0_usize..60, byte: u8) {
            let message = br#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}]"#;
            let mut body = message.to_vec();
            let position = position % body.len();
            body[position] = byte;
            let _ = parse(&body);
        }
    }
}
