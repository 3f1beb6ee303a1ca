//! A line that wants an answer.

use mcp::{
    Incoming,
    envelope::Body,
    line::{Head, Kind, Outstanding},
    method,
    ndjson::Line,
};

/// A line that wants an answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) line: Line,
    pub(crate) head: Head,
    pub(crate) owed: Outstanding,
}

impl Call {
    pub(crate) const fn new(line: Line, head: Head, owed: Outstanding) -> Self {
        Self { line, head, owed }
    }

    /// The method, unless it is a batch.
    pub(crate) fn method(&self) -> &str {
        match &self.line.body {
            Body::One(Incoming::Request(request)) => &request.method,
            _ => "",
        }
    }

    /// Whether it subscribes, in the stateless era: then it has no end of its own.
    pub(crate) fn is_listen(&self) -> bool {
        self.head.kind == Kind::Stateless && self.method() == method::LISTEN
    }
}
