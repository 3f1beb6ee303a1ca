//! From GitHub's payloads to resource events (design §5): pure functions, one file per kind of
//! webhook.
//!
//! Rules that hold for every kind:
//! - Every action maps. One that we have not heard of is an update, because GitHub adds actions
//!   without
//!   notice; `action` keeps GitHub's own word.
//! - One resource has one identity, its node id, whichever webhook spoke of it.
//! - A payload without the fields that make an event is skipped with the reason. It is never an
//!   error:
//!   GitHub would show a failed delivery that nobody can mend.

mod event;
mod issues;
mod milestone;
mod payload;
mod projects_v2;
mod projects_v2_item;
mod pull_request;
#[cfg(test)]
mod tests;

use model::{DeliveryId, ResourceEvent, StoredEvent, Timestamp, TraceContext};
use serde_json::Value;

use crate::limits::MAX_EVENT_BYTES;

/// What GitHub says about a delivery beside its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `X-GitHub-Event`.
    pub event: String,
    /// `X-GitHub-Delivery`.
    pub delivery: DeliveryId,
    /// `X-GitHub-Hook-ID`.
    pub hook_id: Option<String>,
    /// When we received it.
    pub received_at: Timestamp,
}

/// Why a delivery became no event. The text is the `reason` of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// GitHub tries the hook out.
    #[error("ping")]
    Ping,
    /// An event that we do not map.
    #[error("event {event} is not mapped")]
    Unmapped {
        /// GitHub's name of it.
        event: String,
    },
    /// An event that we map, without a field that we need.
    #[error("{event} payload has no usable {field}")]
    Incomplete {
        /// GitHub's name of it.
        event: &'static str,
        /// The field, as a JSON pointer.
        field: &'static str,
    },
    /// A project item that holds something that we do not know.
    #[error("project items with content of type {content_type} are not mapped")]
    UnknownContent {
        /// GitHub's name of it.
        content_type: String,
    },
}

/// The events of a payload.
///
/// # Errors
/// The reason why there are none.
pub fn normalise(envelope: &Envelope, payload: &Value) -> Result<Vec<ResourceEvent>, Skip> {
    let event = match envelope.event.as_str() {
        "issues" => issues::normalise(envelope, payload)?,
        "pull_request" => pull_request::normalise(envelope, payload)?,
        "milestone" => milestone::normalise(envelope, payload)?,
        "projects_v2" => projects_v2::normalise(envelope, payload)?,
        "projects_v2_item" => projects_v2_item::normalise(envelope, payload)?,
        "ping" => return Err(Skip::Ping),
        other => {
            return Err(Skip::Unmapped {
                event: other.to_owned(),
            });
        }
    };
    Ok(vec![event])
}

/// Encodes an event for the log, in at most [`MAX_EVENT_BYTES`].
///
/// An event above that loses GitHub's object (`data` is null, `metadata.dataOmitted` is true) and,
/// if that is not enough, `metadata.changes`, which may quote whole texts. What is left has bounded
/// parts only. So the bus and every log can carry every event, and who needs the object fetches it
/// from GitHub.
///
/// # Errors
/// None in practice: JSON that came in can go out.
pub fn encode(
    mut event: ResourceEvent,
    trace: TraceContext,
) -> Result<StoredEvent, serde_json::Error> {
    let stored = event.store(trace)?;
    if stored.json.len() <= MAX_EVENT_BYTES {
        return Ok(stored);
    }
    event.data = Value::Null;
    event.metadata.data_omitted = true;
    let stored = event.store(trace)?;
    if stored.json.len() <= MAX_EVENT_BYTES {
        return Ok(stored);
    }
    event.metadata.changes = Value::Null;
    event.store(trace)
}
