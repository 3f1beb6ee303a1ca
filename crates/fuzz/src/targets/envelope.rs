//! [`mcp::envelope::parse`]: any body.

use mcp::{
    Incoming,
    envelope::{self, InvalidMessage, MessageBody, parse},
    limits::{MAX_BATCH, MAX_DEPTH, MAX_METHOD_BYTES},
};
use model::without_byte_order_mark;
use serde::de::IgnoredAny;

use crate::json::{Members, as_id, depth, error_of};

pub(crate) fn run(data: &[u8]) {
    match parse(data) {
        Ok(MessageBody::One(message)) => same_again(&message),
        Ok(MessageBody::Batch(batch)) => {
            assert!((1..=MAX_BATCH).contains(&batch.len()));
            for message in &batch {
                match message {
                    Ok(message) => same_again(message),
                    Err(rejected) => told(rejected),
                }
            }
        }
        Err(rejected) => {
            told(&rejected);
            let data = without_byte_order_mark(data);
            let is_json = serde_json::from_slice::<IgnoredAny>(data).is_ok();
            let too_deep = depth(data) > MAX_DEPTH;
            assert!(too_deep || is_json || rejected == InvalidMessage::NotJson);
            if is_json && !too_deep {
                id_is_kept(data, &rejected);
            }
        }
    }
}

/// A message that is parsed and written again parses as the same message.
fn same_again(message: &Incoming) {
    let written = match message {
        Incoming::Request(request) => {
            assert!(request.method.len() <= MAX_METHOD_BYTES);
            envelope::request(&request.id, &request.method, &request.params).expect("it is JSON")
        }
        Incoming::Notification(notification) => {
            envelope::notification(&notification.method, notification.params.as_ref())
        }
        Incoming::Response(response) => response.encode(),
    };
    let again = parse(&written).expect("what we write is a message");
    assert_eq!(
        format!("{:?}", MessageBody::One(message.clone())),
        format!("{again:?}")
    );
    let Incoming::Request(request) = message else {
        return;
    };
    let error = mcp::RpcError::method_not_found(&request.method);
    let answer = envelope::error(Some(&request.id), &error);
    let (code, id) = error_of(&answer);
    assert_eq!(
        (code, Some(id)),
        (-32601, serde_json::to_value(&request.id).ok())
    );
    assert!(
        matches!(parse(&answer), Ok(MessageBody::One(Incoming::Response(r))) if r.outcome.is_err())
    );
}

fn told(rejected: &InvalidMessage) {
    let (code, id) = error_of(&envelope::error(rejected.id(), &rejected.error()));
    assert!([-32700, -32600].contains(&code));
    assert!(id.is_null() || as_id(id.clone()) == Some(id));
}

/// If any reader can find an id, the refusal carries it.
fn id_is_kept(data: &[u8], rejected: &InvalidMessage) {
    let Some(members) = Members::read(data) else {
        return;
    };
    let twice = ["jsonrpc", "id", "method", "params", "result", "error"];
    if members.has_twice(&twice) {
        return;
    }
    let sent = members.get("id").and_then(as_id);
    let kept = rejected.id().and_then(|id| serde_json::to_value(id).ok());
    assert_eq!(sent, kept, "{rejected:?}");
}
