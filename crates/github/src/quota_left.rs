//! What GitHub said last of a limit, for callers that leave some of it to others.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What is left of a limit.
#[derive(Debug, Default)]
pub(crate) struct QuotaLeft(Mutex<Option<LastReport>>);

#[derive(Debug, Clone, Copy)]
struct LastReport {
    remaining: u32,
    resets_at: Instant,
}

impl QuotaLeft {
    pub(crate) fn note(&self, remaining: u32, resets_in: Duration) {
        *self.0.lock() = Some(LastReport {
            remaining,
            resets_at: Instant::now() + resets_in,
        });
    }

    /// `None` before the first report, and once the limit has begun anew.
    pub(crate) fn get(&self) -> Option<u32> {
        let report = (*self.0.lock())?;
        (Instant::now() < report.resets_at).then_some(report.remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_report_counts_until_the_limit_begins_anew() {
        let left = QuotaLeft::default();
        assert_eq!(left.get(), None);
        left.note(7, Duration::from_secs(60));
        assert_eq!(left.get(), Some(7));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(left.get(), None);
    }
}
