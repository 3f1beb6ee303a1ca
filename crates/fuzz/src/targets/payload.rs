//! [`github_events::normalise_payload`]: the name of a webhook in the first line, and its payload as JSON after it.

use github_events::{
    Envelope, EventContent, PayloadText, Skip, encode, encode_delivered,
    limits::MAX_BARE_EVENT_BYTES, normalise_payload,
};
use model::{DeliveryId, ResourceEvent, Timestamp, TraceContext, without_byte_order_mark};
use serde_json::Value;

/// A bound on events that inputs of this size pass.
const TIGHT_BYTES: usize = 512;

pub(crate) fn run(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let name = lines.next().and_then(|name| std::str::from_utf8(name).ok());
    let (Some(name), Some(body)) = (name, lines.next()) else {
        return;
    };
    let payload = PayloadText::read(body);
    let serdes = serde_json::from_slice::<Value>(without_byte_order_mark(body));
    assert_eq!(
        payload.as_ref().ok().map(|it| &it.value),
        serdes.as_ref().ok()
    );
    let Ok(payload) = payload else {
        return;
    };
    let text = payload.text();
    let envelope = Envelope {
        event: name.to_owned(),
        delivery: DeliveryId::new("d1").expect("visible ASCII"),
        hook_id: None,
        received_at: Timestamp::default(),
    };
    match normalise_payload(&envelope, payload.value) {
        Ok((event, content)) => stored(name, &event, (&content, text)),
        Err(Skip::Ping) => assert_eq!(name, "ping"),
        Err(skip) => assert!(skip.to_string().contains(' '), "{skip:?}"),
    }
}

/// An event is stored within its bound, reads as itself, and has the facts that a reader would find.
fn stored(name: &str, event: &ResourceEvent, delivered: (&EventContent, Option<&[u8]>)) {
    assert_eq!(event.metadata.event.as_deref(), Some(name));
    let trace = TraceContext::parse("00-00000000000000000000000000000001-0000000000000001-01");
    let trace = trace.expect("a trace");
    for max_bytes in [usize::MAX, TIGHT_BYTES] {
        for stored in [
            encode(event.clone(), trace, max_bytes),
            encode_delivered(event.clone(), delivered, trace, max_bytes),
        ] {
            let stored = stored.expect("JSON is encoded");
            assert!(stored.json.len() <= max_bytes.max(MAX_BARE_EVENT_BYTES));
            let read: ResourceEvent = serde_json::from_slice(&stored.json).expect("an event");
            assert_eq!(read.facts(), *stored.facts);
            if max_bytes == usize::MAX {
                assert_eq!(read, *event);
            }
        }
    }
}
