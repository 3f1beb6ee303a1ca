//! A session of the handshake era, with everything that an edge needs to serve it.
//!
//! Both types are stored as JSON, and edges of two versions share the store during a rollout: a stored name
//! never changes (`serde(rename)` where the field has another one), and a new field has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    FilterSet, LogPosition, PrincipalId, ResourceUri, Sequence, SessionId, SubscriptionId,
    Timestamp,
    limits::{
        MAX_RECENT_SUBSCRIPTIONS, MAX_RESOURCE_URIS, MAX_SESSION_COST, MAX_SUBSCRIPTION_BYTES,
        MAX_SUBSCRIPTIONS,
    },
};

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
    /// The end that its client chose; without one it ends with the session at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A bound on the subscriptions of one session that would be exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubscriptionBound {
    /// Too many subscriptions to events.
    #[error("a session has at most {MAX_SUBSCRIPTIONS} subscriptions; end one first")]
    Subscriptions,
    /// Too many resources.
    #[error(
        "a session subscribes to at most {MAX_RESOURCE_URIS} resources; unsubscribe from one first"
    )]
    Resources,
    /// Too many comparisons for each event.
    #[error(
        "the filters of a session may have at most {MAX_SESSION_COST} fields and tags together; use fewer \
         filters, or end a subscription first"
    )]
    Cost,
    /// Too much to store.
    #[error(
        "the subscriptions of a session may take at most {MAX_SUBSCRIPTION_BYTES} bytes; use fewer filters \
         and tags, or end a subscription first"
    )]
    Bytes,
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
    /// Numbers of the newest subscriptions, of those that were ended too, ascending; up to
    /// [`MAX_RECENT_SUBSCRIPTIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_subscriptions: Vec<u64>,
    /// Lowest level of the log notifications that it gets; `None` means all.
    #[serde(default)]
    pub log_level: Option<String>,
    /// Whether events are shown to the client as notifications of a channel, as its last subscription that said so
    /// asked; `None`: as the client is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<bool>,
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
    /// Of such a session: what the token that reads its stream may see, as `access::Visibility` is stored, so
    /// that another token of the principal shows it no more. `None`: everything, or an earlier version
    /// opened or changed the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_sees: Option<Value>,
    /// Whether it is a connection of `/mcp/sse`: its stream and its messages have the form of that surface, and it
    /// ends soon after its stream does not come back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_connection: bool,
    /// The newest kept broadcast that it has had, or that was not for it.
    #[serde(default, skip_serializing_if = "is_start")]
    pub broadcasts_through: Sequence,
    /// The times after which it ends, as the edge that created it was configured: edges with other times do not
    /// change them. `None` in the record of an older build: each edge goes by its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<SessionTimes>,
}

/// The times after which a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionTimes {
    /// Seconds without use.
    pub idle_seconds: u64,
    /// Seconds since its creation, regardless of use.
    pub max_seconds: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_start(position: &Sequence) -> bool {
    *position == Sequence::START
}

impl Session {
    /// Whether its messages are posted beside a stream, which has their answers: HTTP+SSE and `/mcp/sse`.
    #[must_use]
    pub const fn is_posted_to(&self) -> bool {
        self.ends_with_stream || self.is_connection
    }

    /// Allocates the number of one more subscription: the store's time in microseconds, or one more than the
    /// last number. After the store went back to an earlier state, the numbers of the lost time are not
    /// given out again, so that no cursor claims to cover a subscription that its stream did not know.
    pub fn next_subscription_number(&mut self, now: Timestamp) -> u64 {
        let before = self.newest_subscription;
        let recent = &mut self.recent_subscriptions;
        if recent.is_empty() && before > 0 {
            // Given out by a build that kept no list, maybe after others: a full list has forgotten those.
            recent.resize(MAX_RECENT_SUBSCRIPTIONS, before);
        }
        self.newest_subscription = next_number(before, now);
        recent.push(self.newest_subscription);
        let excess = recent.len().saturating_sub(MAX_RECENT_SUBSCRIPTIONS);
        recent.drain(..excess);
        self.newest_subscription
    }

    /// Whether the session had a subscription with this number, as far as it remembers: if not, the store went
    /// back to before it. No subscription is number 0.
    #[must_use]
    pub fn has_had_subscription(&self, number: u64) -> bool {
        let recent = &self.recent_subscriptions;
        let is_known = number == 0
            || recent.contains(&number)
            || self
                .subscriptions
                .iter()
                .any(|known| known.number == number)
            || self.resource_numbers.values().any(|known| *known == number);
        match recent.first() {
            // A list that is full has forgotten older ones.
            Some(first) => {
                is_known || (number < *first && recent.len() == MAX_RECENT_SUBSCRIPTIONS)
            }
            None => is_known || number <= self.newest_subscription,
        }
    }

    /// Allocates the tag of one more stream, by the rule of [`Self::next_subscription_number`].
    pub fn next_stream_tag(&mut self, now: Timestamp) -> u64 {
        self.stream_tag = next_number(self.stream_tag, now);
        self.stream_tag
    }

    /// Adds a subscription to events, under a number of its own.
    ///
    /// # Errors
    /// A bound would be exceeded; the session is unchanged.
    pub fn subscribe(
        &mut self,
        mut new: EventSubscription,
        now: Timestamp,
    ) -> Result<(), SubscriptionBound> {
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(SubscriptionBound::Subscriptions);
        }
        let before = (self.newest_subscription, self.recent_subscriptions.clone());
        new.number = self.next_subscription_number(now);
        self.subscriptions.push(new);
        let fits = self.check_subscriptions();
        if fits.is_err() {
            self.subscriptions.pop();
            (self.newest_subscription, self.recent_subscriptions) = before;
        }
        fits
    }

    /// Takes out the subscriptions that have reached their end.
    pub fn end_subscriptions(&mut self, now: Timestamp) {
        let lives = |own: &EventSubscription| own.expires_at.is_none_or(|end| end > now);
        self.subscriptions.retain(lives);
    }

    /// The next end of a subscription.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        let ends = self.subscriptions.iter().filter_map(|own| own.expires_at);
        ends.min()
    }

    /// Adds a subscription to the changes of a resource after `since`. A resource that is known under another
    /// spelling of its URI keeps its position and takes this spelling.
    ///
    /// # Errors
    /// A bound would be exceeded; the session is unchanged.
    pub fn subscribe_to_resource(
        &mut self,
        uri: &str,
        since: LogPosition,
        now: Timestamp,
    ) -> Result<(), SubscriptionBound> {
        if self.resource_uris.contains_key(uri) {
            return Ok(());
        }
        let before = self.clone();
        let known = self.spelling_of(uri);
        let (since, number) = match &known {
            Some(known) => (
                self.resource_uris.remove(known).unwrap_or(since),
                self.resource_numbers.remove(known).unwrap_or_default(),
            ),
            None if self.resource_uris.len() >= MAX_RESOURCE_URIS => {
                return Err(SubscriptionBound::Resources);
            }
            None => (since, self.next_subscription_number(now)),
        };
        self.resource_uris.insert(uri.to_owned(), since);
        self.resource_numbers.insert(uri.to_owned(), number);
        let fits = self.check_subscriptions();
        if fits.is_err() {
            *self = before;
        }
        fits
    }

    /// Ends the subscription to a resource, however its URI is spelt.
    pub fn unsubscribe_from_resource(&mut self, uri: &str) {
        let canonical = ResourceUri::canonical(uri);
        self.resource_uris
            .retain(|known, _| ResourceUri::canonical(known) != canonical);
        self.resource_numbers
            .retain(|known, _| ResourceUri::canonical(known) != canonical);
    }

    /// The spelling under which the session subscribes to the resource.
    fn spelling_of(&self, uri: &str) -> Option<String> {
        let canonical = ResourceUri::canonical(uri);
        let mut known = self.resource_uris.keys();
        known
            .find(|known| ResourceUri::canonical(known) == canonical)
            .cloned()
    }

    fn check_subscriptions(&self) -> Result<(), SubscriptionBound> {
        let subscriptions = self.subscriptions.iter();
        let filters: usize = subscriptions
            .map(|subscription| subscription.filters.cost())
            .sum();
        if filters + self.resource_uris.len() > MAX_SESSION_COST {
            return Err(SubscriptionBound::Cost);
        }
        match self.subscription_bytes() > MAX_SUBSCRIPTION_BYTES {
            true => Err(SubscriptionBound::Bytes),
            false => Ok(()),
        }
    }

    /// Bytes that the subscriptions take in the session's record.
    #[must_use]
    pub fn subscription_bytes(&self) -> usize {
        #[derive(Serialize)]
        struct Subscriptions<'s> {
            subscriptions: &'s [EventSubscription],
            resource_uris: &'s BTreeMap<String, LogPosition>,
            resource_wishes: &'s BTreeMap<String, u64>,
        }
        let subscriptions = Subscriptions {
            subscriptions: &self.subscriptions,
            resource_uris: &self.resource_uris,
            resource_wishes: &self.resource_numbers,
        };
        serde_json::to_vec(&subscriptions).map_or(usize::MAX, |json| json.len())
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
mod tests;
