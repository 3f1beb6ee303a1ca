//! The lines of the log about deliveries that were accepted: each has one, as long as there are not too many.
//!
//! Ten thousand lines a second are no log that anybody reads, and would cost more than the events that they are about.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::limits::{ACCEPTED_LINES_PER_SECOND, ACCEPTED_SUMMARY_INTERVAL};

/// The period over which lines are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Which accepted deliveries have a line.
#[derive(Debug, Default)]
pub(crate) struct DeliveryLines(Mutex<LineWindow>);

#[derive(Debug, Default)]
struct LineWindow {
    began: Option<Instant>,
    lines: u32,
    /// Deliveries without a line since the last summary.
    left_out: u64,
}

impl DeliveryLines {
    /// Whether there is room for a line about one more delivery; without it, the delivery is counted.
    pub(crate) fn has_room(&self) -> bool {
        let now = Instant::now();
        let mut window = self.0.lock();
        let is_current = |began| now.saturating_duration_since(began) < SECOND;
        if !window.began.is_some_and(is_current) {
            (window.began, window.lines) = (Some(now), 0);
        }
        let has_room = window.lines < ACCEPTED_LINES_PER_SECOND;
        match has_room {
            true => window.lines += 1,
            false => window.left_out += 1,
        }
        has_room
    }

    /// Writes how many had no line, at intervals until `stop`, and then for the last time.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let interval = || stop.run_until_cancelled(sleep(ACCEPTED_SUMMARY_INTERVAL));
        while interval().await.is_some() {
            self.summarise();
        }
        self.summarise();
    }

    fn summarise(&self) {
        let left_out = std::mem::take(&mut self.0.lock().left_out);
        if left_out > 0 {
            info!(
                left_out,
                seconds = ACCEPTED_SUMMARY_INTERVAL.as_secs(),
                "accepted webhook deliveries without a line of their own"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_deliveries_have_a_bounded_number_of_lines_and_the_rest_is_a_number() {
        let lines = DeliveryLines::default();
        let room = |count: u32| (0..count).filter(|_| lines.has_room()).count();
        let limit = usize::try_from(ACCEPTED_LINES_PER_SECOND).unwrap();
        assert_eq!(room(ACCEPTED_LINES_PER_SECOND + 7), limit);
        tokio::time::advance(SECOND).await;
        assert_eq!(room(3), 3, "the next second has room again");
        assert_eq!(lines.0.lock().left_out, 7);
        lines.summarise();
        assert_eq!(lines.0.lock().left_out, 0);
    }
}
