//! Whatever a client asks for runs in turns of its account, on every surface.

use serde_json::{Value, json};
use testkit::mcp_client::ModernClient;

use super::{http_sse, ndjson::Lines, world::*};

const URI: &str = "github://issues/octo/cat/7";

/// Asserts that the last question to sync was asked in a turn of the client.
fn assert_charged(world: &EdgeWorld, surface: &str) {
    let account = world.charged.lock().take();
    let account = format!("{account:?}");
    let client = ["principal: ", "client: Some(127.0.0.1:"];
    assert!(
        client.iter().all(|part| account.contains(part)),
        "{surface}: {account}"
    );
}

fn read(id: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "resources/read", "params": {
        "uri": URI, "_meta": ModernClient::meta() } })
}

#[tokio::test]
async fn calls_are_charged_to_whoever_makes_them_on_every_surface() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let uri = json!({ "uri": URI });

    let session = connect(&node).await;
    let answer = session
        .request(&node.url, "resources/read", uri.clone())
        .await;
    assert!(answer.unwrap().body["result"].is_object());
    assert_charged(&world, "a session");

    let modern = ModernClient::new();
    let answer = modern
        .request(&node.url, "resources/read", uri.clone())
        .await;
    assert!(answer.unwrap().body["result"].is_object());
    assert_charged(&world, "the stateless era");

    let mut lines = Lines::open(&node).await;
    for id in 1..=2 {
        lines.says(&read(id));
        assert!(lines.hears().await["result"].is_object());
        assert_charged(&world, "lines");
    }

    let mut old = http_sse::Client::connected(&node, &node).await;
    let answer = old.call(&node, 9, "resources/read", uri).await;
    assert!(answer["contents"].is_array(), "{answer}");
    assert_charged(&world, "HTTP+SSE");

    let used = node.metrics();
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("forgewire_edge_request_cpu_seconds_total "));
    assert!(used.unwrap().parse::<f64>().unwrap() > 0.0);
}
