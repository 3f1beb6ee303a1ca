//! Requests over HTTP/1.1, each with bounds of time and size.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use http_client::{ConnectSettings, HttpClient, http_client};
use hyper::body::Incoming;
use model::error_chain;
use tokio::time::timeout;

use crate::{
    error::{RelayError, RelayFailure},
    limits::{
        CONNECT_TIMEOUT, IDLE_TIMEOUT, LONGEST_ASKED_PAUSE, MAX_ANSWER_BYTES, REQUEST_TIMEOUT,
    },
};

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("forgewire-relay/", env!("CARGO_PKG_VERSION")));

/// A client of any server.
#[derive(Debug, Clone)]
pub(crate) struct RelayClient {
    client: HttpClient,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct WholeAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl RelayClient {
    pub(crate) fn new<'u>(urls: impl IntoIterator<Item = &'u Uri>) -> Result<Self, RelayError> {
        let settings = ConnectSettings {
            connect_timeout: CONNECT_TIMEOUT,
            keepalive: None,
            idle_timeout: IDLE_TIMEOUT,
        };
        let client = http_client(urls, settings).map_err(RelayError::Certificates)?;
        Ok(Self { client })
    }

    /// Sends a request, and returns as soon as the head of the answer is there.
    pub(crate) async fn open(
        &self,
        method: Method,
        url: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, RelayFailure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::USER_AGENT, AGENT);
        let host = url.host().unwrap_or_default();
        match timeout(REQUEST_TIMEOUT, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let cause = error_chain(&error);
                Err(RelayFailure::passing(format!(
                    "{host} cannot be reached: {cause}"
                )))
            }
            Err(_) => Err(RelayFailure::passing(format!("{host} does not answer"))),
        }
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<WholeAnswer, RelayFailure> {
        let answer = self.open(method, url, headers, body).await?;
        let (parts, body) = answer.into_parts();
        let host = url.host().unwrap_or_default();
        let read = timeout(
            REQUEST_TIMEOUT,
            Limited::new(body, MAX_ANSWER_BYTES).collect(),
        );
        match read.await {
            Ok(Ok(body)) => Ok(WholeAnswer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            }),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(RelayFailure::unreadable(
                format!("the answer of {host} is larger than {MAX_ANSWER_BYTES} bytes"),
            )),
            Ok(Err(error)) => Err(RelayFailure::passing(format!(
                "the answer of {host} breaks off: {error}"
            ))),
            Err(_) => Err(RelayFailure::passing(format!(
                "{host} does not end its answer"
            ))),
        }
    }
}

/// The pause that a server asks for.
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    http_client::retry_after(headers, LONGEST_ASKED_PAUSE)
}
