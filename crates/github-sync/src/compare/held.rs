//! Changes that wait for their webhooks, and where their lists were read to.
//!
//! The list is read on meanwhile, so that one in which something always changes gets newer all the same. What is stored is how far
//! the list was read before the first change that waits: a process that begins there reads it once more, and misses nothing.

use std::collections::{BTreeMap, VecDeque};

use model::Timestamp;
use parking_lot::Mutex;
use ports::MirroredKind;

use super::place_records::PlaceLabel;
use crate::{limits::MAX_HELD_BYTES, listed::ListedObject, lists::ListCheckpoint};

/// What waits of the lists that this process has read.
#[derive(Debug, Default)]
pub(super) struct HeldChanges(Mutex<BTreeMap<(PlaceLabel, MirroredKind), HeldList>>);

/// What waits of a list.
#[derive(Debug, Default)]
pub(super) struct HeldList {
    /// Where the list was read to.
    pub(super) cursor: ListCheckpoint,
    /// When it was last read to its end there: but for what waits, it is whole as of then.
    pub(super) read_as_of: Option<Timestamp>,
    steps: VecDeque<HeldStep>,
}

/// What waits of a step through a list.
#[derive(Debug)]
pub(super) struct HeldStep {
    /// Where the list was read to before.
    pub(super) before: ListCheckpoint,
    /// Since when the list was known to be whole before.
    pub(super) whole_as_of: Option<Timestamp>,
    /// A time from which on GitHub's answer cannot be older: that of the request.
    pub(super) as_of: Timestamp,
    /// When they were seen first, by the own clock.
    pub(super) seen_at: Timestamp,
    pub(super) objects: Vec<ListedObject>,
}

impl HeldChanges {
    /// Takes what waits of a list, if it belongs to what is stored of it: else another replica has read the list since.
    pub(super) fn take(
        &self,
        label: &PlaceLabel,
        kind: MirroredKind,
        (stored, as_of): (&ListCheckpoint, Option<Timestamp>),
    ) -> HeldList {
        let held = self.0.lock().remove(&(label.clone(), kind));
        held.filter(|held| held.stored() == stored)
            .unwrap_or_else(|| HeldList {
                cursor: stored.clone(),
                read_as_of: as_of,
                steps: VecDeque::new(),
            })
    }

    /// Puts it back.
    pub(super) fn put(&self, label: &PlaceLabel, kind: MirroredKind, held: HeldList) {
        if !held.steps.is_empty() {
            self.0.lock().insert((label.clone(), kind), held);
        }
    }
}

impl HeldList {
    /// What may be stored: where the list was read to before the first change that waits.
    pub(super) fn stored(&self) -> &ListCheckpoint {
        self.steps.front().map_or(&self.cursor, |step| &step.before)
    }

    /// Since when the list is known to be whole, where something of it waits.
    pub(super) fn whole_as_of(&self) -> Option<Option<Timestamp>> {
        self.steps.front().map(|step| step.whole_as_of)
    }

    /// All that waits, to be judged again.
    pub(super) fn take_steps(&mut self) -> VecDeque<HeldStep> {
        std::mem::take(&mut self.steps)
    }

    /// Holds what waits of a step; nothing beyond the bound, where the list is read again from before it instead.
    pub(super) fn hold(&mut self, step: HeldStep) {
        let bytes = |step: &HeldStep| step.objects.iter().map(|it| it.json.len()).sum::<usize>();
        let held: usize = self.steps.iter().map(bytes).sum();
        if step.objects.is_empty() {
            return;
        }
        if held + bytes(&step) > MAX_HELD_BYTES {
            // Its place stays, so that nothing behind it is stored as read.
            let objects = Vec::new();
            self.steps.push_back(HeldStep { objects, ..step });
            return;
        }
        self.steps.push_back(step);
    }

    /// Whether a step was too much to be held: then the list is read again from there.
    pub(super) fn is_over_bound(&self) -> bool {
        self.steps.iter().any(|step| step.objects.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.steps
            .iter()
            .map(|step| step.objects.len().max(1))
            .sum()
    }
}
