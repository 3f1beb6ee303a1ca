//! Trace context over HTTP: one trace from the webhook's POST to the SSE write.
//!
//! [`layer`] reads `traceparent` (W3C Trace Context) or starts a trace, and puts the [`TraceContext`] of
//! this request, a child of the caller's, into the request's extensions; handlers extract it with
//! [`Trace`]. Log lines of a handler are inside a span `request` with `trace_id`, method and path. The
//! path is logged without its query, which may hold a token. The span ends with the response's head: a
//! long stream is not one span.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::FromRequestParts;
use http::{HeaderMap, Request, request::Parts};
use model::{ErrorClass, IdSource, TraceContext};
use tower::{Layer, Service};
use tracing::{Instrument, instrument::Instrumented};

use crate::problem::Problem;

/// The header, and the key of gRPC metadata and of bus headers.
pub const TRACEPARENT: &str = "traceparent";

/// The middleware; `ids` provides span and trace ids.
#[must_use]
pub fn layer(ids: Arc<dyn IdSource>) -> TraceLayer {
    TraceLayer { ids }
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
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceService {
            inner,
            ids: Arc::clone(&self.ids),
        }
    }
}

/// The service that [`TraceLayer`] builds.
#[derive(Debug, Clone)]
pub struct TraceService<S> {
    inner: S,
    ids: Arc<dyn IdSource>,
}

impl<S, B> Service<Request<B>> for TraceService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let trace = from_headers(request.headers()).map_or_else(
            || TraceContext::start(&*self.ids),
            |caller| caller.child(&*self.ids),
        );
        let (method, path) = (request.method(), request.uri().path());
        let span = tracing::info_span!("request", trace_id = %trace.trace, %method, path);
        request.extensions_mut().insert(trace);
        let future = span.in_scope(|| self.inner.call(request));
        future.instrument(span)
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
    use axum::{Router, body::Body, routing::get};
    use http_body_util::BodyExt;
    use model::ManualClock;
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
        Router::new().route("/", get(say)).layer(layer(ids))
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
    async fn a_route_without_the_layer_answers_with_a_problem() {
        let bare = Router::new().route("/", get(|_: Trace| async { "never" }));
        assert!(ask(bare, None).await.contains("\"status\":500"));
    }
}
