//! The history of the log's identity, as far as this edge saw it: which log it is, and when its store was
//! put back to an earlier state.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use model::{EntryTag, Epoch, GapMark, LogPosition, Sequence};

/// Tags of entries by their numbers.
pub(crate) type RemovedEntries = HashMap<Sequence, EntryTag>;

/// Maximum number of remembered set-backs. Positions from before an older one are no longer moved.
const MAX_SET_BACKS: usize = 16;

/// Maximum number of remembered comparisons. A position whose comparison is forgotten is compared again when its
/// session's stream is opened.
const MAX_COMPARISONS: usize = 1024;

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
    /// Stored positions that were compared with the log, because the set-backs do not tell what became of them; oldest first.
    compared: VecDeque<PositionComparison>,
}

/// What became of the entry of a stored position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PositionComparison {
    pub(crate) position: Sequence,
    pub(crate) tag: EntryTag,
    /// The log lost it before this edge began; else it is there.
    pub(crate) is_lost: bool,
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
    /// Tells it from others.
    pub(crate) mark: GapMark,
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
            compared: VecDeque::new(),
        }
    }

    /// The timeline of this log when it comes back, after another one was followed, in this generation.
    pub(crate) fn returned(&self, began: u32) -> Self {
        Self {
            began,
            ..self.clone()
        }
    }

    pub(crate) fn push(&mut self, range: SetBackRange) {
        self.compared
            .retain(|known| known.is_lost || known.position <= range.resumes_after);
        if self.set_backs.len() == MAX_SET_BACKS {
            self.set_backs.remove(0);
            self.removed.remove(0);
        }
        self.set_backs.push(range);
        self.removed.push(Arc::default());
    }

    /// Remembers the entries that the last set-back removed, and what tells it from others.
    pub(crate) fn remember_removed(&mut self, removed: RemovedEntries, mark: GapMark) {
        if let (Some(last), Some(range)) = (self.removed.last_mut(), self.set_backs.last_mut()) {
            *last = Arc::new(removed);
            range.mark = mark;
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

    /// Remembers what became of the entry of a stored position.
    pub(crate) fn learn(&mut self, comparison: PositionComparison) {
        if self.compared.contains(&comparison) {
            return;
        }
        if self.compared.len() == MAX_COMPARISONS {
            self.compared.pop_front();
        }
        self.compared.push_back(comparison);
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
        match self.comparison(stored) {
            Some(known) if known.is_lost => Sequence::START,
            Some(_) => stored.sequence,
            None => self.moved(stored.within(self.epoch)),
        }
    }

    fn comparison(&self, stored: LogPosition) -> Option<&PositionComparison> {
        let tag = stored.tag.filter(|_| stored.epoch == self.epoch)?;
        let mut compared = self.compared.iter();
        compared.find(|known| (known.position, known.tag) == (stored.sequence, tag))
    }

    /// Whether the log lost entries after a position that is still there, as far as this edge knows, and the reader has not
    /// been told.
    pub(crate) fn has_gap_after(&self, position: Sequence, told: Option<GapMark>) -> bool {
        self.gaps()
            .take_while(|range| Some(range.mark) != told)
            .any(|range| position <= range.resumes_after)
    }

    /// Whether the log lost entries between two positions that it has.
    pub(crate) fn has_gap_between(&self, after: Sequence, through: Sequence) -> bool {
        let mut gaps = self.gaps();
        gaps.any(|range| after <= range.resumes_after && range.resumes_after < through)
    }

    /// The mark of the newest gap after a position, of those that were known in `generation`.
    pub(crate) fn newest_gap(&self, position: Sequence, generation: u32) -> Option<GapMark> {
        let mut known = self
            .gaps()
            .filter(|range| range.generation <= generation && position <= range.resumes_after);
        Some(known.next()?.mark)
    }

    /// The places at which entries are lost, newest first. One that was itself in a part that was lost later is no place
    /// of the log any more.
    fn gaps(&self) -> impl Iterator<Item = &SetBackRange> {
        let mut lowest = Sequence(u64::MAX);
        self.set_backs.iter().rev().filter(move |range| {
            let is_there = range.resumes_after <= lowest;
            lowest = lowest.min(range.resumes_after);
            is_there && range.was > range.resumes_after
        })
    }

    /// Whether a stored position was compared with the log, and its entry is there.
    pub(crate) fn is_kept(&self, position: Sequence) -> bool {
        let mut compared = self.compared.iter();
        compared.any(|known| known.position == position && !known.is_lost)
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
    use model::Timestamp;

    use super::*;

    fn mark(n: i64) -> GapMark {
        let tag = EntryTag::of(&model::EventId::new("e3").unwrap());
        GapMark::of_lost(tag, Timestamp::from_unix_millis(n))
    }

    #[test]
    fn a_position_in_a_lost_part_moves_to_where_that_began() {
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        for (generation, was, resumes_after) in [(1, 100, 80), (2, 90, 70)] {
            timeline.push(SetBackRange {
                generation,
                was: Sequence(was),
                resumes_after: Sequence(resumes_after),
                mark: mark(0),
            });
        }
        let has_gap = |position| timeline.has_gap_after(Sequence(position), None);
        assert!(has_gap(0) && has_gap(70));
        assert!(!has_gap(71) && !has_gap(80), "80 is of the lost part");
        let between = |after, through| timeline.has_gap_between(Sequence(after), Sequence(through));
        assert!(between(70, 71) && between(0, 90) && !between(75, 90) && !between(10, 70));
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
            mark: mark(0),
        });
        assert!(!timeline.has_gap_after(Sequence(5), None));
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
            mark: mark(0),
        });
        timeline.remember_removed([(Sequence(3), tag("e14"))].into(), mark(0));
        assert!(timeline.is_of_earlier_part(stored(3, "e3")));
        assert!(timeline.is_of_earlier_part(stored(4, "other")));
        for known in [stored(3, "e14"), stored(2, "e3")] {
            assert!(!timeline.is_of_earlier_part(known));
        }
    }

    #[test]
    fn a_position_that_was_compared_begins_where_its_entry_is_and_a_lost_one_at_the_start() {
        let tag = |id: &str| EntryTag::of(&model::EventId::new(id).unwrap());
        let stored = |sequence, id: Option<&str>| LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
            tag: id.map(tag),
        };
        let set_back = |generation, was, resumes_after| SetBackRange {
            generation,
            was: Sequence(was),
            resumes_after: Sequence(resumes_after),
            mark: mark(0),
        };
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        timeline.push(set_back(1, 100, 80));
        for (position, id, is_lost) in [(70, "lost", true), (90, "new", false)] {
            timeline.learn(PositionComparison {
                position: Sequence(position),
                tag: tag(id),
                is_lost,
            });
        }
        let resolve =
            |timeline: &LogTimeline, sequence, id| timeline.resolve(stored(sequence, id)).0;
        assert_eq!(resolve(&timeline, 70, Some("lost")), 0);
        for there in [Some("other"), None] {
            assert_eq!(resolve(&timeline, 70, there), 70);
        }
        assert_eq!(resolve(&timeline, 90, Some("new")), 90);
        assert_eq!(resolve(&timeline, 90, Some("old")), 80);
        timeline.push(set_back(2, 95, 85));
        assert_eq!(resolve(&timeline, 90, Some("new")), 80, "it is lost now");
        assert_eq!(resolve(&timeline, 70, Some("lost")), 0);
        for n in 0..2 * MAX_COMPARISONS {
            timeline.learn(PositionComparison {
                position: Sequence(n as u64),
                tag: tag("x"),
                is_lost: true,
            });
        }
        assert_eq!(timeline.compared.len(), MAX_COMPARISONS);
    }

    #[test]
    fn a_gap_is_told_once_and_the_next_one_at_the_same_place_again() {
        let mut timeline = LogTimeline::new(Epoch(1), 0);
        let mut told = None;
        // The first lost delivery has come again, and is lost again.
        for (generation, received_at) in [(1, 100), (2, 200)] {
            timeline.push(SetBackRange {
                generation,
                was: Sequence(5),
                resumes_after: Sequence(2),
                mark: mark(0),
            });
            timeline.remember_removed(RemovedEntries::new(), mark(received_at));
            assert!(timeline.has_gap_after(Sequence(2), told), "{received_at}");
            told = timeline.newest_gap(Sequence(1), generation);
            assert_eq!(told, Some(mark(received_at)));
            assert!(!timeline.has_gap_after(Sequence(1), told), "{received_at}");
        }
        let of_first = timeline.newest_gap(Sequence(1), 1);
        assert!(timeline.has_gap_after(Sequence(2), of_first));
        assert_eq!(
            timeline.newest_gap(Sequence(3), 2),
            None,
            "it is not after this"
        );
        // The mark of an edge whose log this one never saw says nothing.
        let unknown = Some(mark(300));
        assert!(timeline.has_gap_after(Sequence(2), unknown));
    }

    #[test]
    fn a_log_that_comes_back_has_the_set_backs_that_it_had() {
        let mut first = LogTimeline::new(Epoch(1), 0);
        first.push(SetBackRange {
            generation: 1,
            was: Sequence(9),
            resumes_after: Sequence(4),
            mark: mark(0),
        });
        let other = LogTimeline::new(Epoch(2), 2);
        assert!(!other.has_gap_after(Sequence(4), None));
        let again = first.returned(4);
        assert!(again.has_gap_after(Sequence(4), None));
        assert_eq!(again.moved_since(3, Sequence(200)), Sequence::START);
    }
}
