//! Messages of a channel that are not passed on: all of them are counted, and few of them fill the log.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use http_client::quoted;

use crate::limits::REFUSAL_LINES;

/// Counts of the messages that were not passed on.
#[derive(Debug, Default)]
pub(crate) struct ChannelRefusals {
    unverified: RefusalCount,
    unreadable: RefusalCount,
}

/// The count of one reason.
#[derive(Debug, Default)]
struct RefusalCount {
    total: u64,
    /// Those after the last line of the log, and what the newest of them says.
    unsaid: u64,
    newest: String,
    said_at: Option<Instant>,
}

impl RefusalCount {
    fn add(&mut self, newest: String) {
        self.total += 1;
        self.unsaid += 1;
        self.newest = newest;
    }

    /// When the next line may be written; `None` if there is nothing to say.
    fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = self.said_at.map_or(now, |at| at + REFUSAL_LINES);
        (self.unsaid > 0).then_some(due)
    }

    /// What there is to say now: the number since the last line, and the newest.
    fn take(&mut self, is_over: bool) -> Option<(u64, String)> {
        let due = self.due()?;
        if !is_over && due > Instant::now() {
            return None;
        }
        self.said_at = Some(Instant::now());
        let count = std::mem::take(&mut self.unsaid);
        Some((count, std::mem::take(&mut self.newest)))
    }
}

impl ChannelRefusals {
    pub(crate) fn unverified(&mut self, event: &str, guid: &str) {
        let newest = format!("{} {}", quoted(event), quoted(guid));
        self.unverified.add(newest);
        self.report(false);
    }

    pub(crate) fn unreadable(&mut self, why: &str) {
        self.unreadable.add(quoted(why));
        self.report(false);
    }

    /// The time until there is something to say.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let due = [self.unverified.due(), self.unreadable.due()];
        let first = due.into_iter().flatten().min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Writes the lines that are due; all that was not said if the relay is over.
    pub(crate) fn report(&mut self, is_over: bool) {
        if let Some((refused, newest)) = self.unverified.take(is_over) {
            let total = self.unverified.total;
            warn!(
                refused,
                total,
                newest,
                "messages of the channel are refused: no secret of the ingest made their signatures; anybody can post \
                 to a channel, or else give the webhook and the ingest the same secret (WEBHOOK_SECRET), and the \
                 webhook the content type application/json"
            );
        }
        if let Some((refused, newest)) = self.unreadable.take(is_over) {
            let total = self.unreadable.total;
            warn!(
                refused,
                total,
                newest,
                "messages of the channel are no deliveries of GitHub, and are left out"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_said_once_a_minute() {
        let mut refusals = ChannelRefusals::default();
        let mut lines = 0;
        for _ in 0..600 {
            refusals.unverified.add("issues guid".to_owned());
            if let Some((count, _)) = refusals.unverified.take(false) {
                lines += 1;
                assert!(count == 1 || count == 60, "{count}");
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!((refusals.unverified.total, lines), (600, 10));
        // What is left is said when it is due, and at the end.
        assert!(refusals.due_in().is_some_and(|wait| wait <= REFUSAL_LINES));
        assert_eq!(
            refusals.unverified.take(true).map(|(count, _)| count),
            Some(59)
        );
        assert_eq!(refusals.due_in(), None);
    }
}
