//! The only place that knows axum: routes, extraction, answers.

mod answer_body;
mod answers;
mod audited;
mod authenticate;
mod batch;
mod broadcast;
mod chosen_tools;
mod connection;
mod conversation;
mod demo;
mod described;
mod encoding;
mod event_source;
mod events;
mod exchange;
mod gzip;
mod health;
mod history;
mod http_sse;
mod mcp;
mod messages;
mod ndjson;
mod origin;
mod query_token;
mod sse;
mod subscription_input;
mod subscriptions;
mod unknown;

use std::sync::{Arc, LazyLock};

use axum::{
    Router, middleware,
    routing::{MethodRouter, any, get, post},
};
use http::HeaderMap;
use serde_json::Value;
use service_kit::{
    openapi::{self, DescribeRoute, OPENAPI_PATH},
    proxies,
};

pub(crate) use self::audited::AUDIT_KINDS;
use self::gzip::FixedDocument;
use crate::edge::Edge;

/// The path of the edge's health.
const HEALTH: &str = "/health";
/// The path of the page for trying the edge.
const DEMO: &str = "/demo";

/// The routes beside authentication.
const OPEN: [(&str, DescribeRoute); 3] = [
    (HEALTH, described::health),
    (DEMO, described::demo),
    (OPENAPI_PATH, openapi::describe_document),
];

/// The paths of the routes below the base path, as metrics name them.
pub(crate) static ROUTES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| all_described().iter().map(|(path, _)| *path).collect());

/// A router, and the paths of its routes with their descriptions: a path that only one of them knew would have no
/// latencies of its own, and none that is not in the OpenAPI document.
#[derive(Default)]
struct NamedRoutes {
    router: Router<Arc<Edge>>,
    described: Vec<(&'static str, DescribeRoute)>,
}

impl NamedRoutes {
    fn route(
        self,
        path: &'static str,
        handlers: MethodRouter<Arc<Edge>>,
        describe: DescribeRoute,
    ) -> Self {
        let Self {
            router,
            mut described,
        } = self;
        described.push((path, describe));
        Self {
            router: Router::route(router, path, handlers),
            described,
        }
    }
}

fn routes() -> NamedRoutes {
    use described::{
        events as of_events, mcp as of_mcp, messages as of_messages,
        subscriptions as of_subscriptions,
    };
    NamedRoutes::default()
        .route("/events/stream", get(events::stream), of_events::stream)
        .route(
            "/events/subscribe",
            get(subscriptions::list).post(subscriptions::create),
            of_subscriptions::all,
        )
        .route(
            "/events/subscribe/{id}",
            get(subscriptions::show)
                .patch(subscriptions::renew)
                .delete(subscriptions::delete),
            of_subscriptions::one,
        )
        .route("/events/recent", get(history::recent), of_events::recent)
        .route(
            "/events/replay/{timestamp}",
            get(history::replay),
            of_events::replay,
        )
        .route("/mcp", any(mcp::endpoint), of_mcp::endpoint)
        .route(
            "/mcp/readonly",
            any(chosen_tools::endpoint),
            of_mcp::read_only,
        )
        .route(
            "/mcp/x/{toolset}",
            any(chosen_tools::endpoint),
            of_mcp::toolset,
        )
        .route(
            "/mcp/x/{toolset}/readonly",
            any(chosen_tools::endpoint),
            of_mcp::read_only_toolset,
        )
        .route("/sse", get(http_sse::stream), of_mcp::sse)
        .route("/messages", post(http_sse::messages), of_mcp::messages)
        .route(
            "/mcp/stream",
            any(ndjson::endpoint).layer(ndjson::connection_limit()),
            of_mcp::lines,
        )
        .route("/mcp/sse", get(connection::stream), of_messages::connection)
        .route("/mcp/sse/send", post(messages::send), of_messages::send)
        .route(
            "/mcp/sse/broadcast",
            post(broadcast::broadcast),
            of_messages::broadcast,
        )
        .route("/mcp/sse/stats", get(broadcast::stats), of_messages::stats)
}

/// All routes with their descriptions.
fn all_described() -> Vec<(&'static str, DescribeRoute)> {
    let mut described = routes().described;
    described.extend(OPEN);
    described
}

/// The OpenAPI document of an edge whose routes are below `base_path`.
#[must_use]
pub fn openapi_document(base_path: &str) -> Value {
    openapi::document(&described::head(base_path), &all_described())
}

/// All routes of the edge.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let origins = origin::OriginGate {
        origins: edge.origins.clone(),
        audit: Arc::clone(&edge.audit),
    };
    let ids = Arc::clone(&edge.ids);
    let metrics = edge.http_metrics.clone();
    let gate = authenticate::Gate {
        auth: Arc::clone(&edge.auth),
        rates: Arc::clone(&edge.rates),
        turns: Arc::clone(&edge.turns),
        has_query_tokens: edge.has_query_tokens,
        audit: Arc::clone(&edge.audit),
    };
    let base_path = edge.base_path.clone();
    // Beside authentication, because probes of balancers and generators of clients have no token.
    let document = FixedDocument::new(openapi_document(&base_path).to_string().into());
    let document = get(move |headers: HeaderMap| std::future::ready(document.answer(&headers)));
    let open = Router::new()
        .route(HEALTH, get(health::page))
        .route(OPENAPI_PATH, document);
    let open = match edge.has_demo_page {
        true => open.route(DEMO, get(demo::page)),
        false => open,
    };
    let open = open
        .method_not_allowed_fallback(unknown::method)
        .with_state(Arc::clone(&edge));
    let trusted = edge.proxies.clone();
    let compression = edge.compression.clone();
    let unknown = unknown::path(&base_path);
    let outside = move |routes: Router| {
        let routes = routes
            // Outside authentication, because a preflight carries no token.
            .layer(middleware::from_fn_with_state(
                origins.clone(),
                origin::check,
            ))
            .layer(service_kit::trace::layer(Arc::clone(&ids), metrics.clone()));
        proxies::layer(routes, &trusted)
    };
    let routes = routes()
        .router
        .method_not_allowed_fallback(unknown::method)
        .with_state(edge)
        .route_layer(middleware::from_fn(encoding::check))
        // Inside authentication, so that the work is done in turns of the principal.
        .route_layer(middleware::from_fn_with_state(compression, gzip::compress))
        // Around routes only: what does not exist is 404 for everybody.
        .route_layer(middleware::from_fn_with_state(gate, authenticate::check))
        .merge(open)
        .fallback(unknown.clone());
    let routes = outside(routes);
    if base_path.is_empty() {
        return routes;
    }
    outside(Router::new().fallback(unknown)).nest(&base_path, routes)
}
