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
    /// The payload has nothing that could be identified.
    #[error("the payload of event {event} names no resource")]
    NoResource {
        /// GitHub's name of the event.
        event: String,
    },
    /// A payload that lacks a field without which its resource cannot be identified.
    #[error("{event} payload has no usable {field}")]
    Incomplete {
        /// GitHub's name of the event.
        event: String,
        /// The field, as a JSON pointer.
        field: String,
    },
    /// A payload with a member that another event is about: the name of the event is not the one that GitHub sent with it.
    #[error("{event} payload has {member}, which is of another event")]
    OfAnother {
        /// The name of the event.
        event: String,
        /// The member.
        member: String,
    },
    /// A project item with content of an unknown type.
    #[error("project items with content of type {content_type} are not mapped")]
    UnknownContent {
        /// GitHub's name of the type.
        content_type: String,
    },
}
