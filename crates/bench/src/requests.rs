//! MCP requests as bytes.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// The newest revision with sessions.
pub(crate) const HANDSHAKE: &str = "2025-11-25";
/// The revision without sessions.
const STATELESS: &str = "2026-07-28";

/// Header fields of a request within a session.
pub(crate) fn fields_of(session: &str) -> String {
    format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: {HANDSHAKE}\r\n")
}

/// A tool call within a session.
pub(crate) fn call_in_session(
    target: SocketAddr,
    session: &str,
    id: u64,
    tool: &str,
    arguments: &Value,
) -> Vec<u8> {
    let call = json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    });
    post(target, &fields_of(session), &call)
}

/// A self-contained tool call.
pub(crate) fn stateless_call(
    target: SocketAddr,
    id: u64,
    tool: &str,
    arguments: &Value,
) -> Vec<u8> {
    let params = json!({ "name": tool, "arguments": arguments });
    stateless(
        target,
        id,
        "tools/call",
        &format!("Mcp-Name: {tool}\r\n"),
        params,
    )
}

/// A self-contained request; `fields` are the headers of its method.
pub(crate) fn stateless(
    target: SocketAddr,
    id: u64,
    method: &str,
    fields: &str,
    mut params: Value,
) -> Vec<u8> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "bench", "version": "1" },
    });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let fields = format!("MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: {method}\r\n{fields}");
    post(target, &fields, &call)
}

/// A POST of a message to the MCP endpoint.
pub(crate) fn post(target: SocketAddr, fields: &str, body: &Value) -> Vec<u8> {
    post_to(target, "/mcp", fields, body)
}

/// A POST of a message to `path`.
pub(crate) fn post_to(target: SocketAddr, path: &str, fields: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {target}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
