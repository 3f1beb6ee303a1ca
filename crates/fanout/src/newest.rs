//! The newest events: from the ring if it reaches far enough back, otherwise from the log.
//!
//! An answer from the ring equals the log's answer: the log is asked for its head, and the ring is
//! used only if it has reached that position. Calls that wait at the same time share one such
//! request, so the log's cost per call falls as the number of calls rises; and every event that was
//! acknowledged before a call is in its answer.

use std::time::Duration;

use async_trait::async_trait;
use event_flow::{
    history::{EventSource, HistoryError},
    query::{EventQuery, Order, QueryAnswer, QueryPage, Visible, is_truncated, query_visible},
};
use model::{Sequence, Sequenced};
use ports::{EventLogError, LogHead};
use tokio::time::{error::Elapsed, timeout};

use super::{
    hub::Hub,
    ring::{Ring, RingEntry},
};
use crate::limits::CALL_DEADLINE;

/// Events examined under one lock of the ring, so that a filter without matches does not delay new
/// events.
const SCAN_EVENTS: usize = 256;
/// Time that a call waits for this edge to receive what the log already has: usually a millisecond
/// suffices. After that, reading the log itself is faster.
const CATCH_UP_WAIT: Duration = Duration::from_millis(20);

/// Answers a query like the log does, with less work for the newest events.
#[async_trait]
impl EventSource for Hub {
    async fn query(
        &self,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<QueryPage, HistoryError> {
        let answer = async {
            if question.order == Order::NewestFirst {
                let reached = self.ring.head();
                let head = self.log_end.head(&*self.log).await?;
                // A log that ends before a position that this edge has reached was put back; the ring
                // still has what was lost.
                if head.last >= reached
                    && self.has_reached(head.last, CATCH_UP_WAIT).await
                    && let Some(mut page) = newest(&self.ring, head, question, visible)
                    // Last: events of another log arrive only after its epoch.
                    && head.epoch == self.epoch()
                {
                    if page.truncated {
                        let trimmed = head.trimmed_through;
                        page.truncated = is_truncated(&*self.log, question, trimmed).await?;
                    }
                    return Ok(page);
                }
            }
            query_visible(&*self.log, question, visible).await
        };
        let answered: Result<Result<_, EventLogError>, Elapsed> =
            timeout(CALL_DEADLINE, answer).await;
        Ok(answered??)
    }
}

impl Hub {
    /// Whether this edge has reached a position, after a wait of up to `wait` if that is needed.
    pub(super) async fn has_reached(&self, position: Sequence, wait: Duration) -> bool {
        if self.ring.head() >= position {
            return true;
        }
        let mut published = self.published.subscribe();
        let reached = published.wait_for(|_| self.ring.head() >= position);
        matches!(timeout(wait, reached).await, Ok(Ok(_)))
    }
}

/// The log's answer if its head is `head`; `None` if the ring does not hold enough. It is marked as
/// truncated if the search ended where events had been removed, whenever those were received.
fn newest(
    ring: &Ring,
    head: LogHead,
    question: &EventQuery,
    visible: Visible<'_>,
) -> Option<QueryPage> {
    // Events that the log no longer has are left out, even if the ring still has them.
    let floor = question.after.max(head.trimmed_through);
    let matcher = question.matcher();
    let end = head.last.next();
    let mut before = question.before.map_or(end, |before| before.min(end));
    let mut answer = QueryAnswer::to(question);
    let mut searched_all = before <= floor.next();
    while !searched_all && !answer.is_full() {
        let (looked_at, base) = ring.newest_before(before, SCAN_EVENTS, head.last)?;
        let is_all = looked_at.len() < SCAN_EVENTS;
        for entry in looked_at {
            if entry.sequence <= floor {
                searched_all = true;
                break;
            }
            let facts = &entry.event.facts;
            let is_match = matcher.matches(facts) && visible(facts);
            let bytes = entry.event.json.len();
            if is_match && !answer.push_with(bytes, || sequenced(&entry)) {
                break;
            }
            before = entry.sequence;
            if answer.is_full() {
                break;
            }
        }
        if is_all && !answer.is_full() && !searched_all {
            if base > floor {
                return None;
            }
            searched_all = true;
        }
    }
    Some(QueryPage {
        through: head.last,
        through_tag: ring.known_tag(head.last),
        has_more: !searched_all && !answer.has_all_asked_for(),
        older: (!searched_all).then_some(before),
        truncated: searched_all && head.trimmed_through > question.after,
        events: answer.into_events(),
    })
}

fn sequenced(entry: &RingEntry) -> Sequenced<model::StoredEvent> {
    Sequenced {
        sequence: entry.sequence,
        item: entry.event.clone(),
    }
}

#[cfg(test)]
mod tests;
