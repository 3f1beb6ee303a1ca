//! Uses of the server that were tried with success: when, and over which connection.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Interval between two trials of one use, while nothing is refused.
const TRIAL_INTERVAL: Duration = Duration::from_secs(30);

/// The last successful trial of each use. Clones share it. It holds the uses of the last 30 s.
#[derive(Debug)]
pub(crate) struct Trials<K>(Arc<Mutex<HashMap<K, Trial>>>);

#[derive(Debug)]
struct Trial {
    began: Instant,
    /// Number of the connection: another one begins without trials.
    connection: u64,
}

impl<K> Clone for Trials<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Trials<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Trials<K> {
    /// Whether a use has to be tried: it was not, over this connection, in the last 30 s.
    pub(crate) fn is_due(&self, tried: &K, connection: u64) -> bool {
        let trials = self.0.lock();
        let last = trials.get(tried);
        last.is_none_or(|last| !last.is_recent(connection))
    }

    /// Notes a trial that succeeded.
    pub(crate) fn succeeded(&self, tried: K, began: Instant, connection: u64) {
        let mut trials = self.0.lock();
        trials.retain(|_, trial| trial.is_recent(connection));
        trials.insert(tried, Trial { began, connection });
    }
}

impl Trial {
    fn is_recent(&self, connection: u64) -> bool {
        self.connection == connection && self.began.elapsed() < TRIAL_INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_use_is_due_by_itself_after_the_interval_and_over_a_new_connection() {
        let trials = Trials::default();
        trials.succeeded("a", Instant::now(), 1);
        assert!(!trials.is_due(&"a", 1));
        assert!(trials.is_due(&"b", 1), "a trial of another use");
        assert!(trials.is_due(&"a", 2), "another connection");
        tokio::time::advance(TRIAL_INTERVAL).await;
        assert!(trials.is_due(&"a", 1));
        trials.succeeded("b", Instant::now(), 1);
        assert_eq!(trials.0.lock().len(), 1, "what is due is not kept");
    }
}
