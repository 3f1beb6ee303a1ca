//! Conversion of bus messages between `ports` and protobuf: the envelope and the event hint.

use std::sync::Arc;

use model::Epoch;
use ports::{BusMessage, EventHint};
use prost::Message;
use v1::bus_message::Body;

use crate::{DecodeError, edge_news, events, v1};

const VERSION: u32 = 1;

/// Encodes a message for the bus.
#[must_use]
pub fn encode_bus_message(message: &BusMessage) -> Vec<u8> {
    let body = match message {
        BusMessage::Events(hint) => Body::Events(v1::EventHint {
            epoch: hint.epoch.0,
            events: hint.events.iter().map(events::sequenced_to_wire).collect(),
        }),
        BusMessage::Edge(news) => Body::Edge(edge_news::to_wire(news)),
    };
    v1::BusMessage {
        version: VERSION,
        body: Some(body),
    }
    .encode_to_vec()
}

/// Decodes a message from the bus.
///
/// # Errors
/// The bytes are not a message of this kind, a field is missing or invalid, or only a newer build knows
/// the version, the owner or the message.
pub fn decode_bus_message(bytes: bytes::Bytes) -> Result<BusMessage, DecodeError> {
    let wire = v1::BusMessage::decode(bytes)?;
    if wire.version != VERSION {
        return Err(DecodeError::Version(wire.version));
    }
    match wire.body.ok_or(DecodeError::UnknownOwner)? {
        Body::Events(hint) => {
            let events = hint.events.into_iter().map(events::sequenced_from_wire);
            let events = events.collect::<Result<_, _>>()?;
            Ok(BusMessage::Events(Arc::new(EventHint {
                epoch: Epoch(hint.epoch),
                events,
            })))
        }
        Body::Edge(news) => Ok(BusMessage::Edge(edge_news::from_wire(news)?)),
    }
}
