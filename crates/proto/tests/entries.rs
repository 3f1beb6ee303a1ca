//! Entries of the log: what was encoded is decoded, and what another build wrote is told by its version.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

use std::sync::Arc;

use bytes::Bytes;
use model::{
    EventFacts, EventId, EventOrigin, EventType, ResourceId, ResourceType, StoredEvent, Timestamp,
};
use proto::{DecodeError, decode_event, encode_event};

fn event(json: &'static str) -> StoredEvent {
    StoredEvent {
        facts: Arc::new(EventFacts {
            id: EventId::new("e1").unwrap(),
            event_type: EventType::UPDATED,
            action: None,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_1").unwrap(),
            owner: None,
            repo: None,
            number: None,
            ids: model::GithubIds::default(),
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::from_unix_millis(1),
            received_at: Timestamp::from_unix_millis(2),
        }),
        json: Bytes::from_static(json.as_bytes()),
        trace: None,
    }
}

#[test]
fn an_entry_begins_with_its_version() {
    let entry = encode_event(&event("{}"));
    assert_eq!(entry[0], 1);
    assert_eq!(decode_event(entry).unwrap(), event("{}"));
}

#[test]
fn an_entry_of_another_build_is_refused_with_a_sentence() {
    let entry = encode_event(&event("{}"));
    for version in [0, 2, 10, 0xc1, 0xff] {
        let mut other = entry.to_vec();
        other[0] = version;
        let refused = decode_event(other.into()).unwrap_err();
        assert!(matches!(refused, DecodeError::EntryVersion(Some(found)) if found == version));
        let text = refused.to_string();
        let names = if version < 0xc0 { "version" } else { "layer" };
        assert!(text.contains(names), "{text}");
    }
    let empty = decode_event(Bytes::new()).unwrap_err();
    assert!(matches!(empty, DecodeError::EntryVersion(None)), "{empty}");
    // Without a version, as builds wrote them before.
    assert!(decode_event(entry.slice(1..)).is_err());
}

#[test]
fn json_that_would_break_a_frame_is_no_event() {
    for json in ["{}\n", "{\r}", ""] {
        let refused = decode_event(encode_event(&event(json)));
        assert!(
            matches!(refused, Err(DecodeError::Field("json"))),
            "{refused:?}"
        );
    }
}
