//! What a subscription is.

use std::{fmt, time::Duration};

use model::{FilterSet, LeaseName, LogPosition, PrincipalId, SessionId, SubscriptionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{client_id::ClientId, client_key::ClientKey, limits::UNUSED_LIFE};

/// How the events of a subscription reach its client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionTransport {
    /// On the client's stream: it names the subscription, or the `clientId` of several.
    Sse,
    /// On a stream that names the subscription, and on no other: for a part of the client that reads by itself.
    Internal,
    /// In requests to the client. Nothing delivers these yet, so none is made.
    Webhook,
}

/// No transport has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use sse or internal")]
pub struct UnknownTransport;

impl SubscriptionTransport {
    /// Reads a name, in any case.
    ///
    /// # Errors
    /// There is no such transport.
    pub fn read(text: &str) -> Result<Self, UnknownTransport> {
        match text.trim().to_ascii_lowercase().as_str() {
            "sse" => Ok(Self::Sse),
            "internal" => Ok(Self::Internal),
            "webhook" => Ok(Self::Webhook),
            _ => Err(UnknownTransport),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Internal => "internal",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for SubscriptionTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long a subscription lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubscriptionLife {
    /// Until a time that its client chose, by the clock of the store.
    Until(Timestamp),
    /// While it is used, and [`UNUSED_LIFE`] beyond that.
    WhileUsed,
}

impl SubscriptionLife {
    /// The time that a subscription used now has left; `None` if it is over.
    #[must_use]
    pub fn left(self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Until(end) => Some(end.since(now)).filter(|left| !left.is_zero()),
            Self::WhileUsed => Some(UNUSED_LIFE),
        }
    }
}

/// A subscription, as it is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its id, unguessable.
    pub id: SubscriptionId,
    /// The principal that may use it. To any other it does not exist.
    pub owner: PrincipalId,
    /// Its client's name, if the client gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// The events that it wants.
    pub filters: FilterSet,
    /// How they reach the client.
    pub transport: SubscriptionTransport,
    /// The position from which on it has events.
    pub since: LogPosition,
    /// The end of the log when it was made: the names in its filters mean what they meant then, also in earlier events.
    /// `None`: what they meant at [`Self::since`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_at: Option<LogPosition>,
    /// The client has all of its events up to here: what is delivered next comes after it. It begins as `since`,
    /// and only rises within a log.
    pub cursor: LogPosition,
    /// When it was made, by the clock of the store.
    pub created_at: Timestamp,
    /// How long it lives.
    pub life: SubscriptionLife,
    /// The fencing number of the newest delivery that moved the cursor under a lease
    /// ([`Self::delivery_lease`]); 0 if none did. A delivery with an older one has lost its lease.
    #[serde(default)]
    pub fence: u64,
    /// The session in which a tool made it, which has it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What its client stores with it for itself.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Subscription {
    /// Whether the streams of its client find it. Earlier builds gave ids that do not say whose they are: such a one is
    /// listed, and followed by its id alone.
    #[must_use]
    pub fn is_found_by_client(&self) -> bool {
        let client = self.client.as_ref();
        client.is_none_or(|client| ClientKey::new(&self.owner, client).is_of(&self.id))
    }

    /// Where the names in its filters mean what they mean.
    #[must_use]
    pub fn names_position(&self) -> LogPosition {
        self.named_at.unwrap_or(self.since)
    }

    /// The lease under which one process delivers the events of a subscription whose transport needs that.
    ///
    /// # Panics
    /// Never: an id with a prefix is visible ASCII, and short enough.
    #[must_use]
    pub fn delivery_lease(id: &SubscriptionId) -> LeaseName {
        // The longest id leaves no room for a prefix: it is cut, and the ids that we make are shorter.
        let id = id.as_str();
        let room = LeaseName::MAX_BYTES - "deliver/".len();
        let name = format!("deliver/{}", &id[..id.len().min(room)]);
        LeaseName::new(&name).expect("letters, digits, '-', '_' and '/'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_is_read_in_any_case_and_written_as_documented() {
        for (text, transport) in [
            ("SSE", SubscriptionTransport::Sse),
            (" internal ", SubscriptionTransport::Internal),
            ("Webhook", SubscriptionTransport::Webhook),
        ] {
            assert_eq!(SubscriptionTransport::read(text), Ok(transport));
            let json = serde_json::to_value(transport).unwrap();
            assert_eq!(json, transport.as_str());
        }
        assert_eq!(SubscriptionTransport::read("pigeon"), Err(UnknownTransport));
    }

    #[test]
    fn a_chosen_end_comes_and_use_puts_off_the_other() {
        let now = Timestamp::from_unix_millis(1000);
        let until = |millis| SubscriptionLife::Until(Timestamp::from_unix_millis(millis));
        assert_eq!(until(1500).left(now), Some(Duration::from_millis(500)));
        assert_eq!(until(1000).left(now), None);
        assert_eq!(until(1).left(now), None);
        assert_eq!(SubscriptionLife::WhileUsed.left(now), Some(UNUSED_LIFE));
    }

    #[test]
    fn a_subscription_of_an_earlier_build_is_not_found_by_its_client() {
        let owner = PrincipalId::new("ann").unwrap();
        let client = ClientId::new("planner").unwrap();
        let uuid = "9953bec1-aec5-40ff-b145-02d4e1d29882";
        let of = |id: SubscriptionId, client: Option<&ClientId>| Subscription {
            id,
            owner: owner.clone(),
            client: client.cloned(),
            filters: FilterSet::all(),
            transport: SubscriptionTransport::Sse,
            since: position(),
            named_at: None,
            cursor: position(),
            created_at: Timestamp::default(),
            life: SubscriptionLife::WhileUsed,
            fence: 0,
            session: None,
            metadata: Map::new(),
        };
        let bare = SubscriptionId::new(uuid).unwrap();
        let own = ClientKey::new(&owner, &client).id(uuid);
        assert!(of(own, Some(&client)).is_found_by_client());
        assert!(of(bare.clone(), None).is_found_by_client());
        assert!(!of(bare, Some(&client)).is_found_by_client());
    }

    fn position() -> LogPosition {
        LogPosition {
            epoch: model::Epoch(1),
            sequence: model::Sequence(1),
            tag: None,
        }
    }

    #[test]
    fn every_subscription_has_a_lease_of_its_own() {
        let [one, other] = ["a", "b"].map(|id| SubscriptionId::new(id).unwrap());
        let (one, other) = (
            Subscription::delivery_lease(&one),
            Subscription::delivery_lease(&other),
        );
        assert_eq!(one.as_str(), "deliver/a");
        assert_ne!(one, other);
        let longest = SubscriptionId::new(&"x".repeat(SubscriptionId::MAX_BYTES)).unwrap();
        assert!(Subscription::delivery_lease(&longest).as_str().len() <= LeaseName::MAX_BYTES);
    }
}
