//! Answers to requests whose body the router does not read, or not to its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Bytes, HttpBody as _},
    extract::Request,
    routing::post,
};
use service_kit::{
    http::{HttpLimits, bind, serve},
    lifecycle::Lifecycle,
    limits::UNREAD_BODY_BYTES,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

/// Longer than anything here takes, so that a broken promise is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(10);
const SMALL: &str = "content-length: 5\r\n\r\n";
const WHOLE: &str = "content-length: 5\r\n\r\nhello";

/// Refuses without a look at the body, or reads it, or leaves it to a task.
fn router(began: &Arc<Notify>) -> Router {
    let began = Arc::clone(began);
    let refuse = move || async move { began.notify_one() };
    let read = |body: Bytes| async move { format!("{} bytes", body.len()) };
    let leave = |request: Request| async move {
        tokio::spawn(async move {
            let size = request.body().size_hint();
            std::future::pending::<()>().await;
            drop((request, size));
        });
    };
    Router::new()
        .route("/refused", post(refuse))
        .route("/read", post(read))
        .route("/left", post(leave))
}

fn start(began: &Arc<Notify>) -> SocketAddr {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let lifecycle = Lifecycle::new(DEADLINE);
    let serving = serve(listener, router(began), HttpLimits::default(), lifecycle);
    tokio::spawn(serving);
    address
}

/// Reads the answer until it contains this.
async fn read_until(client: &mut TcpStream, wanted: &str) -> String {
    let mut got = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&got).contains(wanted) {
            let read = client.read_buf(&mut got).await.unwrap();
            assert_ne!(read, 0, "closed before {wanted}");
        }
    };
    timeout(DEADLINE, reading).await.unwrap();
    String::from_utf8(got).unwrap()
}

/// The first answer to a request with these headers and body; the connection stays as it is.
async fn ask(address: SocketAddr, path: &str, rest: &str) -> (TcpStream, String) {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{rest}");
    client.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    (client, answer)
}

/// The connection is used for one more request.
async fn assert_stays_open(mut client: TcpStream, answer: &str, what: &str) {
    assert!(!answer.contains("connection: close"), "{what}: {answer}");
    let again = format!("POST /read HTTP/1.1\r\nhost: a\r\n{WHOLE}");
    client.write_all(again.as_bytes()).await.unwrap();
    read_until(&mut client, "5 bytes").await;
}

async fn assert_says_that_it_closes(mut client: TcpStream, answer: &str, what: &str) {
    assert!(answer.contains("connection: close"), "{what}: {answer}");
    assert!(!answer.contains("100 Continue"), "{what}: {answer}");
    // With FIN or RST.
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, client.read_to_end(&mut rest))
        .await
        .expect("the server closes");
}

#[tokio::test]
async fn a_body_that_has_arrived_costs_no_connection_also_if_nobody_reads_it() {
    let address = start(&Arc::default());
    let largest = usize::try_from(UNREAD_BODY_BYTES).unwrap();
    let large = format!("content-length: {largest}\r\n\r\n{}", "x".repeat(largest));
    let chunks = "transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n";
    for path in ["/refused", "/unknown", "/read"] {
        for body in [WHOLE, chunks, &large, "content-length: 0\r\n\r\n"] {
            let (client, answer) = ask(address, path, body).await;
            assert_stays_open(client, &answer, path).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_comes_after_its_head_costs_no_connection_either() {
    let began = Arc::default();
    let address = start(&began);
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /refused HTTP/1.1\r\nhost: a\r\n{SMALL}");
    client.write_all(head.as_bytes()).await.unwrap();
    began.notified().await;
    client.write_all(b"hello").await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert_stays_open(client, &answer, "later").await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_says_that_the_connection_closes() {
    let address = start(&Arc::default());
    let endless = format!(
        "transfer-encoding: chunked\r\n\r\nfffff\r\n{}",
        "x".repeat(100_000)
    );
    let asks = "expect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    for (path, body) in [
        ("/refused", SMALL),
        ("/unknown", SMALL),
        ("/refused", "content-length: 1000000000\r\n\r\nx"),
        ("/refused", "transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n"),
        ("/refused", &endless),
        ("/refused", asks),
    ] {
        let (client, answer) = ask(address, path, body).await;
        assert_says_that_it_closes(client, &answer, path).await;
    }
}

#[tokio::test]
async fn a_body_that_is_read_beside_the_answer_costs_the_connection() {
    let address = start(&Arc::default());
    let (_client, answer) = ask(address, "/left", SMALL).await;
    assert!(answer.contains("connection: close"), "{answer}");
}
