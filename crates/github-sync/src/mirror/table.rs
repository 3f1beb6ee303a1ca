//! The newest known state per resource, within bounds.
//!
//! Our own code instead of a cache crate: both bounds hold exactly after every insert, nothing is
//! refused admission, and a single lock makes compare-and-replace atomic.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use model::{
    EventFacts, EventId, EventType, GithubIds, PlaceId, PlaceName, ResourceId, ResourceUri,
    Sequence, Timestamp,
};
use ports::{FoundResource, ResourceState};

use super::{
    key::{MirrorKey, MirroredPlace, PROJECTS, moved, parts_of},
    places::PlaceIndex,
    reading::{EventReading, StateReading},
    version::{EventMoment, StateVersion},
};

/// What is kept of a state, whatever its address is.
#[derive(Debug)]
struct KeptState {
    /// GitHub's node id of the resource.
    node_id: ResourceId,
    /// The address that the event showed, as GitHub spells it.
    spelt: Option<Box<str>>,
    json: Bytes,
    event_id: EventId,
    sequence: Sequence,
    updated_at: Timestamp,
    deleted: bool,
}

#[derive(Debug)]
struct Entry {
    state: KeptState,
    version: StateVersion,
    last_use: u64,
}

/// The effect of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ApplyOutcome {
    /// Its state is the current one now.
    Newer {
        /// The number of other states that were evicted for it.
        evicted: u64,
    },
    /// A newer state is known.
    Outdated,
    /// It has none.
    Stateless,
}

/// The states, by ids, and who has which address.
#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Arc<MirrorKey>, Entry>,
    /// The keys by node id.
    by_node: HashMap<ResourceId, Arc<MirrorKey>>,
    /// The keys in order of last use, oldest first.
    by_use: BTreeMap<u64, Arc<MirrorKey>>,
    uses: u64,
    bytes: usize,
    max_resources: usize,
    max_bytes: usize,
    places: PlaceIndex,
}

impl Table {
    /// Keeps up to `max_resources` states with up to `max_bytes` of JSON together; at either bound
    /// the least recently read or written are evicted. The newest state stays even if it alone is
    /// too large.
    pub(super) fn new(max_resources: usize, max_bytes: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_node: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            bytes: 0,
            max_resources,
            max_bytes,
            places: PlaceIndex::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_resources, self.max_bytes);
    }

    /// The log no longer has what came after a position: states from there count as of that position.
    pub(super) fn set_back(&mut self, resumes_after: Sequence) {
        for entry in self.entries.values_mut() {
            entry.version.sequence = entry.version.sequence.min(resumes_after);
            entry.state.sequence = entry.state.sequence.min(resumes_after);
        }
    }

    /// Applies an event: what it says of addresses, and its state unless a newer one is known.
    pub(super) fn apply(
        &mut self,
        facts: &EventFacts,
        sequence: Sequence,
        reading: EventReading,
    ) -> ApplyOutcome {
        let on_time = !reading.late;
        let made_at = reading.made_at;
        let at = EventMoment { made_at, sequence };
        self.rename_unknown(facts);
        self.places.observe(facts, at, on_time);
        let Some(key) = MirrorKey::of(facts) else {
            return ApplyOutcome::Stateless;
        };
        let deleted = facts.event_type == EventType::DELETED;
        let known = self.entries.get(&key);
        let (json, updated_at, whole) = match reading.state {
            StateReading::Nothing => return ApplyOutcome::Stateless,
            StateReading::State {
                json,
                updated_at,
                whole,
            } => (json, updated_at, whole),
            // The last state before the deletion is the best that we can show.
            StateReading::Deleted => (
                known.map_or(Bytes::from_static(b"null"), |known| {
                    known.state.json.clone()
                }),
                facts.timestamp,
                known.is_none_or(|known| known.version.whole),
            ),
        };
        let version = StateVersion {
            whole,
            updated_at,
            deleted,
            made_at,
            on_time,
            sequence,
        };
        if known.is_some_and(|known| known.version >= version) {
            return ApplyOutcome::Outdated;
        }
        let state = KeptState {
            node_id: facts.resource_id.clone(),
            spelt: spelling(facts),
            json,
            event_id: facts.id.clone(),
            sequence,
            updated_at,
            deleted,
        };
        if let Err(state) = self.replace(&key, state, version) {
            self.insert(key, state, version);
        }
        ApplyOutcome::Newer {
            evicted: self.shrink(),
        }
    }

    /// What is known by a name alone goes with it when it is renamed, as long as the name has had one holder.
    fn rename_unknown(&mut self, facts: &EventFacts) {
        let Some(rename) = facts.rename() else {
            return;
        };
        let from = rename.from.to_string().to_ascii_lowercase();
        if self.places.has_changed_hands(&from) {
            return;
        }
        let renamed = self.entries.keys().filter_map(|key| {
            let renamed = key.renamed(rename.from, rename.to)?;
            Some((MirrorKey::clone(key), renamed))
        });
        let renamed: Vec<_> = renamed.collect();
        for (from, to) in renamed {
            let Some((state, version)) = self.remove(&from) else {
                continue;
            };
            let known = self.entries.get(&to).map(|known| known.version);
            if known.is_none_or(|known| known < version) {
                self.remove(&to);
                self.insert(to, state, version);
            }
        }
    }

    /// The state of what a URI means now; counts as a use.
    pub(super) fn get(&mut self, uri: &ResourceUri) -> Option<ResourceState> {
        let (address, collection, number) = parts_of(uri)?;
        let id = match collection {
            PROJECTS => self.places.owner(&address).map(PlaceId::Owner),
            _ => self.places.repository(&address).map(PlaceId::Repository),
        };
        let key = |place| MirrorKey {
            place,
            collection,
            number,
        };
        let known = id.map(|id| key(MirroredPlace::Known(id)));
        if let (Some(key), Some(id)) = (known.filter(|key| self.entries.contains_key(key)), id) {
            let present = self.places.present(id);
            let uri = present.map_or_else(|| uri.clone(), |present| moved(uri, present));
            let ids = self.places.ids(id);
            return self.take(&key, uri, ids);
        }
        // Whose a state without ids is, the name says as long as it has had one holder.
        if self.places.has_changed_hands(&address) {
            return None;
        }
        let named = key(MirroredPlace::Named(address.into()));
        self.take(&named, uri.clone(), GithubIds::default())
    }

    /// Where the resource with a node id is now; `None` for a project, which is in no repository.
    pub(super) fn find(&self, node_id: &ResourceId) -> Option<FoundResource> {
        let key = self.by_node.get(node_id)?;
        let (present, ids) = match &key.place {
            MirroredPlace::Known(id) => {
                let present = self.places.present(*id)?.to_string();
                (present, self.places.ids(*id))
            }
            MirroredPlace::Named(address) => (address.to_string(), GithubIds::default()),
        };
        let spelt = self.entries.get(key)?.state.spelt.as_deref();
        let spelt = spelt.filter(|spelt| spelt.eq_ignore_ascii_case(&present));
        let name = PlaceName::read(spelt.unwrap_or(&present));
        Some(FoundResource {
            owner: name.owner.to_owned(),
            repo: name.repo?.to_owned(),
            number: key.number,
            ids,
        })
    }

    fn take(&mut self, key: &MirrorKey, uri: ResourceUri, ids: GithubIds) -> Option<ResourceState> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        if let Some(key) = self.by_use.remove(&entry.last_use) {
            self.by_use.insert(self.uses, key);
        }
        entry.last_use = self.uses;
        let state = &entry.state;
        Some(ResourceState {
            uri,
            ids,
            json: state.json.clone(),
            event_id: state.event_id.clone(),
            sequence: state.sequence,
            updated_at: state.updated_at,
            deleted: state.deleted,
        })
    }

    /// Puts a state in the place of the one under its key, most often another of the same resource; gives it back if there
    /// is none, or one of another resource.
    fn replace(
        &mut self,
        key: &MirrorKey,
        state: KeptState,
        version: StateVersion,
    ) -> Result<(), KeptState> {
        let same = |entry: &&mut Entry| entry.state.node_id == state.node_id;
        let Some(entry) = self.entries.get_mut(key).filter(same) else {
            self.remove(key);
            return Err(state);
        };
        self.uses += 1;
        self.bytes = self.bytes - entry.state.json.len() + state.json.len();
        if let Some(key) = self.by_use.remove(&entry.last_use) {
            if self.by_node.get(&state.node_id) != Some(&key) {
                // Another place had it meanwhile.
                self.by_node.insert(state.node_id.clone(), Arc::clone(&key));
            }
            self.by_use.insert(self.uses, key);
        }
        (entry.state, entry.version, entry.last_use) = (state, version, self.uses);
        Ok(())
    }

    fn insert(&mut self, key: MirrorKey, state: KeptState, version: StateVersion) {
        let key = Arc::new(key);
        self.uses += 1;
        self.bytes += state.json.len();
        self.by_node.insert(state.node_id.clone(), Arc::clone(&key));
        self.by_use.insert(self.uses, Arc::clone(&key));
        self.entries.insert(
            key,
            Entry {
                state,
                version,
                last_use: self.uses,
            },
        );
    }

    fn remove(&mut self, key: &MirrorKey) -> Option<(KeptState, StateVersion)> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.last_use);
        // Another place may have the resource by now.
        let node_id = &entry.state.node_id;
        if self
            .by_node
            .get(node_id)
            .is_some_and(|known| **known == *key)
        {
            self.by_node.remove(node_id);
        }
        self.bytes -= entry.state.json.len();
        Some((entry.state, entry.version))
    }

    fn shrink(&mut self) -> u64 {
        let mut evicted = 0;
        while self.len() > self.max_resources || (self.bytes > self.max_bytes && self.len() > 1) {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                break;
            };
            let oldest = Arc::clone(oldest);
            self.remove(&oldest);
            evicted += 1;
        }
        evicted
    }
}

fn spelling(facts: &EventFacts) -> Option<Box<str>> {
    let owner = facts.owner.as_deref()?;
    let repo = facts.repo.as_deref();
    Some(PlaceName { owner, repo }.to_string().into())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

#[cfg(test)]
mod histories;
