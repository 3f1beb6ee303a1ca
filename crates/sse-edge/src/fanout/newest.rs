//! The newest events: from the ring if it reaches far enough back, otherwise from the log.
//!
//! An answer from the ring equals the log's answer: the log is asked for its head, and the ring is
//! used only if it has reached that position. Calls that wait at the same time share one such
//! request, so the log's cost per call falls as the number of calls rises; and every event that was
//! acknowledged before a call is in its answer.

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

/// Events examined under one lock of the ring, so that a filter without matches does not delay new
/// events.
const LOOK_EVENTS: usize = 256;
/// Time that a call waits for this edge to receive what the log already has: usually a millisecond
/// suffices. After that, reading the log itself is faster.
const CATCH_UP_WAIT: Duration = Duration::from_millis(20);

/// The head of the log, requested once for all waiting calls.
#[derive(Debug, Default)]
pub(super) struct LogEnd {
    begun: AtomicU64,
    last: Mutex<Option<(u64, Head)>>,
}

impl LogEnd {
    /// The head of the log, requested after this call began. Safe to drop at any time.
    async fn ask(&self, log: &dyn EventLog) -> Result<Head, EventLogError> {
        // Only a request that begins from here on sees everything that was there before.
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

/// The test that decides what a reader may see.
type Visible<'v> = &'v (dyn Fn(&EventFacts) -> bool + Send + Sync);

impl Hub {
    /// Answers a question as the log does ([`event_flow::query::query_visible`]), with less work for "what is new".
    ///
    /// # Errors
    /// The log does not answer in time, or holds an unreadable event.
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
                    // Last: events of another log arrive only after its epoch.
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

/// The log's answer if its head is `head`; `None` if the ring does not hold enough.
fn newest(
    ring: &Ring,
    head: Head,
    question: &EventQuery,
    visible: Visible<'_>,
) -> Option<QueryPage> {
    let limit = question.limit.clamp(1, MAX_QUERY_EVENTS);
    // Events that the log no longer has are left out, even if the ring still has them.
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
