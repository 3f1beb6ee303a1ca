//! `GET /events/recent` and `GET /events/replay/{timestamp}`: the log by page.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use event_flow::query::{EventQuery, MAX_ANSWER_BYTES, MAX_QUERY_EVENTS, Order, QueryPage};
use model::{CursorScope, Sequence, Timestamp};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    authenticate::Authenticated,
    parameters::{Parameters, TIME_FORMAT},
};
use fanout::hub::StreamStart;

use crate::{edge::Edge, error::EdgeError};
use access::{Permission, Principal};
use event_flow::raw_events::{RawEvents, raw_events};

/// Default of `limit` for `recent`.
const RECENT_EVENTS: usize = 100;

/// A page of events.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventList {
    events: Vec<Box<RawValue>>,
    count: usize,
    /// Pass it as `cursor`, or as `Last-Event-ID` of a stream, to continue without a gap.
    next_cursor: String,
    /// For the newest events: pass it to `recent` as `before` for older ones; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_cursor: Option<String>,
    /// Whether there are more of the requested events than fit into one answer.
    has_more: bool,
    /// Whether some of the requested events are no longer kept.
    truncated: bool,
}

/// The newest events first (`order=asc`: oldest first); with `before`, those before a cursor.
pub(crate) async fn recent(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<EventList>, EdgeError> {
    principal.require(Permission::Read)?;
    let parameters = Parameters::read(pairs, &["limit", "order", "before"])?;
    let order = parameters.get("order").map(str::to_ascii_lowercase);
    let order = match order.as_deref() {
        None | Some("desc") => Order::NewestFirst,
        Some("asc") => Order::OldestFirst,
        Some(_) => return Err(parameter("order", "use asc or desc")),
    };
    let limit = parameters.count("limit", RECENT_EVENTS, MAX_QUERY_EVENTS)?;
    let mut question = question(&parameters, Order::NewestFirst, limit);
    let mut gone = false;
    if let Some(before) = parameters.get("before") {
        edge.hub.check_started()?;
        let cursor = edge
            .hub
            .open_cursor(before, CursorScope::events(&principal.id))?;
        (question.before, gone) = edge.hub.resolve_before(cursor).await?;
    }
    let mut list = list(&edge, &principal, question).await?;
    list.truncated |= gone;
    if order == Order::OldestFirst {
        list.events.reverse();
    }
    Ok(Json(list))
}

/// Events received since a time, oldest first; continue with `cursor`.
pub(crate) async fn replay(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    Path(timestamp): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<EventList>, EdgeError> {
    principal.require(Permission::Read)?;
    let from = Timestamp::from_input(&timestamp);
    let from = from.ok_or_else(|| parameter("timestamp", TIME_FORMAT))?;
    let parameters = Parameters::read(pairs, &["limit", "to", "cursor"])?;
    let limit = parameters.count("limit", MAX_QUERY_EVENTS, MAX_QUERY_EVENTS)?;
    let mut question = question(&parameters, Order::OldestFirst, limit);
    question.from = Some(from);
    let mut gone = false;
    question.to = parameters.time("to")?;
    if let Some(cursor) = parameters.get("cursor") {
        edge.hub.check_started()?;
        let scope = CursorScope::events(&principal.id);
        let cursor = edge.hub.open_cursor(cursor, scope)?;
        (question.after, gone) = edge.hub.resolve(StreamStart::After(cursor)).await?;
    }
    let mut list = list(&edge, &principal, question).await?;
    list.truncated |= gone;
    Ok(Json(list))
}

fn parameter(field: &str, reason: &str) -> EdgeError {
    EdgeError::Parameter {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

fn question(parameters: &Parameters, order: Order, limit: usize) -> EventQuery {
    let filters = parameters.filters.clone();
    EventQuery {
        filters,
        after: Sequence::START,
        before: None,
        from: None,
        to: None,
        order,
        limit,
        max_bytes: MAX_ANSWER_BYTES,
    }
}

/// The events of the log that match the question and that the principal may see.
async fn list(
    edge: &Edge,
    principal: &Principal,
    question: EventQuery,
) -> Result<EventList, EdgeError> {
    let answer = edge.history.of(principal).query(&question).await?;
    let reader = edge.hub.reader(CursorScope::events(&principal.id));
    let previous_cursor = edge.hub.cursor_before(&reader, &answer);
    let previous_cursor = previous_cursor.map(|cursor| cursor.to_string());
    let QueryPage {
        events,
        through,
        through_tag,
        has_more,
        truncated,
        older: _,
    } = answer;
    let next_cursor = edge.hub.cursor_at(&reader, through, through_tag);
    let next_cursor = next_cursor.to_string();
    let RawEvents { events, truncated } = raw_events(events, truncated);
    Ok(EventList {
        count: events.len(),
        events,
        next_cursor,
        previous_cursor,
        has_more,
        truncated,
    })
}
