//! The newest known state per resource, within bounds.
//!
//! Our own code instead of a cache crate: both bounds hold exactly after every insert, nothing is
//! refused admission, and a single lock makes compare-and-replace atomic.

mod carried;
mod events;
mod listed;
mod saved;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hasher as _},
    sync::Arc,
};

use bytes::Bytes;
use model::{FoundResource, GithubIds, PlaceId, PlaceName, ResourceId, ResourceUri, Sequence};
use ports::{MirroredKind, ResourceState};

pub(super) use carried::Carrier;
pub(super) use listed::ListedState;

use super::{
    carried::CarriedNews,
    kept::Entry,
    key::{MirrorKey, MirroredPlace, is_numbered, is_of_owner, moved, parts_of},
    missing::MissingStates,
    places::PlaceIndex,
};

/// The states, by ids, and who has which address.
#[derive(Debug)]
pub(super) struct Table {
    /// Tells tables apart.
    pub(super) id: u64,
    pub(super) entries: BTreeMap<Arc<MirrorKey>, Entry>,
    /// The keys by node id.
    by_node: HashMap<ResourceId, Arc<MirrorKey>>,
    /// The keys in order of last use, oldest first.
    by_use: BTreeMap<u64, Arc<MirrorKey>>,
    /// Reads and changes up to now.
    pub(super) uses: u64,
    /// The keys of states in known places that are not in the store as they are here.
    unsaved: BTreeSet<Arc<MirrorKey>>,
    /// Where states were evicted.
    missing: MissingStates,
    bytes: usize,
    max_resources: usize,
    max_bytes: usize,
    pub(super) places: PlaceIndex,
}

impl Table {
    /// Keeps up to `max_resources` states with up to `max_bytes` of JSON together; at either bound
    /// the least recently read or written are evicted. The newest state stays even if it alone is
    /// too large.
    pub(super) fn new(max_resources: usize, max_bytes: usize) -> Self {
        Self {
            id: RandomState::new().build_hasher().finish(),
            entries: BTreeMap::new(),
            by_node: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            unsaved: BTreeSet::new(),
            missing: MissingStates::default(),
            bytes: 0,
            max_resources,
            max_bytes,
            places: PlaceIndex::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The log no longer has what came after a position: states from there count as of that position.
    pub(super) fn set_back(&mut self, resumes_after: Sequence) {
        for entry in self.entries.values_mut() {
            entry.version.sequence = entry.version.sequence.min(resumes_after);
            entry.state.sequence = entry.state.sequence.min(resumes_after);
        }
    }

    /// The place that an address means for resources of a kind: by its id, and by its name where no event had ids.
    pub(super) fn place_of(&self, kind: MirroredKind, address: &str) -> Option<PlaceId> {
        match is_of_owner(kind) {
            true => self.places.owner(address).map(PlaceId::Owner),
            false => self.places.repository(address).map(PlaceId::Repository),
        }
    }

    /// The key of what an address means now; `None` if nothing is known there.
    pub(super) fn key_of(
        &self,
        kind: MirroredKind,
        address: &str,
        number: u64,
    ) -> Option<MirrorKey> {
        let key = |place| MirrorKey {
            place,
            kind,
            number,
        };
        let known = self.place_of(kind, address);
        let known = known.map(|id| key(MirroredPlace::Known(id)));
        if let Some(key) = known.filter(|key| self.entries.contains_key(key)) {
            return Some(key);
        }
        // Whose a state without ids is, the name says as long as it has had one holder.
        if self.places.has_changed_hands(address) {
            return None;
        }
        let named = key(MirroredPlace::Named(address.into()));
        self.entries.contains_key(&named).then_some(named)
    }

    /// The state of what a URI means now, and what has changed of what it carries; counts as a use.
    pub(super) fn found(&mut self, uri: &ResourceUri) -> Option<(ResourceState, CarriedNews)> {
        let (address, kind, number) = parts_of(uri)?;
        let key = self.key_of(kind, &address, number)?;
        let MirroredPlace::Known(id) = key.place else {
            return self.take(&key, uri.clone(), GithubIds::default());
        };
        let present = self.places.present(id);
        let uri = present.map_or_else(|| uri.clone(), |present| moved(uri, present));
        let ids = self.places.ids(id);
        self.take(&key, uri, ids)
    }

    /// Where the resource with a node id is now, and its object with what has changed of what it carries; `None` for a
    /// project, which is in no repository, and for what has no number there.
    pub(super) fn find(&self, node_id: &ResourceId) -> Option<(FoundResource, Bytes, CarriedNews)> {
        let key = self.by_node.get(node_id)?;
        if !is_numbered(key.kind) {
            return None;
        }
        let (name, ids) = self.name_of(key)?;
        let name = PlaceName::read(&name);
        let found = FoundResource {
            owner: name.owner.to_owned(),
            repo: name.repo?.to_owned(),
            number: key.number,
            repository_node_id: self.repository_node_id(ids),
            ids,
            ..FoundResource::default()
        };
        let entry = self.entries.get(key)?;
        let news = self.news_of(Carrier::of(key, entry));
        Some((found, entry.state.json.clone(), news))
    }

    /// The node id of a repository that an event has shown, or that has a state of its own.
    fn repository_node_id(&self, ids: GithubIds) -> Option<ResourceId> {
        let id = ids.repository?;
        let key = MirrorKey {
            place: MirroredPlace::Known(PlaceId::Repository(id)),
            kind: MirroredKind::Repository,
            number: id.0,
        };
        let own_state = || Some(self.entries.get(&key)?.state.node_id.clone());
        self.places
            .repository_node_id(id)
            .cloned()
            .or_else(own_state)
    }

    /// The present address of a state's place, spelt as it was shown if that is the same one, and its ids; `None` if it is
    /// not known.
    pub(super) fn name_of(&self, key: &MirrorKey) -> Option<(String, GithubIds)> {
        let (present, ids) = match &key.place {
            MirroredPlace::Known(id) => {
                let present = self.places.present(*id)?.to_string();
                (present, self.places.ids(*id))
            }
            MirroredPlace::Named(address) => (address.to_string(), GithubIds::default()),
        };
        let spelt = self.entries.get(key)?.state.spelt.as_deref();
        let spelt = spelt.filter(|spelt| spelt.eq_ignore_ascii_case(&present));
        let spelt = spelt.map(str::to_owned);
        Some((spelt.unwrap_or(present), ids))
    }

    fn take(
        &mut self,
        key: &MirrorKey,
        uri: ResourceUri,
        ids: GithubIds,
    ) -> Option<(ResourceState, CarriedNews)> {
        self.touch(key);
        let entry = self.entries.get(key)?;
        let news = self.news_of(Carrier::of(key, entry));
        let state = &entry.state;
        let state = ResourceState {
            uri,
            ids,
            json: state.json.clone(),
            event_id: state.event_id.clone(),
            sequence: state.sequence,
            updated_at: state.updated_at,
            deleted: state.deleted,
        };
        Some((state, news))
    }

    /// A state is used.
    pub(super) fn touch(&mut self, key: &MirrorKey) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        self.uses += 1;
        if let Some(key) = self.by_use.remove(&entry.last_use) {
            self.by_use.insert(self.uses, key);
        }
        entry.last_use = self.uses;
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

#[cfg(test)]
mod histories;
