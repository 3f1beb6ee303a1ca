//! `GET /events/stream`: resource events as SSE for browsers, curl and agents.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use mcp::dispatch::Resume;
use model::{CursorScope, Sequence, Timestamp};
use serde_json::json;

use super::{authenticate::Authenticated, event_source::way_back, sse};
use fanout::{
    HubError,
    feed::OpeningFrames,
    format::StreamFormat,
    hub::{StreamRequest, StreamStart},
    interest::StreamInterest,
    limits::RETRY_MILLIS,
    metrics::StreamKind,
    news::NewsSelection,
};

use crate::{edge::Edge, error::EdgeError, parameters::StreamParameters};
use access::{Permission, Principal};

/// Opens the stream: `event: connected` first, then `event: event` frames whose `id` is the cursor.
/// Continues after `Last-Event-ID` (or `lastEventId`): a cursor, or a time. After anything else
/// it begins with the next event, and `event: truncated` says that events may have been missed: a client
/// that only knows EventSource could neither read a refusal nor recover from it. For the same reason its
/// browser is told to come back where other clients get 503. HEAD gets the head of the answer and opens no stream.
pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    method: Method,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    if method == Method::HEAD {
        principal.require(Permission::Read)?;
        StreamParameters::read(pairs)?;
        return Ok(sse::head());
    }
    let opened = open(&edge, principal, &headers, pairs).await;
    opened.or_else(|error| way_back(&edge, &headers, &error).ok_or(error))
}

async fn open(
    edge: &Edge,
    principal: Arc<Principal>,
    headers: &HeaderMap,
    pairs: Vec<(String, String)>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    edge.admit(&principal)?;
    let parameters = StreamParameters::read(pairs)?;
    let scope = CursorScope::events(&principal.id);
    let resume = match Resume::read(headers) {
        Resume::Fresh => Resume::of_text(parameters.last_event_id.as_deref().unwrap_or_default()),
        of_header => of_header,
    };
    let begin = begin(edge, &resume, scope)?;
    let client = parameters.client_id;
    let connection = edge.ids.uuid();
    let open = StreamRequest {
        wants: NewsSelection::default(),
        ages: true,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope,
        session: None,
        inbox: Sequence::START,
        interest: StreamInterest::events(&parameters.filters),
        principal,
        begin,
    };
    let feed = edge.hub.open(open, |feed| {
        let cursor = feed.cursor().to_string();
        let data = json!({ "connectionId": connection, "clientId": client, "cursor": cursor });
        let frames = format!(
            ": ok\nretry: {RETRY_MILLIS}\nid: {cursor}\nevent: connected\ndata: {data}\n\n"
        );
        OpeningFrames {
            frames: Bytes::from(frames),
            has_event_id: true,
        }
    });
    Ok(sse::stream(feed.await?))
}

fn begin(edge: &Edge, resume: &Resume, scope: CursorScope) -> Result<StreamStart, HubError> {
    let last = match resume {
        Resume::Fresh => return Ok(StreamStart::Head),
        Resume::Unreadable => return Ok(StreamStart::UnknownCursor),
        Resume::After(last) => last,
    };
    let opened = edge.hub.open_cursor(last, scope)?;
    Ok(match (opened, Timestamp::from_input(last)) {
        (Ok(cursor), _) => StreamStart::After(cursor),
        (Err(_), Some(time)) => StreamStart::Since(time),
        (Err(_), None) => StreamStart::UnknownCursor,
    })
}
