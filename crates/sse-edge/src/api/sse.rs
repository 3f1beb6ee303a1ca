//! Responses with SSE bodies.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use fanout::feed::Feed;
use http::{HeaderValue, header};
use stream_driver::{Handover, StreamSource};

use super::answer_body;
use crate::answer_budget::AnswerBytes;

/// Neither cached nor changed on its way: a proxy that compresses would hold back what a stream has sent
/// until its buffer is full.
pub(crate) const STREAM_CACHE_CONTROL: HeaderValue =
    HeaderValue::from_static("no-cache, no-transform");

/// A long-lived stream, for the driver of its connection. The connection ends with the stream, so
/// that the balancer chooses the edge for the client's next one.
pub(crate) fn stream(feed: Feed) -> Response {
    handed_over(Box::new(feed))
}

fn handed_over(source: Box<dyn StreamSource>) -> Response {
    let handover = Handover::new(source);
    let mut response = with_head(Body::new(handover.body()));
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response.extensions_mut().insert(handover);
    response
}

/// The head of a stream, for HEAD: the stream itself is not opened.
pub(crate) fn head() -> Response {
    with_head(Body::empty())
}

/// An SSE answer whose frames come later, for the driver of its connection, which ends with the answer as one that
/// ends a stream does.
pub(super) fn answer(source: impl StreamSource + 'static) -> Response {
    handed_over(Box::new(source))
}

/// An SSE answer whose frames are all known.
pub(crate) fn whole(frames: impl Into<AnswerBytes>) -> Response {
    with_head(answer_body::body(frames.into()))
}

fn with_head(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, STREAM_CACHE_CONTROL);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
