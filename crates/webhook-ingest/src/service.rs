//! Builds the ingest role.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use event_flow::{record::Recorder, statistics::LogStatisticsReader};
use instruments::depth::register_depth;
use model::{Clock, IdSource};
use ports::{Bus, EventLog, ResourceFinder};
use service_kit::{
    admin::HealthDetail,
    audit::AuditLog,
    bodies::BodyBudget,
    dependency,
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
    proxies::TrustedProxies,
    request_threads::cores,
};
use tokio_util::task::TaskTracker;

use crate::{
    api::{self, Admission, Api, IngestHealthPage},
    config::IngestConfig,
    delivery::Deliveries,
    error::{DeliveryRefusal, IngestBuildError},
    examine::Examiner,
    item_contents::ItemContents,
    large_bodies::LargeBodies,
    limits,
    log_clock::{self, LogClock},
    metrics::IngestMetrics,
    order::DeliveryOrder,
    parse_turns::ParseTurns,
    roles_reader::RolesReader,
    signature::Verifier,
};

/// The dependencies of the role.
#[derive(Debug, Clone)]
pub struct IngestDeps {
    /// Stores the events durably.
    pub log: Arc<dyn EventLog>,
    /// Announces new events to the edges.
    pub bus: Arc<dyn Bus>,
    /// Whether the bus reaches other ingests: then they are told of deliveries that wait here, and asked for theirs.
    pub has_peers: bool,
    /// The current time by this process; the log's own clock corrects it.
    pub clock: Arc<dyn Clock>,
    /// The source of trace and span ids.
    pub ids: Arc<dyn IdSource>,
    /// Knows where issues and pull requests are, for the items of projects; without it these have no repository.
    pub finder: Option<Arc<dyn ResourceFinder>>,
    /// The memory for bodies, which all roles of the process share.
    pub bodies: Arc<BodyBudget>,
}

/// The ingest role, built and not started.
#[derive(Debug)]
pub struct IngestService {
    api: Api,
    ids: Arc<dyn IdSource>,
    clock: Arc<LogClock>,
    reader: RolesReader,
    finder: Option<Arc<dyn ResourceFinder>>,
    log: Arc<dyn EventLog>,
    listen: SocketAddr,
    proxies: TrustedProxies,
}

impl IngestService {
    /// Builds the role. Reads files of secrets; makes no network calls yet.
    ///
    /// # Errors
    /// There is no webhook secret, one cannot be read, or a value is out of range. The error names
    /// the key.
    pub fn build(
        config: &IngestConfig,
        deps: IngestDeps,
        registry: &mut MetricsRegistry,
    ) -> Result<Self, IngestBuildError> {
        config.check()?;
        let metrics = IngestMetrics::new(registry, &api::PATHS);
        let skew = metrics.clock_skew_seconds.clone();
        let reader = RolesReader::new(&deps);
        let log = Arc::clone(&deps.log);
        let clock = Arc::new(LogClock::new(deps.clock, Arc::clone(&deps.log), skew));
        let recorder = Arc::new(Recorder::new(
            deps.log,
            Arc::clone(&deps.bus),
            Arc::new(metrics.clone()),
            limits::APPEND_TIMEOUT,
        ));
        let in_progress = TaskTracker::new();
        let order = DeliveryOrder::new(
            Duration::from_millis(config.order_window_milliseconds),
            deps.ids.as_ref(),
            Arc::clone(&recorder),
            deps.has_peers.then_some(deps.bus),
            metrics.clone(),
            in_progress.clone(),
        );
        let deliveries = Deliveries {
            examiner: Examiner::new(Verifier::new(&config.secrets()?)),
            parsing: ParseTurns::default(),
            contents: ItemContents::new(deps.finder.clone(), metrics.clone()),
            recorder,
            order: Arc::new(order),
            clock: Arc::clone(&clock),
            metrics,
            large_bodies: LargeBodies::on(cores()),
            sources: config.sources()?,
            audit: Arc::new(AuditLog::new(
                registry,
                "ingest",
                DeliveryRefusal::AUDIT_KINDS,
            )),
            lines: Arc::default(),
            in_progress,
        };
        let in_progress = deliveries.in_progress.clone();
        register_depth(
            registry,
            "forgewire_ingest_deliveries_in_progress",
            "Deliveries whose events are being stored or announced",
            move || in_progress.len(),
        );
        let api = Api {
            admission: Admission::new(config, deps.bodies),
            deliveries: Arc::new(deliveries),
        };
        Ok(Self {
            api,
            ids: deps.ids,
            clock,
            reader,
            finder: deps.finder,
            log,
            listen: config.listen,
            proxies: config.trusted_proxies()?,
        })
    }

    /// Starts the role. It is ready while the event log accepts appends, as far as that can be known;
    /// hints are not necessary for that. The drain waits for deliveries in progress.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self, lifecycle: &Lifecycle) -> RunningIngest {
        let deliveries = &self.api.deliveries;
        let probed = Arc::clone(deliveries);
        dependency::require(lifecycle, "ingest: event log", move || {
            let deliveries = Arc::clone(&probed);
            async move { Ok(deliveries.recorder.check().await?) }
        });
        let probed = Arc::clone(deliveries);
        dependency::observe(lifecycle, "ingest: bus", move || {
            let deliveries = Arc::clone(&probed);
            async move {
                deliveries.recorder.check_hints().await?;
                Ok(deliveries.order.check().await?)
            }
        });
        if let Some(finder) = self.finder {
            dependency::observe(lifecycle, "ingest: sync", move || {
                let finder = Arc::clone(&finder);
                async move { Ok(finder.check().await?) }
            });
        }
        let reading = self.reader.run(lifecycle.draining());
        lifecycle.spawn("ingest-roles-reader", OnExit::EndsProcess, reading);
        let listening = Arc::clone(&deliveries.order).listen(lifecycle.closed());
        lifecycle.spawn_until_closed("ingest-order", OnExit::EndsProcess, listening);
        spawn_drain(Arc::clone(deliveries), lifecycle);
        let auditing = Arc::clone(&deliveries.audit).run(lifecycle.closed());
        lifecycle.spawn_until_closed("ingest-audit", OnExit::EndsProcess, auditing);
        let summing = Arc::clone(&deliveries.lines).run(lifecycle.closed());
        lifecycle.spawn_until_closed("ingest-lines", OnExit::EndsProcess, summing);
        let measuring = log_clock::measure(self.clock, lifecycle.draining());
        lifecycle.spawn("ingest-clock", OnExit::EndsProcess, measuring);
        let health = IngestHealthPage {
            lifecycle: lifecycle.clone(),
            deliveries: Arc::clone(&self.api.deliveries),
            log: LogStatisticsReader::new(self.log),
            started: Instant::now(),
            port: self.listen.port(),
            is_loopback: self.listen.ip().is_loopback(),
        };
        RunningIngest {
            api: self.api,
            health: Arc::new(health),
            ids: self.ids,
            proxies: self.proxies,
        }
    }
}

/// The running ingest role; only a running one has routes.
#[derive(Debug)]
pub struct RunningIngest {
    api: Api,
    health: Arc<IngestHealthPage>,
    ids: Arc<dyn IdSource>,
    proxies: TrustedProxies,
}

impl RunningIngest {
    /// The detail of the role in `/health`.
    #[must_use]
    pub fn health(&self) -> HealthDetail {
        let deliveries = Arc::clone(&self.api.deliveries);
        HealthDetail::new(move || {
            serde_json::json!({
                "deliveriesInProgress": deliveries.in_progress.len(),
                "failedAppends": deliveries.recorder.failed_appends(),
            })
        })
    }

    /// `POST /webhooks/github`, `GET /health` and `GET /openapi.json`; any other request is answered with a problem document.
    pub fn router(&self) -> Router {
        let health = Arc::clone(&self.health);
        let ids = Arc::clone(&self.ids);
        api::router(self.api.clone(), health, ids, &self.proxies)
    }
}

/// Makes the drain wait for deliveries in progress, including those that begin while the listener
/// still accepts.
fn spawn_drain(deliveries: Arc<Deliveries>, lifecycle: &Lifecycle) {
    let (stop_accepting, closed) = (lifecycle.stop_accepting(), lifecycle.closed());
    let finishing = async move {
        stop_accepting.cancelled().await;
        deliveries.in_progress.close();
        closed
            .run_until_cancelled(deliveries.in_progress.wait())
            .await;
    };
    lifecycle.spawn(
        "ingest: deliveries in progress",
        OnExit::MayFinish,
        finishing,
    );
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, time::Duration};

    use axum::body::Body;
    use hmac::{Hmac, KeyInit, Mac};
    use http::{Request, StatusCode};
    use model::{RandomIds, SystemClock};
    use sha2::Sha256;
    use store_layers::StoredLog;
    use store_memory::{InProcessBus, MemoryLogStore};
    use tower::ServiceExt;

    use super::*;
    use crate::limits::{INLINE_BODY_BYTES, PARSED_BYTES};

    const SECRET: &str = "a secret that is long enough for all";

    fn service() -> IngestService {
        let config = serde_json::json!({"webhook_secrets": [SECRET]});
        let mut registry = MetricsRegistry::default();
        let count = NonZeroUsize::new(100).unwrap();
        let deps = IngestDeps {
            bodies: BodyBudget::new(&mut registry),
            log: Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, count))),
            bus: Arc::new(InProcessBus::new(count)),
            has_peers: false,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            finder: None,
        };
        let config = serde_json::from_value(config).unwrap();
        IngestService::build(&config, deps, &mut registry).unwrap()
    }

    /// A delivery of many small values, as large as this at least.
    fn delivery(id: &str, bytes: usize, secret: &str) -> Request<Body> {
        let body = format!(r#"{{"action":"x","a":[{}0]}}"#, "0,".repeat(bytes / 2));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let digits: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Request::post("/webhooks/github")
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .header("x-github-delivery", id)
            .header("x-hub-signature-256", format!("sha256={digits}"))
            .body(Body::from(body))
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_with_a_good_signature_waits_for_its_turn_to_be_parsed() {
        let service = service();
        let deliveries = Arc::clone(&service.api.deliveries);
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        let router = service.spawn(&lifecycle).router();
        let send = async |id: &str, bytes: usize, secret: &str| {
            let sent = router.clone().oneshot(delivery(id, bytes, secret));
            sent.await.unwrap().status()
        };
        let large = INLINE_BODY_BYTES + 1;
        let all = deliveries.parsing.begin(PARSED_BYTES).await.unwrap();
        assert_eq!(
            send("large", large, SECRET).await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        // Who has no secret is told so, and takes no turn.
        let stranger = send("stranger", large, "another secret, as long as that one").await;
        assert_eq!(stranger, StatusCode::UNAUTHORIZED);
        assert!(send("small", 1000, SECRET).await.is_success());
        drop(all);
        assert!(send("again", large, SECRET).await.is_success());
    }

    /// The answer of `/health` with these headers, of a listener at this address.
    async fn of(listen: &str, headers: &[(&str, &str)]) -> (StatusCode, serde_json::Value) {
        let service = IngestService {
            listen: listen.parse().unwrap(),
            ..service()
        };
        let lifecycle = Lifecycle::new(Duration::from_secs(30));
        let router = service.spawn(&lifecycle).router();
        let ready = async || {
            while !lifecycle.readiness().ready {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready())
            .await
            .unwrap();
        let mut request = Request::get("/health");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = router.oneshot(request.body(Body::empty()).unwrap());
        let answer = answer.await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 10_000)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn this_machine_gets_statistics_and_others_the_status_alone() {
        let here = ("host", "127.0.0.1:3001");
        let (status, health) = of("127.0.0.1:3001", &[here]).await;
        assert_eq!(
            (status, &health["status"]),
            (StatusCode::OK, &"healthy".into())
        );
        assert_eq!(health["server"]["port"], 3001);
        assert_eq!(health["events"]["totalEvents"], 0, "{health}");
        let alone = (StatusCode::OK, serde_json::json!({ "status": "healthy" }));
        for (listen, headers) in [
            ("0.0.0.0:3001", &[here][..]),
            ("127.0.0.1:3001", &[("host", "hooks.example.com")]),
            (
                "127.0.0.1:3001",
                &[here, ("x-forwarded-for", "203.0.113.7")],
            ),
            ("127.0.0.1:3001", &[here, ("via", "1.1 proxy")]),
        ] {
            assert_eq!(of(listen, headers).await, alone, "{listen} {headers:?}");
        }
    }
}
