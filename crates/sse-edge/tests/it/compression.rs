//! JSON answers are compressed for clients that accept it, and streams never.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;

use super::world::*;

async fn get(node: &Node, path: &str, accepts: Option<&str>) -> Response {
    let request = reqwest::Client::new().get(node.at(path));
    let request = match accepts {
        Some(accepts) => request.header("accept-encoding", accepts),
        None => request,
    };
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response
}

fn encoding(headers: &HeaderMap) -> Option<&str> {
    Some(headers.get("content-encoding")?.to_str().unwrap())
}

fn varies(headers: &HeaderMap) -> bool {
    let mut vary = headers.get_all("vary").iter();
    vary.any(|value| value == "accept-encoding")
}

/// The JSON of a compressed answer.
async fn inflated(response: Response) -> Value {
    assert_eq!(encoding(response.headers()), Some("gzip"));
    assert!(varies(response.headers()));
    let bytes = response.bytes().await.unwrap();
    let mut text = Vec::new();
    GzDecoder::new(&*bytes).read_to_end(&mut text).unwrap();
    assert!(bytes.len() < text.len());
    serde_json::from_slice(&text).unwrap()
}

#[tokio::test]
async fn a_page_of_events_is_the_same_compressed_and_as_it_is() {
    let (world, a, _b) = EdgeWorld::two().await;
    for _ in 0..30 {
        world.happens("cat").await;
    }
    let plain = get(&a, "/events/recent", None).await;
    assert_eq!(encoding(plain.headers()), None);
    assert!(varies(plain.headers()), "a cache has to keep both");
    let length = plain.content_length().unwrap();
    let plain: Value = plain.json().await.unwrap();
    let compressed = get(&a, "/events/recent", Some("br, gzip;q=0.8")).await;
    assert!(compressed.content_length().unwrap() < length / 2);
    assert_eq!(inflated(compressed).await["events"], plain["events"]);
    let refused = get(&a, "/events/recent", Some("gzip;q=0")).await;
    assert_eq!(encoding(refused.headers()), None);
    let small = get(&a, "/events/recent?limit=1&repo=none", Some("gzip")).await;
    assert_eq!(
        encoding(small.headers()),
        None,
        "a small answer stays as it is"
    );
    let document = get(&a, "/openapi.json", None).await;
    let document: Value = document.json().await.unwrap();
    let compressed = get(&a, "/openapi.json", Some("gzip")).await;
    assert_eq!(inflated(compressed).await, document);
}

#[tokio::test]
async fn an_answer_of_mcp_is_compressed_and_streams_are_not() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let http = reqwest::Client::new();
    let post = async |accept: &str, body: Value| {
        let request = http
            .post(a.at("/mcp"))
            .header("accept", accept)
            .header("accept-encoding", "gzip")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/list");
        request.json(&body).send().await.unwrap()
    };
    let meta = testkit::mcp_client::ModernClient::meta();
    let list = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta },
    });
    let both = "application/json, text/event-stream";
    let answer = inflated(post(both, list.clone()).await).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    let stream = post("text/event-stream", list).await;
    assert_eq!(encoding(stream.headers()), None);
    for path in ["/events/stream", "/sse"] {
        let request = http.get(a.at(path)).header("accept-encoding", "gzip");
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(
            response.headers()["cache-control"],
            "no-cache, no-transform"
        );
        assert_eq!(encoding(response.headers()), None, "{path}");
    }
}

#[tokio::test]
async fn an_operator_can_have_all_answers_as_they_are() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        compress_answers: false,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    for _ in 0..30 {
        world.happens("cat").await;
    }
    let response = get(&node, "/events/recent", Some("gzip")).await;
    assert_eq!(encoding(response.headers()), None);
    assert!(!varies(response.headers()));
}
