//! A GitHub that answers as a test says, and remembers what it was asked.

use std::{
    future::{Future, ready},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use github::{
    GithubAccess, GithubClient, GithubConfig, GithubDeps, GithubIdentity, GithubMetrics,
    GithubPace, RestCall, RestRoute,
};
use http_client::HttpProxies;
use model::SystemClock;
use parking_lot::Mutex;
use ports::Budget;
use serde_json::Value;
use store_memory::MemoryBudget;
use tokio::{net::TcpListener, task::AbortHandle};

/// A request as GitHub sees it.
#[derive(Debug, Clone)]
pub(crate) struct SeenRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Requests before this one.
    pub(crate) before: usize,
}

impl SeenRequest {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// It ends when it is dropped.
pub(crate) struct ScriptedGithub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<SeenRequest>>>,
    serving: AbortHandle,
}

impl Drop for ScriptedGithub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl ScriptedGithub {
    /// Answers each request at once.
    pub(crate) async fn start(
        answer: impl Fn(&SeenRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start_slow(move |seen| ready(answer(&seen))).await
    }

    /// Answers each request when the future ends.
    pub(crate) async fn start_slow<F>(
        answer: impl Fn(SeenRequest) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let seen: Arc<Mutex<Vec<SeenRequest>>> = Arc::default();
        let log = Arc::clone(&seen);
        let handle = move |request: Request| {
            let (log, answer) = (Arc::clone(&log), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let seen = {
                    let mut log = log.lock();
                    let before = log.len();
                    log.push(SeenRequest {
                        method: parts.method.to_string(),
                        path: parts.uri.path_and_query().unwrap().to_string(),
                        headers: parts.headers,
                        body: String::from_utf8(body.to_vec()).unwrap(),
                        before,
                    });
                    log.last().unwrap().clone()
                };
                answer(seen).await
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handle);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            seen,
            serving: serving.abort_handle(),
        }
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.seen.lock().clone()
    }

    /// A client with this identity and a budget of its own.
    pub(crate) fn client_as(&self, identity: GithubIdentity) -> GithubClient {
        self.client_with(identity, memory(), FAST)
    }

    /// A client with a token and a budget of its own.
    pub(crate) fn client(&self) -> GithubClient {
        self.client_as(GithubIdentity::Token(TOKEN.to_owned()))
    }

    pub(crate) fn client_with(
        &self,
        identity: GithubIdentity,
        budget: Arc<dyn Budget>,
        pace: GithubPace,
    ) -> GithubClient {
        let config = self.config(identity, pace);
        GithubClient::new(&config, deps(budget)).unwrap()
    }

    pub(crate) fn config(&self, identity: GithubIdentity, pace: GithubPace) -> GithubConfig {
        let graphql = format!("{}/graphql", self.url);
        let mut config = GithubConfig::new(&self.url, &graphql, identity).unwrap();
        config.pace = pace;
        config.proxies = HttpProxies::none();
        config
    }
}

pub(crate) const TOKEN: &str = "ghp_of_nobody";

/// Short pauses; a window is that of GitHub.
pub(crate) const FAST: GithubPace = GithubPace {
    request_timeout: Duration::from_secs(5),
    first_pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(20),
    first_limit_pause: Duration::from_millis(200),
    breaker_pause: Duration::from_millis(300),
    secret_check: Duration::ZERO,
    window: Duration::from_secs(3600),
};

pub(crate) fn memory() -> Arc<dyn Budget> {
    Arc::new(MemoryBudget::new(Arc::new(SystemClock)))
}

pub(crate) fn deps(budget: Arc<dyn Budget>) -> GithubDeps {
    GithubDeps {
        budget,
        clock: Arc::new(SystemClock),
        metrics: GithubMetrics::default(),
    }
}

pub(crate) fn json(status: u16, body: &Value) -> Response {
    with(status, &[("content-type", "application/json")], body)
}

pub(crate) fn with(status: u16, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name = axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

pub(crate) fn owner() -> GithubAccess {
    GithubAccess::Owner("octo".to_owned())
}

pub(crate) fn repository() -> RestCall {
    RestCall::new(RestRoute::REPOSITORY, owner(), &["octo", "tool"])
}
