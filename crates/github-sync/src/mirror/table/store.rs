//! How states are kept: one per key, within the bounds.

use std::sync::Arc;

use super::Table;
use crate::mirror::{
    kept::{ApplyOutcome, Entry, KeptState},
    key::{MirrorKey, MirroredPlace, is_second_state},
    version::StateVersion,
};

impl Table {
    /// Takes a state unless a newer one is known.
    pub(super) fn offer(
        &mut self,
        key: &MirrorKey,
        state: KeptState,
        version: StateVersion,
    ) -> ApplyOutcome {
        let known = self.entries.get(key);
        if known.is_some_and(|known| known.version >= version) {
            return ApplyOutcome::Outdated;
        }
        // What the store has is still right if this is the same report, at its position in the log.
        let is_saved = known
            .is_some_and(|known| known.state.is_report_of(&state) && !self.unsaved.contains(key));
        if known.is_some_and(|known| known.state.node_id == state.node_id) {
            self.replace(key, state, version);
        } else {
            self.remove(key);
            self.insert(key.clone(), state, version);
        }
        if !is_saved {
            self.set_unsaved(key);
        }
        ApplyOutcome::Newer {
            evicted: self.shrink(),
        }
    }

    fn set_unsaved(&mut self, key: &MirrorKey) {
        if let (MirroredPlace::Known(_), Some((key, _))) =
            (&key.place, self.entries.get_key_value(key))
        {
            self.unsaved.insert(Arc::clone(key));
        }
    }

    /// Puts a state in the place of another of the same resource.
    fn replace(&mut self, key: &MirrorKey, state: KeptState, version: StateVersion) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        self.uses += 1;
        self.bytes = self.bytes - entry.state.json.len() + state.json.len();
        if let Some(key) = self.by_use.remove(&entry.last_use) {
            if !is_second_state(key.kind) && self.by_node.get(&state.node_id) != Some(&key) {
                // Another place had it meanwhile.
                self.by_node.insert(state.node_id.clone(), Arc::clone(&key));
            }
            self.by_use.insert(self.uses, key);
        }
        (entry.state, entry.version) = (state, version);
        (entry.last_use, entry.changed) = (self.uses, self.uses);
    }

    pub(super) fn insert(&mut self, key: MirrorKey, state: KeptState, version: StateVersion) {
        let key = Arc::new(key);
        self.uses += 1;
        self.bytes += state.json.len();
        if !is_second_state(key.kind) {
            self.by_node.insert(state.node_id.clone(), Arc::clone(&key));
        }
        self.by_use.insert(self.uses, Arc::clone(&key));
        self.entries.insert(
            key,
            Entry {
                state,
                version,
                last_use: self.uses,
                changed: self.uses,
            },
        );
    }

    pub(super) fn remove(&mut self, key: &MirrorKey) -> Option<(KeptState, StateVersion)> {
        let entry = self.entries.remove(key)?;
        self.unsaved.remove(key);
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
            if let MirroredPlace::Known(place) = oldest.place {
                self.missing.add(place, oldest.kind);
            }
            evicted += 1;
        }
        evicted
    }
}
