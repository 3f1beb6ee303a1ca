//! The handshake era: the client has a session that every edge must accept.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::wire::{self, McpError, McpReply, ServerMessage};
use crate::sse::{self, SseError, SseStream};

/// The newest revision with a handshake.
pub const HANDSHAKE_VERSION: &str = "2025-11-25";

/// A client with a session. Every call names the edge that it is sent to.
#[derive(Debug)]
pub struct McpClient {
    http: reqwest::Client,
    session: Option<String>,
    version: String,
    initialized: Value,
    next_id: AtomicU64,
}

impl McpClient {
    /// Does the handshake of 2025-11-25 with the edge at `base`: `initialize`, then
    /// `notifications/initialized` to the same edge.
    ///
    /// # Errors
    /// The server refuses one of the two messages.
    pub async fn connect(base: &Url) -> Result<Self, McpError> {
        let client = Self::initialize(base, HANDSHAKE_VERSION).await?;
        client
            .notify(base, "notifications/initialized", Value::Null)
            .await?;
        Ok(client)
    }

    /// Sends only `initialize`, asking for `version`.
    ///
    /// # Errors
    /// The server refuses the message.
    pub async fn initialize(base: &Url, version: &str) -> Result<Self, McpError> {
        Self::initialize_as(base, version, "forgewire-testkit").await
    }

    /// As [`McpClient::initialize`], under a name of a client.
    ///
    /// # Errors
    /// The server refuses the message.
    pub async fn initialize_as(base: &Url, version: &str, name: &str) -> Result<Self, McpError> {
        let mut client = Self {
            http: crate::http::client(),
            session: None,
            version: String::new(),
            initialized: Value::Null,
            next_id: AtomicU64::new(1),
        };
        let params = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": name, "version": env!("CARGO_PKG_VERSION")},
        });
        let reply = client.request(base, "initialize", params).await?;
        let session = reply
            .headers
            .get("mcp-session-id")
            .and_then(|v| v.to_str().ok());
        client.session = session.map(str::to_owned);
        let result = reply.into_result("initialize")?;
        client.version = result["protocolVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        client.initialized = result;
        Ok(client)
    }

    /// The session id that the server assigned, if it assigned one.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The negotiated revision.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The result of `initialize`.
    #[must_use]
    pub fn initialize_result(&self) -> &Value {
        &self.initialized
    }

    /// The headers that belong to this session: its id and the negotiated revision.
    ///
    /// # Panics
    /// Never: the id was read from a header, and revisions are plain ASCII.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut insert = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        if let Some(session) = &self.session {
            insert("mcp-session-id", session);
        }
        if !self.version.is_empty() {
            insert("mcp-protocol-version", &self.version);
        }
        headers
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
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let message = wire::message(Some(id), method, params);
        self.send(base, &message).await
    }

    /// Sends any message unchanged: for tests of messages that a server must refuse.
    ///
    /// # Errors
    /// No answer.
    pub async fn send(&self, base: &Url, message: &Value) -> Result<McpReply, McpError> {
        wire::call(&self.http, base, self.headers(), message).await
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

    /// Sends a notification, which must be answered with 202.
    ///
    /// # Errors
    /// No answer, or another status.
    pub async fn notify(&self, base: &Url, method: &str, params: Value) -> Result<(), McpError> {
        let reply = self
            .send(base, &wire::message(None, method, params))
            .await?;
        match reply.status {
            202 => Ok(()),
            status => Err(McpError::Http {
                method: method.to_owned(),
                status,
                body: reply.body,
            }),
        }
    }

    /// `ping`.
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn ping(&self, base: &Url) -> Result<(), McpError> {
        self.call(base, "ping", Value::Null).await.map(drop)
    }

    /// The tools of `tools/list` (first page).
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn list_tools(&self, base: &Url) -> Result<Vec<Value>, McpError> {
        let mut result = self.call(base, "tools/list", json!({})).await?;
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
        let mut result = self.call(base, "resources/list", json!({})).await?;
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

    /// `resources/subscribe`.
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn subscribe(&self, base: &Url, uri: &str) -> Result<(), McpError> {
        self.call(base, "resources/subscribe", json!({"uri": uri}))
            .await
            .map(drop)
    }

    /// `resources/unsubscribe`.
    ///
    /// # Errors
    /// No answer, or an error.
    pub async fn unsubscribe(&self, base: &Url, uri: &str) -> Result<(), McpError> {
        self.call(base, "resources/unsubscribe", json!({"uri": uri}))
            .await
            .map(drop)
    }

    /// Opens the session's GET stream, after `last_event_id` if given.
    ///
    /// # Errors
    /// The edge does not answer with an event stream.
    pub async fn open_stream(
        &self,
        base: &Url,
        last_event_id: Option<&str>,
    ) -> Result<SseStream, SseError> {
        let url = wire::endpoint(base);
        match last_event_id {
            Some(id) => sse::resume(&url, self.headers(), id).await,
            None => sse::open(&url, self.headers()).await,
        }
    }

    /// The next message on a stream opened with [`McpClient::open_stream`].
    ///
    /// # Errors
    /// No message arrived within `within`, or the stream ended.
    pub async fn next_message(
        stream: &mut SseStream,
        within: Duration,
    ) -> Result<ServerMessage, SseError> {
        wire::next_message(stream, within).await
    }

    /// Ends the session with DELETE; gives the HTTP status.
    ///
    /// # Errors
    /// No answer.
    pub async fn end(&self, base: &Url) -> Result<u16, McpError> {
        let url = wire::endpoint(base);
        let request = self.http.delete(url.clone()).headers(self.headers());
        let response = request.timeout(Duration::from_secs(10)).send().await;
        let failed = |source| McpError::Transport {
            method: "DELETE".to_owned(),
            url: url.to_string(),
            source,
        };
        Ok(response.map_err(failed)?.status().as_u16())
    }
}

pub(super) fn members(result: &mut Value, name: &str) -> Vec<Value> {
    match result[name].take() {
        Value::Array(all) => all,
        _ => Vec::new(),
    }
}
