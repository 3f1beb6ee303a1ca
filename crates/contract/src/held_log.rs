//! A log whose readers the suite holds back, to see what a slow follower shows.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{EventId, Sequence, StoredEvent, Timestamp};
use ports::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult};
use tokio::sync::watch;

/// A log whose pages can be held back, and that can be made unavailable. Its hints are not published, so a
/// follower finds events when it polls.
#[derive(Debug)]
pub struct HeldLog {
    log: Arc<dyn EventLog>,
    holds: watch::Sender<bool>,
    fails: watch::Sender<bool>,
}

impl HeldLog {
    /// A log that behaves as the given one until the suite changes that.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Arc<Self> {
        Arc::new(Self {
            log,
            holds: watch::Sender::new(false),
            fails: watch::Sender::new(false),
        })
    }

    /// Holds back every page while true; the head is read as usual.
    pub fn hold(&self, holds: bool) {
        self.holds.send_replace(holds);
    }

    /// Lets every read fail while true.
    pub fn fail(&self, fails: bool) {
        self.fails.send_replace(fails);
    }

    fn answer(&self, op: &'static str) -> Result<(), EventLogError> {
        match *self.fails.borrow() {
            true => Err(EventLogError::Unavailable {
                op,
                source: "the suite says so".into(),
            }),
            false => Ok(()),
        }
    }

    async fn page(&self, op: &'static str) -> Result<(), EventLogError> {
        let mut holds = self.holds.subscribe();
        // The sender lives as long as this log.
        let _ = holds.wait_for(|holds| !holds).await;
        self.answer(op)
    }
}

#[async_trait]
impl EventLog for HeldLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.log.append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.page("read").await?;
        self.log.read_after(after, limit).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.page("read backwards").await?;
        self.log.read_before(before, limit).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.answer("seek")?;
        self.log.seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.answer("find an event")?;
        self.log.position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.answer("read the head")?;
        self.log.head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.log.trim(time).await
    }

    fn deadline(&self) -> Duration {
        // A follower that is held back is slow, not without a log.
        Duration::from_secs(60)
    }
}
