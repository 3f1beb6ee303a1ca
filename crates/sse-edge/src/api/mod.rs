//! The only place that knows axum: routes, extraction, answers.

mod answers;
mod authenticate;
mod conversation;
mod encoding;
mod event_source;
mod events;
mod exchange;
mod history;
mod http_sse;
mod mcp;
mod messages;
mod ndjson;
mod origin;
mod parameters;
mod sse;
mod unknown;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{any, get, post},
};

use crate::edge::Edge;

/// All routes of the edge.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let origins = edge.origins.clone();
    let ids = Arc::clone(&edge.ids);
    let auth = Arc::clone(&edge.auth);
    let base_path = edge.base_path.clone();
    let unknown = unknown::path(&base_path);
    let outside = move |routes: Router| {
        routes
            // Outside authentication, because a preflight carries no token.
            .layer(middleware::from_fn_with_state(
                origins.clone(),
                origin::check,
            ))
            .layer(service_kit::trace::layer(Arc::clone(&ids)))
    };
    let routes = Router::new()
        .route("/events/stream", get(events::stream))
        .route("/events/recent", get(history::recent))
        .route("/events/replay/{timestamp}", get(history::replay))
        .route("/mcp", any(mcp::endpoint))
        .route("/sse", get(http_sse::stream))
        .route("/messages", post(http_sse::messages))
        .route(
            "/mcp/stream",
            any(ndjson::endpoint).layer(ndjson::connection_limit()),
        )
        .route("/mcp/sse/send", post(messages::send))
        .route("/mcp/sse/broadcast", post(messages::broadcast))
        .route("/mcp/sse/stats", get(messages::stats))
        .method_not_allowed_fallback(unknown::method)
        .with_state(edge)
        .route_layer(middleware::from_fn(encoding::check))
        // Around routes only: what does not exist is 404 for everybody.
        .route_layer(middleware::from_fn_with_state(auth, authenticate::check))
        .fallback(unknown.clone());
    let routes = outside(routes);
    if base_path.is_empty() {
        return routes;
    }
    outside(Router::new().fallback(unknown)).nest(&base_path, routes)
}
