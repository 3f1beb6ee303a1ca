//! The two ways to a collector.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
};
use prost::Message;
use tonic::{
    metadata::MetadataMap,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use crate::settings::{ExportTarget, OtlpError, OtlpProtocol};

/// Maximum time to connect to a collector.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Lifetime of an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(90);
/// Maximum size of a collector's answer, which has a count and a sentence. A longer one is a failure.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends metrics; spans have an exporter of their own.
#[derive(Debug, Clone)]
pub(crate) enum MetricsSender {
    Grpc(MetricsServiceClient<Channel>, MetadataMap),
    Http(Arc<CollectorClient>, String, HeaderMap),
}

impl MetricsSender {
    /// Sends one set; whether the collector took it.
    pub(crate) async fn send(&mut self, set: ExportMetricsServiceRequest) -> Result<(), HttpError> {
        match self {
            Self::Grpc(client, metadata) => {
                let request =
                    tonic::Request::from_parts(metadata.clone(), tonic::Extensions::new(), set);
                client.export(request).await?;
                Ok(())
            }
            Self::Http(client, url, headers) => {
                let mut request = Request::post(url.as_str());
                if let Some(own) = request.headers_mut() {
                    own.extend(headers.clone());
                }
                let request = request
                    .header(CONTENT_TYPE, "application/x-protobuf")
                    .body(Bytes::from(set.encode_to_vec()))?;
                let answer = client.send_bytes(request).await?;
                match answer.status().is_success() {
                    true => Ok(()),
                    false => Err(RefusedMetrics(answer.status()).into()),
                }
            }
        }
    }
}

/// The collector answered a set of metrics with another status than 2xx.
#[derive(Debug, thiserror::Error)]
#[error("the collector answered {0}")]
struct RefusedMetrics(StatusCode);

/// The exporter of spans and the sender of metrics, on one channel. Inside a tokio runtime.
pub(crate) fn connect(
    protocol: OtlpProtocol,
    target: ExportTarget,
    timeout: Duration,
) -> Result<(SpanExporter, MetricsSender), OtlpError> {
    match protocol {
        OtlpProtocol::Grpc => grpc(target, timeout),
        OtlpProtocol::Http => http(target, timeout),
    }
}

fn grpc(
    target: ExportTarget,
    timeout: Duration,
) -> Result<(SpanExporter, MetricsSender), OtlpError> {
    let mut endpoint = Endpoint::from_shared(target.endpoint)?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout);
    if target.is_https {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    let channel = endpoint.connect_lazy();
    let metadata = MetadataMap::from_headers(target.headers);
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_protocol(Protocol::Grpc)
        .with_timeout(timeout)
        .with_metadata(metadata.clone())
        .with_channel(channel.clone())
        .build()?;
    let metrics = MetricsServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    Ok((spans, MetricsSender::Grpc(metrics, metadata)))
}

fn http(
    target: ExportTarget,
    timeout: Duration,
) -> Result<(SpanExporter, MetricsSender), OtlpError> {
    let client = Arc::new(CollectorClient::new(target.is_https)?);
    let headers: HashMap<_, _> = target.headers.iter().filter_map(text_header).collect();
    let spans = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(timeout)
        .with_headers(headers)
        .with_endpoint(format!("{}/v1/traces", target.endpoint))
        .with_shared_http_client(Arc::<CollectorClient>::clone(&client))
        .build()?;
    let url = format!("{}/v1/metrics", target.endpoint);
    Ok((spans, MetricsSender::Http(client, url, target.headers)))
}

fn text_header((name, value): (&http::HeaderName, &http::HeaderValue)) -> Option<(String, String)> {
    Some((name.to_string(), value.to_str().ok()?.to_owned()))
}

/// The HTTP client of both: rustls, HTTP/1.1, answers up to a bound.
#[derive(Debug)]
pub(crate) struct CollectorClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl CollectorClient {
    fn new(is_https: bool) -> Result<Self, OtlpError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("ring supports the versions of TLS that rustls has by default");
        let tls = match is_https {
            true => tls.with_native_roots().map_err(OtlpError::Certificates)?,
            false => tls.with_root_certificates(rustls::RootCertStore::empty()),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector);
        Ok(Self(client))
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.0.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}
