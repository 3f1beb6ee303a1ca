//! The follower's memory of the newest entries that it followed.
//!
//! A log whose store was put back to an earlier state gives out the same numbers again under the same epoch.
//! Only the entries themselves show it: every read of the log overlaps with the trail and is compared with
//! it.

use std::collections::VecDeque;

use model::{EntryTag, Sequence, Sequenced, StoredEvent, Timestamp};
use ports::EventPage;

/// Maximum number of remembered entries (32 bytes each). A set-back that goes further is still noticed; the
/// follower then finds the place to continue by time.
pub(super) const TRAIL_ENTRIES: usize = 4096;

/// An entry that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FollowedEntry {
    pub(super) sequence: Sequence,
    pub(super) tag: EntryTag,
    pub(super) received_at: Timestamp,
}

impl FollowedEntry {
    pub(super) fn of(event: &Sequenced<StoredEvent>) -> Self {
        Self {
            sequence: event.sequence,
            tag: EntryTag::of(&event.item.facts.id),
            received_at: event.item.facts.received_at,
        }
    }
}

/// The newest followed entries, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    entries: VecDeque<FollowedEntry>,
    /// Entries up to here came from the log or were compared with it; later ones came from hints alone.
    compared: Sequence,
}

impl Trail {
    /// Remembers events that were passed on.
    pub(super) fn push(&mut self, events: &[Sequenced<StoredEvent>]) {
        self.entries.extend(events.iter().map(FollowedEntry::of));
        let excess = self.entries.len().saturating_sub(TRAIL_ENTRIES);
        self.entries.drain(..excess);
    }

    /// Everything up to `sequence` is as the log has it.
    pub(super) fn set_compared(&mut self, sequence: Sequence) {
        self.compared = self.compared.max(sequence);
    }

    pub(super) fn first(&self) -> Option<FollowedEntry> {
        self.entries.front().copied()
    }

    /// The tag of the entry at a position.
    pub(super) fn tag_at(&self, sequence: Sequence) -> Option<EntryTag> {
        let found = self.after(sequence.previous()).next();
        found
            .filter(|entry| entry.sequence == sequence)
            .map(|entry| entry.tag)
    }

    /// The position to read after, so that the page shows the last compared entry and those that were not
    /// compared yet.
    pub(super) fn overlap(&self, position: Sequence) -> Sequence {
        let compared = self
            .entries
            .partition_point(|entry| entry.sequence < self.compared);
        let newest = self.entries.len().saturating_sub(1);
        let first = self.entries.get(compared.min(newest));
        first.map_or(position, |entry| entry.sequence.previous())
    }

    /// Number of remembered entries after a position.
    pub(super) fn count_after(&self, position: Sequence) -> usize {
        self.after(position).count()
    }

    /// Whether an event of the bus has the place of an entry with another id.
    pub(super) fn contradicts(&self, event: &Sequenced<StoredEvent>) -> bool {
        let (Some(first), Some(last)) = (self.entries.front(), self.entries.back()) else {
            return false;
        };
        (first.sequence..=last.sequence).contains(&event.sequence)
            && self.tag_at(event.sequence) != Some(EntryTag::of(&event.item.facts.id))
    }

    /// The lowest position at which a page that was read after `after` differs from the trail.
    pub(super) fn difference(&self, after: Sequence, page: &EventPage) -> Option<Sequence> {
        let low = page.resumes_after.unwrap_or(after).max(after);
        let logged = page.events.iter().map(FollowedEntry::of);
        self.difference_within(low, page.through, logged)
    }

    /// The lowest position after `low` and up to `high` at which the log, whose entries there are `logged`
    /// (ascending), differs from the trail.
    pub(super) fn difference_within(
        &self,
        low: Sequence,
        high: Sequence,
        logged: impl Iterator<Item = FollowedEntry>,
    ) -> Option<Sequence> {
        let (first, last) = (
            self.entries.front()?.sequence,
            self.entries.back()?.sequence,
        );
        let (low, high) = (low.max(first.previous()), high.min(last));
        let in_range = |entry: &FollowedEntry| entry.sequence > low && entry.sequence <= high;
        let mut logged = logged.filter(in_range);
        let mut known = self.after(low).take_while(|entry| entry.sequence <= high);
        loop {
            match (logged.next(), known.next()) {
                (None, None) => return None,
                (Some(ours), Some(theirs))
                    if (ours.sequence, ours.tag) == (theirs.sequence, theirs.tag) => {}
                (ours, theirs) => {
                    let sequences = ours.iter().chain(theirs);
                    return sequences.map(|entry| entry.sequence).min();
                }
            }
        }
    }

    /// Forgets everything after a position.
    pub(super) fn step_back(&mut self, resumes_after: Sequence) {
        let kept = self
            .entries
            .partition_point(|entry| entry.sequence <= resumes_after);
        self.entries.truncate(kept);
        self.compared = self.compared.min(resumes_after);
    }

    fn after(&self, position: Sequence) -> impl Iterator<Item = &FollowedEntry> {
        let start = self
            .entries
            .partition_point(|entry| entry.sequence <= position);
        self.entries.range(start..)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sequenced;
    use super::*;

    fn trail(numbers: std::ops::RangeInclusive<u64>) -> Trail {
        let mut trail = Trail::default();
        trail.push(&numbers.map(sequenced).collect::<Vec<_>>());
        trail
    }

    fn renamed(sequence: u64, id: u64) -> Sequenced<StoredEvent> {
        Sequenced {
            sequence: Sequence(sequence),
            ..sequenced(id)
        }
    }

    #[test]
    fn only_an_entry_in_the_place_of_another_contradicts() {
        let trail = trail(5..=9);
        assert!(!trail.contradicts(&sequenced(7)));
        assert!(trail.contradicts(&renamed(7, 70)));
        assert!(!trail.contradicts(&renamed(4, 40)), "not remembered");
        assert!(!trail.contradicts(&renamed(10, 100)), "not followed yet");
    }

    #[test]
    fn the_lowest_difference_is_found_and_what_was_trimmed_is_not_compared() {
        let trail = trail(5..=9);
        let page = |events: Vec<_>, resumes_after: Option<u64>| EventPage {
            through: events
                .last()
                .map_or(Sequence(5), |last: &Sequenced<_>| last.sequence),
            events,
            at_head: true,
            undecodable: 0,
            resumes_after: resumes_after.map(Sequence),
        };
        let same = page((6..=12).map(sequenced).collect(), None);
        assert_eq!(trail.difference(Sequence(5), &same), None);
        let trimmed = page(vec![sequenced(9)], Some(8));
        assert_eq!(trail.difference(Sequence(5), &trimmed), None);
        let other = page(vec![sequenced(6), renamed(7, 70), renamed(8, 80)], None);
        assert_eq!(trail.difference(Sequence(5), &other), Some(Sequence(7)));
        let hole = page(vec![sequenced(6), sequenced(8)], None);
        assert_eq!(trail.difference(Sequence(5), &hole), Some(Sequence(7)));
    }

    #[test]
    fn a_read_overlaps_with_what_was_not_compared() {
        let mut trail = trail(1..=100);
        assert_eq!(trail.overlap(Sequence(100)), Sequence::START);
        trail.set_compared(Sequence(97));
        assert_eq!(trail.overlap(Sequence(100)), Sequence(96));
        trail.set_compared(Sequence(100));
        assert_eq!(trail.overlap(Sequence(100)), Sequence(99));
        trail.step_back(Sequence(50));
        assert_eq!(trail.overlap(Sequence(50)), Sequence(49));
        assert_eq!(Trail::default().overlap(Sequence(7)), Sequence(7));
    }
}
