//! A response that is a stream of events, message by message.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcp::{
    line::compact,
    sse::{ParsedFrame, SseBlock, SseStreamParser},
};
use tokio::time::timeout;
use tracing::debug;

use crate::limits::RETRY_MAX;

/// An open stream. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct ResponseEvents {
    body: Incoming,
    parser: SseStreamParser,
    ready: VecDeque<ParsedFrame>,
    last_id: Option<String>,
    retry: Option<Duration>,
}

impl ResponseEvents {
    pub(crate) fn new(response: Response<Incoming>) -> Self {
        Self {
            body: response.into_body(),
            parser: SseStreamParser::default(),
            ready: VecDeque::new(),
            last_id: None,
            retry: None,
        }
    }

    /// A stream that continues after `last_id`: if it ends before its first event id, `last_id` is
    /// still the position to resume from.
    pub(crate) fn resumed(
        response: Response<Incoming>,
        last_id: String,
        retry: Option<Duration>,
    ) -> Self {
        Self {
            last_id: Some(last_id),
            retry,
            ..Self::new(response)
        }
    }

    /// The next message as a line; `None` once the stream has ended, has broken, or was silent for
    /// `silence`. Must not be called again after that.
    pub(crate) async fn next(&mut self, silence: Duration) -> Option<Bytes> {
        loop {
            while let Some(frame) = self.ready.pop_front() {
                if let Some(message) = self.message_of(frame) {
                    return Some(message);
                }
            }
            let frame = timeout(silence, self.body.frame()).await.ok()??;
            let Ok(chunk) = frame.map(|frame| frame.into_data().unwrap_or_default()) else {
                return None;
            };
            match self.parser.feed(&chunk) {
                Ok(blocks) => self.ready.extend(blocks.into_iter().filter_map(frame_of)),
                Err(error) => {
                    debug!(%error, "cannot read the stream");
                    return None;
                }
            }
        }
    }

    /// The position to resume from.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The reconnection delay that the server asks for.
    pub(crate) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn message_of(&mut self, frame: ParsedFrame) -> Option<Bytes> {
        if let Some(id) = frame.id {
            self.last_id = Some(id);
        }
        if let Some(millis) = frame.retry_ms {
            self.retry = Some(Duration::from_millis(millis).min(RETRY_MAX));
        }
        let is_message = frame.event.is_none_or(|event| event == "message");
        let data = frame.data.filter(|data| is_message && !data.is_empty())?;
        Some(compact(&data))
    }
}

fn frame_of(block: SseBlock) -> Option<ParsedFrame> {
    match block {
        SseBlock::Frame(frame) => Some(frame),
        SseBlock::Comment(_) => None,
    }
}
