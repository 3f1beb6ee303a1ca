//! The client against a server that implements the minimum of the specification.

use std::time::Duration;

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use reqwest::Url;
use serde_json::{Value, json};

use super::*;

const SOON: Duration = Duration::from_secs(5);

fn result(message: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
}

fn stream(frames: Vec<(&'static str, Value)>) -> Response {
    let text: String = frames
        .into_iter()
        .map(|(id, data)| match data {
            Value::Null => format!("id: {id}\ndata:\n\n"),
            data => format!("id: {id}\ndata: {data}\n\n"),
        })
        .collect();
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

fn has(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|v| v == value)
}

async fn on_post(headers: HeaderMap, Json(message): Json<Value>) -> Response {
    let modern = message["params"]["_meta"].is_object();
    let method = message["method"].as_str().unwrap_or_default();
    if modern {
        assert!(has(&headers, "mcp-protocol-version", MODERN_VERSION));
        assert!(has(&headers, "mcp-method", method));
    } else if method != "initialize" {
        assert!(has(&headers, "mcp-session-id", "s-1"), "{headers:?}");
        assert!(has(&headers, "mcp-protocol-version", HANDSHAKE_VERSION));
    }
    match method {
        "initialize" => {
            let answer = result(&message, &json!({"protocolVersion": HANDSHAKE_VERSION}));
            ([("mcp-session-id", "s-1")], Json(answer)).into_response()
        }
        "notifications/initialized" => StatusCode::ACCEPTED.into_response(),
        "tools/list" => Json(result(&message, &json!({"tools": [{"name": "t"}]}))).into_response(),
        "tools/call" => {
            assert!(!modern || has(&headers, "mcp-name", "t"));
            let progress =
                json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
            let answer = result(&message, &json!({"content": []}));
            stream(vec![("1", Value::Null), ("2", progress), ("3", answer)])
        }
        "subscriptions/listen" => {
            let meta = json!({"io.modelcontextprotocol/subscriptionId": message["id"]});
            let asked = &message["params"]["notifications"];
            let ack = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": {"_meta": meta, "notifications": asked}});
            let update = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                "params": {"_meta": meta, "uri": "github://events"}});
            let end = result(&message, &json!({"resultType": "complete", "_meta": meta}));
            stream(vec![("", ack), ("", update), ("", end)])
        }
        _ => {
            let error = json!({"code": -32601, "message": "no such method"});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
            (StatusCode::NOT_FOUND, Json(answer)).into_response()
        }
    }
}

async fn on_get(headers: HeaderMap) -> Response {
    assert!(has(&headers, "mcp-session-id", "s-1"));
    let after = headers
        .get("last-event-id")
        .map(|v| v.to_str().unwrap_or_default().to_owned());
    let message =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"after": after}});
    stream(vec![("p", Value::Null), ("e9", message)])
}

async fn server() -> Url {
    let app = Router::new().route(
        MCP_PATH,
        post(on_post)
            .get(on_get)
            .delete(|| async { StatusCode::NO_CONTENT }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_session_hops_between_edges_and_resumes_its_stream() {
    let (first, second) = (server().await, server().await);
    let client = McpClient::connect(&first).await.unwrap();
    assert_eq!(
        (client.session_id(), client.version()),
        (Some("s-1"), HANDSHAKE_VERSION)
    );
    assert_eq!(client.list_tools(&second).await.unwrap()[0]["name"], "t");

    let reply = client
        .request(&first, "tools/call", json!({"name": "t"}))
        .await
        .unwrap();
    assert!(reply.streamed);
    assert_eq!(reply.before[0].method(), "notifications/progress");
    assert!(reply.into_result("tools/call").unwrap()["content"].is_array());

    let mut open = client.open_stream(&first, None).await.unwrap();
    let message = McpClient::next_message(&mut open, SOON).await.unwrap();
    assert_eq!(
        (message.id.as_deref(), &message.params()["after"]),
        (Some("e9"), &Value::Null)
    );
    let mut resumed = client.open_stream(&second, open.last_id()).await.unwrap();
    let message = McpClient::next_message(&mut resumed, SOON).await.unwrap();
    assert_eq!(message.params()["after"], "e9");
    assert_eq!(client.end(&second).await.unwrap(), 204);
}

#[tokio::test]
async fn an_error_keeps_status_and_code() {
    let url = server().await;
    let client = McpClient::connect(&url).await.unwrap();
    let error = client.call(&url, "no/such", json!({})).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(404), Some(-32601)));
    let error = client.notify(&url, "no/such", json!({})).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(404), None));
}

#[tokio::test]
async fn a_modern_client_listens_and_sees_the_graceful_end() {
    let url = server().await;
    let client = ModernClient::new();
    assert_eq!(client.list_tools(&url).await.unwrap().len(), 1);
    assert!(client.call_tool(&url, "t", json!({})).await.unwrap()["content"].is_array());
    let filter = json!({"resourceSubscriptions": ["github://events"]});
    let mut stream = client.listen(&url, filter.clone()).await.unwrap();
    assert_eq!(stream.acknowledged_filter(), &filter);
    let update = stream.next(SOON).await.unwrap();
    assert!(stream.has_subscription_id(&update) && !stream.is_end(&update));
    assert_eq!(update.params()["uri"], "github://events");
    let end = stream.next(SOON).await.unwrap();
    assert!(stream.is_end(&end) && stream.has_subscription_id(&end));
}
