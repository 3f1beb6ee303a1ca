//! The stateless era: headers from messages, cancellation by disconnecting, subscriptions that
//! last.

use serde_json::{Value, json};

use super::ends::*;

fn request(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn requests_run_side_by_side_with_the_headers_of_their_messages() {
    let (mut server, mut client) = both().await;
    client
        .says(&request(1, "tools/call", json!({ "name": "grüße" })))
        .await;
    client.says(&request(2, "server/discover", json!({}))).await;
    let slow = server.asked("tools/call").await;
    let quick = server.asked("server/discover").await;
    for (asked, name) in [(&slow, "=?base64?Z3LDvMOfZQ==?="), (&quick, "")] {
        assert_eq!(asked.header("mcp-protocol-version"), "2026-07-28");
        assert_eq!(asked.header("mcp-method"), asked.what);
        assert_eq!(asked.header("mcp-name"), name);
    }
    quick.result(&json!({}));
    assert_eq!(client.hears().await["id"], 2);
    let stream = slow.stream();
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "text": "a\nb" } });
    stream.message("", &progress);
    stream.message("", &answer);
    assert_eq!(client.hears().await, progress);
    assert_eq!(client.hears().await, answer);
}

#[tokio::test]
async fn cancelling_hangs_up_and_says_no_more() {
    let (mut server, mut client) = both().await;
    client
        .says(&request(1, "tools/call", json!({ "name": "slow" })))
        .await;
    let stream = server.asked("tools/call").await.stream();
    stream.raw(": works\n\n");
    client
        .says(
            &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1 } }),
        )
        .await;
    stream.left().await;
    client.hears_nothing().await;
    server.quiet("notifications/cancelled").await;
}

fn tagged(method: &str, more: Value) -> Value {
    let mut params = more;
    params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": 1 });
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

fn acknowledged() -> Value {
    let notifications = json!({ "resourceSubscriptions": ["github://events"] });
    tagged(
        "notifications/subscriptions/acknowledged",
        json!({ "notifications": notifications }),
    )
}

#[tokio::test]
async fn a_subscription_outlives_its_stream_and_says_that_something_may_have_changed() {
    let (mut server, mut client) = both().await;
    let listen = request(1, "subscriptions/listen", json!({ "notifications": {} }));
    client.says(&listen).await;
    let stream = server.asked("subscriptions/listen").await.stream();
    stream.message("", &acknowledged());
    assert_eq!(client.hears().await, acknowledged());
    let updated = tagged(
        "notifications/resources/updated",
        json!({ "uri": "github://events" }),
    );
    drop(stream);
    let stream = server.asked("subscriptions/listen").await.stream();
    stream.message("", &acknowledged());
    // A hint in place of the acknowledgement.
    assert_eq!(client.hears().await, updated);
    let end = json!({ "jsonrpc": "2.0", "id": 1, "result": { "resultType": "complete" } });
    stream.message("", &end);
    let again = server.asked("subscriptions/listen").await;
    assert_eq!(again.body, listen);
    again.answer(503, &[], "");
    let again = server.asked("subscriptions/listen").await;
    let refusal = json!({ "jsonrpc": "2.0", "error": { "code": -32600, "message": "no token" } });
    again.json(401, &refusal);
    let told = client.hears().await;
    assert_eq!(
        (&told["id"], &told["error"]["message"]),
        (&json!(1), &json!("no token"))
    );
    server.quiet("subscriptions/listen").await;
}

#[tokio::test]
async fn a_subscription_to_nothing_ends_as_the_server_says() {
    let (mut server, mut client) = both().await;
    client
        .says(&request(
            1,
            "subscriptions/listen",
            json!({ "notifications": {} }),
        ))
        .await;
    let stream = server.asked("subscriptions/listen").await.stream();
    let nothing = json!({ "notifications": {} });
    stream.message(
        "",
        &tagged("notifications/subscriptions/acknowledged", nothing),
    );
    let end = json!({ "jsonrpc": "2.0", "id": 1, "result": { "resultType": "complete" } });
    stream.message("", &end);
    client.hears().await;
    assert_eq!(client.hears().await, end);
    server.quiet("subscriptions/listen").await;
}

#[tokio::test]
async fn a_missing_header_of_an_argument_is_looked_up_and_sent() {
    let (mut server, mut client) = both().await;
    let call = request(
        1,
        "tools/call",
        json!({ "name": "t", "arguments": { "region": "eu" } }),
    );
    client.says(&call).await;
    let asked = server.asked("tools/call").await;
    let refusal = json!({ "jsonrpc": "2.0", "id": 1,
        "error": { "code": -32020, "message": "Mcp-Param-Region is missing" } });
    asked.json(400, &refusal);
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" } } });
    let first = server.asked("tools/list").await;
    assert_eq!(
        (first.header("mcp-method"), first.header("mcp-name")),
        ("tools/list", "")
    );
    first.result(&json!({ "tools": [], "nextCursor": "p2" }));
    let second = server.asked("tools/list").await;
    assert_eq!(second.body["params"]["cursor"], "p2");
    second.result(&json!({ "tools": [{ "name": "t", "inputSchema": schema }] }));
    let again = server.asked("tools/call").await;
    assert_eq!(
        (again.header("mcp-param-region"), &again.body),
        ("eu", &call)
    );
    again.json(400, &refusal);
    // One attempt is enough.
    assert_eq!(client.hears().await, refusal);
}
