//! States from GitHub's lists.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use model::{GithubIds, PlaceId, ResourceId, Sequence, Timestamp, delivery_time};
use ports::MirroredKind;
use serde_json::Value;

use super::Table;
use crate::{
    listed::{ListedObject, ListedPlace},
    mirror::{
        facts::ListFacts,
        fuller::fuller,
        kept::{ApplyOutcome, KeptState},
        key::{MirrorKey, MirroredPlace},
        shown::{KnownBefore, LivingState, ShownOutcome, listed_event_id},
        version::{EventMoment, StateVersion},
    },
};

/// A state from a list, and where and when it was shown.
#[derive(Debug)]
pub(in crate::mirror) struct ListedState<'p> {
    place: &'p ListedPlace,
    pub(in crate::mirror) key: MirrorKey,
    state: KeptState,
    version: StateVersion,
}

/// A state that is known, for a comparison without the table's lock.
#[derive(Debug, PartialEq)]
pub(in crate::mirror) struct ComparedState {
    json: Bytes,
    version: StateVersion,
}

impl<'p> ListedState<'p> {
    /// Reads an object of a list that GitHub answered at this time.
    pub(in crate::mirror) fn new(
        place: &'p ListedPlace,
        object: &ListedObject,
        answered_at: Timestamp,
    ) -> Self {
        let state = KeptState {
            node_id: object.node_id.clone(),
            owner: Some(place.owner_id),
            spelt: Some(place.name().to_string().into()),
            json: object.json.clone(),
            facts: Arc::new(ListFacts::of(&object.json)),
            event_id: listed_event_id(&object.node_id, object.updated_at),
            sequence: Sequence(0),
            updated_at: object.updated_at,
            deleted: false,
        };
        Self {
            place,
            key: MirrorKey::listed(place, object.kind, object.number),
            version: version(&state, object.whole, answered_at),
            state,
        }
    }

    /// Takes what a known state says of a pull request, and a list does not, as far as it is still right.
    pub(in crate::mirror) fn keep_more_of(&mut self, known: &ComparedState) {
        if self.key.kind == MirroredKind::PullRequest {
            self.state.json = fuller(&self.state.json, &known.json);
        }
    }

    /// Whether it has the content of a known state; of JSON the spelling does not matter.
    pub(in crate::mirror) fn has_content_of(&self, known: &ComparedState) -> bool {
        let parse = |json: &[u8]| serde_json::from_slice::<Value>(json).ok();
        known.json == self.state.json
            || parse(&known.json).is_some_and(|value| Some(value) == parse(&self.state.json))
    }
}

fn version(state: &KeptState, whole: bool, answered_at: Timestamp) -> StateVersion {
    StateVersion {
        whole,
        updated_at: state.updated_at,
        deleted: state.deleted,
        made_at: delivery_time(None, answered_at),
        on_time: true,
        sequence: Sequence(0),
    }
}

impl Table {
    /// The state that a listed one is to be compared with.
    pub(in crate::mirror) fn compared(&self, key: &MirrorKey) -> Option<ComparedState> {
        let known = self.entries.get(key)?;
        Some(ComparedState {
            json: known.state.json.clone(),
            version: known.version,
        })
    }

    /// The node id and the state of what is known under a key.
    pub(in crate::mirror) fn known(&self, key: &MirrorKey) -> Option<(ResourceId, KnownBefore)> {
        let known = self.entries.get(key)?;
        Some((known.state.node_id.clone(), known.before()))
    }

    /// What is known of a kind in a place and not deleted, in the order of the numbers.
    pub(in crate::mirror) fn living(&self, place: PlaceId, kind: MirroredKind) -> Vec<LivingState> {
        let (first, last) = MirrorKey::bounds(&MirroredPlace::Known(place), Some(kind));
        let known = self.entries.range(first..=last);
        let living = known.filter(|(_, entry)| !entry.state.deleted);
        let living = living.map(|(key, entry)| LivingState {
            number: key.number,
            node_id: entry.state.node_id.clone(),
            updated_at: entry.state.updated_at,
            is_open: entry.is_open(),
            json: entry.state.json.clone(),
        });
        living.collect()
    }

    /// How many of a kind are known in a place, not deleted, and open.
    pub(in crate::mirror) fn count_open(&self, place: PlaceId, kind: MirroredKind) -> usize {
        let (first, last) = MirrorKey::bounds(&MirroredPlace::Known(place), Some(kind));
        let known = self.entries.range(first..=last).map(|(_, entry)| entry);
        known
            .filter(|entry| !entry.state.deleted && entry.is_open())
            .count()
    }

    /// Takes a state from a list unless a newer one is known; `same` is the known state, if that was found to have its
    /// content.
    pub(in crate::mirror) fn show(
        &mut self,
        listed: ListedState<'_>,
        same: Option<&ComparedState>,
    ) -> (ShownOutcome, u64) {
        let ListedState {
            place,
            key,
            state,
            mut version,
        } = listed;
        self.see(place, version.made_at);
        let Some(known) = self.entries.get_mut(&key) else {
            return self.take_shown(&key, (state, version), ShownOutcome::New);
        };
        let is_same_content = known.state.json == state.json
            || same.is_some_and(|same| same.version == known.version);
        if known.was_missed() && version.made_at > known.version.made_at {
            // A list that was read later has it: it is there after all.
            let after = known.version.updated_at.plus(Duration::from_millis(1));
            version.updated_at = version.updated_at.max(after);
        }
        if is_same_content && !known.state.deleted {
            known.version = known.version.max(version);
            return (ShownOutcome::Same, 0);
        }
        if version <= known.version {
            return (ShownOutcome::Outdated, 0);
        }
        let before = ShownOutcome::Newer {
            known: known.before(),
        };
        self.take_shown(&key, (state, version), before)
    }

    fn take_shown(
        &mut self,
        key: &MirrorKey,
        (state, version): (KeptState, StateVersion),
        outcome: ShownOutcome,
    ) -> (ShownOutcome, u64) {
        match self.offer(key, state, version) {
            ApplyOutcome::Newer { evicted } => (outcome, evicted),
            ApplyOutcome::Outdated | ApplyOutcome::Stateless => (ShownOutcome::Outdated, 0),
        }
    }

    /// Records that a resource is not on GitHub any more.
    pub(in crate::mirror) fn show_gone(
        &mut self,
        place: &ListedPlace,
        (kind, number): (MirroredKind, u64),
        answered_at: Timestamp,
    ) -> ShownOutcome {
        let key = MirrorKey::listed(place, kind, number);
        let Some(known) = self.entries.get(&key) else {
            return ShownOutcome::Outdated;
        };
        if known.state.deleted {
            return ShownOutcome::Same;
        }
        let state = KeptState {
            event_id: listed_event_id(&known.state.node_id, answered_at),
            sequence: Sequence(0),
            updated_at: answered_at,
            deleted: true,
            ..known.state.clone()
        };
        let version = version(&state, known.version.whole, answered_at);
        if version <= known.version {
            return ShownOutcome::Outdated;
        }
        let before = ShownOutcome::Newer {
            known: known.before(),
        };
        self.take_shown(&key, (state, version), before).0
    }

    /// A place is shown under its name.
    pub(in crate::mirror) fn see(&mut self, place: &ListedPlace, made_at: u64) {
        let at = EventMoment {
            made_at,
            sequence: Sequence(0),
        };
        let ids = GithubIds {
            owner: Some(place.owner_id),
            repository: place.repository.as_ref().map(|known| known.id),
            resource: None,
        };
        self.places.show(place.name(), ids, at, true);
    }
}
