//! The name under which each owner and repository was shown last: what tells that the next event shows another one.

use std::collections::{BTreeSet, HashMap};

use model::{Epoch, PlaceId, Sequence};

use super::change::ShownPlace;
use crate::limits::{MAX_SHOWN_PLACES_OF_PART, SHOWN_PARTS};

/// The places that events have shown, in parts that are stored each by itself.
#[derive(Debug)]
pub(super) struct ShownPlaces {
    parts: Vec<HashMap<PlaceId, ShownPlace>>,
    /// Parts with something that is not stored.
    unstored: BTreeSet<usize>,
}

impl Default for ShownPlaces {
    fn default() -> Self {
        Self {
            parts: vec![HashMap::new(); SHOWN_PARTS],
            unstored: BTreeSet::new(),
        }
    }
}

/// The part of a place.
fn part_of(id: PlaceId) -> usize {
    usize::try_from(id.number() % SHOWN_PARTS as u64).unwrap_or_default()
}

impl ShownPlaces {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(HashMap::is_empty)
    }

    pub(super) fn get(&self, id: PlaceId) -> Option<&ShownPlace> {
        self.parts[part_of(id)].get(&id)
    }

    /// A place is shown under this name from now on; returns the place that is forgotten for it, if there is no room.
    pub(super) fn set(&mut self, place: ShownPlace) -> Option<PlaceId> {
        let number = part_of(place.id);
        self.unstored.insert(number);
        let part = &mut self.parts[number];
        let is_full = part.len() >= MAX_SHOWN_PLACES_OF_PART && !part.contains_key(&place.id);
        part.insert(place.id, place);
        if !is_full {
            return None;
        }
        let oldest = part.values().min_by_key(|place| (place.at, place.id));
        let oldest = oldest.map(|place| place.id)?;
        part.remove(&oldest);
        Some(oldest)
    }

    /// All places, in the order in which they were shown: first those of other logs than this one.
    pub(super) fn in_order(&self, epoch: Option<Epoch>) -> Vec<&ShownPlace> {
        let mut places: Vec<_> = self.parts.iter().flat_map(HashMap::values).collect();
        places.sort_by_key(|place| (Some(place.epoch) == epoch, place.at, place.id));
        places
    }

    /// The log lost what came after a position.
    pub(super) fn set_back(&mut self, epoch: Option<Epoch>, resumes_after: Sequence) {
        for place in self.parts.iter_mut().flat_map(HashMap::values_mut) {
            if Some(place.epoch) == epoch {
                place.at = place.at.min(resumes_after);
            }
        }
    }

    /// Takes a stored part; of two names of one place the later one counts. Returns whether something changed here,
    /// and whether the stored part lacks something.
    pub(super) fn merge(
        &mut self,
        number: usize,
        stored: Vec<ShownPlace>,
        epoch: Option<Epoch>,
    ) -> (bool, bool) {
        let Some(part) = self.parts.get_mut(number) else {
            return (false, false);
        };
        let age = |place: &ShownPlace| (Some(place.epoch) == epoch, place.at);
        let known = stored.len();
        let (mut has_changed, mut is_same) = (false, 0);
        for place in stored {
            match part.get(&place.id) {
                Some(own) if *own == place => is_same += 1,
                Some(own) if age(own) >= age(&place) => {}
                None if part.len() >= MAX_SHOWN_PLACES_OF_PART => {}
                _ => {
                    has_changed = true;
                    is_same += 1;
                    part.insert(place.id, place);
                }
            }
        }
        self.unstored.remove(&number);
        (has_changed, is_same < part.len() || is_same < known)
    }

    pub(super) fn part(&self, number: usize) -> Vec<ShownPlace> {
        let mut places: Vec<_> = self.parts[number].values().cloned().collect();
        places.sort_by_key(|place| place.id);
        places
    }

    pub(super) fn keep(&mut self, number: usize) {
        self.unstored.insert(number);
    }

    pub(super) fn unstored(&self) -> Vec<usize> {
        self.unstored.iter().copied().collect()
    }
}
