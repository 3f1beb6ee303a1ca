//! A stream leaves hyper with its socket, and its client notices nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    response::Response,
    routing::{any, get},
};
use bytes::BufMut;
use parking_lot::Mutex;
use service_kit::{
    http::{HttpLimits, bind, serve},
    lifecycle::{Lifecycle, OnExit},
};
use stream_driver::{FillResult, Handover, OutgoingFrames, SendProgress, StreamSource};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here takes, so that a broken promise is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(20);

/// The commands of a test to the streams that it opened.
#[derive(Default)]
struct Script {
    frames: Mutex<VecDeque<String>>,
    ends: AtomicBool,
    should_give_up: AtomicBool,
    open: AtomicUsize,
    events: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Script {
    fn say(&self, frame: impl Into<String>) {
        self.frames.lock().push_back(frame.into());
        self.wake();
    }

    fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().as_ref() {
            waker.wake_by_ref();
        }
    }
}

struct Stream(Arc<Script>);

impl StreamSource for Stream {
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        *self.0.waker.lock() = Some(cx.waker().clone());
        if let Some(frame) = self.0.frames.lock().front() {
            out.push_event(1, |buffer| buffer.put_slice(frame.as_bytes()));
            return Poll::Ready(FillResult::Frames);
        }
        match self.0.ends.load(Ordering::SeqCst) {
            true => {
                out.push_unrepeatable(|buffer| buffer.put_slice(b"bye"));
                Poll::Ready(FillResult::Last)
            }
            false => Poll::Pending,
        }
    }

    fn record_progress(&mut self, progress: SendProgress) {
        self.0.events.fetch_add(progress.events, Ordering::SeqCst);
        if progress.position.is_some() {
            self.0.frames.lock().pop_front();
        }
    }

    fn should_give_up(&self, _: Duration) -> bool {
        self.0.should_give_up.load(Ordering::SeqCst)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Server {
    addr: SocketAddr,
    life: Lifecycle,
    script: Arc<Script>,
}

fn start(stream_threads: usize) -> Server {
    let script = Arc::<Script>::default();
    let shared = Arc::clone(&script);
    let stream = move || {
        let script = Arc::clone(&shared);
        async move {
            script.open.fetch_add(1, Ordering::SeqCst);
            let handover = Handover::new(Box::new(Stream(script)));
            let mut response = Response::new(Body::new(handover.body()));
            response.extensions_mut().insert(handover);
            response
        }
    };
    let router = Router::new()
        .route("/stream", any(stream))
        .route("/hello", get(|| async { "hello" }));
    let life = Lifecycle::new(DEADLINE);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let limits = HttpLimits {
        stream_threads,
        ..HttpLimits::default()
    };
    let serving = serve(listener, router, limits, life.clone());
    life.spawn("http", OnExit::EndsProcess, serving);
    Server { addr, life, script }
}

impl Server {
    async fn ask(&self, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.addr).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    async fn open(&self) -> TcpStream {
        self.ask("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await
    }

    async fn closed(&self) {
        until(|| self.script.open.load(Ordering::SeqCst) == 0).await;
    }
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap();
}

async fn read_until(client: &mut TcpStream, wanted: &str) -> String {
    let mut got = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&got).contains(wanted) {
            assert_ne!(client.read_buf(&mut got).await.unwrap(), 0, "closed early");
        }
    };
    timeout(DEADLINE, reading).await.unwrap();
    String::from_utf8(got).unwrap()
}

async fn read_to_end(client: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let reading = client.read_to_end(&mut got);
    timeout(DEADLINE, reading).await.unwrap().unwrap();
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn the_head_and_the_first_frame_are_hypers_and_the_rest_comes_from_a_reactor() {
    let server = start(2);
    server.script.say("first");
    let mut client = server.open().await;
    let head = read_until(&mut client, "first\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    server.script.say("second");
    assert_eq!(
        read_until(&mut client, "second\r\n").await,
        "6\r\nsecond\r\n"
    );
    server.script.end();
    assert_eq!(read_to_end(&mut client).await, "3\r\nbye\r\n0\r\n\r\n");
    server.closed().await;
    assert_eq!(server.script.events.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stream_that_says_nothing_at_first_sends_its_head_all_the_same() {
    let server = start(1);
    let mut client = server.open().await;
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    server.script.say("late");
    read_until(&mut client, "late").await;
}

#[tokio::test]
async fn a_stream_that_ends_at_once_is_a_short_answer() {
    let server = start(1);
    server.script.end();
    let mut client = server.open().await;
    read_until(&mut client, "bye\r\n0\r\n\r\n").await;
    // Hyper kept the connection, so it can be used again.
    client
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut client, "hello").await;
}

#[tokio::test]
async fn without_threads_and_where_there_are_no_chunks_hyper_drives() {
    for (threads, version) in [(0, "1.1"), (1, "1.0")] {
        let server = start(threads);
        server.script.say("first");
        let request = format!("GET /stream HTTP/{version}\r\nhost: a\r\n\r\n");
        let mut client = server.ask(&request).await;
        let head = read_until(&mut client, "first").await;
        assert_eq!(head.contains("chunked"), version == "1.1", "{head}");
        server.script.say("second");
        read_until(&mut client, "second").await;
        server.script.end();
        read_until(&mut client, "bye").await;
        server.closed().await;
    }
}

#[tokio::test]
async fn the_answer_to_head_has_no_stream() {
    let server = start(1);
    let mut client = server
        .ask("HEAD /stream HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let head = read_to_end(&mut client).await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    server.closed().await;
}

#[tokio::test]
async fn a_client_that_goes_is_noticed_without_a_write() {
    let server = start(1);
    let mut client = server.open().await;
    read_until(&mut client, "\r\n\r\n").await;
    drop(client);
    server.closed().await;
}

#[tokio::test]
async fn what_a_client_sends_after_its_request_is_dropped_and_too_much_ends_the_stream() {
    let server = start(1);
    let request = "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut client = server
        .ask(&format!("{request}GET /hello HTTP/1.1\r\nhost: a\r\n\r\n"))
        .await;
    read_until(&mut client, "\r\n\r\n").await;
    client.write_all(&[b'x'; 5000]).await.unwrap();
    server.script.say("still here");
    assert!(
        !read_until(&mut client, "still here")
            .await
            .contains("hello")
    );
    // The connection may be cut while the client is still sending.
    let _ = client.write_all(&[b'x'; 1 << 20]).await;
    server.closed().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up_and_hurts_nobody() {
    let server = start(1);
    let client = server.open().await;
    // More than the kernel keeps for a client that does not read.
    for _ in 0..400 {
        server.script.say("x".repeat(64 << 10));
    }
    let taken = || server.script.events.load(Ordering::SeqCst);
    until(|| taken() > 0).await;
    let mut other = server.ask("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
    read_until(&mut other, "hello").await;
    server.script.should_give_up.store(true, Ordering::SeqCst);
    server.closed().await;
    assert!(taken() < 400);
    drop(client);
}

#[tokio::test]
async fn the_drain_waits_for_streams_until_they_end() {
    let server = start(2);
    let mut client = server.open().await;
    read_until(&mut client, "\r\n\r\n").await;
    server.life.shut_down();
    let draining = tokio::spawn({
        let life = server.life.clone();
        async move { life.run(std::future::pending()).await }
    });
    server.script.say("in the drain");
    read_until(&mut client, "in the drain").await;
    assert!(!draining.is_finished());
    server.script.end();
    assert!(read_to_end(&mut client).await.ends_with("0\r\n\r\n"));
    assert!(timeout(DEADLINE, draining).await.unwrap().unwrap().clean);
}

#[tokio::test]
async fn the_hard_stop_closes_streams() {
    let server = start(2);
    let mut client = server.open().await;
    read_until(&mut client, "\r\n\r\n").await;
    server.life.hard_stop();
    timeout(DEADLINE, server.life.run(std::future::pending()))
        .await
        .unwrap();
    server.closed().await;
}
