//! MCP requests as bytes.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::repositories::OWNER;

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
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(STATELESS);
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "bench", "version": "1" });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let fields = format!("MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: {method}\r\n{fields}");
    post(target, &fields, &call)
}

/// The tool that waits.
const WAIT: &str = "wait_for_events";

/// The params of a call that asks for progress, and waits for an event: of one repository, or any.
fn wait_params(repository: Option<&str>, cursor: Option<&str>) -> Value {
    let mut arguments = json!({ "maxWaitSeconds": 3600 });
    if let Some(repository) = repository {
        arguments["filters"] = json!([{ "owner": OWNER, "repo": repository }]);
    }
    if let Some(cursor) = cursor {
        arguments["cursor"] = json!(cursor);
    }
    json!({ "name": WAIT, "arguments": arguments, "_meta": { "progressToken": 1 } })
}

/// A self-contained call that asks for progress, and waits for an event after a cursor, or from now on.
pub(crate) fn stateless_wait(
    target: SocketAddr,
    id: u64,
    repository: Option<&str>,
    cursor: Option<&str>,
) -> Vec<u8> {
    let params = wait_params(repository, cursor);
    stateless(
        target,
        id,
        "tools/call",
        &format!("Mcp-Name: {WAIT}\r\n"),
        params,
    )
}

/// The same within a session, from now on.
pub(crate) fn wait_in_session(
    target: SocketAddr,
    session: &str,
    id: u64,
    repository: &str,
) -> Vec<u8> {
    let params = wait_params(Some(repository), None);
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    post(target, &fields_of(session), &call)
}

/// The request for the stream of a session.
pub(crate) fn session_stream(target: SocketAddr, session: &str) -> Vec<u8> {
    let fields = fields_of(session);
    format!("GET /mcp HTTP/1.1\r\nHost: {target}\r\nAccept: text/event-stream\r\n{fields}\r\n")
        .into_bytes()
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
