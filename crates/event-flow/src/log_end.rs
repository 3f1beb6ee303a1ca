//! The end of the log, read once for all who ask at the same time.

use std::{sync::Arc, time::Duration};

use ports::{EventLog, LogHead};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// The log's end. Concurrent readers share a read that began after each of them had asked, and one is under way at a time:
/// the store has at most as many reads in a second as fit one after the other.
#[derive(Debug)]
pub struct SharedLogEnd {
    log: Arc<dyn EventLog>,
    newest: Mutex<Option<EndReading>>,
}

#[derive(Debug, Clone, Copy)]
struct EndReading {
    began: Instant,
    /// `None` if the log could not be read.
    head: Option<LogHead>,
}

impl SharedLogEnd {
    /// The end of this log.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            newest: Mutex::default(),
        }
    }

    /// The end at some moment from now on; `None` if the log does not give it within `patience`. Safe to drop at any time.
    pub async fn read_since_now(&self, patience: Duration) -> Option<LogHead> {
        let asked = Instant::now();
        let reading = async {
            let mut newest = self.newest.lock().await;
            if let Some(shared) = newest.filter(|newest| newest.began > asked) {
                return shared.head;
            }
            let began = Instant::now();
            let head = self.log.head().await.ok();
            *newest = Some(EndReading { began, head });
            head
        };
        timeout(patience, reading).await.ok().flatten()
    }
}
