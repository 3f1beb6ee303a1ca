//! Where the table does not have everything that it was shown.

use std::collections::BTreeSet;

use model::PlaceId;
use ports::MirroredKind;

use crate::limits::MAX_MISSING_LISTS;

/// The lists of which states were evicted, or were too large for the store. Beyond the bound every list counts as one of
/// them.
#[derive(Debug, Default)]
pub(super) struct MissingStates {
    lists: BTreeSet<(PlaceId, MirroredKind)>,
    too_many: bool,
}

impl MissingStates {
    pub(super) fn add(&mut self, place: PlaceId, kind: MirroredKind) {
        if self.lists.len() >= MAX_MISSING_LISTS && !self.lists.contains(&(place, kind)) {
            self.too_many = true;
            return;
        }
        self.lists.insert((place, kind));
    }

    /// The list is about to be read from its beginning.
    pub(super) fn forget(&mut self, place: PlaceId, kind: MirroredKind) {
        self.lists.remove(&(place, kind));
    }

    pub(super) fn has(&self, place: PlaceId, kind: MirroredKind) -> bool {
        self.too_many || self.lists.contains(&(place, kind))
    }
}
