//! The work of one query, within its bounds.

use ports::EventLogError;
use tokio::time::{Instant, timeout_at};

use crate::limits::{MAX_SCANNED_EVENTS, SEARCH_TIME};

/// A search through the log. It ends when it has read enough or lasted long enough, and what it has found
/// by then is an answer; its first page is read however long that takes, so that each search advances.
#[derive(Debug)]
pub(super) struct Search {
    until: Instant,
    scanned: usize,
    has_begun: bool,
}

impl Search {
    pub(super) fn begin() -> Self {
        Self {
            until: Instant::now() + SEARCH_TIME,
            scanned: 0,
            has_begun: false,
        }
    }

    /// The next page; `None` if the search ends before it.
    pub(super) async fn next<P>(
        &mut self,
        page: impl Future<Output = Result<P, EventLogError>>,
    ) -> Result<Option<P>, EventLogError> {
        if !self.has_begun {
            self.has_begun = true;
            return page.await.map(Some);
        }
        if self.scanned >= MAX_SCANNED_EVENTS || Instant::now() >= self.until {
            return Ok(None);
        }
        timeout_at(self.until, page).await.ok().transpose()
    }

    /// Counts entries that were read.
    pub(super) fn count(&mut self, entries: usize) {
        self.scanned += entries;
    }
}
