//! One connection to `GET /events/stream`, and what arrives on it.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use github_events::visible_within;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use http_client::{ConnectSettings, HttpClient, http_client, retry_after};
use hyper::body::Incoming;
use mcp::sse::{ParsedFrame, SseBlock, SseStreamParser};
use model::error_chain;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    error::{WatchError, WatchFailure},
    limits::{
        ANSWER_TIMEOUT, CONNECT_TIMEOUT, IDLE_TIMEOUT, LONGEST_ASKED_PAUSE, MAX_DETAIL_UNITS,
        MAX_NOTES, MAX_REFUSAL_BYTES, STREAM_SILENCE,
    },
    options::WatchOptions,
};

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("forgewire-watch/", env!("CARGO_PKG_VERSION")));

/// What arrives on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WatchedItem {
    /// The stream is open, and begins after this cursor; what the edge says of the filters.
    Opened {
        cursor: Option<String>,
        notes: Vec<String>,
    },
    /// An event.
    Event {
        json: String,
        cursor: Option<String>,
    },
    /// Events before the cursor are gone.
    Gap {
        json: String,
        cursor: Option<String>,
    },
    /// The edge has come this far without an event that matches.
    Position { cursor: String },
    /// The stream does not go on anywhere.
    Ended { reason: String },
    /// Anything else, for instance a message of the operator to all clients.
    Message { name: String, data: String },
}

/// An open stream. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: Incoming,
    parser: SseStreamParser,
    ready: VecDeque<ParsedFrame>,
    retry: Option<Duration>,
}

/// The connections of a watch.
///
/// # Errors
/// The certificates of the system cannot be read.
pub(crate) fn client(options: &WatchOptions) -> Result<HttpClient, WatchError> {
    let settings = ConnectSettings {
        connect_timeout: CONNECT_TIMEOUT,
        keepalive: Some(STREAM_SILENCE),
        idle_timeout: IDLE_TIMEOUT,
    };
    http_client([&options.stream], settings).map_err(WatchError::Certificates)
}

impl EventStream {
    /// Opens the stream after a cursor or a time; without one, the edge chooses.
    pub(crate) async fn open(
        client: &HttpClient,
        options: &WatchOptions,
        after: Option<&str>,
    ) -> Result<Self, WatchFailure> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = options.stream.clone();
        let headers = request.headers_mut();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(header::USER_AGENT, AGENT);
        if let Some(token) = &options.token {
            headers.insert(header::AUTHORIZATION, token.header().clone());
        }
        if let Some(after) = after {
            let value = HeaderValue::from_str(after).map_err(|_| WatchError::Option {
                name: "--state-dir",
                reason: "the kept position is no cursor: remove its file to begin anew".to_owned(),
            });
            headers.insert("last-event-id", value?);
        }
        let host = options.stream.host().unwrap_or_default();
        let answer = match timeout(ANSWER_TIMEOUT, client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let cause = error_chain(&error);
                return Err(WatchFailure::passing(format!(
                    "{host} cannot be reached: {cause}"
                )));
            }
            Err(_) => return Err(WatchFailure::passing(format!("{host} does not answer"))),
        };
        if !is_stream(&answer) {
            return Err(refusal(answer, options).await);
        }
        Ok(Self {
            body: answer.into_body(),
            parser: SseStreamParser::default(),
            ready: VecDeque::new(),
            retry: None,
        })
    }

    /// What has arrived already.
    pub(crate) fn next_ready(&mut self) -> Option<WatchedItem> {
        loop {
            let frame = self.ready.pop_front()?;
            if let Some(millis) = frame.retry_ms {
                self.retry = Some(Duration::from_millis(millis).min(LONGEST_ASKED_PAUSE));
            }
            if let Some(item) = item(frame) {
                return Some(item);
            }
        }
    }

    /// What arrives next.
    ///
    /// # Errors
    /// The stream ends, breaks, or is silent for longer than the edge lets it be.
    pub(crate) async fn next(&mut self) -> Result<WatchedItem, WatchFailure> {
        loop {
            if let Some(item) = self.next_ready() {
                return Ok(item);
            }
            let frame = timeout(STREAM_SILENCE, self.body.frame()).await;
            let frame = frame.map_err(|_| WatchFailure::passing("the stream is silent"))?;
            let frame = frame.ok_or(WatchFailure::StreamEnd { wait: self.retry })?;
            let frame = frame.map_err(|error| {
                let cause = error_chain(&error);
                WatchFailure::passing(format!("the stream breaks off: {cause}"))
            })?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let blocks = self.parser.feed(&bytes);
            let blocks = blocks.map_err(|error| WatchFailure::passing(error.to_string()))?;
            let frames = blocks.into_iter().filter_map(|block| match block {
                SseBlock::Frame(frame) => Some(frame),
                SseBlock::Comment(_) => None,
            });
            self.ready.extend(frames);
        }
    }
}

fn item(frame: ParsedFrame) -> Option<WatchedItem> {
    let cursor = frame.id.filter(|id| !id.is_empty());
    let Some(data) = frame.data else {
        return cursor.map(|cursor| WatchedItem::Position { cursor });
    };
    let name = frame.event.unwrap_or_else(|| "message".to_owned());
    Some(match name.as_str() {
        "connected" => WatchedItem::Opened {
            cursor,
            notes: notes(&data),
        },
        "event" => WatchedItem::Event { json: data, cursor },
        "truncated" => WatchedItem::Gap { json: data, cursor },
        "ended" => {
            let reason = sentence(&data, "/detail");
            WatchedItem::Ended { reason }
        }
        _ => WatchedItem::Message { name, data },
    })
}

/// The notes of the head of a stream, as sentences that can be shown.
fn notes(head: &str) -> Vec<String> {
    let head: Value = serde_json::from_str(head).unwrap_or_default();
    let notes = head["notes"].as_array().into_iter().flatten();
    let notes = notes.filter_map(Value::as_str).take(MAX_NOTES);
    notes
        .map(|note| visible_within(note, MAX_DETAIL_UNITS))
        .collect()
}

/// A member of JSON as a sentence that can be shown, or else the text itself.
fn sentence(json: &str, pointer: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let text = value.pointer(pointer).and_then(Value::as_str);
    visible_within(text.unwrap_or(json), MAX_DETAIL_UNITS)
}

fn is_stream(answer: &Response<Incoming>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    answer.status() == StatusCode::OK && kind.eq_ignore_ascii_case("text/event-stream")
}

/// What an answer means that is no stream.
async fn refusal(answer: Response<Incoming>, options: &WatchOptions) -> WatchFailure {
    let (status, wait) = (
        answer.status(),
        retry_after(answer.headers(), LONGEST_ASKED_PAUSE),
    );
    let number = status.as_u16();
    let host = options.stream.host().unwrap_or_default();
    if status.is_server_error() || matches!(number, 408 | 425 | 429) {
        let detail = detail(answer).await;
        return WatchFailure::Passing {
            what: format!("{host} answers {number}: {detail}"),
            wait,
        };
    }
    let url = options.address();
    let error = match (number, &options.subscription) {
        (401 | 403, _) => forbidden(answer).await,
        (404, Some(id)) => WatchError::NoSubscription { id: id.clone() },
        (300..=399, _) => {
            let to = answer.headers().get(header::LOCATION);
            let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
            let to = visible_within(to, MAX_DETAIL_UNITS);
            let answer = format!("{number} and names {to}");
            WatchError::NoStream { url, answer }
        }
        (200..=299 | 404 | 405 | 406 | 410, _) => WatchError::NoStream {
            url,
            answer: format!("{number} and no stream of events"),
        },
        _ => WatchError::Refused {
            status: number,
            detail: detail(answer).await,
        },
    };
    WatchFailure::Final(error)
}

/// What 401 and 403 mean: only the edge itself knows whether a token is at fault.
async fn forbidden(answer: Response<Incoming>) -> WatchError {
    let status = answer.status();
    let body = refusal_body(answer).await;
    let problem: Value = serde_json::from_str(&body).unwrap_or_default();
    let detail = refusal_detail(status, &body);
    match (status, problem["code"].as_str()) {
        (_, Some("host-refused")) => WatchError::HostRefused { detail },
        (StatusCode::UNAUTHORIZED, _) | (_, Some("permission-missing")) => {
            WatchError::Unauthorized {
                status: status.as_u16(),
                detail,
            }
        }
        _ => WatchError::Forbidden { detail },
    }
}

/// What a refusal says about itself.
async fn detail(answer: Response<Incoming>) -> String {
    let status = answer.status();
    refusal_detail(status, &refusal_body(answer).await)
}

async fn refusal_body(answer: Response<Incoming>) -> String {
    let body = Limited::new(answer.into_body(), MAX_REFUSAL_BYTES).collect();
    let read = timeout(ANSWER_TIMEOUT, body).await;
    let body = read
        .ok()
        .and_then(Result::ok)
        .map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
}

fn refusal_detail(status: StatusCode, body: &str) -> String {
    let text = sentence(body, "/detail");
    match text.is_empty() {
        true => status
            .canonical_reason()
            .unwrap_or("without a reason")
            .to_owned(),
        false => text,
    }
}
