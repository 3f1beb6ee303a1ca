//! Keys in the order in which they are served: whoever has used the least comes first (start-time fair
//! queueing: Goyal, Vin and Cheng, 1996).
//!
//! A key that begins to wait starts at the virtual time, so what it did not use before gives it no credit. The
//! virtual time advances by what is used, divided by the number of keys that wait: a key with debts is served in
//! the end, however many newcomers there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

/// Entries up to which no search for those without debts is made.
const UNSWEPT_ENTRIES: usize = 64;

/// What a key stands for: something that waits, or nothing at present.
pub(super) trait Waiting: Default {
    /// Whether something waits.
    fn is_waiting(&self) -> bool;
}

impl Waiting for BTreeSet<u64> {
    fn is_waiting(&self) -> bool {
        !self.is_empty()
    }
}

/// Keys by what they have used.
#[derive(Debug)]
pub(super) struct FairOrder<K, V> {
    entries: HashMap<K, FairEntry<V>>,
    /// Those that wait: by use in nanoseconds, then by arrival.
    order: BTreeMap<(u64, u64), K>,
    virtual_nanos: u64,
    arrivals: u64,
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct FairEntry<V> {
    used_nanos: u64,
    /// The place in the order, while something waits.
    place: Option<(u64, u64)>,
    value: V,
}

impl<K, V> Default for FairOrder<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            virtual_nanos: 0,
            arrivals: 0,
            sweep_at: UNSWEPT_ENTRIES,
        }
    }
}

impl<K, V: Waiting> Waiting for FairOrder<K, V> {
    fn is_waiting(&self) -> bool {
        !self.order.is_empty()
    }
}

impl<K: Clone + Eq + Hash, V: Waiting> FairOrder<K, V> {
    /// Changes what a key stands for; the key enters or leaves the order with it.
    pub(super) fn change<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> R) -> R {
        let entry = self.entries.entry(key.clone()).or_default();
        let changed = change(&mut entry.value);
        match (entry.value.is_waiting(), entry.place) {
            (true, None) => {
                entry.used_nanos = entry.used_nanos.max(self.virtual_nanos);
                self.place(key);
            }
            (false, Some(place)) => {
                entry.place = None;
                self.order.remove(&place);
                self.forget_if_even(key);
            }
            _ => {}
        }
        changed
    }

    /// Takes something from what the first key stands for. The key goes behind those that used as much.
    pub(super) fn take_first<R>(&mut self, take: impl FnOnce(&mut V) -> Option<R>) -> Option<R> {
        let (_, key) = self.order.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.place = None;
        let taken = take(&mut entry.value);
        match entry.value.is_waiting() {
            true => self.place(&key),
            false => self.forget_if_even(&key),
        }
        taken
    }

    /// Records that a key has used something, and passes it on to what the key stands for.
    pub(super) fn charge(&mut self, key: &K, nanos: u64, pass_on: impl FnOnce(&mut V)) {
        let waiting = self.order.len().max(1) as u64;
        let start = self.virtual_nanos;
        self.virtual_nanos = start.saturating_add((nanos / waiting).max(1));
        let entry = self
            .entries
            .entry(key.clone())
            .or_insert_with(|| FairEntry {
                used_nanos: start,
                ..FairEntry::default()
            });
        entry.used_nanos = entry.used_nanos.saturating_add(nanos);
        pass_on(&mut entry.value);
        match entry.place.take() {
            Some(place) => {
                self.order.remove(&place);
                self.place(key);
            }
            None => self.forget_if_even(key),
        }
        self.sweep();
    }

    fn place(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        self.arrivals += 1;
        let place = (entry.used_nanos, self.arrivals);
        entry.place = Some(place);
        self.order.insert(place, key.clone());
    }

    /// Forgets a key without debts for which nothing waits.
    fn forget_if_even(&mut self, key: &K) {
        let is_even = |entry: &FairEntry<V>| entry.used_nanos <= self.virtual_nanos;
        if self.entries.get(key).is_some_and(is_even) {
            self.entries.remove(key);
        }
    }

    /// Debts end when the virtual time reaches them.
    fn sweep(&mut self) {
        if self.entries.len() < self.sweep_at {
            return;
        }
        let now = self.virtual_nanos;
        self.entries
            .retain(|_, entry| entry.place.is_some() || entry.used_nanos > now);
        self.sweep_at = (self.entries.len() * 2).max(UNSWEPT_ENTRIES);
    }

    /// The number of keys that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Order = FairOrder<&'static str, BTreeSet<u64>>;

    fn wait(order: &mut Order, key: &'static str, tickets: impl IntoIterator<Item = u64>) {
        order.change(&key, |waiting| waiting.extend(tickets));
    }

    /// Serves the first one, which uses some time.
    fn serve(order: &mut Order, keys: &[&'static str], nanos: u64) -> Option<u64> {
        let ticket = order.take_first(BTreeSet::pop_first)?;
        // The tests number tickets by key: a hundred for each.
        let key = keys[usize::try_from(ticket / 100).unwrap()];
        order.charge(&key, nanos, |_| {});
        Some(ticket)
    }

    #[test]
    fn a_newcomer_waits_for_one_turn_of_a_key_with_many() {
        let (mut order, keys) = (Order::default(), ["greedy", "modest"]);
        wait(&mut order, "greedy", 0..50);
        for n in 0..10 {
            assert_eq!(serve(&mut order, &keys, 1000), Some(n));
        }
        wait(&mut order, "modest", [100]);
        let next: Vec<_> = (0..2).map(|_| serve(&mut order, &keys, 1000)).collect();
        assert!(next.contains(&Some(100)), "{next:?}");
    }

    #[test]
    fn time_is_shared_and_not_the_number_of_turns() {
        let (mut order, keys) = (Order::default(), ["long", "short"]);
        wait(&mut order, "long", 0..100);
        wait(&mut order, "short", 100..200);
        let mut used = [0, 0];
        for _ in 0..60 {
            let ticket = order.take_first(BTreeSet::pop_first).unwrap();
            let at = usize::try_from(ticket / 100).unwrap();
            let nanos = [10_000, 1000][at];
            used[at] += nanos;
            order.charge(&keys[at], nanos, |_| {});
        }
        assert!(used[0].abs_diff(used[1]) <= 10_000, "{used:?}");
    }

    #[test]
    fn a_key_with_debts_is_served_beside_endless_newcomers() {
        let mut order: FairOrder<u64, BTreeSet<u64>> = FairOrder::default();
        order.charge(&0, 50_000, |_| {});
        order.change(&0, |waiting| waiting.insert(0));
        let served = (1..1000).find(|newcomer| {
            order.change(newcomer, |waiting| waiting.insert(*newcomer));
            let ticket = order.take_first(BTreeSet::pop_first).unwrap();
            order.charge(&ticket, 1000, |_| {});
            ticket == 0
        });
        assert!(served.is_some_and(|n| n < 200), "{served:?}");
    }

    #[test]
    fn who_waits_no_longer_is_forgotten() {
        let mut order = Order::default();
        wait(&mut order, "one", [1]);
        order.change(&"one", BTreeSet::clear);
        assert!(!order.is_waiting() && order.remembered() == 0);
        let mut order: FairOrder<u64, BTreeSet<u64>> = FairOrder::default();
        for key in 0..10_000 {
            order.charge(&key, 1000, |_| {});
        }
        assert!(order.remembered() < 200, "{}", order.remembered());
    }
}
