//! `GET /events/stream`: resource events as SSE for browsers, curl and agents.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use bytes::Bytes;
use http::HeaderMap;
use model::{Cursor, CursorScope, Timestamp};
use serde_json::json;

use super::{authenticate::Authenticated, parameters::Parameters, sse};
use fanout::{
    feed::OpeningFrames,
    format::StreamFormat,
    hub::{Hub, StreamRequest, StreamStart},
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
/// Continues after `Last-Event-ID` (or `lastEventId`): a cursor, or an RFC 3339 time.
pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    let parameters = Parameters::read(pairs, &OWN)?;
    let scope = CursorScope::events(&principal.id);
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = header
        .or_else(|| parameters.get("lastEventId"))
        .filter(|id| !id.is_empty());
    let begin = begin(&edge.hub, last, scope).await?;
    let client = parameters.get("clientId").map(ToOwned::to_owned);
    let connection = edge.ids.uuid();
    let open = StreamRequest {
        wants: NewsSelection::default(),
        ages: true,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope,
        session: None,
        interest: StreamInterest::events(parameters.filters),
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

async fn begin(
    hub: &Hub,
    last: Option<&str>,
    scope: CursorScope,
) -> Result<StreamStart, EdgeError> {
    let Some(last) = last else {
        return Ok(StreamStart::Head);
    };
    if let Some(time) = Timestamp::parse(last) {
        return Ok(StreamStart::Position(hub.position_at(time).await?));
    }
    Ok(StreamStart::After(Cursor::parse(last, scope)?))
}
