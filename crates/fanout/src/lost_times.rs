//! The times whose events a log lost when it was put back, as far as this edge knows: for ranges of time, whose
//! beginning has no position.

use std::collections::VecDeque;

use model::Timestamp;
use parking_lot::Mutex;

/// Maximum number of remembered set-backs; the oldest are forgotten.
const MAX_LOST_TIMES: usize = 16;

/// A time in which events were received that are lost.
#[derive(Debug, Clone, Copy)]
struct LostTime {
    /// When the first of them was received; `None` if this edge no longer had it in memory.
    first: Option<Timestamp>,
    /// When the set-back was found: all of them were received before.
    found: Timestamp,
}

/// Those of one edge.
#[derive(Debug, Default)]
pub(crate) struct LostTimes(Mutex<VecDeque<LostTime>>);

impl LostTimes {
    /// Remembers a set-back that lost events.
    pub(crate) fn remember(&self, first: Option<Timestamp>, found: Timestamp) {
        let mut times = self.0.lock();
        if times.len() == MAX_LOST_TIMES {
            times.pop_front();
        }
        times.push_back(LostTime { first, found });
    }

    /// Another log is followed.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Whether events from `from` on, and before `to`, may be lost.
    pub(crate) fn overlap(&self, from: Timestamp, to: Option<Timestamp>) -> bool {
        self.0.lock().iter().any(|lost| {
            let is_over = to.zip(lost.first).is_some_and(|(to, first)| to <= first);
            from < lost.found && !is_over
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_may_have_had_a_lost_event_is_told_from_one_that_had_none() {
        let at = Timestamp::from_unix_millis;
        let lost = LostTimes::default();
        assert!(!lost.overlap(at(0), None));
        lost.remember(Some(at(20)), at(30));
        for (from, to, overlaps) in [
            (0, None, true),
            (29, None, true),
            (30, None, false),
            (0, Some(20), false),
            (0, Some(21), true),
        ] {
            assert_eq!(
                lost.overlap(at(from), to.map(at)),
                overlaps,
                "{from} {to:?}"
            );
        }
        lost.remember(None, at(100));
        assert!(lost.overlap(at(40), Some(at(50))), "nobody knows");
        for millis in 200..200 + MAX_LOST_TIMES as i64 {
            lost.remember(Some(at(millis)), at(millis + 1));
        }
        assert_eq!(lost.0.lock().len(), MAX_LOST_TIMES);
        lost.clear();
        assert!(!lost.overlap(at(0), None));
    }
}
