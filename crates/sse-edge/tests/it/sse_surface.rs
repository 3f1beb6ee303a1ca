//! `/mcp/sse`: named events with one JSON object each, methods that are posted to any edge, resumption, and who may
//! speak for a connection.

mod broadcast;
mod posted;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use access::Authenticator;
use async_trait::async_trait;
use model::{SystemClock, TraceContext};
use ports::{Bus, BusError, BusMessage, BusSubscription, Topic};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};

use super::{
    principals::{self, SEES_ALL, SEES_CATS, Tokens},
    world::*,
};

const OPERATES: &str = "token-of-an-operator-of-the-whole-edge--";
const READS: &str = "token-of-somebody-who-only-reads-here---";

/// A bus to which an edge that was killed publishes nothing more.
#[derive(Debug)]
struct MuteBus {
    bus: Arc<dyn Bus>,
    is_mute: AtomicBool,
}

#[async_trait]
impl Bus for MuteBus {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        if self.is_mute.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.bus.publish(topic, message, trace).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        self.bus.subscribe(topic).await
    }

    async fn check(&self) -> Result<(), BusError> {
        self.bus.check().await
    }
}

/// A connection, as its client sees it.
struct Connection {
    stream: SseStream,
    id: String,
}

fn bearer(token: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    headers
}

/// The name and the data of the next event.
async fn named(stream: &mut SseStream) -> (String, Value) {
    loop {
        let frame = stream.next_event(SOON).await.unwrap();
        if let Some(data) = &frame.data {
            let data: Value = serde_json::from_str(data).unwrap();
            assert!(data.is_object(), "{frame:?}");
            let name = frame.event.clone().unwrap();
            assert_eq!(data["type"], name, "{frame:?}");
            assert!(data["timestamp"].is_string(), "{frame:?}");
            return (name, data);
        }
    }
}

impl Connection {
    async fn open(node: &Node, token: Option<&str>) -> Self {
        let stream = sse::open(&node.at("/mcp/sse"), bearer(token))
            .await
            .unwrap();
        Self::begin(stream).await.0
    }

    /// After the two first events; whether it continues an earlier one.
    async fn begin(mut stream: SseStream) -> (Self, bool) {
        let (name, status) = named(&mut stream).await;
        assert_eq!(
            (name.as_str(), &status["status"]),
            ("connection-status", &json!("connected"))
        );
        assert!(status["serverTime"].is_string(), "{status}");
        let id = status["connectionId"].as_str().unwrap().to_owned();
        let (name, welcome) = named(&mut stream).await;
        assert_eq!(name, "mcp-notification");
        assert_eq!(welcome["result"]["connectionId"], id, "{welcome}");
        assert!(
            welcome["result"]["serverInfo"]["name"].is_string(),
            "{welcome}"
        );
        assert!(
            welcome["result"]["capabilities"]["tools"].is_object(),
            "{welcome}"
        );
        let is_resumed = status["resumed"] == true;
        (Self { stream, id }, is_resumed)
    }

    async fn send(&self, node: &Node, token: Option<&str>, message: Value) -> (StatusCode, Value) {
        send(node, token, &self.id, message).await
    }
}

async fn send(node: &Node, token: Option<&str>, id: &str, message: Value) -> (StatusCode, Value) {
    let body = json!({ "connectionId": id, "message": message });
    let request = reqwest::Client::new().post(node.at("/mcp/sse/send"));
    let answer = request
        .headers(bearer(token))
        .json(&body)
        .send()
        .await
        .unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn post(node: &Node, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
    let request = reqwest::Client::new().post(node.at(path));
    let answer = request.headers(bearer(Some(token))).json(&body);
    let answer = answer.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn get(node: &Node, path: &str, token: &str) -> (StatusCode, Value) {
    let request = reqwest::Client::new().get(node.at(path));
    let answer = request.headers(bearer(Some(token))).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Two edges with the same tokens.
async fn two_with_tokens() -> (EdgeWorld, Node, Node, Tokens) {
    two_configured(&EdgeConfig::default()).await
}

async fn two_configured(config: &EdgeConfig) -> (EdgeWorld, Node, Node, Tokens) {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    tokens.write(&[
        (
            OPERATES,
            "ops",
            "permissions = [\"read\", \"send\", \"admin\"]",
        ),
        (READS, "reader", "permissions = [\"read\"]"),
        (SEES_ALL, "all", "permissions = [\"read\", \"send\"]"),
        (
            SEES_CATS,
            "all",
            "permissions = [\"read\", \"send\"]\nrepositories = [\"octo/cat\"]",
        ),
    ]);
    let auth = || Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let a = world.node_for(config, world.bus.clone(), auth()).await;
    let b = world.node_for(config, world.bus.clone(), auth()).await;
    (world, a, b, tokens)
}

#[tokio::test]
async fn methods_run_on_any_edge_and_are_answered_on_the_stream_by_name_and_id() {
    let (_world, a, b) = EdgeWorld::two().await;
    let mut connection = Connection::open(&a, None).await;
    let recent = json!({ "name": "get_recent_events", "arguments": {} });
    let unknown = json!({ "name": "no_such_tool", "arguments": {} });
    for (node, message, event, method, id) in [
        (
            &a,
            json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }),
            "mcp-response",
            "tools/list",
            Some(json!(7)),
        ),
        (
            &b,
            json!({ "method": "tools/list" }),
            "mcp-response",
            "tools/list",
            None,
        ),
        (
            &b,
            json!({ "method": "ping", "requestId": "r" }),
            "mcp-response",
            "ping",
            Some(json!("r")),
        ),
        (
            &b,
            json!({ "id": "x", "method": "tools/call", "params": recent }),
            "tool-result",
            "get_recent_events",
            Some(json!("x")),
        ),
        (
            &a,
            json!({ "id": 8, "method": "tools/call", "params": unknown }),
            "mcp-error",
            "tools/call",
            Some(json!(8)),
        ),
        (
            &b,
            json!({ "id": 9, "method": "no/such" }),
            "mcp-error",
            "no/such",
            Some(json!(9)),
        ),
    ] {
        let (status, told) = connection.send(node, None, message.clone()).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        assert_eq!(
            (&told["success"], &told["sent"]),
            (&json!(true), &json!(true)),
            "{message}: {told}"
        );
        assert_eq!(told["error"] == true, event == "mcp-error", "{told}");
        let (name, data) = named(&mut connection.stream).await;
        assert_eq!(
            (name.as_str(), &data["method"]),
            (event, &json!(method)),
            "{data}"
        );
        assert_eq!(data["id"], data["requestId"]);
        assert_eq!(data["requestId"], told["requestId"]);
        match id {
            Some(id) => assert_eq!(data["id"], id),
            None => assert!(data["id"].is_string(), "{data}"),
        }
        match event {
            "mcp-error" => assert!(
                data["error"]["code"].is_i64() && data["error"]["message"].is_string(),
                "{data}"
            ),
            _ => assert!(data["result"].is_object(), "{data}"),
        }
        if method == "tools/list" {
            assert!(!data["result"]["tools"].as_array().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn what_was_missed_comes_on_the_other_edge_and_once() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut connection = Connection::open(&a, None).await;
    let subscribe = json!({ "name": "subscribe_to_events", "arguments": {} });
    let call = json!({ "id": 1, "method": "tools/call", "params": subscribe });
    connection.send(&b, None, call).await;
    assert_eq!(named(&mut connection.stream).await.0, "tool-result");
    let first = world.happens("cat").await;
    let seen = named(&mut connection.stream).await.1;
    assert_eq!(seen["params"]["data"]["id"], first, "{seen}");
    let last = connection.stream.last_id().unwrap().to_owned();
    let id = connection.id.clone();
    drop(connection);
    until("the stream has ended", || async {
        a.open_streams("connection") == 0
    })
    .await;
    let (status, _) = send(&b, None, &id, json!({ "id": 2, "method": "ping" })).await;
    assert_eq!(status, StatusCode::OK);
    let second = world.happens("cat").await;
    let resumed = sse::resume(&b.at("/mcp/sse"), HeaderMap::new(), &last)
        .await
        .unwrap();
    let (mut resumed, is_resumed) = Connection::begin(resumed).await;
    assert!(is_resumed && resumed.id == id);
    let mut seen = BTreeMap::new();
    for _ in 0..2 {
        let (name, data) = named(&mut resumed.stream).await;
        seen.insert(name, data);
    }
    assert_eq!(seen["mcp-response"]["id"], 2);
    assert_eq!(seen["mcp-notification"]["params"]["data"]["id"], second);
    quiet(&mut resumed.stream).await;
    // A later stream of the same connection takes over.
    let last = resumed.stream.last_id().unwrap().to_owned();
    let again = sse::resume(&a.at("/mcp/sse"), HeaderMap::new(), &last)
        .await
        .unwrap();
    let (again, is_resumed) = Connection::begin(again).await;
    assert!(is_resumed && again.id == id);
    let (name, farewell) = named(&mut resumed.stream).await;
    assert_eq!(
        (name.as_str(), &farewell["status"]),
        ("connection-status", &json!("disconnected"))
    );
}

#[tokio::test]
async fn a_connection_that_is_gone_is_another_one_with_a_notice() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for last in ["never-was:abc", "nonsense", ":"] {
        let opened = sse::resume(&a.at("/mcp/sse"), HeaderMap::new(), last)
            .await
            .unwrap();
        let (mut connection, is_resumed) = Connection::begin(opened).await;
        assert!(!is_resumed);
        let (name, notice) = named(&mut connection.stream).await;
        assert_eq!(
            (name.as_str(), &notice["params"]["data"]["type"]),
            ("mcp-notification", &json!("gap"))
        );
    }
}

#[tokio::test]
async fn a_connection_is_its_owners_and_an_operators_and_others_cannot_tell_it_from_none() {
    let (_world, a, b, _tokens) = two_with_tokens().await;
    let mut connection = Connection::open(&a, Some(SEES_ALL)).await;
    let ping = json!({ "id": 1, "method": "ping" });
    let direct = json!({ "type": "mcp-notification", "result": { "text": "hi" } });
    for (token, message, status) in [
        (SEES_ALL, &ping, StatusCode::OK),
        (OPERATES, &ping, StatusCode::OK),
        (SEES_ALL, &direct, StatusCode::OK),
        (OPERATES, &direct, StatusCode::OK),
    ] {
        let (answered, told) = connection.send(&b, Some(token), message.clone()).await;
        assert_eq!(answered, status, "{told}");
        let (name, data) = named(&mut connection.stream).await;
        match data["id"].is_null() {
            true => assert_eq!(
                (name.as_str(), &data["result"]["text"]),
                ("mcp-notification", &json!("hi"))
            ),
            false => assert_eq!(name, "mcp-response"),
        }
    }
    let foreign = connection.send(&b, Some(READS), ping.clone()).await;
    let unknown = send(
        &b,
        Some(READS),
        "00000000-0000-4000-8000-000000000000",
        ping.clone(),
    )
    .await;
    assert_eq!(foreign.0, StatusCode::NOT_FOUND);
    assert_eq!(foreign, unknown);
    // Nor is it another surface's.
    let session = connect_with(&a, SEES_ALL).await;
    assert_eq!(
        send(&a, Some(SEES_ALL), &session, ping.clone()).await.0,
        StatusCode::NOT_FOUND
    );
    // Who only reads runs methods, and writes nothing.
    let mut own = Connection::open(&a, Some(READS)).await;
    assert_eq!(own.send(&b, Some(READS), ping).await.0, StatusCode::OK);
    assert_eq!(named(&mut own.stream).await.0, "mcp-response");
    assert_eq!(
        own.send(&b, Some(READS), direct).await.0,
        StatusCode::FORBIDDEN
    );
    quiet(&mut connection.stream).await;
    for body in [
        json!({ "message": {} }),
        json!({ "connectionId": own.id, "sessionId": "x", "message": {} }),
        json!({ "connectionId": own.id }),
        json!({ "connectionId": own.id, "message": 7 }),
        json!({ "connectionId": own.id, "message": { "method": 7 } }),
    ] {
        let (status, problem) = post(&a, "/mcp/sse/send", READS, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        assert_eq!(problem["code"], "parameter-invalid");
    }
}

/// A session of `/mcp`.
async fn connect_with(node: &Node, token: &str) -> String {
    principals::session(node, token).await.0
}

#[tokio::test]
async fn a_token_that_sees_less_gets_nothing_of_what_waits_for_another() {
    let (world, a, b, _tokens) = two_with_tokens().await;
    world.happens("dog").await;
    let connection = Connection::open(&a, Some(SEES_ALL)).await;
    let last = connection.stream.last_id().unwrap().to_owned();
    let id = connection.id.clone();
    // Both tokens are of one principal.
    let recent = json!({ "name": "get_recent_events", "arguments": {} });
    let call = json!({ "id": 1, "method": "tools/call", "params": recent });
    drop(connection);
    send(&b, Some(SEES_ALL), &id, call.clone()).await;
    let opened = sse::resume(&b.at("/mcp/sse"), bearer(Some(SEES_CATS)), &last)
        .await
        .unwrap();
    let (mut narrow, is_resumed) = Connection::begin(opened).await;
    assert!(!is_resumed && narrow.id != id);
    assert_eq!(
        named(&mut narrow.stream).await.1["params"]["data"]["type"],
        "gap"
    );
    // What the wider token asks for on the narrower one's stream is withheld.
    narrow.send(&a, Some(SEES_ALL), call.clone()).await;
    let (name, data) = named(&mut narrow.stream).await;
    assert_eq!(
        (name.as_str(), &data["error"]["data"]["code"]),
        ("mcp-error", &json!("rights-changed")),
        "{data}"
    );
    narrow.send(&a, Some(SEES_CATS), call).await;
    let (name, data) = named(&mut narrow.stream).await;
    assert_eq!(name, "tool-result");
    assert!(!data.to_string().contains("dog"), "{data}");
}

#[tokio::test]
async fn a_token_in_the_query_is_taken_where_it_is_allowed_and_on_no_other_path() {
    let allowed = EdgeConfig {
        query_tokens: true,
        ..EdgeConfig::default()
    };
    let (_world, node, _b, _tokens) = two_configured(&allowed).await;
    let status = async |node: &Node, path: &str, headers: HeaderMap| {
        let request = reqwest::Client::new().get(node.at(path)).headers(headers);
        let request = request.header("accept", "text/event-stream");
        request.send().await.unwrap().status()
    };
    let with = |path: &str, token: &str| format!("{path}?token={token}");
    let none = HeaderMap::new;
    assert_eq!(
        status(&node, &with("/mcp/sse", READS), none()).await,
        StatusCode::OK
    );
    assert_eq!(
        status(&node, &with("/mcp/sse", "never-issued"), none()).await,
        StatusCode::UNAUTHORIZED
    );
    let twice = format!("/mcp/sse?token={READS}&token={READS}");
    assert_eq!(
        status(&node, &twice, none()).await,
        StatusCode::UNAUTHORIZED
    );
    // The header goes first.
    let wrong = bearer(Some("never-issued"));
    assert_eq!(
        status(&node, &with("/mcp/sse", READS), wrong).await,
        StatusCode::UNAUTHORIZED
    );
    for path in ["/events/stream", "/sse", "/mcp", "/mcp/sse/stats"] {
        assert_eq!(
            status(&node, &with(path, OPERATES), none()).await,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let (_world, node, _b, _tokens) = two_with_tokens().await;
    let refused = reqwest::get(node.at(&with("/mcp/sse", READS)))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let problem = refused.text().await.unwrap();
    assert!(
        problem.contains("edge.query_tokens") && !problem.contains(READS),
        "{problem}"
    );
}

#[tokio::test]
async fn a_heartbeat_by_name_comes_every_thirty_seconds_and_counts_the_own_connections() {
    // The clock of the streams is tokio's; a real minute would be too long for a test of this size.
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut first = Connection::open(&a, None).await;
    let _second = Connection::open(&a, None).await;
    let began = Instant::now();
    let frame = first
        .stream
        .next_event(std::time::Duration::from_secs(40))
        .await
        .unwrap();
    assert_eq!(frame.event.as_deref(), Some("heartbeat"), "{frame:?}");
    let data = frame.json().unwrap();
    assert_eq!(
        (&data["type"], &data["activeConnections"]),
        (&json!("heartbeat"), &json!(2))
    );
    assert!(began.elapsed().as_secs() <= 31, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_posted_message_without_a_method_is_put_on_the_stream_or_refused_with_the_reason() {
    let (_world, a, b, _tokens) = two_with_tokens().await;
    let mut connection = Connection::open(&a, Some(SEES_ALL)).await;
    let large = "x".repeat((1 << 20) + 1);
    for (message, words) in [
        (
            json!({ "type": "x", "pad": large }),
            "message: must be at most 1048576 bytes",
        ),
        (
            json!({ "id": 9, "result": {} }),
            "id: this server asked no such question",
        ),
        (
            json!({ "id": "x", "error": { "code": 1, "message": "no" } }),
            "id: this server asked no such question",
        ),
    ] {
        let (status, problem) = connection.send(&b, Some(SEES_ALL), message).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("parameter-invalid"))
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(words), "{detail}");
    }
    let dropped = "forgewire_edge_dropped_answers_total{reason=\"unknown\"}";
    assert_eq!(b.metric(dropped), 2);
    // In the form of this surface, which has a type, it is a message for the page.
    let message = json!({ "type": "mcp-response", "id": 7, "result": 1 });
    let (status, told) = connection.send(&b, Some(SEES_ALL), message).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let (name, data) = named(&mut connection.stream).await;
    assert_eq!(
        (name.as_str(), &data["id"], &data["result"]),
        ("mcp-response", &json!(7), &json!(1))
    );
    quiet(&mut connection.stream).await;
}

#[tokio::test]
async fn a_refused_parameter_is_told_which_ones_the_route_has() {
    let (_world, a, _b, _tokens) = two_with_tokens().await;
    for (path, known) in [
        ("/events/subscribe?clientId=k", "known: limit, cursor"),
        ("/events/subscribe?owner=o", "known: limit, cursor"),
        ("/mcp/sse?x=1", "known: lastEventId"),
    ] {
        let (status, problem) = get(&a, path, SEES_ALL).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.ends_with(known), "{path}: {detail}");
    }
}

#[tokio::test]
async fn statistics_are_the_sum_over_edges_and_name_the_edge_that_does_not_answer() {
    let (world, a, left, tokens) = two_with_tokens().await;
    drop(left);
    let mute = Arc::new(MuteBus {
        bus: world.bus.clone(),
        is_mute: AtomicBool::new(false),
    });
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let b = world
        .node_for(&EdgeConfig::default(), mute.clone(), auth)
        .await;
    until("the edge that left is not missed", || async {
        let stats = get(&b, "/mcp/sse/stats", OPERATES).await.1;
        stats["complete"] == true && stats["edges"].as_array().unwrap().len() == 2
    })
    .await;
    assert_eq!(
        get(&a, "/mcp/sse/stats", OPERATES).await.1["totalConnections"],
        0
    );
    let _connection = Connection::open(&a, Some(SEES_ALL)).await;
    let _events = sse::open(&b.at("/events/stream"), bearer(Some(READS)))
        .await
        .unwrap();
    let _more = sse::open(&b.at("/events/stream"), bearer(Some(OPERATES)))
        .await
        .unwrap();
    until("the streams are there", || async {
        a.open_streams("connection") + b.open_streams("events") == 3
    })
    .await;
    for node in [&a, &b] {
        let (_, stats) = get(node, "/mcp/sse/stats", OPERATES).await;
        assert_eq!(stats["totalConnections"], 3, "{stats}");
        assert_eq!(
            stats["connectionsByType"],
            json!({ "master": 1, "team": 1, "readonly": 1 })
        );
        assert_eq!(
            stats["connectionsByKind"],
            json!({ "connection": 1, "events": 2 })
        );
        let edges = stats["edges"].as_array().unwrap();
        let sum: u64 = edges
            .iter()
            .map(|edge| edge["totalConnections"].as_u64().unwrap())
            .sum();
        assert_eq!((edges.len(), sum), (2, 3), "{stats}");
        assert!(
            stats["oldestConnection"].as_str() <= stats["newestConnection"].as_str(),
            "{stats}"
        );
        assert!(stats["oldestConnection"].is_string());
        assert_eq!(
            (&stats["complete"], &stats["missing"]),
            (&json!(true), &json!([]))
        );
    }
    let dead = get(&b, "/mcp/sse/stats", OPERATES).await.1["answeredBy"].clone();
    // As one that was killed: it does not even say that it leaves.
    mute.is_mute.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let (_, stats) = get(&a, "/mcp/sse/stats", OPERATES).await;
    assert!(began.elapsed().as_millis() < 1000, "{:?}", began.elapsed());
    assert_eq!(
        (&stats["complete"], &stats["missing"]),
        (&json!(false), &json!([dead])),
        "{stats}"
    );
    assert_eq!(stats["totalConnections"], 1);
}

#[tokio::test]
async fn the_page_for_trying_it_is_there_on_loopback_and_where_it_is_asked_for() {
    let world = EdgeWorld::new().await;
    for (demo_page, status) in [
        (sse_edge::DemoPage::Loopback, StatusCode::OK),
        (sse_edge::DemoPage::On, StatusCode::OK),
        (sse_edge::DemoPage::Off, StatusCode::NOT_FOUND),
    ] {
        let config = EdgeConfig {
            demo_page,
            ..EdgeConfig::default()
        };
        let node = world.node_with(&config, world.bus.clone()).await;
        let page = reqwest::get(node.at("/demo")).await.unwrap();
        assert_eq!(page.status(), status, "{demo_page:?}");
        if status == StatusCode::OK {
            assert!(
                page.headers()["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .contains("connect-src 'self'")
            );
            assert!(page.text().await.unwrap().contains("/mcp/sse"));
        }
    }
    let outside = EdgeConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..EdgeConfig::default()
    };
    let node = world.node_with(&outside, world.bus.clone()).await;
    let page = reqwest::get(node.at("/demo")).await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
}
