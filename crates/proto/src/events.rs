//! Conversion of events between `model` and protobuf.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memchr2;
use model::{
    EventFacts, EventId, EventOrigin, EventType, FormerPlace, GithubIds, OwnerId, RepositoryId,
    ResourceId, ResourceType, Sequence, Sequenced, StoredEvent, TextAuthor, Timestamp,
    TraceContext,
};
use prost::Message;

use crate::{DecodeError, v1};

pub(crate) fn to_wire(event: &StoredEvent) -> v1::StoredEvent {
    let facts = &event.facts;
    let former = facts.former.as_deref();
    let author = facts.author.as_deref();
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
        action: facts.action.clone(),
        owner_id: facts.ids.owner.map(|id| id.0),
        repository_id: facts.ids.repository.map(|id| id.0),
        resource_database_id: facts.ids.resource,
        former_owner: former.and_then(|former| former.owner.clone()),
        former_repo: former.and_then(|former| former.repo.clone()),
        author_login: author.and_then(|author| author.login.clone()),
        author_association: author.and_then(|author| author.association.clone()),
    }
}

pub(crate) fn from_wire(wire: v1::StoredEvent) -> Result<StoredEvent, DecodeError> {
    let former = FormerPlace {
        owner: wire.former_owner,
        repo: wire.former_repo,
    };
    let author = TextAuthor {
        login: wire.author_login,
        association: wire.author_association,
    };
    let facts = EventFacts {
        id: EventId::new(&wire.id).map_err(|_| DecodeError::Field("id"))?,
        event_type: EventType::open(&wire.r#type),
        action: wire.action,
        resource_type: ResourceType::open(&wire.resource_type),
        resource_id: ResourceId::new(&wire.resource_id)
            .map_err(|_| DecodeError::Field("resource_id"))?,
        owner: wire.owner,
        repo: wire.repo,
        number: wire.number,
        ids: GithubIds {
            owner: wire.owner_id.map(OwnerId),
            repository: wire.repository_id.map(RepositoryId),
            resource: wire.resource_database_id,
        },
        former: (former != FormerPlace::default()).then(|| Box::new(former)),
        actor: wire.actor,
        author: (author != TextAuthor::default()).then(|| Box::new(author)),
        source: EventOrigin::open(&wire.source),
        tags: wire.tags,
        timestamp: Timestamp::from_unix_millis(wire.timestamp_millis),
        received_at: Timestamp::from_unix_millis(wire.received_at_millis),
    };
    // Streams frame the JSON as one line of UTF-8: a line break in it would forge frames. Neither a bus nor a log
    // without keys of the roles says who wrote to it.
    let is_line = memchr2(b'\n', b'\r', &wire.json).is_none();
    if wire.json.is_empty() || !is_line || std::str::from_utf8(&wire.json).is_err() {
        return Err(DecodeError::Field("json"));
    }
    let trace = wire.traceparent.as_deref().and_then(TraceContext::parse);
    Ok(StoredEvent {
        facts: facts.into(),
        json: wire.json,
        trace,
    })
}

/// Bytes of an entry beside the JSON of its event, at most: facts (100 labels of 256 bytes, a dozen names of up to
/// 1 KiB) and the frames around them.
pub const EVENT_FACTS_BYTES: usize = 40 * 1024;

/// The version of the entries that this build writes, and the only one that it reads: the first byte of each.
/// Layers begin bodies with bytes of 0xC0 and above.
const ENTRY_VERSION: u8 = 1;

/// Encodes an event as the entry of a log: its version, and the message.
#[must_use]
pub fn encode_event(event: &StoredEvent) -> Bytes {
    let wire = to_wire(event);
    let mut entry = BytesMut::with_capacity(1 + wire.encoded_len());
    entry.put_u8(ENTRY_VERSION);
    wire.encode(&mut entry)
        .expect("a buffer that grows has room");
    entry.freeze()
}

/// Decodes the entry of a log. The JSON of the event is a slice of it.
///
/// # Errors
/// The entry has another version, its bytes are not an event, or a field is missing or invalid.
pub fn decode_event(mut entry: Bytes) -> Result<StoredEvent, DecodeError> {
    match entry.first() {
        Some(&ENTRY_VERSION) => entry.advance(1),
        found => return Err(DecodeError::EntryVersion(found.copied())),
    }
    from_wire(v1::StoredEvent::decode(entry)?)
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
