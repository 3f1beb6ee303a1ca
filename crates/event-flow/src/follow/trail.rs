//! The follower's memory of the newest entries that it followed.
//!
//! A log whose store was put back to an earlier state gives out the same numbers again under the same epoch.
//! Only the entries themselves show it: every read of the log overlaps with the trail and is compared with
//! it.

use std::collections::VecDeque;

use model::{EntryTag, Sequence, Sequenced, StoredEvent, Timestamp};
use ports::{EventPage, EventsBefore, UndecodableEntry};

/// Maximum number of remembered entries (32 bytes each). A set-back that goes further is still noticed; the
/// follower then finds the place to continue by time.
pub(super) const TRAIL_ENTRIES: usize = 4096;

/// An entry that was followed, or as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FollowedEntry {
    pub(super) sequence: Sequence,
    pub(super) tag: EntryTag,
    /// `None` if it does not decode.
    pub(super) received_at: Option<Timestamp>,
}

impl FollowedEntry {
    fn of(event: &Sequenced<StoredEvent>) -> Self {
        Self {
            sequence: event.sequence,
            tag: EntryTag::of(&event.item.facts.id),
            received_at: Some(event.item.facts.received_at),
        }
    }

    fn undecodable(entry: &UndecodableEntry) -> Self {
        Self {
            sequence: entry.sequence,
            tag: entry.tag,
            received_at: None,
        }
    }

    /// The entries of a page that was read backwards, ascending.
    pub(super) fn all_of(page: &EventsBefore) -> Vec<Self> {
        let events = page.events.iter().map(Self::of);
        let undecodable = page.undecodable.iter().map(Self::undecodable);
        let mut all: Vec<_> = events.chain(undecodable).collect();
        all.sort_unstable_by_key(|entry| entry.sequence);
        all
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
        self.extend(events.iter().map(FollowedEntry::of));
    }

    /// Remembers entries after a position that were skipped, because they do not decode.
    pub(super) fn push_undecodable(&mut self, after: Sequence, entries: &[UndecodableEntry]) {
        let skipped = entries.iter().filter(|entry| entry.sequence > after);
        self.extend(skipped.map(FollowedEntry::undecodable));
    }

    /// Remembers further entries, ascending.
    pub(super) fn extend(&mut self, entries: impl IntoIterator<Item = FollowedEntry>) {
        self.entries.extend(entries);
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

    /// The time at which the oldest event among the entries was received.
    pub(super) fn oldest_time(&self) -> Option<Timestamp> {
        self.entries.iter().find_map(|entry| entry.received_at)
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
        // What was trimmed cannot be compared.
        let low = match page.undecodable.first() {
            Some(first) => first.sequence.previous(),
            None => page.resumes_after.unwrap_or(after),
        };
        let undecodable = page.undecodable.iter().map(FollowedEntry::undecodable);
        let logged = undecodable.chain(page.events.iter().map(FollowedEntry::of));
        self.difference_within(low.max(after), page.through, logged)
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
            undecodable: Vec::new(),
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
    fn an_entry_that_does_not_decode_is_the_followed_one_only_if_its_tag_says_so() {
        let undecodable = |sequence, tag| UndecodableEntry {
            sequence: Sequence(sequence),
            tag,
        };
        let tag = |n| EntryTag::of(&sequenced(n).item.facts.id);
        let unknown = EntryTag::UNDECODABLE;
        let mut trail = trail(5..=7);
        // It was skipped when it was followed.
        trail.push_undecodable(
            Sequence(7),
            &[undecodable(7, tag(7)), undecodable(8, unknown)],
        );
        trail.push(&[sequenced(9)]);
        let difference = |first: u64, entries: Vec<UndecodableEntry>| {
            let is_event = |n: &u64| entries.iter().all(|entry| entry.sequence.0 != *n);
            let after = EventPage {
                events: (first..=9).filter(is_event).map(sequenced).collect(),
                through: Sequence(9),
                at_head: true,
                // Everything before was trimmed.
                resumes_after: entries.last().map(|last| last.sequence),
                undecodable: entries,
            };
            let before = EventsBefore {
                events: after.events.iter().rev().cloned().collect(),
                undecodable: after.undecodable.clone(),
            };
            let logged = FollowedEntry::all_of(&before).into_iter();
            let (low, high) = (Sequence(first - 1), Sequence(9));
            let backwards = trail.difference_within(low, high, logged);
            assert_eq!(trail.difference(low, &after), backwards);
            backwards
        };
        let same = vec![undecodable(7, tag(7)), undecodable(8, unknown)];
        assert_eq!(difference(7, same), None);
        let other = vec![undecodable(7, tag(70)), undecodable(8, unknown)];
        assert_eq!(difference(7, other), Some(Sequence(7)), "another");
        let untold = vec![undecodable(7, unknown), undecodable(8, unknown)];
        assert_eq!(difference(7, untold), Some(Sequence(7)), "no proof");
        assert_eq!(difference(8, vec![undecodable(8, unknown)]), None);
        assert_eq!(
            difference(8, vec![]),
            Some(Sequence(8)),
            "it did not decode"
        );
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
