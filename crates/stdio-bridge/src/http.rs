//! One server over HTTP/1.1: POST, GET and DELETE of a single endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
    uri::Scheme,
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use model::error_chain;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::{
    backoff::Backoff,
    error::{BridgeError, ExchangeError},
    limits::{
        ANSWER_SILENCE, CONNECT, MAX_ANSWER_BYTES, SEND_PAUSE, SEND_PAUSE_MAX, SEND_TRIES,
        STREAM_SILENCE,
    },
    options::{Authorization, BridgeOptions},
};

/// Lifetime of an idle connection: shorter than load balancers allow.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The remote server.
#[derive(Debug)]
pub(crate) struct EndpointClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    authorization: Option<Authorization>,
}

impl EndpointClient {
    pub(crate) fn new(options: &BridgeOptions) -> Result<Self, BridgeError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_keepalive(Some(STREAM_SILENCE));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&options.url)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector);
        Ok(Self {
            client,
            url: options.url.clone(),
            authorization: options.authorization.clone(),
        })
    }

    /// POSTs a message. A request that was not sent is retried a few times, and so is one that was
    /// postponed with 503 or 429 and `Retry-After`; nothing else, because it may have been carried out.
    pub(crate) async fn post(
        &self,
        headers: &HeaderMap,
        message: &Bytes,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let mut backoff = Backoff::new(SEND_PAUSE, SEND_PAUSE_MAX);
        let mut tries = 1;
        loop {
            let answer = self.once(Method::POST, headers, message.clone()).await;
            let pause = match &answer {
                Err(ExchangeError::Unreachable(error)) => {
                    if tries == 1 {
                        let cause = error_chain(error);
                        warn!(cause, "the server cannot be reached; trying again");
                    }
                    backoff.pause()
                }
                Ok(response) => match retry_after(response) {
                    Some(pause) => pause.max(backoff.pause()).min(SEND_PAUSE_MAX),
                    None => return answer,
                },
                Err(_) => return answer,
            };
            if tries == SEND_TRIES {
                return answer;
            }
            tries += 1;
            sleep(pause).await;
        }
    }

    /// GETs a stream, without retries.
    pub(crate) async fn get(
        &self,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let answer = self.once(Method::GET, headers, Bytes::new());
        timeout(STREAM_SILENCE, answer)
            .await
            .map_err(|_| ExchangeError::TimedOut)?
    }

    /// DELETEs the session.
    pub(crate) async fn delete(&self, headers: &HeaderMap) -> Result<StatusCode, ExchangeError> {
        let answer = self.once(Method::DELETE, headers, Bytes::new()).await?;
        Ok(answer.status())
    }

    async fn once(
        &self,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let accept = match method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        let is_post = method == Method::POST;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url.clone();
        let to = request.headers_mut();
        to.clone_from(headers);
        to.insert(ACCEPT, HeaderValue::from_static(accept));
        let agent = concat!("forgewire-stdio/", env!("CARGO_PKG_VERSION"));
        to.insert(USER_AGENT, HeaderValue::from_static(agent));
        if is_post {
            to.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(Authorization(value)) = &self.authorization {
            to.insert(AUTHORIZATION, value.clone());
        }
        match timeout(ANSWER_SILENCE, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(ExchangeError::Unreachable(error)),
            Ok(Err(error)) => {
                debug!(cause = error_chain(&error), "no response");
                Err(ExchangeError::Broken)
            }
            Err(_) => Err(ExchangeError::TimedOut),
        }
    }
}

/// Reads certificates only if they are needed.
fn tls(url: &Uri) -> Result<ClientConfig, BridgeError> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    if url.scheme() != Some(&Scheme::HTTPS) {
        let insecure = builder.with_root_certificates(RootCertStore::empty());
        return Ok(insecure.with_no_client_auth());
    }
    let builder = builder
        .with_native_roots()
        .map_err(BridgeError::Certificates)?;
    Ok(builder.with_no_client_auth())
}

/// The delay that a server asks for when it has not carried out the request.
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let postponed = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if !postponed.contains(&response.status()) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Whether the same request may succeed later: the server has trouble, or is asked too often.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Whether the response is a stream of events.
pub(crate) fn is_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    response.status().is_success() && kind.eq_ignore_ascii_case("text/event-stream")
}

/// The whole body of a response that is not a stream.
pub(crate) async fn body(response: Response<Incoming>) -> Result<Bytes, ExchangeError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    match timeout(ANSWER_SILENCE, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ExchangeError::TooLarge),
        Ok(Err(_)) => Err(ExchangeError::Broken),
        Err(_) => Err(ExchangeError::TimedOut),
    }
}
