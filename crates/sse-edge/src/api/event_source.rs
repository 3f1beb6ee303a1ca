//! Refusals that the page of an `EventSource` survives.
//!
//! A browser's `EventSource` gives up for good on every answer but 200 (HTML, "Server-sent events",
//! "fail the connection"), and its page can read neither the status nor `Retry-After`. So where waiting
//! helps, it gets a stream that ends at once and says when to come back. The stream has no `id`: the
//! browser keeps the one that it has and sends it with its next request, so nothing is missed.
//!
//! That is for `/events/stream`, `/sse` and `/mcp/sse`, whose pages use `EventSource`. It cannot send `Mcp-Session-Id`, so
//! the pages that open a stream of `/mcp` use `fetch`, which reads refusals.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use model::{Classified, PublicError};
use tracing::warn;

use super::sse;
use crate::{edge::Edge, error::EdgeError, limits::PAGE_RETRY_MILLIS};

/// Sent by browsers to servers with TLS and to this machine.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The beginning of every browser's `User-Agent`.
const BROWSER: &[u8] = b"Mozilla/";

/// Whether a request comes from an `EventSource` in a browser: it accepts event streams by name, and has
/// one of the headers that only browsers send. All other clients can read a refusal.
fn is_event_source(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    let mut ranges = accepts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let is_browser = headers.contains_key(SEC_FETCH_MODE)
        || headers.contains_key(header::ORIGIN)
        || headers
            .get(header::USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(BROWSER));
    is_browser && ranges.any(|range| range.eq_ignore_ascii_case("text/event-stream"))
}

/// The answer with which a page comes back for a stream that it cannot have now; `None` where another client
/// asks, or where waiting does not help.
pub(super) fn way_back(edge: &Edge, headers: &HeaderMap, error: &EdgeError) -> Option<Response> {
    if !error.class().is_retryable() || !is_event_source(headers) {
        return None;
    }
    if !matches!(error, EdgeError::Limited(_)) {
        warn!(%error, code = error.code(), "a page is told to come back for its stream");
    }
    // Spread, because pages that are refused together would come back together.
    let spread = edge.ids.random_u64() % PAGE_RETRY_MILLIS;
    Some(come_back(error, PAGE_RETRY_MILLIS + spread))
}

/// A stream that ends at once, and the time after which to reconnect.
fn come_back(error: &EdgeError, retry_millis: u64) -> Response {
    let frames = format!(": {}\nretry: {retry_millis}\n\n", error.code());
    let mut response = sse::whole(Bytes::from(frames));
    // At a bound on connections, this one makes room.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        is_event_source(&map)
    }

    #[test]
    fn an_event_source_is_known_by_what_only_browsers_send() {
        let accepts = ("accept", "text/event-stream");
        for browser in [
            ("sec-fetch-mode", "cors"),
            ("origin", "https://app.example.com"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            ),
        ] {
            assert!(is_one(&[accepts, browser]), "{browser:?}");
            assert!(
                !is_one(&[("accept", "*/*"), browser]),
                "a page's fetch reads refusals"
            );
        }
        assert!(is_one(&[
            ("accept", "application/json, Text/Event-Stream;q=0.5"),
            ("origin", "null"),
        ]));
        assert!(!is_one(&[accepts]));
        assert!(!is_one(&[accepts, ("user-agent", "python-httpx/0.28")]));
        assert!(!is_one(&[accepts, ("last-event-id", "x")]));
    }
}
