//! The requests that honest clients and attackers have in common.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{mcp_client::ModernClient, raw_http::RawConnection};

/// Bytes of an answer that are kept.
pub(crate) const KEPT_BYTES: usize = 64 * 1024;

/// A GET.
pub(crate) fn get(path: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Vec<u8> {
    head("GET", path, token, headers, None).into_bytes()
}

/// A POST of JSON.
pub(crate) fn post(
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut request = announce(path, token, headers, body.len());
    request.extend_from_slice(body.as_bytes());
    request
}

/// The head of a POST of JSON with a body of this length.
pub(crate) fn announce(
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    length: usize,
) -> Vec<u8> {
    head("POST", path, token, headers, Some(length)).into_bytes()
}

fn head(
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    length: Option<usize>,
) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    if let Some(token) = token {
        text += &format!("Authorization: Bearer {token}\r\n");
    }
    let is_set = |name: &str| {
        headers
            .iter()
            .any(|(set, _)| set.eq_ignore_ascii_case(name))
    };
    if !is_set("Accept") {
        text += "Accept: application/json, text/event-stream\r\n";
    }
    if let Some(length) = length {
        if !is_set("Content-Type") {
            text += "Content-Type: application/json\r\n";
        }
        text += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// A JSON-RPC request.
pub(crate) fn rpc(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A call of a tool.
pub(crate) fn tool(id: u64, name: &str, arguments: &Value) -> Value {
    let params = json!({ "name": name, "arguments": arguments });
    rpc(id, "tools/call", &params)
}

/// Arguments with which a tool that shows events answers as much as it can.
pub(crate) fn most_events() -> Value {
    json!({ "limit": 1000, "include": ["urls"], "maxBytes": 256 << 10 })
}

/// `initialize`.
pub(crate) fn initialize(version: &str) -> Value {
    let client = json!({ "name": "abuse", "version": "1" });
    let params = json!({
        "protocolVersion": version, "capabilities": {}, "clientInfo": client,
    });
    rpc(1, "initialize", &params)
}

/// `notifications/initialized`.
pub(crate) fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

/// A POST of the stateless era, by a client that knows tasks.
pub(crate) fn modern(token: Option<&str>, method: &str, params: Value) -> Vec<u8> {
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let message = ModernClient::with_capabilities(tasks).message(method, params);
    let headers = ModernClient::headers(&message);
    let headers = headers.iter().map(|(name, value)| {
        let value = value.to_str().unwrap_or_default();
        (name.as_str(), value)
    });
    let headers: Vec<_> = headers.collect();
    post("/mcp", token, &headers, &message.to_string())
}

/// Opens a session; gives its id.
///
/// # Errors
/// The edge refuses a request.
pub(crate) async fn open_session(edge: SocketAddr, token: &str, version: &str) -> Result<String> {
    let mut connection = RawConnection::open(edge).await?;
    let hello = post("/mcp", Some(token), &[], &initialize(version).to_string());
    let answer = connection.ask(&hello, KEPT_BYTES).await?;
    ensure!(answer.status == 200, "initialize got {}", answer.status);
    // Ids of sessions are in lower case.
    let session = answer.header("mcp-session-id").context("no session id")?;
    let headers = [("Mcp-Session-Id", session)];
    let ready = post("/mcp", Some(token), &headers, &initialized().to_string());
    let answer = connection.ask(&ready, KEPT_BYTES).await?;
    ensure!(answer.status == 202, "initialized got {}", answer.status);
    Ok(session.to_owned())
}
