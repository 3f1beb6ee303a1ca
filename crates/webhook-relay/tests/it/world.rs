//! The fakes, the log, and a relay between them.

use std::{
    collections::VecDeque,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    response::Response,
};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use sha2::Sha256;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;
use webhook_relay::{
    CursorPlace, DeliveryList, RelayChannel, RelayError, RelayOptions, RelayPace, RelaySource,
};

pub(crate) const SECRET: &str = "secret-of-the-ingest";
pub(crate) const TOKEN: &str = "token-of-the-relay";
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let digits = mac.finalize().into_bytes();
    let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// A server whose answers a function gives.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&str, &HeaderMap) -> Response + Clone + Send + Sync + 'static,
    {
        let routes = Router::new().fallback(move |request: Request| {
            let answer = answer.clone();
            async move {
                let path = request.uri().path_and_query().unwrap().as_str().to_owned();
                answer(&path, request.headers())
            }
        });
        Self::serve(free_listener().await, routes)
    }

    fn serve(listener: TcpListener, routes: Router) -> Self {
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, routes).await;
        });
        Self { address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

pub(crate) async fn free_listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// An answer with a body of JSON.
pub(crate) fn json(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A delivery as the ingest got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) signature: String,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn is_signed(&self) -> bool {
        self.signature == sign(SECRET, &self.body)
    }
}

/// An ingest, which takes everything but what it is told to refuse.
pub(crate) struct Ingest {
    pub(crate) server: Server,
    state: Arc<IngestState>,
}

#[derive(Default)]
struct IngestState {
    refusals: Mutex<VecDeque<u16>>,
    got: watch::Sender<Vec<Got>>,
}

impl Ingest {
    pub(crate) async fn start() -> Self {
        Self::start_at(free_listener().await)
    }

    pub(crate) fn start_at(listener: TcpListener) -> Self {
        let state = Arc::new(IngestState::default());
        let routes = Router::new()
            .fallback(take)
            .layer(DefaultBodyLimit::max(100 << 20))
            .with_state(Arc::clone(&state));
        let server = Server::serve(listener, routes);
        Self { server, state }
    }

    /// Answers the next requests with these statuses.
    pub(crate) fn refuse(&self, statuses: impl IntoIterator<Item = u16>) {
        self.state.refusals.lock().unwrap().extend(statuses);
    }

    /// Waits for this number of deliveries.
    pub(crate) async fn until(&self, count: usize) -> Vec<Got> {
        let mut got = self.state.got.subscribe();
        let enough = timeout(PATIENCE, got.wait_for(|got| got.len() >= count)).await;
        match enough {
            Ok(got) => got.unwrap().clone(),
            Err(_) => panic!("{} of {count}", self.state.got.borrow().len()),
        }
    }

    pub(crate) async fn until_guids(&self, expected: &[&str]) {
        let got = self.until(expected.len()).await;
        let guids: Vec<_> = got.iter().map(|got| got.guid.as_str()).collect();
        assert_eq!(guids, expected);
    }
}

async fn take(
    State(state): State<Arc<IngestState>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if let Some(status) = state.refusals.lock().unwrap().pop_front() {
        return StatusCode::from_u16(status).unwrap();
    }
    let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let got = Got {
        guid: header("x-github-delivery"),
        event: header("x-github-event"),
        signature: header("x-hub-signature-256"),
        body,
    };
    state.got.send_modify(|all| all.push(got));
    StatusCode::ACCEPTED
}

/// What the relay wrote into its log.
pub(crate) struct Logs {
    text: watch::Receiver<String>,
    _guard: DefaultGuard,
}

#[derive(Clone)]
struct LogWriter(watch::Sender<String>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let part = String::from_utf8_lossy(bytes);
        self.0.send_modify(|text| text.push_str(&part));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logs {
    /// Begins to collect what this thread logs.
    pub(crate) fn start() -> Self {
        let (writer, text) = watch::channel(String::new());
        let writer = LogWriter(writer);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        Self {
            text,
            _guard: guard,
        }
    }

    pub(crate) fn text(&self) -> String {
        self.text.borrow().clone()
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.text.borrow().matches(words).count()
    }

    pub(crate) async fn until(&self, words: &str) {
        let mut text = self.text.clone();
        let said = timeout(PATIENCE, text.wait_for(|text| text.contains(words))).await;
        assert!(said.is_ok(), "{words} is not in {}", self.text());
    }
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    stop: CancellationToken,
    task: JoinHandle<Result<(), RelayError>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Relay {
    pub(crate) fn start(source: RelaySource, ingest: &str) -> Self {
        Self::paced(source, ingest, Duration::from_millis(1))
    }

    pub(crate) fn paced(source: RelaySource, ingest: &str, limit_pause: Duration) -> Self {
        let mut options = RelayOptions::new(source, ingest, &[SECRET]).unwrap();
        options.pace = RelayPace {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
            first_limit_pause: limit_pause,
            longest_limit_pause: limit_pause,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(webhook_relay::run(options, stop.clone()));
        Self { stop, task }
    }

    /// Why it has ended.
    pub(crate) async fn ended(mut self) -> String {
        let ended = timeout(PATIENCE, &mut self.task).await;
        ended.unwrap().unwrap().unwrap_err().to_string()
    }

    /// Ends it.
    pub(crate) async fn finish(mut self) {
        self.stop.cancel();
        timeout(PATIENCE, &mut self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

pub(crate) fn channel(url: &str, accept_unverified: bool) -> RelaySource {
    let mut channel = RelayChannel::new(url).unwrap();
    channel.accept_unverified = accept_unverified;
    RelaySource::Channel(channel)
}

pub(crate) fn list(api: &str, cursor: &std::path::Path) -> DeliveryList {
    let cursor = CursorPlace::File(cursor.to_owned());
    let interval = Duration::from_millis(2);
    let mut list = DeliveryList::new(api, "o/r", Some(TOKEN), cursor, interval).unwrap();
    list.from_beginning = true;
    list
}
