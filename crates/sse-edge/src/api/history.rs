//! `GET /events/recent` and `GET /events/replay/{timestamp}`: the log by page.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State, rejection::PathRejection},
    response::Response,
};
use bytes::Bytes;
use event_flow::query::{EventQuery, MAX_ANSWER_BYTES, Order, QueryPage};
use model::{CursorScope, ResourceEvent};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{answers::json as json_answer, authenticate::Authenticated};
use fanout::hub::StreamStart;

use crate::{
    answer_budget::AnswerBytes,
    edge::Edge,
    error::EdgeError,
    limits::SMALL_ANSWER_BYTES,
    parameters::{RecentParameters, ReplayParameters},
};
use access::{Permission, Principal};
use event_flow::raw_events::{RawEvents, raw_events};

/// Bytes of an answer beside its events.
const ENVELOPE_BYTES: usize = 1 << 10;

/// A page of events.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventList {
    #[schemars(with = "Vec<ResourceEvent>")]
    events: Vec<Box<RawValue>>,
    /// The number of events.
    count: usize,
    /// Pass it as `cursor`, or as `Last-Event-ID` of a stream, to continue without a gap.
    next_cursor: String,
    /// For the newest events first: pass it as `before` for older ones; absent if there can be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_cursor: Option<String>,
    /// Whether there may be more events that match, beyond the limit or what fits into one answer: older ones before
    /// `previousCursor` for the newest events, later ones after `nextCursor` since a time.
    has_more: bool,
    /// Whether some of the requested events are no longer kept.
    truncated: bool,
    /// What to know of the given filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    notes: Vec<String>,
}

/// The newest events first (`order=asc`: oldest first); with `before`, those before a cursor.
pub(crate) async fn recent(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let asked = RecentParameters::read(pairs, edge.filter_defaults)?;
    let mut question = EventQuery {
        from: asked.from,
        to: asked.to,
        offset: asked.offset,
        ..EventQuery::new(
            asked.filters,
            Order::NewestFirst,
            asked.limit,
            MAX_ANSWER_BYTES,
        )
    };
    let gone = begin(&edge, &principal, &mut question, asked.before.as_deref()).await?;
    answer(&edge, &principal, question, |list| {
        list.truncated |= gone;
        if asked.order == Order::OldestFirst {
            list.events.reverse();
        }
    })
    .await
}

/// Events received since a time, oldest first; continue with `cursor`. With `order=desc` newest first; continue with
/// `before`.
pub(crate) async fn replay(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    timestamp: Result<Path<String>, PathRejection>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    // Bytes that are no text are no time either.
    let timestamp = timestamp.map(|Path(text)| text).unwrap_or_default();
    let asked = ReplayParameters::read(&timestamp, pairs, edge.filter_defaults)?;
    let mut question = EventQuery {
        from: Some(asked.from),
        to: asked.to,
        offset: asked.offset,
        ..EventQuery::new(asked.filters, asked.order, asked.limit, MAX_ANSWER_BYTES)
    };
    let gone = begin(&edge, &principal, &mut question, asked.cursor.as_deref()).await?;
    answer(&edge, &principal, question, |list| list.truncated |= gone).await
}

/// Begins a question at a cursor, in the direction of its order; returns whether events that it asks for are gone.
async fn begin(
    edge: &Edge,
    principal: &Principal,
    question: &mut EventQuery,
    cursor: Option<&str>,
) -> Result<bool, EdgeError> {
    let Some(cursor) = cursor else {
        return Ok(false);
    };
    let scope = CursorScope::events(&principal.id);
    let opened = edge.hub.open_cursor(cursor, scope)?;
    let cursor = opened.map_err(|error| EdgeError::Cursor {
        field: match question.order {
            Order::OldestFirst => "cursor",
            Order::NewestFirst => "before",
        },
        error,
    })?;
    let (hub, reader) = (&edge.hub, &principal.id);
    let gone;
    match question.order {
        Order::OldestFirst => {
            let begin = StreamStart::After(cursor);
            (question.after, gone) = hub.resolve(begin, reader).await?;
            question.is_continued = true;
        }
        Order::NewestFirst => {
            (question.before, gone) = hub.resolve_before(cursor, reader).await?;
        }
    }
    Ok(gone)
}

/// The answer to a question, within the budget of the principal: room for the largest page is reserved before
/// its events are read. Without room, an answer that turns out to be small is given all the same.
async fn answer(
    edge: &Edge,
    principal: &Principal,
    mut question: EventQuery,
    change: impl FnOnce(&mut EventList),
) -> Result<Response, EdgeError> {
    let room = edge.answers.reserve(&principal.id, MAX_ANSWER_BYTES).await;
    if room.is_err() {
        question.max_bytes = SMALL_ANSWER_BYTES - ENVELOPE_BYTES;
    }
    let mut list = list(edge, principal, question).await?;
    change(&mut list);
    let json = encode(&list);
    drop(list);
    let room = match room {
        Ok(mut room) => {
            room.shrink_to(json.len());
            Some(room)
        }
        Err(_) if json.len() <= SMALL_ANSWER_BYTES => None,
        Err(full) => return Err(full),
    };
    Ok(json_answer(AnswerBytes::new(json, room)))
}

/// Sized before it is written, because a buffer that grows ends up twice as large.
fn encode(list: &EventList) -> Bytes {
    let events = list.events.iter().map(|event| event.get().len() + 1);
    let mut json = Vec::with_capacity(events.sum::<usize>() + ENVELOPE_BYTES);
    serde_json::to_writer(&mut json, list).expect("strings, numbers and JSON");
    json.into()
}

/// The events of the log that match the question and that the principal may see.
async fn list(
    edge: &Edge,
    principal: &Principal,
    question: EventQuery,
) -> Result<EventList, EdgeError> {
    let answer = edge.history.of(principal).query(&question).await?;
    let reader = edge.hub.reader(CursorScope::events(&principal.id))?;
    let previous_cursor = edge.hub.cursor_before(&reader, &answer);
    let previous_cursor = previous_cursor.map(|cursor| cursor.to_string());
    let next_cursor = edge.hub.cursor_after(&reader, &answer).to_string();
    let QueryPage {
        events,
        has_more,
        truncated,
        ..
    } = answer;
    let RawEvents { events, truncated } = raw_events(events, truncated);
    let mut notes = question.filters.notes();
    notes.extend(
        edge.hub
            .names()
            .now()
            .notes(&question.filters, &principal.sees),
    );
    Ok(EventList {
        count: events.len(),
        events,
        next_cursor,
        previous_cursor,
        has_more,
        truncated,
        notes,
    })
}
