//! Log lines of work that outlives its request.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use model::TraceContext;
use tracing::{Span, info_span};

/// A request whose work may outlive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestRoute {
    /// A message to `/mcp`.
    McpPost,
    /// A stream of `/mcp`.
    McpGet,
    /// A line of `/mcp/stream`.
    Lines,
    /// A message of HTTP+SSE.
    Messages,
    /// A message to a connection of `/mcp/sse`.
    Send,
}

impl RequestRoute {
    /// The method and the path, as the log names them.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::McpPost => ("POST", "/mcp"),
            Self::McpGet => ("GET", "/mcp"),
            Self::Lines => ("POST", "/mcp/stream"),
            Self::Messages => ("POST", "/messages"),
            Self::Send => ("POST", "/mcp/sse/send"),
        }
    }
}

/// What log lines say of the request that began some work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLine {
    pub(crate) route: RequestRoute,
    pub(crate) trace: Option<TraceContext>,
}

impl RequestLine {
    fn span(&self) -> Option<Span> {
        let trace = self.trace.as_ref()?.trace;
        let (method, path) = self.route.names();
        Some(info_span!("request", trace_id = %trace, %method, path))
    }
}

/// Work whose lines name the request that began it. The span of the request is opened anew each time the
/// work runs: kept open, with what the log keeps for it, it would take half a KiB for each call that waits.
#[derive(Debug)]
pub(crate) struct InRequestLine<F> {
    line: RequestLine,
    work: F,
}

impl<F: Future + Unpin> InRequestLine<F> {
    pub(crate) fn new(line: RequestLine, work: F) -> Self {
        Self { line, work }
    }
}

impl<F: Future + Unpin> Future for InRequestLine<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _line = this.line.span().map(Span::entered);
        Pin::new(&mut this.work).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ROUTES;

    #[test]
    fn each_route_is_one_of_the_edge() {
        use RequestRoute::{Lines, McpGet, McpPost, Messages, Send};
        for route in [McpPost, McpGet, Lines, Messages, Send] {
            assert!(ROUTES.contains(&route.names().1), "{route:?}");
        }
    }
}
