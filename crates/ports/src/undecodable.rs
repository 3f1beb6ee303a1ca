//! Entries of an event log that do not decode: damaged, or written by a build that this one does not
//! understand. An adapter skips them, and its readers learn of the gap (EL-15).

use std::{collections::BTreeSet, sync::Arc};

use model::{Sequence, Sequenced, StoredEvent};
use parking_lot::Mutex;

/// Number of entries that [`UndecodableEntries`] remembers, so that an entry that many readers skip
/// counts once. Beyond it the lowest are forgotten and may count again.
const REMEMBERED_ENTRIES: usize = 1024;

/// Counts the undecodable entries that the handles of a process have skipped. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct UndecodableEntries(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    entries: u64,
    remembered: BTreeSet<Sequence>,
}

impl UndecodableEntries {
    /// Counts an entry; returns whether it is new, so that it is worth a line in the log.
    pub fn record(&self, sequence: Sequence) -> bool {
        let mut counted = self.0.lock();
        if !counted.remembered.insert(sequence) {
            return false;
        }
        counted.entries += 1;
        if counted.remembered.len() > REMEMBERED_ENTRIES {
            counted.remembered.pop_first();
        }
        true
    }

    /// Number of entries skipped so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.lock().entries
    }

    /// Forgets the positions, not the count: another log has other entries at them.
    pub fn forget_positions(&self) {
        self.0.lock().remembered.clear();
    }
}

/// Collects the entries of one page of `read_after`. A page holds at most one gap, at its front: it
/// ends before the first undecodable entry that follows an event, and the next page begins with it.
#[derive(Debug, Default)]
pub struct PageEntries {
    /// Events, ascending.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// Number of undecodable entries before the first event.
    pub undecodable: usize,
    /// The last of those.
    pub undecodable_through: Option<Sequence>,
}

impl PageEntries {
    /// Takes the next entry, `None` if it does not decode; returns false, and leaves the entry to the
    /// next page, if the page ends before it.
    #[must_use]
    pub fn push(&mut self, sequence: Sequence, item: Option<StoredEvent>) -> bool {
        match item {
            Some(item) => self.events.push(Sequenced { sequence, item }),
            None if self.events.is_empty() => {
                self.undecodable += 1;
                self.undecodable_through = Some(sequence);
            }
            None => return false,
        }
        true
    }

    /// Number of entries in the page.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.undecodable
    }

    /// Whether the page has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of the last entry.
    #[must_use]
    pub fn last(&self) -> Option<Sequence> {
        let event = self.events.last().map(|event| event.sequence);
        event.or(self.undecodable_through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_many_readers_skip_counts_once() {
        let entries = UndecodableEntries::default();
        for _ in 0..3 {
            entries.record(Sequence(7));
        }
        assert!(entries.record(Sequence(8)));
        assert_eq!(entries.count(), 2);
        entries.forget_positions();
        assert!(entries.record(Sequence(7)), "of another log");
    }

    #[test]
    fn the_positions_that_are_remembered_have_a_bound() {
        let entries = UndecodableEntries::default();
        for sequence in 0..5000 {
            entries.record(Sequence(sequence));
        }
        assert_eq!(entries.count(), 5000);
        assert_eq!(entries.0.lock().remembered.len(), REMEMBERED_ENTRIES);
    }
}
