//! A channel of server-sent events that repeats the deliveries of a webhook, as smee.io does.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{json, value::RawValue};

use super::shared::Shared;
use crate::hooks::FakeHookKey;

/// What was delivered, oldest first, and then what is delivered while the stream is open.
pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    Path(hook): Path<u64>,
    headers: HeaderMap,
) -> Response {
    let first = VecDeque::from([Bytes::from("event: ready\ndata: {}\n\n")]);
    let seen = headers.get("last-event-id");
    let seen = seen.and_then(|id| id.to_str().ok()?.parse().ok());
    let begin = (seen.unwrap_or(0_u64), first, shared.changed.subscribe());
    let frames = stream::unfold(begin, move |(mut last, mut ready, mut changed)| {
        let shared = Arc::clone(&shared);
        async move {
            loop {
                if let Some(frame) = ready.pop_front() {
                    return Some((Ok::<_, Infallible>(frame), (last, ready, changed)));
                }
                ready = frames_after(&shared, FakeHookKey(hook), &mut last);
                if ready.is_empty() {
                    changed.changed().await.ok()?;
                }
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(frames)).into_response()
}

fn frames_after(shared: &Shared, hook: FakeHookKey, last: &mut u64) -> VecDeque<Bytes> {
    let github = shared.github();
    let world = &github.world;
    let mut new: Vec<_> = world
        .hooks
        .attempts_of(hook, world.exact_now())
        .filter(|it| it.id > *last)
        .collect();
    new.reverse();
    let frames = new.iter().map(|it| {
        *last = it.id;
        let body = RawValue::from_string(it.payload.to_string()).ok();
        let message = json!({
            "x-github-event": it.event, "x-github-delivery": it.guid,
            "x-hub-signature-256": it.signature,
            "content-type": "application/json", "timestamp": 1, "query": {}, "body": body,
        });
        Bytes::from(format!("id: {}\ndata: {message}\n\n", it.id))
    });
    frames.collect()
}
