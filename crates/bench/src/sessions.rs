//! Requests of MCP as bytes, and sessions of the handshake era over plain sockets.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::connection::Connection;

/// The newest revision with sessions.
const HANDSHAKE: &str = "2025-11-25";
/// The revision without.
const STATELESS: &str = "2026-07-28";

/// Makes sessions on one connection.
pub(crate) struct Opener {
    connection: Connection,
    target: SocketAddr,
    initialize: Vec<u8>,
}

impl Opener {
    pub(crate) fn connect(target: SocketAddr) -> Result<Self> {
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": HANDSHAKE, "capabilities": {},
                "clientInfo": { "name": "bench", "version": "1" },
            },
        });
        Ok(Self {
            connection: Connection::open(target)?,
            target,
            initialize: post(target, "", &initialize),
        })
    }

    /// `initialize`, then `notifications/initialized`; the session's id.
    pub(crate) fn session(&mut self) -> Result<String> {
        let answer = self.connection.call(&self.initialize)?;
        let id = answer.session.filter(|_| answer.status == 200);
        let id = id.with_context(|| {
            let text = String::from_utf8_lossy(&answer.body);
            format!("initialize was answered with {}: {text}", answer.status)
        })?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let fields = fields_of(&id);
        let answer = self
            .connection
            .call(&post(self.target, &fields, &initialized))?;
        ensure!(
            answer.status == 202,
            "initialized was answered with {}",
            answer.status
        );
        Ok(id)
    }
}

fn fields_of(session: &str) -> String {
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

/// A tool call that stands for itself.
pub(crate) fn stateless_call(
    target: SocketAddr,
    id: u64,
    tool: &str,
    arguments: &Value,
) -> Vec<u8> {
    let call = json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {
            "name": tool, "arguments": arguments,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": { "name": "bench", "version": "1" },
            },
        },
    });
    let fields = format!(
        "MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
    );
    post(target, &fields, &call)
}

fn post(target: SocketAddr, fields: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {target}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
