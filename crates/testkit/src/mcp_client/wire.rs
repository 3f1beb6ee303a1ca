//! JSON-RPC over HTTP: sends one request and reads one answer, as JSON or as an event stream.

use std::time::Duration;

use reqwest::{Method, Response, Url, header::HeaderMap};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::MCP_PATH;
use crate::sse::{SseError, SseStream, content_type};

/// Time allowed for one call, including the answer.
const CALL_SECONDS: u64 = 15;

/// Errors of a call.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// No connection, or it broke.
    #[error("{method} to {url} failed")]
    Transport {
        /// The JSON-RPC method, or the HTTP method if there is none.
        method: String,
        /// The endpoint.
        url: String,
        /// Cause.
        #[source]
        source: reqwest::Error,
    },
    /// The stream that carried the answer, or should have carried it, failed.
    #[error("{method}: the answer's event stream failed")]
    Stream {
        /// The JSON-RPC method.
        method: String,
        /// Cause.
        #[source]
        source: Box<SseError>,
    },
    /// No complete answer in time.
    #[error("{method} to {url} was not answered within {within:?}")]
    Deadline {
        /// The JSON-RPC method.
        method: String,
        /// The endpoint.
        url: String,
        /// Time allowed for the answer.
        within: Duration,
    },
    /// A JSON-RPC error.
    #[error("{method} was answered with error {code} (HTTP {status}): {message}")]
    Rpc {
        /// The JSON-RPC method.
        method: String,
        /// HTTP status.
        status: u16,
        /// JSON-RPC code.
        code: i64,
        /// The message.
        message: String,
        /// `error.data`, null if none.
        data: Value,
    },
    /// An answer that is neither a result nor a JSON-RPC error.
    #[error("{method} was answered with HTTP {status} and no JSON-RPC answer: {body}")]
    Http {
        /// The JSON-RPC method, or the HTTP method if there is none.
        method: String,
        /// HTTP status.
        status: u16,
        /// The body.
        body: Value,
    },
}

impl McpError {
    pub(super) fn stream(method: &str, source: SseError) -> Self {
        Self::Stream {
            method: method.to_owned(),
            source: Box::new(source),
        }
    }

    /// HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Rpc { status, .. } | Self::Http { status, .. } => Some(*status),
            Self::Stream { source, .. } => match **source {
                SseError::NotAStream { status, .. } => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// JSON-RPC code of the answer, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Rpc { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// A JSON-RPC message from the server, with the id of its frame.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerMessage {
    /// The SSE id: the position to resume after this message.
    pub id: Option<String>,
    /// The whole message.
    pub message: Value,
}

impl ServerMessage {
    /// `method`, empty for a response.
    #[must_use]
    pub fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// `params`, null if none.
    #[must_use]
    pub fn params(&self) -> &Value {
        &self.message["params"]
    }
}

/// An answer as it was received.
#[derive(Debug, Clone)]
pub struct McpReply {
    /// HTTP status.
    pub status: u16,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The JSON-RPC response, or the body if it is something else; null if it was empty.
    pub body: Value,
    /// The messages before the response on the same stream.
    pub before: Vec<ServerMessage>,
    /// Whether the answer was an event stream.
    pub streamed: bool,
}

impl McpReply {
    /// The result.
    ///
    /// # Errors
    /// The answer is a JSON-RPC error, or not a JSON-RPC answer.
    pub fn into_result(mut self, method: &str) -> Result<Value, McpError> {
        let (method, status) = (method.to_owned(), self.status);
        if let Some(error) = self.body.get("error").filter(|e| e["code"].is_i64()) {
            return Err(McpError::Rpc {
                method,
                status,
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                data: error["data"].clone(),
            });
        }
        match self.body.get_mut("result").map(Value::take) {
            Some(result) => Ok(result),
            None => Err(McpError::Http {
                method,
                status,
                body: self.body,
            }),
        }
    }
}

/// The endpoint of an edge or balancer, given its base URL.
pub(super) fn endpoint(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(MCP_PATH);
    url
}

/// A JSON-RPC request, or a notification if it has no id.
pub(super) fn message(id: Option<u64>, method: &str, params: Value) -> Value {
    let mut message = json!({"jsonrpc": "2.0", "method": method});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    if !params.is_null() {
        message["params"] = params;
    }
    message
}

/// POSTs one message and reads the whole answer.
pub(super) async fn call(
    http: &reqwest::Client,
    base: &Url,
    headers: HeaderMap,
    message: &Value,
) -> Result<McpReply, McpError> {
    let within = Duration::from_secs(CALL_SECONDS);
    let method = message["method"].as_str().unwrap_or("response").to_owned();
    let exchange = async {
        let response = post(http, base, headers, message).await?;
        if content_type(&response).starts_with("text/event-stream") {
            read_stream(response, &method, &message["id"]).await
        } else {
            read_json(response, &method).await
        }
    };
    match timeout(within, exchange).await {
        Ok(reply) => reply,
        Err(_) => Err(McpError::Deadline {
            method: method.clone(),
            url: endpoint(base).to_string(),
            within,
        }),
    }
}

/// POSTs one message and gives the answer with its body unread.
pub(super) async fn post(
    http: &reqwest::Client,
    base: &Url,
    headers: HeaderMap,
    message: &Value,
) -> Result<Response, McpError> {
    let url = endpoint(base);
    let request = http
        .request(Method::POST, url.clone())
        .header("accept", "application/json, text/event-stream")
        .json(message)
        .headers(headers);
    request.send().await.map_err(|source| McpError::Transport {
        method: message["method"].as_str().unwrap_or("POST").to_owned(),
        url: url.to_string(),
        source,
    })
}

async fn read_json(response: Response, method: &str) -> Result<McpReply, McpError> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let url = response.url().clone();
    let text = response
        .text()
        .await
        .map_err(|source| McpError::Transport {
            method: method.to_owned(),
            url: url.to_string(),
            source,
        })?;
    let body = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    };
    Ok(McpReply {
        status,
        headers,
        body,
        before: Vec::new(),
        streamed: false,
    })
}

async fn read_stream(response: Response, method: &str, id: &Value) -> Result<McpReply, McpError> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let failed = |source| McpError::stream(method, source);
    let mut stream = SseStream::from_response(response).await.map_err(failed)?;
    let mut before = Vec::new();
    loop {
        // The caller's deadline covers all of this; the one per frame only has to be longer.
        let frame = stream
            .next_event(Duration::from_secs(2 * CALL_SECONDS))
            .await
            .map_err(failed)?;
        let Some(message) = frame.json() else {
            continue; // a priming event
        };
        if message.get("method").is_none() && message["id"] == *id {
            return Ok(McpReply {
                status,
                headers,
                body: message,
                before,
                streamed: true,
            });
        }
        before.push(ServerMessage {
            id: frame.id,
            message,
        });
    }
}

/// The next JSON-RPC message of a stream; priming events and heartbeats are skipped.
pub(super) async fn next_message(
    stream: &mut SseStream,
    within: Duration,
) -> Result<ServerMessage, SseError> {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let frame = stream.next_event(left).await?;
        if let Some(message) = frame.json() {
            return Ok(ServerMessage {
                id: frame.id,
                message,
            });
        }
    }
}
