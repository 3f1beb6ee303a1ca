//! The streams of this edge that follow subscriptions, and what each of them knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fanout::{
    followed_stream::{FollowedStream, TakenPosition},
    format::StreamEnd,
    interest::FollowedSubscription,
};
use model::{LogPosition, SubscriptionId, Timestamp};
use subscriptions::{
    ClientId, Subscription, SubscriptionTransport, VersionedSubscription, moves_cursor,
};
use tokio::time::Instant;

use super::{cursor_books::StoredUse, cursor_trail::CursorTrail};
use crate::limits::{CALL_DEADLINE, SUBSCRIPTION_SETTLE_TIME, SUBSCRIPTION_USE_INTERVAL};

/// What a stream follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FollowedSource {
    /// One subscription.
    One(SubscriptionId),
    /// All subscriptions of a client.
    Client(ClientId),
}

impl FollowedSource {
    fn has(&self, subscription: &Subscription) -> bool {
        match self {
            Self::One(id) => subscription.id == *id,
            Self::Client(client) => is_of_client(subscription, client),
        }
    }
}

/// Whether the streams of a client follow the subscription.
pub(super) fn is_of_client(subscription: &Subscription, client: &ClientId) -> bool {
    subscription.client.as_ref() == Some(client)
        && subscription.transport == SubscriptionTransport::Sse
}

/// A subscription as a stream knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownSubscription {
    /// The stream has its events after this position.
    pub(super) after: LogPosition,
    /// The revision of the stream's interest that it is in first.
    pub(super) revision: u64,
    pub(super) expires_at: Timestamp,
    /// Its stored cursor, when it was last loaded.
    pub(super) cursor: LogPosition,
}

/// A stream, and the subscriptions that it knows.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) stream: FollowedStream,
    pub(super) known: BTreeMap<SubscriptionId, KnownSubscription>,
    /// The revision of its interest.
    pub(super) revision: u64,
    /// The stream knows every subscription that was stored by then ([`knows_all_by`]).
    pub(super) knows_until: u64,
    trail: CursorTrail,
    /// Rises with each follower: what was loaded before one began says nothing about it.
    pub(super) number: u64,
}

impl Follower {
    pub(super) fn new(stream: FollowedStream) -> Self {
        Self {
            stream,
            known: BTreeMap::new(),
            revision: 0,
            knows_until: 0,
            trail: CursorTrail::default(),
            number: 0,
        }
    }

    /// Whether all that it follows has reached its end, as far as it knows.
    pub(super) fn is_over(&self, store_time: Timestamp) -> bool {
        let mut known = self.known.values();
        !self.known.is_empty() && known.all(|known| known.expires_at <= store_time)
    }
}

/// What the event ids of a stream say while its client has no subscription, and gets every event.
pub(super) const HAS_EVERY_EVENT: u64 = 1;

/// What the event ids of a stream say of the subscriptions that it knows: those that were stored by this time. 0 is
/// said by a stream that follows one subscription, or none; [`HAS_EVERY_EVENT`] is before every time.
pub(super) fn knows_all_by(now: Timestamp) -> u64 {
    let millis = u64::try_from(now.unix_millis()).unwrap_or_default();
    millis.max(HAS_EVERY_EVENT + 1)
}

/// Whether a stream that knew every subscription stored by a time certainly knew this one: its record was stored
/// some time after it got the time of its creation.
pub(super) fn certainly_knew(knows_until: u64, subscription: &Subscription) -> bool {
    let stored_by = subscription.created_at.plus(SUBSCRIPTION_SETTLE_TIME);
    knows_until == 0 || knows_all_by(stored_by) <= knows_until
}

/// The moment of a look at the streams of a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookMoment {
    pub(super) at: Instant,
    /// The store's time before the subscriptions were loaded.
    pub(super) store_time: Timestamp,
    /// The generation of the log.
    pub(super) generation: u32,
    /// Time after which what a socket took has arrived; `None` if nothing proves that.
    pub(super) proof: Option<Duration>,
}

/// What was loaded, and what is missing of what the streams knew.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredNow<'l> {
    pub(super) loaded: &'l [VersionedSubscription],
    /// Missing ones that were not ended.
    pub(super) unended: &'l BTreeSet<SubscriptionId>,
}

/// Brings the streams of a source up to date with what was loaded, and ends those whose subscriptions are gone, which
/// it removes. Returns what to store.
pub(super) fn update_all(
    source: &FollowedSource,
    followers: &mut Vec<Follower>,
    stored: StoredNow<'_>,
    moment: LookMoment,
) -> Vec<(SubscriptionId, StoredUse)> {
    let mut uses = Vec::new();
    followers.retain_mut(|follower| update(source, follower, stored, moment, &mut uses));
    uses
}

/// The subscriptions that streams of a source know, and that are neither stored nor at their end.
pub(super) fn missing(
    source: &FollowedSource,
    followers: &[Follower],
    loaded: &[VersionedSubscription],
    store_time: Timestamp,
) -> BTreeSet<SubscriptionId> {
    let stored = loaded.iter().map(|found| &found.subscription);
    let stored = stored.filter(|subscription| source.has(subscription));
    let stored: BTreeSet<_> = stored.map(|subscription| &subscription.id).collect();
    let known = followers.iter().flat_map(|follower| &follower.known);
    let living = known.filter(|(id, known)| known.expires_at > store_time && !stored.contains(id));
    living.map(|(id, _)| id.clone()).collect()
}

/// What became of a subscription that is not stored.
fn fate(
    (id, known): (&SubscriptionId, &KnownSubscription),
    unended: &BTreeSet<SubscriptionId>,
    store_time: Timestamp,
) -> StreamEnd {
    // One that was not ended may have reached its end while it was loaded.
    let loaded_by = store_time.plus(CALL_DEADLINE);
    match unended.contains(id) {
        _ if known.expires_at <= store_time => StreamEnd::SubscriptionExpired,
        true if known.expires_at <= loaded_by => StreamEnd::SubscriptionExpired,
        true => StreamEnd::SubscriptionLost,
        false => StreamEnd::SubscriptionDeleted,
    }
}

/// Why a stream ends for what is missing of what it knew: at once if one was lost, whose events would be missing
/// without a word; otherwise if none is left.
fn end_of(
    follower: &Follower,
    stored: &BTreeMap<SubscriptionId, KnownSubscription>,
    unended: &BTreeSet<SubscriptionId>,
    store_time: Timestamp,
) -> Option<StreamEnd> {
    if unended.is_empty() && !stored.is_empty() {
        return None;
    }
    let missing = follower.known.iter();
    let missing = missing.filter(|(id, _)| !stored.contains_key(*id));
    let fates: Vec<_> = missing.map(|one| fate(one, unended, store_time)).collect();
    if fates.contains(&StreamEnd::SubscriptionLost) {
        return Some(StreamEnd::SubscriptionLost);
    }
    let is_over = |fate: &StreamEnd| *fate == StreamEnd::SubscriptionExpired;
    stored.is_empty().then(|| match fates.iter().all(is_over) {
        true => StreamEnd::SubscriptionExpired,
        false => StreamEnd::SubscriptionDeleted,
    })
}

/// Brings a stream up to date; returns whether it goes on.
fn update(
    source: &FollowedSource,
    follower: &mut Follower,
    stored: StoredNow<'_>,
    moment: LookMoment,
    uses: &mut Vec<(SubscriptionId, StoredUse)>,
) -> bool {
    if !follower.stream.is_open() {
        return false;
    }
    let wanted = stored
        .loaded
        .iter()
        .filter(|found| source.has(&found.subscription));
    let wanted: Vec<_> = wanted.collect();
    let follows_one = matches!(source, FollowedSource::One(_));
    if wanted.is_empty() && follower.known.is_empty() && !follows_one {
        // Its client has not subscribed yet.
        return true;
    }
    let next = follower.revision + 1;
    let mut known = BTreeMap::new();
    for found in &wanted {
        let subscription = &found.subscription;
        let before = follower.known.get(&subscription.id);
        known.insert(
            subscription.id.clone(),
            KnownSubscription {
                after: before.map_or(subscription.cursor, |known| known.after),
                revision: before.map_or(next, |known| known.revision),
                expires_at: found.expires_at,
                cursor: subscription.cursor,
            },
        );
    }
    if let Some(ending) = end_of(follower, &known, stored.unended, moment.store_time) {
        follower.stream.end(ending);
        return false;
    }
    let is_same = known.keys().eq(follower.known.keys());
    follower.known = known;
    let is_certain = follows_one
        || wanted
            .iter()
            .all(|found| certainly_knew(follower.knows_until, &found.subscription));
    if !is_same || !is_certain {
        follower.revision = next;
        if !follows_one {
            follower.knows_until = knows_all_by(moment.store_time);
        }
        let followed = wanted.iter().map(|found| FollowedSubscription {
            filters: &found.subscription.filters,
            named_at: found.subscription.names_position(),
            after: follower.known[&found.subscription.id].after,
        });
        let stream = &follower.stream;
        stream.set_subscriptions(followed, follower.revision, follower.knows_until);
    }
    let proven = proven(follower, moment);
    uses.extend(wanted.iter().filter_map(|found| {
        let known = follower.known.get(&found.subscription.id)?;
        let stored = use_of(found, known, proven, moment.store_time)?;
        Some((found.subscription.id.clone(), stored))
    }));
    true
}

/// The position up to which the client certainly has the events.
fn proven(follower: &mut Follower, moment: LookMoment) -> Option<TakenPosition> {
    let taken = follower.stream.taken()?;
    let is_present = taken.generation == moment.generation;
    let proven = follower.trail.note(moment.at, taken, moment.proof?)?;
    is_present.then_some(proven)
}

/// What a stream's use of a subscription means for its record.
fn use_of(
    found: &VersionedSubscription,
    known: &KnownSubscription,
    proven: Option<TakenPosition>,
    now: Timestamp,
) -> Option<StoredUse> {
    let subscription = &found.subscription;
    let is_ahead = |to: &LogPosition| moves_cursor(known.cursor, *to);
    // What was added since is not covered by the position.
    let proven = proven.filter(|proven| proven.revision >= known.revision);
    if let Some(to) = proven.map(|proven| proven.position).filter(is_ahead) {
        return Some(StoredUse::Advance(to));
    }
    let whole = subscription.life.left(now)?;
    let used = whole.saturating_sub(found.expires_at.since(now));
    let is_chosen = matches!(subscription.life, subscriptions::SubscriptionLife::Until(_));
    (!is_chosen && used > SUBSCRIPTION_USE_INTERVAL).then_some(StoredUse::Touch(subscription.life))
}

#[cfg(test)]
pub(super) mod tests;
