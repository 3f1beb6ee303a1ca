//! Finds the filters that an event may match without scanning all of them: each filter is indexed by its
//! most selective field. If the filter names no other field, the match is certain; otherwise the filter has
//! to be compared with the event. A superfluous candidate costs one comparison; a missing one would lose an
//! event, so none is ever missing.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
};

use indexmap::IndexSet;
use model::EventFacts;
use stream_driver::sync::RwLock;

/// The key under which a filter is indexed. Names are in lower case, because GitHub compares them without
/// case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchKey {
    /// Every event.
    Everything,
    /// Events of an owner.
    Owner(String),
    /// Events of a repository, `owner/repo`.
    Repository(String),
    /// Events of all repositories of this name, regardless of owner.
    RepositoryName(String),
    /// Events of one resource, by node id.
    Resource(String),
    /// Changes of a resource, by its canonical URI.
    Uri(String),
}

impl MatchKey {
    /// The most selective key of a filter.
    #[must_use]
    pub fn of(filter: &model::Filter) -> Self {
        match (&filter.owner, &filter.repo, &filter.resource_id) {
            (_, _, Some(id)) => Self::Resource(id.as_str().to_owned()),
            (Some(owner), Some(repo), _) => Self::repository(owner, repo),
            (Some(owner), None, _) => Self::Owner(owner.to_ascii_lowercase()),
            (None, Some(repo), _) => Self::RepositoryName(repo.to_ascii_lowercase()),
            (None, None, None) => Self::Everything,
        }
    }

    /// Whether the filter names nothing beyond its key.
    #[must_use]
    pub fn is_all_of(filter: &model::Filter) -> bool {
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

/// All keys under which an event is looked up. `uris` are the canonical URIs of the resources that it
/// changes.
fn keys_of(facts: &EventFacts, uris: &[String]) -> Vec<MatchKey> {
    let (owner, repo) = (facts.owner.as_deref(), facts.repo.as_deref());
    let mut keys = vec![
        MatchKey::Everything,
        MatchKey::Resource(facts.resource_id.as_str().to_owned()),
    ];
    keys.extend(owner.map(|owner| MatchKey::Owner(owner.to_ascii_lowercase())));
    keys.extend(repo.map(|repo| MatchKey::RepositoryName(repo.to_ascii_lowercase())));
    if let (Some(owner), Some(repo)) = (owner, repo) {
        keys.push(MatchKey::repository(owner, repo));
    }
    keys.extend(uris.iter().map(|uri| MatchKey::Uri(uri.clone())));
    keys
}

/// A key, and whether a match of it is certain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MatchTerm {
    /// The key.
    pub key: MatchKey,
    /// Whether the key alone decides: there is no other condition and no position to wait for, and the reader
    /// may see everything.
    pub is_sure: bool,
}

type Buckets<T> = HashMap<MatchKey, IndexSet<T>>;

/// An index of items `T` by their keys, for instance slots of streams or ids of subscriptions.
#[derive(Debug)]
pub struct MatchIndex<T>(RwLock<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    sure: Buckets<T>,
    maybe: Buckets<T>,
}

impl<T> Default for MatchIndex<T> {
    fn default() -> Self {
        Self(RwLock::new(Inner {
            sure: HashMap::new(),
            maybe: HashMap::new(),
        }))
    }
}

impl<T> Inner<T> {
    fn buckets(&mut self, is_sure: bool) -> &mut Buckets<T> {
        match is_sure {
            true => &mut self.sure,
            false => &mut self.maybe,
        }
    }
}

impl<T: Copy + Eq + Hash> MatchIndex<T> {
    /// Adds `item` under each of the terms.
    pub fn add(&self, item: T, terms: impl IntoIterator<Item = MatchTerm>) {
        let mut inner = self.0.write();
        for MatchTerm { key, is_sure } in terms {
            inner.buckets(is_sure).entry(key).or_default().insert(item);
        }
    }

    /// Removes `item` from under each of the terms.
    pub fn remove<'t>(&self, item: T, terms: impl IntoIterator<Item = &'t MatchTerm>) {
        let mut inner = self.0.write();
        for MatchTerm { key, is_sure } in terms {
            let buckets = inner.buckets(*is_sure);
            if let Some(items) = buckets.get_mut(key) {
                items.swap_remove(&item);
                if items.is_empty() {
                    buckets.remove(key);
                }
            }
        }
    }

    /// Visits each item that the event may match, once, with whether the match is certain. `uris` are the
    /// canonical URIs of the resources that the event changes.
    pub fn visit(&self, event: &EventFacts, uris: &[String], mut visit: impl FnMut(T, bool)) {
        let inner = self.0.read();
        let keys = keys_of(event, uris);
        let sure = keys.iter().filter_map(|key| inner.sure.get(key));
        let maybe = keys.iter().filter_map(|key| inner.maybe.get(key));
        let sure = sure.map(|items| (items, true));
        let found: Vec<_> = sure.chain(maybe.map(|items| (items, false))).collect();
        if let [(items, is_sure)] = found.as_slice() {
            return items.iter().for_each(|item| visit(*item, *is_sure));
        }
        let mut seen = HashSet::new();
        for (items, is_sure) in found {
            for item in items {
                if seen.insert(*item) {
                    visit(*item, is_sure);
                }
            }
        }
    }

    /// Whether the index has no items.
    pub fn is_empty(&self) -> bool {
        let inner = self.0.read();
        inner.sure.is_empty() && inner.maybe.is_empty()
    }
}

/// The terms of several filters. A term that matches every event makes the others superfluous.
pub fn terms(filters: impl IntoIterator<Item = MatchTerm>) -> BTreeSet<MatchTerm> {
    let mut terms: BTreeSet<MatchTerm> = filters.into_iter().collect();
    if terms.iter().any(|term| term.key == MatchKey::Everything) {
        terms.retain(|term| term.key == MatchKey::Everything);
    }
    terms
}
