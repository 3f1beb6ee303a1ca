//! A line that requires a response.

use mcp::{
    Incoming,
    envelope::MessageBody,
    line::{LineHeaders, LineKind, OpenRequests},
    method,
    ndjson::JsonLine,
};

/// A line that requires a response.
#[derive(Debug)]
pub(crate) struct PendingCall {
    pub(crate) line: JsonLine,
    pub(crate) head: LineHeaders,
    /// Its requests without a response.
    pub(crate) open: OpenRequests,
}

impl PendingCall {
    pub(crate) const fn new(line: JsonLine, head: LineHeaders, open: OpenRequests) -> Self {
        Self { line, head, open }
    }

    /// The method, unless it is a batch.
    pub(crate) fn method(&self) -> &str {
        match &self.line.body {
            MessageBody::One(Incoming::Request(request)) => &request.method,
            _ => "",
        }
    }

    /// Whether it is a subscription of the stateless era, which does not end by itself.
    pub(crate) fn is_listen(&self) -> bool {
        self.head.kind == LineKind::Stateless && self.method() == method::LISTEN
    }
}
