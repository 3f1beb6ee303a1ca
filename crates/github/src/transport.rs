//! One request and its whole answer: bounds of time and size, and redirects on the same server.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use http_client::HttpClient;
use model::error_chain;
use tokio::time::{Instant, timeout_at};

use crate::{
    api_url::same_server,
    error::GithubError,
    limits::{MAX_ANSWER_BYTES, MAX_REDIRECTS, MAX_REFUSAL_BYTES},
    verdict::WholeResponse,
};

/// A request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct WireRequest {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    /// With the credentials, which are marked as sensitive.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What is asked for, for errors.
    pub(crate) what: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// Another attempt may succeed.
    Passing(GithubError),
    /// It would not.
    Lasting(GithubError),
}

/// Sends requests.
#[derive(Debug)]
pub(crate) struct GithubTransport {
    client: HttpClient,
    timeout: Duration,
}

impl GithubTransport {
    pub(crate) const fn new(client: HttpClient, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Sends a request, and follows redirects of one that only reads: GitHub gives them for a repository that was
    /// renamed or moved. The time limit is that of all of it.
    pub(crate) async fn send(&self, request: &WireRequest) -> Result<WholeResponse, SendFailure> {
        let deadline = Instant::now() + self.timeout;
        let mut url = request.url.clone();
        for redirects in 0.. {
            let answer = self.ask(request, &url, deadline).await?;
            let is_redirect = matches!(answer.status.as_u16(), 301 | 302 | 307 | 308);
            if !is_redirect || request.method != Method::GET {
                return Ok(answer);
            }
            let target = answer.headers.get(header::LOCATION);
            let target = target
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let moved = |target, problem| {
                let what = request.what.clone();
                SendFailure::Lasting(GithubError::Moved {
                    what,
                    target,
                    problem,
                })
            };
            url = same_server(&url, target).map_err(|(target, problem)| moved(target, problem))?;
            if redirects == MAX_REDIRECTS {
                return Err(moved(http_client::quoted(target), "which leads on and on"));
            }
        }
        unreachable!("the last redirect is an error")
    }

    async fn ask(
        &self,
        request: &WireRequest,
        url: &Uri,
        deadline: Instant,
    ) -> Result<WholeResponse, SendFailure> {
        let passing = |why: String| {
            let what = request.what.clone();
            SendFailure::Passing(GithubError::Unavailable { what, why })
        };
        let late = || {
            passing(format!(
                "no whole answer within {} s",
                self.timeout.as_secs()
            ))
        };
        let mut sent = Request::new(Full::new(request.body.clone()));
        *sent.method_mut() = request.method.clone();
        *sent.uri_mut() = url.clone();
        *sent.headers_mut() = request.headers.clone();
        let answer = match timeout_at(deadline, self.client.request(sent)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(passing(error_chain(&error))),
            Err(_) => return Err(late()),
        };
        let (parts, body) = answer.into_parts();
        let max_bytes = most_bytes(parts.status);
        match timeout_at(deadline, Limited::new(body, max_bytes).collect()).await {
            Ok(Ok(body)) => Ok(WholeResponse {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            }),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let what = request.what.clone();
                Err(SendFailure::Lasting(GithubError::TooLarge {
                    what,
                    max_bytes,
                }))
            }
            Ok(Err(error)) => Err(passing(format!("the answer breaks off: {error}"))),
            Err(_) => Err(late()),
        }
    }
}

fn most_bytes(status: StatusCode) -> usize {
    match status.is_success() {
        true => MAX_ANSWER_BYTES,
        false => MAX_REFUSAL_BYTES,
    }
}
