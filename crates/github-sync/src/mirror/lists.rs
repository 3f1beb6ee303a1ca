//! What GitHub's lists and the store bring to the mirror.

use model::{ResourceId, Timestamp};
use ports::{MirrorProgress, MirroredKind};

use super::{
    Mirror,
    facts::ListFacts,
    key::MirrorKey,
    saved::SavedState,
    shown::{KnownBefore, LivingState, ShownAs, ShownOutcome},
    table::ListedState,
};
use crate::{
    listed::{ListedObject, ListedPlace},
    metrics::ListedOutcome,
};

impl Mirror {
    /// Takes a state from a list, unless a newer one is known. `answered_at` is a time from which on GitHub's answer cannot
    /// be older: that of the request.
    pub(crate) fn show(
        &self,
        place: &ListedPlace,
        object: &ListedObject,
        answered_at: Timestamp,
        reading: ShownAs,
    ) -> ShownOutcome {
        let mut known = {
            let key = MirrorKey::listed(place, object.kind, object.number);
            self.table.lock().compared(&key)
        };
        let (outcome, evicted, table) = loop {
            // Without the lock: an object may be large.
            let mut listed = ListedState::new(place, object, answered_at);
            known.iter().for_each(|known| listed.keep_more_of(known));
            let same = known.as_ref().filter(|known| listed.has_content_of(known));
            let mut table = self.table.lock();
            let present = table.compared(&listed.key);
            if present == known {
                let (outcome, evicted) = table.show(listed, same);
                break (outcome, evicted, table);
            }
            // An event was faster.
            known = present;
        };
        self.count(&table, evicted);
        self.metrics.listed(reading, label_of(&outcome));
        outcome
    }

    /// Records that a resource is no longer in a list that is read whole, or that GitHub says it is gone. What is not known
    /// is [`ShownOutcome::Outdated`].
    pub(crate) fn show_gone(
        &self,
        place: &ListedPlace,
        kind: MirroredKind,
        number: u64,
        answered_at: Timestamp,
    ) -> ShownOutcome {
        let mut table = self.table.lock();
        let outcome = table.show_gone(place, (kind, number), answered_at);
        self.metrics.listed(ShownAs::compared, label_of(&outcome));
        outcome
    }

    /// What is known of a resource: its node id and its state.
    pub(crate) fn known(
        &self,
        place: &ListedPlace,
        kind: MirroredKind,
        number: u64,
    ) -> Option<(ResourceId, KnownBefore)> {
        let key = MirrorKey::listed(place, kind, number);
        self.table.lock().known(&key)
    }

    /// All that is known of a kind in a place and not deleted, in the order of the numbers.
    pub(crate) fn living(&self, place: &ListedPlace, kind: MirroredKind) -> Vec<LivingState> {
        self.table.lock().living(place.id(), kind)
    }

    /// How many of a kind are known in a place, not deleted, and open.
    pub(crate) fn count_open(&self, place: &ListedPlace, kind: MirroredKind) -> usize {
        self.table.lock().count_open(place.id(), kind)
    }

    /// The number of resources that are known.
    pub(crate) fn resources(&self) -> usize {
        self.table.lock().len()
    }

    /// Numbers of the resources of a list that are known and not deleted, in their order.
    #[cfg(test)]
    pub(crate) fn known_numbers(&self, place: &ListedPlace, kind: MirroredKind) -> Vec<u64> {
        self.table.lock().known_numbers(place.id(), kind)
    }

    /// States of a place that differ from what is saved, up to `limit` and 8 MiB; none if everything is saved.
    pub(crate) fn unsaved(&self, place: &ListedPlace, limit: usize) -> Vec<SavedState> {
        let epoch = self.followed.borrow().epoch;
        self.table.lock().unsaved(place.id(), limit, epoch)
    }

    /// States are in the store now; one that changed meanwhile is still unsaved.
    pub(crate) fn saved(&self, states: &[SavedState]) {
        self.table.lock().saved(states);
    }

    /// Takes states that an earlier process saved; a newer one that is known stays.
    pub(crate) fn restore(&self, states: Vec<SavedState>) {
        for state in states {
            let facts = state.json.as_deref().map(ListFacts::of);
            let epoch = self.followed.borrow().epoch;
            let mut table = self.table.lock();
            let evicted = table.restore(&state, facts.unwrap_or_default(), epoch);
            self.count(&table, evicted);
        }
    }

    /// Whether states of a list that was shown are not in the mirror any more: it cannot be said to be whole.
    pub(crate) fn is_missing(&self, place: &ListedPlace, kind: MirroredKind) -> bool {
        self.table.lock().is_missing(place.id(), kind)
    }

    /// Why the mirror lacks states of the list of a place, by its name in lower case; `None` if it has all that it was shown.
    pub(crate) fn lack(&self, place: &str, kind: MirroredKind) -> Option<String> {
        self.table.lock().lack(place, kind)
    }

    /// States of a list are not in the store: the mirror lacks them.
    pub(crate) fn note_missing(&self, place: &ListedPlace, kind: MirroredKind) {
        self.table.lock().note_missing(place.id(), kind);
    }

    /// The list is about to be read from its beginning, with everything that is in it.
    pub(crate) fn forget_missing(&self, place: &ListedPlace, kind: MirroredKind) {
        self.table.lock().forget_missing(place.id(), kind);
    }

    /// Notes how far a list has been read. `place` is `owner/repo`, or the login of an owner, in any case. With a `failure`,
    /// the time before stays if none is given.
    pub(crate) fn note_progress(
        &self,
        place: &str,
        kind: MirroredKind,
        as_of: Option<Timestamp>,
        failure: Option<String>,
    ) {
        let mut progress = self.progress.lock();
        progress.note(place, kind, as_of, failure);
    }

    /// Since when a list is known to be whole.
    pub(crate) fn list_as_of(&self, place: &str, kind: MirroredKind) -> Option<Timestamp> {
        self.progress.lock().as_of(place, kind)
    }

    /// What the store has of a place is not known any more: all of it is stored again.
    pub(crate) fn forget_saved(&self, place: &ListedPlace) {
        self.table.lock().forget_saved(place.id());
    }

    /// A place is not mirrored any more, or not under this name.
    pub(crate) fn forget_progress(&self, place: &str) {
        self.progress.lock().forget(place);
    }

    /// What is mirrored, in the order of the places.
    pub(crate) fn list_progress(&self) -> Vec<MirrorProgress> {
        self.progress.lock().all()
    }
}

fn label_of(outcome: &ShownOutcome) -> ListedOutcome {
    match outcome {
        ShownOutcome::New => ListedOutcome::new,
        ShownOutcome::Newer { .. } => ListedOutcome::newer,
        ShownOutcome::Same => ListedOutcome::same,
        ShownOutcome::Outdated => ListedOutcome::outdated,
    }
}

#[cfg(test)]
pub(super) mod tests;
