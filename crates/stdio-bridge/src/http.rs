//! One server over HTTP/1.1: POST, GET and DELETE of a single endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use http_client::{Backoff, BearerToken, ConnectSettings, HttpClient, http_client, retry_after};
use hyper::body::Incoming;
use model::error_chain;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::{
    error::{BridgeError, ExchangeError},
    limits::{
        ANSWER_SILENCE, CONNECT, MAX_ANSWER_BYTES, SEND_PAUSE, SEND_PAUSE_MAX, SEND_TRIES,
        STREAM_SILENCE,
    },
    options::BridgeOptions,
};

/// Lifetime of an idle connection: shorter than load balancers allow.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The remote server.
#[derive(Debug)]
pub(crate) struct EndpointClient {
    client: HttpClient,
    url: Uri,
    authorization: Option<BearerToken>,
}

impl EndpointClient {
    pub(crate) fn new(options: &BridgeOptions) -> Result<Self, BridgeError> {
        let settings = ConnectSettings {
            connect_timeout: CONNECT,
            keepalive: Some(STREAM_SILENCE),
            idle_timeout: POOL_IDLE,
        };
        Ok(Self {
            client: http_client([&options.url], settings).map_err(BridgeError::Certificates)?,
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
                Ok(response) => match asked_pause(response) {
                    Some(pause) => pause.max(backoff.pause()),
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
        if let Some(token) = &self.authorization {
            to.insert(AUTHORIZATION, token.header().clone());
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

/// The delay that a server asks for when it has not carried out the request.
fn asked_pause(response: &Response<Incoming>) -> Option<Duration> {
    let postponed = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if !postponed.contains(&response.status()) {
        return None;
    }
    retry_after(response.headers(), SEND_PAUSE_MAX)
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
