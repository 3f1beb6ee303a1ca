//! The stream of a session on an NDJSON connection.

use ::mcp::{
    headers::LAST_EVENT_ID,
    line::{LineSession, compact},
    sse::{SseBlock, SseStreamParser},
};
use axum::body::Body;
use fanout::{format::StreamEnd, inbox::gap_notice};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::sleep;

use super::{ConnectionState, LineCall};
use crate::limits::LINE_STREAM_PAUSE;

const TAKEN_OVER: &str = "a newer stream of this session took the place of the one on this connection: \
                          notifications go there";
const OVER: &str =
    "the stream of this session cannot be continued: no more notifications come on this connection";
const REOPENED: &str = "the stream of this session was interrupted: notifications may be missing";

/// The end of one response.
enum StreamOutcome {
    /// Another stream took its place.
    TakenOver,
    /// There is no room for what the client has not read.
    NoRoom,
    Ended,
}

impl ConnectionState {
    /// Passes on the stream of a session, and opens it again when it ends: the client cannot. A stream that
    /// cannot be continued is never left in silence.
    pub(super) async fn follow(&self, session: &LineSession) {
        let (first, longest) = LINE_STREAM_PAUSE;
        let (mut last_id, mut pause) = (None, first);
        let mut has_streamed = false;
        while !self.edge.background.draining().is_cancelled() {
            let mut headers = session.headers();
            if let Some(id) = &last_id {
                headers.insert(LAST_EVENT_ID, HeaderValue::clone(id));
            }
            let response = self.serve(&Method::GET, headers, None).await;
            let status = response.status();
            if status.is_success() {
                if has_streamed && last_id.is_none() {
                    self.write_line(&gap_notice(REOPENED)).await;
                }
                match self.pass_on(response.into_body(), &mut last_id).await {
                    StreamOutcome::TakenOver => {
                        return self.write_line(&gap_notice(TAKEN_OVER)).await;
                    }
                    StreamOutcome::Ended => pause = first,
                    // Again and later, until the client reads or others do.
                    StreamOutcome::NoRoom => {}
                }
                has_streamed = true;
            } else if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                self.forward(response, &mut LineCall::none()).await;
                if has_streamed {
                    self.write_line(&gap_notice(OVER)).await;
                }
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Passes on the messages of one response until it ends.
    async fn pass_on(&self, mut body: Body, last_id: &mut Option<HeaderValue>) -> StreamOutcome {
        let mut parser = SseStreamParser::default();
        let mut is_taken_over = false;
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let Ok(blocks) = parser.feed(&chunk) else {
                break;
            };
            for block in blocks {
                let frame = match block {
                    SseBlock::Frame(frame) => frame,
                    SseBlock::Comment(text) => {
                        is_taken_over |= text == StreamEnd::TakenOver.farewell_text();
                        continue;
                    }
                };
                if let Some(data) = frame.data.filter(|data| !data.is_empty())
                    && self.write_message(&compact(&data)).await.is_err()
                {
                    // The stream is opened again, after the last line that had room.
                    return StreamOutcome::NoRoom;
                }
                if let Some(id) = &frame.id {
                    *last_id = HeaderValue::from_str(id).ok();
                }
            }
        }
        match is_taken_over {
            true => StreamOutcome::TakenOver,
            false => StreamOutcome::Ended,
        }
    }
}
