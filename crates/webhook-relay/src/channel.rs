//! A channel of server-sent events that repeats what was posted to it, as smee.io does.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcp::sse::{ParsedFrame, SseBlock, SseStreamParser};
use tokio::time::{Instant, timeout_at};

use crate::{
    client::{RelayClient, asked_pause},
    error::{RelayError, RelayFailure},
    limits::{CHANNEL_SILENCE, MAX_MESSAGE_BYTES},
};

/// An open channel.
#[derive(Debug)]
pub(crate) struct OpenChannel {
    body: Incoming,
    parser: SseStreamParser,
    ready: VecDeque<ParsedFrame>,
    silent_at: Instant,
}

impl OpenChannel {
    /// Opens a channel after the last event of an earlier connection.
    pub(crate) async fn open(
        client: &RelayClient,
        url: &Uri,
        last_event_id: Option<&str>,
    ) -> Result<Self, RelayFailure> {
        let mut headers = HeaderMap::new();
        let stream = HeaderValue::from_static("text/event-stream");
        headers.insert(header::ACCEPT, stream);
        if let Some(Ok(id)) = last_event_id.map(HeaderValue::from_str) {
            headers.insert("last-event-id", id);
        }
        let answer = client.open(Method::GET, url, headers, Bytes::new()).await?;
        let status = answer.status();
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.starts_with("text/event-stream");
        if status.is_server_error() || status.as_u16() == 429 {
            let wait = asked_pause(answer.headers());
            let what = format!("the channel answers {status}");
            return Err(RelayFailure::Passing { what, wait });
        }
        if !status.is_success() || !is_stream {
            return Err(RelayFailure::Final(RelayError::NoChannel {
                url: url.to_string(),
                status: status.as_u16(),
            }));
        }
        Ok(Self {
            body: answer.into_body(),
            parser: SseStreamParser::with_max_event_bytes(MAX_MESSAGE_BYTES),
            ready: VecDeque::new(),
            silent_at: Instant::now() + CHANNEL_SILENCE,
        })
    }

    /// The id of the last event, for the next connection.
    pub(crate) fn last_event_id(&self) -> Option<&str> {
        self.parser.last_event_id()
    }

    /// The next message; `None` at the end of the stream. Nothing is lost if the caller stops waiting.
    pub(crate) async fn next(&mut self) -> Result<Option<ParsedFrame>, RelayFailure> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                // The next silence begins when the caller has dealt with this one, however long that takes.
                self.silent_at = Instant::now() + CHANNEL_SILENCE;
                return Ok(Some(frame));
            }
            let frame = timeout_at(self.silent_at, self.body.frame()).await;
            let frame = frame.map_err(|_| RelayFailure::passing("the channel is silent"))?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| {
                RelayFailure::passing(format!("the channel breaks off: {error}"))
            })?;
            self.silent_at = Instant::now() + CHANNEL_SILENCE;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let blocks = self.parser.feed(&bytes).map_err(|error| {
                RelayFailure::passing(format!("a message of the channel is left out: {error}"))
            })?;
            self.ready
                .extend(blocks.into_iter().filter_map(|block| match block {
                    SseBlock::Frame(frame) => Some(frame),
                    SseBlock::Comment(_) => None,
                }));
        }
    }
}
