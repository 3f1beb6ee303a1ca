//! States for the store, and from it.

use std::sync::Arc;

use model::{Epoch, GithubIds, PlaceId, Sequence};
use ports::MirroredKind;

use super::Table;
use crate::{
    limits::MAX_UNSAVED_BYTES,
    mirror::{
        facts::ListFacts,
        kept::{ApplyOutcome, KeptState},
        key::{MirrorKey, MirroredPlace},
        saved::SavedState,
        version::EventMoment,
    },
};

impl Table {
    /// States of a place that differ from what is saved, up to `limit` and [`MAX_UNSAVED_BYTES`].
    pub(in crate::mirror) fn unsaved(
        &self,
        place: PlaceId,
        limit: usize,
        epoch: Option<Epoch>,
    ) -> Vec<SavedState> {
        let (first, last) = MirrorKey::bounds(&MirroredPlace::Known(place), None);
        let mut bytes = 0;
        let keys = self.unsaved.range(first..=last).take(limit);
        let states = keys.filter_map(|key| self.saved_form(key, place, epoch));
        let states = states.take_while(|state| {
            let is_first = bytes == 0;
            bytes += state.json.as_ref().map_or(0, bytes::Bytes::len).max(1);
            is_first || bytes <= MAX_UNSAVED_BYTES
        });
        states.collect()
    }

    fn saved_form(
        &self,
        key: &MirrorKey,
        place: PlaceId,
        epoch: Option<Epoch>,
    ) -> Option<SavedState> {
        let entry = self.entries.get(key)?;
        let state = &entry.state;
        Some(SavedState {
            place,
            kind: key.kind,
            number: key.number,
            owner: state.owner,
            address: state.spelt.as_deref().map(str::to_owned),
            node_id: state.node_id.clone(),
            json: Some(state.json.clone()).filter(SavedState::fits),
            event_id: state.event_id.clone(),
            updated_at: state.updated_at,
            version: entry.version,
            epoch,
        })
    }

    /// States are saved; one that changed meanwhile is still to be.
    pub(in crate::mirror) fn saved(&mut self, states: &[SavedState]) {
        for state in states {
            let key = key_of(state);
            let entry = self.entries.get(&key);
            if entry.is_some_and(|entry| entry.version == state.version) {
                self.unsaved.remove(&key);
            }
        }
    }

    /// All states of a place are to be saved.
    pub(in crate::mirror) fn forget_saved(&mut self, place: PlaceId) {
        let (first, last) = MirrorKey::bounds(&MirroredPlace::Known(place), None);
        let keys = self
            .entries
            .range(first..=last)
            .map(|(key, _)| Arc::clone(key));
        self.unsaved.extend(keys.collect::<Vec<_>>());
    }

    /// Takes a state that was saved while the log `epoch` was followed, unless a newer one is known. Returns how many others
    /// were evicted for it.
    pub(in crate::mirror) fn restore(
        &mut self,
        saved: &SavedState,
        facts: ListFacts,
        epoch: Option<Epoch>,
    ) -> u64 {
        let mut version = saved.version;
        if saved.epoch.is_none() || saved.epoch != epoch {
            version.sequence = Sequence(0);
        }
        self.see_saved(saved, version.made_at, version.sequence, version.on_time);
        let Some(json) = saved.json.clone() else {
            self.missing.add(saved.place, saved.kind);
            return 0;
        };
        let key = key_of(saved);
        let state = KeptState {
            node_id: saved.node_id.clone(),
            owner: saved.owner,
            spelt: saved.address.as_deref().map(Into::into),
            json,
            facts: Arc::new(facts),
            event_id: saved.event_id.clone(),
            sequence: version.sequence,
            updated_at: saved.updated_at,
            deleted: version.deleted,
        };
        let known = self.entries.get(&key);
        let is_known = known.is_some_and(|known| known.state.is_report_of(&state));
        let outcome = self.offer(&key, state, version);
        if is_known || matches!(outcome, ApplyOutcome::Newer { .. }) {
            self.unsaved.remove(&key);
        }
        match outcome {
            ApplyOutcome::Newer { evicted } => evicted,
            ApplyOutcome::Outdated | ApplyOutcome::Stateless => 0,
        }
    }

    fn see_saved(&mut self, saved: &SavedState, made_at: u64, sequence: Sequence, on_time: bool) {
        let ids = GithubIds {
            owner: saved.owner,
            repository: saved.repository(),
            resource: None,
        };
        if let Some(name) = saved.name() {
            let at = EventMoment { made_at, sequence };
            self.places.show(name, ids, at, on_time);
        }
    }

    /// Numbers of what is known of a list and not deleted.
    #[cfg(test)]
    pub(in crate::mirror) fn known_numbers(&self, place: PlaceId, kind: MirroredKind) -> Vec<u64> {
        let (first, last) = MirrorKey::bounds(&MirroredPlace::Known(place), Some(kind));
        let known = self.entries.range(first..=last);
        let living = known.filter(|(_, entry)| !entry.state.deleted);
        living.map(|(key, _)| key.number).collect()
    }

    /// Whether the table lacks states of a list that it was shown.
    pub(in crate::mirror) fn is_missing(&self, place: PlaceId, kind: MirroredKind) -> bool {
        self.missing.has(place, kind)
    }

    /// Why the table lacks states of a list that it was shown.
    pub(in crate::mirror) fn lack(&self, place: &str, kind: MirroredKind) -> Option<String> {
        let place = self.place_of(kind, place)?;
        if !self.is_missing(place, kind) {
            return None;
        }
        let (held, most) = (self.len(), self.max_resources);
        let (bytes, most_bytes) = (self.bytes >> 20, self.max_bytes >> 20);
        Some(if held >= most {
            format!(
                "not all of it is here: the mirror holds {held} of {most} resources; raise sync.max_resources"
            )
        } else {
            format!(
                "not all of it is here: the mirror holds {held} of {most} resources and {bytes} of {most_bytes} MiB; it is read \
                 again, and if that does not help, mirror fewer repositories or kinds (sync.resources)"
            )
        })
    }

    /// The table lacks states of a list.
    pub(in crate::mirror) fn note_missing(&mut self, place: PlaceId, kind: MirroredKind) {
        self.missing.add(place, kind);
    }

    /// The list is about to be read from its beginning.
    pub(in crate::mirror) fn forget_missing(&mut self, place: PlaceId, kind: MirroredKind) {
        self.missing.forget(place, kind);
    }
}

fn key_of(saved: &SavedState) -> MirrorKey {
    MirrorKey {
        place: MirroredPlace::Known(saved.place),
        kind: saved.kind,
        number: saved.number,
    }
}
