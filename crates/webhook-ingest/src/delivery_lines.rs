//! The lines of the log about deliveries that were accepted: each has one, as long as there are not too many.

use std::sync::Arc;

use service_kit::line_allowance::LineAllowance;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::limits::{ACCEPTED_LINES_PER_SECOND, ACCEPTED_SUMMARY_INTERVAL};

/// Which accepted deliveries have a line.
#[derive(Debug)]
pub(crate) struct DeliveryLines(LineAllowance);

impl Default for DeliveryLines {
    fn default() -> Self {
        Self(LineAllowance::new(ACCEPTED_LINES_PER_SECOND))
    }
}

impl DeliveryLines {
    /// Whether there is room for a line about one more delivery; without it, the delivery is counted.
    pub(crate) fn has_room(&self) -> bool {
        self.0.has_room()
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
        let left_out = self.0.take_left_out();
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

    #[test]
    fn many_deliveries_have_a_bounded_number_of_lines_and_the_rest_is_a_number() {
        let lines = DeliveryLines::default();
        let limit = usize::try_from(ACCEPTED_LINES_PER_SECOND).unwrap();
        // Within one second, or two if one ends meanwhile.
        let room = (0..3 * limit).filter(|_| lines.has_room()).count();
        assert!((limit..=2 * limit).contains(&room), "{room}");
        lines.summarise();
        assert_eq!(lines.0.take_left_out(), 0);
    }
}
