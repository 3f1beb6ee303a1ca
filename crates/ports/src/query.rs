//! Queries over the log: one implementation over the port, so that every adapter and replica gives the
//! same answer.

use model::{EventFacts, FilterSet, Sequence, Sequenced, StoredEvent, Timestamp};

use crate::{EventLog, EventLogError};

/// Maximum number of events that one query returns.
pub const MAX_QUERY_EVENTS: usize = 1000;
/// Number of events that are read at a time.
const PAGE_EVENTS: usize = 500;
/// Maximum number of events that one query scans; the answer then says where to continue.
const MAX_SCANNED_EVENTS: usize = 50_000;

/// The end of the log at which a query begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Oldest first, after `after`: for continuing from a cursor.
    OldestFirst,
    /// Newest first, before the head: for "what is new".
    NewestFirst,
}

/// A query over the log.
#[derive(Clone, PartialEq, Debug)]
pub struct EventQuery {
    /// The filters that select the events.
    pub filters: FilterSet,
    /// Only events after this position.
    pub after: Sequence,
    /// Only events received at or after this time.
    pub from: Option<Timestamp>,
    /// Only events received before this time.
    pub to: Option<Timestamp>,
    /// The end at which to begin.
    pub order: Order,
    /// Maximum number of events to return, from 1 to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
}

/// The answer to a query.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryPage {
    /// Events in the requested order.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// Continuing after this position misses no event that the query would match.
    pub through: Sequence,
    /// Whether there may be more beyond `through` (oldest first only).
    pub has_more: bool,
    /// Whether a part of the requested range has been trimmed from the log.
    pub truncated: bool,
}

impl EventQuery {
    /// Whether an event matches the query, whatever its position in the log.
    #[must_use]
    pub fn fits(&self, event: &EventFacts) -> bool {
        self.from.is_none_or(|from| event.received_at >= from)
            && self.to.is_none_or(|to| event.received_at < to)
            && self.filters.matches(event)
    }
}

/// Decides whether the caller may see an event.
type Visible<'v> = &'v (dyn Fn(&EventFacts) -> bool + Send + Sync);

fn wanted(query: &EventQuery, visible: Visible<'_>, event: &StoredEvent) -> bool {
    query.fits(&event.facts) && visible(&event.facts)
}

/// Answers a query with bounded work.
///
/// # Errors
/// The log is unavailable, or holds unreadable data.
pub async fn query(log: &dyn EventLog, query: &EventQuery) -> Result<QueryPage, EventLogError> {
    query_visible(log, query, &|_| true).await
}

/// As [`query`], for a caller that may not see every event: an event that is not visible is treated as
/// absent and does not count towards the limit.
///
/// # Errors
/// As [`query`].
pub async fn query_visible(
    log: &dyn EventLog,
    query: &EventQuery,
    visible: &(dyn Fn(&EventFacts) -> bool + Send + Sync),
) -> Result<QueryPage, EventLogError> {
    match query.order {
        Order::OldestFirst => oldest_first(log, query, visible).await,
        Order::NewestFirst => newest_first(log, query, visible).await,
    }
}

async fn oldest_first(
    log: &dyn EventLog,
    query: &EventQuery,
    visible: Visible<'_>,
) -> Result<QueryPage, EventLogError> {
    let limit = query.limit.clamp(1, MAX_QUERY_EVENTS);
    let mut after = query.after;
    if let Some(from) = query.from {
        after = after.max(log.seek(from).await?);
    }
    let (mut events, mut scanned, mut truncated) = (Vec::new(), 0, false);
    loop {
        let page = log.read_after(after, PAGE_EVENTS).await?;
        truncated |= page.resumes_after.is_some();
        scanned += page.events.len();
        for event in page.events {
            after = event.sequence;
            if wanted(query, visible, &event.item) {
                events.push(event);
                if events.len() == limit {
                    return Ok(QueryPage {
                        events,
                        through: after,
                        has_more: true,
                        truncated,
                    });
                }
            }
        }
        after = page.through.max(after);
        if page.at_head || scanned >= MAX_SCANNED_EVENTS {
            let has_more = !page.at_head;
            return Ok(QueryPage {
                events,
                through: after,
                has_more,
                truncated,
            });
        }
    }
}

async fn newest_first(
    log: &dyn EventLog,
    query: &EventQuery,
    visible: Visible<'_>,
) -> Result<QueryPage, EventLogError> {
    let limit = query.limit.clamp(1, MAX_QUERY_EVENTS);
    let through = log.head().await?.last;
    let (mut events, mut before, mut scanned) = (Vec::new(), through.next(), 0);
    while events.len() < limit && scanned < MAX_SCANNED_EVENTS {
        let page = log.read_before(before, PAGE_EVENTS).await?;
        let Some(oldest) = page.last() else { break };
        before = oldest.sequence;
        scanned += page.len();
        let past_start = before <= query.after;
        let newer = page
            .into_iter()
            .filter(|event| event.sequence > query.after);
        events.extend(
            newer
                .filter(|event| wanted(query, visible, &event.item))
                .take(limit - events.len()),
        );
        if past_start {
            break;
        }
    }
    Ok(QueryPage {
        events,
        through,
        has_more: false,
        truncated: false,
    })
}
