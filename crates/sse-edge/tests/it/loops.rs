//! What a client opens and closes in a loop leaves nothing behind: no place, no session, no cost. The bounds
//! are so low that a place that was not given back is missed after a few rounds.

use std::cell::RefCell;

use serde_json::json;
use sse_edge::{EdgeConfig, RateLimits};
use testkit::{
    mcp_client::{McpClient, ModernClient},
    sse::{self, SseStream},
};

use super::{ndjson::Lines, world::*};

const ROUNDS: usize = 30;
const URI: &str = "github://events/octo/cat";

/// An edge with room for two of each.
async fn narrow(world: &EdgeWorld) -> Node {
    let config = EdgeConfig {
        max_streams: 2,
        max_sessions: 2,
        rates: RateLimits {
            waiting_calls: 2,
            ..RateLimits::default()
        },
        ..EdgeConfig::default()
    };
    world.node_with(&config, world.bus.clone()).await
}

/// Nothing is left of what the rounds opened.
async fn is_empty(world: &EdgeWorld, node: &Node) {
    let kinds = ["events", "session", "listen"];
    until("nothing is left", || async {
        kinds.iter().all(|kind| node.open_streams(kind) == 0)
            && node.metric("forgewire_edge_match_cost") == 0
            && world.sessions().await == 0
    })
    .await;
}

/// The stream of a session, once there is a place: that of the round before is given back when its end is noticed.
async fn stream_of(client: &McpClient, node: &Node) -> SseStream {
    let opened = RefCell::new(None);
    until("there is a place for the stream of a session", || async {
        let stream = client.open_stream(&node.url, None).await;
        opened.replace(stream.ok()).is_none() && opened.borrow().is_some()
    })
    .await;
    opened.into_inner().unwrap()
}

#[tokio::test]
async fn sessions_with_subscriptions_and_streams() {
    let world = EdgeWorld::new().await;
    let node = narrow(&world).await;
    for _ in 0..ROUNDS {
        let client = connect(&node).await;
        let stream = stream_of(&client, &node).await;
        for _ in 0..3 {
            subscribe(&client, &node, "cat").await;
            client.subscribe(&node.url, URI).await.unwrap();
        }
        client.unsubscribe(&node.url, URI).await.unwrap();
        assert_eq!(client.end(&node.url).await.unwrap(), 204);
        drop(stream);
    }
    is_empty(&world, &node).await;
}

#[tokio::test]
async fn a_resource_that_is_subscribed_to_again_and_again_is_one_subscription() {
    let world = EdgeWorld::new().await;
    let node = narrow(&world).await;
    let client = connect(&node).await;
    for round in 0..ROUNDS {
        let spelling = ["github://events/octo/cat", "GITHUB://events/Octo/cat/"][round % 2];
        client.subscribe(&node.url, spelling).await.unwrap();
    }
    let sessions = world.session_records().await;
    assert_eq!(sessions[0].resource_uris.len(), 1);
    assert_eq!(sessions[0].resource_numbers.len(), 1);
}

#[tokio::test]
async fn streams_of_every_transport() {
    let world = EdgeWorld::new().await;
    let node = narrow(&world).await;
    let client = ModernClient::new();
    for _ in 0..ROUNDS {
        let open = async |path| sse::open(&node.at(path), Default::default()).await;
        until("there is a place for a stream", || async {
            open("/events/stream").await.is_ok()
        })
        .await;
        let wanted = json!({ "resourceSubscriptions": [URI] });
        until("there is a place for a listener", || async {
            client.listen(&node.url, wanted.clone()).await.is_ok()
        })
        .await;
        until("there is a place for HTTP+SSE", || async {
            open("/sse").await.is_ok()
        })
        .await;
    }
    is_empty(&world, &node).await;
}

#[tokio::test]
async fn connections_of_lines_with_a_session_each() {
    let world = EdgeWorld::new().await;
    let node = narrow(&world).await;
    for _ in 0..ROUNDS {
        until("there is room for a session", || async {
            let mut lines = Lines::open(&node).await;
            lines.says(
                &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" } } }),
            );
            let answer = lines.hears().await;
            lines.says(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
            answer["result"].is_object()
        })
        .await;
    }
    is_empty(&world, &node).await;
}

#[tokio::test]
async fn waiting_calls_that_are_given_up_and_tasks_that_are_cancelled() {
    let world = EdgeWorld::new().await;
    let node = narrow(&world).await;
    let client = super::tasks::client();
    let wait = json!({ "name": "replay_events",
        "arguments": { "filters": [{ "repo": "nowhere" }], "waitSeconds": 45 } });
    let message = ModernClient::new().message("tools/call", wait);
    for _ in 0..ROUNDS {
        let request = reqwest::Client::new().post(node.at("/mcp"));
        let request = request.headers(ModernClient::headers(&message));
        let given_up = request.json(&message).send();
        let _ = tokio::time::timeout(std::time::Duration::from_millis(5), given_up).await;
        // A task holds no place once it is stored.
        until("there is a place for a call", || async {
            let arguments = json!({ "filters": [{ "repo": "cat" }] });
            let params = json!({ "name": "wait_for_events", "arguments": arguments });
            let made = client.call(&node.url, "tools/call", params).await.unwrap();
            let cancel = json!({ "taskId": made["taskId"] });
            let is_task = made["taskId"].is_string();
            is_task && client.call(&node.url, "tasks/cancel", cancel).await.is_ok()
        })
        .await;
    }
    is_empty(&world, &node).await;
}
