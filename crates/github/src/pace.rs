//! The times of the client: the defaults are for GitHub, tests have shorter ones.

use std::time::Duration;

use http_client::Backoff;

use crate::limits::LONGEST_LIMIT_PAUSE;

/// How long the client waits for what.
#[derive(Debug, Clone, Copy)]
pub struct GithubPace {
    /// Time limit of a request, from its first byte to the end of its answer. GitHub ends a request after 10 s; a
    /// delivery of 25 MB takes longer on its way.
    pub request_timeout: Duration,
    /// First pause after a failure.
    pub first_pause: Duration,
    /// Longest pause after a failure.
    pub longest_pause: Duration,
    /// First pause after a secondary limit that names no time: "at least one minute" ("Rate limits for the REST API").
    pub first_limit_pause: Duration,
    /// How long the circuit breaker stays open.
    pub breaker_pause: Duration,
    /// Pause between two looks at the file of a secret.
    pub secret_check: Duration,
    /// A window of the primary limits of REST and GraphQL.
    pub window: Duration,
}

impl Default for GithubPace {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(60),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            first_limit_pause: Duration::from_secs(60),
            breaker_pause: Duration::from_secs(30),
            secret_check: Duration::from_secs(2),
            window: Duration::from_secs(3600),
        }
    }
}

impl GithubPace {
    /// The pauses between the attempts of one call.
    pub(crate) const fn backoff(&self) -> Backoff {
        Backoff::new(self.first_pause, self.longest_pause)
    }

    /// The pause after the secondary limit of this number in a row, which is not 0.
    pub(crate) fn limit_pause(&self, in_a_row: u32) -> Duration {
        let doublings = in_a_row.saturating_sub(1).min(16);
        (self.first_limit_pause * (1 << doublings)).min(LONGEST_LIMIT_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secondary_limit_without_a_time_pauses_for_a_minute_and_then_for_longer() {
        let pace = GithubPace::default();
        let pauses = [1, 2, 3, 4, 5, 40].map(|number| pace.limit_pause(number).as_secs());
        assert_eq!(pauses, [60, 120, 240, 480, 900, 900]);
    }
}
