//! `GET /events/stream`: resource events as SSE for browsers, curl and agents.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use mcp::dispatch::Resume;
use model::{CursorScope, Sequence, SubscriptionId, Timestamp};
use serde_json::json;

use super::{authenticate::Authenticated, event_source::way_back, sse};
use fanout::{
    HubError,
    feed::{Feed, OpeningFrames},
    format::StreamFormat,
    hub::{StreamRequest, StreamStart},
    interest::StreamInterest,
    limits::RETRY_MILLIS,
    metrics::StreamKind,
    news::NewsSelection,
};

use crate::{
    edge::Edge,
    error::EdgeError,
    parameters::StreamParameters,
    subscriptions::{FollowedNow, FollowedSource, SubscribedStream, open_subscribed},
};
use access::{Permission, Principal};

/// Opens the stream: `event: connected` first, then `event: event` frames whose `id` is the cursor.
/// Continues after `Last-Event-ID` (or `lastEventId`): a cursor, or a time. After anything else
/// it begins with the next event, and `event: truncated` says that events may have been missed: a client
/// that only knows EventSource could neither read a refusal nor recover from it. For the same reason its
/// browser is told to come back where other clients get 503. HEAD gets the head of the answer and opens no stream.
///
/// With `subscription`, or the `clientId` of a client that has subscribed, it has the events of subscriptions: after
/// an event that the client names as above, or else after their own cursors. A client that has not subscribed yet gets
/// every event; one whose subscriptions have ended, and that names an event of its stream, gets none.
pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Authenticated(principal): Authenticated,
    method: Method,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, EdgeError> {
    if method == Method::HEAD {
        principal.require(Permission::Read)?;
        let parameters = StreamParameters::read(pairs, edge.filter_defaults)?;
        if let Some(FollowedSource::One(id)) = source(&parameters)? {
            edge.admit(&principal)?;
            edge.subscriptions.load(&principal.id, &id).await?;
        }
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
    let parameters = StreamParameters::read(pairs, edge.filter_defaults)?;
    let scope = CursorScope::events(&principal.id);
    let resume = Resume::read_with_query(headers, parameters.last_event_id.as_deref());
    let client = parameters.client_id.as_ref();
    let connection = edge.ids.uuid();
    let opening = |feed: &Feed,
                   followed: Option<(&FollowedSource, FollowedNow)>,
                   names: Vec<String>| {
        let cursor = feed.cursor().to_string();
        let mut data = json!({ "connectionId": connection, "clientId": client, "cursor": cursor });
        match followed {
            Some((FollowedSource::One(id), _)) => data["subscriptionId"] = id.as_str().into(),
            Some((FollowedSource::Client(_), now)) => {
                data["subscriptions"] = now.subscriptions.into();
                data["everyEvent"] = now.has_every_event.into();
            }
            None => {}
        }
        let mut notes = parameters.filters.notes();
        notes.extend(names);
        if !notes.is_empty() {
            data["notes"] = notes.into();
        }
        let frames = format!(
            ": ok\nretry: {RETRY_MILLIS}\nid: {cursor}\nevent: connected\ndata: {data}\n\n"
        );
        OpeningFrames {
            frames: Bytes::from(frames),
            has_event_id: true,
        }
    };
    if let Some(source) = source(&parameters)? {
        let stream = SubscribedStream {
            principal,
            source: source.clone(),
            resume,
        };
        let opened = open_subscribed(&edge.subscriptions, &edge.hub, stream, |feed, now| {
            opening(feed, Some((&source, now)), Vec::new())
        });
        return Ok(sse::stream(opened.await?));
    }
    let begin = begin(edge, &resume, scope)?;
    let (names, named_at) = edge.hub.names_at(&begin);
    let name_notes = names.notes(&parameters.filters, &principal.sees);
    let open = StreamRequest {
        labels: None,
        wants: NewsSelection::default(),
        ages: true,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope,
        session: None,
        inbox: Sequence::START,
        interest: StreamInterest::events(&parameters.filters, names)
            .named_at(&parameters.filters, named_at),
        principal,
        begin,
    };
    let feed = edge.hub.open(open, |feed| opening(feed, None, name_notes));
    Ok(sse::stream(feed.await?))
}

/// The subscriptions that the stream follows; `None` if it is asked for by its filters, or by nothing.
fn source(parameters: &StreamParameters) -> Result<Option<FollowedSource>, EdgeError> {
    if let Some(id) = &parameters.subscription {
        // What is no id names no subscription.
        let id = SubscriptionId::new(id).map_err(|_| EdgeError::NoSuchSubscription)?;
        return Ok(Some(FollowedSource::One(id)));
    }
    // Filters are what the stream shows, and a name beside them is only echoed.
    let has_filters = !parameters.filters.filters().is_empty();
    let client = parameters.client_id.clone().filter(|_| !has_filters);
    Ok(client.map(FollowedSource::Client))
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
