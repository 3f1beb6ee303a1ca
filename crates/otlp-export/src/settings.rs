//! Where and how to export.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use instruments::recording::SamplingPolicy;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The encoding and transport of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf bodies.
    Http,
}

/// The settings of an exporter.
#[derive(Clone)]
pub struct OtlpSettings {
    /// The collector: `http://` or `https://`, a host, and a path before `/v1/traces` for HTTP.
    pub endpoint: String,
    /// The protocol.
    pub protocol: OtlpProtocol,
    /// Headers of every request, for instance a token.
    pub headers: Vec<(String, String)>,
    /// Attributes of the resource, `service.name` among them.
    pub resource: Vec<(String, String)>,
    /// Which requests are recorded.
    pub policy: SamplingPolicy,
    /// Maximum number of spans that wait to be sent.
    pub queue_spans: usize,
    /// Maximum time of one export.
    pub timeout: Duration,
    /// The interval at which metrics are sent; `None` for never.
    pub metrics_interval: Option<Duration>,
}

/// Without the headers, which may have tokens.
impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// The reason why nothing can be exported with these settings. Header values are never part of it.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The endpoint is not an address.
    #[error("telemetry.endpoint: `{0}` is not an address such as http://collector:4317")]
    Endpoint(String),
    /// The endpoint has a name or a password, which a log would show.
    #[error(
        "telemetry.endpoint has a name or a password: put them into telemetry.header_files, as the header `authorization`"
    )]
    Credentials,
    /// A header has characters that HTTP does not allow.
    #[error(
        "telemetry.headers, telemetry.header_files: the header `{0}` has a name or a value that HTTP does not allow"
    )]
    Header(String),
    /// The exporter refuses its settings, some of which come from `OTEL_` variables.
    #[error("the exporter of spans cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The channel to the collector cannot be made.
    #[error("telemetry.endpoint: no connection can be made to it")]
    Channel(#[from] tonic::transport::Error),
    /// No certificate authorities were found.
    #[error("the system's certificates cannot be read, which https needs")]
    Certificates(#[source] std::io::Error),
}

/// The checked address of a collector.
#[derive(Debug, Clone)]
pub(crate) struct ExportTarget {
    /// Without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) is_https: bool,
    pub(crate) headers: HeaderMap,
}

impl OtlpSettings {
    /// Checks them without a connection.
    ///
    /// # Errors
    /// The endpoint or a header cannot be used; the text names the key.
    pub fn check(&self) -> Result<(), OtlpError> {
        self.target().map(|_| ())
    }

    pub(crate) fn target(&self) -> Result<ExportTarget, OtlpError> {
        if self.endpoint.contains('@') {
            return Err(OtlpError::Credentials);
        }
        let wrong = || OtlpError::Endpoint(self.endpoint.clone());
        let uri: Uri = self.endpoint.parse().map_err(|_| wrong())?;
        let is_https = match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => false,
            (Some("https"), Some(_)) => true,
            _ => return Err(wrong()),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || OtlpError::Header(name.clone());
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(ExportTarget {
            endpoint: self.endpoint.trim_end_matches('/').to_owned(),
            is_https,
            headers,
        })
    }

    pub(crate) fn resource(&self) -> Resource {
        let attributes = self.resource.iter();
        let attributes = attributes.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        Resource::builder_empty()
            .with_attributes(attributes)
            .build()
    }
}
