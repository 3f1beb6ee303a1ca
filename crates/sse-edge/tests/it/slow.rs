//! Clients that read slowly or not at all: they affect no other client, and are cut within a
//! bounded time or get everything, however late, as the operator chose.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use access::Authenticator;
use model::SystemClock;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    principals::{SEES_ALL, SEES_CATS, Tokens, headers},
    raw::*,
    world::*,
};

/// Approximate size of an event.
const EVENT_BYTES: usize = 1000;
/// More than hyper, the kernel's send buffer and a small receive buffer together hold for one
/// client.
const MAX_HELD_BYTES: usize = 400 << 10;

fn bounds(max_behind_seconds: u64, max_behind_events: u64) -> EdgeConfig {
    EdgeConfig {
        max_behind_seconds,
        max_behind_events,
        ..EdgeConfig::default()
    }
}

/// Reads the first part of a frame, and no more.
async fn half_a_frame(raw: &mut Raw) {
    while !raw.text().contains("\"filler\":\"xxx") {
        assert_eq!(raw.read(1).await, 1);
    }
}

/// The ids of the events `from..=to`.
fn ids(from: usize, to: usize) -> Vec<String> {
    (from..=to).map(|n| format!("e{n}")).collect()
}

async fn next_event_id(stream: &mut SseStream) -> String {
    loop {
        let frame = stream.next_event(SOON).await.unwrap();
        if frame.event.as_deref() == Some("event") {
            return frame.json().unwrap()["id"].as_str().unwrap().to_owned();
        }
    }
}

/// A continuous flow of events, with the time at which each happened.
#[derive(Clone, Default)]
struct Flow(Arc<Mutex<HashMap<String, Instant>>>);

impl Flow {
    /// Publishes events until the condition holds; returns their number.
    async fn until(&self, world: &EdgeWorld, holds: impl Fn() -> bool) -> usize {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < 2 * SOON, "slow clients stay for ever");
            let now = Instant::now();
            let happened = world.happen("cat", 10, EVENT_BYTES).await;
            let booked = happened.into_iter().map(|id| (id, now));
            self.0.lock().extend(booked);
            if holds() {
                return self.0.lock().len();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The delay of an event; zero if it is not recorded yet, which means hardly any time.
    fn late(&self, id: &str) -> Duration {
        let happened = self.0.lock().get(id).copied();
        happened.map_or(Duration::ZERO, |happened| happened.elapsed())
    }
}

/// Reads everything as it arrives, up to the last of `last` events; returns the delay of each.
fn reads_along(
    mut stream: SseStream,
    flow: Flow,
    mut last: watch::Receiver<usize>,
) -> JoinHandle<Vec<Duration>> {
    tokio::spawn(async move {
        let mut late = Vec::new();
        loop {
            let id = tokio::select! {
                id = next_event_id(&mut stream) => id,
                _ = last.wait_for(|last| *last == late.len()) => return late,
            };
            late.push(flow.late(&id));
            assert_eq!(id, format!("e{}", late.len()), "in order, none left out");
        }
    })
}

/// Reads a little at intervals, until the end or until the last event has been read.
fn drips(
    mut raw: Raw,
    (bytes, pause): (usize, Duration),
    last: watch::Receiver<usize>,
) -> JoinHandle<Raw> {
    tokio::spawn(async move {
        while *last.borrow() == usize::MAX && raw.read(bytes).await > 0 {
            tokio::time::sleep(pause).await;
        }
        raw
    })
}

#[tokio::test]
async fn slow_clients_hurt_nobody_and_end_in_a_bounded_time_with_a_cursor_that_is_right() {
    let world = EdgeWorld::new().await;
    let config = bounds(2, 0);
    let a = world.node_with(&config, world.bus.clone()).await;
    let b = world.node().await;
    let flow = Flow::default();
    let (last_known, last) = watch::channel(usize::MAX);
    // The first one is on the other edge, whose clients are all fast: it shows how busy the machine is.
    let mut readers = Vec::new();
    for node in [&b, &a, &a, &a, &a, &a] {
        let stream = sse::open(&node.at("/events/stream"), HeaderMap::new()).await;
        readers.push(reads_along(stream.unwrap(), flow.clone(), last.clone()));
    }
    let never = Raw::ask_small(&a, EVENTS).await;
    let mut half = Raw::ask_small(&a, EVENTS).await;
    let (drop_by_drop, behind) = (
        Raw::ask_small(&a, EVENTS).await,
        Raw::ask_with(32 << 10, &a, EVENTS).await,
    );
    until("all streams are open", || async {
        a.open_streams("events") == 9
    })
    .await;
    world.happen("cat", 1, EVENT_BYTES).await;
    half_a_frame(&mut half).await;
    // A byte at intervals; and a third of what arrives, so that there is always progress.
    let drop_by_drop = drips(drop_by_drop, (1, Duration::from_millis(300)), last.clone());
    let behind = drips(behind, (10_000, Duration::from_millis(50)), last.clone());

    let began = Instant::now();
    let count = 1 + flow.until(&world, || a.cut_streams("time") == 4).await;
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "cut at once: {took:?}");
    until("they are gone", || async { a.open_streams("events") == 5 }).await;

    last_known.send_replace(count);
    let mut elsewhere = None;
    for reader in readers {
        let mut late = reader.await.unwrap();
        assert_eq!(late.len(), count);
        late.sort();
        let (median, worst) = (late[count / 2], late[count - 1]);
        let there = *elsewhere.get_or_insert((median, worst));
        let bearable =
            median < Duration::from_millis(100) + 3 * there.0 && worst < AT_ONCE + 3 * there.1;
        assert!(bearable, "{median:?}, {worst:?}; elsewhere {there:?}");
    }
    for raw in [Ok(never), Ok(half), drop_by_drop.await, behind.await] {
        came_back(raw.unwrap(), &b, count).await;
    }
}

/// A client that was cut reads what is left for it, reconnects to another edge, and then has
/// everything.
async fn came_back(mut raw: Raw, elsewhere: &Node, count: usize) {
    let taken = raw.bytes.len();
    raw.read_to_end().await;
    let left = raw.bytes.len() - taken;
    assert!(left < MAX_HELD_BYTES, "{left} bytes were held for it");
    let got = raw.got();
    assert!(!got.is_whole, "its stream did not end, it was cut");
    let first = got.events();
    assert!(!first.is_empty() && first.len() < count, "{}", first.len());
    assert_eq!(first, ids(1, first.len()));
    let url = elsewhere.at("/events/stream");
    let resumed = sse::resume(&url, HeaderMap::new(), got.last_id()).await;
    let mut resumed = resumed.unwrap();
    for id in ids(first.len() + 1, count) {
        assert_eq!(next_event_id(&mut resumed).await, id);
    }
    quiet(&mut resumed).await;
}

#[tokio::test]
async fn a_client_that_is_too_many_events_behind_is_cut() {
    let world = EdgeWorld::new().await;
    let config = bounds(0, 500);
    let a = world.node_with(&config, world.bus.clone()).await;
    let raw = Raw::ask_small(&a, EVENTS).await;
    until("it is open", || async { a.open_streams("events") == 1 }).await;
    let flow = Flow::default();
    let count = flow.until(&world, || a.cut_streams("lag") == 1).await;
    assert!(count > 500);
    came_back(raw, &a, count).await;
}

#[tokio::test]
async fn without_bounds_who_stops_for_a_while_gets_everything_in_order_and_once() {
    /// The ring has 8,192.
    const EVENTS_MEANWHILE: usize = 9000;
    let world = EdgeWorld::new().await;
    let config = bounds(0, 0);
    let a = world.node_with(&config, world.bus.clone()).await;
    let mut never = Raw::ask_small(&a, EVENTS).await;
    let mut half = Raw::ask_small(&a, EVENTS).await;
    until("both are open", || async { a.open_streams("events") == 2 }).await;
    let mut happened = world.happen("cat", 1, EVENT_BYTES).await;
    half_a_frame(&mut half).await;
    while happened.len() < EVENTS_MEANWHILE {
        happened.extend(world.happen("cat", 100, 100).await);
    }
    world.settle(&a).await;
    for raw in [&mut never, &mut half] {
        let last = format!("\"{}\"", happened.last().unwrap());
        raw.read_until(&last).await;
        happened.push(world.happens("cat").await);
        let last = format!("\"{}\"", happened.last().unwrap());
        raw.read_until(&last).await;
        raw.read_until("\n\n\r\n").await;
        assert!(raw.got().events() == happened, "each once, in order");
    }
    let from_the_log = a.metric("forgewire_edge_catch_up_pages_total");
    assert!(from_the_log > 0, "the ring had it all");
    assert_eq!(a.open_streams("events"), 2);
    for reason in ["time", "lag"] {
        assert_eq!(a.cut_streams(reason), 0, "{reason}");
    }
}

#[tokio::test]
async fn a_stuck_stream_whose_token_falls_is_cut_and_not_waited_for() {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let config = bounds(0, 0);
    let a = world.node_for(&config, world.bus.clone(), auth).await;
    let url = a.at("/events/stream");
    let request = |token| {
        EVENTS.replace(
            "\r\n\r\n",
            &format!("\r\nauthorization: Bearer {token}\r\n\r\n"),
        )
    };
    let mut raw = Raw::ask_small(&a, &request(SEES_CATS)).await;
    let _stays = Raw::ask_small(&a, &request(SEES_ALL)).await;
    let mut reads = sse::open(&url, headers(SEES_CATS, None)).await.unwrap();
    until("all are open", || async { a.open_streams("events") == 3 }).await;
    // More than is buffered for any client, so those that do not read are stuck.
    let count = 2 * MAX_HELD_BYTES / EVENT_BYTES;
    for id in world.happen("cat", count as u64, EVENT_BYTES).await {
        assert_eq!(next_event_id(&mut reads).await, id);
    }
    tokens.write(&[(SEES_ALL, "all", "")]);
    ended(&mut reads).await;
    let began = Instant::now();
    until("it is cut", || async { a.cut_streams("revoked") == 1 }).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    until("it is gone", || async { a.open_streams("events") == 1 }).await;
    raw.read_to_end().await;
    let got = raw.got().events();
    assert!(!got.is_empty() && got == ids(1, got.len()) && got.len() < count);
}
