//! `GET /events/stream`: resource events as SSE for browsers, curl and agents.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use bytes::Bytes;
use http::HeaderMap;
use mcp::dispatch::Resume;
use model::{Cursor, CursorScope, Timestamp};
use serde_json::json;

use super::{authenticate::Authenticated, parameters::Parameters, sse};
use fanout::{
    feed::OpeningFrames,
    format::StreamFormat,
    hub::{StreamRequest, StreamStart},
    interest::StreamInterest,
    limits::RETRY_MILLIS,
    metrics::StreamKind,
    news::NewsSelection,
};

use crate::{edge::Edge, error::EdgeError};
use access::Permission;

/// The parameters besides the filter; `clientId` is echoed to clients that send it.
const OWN: [&str; 2] = ["clientId", "lastEventId"];

/// Opens the stream: `event: connected` first, then `event: event` frames whose `id` is the cursor.
/// Continues after `Last-Event-ID` (or `lastEventId`): a cursor, or an RFC 3339 time. After anything else
/// it begins with the next event, and `event: truncated` says that events may have been missed: a client
/// that only knows EventSource could neither read a refusal nor recover from it.
pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    let parameters = Parameters::read(pairs, &OWN)?;
    let scope = CursorScope::events(&principal.id);
    let resume = match Resume::read(&headers) {
        Resume::Fresh => Resume::of_text(parameters.get("lastEventId").unwrap_or_default()),
        of_header => of_header,
    };
    let begin = begin(&resume, scope);
    let client = parameters.get("clientId").map(ToOwned::to_owned);
    let connection = edge.ids.uuid();
    let open = StreamRequest {
        wants: NewsSelection::default(),
        ages: true,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope,
        session: None,
        interest: StreamInterest::events(&parameters.filters),
        principal,
        begin,
    };
    let feed = edge.hub.open(open, |reader, position| {
        let cursor = edge.hub.cursor(reader, position).to_string();
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

fn begin(resume: &Resume, scope: CursorScope) -> StreamStart {
    let last = match resume {
        Resume::Fresh => return StreamStart::Head,
        Resume::Unreadable => return StreamStart::UnknownCursor,
        Resume::After(last) => last,
    };
    if let Some(time) = Timestamp::parse(last) {
        return StreamStart::Since(time);
    }
    Cursor::parse(last, scope).map_or(StreamStart::UnknownCursor, StreamStart::After)
}
