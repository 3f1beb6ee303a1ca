//! A listener at its bound of connections: those that say nothing give way, those in use stay.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod slow_clients;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use service_kit::{
    http::{HttpLimits, bind, serve},
    lifecycle::{Lifecycle, OnExit},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

/// Longer than anything here takes, so that a broken promise is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(20);
const MAX: usize = 8;
const MAX_BODY_BYTES: usize = 1024;
/// Longer than a head or a body may take at the bound.
const PATIENCE: Duration = Duration::from_millis(1000);
const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
const STREAM: &str = "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n";

fn start() -> (SocketAddr, Lifecycle) {
    start_with(&Arc::default())
}

/// As [`start`]; requests to `/later` are read once they may go on.
fn start_with(go_on: &Arc<Notify>) -> (SocketAddr, Lifecycle) {
    serve_routes(routes(go_on))
}

fn routes(go_on: &Arc<Notify>) -> Router {
    let go_on = Arc::clone(go_on);
    let later = move |request: Request| {
        let go_on = Arc::clone(&go_on);
        async move {
            go_on.notified().await;
            to_bytes(request.into_body(), MAX_BODY_BYTES).await.unwrap()
        }
    };
    let silent = || async {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first"))]);
        Body::from_stream(first.chain(stream::pending()))
    };
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/stream", get(silent))
        .route("/post", post(|body: Bytes| async move { body }))
        .route("/later", post(later))
}

fn serve_routes(router: Router) -> (SocketAddr, Lifecycle) {
    let limits = HttpLimits {
        max_connections: MAX,
        ..HttpLimits::default()
    };
    let life = Lifecycle::new(DEADLINE);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    life.spawn(
        "http",
        OnExit::EndsProcess,
        serve(listener, router, limits, life.clone()),
    );
    (addr, life)
}

async fn connect(addr: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Sends a request and reads until its answer has this text.
async fn ask(stream: &mut TcpStream, request: &str, wanted: &str) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&got).contains(wanted) {
            let count = stream.read_buf(&mut got).await.unwrap();
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&got));
        }
    };
    timeout(DEADLINE, reading).await.expect("an answer");
}

async fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut rest))
        .await
        .expect("the server closes");
}

#[tokio::test]
async fn at_the_bound_the_longest_idle_makes_room() {
    let (addr, life) = start();
    let mut used = connect(addr, "").await;
    ask(&mut used, HELLO, "hello").await;
    let mut stranger = Vec::new();
    for _ in 0..50 * MAX {
        stranger.push(connect(addr, "").await);
        if stranger.len().is_multiple_of(MAX - 1) {
            ask(&mut used, HELLO, "hello").await;
        }
    }
    let mut another = connect(addr, "").await;
    ask(&mut another, HELLO, "hello").await;
    is_closed(&mut stranger[0]).await;
    life.hard_stop();
}

#[tokio::test]
async fn heads_and_bodies_that_do_not_end_make_room_too() {
    let (addr, life) = start();
    for begun in [
        "GET /hel",
        "POST /post HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1",
    ] {
        let mut stranger = Vec::new();
        for _ in 0..5 * MAX {
            stranger.push(connect(addr, begun).await);
        }
        let mut another = connect(addr, "").await;
        ask(&mut another, HELLO, "hello").await;
        is_closed(&mut stranger[0]).await;
    }
    life.hard_stop();
}

#[tokio::test]
async fn a_stream_and_a_request_that_is_worked_on_stay() {
    let (addr, life) = start();
    let mut streams = Vec::new();
    for _ in 0..MAX - 1 {
        let mut stream = connect(addr, "").await;
        ask(&mut stream, STREAM, "first").await;
        streams.push(stream);
    }
    let mut strangers = Vec::new();
    for _ in 0..10 * MAX {
        strangers.push(connect(addr, "").await);
    }
    let mut another = connect(addr, "").await;
    ask(&mut another, HELLO, "hello").await;
    for stream in &mut streams {
        let read = stream.try_read(&mut [0; 16]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    life.hard_stop();
}

/// While all connections are in use a new one waits, and it is served when one ends, also by the stop.
#[tokio::test]
async fn where_nothing_can_end_a_new_connection_waits() {
    let (addr, life) = start();
    let mut streams = Vec::new();
    for _ in 0..MAX {
        let mut stream = connect(addr, "").await;
        ask(&mut stream, STREAM, "first").await;
        streams.push(stream);
    }
    let mut waiting = connect(addr, HELLO).await;
    let mut byte = [0];
    let waits = timeout(Duration::from_millis(200), waiting.read(&mut byte)).await;
    assert!(waits.is_err(), "it is neither served nor closed");
    streams.pop();
    ask(&mut waiting, "", "hello").await;
    life.hard_stop();
}

/// A request waits for a turn or for memory, and its body in the kernel: its client has done its part.
#[tokio::test]
async fn a_request_whose_body_waits_for_the_server_stays() {
    let go_on = Arc::new(Notify::new());
    let (addr, life) = start_with(&go_on);
    let mut streams = Vec::new();
    for _ in 0..MAX - 1 {
        let mut stream = connect(addr, "").await;
        ask(&mut stream, STREAM, "first").await;
        streams.push(stream);
    }
    let request = "POST /later HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole";
    let mut posted = connect(addr, request).await;
    let mut another = connect(addr, HELLO).await;
    let mut byte = [0];
    let waits = timeout(PATIENCE, another.read(&mut byte)).await;
    assert!(waits.is_err(), "there is no room for it");
    go_on.notify_one();
    ask(&mut posted, "", "whole").await;
    ask(&mut another, "", "hello").await;
    life.hard_stop();
}
