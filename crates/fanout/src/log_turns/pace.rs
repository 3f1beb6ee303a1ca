//! The pace at which the queries and streams of one principal read the log. Turns bound what is read at once; what is
//! read one page after the other, for as long as a client likes, costs the store as much, and every append waits for
//! it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Bytes that may be read now, and more with time. A page is charged once it is read, so there may be a debt: then
/// the next page waits.
#[derive(Debug)]
pub(super) struct ReadPace {
    bytes_per_second: u64,
    /// Time worth of bytes that may be read at once.
    burst: Duration,
    /// The time at which everything that was read is made good.
    even_at: Mutex<Instant>,
}

impl ReadPace {
    pub(super) fn new(bytes_per_second: u64, burst: Duration) -> Self {
        Self {
            bytes_per_second,
            burst,
            even_at: Mutex::new(Instant::now()),
        }
    }

    /// Waits until nothing is owed.
    pub(super) async fn ready(&self) {
        let ahead = self.ahead(*self.even_at.lock(), Instant::now());
        sleep(ahead).await;
    }

    /// Waits until nothing is owed, and charges this already, so that of many that wait only one goes on.
    pub(super) async fn reserve(&self, bytes: usize) {
        loop {
            let ahead = {
                let mut even_at = self.even_at.lock();
                let now = Instant::now();
                let ahead = self.ahead(*even_at, now);
                if ahead.is_zero() {
                    *even_at = (*even_at).max(now) + self.time_for(bytes);
                }
                ahead
            };
            if ahead.is_zero() {
                return;
            }
            sleep(ahead).await;
        }
    }

    /// Charges what was read in place of what was reserved.
    pub(super) fn settle(&self, reserved: usize, read: usize) {
        let (reserved, read) = (self.time_for(reserved), self.time_for(read));
        let mut even_at = self.even_at.lock();
        *even_at = match even_at.checked_sub(reserved) {
            Some(even_at) => even_at + read,
            None => *even_at,
        };
    }

    /// The time that has to pass before more may be read.
    fn ahead(&self, even_at: Instant, now: Instant) -> Duration {
        even_at.duration_since(now).saturating_sub(self.burst)
    }

    fn time_for(&self, bytes: usize) -> Duration {
        let micros = (bytes as u64).saturating_mul(1_000_000) / self.bytes_per_second;
        Duration::from_micros(micros)
    }

    /// Charges what was read.
    pub(super) fn charge(&self, bytes: usize) {
        let mut even_at = self.even_at.lock();
        *even_at = (*even_at).max(Instant::now()) + self.time_for(bytes);
    }

    /// Whether everything that was read is made good.
    pub(super) fn is_even(&self) -> bool {
        *self.even_at.lock() <= Instant::now()
    }
}
