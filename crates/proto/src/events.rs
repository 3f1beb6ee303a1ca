//! Conversion of events between `model` and protobuf.

use model::{
    EventFacts, EventId, EventOrigin, EventType, ResourceId, ResourceType, Sequence, Sequenced,
    StoredEvent, Timestamp, TraceContext,
};
use prost::Message;

use crate::{DecodeError, v1};

pub(crate) fn to_wire(event: &StoredEvent) -> v1::StoredEvent {
    let facts = &event.facts;
    v1::StoredEvent {
        id: facts.id.to_string(),
        r#type: facts.event_type.to_string(),
        resource_type: facts.resource_type.to_string(),
        resource_id: facts.resource_id.to_string(),
        owner: facts.owner.clone(),
        repo: facts.repo.clone(),
        number: facts.number,
        actor: facts.actor.clone(),
        source: facts.source.as_str().to_owned(),
        tags: facts.tags.clone(),
        timestamp_millis: facts.timestamp.unix_millis(),
        received_at_millis: facts.received_at.unix_millis(),
        json: event.json.clone(),
        traceparent: event.trace.map(|trace| trace.to_string()),
    }
}

pub(crate) fn from_wire(wire: v1::StoredEvent) -> Result<StoredEvent, DecodeError> {
    let facts = EventFacts {
        id: EventId::new(&wire.id).map_err(|_| DecodeError::Field("id"))?,
        event_type: EventType::open(&wire.r#type),
        resource_type: ResourceType::open(&wire.resource_type),
        resource_id: ResourceId::new(&wire.resource_id)
            .map_err(|_| DecodeError::Field("resource_id"))?,
        owner: wire.owner,
        repo: wire.repo,
        number: wire.number,
        actor: wire.actor,
        source: EventOrigin::open(&wire.source),
        tags: wire.tags,
        timestamp: Timestamp::from_unix_millis(wire.timestamp_millis),
        received_at: Timestamp::from_unix_millis(wire.received_at_millis),
    };
    // Streams frame the JSON as one line of UTF-8: a line break in it would forge frames.
    let is_line = !wire.json.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    if wire.json.is_empty() || !is_line || std::str::from_utf8(&wire.json).is_err() {
        return Err(DecodeError::Field("json"));
    }
    let trace = wire.traceparent.as_deref().and_then(TraceContext::parse);
    Ok(StoredEvent {
        facts,
        json: wire.json,
        trace,
    })
}

/// Encodes an event as logs store it.
#[must_use]
pub fn encode_event(event: &StoredEvent) -> Vec<u8> {
    to_wire(event).encode_to_vec()
}

/// Decodes an event that a log stored.
///
/// # Errors
/// The bytes are not an event, or a field is missing or invalid.
pub fn decode_event(bytes: bytes::Bytes) -> Result<StoredEvent, DecodeError> {
    from_wire(v1::StoredEvent::decode(bytes)?)
}

pub(crate) fn sequenced_to_wire(event: &Sequenced<StoredEvent>) -> v1::SequencedEvent {
    v1::SequencedEvent {
        sequence: event.sequence.0,
        event: Some(to_wire(&event.item)),
    }
}

pub(crate) fn sequenced_from_wire(
    wire: v1::SequencedEvent,
) -> Result<Sequenced<StoredEvent>, DecodeError> {
    let event = wire.event.ok_or(DecodeError::Field("event"))?;
    Ok(Sequenced {
        sequence: Sequence(wire.sequence),
        item: from_wire(event)?,
    })
}
