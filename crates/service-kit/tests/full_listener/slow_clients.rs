//! Clients that do not take their answers, or send their bodies byte by byte, at the bound.

use std::{net::Ipv4Addr, task::Poll};

use axum::response::Response;
use futures_util::future::join_all;
use service_kit::http::RequestSender;
use stream_driver::{FillResult, Handover, OutgoingFrames, SendProgress, StreamSource};
use tokio::{
    net::TcpSocket,
    task::JoinSet,
    time::{interval, sleep},
};

use super::*;

/// More than the kernel holds of an answer for a client that takes nothing.
const LARGE_BYTES: usize = 16 * 1024 * 1024;
const LARGE: &str = "GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
const ENDLESS: &str = "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n";
/// Between two bytes of a body: shorter than a pause for which a connection ends.
const DRIP_INTERVAL: Duration = Duration::from_millis(100);

/// A stream that always has more, and whose client may be behind for ever.
struct EndlessStream;

impl StreamSource for EndlessStream {
    fn poll_fill(
        &mut self,
        _: &mut std::task::Context<'_>,
        out: &mut OutgoingFrames,
    ) -> Poll<FillResult> {
        out.push_unrepeatable(|buffer| buffer.extend_from_slice(&[b'x'; 64 * 1024]));
        Poll::Ready(FillResult::Frames)
    }

    fn record_progress(&mut self, _: SendProgress) {}

    fn should_give_up(&self, _: Duration) -> bool {
        false
    }
}

async fn endless() -> Response {
    let handover = Handover::new(Box::new(EndlessStream));
    let mut response = Response::new(Body::new(handover.body()));
    response.extensions_mut().insert(handover);
    response
}

/// Reads the body of the principal that the request names.
async fn named(request: Request) -> Bytes {
    let sender = request.extensions().get::<RequestSender>().unwrap();
    sender.name(&request.headers()["x-principal"]);
    to_bytes(request.into_body(), MAX_BODY_BYTES).await.unwrap()
}

fn start_large() -> (SocketAddr, Lifecycle) {
    let large = Bytes::from(vec![b'x'; LARGE_BYTES]);
    let router = routes(&Arc::default())
        .route("/large", get(|| async move { large }))
        .route("/endless", get(endless))
        .route("/named", post(named));
    serve_routes(router)
}

/// Connects from an address of this machine.
async fn connect_from(last: u8, addr: SocketAddr, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = Ipv4Addr::new(127, 0, 0, last);
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The head of a request with a body of nine bytes, and its first one.
fn begun(path: &str, principal: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nx-principal: {principal}\r\ncontent-length: 9\r\n\r\n1"
    )
}

/// Sends a byte of the body now and then, until the server closes.
async fn drip(mut stream: TcpStream) {
    let mut ticks = interval(DRIP_INTERVAL);
    while stream.write_all(b"1").await.is_ok() {
        ticks.tick().await;
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_make_room() {
    let (addr, life) = start_large();
    let strangers = join_all((0..5 * MAX).map(|_| connect(addr, LARGE))).await;
    for _ in 0..2 * MAX {
        let mut another = connect(addr, "").await;
        ask(&mut another, HELLO, "hello").await;
    }
    drop(strangers);
    life.hard_stop();
}

/// Small answers to requests that were sent all at once: each is whole, and waits for room in the kernel.
#[tokio::test]
async fn answers_to_requests_sent_ahead_make_room() {
    let (addr, life) = start_large();
    let ahead = STREAM.len() * 64 * 1024;
    let requests = HELLO.repeat(ahead / HELLO.len());
    let mut strangers = JoinSet::new();
    for _ in 0..2 * MAX {
        let requests = requests.clone();
        strangers.spawn(async move {
            let mut stream = connect(addr, "").await;
            let sent = stream.write_all(requests.as_bytes()).await;
            // Keeps it open, and reads nothing.
            std::future::pending::<()>().await;
            drop((stream, sent));
        });
    }
    for _ in 0..2 * MAX {
        let mut another = connect(addr, "").await;
        ask(&mut another, HELLO, "hello").await;
    }
    life.hard_stop();
}

#[tokio::test]
async fn bodies_that_drip_make_room() {
    let (addr, life) = start_large();
    let head = "POST /post HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n1";
    let mut strangers = JoinSet::new();
    for _ in 0..5 * MAX {
        strangers.spawn(drip(connect(addr, head).await));
    }
    for _ in 0..2 * MAX {
        let mut another = connect(addr, "").await;
        ask(&mut another, HELLO, "hello").await;
    }
    life.hard_stop();
}

#[tokio::test]
async fn a_stream_whose_client_is_behind_makes_no_room() {
    let (addr, life) = start_large();
    let mut streams = join_all((0..MAX).map(|_| connect(addr, ENDLESS))).await;
    for stream in &mut streams {
        ask(stream, "", "xxxx").await;
    }
    let mut another = connect(addr, HELLO).await;
    let waits = timeout(2 * PATIENCE, another.read(&mut [0])).await;
    assert!(waits.is_err(), "there is no room for it");
    for stream in &mut streams {
        let mut more = vec![0; 256 * 1024];
        let reading = timeout(DEADLINE, stream.read_exact(&mut more)).await;
        reading.expect("it goes on").unwrap();
    }
    life.hard_stop();
}

/// The oldest unfinished request is of an address, or of a principal, that has only this one.
#[tokio::test]
async fn the_sender_with_most_unfinished_requests_gives_way_first() {
    let by_address = ("/post", (2, "a"), (3, "a"));
    let by_principal = ("/named", (2, "a"), (2, "b"));
    for (path, honest, strangers) in [by_address, by_principal] {
        let (addr, life) = start_large();
        let mut slow = connect_from(honest.0, addr, &begun(path, honest.1)).await;
        let mut dripping = JoinSet::new();
        for _ in 1..MAX {
            let begun = begun(path, strangers.1).replace(": 9", ": 100000");
            dripping.spawn(drip(connect_from(strangers.0, addr, &begun).await));
        }
        // Then each of them has had its time.
        sleep(PATIENCE).await;
        let mut others = Vec::new();
        for _ in 0..MAX / 2 {
            let mut another = connect_from(4, addr, "").await;
            ask(&mut another, HELLO, "hello").await;
            others.push(another);
        }
        ask(&mut slow, "23456789", "123456789").await;
        life.hard_stop();
    }
}
