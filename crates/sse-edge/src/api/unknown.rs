//! Answers for paths that the edge does not have, and for methods that a path does not have.
//!
//! A path that does not exist is 404 for everybody, with or without a token: clients look for OAuth
//! metadata below `/.well-known/` before anything else, and take a 401 there for a broken server.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use model::ErrorClass;
use service_kit::problem::Problem;

/// The fallback of the routes below `base_path`, and of everything else.
pub(super) fn path(
    base_path: &str,
) -> impl Fn(Uri) -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    let base_path: Arc<str> = base_path.into();
    move |uri| std::future::ready(no_such_path(&base_path, uri.path()))
}

fn no_such_path(base: &str, path: &str) -> Response {
    let detail = match path.contains("/.well-known/") {
        true => {
            "this server has no OAuth: its operator gives out tokens, for `Authorization: Bearer`"
                .to_owned()
        }
        false => format!(
            "this server has no such path: MCP is at {base}/mcp, events are at {base}/events/stream, \
                 {base}/events/subscribe, {base}/events/recent and {base}/events/replay/{{timestamp}}; \
                 {base}/openapi.json has all of them"
        ),
    };
    Problem::new(ErrorClass::Missing, "path-unknown", "There is no such path")
        .detail(detail)
        .into_response()
}

/// 405; the header `Allow` lists the methods of the path.
pub(super) async fn method() -> Response {
    Problem::new(
        ErrorClass::Caller,
        "method-not-allowed",
        "The path has no such method",
    )
    .status(StatusCode::METHOD_NOT_ALLOWED)
    .detail("use one of the methods in the header Allow")
    .into_response()
}
