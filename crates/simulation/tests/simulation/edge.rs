//! An edge: the production service with all its routes, without sockets.

use std::{sync::Arc, time::Duration};

use access::Authenticator;
use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, header, http::request};
use model::{CursorKeys, Epoch, LogPosition, ResourceUri, Sequence, SharedKey, TraceContext};
use ports::{ResourceError, ResourceReader, ResourceState, Stores, SyncStatus};
use serde_json::Value;
use service_kit::{
    config::Secret, descriptors::Descriptors, lifecycle::Lifecycle, metrics::MetricsRegistry,
};
use sse_edge::{EdgeConfig, EdgeDeps, EdgeService};
use tower::ServiceExt;

use crate::{
    link::NodeLife,
    time::{NodeClock, SeededIds},
};

/// The key with which all edges seal cursors.
const STATE_KEY: &str = "the key of all edges, in every history";

/// Opens the cursors of these edges.
pub(crate) fn cursor_keys() -> CursorKeys {
    CursorKeys::new(&[SharedKey::of_text(STATE_KEY)], Epoch(0), false)
}

/// A running edge. Dropping it kills it: from then on it has no effect on anything.
pub(crate) struct SimulatedEdge {
    node: NodeLife,
    life: Lifecycle,
    router: Router,
}

impl Drop for SimulatedEdge {
    fn drop(&mut self) {
        self.node.end();
        self.life.hard_stop();
    }
}

/// An answer other than a stream.
#[derive(Debug)]
pub(crate) struct EdgeAnswer {
    pub(crate) status: u16,
    /// The id of the session, if it names one.
    pub(crate) session: Option<String>,
    pub(crate) body: Value,
}

impl SimulatedEdge {
    pub(crate) fn start(
        stores: Stores,
        node: NodeLife,
        clock: Arc<NodeClock>,
        ids: Arc<SeededIds>,
    ) -> Self {
        let mut registry = MetricsRegistry::default();
        let deps = EdgeDeps {
            bodies: service_kit::bodies::BodyBudget::new(&mut registry),
            pages: Arc::clone(&stores.log),
            log: stores.log,
            records: stores.records,
            mailboxes: stores.mailboxes,
            leases: stores.leases,
            call_lease: EdgeDeps::CALL_LEASE,
            bus: stores.bus,
            resources: Arc::new(NoResources),
            mirror: None,
            mirror_cache: None,
            clock,
            ids,
            auth: Arc::new(Authenticator::none()),
            descriptors: Descriptors::UNLIMITED,
            role_keys: Vec::new(),
            toolsets: Vec::new(),
        };
        let config = EdgeConfig {
            state_keys: vec![Secret::new(STATE_KEY)],
            ..EdgeConfig::default()
        };
        let service = EdgeService::build(&config, deps, &mut registry);
        let life = Lifecycle::new(Duration::from_secs(1));
        let serving = service.expect("a valid configuration").spawn(&life);
        let router = serving.expect("tools with distinct names").router();
        Self { node, life, router }
    }

    /// A way to the edge that is open for as long as it lives.
    pub(crate) fn connection(&self) -> EdgeConnection {
        EdgeConnection {
            router: self.router.clone(),
        }
    }

    pub(crate) fn node(&self) -> &NodeLife {
        &self.node
    }
}

/// A client's way to an edge.
#[derive(Clone)]
pub(crate) struct EdgeConnection {
    router: Router,
}

impl EdgeConnection {
    /// `GET`, which opens a stream.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let request = with_headers(Request::get(path), headers);
        let request = request.header(header::ACCEPT, "text/event-stream");
        self.send(request, Bytes::new()).await
    }

    /// `POST` of a JSON body, with the whole answer.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> EdgeAnswer {
        let request = with_headers(Request::post(path), headers)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json");
        let answer = self.send(request, body.to_string().into()).await;
        let session = answer.headers().get("mcp-session-id");
        let session = session
            .and_then(|id| id.to_str().ok())
            .map(ToOwned::to_owned);
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        EdgeAnswer {
            status,
            session,
            body: json_of(&body),
        }
    }

    async fn send(&self, request: request::Builder, body: Bytes) -> Response<Body> {
        let request = request.header(header::HOST, "localhost");
        let request = request.body(Full::new(body)).expect("a valid request");
        let answer = self.router.clone().oneshot(request).await;
        answer.unwrap_or_else(|never| match never {})
    }
}

fn with_headers(mut request: request::Builder, headers: &[(&str, &str)]) -> request::Builder {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

/// The answer as JSON, or the last message of an answer that is a stream.
fn json_of(body: &[u8]) -> Value {
    let messages = body.split(|byte| *byte == b'\n').rev();
    let mut messages = messages.filter_map(|line| line.strip_prefix(b"data: "));
    let message = messages.find(|message| !message.is_empty()).unwrap_or(body);
    serde_json::from_slice(message).unwrap_or_default()
}

/// A sync role that knows nothing.
#[derive(Debug)]
struct NoResources;

#[async_trait]
impl ResourceReader for NoResources {
    async fn get_resource(
        &self,
        _: &ResourceUri,
        _: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        Ok(None)
    }

    async fn status(&self, _: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        Ok(SyncStatus {
            position: Sequence::START,
            head: Sequence::START,
            resources: 0,
            caught_up: true,
        })
    }
}
