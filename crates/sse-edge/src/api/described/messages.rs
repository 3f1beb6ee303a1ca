//! `/mcp/sse…`: connections of pages, messages to sessions and to everybody, and numbers.

use serde_json::{Value, json};
use service_kit::openapi::{ApiOperation, ApiParameter, ApiSchemas};

use super::{body_refusals, refusals, server_sent_event};
use crate::limits::BROADCAST_BYTES;

const JSON: &str = "application/json";

/// The names of the events of a connection.
const FRAMES: [&str; 6] = [
    "connection-status",
    "mcp-notification",
    "mcp-response",
    "tool-result",
    "mcp-error",
    "heartbeat",
];

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn optional(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn counts() -> Value {
    json!({ "type": "object", "additionalProperties": count() })
}

fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

/// `GET /mcp/sse`.
pub(in crate::api) fn connection(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let data = json!({
        "type": "string",
        "contentMediaType": JSON,
        "contentSchema": {
            "type": "object",
            "required": ["type", "timestamp"],
            "properties": { "type": { "enum": FRAMES }, "timestamp": text() },
        },
    });
    let frame = server_sent_event(&FRAMES, &data);
    let frames = (
        "text/event-stream",
        schemas.named("ConnectionFrame", &frame),
    );
    let about =
        "The id of the last event that the client has; the connection is continued on any edge.";
    let open = ApiOperation::get("openConnection", "Open a connection for a page")
        .about(
            "Named events: `connection-status` first, then a welcome with the `connectionId` that `POST /mcp/sse/send` \
             takes. With `edge.query_tokens`, the token may be in the query.",
        )
        .parameters([
            ApiParameter::header("Last-Event-ID", about, text()),
            ApiParameter::query("lastEventId", about, text()),
            ApiParameter::query("token", "The token, where `edge.query_tokens` allows it.", text()),
        ])
        .answer(200, "The stream.", Some(frames));
    let ended = "The connection ended while its stream was opened; open another.";
    let open = open.problems(
        &schemas.of::<service_kit::problem::Problem>(),
        &[(404, ended)],
    );
    vec![refusals(open, schemas)]
}

/// `POST /mcp/sse/send`.
pub(in crate::api) fn send(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let to_session = json!({
        "type": "object",
        "required": ["sessionId", "message"],
        "additionalProperties": false,
        "properties": {
            "sessionId": text(),
            "message": {
                "type": "object",
                "required": ["jsonrpc", "method"],
                "properties": {
                    "jsonrpc": { "const": "2.0" },
                    "method": { "type": "string", "pattern": "^notifications/" },
                    "params": { "type": "object" },
                },
                "not": { "required": ["id"] },
            },
            "wait": {
                "type": ["boolean", "null"],
                "description": "Whether to wait until a stream has taken it (default: true).",
            },
        },
    });
    let of_connection = json!({
        "type": "object",
        "required": ["connectionId", "message"],
        "additionalProperties": false,
        "properties": {
            "connectionId": text(),
            "message": { "type": "object", "description": "A message of MCP; `jsonrpc` may be missing." },
        },
    });
    let sent = json!({
        "type": "object",
        "required": ["success", "sent"],
        "properties": {
            "success": flag(), "sent": flag(), "pending": flag(), "error": flag(),
        },
    });
    let result = json!({
        "type": "object",
        "required": ["result"],
        "properties": { "result": { "enum": ["delivered", "stored"] } },
    });
    let body = json!({ "anyOf": [of_connection, to_session] });
    let send = ApiOperation::post("send", "Send a message of a connection, or to a session")
        .about(
            "With `connectionId`, any method of MCP runs for that connection, and the answer comes on its stream \
             (permission `read`). With `sessionId`, a notification is sent to that session (permission `send`). Either has \
             to be the sender's own, unless it has the permission `admin`.",
        )
        .body("The connection or the session, and the message.", &[(JSON, body)])
        .answer(
            200,
            "The message was taken.",
            Some((JSON, json!({ "anyOf": [sent, result] }))),
        );
    let problem = schemas.of::<service_kit::problem::Problem>();
    let missing = "There is no such connection or session.";
    let send = send.problems(&problem, &[(404, missing)]);
    vec![body_refusals(refusals(send, schemas), schemas)]
}

/// `POST /mcp/sse/broadcast`.
pub(in crate::api) fn broadcast(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let names = |names: &[&str]| json!({ "type": ["array", "null"], "items": { "enum": names } });
    let request = json!({
        "type": "object",
        "required": ["message"],
        "additionalProperties": false,
        "properties": {
            "message": {
                "type": "object",
                "description": format!("Up to {BROADCAST_BYTES} bytes, as it is written."),
            },
            "durable": optional("boolean"),
            "filter": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {
                    "tokenTypes": names(&["master", "team", "readonly"]),
                    "permissions": names(&["read", "send", "admin"]),
                    "principal": optional("string"),
                    "protocolVersion": optional("string"),
                    "clientName": optional("string"),
                    "subscribed": optional("boolean"),
                },
            },
        },
    });
    let answer = json!({
        "type": "object",
        "required": ["success", "sentCount", "totalConnections", "kept", "complete", "missing", "stillSending"],
        "properties": {
            "success": flag(), "sentCount": count(), "totalConnections": count(), "kept": flag(),
            "complete": flag(), "missing": texts(), "stillSending": texts(),
        },
    });
    let broadcast = ApiOperation::post("broadcast", "Send a message to every client that is connected")
        .about(
            "Needs the permission `admin`. Every field of the filter has to match; the counts cover all edges, and \
             `missing` names those that did not answer. With `durable`, sessions that are away get it later.",
        )
        .body("The message, and which clients get it.", &[(JSON, request)])
        .answer(200, "The number of clients that took it.", Some((JSON, answer)));
    vec![body_refusals(refusals(broadcast, schemas), schemas)]
}

/// `GET /mcp/sse/stats`.
pub(in crate::api) fn stats(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let answer = json!({
        "type": "object",
        "required": [
            "totalConnections", "connectionsByType", "connectionsByKind", "edges", "complete", "missing",
        ],
        "properties": {
            "totalConnections": count(),
            "connectionsByType": counts(),
            "connectionsByKind": counts(),
            "oldestConnection": optional("string"),
            "newestConnection": optional("string"),
            "answeredBy": optional("string"),
            "edges": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["edge", "totalConnections"],
                    "properties": { "edge": text(), "totalConnections": count() },
                },
            },
            "complete": flag(),
            "missing": texts(),
        },
    });
    let stats = ApiOperation::get("getConnectionStats", "The number of open streams")
        .about("Needs the permission `admin`. The numbers are those of all edges; `missing` names those that did not answer.")
        .answer(200, "The numbers.", Some((JSON, answer)));
    vec![refusals(stats, schemas)]
}
