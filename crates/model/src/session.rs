//! A session of the handshake era: everything that any edge needs to serve it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FilterSet, LogPosition, PrincipalId, SessionId, SubscriptionId, Timestamp};

/// Events that a session asked for with `subscribe_to_events`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id, unique within the session.
    pub id: SubscriptionId,
    /// Which events.
    pub filters: FilterSet,
    /// Events after this position. An edge that hears of the subscription late goes back to it.
    pub since: LogPosition,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its number among the session's wishes.
    #[serde(default)]
    pub wish: u64,
}

/// An MCP session. Durable before its id leaves the server, so that any edge serves it at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id, unguessable.
    pub id: SessionId,
    /// Who may use it.
    pub owner: PrincipalId,
    /// The revision that was negotiated.
    pub protocol_version: String,
    /// What the client said of itself.
    pub client_info: Value,
    /// What the client can do.
    pub client_capabilities: Value,
    /// Whether `notifications/initialized` has come.
    pub initialized: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Events that it wants as notifications.
    pub subscriptions: Vec<Subscription>,
    /// Resources that it wants `notifications/resources/updated` for, as the client spelt them, with
    /// the position after which changes count.
    pub resource_uris: BTreeMap<String, LogPosition>,
    /// Numbers of these wishes, under the same names.
    #[serde(default)]
    pub resource_wishes: BTreeMap<String, u64>,
    /// Number of the newest wish, of either kind. It only rises.
    #[serde(default)]
    pub wishes: u64,
    /// Lowest level of the log notifications that it wants; none means all.
    #[serde(default)]
    pub log_level: Option<String>,
    /// A GET stream has been opened. The first one begins with the subscriptions' own positions, a later
    /// one that names no event begins with what comes next.
    pub streamed: bool,
    /// Tag of its newest stream: rises with each, so that the newest is known without clocks.
    #[serde(default)]
    pub stream_tag: u64,
    /// HTTP+SSE (2024-11-05): the session is its stream, and goes when that ends.
    #[serde(default)]
    pub ends_with_stream: bool,
}

impl Session {
    /// The number of one more wish.
    pub const fn next_wish(&mut self) -> u64 {
        self.wishes += 1;
        self.wishes
    }
}
