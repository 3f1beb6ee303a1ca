//! `/mcp/sse`: named events with one JSON object each, methods that are posted to any edge, resumption, and who may
//! speak for a connection.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use access::Authenticator;
use async_trait::async_trait;
use model::{SessionId, StreamId, SystemClock, TraceContext};
use ports::{Bus, BusError, BusMessage, BusSubscription, Topic};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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

/// The edge that ran a call was killed: whichever edge has the stream says so, once, also after the stream has moved.
#[tokio::test]
async fn a_call_whose_edge_was_killed_is_an_error_on_the_stream_once() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let (a, b) = (world.node().await, world.node().await);
    let lost =
        json!({ "type": "mcp-error", "id": 7, "requestId": 7, "error": {}, "timestamp": "t" });
    let mut connection = Connection::open(&a, None).await;
    let id = SessionId::new(&connection.id).unwrap();
    world.left_posted(&id, "inbox", &lost).await;
    let (name, data) = named(&mut connection.stream).await;
    assert_eq!((name.as_str(), &data["id"]), ("mcp-error", &json!(7)));
    quiet(&mut connection.stream).await;
    let last = connection.stream.last_id().unwrap().to_owned();
    // What is told by then is told by neither edge again.
    for node in [&b, &a] {
        let resumed = sse::resume(&node.at("/mcp/sse"), HeaderMap::new(), &last).await;
        let (mut resumed, is_resumed) = Connection::begin(resumed.unwrap()).await;
        assert!(is_resumed);
        quiet(&mut resumed.stream).await;
    }
    drop(connection);
    until("no edge has the stream", || async {
        a.open_streams("connection") + b.open_streams("connection") == 0
    })
    .await;
    // Nobody was there to see it.
    world.left_posted(&id, "inbox", &lost).await;
    let resumed = sse::resume(&b.at("/mcp/sse"), HeaderMap::new(), &last).await;
    let (mut resumed, _) = Connection::begin(resumed.unwrap()).await;
    let (name, data) = named(&mut resumed.stream).await;
    assert_eq!((name.as_str(), &data["id"]), ("mcp-error", &json!(7)));
    quiet(&mut resumed.stream).await;
}

/// The edge was killed after it had stored its answer, and before it said so: the client has this answer and no other.
#[tokio::test]
async fn an_answer_that_was_stored_before_its_edge_was_killed_is_the_only_one() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let node = world.node().await;
    let mut connection = Connection::open(&node, None).await;
    let id = SessionId::new(&connection.id).unwrap();
    let ping = json!({ "id": 1, "method": "ping" });
    connection.send(&node, None, ping).await;
    named(&mut connection.stream).await;
    let last = connection.stream.last_id().unwrap().to_owned();
    drop(connection);
    until("no edge has the stream", || async {
        node.open_streams("connection") == 0
    })
    .await;
    let form = |kind: &str, outcome: &str| json!({ "type": kind, "id": 7, "requestId": 7, outcome: {}, "timestamp": "t" });
    let lost = form("mcp-error", "error");
    world.left_posted(&id, "inbox", &lost).await;
    // A request of the server with the same id is no answer.
    let asked = json!({ "jsonrpc": "2.0", "id": 7, "method": "roots/list" }).to_string();
    let answer = form("tool-result", "result").to_string();
    for message in [asked, answer] {
        let inbox = StreamId::new("inbox").unwrap();
        world.left_behind(&id, &inbox, message.as_bytes()).await;
    }
    let resumed = sse::resume(&node.at("/mcp/sse"), HeaderMap::new(), &last).await;
    let (mut resumed, is_resumed) = Connection::begin(resumed.unwrap()).await;
    assert!(is_resumed);
    let mut names = Vec::new();
    for _ in 0..2 {
        names.push(named(&mut resumed.stream).await.0);
    }
    assert_eq!(names, ["mcp-notification", "tool-result"]);
    quiet(&mut resumed.stream).await;
    let id = SessionId::new(&resumed.id).unwrap();
    let journal = StreamId::new("posted").unwrap();
    until("the journal says that the call has ended", || async {
        world.kept(&id, &journal).await == 0
    })
    .await;
}

/// Answers leave nothing behind: of a call that was answered nobody is told anything later.
#[tokio::test]
async fn of_calls_that_were_answered_little_is_left_in_the_journal() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let (a, b) = (world.node().await, world.node().await);
    let mut connection = Connection::open(&a, None).await;
    let recent = json!({ "name": "get_recent_events", "arguments": {} });
    for id in 0..40 {
        let call = json!({ "id": id, "method": "tools/call", "params": recent });
        connection.send(&b, None, call).await;
        let (name, data) = named(&mut connection.stream).await;
        assert_eq!((name.as_str(), &data["id"]), ("tool-result", &json!(id)));
    }
    quiet(&mut connection.stream).await;
    let id = SessionId::new(&connection.id).unwrap();
    let kept = world.kept(&id, &StreamId::new("posted").unwrap()).await;
    assert!(kept <= 40, "{kept} entries of calls that are over");
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

/// Opens a stream whose client reads nothing after its beginning.
async fn unread(node: &Node, path: &str) -> TcpStream {
    let url = node.at(path);
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SEES_ALL}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begin = String::new();
    while !begin.contains("connectionId") {
        let mut part = [0; 512];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{begin}");
        begin.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    stream
}

#[tokio::test]
async fn a_broadcast_that_was_cut_says_so_and_which_edge_is_still_sending() {
    for (path, durable) in [("/events/stream", false), ("/mcp/sse", true)] {
        let (_world, a, b, _tokens) = two_with_tokens().await;
        let _stream = unread(&b, path).await;
        let message = json!({ "result": { "text": "x".repeat(200 << 10) } });
        let mut told = Value::Null;
        // Until the buffers between the edge and its client are full.
        for _ in 0..200 {
            let body = json!({ "message": message, "durable": durable });
            let (status, answer) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            told = answer;
            if told["missing"] != json!([]) {
                // The machine was too busy for its answer, which says nothing of its clients.
                continue;
            }
            if told["sentCount"] == 0 {
                break;
            }
            let counted = (&told["sentCount"], &told["complete"], &told["stillSending"]);
            assert_eq!(counted, (&json!(1), &json!(true), &json!([])), "{told}");
        }
        let sending = told["stillSending"].as_array().unwrap();
        assert_eq!(
            (&told["sentCount"], &told["complete"], sending.len()),
            (&json!(0), &json!(false), 1),
            "{path}: {told}"
        );
        // It answered: it is not missing, and the client is still connected.
        assert_eq!(
            (&told["missing"], &told["totalConnections"]),
            (&json!([]), &json!(1)),
            "{told}"
        );
    }
}

#[tokio::test]
async fn clients_that_leave_with_a_broadcast_were_connected() {
    let (_world, a, b, _tokens) = two_with_tokens().await;
    // For its sake the edge waits longer than the others stay.
    let _slow = unread(&b, "/events/stream").await;
    let message = json!({ "result": { "text": "x".repeat(200 << 10) } });
    let broadcast = async || {
        let body = json!({ "message": message });
        let (status, told) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        told
    };
    let mut rounds = 0;
    while broadcast().await["stillSending"] == json!([]) {
        rounds += 1;
        assert!(rounds < 200, "its buffers are never full");
    }
    let mut leaving = Vec::new();
    for _ in 0..3 {
        let mut stream = Connection::open(&b, Some(SEES_ALL)).await.stream;
        leaving.push(tokio::spawn(async move {
            let _ = stream.next_event(SOON).await;
        }));
    }
    let told = broadcast().await;
    let count = |name: &str| told[name].as_u64().unwrap();
    assert!(count("sentCount") <= count("totalConnections"), "{told}");
    for left in leaving {
        left.await.unwrap();
    }
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
async fn a_broadcast_reaches_every_kind_of_client_once_on_both_edges_and_counts_them() {
    let (_world, a, b, _tokens) = two_with_tokens().await;
    let mut connection = Connection::open(&a, Some(SEES_ALL)).await;
    let mut events = sse::open(&b.at("/events/stream"), bearer(Some(READS)))
        .await
        .unwrap();
    assert_eq!(
        events.next_event(SOON).await.unwrap().event.as_deref(),
        Some("connected")
    );
    let (id, stream) = principals::session(&a, SEES_ALL).await;
    drop(stream);
    until("its first stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    let mut session = sse::open(&b.at("/mcp"), principals::headers(SEES_ALL, Some(&id)))
        .await
        .unwrap();
    until("both edges have their streams", || async {
        a.open_streams("connection") + b.open_streams("events") + b.open_streams("session") == 3
    })
    .await;
    let documented = json!({ "type": "mcp-notification", "result": { "message": "maintenance", "level": "warning" } });
    for (filter, count) in [
        (json!(null), 3),
        (json!({ "tokenTypes": ["team"] }), 2),
        (json!({ "tokenTypes": ["readonly"] }), 1),
        (json!({ "permissions": ["read", "send"] }), 2),
        (json!({ "permissions": ["admin"] }), 0),
        (json!({ "principal": "reader" }), 1),
    ] {
        let body = json!({ "message": documented, "filter": filter });
        let (status, told) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        assert_eq!(
            (&told["success"], &told["complete"]),
            (&json!(true), &json!(true)),
            "{told}"
        );
        assert_eq!(
            (&told["sentCount"], &told["totalConnections"]),
            (&json!(count), &json!(3)),
            "{filter}: {told}"
        );
    }
    for _ in 0..3 {
        let (name, data) = named(&mut connection.stream).await;
        assert_eq!(
            (name.as_str(), &data["result"]["message"]),
            ("mcp-notification", &json!("maintenance"))
        );
        let message = next(&mut session).await;
        assert_eq!(message.method(), "notifications/message");
        assert_eq!(message.params()["level"], "warning");
        assert_eq!(message.params()["data"]["message"], "maintenance");
        let frame = events.next_event(SOON).await.unwrap();
        assert_eq!(frame.event.as_deref(), Some("mcp-notification"));
        assert_eq!(frame.json().unwrap()["result"]["message"], "maintenance");
    }
    for stream in [&mut connection.stream, &mut session, &mut events] {
        quiet(stream).await;
    }
    for (token, status) in [
        (READS, StatusCode::FORBIDDEN),
        (SEES_ALL, StatusCode::FORBIDDEN),
    ] {
        let body = json!({ "message": documented });
        assert_eq!(post(&a, "/mcp/sse/broadcast", token, body).await.0, status);
        assert_eq!(get(&a, "/mcp/sse/stats", token).await.0, status);
    }
    for wrong in [
        json!({ "message": { "id": 1, "method": "ping" } }),
        json!({ "message": documented, "filter": { "tokenTypes": ["root"] } }),
        json!({ "message": documented, "filter": { "colour": "red" } }),
        json!({ "message": { "result": "x".repeat(300 << 10) } }),
    ] {
        let (status, problem) = post(&a, "/mcp/sse/broadcast", OPERATES, wrong).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("parameter-invalid"))
        );
    }
}

#[tokio::test]
async fn who_is_away_gets_a_durable_broadcast_later_and_once_and_only_what_came_after_its_beginning()
 {
    let (world, a, b, _tokens) = two_with_tokens().await;
    let note = |n: u64| json!({ "method": "notifications/test", "params": { "n": n } });
    let broadcast = async |n: u64, durable: bool, filter: Value| {
        let body = json!({ "message": note(n), "durable": durable, "filter": filter });
        let (status, told) = post(&b, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        told["sentCount"].as_u64().unwrap()
    };
    assert_eq!(broadcast(0, true, Value::Null).await, 0);
    let (id, stream) = principals::session(&a, SEES_ALL).await;
    drop(stream);
    until("its first stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    let headers = || principals::headers(SEES_ALL, Some(&id));
    assert_eq!(broadcast(1, true, Value::Null).await, 0);
    assert_eq!(broadcast(2, false, Value::Null).await, 0);
    assert_eq!(
        broadcast(3, true, json!({ "principal": "reader" })).await,
        0
    );
    let mut stream = sse::open(&a.at("/mcp"), headers()).await.unwrap();
    let number = async |stream: &mut SseStream| loop {
        let message = next(stream).await;
        if message.method() == "notifications/test" {
            return (message.params()["n"].as_u64().unwrap(), message.id.clone());
        }
    };
    assert_eq!(number(&mut stream).await.0, 1);
    until("the stream is there", || async {
        a.open_streams("session") == 1
    })
    .await;
    assert_eq!(broadcast(4, true, Value::Null).await, 1);
    let (n, last) = number(&mut stream).await;
    assert_eq!(n, 4);
    drop(stream);
    until("the stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    assert_eq!(broadcast(5, true, Value::Null).await, 0);
    let mut resumed = sse::resume(&b.at("/mcp"), headers(), &last.unwrap())
        .await
        .unwrap();
    assert_eq!(number(&mut resumed).await.0, 5);
    quiet(&mut resumed).await;
    let kept = model::SessionId::new("forgewire-broadcasts").unwrap();
    let stream = model::StreamId::new("kept").unwrap();
    assert_eq!(world.kept(&kept, &stream).await, 5);
    // What is kept is no session's.
    let body = json!({ "sessionId": kept, "message": { "jsonrpc": "2.0", "method": "n" } });
    assert_eq!(
        post(&a, "/mcp/sse/send", OPERATES, body).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_who_misses_something_is_told_once() {
    let (world, a, _b, _tokens) = two_with_tokens().await;
    let (id, first) = principals::session(&a, SEES_ALL).await;
    let headers = || principals::headers(SEES_ALL, Some(&id));
    drop(first);
    until("its first stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    for n in 0..110_u64 {
        let message = json!({ "method": "notifications/test", "params": { "n": n } });
        let body = json!({ "message": message, "durable": true });
        assert_eq!(
            post(&a, "/mcp/sse/broadcast", OPERATES, body).await.0,
            StatusCode::OK
        );
    }
    let kept = model::SessionId::new("forgewire-broadcasts").unwrap();
    let stream = model::StreamId::new("kept").unwrap();
    assert_eq!(world.kept(&kept, &stream).await, 100);

    let mut stream = sse::open(&a.at("/mcp"), headers()).await.unwrap();
    let notice = loop {
        let message = next(&mut stream).await;
        if message.method().starts_with("notifications/") {
            break message;
        }
    };
    assert_eq!(
        notice.params()["logger"],
        "forgewire.messages",
        "{notice:?}"
    );
    assert_eq!(notice.params()["data"]["truncated"], true);
    let mut last = None;
    for n in 10..110_u64 {
        let message = next(&mut stream).await;
        assert_eq!(message.params()["n"], n);
        last = message.id.clone();
    }
    drop(stream);
    until("the stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    let resumed = sse::resume(&a.at("/mcp"), headers(), &last.unwrap()).await;
    no_message(&mut resumed.unwrap()).await;
    // One that came later misses nothing.
    let (_, mut later) = principals::session(&a, SEES_ALL).await;
    no_message(&mut later).await;
}

#[tokio::test]
async fn a_connected_session_for_which_no_broadcast_was_is_not_told_that_it_misses_some() {
    let (_world, a, _b, _tokens) = two_with_tokens().await;
    let (_, mut stream) = principals::session(&a, SEES_ALL).await;
    let first = stream.next_event(SOON).await.unwrap();
    assert_eq!(first.data.as_deref(), Some(""), "{first:?}");
    for n in 0..220_u64 {
        let message = json!({ "method": "notifications/test", "params": { "n": n } });
        let filter = json!({ "principal": "nobody" });
        let body = json!({ "message": message, "durable": true, "filter": filter });
        let (status, told) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!((status, &told["sentCount"]), (StatusCode::OK, &json!(0)));
    }
    quiet(&mut stream).await;
}

/// Nothing comes but the frame with which a stream opens.
async fn no_message(stream: &mut SseStream) {
    let first = stream.next_event(SOON).await.unwrap();
    assert_eq!(first.data.as_deref(), Some(""), "{first:?}");
    quiet(stream).await;
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
