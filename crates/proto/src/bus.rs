//! Conversion of bus messages between `ports` and protobuf: the envelope and the event hint.

use std::sync::Arc;

use model::Epoch;
use ports::{BusMessage, EventHint};
use prost::Message;

use crate::{DecodeError, edge_news, events, ingest_news, sync_news, v1};

const VERSION: u32 = 1;

/// Encodes a message for the bus.
#[must_use]
pub fn encode_bus_message(message: &BusMessage) -> Vec<u8> {
    match message {
        BusMessage::Events(hint) => envelope(Some(v1::EventHint {
            epoch: hint.epoch.0,
            events: hint.events.iter().map(events::sequenced_to_wire).collect(),
        })),
        BusMessage::Edge(news) => {
            let mut bytes = envelope(None);
            bytes.extend(edge_news::to_wire(news).encode_to_vec());
            bytes
        }
        BusMessage::Ingest(news) => {
            let mut bytes = envelope(None);
            bytes.extend(ingest_news::to_wire(news).encode_to_vec());
            bytes
        }
        BusMessage::Sync(news) => {
            let mut bytes = envelope(None);
            bytes.extend(sync_news::to_wire(news).encode_to_vec());
            bytes
        }
    }
}

fn envelope(events: Option<v1::EventHint>) -> Vec<u8> {
    let version = VERSION;
    v1::BusMessage { version, events }.encode_to_vec()
}

/// Decodes a message from the bus.
///
/// # Errors
/// The bytes are not a message of this kind, a field is missing or invalid, or only a newer build knows
/// the version or the message.
pub fn decode_bus_message(bytes: bytes::Bytes) -> Result<BusMessage, DecodeError> {
    let wire = v1::BusMessage::decode(bytes.clone())?;
    if wire.version != VERSION {
        return Err(DecodeError::Version(wire.version));
    }
    let Some(hint) = wire.events else {
        let edge = v1::EdgeNews::decode(bytes.clone())?;
        if edge.news.is_some() {
            return Ok(BusMessage::Edge(edge_news::from_wire(edge)?));
        }
        let ingest = v1::IngestNews::decode(bytes.clone())?;
        if ingest.news.is_some() {
            return Ok(BusMessage::Ingest(ingest_news::from_wire(ingest)?));
        }
        let sync = v1::SyncNews::decode(bytes)?;
        return Ok(BusMessage::Sync(sync_news::from_wire(sync)?));
    };
    let events = hint.events.into_iter().map(events::sequenced_from_wire);
    let events = events.collect::<Result<_, _>>()?;
    Ok(BusMessage::Events(Arc::new(EventHint {
        epoch: Epoch(hint.epoch),
        events,
    })))
}
