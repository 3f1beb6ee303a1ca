//! What clients ask for and do not read: it stays within its bounds, and harms nobody else.

use std::sync::Arc;

use access::Authenticator;
use model::{Cursor, CursorScope, PrincipalId, Sequence, SystemClock};
use reqwest::{
    StatusCode,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};

use super::{
    principals::{self, SEES_ALL, SEES_CATS, Tokens, headers},
    raw::Raw,
    world::*,
};

/// The budget of answers.
const ANSWER_BYTES: u64 = 256 << 20;
/// Bytes of the pages that may be cached for streams.
const CACHED_BYTES: u64 = 32 << 20;
const ANSWERS: &str = "forgewire_edge_answer_bytes";
const PAGES: &str = "forgewire_edge_catch_up_bytes";
/// Size of an event, of which a page over REST has twenty.
const EVENT_BYTES: usize = 200 << 10;

async fn edge_with_tokens(world: &EdgeWorld, tokens: &Tokens) -> Node {
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let config = EdgeConfig::default();
    world.node_for(&config, world.bus.clone(), auth).await
}

async fn get(node: &Node, token: &str, path: &str) -> reqwest::Response {
    let client = reqwest::Client::new();
    let request = client.get(node.at(path)).headers(headers(token, None));
    request.send().await.unwrap()
}

/// A message of the stateless revision.
fn message(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// A call of a tool, as it is on the wire.
fn raw_call(token: &str, params: &Value) -> String {
    let (message, name) = (
        message("tools/call", params.clone()).to_string(),
        &params["name"],
    );
    let (length, name) = (message.len(), name.as_str().unwrap());
    format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: {name}\r\n\
         content-length: {length}\r\n\r\n{message}"
    )
}

/// Calls a method of the stateless revision.
async fn call(node: &Node, token: &str, method: &str, params: Value) -> reqwest::Response {
    let name = params["name"].as_str().map(ToOwned::to_owned);
    let message = message(method, params);
    let client = reqwest::Client::new();
    let mut request = client
        .post(node.at("/mcp"))
        .headers(headers(token, None))
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    request.json(&message).send().await.unwrap()
}

/// A call of a session that waits for an event about dogs, without its connection: the session, and the id after
/// which its answer is resumed.
async fn waiting_call(node: &Node) -> (String, String) {
    let (session, _stream) = principals::session(node, SEES_ALL).await;
    let wait = json!({ "name": "wait_for_events",
        "arguments": { "filters": [{ "repo": "dog" }], "maxWaitSeconds": 50 } });
    let headers = headers(SEES_ALL, Some(&session));
    let posted = principals::post(&node.at("/mcp"), headers, "tools/call", wait).await;
    let mut stream = SseStream::from_response(posted).await.unwrap();
    let primed = stream.next_event(SOON).await.unwrap();
    (session, primed.id.unwrap())
}

/// 80 unread pages are 320 MiB.
#[tokio::test]
async fn answers_that_nobody_reads_stay_within_their_budget_and_refuse_nobody_else() {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    world.happen("cat", 30, EVENT_BYTES).await;
    world.happens("cat").await;
    let node = edge_with_tokens(&world, &tokens).await;
    let (session, id) = waiting_call(&node).await;
    let page = "/events/recent?limit=1000";
    let request = format!(
        "GET {page} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SEES_ALL}\r\n\r\n"
    );
    let mut unread = Vec::new();
    for _ in 0..80 {
        unread.push(Raw::ask_small(&node, &request).await);
        assert!(node.metric(ANSWERS) <= ANSWER_BYTES);
    }
    until("the budget is used up", || async {
        assert!(node.metric(ANSWERS) <= ANSWER_BYTES);
        node.metric("forgewire_edge_refused_answers_total") >= 20
    })
    .await;
    assert!(node.metric(ANSWERS) > ANSWER_BYTES / 2);

    let large_first = "/events/replay/2020-01-01T00:00:00Z";
    let refused = get(&node, SEES_ALL, large_first).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["code"], "answers-full", "{refused}");

    // The newest event is small: a page that is.
    let small = get(&node, SEES_ALL, page).await;
    assert_eq!(small.status(), StatusCode::OK);
    let small: Value = small.json().await.unwrap();
    assert_eq!(
        (&small["count"], &small["hasMore"]),
        (&json!(1), &json!(true))
    );
    let tools = call(&node, SEES_ALL, "tools/list", json!({})).await;
    assert_eq!(tools.status(), StatusCode::OK);
    assert!(tools.text().await.unwrap().contains("get_recent_events"));

    // What the pages have left of the share, results take.
    let whole = json!({ "include": ["urls"], "maxBytes": 256 << 10 });
    let events = json!({ "name": "get_recent_events", "arguments": whole });
    for _ in 0..40 {
        unread.push(Raw::ask_small(&node, &raw_call(SEES_ALL, &events)).await);
    }
    until("results are refused too", || async {
        let answer = call(&node, SEES_ALL, "tools/call", events.clone()).await;
        answer.status() == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let refused = call(&node, SEES_ALL, "tools/call", events.clone()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(
        refused["error"]["data"]["code"], "answers-full",
        "{refused}"
    );
    assert_eq!(refused["error"]["data"]["retryAfterMillis"], 1000);

    // A small answer that is resumed comes nevertheless.
    world.happens("dog").await;
    let mut resume = headers(SEES_ALL, Some(&session));
    resume.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    let mut resumed = sse::resume(&node.at("/mcp"), resume, &id).await.unwrap();
    let answer = resumed.next_event(SOON).await.unwrap().json().unwrap();
    assert!(answer["result"].is_object(), "{answer}");

    let of_another = get(&node, SEES_CATS, page).await;
    assert_eq!(of_another.status(), StatusCode::OK);
    assert!(of_another.text().await.unwrap().len() > 3 << 20);
    let of_another = call(&node, SEES_CATS, "tools/call", events.clone()).await;
    assert_eq!(of_another.status(), StatusCode::OK);
    assert!(of_another.text().await.unwrap().len() > EVENT_BYTES);

    drop(unread);
    until("all of it is given back", || async {
        node.metric(ANSWERS) == 0
    })
    .await;
    let answer = call(&node, SEES_ALL, "tools/call", events).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(get(&node, SEES_ALL, page).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn lines_that_nobody_reads_count_until_they_are_read_and_all_of_them_come() {
    const CALLS: usize = 40;
    let (world, a, _b) = EdgeWorld::two().await;
    world.happen("cat", 2, EVENT_BYTES).await;
    world.settle(&a).await;
    let head = "POST /mcp/stream HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let mut client = Raw::ask_small(&a, head).await;
    for id in 0..CALLS {
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "get_recent_events",
            "arguments": { "limit": 1, "include": ["urls"], "maxBytes": 256 << 10 },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        } });
        let line = format!("{line}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        client.write(&chunk).await;
    }
    let one = EVENT_BYTES as u64;
    until("answers wait", || async { a.metric(ANSWERS) > 20 * one }).await;
    client.write("0\r\n\r\n").await;
    client.read_to_end().await;
    let text = client.text();
    for id in 0..CALLS {
        assert!(text.contains(&format!("\"id\":{id},")), "{id}");
    }
    until("none waits", || async { a.metric(ANSWERS) == 0 }).await;
    assert_eq!(a.metric("forgewire_edge_refused_answers_total"), 0);
}

/// Each stream reads the log at a place of its own, so each needs a page of its own.
#[tokio::test]
async fn streams_behind_whose_clients_do_not_read_hold_no_pages() {
    const STREAMS: u64 = 40;
    let world = EdgeWorld::new().await;
    let all = world.happen("cat", 260, EVENT_BYTES).await;
    // It begins after them, and has 32 MiB of the newest in its ring.
    let node = world.node().await;
    world.settle(&node).await;
    let after = |sequence| {
        let cursor = Cursor {
            epoch: world.log_epoch(),
            sequence: Sequence(sequence),
            tag: None,
            told: None,
            scope: CursorScope::events(&PrincipalId::anonymous()),
            inbox: Sequence::START,
            newest_subscription: 0,
            is_sealed: true,
        };
        world.keys().seal(&cursor).to_string()
    };
    let mut unread = Vec::new();
    // Behind what the page at the beginning holds, which all readers share: 16 MiB with frames.
    for position in 45..45 + STREAMS {
        let request = format!(
            "GET /events/stream HTTP/1.1\r\nhost: localhost\r\nlast-event-id: {}\r\n\r\n",
            after(position)
        );
        unread.push(Raw::ask_small(&node, &request).await);
    }
    let begun = "forgewire_edge_catch_up_pages_total";
    until("all have read", || async { node.metric(begun) >= STREAMS }).await;
    until("only cached pages are left", || async {
        node.metric(PAGES) <= CACHED_BYTES
    })
    .await;
    assert_eq!(node.open_streams("events"), STREAMS);
    let (url, first) = (node.at("/events/stream"), after(0));
    let reader = sse::resume(&url, HeaderMap::new(), &first);
    let mut reader = reader.await.unwrap();
    for id in all {
        loop {
            let frame = reader.next_event(SOON).await.unwrap();
            if frame.event.as_deref() == Some("event") {
                assert_eq!(frame.json().unwrap()["id"], id);
                break;
            }
        }
    }
}
