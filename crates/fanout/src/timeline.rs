//! The history of the log's identity, as far as this edge saw it: which log it is, and when its store was
//! put back to an earlier state.

use std::{collections::HashMap, sync::Arc};

use model::{EntryTag, Epoch, LogPosition, Sequence};

/// Tags of entries by their numbers.
pub(crate) type RemovedEntries = HashMap<Sequence, EntryTag>;

/// Maximum number of remembered set-backs. Positions from before an older one are no longer moved.
const MAX_SET_BACKS: usize = 16;

/// Maximum number of remembered lost positions. One that is forgotten is compared again when its session's
/// stream is opened.
const MAX_LOST_POSITIONS: usize = 1024;

/// The log, and the set-backs that this edge saw. A position is valid only together with these: after a
/// set-back the log gives out the same numbers again.
#[derive(Debug, Clone)]
pub struct LogTimeline {
    epoch: Epoch,
    /// The generation in which this log was found.
    began: u32,
    /// Oldest first.
    set_backs: Vec<SetBackRange>,
    /// The entries that each of them removed, as far as this edge had them in memory.
    removed: Vec<Arc<RemovedEntries>>,
    /// Stored positions whose entries were lost before this edge began; oldest first.
    lost: Vec<(Sequence, EntryTag)>,
}

/// The numbers that the log gives out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetBackRange {
    /// The generation of the log that began with the set-back.
    pub(crate) generation: u32,
    /// The edge's position before it.
    pub(crate) was: Sequence,
    /// The log is the same up to here.
    pub(crate) resumes_after: Sequence,
}

impl SetBackRange {
    /// Where a position from before the set-back continues. A position that was reached since then, within
    /// the same numbers, moves back too: it then repeats events, and misses none.
    pub(crate) fn moved(&self, position: Sequence) -> Sequence {
        if position > self.resumes_after && position <= self.was {
            self.resumes_after
        } else {
            position
        }
    }
}

impl LogTimeline {
    /// The timeline of a log without set-backs, which was found in this generation.
    #[must_use]
    pub fn new(epoch: Epoch, began: u32) -> Self {
        Self {
            epoch,
            began,
            set_backs: Vec::new(),
            removed: Vec::new(),
            lost: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, range: SetBackRange) {
        if self.set_backs.len() == MAX_SET_BACKS {
            self.set_backs.remove(0);
            self.removed.remove(0);
        }
        self.set_backs.push(range);
        self.removed.push(Arc::default());
    }

    /// Remembers the entries that the last set-back removed.
    pub(crate) fn remember_removed(&mut self, removed: RemovedEntries) {
        if let Some(last) = self.removed.last_mut() {
            *last = Arc::new(removed);
        }
    }

    /// Whether a set-back removed the number of a stored position without its entry, as far as this edge knows:
    /// that one may have been lost before, and the set-back does not tell where.
    pub(crate) fn is_of_earlier_part(&self, stored: LogPosition) -> bool {
        let Some(tag) = stored.tag.filter(|_| stored.epoch == self.epoch) else {
            return false;
        };
        let mut ranges = self.set_backs.iter().zip(&self.removed);
        let first = ranges.find(|(range, _)| range.moved(stored.sequence) < stored.sequence);
        first.is_some_and(|(_, removed)| removed.get(&stored.sequence) != Some(&tag))
    }

    /// Remembers a stored position whose entry the log lost before this edge began.
    pub(crate) fn learn_loss(&mut self, position: Sequence, tag: EntryTag) {
        if self.lost.len() == MAX_LOST_POSITIONS {
            self.lost.remove(0);
        }
        self.lost.push((position, tag));
    }

    /// The log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where a stored position continues in the present log; the start if it belongs to another log, or to a
    /// part that was lost before this edge began: nothing that took its numbers may count as older.
    #[must_use]
    pub fn resolve(&self, stored: LogPosition) -> Sequence {
        match self.has_lost(stored) {
            true => Sequence::START,
            false => self.moved(stored.within(self.epoch)),
        }
    }

    fn has_lost(&self, stored: LogPosition) -> bool {
        let Some(tag) = stored.tag.filter(|_| !self.lost.is_empty()) else {
            return false;
        };
        stored.epoch == self.epoch && self.lost.contains(&(stored.sequence, tag))
    }

    /// Whether the log lost entries after a position that is still there, as far as this edge knows.
    pub(crate) fn has_hole_after(&self, position: Sequence) -> bool {
        self.has_hole_between(position, Sequence(u64::MAX))
    }

    /// Whether the log lost entries between two positions that it has.
    pub(crate) fn has_hole_between(&self, after: Sequence, through: Sequence) -> bool {
        let mut ranges = self
            .set_backs
            .iter()
            .filter(|range| range.was > range.resumes_after);
        ranges.any(|range| after <= range.resumes_after && range.resumes_after < through)
    }

    pub(crate) fn moved(&self, position: Sequence) -> Sequence {
        let ranges = self.set_backs.iter();
        ranges.fold(position, |position, range| range.moved(position))
    }

    /// Where a position that was reached in `generation` continues: at the start if that was in another log.
    pub(crate) fn moved_since(&self, generation: u32, position: Sequence) -> Sequence {
        if generation < self.began {
            return Sequence::START;
        }
        let ranges = self.set_backs.iter();
        ranges
            .filter(|range| range.generation > generation)
            .fold(position, |position, range| {
                position.min(range.resumes_after)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_in_a_lost_part_moves_to_where_that_began() {
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        for (generation, was, resumes_after) in [(1, 100, 80), (2, 90, 70)] {
            timeline.push(SetBackRange {
                generation,
                was: Sequence(was),
                resumes_after: Sequence(resumes_after),
            });
        }
        let has_hole = |position| timeline.has_hole_after(Sequence(position));
        assert!(has_hole(0) && has_hole(70) && has_hole(80) && !has_hole(81));
        let between =
            |after, through| timeline.has_hole_between(Sequence(after), Sequence(through));
        assert!(between(70, 71) && between(75, 90) && !between(10, 70) && !between(80, 80));
        let resolve = |epoch, sequence| {
            let stored = LogPosition {
                epoch: Epoch(epoch),
                sequence: Sequence(sequence),
                tag: None,
            };
            timeline.resolve(stored).0
        };
        assert_eq!(resolve(1, 95), 70, "80 was lost by the second set-back");
        assert_eq!((resolve(1, 70), resolve(1, 101)), (70, 101));
        assert_eq!(resolve(2, 95), 0);
        assert_eq!(timeline.moved_since(0, Sequence(200)), Sequence(70));
        assert_eq!(timeline.moved_since(2, Sequence(200)), Sequence(200));
        let later = LogTimeline::new(Epoch(2), 3);
        assert_eq!(later.moved_since(2, Sequence(200)), Sequence::START);
        assert_eq!(later.moved_since(3, Sequence(200)), Sequence(200));
    }

    #[test]
    fn a_log_that_was_put_back_and_lost_nothing_has_no_hole() {
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        timeline.push(SetBackRange {
            generation: 1,
            was: Sequence(5),
            resumes_after: Sequence(5),
        });
        assert!(!timeline.has_hole_after(Sequence(5)));
    }

    #[test]
    fn a_position_of_an_earlier_part_is_told_from_one_of_the_part_that_was_removed() {
        let tag = |id: &str| EntryTag::of(&model::EventId::new(id).unwrap());
        let stored = |sequence, id: &str| LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
            tag: Some(tag(id)),
        };
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        timeline.push(SetBackRange {
            generation: 1,
            was: Sequence(5),
            resumes_after: Sequence(2),
        });
        timeline.remember_removed([(Sequence(3), tag("e14"))].into());
        assert!(timeline.is_of_earlier_part(stored(3, "e3")));
        assert!(timeline.is_of_earlier_part(stored(4, "other")));
        for known in [stored(3, "e14"), stored(2, "e3")] {
            assert!(!timeline.is_of_earlier_part(known));
        }
    }

    #[test]
    fn a_position_whose_entry_was_lost_begins_at_the_start_and_another_at_its_number_does_not() {
        let tag = |id: &str| EntryTag::of(&model::EventId::new(id).unwrap());
        let stored = |id: Option<&str>| LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(90),
            tag: id.map(tag),
        };
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        timeline.learn_loss(Sequence(90), tag("lost"));
        assert_eq!(timeline.resolve(stored(Some("lost"))), Sequence::START);
        for there in [Some("new"), None] {
            assert_eq!(timeline.resolve(stored(there)), Sequence(90));
        }
        for n in 0..2 * MAX_LOST_POSITIONS {
            timeline.learn_loss(Sequence(n as u64), tag("x"));
        }
        assert_eq!(timeline.lost.len(), MAX_LOST_POSITIONS);
    }
}
