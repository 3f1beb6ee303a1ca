//! A wait that lasts longer than any edge: it begins at once, says where it is, and goes on elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use model::{
    Clock, CursorScope, LeaseName, ManualClock, PrincipalId, SessionId, StreamCursor, StreamId,
    Timestamp,
};
use ports::{Lease, LeaseToken, Leases, StoreFailure};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use testkit::{
    mcp_client::{McpClient, ModernClient},
    sse::{SseError, SseStream},
};

use super::{
    calls::{message, resume},
    world::*,
};

pub(super) fn call(id: u64, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {
            "name": "wait_for_events", "arguments": arguments, "_meta": { "progressToken": "how-far" },
        },
    })
}

/// A call of a client that asks for progress; it waits for an event of octo/cat.
pub(super) async fn waiting(client: &McpClient, node: &Node, id: u64, seconds: u64) -> SseStream {
    let arguments = json!({ "filters": [{ "repo": "cat" }], "maxWaitSeconds": seconds });
    let request = reqwest::Client::new().post(node.at("/mcp"));
    let request = request
        .headers(client.headers())
        .json(&call(id, &arguments));
    let both = HeaderValue::from_static("application/json, text/event-stream");
    let answer = request.header(ACCEPT, both).send().await.unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
    SseStream::from_response(answer).await.unwrap()
}

/// The same of the stateless era.
async fn waiting_without_a_session(node: &Node) -> SseStream {
    waiting_without_a_session_for(node, 3600).await
}

pub(super) async fn waiting_without_a_session_for(node: &Node, seconds: u64) -> SseStream {
    let client = ModernClient::new();
    let params = json!({
        "name": "wait_for_events",
        "arguments": { "filters": [{ "repo": "cat" }], "maxWaitSeconds": seconds },
        "_meta": { "progressToken": "how-far" },
    });
    let mut message = client.message("tools/call", params);
    message["params"]["_meta"]["progressToken"] = json!("how-far");
    let request = reqwest::Client::new().post(node.at("/mcp"));
    let request = request
        .headers(ModernClient::headers(&message))
        .json(&message);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    let answer = request.header(ACCEPT, both).send().await.unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
    let mut stream = SseStream::from_response(answer).await.unwrap();
    cursor_of(&super::calls::message(&mut stream).await);
    stream
}

/// The cursor that a message of progress names.
fn cursor_of(progress: &Value) -> String {
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    assert_eq!(progress["params"]["progressToken"], "how-far");
    let text = progress["params"]["message"].as_str().unwrap();
    let cursor = text.strip_prefix("waiting, 0 of 1, cursor ");
    cursor.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// The id with which the client can come back, from the beginning of an answer.
pub(super) async fn begun(stream: &mut SseStream) -> String {
    let id = stream.next_event(SOON).await.unwrap().id.unwrap();
    cursor_of(&message(stream).await);
    id
}

/// The next id with which the client can come back.
pub(super) async fn next_id(stream: &mut SseStream) -> String {
    loop {
        if let Some(id) = stream.next_event(SOON).await.unwrap().id {
            return id;
        }
    }
}

/// Reads a stream until its edge closes it; returns the last id.
pub(super) async fn let_go(stream: &mut SseStream) -> Option<String> {
    let read = tokio::time::timeout(SOON, async {
        let mut last = None;
        loop {
            match stream.next(SOON).await {
                Ok(Some(frame)) => last = frame.id.or(last),
                Ok(None) | Err(SseError::Transport { .. }) => return last,
                Err(error) => panic!("{error}"),
            }
        }
    });
    read.await.unwrap()
}

/// The answer to a call, after any messages of progress.
pub(super) async fn answer(stream: &mut SseStream) -> Value {
    loop {
        let message = message(stream).await;
        match message["method"].as_str() {
            Some("notifications/progress") => drop(cursor_of(&message)),
            _ => return message,
        }
    }
}

pub(super) fn events(answer: &Value) -> Vec<&str> {
    let events = answer["result"]["structuredContent"]["events"].as_array();
    let events = events.unwrap_or_else(|| panic!("{answer}")).iter();
    events.map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_wait_with_a_token_begins_at_once_and_its_progress_says_where_to_go_on() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    world.happens("dog").await;
    world.settle(&a).await;
    let mut stream = waiting(&client, &a, 1, 3600).await;
    stream.next_event(SOON).await.unwrap();
    let cursor = cursor_of(&message(&mut stream).await);
    // A client that is lost between two messages misses nothing.
    drop(stream);
    let cat = world.happens("cat").await;
    let arguments = json!({ "cursor": cursor, "filters": [{ "repo": "cat" }] });
    let found = client.call_tool(&a.url, "wait_for_events", arguments).await;
    assert_eq!(
        found.unwrap()["structuredContent"]["events"][0]["id"],
        json!(cat)
    );
}

/// The answer of a wait is not stored while its client is connected. One that has not got it comes back, and the call is
/// made again.
#[tokio::test]
async fn an_answer_that_did_not_arrive_is_made_again_wherever_its_client_comes_back() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 9, 3600).await;
    let id = begun(&mut stream).await;
    let cat = world.happens("cat").await;
    let told = answer(&mut stream).await;
    assert_eq!(events(&told), std::slice::from_ref(&cat));
    assert!(ended(&mut stream).await.is_empty(), "the answer ends it");
    for node in [&a, &b] {
        let mut resumed = resume(&client, node, &id).await;
        let again = answer(&mut resumed).await;
        assert_eq!((&again["id"], events(&again)), (&json!(9), vec![&*cat]));
        assert!(ended(&mut resumed).await.is_empty(), "one answer");
    }
}

/// While it waits, a call has neither a task nor a queue; what an event costs that it does not want, it costs once for
/// all calls with equal filters.
#[tokio::test]
async fn a_wait_that_is_over_or_abandoned_leaves_nothing_behind() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stateless = Vec::new();
    for _ in 0..3 {
        stateless.push(waiting_without_a_session(&a).await);
    }
    let mut stream = waiting(&client, &a, 9, 3600).await;
    begun(&mut stream).await;
    let waits = || async { a.metric("forgewire_edge_match_cost") };
    assert!(waits().await > 0);
    let cat = world.happens("cat").await;
    for stream in &mut stateless {
        assert_eq!(events(&answer(stream).await), std::slice::from_ref(&cat));
        assert!(ended(stream).await.is_empty(), "one answer");
    }
    assert_eq!(events(&answer(&mut stream).await), [cat]);
    until("no call waits", || async { waits().await == 0 }).await;
    let gone = || {
        until("a call goes with its connection", || async {
            waits().await == 0
        })
    };
    drop(waiting_without_a_session(&a).await);
    gone().await;
    // In these revisions, nobody could fetch the answer.
    for version in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let client = McpClient::initialize(&a.url, version).await.unwrap();
        let mut stream = waiting(&client, &a, 9, 3600).await;
        cursor_of(&message(&mut stream).await);
        assert!(waits().await > 0, "{version}");
        drop(stream);
        gone().await;
    }
}

#[tokio::test]
async fn a_wait_goes_on_where_its_client_comes_back_when_the_edge_drains() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 9, 3600).await;
    let id = begun(&mut stream).await;
    a.life.shut_down();
    let_go(&mut stream).await;
    // Nobody waits now, and nothing is missed.
    let between = world.happens("cat").await;
    let mut resumed = resume(&client, &b, &id).await;
    let answer = answer(&mut resumed).await;
    assert_eq!(answer["id"], 9);
    assert_eq!(events(&answer), [between]);
    assert!(ended(&mut resumed).await.is_empty(), "the answer ends it");
}

#[tokio::test]
async fn a_client_that_reads_on_another_edge_notices_nothing_of_the_drain() {
    let world = EdgeWorld::new().await;
    let (a, b) = (world.node().await, world.node().await);
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 9, 3600).await;
    let id = begun(&mut stream).await;
    drop(stream);
    let mut resumed = resume(&client, &b, &id).await;
    a.life.shut_down();
    until("the other edge goes on", || async {
        b.metric("forgewire_edge_calls_taken_over_total") == 1
    })
    .await;
    let cat = world.happens("cat").await;
    let answer = answer(&mut resumed).await;
    assert_eq!(events(&answer), [cat]);
}

/// Three hours, by the clock that the edges share; each edge is gone before one is over.
#[tokio::test]
async fn a_wait_of_three_hours_lasts_over_restarts() {
    for happens in [true, false] {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
            1_790_000_000_000,
        )));
        let world = EdgeWorld::at(Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>).await;
        let mut node = world.node().await;
        let client = connect(&node).await;
        let began = clock.now();
        let mut stream = waiting(&client, &node, 9, 3 * 3600).await;
        let mut id = begun(&mut stream).await;
        let mut expected = Vec::new();
        for restart in 1..=4 {
            clock.advance(Duration::from_secs(46 * 60));
            node.life.shut_down();
            id = let_go(&mut stream).await.unwrap_or(id);
            if happens && restart == 3 {
                expected.push(world.happens("cat").await);
                world.happens("dog").await;
            }
            node = world.node().await;
            stream = resume(&client, &node, &id).await;
            let is_here = || async { node.metric("forgewire_edge_calls_taken_over_total") == 1 };
            until("the new edge goes on", is_here).await;
            // Its time is over, or an event has come: the answer is next.
            if restart == 4 || !expected.is_empty() {
                break;
            }
            // What is before it is not kept until the clock is set again.
            id = next_id(&mut stream).await;
        }
        let answer = answer(&mut stream).await;
        assert_eq!(events(&answer), expected, "{:?}", clock.now().since(began));
        let cursor = &answer["result"]["structuredContent"]["cursor"];
        let arguments = json!({ "cursor": cursor, "filters": [{ "repo": "cat" }] });
        let cat = world.happens("cat").await;
        let found = client
            .call_tool(&node.url, "wait_for_events", arguments)
            .await;
        let found = found.unwrap();
        assert_eq!(found["structuredContent"]["events"][0]["id"], json!(cat));
    }
}

/// The entries of a call that another edge has begun, and a lease without a holder: it was killed. An edge of an earlier
/// version does not name its lease.
#[tokio::test]
async fn a_wait_whose_edge_was_killed_goes_on_and_its_answer_has_what_happened_meanwhile() {
    for names_its_lease in [false, true] {
        goes_on_after_a_kill(names_its_lease).await;
    }
}

async fn goes_on_after_a_kill(names_its_lease: bool) {
    let (world, _a, b) = EdgeWorld::two().await;
    let client = connect(&b).await;
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    let stream = StreamId::new("call-of-an-edge-that-was-killed").unwrap();
    world.settle(&b).await;
    let since = world.log.head().await.unwrap();
    let stored = json!({
        "tool": "wait_for_events", "arguments": { "filters": [{ "repo": "cat" }] }, "progressToken": "how-far",
        "since": { "epoch": since.epoch, "sequence": since.last }, "began": Timestamp::default(),
    });
    let stored = [b"\0\0", &*serde_json::to_vec(&stored).unwrap()].concat();
    if names_its_lease {
        let entry = b"\0\x01edge-calls:of-an-edge-that-was-killed";
        world.left_behind(&session, &stream, entry).await;
    }
    let mut sequence = world.left_behind(&session, &stream, b"\0\"seven\"").await;
    sequence = sequence.max(world.left_behind(&session, &stream, &stored).await);
    let cat = world.happens("cat").await;
    let scope = CursorScope::stream(&PrincipalId::anonymous(), &session, &stream);
    let id = world
        .keys()
        .seal_stream(&StreamCursor { stream, sequence }, scope);
    let mut resumed = resume(&client, &b, &id).await;
    let answer = tokio::time::timeout(SOON * 3, async {
        loop {
            let frame = resumed.next_event(SOON * 3).await.unwrap();
            if let Some(message) = frame.json().filter(|message| !message["id"].is_null()) {
                return message;
            }
        }
    });
    let answer = answer.await.unwrap();
    assert_eq!(
        (&answer["id"], events(&answer)),
        (&json!("seven"), vec![&*cat])
    );
}

#[tokio::test]
async fn a_wait_that_was_handed_over_is_cancelled_on_any_edge() {
    let world = EdgeWorld::new().await;
    let (a, b, c) = (world.node().await, world.node().await, world.node().await);
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 5, 3600).await;
    let id = begun(&mut stream).await;
    a.life.shut_down();
    let_go(&mut stream).await;
    let mut resumed = resume(&client, &b, &id).await;
    until("the other edge goes on", || async {
        b.metric("forgewire_edge_calls_taken_over_total") == 1
    })
    .await;
    let params = json!({ "requestId": 5 });
    let told = client.notify(&c.url, "notifications/cancelled", params);
    told.await.unwrap();
    let frames = ended(&mut resumed).await;
    let is_answer = |frame: &testkit::sse::ReceivedFrame| {
        frame
            .json()
            .is_some_and(|message| message.get("result").is_some())
    };
    assert!(!frames.iter().any(is_answer), "{frames:?}");
}

/// Counts how often edges look at their leases and at those of each other.
#[derive(Debug)]
struct CountedLeases {
    leases: Arc<dyn Leases>,
    acquired: AtomicUsize,
    extended: AtomicUsize,
}

impl CountedLeases {
    fn new(leases: Arc<dyn Leases>) -> Self {
        let (acquired, extended) = Default::default();
        Self {
            leases,
            acquired,
            extended,
        }
    }

    fn acquired(&self) -> usize {
        self.acquired.load(Ordering::SeqCst)
    }

    fn extended(&self) -> usize {
        self.extended.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Leases for CountedLeases {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let acquired = self.leases.acquire(name, ttl, wait).await;
        if name.as_str().starts_with("edge-calls:") {
            self.acquired.fetch_add(1, Ordering::SeqCst);
        }
        acquired
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let extended = self.leases.extend(name, token, ttl).await;
        self.extended.fetch_add(1, Ordering::SeqCst);
        extended
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        self.leases.release(name, token).await
    }
}

/// The leases of all edges are over at once, as when nobody ran for a while: whoever goes on with a call then, there is
/// one answer.
#[tokio::test]
async fn a_wait_whose_edge_lost_its_lease_has_one_answer() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
        1_790_000_000_000,
    )));
    let mut world = EdgeWorld::at(Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>).await;
    world.call_lease = Duration::from_millis(600);
    let leases = Arc::new(CountedLeases::new(Arc::clone(&world.stores.leases)));
    world.stores.leases = Arc::<CountedLeases>::clone(&leases);
    let (a, b) = (world.node().await, world.node().await);
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 9, 3600).await;
    let id = begun(&mut stream).await;
    drop(stream);
    let mut resumed = resume(&client, &b, &id).await;
    until(
        "the other edge looks whether the first one is there",
        || async { leases.acquired() >= 2 },
    )
    .await;
    let (acquired, extended) = (leases.acquired(), leases.extended());
    clock.advance(Duration::from_secs(120));
    // The first edge takes its lease anew, and the other one looks at it: then both have seen it, in whichever order.
    until("both edges have seen it", || async {
        leases.acquired() >= acquired + 3 && leases.extended() > extended
    })
    .await;
    let cat = world.happens("cat").await;
    let told = answer(&mut resumed).await;
    assert_eq!(events(&told), [cat]);
    assert!(ended(&mut resumed).await.is_empty(), "one answer");
}
