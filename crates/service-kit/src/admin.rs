//! The admin listener's routes: `/livez`, `/readyz`, `/health`, `/metrics`.
//!
//! It listens on loopback by default and has no authentication: its content is meant for operators. There,
//! a web page may have given this machine a name of its own (see [`crate::hosts`]): for a name that the
//! operator did not choose, `/livez` and `/readyz` answer with the status alone, because balancers send names
//! of their own with their probes, and everything else is refused.

use std::{fmt, sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use model::ErrorClass;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::{
    hosts::AllowedHosts,
    lifecycle::Lifecycle,
    metrics::{self, MetricsRegistry},
    problem::Problem,
};

/// A component's own view of its health. It must not wait: it reads state that the component keeps at hand.
#[derive(Clone)]
pub struct HealthDetail(Arc<dyn Fn() -> Value + Send + Sync>);

impl HealthDetail {
    /// A detail that `view` makes anew for each request.
    #[must_use]
    pub fn new(view: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(view))
    }

    /// The detail as of now.
    #[must_use]
    pub fn view(&self) -> Value {
        (self.0)()
    }
}

impl fmt::Debug for HealthDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthDetail")
    }
}

/// The data that the admin routes show.
#[derive(Clone)]
pub struct AdminRoutes {
    lifecycle: Lifecycle,
    registry: Arc<MetricsRegistry>,
    version: &'static str,
    started: Instant,
    roles: Vec<&'static str>,
    details: Vec<(&'static str, HealthDetail)>,
}

impl AdminRoutes {
    /// Shows this lifecycle and these metrics; uptime counts from this call.
    #[must_use]
    pub fn new(
        lifecycle: Lifecycle,
        registry: Arc<MetricsRegistry>,
        version: &'static str,
    ) -> Self {
        Self {
            lifecycle,
            registry,
            version,
            started: Instant::now(),
            roles: Vec::new(),
            details: Vec::new(),
        }
    }

    /// The roles of this process.
    #[must_use]
    pub fn roles(mut self, roles: impl IntoIterator<Item = &'static str>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// Adds a named detail to `/health`. A later one of the same name replaces the earlier.
    #[must_use]
    pub fn detail(mut self, name: &'static str, detail: HealthDetail) -> Self {
        self.details.push((name, detail));
        self
    }

    /// The routes.
    pub fn router(self) -> Router {
        AdminSlot::new(self).router()
    }
}

/// The data that the admin routes show now: while a process starts, less than later. Clones share it.
#[derive(Debug, Clone)]
pub struct AdminSlot(Arc<RwLock<Arc<AdminRoutes>>>);

impl AdminSlot {
    /// Shows this until [`Self::show`].
    #[must_use]
    pub fn new(routes: AdminRoutes) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(routes))))
    }

    /// Shows this from now on.
    pub fn show(&self, routes: AdminRoutes) {
        *self.0.write() = Arc::new(routes);
    }

    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/health", get(health))
            .route("/metrics", get(encode_metrics))
            .with_state(self.clone())
    }

    /// The routes of a listener on loopback, which shows its content under these names only.
    pub fn router_for(&self, hosts: AllowedHosts) -> Router {
        self.router()
            .layer(middleware::from_fn_with_state(hosts, check_host))
    }

    fn now(&self) -> Arc<AdminRoutes> {
        Arc::clone(&self.0.read())
    }
}

impl fmt::Debug for AdminRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminRoutes")
            .field("lifecycle", &self.lifecycle)
            .finish_non_exhaustive()
    }
}

/// Shows a request for a foreign host nothing but the status of a probe.
async fn check_host(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let is_probe = matches!(uri.path(), "/livez" | "/readyz");
    match is_probe {
        true if hosts.foreign(uri, headers).is_some() => {
            next.run(request).await.status().into_response()
        }
        true => next.run(request).await,
        false if hosts.allows(uri, headers) => next.run(request).await,
        false => Problem::new(ErrorClass::Caller, "host-refused", "Host refused")
            .status(StatusCode::FORBIDDEN)
            .detail(
                "the Host header names neither this machine nor a host of edge.allowed_hosts: add the name \
                 there, or ask for localhost",
            )
            .into_response(),
    }
}

/// Alive means that the event loop runs. Nothing else belongs here: a restart does not repair a store.
async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<AdminSlot>) -> Response {
    let admin = admin.now();
    let readiness = admin.lifecycle.readiness();
    if readiness.ready {
        return "ok\n".into_response();
    }
    let waiting: Map<_, _> = readiness
        .waiting_for
        .into_iter()
        .map(|(latch, why)| (latch.to_owned(), Value::from(why)))
        .collect();
    Problem::new(ErrorClass::Transient, "not_ready", "Not ready")
        .with("phase", json!(readiness.phase))
        .with("waitingFor", Value::Object(waiting))
        .into_response()
}

async fn health(State(admin): State<AdminSlot>) -> Json<Value> {
    let admin = admin.now();
    let readiness = admin.lifecycle.readiness();
    let waiting: Map<_, _> = readiness
        .waiting_for
        .into_iter()
        .map(|(latch, why)| (latch.to_owned(), Value::from(why)))
        .collect();
    let details: Map<_, _> = admin
        .details
        .iter()
        .map(|(name, detail)| ((*name).to_owned(), detail.0()))
        .collect();
    Json(json!({
        "ready": readiness.ready,
        "phase": readiness.phase,
        "waitingFor": waiting,
        "dependencies": admin.lifecycle.dependencies(),
        "roles": admin.roles,
        "version": admin.version,
        "uptimeSeconds": admin.started.elapsed().as_secs(),
        "tasks": admin.lifecycle.running_tasks(),
        "details": details,
    }))
}

async fn encode_metrics(State(admin): State<AdminSlot>, headers: HeaderMap) -> Response {
    let admin = admin.now();
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    match metrics::encode_for(&admin.registry, accept.unwrap_or_default()) {
        Ok((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            Problem::new(
                ErrorClass::Permanent,
                "metrics",
                "Metrics cannot be encoded",
            )
            .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use std::time::Duration;
    use tower::ServiceExt;

    async fn ask(router: &Router, path: &str) -> (u16, String, String) {
        ask_for("localhost:3009", router, path).await
    }

    async fn ask_for(host: &str, router: &Router, path: &str) -> (u16, String, String) {
        let request = Request::get(path).header(header::HOST, host);
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_what_it_waits_for_and_liveness_does_not_care() {
        let life = Lifecycle::new(Duration::from_secs(1));
        let (log, bus) = (life.latch("event_log"), life.latch("bus"));
        let router = AdminRoutes::new(life.clone(), Arc::default(), "1.2.3").router();
        log.ready();
        bus.not_ready("connection refused");
        let (status, kind, body) = ask(&router, "/readyz").await;
        assert_eq!((status, kind.as_str()), (503, crate::problem::CONTENT_TYPE));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["waitingFor"], json!({"bus": "connection refused"}));
        assert_eq!(body["phase"], "starting");
        bus.ready();
        assert_eq!(ask(&router, "/readyz").await.0, 200);
        life.shut_down();
        assert_eq!(ask(&router, "/readyz").await.0, 503);
        assert_eq!(ask(&router, "/livez").await.0, 200);
    }

    #[tokio::test]
    async fn health_shows_phase_version_and_details() {
        let life = Lifecycle::new(Duration::from_secs(1));
        let admin = AdminRoutes::new(life, Arc::default(), "1.2.3")
            .detail("edge", HealthDetail::new(|| json!({"streams": 3})));
        let (status, _, body) = ask(&admin.router(), "/health").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["version"]), (200, &json!("1.2.3")));
        assert_eq!(body["details"]["edge"]["streams"], 3);
        assert_eq!(body["phase"], "ready");
        assert!(body["uptimeSeconds"].is_u64());
    }

    /// DNS rebinding: the page of a name that resolves to this machine now.
    #[tokio::test]
    async fn a_foreign_host_learns_the_status_of_probes_and_nothing_else() {
        let life = Lifecycle::new(Duration::from_secs(1));
        let bus = life.latch("bus");
        let admin = AdminSlot::new(AdminRoutes::new(life, Arc::default(), "1.2.3"));
        let router = admin.router_for(AllowedHosts::new(["edge.example.com"]));
        bus.not_ready("connection refused");
        for host in [
            "127.0.0.1:3009",
            "[::1]:3009",
            "LOCALHOST",
            "edge.example.com:80",
        ] {
            assert_eq!(ask_for(host, &router, "/livez").await.0, 200, "{host}");
            let (status, _, body) = ask_for(host, &router, "/readyz").await;
            assert!(status == 503 && body.contains("refused"), "{host}: {body}");
            for path in ["/health", "/metrics"] {
                assert_eq!(ask_for(host, &router, path).await.0, 200, "{host}");
            }
        }
        for host in ["evil.example", "edges", "evil.example:3009", "10.0.0.7"] {
            assert_eq!(ask_for(host, &router, "/livez").await.0, 200, "{host}");
            let (status, _, body) = ask_for(host, &router, "/readyz").await;
            assert_eq!((status, body.as_str()), (503, ""), "{host}");
            for path in ["/health", "/metrics", "/"] {
                let (status, _, body) = ask_for(host, &router, path).await;
                assert_eq!(status, 403, "{host} {path}");
                assert!(body.contains("edge.allowed_hosts"), "{body}");
            }
        }
        bus.ready();
        assert_eq!(ask_for("edges", &router, "/readyz").await.0, 200);
    }

    #[tokio::test]
    async fn metrics_are_text_for_prometheus() {
        let life = Lifecycle::new(Duration::from_secs(1));
        let (status, kind, body) = ask(
            &AdminRoutes::new(life, Arc::default(), "1").router(),
            "/metrics",
        )
        .await;
        assert_eq!((status, kind.as_str()), (200, metrics::PROMETHEUS_TYPE));
        assert_eq!(body, "");
    }
}
