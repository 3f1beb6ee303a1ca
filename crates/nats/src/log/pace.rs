//! Whether messages are worth being stored as batches.
//!
//! It depends on what the server syncs, which it does not tell its clients. One that leaves it to the system stores
//! 80,000 messages a second one by one, and seven times fewer as batches, each of which it syncs. One with
//! `sync_interval: always` syncs each message that is stored by itself: 3,000 a second, and six times as many as
//! batches. So the pace is measured: messages are stored one by one until that proves slow under load, then as
//! batches, and again one by one if these are not twice as fast.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::BatchUse;

/// Messages under way, on average, from which the time between answers is that of the server, not that of the senders.
const BUSY: u32 = 16;
/// Duration of such a load that is looked at as a whole.
const PERIOD: Duration = Duration::from_millis(200);
/// Number of slow periods in a row that count: a server that syncs later stops for one of them now and then, when it
/// syncs a file of the stream.
const SLOW_PERIODS: u32 = 5;
/// Time of one message from which storing counts as slow: a sync takes longer, and storing without one far less.
const SLOW: Duration = Duration::from_micros(200);
/// Number of times as fast as one by one that batches have to be.
const FASTER: u32 = 2;
/// Time for which batches are used before messages are stored one by one for another period: what was slow may have
/// been the machine.
const RECHECK: Duration = Duration::from_secs(30);
/// The server makes and syncs a few files for a batch, so that one of few messages is not worth it.
const BATCH_MESSAGES: usize = 16;
/// Number of messages in batches after which their pace is compared.
const COMPARED_MESSAGES: u32 = 2048;
/// … or time spent on them: a batch that is refused stores none.
const COMPARED_TIME: Duration = Duration::from_secs(2);
/// Time for which batches that were not faster are not tried again.
const RETRY: Duration = Duration::from_secs(60);

/// How messages are stored now.
#[derive(Default)]
pub(super) struct StoringPace {
    batches: BatchUse,
    state: Mutex<PaceState>,
}

#[derive(Default)]
struct PaceState {
    /// What was stored one by one in this period.
    one_by_one: Option<Period>,
    /// Number of slow periods in a row until now.
    slow_periods: u32,
    /// The time of a message stored by itself, while batches are used, and since when they are.
    alone: Option<(Duration, Instant)>,
    /// The time of batches, and their messages.
    together: (Duration, u32),
    /// Batches are not used before.
    not_before: Option<Instant>,
}

struct Period {
    since: Instant,
    messages: u32,
    /// The time for which messages were under way, summed over them.
    under_way: Duration,
}

impl StoringPace {
    pub(super) fn new(batches: BatchUse) -> Self {
        Self {
            batches,
            state: Mutex::default(),
        }
    }

    /// Number of messages from which a batch costs the server less than each message by itself.
    pub(super) fn least_messages(&self) -> usize {
        match self.batches {
            BatchUse::Measured => BATCH_MESSAGES,
            BatchUse::Always => 2,
        }
    }

    /// Whether messages are better stored as batches now.
    pub(super) fn is_together(&self) -> bool {
        if self.batches == BatchUse::Always {
            return true;
        }
        let mut state = self.state.lock();
        state.alone = state.alone.filter(|(_, since)| since.elapsed() < RECHECK);
        state.alone.is_some()
    }

    /// Messages were stored one by one; `took` is the time until their answers.
    pub(super) fn stored_each(&self, messages: usize, took: Duration) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        let period = state.one_by_one.get_or_insert(Period {
            since: now,
            messages: 0,
            under_way: Duration::ZERO,
        });
        period.messages = period.messages.saturating_add(messages);
        period.under_way = period
            .under_way
            .saturating_add(took.saturating_mul(messages));
        let elapsed = now - period.since;
        if elapsed < PERIOD {
            return;
        }
        let alone = elapsed / period.messages.max(1);
        let is_busy = period.under_way >= elapsed.saturating_mul(BUSY);
        state.one_by_one = None;
        state.slow_periods = match is_busy && alone >= SLOW {
            true => state.slow_periods + 1,
            false => 0,
        };
        if state.slow_periods >= SLOW_PERIODS && state.not_before.is_none_or(|at| at <= now) {
            state.slow_periods = 0;
            state.alone = Some((alone, now));
            state.together = Default::default();
        }
    }

    /// A batch took this time, and this number of messages was stored: 0 if it was refused.
    pub(super) fn stored_batch(&self, messages: usize, took: Duration) {
        let mut state = self.state.lock();
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        let (time, count) = state.together;
        state.together = (time + took, count.saturating_add(messages));
        let (time, count) = state.together;
        if count < COMPARED_MESSAGES && time < COMPARED_TIME {
            return;
        }
        state.together = Default::default();
        let is_faster = |alone: Duration| time.saturating_mul(FASTER) < alone.saturating_mul(count);
        if state.alone.is_some_and(|(alone, _)| !is_faster(alone)) {
            state.alone = None;
            state.not_before = Some(Instant::now() + RETRY);
        }
    }

    /// What was measured is of another connection, maybe of another server.
    pub(super) fn forget(&self) {
        *self.state.lock() = PaceState::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_millis(1);
    const NO_SYNC: Duration = Duration::from_micros(20);

    /// `count` messages, of which `at_once` are under way; the server answers one after the other.
    async fn store(pace: &StoringPace, count: u32, each: Duration, at_once: u32) {
        for _ in 0..count {
            tokio::time::advance(each).await;
            pace.stored_each(1, each * at_once);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_begin_where_each_message_is_synced_under_load() {
        let pace = StoringPace::default();
        store(&pace, 20_000, NO_SYNC, 64).await;
        assert!(!pace.is_together(), "a fast server");
        store(&pace, 2000, SYNC, 1).await;
        assert!(!pace.is_together(), "no load");
        for _ in 0..10 {
            store(&pace, 300, SYNC, 64).await;
            store(&pace, 20_000, NO_SYNC, 64).await;
        }
        assert!(!pace.is_together(), "a server that stops now and then");
        store(&pace, 1100, SYNC, 64).await;
        assert!(pace.is_together());
        tokio::time::advance(RECHECK).await;
        assert!(!pace.is_together(), "measured again");
        store(&pace, 1100, SYNC, 64).await;
        assert!(pace.is_together());
        pace.forget();
        assert!(!pace.is_together(), "another connection");
    }

    #[tokio::test(start_paused = true)]
    async fn batches_end_if_most_are_refused() {
        let pace = StoringPace::default();
        store(&pace, 1100, SYNC, 64).await;
        for _ in 0..200 {
            pace.stored_batch(0, 12 * SYNC);
        }
        assert!(!pace.is_together());
    }

    #[tokio::test(start_paused = true)]
    async fn batches_end_if_they_are_no_faster_and_are_tried_again_later() {
        let pace = StoringPace::default();
        store(&pace, 1100, SYNC, 64).await;
        for _ in 0..100 {
            pace.stored_batch(256, 12 * SYNC);
        }
        assert!(pace.is_together(), "faster");
        for _ in 0..100 {
            pace.stored_batch(256, 130 * SYNC);
        }
        assert!(!pace.is_together(), "hardly faster");
        store(&pace, 1100, SYNC, 64).await;
        assert!(!pace.is_together(), "not yet");
        tokio::time::advance(RETRY).await;
        store(&pace, 1100, SYNC, 64).await;
        assert!(pace.is_together());
    }
}
