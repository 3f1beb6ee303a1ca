//! Queries over the log: one implementation over the port, so that every adapter and replica gives the
//! same answers.

use model::{
    EntryTag, EventFacts, EventId, FilterMatcher, FilterSet, Sequence, Sequenced, StoredEvent,
    Timestamp,
};
use ports::{EventLog, EventLogError};

pub use self::answer::QueryAnswer;
use self::search::Search;
use crate::limits::PAGE_EVENTS;
pub use crate::limits::{MAX_ANSWER_BYTES, MAX_QUERY_EVENTS, MAX_QUERY_OFFSET};

mod answer;
mod search;

/// The end of the log at which a query begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Oldest first, after `after`: to continue from a cursor.
    OldestFirst,
    /// Newest first, from the head backwards: for the most recent events.
    NewestFirst,
}

/// A query over the log.
#[derive(Clone, PartialEq, Debug)]
pub struct EventQuery {
    /// The filters that select the events.
    pub filters: FilterSet,
    /// Only events after this position.
    pub after: Sequence,
    /// Whether that is the position of a cursor, also where it is the start: what was before `after` is of no concern,
    /// whatever `from` says.
    pub is_continued: bool,
    /// Only events before this position; `None`: up to the end of the log. For newest first.
    pub before: Option<Sequence>,
    /// Only events received at or after this time.
    pub from: Option<Timestamp>,
    /// Only events received before this time.
    pub to: Option<Timestamp>,
    /// The end at which to begin.
    pub order: Order,
    /// Number of matching events to pass over first, up to [`MAX_QUERY_OFFSET`]. They are searched like all
    /// others; to continue from an answer, its position is cheaper, and stays right when events arrive.
    pub offset: usize,
    /// Maximum number of events, up to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
    /// Maximum JSON of the events together, in bytes, up to [`MAX_ANSWER_BYTES`]. A single event is given
    /// whatever its size, so that a reader always advances.
    pub max_bytes: usize,
}

/// The answer to a query.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryPage {
    /// Events in the requested order.
    pub events: Vec<Sequenced<StoredEvent>>,
    /// A query that continues after this position misses no match.
    pub through: Sequence,
    /// The tag of the entry at `through`, if it is known: for the cursor.
    pub through_tag: Option<EntryTag>,
    /// There may be more events that match, whether the limit, the bytes or the time of the search cut the answer:
    /// beyond `through` if oldest first; before `older` if newest first.
    pub has_more: bool,
    /// Newest first: a query for what is before this position misses no older match. `None` if the search
    /// has reached the beginning of the requested range, and if oldest first.
    pub older: Option<Sequence>,
    /// Part of the requested range has been trimmed from the log, or does not decode. A query for the newest
    /// events that finds fewer than it may return asks for everything that the log ever had.
    pub truncated: bool,
}

impl QueryPage {
    /// Keeps the first `count` events, one at least: the page ends with the last of them, as if the query had had no
    /// room for the next.
    pub fn cut_to(&mut self, order: Order, count: usize) {
        if count >= self.events.len() {
            return;
        }
        self.events.truncate(count.max(1));
        let Some(last) = self.events.last() else {
            return;
        };
        match order {
            Order::OldestFirst => {
                self.through = last.sequence;
                self.through_tag = Some(EntryTag::of(&last.item.facts.id));
            }
            Order::NewestFirst => self.older = Some(last.sequence),
        }
        self.has_more = true;
    }
}

impl EventQuery {
    /// A query for up to `limit` events of the whole log that match one of the filters.
    #[must_use]
    pub const fn new(filters: FilterSet, order: Order, limit: usize, max_bytes: usize) -> Self {
        Self {
            filters,
            after: Sequence::START,
            is_continued: false,
            before: None,
            from: None,
            to: None,
            order,
            offset: 0,
            limit,
            max_bytes,
        }
    }

    /// The conditions of the query in the form in which they are compared.
    #[must_use]
    pub fn matcher(&self) -> QueryMatcher {
        QueryMatcher {
            filters: FilterMatcher::of(&self.filters),
            from: self.from,
            to: self.to,
        }
    }
}

/// The filters and times of a query, compiled once for all events that it scans.
#[derive(Debug, Clone)]
pub struct QueryMatcher {
    filters: FilterMatcher,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl QueryMatcher {
    /// Whether an event matches, regardless of its position in the log.
    #[must_use]
    pub fn matches(&self, event: &EventFacts) -> bool {
        self.from.is_none_or(|from| event.received_at >= from)
            && self.to.is_none_or(|to| event.received_at < to)
            && self.filters.matches(event)
    }
}

/// Decides which events a reader gets.
pub trait EventChoice: Send + Sync {
    /// Whether the reader gets the event at this position of the log.
    fn takes(&self, position: Sequence, event: &EventFacts) -> bool;

    /// Whether the choice has cost as much as one query may: the answer then ends here, and gives the position to
    /// continue from.
    fn is_spent(&self) -> bool {
        false
    }
}

impl<F: Fn(&EventFacts) -> bool + Send + Sync> EventChoice for F {
    fn takes(&self, _: Sequence, event: &EventFacts) -> bool {
        self(event)
    }
}

/// The events that the reader gets, of those that match.
pub type Visible<'v> = &'v dyn EventChoice;

fn is_match(matcher: &QueryMatcher, visible: Visible<'_>, event: &Sequenced<StoredEvent>) -> bool {
    let facts = &event.item.facts;
    matcher.matches(facts) && visible.takes(event.sequence, facts)
}

/// Answers a query with bounded work. Invisible events are left out and do not count towards the limit. For
/// sources only; answers to clients are read from [`crate::history`].
///
/// # Errors
/// The log is unavailable or damaged.
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

/// The event with an id, if the log holds it and it is visible. For sources only, as [`query_visible`].
///
/// # Errors
/// The log is unavailable or damaged.
pub async fn visible_event(
    log: &dyn EventLog,
    id: &EventId,
    visible: Visible<'_>,
) -> Result<Option<StoredEvent>, EventLogError> {
    let Some(position) = log.position_of(id).await? else {
        return Ok(None);
    };
    let page = log.read_after(position.previous(), 1).await?;
    // An entry that does not decode is passed over, and the log may have been put back meanwhile.
    let mut events = page.events.into_iter().map(|event| event.item);
    let is_it = |event: &StoredEvent| event.facts.id == *id;
    Ok(events.find(|event| is_it(event) && visible.takes(position, &event.facts)))
}

async fn oldest_first(
    log: &dyn EventLog,
    query: &EventQuery,
    visible: Visible<'_>,
) -> Result<QueryPage, EventLogError> {
    let matcher = query.matcher();
    let (mut after, mut truncated) = (query.after, false);
    if let Some(from) = query.from {
        let start = log.seek(from).await?;
        // A reader at or beyond this position has what was removed, or was told.
        truncated = start.truncated && after < start.position;
        after = after.max(start.position);
    }
    let (mut answer, mut search) = (QueryAnswer::to(query), Search::begin());
    let (mut last, mut has_more) = (None, true);
    while has_more && !answer.is_full() {
        let Some(page) = search.next(log.read_after(after, PAGE_EVENTS)).await? else {
            break;
        };
        truncated |= page.resumes_after.is_some();
        search.count(page.events.len() + page.undecodable.len());
        for event in page.events {
            let (sequence, id) = (event.sequence, event.item.facts.id.clone());
            if is_match(&matcher, visible, &event) && !answer.push(event) {
                break;
            }
            (after, last) = (sequence, Some((sequence, id)));
            if visible.is_spent() {
                answer.end();
                break;
            }
        }
        if !answer.is_full() {
            after = page.through.max(after);
            has_more = !page.at_head;
        }
    }
    Ok(QueryPage {
        events: answer.into_events(),
        through: after,
        through_tag: tag_at(after, last.as_ref()),
        has_more,
        older: None,
        truncated,
    })
}

/// The tag of the last event that was read, if it is the one at `position`.
fn tag_at(position: Sequence, last: Option<&(Sequence, EventId)>) -> Option<EntryTag> {
    last.filter(|(sequence, _)| *sequence == position)
        .map(|(_, id)| EntryTag::of(id))
}

async fn newest_first(
    log: &dyn EventLog,
    query: &EventQuery,
    visible: Visible<'_>,
) -> Result<QueryPage, EventLogError> {
    let matcher = query.matcher();
    let through = log.head().await?.last;
    // Nothing that was received at or after the time is at this position or before it.
    let floor = match query.from {
        Some(from) => query.after.max(log.seek(from).await?.position),
        None => query.after,
    };
    let end = through.next();
    let mut before = query.before.map_or(end, |before| before.min(end));
    let (mut answer, mut search) = (QueryAnswer::to(query), Search::begin());
    let mut last = None;
    let (mut truncated, mut searched_all) = (false, before <= floor.next());
    while !searched_all && !answer.is_full() {
        let Some(page) = search.next(log.read_before(before, PAGE_EVENTS)).await? else {
            break;
        };
        let Some(lowest) = page.lowest() else {
            searched_all = true;
            break;
        };
        let newest = page.events.first();
        last = last.or(newest.map(|event| (event.sequence, event.item.facts.id.clone())));
        search.count(page.events.len() + page.undecodable.len());
        for event in page.events {
            let sequence = event.sequence;
            if sequence <= floor {
                break;
            }
            if is_match(&matcher, visible, &event) && !answer.push(event) {
                break;
            }
            before = sequence;
            if visible.is_spent() {
                answer.end();
            }
            if answer.is_full() {
                break;
            }
        }
        if !answer.is_full() {
            before = lowest;
            searched_all = before <= floor;
        }
        // An undecodable entry is missing from the answer if it is in the range that was searched.
        let searched_from = before.max(floor.next());
        let mut undecodable = page.undecodable.iter();
        truncated |= undecodable.any(|entry| entry.sequence >= searched_from);
    }
    if searched_all {
        // Asked last: events may have been removed during the search.
        truncated |= is_truncated(log, query, log.head().await?.trimmed_through).await?;
    }
    Ok(QueryPage {
        through,
        through_tag: tag_at(through, last.as_ref()),
        has_more: !searched_all,
        older: (!searched_all).then_some(before),
        events: answer.into_events(),
        truncated,
    })
}

/// Whether events that a query for the newest ones may have asked for have been removed, if the log has
/// removed all up to `trimmed_through`.
///
/// # Errors
/// The log is unavailable.
pub async fn is_truncated(
    log: &dyn EventLog,
    query: &EventQuery,
    trimmed_through: Sequence,
) -> Result<bool, EventLogError> {
    match query.from {
        _ if trimmed_through <= query.after => Ok(false),
        Some(from) => Ok(log.seek(from).await?.truncated),
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests;
