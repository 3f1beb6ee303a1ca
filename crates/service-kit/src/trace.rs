//! Trace context over HTTP: one trace from the webhook's POST to the SSE write.
//!
//! [`layer`] reads `traceparent` (W3C Trace Context) or starts a trace, and puts the [`TraceContext`] of
//! this request, a child of the caller's, into the request's extensions; handlers extract it with
//! [`Trace`]. Log lines of a handler are inside a span `request` with `trace_id`, method and path. The
//! path is logged without its query, which may hold a token. The span ends with the response's head: a
//! long stream is not one span.
//!
//! Here a trace enters the installation, so here is decided whether it is recorded
//! ([`TraceSpan::of_request`]), and the latency of the request is counted.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::extract::{FromRequestParts, MatchedPath};
use http::{HeaderMap, Method, Request, Response, request::Parts};
use instruments::{SpanName, TraceSpan};
use model::{ErrorClass, IdSource, TraceContext};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::{Instrument, instrument::Instrumented};

use crate::{http_metrics::HttpMetrics, problem::Problem};

/// The header, and the key of gRPC metadata and of bus headers.
pub const TRACEPARENT: &str = "traceparent";

/// The middleware; `ids` provides span and trace ids.
#[must_use]
pub fn layer(ids: Arc<dyn IdSource>, metrics: HttpMetrics) -> TraceLayer {
    TraceLayer { ids, metrics }
}

/// The trace context of a header map; `None` without a readable `traceparent`.
#[must_use]
pub fn from_headers(headers: &HeaderMap) -> Option<TraceContext> {
    headers
        .get(TRACEPARENT)?
        .to_str()
        .ok()
        .and_then(TraceContext::parse)
}

/// The layer that [`layer`] returns.
#[derive(Debug, Clone)]
pub struct TraceLayer {
    ids: Arc<dyn IdSource>,
    metrics: HttpMetrics,
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceService {
            inner,
            ids: Arc::clone(&self.ids),
            metrics: self.metrics.clone(),
        }
    }
}

/// The service that [`TraceLayer`] builds.
#[derive(Debug, Clone)]
pub struct TraceService<S> {
    inner: S,
    ids: Arc<dyn IdSource>,
    metrics: HttpMetrics,
}

impl<S, B, R> Service<Request<B>> for TraceService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TracedResponse<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller = from_headers(request.headers());
        let (recorded, trace) = TraceSpan::of_request(SpanName::HttpRequest, caller, &*self.ids);
        let matched = request.extensions().get::<MatchedPath>();
        let route = self.metrics.route(matched.map(MatchedPath::as_str));
        let exchange = TracedExchange {
            route,
            method: request.method().clone(),
            began: Instant::now(),
            recorded,
            metrics: self.metrics.clone(),
        };
        exchange.describe();
        let (method, path) = (request.method(), request.uri().path());
        let span = tracing::info_span!("request", trace_id = %trace.trace, %method, path);
        exchange.recorded.show_in_lines(&span);
        request.extensions_mut().insert(trace);
        let future = span.in_scope(|| exchange.recorded.in_scope(|| self.inner.call(request)));
        let work = exchange.recorded.enclose(future).instrument(span);
        TracedResponse { work, exchange }
    }
}

/// What is known of a request while it is answered.
#[derive(Debug)]
struct TracedExchange {
    route: &'static str,
    method: Method,
    began: Instant,
    recorded: TraceSpan,
    metrics: HttpMetrics,
}

impl TracedExchange {
    fn describe(&self) {
        if self.recorded.is_recorded() {
            self.recorded
                .rename(|| format!("{} {}", self.method, self.route));
            self.recorded
                .set("http.request.method", self.method.as_str().to_owned());
            self.recorded.set("http.route", self.route);
        }
    }

    fn answered(&self, status: http::StatusCode) {
        let code = i64::from(status.as_u16());
        self.recorded.set("http.response.status_code", code);
        if status.is_server_error() {
            self.recorded.fail_as("5xx");
        }
        let latency = self.began.elapsed();
        self.metrics
            .answered(self.route, &self.method, status, latency, &self.recorded);
    }
}

pin_project! {
    /// The response of a traced request.
    #[derive(Debug)]
    pub struct TracedResponse<F> {
        #[pin]
        work: Instrumented<Instrumented<F>>,
        exchange: TracedExchange,
    }
}

impl<F, R, E> Future for TracedResponse<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.work.poll(cx));
        if let Ok(response) = &answer {
            this.exchange.answered(response.status());
        }
        Poll::Ready(answer)
    }
}

/// Extracts the trace of the request, for handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace(pub TraceContext);

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().map(Self).ok_or_else(|| {
            tracing::error!("a route extracts its trace but has no trace layer");
            Problem::new(ErrorClass::Permanent, "internal", "Internal error")
        })
    }
}

/// As [`Trace`], for routes that also work without the layer.
impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().copied().map(Self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MetricsRegistry;
    use axum::{Router, body::Body, routing::get};
    use http_body_util::BodyExt;
    use instruments::testing;
    use model::{ManualClock, RandomIds};
    use tower::ServiceExt;

    async fn ask(router: Router, traceparent: Option<&str>) -> String {
        let mut request = Request::get("/?token=secret");
        if let Some(value) = traceparent {
            request = request.header(TRACEPARENT, value);
        }
        let response = router
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn router() -> Router {
        let ids = Arc::new(ManualClock::default());
        let say = |Trace(trace): Trace| async move { trace.to_string() };
        let metrics = HttpMetrics::new(&mut MetricsRegistry::default(), "test", &["/"], "");
        Router::new()
            .route("/", get(say))
            .layer(layer(ids, metrics))
    }

    #[tokio::test]
    async fn the_callers_trace_goes_on_with_a_span_of_ours() {
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let ours = ask(router(), Some(caller)).await;
        assert_eq!(ours[..36], caller[..36]);
        assert_ne!(ours[36..52], caller[36..52]);
    }

    #[tokio::test]
    async fn an_unreadable_or_missing_header_starts_a_trace() {
        for header in [None, Some("00-nonsense"), Some("")] {
            let ours = ask(router(), header).await;
            assert!(TraceContext::parse(&ours).is_some(), "{header:?}: {ours}");
        }
    }

    #[tokio::test]
    async fn requests_are_counted_under_their_route_and_strangers_under_one_label() {
        let mut registry = MetricsRegistry::default();
        let metrics = HttpMetrics::new(&mut registry, "test", &["/things/{id}"], "/base");
        let routes = Router::new()
            .route("/things/{id}", get(|| async { "thing" }))
            .layer(layer(Arc::new(ManualClock::default()), metrics.clone()));
        let outside = Router::new().layer(layer(Arc::new(ManualClock::default()), metrics));
        let router = outside.nest("/base", routes);
        for path in ["/base/things/1", "/base/things/2", "/base/none/7"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let text = crate::metrics::encode(&registry).unwrap();
        let count = |labels: &str| {
            let name = format!("forgewire_test_http_request_seconds_count{{{labels}}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.map(|count| count.parse::<u32>().unwrap())
        };
        let labels = "route=\"/things/{id}\",method=\"GET\",status=\"2xx\"";
        assert_eq!(count(labels), Some(2), "{text}");
        let other = "route=\"other\",method=\"GET\",status=\"4xx\"";
        assert_eq!(count(other), Some(1), "{text}");
    }

    #[tokio::test]
    async fn an_exemplar_names_a_trace_that_is_recorded_here_and_no_other_on_a_clients_word() {
        let mut registry = MetricsRegistry::default();
        let metrics = HttpMetrics::new(&mut registry, "test", &["/"], "");
        let router = Router::new()
            .route("/", get(|| async { "done" }))
            .layer(layer(Arc::new(RandomIds), metrics));
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let exemplars = || {
            let text = crate::metrics::encode(&registry).unwrap();
            text.matches(" # {").count()
        };
        ask(router.clone(), Some(caller)).await;
        assert_eq!(exemplars(), 0, "nothing is recorded");
        let (recorder, spans) = testing::recorder(testing::ALL_REQUESTS);
        let recording = tracing::subscriber::set_default(recorder);
        ask(router, Some(caller)).await;
        drop(recording);
        assert_eq!((exemplars(), spans.names()), (1, vec!["GET /".to_owned()]));
    }

    #[tokio::test]
    async fn a_route_without_the_layer_answers_with_a_problem() {
        let bare = Router::new().route("/", get(|_: Trace| async { "never" }));
        assert!(ask(bare, None).await.contains("\"status\":500"));
    }
}
