//! Sessions: kept, resumed, and reopened.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ends::*;

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn initialize() -> Value {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    request(0, "initialize", &params)
}

fn open(asked: Asked, session: &str) {
    assert_eq!(
        (
            asked.header("mcp-session-id"),
            asked.header("mcp-protocol-version")
        ),
        ("", "")
    );
    let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"],
        "result": { "protocolVersion": "2025-11-25", "capabilities": {} } });
    let headers = [
        ("content-type", "application/json"),
        ("mcp-session-id", session),
    ];
    asked.answer(200, &headers, body.to_string());
}

/// A session named `one` with an open stream.
async fn connected() -> (Server, Client, Events) {
    let (mut server, mut client) = both().await;
    client.says(&initialize()).await;
    client
        .says(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    open(server.asked("initialize").await, "one");
    assert_eq!(
        client.hears().await["result"]["protocolVersion"],
        "2025-11-25"
    );
    let initialized = server.asked("notifications/initialized").await;
    assert_eq!(initialized.header("mcp-session-id"), "one");
    initialized.accepted();
    let stream = server.asked("GET").await;
    assert_eq!(stream.header("mcp-session-id"), "one");
    let stream = stream.stream();
    (server, client, stream)
}

#[tokio::test]
async fn what_belongs_to_the_session_says_so_and_both_sides_can_ask() {
    let (mut server, mut client, stream) = connected().await;
    client.says(&request(1, "tools/list", &json!({}))).await;
    let asked = server.asked("tools/list").await;
    let named = (
        asked.header("mcp-session-id"),
        asked.header("mcp-protocol-version"),
    );
    assert_eq!(named, ("one", "2025-11-25"));
    assert_eq!(asked.header("mcp-method"), "");
    asked.result(&json!({ "tools": [] }));
    assert_eq!(client.hears().await["id"], 1);

    let question = json!({ "jsonrpc": "2.0", "id": 9, "method": "roots/list" });
    stream.message("a", &question);
    assert_eq!(client.hears().await, question);
    client
        .says(&json!({ "jsonrpc": "2.0", "id": 9, "result": { "roots": [] } }))
        .await;
    let answer = server.asked("response").await;
    assert_eq!(
        (answer.header("mcp-session-id"), &answer.body["id"]),
        ("one", &json!(9))
    );
    answer.accepted();
}

#[tokio::test]
async fn a_session_stream_that_ends_goes_on_after_the_last_message() {
    let (mut server, mut client, stream) = connected().await;
    stream.raw("retry: 20\n\n: comment\n\n");
    let told =
        |n| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "n": n } });
    stream.message("a", &told(1));
    assert_eq!(client.hears().await, told(1));
    drop(stream);
    let again = server.asked("GET").await;
    assert_eq!(again.header("last-event-id"), "a");
    again.answer(500, &[], "no");
    let again = server.asked("GET").await;
    assert_eq!(again.header("last-event-id"), "a");
    again.stream().message("b", &told(2));
    assert_eq!(client.hears().await, told(2));
    assert_eq!(server.asked("GET").await.header("last-event-id"), "b");
}

#[tokio::test]
async fn an_answer_whose_stream_breaks_is_fetched_until_it_comes() {
    let (mut server, mut client, _stream) = connected().await;
    client
        .says(&request(1, "tools/call", &json!({ "name": "slow" })))
        .await;
    let stream = server.asked("tools/call").await.stream();
    stream.raw("id: s1\nretry: 10\ndata: \n\n");
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
    stream.message("s2", &progress);
    assert_eq!(client.hears().await, progress);
    drop(stream);
    let again = server.asked("GET").await;
    assert_eq!(again.header("last-event-id"), "s2");
    // The client polls: nothing yet.
    drop(again.stream());
    let again = server.asked("GET").await;
    assert_eq!(again.header("last-event-id"), "s2");
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } });
    again.stream().message("s3", &answer);
    assert_eq!(client.hears().await, answer);
    server.quiet("GET").await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_fetched_is_an_error_not_silence() {
    let (mut server, mut client, _stream) = connected().await;
    client
        .says(&request(1, "tools/call", &json!({ "name": "slow" })))
        .await;
    drop(server.asked("tools/call").await.stream());
    let error = client.hears().await;
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!(1), &json!(-32603))
    );
    assert_eq!(error["error"]["data"]["code"], "connection-broken");

    client
        .says(&request(2, "tools/call", &json!({ "name": "slow" })))
        .await;
    let stream = server.asked("tools/call").await.stream();
    stream.raw("id: s1\ndata: \n\n");
    drop(stream);
    server.asked("GET").await.answer(404, &[], "");
    let error = client.hears().await;
    assert_eq!(error["error"]["data"]["code"], "session-lost");
}

#[tokio::test]
async fn a_lost_session_is_opened_anew_and_what_found_it_lost_is_asked_again() {
    let (mut server, mut client, stream) = connected().await;
    let subscribe = request(
        1,
        "resources/subscribe",
        &json!({ "uri": "github://events" }),
    );
    client.says(&subscribe).await;
    server.asked("resources/subscribe").await.result(&json!({}));
    assert_eq!(client.hears().await["id"], 1);

    client.says(&request(2, "ping", &json!({}))).await;
    client.says(&request(3, "ping", &json!({}))).await;
    for _ in 0..2 {
        let lost = server.asked("ping").await;
        assert_eq!(lost.header("mcp-session-id"), "one");
        lost.json(
            404,
            &json!({ "jsonrpc": "2.0", "error": { "code": -32001, "message": "gone" } }),
        );
    }
    let again = server.asked("initialize").await;
    assert_eq!(again.body, initialize());
    open(again, "two");
    for what in ["notifications/initialized", "resources/subscribe"] {
        let asked = server.asked(what).await;
        assert_eq!(asked.header("mcp-session-id"), "two");
        if what == "resources/subscribe" {
            assert_eq!(asked.body, subscribe);
            asked.result(&json!({}));
        } else {
            asked.accepted();
        }
    }
    let notice = client.hears().await;
    assert_eq!(notice["params"]["logger"], "forgewire.stdio");
    for _ in 0..2 {
        let asked = server.asked("ping").await;
        assert_eq!(asked.header("mcp-session-id"), "two");
        asked.result(&json!({}));
    }
    let mut ids = [
        client.hears().await["id"].as_u64(),
        client.hears().await["id"].as_u64(),
    ];
    ids.sort_unstable();
    assert_eq!(ids, [Some(2), Some(3)]);
    // The bridge opens the new session's stream, from its beginning.
    stream.left().await;
    let asked = server.asked("GET").await;
    assert_eq!(
        (
            asked.header("mcp-session-id"),
            asked.header("last-event-id")
        ),
        ("two", "")
    );
    server.quiet("initialize").await;
}

fn is_told(line: &Value, text: &str) {
    assert_eq!(line["params"]["logger"], "forgewire.stdio", "{line}");
    let told = line["params"]["data"].as_str().unwrap();
    assert!(told.contains(text), "{told}");
}

#[tokio::test]
async fn a_stream_that_is_interrupted_without_an_id_or_refused_is_told_once() {
    let (mut server, mut client, stream) = connected().await;
    drop(stream);
    let again = server.asked("GET").await;
    assert_eq!(again.header("last-event-id"), "");
    let stream = again.stream();
    is_told(&client.hears().await, "some may be missing");
    drop(stream);
    for _ in 0..2 {
        server.asked("GET").await.answer(403, &[], "no");
    }
    is_told(
        &client.hears().await,
        "refuses the stream of the session (403",
    );
    client.hears_nothing().await;
}

#[tokio::test]
async fn what_does_not_reach_the_server_or_is_not_restored_is_told() {
    let (mut server, mut client, _stream) = connected().await;
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    client.says(&cancelled).await;
    let refused = server.asked("notifications/roots/list_changed").await;
    refused.answer(400, &[], "no");
    is_told(&client.hears().await, "did not reach the server");

    let subscribe = request(
        1,
        "resources/subscribe",
        &json!({ "uri": "github://events" }),
    );
    client.says(&subscribe).await;
    server.asked("resources/subscribe").await.result(&json!({}));
    assert_eq!(client.hears().await["id"], 1);
    client.says(&request(2, "ping", &json!({}))).await;
    server.asked("ping").await.answer(404, &[], "gone");
    open(server.asked("initialize").await, "two");
    server.asked("notifications/initialized").await.accepted();
    let refused =
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32602, "message": "no" } });
    server
        .asked("resources/subscribe")
        .await
        .json(200, &refused);
    is_told(&client.hears().await, "could not be restored");
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_anew_is_said_to_be_lost() {
    let (mut server, mut client, _stream) = connected().await;
    client.says(&request(2, "ping", &json!({}))).await;
    server.asked("ping").await.answer(404, &[], "");
    server.asked("initialize").await.answer(403, &[], "");
    let error = client.hears().await;
    assert_eq!(
        (&error["id"], &error["error"]["data"]["code"]),
        (&json!(2), &json!("session-lost"))
    );
}

#[tokio::test]
async fn a_cancelled_request_is_told_to_the_server_and_not_answered() {
    let (mut server, mut client, _stream) = connected().await;
    client
        .says(&request(1, "tools/call", &json!({ "name": "slow" })))
        .await;
    let running = server.asked("tools/call").await.stream();
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1 } });
    client.says(&cancelled).await;
    let told = server.asked("notifications/cancelled").await;
    assert_eq!(
        (told.header("mcp-session-id"), &told.body),
        ("one", &cancelled)
    );
    told.accepted();
    running.left().await;
    client.hears_nothing().await;
}

/// A server may end the request's stream before it answers the notification.
#[tokio::test]
async fn a_cancelled_request_whose_stream_ends_first_is_not_answered_either() {
    let (mut server, mut client, _stream) = connected().await;
    client
        .says(&request(1, "tools/call", &json!({ "name": "slow" })))
        .await;
    let running = server.asked("tools/call").await.stream();
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1 } });
    client.says(&cancelled).await;
    let told = server.asked("notifications/cancelled").await;
    drop(running);
    client.hears_nothing().await;
    told.accepted();
    client.hears_nothing().await;
}

/// For instance behind a proxy that routes by method.
#[tokio::test]
async fn a_server_that_loses_every_session_at_once_is_asked_ever_more_rarely_and_it_is_told_once() {
    let (mut server, mut client, stream) = connected().await;
    drop(stream);
    let begun = Instant::now();
    for session in ["two", "three", "four", "five"] {
        server.asked("GET").await.answer(404, &[], "gone");
        open(server.asked("initialize").await, session);
        server.asked("notifications/initialized").await.accepted();
    }
    // Half of each pause at least: 100, 200, 400 and 800 ms.
    let least = Duration::from_millis(750);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    is_told(&client.hears().await, "a new one was opened");
    is_told(&client.hears().await, "loses new sessions at once");
    let _stream = server.asked("GET").await.stream();
    client.hears_nothing().await;
}

#[tokio::test]
async fn the_end_of_stdin_waits_for_what_runs_and_ends_the_session() {
    let (mut server, mut client, stream) = connected().await;
    client.says(&request(1, "ping", &json!({}))).await;
    let running = server.asked("ping").await;
    let ending = tokio::spawn(client.ends());
    stream.left().await;
    running.result(&json!({}));
    let farewell = server.asked("DELETE").await;
    assert_eq!(farewell.header("mcp-session-id"), "one");
    farewell.answer(204, &[], "");
    assert_eq!(
        ending.await.unwrap(),
        [json!({ "jsonrpc": "2.0", "id": 1, "result": {} })]
    );
}

#[tokio::test]
async fn a_stop_ends_the_session_without_waiting_for_what_runs() {
    let (mut server, mut client, _stream) = connected().await;
    client.says(&request(1, "ping", &json!({}))).await;
    let _running = server.asked("ping").await;
    client.stop.cancel();
    server.asked("DELETE").await.answer(204, &[], "");
    assert_eq!(client.ends().await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_batch_is_one_post_and_every_request_in_it_is_answered() {
    let (mut server, mut client, _stream) = connected().await;
    let batch = |first| {
        json!([
            request(first, "ping", &json!({})),
            request(first + 1, "ping", &json!({}))
        ])
    };
    client.says(&batch(1)).await;
    let asked = server.asked("response").await;
    assert_eq!(asked.body, batch(1));
    let answer = |id| json!({ "jsonrpc": "2.0", "id": id, "result": {} });
    let answers = json!([answer(1), answer(2)]);
    asked.json(200, &answers);
    assert_eq!(client.hears().await, answers);
    client.says(&batch(3)).await;
    server.asked("response").await.answer(502, &[], "<html>");
    for id in [3, 4] {
        assert_eq!(client.hears().await["id"], id);
    }
}

/// The server hangs with a request and with the end of the session, and the client does not read.
#[tokio::test]
async fn whoever_hangs_the_end_takes_five_seconds_in_all() {
    let (mut server, mut client, _events) = connected().await;
    client.says(&request(7, "slow", &json!({}))).await;
    let _hanging = server.asked("slow").await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert!(client.ends_unread().await);
    let took = began.elapsed();
    assert!(took <= std::time::Duration::from_secs(5), "{took:?}");
}
