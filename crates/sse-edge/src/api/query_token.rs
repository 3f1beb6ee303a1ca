//! A token in the query, for pages whose `EventSource` cannot send a header: on `GET /mcp/sse` alone, and only where
//! the operator allows it (`edge.query_tokens`). A header goes first.

use access::AuthError;
use axum::extract::{Query, Request};
use http::{HeaderMap, HeaderValue, Method, header};

use crate::error::EdgeError;

/// The path that takes one.
const PATH: &str = "/mcp/sse";

/// The headers by which a request is authenticated: its own, or one with the token of its query.
pub(super) fn credentials(
    request: &Request,
    is_allowed: bool,
) -> Result<Option<HeaderMap>, EdgeError> {
    let is_stream = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_stream
        || request.uri().path() != PATH
        || request.headers().contains_key(header::AUTHORIZATION)
    {
        return Ok(None);
    }
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    let pairs = pairs.map_or_else(|_| Vec::new(), |Query(pairs)| pairs);
    let mut tokens = pairs.into_iter().filter(|(name, _)| name == "token");
    let Some((_, token)) = tokens.next() else {
        return Ok(None);
    };
    if !is_allowed {
        return Err(AuthError::InQuery.into());
    }
    if tokens.next().is_some() {
        return Err(AuthError::MalformedInQuery.into());
    }
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut bearer = bearer.map_err(|_| AuthError::MalformedInQuery)?;
    bearer.set_sensitive(true);
    Ok(Some(HeaderMap::from_iter([(
        header::AUTHORIZATION,
        bearer,
    )])))
}
