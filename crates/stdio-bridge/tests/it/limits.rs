//! Messages that do not fit, do not parse or do not arrive are answered, and the bridge continues.

use serde_json::{Value, json};

use super::ends::*;

fn call(id: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "x", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28" } } })
}

async fn fails(client: &mut Client, code: i64) -> Value {
    let error = client.hears().await;
    assert_eq!(error["error"]["code"], code, "{error}");
    error
}

#[tokio::test]
async fn a_line_that_is_no_message_is_told_and_the_next_one_served() {
    let (mut server, mut client) = both().await;
    client
        .writes("{\n\n[]\n{\"jsonrpc\":\"2.0\",\"id\":5}\n")
        .await;
    assert_eq!(fails(&mut client, -32700).await.get("id"), None);
    fails(&mut client, -32600).await;
    assert_eq!(fails(&mut client, -32600).await["id"], 5);
    client.says(&call(1)).await;
    server.asked("x").await.result(&json!({}));
    assert_eq!(client.hears().await["id"], 1);
}

#[tokio::test]
async fn an_error_of_http_is_an_answer_with_the_id_of_the_request() {
    let (mut server, mut client) = both().await;
    client.says(&call(1)).await;
    server
        .asked("x")
        .await
        .answer(502, &[], "<html>bad gateway</html>");
    let error = fails(&mut client, -32603).await;
    assert_eq!(
        (&error["id"], &error["error"]["data"]["code"]),
        (&json!(1), &json!("http-error"))
    );
    client.says(&call(2)).await;
    let refusal = json!({ "jsonrpc": "2.0", "error": { "code": -32600, "message": "no" } });
    server.asked("x").await.json(401, &refusal);
    assert_eq!(fails(&mut client, -32600).await["id"], 2);
}

#[tokio::test]
async fn what_is_put_off_is_sent_again() {
    let (mut server, mut client) = both().await;
    client.says(&call(1)).await;
    for status in [503, 429] {
        server
            .asked("x")
            .await
            .answer(status, &[("retry-after", "0")], "");
    }
    server.asked("x").await.result(&json!({}));
    assert_eq!(client.hears().await["result"], json!({}));
    client.says(&call(2)).await;
    server.asked("x").await.answer(503, &[], "");
    assert_eq!(fails(&mut client, -32603).await["id"], 2);
    server.quiet("x").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_an_error_not_silence() {
    let mut client = client("http://127.0.0.1:1/mcp");
    client.says(&call(1)).await;
    let error = client.hears_whenever().await;
    assert_eq!(error["id"], 1);
    assert_eq!(error["error"]["data"]["code"], "unreachable");
}

#[tokio::test]
async fn one_request_more_than_fits_is_refused_and_so_is_an_id_that_is_taken() {
    let (mut server, mut client) = both().await;
    let mut waiting = Vec::new();
    for id in 0..256 {
        client.says(&call(id)).await;
        waiting.push(server.asked("x").await);
    }
    client.says(&call(1000)).await;
    let error = fails(&mut client, -32603).await;
    assert_eq!(error["error"]["data"]["code"], "too-many-requests");
    waiting.pop().unwrap().result(&json!({}));
    assert_eq!(client.hears().await["id"], 255);
    client.says(&call(7)).await;
    assert_eq!(fails(&mut client, -32600).await["id"], 7);
    client.says(&call(1001)).await;
    assert_eq!(server.asked("x").await.body["id"], 1001);
}

#[tokio::test]
async fn what_still_runs_when_the_input_has_ended_is_answered_in_a_few_seconds() {
    let (mut server, mut client) = both().await;
    client.says(&call(1)).await;
    let _never_answered = server.asked("x").await;
    let rest = client.ends().await;
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &json!(1)));
    assert_eq!(rest[0]["error"]["data"]["code"], "input-ended");
}

/// A line of each kind that the bridge has to wait with, and what the server is asked meanwhile.
#[tokio::test]
async fn an_edge_that_hangs_does_not_hide_the_end_of_the_input() {
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } } });
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    let hangs = async |first: &Value| {
        let (mut server, mut client) = both().await;
        client.says(first).await;
        client.says(&call(2)).await;
        let _never_answered = server.asked(first["method"].as_str().unwrap()).await;
        // Fails unless the bridge ends soon.
        client.ends().await
    };
    let (opening, notifying) = tokio::join!(hangs(&initialize), hangs(&notification));
    let mut ids: Vec<_> = opening.iter().map(|line| line["id"].as_u64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [Some(1), Some(2)], "{opening:?}");
    assert_eq!(notifying[0]["id"], 2, "{notifying:?}");
    for line in opening.iter().chain(&notifying) {
        assert_eq!(line["error"]["data"]["code"], "input-ended", "{line}");
    }
}

#[tokio::test]
async fn pauses_between_attempts_and_a_client_that_reads_nothing_do_not_hide_it_either() {
    // Every request is postponed; the bridge waits and tries again.
    let (mut server, mut client) = both().await;
    client.says(&call(1)).await;
    let postponing = tokio::spawn(async move {
        loop {
            let asked = server.asked("x").await;
            asked.answer(503, &[("retry-after", "60")], "");
        }
    });
    // More answers than the output takes.
    let (mut other_server, mut deaf) = both().await;
    for id in 0..200 {
        deaf.says(&call(id)).await;
        let result = json!({ "text": "x".repeat(64 << 10) });
        other_server.asked("x").await.result(&result);
    }
    let (postponed, unread) = tokio::join!(client.ends(), deaf.ends_unread());
    assert_eq!(postponed[0]["error"]["data"]["code"], "input-ended");
    assert!(unread);
    postponing.abort();
}
