//! HTTP+SSE of 2024-11-05: the stream on one edge, each POST on any edge that the balancer picks.

use std::{sync::Arc, time::Duration};

use access::Authenticator;
use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, Sequence, SessionId, StreamId, SystemClock};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};

use super::{principals, world::*};

pub(crate) struct Client {
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

    fn session(&self) -> SessionId {
        let (_, id) = self.endpoint.split_once("sessionId=").unwrap();
        SessionId::new(id).unwrap()
    }

    async fn post(&self, node: &Node, message: &Value) -> StatusCode {
        let request = self.http.post(self.url(node)).json(message);
        request.send().await.unwrap().status()
    }

    async fn next(&mut self) -> Value {
        self.stream.next_event(SOON).await.unwrap().json().unwrap()
    }

    /// Sends a request; its answer arrives on the stream.
    pub(crate) async fn call(
        &mut self,
        node: &Node,
        id: u64,
        method: &str,
        params: Value,
    ) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        assert_eq!(self.post(node, &request).await, StatusCode::ACCEPTED);
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    }

    pub(crate) async fn connected(stream: &Node, posts: &Node) -> Self {
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
    let (world, a, b) = EdgeWorld::two().await;
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
    let (_world, a, b) = EdgeWorld::two().await;
    let mut client = Client::connected(&a, &b).await;
    for id in 10..40 {
        let node = if id % 2 == 0 { &a } else { &b };
        let answer = client.call(node, id, "ping", json!({})).await;
        assert_eq!(answer, json!({}));
    }
}

#[tokio::test]
async fn an_answer_waits_for_no_regular_look() {
    let (_world, a, b) = EdgeWorld::two().await;
    let mut client = Client::connected(&a, &b).await;
    let calls = async {
        for id in 10..40 {
            let node = if id % 2 == 0 { &a } else { &b };
            client.call(node, id, "ping", json!({})).await;
        }
    };
    // It would take half a minute if each call waited for the one before.
    let soon = tokio::time::timeout(SOON, calls).await;
    assert!(soon.is_ok(), "hints do not reach the stream");
}

#[tokio::test]
async fn answers_events_and_what_others_send_come_on_one_stream_each_in_its_order() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut client = Client::connected(&a, &b).await;
    let arguments = json!({ "filters": [{ "repo": "cat" }] });
    let call = json!({ "name": "subscribe_to_events", "arguments": arguments });
    let subscribed = client.call(&b, 2, "tools/call", call).await;
    assert_ne!(subscribed["isError"], true, "{subscribed}");
    let mut happened = Vec::new();
    for n in 100..130_u64 {
        let node = if n % 2 == 0 { &a } else { &b };
        let ping = json!({ "jsonrpc": "2.0", "id": n, "method": "ping" });
        assert_eq!(client.post(node, &ping).await, StatusCode::ACCEPTED);
        happened.push(world.happens_at_length("cat", 10_000).await);
        let note =
            json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": { "n": n } });
        let body = json!({ "sessionId": client.session(), "message": note, "wait": false });
        let send = client.http.post(node.at("/mcp/sse/send")).json(&body);
        assert_eq!(send.send().await.unwrap().status(), StatusCode::OK);
    }
    let (mut answers, mut events, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    while answers.len() + events.len() + sent.len() < 90 {
        let frame = client.stream.next_event(SOON).await.unwrap();
        let message = frame.json().unwrap();
        match message["method"].as_str() {
            None => {
                // This transport cannot resume.
                assert_eq!((frame.id, frame.event), (None, None));
                answers.push(message["id"].as_u64().unwrap());
            }
            Some("notifications/test") => sent.push(message["params"]["n"].as_u64().unwrap()),
            Some(_) => {
                let id = message["params"]["data"]["id"].as_str();
                events.push(id.unwrap().to_owned());
            }
        }
    }
    let numbers: Vec<_> = (100..130).collect();
    assert_eq!((answers, sent), (numbers.clone(), numbers));
    assert_eq!(events, happened);
    quiet(&mut client.stream).await;
}

/// A client whose stream is on an edge that no longer gets news about sessions, and another edge.
async fn unheard() -> (EdgeWorld, Node, Node, Client) {
    let world = EdgeWorld::new().await;
    let slow = SlowSessions::new(&world.bus);
    let a = world.node_with(&EdgeConfig::default(), slow.clone()).await;
    let b = world.node().await;
    let client = Client::connected(&a, &b).await;
    slow.hold();
    (world, a, b, client)
}

#[tokio::test]
async fn a_lost_hint_costs_an_answer_time_only() {
    let (_world, _a, b, mut client) = unheard().await;
    for id in 10..13 {
        client.call(&b, id, "ping", json!({})).await;
    }
}

#[tokio::test]
async fn a_session_that_ended_unheard_ends_its_stream_soon() {
    let (_world, a, b, mut client) = unheard().await;
    let delete = client.http.delete(b.at("/mcp"));
    let delete = delete.header("mcp-session-id", client.session().as_str());
    assert_eq!(delete.send().await.unwrap().status(), 204);
    // Well before the edge checks its sessions.
    let soon = tokio::time::timeout(Duration::from_secs(8), ended(&mut client.stream));
    assert_eq!(soon.await.expect("the stream ends"), []);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(client.post(&a, &ping).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_answered_is_not_kept() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut client = Client::connected(&a, &b).await;
    client.call(&b, 2, "tools/list", json!({})).await;
    let answers = StreamId::new("answers").unwrap();
    until("the mailbox is empty", || async {
        world.kept(&client.session(), &answers).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_silent_stream_beats_like_every_other() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        heartbeat_seconds: 1,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let mut client = Client::open(&node).await;
    for _ in 0..2 {
        let frame = client.stream.next(SOON).await.unwrap();
        assert!(frame.unwrap().is_comment());
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_leaves_no_session_behind() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_streams: 1,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let _one = Client::open(&node).await;
    assert!(
        sse::open(&node.at("/sse"), Default::default())
            .await
            .is_err()
    );
    until("only the first has a session", || async {
        world.sessions().await == 1
    })
    .await;
}

#[tokio::test]
async fn the_session_goes_with_its_stream() {
    let (_world, a, b) = EdgeWorld::two().await;
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
    let (_world, a, _b) = EdgeWorld::two().await;
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
        let text = body["error"]["message"].as_str().unwrap();
        assert!(text.contains("event `endpoint`"), "the fix: {text}");
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
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut client = Client::connected(&a, &a).await;
    a.life.shut_down();
    let frames = ended(&mut client.stream).await;
    assert!(frames.is_empty(), "{frames:?}");
}

#[tokio::test]
async fn under_a_base_path_everything_is_there_and_nothing_elsewhere() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        base_path: "/fw".to_owned(),
        ..EdgeConfig::default()
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

/// A mailbox that takes messages of up to 20,000 bytes.
#[derive(Debug)]
struct NarrowMailbox(Arc<dyn Mailbox>);

#[async_trait]
impl Mailbox for NarrowMailbox {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        self.0.open(session, owner, ttl).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        self.0.touch(session, ttl).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        self.0.end(session).await
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.0.open_stream(session, stream, limits).await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        match payload.len() {
            bytes @ 20_001.. => Err(MailboxError::TooLarge { bytes }),
            _ => self.0.append(session, stream, payload, limits).await,
        }
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        self.0.read_after(session, stream, after, limit).await
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.0.trim(session, stream, through).await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.0.close_stream(session, stream).await
    }
}

#[tokio::test]
async fn an_answer_that_the_mailbox_does_not_take_is_told() {
    let mut stores = EdgeWorld::new().await.stores;
    stores.mailboxes = Arc::new(NarrowMailbox(stores.mailboxes));
    let world = EdgeWorld::on(stores).await;
    let (a, b) = (world.node().await, world.node().await);
    let mut client = Client::connected(&a, &b).await;
    for _ in 0..3 {
        world.happens_at_length("cat", 10_000).await;
    }
    world.settle(&b).await;
    let whole = json!({ "limit": 10, "include": ["urls"] });
    let call = json!({ "name": "get_recent_events", "arguments": whole });
    let request = json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": call });
    assert_eq!(client.post(&b, &request).await, StatusCode::ACCEPTED);
    let answer = client.next().await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(4), &json!(-32603))
    );
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("1048576 bytes"), "{text}");
    assert_eq!(client.call(&a, 5, "ping", json!({})).await, json!({}));
}

/// The tokens of one principal: the first may see everything, the second only cats.
const WIDE: &str = "token-of-a-principal-that-sees-everything";
const NARROW: &str = "token-of-the-same-one-that-sees-cats-only";

/// The next message with this id on the stream.
async fn answer_to(stream: &mut SseStream, id: u64) -> Value {
    loop {
        let frame = stream.next_event(SOON).await.unwrap();
        let message = frame.json().unwrap_or_default();
        if message["id"] == id {
            return message;
        }
    }
}

#[tokio::test]
async fn a_stream_shows_what_its_own_token_may_see_whoever_asks() {
    let (world, tokens) = (EdgeWorld::new().await, principals::Tokens::new());
    tokens.write(&[
        (WIDE, "two", ""),
        (NARROW, "two", "repositories = [\"octo/cat\"]"),
    ]);
    let node = async || {
        let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
        let config = EdgeConfig::default();
        world.node_for(&config, world.bus.clone(), auth).await
    };
    let (a, b) = (node().await, node().await);
    for repo in ["cat", "dog"] {
        world.happens(repo).await;
    }
    for (reads, asks, withheld, shows_dogs) in [
        (NARROW, WIDE, true, false),
        (NARROW, NARROW, false, false),
        (WIDE, NARROW, false, false),
        (WIDE, WIDE, false, true),
    ] {
        let headers = principals::headers(reads, None);
        let mut stream = sse::open(&a.at("/sse"), headers).await.unwrap();
        let endpoint = stream.next_event(SOON).await.unwrap().data.unwrap();
        let url = b.at(&endpoint);
        let prompt = json!({ "ref": { "type": "ref/prompt", "name": "triage_event" },
            "argument": { "name": "repo", "value": "" },
            "context": { "arguments": { "owner": "octo" } } });
        let recent = json!({ "name": "get_recent_events", "arguments": {} });
        // The second answers before the POST does.
        for method in [("tools/call", recent), ("completion/complete", prompt)] {
            let headers = principals::headers(asks, None);
            let posted = principals::post(&url, headers, method.0, method.1).await;
            assert_eq!(posted.status(), StatusCode::ACCEPTED);
            let answer = answer_to(&mut stream, 1).await;
            let text = answer.to_string();
            let is_withheld = answer["error"]["data"]["code"] == "rights-changed";
            assert_eq!(is_withheld, withheld, "{reads} {asks}: {text}");
            assert_eq!(text.contains("dog"), shows_dogs, "{reads} {asks}: {text}");
            assert_eq!(text.contains("cat"), !withheld, "{reads} {asks}: {text}");
        }
        // What shows nothing comes in any case.
        let headers = principals::headers(asks, None);
        principals::post(&url, headers, "no/such", json!({})).await;
        let unknown = answer_to(&mut stream, 1).await;
        assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    }
}

/// The edge that ran a call was killed: the edge with the stream says so, once.
#[tokio::test]
async fn a_call_whose_edge_was_killed_is_a_json_rpc_error_on_the_stream_once() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let (a, b) = (world.node().await, world.node().await);
    let mut client = Client::connected(&a, &b).await;
    let lost = json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32603, "message": "m" } });
    world.left_posted(&client.session(), "answers", &lost).await;
    assert_eq!(client.next().await, lost);
    quiet(&mut client.stream).await;
    client.call(&b, 8, "tools/list", json!({})).await;
}
