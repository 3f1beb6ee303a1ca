//! Inputs that clients really send, on every surface: each is served as what it means, or refused with
//! the fix.

use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{mcp_client::McpClient, sse};

use super::{principals, world::*};

pub(crate) const BOTH: &str = "application/json, text/event-stream";
/// A byte order mark in UTF-8.
const MARK: &str = "\u{feff}";
const HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

pub(crate) fn initialize(more: &Value) -> Value {
    let mut params = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

/// A POST of JSON text to a path.
pub(crate) fn post(node: &Node, path: &str, body: String) -> RequestBuilder {
    reqwest::Client::new()
        .post(node.at(path))
        .header("content-type", "application/json")
        .header("accept", BOTH)
        .body(body)
}

pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let json = text.lines().find_map(|line| {
        let line = line.strip_prefix("data: ").unwrap_or(line);
        serde_json::from_str(line).ok()
    });
    (status, json.unwrap_or_default())
}

/// Sends a request within a session; returns its result.
async fn result(client: &McpClient, node: &Node, message: &Value) -> Value {
    let reply = client.send(&node.url, message).await.unwrap();
    reply.into_result(&message.to_string()).unwrap()
}

#[tokio::test]
async fn an_empty_cursor_a_whole_id_and_large_extensions_are_understood() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let extensions = json!({ "com.example/a": { "b": "x".repeat(20_000) } });
    let large = initialize(&json!({ "capabilities": { "extensions": extensions } }));
    let (status, message) = answer(post(&a, "/mcp", large.to_string())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(message["result"]["protocolVersion"], "2025-06-18");

    let client = connect(&a).await;
    for list in [
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ] {
        let message = json!({ "jsonrpc": "2.0", "id": 7.0, "method": list,
            "params": { "cursor": "" } });
        let sent = post(&a, "/mcp", message.to_string()).headers(client.headers());
        let (status, message) = answer(sent).await;
        assert_eq!((status, &message["id"]), (StatusCode::OK, &json!(7)));
        let whole = client.call(&a.url, list, json!({})).await.unwrap();
        assert_eq!(message["result"], whole, "{list}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_the_first_message_is_skipped_everywhere() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let body = format!("{MARK}{}", initialize(&json!({})));
    let (status, message) = answer(post(&a, "/mcp", body)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(message["result"]["protocolVersion"], "2025-06-18");

    let lines = format!("{MARK}{}\r\n", initialize(&json!({})));
    let request = reqwest::Client::new().post(a.at("/mcp/stream"));
    let request = request
        .header("content-type", "application/x-ndjson")
        .body(lines);
    let (status, message) = answer(request).await;
    assert_eq!(
        (status, &message["id"]),
        (StatusCode::OK, &json!(1)),
        "{message}"
    );

    let mut stream = sse::open(&a.at("/sse"), HeaderMap::new()).await.unwrap();
    let endpoint = stream.next_event(SOON).await.unwrap().data.unwrap();
    let body = format!("{MARK}{}", initialize(&json!({})));
    assert_eq!(
        answer(post(&a, &endpoint, body)).await.0,
        StatusCode::ACCEPTED
    );
    let message = stream.next_event(SOON).await.unwrap().json().unwrap();
    assert_eq!(message["id"], 1);

    let client = connect(&a).await;
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/test" });
    let body = json!({ "sessionId": client.session_id(), "message": note });
    let sent = answer(post(&a, "/mcp/sse/send", format!("{MARK}{body}"))).await;
    assert_eq!(sent.0, StatusCode::OK);
    let (_world, node, tokens) = principals::world().await;
    let operator = "token-of-an-operator-who-may-send-to-all";
    tokens.write(&[(operator, "ops", "permissions = [\"admin\"]")]);
    let body = json!({ "message": note, "filter": null });
    let broadcast = || {
        let request = post(&node, "/mcp/sse/broadcast", format!("{MARK}{body}"));
        answer(request.bearer_auth(operator))
    };
    until("the new token is known", || async {
        broadcast().await.0 != StatusCode::UNAUTHORIZED
    })
    .await;
    let sent = broadcast().await;
    assert_eq!((sent.0, &sent.1["sentCount"]), (StatusCode::OK, &json!(0)));
}

/// The messages in which every optional object is null, with a check that they are answered.
fn with_nulls() -> Vec<(&'static str, Value)> {
    vec![
        ("ping", Value::Null),
        ("tools/list", Value::Null),
        ("tools/list", json!({ "cursor": null, "_meta": null })),
        ("prompts/list", Value::Null),
        ("resources/list", Value::Null),
        ("resources/templates/list", Value::Null),
        (
            "tools/call",
            json!({ "name": "get_recent_events", "arguments": null, "_meta": null }),
        ),
        (
            "tools/call",
            json!({ "name": "get_recent_events", "arguments": [],
                "_meta": { "progressToken": null } }),
        ),
        (
            "tools/call",
            json!({ "name": "get_recent_events",
                "arguments": { "filters": null, "limit": null } }),
        ),
        (
            "tools/call",
            json!({ "name": "replay_events", "arguments": { "cursor": null, "from": null,
                "to": null, "filters": [{ "owner": null, "tags": null }], "limit": "10",
                "waitSeconds": null } }),
        ),
        (
            "tools/call",
            json!({ "name": "manage_events", "arguments": { "action": "list", "all": null,
                "subscriptionId": null } }),
        ),
        (
            "prompts/get",
            json!({ "name": "test_simple_prompt", "arguments": null }),
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "triage_event" },
                "argument": { "name": "owner", "value": "" }, "context": null }),
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "triage_event" },
                "argument": { "name": "repo", "value": "" },
                "context": { "arguments": null } }),
        ),
    ]
}

#[tokio::test]
async fn null_in_the_place_of_an_optional_object_is_absent_in_every_revision() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for version in HANDSHAKE {
        let client = McpClient::initialize(&a.url, version).await.unwrap();
        let initialized = json!({ "jsonrpc": "2.0", "id": null,
            "method": "notifications/initialized", "params": null });
        assert_eq!(client.send(&a.url, &initialized).await.unwrap().status, 202);
        for (method, params) in with_nulls() {
            let message = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params,
                "result": null, "error": null });
            let result = result(&client, &a, &message).await;
            assert_ne!(result["isError"], true, "{version}: {message}: {result}");
        }
    }
}

#[tokio::test]
async fn null_in_the_place_of_an_optional_object_is_absent_in_the_stateless_era() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for (method, mut params) in with_nulls() {
        if method == "ping" {
            continue;
        }
        if params.is_null() {
            params = json!({});
        }
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "roots": null },
            "io.modelcontextprotocol/clientInfo": null,
            "io.modelcontextprotocol/logLevel": null,
            "progressToken": null,
            "traceparent": null,
        });
        if ["tools/call", "prompts/get"].contains(&method) {
            params["inputResponses"] = Value::Null;
            params["requestState"] = Value::Null;
        }
        let message = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        let mut request = post(&a, "/mcp", message.to_string())
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            request = request.header("mcp-name", name);
        }
        let (status, answer) = answer(request).await;
        assert_eq!(status, StatusCode::OK, "{message}: {answer}");
        assert!(answer["result"].is_object(), "{message}: {answer}");
        assert_ne!(answer["result"]["isError"], true, "{message}: {answer}");
    }
    let nothing =
        json!({ "toolsListChanged": null, "resourceSubscriptions": null, "taskIds": null });
    let empty = testkit::mcp_client::ModernClient::new()
        .listen(&a.url, nothing)
        .await;
    assert!(empty.is_ok(), "nothing is asked for, and nothing refused");
}

#[tokio::test]
async fn a_session_opens_whatever_the_client_says_of_itself() {
    let (world, a, _b) = EdgeWorld::two().await;
    let icon = format!("data:image/png;base64,{}", "A".repeat(500_000));
    for more in [
        json!({ "capabilities": null, "clientInfo": null, "_meta": null }),
        json!({ "capabilities": [], "clientInfo": { "name": "php", "version": "1" } }),
        json!({ "capabilities": { "roots": null, "experimental": { "a": "x".repeat(20_000) } } }),
        json!({ "clientInfo": { "name": "cli", "version": "1", "icons": [{ "src": icon }],
            "description": "d".repeat(50_000) } }),
    ] {
        let request = post(&a, "/mcp", initialize(&more).to_string())
            .header("mcp-protocol-version", "2031-01-01");
        let (status, message) = answer(request).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            message["result"]["protocolVersion"], "2025-06-18",
            "{message}"
        );
    }
    let records = world.session_records().await;
    let named = records
        .iter()
        .find(|session| session.client_info["name"] == "cli");
    let kept = named.unwrap().client_info.to_string();
    assert!(
        kept.len() < 2000 && !kept.contains("icons"),
        "{} bytes",
        kept.len()
    );
}

#[tokio::test]
async fn times_and_numbers_are_read_in_the_notations_that_people_use() {
    let (world, a, _b) = EdgeWorld::two().await;
    let event = world.happens("cat").await;
    let http = reqwest::Client::new();
    for time in [
        "2020-01-01",
        "2020-01-01T00:00:00",
        "2020-01-01%2000:00",
        "1577836800",
        "1577836800000",
        "2020-01-01T00:00:00+00:00",
        "2020-01-01T00:00:00+0000",
    ] {
        let (status, page) = answer(http.get(a.at(&format!("/events/replay/{time}")))).await;
        assert_eq!(
            (status, &page["count"]),
            (StatusCode::OK, &json!(1)),
            "{time}: {page}"
        );
        // An unescaped + arrives as a space.
        let to = format!("/events/replay/2019-01-01?to={time}&limit=");
        let (status, page) = answer(http.get(a.at(&to))).await;
        assert_eq!(
            (status, &page["count"]),
            (StatusCode::OK, &json!(0)),
            "{time}: {page}"
        );
        let url = a.at(&format!("/events/stream?lastEventId={time}"));
        let mut stream = sse::open(&url, HeaderMap::new()).await.unwrap();
        stream.next_event(SOON).await.unwrap();
        let next = stream.next_event(SOON).await.unwrap();
        assert_eq!(next.json().unwrap()["id"], event, "{time}");
    }
    let (status, _) = answer(http.get(a.at("/events/recent?limit=%2010&order=DESC"))).await;
    assert_eq!(status, StatusCode::OK);
    for bad in [
        "20200101",
        "2020",
        "yesterday",
        "2020-01-01T00:00:00ZZ",
        "123456789012345",
        "%ff",
    ] {
        let (status, problem) = answer(http.get(a.at(&format!("/events/replay/{bad}")))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(
            problem["detail"].as_str().unwrap().contains("RFC 3339"),
            "{problem}"
        );
    }
    let client = connect(&a).await;
    for arguments in [
        json!({ "limit": "10" }),
        json!({ "limit": 10.0 }),
        json!({ "from": "2020-01-01", "limit": " 5 ", "waitSeconds": "0" }),
        json!({ "from": "1577836800", "to": "" }),
    ] {
        let name = match arguments.get("from") {
            Some(_) => "replay_events",
            None => "get_recent_events",
        };
        let result = client.call_tool(&a.url, name, arguments).await.unwrap();
        assert_eq!(result["structuredContent"]["count"], 1, "{result}");
    }
}

#[tokio::test]
async fn a_uri_is_read_in_every_spelling_or_refused_with_the_forms_that_exist() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let read = async |uri: &str| {
        let message = json!({ "jsonrpc": "2.0", "id": 3, "method": "resources/read",
            "params": { "uri": uri } });
        answer(post(&a, "/mcp", message.to_string()).headers(client.headers())).await
    };
    for spelling in [
        "GITHUB://issues/octo/cat/7",
        "github://ISSUES/Octo/CAT/7/",
        "github://issues/octo/c%61t/07",
        "github://%69ssues/octo/cat/7",
    ] {
        let (status, message) = read(spelling).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            message["result"]["contents"][0].is_object(),
            "{spelling}: {message}"
        );
    }
    for (uri, fix) in [
        ("github://issues/octo/cat/8", "no event has brought it"),
        ("github://issues/octo/cat/7?x=1", "use github://events"),
        ("github://issues/octo/cat/7#c", "use github://events"),
        ("github://issues//octo/cat/7", "use github://events"),
        ("github://issues/octo/cat%2F7", "use github://events"),
        (
            "https://github.com/octo/cat/issues/7",
            "use github://events",
        ),
        ("", "use github://events"),
    ] {
        let (status, message) = read(uri).await;
        let error = &message["error"];
        assert_eq!(
            (status, &error["data"]["uri"]),
            (StatusCode::OK, &json!(uri))
        );
        assert!(
            error["message"].as_str().unwrap().contains(fix),
            "{uri}: {message}"
        );
    }
}

/// As forms and templates write what is absent.
#[tokio::test]
async fn an_empty_text_of_an_optional_argument_is_absent_everywhere() {
    let (world, a, _b) = EdgeWorld::two().await;
    world.happens("cat").await;
    let client = connect(&a).await;
    let filter = json!({ "owner": "", "repo": " ", "action": "", "number": "", "tags": "", "authors": "",
        "resourceId": "", "isPullRequest": "" });
    let filter = filter.as_object().unwrap();
    for (tool, own) in [
        (
            "get_recent_events",
            json!({ "limit": "", "from": "", "before": "", "order": "" }),
        ),
        (
            "replay_events",
            json!({ "cursor": "", "limit": "", "to": "" }),
        ),
    ] {
        let mut arguments = own.as_object().unwrap().clone();
        arguments.extend(filter.clone());
        let call = json!({ "name": tool, "arguments": arguments });
        let found = client.call(&a.url, "tools/call", call).await.unwrap();
        assert_eq!(found["structuredContent"]["count"], 1, "{tool}: {found}");
    }
    for query in [
        "owner=&repo=&tags=&number=&limit=&before=&from=",
        "authors=&isPullRequest=&order=",
    ] {
        let url = a.at(&format!("/events/recent?{query}"));
        let list: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        assert_eq!(
            list["events"].as_array().map(Vec::len),
            Some(1),
            "{query}: {list}"
        );
    }
    let body =
        json!({ "clientId": "", "expiresAt": "", "since": "", "filters": [{ "owner": "" }] });
    let (status, made) = answer(post(&a, "/events/subscribe", body.to_string())).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
}
