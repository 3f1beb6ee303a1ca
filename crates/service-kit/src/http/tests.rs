use axum::{body::Body, extract::Extension, routing::get};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::{Instant, timeout},
};

use super::*;
use crate::lifecycle::{OnExit, ProcessOutcome};

/// Longer than anything here takes, so that a broken promise is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(10);

struct Running {
    addr: SocketAddr,
    life: Lifecycle,
}

fn start(router: Router, limits: HttpLimits, drain: Duration) -> Running {
    let life = Lifecycle::new(drain);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = serve(listener, router, limits, life.clone());
    life.spawn("http", OnExit::EndsProcess, serving);
    Running { addr, life }
}

impl Running {
    async fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        send(&mut stream, path).await;
        stream
    }

    async fn stop(&self) -> ProcessOutcome {
        self.life.shut_down();
        timeout(DEADLINE, self.life.run(std::future::pending()))
            .await
            .unwrap()
    }
}

async fn send(stream: &mut TcpStream, path: &str) {
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .await
        .unwrap();
}

/// Reads until the text has arrived.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut got = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&got).contains(wanted) {
            assert_ne!(
                stream.read_buf(&mut got).await.unwrap(),
                0,
                "closed before {wanted}"
            );
        }
    };
    timeout(DEADLINE, reading).await.unwrap();
    String::from_utf8(got).unwrap()
}

/// Reads until the server closes; whether it did so with FIN or RST does not matter.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut got))
        .await
        .expect("the server closes");
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_and_knows_where_it_came_from() {
    let say = |Extension(RemoteAddr(remote)): Extension<RemoteAddr>| async move {
        format!("from {remote}")
    };
    let router = Router::new().route("/", get(say));
    let server = start(router, HttpLimits::default(), DEADLINE);
    let mut client = server.ask("/").await;
    let from = format!("from {}", client.local_addr().unwrap());
    assert!(
        read_until(&mut client, &from)
            .await
            .starts_with("HTTP/1.1 200")
    );
    send(&mut client, "/").await;
    read_until(&mut client, &from).await;
    let began = Instant::now();
    assert!(server.stop().await.clean);
    assert_eq!(
        read_to_end(&mut client).await,
        "",
        "an idle connection closes with the drain"
    );
    assert!(began.elapsed() < DEADLINE / 2, "the drain ends early");
    assert!(TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn a_client_that_sends_its_head_too_slowly_is_cut() {
    let limits = HttpLimits {
        header_timeout: Duration::from_millis(100),
        ..HttpLimits::default()
    };
    let server = start(Router::new(), limits, DEADLINE);
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nx-slow: ")
        .await
        .unwrap();
    assert!(!read_to_end(&mut client).await.contains("200"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = start(Router::new(), HttpLimits::default(), DEADLINE);
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(64 * 1024)
    );
    let _ = client.write_all(head.as_bytes()).await;
    assert!(
        read_until(&mut client, "\r\n")
            .await
            .starts_with("HTTP/1.1 431")
    );
}

#[tokio::test]
async fn the_drain_lets_a_request_in_flight_finish() {
    let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (handler_began, handler_finish) = (Arc::clone(&began), Arc::clone(&finish));
    let slow = move || async move {
        handler_began.notify_one();
        handler_finish.notified().await;
        "done"
    };
    let server = start(
        Router::new().route("/", get(slow)),
        HttpLimits::default(),
        DEADLINE,
    );
    let mut client = server.ask("/").await;
    began.notified().await;
    let (outcome, answer) = tokio::join!(server.stop(), async {
        server.life.draining().cancelled().await;
        finish.notify_one();
        read_to_end(&mut client).await
    });
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
        "{answer}"
    );
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(outcome.clean);
}

/// A stream's answer: one frame at once, then `rest`.
fn streaming(rest: impl Stream<Item = Frame> + Send + 'static) -> Body {
    let first = stream::once(async { Ok(Bytes::from(": ok\n\n")) });
    Body::from_stream(first.chain(rest))
}

type Frame = Result<Bytes, std::convert::Infallible>;

#[tokio::test]
async fn an_endless_body_ends_at_the_hard_stop() {
    let router = Router::new().route("/", get(|| async { streaming(stream::pending()) }));
    let server = start(router, HttpLimits::default(), Duration::from_millis(200));
    let mut client = server.ask("/").await;
    read_until(&mut client, ": ok").await;
    let outcome = server.stop().await;
    assert!(!outcome.clean, "it had to be cut");
    assert_eq!(outcome.failed_task, None);
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn a_body_that_watches_the_drain_ends_with_it() {
    let life = Lifecycle::new(DEADLINE);
    let draining = life.draining();
    let body = move || {
        let rest = stream::pending().take_until(draining.clone().cancelled_owned());
        async move { streaming(rest) }
    };
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(body));
    let serving = serve(listener, router, HttpLimits::default(), life.clone());
    life.spawn("http", OnExit::EndsProcess, serving);
    let server = Running { addr, life };
    let mut client = server.ask("/").await;
    read_until(&mut client, ": ok").await;
    assert!(server.stop().await.clean);
    assert!(
        read_to_end(&mut client).await.ends_with("0\r\n\r\n"),
        "the body ends properly"
    );
}

#[tokio::test]
async fn over_the_bound_nothing_is_accepted_until_a_connection_ends() {
    let limits = HttpLimits {
        max_connections: 1,
        ..HttpLimits::default()
    };
    let router = Router::new().route("/", get(|| async { "hello" }));
    let server = start(router, limits, DEADLINE);
    let mut first = server.ask("/").await;
    read_until(&mut first, "hello").await;
    let mut second = server.ask("/").await;
    // The first connection is still answered, though its request came after the second one's.
    send(&mut first, "/").await;
    read_until(&mut first, "hello").await;
    assert!(second.read_u8().now_or_never().is_none());
    drop(first);
    read_until(&mut second, "hello").await;
}

#[tokio::test]
async fn accepted_connections_inherit_what_the_listener_sets() {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    for timeout in [Some(MIN_SILENT_TIMEOUT), None] {
        set_silent_timeout(&listener, timeout);
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let (accepted, _) = accepted.unwrap();
        let accepted = SockRef::from(&accepted);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOTSENT_LOWAT_BYTES);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), timeout);
        drop(client);
    }
}

#[tokio::test]
async fn a_listener_binds_again_right_after_its_process_went() {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(addr).await.unwrap();
    // The server closes first: its side of the connection stays in TIME_WAIT.
    drop(listener.accept().await.unwrap());
    drop(listener);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop(client);
    bind(addr).unwrap();
}
