//! Web pages and the proxies in front of them: an EventSource that is refused, and streams that must not
//! be changed on their way.

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::json;
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};

use super::{
    inputs::{initialize, post},
    world::*,
};

/// Opens `/events/stream` as the EventSource of a browser does.
async fn event_source(node: &Node, last_event_id: Option<&str>) -> reqwest::Response {
    event_source_of(node, "/events/stream", last_event_id).await
}

async fn event_source_of(
    node: &Node,
    path: &str,
    last_event_id: Option<&str>,
) -> reqwest::Response {
    let mut request = reqwest::Client::new()
        .get(node.at(path))
        .header("accept", "text/event-stream")
        .header("sec-fetch-mode", "cors")
        .header("cache-control", "no-store");
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_page_that_finds_no_room_comes_back_and_misses_nothing() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_streams: 1,
        ..EdgeConfig::default()
    };
    let a = world.node_with(&config, world.bus.clone()).await;
    let mut first = sse::open(&a.at("/events/stream"), HeaderMap::new())
        .await
        .unwrap();
    let id = first.next_event(SOON).await.unwrap().id.unwrap();
    let missed = world.happens("cat").await;
    let refused = event_source(&a, Some(&id)).await;
    assert_eq!(refused.status(), StatusCode::OK);
    assert_eq!(refused.headers()["content-type"], "text/event-stream");
    assert_eq!(refused.headers()["cache-control"], "no-cache, no-transform");
    let text = refused.text().await.unwrap();
    let retry = text.lines().find_map(|line| line.strip_prefix("retry: "));
    let millis: u64 = retry.expect("a time").parse().unwrap();
    assert!((2000..4000).contains(&millis), "{text}");
    assert!(
        text.starts_with(": too-many-streams\n") && text.ends_with("\n\n"),
        "{text}"
    );
    // Neither an id nor an event: the page keeps its id.
    assert!(!text.contains("id:") && !text.contains("data:"), "{text}");
    let program = reqwest::Client::new()
        .get(a.at("/events/stream"))
        .header("accept", "text/event-stream");
    let program = program.send().await.unwrap();
    assert_eq!(program.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(program.headers()["retry-after"], "1");
    drop(first);
    until("there is room", || async { a.open_streams("events") == 0 }).await;
    let resumed = event_source(&a, Some(&id)).await;
    let mut resumed = SseStream::from_response(resumed).await.unwrap();
    resumed.next_event(SOON).await.unwrap();
    let event = resumed.next_event(SOON).await.unwrap();
    assert_eq!(event.json().unwrap()["id"], missed);
}

/// The page of a client of 2024-11-05, whose SDK uses EventSource: without room for its stream, and without
/// room for its session.
#[tokio::test]
async fn a_page_of_http_sse_that_finds_no_room_comes_back() {
    let world = EdgeWorld::new().await;
    for (code, config) in [
        (
            "too-many-streams",
            EdgeConfig {
                max_streams: 1,
                ..EdgeConfig::default()
            },
        ),
        (
            "too-many-sessions",
            EdgeConfig {
                max_sessions: 1,
                ..EdgeConfig::default()
            },
        ),
    ] {
        let a = world.node_with(&config, world.bus.clone()).await;
        let first = sse::open(&a.at("/sse"), HeaderMap::new()).await.unwrap();
        let refused = event_source_of(&a, "/sse", None).await;
        assert_eq!(refused.status(), StatusCode::OK);
        let text = refused.text().await.unwrap();
        assert!(
            text.starts_with(&format!(": {code}\nretry: ")) && !text.contains("data:"),
            "{text}"
        );
        let program = reqwest::get(a.at("/sse")).await.unwrap();
        assert_eq!(program.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        until("there is room", async || {
            let back = event_source_of(&a, "/sse", None).await;
            let mut back = SseStream::from_response(back).await.unwrap();
            let first = back.next_event(SOON).await;
            first.is_ok_and(|frame| frame.event.as_deref() == Some("endpoint"))
        })
        .await;
    }
}

#[tokio::test]
async fn no_stream_may_be_compressed_or_kept_on_its_way() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let http = reqwest::Client::new();
    let session = http.get(a.at("/mcp")).headers(client.headers());
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": "test_tool_with_progress", "_meta": { "progressToken": 1 } } });
    let lines = http.post(a.at("/mcp/stream"));
    let listen = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {
        "notifications": { "toolsListChanged": true }, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {} } } });
    for (what, request) in [
        ("/events/stream", http.get(a.at("/events/stream"))),
        ("/sse", http.get(a.at("/sse"))),
        ("/mcp", session.header("accept", "text/event-stream")),
        (
            "a call",
            post(&a, "/mcp", call.to_string()).headers(client.headers()),
        ),
        (
            "one message",
            http.post(a.at("/mcp"))
                .json(&initialize(&json!({})))
                .header("accept", "text/event-stream"),
        ),
        (
            "/mcp/stream",
            lines
                .header("content-type", "application/x-ndjson")
                .body(""),
        ),
        (
            "listen",
            post(&a, "/mcp", listen.to_string())
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "subscriptions/listen"),
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        let kind = response.headers()["content-type"].to_str().unwrap();
        if what != "one message" {
            assert_ne!(kind, "application/json", "{what}");
        }
        assert_eq!(
            response.headers()["cache-control"],
            "no-cache, no-transform",
            "{what}"
        );
        assert_eq!(response.headers()["x-accel-buffering"], "no", "{what}");
    }
}
