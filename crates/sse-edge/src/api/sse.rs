//! The head of every SSE answer.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fanout::feed::Feed;
use http::{HeaderValue, header};
use stream_driver::Handover;

/// A stream that goes on for hours, for the driver that the connection has. The connection ends with it, so
/// that the client's next one is an edge's of the balancer's choice and not this one's again.
pub(crate) fn stream(feed: Feed) -> Response {
    let handover = Handover::new(Box::new(feed));
    let mut response = with_head(Body::new(handover.body()));
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response.extensions_mut().insert(handover);
    response
}

/// An SSE answer that no cache keeps and no proxy buffers.
pub(crate) fn answer(
    body: impl http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
) -> Response {
    with_head(Body::new(body))
}

/// An SSE answer whose frames are all known.
pub(crate) fn whole(frames: Bytes) -> Response {
    with_head(Body::from(frames))
}

fn with_head(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
