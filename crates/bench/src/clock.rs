//! The clock that all processes of a run share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock: the same for every process, never set back.
pub(crate) fn now_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Sleeps until a time of that clock; returns at once if it has passed.
pub(crate) fn sleep_until(nanos: u64) {
    let now = now_nanos();
    if nanos > now {
        std::thread::sleep(Duration::from_nanos(nanos - now));
    }
}
