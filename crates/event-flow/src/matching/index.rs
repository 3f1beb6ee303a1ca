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
pub struct MatchIndex<T>(RwLock<Buckets<T>>);

#[derive(Debug)]
struct Buckets<T> {
    by_key: HashMap<MatchKey, Arc<Bucket<T>>>,
    /// Number of keys that are URIs.
    uris: usize,
}

impl<T> Default for MatchIndex<T> {
    fn default() -> Self {
        Self(RwLock::new(Buckets {
            by_key: HashMap::new(),
            uris: 0,
        }))
    }
}

impl<T: Clone + Eq + Hash> MatchIndex<T> {
    /// Adds `item` under each of the terms.
    pub fn add(&self, item: &T, terms: impl IntoIterator<Item = MatchTerm>) {
        let mut buckets = self.0.write();
        for MatchTerm { key, filter, after } in terms {
            if is_uri(&key) && !buckets.by_key.contains_key(&key) {
                buckets.uris += 1;
            }
            let bucket = Arc::make_mut(buckets.by_key.entry(key).or_default());
            bucket.add(filter, (item.clone(), after));
        }
    }

    /// Removes `item` from under each of the terms.
    pub fn remove<'t>(&self, item: &T, terms: impl IntoIterator<Item = &'t MatchTerm>) {
        let mut buckets = self.0.write();
        for MatchTerm { key, filter, after } in terms {
            let Some(bucket) = buckets.by_key.get_mut(key) else {
                continue;
            };
            let bucket = Arc::make_mut(bucket);
            bucket.remove(filter, &(item.clone(), *after));
            if bucket.is_empty() {
                buckets.by_key.remove(key);
                buckets.uris -= usize::from(is_uri(key));
            }
        }
    }

    /// Visits each item that wants the event, once. Returns the number of comparisons: for an item, up to the
    /// [cost](model::CompiledFilter::cost) of its filters, and less if others have the same filters.
    pub fn visit(&self, event: MatchedEvent<'_>, mut visit: impl FnMut(&T)) -> usize {
        let with_uris = self.0.read().uris > 0;
        let keys = event.keys(with_uris);
        let buckets: Vec<Arc<Bucket<T>>> = {
            let all = self.0.read();
            keys.iter()
                .filter_map(|key| all.by_key.get(key).cloned())
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
        let buckets: Vec<Arc<Bucket<T>>> = self.0.read().by_key.values().cloned().collect();
        let holders = buckets.iter().flat_map(|bucket| bucket.holders());
        holders.for_each(|holders| holders.iter().for_each(|(item, _)| visit(item)));
    }

    /// Whether the index has no items.
    pub fn is_empty(&self) -> bool {
        self.0.read().by_key.is_empty()
    }
}

const fn is_uri(key: &MatchKey) -> bool {
    matches!(key, MatchKey::Uri(_))
}
