//! Waits of which hours pass in no time: the time of the runtime, with real connections.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use testkit::mcp_client::{McpClient, ModernClient};
use tokio::time::Instant;

use super::{
    calls::resume,
    waits::{answer, begun, call, events, let_go, next_id, waiting, waiting_without_a_session_for},
    world::*,
};

/// Lets virtual time pass as fast as it can, once a call waits on this edge: what follows takes hours in no time.
async fn hours_pass(node: &Node) {
    until("the call waits", || async {
        node.metric("forgewire_edge_match_cost") > 0
    })
    .await;
    tokio::time::pause();
}

/// A call of a client that accepts JSON alone and names a token all the same.
async fn waiting_for_json(node: &Node, headers: HeaderMap, message: Value) -> Duration {
    let request = reqwest::Client::new().post(node.at("/mcp"));
    let request = request.headers(headers).json(&message);
    let json = HeaderValue::from_static("application/json");
    let answer = tokio::spawn(request.header(ACCEPT, json).send());
    hours_pass(node).await;
    let began = Instant::now();
    let answer: Value = answer.await.unwrap().unwrap().json().await.unwrap();
    // In the earliest of these revisions, a result is text alone.
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(r#""count":0,"#), "{answer}");
    tokio::time::resume();
    began.elapsed()
}

/// What such a client is shown is an answer, for which it waits as long as one that asks for no progress.
#[tokio::test]
async fn a_client_that_takes_json_alone_waits_no_longer_for_its_token() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let arguments = json!({ "filters": [{ "repo": "cat" }], "maxWaitSeconds": 3600 });
    let mut waited = Vec::new();
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let client = McpClient::initialize(&a.url, version).await.unwrap();
        let message = call(7, &arguments);
        waited.push(waiting_for_json(&a, client.headers(), message).await);
    }
    let params = json!({ "name": "wait_for_events", "arguments": arguments });
    let mut message = ModernClient::new().message("tools/call", params);
    message["params"]["_meta"]["progressToken"] = json!("how-far");
    waited.push(waiting_for_json(&a, ModernClient::headers(&message), message).await);
    for waited in waited {
        assert!((45..=60).contains(&waited.as_secs()), "{waited:?}");
    }
}

/// Progress rises, and neither reaches nor passes its total: what follows the last one is the result.
#[tokio::test]
async fn the_progress_of_a_wait_never_passes_its_total() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    // The reader of a call that runs on another edge tells of it too.
    let mut begun_there = waiting(&client, &a, 8, 100).await;
    let id = begun(&mut begun_there).await;
    drop(begun_there);
    let streams = [
        waiting(&client, &a, 9, 100).await,
        waiting_without_a_session_for(&a, 100).await,
        resume(&client, &b, &id).await,
    ];
    hours_pass(&a).await;
    for mut stream in streams {
        let mut told = Vec::new();
        let answer = loop {
            let frame = stream.next_event(Duration::from_secs(600)).await.unwrap();
            let Some(message) = frame.json() else {
                continue;
            };
            if message["method"] != "notifications/progress" {
                break message;
            }
            assert_eq!(message["params"]["total"], 100.0, "{message}");
            told.push(message["params"]["progress"].as_f64().unwrap());
        };
        assert!(events(&answer).is_empty(), "{answer}");
        assert!(told.len() >= 3, "{told:?}");
        assert!(told.is_sorted_by(|one, next| one < next), "{told:?}");
        assert!(told.iter().all(|progress| *progress < 100.0), "{told:?}");
    }
}

/// A client that comes back to another edge has its call there, and one that never comes back gives its place to others.
#[tokio::test]
async fn a_wait_that_another_edge_took_over_waits_for_its_client_and_not_for_ever() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 9, 20 * 3600).await;
    let id = begun(&mut stream).await;
    a.life.shut_down();
    let id = let_go(&mut stream).await.unwrap_or(id);
    let mut resumed = resume(&client, &b, &id).await;
    let id = next_id(&mut resumed).await;
    hours_pass(&b).await;
    let waits = || async { b.metric("forgewire_edge_match_cost") > 0 };
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(waits().await, "its client reads");
    drop(resumed);
    tokio::time::sleep(Duration::from_secs(240)).await;
    assert!(waits().await, "its client may come back");
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(!waits().await, "its place is free");
    tokio::time::resume();
    let cat = world.happens("cat").await;
    let mut resumed = resume(&client, &b, &id).await;
    assert_eq!(events(&answer(&mut resumed).await), [cat]);
    assert!(ended(&mut resumed).await.is_empty(), "one answer");
}
