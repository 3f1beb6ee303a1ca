//! An answer that leaves something out says so: events that the log no longer has, and ids from which
//! this server cannot continue.

use std::sync::Arc;

use async_trait::async_trait;
use model::{EventId, Sequence, SharedKey, StoredEvent, SystemClock, Timestamp};
use ports::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use store_memory::MemorySessionStore;
use testkit::{mcp_client::McpClient, sse};

use super::{calls::message, world, world::*};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// A log that has removed the first two of five events; and the time of the first that is left.
async fn trimmed() -> (EdgeWorld, Node, Timestamp) {
    let world = EdgeWorld::keeping(3).await;
    let node = world.node().await;
    let mut received = Timestamp::default();
    for _ in 0..5 {
        // Times are kept to the millisecond: each event gets one of its own.
        until("the clock has moved", || async {
            Timestamp::parse(&now()).unwrap() > received
        })
        .await;
        world.happens("cat").await;
        received = Timestamp::parse(&now()).unwrap();
    }
    let kept = world.log.read_after(Sequence(2), 1).await.unwrap();
    let first = kept.events[0].item.facts.received_at;
    (world, node, first)
}

fn now() -> String {
    model::Clock::now(&model::SystemClock).to_string()
}

async fn truncated(node: &Node, path: &str) -> bool {
    let list: Value = reqwest::get(node.at(path))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    list["truncated"]
        .as_bool()
        .unwrap_or_else(|| panic!("{list}"))
}

async fn tool_truncated(node: &Node, name: &str, arguments: Value) -> bool {
    let client = connect(node).await;
    let result = client.call_tool(&node.url, name, arguments).await.unwrap();
    result["structuredContent"]["truncated"]
        .as_bool()
        .unwrap_or_else(|| panic!("{result}"))
}

/// Whether the stream's second frame says that events are gone.
async fn stream_truncated(world: &EdgeWorld, node: &Node, query: &str, headers: HeaderMap) -> bool {
    let url = node.at(&format!("/events/stream?{query}"));
    let mut stream = sse::open(&url, headers).await.unwrap();
    let connected = stream.next_event(SOON).await.unwrap();
    assert_eq!(connected.event.as_deref(), Some("connected"), "{query}");
    world.happens("cat").await;
    let next = stream.next_event(SOON).await.unwrap();
    let truncated = next.event.as_deref() == Some("truncated");
    if truncated {
        assert_eq!(next.json().unwrap()["truncated"], true);
        assert!(next.id.is_some(), "a client resumes after the notice");
    } else {
        assert_eq!(next.event.as_deref(), Some("event"), "{query}");
    }
    truncated
}

#[tokio::test]
async fn a_replay_from_a_time_says_what_was_removed() {
    let (world, node, first_kept) = trimmed().await;
    let replay = |from: &str| format!("/events/replay/{from}");
    assert!(truncated(&node, &replay(LONG_AGO)).await);
    assert!(!truncated(&node, &replay(&first_kept.to_string())).await);
    let from = |from: &str| json!({ "from": from });
    assert!(tool_truncated(&node, "replay_events", from(LONG_AGO)).await);
    let kept = from(&first_kept.to_string());
    assert!(!tool_truncated(&node, "replay_events", kept).await);
    let gaps = "forgewire_edge_gaps_total{reason=\"trimmed\"}";
    let before = node.metric(gaps);
    let since = format!("lastEventId={LONG_AGO}");
    assert!(stream_truncated(&world, &node, &since, HeaderMap::new()).await);
    assert_eq!(node.metric(gaps), before + 1);
    let mut header = HeaderMap::new();
    header.insert("last-event-id", HeaderValue::from_static(LONG_AGO));
    assert!(stream_truncated(&world, &node, "", header).await);
    let since = "lastEventId=2099-01-01T00:00:00Z";
    assert!(!stream_truncated(&world, &node, since, HeaderMap::new()).await);
}

#[tokio::test]
async fn a_subscription_since_a_cursor_says_what_was_removed() {
    let world = EdgeWorld::keeping(3).await;
    let node = world.node().await;
    let mut cursors = Vec::new();
    for _ in 0..5 {
        world.happens("cat").await;
        let recent = reqwest::get(node.at("/events/recent?limit=1"))
            .await
            .unwrap();
        let recent: Value = recent.json().await.unwrap();
        cursors.push(recent["nextCursor"].clone());
    }
    for (since, gone) in [(&cursors[0], json!(true)), (&cursors[1], Value::Null)] {
        let asked = reqwest::Client::new()
            .post(node.at("/events/subscribe"))
            .json(&json!({ "since": since }));
        let made: Value = asked.send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&made["success"], &made["truncated"]),
            (&json!(true), &gone)
        );
    }
}

#[tokio::test]
async fn pages_after_the_first_do_not_repeat_that_events_are_gone() {
    let (_world, node, _) = trimmed().await;
    let path = format!("/events/replay/{LONG_AGO}?limit=1");
    let page: Value = reqwest::get(node.at(&path))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(page["truncated"], true);
    let cursor = page["nextCursor"].as_str().unwrap();
    assert!(!truncated(&node, &format!("{path}&cursor={cursor}")).await);
}

#[tokio::test]
async fn the_newest_events_say_when_older_ones_are_gone() {
    let (_world, node, _) = trimmed().await;
    for (path, gone) in [
        ("/events/recent", true),
        ("/events/recent?limit=4", true),
        ("/events/recent?limit=3", false),
        ("/events/recent?repo=dog", true),
        ("/events/recent?order=asc", true),
    ] {
        assert_eq!(truncated(&node, path).await, gone, "{path}");
    }
    assert!(tool_truncated(&node, "get_recent_events", json!({})).await);
    let newest = json!({ "limit": 3 });
    assert!(!tool_truncated(&node, "get_recent_events", newest).await);
    let client = connect(&node).await;
    let read = client
        .read_resource(&node.url, "github://events")
        .await
        .unwrap();
    let content: Value = serde_json::from_str(read[0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(content["truncated"], true, "{content}");
}

#[tokio::test]
async fn a_log_that_was_never_trimmed_is_whole() {
    let (world, node, _) = EdgeWorld::two().await;
    world.happens("cat").await;
    for path in [&format!("/events/replay/{LONG_AGO}"), "/events/recent"] {
        assert!(!truncated(&node, path).await, "{path}");
    }
    let since = json!({ "from": LONG_AGO });
    assert!(!tool_truncated(&node, "replay_events", since).await);
    let since = format!("lastEventId={LONG_AGO}");
    assert!(!stream_truncated(&world, &node, &since, HeaderMap::new()).await);
}

/// A log that has removed all of its events, an edge that had them in memory, and one that began afterwards; a
/// cursor from the middle of what is gone, and one from its end.
async fn emptied() -> (EdgeWorld, [Node; 2], String, String) {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let cursor = async || {
        let list: Value = reqwest::get(node.at("/events/recent"))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        list["nextCursor"].as_str().unwrap().to_owned()
    };
    world.happens("cat").await;
    world.settle(&node).await;
    let middle = cursor().await;
    world.happens("cat").await;
    world.settle(&node).await;
    let end = cursor().await;
    let removed = world.log.trim(Timestamp::MAX).await.unwrap();
    assert_eq!(removed, 2);
    let later = world.node().await;
    (world, [node, later], middle, end)
}

/// Whether the second frame of a stream says that events are gone, where no event comes.
async fn silent_stream_truncated(node: &Node, last_id: &str) -> bool {
    let url = node.at("/events/stream");
    let mut stream = sse::resume(&url, HeaderMap::new(), last_id).await.unwrap();
    stream.next_event(SOON).await.unwrap();
    let frame = stream.next_event(QUIET).await;
    frame.is_ok_and(|frame| frame.event.as_deref() == Some("truncated"))
}

#[tokio::test]
async fn a_log_that_was_emptied_says_so_on_every_surface_and_edge() {
    let (_world, nodes, middle, end) = emptied().await;
    for node in &nodes {
        let replay = format!("/events/replay/{LONG_AGO}");
        for (path, gone) in [
            (replay.clone(), true),
            (format!("{replay}?order=desc"), true),
            (format!("{replay}?cursor={middle}"), true),
            (format!("{replay}?cursor={end}"), false),
            ("/events/replay/2099-01-01".to_owned(), false),
            ("/events/recent".to_owned(), true),
            (format!("/events/recent?from={LONG_AGO}"), true),
            ("/events/recent?from=2099-01-01".to_owned(), false),
            (format!("/events/recent?before={end}"), true),
        ] {
            assert_eq!(truncated(node, &path).await, gone, "{path}");
        }
        for (tool, arguments, gone) in [
            ("replay_events", json!({ "fromTimestamp": LONG_AGO }), true),
            (
                "replay_events",
                json!({ "from": LONG_AGO, "order": "desc" }),
                true,
            ),
            ("replay_events", json!({ "cursor": middle }), true),
            (
                "replay_events",
                json!({ "cursor": middle, "waitSeconds": 50 }),
                true,
            ),
            ("replay_events", json!({ "cursor": end }), false),
            (
                "wait_for_events",
                json!({ "cursor": middle, "maxWaitSeconds": 50 }),
                true,
            ),
            (
                "wait_for_events",
                json!({ "cursor": end, "maxWaitSeconds": 1 }),
                false,
            ),
            ("get_recent_events", json!({}), true),
            ("get_recent_events", json!({ "before": end }), true),
            (
                "manage_events",
                json!({ "action": "replay", "fromTimestamp": LONG_AGO }),
                true,
            ),
            ("manage_events", json!({ "action": "get_recent" }), true),
        ] {
            let found = tool_truncated(node, tool, arguments.clone()).await;
            assert_eq!(found, gone, "{tool} {arguments}");
        }
        let client = connect(node).await;
        for uri in ["github://events", "github://events/octo/cat"] {
            let read = client.read_resource(&node.url, uri).await.unwrap();
            let content: Value = serde_json::from_str(read[0]["text"].as_str().unwrap()).unwrap();
            assert_eq!(content["truncated"], true, "{content}");
        }
    }
    // The edge that still has the events in memory gives them; the other says that they are gone.
    let [_, later] = &nodes;
    for (id, gone) in [
        (LONG_AGO, true),
        ("2099-01-01T00:00:00Z", false),
        (&*middle, true),
        (&*end, false),
    ] {
        assert_eq!(silent_stream_truncated(later, id).await, gone, "{id}");
    }
}

/// The stream of a session that was away while its events were removed.
#[tokio::test]
async fn a_session_whose_events_were_removed_is_told() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let client = connect(&node).await;
    world::subscribe(&client, &node, "cat").await;
    let mut stream = client.open_stream(&node.url, None).await.unwrap();
    world.happens("cat").await;
    next_events(&mut stream, 1).await;
    let id = stream.last_id().unwrap().to_owned();
    drop(stream);
    world.happens("cat").await;
    world.log.trim(Timestamp::MAX).await.unwrap();
    let later = world.node().await;
    let mut stream = client.open_stream(&later.url, Some(&id)).await.unwrap();
    let notice = message(&mut stream).await;
    assert_eq!(notice["params"]["data"]["truncated"], true, "{notice}");
}

/// Another log has removed nothing, and what came before it is in none.
#[tokio::test]
async fn a_start_in_a_log_that_was_replaced_is_told_by_time_as_by_cursor() {
    let (first, second) = (EdgeWorld::new().await, EdgeWorld::new().await);
    first.happens("cat").await;
    let log = Arc::new(ReplacedLog::new(Arc::clone(&first.log)));
    let mut stores = first.stores.clone();
    stores.log = Arc::<ReplacedLog>::clone(&log);
    let world = EdgeWorld::on(stores).await;
    let node = world.node().await;
    let list: Value = reqwest::get(node.at("/events/recent"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let cursor = list["nextCursor"].as_str().unwrap();
    let before = now();
    log.replace(Arc::clone(&second.log));
    let replaced = "forgewire_edge_gaps_total{reason=\"log_replaced\"}";
    until("the edge follows the other log", || async {
        node.metric(replaced) > 0
    })
    .await;
    let after = Timestamp::parse(&now())
        .unwrap()
        .plus(std::time::Duration::from_secs(1));
    let replay = |from: &str| format!("/events/replay/{from}");
    for (path, gone) in [
        (replay(&before), true),
        (format!("{}?order=desc", replay(&before)), true),
        (format!("{}?cursor={cursor}", replay(&before)), true),
        (format!("/events/recent?from={before}"), true),
        (replay(&after.to_string()), false),
    ] {
        assert_eq!(truncated(&node, &path).await, gone, "{path}");
    }
    assert!(tool_truncated(&node, "replay_events", json!({ "from": before })).await);
    assert!(tool_truncated(&node, "replay_events", json!({ "cursor": cursor })).await);
    let wait = json!({ "cursor": cursor, "maxWaitSeconds": 50 });
    assert!(tool_truncated(&node, "wait_for_events", wait).await);
    // Who goes on from that answer, still in an empty log, has been told.
    let mut cursor_now = cursor.to_owned();
    for told in [true, false, false] {
        let path = format!("{}?cursor={cursor_now}", replay(&before));
        let list = reqwest::get(node.at(&path)).await.unwrap();
        let list: Value = list.json().await.unwrap();
        assert_eq!(list["truncated"], told, "{list}");
        list["nextCursor"]
            .as_str()
            .unwrap()
            .clone_into(&mut cursor_now);
    }
    let again = json!({ "from": before, "cursor": cursor_now });
    assert!(!tool_truncated(&node, "replay_events", again).await);
    assert!(silent_stream_truncated(&node, &before).await);
    assert!(silent_stream_truncated(&node, cursor).await);
    assert!(!silent_stream_truncated(&node, &after.to_string()).await);
}

/// Ids of which this server issued none. The empty one means none (HTML, "Server-sent events").
fn unreadable() -> Vec<(&'static str, HeaderMap)> {
    let of = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("last-event-id", HeaderValue::from_bytes(value).unwrap());
        }
        headers
    };
    vec![
        ("garbage", of(&[b"nonsense"])),
        ("not ASCII", of(&["caf\u{e9}".as_bytes()])),
        ("too long", of(&[&[b'a'; 600]])),
        ("a list", of(&[b"nonsense, nonsense"])),
        ("two headers", of(&[b"a", b"b"])),
    ]
}

#[tokio::test]
async fn a_stream_after_an_unreadable_id_opens_and_says_so() {
    let (world, node, _) = EdgeWorld::two().await;
    let gaps = "forgewire_edge_gaps_total{reason=\"unknown_cursor\"}";
    for (expected, (what, headers)) in (1..).zip(unreadable()) {
        assert!(stream_truncated(&world, &node, "", headers).await, "{what}");
        assert_eq!(node.metric(gaps), expected, "{what}");
    }
    let parameter = "lastEventId=nonsense";
    assert!(stream_truncated(&world, &node, parameter, HeaderMap::new()).await);
    let mut empty = HeaderMap::new();
    empty.insert("last-event-id", HeaderValue::from_static(""));
    assert!(!stream_truncated(&world, &node, "", empty.clone()).await);
    assert!(!stream_truncated(&world, &node, "lastEventId=", empty.clone()).await);
    // The address of an EventSource keeps the parameter; its header is empty until it has an id.
    assert!(stream_truncated(&world, &node, parameter, empty).await);
}

#[tokio::test]
async fn a_session_after_an_unreadable_id_is_told() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a).await;
    let foreign = {
        let other = connect(&a).await;
        let mut stream = other.open_stream(&a.url, None).await.unwrap();
        stream.next_event(SOON).await.unwrap().id.unwrap()
    };
    let mut ids = unreadable();
    let mut of_another_session = HeaderMap::new();
    of_another_session.insert("last-event-id", foreign.parse().unwrap());
    ids.push(("another session's", of_another_session));
    let gaps = "forgewire_edge_gaps_total{reason=\"unknown_cursor\"}";
    for (expected, (what, id)) in (1..).zip(ids) {
        let mut headers = client.headers();
        headers.extend(id);
        let mut stream = sse::open(&b.at("/mcp"), headers).await.unwrap();
        let primed = stream.next_event(SOON).await.unwrap();
        assert_eq!(
            primed.data.as_deref(),
            Some(""),
            "{what}: the priming event"
        );
        let notice = stream.next_event(SOON).await.unwrap().json().unwrap();
        assert_eq!(notice["params"]["level"], "warning", "{what}: {notice}");
        assert_eq!(notice["params"]["data"]["truncated"], true, "{what}");
        assert_eq!(b.metric(gaps), expected, "{what}");
    }
    drop(world);
}

async fn subscribe(client: &McpClient, node: &Node) {
    client
        .subscribe(&node.url, "github://events")
        .await
        .unwrap();
}

/// The keys of the roles seal cursors where the edges have no keys of their own: then a position cannot be
/// made up by whoever knows the identity of the log, and a cursor of one edge is read on the others.
#[tokio::test]
async fn the_keys_of_the_roles_seal_cursors() {
    let mut world = EdgeWorld::new().await;
    let config = EdgeConfig {
        accept_older_cursors: false,
        ..EdgeConfig::default()
    };
    let node = async |world: &EdgeWorld| world.node_with(&config, world.bus.clone()).await;
    let unkeyed = node(&world).await;
    world.role_keys = vec![SharedKey::of_secret([7; 32])];
    let (a, b) = (node(&world).await, node(&world).await);
    world.happens("cat").await;
    let made_up = world.made_up_cursor(Sequence::START);
    let replay = async |node: &Node, cursor: &str| {
        let url = node.at(&format!("/events/replay/2020-01-01?cursor={cursor}"));
        let answer = reqwest::get(url).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    assert_eq!(replay(&unkeyed, &made_up).await.0, 200, "no other key");
    assert_eq!(replay(&a, &made_up).await.0, 400);
    let url = a.at("/events/recent");
    let recent: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let (status, page) = replay(&b, recent["nextCursor"].as_str().unwrap()).await;
    assert_eq!((status, &page["truncated"]), (200, &json!(false)), "{page}");
}

/// What happened since the session subscribed is in no log, and no stream has told its client.
#[tokio::test]
async fn the_first_stream_of_a_session_from_another_log_is_told() {
    let store = Arc::new(MemorySessionStore::new(Arc::new(SystemClock), 100));
    let before = EdgeWorld::on(stores_on(Arc::clone(&store))).await;
    let node = before.node().await;
    let client = connect(&node).await;
    world::subscribe(&client, &node, "cat").await;
    before.happens("cat").await;

    let after = EdgeWorld::on(stores_on(store)).await;
    let node = after.node().await;
    let mut stream = client.open_stream(&node.url, None).await.unwrap();
    let notice = message(&mut stream).await;
    assert_eq!(notice["params"]["data"]["truncated"], true, "{notice}");
    let cat = after.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await[0], cat);
    let counted = "forgewire_edge_gaps_total{reason=\"log_replaced\"}";
    assert_eq!(node.metric(counted), 1);
    let id = stream.last_id().unwrap().to_owned();
    drop(stream);

    // One that knows is not told again.
    let mut stream = client.open_stream(&node.url, Some(&id)).await.unwrap();
    let cat = after.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await[0], cat);
    assert_eq!(node.metric(counted), 1);
}

/// A log in whose place another one can come.
#[derive(Debug)]
struct ReplacedLog(parking_lot::Mutex<Arc<dyn EventLog>>);

impl ReplacedLog {
    fn new(log: Arc<dyn EventLog>) -> Self {
        Self(parking_lot::Mutex::new(log))
    }

    fn now(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.0.lock())
    }

    fn replace(&self, log: Arc<dyn EventLog>) {
        *self.0.lock() = log;
    }
}

#[async_trait]
impl EventLog for ReplacedLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.now().append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.now().read_after(after, limit).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.now().read_before(before, limit).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.now().seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.now().position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.now().head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.now().trim(time).await
    }
}
