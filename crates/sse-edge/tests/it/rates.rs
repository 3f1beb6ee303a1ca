//! A principal that calls too often is refused with the reason, and no other principal is affected.

use serde_json::{Value, json};
use sse_edge::{EdgeConfig, RateLimits};

use super::world::*;

/// Calls until a call is refused; the bucket refills meanwhile, so one more call than expected may
/// be admitted.
async fn refused(
    client: &testkit::mcp_client::McpClient,
    node: &Node,
    method: &str,
    params: Value,
) -> Value {
    for _ in 0..50 {
        let reply = client
            .request(&node.url, method, params.clone())
            .await
            .unwrap();
        if reply.body["error"].is_object() || reply.body["result"]["isError"] == true {
            return reply.body;
        }
    }
    panic!("{method} is never refused");
}

#[tokio::test]
async fn at_the_limit_a_call_says_what_was_reached_and_when_to_come_back() {
    let world = EdgeWorld::new().await;
    let rates = RateLimits {
        store_calls_per_second: 1,
        ..RateLimits::default()
    };
    let config = EdgeConfig {
        rates,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let client = connect(&node).await;
    world.happens("cat").await;
    let call = json!({ "name": "get_recent_events", "arguments": {} });
    let body = refused(&client, &node, "tools/call", call).await;
    let text = body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("class store") && text.contains("try again in"),
        "{text}"
    );
    let prompt = json!({ "owner": "octo", "repo": "cat", "number": "7" });
    let template = json!({ "type": "ref/resource", "uri": "github://events/{owner}" });
    for (method, params) in [
        (
            "prompts/get",
            json!({ "name": "triage_event", "arguments": prompt }),
        ),
        ("resources/read", json!({ "uri": "github://events" })),
        (
            "completion/complete",
            json!({ "ref": template, "argument": { "name": "owner", "value": "" } }),
        ),
    ] {
        let body = refused(&client, &node, method, params).await;
        let data = &body["error"]["data"];
        let millis = data["retryAfterMillis"].as_u64().unwrap_or_default();
        assert!((1..=1000).contains(&millis), "{method}: {body}");
        assert_eq!(
            (&data["class"], &data["code"]),
            (&json!("store"), &json!("rate-limited"))
        );
    }
    // Requests that use no store are not affected.
    client.ping(&node.url).await.unwrap();
    client.list_tools(&node.url).await.unwrap();
}
