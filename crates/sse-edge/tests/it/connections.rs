//! HTTP around a stream: other requests on its connection, other versions, unexpected bodies,
//! clients that close their side early.

use serde_json::json;
use sse_edge::EdgeConfig;
use testkit::mcp_client::ModernClient;

use super::{raw::*, world::*};

const RECENT: &str = "GET /events/recent HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// An edge whose drain is short.
async fn world() -> (EdgeWorld, Node) {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        drain_seconds: 1,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    (world, node)
}

/// The stream is open, and delivers.
async fn delivers(raw: &mut Raw, world: &EdgeWorld) {
    raw.read_until("event: connected").await;
    let id = world.happens("cat").await;
    raw.read_until(&format!("\"{id}\"")).await;
}

async fn none_open(node: &Node) {
    for kind in ["events", "listen"] {
        until("the stream is closed", || async {
            node.open_streams(kind) == 0
        })
        .await;
    }
}

/// The request for a stream of the stateless era; its header section ends with `headers`.
fn listen(headers: &str) -> (String, String) {
    let filter = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
    let message = ModernClient::new().message("subscriptions/listen", filter);
    let mut head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                    accept: application/json, text/event-stream\r\n"
        .to_owned();
    for (name, value) in &ModernClient::headers(&message) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    (format!("{head}{headers}\r\n"), message.to_string())
}

#[tokio::test]
async fn a_stream_may_be_asked_for_behind_other_requests() {
    let (world, a) = world().await;
    let mut raw = Raw::ask(&a, &format!("{RECENT}{RECENT}{EVENTS}")).await;
    raw.read_until("event: connected").await;
    delivers(&mut raw, &world).await;
    let text = raw.text();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    let last = text.rfind("HTTP/1.1").unwrap();
    assert!(text[last..].contains("text/event-stream"), "{text}");
    assert!(text[last..].contains("connection: close"), "{text}");
}

#[tokio::test]
async fn requests_behind_a_stream_change_nothing_and_are_not_answered() {
    let (world, a) = world().await;
    let mut raw = Raw::ask(&a, &format!("{EVENTS}{RECENT}")).await;
    delivers(&mut raw, &world).await;
    raw.write(RECENT).await;
    delivers(&mut raw, &world).await;
    a.life.shut_down();
    raw.read_to_end().await;
    let got = raw.got();
    assert!(got.is_whole, "{}", raw.text());
    assert_eq!(got.events().len(), 2);
    none_open(&a).await;
}

#[tokio::test]
async fn a_client_that_sends_no_more_is_gone() {
    let (_world, a) = world().await;
    for reads_first in [true, false] {
        let mut raw = Raw::ask(&a, EVENTS).await;
        if reads_first {
            raw.read_until("event: connected").await;
        }
        raw.finish_writing().await;
        raw.read_to_end().await;
        none_open(&a).await;
    }
}

#[tokio::test]
async fn the_head_of_a_stream_is_answered_without_one() {
    let (_world, a) = world().await;
    let mut raw = Raw::ask(&a, &EVENTS.replace("GET", "HEAD")).await;
    raw.read_until("\r\n\r\n").await;
    assert!(raw.text().starts_with("HTTP/1.1 200 OK"), "{}", raw.text());
    assert!(raw.text().contains("text/event-stream"), "{}", raw.text());
    assert!(raw.text().ends_with("\r\n\r\n"), "{}", raw.text());
    none_open(&a).await;
}

#[tokio::test]
async fn http_1_0_gets_its_events_without_chunks() {
    let (world, a) = world().await;
    let mut raw = Raw::ask(&a, &EVENTS.replace("/1.1", "/1.0")).await;
    delivers(&mut raw, &world).await;
    delivers(&mut raw, &world).await;
    a.life.shut_down();
    raw.read_to_end().await;
    let got = raw.got();
    assert!(!got.head.contains("transfer-encoding"), "{}", got.head);
    assert_eq!(got.events().len(), 2);
    assert!(raw.bytes.ends_with(b"\n\n"), "{}", raw.text());
}

#[tokio::test]
async fn a_client_that_asks_whether_it_may_go_on_is_told_so() {
    let (world, a) = world().await;
    let (head, body) = listen("expect: 100-continue\r\n");
    let length = format!("content-length: {}\r\n\r\n", body.len());
    let head = head.replace("\r\n\r\n", &format!("\r\n{length}"));
    let mut raw = Raw::ask(&a, &head).await;
    raw.read_until("\r\n\r\n").await;
    assert_eq!(raw.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.forget();
    raw.write(&body).await;
    raw.read_until("subscriptions/acknowledged").await;
    world.happens("cat").await;
    raw.read_until("resources/updated").await;
    assert!(raw.text().starts_with("HTTP/1.1 200 OK"), "{}", raw.text());

    // No body will follow, so no interim response precedes the answer.
    let asks = EVENTS.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let mut raw = Raw::ask(&a, &asks).await;
    delivers(&mut raw, &world).await;
    assert!(raw.text().starts_with("HTTP/1.1 200 OK"), "{}", raw.text());
}

#[tokio::test]
async fn a_body_that_a_stream_has_no_use_for_is_left() {
    let (world, a) = world().await;
    let with_body = |length: usize| {
        let length = format!("\r\ncontent-length: {length}\r\n\r\n");
        EVENTS.replace("\r\n\r\n", &length)
    };
    // All of it at once, all of it late, and part of it.
    let small = "x".repeat(10_000);
    let mut raw = Raw::ask(&a, &(with_body(10_000) + &small)).await;
    delivers(&mut raw, &world).await;
    let mut late = Raw::ask(&a, &with_body(10_000)).await;
    late.read_until("event: connected").await;
    late.write(&small).await;
    delivers(&mut late, &world).await;
    let mut part = Raw::ask(&a, &(with_body(100_000) + &small)).await;
    delivers(&mut part, &world).await;
    for raw in [&mut raw, &mut late, &mut part] {
        delivers(raw, &world).await;
    }
    a.life.shut_down();
    for raw in [&mut raw, &mut late, &mut part] {
        raw.read_to_end().await;
        assert!(raw.got().is_whole, "{}", raw.text());
    }
}

#[tokio::test]
async fn what_comes_behind_the_body_of_a_listener_is_left() {
    let (world, a) = world().await;
    let (head, body) = listen("");
    let length = format!("\r\ncontent-length: {}\r\n\r\n", body.len());
    let head = head.replace("\r\n\r\n", &length);
    let mut raw = Raw::ask(&a, &format!("{head}{body}{}", "\r\n".repeat(1000))).await;
    raw.read_until("subscriptions/acknowledged").await;
    world.happens("cat").await;
    raw.read_until("resources/updated").await;
    // In chunks, and byte by byte.
    let (head, body) = listen("transfer-encoding: chunked\r\n");
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut raw = Raw::ask(&a, "").await;
    for byte in chunked.chars() {
        raw.write(&byte.to_string()).await;
    }
    raw.read_until("subscriptions/acknowledged").await;
    world.happens("cat").await;
    raw.read_until("resources/updated").await;
    drop(raw);
    a.life.shut_down();
    none_open(&a).await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_opens_a_stream() {
    let (world, a) = world().await;
    let mut raw = Raw::ask(&a, "").await;
    for byte in EVENTS.chars() {
        raw.write(&byte.to_string()).await;
        tokio::task::yield_now().await;
    }
    delivers(&mut raw, &world).await;
    raw.is_quiet().await;
}
