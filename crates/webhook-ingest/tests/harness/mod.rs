//! The real service on the in-memory log and bus, with a log in between that a test can block or
//! break.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode, request::Builder};
use http_body_util::BodyExt;
use model::{
    Clock, EventId, RandomIds, Sequence, Sequenced, StoredEvent, SystemClock, Timestamp,
    TraceContext,
};
use ports::{
    AppendResult, Bus, BusError, BusEvent, BusMessage, BusSubscription, EventLog, EventLogError,
    EventPage, EventsBefore, LogHead, ResourceFinder, SeekResult, Topic,
};
use serde_json::Value;
use service_kit::{bodies::BodyBudget, lifecycle::Lifecycle, metrics::MetricsRegistry};
use sha2::Sha256;
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use webhook_ingest::{IngestConfig, IngestDeps, IngestService, WEBHOOK_PATH};

pub(crate) const SECRET: &str = "test secret";
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A log whose appends a test can block, break, or count.
#[derive(Debug)]
pub(crate) struct Gate {
    log: StoredLog<MemoryLogStore>,
    pub(crate) broken: AtomicBool,
    /// Appends fail, and everything else works.
    pub(crate) refuses_appends: AtomicBool,
    pub(crate) appends: AtomicUsize,
    /// Largest event that it takes, in bytes.
    pub(crate) max_event_bytes: AtomicUsize,
    /// One permit lets one append through.
    pub(crate) open: Semaphore,
    /// The time that the log tells, if any.
    pub(crate) time: Mutex<Option<Timestamp>>,
}

impl Gate {
    fn unavailable(&self, op: &'static str) -> Result<(), EventLogError> {
        if self.broken.load(Ordering::SeqCst) {
            let source = std::io::Error::other("10.0.0.7: connection refused").into();
            return Err(EventLogError::Unavailable { op, source });
        }
        Ok(())
    }

    /// The whole content of the log.
    pub(crate) async fn all(&self) -> Vec<Sequenced<StoredEvent>> {
        self.log
            .read_after(Sequence::START, 100_000)
            .await
            .unwrap()
            .events
    }
}

#[async_trait]
impl EventLog for Gate {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
        self.unavailable("append")?;
        if self.refuses_appends.load(Ordering::SeqCst) {
            let source = std::io::Error::other("no space left on device").into();
            return Err(EventLogError::Unavailable {
                op: "append",
                source,
            });
        }
        self.log.append(events).await
    }
    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.log.read_after(after, limit).await
    }
    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.log.read_before(before, limit).await
    }
    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.log.seek(time).await
    }
    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.log.position_of(id).await
    }
    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.unavailable("head")?;
        self.log.head().await
    }
    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.log.trim(time).await
    }
    async fn time(&self) -> Result<Option<Timestamp>, EventLogError> {
        Ok(*self.time.lock().unwrap())
    }

    fn max_event_bytes(&self) -> usize {
        self.max_event_bytes.load(Ordering::SeqCst)
    }
}

/// The system's clock, which a test can set.
#[derive(Debug, Default)]
pub(crate) struct OwnClock {
    /// Milliseconds by which it is wrong.
    pub(crate) wrong_millis: AtomicI64,
}

impl Clock for OwnClock {
    fn now(&self) -> Timestamp {
        let wrong = self.wrong_millis.load(Ordering::SeqCst);
        Timestamp::from_unix_millis(SystemClock.now().unix_millis() + wrong)
    }
}

pub(crate) struct Ingest {
    pub(crate) clock: Arc<OwnClock>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) router: Router,
    pub(crate) log: Arc<Gate>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) registry: MetricsRegistry,
}

impl Ingest {
    pub(crate) fn new() -> Self {
        Self::with(
            &serde_json::json!({"webhook_secrets": ["older", SECRET]}),
            Semaphore::MAX_PERMITS,
        )
    }

    /// `open`: the number of appends that pass before the gate closes.
    pub(crate) fn with(config: &Value, open: usize) -> Self {
        let bus = InProcessBus::new(NonZeroUsize::new(1000).unwrap());
        Self::on(config, open, Arc::new(bus))
    }

    /// Like `with`, on the test's own bus.
    pub(crate) fn on(config: &Value, open: usize, bus: Arc<dyn Bus>) -> Self {
        Self::on_new_log(config, open, bus, true)
    }

    /// Like `with`, and the only ingest of its installation.
    pub(crate) fn alone(config: &Value, open: usize) -> Self {
        let bus = InProcessBus::new(NonZeroUsize::new(1000).unwrap());
        Self::on_new_log(config, open, Arc::new(bus), false)
    }

    fn on_new_log(config: &Value, open: usize, bus: Arc<dyn Bus>, has_peers: bool) -> Self {
        let config: IngestConfig = serde_json::from_value(config.clone()).unwrap();
        let log = Arc::new(Gate {
            log: StoredLog::new(MemoryLogStore::new(
                &RandomIds,
                NonZeroUsize::new(100_000).unwrap(),
            )),
            broken: AtomicBool::new(false),
            refuses_appends: AtomicBool::new(false),
            appends: AtomicUsize::new(0),
            max_event_bytes: AtomicUsize::new(usize::MAX),
            open: Semaphore::new(open),
            time: Mutex::default(),
        });
        Self::over(&config, log, bus, None, has_peers)
    }

    /// A second ingest over the same log, which remembers nothing of what the first one received.
    pub(crate) fn beside(&self) -> Self {
        let secrets = serde_json::json!({"webhook_secrets": ["older", SECRET]});
        let config: IngestConfig = serde_json::from_value(secrets).unwrap();
        let (log, bus) = (Arc::clone(&self.log), Arc::clone(&self.bus));
        Self::over(&config, log, bus, None, true)
    }

    /// A second ingest over the same log, which asks this sync role.
    pub(crate) fn asking(&self, finder: Arc<dyn ResourceFinder>) -> Self {
        let secrets = serde_json::json!({"webhook_secrets": ["older", SECRET]});
        let config: IngestConfig = serde_json::from_value(secrets).unwrap();
        Self::over(
            &config,
            Arc::clone(&self.log),
            Arc::clone(&self.bus),
            Some(finder),
            true,
        )
    }

    fn over(
        config: &IngestConfig,
        log: Arc<Gate>,
        bus: Arc<dyn Bus>,
        finder: Option<Arc<dyn ResourceFinder>>,
        has_peers: bool,
    ) -> Self {
        let clock = Arc::new(OwnClock::default());
        let mut registry = MetricsRegistry::default();
        let deps = IngestDeps {
            bodies: BodyBudget::new(&mut registry),
            log: log.clone(),
            bus: bus.clone(),
            has_peers,
            clock: clock.clone(),
            ids: Arc::new(RandomIds),
            finder,
        };
        let service = IngestService::build(config, deps, &mut registry).unwrap();
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        Self {
            clock,
            router: service.spawn(&lifecycle).router(),
            lifecycle,
            log,
            bus,
            registry,
        }
    }

    pub(crate) async fn subscribe(&self) -> Hints {
        Hints(self.bus.subscribe(&Topic::Broadcast).await.unwrap())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            json,
        }
    }

    pub(crate) async fn post(&self, event: &str, delivery: &str, payload: &Value) -> Answer {
        self.send(signed(event, delivery, &payload.to_string()))
            .await
    }

    pub(crate) fn metrics(&self) -> String {
        service_kit::metrics::encode(&self.registry).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    /// Checks that the answer is a problem with this status and code, and returns its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["code"], code, "{self:?}");
        self.json["detail"].as_str().unwrap().to_owned()
    }
}

/// A bus that never accepts a message.
#[derive(Debug)]
pub(crate) struct StuckBus;

#[async_trait]
impl Bus for StuckBus {
    async fn publish(
        &self,
        _: &Topic,
        _: BusMessage,
        _: Option<TraceContext>,
    ) -> Result<(), BusError> {
        std::future::pending().await
    }
    async fn subscribe(&self, _: &Topic) -> Result<BusSubscription, BusError> {
        Ok(BusSubscription(futures_util::stream::pending().boxed()))
    }
    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}

pub(crate) struct Hints(BusSubscription);

impl Hints {
    /// The events of the next hint.
    pub(crate) async fn next(&mut self) -> Vec<Sequenced<StoredEvent>> {
        let next = tokio::time::timeout(PATIENCE, self.0.0.next()).await;
        match next.expect("a hint arrives in time").unwrap() {
            BusEvent::Message(BusMessage::Events(hint), Some(_)) => hint.events.clone(),
            other => panic!("not a hint with a trace: {other:?}"),
        }
    }
}

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// A delivery as GitHub sends it, still without a body.
pub(crate) fn delivery(event: &str, delivery: &str, body: &str) -> Builder {
    Request::post(WEBHOOK_PATH)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("x-github-event", event)
        .header("x-github-delivery", delivery)
        .header("x-github-hook-id", "292430182")
        .header("x-hub-signature-256", signature(SECRET, body.as_bytes()))
}

pub(crate) fn signed(event: &str, id: &str, body: &str) -> Request<Body> {
    delivery(event, id, body)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// A GUID of version 1, as GitHub gives them, that was made `ticks` times 100 ns after the `now` of the clock.
pub(crate) fn guid(made_at: &model::Timestamp, ticks: u64) -> String {
    let millis = u64::try_from(made_at.unix_millis() + 12_219_292_800_000).unwrap();
    let all = millis * 10_000 + ticks;
    let (low, middle, high) = (all & 0xffff_ffff, all >> 32 & 0xffff, all >> 48);
    format!("{low:08x}-{middle:04x}-1{high:03x}-81ab-4c9367dc0958")
}

/// An `issues` payload.
pub(crate) fn issue(number: u64, action: &str) -> Value {
    serde_json::json!({
        "action": action,
        "issue": {
            "id": 1000 + number, "node_id": format!("I_{number}"), "number": number, "title": "T",
            "html_url": format!("https://github.com/o/r/issues/{number}"),
            "updated_at": "2026-11-20T10:00:00Z", "labels": [{"name": "bug"}],
        },
        "repository": {"name": "r", "owner": {"login": "o"}},
        "sender": {"login": "octocat"},
    })
}

/// Waits for a condition, up to [`PATIENCE`].
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("did not happen in time: {what}"));
}
