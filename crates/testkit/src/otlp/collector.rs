//! A collector that answers as it should.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
    routing::post,
};
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::received::{self, ReceivedMetric, ReceivedSpan};

/// Longest wait for what a test expects: exports come a second after their spans.
const DEADLINE: Duration = Duration::from_secs(20);

/// A collector with a gRPC and an HTTP listener. Dropping it ends both.
#[derive(Debug)]
pub struct OtlpCollector {
    grpc: String,
    http: String,
    inbox: Arc<Inbox>,
    servers: Vec<JoinHandle<()>>,
}

impl OtlpCollector {
    /// Starts one on free ports of this machine.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let grpc = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (grpc_port, http_port) = (grpc.local_addr()?.port(), http.local_addr()?.port());
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::from_arc(Arc::clone(&inbox)))
            .add_service(MetricsServiceServer::from_arc(Arc::clone(&inbox)))
            .serve_with_incoming(TcpIncoming::from(grpc));
        let routes = Router::new()
            .route("/v1/traces", post(http_traces))
            .route("/v1/metrics", post(http_metrics))
            .with_state(Arc::clone(&inbox));
        let servers = vec![
            tokio::spawn(async move {
                // It ends with the test.
                let _ = server.await;
            }),
            tokio::spawn(async move {
                let _ = axum::serve(http, routes).await;
            }),
        ];
        Ok(Self {
            grpc: format!("http://127.0.0.1:{grpc_port}"),
            http: format!("http://127.0.0.1:{http_port}"),
            inbox,
            servers,
        })
    }

    /// Refuses metrics from now on, as a collector does that takes only traces.
    pub fn refuse_metrics(&self) {
        self.inbox.refuses_metrics.store(true, Ordering::SeqCst);
    }

    /// The number of sets of metrics that were refused.
    #[must_use]
    pub fn refused_metrics(&self) -> usize {
        self.inbox.content().refused_metrics
    }

    /// The endpoint for OTLP over gRPC.
    #[must_use]
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// The endpoint for OTLP over HTTP.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.inbox.content().spans.clone()
    }

    /// The newest state of each metric of each process.
    #[must_use]
    pub fn metrics(&self) -> Vec<ReceivedMetric> {
        self.inbox.content().metrics.values().cloned().collect()
    }

    /// The values of a header in all requests so far.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        let content = self.inbox.content();
        let found = content.headers.iter();
        found
            .filter_map(|headers| headers.get(name)?.to_str().ok())
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Waits until what was received holds; false if it does not within 20 s.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) -> bool {
        let mut changes = self.inbox.changes.subscribe();
        let holding = async {
            while !holds(self) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(DEADLINE, holding).await.is_ok()
    }
}

impl Drop for OtlpCollector {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

#[derive(Debug, Default)]
struct Inbox {
    content: Mutex<Content>,
    refuses_metrics: AtomicBool,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Content {
    spans: Vec<ReceivedSpan>,
    /// By name, and the process.
    metrics: BTreeMap<(String, String), ReceivedMetric>,
    headers: Vec<HeaderMap>,
    refused_metrics: usize,
}

impl Inbox {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traces(&self, headers: HeaderMap, request: ExportTraceServiceRequest) {
        let mut content = self.content();
        content.headers.push(headers);
        content.spans.extend(received::spans(request));
        drop(content);
        self.changes.send_replace(());
    }

    /// Takes a set of metrics; false if it is refused.
    fn metrics(&self, headers: HeaderMap, request: ExportMetricsServiceRequest) -> bool {
        let mut content = self.content();
        if self.refuses_metrics.load(Ordering::SeqCst) {
            content.refused_metrics += 1;
            drop(content);
            self.changes.send_replace(());
            return false;
        }
        content.headers.push(headers);
        for metric in received::metrics(request) {
            let instance = metric.resource.get("service.instance.id").cloned();
            let key = (metric.name.clone(), instance.unwrap_or_default());
            content.metrics.insert(key, metric);
        }
        drop(content);
        self.changes.send_replace(());
        true
    }
}

#[tonic::async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.traces(metadata.into_headers(), request);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Inbox {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        match self.metrics(metadata.into_headers(), request) {
            true => Ok(Response::new(ExportMetricsServiceResponse::default())),
            false => Err(Status::unimplemented("traces only")),
        }
    }
}

async fn http_traces(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> HttpResponse {
    let request = match ExportTraceServiceRequest::decode(body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    inbox.traces(headers, request);
    protobuf(&ExportTraceServiceResponse::default())
}

async fn http_metrics(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> HttpResponse {
    let request = match ExportMetricsServiceRequest::decode(body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    match inbox.metrics(headers, request) {
        true => protobuf(&ExportMetricsServiceResponse::default()),
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

fn protobuf(answer: &impl Message) -> HttpResponse {
    let kind = [(header::CONTENT_TYPE, "application/x-protobuf")];
    (kind, answer.encode_to_vec()).into_response()
}
