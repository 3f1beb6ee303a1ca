//! The number of sessions and their lifetime.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Authenticator, TokenDigest};
use model::{Clock, ManualClock, SystemClock};
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::mcp_client::McpClient;

use super::world::*;

const SECOND: Duration = Duration::from_secs(1);

/// The tokens of Alice and Bob.
const TOKENS: [&str; 2] = [
    "token-of-alice-who-wants-them-all-------",
    "token-of-bob-who-wants-one--------------",
];

/// An authenticator with both tokens, and the folder of its file.
fn alice_and_bob() -> (Authenticator, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let entries = TOKENS.iter().zip(["alice", "bob"]).map(|(token, name)| {
        let sha256 = TokenDigest::of_new(token).unwrap().to_hex();
        format!("[[token]]\nid = \"{name}\"\nsha256 = \"{sha256}\"\nprincipal = \"{name}\"\n")
    });
    std::fs::write(&path, entries.collect::<String>()).unwrap();
    let auth = Authenticator::tokens(&path, Arc::new(SystemClock)).unwrap();
    (auth, folder)
}

/// A world whose sessions follow a clock of the test, and an edge with the given configuration.
async fn world(config: &EdgeConfig) -> (EdgeWorld, Node, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let world = EdgeWorld::at(clock.clone()).await;
    let node = world.node_with(config, world.bus.clone()).await;
    (world, node, clock)
}

fn hello() -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } } })
}

/// Sends `initialize`, with a bearer token if there is one.
async fn initialize(node: &Node, token: Option<&str>) -> reqwest::Response {
    let request = reqwest::Client::new()
        .post(node.at("/mcp"))
        .header("accept", "application/json, text/event-stream")
        .json(&hello());
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

/// Sends `initialize` and is refused with a time to retry.
async fn is_refused(node: &Node, token: Option<&str>) {
    let refused = initialize(node, token).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let seconds = refused.headers()[RETRY_AFTER].to_str().unwrap();
    assert!(seconds.parse::<u32>().unwrap() > 0, "{seconds}");
    assert!(!refused.headers().contains_key("mcp-session-id"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(7)));
    let code = &body["error"]["data"]["code"];
    assert_eq!(code, "too-many-sessions", "{body}");
}

async fn is_gone(client: &McpClient, node: &Node) {
    let error = client.ping(&node.url).await.unwrap_err();
    assert_eq!(error.status(), Some(404), "{error:?}");
}

#[tokio::test]
async fn beyond_the_bound_initialize_is_refused_until_a_session_ends_or_expires() {
    let config = EdgeConfig {
        max_sessions: 2,
        // Without authentication all clients are the same principal, so this limit does not apply.
        max_sessions_per_principal: 1,
        session_idle_seconds: 60,
        ..EdgeConfig::default()
    };
    let (world, a, clock) = world(&config).await;
    let b = world.node_with(&config, world.bus.clone()).await;
    let first = connect(&a).await;
    let second = connect(&b).await;
    for node in [&a, &b] {
        is_refused(node, None).await;
        let legacy = reqwest::Client::new().get(node.at("/sse"));
        let legacy = legacy.header("accept", "text/event-stream").send().await;
        assert_eq!(legacy.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    // The existing sessions continue.
    subscribe(&second, &a, "cat").await;
    assert_eq!(first.end(&b.url).await.unwrap(), 204);
    let third = connect(&a).await;
    is_refused(&b, None).await;
    clock.advance(SECOND * 50);
    third.ping(&b.url).await.unwrap();
    is_refused(&a, None).await;
    clock.advance(SECOND * 10);
    connect(&a).await;
    is_gone(&second, &a).await;
    is_refused(&a, None).await;
}

#[tokio::test]
async fn one_principal_cannot_take_the_room_of_others() {
    let (auth, _folder) = alice_and_bob();
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_sessions_per_principal: 2,
        ..EdgeConfig::default()
    };
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let [alice, bob] = TOKENS.map(Some);
    for _ in 0..2 {
        assert_eq!(initialize(&node, alice).await.status(), StatusCode::OK);
    }
    is_refused(&node, alice).await;
    assert_eq!(initialize(&node, bob).await.status(), StatusCode::OK);
    is_refused(&node, alice).await;
}

#[tokio::test]
async fn a_session_that_is_used_all_the_time_ends_with_its_lifetime() {
    let config = EdgeConfig {
        session_idle_seconds: 4,
        session_max_seconds: 10,
        ..EdgeConfig::default()
    };
    let (world, a, clock) = world(&config).await;
    let b = world.node_with(&config, world.bus.clone()).await;
    let client = connect(&a).await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    for _ in 0..3 {
        clock.advance(SECOND * 3);
        client.ping(&b.url).await.unwrap();
        subscribe(&client, &a, "cat").await;
    }
    clock.advance(SECOND);
    is_gone(&client, &b).await;
    is_gone(&client, &a).await;
    ended(&mut stream).await;
    assert_eq!(world.sessions().await, 0);
}

/// By the real clock, because the edge's periodic checks use that.
#[tokio::test]
async fn an_open_stream_keeps_its_session_alive_up_to_its_lifetime() {
    let config = EdgeConfig {
        session_idle_seconds: 2,
        session_max_seconds: 5,
        ..EdgeConfig::default()
    };
    let world = EdgeWorld::new().await;
    let node = world.node_with(&config, world.bus.clone()).await;
    let client = connect(&node).await;
    let mut stream = client.open_stream(&node.url, None).await.unwrap();
    let (begun, idle) = (Instant::now(), connect(&node).await);
    until("what is idle is gone", || async {
        world.sessions().await < 2
    })
    .await;
    is_gone(&idle, &node).await;
    assert_eq!(world.sessions().await, 1, "its stream is open");
    ended(&mut stream).await;
    assert!(begun.elapsed() > SECOND * 4, "{:?}", begun.elapsed());
    is_gone(&client, &node).await;
}

#[tokio::test]
async fn a_request_that_is_refused_keeps_no_session_alive() {
    let config = EdgeConfig {
        session_idle_seconds: 100,
        ..EdgeConfig::default()
    };
    let (_world, node, clock) = world(&config).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let headers = |client: &McpClient, version: &str| {
        let accept = "application/json, text/event-stream";
        let mut headers = client.headers();
        headers.insert("mcp-protocol-version", version.parse().unwrap());
        headers.insert("accept", accept.parse().unwrap());
        headers
    };
    let refused = async |client: &McpClient, version: &str, body: &Value| {
        let request = reqwest::Client::new().post(node.at("/mcp"));
        let request = request.headers(headers(client, version)).json(body);
        let status = request.send().await.unwrap().status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{version} {body}");
    };
    let idle = connect(&node).await;
    let used = connect(&node).await;
    clock.advance(SECOND * 60);
    refused(&idle, "1999-01-01", &ping).await;
    refused(&idle, "2025-11-25", &json!([ping])).await;
    refused(&idle, "2025-11-25", &json!({ "jsonrpc": "1.0", "id": 1 })).await;
    let legacy = format!("/messages?sessionId={}", idle.session_id().unwrap());
    let elsewhere = reqwest::Client::new().post(node.at(&legacy)).json(&ping);
    assert_eq!(
        elsewhere.send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    used.ping(&node.url).await.unwrap();
    clock.advance(SECOND * 40);
    is_gone(&idle, &node).await;
    used.ping(&node.url).await.unwrap();
}

#[tokio::test]
async fn somebody_else_keeps_no_session_alive() {
    let config = EdgeConfig {
        session_idle_seconds: 100,
        ..EdgeConfig::default()
    };
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let world = EdgeWorld::at(clock.clone()).await;
    let (auth, _folder) = alice_and_bob();
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let [alice, bob] = TOKENS;
    let session = initialize(&node, Some(alice)).await;
    let session = session.headers()["mcp-session-id"].clone();
    let ping = async |token: &str| {
        let request = reqwest::Client::new()
            .post(node.at("/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header("mcp-session-id", session.clone())
            .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }));
        request.bearer_auth(token).send().await.unwrap().status()
    };
    clock.advance(SECOND * 60);
    assert_eq!(ping(bob).await, StatusCode::NOT_FOUND);
    clock.advance(SECOND * 40);
    assert_eq!(ping(alice).await, StatusCode::NOT_FOUND);
}

/// The largest record of a session, as `limits.rs` names it.
const RECORD_BYTES: usize = 97 << 10;

/// The number of sessions and the bytes of each bound what one principal stores in sessions.
#[tokio::test]
async fn the_sessions_of_one_principal_have_a_bound_in_bytes() {
    let (auth, _folder) = alice_and_bob();
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_sessions_per_principal: 2,
        ..EdgeConfig::default()
    };
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let post = async |session: Option<&str>, message: &Value| {
        let request = reqwest::Client::new().post(node.at("/mcp"));
        let request = request.header("accept", "application/json, text/event-stream");
        let request = request.bearer_auth(TOKENS[0]).json(message);
        let request = match session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        };
        request.send().await.unwrap()
    };
    let mut greedy = hello();
    let filler = "x".repeat(15 << 10);
    greedy["params"]["clientInfo"]["description"] = json!(filler);
    greedy["params"]["capabilities"] = json!({ "experimental": { "filler": { "x": filler } } });
    for _ in 0..2 {
        let answer = post(None, &greedy).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let session = answer.headers()["mcp-session-id"].to_str().unwrap();
        // Until none of them is taken any more, of either kind.
        for n in 0..400 {
            let repo = format!("{n}-{}", "r".repeat(90));
            let filter = json!({ "owner": "o".repeat(39), "repo": repo });
            let arguments = json!({ "filters": [filter] });
            let call = json!({ "name": "subscribe_to_events", "arguments": arguments });
            let uri = json!({ "uri": format!("github://events/{}/{repo}", "o".repeat(39)) });
            for (method, params) in [("tools/call", call), ("resources/subscribe", uri)] {
                let message =
                    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
                assert_eq!(post(Some(session), &message).await.status(), StatusCode::OK);
            }
        }
    }
    assert_eq!(
        post(None, &greedy).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    let records = world.session_records().await;
    assert_eq!(records.len(), 2);
    for record in records {
        let bytes = serde_json::to_vec(&record).unwrap().len();
        assert!(bytes <= RECORD_BYTES, "{bytes} bytes");
        assert!(bytes > 60 << 10, "the bound is not reached: {bytes} bytes");
    }
}
