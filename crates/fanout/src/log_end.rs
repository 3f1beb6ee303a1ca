//! The head of the log, requested once for all waiting calls.

use std::sync::atomic::{AtomicU64, Ordering};

use ports::{EventLog, EventLogError, LogHead};
use tokio::sync::Mutex;

/// The head of the log, requested once for all waiting calls.
#[derive(Debug, Default)]
pub(crate) struct LogEnd {
    requests_started: AtomicU64,
    last: Mutex<Option<(u64, LogHead)>>,
}

impl LogEnd {
    /// The head of the log, requested after this call began. Safe to drop at any time.
    pub(crate) async fn head(&self, log: &dyn EventLog) -> Result<LogHead, EventLogError> {
        // Only a request that begins from here on sees everything that was there before.
        let wanted = self.requests_started.load(Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if let Some((asked, head)) = *last
            && asked >= wanted
        {
            return Ok(head);
        }
        let asked = self.requests_started.fetch_add(1, Ordering::SeqCst) + 1;
        let head = log.head().await?;
        *last = Some((asked, head));
        Ok(head)
    }
}
