//! Questions to the log: one implementation over the port, so that every adapter and replica answers
//! alike.

use model::{EventFacts, FilterSet, Sequence, Sequenced, StoredEvent, Timestamp};
use ports::{EventLog, EventLogError};

/// Most events that one query answers.
pub const MAX_QUERY_EVENTS: usize = 1000;
/// Events read at a time.
const PAGE_EVENTS: usize = 500;
/// Most events that one query looks at; the answer then says where to go on.
const MAX_SCANNED_EVENTS: usize = 50_000;

/// Which end of the log to begin at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Oldest first, after `after`: for going on from a cursor.
    OldestFirst,
    /// Newest first, before the head: for "what is new".
    NewestFirst,
}

/// A question to the log.
#[derive(Clone, PartialEq, Debug)]
pub struct EventQuery {
    /// Which events.
    pub filters: FilterSet,
    /// Only events after this position.
    pub after: Sequence,
    /// Only events received at or after this time.
    pub from: Option<Timestamp>,
    /// Only events received before this time.
    pub to: Option<Timestamp>,
    /// Which end to begin at.
    pub order: Order,
    /// Maximum number of events, up to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
}

/// The answer.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryPage {
    /// Events in the order that was asked for.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// Going on after this position misses nothing that the query would match.
    pub through: Sequence,
    /// There may be more beyond `through` (oldest first only).
    pub has_more: bool,
    /// Some of what was asked for has been trimmed from the log.
    pub truncated: bool,
}

impl EventQuery {
    /// Whether an event is one of those that are asked for, wherever it is in the log.
    #[must_use]
    pub fn fits(&self, event: &EventFacts) -> bool {
        self.from.is_none_or(|from| event.received_at >= from)
            && self.to.is_none_or(|to| event.received_at < to)
            && self.filters.matches(event)
    }
}

/// Which events the asker may see.
pub type Visible<'v> = &'v (dyn Fn(&EventFacts) -> bool + Send + Sync);

fn wanted(query: &EventQuery, visible: Visible<'_>, event: &StoredEvent) -> bool {
    query.fits(&event.facts) && visible(&event.facts)
}

/// Answers a query with bounded work: what is not visible is not there, and does not count towards the
/// limit. For sources; whoever answers a client asks [`crate::history`].
///
/// # Errors
/// The log is unavailable, or holds something unreadable.
pub async fn query_visible(
    log: &dyn EventLog,
    query: &EventQuery,
    visible: Visible<'_>,
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
