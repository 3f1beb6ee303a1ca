//! The requests of a listener that drains, which all its connections share.

use std::{sync::OnceLock, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time of the last request, and the longest wait of idle connections for another one.
///
/// As long as requests come, there are clients that have not noticed the drain (a balancer without
/// checks, for instance), and one of them may be sending on a connection that is idle here. Each request
/// is answered with `Connection: close`, so in the end such a client has no idle connection left.
#[derive(Debug)]
pub(super) struct RecentRequests {
    last: Mutex<Option<Instant>>,
    /// The end of all waits.
    until: OnceLock<Instant>,
    longest: Duration,
}

impl RecentRequests {
    /// Idle connections wait up to `longest` once the listener has closed.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            last: Mutex::new(None),
            until: OnceLock::new(),
            longest,
        }
    }

    /// A request has come while the process drains.
    pub(super) fn record(&self) {
        *self.last.lock() = Some(Instant::now());
    }

    /// Longest time for which an idle connection may wait from now on. The first call, by any
    /// connection, is when the listener has closed.
    pub(super) fn longest_wait(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// The time until there has been no request for `quiet`; `None` if that is so, or if idle
    /// connections have waited for as long as they may.
    pub(super) fn longer_wait(&self, quiet: Duration) -> Option<Duration> {
        let quiet_at = (*self.last.lock())? + quiet;
        let longer = quiet_at
            .min(self.until())
            .saturating_duration_since(Instant::now());
        Some(longer).filter(|longer| !longer.is_zero())
    }

    fn until(&self) -> Instant {
        *self.until.get_or_init(|| Instant::now() + self.longest)
    }
}
