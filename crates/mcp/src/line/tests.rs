use http::Method;
use serde_json::json;

use super::*;
use crate::{Decision, Surface, classify};

fn body(message: &Value) -> MessageBody {
    envelope::parse(message.to_string().as_bytes()).unwrap()
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// The dispatcher's decision about a line with its headers.
fn dispatched(message: &Value, known: &LineContext) -> Decision {
    let mut headers = LineHeaders::of(&body(message), known).headers;
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let text = message.to_string();
    classify(
        &Surface::new(&[
            method::TOOLS_LIST,
            method::TOOLS_CALL,
            method::RESOURCES_READ,
            method::TASKS_GET,
        ]),
        &Method::POST,
        &headers,
        Some(text.as_bytes()),
    )
}

fn in_session() -> LineContext {
    let answer =
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "protocolVersion": "2025-06-18" } });
    let id = HeaderValue::from_static("00000000-0000-4000-8000-000000000000");
    let mut known = LineContext::default();
    known.set_session(LineSession::opened(
        Some(&id),
        answer.to_string().as_bytes(),
    ));
    known
}

#[test]
fn what_claims_the_stateless_era_gets_all_that_the_dispatcher_asks_for() {
    for (method, params) in [
        ("tools/list", json!({})),
        ("tools/call", json!({ "name": "plain" })),
        ("tools/call", json!({ "name": " größer\t" })),
        ("resources/read", json!({ "uri": "github://issues/o/r/7" })),
    ] {
        let mut params = params;
        params["_meta"] = meta();
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let decision = dispatched(&message, &in_session());
        assert!(matches!(decision, Decision::Modern(_)), "{decision:?}");
    }
}

#[test]
fn initialize_goes_bare_and_the_rest_with_the_session_that_it_opened() {
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-06-18" } });
    let known = in_session();
    let head = LineHeaders::of(&body(&initialize), &known);
    assert_eq!((head.kind, head.headers.len()), (LineKind::Initialize, 0));
    for message in [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
        json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }]),
    ] {
        let decision = dispatched(&message, &known);
        assert!(matches!(decision, Decision::Handshake(_)), "{decision:?}");
    }
    let refused = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": 1, "message": "no" } });
    assert_eq!(
        LineSession::opened(None, refused.to_string().as_bytes()),
        None
    );
}

#[test]
fn a_notification_without_a_session_is_of_the_era_of_the_requests_before_it() {
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" });
    let mut known = LineContext::default();
    assert_eq!(
        LineHeaders::of(&body(&cancelled), &known).kind,
        LineKind::Session
    );
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list",
        "params": { "_meta": meta() } });
    known.remember_version(&LineHeaders::of(&body(&list), &known));
    assert!(matches!(dispatched(&cancelled, &known), Decision::Accepted));
}

#[test]
fn marked_arguments_become_headers_once_the_tool_is_known() {
    let list = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [
        { "name": "t", "inputSchema": { "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
            "dry": { "type": "boolean", "x-mcp-header": "Dry" },
            "gone": { "type": "string", "x-mcp-header": "Gone" },
        } } },
        { "name": "bad", "inputSchema": { "type": "object", "x-mcp-header": "Root" } },
    ] } });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "t", "_meta": meta(),
        "arguments": { "region": "Köln", "count": 42, "dry": false, "gone": null },
    } });
    let mut known = LineContext::default();
    let names = |known: &LineContext| -> Vec<_> {
        let headers = LineHeaders::of(&body(&call), known).headers;
        let mirrored = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("mcp-param-"));
        let mut mirrored: Vec<_> = mirrored
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        mirrored.sort();
        mirrored
    };
    assert_eq!(names(&known), [""; 0]);
    known.learn_tools(list.to_string().as_bytes());
    assert_eq!(
        names(&known),
        [
            "mcp-param-count: 42",
            "mcp-param-dry: false",
            "mcp-param-region: =?base64?S8O2bG4=?="
        ]
    );
    assert_eq!(known.tools.len(), 1);
}

#[test]
fn an_answer_settles_its_request_and_nothing_else() {
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "id": "1", "method": "ping" },
        { "jsonrpc": "2.0", "method": "n" },
    ]);
    let mut owed = OpenRequests::of(&body(&batch));
    for other in [
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"n"}"#,
        "nothing",
    ] {
        assert_eq!(
            owed.register(other.as_bytes()),
            ServerMessageKind::Other,
            "{other}"
        );
    }
    let text = RequestId::Text("1".into());
    assert_eq!(
        owed.register(br#"{"jsonrpc":"2.0","id":"1","result":null}"#),
        ServerMessageKind::Answer(text)
    );
    let left = owed.fail(&RpcError::internal());
    assert!(left.len() == 1 && owed.is_empty(), "{left:?}");
}

#[test]
fn answers_to_a_batch_settle_their_requests_also_when_a_stream_brings_them_in_one_message() {
    let ping = |id: u8| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    let mut owed = OpenRequests::of(&body(&json!([ping(1), ping(2), ping(3)])));
    let answers = br#"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":3,"error":{}}]"#;
    assert_eq!(owed.register(answers), ServerMessageKind::Other);
    assert_eq!(owed.ids(), [RequestId::Integer(2)]);
}

#[test]
fn an_error_without_id_gets_the_requests_and_line_breaks_go() {
    let mut owed = OpenRequests::one(RequestId::Integer(7));
    let line = owed.register_json(
        b"{\"jsonrpc\":\"2.0\",\r\n\"error\":{\"code\":-32001,\"message\":\"gone\"}}",
    );
    assert_eq!(
        line.unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"gone"}}"#
    );
    assert!(owed.is_empty());
    let mut owed = OpenRequests::one(RequestId::Integer(7));
    for nothing in ["<html>", "{}", "7", ""] {
        assert_eq!(owed.register_json(nothing.as_bytes()), None, "{nothing}");
    }
    let line = owed
        .register_json(b"{\"jsonrpc\":\"2.0\",\n\"id\":7,\"result\":{}}")
        .unwrap();
    assert!(owed.is_empty() && !line.contains(&b'\n'));
}
