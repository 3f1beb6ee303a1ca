//! Recent events, the newest first or those after a cursor: from the ring if it reaches far enough back,
//! otherwise from the log.
//!
//! An answer from the ring equals the log's answer: the log is asked for its head, and the ring is
//! used only if it has reached that position. Calls that wait at the same time share one such
//! request, so the log's cost per call falls as the number of calls rises; and every event that was
//! acknowledged before a call is in its answer.

use std::{borrow::Cow, time::Duration};

use async_trait::async_trait;
use event_flow::{
    history::{EventSource, HistoryError},
    query::{
        EventQuery, Order, QueryAnswer, QueryPage, Visible, is_truncated, query_visible,
        visible_event,
    },
};
use model::{EventId, PrincipalId, Sequence, Sequenced, StoredEvent};
use ports::{EventLogError, LogHead};
use tokio::time::timeout;

use super::{
    hub::Hub,
    ring::{Ring, RingEntry, RingRead},
};
use crate::limits::{CALL_DEADLINE, TURN_WAIT};

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
        reader: &PrincipalId,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<QueryPage, HistoryError> {
        let epoch = self.epoch();
        // Names mean what they mean at the moment of the call.
        let filters = self.names.now().bind(&question.filters);
        let bound = match filters {
            Cow::Borrowed(_) => Cow::Borrowed(question),
            Cow::Owned(filters) => Cow::Owned(EventQuery {
                filters,
                ..question.clone()
            }),
        };
        let question = &*bound;
        let mut page = self.answer(reader, question, visible).await?;
        if self.epoch() == epoch {
            page.truncated |= self.lacks_lost_events(question, &page);
            return Ok(page);
        }
        // The log was replaced meanwhile: in the new one, the positions of the question mean nothing.
        let anew = EventQuery {
            after: Sequence::START,
            before: None,
            ..question.clone()
        };
        let mut page = self.answer(reader, &anew, visible).await?;
        page.truncated = true;
        Ok(page)
    }

    async fn event(
        &self,
        reader: &PrincipalId,
        id: &EventId,
        visible: Visible<'_>,
    ) -> Result<Option<StoredEvent>, HistoryError> {
        let Some(log) = self.log_turns.begin(reader, TURN_WAIT).await else {
            self.metrics.query_refused();
            return Err(HistoryError::Busy);
        };
        Ok(timeout(CALL_DEADLINE, visible_event(&log, id, visible)).await??)
    }
}

impl Hub {
    /// Whether events are lost that a page would have: it goes over a place at which the log was put back, or covers the
    /// start of a range of time, part of which was in another log or in a part of this one that is lost.
    fn lacks_lost_events(&self, question: &EventQuery, page: &QueryPage) -> bool {
        let is_of_time = |from| self.lost_times.reason(from, question.to).is_some();
        let (after, through) = match (question.order, page.older, question.from) {
            (Order::OldestFirst, ..)
                if question.is_continued || question.after > Sequence::START =>
            {
                (question.after, page.through)
            }
            (Order::OldestFirst, _, from) => return from.is_some_and(is_of_time),
            (Order::NewestFirst, None, Some(from)) => return is_of_time(from),
            (Order::NewestFirst, older, _) => (
                older.map_or(question.after, Sequence::previous),
                question.before.map_or(page.through, Sequence::previous),
            ),
        };
        self.timeline().has_gap_between(after, through)
    }

    async fn answer(
        &self,
        reader: &PrincipalId,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<QueryPage, HistoryError> {
        let in_memory = self.in_memory(question, visible);
        if let Some(page) = timeout(CALL_DEADLINE, in_memory).await?? {
            return Ok(page);
        }
        // The wait for the turn does not shorten the search: it would end without what it has found.
        let Some(log) = self.log_turns.begin(reader, TURN_WAIT).await else {
            self.metrics.query_refused();
            return Err(HistoryError::Busy);
        };
        let answer = query_visible(&log, question, visible);
        Ok(timeout(CALL_DEADLINE, answer).await??)
    }

    /// The answer from the ring, if it reaches far enough back.
    async fn in_memory(
        &self,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<Option<QueryPage>, EventLogError> {
        match question.order {
            Order::NewestFirst => self.newest_in_memory(question, visible).await,
            // What the ring lost does not come back: then the log is not asked for its head first.
            Order::OldestFirst if question.after < self.ring.base() => Ok(None),
            Order::OldestFirst => self.next_in_memory(question, visible).await,
        }
    }

    /// The events after a position, from the ring.
    async fn next_in_memory(
        &self,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<Option<QueryPage>, EventLogError> {
        let (reached, generation) = (self.ring.head(), self.generation());
        let head = self.log_end.head(&*self.log).await?;
        // What was removed before the position is of no concern, as for a reader of the log.
        let is_whole = head.trimmed_through <= question.after && head.last >= reached;
        if is_whole
            && self.has_reached(head.last, CATCH_UP_WAIT).await
            && let Some(page) = next(&self.ring, question, visible)
            && (head.epoch, generation) == (self.epoch(), self.generation())
        {
            return Ok(Some(page));
        }
        Ok(None)
    }

    /// The newest events from the ring, if it reaches far enough back.
    async fn newest_in_memory(
        &self,
        question: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<Option<QueryPage>, EventLogError> {
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
            return Ok(Some(page));
        }
        Ok(None)
    }

    /// Whether this edge has reached a position, after a wait of up to `wait` if that is needed.
    pub async fn has_reached(&self, position: Sequence, wait: Duration) -> bool {
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
            let is_match = matcher.matches(facts) && visible.takes(entry.sequence, facts);
            let bytes = entry.event.json.len();
            if is_match && !answer.push_with(bytes, || sequenced(&entry)) {
                break;
            }
            before = entry.sequence;
            if visible.is_spent() {
                answer.end();
            }
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
        has_more: !searched_all,
        older: (!searched_all).then_some(before),
        truncated: searched_all && head.trimmed_through > question.after,
        events: answer.into_events(),
    })
}

/// The log's answer if the ring is at its end; `None` if the ring does not reach back to `question.after`.
fn next(ring: &Ring, question: &EventQuery, visible: Visible<'_>) -> Option<QueryPage> {
    let matcher = question.matcher();
    let mut answer = QueryAnswer::to(question);
    let mut through = question.after;
    let read = ring.read(question.after, usize::MAX, |entry| {
        let facts = &entry.event.facts;
        let is_match = matcher.matches(facts) && visible.takes(entry.sequence, facts);
        let bytes = entry.event.json.len();
        let has_room = !is_match || answer.push_with(bytes, || sequenced(entry));
        // A full answer still passes over what does not match, as the log's does.
        if has_room {
            through = entry.sequence;
        }
        has_room
    });
    let RingRead::Read {
        through: read_through,
        more,
    } = read
    else {
        return None;
    };
    let is_full = answer.is_full();
    if !is_full {
        through = read_through;
    }
    Some(QueryPage {
        through,
        through_tag: ring.known_tag(through),
        has_more: more || is_full,
        older: None,
        truncated: false,
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
