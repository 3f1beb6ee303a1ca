//! The Model Context Protocol. What its messages mean is said by its specification, not here.

use serde_json::{Value, json};
use service_kit::openapi::{ApiOperation, ApiParameter, ApiSchemas};

use super::{REFUSALS, server_sent_event};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

fn message(schemas: &mut ApiSchemas) -> Value {
    let message = json!({
        "description": "A JSON-RPC 2.0 message, or before revision 2025-06-18 a batch of them.",
        "type": ["object", "array"],
    });
    schemas.named("McpMessage", &message)
}

/// A stream of messages.
fn stream(schemas: &mut ApiSchemas) -> (&'static str, Value) {
    let frame = server_sent_event(&["message", "endpoint"], &json!({ "type": "string" }));
    ("text/event-stream", schemas.named("McpStreamFrame", &frame))
}

/// A JSON-RPC answer that says what is wrong.
fn failure(schemas: &mut ApiSchemas) -> Value {
    let failure = json!({
        "type": "object",
        "required": ["jsonrpc", "error"],
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "number", "null"] },
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": { "type": "integer" },
                    "message": { "type": "string" },
                },
            },
        },
    });
    schemas.named("McpFailure", &failure)
}

fn text_header(name: &'static str, about: &str) -> ApiParameter {
    ApiParameter::header(name, about, json!({ "type": "string" }))
}

fn session() -> ApiParameter {
    text_header(
        "Mcp-Session-Id",
        "The session, in the revisions that have one.",
    )
}

fn version() -> ApiParameter {
    text_header("MCP-Protocol-Version", "The revision of the protocol.")
}

/// Adds refusals as JSON-RPC.
fn failures(
    mut operation: ApiOperation,
    schemas: &mut ApiSchemas,
    statuses: &[(u16, &str)],
) -> ApiOperation {
    let message = (
        400,
        "The message or a header is not what the protocol asks for.",
    );
    for (status, about) in [message].iter().chain(&REFUSALS).chain(statuses) {
        operation = operation.answer(*status, about, Some((JSON, failure(schemas))));
    }
    operation
}

/// Statuses of requests with a body.
const OF_BODIES: [(u16, &str); 3] = [
    (408, "The body did not arrive in time."),
    (413, "The body is larger than `edge.max_body_bytes`."),
    (
        415,
        "The body is compressed, or not of the right media type.",
    ),
];
const NOT_FOUND: (u16, &str) = (404, "There is no such session, or no such method.");
const NOT_ACCEPTABLE: (u16, &str) = (406, "The client accepts no media type of the answer.");

/// `/mcp`.
pub(in crate::api) fn endpoint(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let ids = ["postMcp", "openMcpStream", "endMcpSession"];
    streamable_http(schemas, ids, &[])
}

/// `/mcp/readonly`.
pub(in crate::api) fn read_only(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let ids = [
        "postReadOnlyMcp",
        "openReadOnlyMcpStream",
        "endReadOnlyMcpSession",
    ];
    streamable_http(schemas, ids, &[])
}

/// `/mcp/x/{toolset}`.
pub(in crate::api) fn toolset(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let ids = [
        "postToolsetMcp",
        "openToolsetMcpStream",
        "endToolsetMcpSession",
    ];
    streamable_http(schemas, ids, &[toolset_name()])
}

/// `/mcp/x/{toolset}/readonly`.
pub(in crate::api) fn read_only_toolset(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let ids = [
        "postReadOnlyToolsetMcp",
        "openReadOnlyToolsetMcpStream",
        "endReadOnlyToolsetMcpSession",
    ];
    streamable_http(schemas, ids, &[toolset_name()])
}

fn toolset_name() -> ApiParameter {
    ApiParameter::path(
        "toolset",
        "The only toolset whose tools are offered, or `all`.",
        json!({ "type": "string" }),
    )
}

/// Headers that choose tools.
fn chosen_tools() -> [ApiParameter; 4] {
    [
        (
            "X-MCP-Toolsets",
            "Names of toolsets, by commas: only their tools are offered.",
        ),
        (
            "X-MCP-Tools",
            "Names of tools, by commas: they are offered too, or alone.",
        ),
        (
            "X-MCP-Exclude-Tools",
            "Names of tools, by commas, that are not offered.",
        ),
        (
            "X-MCP-Readonly",
            "`true`: tools that change something are not offered.",
        ),
    ]
    .map(|(name, about)| text_header(name, about))
}

/// Streamable HTTP, under these ids of its three methods.
fn streamable_http(
    schemas: &mut ApiSchemas,
    [post, get, delete]: [&'static str; 3],
    of_path: &[ApiParameter],
) -> Vec<ApiOperation> {
    let accept = || text_header("Accept", "`application/json` and `text/event-stream`.");
    let post = ApiOperation::post(post, "Send a message of MCP")
        .about("Streamable HTTP, in every revision from 2024-11-05 to 2026-07-28.")
        .parameters([
            session(),
            version(),
            text_header(
                "Mcp-Method",
                "The method of the message, from revision 2026-07-28 on.",
            ),
            text_header(
                "Mcp-Name",
                "The name that the method is about, from revision 2026-07-28 on.",
            ),
        ])
        .body("The message.", &[(JSON, message(schemas))])
        .answer(
            200,
            "The answer, alone or at the end of a stream.",
            Some((JSON, message(schemas))),
        )
        .answer(200, "", Some(stream(schemas)))
        .answer(202, "The message needs no answer.", None);
    let get = ApiOperation::get(get, "Open the stream of a session")
        .about(
            "Messages of the server to the client. `Last-Event-ID` resumes a stream on any edge.",
        )
        .parameters([
            session(),
            version(),
            text_header(
                "Last-Event-ID",
                "The id of the last event that the client has.",
            ),
        ])
        .answer(200, "The stream.", Some(stream(schemas)));
    let delete = ApiOperation::delete(delete, "End a session")
        .parameters([session(), version()])
        .answer(204, "The session has ended.", None);
    let missing = [
        NOT_FOUND,
        NOT_ACCEPTABLE,
        (405, "A revision without this method."),
    ];
    vec![
        failures(
            post.parameters([accept()])
                .parameters(chosen_tools())
                .parameters(of_path.to_vec()),
            schemas,
            &[&missing[..], &OF_BODIES].concat(),
        ),
        failures(
            get.parameters([accept()]).parameters(of_path.to_vec()),
            schemas,
            &missing,
        ),
        failures(delete.parameters(of_path.to_vec()), schemas, &missing),
    ]
}

/// `GET /sse`.
pub(in crate::api) fn sse(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let open = ApiOperation::get("openSse", "Open a session of MCP 2024-11-05")
        .about("The transport HTTP+SSE: the first event names the URL for messages, and answers come on the stream.")
        .answer(200, "The stream.", Some(stream(schemas)));
    vec![failures(open, schemas, &[NOT_ACCEPTABLE])]
}

/// `POST /messages`.
pub(in crate::api) fn messages(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let id = ApiParameter::query(
        "sessionId",
        "The session, as the first event of its stream names it.",
        json!({ "type": "string" }),
    );
    let post = ApiOperation::post("postSseMessage", "Send a message of MCP 2024-11-05")
        .parameters([id.required()])
        .body("The message.", &[(JSON, message(schemas))])
        .answer(
            202,
            "The message is accepted; the answer comes on the stream.",
            None,
        );
    vec![failures(
        post,
        schemas,
        &[&[NOT_FOUND][..], &OF_BODIES].concat(),
    )]
}

/// `POST /mcp/stream`.
pub(in crate::api) fn lines(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let lines = || json!({ "type": "string", "description": "One JSON-RPC message on each line." });
    let post = ApiOperation::post("streamMcpLines", "Exchange messages of MCP as lines")
        .about("Both directions are open at once: each line is answered as soon as its answer is there.")
        .parameters([session()])
        .body("Messages of the client.", &[(LINES, lines())])
        .answer(200, "Messages of the server.", Some((LINES, lines())));
    let more = [(405, "Lines are sent with POST.")];
    vec![failures(
        post,
        schemas,
        &[&more[..], &[NOT_FOUND], &OF_BODIES].concat(),
    )]
}
