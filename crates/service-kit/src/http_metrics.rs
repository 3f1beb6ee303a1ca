//! Latencies of HTTP requests. Every label is one of a fixed set: a route that the listener has, a method of
//! RFC 9110, a class of status.

use std::{fmt, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use instruments::TraceSpan;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::family::Family,
};

use crate::metrics::{LatencyHistogram, MetricsRegistry};

/// The label of requests for a path that is no route.
const OTHER_ROUTE: &str = "other";

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum MethodLabel {
    Get,
    Post,
    Delete,
    Options,
    Other,
}

impl EncodeLabelValue for MethodLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "other",
        };
        text.encode(encoder)
    }
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::POST => Self::Post,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }
}

/// The class of a status: `2xx` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct StatusClass(u8);

impl From<StatusCode> for StatusClass {
    fn from(status: StatusCode) -> Self {
        Self(u8::try_from(status.as_u16() / 100).unwrap_or(9))
    }
}

impl EncodeLabelValue for StatusClass {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self.0 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        };
        text.encode(encoder)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: MethodLabel,
    status: StatusClass,
}

/// The instruments of one listener. Clones share them.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    latency: Family<RequestLabels, LatencyHistogram>,
    routes: &'static [&'static str],
    base_path: Arc<str>,
}

impl HttpMetrics {
    /// Registers `forgewire_<owner>_http_request_seconds`. `routes` are the paths of the listener's routes
    /// below `base_path`, as axum writes them.
    pub fn new(
        registry: &mut MetricsRegistry,
        owner: &str,
        routes: &'static [&'static str],
        base_path: &str,
    ) -> Self {
        let metrics = Self {
            latency: Family::default(),
            routes,
            base_path: base_path.into(),
        };
        registry.register(
            format!("forgewire_{owner}_http_request_seconds"),
            "Time from the head of a request to the head of its response, by route, method and class of the status",
            metrics.latency.clone(),
        );
        metrics
    }

    /// The label of a matched path; paths that are no route share one.
    #[must_use]
    pub fn route(&self, matched: Option<&str>) -> &'static str {
        let below = matched.and_then(|path| path.strip_prefix(&*self.base_path));
        let mut routes = self.routes.iter();
        let found = below.and_then(|path| routes.find(|route| **route == path));
        found.copied().unwrap_or(OTHER_ROUTE)
    }

    /// Counts a request that was answered; `span` is its own.
    pub(crate) fn answered(
        &self,
        route: &'static str,
        method: &Method,
        status: StatusCode,
        latency: Duration,
        span: &TraceSpan,
    ) {
        let labels = RequestLabels {
            route,
            method: method.into(),
            status: status.into(),
        };
        let histogram = self.latency.get_or_create(&labels);
        histogram.observe(latency, span);
    }
}
