//! Entries of an event log that do not decode: damaged, or written by a build that this one does not
//! understand. The log skips them, and its readers learn of the gap (EL-15).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{EntryTag, Epoch, Sequence, Sequenced, StoredEvent};
use parking_lot::Mutex;
use ports::UndecodableEntry;

/// Number of ranges of entries that [`UndecodableEntries`] remembers, so that an entry that many readers skip
/// counts once; the entries of a flood are one range. Beyond it the lowest two become one, with what is
/// between them: an entry there that is first read later does not count.
const REMEMBERED_RANGES: usize = 1024;
/// Shortest time between two lines of the log about entries that do not decode: a line is worth reading, and
/// a flood of entries is not a flood of lines.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// Counts the undecodable entries that the handles of a process have skipped. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndecodableEntries(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    entries: u64,
    /// The first and the last position of each range.
    ranges: BTreeMap<u64, u64>,
    /// Entries since the last line.
    untold: u64,
    told_at: Option<Instant>,
    /// The log whose positions these are; `None` until it is known.
    epoch: Option<Epoch>,
}

impl UndecodableEntries {
    /// Counts an entry, unless it was counted before. Returns the number of entries that a line of the log
    /// should name now, this one among them; `None` if there was one less than a minute ago, or if there is
    /// nothing new.
    #[must_use]
    pub(crate) fn record(&self, sequence: Sequence) -> Option<u64> {
        self.record_at(sequence, Instant::now())
    }

    fn record_at(&self, sequence: Sequence, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock();
        if !counted.remember(sequence.0) {
            return None;
        }
        counted.entries += 1;
        counted.untold += 1;
        let last = counted.told_at;
        if last.is_some_and(|last| now.saturating_duration_since(last) < LINE_INTERVAL) {
            return None;
        }
        counted.told_at = Some(now);
        Some(std::mem::take(&mut counted.untold))
    }

    /// Number of entries skipped so far.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().entries
    }

    /// Forgets the positions, not the count, if they were those of another log: it has other entries at them.
    pub(crate) fn are_of(&self, epoch: Epoch) {
        let mut counted = self.0.lock();
        let known = counted.epoch.replace(epoch);
        if known.is_some_and(|known| known != epoch) {
            counted.ranges.clear();
        }
    }
}

impl Counted {
    /// Adds a position to the ranges; false if it is in one of them.
    fn remember(&mut self, position: u64) -> bool {
        let before = self.ranges.range(..=position).next_back();
        let before = before.map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= position) {
            return false;
        }
        let joined = before.filter(|(_, last)| last + 1 == position);
        let first = joined.map_or(position, |(first, _)| first);
        let after = position.checked_add(1);
        let last = after.and_then(|after| self.ranges.remove(&after));
        self.ranges.insert(first, last.unwrap_or(position));
        if self.ranges.len() > REMEMBERED_RANGES
            && let Some((first, _)) = self.ranges.pop_first()
            && let Some((_, last)) = self.ranges.pop_first()
        {
            self.ranges.insert(first, last);
        }
        true
    }
}

/// Collects the entries of one page of `read_after`. A page holds at most one gap, at its front: it
/// ends before the first undecodable entry that follows an event, and the next page begins with it.
#[derive(Debug, Default)]
pub struct PageEntries {
    /// Events, ascending.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// The undecodable entries before the first event, ascending.
    pub undecodable: Vec<UndecodableEntry>,
}

impl PageEntries {
    /// An empty page with room for events.
    pub fn with_capacity(events: usize) -> Self {
        Self {
            events: Vec::with_capacity(events),
            undecodable: Vec::new(),
        }
    }

    /// Takes the next entry, or its tag if it does not decode; returns false, and leaves the entry to the
    /// next page, if the page ends before it.
    #[must_use]
    pub fn push(&mut self, sequence: Sequence, item: Result<StoredEvent, EntryTag>) -> bool {
        match item {
            Ok(item) => self.events.push(Sequenced { sequence, item }),
            Err(tag) if self.events.is_empty() => {
                self.undecodable.push(UndecodableEntry { sequence, tag });
            }
            Err(_) => return false,
        }
        true
    }

    /// The last undecodable entry before the first event.
    #[must_use]
    pub fn undecodable_through(&self) -> Option<Sequence> {
        self.undecodable.last().map(|entry| entry.sequence)
    }

    /// Number of entries in the page.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.undecodable.len()
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
        event.or(self.undecodable_through())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_many_readers_skip_counts_once() {
        let entries = UndecodableEntries::default();
        for sequence in [7, 9, 8, 7, 9, 8, 1] {
            let _ = entries.record(Sequence(sequence));
        }
        assert_eq!(entries.count(), 4);
        assert_eq!(entries.0.lock().ranges, BTreeMap::from([(1, 1), (7, 9)]));
        for (epoch, count) in [(1, 4), (1, 4), (2, 5), (2, 5)] {
            entries.are_of(Epoch(epoch));
            let _ = entries.record(Sequence(7));
            assert_eq!(entries.count(), count, "in log {epoch}");
        }
    }

    #[test]
    fn a_flood_counts_once_however_often_it_is_read_and_is_told_once_a_minute() {
        let entries = UndecodableEntries::default();
        let (mut now, mut lines) = (Instant::now(), Vec::new());
        for _ in 0..4 {
            for sequence in 1..=6000 {
                lines.extend(entries.record_at(Sequence(sequence), now));
            }
            now += LINE_INTERVAL;
        }
        assert_eq!((entries.count(), lines), (6000, vec![1]));
        let line = entries.record_at(Sequence(6001), now);
        assert_eq!(line, Some(6000), "with those that no line has named yet");
    }

    #[test]
    fn the_ranges_that_are_remembered_have_a_bound_and_forget_nothing() {
        let entries = UndecodableEntries::default();
        for _ in 0..2 {
            for sequence in (0..10_000).step_by(2) {
                let _ = entries.record(Sequence(sequence));
            }
        }
        assert_eq!(entries.count(), 5000);
        assert_eq!(entries.0.lock().ranges.len(), REMEMBERED_RANGES);
        assert!(entries.record(Sequence(u64::MAX)).is_none() && entries.count() == 5001);
    }
}
