//! The part of GitHub's REST API that lists the deliveries of a repository's webhook, over real HTTP; and a channel of
//! server-sent events that repeats them, as smee.io does.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use serde_json::{Value, json, value::RawValue};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::Delivery;

/// The owner, the repository and the webhook whose deliveries are listed.
const OWNER: &str = "octo-relay";
const REPO: &str = "tool";
const HOOK: u64 = 455_000_001;
/// The id of the first delivery; ids rise in steps, as GitHub's do.
const FIRST_ID: u64 = 180_000_000_000;
const ID_STEP: u64 = 7;

/// A running API. Dropping it ends it.
#[derive(Debug)]
pub struct DeliveriesApiServer {
    url: String,
    state: Arc<ApiState>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct ApiState {
    token: String,
    kept: Mutex<KeptDeliveries>,
    /// The number of deliveries on the channel.
    published: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct KeptDeliveries {
    deliveries: Vec<Delivery>,
    /// Seconds for which the next requests are asked to wait, one for each.
    limited: Vec<u32>,
    /// Requests of single deliveries, by GUID.
    reads: BTreeMap<String, u32>,
    /// Looks at the list that were answered with 304.
    unchanged: u32,
}

impl DeliveriesApiServer {
    /// Starts one on a free port of this machine, which knows this token.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(token: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(ApiState {
            token: token.to_owned(),
            kept: Mutex::default(),
            published: watch::Sender::new(0),
        });
        let hooks = "/repos/{owner}/{repo}/hooks";
        let routes = Router::new()
            .route(hooks, get(list_hooks))
            .route(&format!("{hooks}/{{hook}}/deliveries"), get(list))
            .route(&format!("{hooks}/{{hook}}/deliveries/{{id}}"), get(one))
            .route("/channel", get(channel))
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { url, state, server })
    }

    /// The base URL of the API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The repository, as `owner/repo`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{OWNER}/{REPO}")
    }

    /// The URL of the channel.
    #[must_use]
    pub fn channel(&self) -> String {
        format!("{}/channel", self.url)
    }

    /// Adds deliveries to the list and to the channel.
    pub fn add(&self, deliveries: &[Delivery]) {
        let mut kept = self.state.kept();
        kept.deliveries.extend_from_slice(deliveries);
        let count = kept.deliveries.len();
        drop(kept);
        self.state.published.send_replace(count);
    }

    /// Answers the next request with 429 and a time to wait.
    pub fn limit_next(&self, seconds: u32) {
        self.state.kept().limited.push(seconds);
    }

    /// How often each delivery was read, by GUID.
    #[must_use]
    pub fn reads(&self) -> BTreeMap<String, u32> {
        self.state.kept().reads.clone()
    }

    /// How often a look at the list was answered with 304.
    #[must_use]
    pub fn unchanged_looks(&self) -> u32 {
        self.state.kept().unchanged
    }

    /// How many requests still wait for their refusal.
    #[must_use]
    pub fn limits_left(&self) -> usize {
        self.state.kept().limited.len()
    }
}

impl Drop for DeliveriesApiServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl ApiState {
    fn kept(&self) -> MutexGuard<'_, KeptDeliveries> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refusal of a request, if it gets one.
    fn refusal(&self, headers: &HeaderMap, repository: (&str, &str)) -> Option<Response> {
        let message = |status: StatusCode, text: &str| {
            Some((status, Json(json!({ "message": text }))).into_response())
        };
        let bearer = format!("Bearer {}", self.token);
        if headers
            .get(header::AUTHORIZATION)
            .is_none_or(|value| value != &*bearer)
        {
            return message(StatusCode::UNAUTHORIZED, "Bad credentials");
        }
        if repository != (OWNER, REPO) {
            return message(StatusCode::NOT_FOUND, "Not Found");
        }
        let seconds = self.kept().limited.pop()?;
        let limited = (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, seconds.to_string())],
            Json(json!({ "message": "You have exceeded a secondary rate limit" })),
        );
        Some(limited.into_response())
    }
}

fn id_of(index: usize) -> u64 {
    FIRST_ID + index as u64 * ID_STEP
}

async fn list_hooks(
    State(state): State<Arc<ApiState>>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match state.refusal(&headers, (&owner, &repo)) {
        Some(refusal) => refusal,
        None => Json(json!([{ "id": HOOK, "type": "Repository", "active": true }])).into_response(),
    }
}

/// The newest first, in pages whose cursor is the index below which the next one begins.
async fn list(
    State(state): State<Arc<ApiState>>,
    Path((owner, repo, _)): Path<(String, String, u64)>,
    Query(asked): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = state.refusal(&headers, (&owner, &repo)) {
        return refusal;
    }
    let number = |name: &str| {
        asked
            .get(name)?
            .trim_start_matches("v1_")
            .parse::<usize>()
            .ok()
    };
    let mut kept = state.kept();
    let all = kept.deliveries.len();
    let tag = format!("W/\"{all}\"");
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value == &*tag)
    {
        kept.unchanged += 1;
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let end = number("cursor").unwrap_or(all).min(all);
    let begin = end.saturating_sub(number("per_page").unwrap_or(30).min(100));
    let items: Vec<Value> = (begin..end)
        .rev()
        .map(|index| {
            let delivery = &kept.deliveries[index];
            json!({
                "id": id_of(index), "guid": delivery.guid.as_str(), "event": delivery.event,
                "action": null, "redelivery": false, "status": "failed to connect to host",
                "status_code": 502, "duration": 0.1, "installation_id": null,
            })
        })
        .collect();
    let mut response = ([(header::ETAG, tag)], Json(items)).into_response();
    if begin > 0 {
        let link = format!(
            "<https://api.github.com/elsewhere?per_page=100&cursor=v1_{begin}>; rel=\"next\""
        );
        if let Ok(link) = link.parse() {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

/// A delivery with its payload, in GitHub's own spelling of it.
async fn one(
    State(state): State<Arc<ApiState>>,
    Path((owner, repo, _, id)): Path<(String, String, u64, u64)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = state.refusal(&headers, (&owner, &repo)) {
        return refusal;
    }
    let index = id.checked_sub(FIRST_ID).map(|steps| steps / ID_STEP);
    let index = index.and_then(|index| usize::try_from(index).ok());
    let mut kept = state.kept();
    let Some(delivery) = index.and_then(|index| kept.deliveries.get(index)).cloned() else {
        return (
            StatusCode::NOT_FOUND,
            Json(json!({ "message": "Not Found" })),
        )
            .into_response();
    };
    *kept.reads.entry(delivery.guid.to_string()).or_default() += 1;
    drop(kept);
    let payload = RawValue::from_string(String::from_utf8_lossy(&delivery.body).into_owned());
    Json(json!({
        "id": id, "guid": delivery.guid.as_str(), "event": delivery.event, "redelivery": false,
        "request": { "headers": { "X-GitHub-Event": delivery.event }, "payload": payload.ok() },
        "response": { "headers": {}, "payload": "" },
    }))
    .into_response()
}

/// What was added, and then what is added while the stream is open.
async fn channel(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
    let begin = (last.unwrap_or(0), state.published.subscribe(), true);
    let frames = stream::unfold(begin, move |(next, mut published, is_first)| {
        let state = Arc::clone(&state);
        async move {
            if is_first {
                let ready = Bytes::from("event: ready\ndata: {}\n\n");
                return Some((Ok::<_, Infallible>(ready), (next, published, false)));
            }
            published.wait_for(|count| *count > next).await.ok()?;
            let delivery = state.kept().deliveries.get(next).cloned()?;
            let body = RawValue::from_string(String::from_utf8_lossy(&delivery.body).into_owned());
            let message = json!({
                "x-github-event": delivery.event, "x-github-delivery": delivery.guid.as_str(),
                "x-hub-signature-256": delivery.signature,
                "content-type": "application/json", "timestamp": 1, "query": {}, "body": body.ok(),
            });
            let frame = format!("id: {}\ndata: {message}\n\n", next + 1);
            Some((Ok(Bytes::from(frame)), (next + 1, published, false)))
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(frames)).into_response()
}
