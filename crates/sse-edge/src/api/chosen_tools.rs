//! Paths below `/mcp` that choose tools, as those of GitHub's own server: `/mcp/readonly`, `/mcp/x/{toolset}` and
//! `/mcp/x/{toolset}/readonly`. They are `/mcp` with headers, and go before those of the request.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State},
    response::Response,
};
use http::HeaderValue;
use mcp_server::offered_tools::{READ_ONLY_HEADER, TOOLSETS_HEADER};
use service_kit::trace::Trace;

use super::{authenticate::Authenticated, mcp};
use crate::edge::Edge;

/// The end of a path that chooses tools which change nothing.
const READ_ONLY: &str = "/readonly";
/// What a toolset is called that has no name.
const NAMELESS: HeaderValue = HeaderValue::from_static("-");

/// Serves a path that chooses tools.
pub(super) async fn endpoint(
    state: State<Arc<Edge>>,
    principal: Authenticated,
    trace: Option<Trace>,
    path: MatchedPath,
    parameters: RawPathParams,
    mut request: Request,
) -> Response {
    let headers = request.headers_mut();
    if path.as_str().ends_with(READ_ONLY) {
        headers.insert(READ_ONLY_HEADER, HeaderValue::from_static("true"));
    }
    for (_, toolset) in &parameters {
        let toolset = HeaderValue::from_str(toolset).unwrap_or(NAMELESS);
        headers.insert(TOOLSETS_HEADER, toolset);
    }
    mcp::endpoint(state, principal, trace, request).await
}
