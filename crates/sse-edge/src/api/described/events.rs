//! `/events/…`.

use model::ResourceEvent;
use serde_json::{Value, json};
use service_kit::openapi::{ApiOperation, ApiParameter, ApiSchemas};

use super::{refusals, server_sent_event};
use crate::{
    api::history::EventList,
    parameters::{
        RecentParameters, ReplayParameters, StreamParameters,
        described::{described, timestamp},
    },
};

/// The frames of the stream.
fn frames(schemas: &mut ApiSchemas) -> (&'static str, Value) {
    let event = schemas.of::<ResourceEvent>();
    let data = json!({
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {
            "description": "Of `event`: the event. Of the others: an object.",
            "anyOf": [event, { "type": "object" }],
        },
    });
    let frame = server_sent_event(&["connected", "event", "truncated", "ended"], &data);
    (
        "text/event-stream",
        schemas.named("EventStreamFrame", &frame),
    )
}

/// `GET /events/stream`.
pub(in crate::api) fn stream(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let last = ApiParameter::header(
        "Last-Event-ID",
        "The cursor of the last event that the client has, or a time; the stream continues after it.",
        json!({ "type": "string" }),
    );
    let parameters = described(schemas, &StreamParameters::NAMES);
    let frames = frames(schemas);
    let stream = ApiOperation::get("streamEvents", "Follow events as they happen")
        .about(
            "Server-sent events: `connected` first, whose data has `connectionId`, `clientId`, `cursor`, and `notes` \
             where there is something to know of the filters; then `event` frames whose data is a `ResourceEvent` and whose \
             id is the cursor after it; `truncated` where events may be missing; `ended` when the subscriptions that the \
             stream follows have ended. With a `clientId`, `connected` also says how many `subscriptions` the stream follows, \
             and with `everyEvent` whether it has every event, because there are none. A comment at least every \
             `edge.heartbeat_seconds` shows that the stream lives.",
        )
        .parameters(parameters)
        .parameters([last])
        .answer(200, "The stream.", Some(frames));
    let missing = "The principal has no subscription with the id in `subscription`.";
    let problem = schemas.of::<service_kit::problem::Problem>();
    let too_many =
        "The subscriptions of this `clientId` take more together than a stream can follow.";
    let stream = stream.problems(&problem, &[(404, missing), (409, too_many)]);
    vec![refusals(stream, schemas)]
}

/// `GET /events/recent`.
pub(in crate::api) fn recent(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let list = schemas.of::<EventList>();
    let parameters = described(schemas, &RecentParameters::NAMES);
    let recent = ApiOperation::get("listRecentEvents", "The newest events")
        .about(
            "The newest events first, or with `order=asc` the same events in the order of the log.",
        )
        .parameters(parameters)
        .answer(200, "A page of events.", Some(("application/json", list)));
    vec![refusals(recent, schemas)]
}

/// `GET /events/replay/{timestamp}`.
pub(in crate::api) fn replay(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let list = schemas.of::<EventList>();
    let parameters = described(schemas, &ReplayParameters::NAMES);
    let replay = ApiOperation::get("replayEvents", "The events since a time")
        .about(
            "The oldest first; continue with `nextCursor` as `cursor`. With `order=desc` the newest first; continue \
             with `previousCursor` as `before`.",
        )
        .parameters([timestamp()])
        .parameters(parameters)
        .answer(200, "A page of events.", Some(("application/json", list)));
    vec![refusals(replay, schemas)]
}
