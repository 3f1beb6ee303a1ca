//! The times whose events are not in the log: it lost them when it was put back, or another log has taken the place of the
//! one that had them. As far as this edge knows; for ranges of time, whose beginning has no position.

use std::collections::VecDeque;

use model::Timestamp;
use parking_lot::Mutex;

use crate::metrics::GapReason;

/// Maximum number of remembered times; beyond it, the two oldest become one.
const MAX_LOST_TIMES: usize = 16;

/// A time in which events were received that are not in the log.
#[derive(Debug, Clone, Copy)]
struct LostTime {
    /// When the first of them was received; `None` if this edge does not know.
    first: Option<Timestamp>,
    /// When it was found: all of them were received before.
    found: Timestamp,
    reason: GapReason,
}

/// Those that one edge knows of. An edge that was started since knows of none.
#[derive(Debug, Default)]
pub(crate) struct LostTimes(Mutex<VecDeque<LostTime>>);

impl LostTimes {
    /// The log was put back, and lost events; the first of them was received at this time, if that is known.
    pub(crate) fn set_back(&self, first: Option<Timestamp>, found: Timestamp) {
        let mut times = self.0.lock();
        if times.len() == MAX_LOST_TIMES
            && let Some(oldest) = times.pop_front()
            && let Some(next) = times.front_mut()
        {
            next.first = oldest
                .first
                .zip(next.first)
                .map(|(one, other)| one.min(other));
        }
        times.push_back(LostTime {
            first,
            found,
            reason: GapReason::LogSetBack,
        });
    }

    /// Another log is followed. It has nothing of what was received until now, has removed nothing, and cannot tell.
    pub(crate) fn replaced(&self, found: Timestamp) {
        *self.0.lock() = VecDeque::from([LostTime {
            first: None,
            found,
            reason: GapReason::LogReplaced,
        }]);
    }

    /// Why events from `from` on, and before `to`, may be missing; `None` if none is, as far as this edge knows.
    pub(crate) fn reason(&self, from: Timestamp, to: Option<Timestamp>) -> Option<GapReason> {
        let times = self.0.lock();
        let lost = times.iter().find(|lost| {
            let is_over = to.zip(lost.first).is_some_and(|(to, first)| to <= first);
            from < lost.found && !is_over
        });
        lost.map(|lost| lost.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_may_have_had_a_lost_event_is_told_from_one_that_had_none() {
        let at = Timestamp::from_unix_millis;
        let lost = LostTimes::default();
        let overlap = |from, to| lost.reason(from, to).is_some();
        assert!(!overlap(at(0), None));
        lost.set_back(Some(at(20)), at(30));
        for (from, to, overlaps) in [
            (0, None, true),
            (29, None, true),
            (30, None, false),
            (0, Some(20), false),
            (0, Some(21), true),
        ] {
            assert_eq!(overlap(at(from), to.map(at)), overlaps, "{from} {to:?}");
        }
        lost.set_back(None, at(100));
        assert!(overlap(at(40), Some(at(50))), "nobody knows");
        for millis in 200..200 + MAX_LOST_TIMES as i64 {
            lost.set_back(Some(at(millis)), at(millis + 1));
        }
        assert_eq!(lost.0.lock().len(), MAX_LOST_TIMES);
        assert!(
            overlap(at(40), Some(at(50))),
            "the oldest are not forgotten"
        );
        lost.replaced(at(300));
        assert_eq!(lost.reason(at(299), None), Some(GapReason::LogReplaced));
        assert_eq!(lost.reason(at(300), None), None);
    }
}
