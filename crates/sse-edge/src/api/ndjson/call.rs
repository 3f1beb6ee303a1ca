//! A line on its way to its answer.

use ::mcp::line::{LineHeaders, LineKind, OpenRequests};
use http::HeaderMap;
use service_kit::bodies::HeldBody;

/// A registered line.
pub(super) struct LineCall {
    /// Its text, until it is read as a message.
    pub(super) body: Option<HeldBody>,
    pub(super) lists_tools: bool,
    pub(super) head: LineHeaders,
    pub(super) owed: OpenRequests,
}

impl LineCall {
    /// No request: all messages are only forwarded.
    pub(super) fn none() -> Self {
        Self {
            body: None,
            lists_tools: false,
            head: LineHeaders {
                kind: LineKind::Session,
                headers: HeaderMap::new(),
            },
            owed: OpenRequests::default(),
        }
    }
}
