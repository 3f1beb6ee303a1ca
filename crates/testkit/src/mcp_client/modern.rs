//! The stateless era (2026-07-28): every request carries everything that the server needs.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    handshake::members,
    wire::{self, McpError, McpReply, ServerMessage},
};
use crate::sse::{SseError, SseStream};

/// The revision without a handshake.
pub const MODERN_VERSION: &str = "2026-07-28";
/// Time allowed for the server to acknowledge a listen request.
const ACKNOWLEDGE_SECONDS: u64 = 5;
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A client without a session.
#[derive(Debug)]
pub struct ModernClient {
    http: reqwest::Client,
    next_id: AtomicU64,
    capabilities: Value,
}

impl Default for ModernClient {
    fn default() -> Self {
        Self::new()
    }
}

impl ModernClient {
    /// A client; nothing is sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            http: crate::http::client(),
            next_id: AtomicU64::new(1),
            capabilities: json!({}),
        }
    }

    /// A client that declares these capabilities with every request.
    #[must_use]
    pub fn with_capabilities(capabilities: Value) -> Self {
        Self {
            capabilities,
            ..Self::new()
        }
    }

    /// The `_meta` that every request carries.
    #[must_use]
    pub fn meta() -> Value {
        json!({
            "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo":
                {"name": "forgewire-testkit", "version": env!("CARGO_PKG_VERSION")},
        })
    }

    /// The headers that the revision requires: version, method, and the name for methods that have
    /// one.
    #[must_use]
    pub fn headers(message: &Value) -> HeaderMap {
        let method = message["method"].as_str().unwrap_or_default();
        let name = match method {
            "tools/call" | "prompts/get" => message["params"]["name"].as_str(),
            "resources/read" => message["params"]["uri"].as_str(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => message["params"]["taskId"].as_str(),
            _ => None,
        };
        let fields = [
            ("mcp-protocol-version", Some(MODERN_VERSION)),
            ("mcp-method", Some(method)),
            ("mcp-name", name),
        ];
        fields
            .into_iter()
            .filter_map(|(field, value)| {
                let value = HeaderValue::from_str(value?).ok()?;
                Some((HeaderName::from_static(field), value))
            })
            .collect()
    }

    /// A request with id and `_meta`; `params` is an object or null.
    #[must_use]
    pub fn message(&self, method: &str, mut params: Value) -> Value {
        if params.is_null() {
            params = json!({});
        }
        params["_meta"] = Self::meta();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        wire::message(
            Some(self.next_id.fetch_add(1, Ordering::Relaxed)),
            method,
            params,
        )
    }

    /// Sends a request and gives the whole answer, error answers included.
    ///
    /// # Errors
    /// No answer.
    pub async fn request(
        &self,
        base: &Url,
        method: &str,
        params: Value,
    ) -> Result<McpReply, McpError> {
        let message = self.message(method, params);
        self.send(base, Self::headers(&message), &message).await
    }

    /// Sends any message with any headers: for tests of messages that a server must refuse.
    ///
    /// # Errors
    /// No answer.
    pub async fn send(
        &self,
        base: &Url,
        headers: HeaderMap,
        message: &Value,
    ) -> Result<McpReply, McpError> {
        wire::call(&self.http, base, headers, message).await
    }

    /// Sends a request and gives its result.
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn call(&self, base: &Url, method: &str, params: Value) -> Result<Value, McpError> {
        self.request(base, method, params)
            .await?
            .into_result(method)
    }

    /// `server/discover`.
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn discover(&self, base: &Url) -> Result<Value, McpError> {
        self.call(base, "server/discover", Value::Null).await
    }

    /// The tools of `tools/list` (first page).
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn list_tools(&self, base: &Url) -> Result<Vec<Value>, McpError> {
        let mut result = self.call(base, "tools/list", Value::Null).await?;
        Ok(members(&mut result, "tools"))
    }

    /// `tools/call`: the whole result; a failure of the tool itself is a result with `isError:
    /// true`.
    ///
    /// # Errors
    /// No answer, or a JSON-RPC error.
    pub async fn call_tool(
        &self,
        base: &Url,
        name: &str,
        arguments: Value,
    ) -> Result<Value, McpError> {
        self.call(
            base,
            "tools/call",
            json!({"name": name, "arguments": arguments}),
        )
        .await
    }

    /// The resources of `resources/list` (first page).
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn list_resources(&self, base: &Url) -> Result<Vec<Value>, McpError> {
        let mut result = self.call(base, "resources/list", Value::Null).await?;
        Ok(members(&mut result, "resources"))
    }

    /// The `contents` of `resources/read`.
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn read_resource(&self, base: &Url, uri: &str) -> Result<Vec<Value>, McpError> {
        let mut result = self
            .call(base, "resources/read", json!({"uri": uri}))
            .await?;
        Ok(members(&mut result, "contents"))
    }

    /// `subscriptions/listen`: opens the stream and waits for the acknowledgement. `notifications`
    /// is the filter, for instance `{"resourceSubscriptions": ["github://events"]}`.
    ///
    /// # Errors
    /// A refusal, or a first message that is not the acknowledgement within five seconds.
    pub async fn listen(&self, base: &Url, notifications: Value) -> Result<ListenStream, McpError> {
        const METHOD: &str = "subscriptions/listen";
        let message = self.message(METHOD, json!({"notifications": notifications}));
        let response = wire::post(&self.http, base, Self::headers(&message), &message).await?;
        let failed = |source| McpError::stream(METHOD, source);
        let stream = SseStream::from_response(response).await.map_err(failed)?;
        let mut listening = ListenStream {
            stream,
            id: message["id"].clone(),
            acknowledged_filter: Value::Null,
        };
        let within = Duration::from_secs(ACKNOWLEDGE_SECONDS);
        let first = listening.next(within).await.map_err(failed)?;
        if first.method() != "notifications/subscriptions/acknowledged" {
            let body = first.message;
            return Err(McpError::Http {
                method: METHOD.to_owned(),
                status: 200,
                body,
            });
        }
        listening.acknowledged_filter = first.params()["notifications"].clone();
        Ok(listening)
    }
}

/// An acknowledged listen stream. Dropping it ends the subscription.
#[derive(Debug)]
pub struct ListenStream {
    stream: SseStream,
    id: Value,
    acknowledged_filter: Value,
}

impl ListenStream {
    /// The filter that the server acknowledged.
    #[must_use]
    pub fn acknowledged_filter(&self) -> &Value {
        &self.acknowledged_filter
    }

    /// The next message: a notification, or the final result when the server ends gracefully.
    ///
    /// # Errors
    /// No message arrived within `within`, or the stream ended.
    pub async fn next(&mut self, within: Duration) -> Result<ServerMessage, SseError> {
        wire::next_message(&mut self.stream, within).await
    }

    /// Whether the message is the graceful end: the JSON-RPC result of the listen request.
    #[must_use]
    pub fn is_end(&self, message: &ServerMessage) -> bool {
        message.message.get("result").is_some() && message.message["id"] == self.id
    }

    /// Whether the message carries this stream's subscription id, as every message on it must.
    #[must_use]
    pub fn has_subscription_id(&self, message: &ServerMessage) -> bool {
        let message = &message.message;
        let place = if message.get("result").is_some() {
            "result"
        } else {
            "params"
        };
        message[place]["_meta"][SUBSCRIPTION_ID] == self.id
    }
}
