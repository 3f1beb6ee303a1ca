//! Alone in its process, because it uses up the process's file descriptors.

use std::{
    fs::File,
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use service_kit::{
    http::{HttpLimits, bind, serve},
    lifecycle::{Lifecycle, OnExit},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn warnings(&self) -> usize {
        let text = String::from_utf8(self.0.lock().clone()).expect("log lines are UTF-8");
        text.matches("cannot accept connections").count()
    }
}

#[tokio::test]
async fn out_of_descriptors_the_listener_says_so_once_and_goes_on_when_there_are_some() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(lines);
    let life = Lifecycle::new(DEADLINE);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let serving = serve(listener, router, HttpLimits::default(), life.clone());
    life.spawn("http", OnExit::EndsProcess, serving);

    // Without an await in between, the kernel takes the connection and the server has not seen it
    // yet.
    let client = std::net::TcpStream::connect(addr).unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(64),
            ..before
        },
    )
    .unwrap();
    let mut fill = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fill.push(file);
    }
    let warned = async {
        while log.warnings() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        // A few more attempts that fail.
        sleep(Duration::from_millis(200)).await;
    };
    timeout(DEADLINE, warned)
        .await
        .expect("the failure is logged");
    drop(fill);

    client.set_nonblocking(true).unwrap();
    let mut client = tokio::net::TcpStream::from_std(client).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, client.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(log.warnings(), 1);
}
