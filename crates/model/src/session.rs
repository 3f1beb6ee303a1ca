//! A session of the handshake era, with everything that an edge needs to serve it.
//!
//! Both types are stored as JSON, and edges of two versions share the store during a rollout: a stored name
//! never changes (`serde(rename)` where the field has another one), and a new field has a default.

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
    #[serde(rename = "wish", default)]
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
    #[serde(rename = "resource_wishes", default)]
    pub resource_numbers: BTreeMap<String, u64>,
    /// Number of the newest subscription, to events or to a resource. It only rises.
    #[serde(rename = "wishes", default)]
    pub newest_subscription: u64,
    /// Lowest level of the log notifications that it gets; `None` means all.
    #[serde(default)]
    pub log_level: Option<String>,
    /// Whether a GET stream has reached the client: the client named one of its event ids, or the stream
    /// stayed open long enough. Until then a stream that names no event begins at the subscriptions' own
    /// positions; from then on it begins with the next event.
    #[serde(rename = "streamed")]
    pub has_streamed: bool,
    /// Number of the newest subscription that such a stream covered; `None` means all. A later
    /// subscription keeps its own position, because the client may have no event id that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streamed_subscription: Option<u64>,
    /// Tag of its newest stream. It rises with each stream, so that the newest one is known.
    #[serde(default)]
    pub stream_tag: u64,
    /// Whether the session ends with its stream, as in HTTP+SSE (2024-11-05), where a session is one stream.
    #[serde(default)]
    pub ends_with_stream: bool,
}

impl Session {
    /// Allocates the number of one more subscription: the store's time in microseconds, or one more than the
    /// last number. After the store went back to an earlier state, the numbers of the lost time are not
    /// given out again, so that no cursor claims to cover a subscription that its stream did not know.
    pub fn next_subscription_number(&mut self, now: Timestamp) -> u64 {
        self.newest_subscription = next_number(self.newest_subscription, now);
        self.newest_subscription
    }

    /// Allocates the tag of one more stream, by the rule of [`Self::next_subscription_number`].
    pub fn next_stream_tag(&mut self, now: Timestamp) -> u64 {
        self.stream_tag = next_number(self.stream_tag, now);
        self.stream_tag
    }

    /// The newest subscription that a stream is known to have covered; 0 for none.
    #[must_use]
    pub fn covered_subscription(&self) -> u64 {
        match (self.has_streamed, self.streamed_subscription) {
            (false, _) => 0,
            (true, None) => self.newest_subscription,
            (true, Some(covered)) => covered.min(self.newest_subscription),
        }
    }

    /// Records that a stream which covered the subscriptions up to this one has reached the client.
    pub fn record_streamed(&mut self, subscription: u64) {
        self.has_streamed = true;
        self.streamed_subscription = self.streamed_subscription.max(Some(subscription));
    }
}

/// The number after `last` in a series that a store may lose the end of: the store's time in microseconds, or
/// one more than the last number. The numbers of the lost time are then not given out again. Builds before
/// this rule only count, which stays correct beside it.
#[must_use]
pub fn next_number(last: u64, now: Timestamp) -> u64 {
    let micros = now.unix_millis().saturating_mul(1000);
    u64::try_from(micros)
        .unwrap_or_default()
        .max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    /// A session as edges of every version store it.
    #[test]
    fn stored_names_stay_as_edges_of_other_versions_know_them() {
        let position = json!({ "epoch": 7, "sequence": 40 });
        let time = "2026-11-28T10:00:00.000Z";
        let stored = json!({
            "id": "s",
            "owner": "p",
            "protocol_version": "2025-11-25",
            "client_info": { "name": "agent" },
            "client_capabilities": { "roots": {} },
            "initialized": true,
            "created_at": time,
            "subscriptions": [{
                "id": "first",
                "filters": [{ "resourceType": "issue", "eventType": "created" }],
                "since": position,
                "created_at": time,
                "wish": 1,
            }],
            "resource_uris": { "github://issues/o/r/1": position },
            "resource_wishes": { "github://issues/o/r/1": 2 },
            "wishes": 2,
            "log_level": "info",
            "streamed": true,
            "stream_tag": 3,
            "ends_with_stream": false,
        });
        let session: Session = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(session.subscriptions[0].number, 1);
        assert_eq!(session.newest_subscription, 2);
        assert!(session.has_streamed);
        assert_eq!(serde_json::to_value(&session).unwrap(), stored);
    }

    #[test]
    fn a_number_of_a_lost_time_is_not_given_out_again() {
        let at = Timestamp::from_unix_millis;
        assert_eq!(next_number(0, at(-1)), 1);
        assert_eq!(next_number(2, at(5)), 5000);
        assert_eq!(next_number(5000, at(5)), 5001);
        // The store lost number 6000 and gave out one more later.
        assert!(next_number(5000, at(7)) > next_number(5000, at(6)));
    }
}
