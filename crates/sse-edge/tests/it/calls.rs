//! A call of the handshake era outlives its connection: any edge can cancel it, and any edge can
//! give its answer.

use std::{sync::Arc, time::Duration};

use access::Authenticator;
use model::{CursorScope, PrincipalId, SessionId, StreamCursor, StreamId, SystemClock};
use reqwest::{
    Response,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::{
    mcp_client::McpClient,
    sse::{self, SseError, SseStream},
};

use super::{principals, world::*};

/// A call that waits for an event of octo/cat, answered as a stream.
pub(crate) async fn waiting(client: &McpClient, node: &Node, id: u64) -> SseStream {
    let answer = post(client, node, id).await;
    SseStream::from_response(answer).await.unwrap()
}

/// A call that waits for an event of octo/cat.
pub(crate) fn wait_message(id: u64) -> Value {
    let arguments = json!({ "filters": [{ "repo": "cat" }], "maxWaitSeconds": 50 });
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": "wait_for_events", "arguments": arguments },
    })
}

async fn post(client: &McpClient, node: &Node, id: u64) -> Response {
    let message = wait_message(id);
    let request = reqwest::Client::new().post(node.at("/mcp"));
    let request = request.headers(client.headers()).json(&message);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    request.header(ACCEPT, both).send().await.unwrap()
}

pub(crate) async fn resume(client: &McpClient, node: &Node, id: &str) -> SseStream {
    let headers: HeaderMap = client.headers();
    sse::resume(&node.at("/mcp"), headers, id).await.unwrap()
}

pub(crate) async fn message(stream: &mut SseStream) -> Value {
    loop {
        let frame = stream.next_event(SOON).await.unwrap();
        if let Some(message) = frame.json() {
            return message;
        }
    }
}

#[tokio::test]
async fn an_answer_is_given_on_another_edge_when_the_connection_broke() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 77).await;
    let first = stream.next_event(SOON).await.unwrap();
    assert_eq!(
        first.data.as_deref(),
        Some(""),
        "the priming event has no data"
    );
    let id = first.id.unwrap();
    assert!(stream.retry().is_some());
    drop(stream);
    let mut resumed = resume(&client, &b, &id).await;
    let cat = world.happens("cat").await;
    let answer = message(&mut resumed).await;
    assert_eq!(answer["id"], 77);
    assert_eq!(
        answer["result"]["structuredContent"]["events"][0]["id"],
        cat
    );
    assert!(ended(&mut resumed).await.is_empty(), "the answer ends it");
    // And again, from the same position: a client may lose the second connection too.
    let mut again = resume(&client, &a, &id).await;
    assert_eq!(message(&mut again).await, answer);
}

/// A call's answer that is resumed costs what a stream costs: without a bound, one call could be resumed by as
/// many connections as there are.
#[tokio::test]
async fn resumed_answers_take_the_places_of_streams() {
    const PLACES: usize = 5;
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_streams: PLACES,
        ..EdgeConfig::default()
    };
    let a = world.node_with(&config, world.bus.clone()).await;
    let b = world.node_with(&config, world.bus.clone()).await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 7).await;
    let id = stream.next_event(SOON).await.unwrap().id.unwrap();
    // On the edge that runs the call and on another one.
    for node in [&a, &b] {
        let mut open = Vec::new();
        for _ in 0..PLACES {
            open.push(resume(&client, node, &id).await);
        }
        assert_eq!(node.open_streams("call"), PLACES as u64);
        let again = || {
            let request = reqwest::Client::new().get(node.at("/mcp"));
            let request = request
                .headers(client.headers())
                .header("last-event-id", &id);
            request.header(ACCEPT, "text/event-stream").send()
        };
        let refused = again().await.unwrap();
        assert_eq!(refused.status(), reqwest::StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
        let text = refused.text().await.unwrap();
        assert!(text.contains("too-many-streams"), "{text}");
        drop(open);
        until("the places are free", || async {
            node.open_streams("call") == 0
        })
        .await;
        assert!(again().await.unwrap().status().is_success());
    }
    let mut resumed = resume(&client, &b, &id).await;
    let cat = world.happens("cat").await;
    let answer = message(&mut resumed).await;
    assert_eq!(
        answer["result"]["structuredContent"]["events"][0]["id"],
        cat
    );
}

#[tokio::test]
async fn nobody_goes_on_with_the_stream_of_another_session() {
    let (world, a, b) = EdgeWorld::two().await;
    let (mine, other) = (connect(&a).await, connect(&a).await);
    let mut stream = waiting(&mine, &a, 1).await;
    let id = stream.next_event(SOON).await.unwrap().id.unwrap();
    let mut stolen = resume(&other, &b, &id).await;
    world.happens("cat").await;
    assert_eq!(message(&mut stream).await["id"], 1);
    let notice = message(&mut stolen).await;
    assert_eq!(notice["params"]["data"]["truncated"], true, "{notice}");
    quiet(&mut stolen).await;
}

#[tokio::test]
async fn a_cancellation_on_another_edge_ends_the_call_without_an_answer() {
    let (world, a, b) = EdgeWorld::two().await;
    for version in ["2025-06-18", "2025-11-25"] {
        let client = McpClient::initialize(&a.url, version).await.unwrap();
        client
            .notify(&a.url, "notifications/initialized", json!({}))
            .await
            .unwrap();
        let mut stream = waiting(&client, &a, 5).await;
        let params = json!({ "requestId": 5, "reason": "changed my mind" });
        for unknown in [json!({ "requestId": "5" }), json!({})] {
            client
                .notify(&b.url, "notifications/cancelled", unknown)
                .await
                .unwrap();
        }
        client
            .notify(&b.url, "notifications/cancelled", params)
            .await
            .unwrap();
        let frames = ended(&mut stream).await;
        assert!(frames.is_empty(), "{frames:?}");
        world.happens("cat").await;
    }
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_calls_and_they_say_so() {
    let (_world, a, b) = EdgeWorld::two().await;
    for version in ["2025-06-18", "2025-11-25"] {
        let client = McpClient::initialize(&a.url, version).await.unwrap();
        let mut stream = waiting(&client, &a, 5).await;
        assert_eq!(client.end(&b.url).await.unwrap(), 204);
        is_session_gone(&message(&mut stream).await, &json!(5));
        assert!(ended(&mut stream).await.is_empty(), "the answer ends it");
    }
}

fn is_session_gone(answer: &Value, id: &Value) {
    assert_eq!(&answer["id"], id, "{answer}");
    assert_eq!(answer["error"]["data"]["code"], "session-gone", "{answer}");
}

#[tokio::test]
async fn a_resumed_answer_whose_mailbox_is_gone_is_told() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 6).await;
    let id = stream.next_event(SOON).await.unwrap().id.unwrap();
    drop(stream);
    let mut resumed = resume(&client, &b, &id).await;
    assert_eq!(client.end(&a.url).await.unwrap(), 204);
    is_session_gone(&message(&mut resumed).await, &json!(6));
    assert!(ended(&mut resumed).await.is_empty());
    let late = sse::resume(&b.at("/mcp"), client.headers(), &id).await;
    let refused = late.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("404"), "{refused}");
}

/// A stream that was closed without an answer, or whose answer is no longer kept.
#[tokio::test]
async fn a_resumed_stream_without_an_answer_does_not_end_in_silence() {
    let (world, _a, b) = EdgeWorld::two().await;
    let client = connect(&b).await;
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    for (name, head) in [("known", &b"\0\"seven\""[..]), ("unknown", &b"\0"[..])] {
        let stream = StreamId::new(&format!("call-{name}")).unwrap();
        let sequence = world.left_behind(&session, &stream, head).await;
        let mailbox = &world.stores.mailboxes;
        mailbox.close_stream(&session, &stream).await.unwrap();
        let scope = CursorScope::stream(&PrincipalId::anonymous(), &session, &stream);
        let id = world
            .keys()
            .seal_stream(&StreamCursor { stream, sequence }, scope);
        let mut resumed = resume(&client, &b, &id).await;
        let told = message(&mut resumed).await;
        match name {
            "known" => assert_eq!(
                (&told["id"], &told["error"]["code"]),
                (&json!("seven"), &json!(-32603))
            ),
            _ => assert_eq!(told["params"]["logger"], "forgewire.gap", "{told}"),
        }
        assert!(ended(&mut resumed).await.is_empty());
    }
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_nothing_more() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 8).await;
    stream.next_event(SOON).await.unwrap();
    world.happens("cat").await;
    let answer = stream.next_event(SOON).await.unwrap();
    assert_eq!(answer.json().unwrap()["id"], 8);
    let mut resumed = resume(&client, &b, &answer.id.unwrap()).await;
    assert!(ended(&mut resumed).await.is_empty());
}

#[tokio::test]
async fn the_drain_lets_clients_go_and_they_get_the_rest_elsewhere() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 9).await;
    let id = stream.next_event(SOON).await.unwrap().id.unwrap();
    a.life.shut_down();
    let read = tokio::time::timeout(SOON, async {
        loop {
            match stream.next(Duration::from_secs(5)).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(SseError::Transport { .. }) => return,
                Err(error) => panic!("{error}"),
            }
        }
    });
    read.await.unwrap();
    // The drain ends the wait early: an empty answer with a cursor from which to continue.
    let mut resumed = resume(&client, &b, &id).await;
    let answer = message(&mut resumed).await;
    assert_eq!(answer["id"], 9);
    assert_eq!(answer["result"]["structuredContent"]["events"], json!([]));
}

#[tokio::test]
async fn a_call_whose_edge_died_is_answered_by_whoever_reads_its_stream() {
    let (world, _a, b) = EdgeWorld::two().await;
    let client = connect(&b).await;
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    let stream = StreamId::new("call-of-an-edge-that-is-gone").unwrap();
    // The state left by an edge that died in the middle: the head of the stream, and a lease
    // without a holder.
    let sequence = world.left_behind(&session, &stream, b"\0\"seven\"").await;
    let scope = CursorScope::stream(&PrincipalId::anonymous(), &session, &stream);
    let id = world
        .keys()
        .seal_stream(&StreamCursor { stream, sequence }, scope);
    let mut resumed = resume(&client, &b, &id).await;
    let answer = tokio::time::timeout(SOON * 3, async {
        loop {
            let frame = resumed.next_event(SOON * 3).await.unwrap();
            if let Some(message) = frame.json() {
                return message;
            }
        }
    });
    let answer = answer.await.unwrap();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!("seven"), &json!(-32603))
    );
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("whether the call was done is not known"),
        "{text}"
    );
    assert!(ended(&mut resumed).await.is_empty());
}

#[tokio::test]
async fn a_header_that_names_another_revision_changes_nothing_and_one_unknown_is_refused() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = McpClient::initialize(&a.url, "2025-06-18").await.unwrap();
    let ping = json!({ "jsonrpc": "2.0", "id": 3, "method": "ping" });
    for (version, status) in [
        ("2025-11-25", 200),
        ("2026-07-28", 400),
        ("1999-01-01", 400),
    ] {
        let mut headers = client.headers();
        headers.insert("mcp-protocol-version", HeaderValue::from_static(version));
        let request = reqwest::Client::new().post(a.at("/mcp"));
        let answer = request.headers(headers).json(&ping).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{version}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["id"], 3, "{body}");
    }
}

#[tokio::test]
async fn an_id_that_is_still_running_is_refused_and_an_id_of_the_inbox_is_no_call() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut running = waiting(&client, &a, 5).await;
    let again = post(&client, &a, 5).await;
    assert_eq!(again.status().as_u16(), 400);
    let body: Value = again.json().await.unwrap();
    assert_eq!(
        (&body["id"], &body["error"]["code"]),
        (&json!(5), &json!(-32602))
    );
    world.happens("cat").await;
    assert_eq!(message(&mut running).await["id"], 5);
    // An id that the client made up from what it knows.
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    let stream = StreamId::new("inbox").unwrap();
    let scope = CursorScope::stream(&PrincipalId::anonymous(), &session, &stream);
    let sequence = model::Sequence::START;
    let id = world
        .keys()
        .seal_stream(&StreamCursor { stream, sequence }, scope);
    let mut stream = resume(&client, &b, &id).await;
    let notice = message(&mut stream).await;
    assert_eq!(notice["params"]["data"]["truncated"], true, "{notice}");
}

/// The tokens of one principal: the first may see everything, the second only cats.
const WIDE: &str = "token-of-a-principal-that-sees-everything";
const NARROW: &str = "token-of-the-same-one-that-sees-cats-only";

#[tokio::test]
async fn messages_and_the_answer_of_a_call_are_shown_to_the_token_that_resumes_it() {
    let (world, tokens) = (EdgeWorld::new().await, principals::Tokens::new());
    tokens.write(&[
        (WIDE, "two", ""),
        (NARROW, "two", "repositories = [\"octo/cat\"]"),
    ]);
    let node = async || {
        let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
        let config = EdgeConfig::default();
        world.node_for(&config, world.bus.clone(), auth).await
    };
    let (a, b) = (node().await, node().await);
    for (calls, resumes, shows) in [
        (WIDE, NARROW, false),
        (NARROW, NARROW, true),
        (NARROW, WIDE, true),
    ] {
        let (session, _stream) = principals::session(&a, calls).await;
        let call = json!({ "name": "test_tool_with_logging", "arguments": {} });
        let headers = principals::headers(calls, Some(&session));
        let answer = principals::post(&a.at("/mcp"), headers, "tools/call", call).await;
        let mut stream = SseStream::from_response(answer).await.unwrap();
        let primed = stream.next_event(SOON).await.unwrap().id.unwrap();
        let first = stream.next_event(SOON).await.unwrap().id.unwrap();
        drop(stream);
        for (after, logs) in [(primed, 3), (first, 2)] {
            let mut headers = principals::headers(resumes, Some(&session));
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            let mut resumed = sse::resume(&b.at("/mcp"), headers, &after).await.unwrap();
            let mut seen = 0;
            let answer = loop {
                match message(&mut resumed).await {
                    log if log["method"] == "notifications/message" => seen += 1,
                    answer => break answer,
                }
            };
            assert_eq!(seen, if shows { logs } else { 0 }, "{calls} {resumes}");
            let is_withheld = answer["error"]["data"]["code"] == "rights-changed";
            assert_eq!(is_withheld, !shows, "{calls} {resumes}: {answer}");
        }
    }
}
