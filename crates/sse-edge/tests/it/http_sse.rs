//! HTTP+SSE of 2024-11-05: the stream on one edge, each POST on whichever edge the balancer takes.

use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use testkit::sse::{self, SseStream};

use super::world::*;

struct Client {
    stream: SseStream,
    endpoint: String,
    http: reqwest::Client,
}

impl Client {
    async fn open(node: &Node) -> Self {
        let mut stream = sse::open(&node.at("/sse"), Default::default())
            .await
            .unwrap();
        let first = stream.next_event(SOON).await.unwrap();
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        Self {
            stream,
            endpoint: first.data.unwrap(),
            http: reqwest::Client::new(),
        }
    }

    fn url(&self, node: &Node) -> Url {
        assert!(
            self.endpoint.contains("/messages?sessionId="),
            "{}",
            self.endpoint
        );
        node.at(&self.endpoint)
    }

    async fn post(&self, node: &Node, message: &Value) -> StatusCode {
        let request = self.http.post(self.url(node)).json(message);
        request.send().await.unwrap().status()
    }

    async fn next(&mut self) -> Value {
        self.stream.next_event(SOON).await.unwrap().json().unwrap()
    }

    /// Sends a request; its answer comes on the stream.
    async fn call(&mut self, node: &Node, id: u64, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        assert_eq!(self.post(node, &request).await, StatusCode::ACCEPTED);
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    }

    async fn connected(stream: &Node, posts: &Node) -> Self {
        let mut client = Self::open(stream).await;
        let params = json!({
            "protocolVersion": "2024-11-05", "capabilities": {},
            "clientInfo": { "name": "old", "version": "1" },
        });
        let hello = client.call(posts, 1, "initialize", params).await;
        assert_eq!(hello["protocolVersion"], "2024-11-05");
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(client.post(posts, &ready).await, StatusCode::ACCEPTED);
        client
    }
}

#[tokio::test]
async fn every_pair_of_edges_serves_the_stream_and_the_posts() {
    let (world, a, b) = World::two().await;
    for (stream, posts) in [(&a, &a), (&a, &b), (&b, &a)] {
        let mut client = Client::connected(stream, posts).await;
        let tools = client.call(posts, 2, "tools/list", json!({})).await;
        assert!(tools["tools"].as_array().unwrap().len() > 3);
        let arguments = json!({ "filters": [{ "repo": "cat" }] });
        let call = json!({ "name": "subscribe_to_events", "arguments": arguments });
        let subscribed = client.call(posts, 3, "tools/call", call).await;
        assert_ne!(subscribed["isError"], true, "{subscribed}");
        let cat = world.happens("cat").await;
        let event = client.next().await;
        assert_eq!(event["method"], "notifications/message", "{event}");
        assert_eq!(event["params"]["data"]["id"], cat);
    }
}

#[tokio::test]
async fn answers_come_in_the_order_of_their_requests_from_both_edges() {
    let (_world, a, b) = World::two().await;
    let mut client = Client::connected(&a, &b).await;
    for id in 10..40 {
        let node = if id % 2 == 0 { &a } else { &b };
        let answer = client.call(node, id, "ping", json!({})).await;
        assert_eq!(answer, json!({}));
    }
}

#[tokio::test]
async fn the_session_goes_with_its_stream() {
    let (_world, a, b) = World::two().await;
    let client = Client::connected(&a, &b).await;
    let (url, http) = (client.url(&b), client.http.clone());
    drop(client);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    until("the session is gone", || async {
        let answer = http.post(url.clone()).json(&ping).send().await.unwrap();
        answer.status() == StatusCode::NOT_FOUND
    })
    .await;
}

#[tokio::test]
async fn what_is_no_session_of_this_transport_is_not_found() {
    let (_world, a, _b) = World::two().await;
    let other = connect(&a).await;
    let streamable = other.session_id().unwrap();
    let http = reqwest::Client::new();
    for id in ["never-was", "", "a.*.b", streamable] {
        let url = a.at(&format!("/messages?sessionId={id}"));
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        let answer = http.post(url).json(&ping).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["error"]["code"].is_i64(), "{body}");
    }
    let client = Client::connected(&a, &a).await;
    for (body, status) in [("{", 400), ("[]", 400), ("7", 400)] {
        let post = http
            .post(client.url(&a))
            .header("content-type", "application/json");
        let answer = post.body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{body}");
    }
}

#[tokio::test]
async fn the_drain_ends_the_stream_with_a_word() {
    let (_world, a, _b) = World::two().await;
    let mut client = Client::connected(&a, &a).await;
    a.life.shut_down();
    let frames = ended(&mut client.stream).await;
    assert!(frames.is_empty(), "{frames:?}");
}

#[tokio::test]
async fn under_a_base_path_everything_is_there_and_nothing_elsewhere() {
    let world = World::new().await;
    let config = sse_edge::Config {
        base_path: "/fw".to_owned(),
        ..sse_edge::Config::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let mut stream = sse::open(&node.at("/fw/sse"), Default::default())
        .await
        .unwrap();
    let first = stream.next_event(SOON).await.unwrap();
    let endpoint = first.data.unwrap();
    assert!(
        endpoint.starts_with("/fw/messages?sessionId="),
        "{endpoint}"
    );
    let http = reqwest::Client::new();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let status = async |path: &str| {
        let request = http.post(node.at(path)).json(&ping);
        request.send().await.unwrap().status()
    };
    assert_eq!(status(&endpoint).await, StatusCode::ACCEPTED);
    assert_eq!(
        status("/fw/mcp").await,
        StatusCode::BAD_REQUEST,
        "no session"
    );
    assert_eq!(status("/mcp").await, StatusCode::NOT_FOUND);
}
