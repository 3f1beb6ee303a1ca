//! The index. No lock is held while filters are compared: an event is matched against the buckets as they were when it
//! came, and a change of a bucket that is being read replaces it.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use model::Sequence;
use stream_driver::sync::RwLock;

use super::{
    MatchKey, MatchTerm, MatchedEvent,
    bucket::{Bucket, Holders},
};

/// An index of items `T` by what they want, for instance of streams.
#[derive(Debug)]
pub struct MatchIndex<T>(RwLock<HashMap<MatchKey, Arc<Bucket<T>>>>);

impl<T> Default for MatchIndex<T> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<T: Clone + Eq + Hash> MatchIndex<T> {
    /// Adds `item` under each of the terms.
    pub fn add(&self, item: &T, terms: impl IntoIterator<Item = MatchTerm>) {
        let mut buckets = self.0.write();
        for MatchTerm { key, filter, after } in terms {
            let bucket = Arc::make_mut(buckets.entry(key).or_default());
            bucket.add(filter, (item.clone(), after));
        }
    }

    /// Removes `item` from under each of the terms.
    pub fn remove<'t>(&self, item: &T, terms: impl IntoIterator<Item = &'t MatchTerm>) {
        let mut buckets = self.0.write();
        for MatchTerm { key, filter, after } in terms {
            let Some(bucket) = buckets.get_mut(key) else {
                continue;
            };
            let bucket = Arc::make_mut(bucket);
            bucket.remove(filter, &(item.clone(), *after));
            if bucket.is_empty() {
                buckets.remove(key);
            }
        }
    }

    /// Visits each item that wants the event, once. Returns the number of comparisons: for an item, up to the
    /// [cost](model::CompiledFilter::cost) of its filters, and less if others have the same filters.
    pub fn visit(&self, event: MatchedEvent<'_>, mut visit: impl FnMut(&T)) -> usize {
        let keys = event.keys();
        let buckets: Vec<Arc<Bucket<T>>> = {
            let all = self.0.read();
            keys.iter()
                .filter_map(|key| all.get(key).cloned())
                .collect()
        };
        let (mut comparisons, mut found) = (0, Vec::<&Holders<T>>::new());
        for bucket in &buckets {
            bucket.find(event.digest, &mut comparisons, &mut found);
        }
        let holders = found.iter().map(|holders| holders.len());
        comparisons += holders.sum::<usize>();
        let wants = |(_, after): &&(T, Sequence)| event.sequence > *after;
        if let [holders] = found.as_slice() {
            let wanted = holders.iter().filter(wants);
            wanted.for_each(|(item, _)| visit(item));
            return comparisons;
        }
        let mut seen = HashSet::new();
        for (item, _) in found.into_iter().flatten().filter(wants) {
            if seen.insert(item) {
                visit(item);
            }
        }
        comparisons
    }

    /// Visits every item, once or more often.
    pub fn for_each(&self, mut visit: impl FnMut(&T)) {
        let buckets: Vec<Arc<Bucket<T>>> = self.0.read().values().cloned().collect();
        let holders = buckets.iter().flat_map(|bucket| bucket.holders());
        holders.for_each(|holders| holders.iter().for_each(|(item, _)| visit(item)));
    }

    /// Whether the index has no items.
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }
}
