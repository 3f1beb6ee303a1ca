//! The limits on the lag of a client that does not read.

use std::time::Duration;

use crate::limits::BURST_GRACE;

/// The limits set by the operator; without any, a slow stream catches up from the log, however far
/// behind it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LagLimits {
    time: Option<Duration>,
    events: Option<u64>,
}

impl LagLimits {
    /// 0 means no limit.
    pub fn new(max_behind_seconds: u64, max_behind_events: u64) -> Self {
        Self {
            time: (max_behind_seconds > 0).then(|| Duration::from_secs(max_behind_seconds)),
            events: (max_behind_events > 0).then_some(max_behind_events),
        }
    }

    /// Whether a client has been behind for too long.
    pub(crate) fn is_too_long(self, behind: Duration) -> bool {
        self.time.is_some_and(|time| behind >= time)
    }

    /// Whether a client is too many events behind. A client that was up to date a moment ago is
    /// reading: a burst of events fills every socket.
    pub(crate) fn is_too_many(self, events: u64, behind: Duration) -> bool {
        behind >= BURST_GRACE && self.events.is_some_and(|most| events > most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_alone_and_none_is_none() {
        let minute = Duration::from_secs(60);
        let (none, time) = (LagLimits::new(0, 0), LagLimits::new(60, 0));
        let events = LagLimits::new(0, 100);
        assert!(!none.is_too_long(Duration::MAX) && !none.is_too_many(u64::MAX, minute));
        assert!(time.is_too_long(minute) && !time.is_too_long(minute / 2));
        assert!(!time.is_too_many(u64::MAX, minute) && !events.is_too_long(Duration::MAX));
        assert!(events.is_too_many(101, minute) && !events.is_too_many(100, minute));
        assert!(!events.is_too_many(101, Duration::ZERO));
    }
}
