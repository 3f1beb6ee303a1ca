//! A restart as the clients of a listener see it: no request is lost.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use futures_util::{StreamExt, stream};
use service_kit::{
    admin::AdminRoutes,
    http::{HttpLimits, bind, serve, serve_until_closed},
    lifecycle::{Lifecycle, OnExit, ProcessOutcome},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

/// Longer than anything here takes, so that a broken promise is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(20);
/// Time for which the listener accepts once [`Server::run`] has been called.
const QUARTER: Duration = Duration::from_millis(200);
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

struct Server {
    addr: SocketAddr,
    life: Lifecycle,
}

impl Server {
    fn start() -> Self {
        Self::of(Router::new())
    }

    fn of(router: Router) -> Self {
        let life = Lifecycle::with_keep_accepting(DEADLINE, QUARTER);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let router = router.route("/", get(|| async { "hello" }));
        let serving = serve(listener, router, HttpLimits::default(), life.clone());
        life.spawn("http", OnExit::EndsProcess, serving);
        Self { addr, life }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.addr).await.unwrap())
    }

    /// Stops the process: in the next [`QUARTER`] it still accepts.
    fn run(&self) -> JoinHandle<ProcessOutcome> {
        let life = self.life.clone();
        life.shut_down();
        tokio::spawn(async move { life.run(std::future::pending()).await })
    }
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// One whole answer; the connection may stay open.
    async fn answer(&mut self) -> String {
        self.until("hello").await
    }

    async fn until(&mut self, end: &str) -> String {
        let mut got = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&got).ends_with(end) {
                let read = self.0.read_buf(&mut got).await.unwrap();
                assert_ne!(read, 0, "closed without an answer");
            }
        };
        timeout(DEADLINE, reading).await.unwrap();
        String::from_utf8(got).unwrap()
    }

    async fn last_answer(&mut self) {
        let answer = self.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        self.is_closed().await;
    }

    async fn is_closed(&mut self) {
        let read = timeout(DEADLINE, self.0.read(&mut [0])).await.unwrap();
        assert_eq!(read.unwrap(), 0);
    }
}

#[tokio::test]
async fn while_the_listener_accepts_new_and_idle_connections_get_their_last_answer() {
    let server = Server::start();
    let mut idle = server.connect().await;
    idle.send(REQUEST).await;
    assert!(!idle.answer().await.contains("connection: close"));
    let mut fresh = server.connect().await;
    server.life.shut_down();
    // Until `run`, the listener accepts for as long as the test takes.
    for client in [&mut idle, &mut fresh, &mut server.connect().await] {
        client.send(REQUEST).await;
        client.last_answer().await;
    }
    let outcome = timeout(DEADLINE, server.run()).await.unwrap().unwrap();
    assert!(outcome.clean);
}

#[tokio::test]
async fn afterwards_nothing_connects_and_a_request_that_has_begun_is_answered() {
    let server = Server::start();
    let mut idle = server.connect().await;
    idle.send(REQUEST).await;
    idle.answer().await;
    let (mut first, mut later) = (server.connect().await, server.connect().await);
    later.send(REQUEST).await;
    later.answer().await;
    let (begun, rest) = REQUEST.split_at(10);
    first.send(begun).await;
    later.send(begun).await;
    let running = server.run();
    // The connection that waits for a request is the last that closes by itself.
    idle.is_closed().await;
    assert!(TcpStream::connect(server.addr).await.is_err());
    assert!(!running.is_finished(), "a request has begun");
    for client in [&mut first, &mut later] {
        client.send(rest).await;
        client.last_answer().await;
    }
    assert!(timeout(DEADLINE, running).await.unwrap().unwrap().clean);
}

#[tokio::test]
async fn a_request_behind_an_answer_from_before_the_stop_is_answered() {
    let end = Arc::new(Notify::new());
    let ends = Arc::clone(&end);
    let slow = move || async move {
        let parts = stream::iter(["begin", "end"]);
        let parts = parts.then(move |part| {
            let ends = Arc::clone(&ends);
            async move {
                if part == "end" {
                    ends.notified().await;
                }
                Ok::<_, Infallible>(part)
            }
        });
        Body::from_stream(parts)
    };
    let server = Server::of(Router::new().route("/slow", get(slow)));
    let mut client = server.connect().await;
    client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.until("begin\r\n").await;
    assert!(!head.contains("connection: close"), "{head}");
    let mut idle = server.connect().await;
    let running = server.run();
    idle.is_closed().await;
    // The head promised that the connection stays.
    client.send(REQUEST).await;
    end.notify_one();
    client.until("0\r\n\r\n").await;
    client.last_answer().await;
    assert!(timeout(DEADLINE, running).await.unwrap().unwrap().clean);
}

/// Clients that the kernel has connected when the listener stops, before it has accepted anything: each gets
/// its last answer.
async fn the_connected_are_answered(count: usize, limits: HttpLimits) {
    let life = Lifecycle::new(DEADLINE);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client(TcpStream::connect(addr).await.unwrap()));
    }
    life.shut_down();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let serving = serve(listener, router, limits, life.clone());
    life.spawn("http", OnExit::EndsProcess, serving);
    for client in &mut clients {
        client.send(REQUEST).await;
    }
    for client in &mut clients {
        client.last_answer().await;
    }
}

#[tokio::test]
async fn at_the_bound_connections_of_the_kernel_wait_for_others_to_end() {
    let limits = HttpLimits {
        max_connections: 1,
        ..HttpLimits::default()
    };
    the_connected_are_answered(5, limits).await;
}

#[tokio::test]
async fn connections_that_the_kernel_accepted_before_the_listener_closed_are_served() {
    the_connected_are_answered(20, HttpLimits::default()).await;
}

#[tokio::test]
async fn probes_are_answered_until_the_hard_stop() {
    let server = Server::start();
    let admin = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = admin.local_addr().unwrap();
    let life = server.life.clone();
    let routes = AdminRoutes::new(life.clone(), Arc::default(), "1").router();
    let limits = HttpLimits::default();
    let serving = serve_until_closed(admin, routes, limits, life.clone());
    life.spawn_until_closed("admin", OnExit::EndsProcess, serving);
    let mut begun = server.connect().await;
    begun.send(&REQUEST[..10]).await;
    let mut idle = server.connect().await;
    let running = server.run();
    idle.is_closed().await;
    assert!(TcpStream::connect(server.addr).await.is_err());
    let mut probe = TcpStream::connect(addr).await.unwrap();
    let request = "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";
    probe.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = probe.read_to_string(&mut answer);
    timeout(DEADLINE, reading).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    begun.send(&REQUEST[10..]).await;
    begun.last_answer().await;
    // The probes' listener does not hold the process.
    assert!(timeout(DEADLINE, running).await.unwrap().unwrap().clean);
    assert!(TcpStream::connect(addr).await.is_err());
}
