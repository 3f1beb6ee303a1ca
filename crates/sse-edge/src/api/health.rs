//! `GET /health`: the status of the edge for everybody, and statistics for who may read all events.
//!
//! Who sees only some repositories must not learn how many events there are of others: its cursors are sealed for
//! the same reason. Without authentication, every client may read all events, and so their number.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use serde_json::{Map, Value, json};
use service_kit::public_health;

use crate::{edge::Edge, health::EdgeHealthPage};

pub(super) async fn page(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let page = &edge.health_page;
    let principal = edge.auth.authenticate(request.headers());
    let detail = match principal {
        Ok(principal) if principal.sees.is_all() => detail(&edge, page).await,
        _ => Map::new(),
    };
    public_health::answer(&page.lifecycle, detail)
}

async fn detail(edge: &Edge, page: &EdgeHealthPage) -> Map<String, Value> {
    let streams = edge.hub.open_streams();
    let log = page.log.read().await;
    let events = log.map(|log| log.to_json(edge.hub.positions_in_memory()));
    let port = Some(page.port).filter(|port| *port != 0);
    let detail = json!({
        "uptimeSeconds": page.started.elapsed().as_secs(),
        "server": { "running": true, "port": port, "connections": streams },
        "events": events,
        // Those in the store are not counted, because no store says cheaply how many they are; an open stream of
        // this edge is an active one.
        "subscriptions": {
            "activeSubscriptions": streams,
            "subscriptionsByTransport": { "sse": streams },
        },
        "cache": page.health.cache(),
    });
    match detail {
        Value::Object(detail) => detail,
        _ => Map::new(),
    }
}
