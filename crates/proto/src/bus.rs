//! Conversion of bus messages between `ports` and protobuf.

use std::sync::Arc;

use model::{Epoch, PrincipalId, Sequence, SessionId, StreamId, TaskId};
use ports::{BusMessage, EventHint, ListChanges};
use prost::Message;
use v1::bus_message::Body;

use crate::{DecodeError, events, v1};

const VERSION: u32 = 1;

/// Encodes a message for the bus.
#[must_use]
pub fn encode_bus_message(message: &BusMessage) -> Vec<u8> {
    let body = match message {
        BusMessage::Events(hint) => Body::Events(v1::EventHint {
            epoch: hint.epoch.0,
            events: hint.events.iter().map(events::sequenced_to_wire).collect(),
        }),
        BusMessage::SessionChanged(session) => Body::SessionChanged(v1::SessionChanged {
            session_id: session.to_string(),
        }),
        BusMessage::SessionEnded(session) => Body::SessionEnded(v1::SessionEnded {
            session_id: session.to_string(),
        }),
        BusMessage::StreamReplaced {
            session,
            current_tag,
        } => Body::StreamReplaced(v1::StreamReplaced {
            session_id: session.to_string(),
            current_tag: *current_tag,
        }),
        BusMessage::MailboxChanged { session, stream } => {
            Body::MailboxChanged(v1::MailboxChanged {
                session_id: session.to_string(),
                stream_id: stream.to_string(),
            })
        }
        BusMessage::RequestCancelled { session, request } => {
            Body::RequestCancelled(v1::RequestCancelled {
                session_id: session.to_string(),
                request_id: request.clone(),
            })
        }
        BusMessage::MessagesDelivered { session, through } => {
            Body::MessagesDelivered(v1::MessagesDelivered {
                session_id: session.to_string(),
                through: through.0,
            })
        }
        BusMessage::TaskChanged { owner, task } => Body::TaskChanged(v1::TaskChanged {
            owner: owner.to_string(),
            task_id: task.to_string(),
        }),
        BusMessage::ListsChanged(lists) => Body::ListsChanged(v1::ListsChanged {
            tools: lists.tools,
            prompts: lists.prompts,
            resources: lists.resources,
        }),
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
/// The bytes are not a message of this kind, or a field is missing or invalid.
pub fn decode_bus_message(bytes: bytes::Bytes) -> Result<BusMessage, DecodeError> {
    let wire = v1::BusMessage::decode(bytes)?;
    if wire.version != VERSION {
        return Err(DecodeError::Version(wire.version));
    }
    let session = |id: String| SessionId::new(&id).map_err(|_| DecodeError::Field("session_id"));
    Ok(match wire.body.ok_or(DecodeError::Field("body"))? {
        Body::Events(hint) => {
            let events = hint.events.into_iter().map(events::sequenced_from_wire);
            let events = events.collect::<Result<_, _>>()?;
            BusMessage::Events(Arc::new(EventHint {
                epoch: Epoch(hint.epoch),
                events,
            }))
        }
        Body::SessionChanged(body) => BusMessage::SessionChanged(session(body.session_id)?),
        Body::SessionEnded(body) => BusMessage::SessionEnded(session(body.session_id)?),
        Body::StreamReplaced(body) => BusMessage::StreamReplaced {
            session: session(body.session_id)?,
            current_tag: body.current_tag,
        },
        Body::MailboxChanged(body) => BusMessage::MailboxChanged {
            session: session(body.session_id)?,
            stream: StreamId::new(&body.stream_id).map_err(|_| DecodeError::Field("stream_id"))?,
        },
        Body::RequestCancelled(body) => BusMessage::RequestCancelled {
            session: session(body.session_id)?,
            request: bounded(body.request_id)?,
        },
        Body::MessagesDelivered(body) => BusMessage::MessagesDelivered {
            session: session(body.session_id)?,
            through: Sequence(body.through),
        },
        Body::TaskChanged(body) => BusMessage::TaskChanged {
            owner: PrincipalId::new(&body.owner).map_err(|_| DecodeError::Field("owner"))?,
            task: TaskId::new(&body.task_id).map_err(|_| DecodeError::Field("task_id"))?,
        },
        Body::ListsChanged(body) => BusMessage::ListsChanged(ListChanges {
            tools: body.tools,
            prompts: body.prompts,
            resources: body.resources,
        }),
    })
}

/// A JSON-RPC id has up to 256 bytes; in JSON text every one of them may be escaped.
fn bounded(request_id: String) -> Result<String, DecodeError> {
    const MAX_BYTES: usize = 256 * 6 + 2;
    if request_id.len() > MAX_BYTES {
        return Err(DecodeError::Field("request_id"));
    }
    Ok(request_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn foreign_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
            let _ = decode_bus_message(bytes.into());
        }
    }

    #[test]
    fn a_session_id_that_would_change_a_subject_is_refused() {
        let body = Body::SessionEnded(v1::SessionEnded {
            session_id: "a.*.>".into(),
        });
        let bytes = v1::BusMessage {
            version: 1,
            body: Some(body),
        }
        .encode_to_vec();
        assert!(matches!(
            decode_bus_message(bytes.into()),
            Err(DecodeError::Field("session_id"))
        ));
    }

    #[test]
    fn another_version_is_refused() {
        let bytes = v1::BusMessage {
            version: 2,
            body: None,
        }
        .encode_to_vec();
        assert!(matches!(
            decode_bus_message(bytes.into()),
            Err(DecodeError::Version(2))
        ));
    }
}
