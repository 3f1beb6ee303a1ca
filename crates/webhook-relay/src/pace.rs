//! Pauses that grow from failure to failure.

use std::time::Duration;

use http_client::Backoff;

use crate::limits::{FIRST_LIMIT_PAUSE, FIRST_PAUSE, LONGEST_LIMIT_PAUSE, LONGEST_PAUSE};

/// The bounds of the pauses after failures. The default is for real servers; tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct RelayPace {
    /// First pause after a failure.
    pub first_pause: Duration,
    /// Longest pause after a failure.
    pub longest_pause: Duration,
    /// First pause after a rate limit that names no time.
    pub first_limit_pause: Duration,
    /// Longest pause after such rate limits.
    pub longest_limit_pause: Duration,
}

impl Default for RelayPace {
    fn default() -> Self {
        Self {
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
            first_limit_pause: FIRST_LIMIT_PAUSE,
            longest_limit_pause: LONGEST_LIMIT_PAUSE,
        }
    }
}

/// The pauses after the next failure.
#[derive(Debug, Clone)]
pub(crate) struct RelayPauses {
    pace: RelayPace,
    failure: Backoff,
    limit: Duration,
}

impl RelayPauses {
    pub(crate) const fn new(pace: RelayPace) -> Self {
        Self {
            pace,
            failure: Backoff::new(pace.first_pause, pace.longest_pause),
            limit: pace.first_limit_pause,
        }
    }

    /// Between half of the pause and all of it, because relays that fail together would come back together.
    pub(crate) fn after_failure(&mut self) -> Duration {
        self.failure.pause()
    }

    /// At least the whole pause: GitHub wants no request before.
    pub(crate) fn after_limit(&mut self) -> Duration {
        let whole = self.limit;
        self.limit = (whole * 2).min(self.pace.longest_limit_pause);
        let random = getrandom::u32().unwrap_or(u32::MAX);
        whole.mul_f64(1.0 + f64::from(random) / f64::from(u32::MAX) / 10.0)
    }

    pub(crate) const fn succeeded(&mut self) {
        self.failure.reset();
        self.limit = self.pace.first_limit_pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_begin_anew_after_a_success() {
        let mut pauses = RelayPauses::new(RelayPace::default());
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            last = pauses.after_failure();
            assert!(last <= LONGEST_PAUSE);
        }
        assert!(last >= LONGEST_PAUSE / 2);
        pauses.succeeded();
        assert!(pauses.after_failure() <= FIRST_PAUSE);
    }

    #[test]
    fn a_limit_without_a_time_is_waited_for_a_minute_and_then_longer() {
        let mut pauses = RelayPauses::new(RelayPace::default());
        let first = pauses.after_limit();
        assert!(first >= Duration::from_secs(60), "{first:?}");
        let second = pauses.after_limit();
        assert!(second >= Duration::from_secs(120), "{second:?}");
        for _ in 0..20 {
            assert!(pauses.after_limit() <= LONGEST_LIMIT_PAUSE.mul_f64(1.1));
        }
        pauses.succeeded();
        assert!(pauses.after_limit() < Duration::from_secs(120));
    }
}
