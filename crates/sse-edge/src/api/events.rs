//! `GET /events/stream`: resource events as SSE for browsers, curl and agents.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use bytes::Bytes;
use http::HeaderMap;
use mcp::dispatch::Resume;
use model::{Classified, CursorScope, PublicError, Sequence, Timestamp};
use serde_json::json;
use tracing::warn;

use super::{
    authenticate::Authenticated,
    event_source::{come_back, is_event_source},
    parameters::Parameters,
    sse,
};
use fanout::{
    feed::OpeningFrames,
    format::StreamFormat,
    hub::{StreamRequest, StreamStart},
    interest::StreamInterest,
    limits::RETRY_MILLIS,
    metrics::StreamKind,
    news::NewsSelection,
};

use crate::{edge::Edge, error::EdgeError, limits::PAGE_RETRY_MILLIS};
use access::{Permission, Principal};

/// The parameters besides the filter; `clientId` is echoed to clients that send it.
const OWN: [&str; 2] = ["clientId", "lastEventId"];

/// Opens the stream: `event: connected` first, then `event: event` frames whose `id` is the cursor.
/// Continues after `Last-Event-ID` (or `lastEventId`): a cursor, or a time. After anything else
/// it begins with the next event, and `event: truncated` says that events may have been missed: a client
/// that only knows EventSource could neither read a refusal nor recover from it. For the same reason its
/// browser is told to come back where other clients get 503.
pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    match open(&edge, principal, &headers, pairs).await {
        Err(error) if error.class().is_retryable() && is_event_source(&headers) => {
            warn!(%error, code = error.code(), "a page is told to come back for its stream");
            // Spread, because pages that are refused together would come back together.
            let spread = edge.ids.random_u64() % PAGE_RETRY_MILLIS;
            Ok(come_back(&error, PAGE_RETRY_MILLIS + spread))
        }
        opened => opened,
    }
}

async fn open(
    edge: &Edge,
    principal: Arc<Principal>,
    headers: &HeaderMap,
    pairs: Vec<(String, String)>,
) -> Result<Response, EdgeError> {
    principal.require(Permission::Read)?;
    let parameters = Parameters::read(pairs, &OWN)?;
    let scope = CursorScope::events(&principal.id);
    let resume = match Resume::read(headers) {
        Resume::Fresh => Resume::of_text(parameters.get("lastEventId").unwrap_or_default()),
        of_header => of_header,
    };
    edge.hub.check_started()?;
    let begin = begin(edge, &resume, scope);
    let client = parameters.get("clientId").map(ToOwned::to_owned);
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

fn begin(edge: &Edge, resume: &Resume, scope: CursorScope) -> StreamStart {
    let last = match resume {
        Resume::Fresh => return StreamStart::Head,
        Resume::Unreadable => return StreamStart::UnknownCursor,
        Resume::After(last) => last,
    };
    match (
        edge.hub.open_cursor(last, scope),
        Timestamp::from_input(last),
    ) {
        (Ok(cursor), _) => StreamStart::After(cursor),
        (Err(_), Some(time)) => StreamStart::Since(time),
        (Err(_), None) => StreamStart::UnknownCursor,
    }
}
