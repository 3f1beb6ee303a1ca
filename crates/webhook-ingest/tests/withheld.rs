//! Strangers who hold back the end of bodies, and an honest delivery from the same address.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod harness;

use std::{net::SocketAddr, time::Duration};

use harness::{Ingest, SECRET, issue, signature};
use serde_json::json;
use service_kit::{
    http::{HttpLimits, bind, serve},
    lifecycle::Lifecycle,
    limits::{BODY_BUDGET_BYTES, SMALL_BODIES_BYTES},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

const LARGEST: usize = 25 * 1024 * 1024;
/// Shorter than the time that a body may take, so that an honest delivery does not wait for that.
const AT_ONCE: Duration = Duration::from_secs(8);
const LONG_SECONDS: u64 = 60;

fn head(length: usize, guid: &str, signature: &str) -> String {
    format!(
        "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nX-GitHub-Event: issues\r\nX-GitHub-Delivery: {guid}\r\n\
         X-Hub-Signature-256: {signature}\r\n\r\n"
    )
}

async fn exchange(address: SocketAddr, parts: &[&[u8]]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    for part in parts {
        // The server may answer before it has read everything.
        let _ = socket.write_all(part).await;
    }
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends all of a body but its last byte, and waits for the answer.
fn withhold(address: SocketAddr, bytes: usize) -> JoinHandle<String> {
    tokio::spawn(async move {
        let head = head(bytes, "stranger", &signature("wrong", b""));
        let piece = vec![b' '; bytes - 1];
        exchange(address, &[head.as_bytes(), &piece]).await
    })
}

/// A delivery as GitHub sends it, of this size.
async fn deliver(address: SocketAddr, guid: &str, bytes: usize) -> String {
    let mut payload = issue(7, "opened");
    payload["filler"] = json!("x".repeat(bytes));
    let body = payload.to_string();
    let head = head(body.len(), guid, &signature(SECRET, body.as_bytes()));
    let parts = [head.as_bytes(), body.as_bytes()];
    timeout(AT_ONCE, exchange(address, &parts))
        .await
        .expect("an answer at once")
}

fn value(ingest: &Ingest, name: &str) -> usize {
    let metrics = ingest.metrics();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_withheld_bodies_keep_no_delivery_out_small_or_large() {
    let config = json!({"webhook_secrets": [SECRET], "body_timeout_seconds": LONG_SECONDS});
    let ingest = Ingest::with(&config, 100);
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let router = ingest.router.clone();
    tokio::spawn(serve(
        listener,
        router,
        HttpLimits::default(),
        lifecycle.clone(),
    ));
    let strangers: Vec<_> = (0..10).map(|_| withhold(address, LARGEST)).collect();
    let large = || value(&ingest, "forgewire_body_bytes{size=\"large\"} ");
    let filled = async {
        while large() < BODY_BUDGET_BYTES - SMALL_BODIES_BYTES - LARGEST {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(AT_ONCE, filled)
        .await
        .expect("strangers fill the part of large bodies");
    for (guid, bytes) in [("small", 20_000), ("large", 20 << 20), ("again", 100_000)] {
        let answer = deliver(address, guid, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{guid}: {answer}");
        let held = large() + value(&ingest, "forgewire_body_bytes{size=\"small\"} ");
        assert!(held <= BODY_BUDGET_BYTES, "{held}");
    }
    let stalled = value(
        &ingest,
        "forgewire_bodies_given_up_total{reason=\"stalled\"} ",
    );
    assert!(stalled > 0, "room is made, not waited for");
    // Each of them is told, and the rest is given up because it makes no progress.
    for stranger in strangers {
        let answer = timeout(harness::PATIENCE, stranger).await.unwrap().unwrap();
        let is_told = answer.starts_with("HTTP/1.1 408") || answer.starts_with("HTTP/1.1 503");
        assert!(is_told, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(
            ["body_stalled", "overloaded"]
                .iter()
                .any(|code| answer.contains(code)),
            "{answer}"
        );
    }
    lifecycle.hard_stop();
}
