//! Questions to the client of a session: asked on one edge, answered on any.

use model::{IdSource, RandomIds, SessionId, StreamId};
use reqwest::{
    StatusCode, Url,
    header::{HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use sse_edge::{EdgeConfig, RateLimits};
use testkit::sse::{self, SseStream};

use super::world::*;

const VERSIONS: [&str; 2] = ["2025-06-18", "2025-11-25"];
/// The id of the call that asks.
const CALL: u64 = 77;

/// A client with a session, whose calls are answered as streams and whose user can be asked.
struct Peer {
    http: reqwest::Client,
    headers: HeaderMap,
}

impl Peer {
    async fn connect(node: &Node, version: &'static str, capabilities: Value) -> Self {
        let mut peer = Self {
            http: reqwest::Client::new(),
            headers: HeaderMap::new(),
        };
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        peer.headers.insert("accept", accept);
        let params = json!({ "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" } });
        let answer = peer.post(node, &request(0, "initialize", &params)).await;
        let session = answer.headers()["mcp-session-id"].clone();
        peer.headers.insert("mcp-session-id", session);
        let version = HeaderValue::from_static(version);
        peer.headers.insert("mcp-protocol-version", version);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        peer.post(node, &initialized).await;
        peer
    }

    /// A peer with two subscriptions, whose user can be asked.
    async fn subscribed(node: &Node, version: &'static str) -> Self {
        let peer = Self::connect(node, version, json!({ "elicitation": {} })).await;
        for repo in ["cat", "dog"] {
            let arguments = json!({ "filters": [{ "repo": repo }] });
            peer.tool(node, "subscribe_to_events", arguments).await;
        }
        peer
    }

    async fn post(&self, node: &Node, message: &Value) -> reqwest::Response {
        let request = self
            .http
            .post(node.at("/mcp"))
            .headers(self.headers.clone());
        request.json(message).send().await.unwrap()
    }

    /// Calls a tool that answers at once.
    async fn tool(&self, node: &Node, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        let answer = self.post(node, &request(1, "tools/call", &params)).await;
        let answer: Value = answer.json().await.unwrap();
        answer["result"]["structuredContent"].clone()
    }

    /// Starts to end all subscriptions.
    async fn unsubscribe_all(&self, node: &Node) -> reqwest::Response {
        let arguments = json!({ "action": "unsubscribe", "all": true });
        let params = json!({ "name": "manage_events", "arguments": arguments });
        self.post(node, &request(CALL, "tools/call", &params)).await
    }

    async fn subscriptions(&self, node: &Node) -> usize {
        let listed = self
            .tool(node, "manage_events", json!({ "action": "list" }))
            .await;
        listed["subscriptions"].as_array().unwrap().len()
    }

    /// Answers a question.
    async fn answer(&self, node: &Node, question: &Value, result: Value) {
        let message = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
        let answer = self.post(node, &message).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn agree() -> Value {
    json!({ "action": "accept", "content": { "unsubscribe": true } })
}

async fn stream(answer: reqwest::Response) -> SseStream {
    SseStream::from_response(answer).await.unwrap()
}

/// The question on the stream of a call.
async fn question(stream: &mut SseStream) -> Value {
    let question = next(stream).await;
    assert_eq!(question.method(), "elicitation/create", "{question:?}");
    question.message
}

/// The result on the stream of a call, which ends with it.
async fn result(stream: &mut SseStream) -> Value {
    let answer = next(stream).await;
    assert_eq!(answer.message["id"], CALL, "{answer:?}");
    assert!(ended(stream).await.is_empty());
    answer.message["result"].clone()
}

#[tokio::test]
async fn a_question_asked_on_one_edge_is_answered_on_the_other() {
    let (_world, a, b) = EdgeWorld::two().await;
    for version in VERSIONS {
        let peer = Peer::subscribed(&b, version).await;
        let mut stream = stream(peer.unsubscribe_all(&a).await).await;
        let asked = question(&mut stream).await;
        let params = &asked["params"];
        let modes = version == "2025-11-25";
        assert_eq!(params["mode"] == "form", modes, "{params}");
        assert!(
            params["message"].as_str().unwrap().contains("all 2"),
            "{params}"
        );
        let schema = &params["requestedSchema"];
        assert_eq!(schema["properties"]["unsubscribe"]["type"], "boolean");
        assert_eq!(peer.subscriptions(&b).await, 2);
        peer.answer(&b, &asked, agree()).await;
        let result = result(&mut stream).await;
        assert_eq!(
            result["structuredContent"]["unsubscribedCount"], 2,
            "{result}"
        );
        assert_eq!(peer.subscriptions(&a).await, 0);
        // Again: there is nothing left to ask about.
        let again = peer.unsubscribe_all(&b).await;
        let again: Value = again.json().await.unwrap();
        assert_eq!(again["result"]["structuredContent"]["unsubscribedCount"], 0);
    }
}

#[tokio::test]
async fn a_user_who_does_not_agree_keeps_every_subscription() {
    let (_world, a, b) = EdgeWorld::two().await;
    for version in VERSIONS {
        let peer = Peer::subscribed(&a, version).await;
        for answer in [
            json!({ "action": "decline" }),
            json!({ "action": "cancel" }),
            json!({ "action": "accept", "content": { "unsubscribe": false } }),
        ] {
            let mut stream = stream(peer.unsubscribe_all(&a).await).await;
            let asked = question(&mut stream).await;
            peer.answer(&b, &asked, answer).await;
            let result = result(&mut stream).await;
            assert_eq!(result["isError"], true, "{result}");
            assert_eq!(peer.subscriptions(&b).await, 2);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_question_is_no_consent() {
    let (_world, a, b) = EdgeWorld::two().await;
    let peer = Peer::subscribed(&a, "2025-11-25").await;
    for wrong in [
        json!({ "result": { "action": "accept", "content": { "unsubscribe": "yes" } } }),
        json!({ "result": { "action": "accept" } }),
        json!({ "result": {} }),
        json!({ "error": { "code": -1, "message": "the user has gone" } }),
    ] {
        let mut stream = stream(peer.unsubscribe_all(&a).await).await;
        let mut answer = wrong.clone();
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = question(&mut stream).await["id"].clone();
        let accepted = peer.post(&b, &answer).await;
        assert_eq!(accepted.status(), StatusCode::ACCEPTED);
        let refused = next(&mut stream).await.message;
        assert!(refused["error"]["code"].is_i64(), "{wrong}: {refused}");
        assert_eq!(peer.subscriptions(&b).await, 2);
    }
}

#[tokio::test]
async fn somebody_elses_answer_is_none() {
    let (_world, a, b) = EdgeWorld::two().await;
    let (peer, other) = (
        Peer::subscribed(&a, "2025-11-25").await,
        Peer::subscribed(&b, "2025-11-25").await,
    );
    let mut stream = stream(peer.unsubscribe_all(&a).await).await;
    let asked = question(&mut stream).await;
    let message = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": agree() });
    let answer = other.post(&b, &message).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    peer.answer(&b, &asked, json!({ "action": "decline" }))
        .await;
    assert_eq!(result(&mut stream).await["isError"], true);
    assert_eq!(peer.subscriptions(&a).await, 2);
}

/// The number of answers in the mailbox of the peer's session to a question with this id.
async fn kept(world: &EdgeWorld, peer: &Peer, id: &str) -> usize {
    let session = peer.headers["mcp-session-id"].to_str().unwrap();
    let (session, stream) = (SessionId::new(session).unwrap(), StreamId::new(id).unwrap());
    world.kept(&session, &stream).await
}

/// The number of answers that an edge has dropped for this reason.
fn dropped(node: &Node, reason: &str) -> u64 {
    let name = format!("forgewire_edge_dropped_answers_total{{reason=\"{reason}\"}}");
    node.metric(&name)
}

#[tokio::test]
async fn an_answer_to_a_question_that_was_never_asked_is_told_and_not_kept() {
    let (world, a, _b) = EdgeWorld::two().await;
    let megabyte = json!({ "content": "x".repeat(1 << 20) });
    let mark = "A".repeat(22);
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let peer = Peer::connect(&a, version, json!({ "elicitation": {} })).await;
        for n in 0..20 {
            let id = match n % 3 {
                0 => format!("ask-{}-{mark}", RandomIds.uuid()),
                1 => format!("ask-{n}"),
                _ => format!("ask-{}", "z".repeat(200)),
            };
            let message = json!({ "jsonrpc": "2.0", "id": id, "result": megabyte });
            let answer = peer.post(&a, &message).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{version} {id}");
            let body: Value = answer.json().await.unwrap();
            let text = body["error"]["message"].as_str().unwrap();
            assert!(text.contains("asked no such question"), "{text}");
            assert_eq!(kept(&world, &peer, &id).await, 0);
        }
        // What cannot be taken for an answer of ours is ignored, as ever.
        let message = json!({ "jsonrpc": "2.0", "id": 7, "result": {} });
        let answer = peer.post(&a, &message).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }
    assert_eq!(dropped(&a, "unknown"), 63);
}

#[tokio::test]
async fn a_question_has_one_answer_of_a_bounded_size_on_all_edges_together() {
    let (world, a, b) = EdgeWorld::two().await;
    let peer = Peer::subscribed(&a, "2025-11-25").await;
    let mut stream = stream(peer.unsubscribe_all(&a).await).await;
    let asked = question(&mut stream).await;
    let id = asked["id"].as_str().unwrap();
    let huge = json!({ "action": "accept", "content": { "x": "x".repeat(1 << 20) } });
    let message = json!({ "jsonrpc": "2.0", "id": id, "result": huge });
    let answer = peer.post(&b, &message).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let body: Value = answer.json().await.unwrap();
    let text = body["error"]["message"].as_str().unwrap();
    assert!(text.contains("up to 1048576 bytes"), "{text}");
    assert_eq!(dropped(&b, "too_large"), 1);
    // A client may send an answer again: it is not an error, and it is not kept.
    let decline = json!({ "action": "decline" });
    peer.answer(&b, &asked, decline).await;
    for node in [&a, &b, &a] {
        peer.answer(node, &asked, agree()).await;
    }
    assert!(kept(&world, &peer, id).await <= 1);
    assert_eq!(dropped(&a, "repeated") + dropped(&b, "repeated"), 3);
    assert_eq!(result(&mut stream).await["isError"], true);
    assert_eq!(peer.subscriptions(&b).await, 2);
}

/// In a rollout an edge may get the answer to a question of an edge whose questions have no mark.
#[tokio::test]
async fn an_answer_to_a_question_of_an_earlier_version_is_kept_once() {
    let (world, a, b) = EdgeWorld::two().await;
    let peer = Peer::connect(&a, "2025-11-25", json!({ "elicitation": {} })).await;
    let id = format!("ask-{}", RandomIds.uuid());
    let asked = json!({ "id": id });
    for node in [&a, &b] {
        peer.answer(node, &asked, agree()).await;
    }
    assert_eq!(kept(&world, &peer, &id).await, 1);
    let huge = json!({ "x": "x".repeat(64 << 10) });
    let id = format!("ask-{}", RandomIds.uuid());
    let message = json!({ "jsonrpc": "2.0", "id": id, "result": huge });
    let answer = peer.post(&a, &message).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(kept(&world, &peer, &id).await, 0);
}

#[tokio::test]
async fn a_question_is_answered_while_the_keys_of_the_edges_are_rotated() {
    let world = EdgeWorld::new().await;
    let keys = ["a".repeat(40), "b".repeat(40)];
    let node = async |order: [usize; 2]| {
        let folder = tempfile::tempdir().unwrap();
        let files = order.map(|key| {
            let path = folder.path().join(key.to_string());
            std::fs::write(&path, &keys[key]).unwrap();
            path
        });
        let config = EdgeConfig {
            state_key_files: files.to_vec(),
            ..EdgeConfig::default()
        };
        world.node_with(&config, world.bus.clone()).await
    };
    let (before, after) = (node([0, 1]).await, node([1, 0]).await);
    for (asks, takes) in [(&before, &after), (&after, &before)] {
        let peer = Peer::subscribed(asks, "2025-11-25").await;
        let mut stream = stream(peer.unsubscribe_all(asks).await).await;
        let asked = question(&mut stream).await;
        peer.answer(takes, &asked, agree()).await;
        let result = result(&mut stream).await;
        assert_eq!(result["structuredContent"]["unsubscribedCount"], 2);
    }
}

#[tokio::test]
async fn who_cannot_be_asked_is_obeyed() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for (version, capabilities) in [
        ("2025-11-25", json!({})),
        ("2025-11-25", json!({ "elicitation": { "url": {} } })),
        ("2025-03-26", json!({ "elicitation": {} })),
    ] {
        let peer = Peer::connect(&a, version, capabilities).await;
        peer.tool(&a, "subscribe_to_events", json!({})).await;
        let answer: Value = peer.unsubscribe_all(&a).await.json().await.unwrap();
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert_eq!(
            text, r#"{"success":true,"unsubscribedCount":1}"#,
            "{version}"
        );
    }
    // Without a stream the client cannot be asked.
    let mut peer = Peer::subscribed(&a, "2025-11-25").await;
    let json_alone = HeaderValue::from_static("application/json");
    peer.headers.insert("accept", json_alone);
    let answer: Value = peer.unsubscribe_all(&a).await.json().await.unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["unsubscribedCount"], 2,
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_breaks_off_gets_the_question_and_the_result_on_another_edge() {
    let (_world, a, b) = EdgeWorld::two().await;
    let peer = Peer::subscribed(&a, "2025-11-25").await;
    let mut first = stream(peer.unsubscribe_all(&a).await).await;
    let primed = first.next_event(SOON).await.unwrap();
    let asked = question(&mut first).await;
    drop(first);
    let url: Url = b.at("/mcp");
    let mut headers = peer.headers.clone();
    headers.insert("accept", HeaderValue::from_static("text/event-stream"));
    let mut second = sse::resume(&url, headers, &primed.id.unwrap())
        .await
        .unwrap();
    assert_eq!(question(&mut second).await, asked);
    peer.answer(&b, &asked, agree()).await;
    let result = result(&mut second).await;
    assert_eq!(
        result["structuredContent"]["unsubscribedCount"], 2,
        "{result}"
    );
}

#[tokio::test]
async fn a_cancelled_call_asks_no_more_and_changes_nothing() {
    let (_world, a, b) = EdgeWorld::two().await;
    let peer = Peer::subscribed(&a, "2025-11-25").await;
    let mut stream = stream(peer.unsubscribe_all(&a).await).await;
    let asked = question(&mut stream).await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": CALL, "reason": "never mind" } });
    peer.post(&b, &cancel).await;
    assert!(ended(&mut stream).await.is_empty());
    peer.answer(&b, &asked, agree()).await;
    assert_eq!(peer.subscriptions(&b).await, 2);
}

#[tokio::test]
async fn a_call_whose_client_cannot_come_back_does_not_wait_for_an_answer() {
    let world = EdgeWorld::new().await;
    let rates = RateLimits {
        waiting_calls: 1,
        ..RateLimits::default()
    };
    let config = EdgeConfig {
        rates,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let peer = Peer::subscribed(&node, "2025-06-18").await;
    let list = json!({ "action": "list" });
    let mut stream = stream(peer.unsubscribe_all(&node).await).await;
    question(&mut stream).await;
    let refused = peer.tool(&node, "manage_events", list.clone()).await;
    assert!(
        refused.is_null(),
        "the call that asks has the only place: {refused}"
    );
    drop(stream);
    until("the call has ended", || async {
        peer.tool(&node, "manage_events", list.clone()).await["subscriptions"].is_array()
    })
    .await;
    assert_eq!(peer.subscriptions(&node).await, 2);
}

/// The tool that sends its user to a page is a fixture of the conformance suite.
#[tokio::test]
async fn a_user_is_sent_to_a_page_and_the_client_hears_when_that_is_done() {
    let (_world, a, b) = EdgeWorld::two().await;
    let params = json!({ "name": "test_elicitation_url", "arguments": {} });
    let call = request(CALL, "tools/call", &params);
    let capable = json!({ "elicitation": { "form": {}, "url": {} } });
    let peer = Peer::connect(&a, "2025-11-25", capable).await;
    let mut answers = stream(peer.post(&a, &call).await).await;
    let asked = question(&mut answers).await;
    let params = &asked["params"];
    assert_eq!(
        (&params["mode"], &params["url"]),
        (&json!("url"), &json!("https://example.org/agree"))
    );
    peer.answer(&b, &asked, json!({ "action": "accept" })).await;
    let done = next(&mut answers).await;
    assert_eq!(done.method(), "notifications/elicitation/complete");
    assert_eq!(done.params()["elicitationId"], params["elicitationId"]);
    let result = result(&mut answers).await;
    assert!(
        result["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("accept"),
        "{result}"
    );
    // A client that supports only forms is not asked, and gets the reason.
    let peer = Peer::connect(&a, "2025-11-25", json!({ "elicitation": {} })).await;
    let refused: Value = peer.post(&a, &call).await.json().await.unwrap();
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
}
