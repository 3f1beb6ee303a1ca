//! The listener: HTTP in, HTTP out.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use model::Clock;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    channel, courier,
    faults::{FakeFault, FaultPlan},
    outgoing::{Arrived, Outgoing},
    shared::Shared,
    state::{FakeCounts, Github},
};
use crate::{
    auth::{FakeApp, TokenBook},
    budgets::{FakeLimits, LimitBook},
    world::{AccountKey, FakeWorld},
};

/// The largest body that is read.
const MAX_BODY: usize = 1 << 20;

/// A running fake GitHub. Dropping it ends it.
#[derive(Debug)]
pub struct GithubServer {
    url: String,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl GithubServer {
    /// Starts one on a free port of this machine. Ids and tokens depend on the seed, times on the clock.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(seed: u64, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        Self::of(FakeWorld::new(seed, clock), seed).await
    }

    /// Starts one with a world that exists already.
    ///
    /// # Errors
    /// No port is free.
    pub async fn of(world: FakeWorld, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = FakeApp {
            id: 1_000 + seed % 1_000,
            slug: "forgewire-test".to_owned(),
            client_id: format!("Iv23li{seed:014}"),
            owner: world.actor(),
            created_at: world.now(),
        };
        let github = Github {
            world,
            tokens: TokenBook::new(app, seed),
            limits: LimitBook::default(),
            faults: FaultPlan::default(),
            counts: FakeCounts::default(),
        };
        let shared = Arc::new(Shared {
            github: Mutex::new(github),
            at_once: AtomicUsize::new(0),
            changed: watch::Sender::new(0),
        });
        let routes = Router::new()
            .route("/channel/{hook}", get(channel::stream))
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, routes).await;
        });
        let courier = tokio::spawn(courier::run(Arc::clone(&shared)));
        Ok(Self {
            url,
            shared,
            tasks: [server, courier],
        })
    }

    /// Method and path of every route of the REST API.
    pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
        super::routes::ROUTES
            .iter()
            .map(|it| (it.method, it.template))
    }

    /// Base URL of the REST API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Base URL of the REST API where GitHub Enterprise Server has it.
    #[must_use]
    pub fn enterprise_url(&self) -> String {
        format!("{}/api/v3", self.url)
    }

    /// URL of the GraphQL API.
    #[must_use]
    pub fn graphql_url(&self) -> String {
        format!("{}/graphql", self.url)
    }

    /// Changes the world, or looks at it; deliveries that this causes are sent.
    pub fn change<T>(&self, change: impl FnOnce(&mut FakeWorld) -> T) -> T {
        let result = change(&mut self.shared.github().world);
        self.shared.tell();
        result
    }

    /// Makes the token of a user known.
    pub fn admit(&self, token: &str, user: AccountKey) {
        self.shared.github().tokens.admit(token, user);
    }

    /// Takes a token back: 401 from now on.
    pub fn revoke(&self, token: &str) {
        self.shared.github().tokens.revoke(token);
    }

    /// Id of the app.
    #[must_use]
    pub fn app_id(&self) -> u64 {
        self.shared.github().tokens.app.id
    }

    /// Sets the limits.
    pub fn limit(&self, limits: FakeLimits) {
        self.shared.github().limits.limits = limits;
    }

    /// Lets something go wrong with the next requests whose path contains this text.
    pub fn break_next(&self, path: &str, fault: FakeFault, times: u32) {
        self.shared.github().faults.add(path, fault, times);
    }

    /// How many faults still wait for a request.
    #[must_use]
    pub fn faults_left(&self) -> u32 {
        self.shared.github().faults.left()
    }

    /// What was asked and what it cost.
    #[must_use]
    pub fn counts(&self) -> FakeCounts {
        self.shared.github().counts.clone()
    }

    /// How often a route was asked: `GET /repos/{owner}/{repo}/issues`.
    #[must_use]
    pub fn requests(&self, route: &str) -> u64 {
        self.counts().requests.get(route).copied().unwrap_or(0)
    }

    /// Points that were taken from budgets of the hour.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.counts().points
    }

    /// Answers that said that nothing changed.
    #[must_use]
    pub fn not_modified(&self) -> u64 {
        self.counts().not_modified
    }

    /// Waits until every delivery has been attempted.
    pub async fn delivered(&self) {
        let mut changed = self.shared.changed.subscribe();
        while self.shared.github().world.hooks.unfinished() > 0 {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for GithubServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Counts a request while it is answered.
struct AtOnce<'s>(&'s AtomicUsize);

impl Drop for AtOnce<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let count = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    let _counted = AtOnce(&shared.at_once);
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let text = |name: &str| text_of(&parts.headers, name);
    let arrived = Arrived {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        host: text(header::HOST.as_str()).unwrap_or_default(),
        authorization: text(header::AUTHORIZATION.as_str()),
        version: text("x-github-api-version"),
        if_none_match: text(header::IF_NONE_MATCH.as_str()),
        if_modified_since: text(header::IF_MODIFIED_SINCE.as_str()),
        body,
    };
    let outgoing = shared.github().answer(&arrived, count);
    shared.tell();
    if !outgoing.late.is_zero() {
        tokio::time::sleep(outgoing.late).await;
    }
    response(outgoing)
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn response(outgoing: Outgoing) -> Response {
    let mut builder = Response::builder().status(outgoing.status);
    for (name, value) in &outgoing.headers {
        builder = builder.header(*name, value);
    }
    let body = if outgoing.is_cut {
        let length = outgoing.body.len();
        builder = builder.header(header::CONTENT_LENGTH, length);
        let half = outgoing.body.slice(..length / 2);
        // A pause lets the first half go out before the connection breaks.
        let breaks = stream::once(async {
            tokio::task::yield_now().await;
            Err(std::io::ErrorKind::BrokenPipe.into())
        });
        let half = stream::iter([Ok::<Bytes, std::io::Error>(half)]);
        Body::from_stream(half.chain(breaks))
    } else {
        Body::from(outgoing.body)
    };
    builder
        .body(body)
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}
