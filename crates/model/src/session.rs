//! A session of the handshake era, with everything that an edge needs to serve it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FilterSet, LogPosition, PrincipalId, SessionId, SubscriptionId, Timestamp};

/// A subscription that a session made with `subscribe_to_events`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventSubscription {
    /// Its id, unique within the session.
    pub id: SubscriptionId,
    /// The filters that select its events.
    pub filters: FilterSet,
    /// It covers the events after this position. An edge that learns of the subscription late reads
    /// from here.
    pub since: LogPosition,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its number among the session's subscriptions to events and resources.
    #[serde(default)]
    pub number: u64,
}

/// An MCP session. Durable before its id leaves the server, so that any edge serves it at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id, unguessable.
    pub id: SessionId,
    /// The principal that may use it.
    pub owner: PrincipalId,
    /// The protocol revision that was negotiated.
    pub protocol_version: String,
    /// The client's description of itself.
    pub client_info: Value,
    /// The client's capabilities.
    pub client_capabilities: Value,
    /// Whether `notifications/initialized` has arrived.
    pub initialized: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// Subscriptions whose events it gets as notifications.
    pub subscriptions: Vec<EventSubscription>,
    /// Resources for which it gets `notifications/resources/updated`, as the client spelt them, each
    /// with the position after which changes count.
    pub resource_uris: BTreeMap<String, LogPosition>,
    /// Subscription numbers of these resources, under the same keys.
    #[serde(default)]
    pub resource_numbers: BTreeMap<String, u64>,
    /// Number of the newest subscription, to events or to a resource. It only rises.
    #[serde(default)]
    pub newest_subscription: u64,
    /// Lowest level of the log notifications that it gets; `None` means all.
    #[serde(default)]
    pub log_level: Option<String>,
    /// Whether a GET stream has been opened. The first one begins at the subscriptions' own positions; a
    /// later one that names no event begins with the next event.
    pub has_streamed: bool,
    /// Tag of its newest stream. It rises with each stream, so that the newest one is known without clocks.
    #[serde(default)]
    pub stream_tag: u64,
    /// Whether the session ends with its stream, as in HTTP+SSE (2024-11-05), where a session is one stream.
    #[serde(default)]
    pub ends_with_stream: bool,
}

impl Session {
    /// Allocates the number of one more subscription.
    pub const fn next_subscription_number(&mut self) -> u64 {
        self.newest_subscription += 1;
        self.newest_subscription
    }
}
