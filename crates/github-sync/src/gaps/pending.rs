//! Missing deliveries that wait for their repair, in GitHub's order over all webhooks.

use std::collections::{BTreeMap, HashSet};

use model::DeliveryId;

use super::delivery::SweptDelivery;
use crate::{limits::MAX_PENDING_REPAIRS, webhook_place::SweptHook};

/// A delivery's place among those that wait: when GitHub made it, then the id of the attempt.
pub(super) type RepairKey = (u64, u64);

/// A missing delivery.
#[derive(Debug, Clone)]
pub(super) struct MissingDelivery {
    pub(super) hook: SweptHook,
    pub(super) delivery: SweptDelivery,
    /// Fetches that gave nothing.
    pub(super) tries: u32,
}

impl MissingDelivery {
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
    names: HashSet<MissingName>,
}

impl PendingRepairs {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds one, unless another attempt to deliver the same waits already. Returns the webhook whose newest delivery had
    /// to give way, if there was no room.
    pub(super) fn add(&mut self, missing: MissingDelivery) -> AddedRepair {
        let name = missing.name();
        if !self.names.insert(name) {
            return AddedRepair::Known;
        }
        let key = (missing.delivery.made_at(), missing.delivery.id);
        self.waiting.insert(key, missing);
        if self.waiting.len() <= MAX_PENDING_REPAIRS {
            return AddedRepair::Added;
        }
        let displaced = self.waiting.pop_last();
        let displaced = displaced.map(|(_, displaced)| displaced);
        if let Some(displaced) = &displaced {
            self.names.remove(&displaced.name());
        }
        displaced.map_or(AddedRepair::Added, |it| AddedRepair::Displaced(it.hook))
    }

    /// The first ones, the oldest first, of webhooks for which this holds.
    pub(super) fn first(
        &self,
        count: usize,
        may: impl Fn(&SweptHook) -> bool,
    ) -> Vec<(RepairKey, MissingDelivery)> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(|(_, missing)| may(&missing.hook));
        let first = waiting.take(count);
        first.map(|(key, it)| (*key, it.clone())).collect()
    }

    /// Forgets one that is settled.
    pub(super) fn remove(&mut self, key: RepairKey) {
        if let Some(missing) = self.waiting.remove(&key) {
            self.names.remove(&missing.name());
        }
    }

    /// Counts a fetch that gave nothing; returns how many did.
    pub(super) fn tried(&mut self, key: RepairKey) -> u32 {
        let missing = self.waiting.get_mut(&key);
        missing.map_or(0, |missing| {
            missing.tries += 1;
            missing.tries
        })
    }

    /// Whether any delivery of a webhook waits.
    pub(super) fn has_any_of(&self, hook: &SweptHook) -> bool {
        self.waiting.values().any(|missing| missing.hook == *hook)
    }

    /// Forgets those of webhooks for which this does not hold.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&SweptHook) -> bool) {
        self.waiting.retain(|_, missing| is_kept(&missing.hook));
        self.names.retain(|(hook, _, _)| is_kept(hook));
    }
}

/// What became of an addition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AddedRepair {
    Added,
    Known,
    /// There is one too many, and the newest, of this webhook, gave way.
    Displaced(SweptHook),
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;
    use crate::webhook_place::SweptPlace;

    fn missing(id: u64) -> MissingDelivery {
        let at = Timestamp::from_unix_millis(1_796_040_000_000 + i64::try_from(id).unwrap());
        MissingDelivery {
            hook: SweptHook {
                place: SweptPlace::App,
                id: None,
            },
            delivery: SweptDelivery {
                id,
                guid: DeliveryId::new(&format!("guid-{id}")).unwrap(),
                event: "issues".into(),
                delivered_at: at,
                status_code: 502,
            },
            tries: 0,
        }
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
