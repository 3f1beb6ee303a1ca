//! Removes old events from a log that does not do so itself.
//!
//! Such a log has no clock but this process's, and a clock that is set years ahead would make every event
//! old. So the time that retention goes by follows the clock, forwards at most twice as fast as time
//! passes: a wrong clock costs events gradually and with a warning, and after a standstill the time catches
//! up by itself. It is kept in the log's file, because the clock may be wrong from the start.

use std::{sync::Arc, time::Duration};

use model::{Clock, Timestamp};
use ports::EventLog;
use prometheus_client::metrics::gauge::Gauge;
use service_kit::metrics::MetricsRegistry;
use store_sqlite::Database;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often old events are removed.
const TRIM_INTERVAL: Duration = Duration::from_secs(600);
/// Seconds by which the time may move for each second that passes, until it agrees with the clock.
const CATCH_UP: u32 = 2;
/// The time moves by this at once at a start, because a restart takes a while.
const RESTART: Duration = Duration::from_secs(3600);
/// Beyond this difference the process warns.
const MAX_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// The parts that retention needs.
pub(crate) struct Retention {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Keeps the time over a restart; `None` if the log does not outlive the process.
    pub(crate) database: Option<Database>,
    /// The age at which an event is removed.
    pub(crate) keep: Duration,
    /// Seconds by which the time is behind the clock.
    pub(crate) behind_seconds: Gauge,
}

impl Retention {
    /// The gauge of the time that is behind the clock.
    pub(crate) fn gauge(registry: &mut MetricsRegistry) -> Gauge {
        let behind_seconds = Gauge::default();
        registry.register(
            "forgewire_retention_behind_seconds",
            "Seconds by which the time that retention goes by is behind the clock of this process, which moved faster than time passed",
            behind_seconds.clone(),
        );
        behind_seconds
    }

    /// Removes events that are too old, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let running = async {
            let mut time = RetentionTime::start(self.clock.now(), self.kept_time().await);
            let mut ticks = tokio::time::interval(TRIM_INTERVAL);
            loop {
                ticks.tick().await;
                let now = time.advance(self.clock.now());
                let behind = i64::try_from(time.behind.as_secs()).unwrap_or(i64::MAX);
                self.behind_seconds.set(behind);
                self.keep_time(now).await;
                self.trim(now.minus(self.keep)).await;
            }
        };
        stop.run_until_cancelled(running).await;
    }

    async fn trim(&self, before: Timestamp) {
        match self.log.trim(before).await {
            Ok(0) => {}
            Ok(events) => info!(events, "removed events that are past their retention"),
            Err(error) => warn!(%error, "old events cannot be removed, trying again later"),
        }
    }

    async fn kept_time(&self) -> Option<Timestamp> {
        let kept = self.database.as_ref()?.retention_time().await;
        kept.unwrap_or_else(|error| {
            warn!(%error, "the time of the last retention cannot be read");
            None
        })
    }

    async fn keep_time(&self, time: Timestamp) {
        if let Some(database) = &self.database
            && let Err(error) = database.keep_retention_time(time).await
        {
            warn!(%error, "the time of this retention cannot be stored");
        }
    }
}

/// The time that retention goes by.
struct RetentionTime {
    time: Timestamp,
    /// The moment at which it was this time.
    at: Instant,
    /// The difference to the clock, which is ahead.
    behind: Duration,
}

impl RetentionTime {
    /// Begins at the clock, or not long after the time that was kept.
    fn start(clock: Timestamp, kept: Option<Timestamp>) -> Self {
        Self {
            time: kept.map_or(clock, |kept| kept.plus(RESTART).min(clock)),
            at: Instant::now(),
            behind: Duration::ZERO,
        }
    }

    /// Follows the clock: back at once, forwards as fast as the time that passed allows.
    fn advance(&mut self, clock: Timestamp) -> Timestamp {
        let passed = self.at.elapsed();
        self.at += passed;
        self.time = self.time.plus(passed * CATCH_UP).min(clock);
        let behind = clock.since(self.time);
        self.tell(behind);
        self.behind = behind;
        self.time
    }

    fn tell(&self, behind: Duration) {
        let (was, is) = (self.behind > MAX_BEHIND, behind > MAX_BEHIND);
        if is && !was {
            let ahead_seconds = behind.as_secs();
            warn!(
                ahead_seconds,
                "the clock of this process moved further than time passed; events are removed later, \
                 until the two agree. If this machine was not off for that long, check its clock"
            );
        }
        if was && !is {
            info!("retention goes by the clock of this process again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use model::{ManualClock, RandomIds, Sequence, SystemClock};
    use store_layers::StoredLog;
    use store_memory::MemoryLogStore;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

    fn at(after: Duration) -> Timestamp {
        Timestamp::from_unix_millis(1_790_000_000_000).plus(after)
    }

    async fn pass(clock: &ManualClock, time: Duration) {
        clock.advance(time);
        tokio::time::sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_by_a_clock_that_goes_as_time_passes() {
        let clock = ManualClock::at(at(Duration::ZERO));
        let mut time = RetentionTime::start(clock.now(), None);
        for _ in 0..10 {
            pass(&clock, DAY).await;
            assert_eq!(time.advance(clock.now()), clock.now());
        }
        let earlier = at(Duration::ZERO);
        assert_eq!(time.advance(earlier), earlier, "back at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_ahead_is_followed_twice_as_fast_as_time_passes() {
        let clock = ManualClock::at(at(Duration::ZERO));
        let mut time = RetentionTime::start(clock.now(), None);
        clock.advance(3 * DAY);
        assert_eq!(time.advance(clock.now()), at(Duration::ZERO));
        pass(&clock, DAY).await;
        assert_eq!(time.advance(clock.now()), at(2 * DAY));
        assert_eq!(time.behind, 2 * DAY);
        pass(&clock, 5 * DAY).await;
        assert_eq!(time.advance(clock.now()), clock.now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_goes_on_from_the_time_that_was_kept() {
        let start = |clock, kept| RetentionTime::start(clock, kept).time;
        assert_eq!(start(at(YEARS), None), at(YEARS), "the first start");
        assert_eq!(start(at(YEARS), Some(at(DAY))), at(DAY + RESTART));
        assert_eq!(start(at(DAY), Some(at(DAY))), at(DAY));
        assert_eq!(start(at(DAY), Some(at(YEARS))), at(DAY), "it was wrong");
    }

    #[tokio::test(start_paused = true)]
    async fn events_outlive_a_clock_that_is_years_ahead_and_go_in_their_time() {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let log = Arc::new(StoredLog::new(MemoryLogStore::new(
            &RandomIds,
            NonZeroUsize::new(10).expect("not zero"),
        )));
        let event = contract::event_received_at(1, clock.now());
        log.append(vec![event]).await.unwrap();
        let stop = CancellationToken::new();
        let retention = Retention {
            log: log.clone(),
            clock: clock.clone(),
            database: None,
            keep: WEEK,
            behind_seconds: Gauge::default(),
        };
        let behind = retention.behind_seconds.clone();
        let running = tokio::spawn(retention.run(stop.clone()));
        tokio::time::sleep(TRIM_INTERVAL).await;
        clock.advance(YEARS);
        let is_there = async || {
            let page = log.read_after(Sequence::START, 1).await.unwrap();
            !page.events.is_empty()
        };
        pass(&clock, 3 * DAY).await;
        assert!(is_there().await, "half a week has passed");
        assert!(behind.get() > 0);
        pass(&clock, DAY).await;
        assert!(!is_there().await, "twice as fast");
        stop.cancel();
        running.await.unwrap();
    }
}
