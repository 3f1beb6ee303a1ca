//! The time that an edge waits for a client that does not read.

use std::time::Duration;

use crate::limits::BURST_PATIENCE;

/// The bounds chosen by the operator; without any, a slow stream continues from the log without a
/// limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    time: Option<Duration>,
    events: Option<u64>,
}

impl Patience {
    /// 0 means no bound.
    pub fn new(max_behind_seconds: u64, max_behind_events: u64) -> Self {
        Self {
            time: (max_behind_seconds > 0).then(|| Duration::from_secs(max_behind_seconds)),
            events: (max_behind_events > 0).then_some(max_behind_events),
        }
    }

    /// Whether a client has been behind for too long.
    pub(crate) fn is_over(self, behind: Duration) -> bool {
        self.time.is_some_and(|time| behind >= time)
    }

    /// Whether a client is too many events behind. A client that was up to date a moment ago is
    /// reading: a burst of events fills every socket.
    pub(crate) fn is_far(self, events: u64, behind: Duration) -> bool {
        behind >= BURST_PATIENCE && self.events.is_some_and(|most| events > most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_alone_and_none_is_none() {
        let minute = Duration::from_secs(60);
        let (none, time) = (Patience::new(0, 0), Patience::new(60, 0));
        let events = Patience::new(0, 100);
        assert!(!none.is_over(Duration::MAX) && !none.is_far(u64::MAX, minute));
        assert!(time.is_over(minute) && !time.is_over(minute / 2));
        assert!(!time.is_far(u64::MAX, minute) && !events.is_over(Duration::MAX));
        assert!(events.is_far(101, minute) && !events.is_far(100, minute));
        assert!(!events.is_far(101, Duration::ZERO));
    }
}
