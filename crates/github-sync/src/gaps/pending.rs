//! Missing deliveries that wait for their repair, in GitHub's order over all webhooks.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use model::DeliveryId;

use super::delivery::SweptDelivery;
use crate::{limits::MAX_PENDING_REPAIRS, webhook_place::SweptHook};

/// A delivery's place among those that wait: when GitHub made it, then the id of the attempt.
pub(super) type RepairKey = (u64, u64);

/// A missing delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingDelivery {
    pub(super) hook: SweptHook,
    pub(super) delivery: SweptDelivery,
    /// Fetches of which the answer is no delivery: after some it is given up.
    pub(super) tries: u32,
    /// Fetches with which GitHub failed: they say nothing of the delivery.
    pub(super) failures: u32,
    /// The first and the last sweep in which it was not given, by their numbers.
    pub(super) not_given: Option<(u64, u64)>,
}

impl MissingDelivery {
    pub(super) const fn new(hook: SweptHook, delivery: SweptDelivery) -> Self {
        Self {
            hook,
            delivery,
            tries: 0,
            failures: 0,
            not_given: None,
        }
    }

    fn is_not_given(&mut self, sweep: u64) {
        let (since, _) = self.not_given.unwrap_or((sweep, sweep));
        self.not_given = Some((since, sweep));
    }

    /// Fetches that gave nothing: those with fewer come first.
    pub(super) const fn fetches(&self) -> u32 {
        self.tries.saturating_add(self.failures)
    }

    fn key(&self) -> RepairKey {
        (self.delivery.made_at(), self.delivery.id)
    }

    /// What happened, for this webhook: every attempt to deliver it has this in common.
    fn name(&self) -> MissingName {
        let delivery = &self.delivery;
        (
            self.hook.clone(),
            delivery.guid.clone(),
            delivery.event.clone(),
        )
    }
}

type MissingName = (SweptHook, DeliveryId, Box<str>);

/// All of them, bounded.
#[derive(Debug, Default)]
pub(super) struct PendingRepairs {
    waiting: BTreeMap<RepairKey, MissingDelivery>,
    names: HashMap<MissingName, RepairKey>,
}

impl PendingRepairs {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the next one takes the place of another.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_PENDING_REPAIRS
    }

    /// Adds one, unless another attempt to deliver the same waits already; a newer attempt replaces one that GitHub did not
    /// give. Returns the newest delivery, which had to give way, if there was no room.
    pub(super) fn add(&mut self, missing: MissingDelivery) -> AddedRepair {
        let key = missing.key();
        match self.names.entry(missing.name()) {
            Entry::Vacant(free) => {
                free.insert(key);
            }
            Entry::Occupied(mut known) => {
                let is_better = self.waiting.get(known.get()).is_some_and(|waiting| {
                    waiting.fetches() > 0
                        && waiting.delivery.delivered_at < missing.delivery.delivered_at
                });
                if is_better {
                    let replaced = known.insert(key);
                    self.waiting.remove(&replaced);
                    self.waiting.insert(key, missing);
                }
                return AddedRepair::Known;
            }
        }
        self.waiting.insert(key, missing);
        if self.waiting.len() <= MAX_PENDING_REPAIRS {
            return AddedRepair::Added;
        }
        let displaced = self.waiting.pop_last();
        let displaced = displaced.map(|(_, displaced)| displaced);
        if let Some(displaced) = &displaced {
            self.names.remove(&displaced.name());
        }
        displaced.map_or(AddedRepair::Added, AddedRepair::Displaced)
    }

    /// The first ones, the oldest first, for which this holds.
    pub(super) fn first(
        &self,
        count: usize,
        may: impl Fn(&MissingDelivery) -> bool,
    ) -> Vec<(RepairKey, MissingDelivery)> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(|(_, missing)| may(missing));
        let first = waiting.take(count);
        first.map(|(key, it)| (*key, it.clone())).collect()
    }

    /// Forgets one that is settled.
    pub(super) fn remove(&mut self, key: RepairKey) {
        if let Some(missing) = self.waiting.remove(&key) {
            self.names.remove(&missing.name());
        }
    }

    /// Counts a fetch in this sweep whose answer is no delivery; returns how many were.
    pub(super) fn tried(&mut self, key: RepairKey, sweep: u64) -> u32 {
        let missing = self.waiting.get_mut(&key);
        missing.map_or(0, |missing| {
            missing.is_not_given(sweep);
            missing.tries = missing.tries.saturating_add(1);
            missing.tries
        })
    }

    /// Counts a fetch in this sweep with which GitHub failed; returns how many did.
    pub(super) fn failed(&mut self, key: RepairKey, sweep: u64) -> u32 {
        let missing = self.waiting.get_mut(&key);
        missing.map_or(0, |missing| {
            missing.is_not_given(sweep);
            missing.failures = missing.failures.saturating_add(1);
            missing.failures
        })
    }

    /// Whether a single delivery of a webhook waits.
    pub(super) fn has_one_of(&self, hook: &SweptHook) -> bool {
        let waiting = self.waiting.values();
        waiting
            .filter(|missing| missing.hook == *hook)
            .take(2)
            .count()
            == 1
    }

    /// Forgets those of webhooks for which this does not hold.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&SweptHook) -> bool) {
        self.waiting.retain(|_, missing| is_kept(&missing.hook));
        self.names.retain(|(hook, _, _), _| is_kept(hook));
    }
}

/// What became of an addition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AddedRepair {
    Added,
    Known,
    /// There is one too many, and the newest gave way.
    Displaced(MissingDelivery),
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;
    use crate::webhook_place::SweptPlace;

    fn missing(id: u64) -> MissingDelivery {
        let at = Timestamp::from_unix_millis(1_796_040_000_000 + i64::try_from(id).unwrap());
        let hook = SweptHook {
            place: SweptPlace::App,
            id: None,
        };
        let delivery = SweptDelivery {
            id,
            guid: DeliveryId::new(&format!("guid-{id}")).unwrap(),
            event: "issues".into(),
            delivered_at: at,
            status_code: 502,
        };
        MissingDelivery::new(hook, delivery)
    }

    #[test]
    fn the_oldest_come_first_and_an_attempt_that_is_repeated_is_one() {
        let mut pending = PendingRepairs::default();
        for id in [3, 1, 2] {
            assert_eq!(pending.add(missing(id)), AddedRepair::Added);
        }
        let mut again = missing(1);
        again.delivery.id = 9;
        assert_eq!(pending.add(again), AddedRepair::Known);
        let first = pending.first(2, |_| true);
        let ids: Vec<_> = first.iter().map(|(_, it)| it.delivery.id).collect();
        assert_eq!(ids, [1, 2]);
        pending.remove(first[0].0);
        assert_eq!(pending.len(), 2);
        assert_eq!(pending.add(missing(1)), AddedRepair::Added);
    }

    #[test]
    fn a_newer_attempt_replaces_one_that_github_did_not_give_and_no_other() {
        let mut pending = PendingRepairs::default();
        let attempt = |id: u64| {
            let mut attempt = missing(id);
            attempt.delivery.guid = DeliveryId::new("guid").unwrap();
            attempt
        };
        let waiting = |pending: &PendingRepairs| {
            let first = pending.first(10, |_| true);
            let ids: Vec<_> = first.iter().map(|(_, it)| it.delivery.id).collect();
            (ids, first[0].0)
        };
        pending.add(attempt(5));
        assert_eq!(pending.add(attempt(6)), AddedRepair::Known);
        let (ids, key) = waiting(&pending);
        assert_eq!(ids, [5]);
        pending.tried(key, 1);
        assert_eq!(pending.add(attempt(4)), AddedRepair::Known);
        assert_eq!(waiting(&pending).0, [5]);
        assert_eq!(pending.add(attempt(6)), AddedRepair::Known);
        let (ids, key) = waiting(&pending);
        assert_eq!(ids, [6]);
        pending.remove(key);
        assert_eq!(pending.add(attempt(7)), AddedRepair::Added);
    }

    #[test]
    fn what_has_no_room_is_the_newest() {
        let mut pending = PendingRepairs::default();
        let most = MAX_PENDING_REPAIRS as u64;
        for id in (1..=most).rev() {
            assert_eq!(pending.add(missing(id)), AddedRepair::Added);
        }
        let added = pending.add(missing(0));
        assert!(matches!(added, AddedRepair::Displaced(_)), "{added:?}");
        assert_eq!(pending.len(), MAX_PENDING_REPAIRS);
        let first = pending.first(1, |_| true);
        assert_eq!(first[0].1.delivery.id, 0);
        assert_eq!(pending.add(missing(0)), AddedRepair::Known);
    }
}
