//! A principal that calls too often is refused with the reason, and no other principal is affected.

use model::{IdSource, RandomIds};
use reqwest::{RequestBuilder, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use sse_edge::{EdgeConfig, RateLimits};
use testkit::mcp_client::ModernClient;

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

/// An edge whose principals may use stores once a second.
async fn once_a_second(world: &EdgeWorld) -> Node {
    let rates = RateLimits {
        store_calls_per_second: 1,
        ..RateLimits::default()
    };
    let config = EdgeConfig {
        rates,
        ..EdgeConfig::default()
    };
    world.node_with(&config, world.bus.clone()).await
}

/// Sends a request until it is answered with 429; returns the body. None of the answers before it may be
/// another refusal.
async fn too_many(what: &str, request: impl Fn() -> RequestBuilder) -> String {
    for _ in 0..50 {
        let answer = request().send().await.unwrap();
        let status = answer.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = answer.headers()[RETRY_AFTER].to_str().unwrap();
            assert_eq!(seconds, "1", "{what}");
            let text = answer.text().await.unwrap();
            let named = text.contains("rate-limited") && text.contains("class store");
            assert!(named, "{what}: {text}");
            return text;
        }
        assert!(!status.is_server_error(), "{what}: {status}");
    }
    panic!("{what} is never refused");
}

#[tokio::test]
async fn every_surface_that_costs_a_store_or_the_log_is_under_the_rates() {
    let world = EdgeWorld::new().await;
    let node = once_a_second(&world).await;
    let client = connect(&node).await;
    let http = reqwest::Client::new();
    for path in [
        "/events/recent",
        "/events/replay/2020-01-01T00:00:00Z",
        "/events/stream",
    ] {
        let text = too_many(path, || http.get(node.at(path))).await;
        assert!(text.contains("\"status\":429"), "{path}: {text}");
    }
    let (mcp, both) = (node.at("/mcp"), "application/json, text/event-stream");
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/message",
        "params": { "level": "info", "data": "x" } });
    let send = json!({ "sessionId": client.session_id().unwrap(), "message": note, "wait": false });
    too_many("POST /mcp/sse/send", || {
        http.post(node.at("/mcp/sse/send")).json(&send)
    })
    .await;
    let hello = json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } } });
    let ping = json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" });
    let modern = ModernClient::new();
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
    let listen = modern.message("subscriptions/listen", wanted);
    let stream = |accept| http.get(mcp.clone()).header("accept", accept);
    let post = |body: &Value| http.post(mcp.clone()).header("accept", both).json(body);
    let headers = || client.headers();
    let event_stream = "text/event-stream";
    let session = || stream(event_stream).headers(headers());
    let text = too_many("GET /mcp", session).await;
    assert!(text.contains("\"jsonrpc\":\"2.0\""), "{text}");
    too_many("GET /sse", || {
        http.get(node.at("/sse")).header("accept", event_stream)
    })
    .await;
    let text = too_many("initialize", || post(&hello)).await;
    assert!(text.contains("\"id\":7"), "{text}");
    too_many("subscriptions/listen", || {
        post(&listen).headers(ModernClient::headers(&listen))
    })
    .await;
    let of_listen = |outcome| {
        let labels = format!("{{method=\"subscriptions/listen\",outcome=\"{outcome}\"}}");
        node.metric(&format!("forgewire_mcp_call_seconds_count{labels}"))
    };
    assert!(of_listen("refused") > 0 && of_listen("failed") == 0);
    let lines = "application/x-ndjson";
    too_many("POST /mcp/stream", || {
        let request = http.post(node.at("/mcp/stream"));
        request.header("content-type", lines).body("")
    })
    .await;
    // The names of sessions can be made up: each costs a look into the store.
    let made_up = |request: RequestBuilder| {
        let name = RandomIds.uuid();
        request.header("mcp-session-id", name)
    };
    let text = too_many("a made-up session", || made_up(post(&ping))).await;
    assert!(text.contains("\"id\":7"), "its request is named: {text}");
    too_many("the end of a made-up session", || {
        made_up(http.delete(mcp.clone()))
    })
    .await;
    too_many("POST /messages", || {
        let name = RandomIds.uuid();
        let url = node.at(&format!("/messages?sessionId={name}"));
        http.post(url).json(&ping)
    })
    .await;
    // A session that the edge knows goes on meanwhile, and can be ended.
    for _ in 0..20 {
        client.ping(&node.url).await.unwrap();
    }
    assert!(node.metric("forgewire_edge_calls_refused_total{class=\"store\"}") > 10);
    assert_eq!(client.end(&node.url).await.unwrap(), 204);
}

#[tokio::test]
async fn methods_that_change_a_session_or_ask_for_a_task_are_under_the_rates() {
    let world = EdgeWorld::new().await;
    let node = once_a_second(&world).await;
    let client = connect(&node).await;
    let uri = json!({ "uri": "github://events" });
    for (method, params) in [
        ("resources/subscribe", uri.clone()),
        ("resources/unsubscribe", uri),
        ("logging/setLevel", json!({ "level": "info" })),
    ] {
        let body = refused(&client, &node, method, params).await;
        let data = &body["error"]["data"];
        assert_eq!(data["code"], "rate-limited", "{method}: {body}");
    }
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let modern = ModernClient::with_capabilities(tasks);
    let wait = json!({ "name": "wait_for_events", "arguments": {} });
    let named = json!({ "taskId": "made-up", "inputResponses": {} });
    for (method, params) in [
        ("tools/call", wait),
        ("tasks/get", named.clone()),
        ("tasks/update", named.clone()),
        ("tasks/cancel", named),
    ] {
        let mut answer = String::new();
        for _ in 0..50 {
            let reply = modern.request(&node.url, method, params.clone()).await;
            answer = reply.unwrap().body.to_string();
            if answer.contains("too many calls (class") {
                break;
            }
        }
        let is_refused = answer.contains("too many calls (class");
        assert!(is_refused, "{method} is never refused: {answer}");
    }
}

/// A browser's page would give up its stream for good on any other answer.
#[tokio::test]
async fn a_page_whose_stream_is_one_too_many_is_told_to_come_back() {
    let world = EdgeWorld::new().await;
    let node = once_a_second(&world).await;
    let http = reqwest::Client::new();
    let mut texts = Vec::new();
    for _ in 0..20 {
        let request = http.get(node.at("/events/stream"));
        let request = request
            .header("accept", "text/event-stream")
            .header("user-agent", "Mozilla/5.0");
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let first = answer.chunk().await.unwrap().unwrap_or_default();
        texts.push(String::from_utf8(first.to_vec()).unwrap());
    }
    let told = |text: &String| text.contains(": rate-limited") && text.contains("retry: ");
    assert!(texts.iter().any(told), "{texts:?}");
}

#[tokio::test]
async fn requests_of_any_kind_have_a_rate_and_so_have_lines() {
    let world = EdgeWorld::new().await;
    let rates = RateLimits {
        memory_calls_per_second: 5,
        ..RateLimits::default()
    };
    let config = EdgeConfig {
        rates,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let ask = |id: u64| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {
        "_meta": ModernClient::meta() } })
    };
    let mut lines = super::ndjson::Lines::open(&node).await;
    for id in 1..=50 {
        lines.says(&ask(id));
    }
    let mut refused = 0;
    for _ in 1..=50 {
        let answer = lines.hears().await;
        assert!(answer["id"].is_u64(), "{answer}");
        if answer["error"]["data"]["code"] == "rate-limited" {
            refused += 1;
        }
    }
    assert!((10..50).contains(&refused), "{refused}");
    let http = reqwest::Client::new();
    let mut statuses = Vec::new();
    for _ in 0..50 {
        let answer = http.get(node.at("/mcp/sse/stats")).send().await.unwrap();
        statuses.push(answer.status());
        let answer = http.post(node.at("/mcp")).body("{}").send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error"]["data"]["class"], "memory");
        }
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS));
}
