//! `POST /mcp/stream`: lines in both directions on one connection.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use access::{Authenticator, TokenDigest};
use futures_util::stream;
use model::SystemClock;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use tokio::{sync::mpsc, time::timeout};

use super::world::*;

/// A client that sends and reads lines. Dropping `input` ends its request body, dropping all of it
/// closes the connection.
pub(crate) struct Lines {
    input: Option<mpsc::UnboundedSender<String>>,
    response: reqwest::Response,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) async fn open(node: &Node) -> Self {
        Self::open_with(node, &[]).await
    }

    async fn open_with(node: &Node, headers: &[(&str, &str)]) -> Self {
        let (input, queue) = mpsc::unbounded_channel::<String>();
        let body = stream::unfold(queue, |mut queue| async {
            let line = queue.recv().await?;
            Some((Ok::<_, Infallible>(line), queue))
        });
        let mut request = reqwest::Client::new()
            .post(node.at("/mcp/stream"))
            .header("content-type", "application/x-ndjson")
            .body(Body::wrap_stream(body));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = timeout(SOON, request.send()).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self {
            input: Some(input),
            response,
            rest: Vec::new(),
        }
    }

    fn writes(&self, text: &str) {
        self.input.as_ref().unwrap().send(text.to_owned()).unwrap();
    }

    pub(crate) fn says(&self, message: &Value) {
        self.writes(&format!("{message}\n"));
    }

    /// The next message; `None` once the edge has ended the connection.
    async fn next(&mut self) -> Option<Value> {
        let next = timeout(SOON, self.hears_whenever()).await;
        next.expect("something comes")
    }

    /// As [`Lines::next`], without a time limit.
    async fn hears_whenever(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.rest.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(serde_json::from_slice(&line).unwrap());
            }
            self.rest.extend(self.response.chunk().await.unwrap()?);
        }
    }

    pub(crate) async fn hears(&mut self) -> Value {
        self.next().await.expect("the connection is open")
    }
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn modern(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    request(id, method, &params)
}

fn initialize(version: &str) -> Value {
    let params = json!({ "protocolVersion": version, "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    request(0, "initialize", &params)
}

const INITIALIZED: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";

#[tokio::test]
async fn every_handshake_revision_has_its_session_for_the_connection() {
    let (world, a, _b) = EdgeWorld::two().await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut lines = Lines::open(&a).await;
        // All at once: the next line waits for the session that the first one opens.
        let subscribe = json!({ "name": "subscribe_to_events", "arguments": {
            "filters": [{ "repo": "cat" }] } });
        lines.says(&initialize(version));
        lines.writes(INITIALIZED);
        lines.says(&request(1, "tools/call", &subscribe));
        assert_eq!(lines.hears().await["result"]["protocolVersion"], version);
        let subscribed = lines.hears().await;
        assert_eq!(
            (&subscribed["id"], &subscribed["error"]),
            (&json!(1), &Value::Null)
        );
        for _ in 0..3 {
            let id = world.happens("cat").await;
            world.happens("dog").await;
            let told = lines.hears().await;
            assert_eq!(told["method"], "notifications/message");
            assert_eq!(told["params"]["data"]["id"], id, "{version}");
        }
    }
}

#[tokio::test]
async fn the_stateless_era_runs_side_by_side_and_is_cancelled_by_a_line() {
    let (world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    let filter = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
    lines.says(&modern(1, "subscriptions/listen", filter));
    let acknowledged = lines.hears().await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    lines.says(&modern(
        2,
        "tools/call",
        json!({ "name": "get_recent_events" }),
    ));
    assert_eq!(lines.hears().await["id"], 2);
    world.happens("cat").await;
    assert_eq!(
        lines.hears().await["method"],
        "notifications/resources/updated"
    );
    lines.says(&modern(1, "server/discover", json!({})));
    assert_eq!(
        lines.hears().await["error"]["code"],
        -32600,
        "the id is taken"
    );

    lines.says(
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1 } }),
    );
    // Once the id is free the subscription is gone.
    let mut discovered = false;
    for _ in 0..100 {
        lines.says(&modern(1, "server/discover", json!({})));
        if lines.hears().await["result"].is_object() {
            discovered = true;
            break;
        }
    }
    assert!(discovered, "the id is free again");
    world.happens("cat").await;
    world.settle(&a).await;
    lines.says(&modern(3, "server/discover", json!({})));
    assert_eq!(lines.hears().await["id"], 3, "nothing in between");
}

/// In a session, where the call is cancelled by its message.
#[tokio::test]
async fn a_request_that_its_client_cancels_gets_no_answer() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    lines.says(&initialize("2025-11-25"));
    lines.writes(INITIALIZED);
    assert!(lines.hears().await["result"].is_object());
    let wait = json!({ "name": "wait_for_events", "arguments": { "maxWaitSeconds": 50 } });
    lines.says(&request(2, "tools/call", &wait));
    // The call runs once the next one is answered.
    lines.says(&request(3, "ping", &json!({})));
    assert_eq!(lines.hears().await["id"], 3);
    lines.says(
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 2 } }),
    );
    lines.says(&request(4, "ping", &json!({})));
    assert_eq!(lines.hears().await["id"], 4);
    // The connection ends with the last of its calls.
    lines.input = None;
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_line_that_is_no_message_is_told_and_the_connection_lives() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    lines.writes("{\n\n  \r\n{\"jsonrpc\":\"2.0\",\"id\":4}\n");
    let error = lines.hears().await;
    assert_eq!(
        (error["error"]["code"].as_i64(), error.get("id")),
        (Some(-32700), None)
    );
    let error = lines.hears().await;
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!(4), &json!(-32600))
    );
    lines.says(&request(5, "ping", &json!({})));
    let error = lines.hears().await;
    assert_eq!(
        (&error["id"], error["error"].is_object()),
        (&json!(5), true),
        "no session yet"
    );
    lines.says(&modern(6, "server/discover", json!({})));
    assert_eq!(lines.hears().await["id"], 6);
}

#[tokio::test]
async fn it_ends_when_everything_that_was_asked_is_answered() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    let count = 200; // More than run at a time.
    for id in 0..count {
        lines.says(&modern(id, "tools/list", json!({})));
    }
    lines.input = None;
    let mut ids = Vec::new();
    while let Some(answer) = lines.next().await {
        ids.push(answer["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_session_of_a_connection_ends_with_it_and_one_that_is_named_does_not() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let named = client.session_id().unwrap().to_owned();
    let mut lines = Lines::open_with(&b, &[("mcp-session-id", &named)]).await;
    let id = world.happens("cat").await;
    assert_eq!(lines.hears().await["params"]["data"]["id"], id);
    lines.says(&request(1, "ping", &json!({})));
    assert_eq!(lines.hears().await["id"], 1);
    drop(lines);
    client.ping(&a.url).await.unwrap();

    let before = world.sessions().await;
    let mut lines = Lines::open(&a).await;
    lines.says(&initialize("2025-11-25"));
    lines.writes(INITIALIZED);
    lines.hears().await;
    assert_eq!(world.sessions().await, before + 1);
    drop(lines);
    until("the session has ended", || async {
        world.sessions().await == before
    })
    .await;
}

#[tokio::test]
async fn the_drain_ends_it_and_what_runs_is_answered() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    let filter = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
    lines.says(&modern(1, "subscriptions/listen", filter));
    lines.hears().await;
    a.life.shut_down();
    let mut last = Value::Null;
    let ending = async {
        while let Some(message) = lines.next().await {
            last = message;
        }
    };
    timeout(SOON * 3, ending).await.unwrap();
    assert_eq!(
        (&last["id"], &last["result"]["resultType"]),
        (&json!(1), &json!("complete"))
    );
}

#[tokio::test]
async fn only_lines_are_taken_and_only_by_post() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let http = reqwest::Client::new();
    for (method, kind, status) in [
        (Method::GET, "application/x-ndjson", 405),
        (Method::POST, "text/plain", 415),
        (Method::POST, "", 415),
    ] {
        let request = http
            .request(method.clone(), a.at("/mcp/stream"))
            .header("content-type", kind);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {kind}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], -32600);
    }
}

#[tokio::test]
async fn a_line_that_never_ends_is_not_waited_for() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    lines.says(&modern(1, "server/discover", json!({})));
    lines.writes("{\"jsonrpc\":");
    assert_eq!(lines.hears().await["id"], 1);
    let told = timeout(SOON * 2, lines.hears_whenever()).await.unwrap();
    assert_eq!(told.unwrap()["error"]["message"], "the line took too long");
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_token_that_falls_ends_the_connection() {
    let world = EdgeWorld::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("tokens.toml");
    let entry = |token: &str| {
        let sha256 = TokenDigest::of_new(token).unwrap().to_hex();
        format!("[[token]]\nid = \"{token:.5}\"\nsha256 = \"{sha256}\"\nprincipal = \"p\"\n")
    };
    let narrowed = |token: &str| format!("{}repositories = [\"octo/cat\"]\n", entry(token));
    let (good, other) = (
        "first-token-of-somebody-who-may-read-all",
        "other-token-of-somebody-who-may-read-all",
    );
    std::fs::write(&path, entry(good)).unwrap();
    let auth = Authenticator::tokens(&path, Arc::new(SystemClock)).unwrap();
    let node = world
        .node_for(&EdgeConfig::default(), world.bus.clone(), auth)
        .await;
    let refused = reqwest::Client::new().post(node.at("/mcp/stream"));
    assert_eq!(refused.send().await.unwrap().status(), 401);
    world.happens("dog").await;
    let bearer = format!("Bearer {good}");
    let mut lines = Lines::open_with(&node, &[("authorization", &bearer)]).await;
    lines.says(&modern(1, "server/discover", json!({})));
    assert_eq!(lines.hears().await["id"], 1);
    let waits = json!({ "name": "wait_for_events", "arguments": { "maxWaitSeconds": 50 } });
    lines.says(&modern(2, "tools/call", waits));
    // The call runs once the next one is answered.
    lines.says(&modern(3, "server/discover", json!({})));
    assert_eq!(lines.hears().await["id"], 3);
    // Other rights end nothing: the call that waits goes on, and what follows acts with the new ones.
    std::fs::write(&path, narrowed(good)).unwrap();
    until("the narrower token is read", || async {
        let url = node.at("/events/recent");
        let asked = reqwest::Client::new().get(url).bearer_auth(good);
        let list: Value = asked.send().await.unwrap().json().await.unwrap();
        list["events"] == json!([])
    })
    .await;
    let recent = json!({ "name": "get_recent_events", "arguments": {} });
    lines.says(&modern(4, "tools/call", recent));
    let seen = lines.hears().await;
    assert_eq!(
        (&seen["id"], &seen["result"]["structuredContent"]["count"]),
        (&json!(4), &json!(0)),
        "{seen}"
    );
    std::fs::write(&path, entry(other)).unwrap();
    let owed = lines.hears().await;
    assert_eq!(owed["id"], 2, "{owed}");
    let message = owed["error"]["message"].as_str().unwrap();
    assert!(message.contains("no longer valid"), "{owed}");
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_stream_that_ends_is_told_on_the_lines() {
    let (_world, a, b) = EdgeWorld::two().await;
    let (ends, moves) = (connect(&a).await, connect(&a).await);
    for client in [&ends, &moves] {
        let named = client.session_id().unwrap().to_owned();
        let mut lines = Lines::open_with(&b, &[("mcp-session-id", &named)]).await;
        // The stream is open once it has brought something.
        until("the stream is open", || async {
            b.open_streams("session") > 0
        })
        .await;
        let other = match client.session_id() == ends.session_id() {
            true => {
                client.end(&a.url).await.unwrap();
                None
            }
            false => Some(client.open_stream(&a.url, None).await.unwrap()),
        };
        let notice = loop {
            let line = lines.hears().await;
            if line["params"]["logger"] == "forgewire.gap" {
                break line;
            }
        };
        assert_eq!(notice["params"]["data"]["type"], "gap", "{notice}");
        lines.says(&modern(1, "tools/list", json!({})));
        assert_eq!(lines.hears().await["id"], 1, "the connection lives");
        drop((lines, other));
        until("the stream has closed", || async {
            b.open_streams("session") == 0
        })
        .await;
    }
}

/// It begins to answer as a stream, whose message has all answers: no request gets a second one.
#[tokio::test]
async fn a_batch_that_takes_long_is_answered_on_one_line() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut lines = Lines::open(&a).await;
    lines.says(&initialize("2025-03-26"));
    lines.writes(INITIALIZED);
    assert!(lines.hears().await["result"].is_object());
    let wait = json!({ "name": "wait_for_events", "arguments": { "maxWaitSeconds": 4 } });
    let batch = [
        request(1, "tools/call", &wait),
        request(2, "ping", &json!({})),
    ];
    lines.says(&json!(batch));
    let answers = lines.hears().await;
    assert_eq!(
        (&answers[0]["id"], &answers[1]["id"]),
        (&json!(1), &json!(2))
    );
    lines.input = None;
    assert_eq!(lines.next().await, None, "and the connection ends");
}
