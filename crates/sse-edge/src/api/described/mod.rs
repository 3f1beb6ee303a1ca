//! The routes as the OpenAPI document describes them: one function for each, which stands beside the route in the
//! table of `api`.

pub(super) mod events;
pub(super) mod mcp;
pub(super) mod messages;
pub(super) mod subscriptions;

use serde_json::{Value, json};
use service_kit::openapi::{ApiHead, ApiOperation, ApiSchemas};

const ABOUT: &str = "\
Resource events of GitHub as server-sent events and as pages of the log, and the Model Context Protocol. With \
`auth.mode = \"tokens\"`, every operation that names the scheme `bearer` needs a token; without, none does.

Requests for a `Host` or from an `Origin` that the edge does not serve are refused with 403, whichever the route. A path \
that does not exist is 404, a method that a path does not have 405. JSON answers of more than a kilobyte are compressed for \
clients that accept gzip; streams never are.";
const TOKENS: &str = "A token of the file that `auth.token_file` names. A token in a URL is refused, except in the query of `GET /mcp/sse` where the \
     operator has set `edge.query_tokens`.";

/// What is said of the edge as a whole.
pub(super) fn head(base_path: &str) -> ApiHead<'_> {
    ApiHead {
        title: "Forgewire edge",
        about: ABOUT,
        base_path,
        tokens: Some(TOKENS),
    }
}

/// What every route behind authentication may answer.
const REFUSALS: [(u16, &str); 5] = [
    (401, "The token is missing or not valid."),
    (
        403,
        "The token lacks the permission, or the `Host` or `Origin` is not served here.",
    ),
    (429, "The principal has reached its rate."),
    (500, "A fault in the server."),
    (
        503,
        "A bound is reached, or a store does not answer; try again.",
    ),
];

/// Adds what every route behind authentication may answer, as problem documents.
fn refusals(operation: ApiOperation, schemas: &mut ApiSchemas) -> ApiOperation {
    let problem = schemas.of::<service_kit::problem::Problem>();
    let parameter = "A parameter has no meaning; `detail` names it and the fix.";
    operation
        .problems(&problem, &[(400, parameter)])
        .problems(&problem, &REFUSALS)
}

/// Adds what every route that reads a body may answer to it, as problem documents.
fn body_refusals(operation: ApiOperation, schemas: &mut ApiSchemas) -> ApiOperation {
    let problem = schemas.of::<service_kit::problem::Problem>();
    operation.problems(
        &problem,
        &[
            (408, "The body did not arrive in time."),
            (413, "The body is larger than `edge.max_body_bytes`."),
            (415, "The body is compressed."),
        ],
    )
}

/// One server-sent event: its fields as an object, as generators of clients and fuzzers read the schema of a stream.
fn server_sent_event(names: &[&str], data: &Value) -> Value {
    json!({
        "description": "One event of the stream.",
        "type": "object",
        "properties": {
            "event": { "type": "string", "enum": names },
            "data": data,
            "id": { "type": "string" },
            "retry": { "type": "integer", "minimum": 0 },
        },
    })
}

/// `GET /health`.
pub(super) fn health(_: &mut ApiSchemas) -> Vec<ApiOperation> {
    let page = |status: &str| {
        let schema = json!({
            "type": "object",
            "required": ["status"],
            "properties": {
                "status": { "const": status },
                "uptimeSeconds": { "type": "integer", "minimum": 0 },
                "server": { "type": "object" },
                "events": { "type": ["object", "null"] },
                "subscriptions": { "type": "object" },
                "cache": { "type": ["object", "null"] },
            },
        });
        Some(("application/json", schema))
    };
    vec![
        ApiOperation::get("getHealth", "The health of the edge")
            .open()
            .about("Statistics are shown to clients that may read all events; others get the status alone.")
            .answer(200, "The edge takes work.", page("healthy"))
            .answer(503, "The edge is not ready.", page("unhealthy")),
    ]
}

/// `GET /demo`.
pub(super) fn demo(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let page = ("text/html", json!({ "type": "string" }));
    let problem = schemas.of::<service_kit::problem::Problem>();
    vec![
        ApiOperation::get("getDemo", "A page for trying the edge in a browser")
            .open()
            .about(
                "Where `edge.demo_page` allows it: by default on an edge that listens on loopback.",
            )
            .answer(200, "The page.", Some(page))
            .problems(
                &problem,
                &[(404, "`edge.demo_page` does not allow it here.")],
            ),
    ]
}
