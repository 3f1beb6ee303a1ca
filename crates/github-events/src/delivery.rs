//! A delivery beside its payload, and why one becomes no event.

use model::{DeliveryId, Timestamp};

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
