//! A session belongs to no edge.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::mcp_client::McpClient;

use super::world::*;

#[tokio::test]
async fn any_edge_serves_a_session_at_once() {
    let (_world, a, b) = EdgeWorld::two().await;
    for _ in 0..20 {
        let client = McpClient::initialize(&a.url, "2025-11-25").await.unwrap();
        client.ping(&b.url).await.unwrap();
        client
            .notify(&b.url, "notifications/initialized", Value::Null)
            .await
            .unwrap();
        let names = client.list_tools(&a.url).await.unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .filter(|name| !is_fixture(name))
            .collect();
        let tools = [
            "get_event",
            "get_recent_events",
            "get_subscribed_events",
            "manage_events",
            "replay_events",
            "subscribe_to_events",
            "wait_for_events",
        ];
        assert_eq!(names, tools);
    }
}

#[tokio::test]
async fn what_is_no_session_is_not_found() {
    let (_world, a, b) = EdgeWorld::two().await;
    let http = reqwest::Client::new();
    let long = "a".repeat(10_000);
    for id in [
        "*",
        "a.b",
        "mcp.session.>",
        "../x",
        "00000000-0000-4000-8000-000000000000",
        &long,
    ] {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            let request = http
                .request(method.clone(), a.at("/mcp"))
                .header("mcp-session-id", id)
                .header("mcp-protocol-version", "2025-11-25")
                .header("accept", "application/json, text/event-stream")
                .header("content-type", "application/json")
                .body(json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string());
            let status = request.send().await.unwrap().status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {id:.20}");
        }
    }
    connect(&b).await.ping(&a.url).await.unwrap();
}

#[tokio::test]
async fn delete_on_one_edge_ends_the_stream_on_the_other() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    assert_eq!(client.end(&b.url).await.unwrap(), 204);
    assert_eq!(ended(&mut stream).await, []);
    world.happens("cat").await;
    for node in [&a, &b] {
        let error = client.ping(&node.url).await.unwrap_err();
        assert_eq!(error.status(), Some(404));
        assert!(client.open_stream(&node.url, None).await.is_err());
        assert_eq!(client.end(&node.url).await.unwrap(), 404);
    }
}

#[tokio::test]
async fn notifications_and_answers_are_taken_with_202() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    for message in [
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 9 } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/unheard-of" }),
        json!({ "jsonrpc": "2.0", "id": 4, "result": {} }),
    ] {
        let reply = client.send(&a.url, &message).await.unwrap();
        assert_eq!((reply.status, reply.body), (202, Value::Null), "{message}");
    }
}

#[tokio::test]
async fn batches_are_for_the_one_revision_that_has_them() {
    let (_world, a, b) = EdgeWorld::two().await;
    let ping = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let batch = json!([ping(1), note, ping(2), { "jsonrpc": "2.0", "id": 3, "method": "x/y" }]);
    let old = McpClient::initialize(&a.url, "2025-03-26").await.unwrap();
    assert_eq!(old.version(), "2025-03-26");
    let reply = old.send(&b.url, &batch).await.unwrap();
    let ids: Vec<_> = reply
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(
        (reply.status, ids),
        (200, vec![&json!(1), &json!(2), &json!(3)])
    );
    assert_eq!(reply.body[2]["error"]["code"], -32601);
    let quiet = old.send(&a.url, &json!([note, note])).await.unwrap();
    assert_eq!((quiet.status, quiet.body), (202, Value::Null));
    for version in ["2025-06-18", "2025-11-25"] {
        let newer = McpClient::initialize(&a.url, version).await.unwrap();
        let refused = newer.send(&a.url, &batch).await.unwrap();
        assert_eq!(refused.status, 400, "{version}: {}", refused.body);
    }
}
