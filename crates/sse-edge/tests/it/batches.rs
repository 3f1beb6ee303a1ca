//! Batches (2025-03-26): each message goes through the door of single calls.

use serde_json::{Value, json};
use testkit::mcp_client::McpClient;

use super::world::*;

async fn client(node: &Node) -> McpClient {
    let client = McpClient::initialize(&node.url, "2025-03-26").await;
    client.unwrap()
}

fn call(id: i64, tool: &str, arguments: &Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

/// A call that waits for an event of octo/cat.
fn wait(id: i64) -> Value {
    let arguments = json!({ "filters": [{ "repo": "cat" }], "maxWaitSeconds": 50 });
    call(id, "wait_for_events", &arguments)
}

fn ping(id: i64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })
}

fn ids(answers: &Value) -> Vec<i64> {
    let answers = answers.as_array().expect("the answers in one message");
    answers
        .iter()
        .map(|one| one["id"].as_i64().unwrap())
        .collect()
}

/// Sends a batch that takes long; returns when its answer has begun, so its calls are registered.
async fn begun(client: &McpClient, node: &Node, batch: &Value) -> reqwest::Response {
    let response = reqwest::Client::new()
        .post(node.at("/mcp"))
        .headers(client.headers())
        .header("accept", "application/json, text/event-stream")
        .json(batch)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

/// The answers at the end of the stream.
async fn answers(response: reqwest::Response) -> Value {
    let text = response.text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap()).unwrap()
}

#[tokio::test]
async fn calls_in_a_batch_can_be_cancelled_before_and_while_they_run() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let batch = json!([wait(101), wait(102), ping(103)]);
    let waiting = begun(&client, &a, &batch).await;
    // The second waits for its turn; another edge passes the cancellations on.
    for id in [102, 101] {
        let params = json!({ "requestId": id });
        let told = client.notify(&b.url, "notifications/cancelled", params);
        told.await.unwrap();
    }
    assert_eq!(ids(&answers(waiting).await), [103]);
}

#[tokio::test]
async fn a_cancellation_in_the_batch_itself_comes_before_its_calls() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1 } });
    let batch = json!([wait(1), cancel, ping(2)]);
    let reply = client(&a).await.send(&a.url, &batch).await.unwrap();
    assert_eq!(ids(&reply.body), [2]);
}

#[tokio::test]
async fn calls_in_a_batch_count_and_those_for_which_there_is_no_place_are_refused_in_their_place() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let full: Vec<_> = (101..164).map(wait).collect();
    let first = begun(&client, &a, &json!(full)).await;
    // 63 of 64 places are taken.
    let second = begun(&client, &a, &json!([wait(201), wait(202), ping(203)])).await;
    world.happens("cat").await;
    let all = answers(first).await;
    assert_eq!(ids(&all), (101..164).collect::<Vec<_>>());
    assert!(all[62]["result"].is_object(), "{}", all[62]);
    let more = answers(second).await;
    assert_eq!(ids(&more), [201, 202, 203]);
    let text = more[1]["error"]["message"].as_str().unwrap();
    assert!(text.contains("too many calls"), "{text}");
}

#[tokio::test]
async fn of_two_calls_under_one_id_the_second_is_refused() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let same = call(1, "get_recent_events", &json!({}));
    let batch = json!([same, same]);
    let reply = client(&a).await.send(&a.url, &batch).await.unwrap();
    assert!(reply.body[0]["result"].is_object(), "{}", reply.body);
    assert_eq!(reply.body[1]["error"]["code"], -32602, "{}", reply.body);
}

/// A proxy that cuts a silent response would cut it.
#[tokio::test]
async fn a_batch_that_takes_long_begins_to_answer_as_a_stream() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let begun = begun(&client, &a, &json!([wait(1), ping(2)])).await;
    world.happens("cat").await;
    let answers = answers(begun).await;
    assert_eq!(ids(&answers), [1, 2]);
    let page = &answers[0]["result"];
    assert!(page.to_string().contains("e1"), "{page}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_those_of_a_batch_is_an_error_in_its_place() {
    let (world, a, _b) = EdgeWorld::two().await;
    world.happen("cat", 2, 100 << 10).await;
    world.settle(&a).await;
    let whole = json!({ "include": ["urls"], "maxBytes": 256 << 10 });
    let calls: Vec<_> = (0..64)
        .map(|id| call(id, "get_recent_events", &whole))
        .collect();
    let reply = client(&a).await.send(&a.url, &json!(calls)).await.unwrap();
    let text = reply.body.to_string();
    assert!(text.len() < (4 << 20) + (64 << 10), "{} bytes", text.len());
    let answers = reply.body.as_array().unwrap();
    let fits = answers
        .iter()
        .filter(|one| one["result"].is_object())
        .count();
    assert!((2..64).contains(&fits), "{fits}");
    let refused = &answers[63];
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(63), &json!(-32603))
    );
    let text = refused["error"]["message"].as_str().unwrap();
    assert!(text.contains("on its own"), "{text}");
}

#[tokio::test]
async fn params_that_wait_for_their_turn_are_bounded() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let padded = |id: i64| {
        let mut call = call(id, "get_recent_events", &json!({}));
        call["params"]["_meta"] = json!({ "filler": "x".repeat(100 << 10) });
        call
    };
    let last = call(4, "get_recent_events", &json!({}));
    let batch = json!([padded(1), padded(2), padded(3), last]);
    let answers = client(&a).await.send(&a.url, &batch).await.unwrap().body;
    assert_eq!(ids(&answers), [1, 2, 3, 4]);
    assert!(answers[1]["result"].is_object(), "{answers}");
    let text = answers[2]["error"]["message"].as_str().unwrap();
    assert!(text.starts_with("params: "), "{text}");
    // One that has room is not refused for another's size.
    assert!(answers[3]["result"].is_object(), "{answers}");
}
