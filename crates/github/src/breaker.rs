//! A circuit breaker: a GitHub that fails again and again is left alone for a while, and then asked once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::BREAKER_FAILURES;

/// The state of a breaker, as its metric has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests are sent.
    Closed,
    /// One request is tried.
    HalfOpen,
    /// No request is sent.
    Open,
}

impl BreakerState {
    /// 0 closed, 1 half-open, 2 open.
    #[must_use]
    pub const fn as_number(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

#[derive(Debug, Default)]
struct BreakerCounts {
    failures: u32,
    opened_at: Option<Instant>,
    /// The request that is tried, since when; it may never report.
    trying_since: Option<Instant>,
}

/// The breaker of one API.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    pause: Duration,
    counts: Mutex<BreakerCounts>,
}

/// No request may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerRefusal {
    pub(crate) failures: u32,
    pub(crate) wait: Duration,
}

impl CircuitBreaker {
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            counts: Mutex::default(),
        }
    }

    /// Whether a request may be sent. The one that is let through after a pause decides for all others.
    pub(crate) fn admit(&self) -> Result<(), BreakerRefusal> {
        let mut counts = self.counts.lock();
        let Some(opened) = counts.opened_at else {
            return Ok(());
        };
        let refusal = |since: Instant| BreakerRefusal {
            failures: counts.failures,
            wait: self
                .pause
                .saturating_sub(since.elapsed())
                .max(Duration::from_millis(1)),
        };
        let is_open = opened.elapsed() < self.pause;
        let is_trying = counts
            .trying_since
            .filter(|since| since.elapsed() < self.pause);
        match (is_open, is_trying) {
            (true, _) => Err(refusal(opened)),
            (false, Some(since)) => Err(refusal(since)),
            (false, None) => {
                counts.trying_since = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// GitHub has answered, whatever it said.
    pub(crate) fn succeeded(&self) {
        *self.counts.lock() = BreakerCounts::default();
    }

    /// GitHub has failed.
    pub(crate) fn failed(&self) {
        let mut counts = self.counts.lock();
        counts.failures = counts.failures.saturating_add(1);
        counts.trying_since = None;
        if counts.failures >= BREAKER_FAILURES {
            counts.opened_at = Some(Instant::now());
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        let counts = self.counts.lock();
        match counts.opened_at {
            None => BreakerState::Closed,
            Some(opened) if opened.elapsed() < self.pause => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_closes_after_one_success() {
        let breaker = CircuitBreaker::new(PAUSE);
        for _ in 1..BREAKER_FAILURES {
            breaker.failed();
            assert_eq!(
                (breaker.admit(), breaker.state()),
                (Ok(()), BreakerState::Closed)
            );
        }
        breaker.succeeded();
        for _ in 1..BREAKER_FAILURES {
            breaker.failed();
        }
        assert_eq!(
            breaker.state(),
            BreakerState::Closed,
            "it counts failures in a row"
        );
        breaker.failed();
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit().unwrap_err().failures, BREAKER_FAILURES);
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(), Ok(()));
        assert!(breaker.admit().is_err(), "one is tried");
        breaker.failed();
        assert_eq!(breaker.state(), BreakerState::Open);
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.admit(), Ok(()));
        breaker.succeeded();
        assert_eq!(
            (breaker.admit(), breaker.state()),
            (Ok(()), BreakerState::Closed)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_never_ends_does_not_hold_up_the_next() {
        let breaker = CircuitBreaker::new(PAUSE);
        (0..BREAKER_FAILURES).for_each(|_| breaker.failed());
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.admit(), Ok(()));
        assert!(breaker.admit().is_err());
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.admit(), Ok(()));
    }
}
