//! The newest events, from the ring where it reaches far enough back, else from the log.
//!
//! An answer from the ring is the log's answer: the log is asked where it ends, and the ring is used only
//! if it has come that far. Calls that wait at the same time share one such question, so what a call
//! costs the log goes down as calls go up, and an event that was acknowledged before a call is in it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use event_flow::query::{EventQuery, MAX_QUERY_EVENTS, Order, QueryPage};
use model::{EventFacts, Sequence, Sequenced};
use ports::{EventLog, EventLogError, Head};
use tokio::{
    sync::Mutex,
    time::{error::Elapsed, timeout},
};

use super::{
    hub::Hub,
    ring::{Entry, Ring},
};
use crate::{error::EdgeError, limits::CALL_DEADLINE};

/// Events that are looked at under one lock of the ring, so that a filter which fits nothing does not
/// keep new events out.
const LOOK_EVENTS: usize = 256;
/// How long a call waits for this edge to get what the log already has: usually a millisecond. After
/// that the log itself is faster.
const CATCH_UP_WAIT: Duration = Duration::from_millis(20);

/// Where the log ends, asked once for all who wait.
#[derive(Debug, Default)]
pub(super) struct LogEnd {
    begun: AtomicU64,
    last: Mutex<Option<(u64, Head)>>,
}

impl LogEnd {
    /// Where the log ends, asked after this call began. Safe to drop at any time.
    async fn ask(&self, log: &dyn EventLog) -> Result<Head, EventLogError> {
        // Only a question that begins from here on has seen everything that was there before.
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if let Some((asked, head)) = *last
            && asked >= wanted
        {
            return Ok(head);
        }
        let asked = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let head = log.head().await?;
        *last = Some((asked, head));
        Ok(head)
    }
}

/// What somebody may see.
type Visible<'v> = &'v (dyn Fn(&EventFacts) -> bool + Send + Sync);

impl Hub {
    /// Answers a question as the log does ([`event_flow::query::query_visible`]), with less work for "what is new".
    ///
    /// # Errors
    /// The log does not answer in time, or holds something unreadable.
    pub(crate) async fn ask(
        &self,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<QueryPage, EdgeError> {
        let answer = async {
            if question.order == Order::NewestFirst {
                let head = self.log_end.ask(&*self.log).await?;
                if self.has_reached(head.last).await
                    && let Some(page) = newest(&self.ring, head, question, visible)
                    // Last: events of another log come after its epoch.
                    && head.epoch == self.epoch()
                {
                    return Ok(page);
                }
            }
            event_flow::query::query_visible(&*self.log, question, visible).await
        };
        let answered: Result<Result<_, EventLogError>, Elapsed> =
            timeout(CALL_DEADLINE, answer).await;
        Ok(answered??)
    }

    async fn has_reached(&self, position: Sequence) -> bool {
        if self.ring.head() >= position {
            return true;
        }
        let mut published = self.published.subscribe();
        let reached = published.wait_for(|_| self.ring.head() >= position);
        matches!(timeout(CATCH_UP_WAIT, reached).await, Ok(Ok(_)))
    }
}

/// What the log whose end is `head` would answer; `None` if the ring does not know.
fn newest(
    ring: &Ring,
    head: Head,
    question: &EventQuery,
    visible: Visible<'_>,
) -> Option<QueryPage> {
    let limit = question.limit.clamp(1, MAX_QUERY_EVENTS);
    // What the log no longer has is not shown, even if the ring still has it.
    let floor = question.after.max(head.trimmed_through);
    let page = |entries: Vec<Arc<Entry>>| QueryPage {
        events: entries.iter().map(|entry| sequenced(entry)).collect(),
        through: head.last,
        has_more: false,
        truncated: false,
    };
    let (mut found, mut before) = (Vec::new(), head.last.next());
    loop {
        let (looked_at, base) = ring.newest_before(before, LOOK_EVENTS, head.last)?;
        let is_all = looked_at.len() < LOOK_EVENTS;
        for entry in looked_at {
            if entry.sequence <= floor {
                return Some(page(found));
            }
            before = entry.sequence;
            let facts = &entry.event.facts;
            if question.fits(facts) && visible(facts) {
                found.push(entry);
                if found.len() == limit {
                    return Some(page(found));
                }
            }
        }
        if is_all {
            return (base <= floor).then(|| page(found));
        }
    }
}

fn sequenced(entry: &Entry) -> Sequenced<model::StoredEvent> {
    Sequenced {
        sequence: entry.sequence,
        item: entry.event.clone(),
    }
}

#[cfg(test)]
mod tests;
