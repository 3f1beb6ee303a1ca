//! Finds candidate streams for an event without scanning all of them: each filter is indexed by its
//! most selective field. If that field is the filter's only condition, the match is certain;
//! otherwise the stream compares the event itself
//! ([`Interest::wants`](super::interest::Interest::wants)). A candidate too many costs a
//! comparison; a candidate too few would lose an event, and the index never leaves one out.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::IndexSet;
use stream_driver::sync::RwLock;

use super::ring::Entry;

/// The key under which a stream is indexed. Names are in lower case, because GitHub compares them
/// without case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// Every event.
    Everything,
    /// Events of an owner.
    Owner(String),
    /// Events of a repository, `owner/repo`.
    Repository(String),
    /// Events of all repositories with this name, regardless of owner.
    RepositoryName(String),
    /// Events of one resource, by node id.
    Resource(String),
    /// Changes of a resource, by its canonical URI.
    Uri(String),
}

impl Key {
    /// The key of a filter.
    pub(crate) fn of(filter: &model::Filter) -> Self {
        match (&filter.owner, &filter.repo, &filter.resource_id) {
            (_, _, Some(id)) => Self::Resource(id.as_str().to_owned()),
            (Some(owner), Some(repo), _) => Self::repository(owner, repo),
            (Some(owner), None, _) => Self::Owner(owner.to_ascii_lowercase()),
            (None, Some(repo), _) => Self::RepositoryName(repo.to_ascii_lowercase()),
            (None, None, None) => Self::Everything,
        }
    }

    /// Whether a filter has no condition but its key.
    pub(crate) fn is_all_of(filter: &model::Filter) -> bool {
        let model::Filter {
            resource_type,
            event_type,
            resource_id,
            owner,
            repo,
            actor,
            source,
            tags,
        } = filter;
        let is_narrowed = resource_type.is_some()
            || event_type.is_some()
            || actor.is_some()
            || source.is_some()
            || !tags.is_empty()
            || (resource_id.is_some() && (owner.is_some() || repo.is_some()));
        !is_narrowed
    }

    fn repository(owner: &str, repo: &str) -> Self {
        Self::Repository(format!("{owner}/{repo}").to_ascii_lowercase())
    }
}

/// All keys that match an event.
fn keys_of(entry: &Entry) -> Vec<Key> {
    let facts = &entry.event.facts;
    let (owner, repo) = (facts.owner.as_deref(), facts.repo.as_deref());
    let mut keys = vec![
        Key::Everything,
        Key::Resource(facts.resource_id.as_str().to_owned()),
    ];
    keys.extend(owner.map(|owner| Key::Owner(owner.to_ascii_lowercase())));
    keys.extend(repo.map(|repo| Key::RepositoryName(repo.to_ascii_lowercase())));
    if let (Some(owner), Some(repo)) = (owner, repo) {
        keys.push(Key::repository(owner, repo));
    }
    keys.extend(entry.uris().iter().map(|uri| Key::Uri(uri.clone())));
    keys
}

/// A key, and how certain a match by it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term {
    pub(crate) key: Key,
    /// Every stream found by this term wants the event: no other condition, no position to wait
    /// for, and its reader may see everything.
    pub(crate) is_sure: bool,
}

type Buckets = HashMap<Key, IndexSet<usize>>;

/// The slots of streams under their keys.
#[derive(Debug, Default)]
pub(crate) struct Index(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sure: Buckets,
    maybe: Buckets,
}

impl Inner {
    fn buckets(&mut self, is_sure: bool) -> &mut Buckets {
        match is_sure {
            true => &mut self.sure,
            false => &mut self.maybe,
        }
    }
}

impl Index {
    pub(crate) fn add(&self, slot: usize, terms: impl IntoIterator<Item = Term>) {
        let mut inner = self.0.write();
        for Term { key, is_sure } in terms {
            inner.buckets(is_sure).entry(key).or_default().insert(slot);
        }
    }

    pub(crate) fn remove<'t>(&self, slot: usize, terms: impl IntoIterator<Item = &'t Term>) {
        let mut inner = self.0.write();
        for Term { key, is_sure } in terms {
            let buckets = inner.buckets(*is_sure);
            if let Some(slots) = buckets.get_mut(key) {
                slots.swap_remove(&slot);
                if slots.is_empty() {
                    buckets.remove(key);
                }
            }
        }
    }

    /// Visits each candidate stream once, with whether it certainly wants the event.
    pub(crate) fn visit(&self, entry: &Entry, mut visit: impl FnMut(usize, bool)) {
        let inner = self.0.read();
        let keys = keys_of(entry);
        let sure = keys.iter().filter_map(|key| inner.sure.get(key));
        let maybe = keys.iter().filter_map(|key| inner.maybe.get(key));
        let sure = sure.map(|slots| (slots, true));
        let found: Vec<_> = sure.chain(maybe.map(|slots| (slots, false))).collect();
        if let [(slots, is_sure)] = found.as_slice() {
            return slots.iter().for_each(|slot| visit(*slot, *is_sure));
        }
        let mut seen = HashSet::new();
        for (slots, is_sure) in found {
            for slot in slots {
                if seen.insert(*slot) {
                    visit(*slot, is_sure);
                }
            }
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        let inner = self.0.read();
        inner.sure.is_empty() && inner.maybe.is_empty()
    }
}

/// The terms of several filters: a term that matches everything makes the others redundant.
pub(crate) fn terms(filters: impl IntoIterator<Item = Term>) -> BTreeSet<Term> {
    let mut terms: BTreeSet<Term> = filters.into_iter().collect();
    if terms.iter().any(|term| term.key == Key::Everything) {
        terms.retain(|term| term.key == Key::Everything);
    }
    terms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fanout::fixture;

    const URIS: [&str; 3] = [
        "github://events",
        "github://events/octo/cat",
        "github://issues/OCTO/dog/7",
    ];

    proptest! {
        #[test]
        fn who_wants_an_event_is_found_and_nobody_twice(
            wishes in proptest::collection::vec((0_usize..4, 0_usize..4), 0..30),
            repo in 0_usize..3,
        ) {
            let repos = ["cat", "DOG", "bird"];
            let index = Index::default();
            let interests: Vec<_> = wishes
                .iter()
                .map(|(repo, uri)| {
                    let repo = repos.get(*repo).map(|repo| (*repo, 0));
                    let uri = URIS.get(*uri).map(|uri| (*uri, 0));
                    fixture::interest(1, repo.as_slice(), uri.as_slice())
                })
                .collect();
            for (slot, interest) in interests.iter().enumerate() {
                index.add(slot, interest.terms());
            }
            let entry = Entry::new(fixture::event(1, ["cat", "dog", "bird"][repo], 0));
            let mut found = Vec::new();
            index.visit(&entry, |slot, is_sure| {
                assert!(!is_sure || interests[slot].wants(&entry), "{slot} is not sure");
                found.push(slot);
            });
            let different: BTreeSet<_> = found.iter().copied().collect();
            prop_assert_eq!(different.len(), found.len(), "no stream twice");
            for (slot, interest) in interests.iter().enumerate() {
                prop_assert!(!interest.wants(&entry) || different.contains(&slot), "{slot} is missing");
            }
            for (slot, interest) in interests.iter().enumerate() {
                index.remove(slot, &interest.terms());
            }
            prop_assert!(index.is_empty(), "nothing is left behind");
        }
    }

    #[test]
    fn of_ten_thousand_streams_three_are_looked_at() {
        let index = Index::default();
        for slot in 0..10_000 {
            let repo = format!("repo-{}", slot / 3);
            index.add(slot, fixture::interest(1, &[(&repo, 0)], &[]).terms());
        }
        let entry = Entry::new(fixture::event(1, "repo-7", 0));
        let mut found = Vec::new();
        index.visit(&entry, |slot, is_sure| {
            assert!(is_sure, "no comparison is needed");
            found.push(slot);
        });
        found.sort_unstable();
        assert_eq!(found, [21, 22, 23]);
    }
}
