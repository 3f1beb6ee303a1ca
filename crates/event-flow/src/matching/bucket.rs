//! The filters under one key of the index.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use indexmap::{IndexMap, IndexSet};
use model::{CompiledFilter, EventDigest, LookupValue, Sequence};

/// The items that want the events of one filter, each after a position.
pub(super) type Holders<T> = IndexSet<(T, Sequence)>;

/// Filters with their holders.
#[derive(Debug, Clone)]
struct HeldFilters<T>(IndexMap<CompiledFilter, Arc<Holders<T>>>);

impl<T: Clone + Eq + Hash> HeldFilters<T> {
    fn add(&mut self, filter: CompiledFilter, holder: (T, Sequence)) {
        let holders = self.0.entry(filter).or_default();
        Arc::make_mut(holders).insert(holder);
    }

    fn remove(&mut self, filter: &CompiledFilter, holder: &(T, Sequence)) {
        if let Some(holders) = self.0.get_mut(filter) {
            let holders = Arc::make_mut(holders);
            holders.swap_remove(holder);
            if holders.is_empty() {
                self.0.swap_remove(filter);
            }
        }
    }
}

impl<T> Default for HeldFilters<T> {
    fn default() -> Self {
        Self(IndexMap::default())
    }
}

/// The filters under one key: by a value that an event has to have, or compared with each event.
#[derive(Debug, Clone)]
pub(super) struct Bucket<T> {
    by_value: HashMap<LookupValue, Arc<HeldFilters<T>>>,
    others: HeldFilters<T>,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self {
            by_value: HashMap::new(),
            others: HeldFilters::default(),
        }
    }
}

impl<T: Clone + Eq + Hash> Bucket<T> {
    pub(super) fn add(&mut self, filter: CompiledFilter, holder: (T, Sequence)) {
        let values = filter.lookup_values();
        if values.is_empty() {
            return self.others.add(filter, holder);
        }
        for value in values {
            let found = Arc::make_mut(self.by_value.entry(value).or_default());
            found.add(filter.clone(), holder.clone());
        }
    }

    pub(super) fn remove(&mut self, filter: &CompiledFilter, holder: &(T, Sequence)) {
        let values = filter.lookup_values();
        if values.is_empty() {
            return self.others.remove(filter, holder);
        }
        for value in values {
            if let Some(found) = self.by_value.get_mut(&value) {
                let held = Arc::make_mut(found);
                held.remove(filter, holder);
                if held.0.is_empty() {
                    self.by_value.remove(&value);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_value.is_empty() && self.others.0.is_empty()
    }

    /// The holders of all filters; those of a filter with several tags more than once.
    pub(super) fn holders(&self) -> impl Iterator<Item = &Holders<T>> {
        let by_value = self.by_value.values().map(Arc::as_ref);
        let all = by_value.chain([&self.others]);
        all.flat_map(|held| held.0.values().map(Arc::as_ref))
    }

    /// Passes the holders of each filter that the event matches to `found`, once.
    pub(super) fn find<'b>(
        &'b self,
        event: &EventDigest,
        comparisons: &mut usize,
        found: &mut Vec<&'b Holders<T>>,
    ) {
        for (filter, holders) in &self.others.0 {
            if filter.count_matches(event, comparisons) {
                found.push(holders);
            }
        }
        if self.by_value.is_empty() {
            return;
        }
        for value in event.lookup_values() {
            let Some(held) = self.by_value.get(&value) else {
                continue;
            };
            for (filter, holders) in &held.0 {
                if filter.count_matches_found(value, event, comparisons) {
                    found.push(holders);
                }
            }
        }
    }
}
