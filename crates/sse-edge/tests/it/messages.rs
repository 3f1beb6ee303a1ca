//! Messages to sessions: sent from any edge, delivered in order and once, and kept while no stream
//! is open.

use std::collections::BTreeSet;

use access::{Authenticator, TokenDigest};
use model::SystemClock;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::{mcp_client::McpClient, sse::SseStream};

use super::{principals, world::*};

fn note(n: u64) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": { "n": n } })
}

pub(crate) async fn send(node: &Node, client: &McpClient, n: u64) -> Value {
    let body = json!({ "sessionId": client.session_id().unwrap(), "message": note(n) });
    let request = reqwest::Client::new()
        .post(node.at("/mcp/sse/send"))
        .json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json::<Value>().await.unwrap()["result"].clone()
}

/// The next messages, with the id of the last.
pub(crate) async fn take(stream: &mut SseStream, count: usize) -> (Vec<u64>, String) {
    let (mut numbers, mut last) = (Vec::new(), String::new());
    while numbers.len() < count {
        let message = next(stream).await;
        if message.method() == "notifications/test" {
            numbers.push(message.params()["n"].as_u64().unwrap());
        }
        last = message.id.expect("every message has an id");
    }
    (numbers, last)
}

#[tokio::test]
async fn a_message_reaches_the_stream_from_every_edge_in_order_and_the_sender_hears_the_truth() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    assert_eq!(send(&b, &client, 0).await, "stored");
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    assert_eq!(take(&mut stream, 1).await.0, [0]);
    subscribe(&client, &a, "cat").await;
    for n in 1..20 {
        let node = if n % 2 == 0 { &a } else { &b };
        assert_eq!(send(node, &client, n).await, "delivered");
        if n % 5 == 0 {
            world.happens("cat").await;
        }
    }
    assert_eq!(take(&mut stream, 19).await.0, (1..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn fifty_at_once_from_two_edges_are_fifty_in_the_order_of_the_store() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    let (a, b, client) = (&a, &b, &client);
    let sending =
        (0..50).map(|n| async move { send(if n % 2 == 0 { a } else { b }, client, n).await });
    let (_, (numbers, _)) = tokio::join!(
        futures_util::future::join_all(sending),
        take(&mut stream, 50)
    );
    let different: BTreeSet<_> = numbers.iter().collect();
    assert_eq!((numbers.len(), different.len()), (50, 50));
    quiet(&mut stream).await;
}

#[tokio::test]
async fn what_was_sent_while_away_comes_exactly_once_on_the_other_edge_among_the_events() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    send(&a, &client, 0).await;
    let (_, last) = take(&mut stream, 1).await;
    drop(stream);
    let mut events = Vec::new();
    for n in 1..=100 {
        send_quietly(&b, &client, n).await;
        if n % 10 == 0 {
            events.push(world.happens("cat").await);
        }
    }
    let mut resumed = client.open_stream(&b.url, Some(&last)).await.unwrap();
    let (mut numbers, mut seen) = (Vec::new(), Vec::new());
    while numbers.len() < 100 || seen.len() < 10 {
        let message = next(&mut resumed).await;
        match message.method() {
            "notifications/test" => numbers.push(message.params()["n"].as_u64().unwrap()),
            _ => seen.push(message.params()["data"]["id"].as_str().unwrap().to_owned()),
        }
    }
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    assert_eq!(seen, events);
    quiet(&mut resumed).await;
}

/// Does not wait for a delivery report, because none will arrive.
async fn send_quietly(node: &Node, client: &McpClient, n: u64) {
    let body =
        json!({ "sessionId": client.session_id().unwrap(), "message": note(n), "wait": false });
    let request = reqwest::Client::new()
        .post(node.at("/mcp/sse/send"))
        .json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn only_notifications_of_a_bounded_size_to_sessions_that_are_there() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let session = client.session_id().unwrap();
    let http = reqwest::Client::new();
    for (body, status) in [
        (json!({ "sessionId": "never-was", "message": note(1) }), 404),
        (json!({ "sessionId": "a.*.>", "message": note(1) }), 404),
        (json!({ "sessionId": session }), 400),
        (json!({ "sessionId": session, "message": 7 }), 400),
        (
            json!({ "sessionId": session, "message": { "jsonrpc": "2.0", "id": 1, "method": "ping" } }),
            400,
        ),
        (
            json!({ "sessionId": session, "message": note(1), "more": 1 }),
            400,
        ),
        (
            json!({ "sessionId": session, "message": {
            "jsonrpc": "2.0", "method": "n", "params": { "x": "x".repeat(1 << 20) } } }),
            400,
        ),
    ] {
        let answer = http
            .post(a.at("/mcp/sse/send"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{:.80}", body.to_string());
    }
}

#[tokio::test]
async fn who_may_only_read_sends_nothing_and_who_may_send_writes_to_its_own() {
    const READS: &str = "token-of-somebody-who-only-reads-here---";
    const SENDS: &str = "token-of-somebody-who-may-send-as-well--";
    const OPERATES: &str = "token-of-somebody-who-operates-the-edge-";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let entry = |(token, name, permissions): (&str, &str, &str)| {
        let sha256 = TokenDigest::of_new(token).unwrap().to_hex();
        format!(
            "[[token]]\nid = \"{name}\"\nsha256 = \"{sha256}\"\nprincipal = \"{name}\"\npermissions = [{permissions}]\n"
        )
    };
    let all = [
        (READS, "reads", "\"read\""),
        (SENDS, "sends", "\"read\", \"send\""),
        (OPERATES, "operates", "\"read\", \"admin\""),
    ];
    std::fs::write(&path, all.map(entry).concat()).unwrap();
    let world = EdgeWorld::new().await;
    let auth = Authenticator::tokens(&path, std::sync::Arc::new(SystemClock)).unwrap();
    let node = world
        .node_for(&EdgeConfig::default(), world.bus.clone(), auth)
        .await;
    let (read_only, _first) = principals::session(&node, READS).await;
    let (own, _second) = principals::session(&node, SENDS).await;
    let http = reqwest::Client::new();
    for (token, session, status) in [
        (READS, &read_only, 403),
        (SENDS, &own, 200),
        (SENDS, &read_only, 404),
        (OPERATES, &read_only, 200),
    ] {
        let body = json!({ "sessionId": session, "message": note(1) });
        let request = http
            .post(node.at("/mcp/sse/send"))
            .headers(principals::headers(token, None));
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{token}");
    }
    for (token, filter, expected) in [
        (SENDS, json!({}), None),
        (OPERATES, json!({}), Some(2)),
        (OPERATES, json!({ "principal": "sends" }), Some(1)),
        (OPERATES, json!({ "subscribed": false }), Some(0)),
    ] {
        let body = json!({ "message": note(2), "filter": filter });
        let request = http
            .post(node.at("/mcp/sse/broadcast"))
            .headers(principals::headers(token, None));
        let answer = request.json(&body).send().await.unwrap();
        let counts: Value = answer.json().await.unwrap();
        assert_eq!(counts["sentCount"].as_u64(), expected, "{counts}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_name() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_body_bytes: 1000,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let client = connect(&node).await;
    let session = client.session_id().unwrap();
    let message = json!({ "jsonrpc": "2.0", "method": "n", "params": { "x": "x".repeat(2000) } });
    let body = json!({ "sessionId": session, "message": message });
    let request = reqwest::Client::new().post(node.at("/mcp/sse/send"));
    let answer = request.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "body-too-large", "{problem}");
}
