//! Finds what an event matches without scanning all filters: each filter is indexed by its place or resource, and there by
//! a number, an actor, a tag or an action; equal filters are one entry, and an entry is compared once per event.

mod bucket;
mod index;

use std::{collections::HashSet, sync::OnceLock};

use model::{CompiledFilter, EventDigest, EventFacts, Filter, PlaceId, Sequence};

pub use index::MatchIndex;

/// The key under which a filter is indexed. Names are in lower case, because GitHub compares them without
/// case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MatchKey {
    /// Every event.
    Everything,
    /// Events of an owner.
    Owner(String),
    /// Events of a repository, `owner/repo`.
    Repository(String),
    /// Events of all repositories of this name, regardless of owner.
    RepositoryName(String),
    /// Events of an owner or a repository, by its id.
    Place(PlaceId),
    /// Events that an account caused.
    Actor(String),
    /// Events of one resource, by node id.
    Resource(String),
    /// Events of the resources with this numeric id, one of each kind at most.
    NumericId(u64),
    /// Changes of a resource, by its canonical URI.
    Uri(String),
}

impl MatchKey {
    /// The most selective key of a filter.
    #[must_use]
    pub fn of(filter: &Filter) -> Self {
        let Filter {
            owner,
            repo,
            resource_id,
            database_id,
            actor,
            ..
        } = filter;
        if let (None, Some(id)) = (resource_id, database_id) {
            return Self::NumericId(*id);
        }
        match (resource_id, owner, repo, actor) {
            (Some(id), ..) => Self::Resource(id.as_str().to_owned()),
            (_, Some(owner), Some(repo), _) => Self::repository(owner, repo),
            (_, None, Some(repo), _) => Self::RepositoryName(repo.to_ascii_lowercase()),
            (_, _, _, Some(actor)) => Self::Actor(actor.to_ascii_lowercase()),
            (_, Some(owner), None, None) => Self::Owner(owner.to_ascii_lowercase()),
            (None, None, None, None) => Self::Everything,
        }
    }

    fn repository(owner: &str, repo: &str) -> Self {
        Self::Repository(format!("{owner}/{repo}").to_ascii_lowercase())
    }
}

/// An event that is looked up.
#[derive(Debug, Clone, Copy)]
pub struct MatchedEvent<'e> {
    /// Its position in the log.
    pub sequence: Sequence,
    /// Its fields.
    pub facts: &'e EventFacts,
    /// The same fields in the form in which filters are compared.
    pub digest: &'e EventDigest,
    /// The canonical URIs of the resources that it changes, once they are asked for.
    pub uris: &'e OnceLock<Vec<String>>,
}

impl<'e> MatchedEvent<'e> {
    /// The canonical URIs of the resources that it changes.
    #[must_use]
    pub fn uris(&self) -> &'e [String] {
        let texts = || {
            let uris = self.facts.touched_uris();
            uris.iter().map(ToString::to_string).collect()
        };
        self.uris.get_or_init(texts)
    }

    /// All keys under which the event is looked up; URIs only where something is looked up by one.
    fn keys(&self, with_uris: bool) -> Vec<MatchKey> {
        let facts = self.facts;
        let lower = |name: &Option<String>| name.as_deref().map(str::to_ascii_lowercase);
        let mut keys = vec![
            MatchKey::Everything,
            MatchKey::Resource(facts.resource_id.as_str().to_owned()),
        ];
        keys.extend(facts.ids.resource.map(MatchKey::NumericId));
        push_names(&mut keys, (facts.owner.as_deref(), facts.repo.as_deref()));
        if facts.former.is_some() {
            push_names(&mut keys, facts.former_names());
        }
        let ids = facts.ids;
        keys.extend(ids.owner.map(|id| MatchKey::Place(PlaceId::Owner(id))));
        let repository = ids.repository.map(PlaceId::Repository);
        keys.extend(repository.map(MatchKey::Place));
        keys.extend(lower(&facts.actor).map(MatchKey::Actor));
        if with_uris {
            keys.extend(self.uris().iter().map(|uri| MatchKey::Uri(uri.clone())));
        }
        keys
    }
}

/// Adds the keys of an address, each once.
fn push_names(keys: &mut Vec<MatchKey>, (owner, repo): (Option<&str>, Option<&str>)) {
    let both = owner.zip(repo);
    let of_address = [
        owner.map(|owner| MatchKey::Owner(owner.to_ascii_lowercase())),
        repo.map(|repo| MatchKey::RepositoryName(repo.to_ascii_lowercase())),
        both.map(|(owner, repo)| MatchKey::repository(owner, repo)),
    ];
    for key in of_address.into_iter().flatten() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}

/// The wish of an item: the events under a key that match a filter and come after a position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatchTerm {
    /// The key.
    pub key: MatchKey,
    /// The whole filter.
    pub filter: CompiledFilter,
    /// Only events after this position.
    pub after: Sequence,
}

/// The terms of several filters. One that wants every event makes those that begin later superfluous.
pub fn terms(terms: impl IntoIterator<Item = MatchTerm>) -> HashSet<MatchTerm> {
    let mut terms: HashSet<MatchTerm> = terms.into_iter().collect();
    let all = CompiledFilter::all();
    let wants_all = |term: &&MatchTerm| term.key == MatchKey::Everything && term.filter == all;
    let everything = terms.iter().filter(wants_all);
    let everything = everything.min_by_key(|term| term.after).cloned();
    if let Some(everything) = everything {
        terms.retain(|term| term.after < everything.after || *term == everything);
    }
    terms
}

#[cfg(test)]
mod combinations;
#[cfg(test)]
mod tests;
