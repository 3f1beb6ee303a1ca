//! The only place that knows axum: routes, extraction, answers.

mod answer_body;
mod answers;
mod authenticate;
mod batch;
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
mod sse;
mod unknown;

use std::sync::{Arc, LazyLock};

use axum::{
    Router, middleware,
    routing::{MethodRouter, any, get, post},
};

use crate::edge::Edge;

/// The paths of the routes below the base path, as metrics name them.
pub(crate) static ROUTES: LazyLock<Vec<&'static str>> = LazyLock::new(|| routes().paths);

/// A router, and the paths of its routes: a path that only one of them knew would have no latencies of its own.
#[derive(Default)]
struct NamedRoutes {
    router: Router<Arc<Edge>>,
    paths: Vec<&'static str>,
}

impl NamedRoutes {
    fn route(self, path: &'static str, handlers: MethodRouter<Arc<Edge>>) -> Self {
        let Self { router, mut paths } = self;
        paths.push(path);
        Self {
            router: Router::route(router, path, handlers),
            paths,
        }
    }
}

fn routes() -> NamedRoutes {
    NamedRoutes::default()
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
}

/// All routes of the edge.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let origins = edge.origins.clone();
    let ids = Arc::clone(&edge.ids);
    let metrics = edge.http_metrics.clone();
    let gate = authenticate::Gate {
        auth: Arc::clone(&edge.auth),
        rates: Arc::clone(&edge.rates),
        turns: Arc::clone(&edge.turns),
    };
    let base_path = edge.base_path.clone();
    let unknown = unknown::path(&base_path);
    let outside = move |routes: Router| {
        routes
            // Outside authentication, because a preflight carries no token.
            .layer(middleware::from_fn_with_state(
                origins.clone(),
                origin::check,
            ))
            .layer(service_kit::trace::layer(Arc::clone(&ids), metrics.clone()))
    };
    let routes = routes()
        .router
        .method_not_allowed_fallback(unknown::method)
        .with_state(edge)
        .route_layer(middleware::from_fn(encoding::check))
        // Around routes only: what does not exist is 404 for everybody.
        .route_layer(middleware::from_fn_with_state(gate, authenticate::check))
        .fallback(unknown.clone());
    let routes = outside(routes);
    if base_path.is_empty() {
        return routes;
    }
    outside(Router::new().fallback(unknown)).nest(&base_path, routes)
}
