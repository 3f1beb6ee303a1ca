//! The metadata of a delivery, and the reasons why a delivery yields no event.

use model::{DeliveryId, Timestamp};

/// The metadata that GitHub sends with a payload.
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

/// The reason why a delivery yields no event. The text is the `reason` of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// GitHub tests the hook.
    #[error("ping")]
    Ping,
    /// An event that is not mapped.
    #[error("event {event} is not mapped")]
    Unmapped {
        /// GitHub's name of the event.
        event: String,
    },
    /// A mapped event whose payload lacks a required field.
    #[error("{event} payload has no usable {field}")]
    Incomplete {
        /// GitHub's name of the event.
        event: &'static str,
        /// The field, as a JSON pointer.
        field: &'static str,
    },
    /// A project item with content of an unknown type.
    #[error("project items with content of type {content_type} are not mapped")]
    UnknownContent {
        /// GitHub's name of the type.
        content_type: String,
    },
}
