//! When the streams of each owner are looked at: one look at a time, of what changed, ended or is due at the interval.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use model::{PrincipalId, SubscriptionId, Timestamp};
use parking_lot::Mutex;
use subscriptions::ClientKey;
use tokio::{sync::Notify, time::Instant};

use super::followers::{FollowedSource, Follower};
use crate::limits::{
    CONCURRENT_SUBSCRIPTION_CHECKS, SOURCES_PER_ROUND, SUBSCRIPTION_CHECK_INTERVAL,
    SUBSCRIPTION_PAUSE, SUBSCRIPTION_RETRY_PAUSE,
};

/// A look at some of what the streams of an owner follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DueLook {
    pub(super) owner: PrincipalId,
    pub(super) sources: Vec<FollowedSource>,
    /// Followers with a higher number began since.
    pub(super) newest: u64,
    /// Something has changed; otherwise it is the check at intervals.
    has_changed: bool,
}

/// The streams that follow the same.
#[derive(Debug, Default)]
struct FollowedStreams {
    followers: Vec<Follower>,
    /// How the ids of its subscriptions begin.
    key: Option<ClientKey>,
    next_end: Option<Timestamp>,
    /// One of its subscriptions may have been changed since they were loaded.
    may_have_changed: bool,
}

impl FollowedStreams {
    fn concerns(&self, source: &FollowedSource, id: &SubscriptionId) -> bool {
        match source {
            FollowedSource::One(one) => one == id,
            FollowedSource::Client(_) => self.key.as_ref().is_some_and(|key| key.is_of(id)),
        }
    }
}

/// What the streams of one owner follow, and when it is looked at.
#[derive(Debug)]
pub(super) struct FollowedOwner {
    sources: BTreeMap<FollowedSource, FollowedStreams>,
    changed: BTreeSet<FollowedSource>,
    /// What is left of the check at intervals.
    round: BTreeSet<FollowedSource>,
    next_round: Instant,
    is_looked_at: bool,
    not_before: Instant,
    next_end: Option<Timestamp>,
}

impl FollowedOwner {
    fn new(now: Instant) -> Self {
        Self {
            sources: BTreeMap::new(),
            changed: BTreeSet::new(),
            round: BTreeSet::new(),
            next_round: now + SUBSCRIPTION_CHECK_INTERVAL,
            is_looked_at: false,
            not_before: now,
            next_end: None,
        }
    }

    #[cfg(test)]
    pub(super) fn follows(&self, source: &FollowedSource) -> bool {
        self.sources.contains_key(source)
    }

    fn find_next_end(&mut self) {
        let ends = self.sources.values().filter_map(|streams| streams.next_end);
        self.next_end = ends.min();
    }

    /// Adds what has ended, and all of it at the interval.
    fn come_due(&mut self, now: Instant, store_time: Timestamp) {
        if self.next_end.is_some_and(|end| end <= store_time) {
            let ended = self.sources.iter();
            let ended =
                ended.filter(|(_, streams)| streams.next_end.is_some_and(|end| end <= store_time));
            self.changed.extend(ended.map(|(source, _)| source.clone()));
        }
        if self.next_round <= now {
            self.next_round = now + SUBSCRIPTION_CHECK_INTERVAL;
            self.round.extend(self.sources.keys().cloned());
        }
    }

    /// What to look at: everything that changed, or else some of what is due in any case.
    fn begin(&mut self) -> (Vec<FollowedSource>, bool) {
        self.is_looked_at = true;
        let changed = std::mem::take(&mut self.changed);
        let has_changed = !changed.is_empty();
        let mut sources: Vec<_> = match has_changed {
            true => changed.into_iter().collect(),
            false => (0..SOURCES_PER_ROUND)
                .map_while(|_| self.round.pop_first())
                .collect(),
        };
        for source in &sources {
            self.round.remove(source);
        }
        sources.retain(|source| match self.sources.get_mut(source) {
            Some(streams) => {
                streams
                    .followers
                    .retain(|follower| follower.stream.is_open());
                let is_followed = !streams.followers.is_empty();
                if !is_followed {
                    self.sources.remove(source);
                }
                is_followed
            }
            None => false,
        });
        (sources, has_changed)
    }

    /// When there is something to do, if nothing changes.
    fn next(&self, now: Instant, store_time: Timestamp) -> Instant {
        let end = self.next_end.map(|end| now + end.since(store_time));
        let until = end.map_or(self.next_round, |end| end.min(self.next_round));
        // What has ended is among what changed.
        match self.changed.is_empty() && self.round.is_empty() {
            true => until,
            false => self.not_before,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct FollowedOwners {
    pub(super) owners: HashMap<PrincipalId, FollowedOwner>,
    /// Looks of the check at intervals that run.
    rounds: usize,
    begun: u64,
}

/// All streams of this edge that follow subscriptions, by the owner of these.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionFollowers {
    pub(super) all: Mutex<FollowedOwners>,
    pub(super) wake: Notify,
}

impl SubscriptionFollowers {
    /// A subscription of an owner may have changed, or any of them. Never blocks.
    pub(crate) fn changed(&self, owner: &PrincipalId, subscription: Option<&SubscriptionId>) {
        if let Some(of_owner) = self.all.lock().owners.get_mut(owner) {
            let sources = of_owner.sources.iter_mut();
            let concerned = sources.filter(|(source, streams)| {
                subscription.is_none_or(|id| streams.concerns(source, id))
            });
            let concerned = concerned.map(|(source, streams)| {
                streams.may_have_changed = true;
                source.clone()
            });
            of_owner.changed.extend(concerned);
            self.wake.notify_one();
        }
    }

    /// Changes may have been missed.
    pub(crate) fn all_changed(&self) {
        let now = Instant::now();
        for of_owner in self.all.lock().owners.values_mut() {
            of_owner.next_round = now;
            let sources = of_owner.sources.values_mut();
            sources.for_each(|streams| streams.may_have_changed = true);
        }
        self.wake.notify_one();
    }

    /// A stream has begun to follow; what changed since it was opened is loaded at once.
    pub(super) fn add(&self, owner: &PrincipalId, source: FollowedSource, mut follower: Follower) {
        let key = match &source {
            FollowedSource::One(_) => None,
            FollowedSource::Client(client) => Some(ClientKey::new(owner, client)),
        };
        let mut all = self.all.lock();
        all.begun += 1;
        follower.number = all.begun;
        let of_owner = all.owners.entry(owner.clone());
        let of_owner = of_owner.or_insert_with(|| FollowedOwner::new(Instant::now()));
        let streams = of_owner.sources.entry(source.clone()).or_default();
        streams.key = key;
        streams.followers.push(follower);
        of_owner.changed.insert(source);
        drop(all);
        self.wake.notify_one();
    }

    /// The looks to begin now, one for each owner at a time, and when there is more to do if nothing happens.
    pub(super) fn due(&self, now: Instant, store_time: Timestamp) -> (Vec<DueLook>, Instant) {
        let mut all = self.all.lock();
        let FollowedOwners {
            owners,
            rounds,
            begun,
        } = &mut *all;
        let (mut due, mut next) = (Vec::new(), now + SUBSCRIPTION_CHECK_INTERVAL);
        owners.retain(|owner, of_owner| {
            of_owner.come_due(now, store_time);
            if of_owner.is_looked_at {
                return true;
            }
            if of_owner.sources.is_empty() {
                return false;
            }
            let has_round = !of_owner.round.is_empty() && *rounds < CONCURRENT_SUBSCRIPTION_CHECKS;
            let is_due = !of_owner.changed.is_empty() || has_round;
            if is_due && of_owner.not_before <= now {
                let (sources, has_changed) = of_owner.begin();
                if of_owner.sources.is_empty() {
                    return false;
                }
                *rounds += usize::from(!has_changed);
                due.push(DueLook {
                    owner: owner.clone(),
                    sources,
                    newest: *begun,
                    has_changed,
                });
            } else if is_due || of_owner.round.is_empty() {
                // Otherwise it waits for a look that ends.
                next = next.min(of_owner.next(now, store_time));
            }
            true
        });
        (due, next)
    }

    /// The streams of a source that began before a look, without those that have ended.
    pub(super) fn take(
        &self,
        owner: &PrincipalId,
        source: &FollowedSource,
        newest: u64,
    ) -> Vec<Follower> {
        let mut all = self.all.lock();
        let streams = all
            .owners
            .get_mut(owner)
            .and_then(|of_owner| of_owner.sources.get_mut(source));
        let Some(streams) = streams else {
            return Vec::new();
        };
        let followers = std::mem::take(&mut streams.followers);
        let (taken, newer) = followers
            .into_iter()
            .partition(|follower| follower.number <= newest);
        streams.followers = newer;
        taken
    }

    /// Whether the ends of a source's subscriptions are those that were loaded last, as far as this edge was told.
    pub(super) fn is_certain(&self, owner: &PrincipalId, source: &FollowedSource) -> bool {
        let all = self.all.lock();
        let of_owner = all.owners.get(owner);
        let streams = of_owner.and_then(|of_owner| of_owner.sources.get(source));
        streams.is_some_and(|streams| !streams.may_have_changed)
    }

    /// Those that go on.
    pub(super) fn put_back(
        &self,
        owner: &PrincipalId,
        source: &FollowedSource,
        followers: Vec<Follower>,
    ) {
        let mut all = self.all.lock();
        let Some(of_owner) = all.owners.get_mut(owner) else {
            return;
        };
        if let Some(streams) = of_owner.sources.get_mut(source) {
            streams.followers.extend(followers);
            let known = streams
                .followers
                .iter()
                .flat_map(|follower| follower.known.values());
            streams.next_end = known.map(|known| known.expires_at).min();
            if streams.followers.is_empty() {
                of_owner.sources.remove(source);
            }
        }
        of_owner.find_next_end();
    }

    /// A look has ended; what failed is tried again. The longer an owner's looks take, the longer they pause.
    pub(super) fn looked(
        &self,
        due: &DueLook,
        failed: Vec<FollowedSource>,
        began: Instant,
        now: Instant,
    ) {
        let mut all = self.all.lock();
        all.rounds -= usize::from(!due.has_changed);
        if let Some(of_owner) = all.owners.get_mut(&due.owner) {
            of_owner.is_looked_at = false;
            let took = now.duration_since(began);
            let pause = match (failed.is_empty(), due.has_changed) {
                (false, _) => SUBSCRIPTION_RETRY_PAUSE,
                // Changes that come together are one look.
                (true, true) => (took * 2).clamp(SUBSCRIPTION_PAUSE, SUBSCRIPTION_RETRY_PAUSE),
                (true, false) => Duration::ZERO,
            };
            of_owner.not_before = now + pause;
            for source in due.sources.iter().filter(|source| !failed.contains(source)) {
                if let Some(streams) = of_owner.sources.get_mut(source) {
                    // What changed while it was loaded is looked at again.
                    streams.may_have_changed &= of_owner.changed.contains(source);
                }
            }
            of_owner.changed.extend(failed);
        }
    }
}
