//! The decision on the era, and the requirements of the stateless era on `_meta` and methods.

use super::*;
use crate::{capability::ClientCapabilities, log::LogLevel};

#[test]
fn the_era_of_a_request_is_decided_by_its_body() {
    let modern = Sent::modern("tools/list", json!({}));
    let legacy_meta = meta_with(
        "io.modelcontextprotocol/protocolVersion",
        json!("2025-11-25"),
    );
    let legacy_meta = Sent::modern_with("tools/list", json!({}), legacy_meta);
    check(vec![
        (
            "_meta names a stateless revision",
            modern.clone(),
            Is::Modern,
        ),
        (
            "with a stray session",
            modern.clone().in_session(),
            Is::Modern,
        ),
        (
            "with a stray session that is no id",
            modern.clone().with("mcp-session-id", "a.*.>"),
            Is::Modern,
        ),
        (
            "with a stray Last-Event-ID",
            modern.clone().with("last-event-id", "x"),
            Is::Modern,
        ),
        (
            "a stripped header refuses, the era stays",
            modern.clone().in_session().without("mcp-protocol-version"),
            Is::Refused(400, -32020, true),
        ),
        (
            "an empty header is a missing one",
            modern.clone().with("mcp-protocol-version", ""),
            Is::Refused(400, -32020, true),
        ),
        (
            "initialize with _meta is an unknown method",
            Sent::modern("initialize", json!({"protocolVersion": "2025-11-25"})),
            Is::Refused(404, -32601, true),
        ),
        (
            "_meta names an older revision",
            legacy_meta
                .clone()
                .with("mcp-protocol-version", "2025-11-25"),
            Is::Refused(400, -32022, true),
        ),
        (
            "the same without the header",
            legacy_meta.without("mcp-protocol-version"),
            Is::Refused(400, -32022, true),
        ),
        (
            "initialize and a header that has none",
            Sent::post(&initialize("2025-11-25")).with("mcp-protocol-version", MODERN),
            Is::Refused(400, -32020, true),
        ),
    ]);
}

#[test]
fn without_a_claim_in_the_body_the_version_header_and_the_session_decide() {
    let no_meta = Sent::post(&request("tools/list"));
    check(vec![
        (
            "the header claims it, _meta is missing",
            no_meta.clone().with("mcp-protocol-version", MODERN),
            Is::Refused(400, -32602, true),
        ),
        (
            "the same in a session",
            no_meta
                .clone()
                .in_session()
                .with("mcp-protocol-version", MODERN),
            Is::Refused(400, -32602, true),
        ),
        (
            "unknown version, no session",
            no_meta.clone().with("mcp-protocol-version", "2030-01-01"),
            Is::Refused(400, -32022, true),
        ),
        (
            "unknown version, initialize",
            Sent::post(&initialize("2030-01-01")).with("mcp-protocol-version", "2030-01-01"),
            Is::Initialize(ProtocolVersion::V2025_11_25),
        ),
        (
            "unknown version, initialize of a known one",
            Sent::post(&initialize("2025-06-18")).with("mcp-protocol-version", "latest"),
            Is::Initialize(ProtocolVersion::V2025_06_18),
        ),
        (
            "illegal version, initialize",
            Sent::post(&initialize("2025-06-18")).with("mcp-protocol-version", "é"),
            Is::Initialize(ProtocolVersion::V2025_06_18),
        ),
        (
            "empty version, session",
            no_meta
                .clone()
                .in_session()
                .with("mcp-protocol-version", ""),
            Is::Handshake,
        ),
        (
            "unknown version, session",
            no_meta
                .clone()
                .in_session()
                .with("mcp-protocol-version", "2030-01-01"),
            Is::Refused(400, -32600, true),
        ),
        (
            "illegal version, no session",
            no_meta.clone().and("mcp-protocol-version", "é"),
            Is::Refused(400, -32020, true),
        ),
        (
            "no session, no _meta",
            no_meta.clone(),
            Is::Refused(400, -32600, true),
        ),
        (
            "the same with an older version",
            no_meta.clone().with("mcp-protocol-version", "2025-06-18"),
            Is::Refused(400, -32600, true),
        ),
        (
            "session traffic",
            no_meta.clone().in_session(),
            Is::Handshake,
        ),
        (
            "session traffic with its version",
            no_meta
                .in_session()
                .with("mcp-protocol-version", "2025-06-18"),
            Is::Handshake,
        ),
    ]);
}

#[test]
fn meta_is_complete_before_anything_else() {
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    let list = |meta| Sent::modern_with("tools/list", json!({}), meta);
    let unsupported = list(meta_with(version, json!("v999.0.0")));
    check(vec![
        (
            "no _meta",
            Sent::post(&request("tools/list")).with("mcp-protocol-version", MODERN),
            Is::Refused(400, -32602, true),
        ),
        (
            "_meta is no object",
            list(json!(5)),
            Is::Refused(400, -32602, true),
        ),
        (
            "no version",
            list(meta_without(version)),
            Is::Refused(400, -32602, true),
        ),
        (
            "version null",
            list(meta_with(version, Value::Null)),
            Is::Refused(400, -32602, true),
        ),
        (
            "version is no text",
            list(meta_with(version, json!(1))),
            Is::Refused(400, -32602, true),
        ),
        (
            "no capabilities",
            list(meta_without(capabilities)),
            Is::Refused(400, -32602, true),
        ),
        (
            "capabilities are no object",
            list(meta_with(capabilities, json!(["sampling"]))),
            Is::Refused(400, -32602, true),
        ),
        (
            "capabilities as PHP writes none",
            list(meta_with(capabilities, json!([]))),
            Is::Modern,
        ),
        (
            "capabilities as a serializer of nulls writes none",
            list(meta_with(capabilities, Value::Null)),
            Is::Modern,
        ),
        (
            "no capabilities comes before a header fault",
            list(meta_without(capabilities)).with("mcp-method", "x"),
            Is::Refused(400, -32602, true),
        ),
        ("clientInfo is optional", list(meta()), Is::Modern),
        (
            "clientInfo may be anything",
            list(meta_with("io.modelcontextprotocol/clientInfo", json!(1))),
            Is::Modern,
        ),
        (
            "an unsupported version, header agrees",
            unsupported.clone().with("mcp-protocol-version", "v999.0.0"),
            Is::Refused(400, -32022, true),
        ),
        (
            "an unsupported version, header absent",
            unsupported.clone().without("mcp-protocol-version"),
            Is::Refused(400, -32022, true),
        ),
        (
            "an unsupported version, header differs",
            unsupported,
            Is::Refused(400, -32020, true),
        ),
        (
            "no such log level",
            list(meta_with("io.modelcontextprotocol/logLevel", json!("loud"))),
            Is::Refused(200, -32602, true),
        ),
        (
            "progress token of another type",
            list(meta_with("progressToken", json!({}))),
            Is::Refused(200, -32602, true),
        ),
        (
            "a trace that cannot be read is none",
            list(meta_with("traceparent", json!("x"))),
            Is::Modern,
        ),
    ]);
}

#[test]
fn unknown_and_removed_methods_are_404_with_a_body() {
    let unknown = || Is::Refused(404, -32601, true);
    let rows = [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/get",
        "prompts/list",
        "no/such",
    ];
    check(
        rows.into_iter()
            .map(|method| (method, Sent::modern(method, json!({})), unknown()))
            .collect(),
    );
    let served = [
        "server/discover",
        "subscriptions/listen",
        "tools/list",
        "resources/list",
    ];
    check(
        served
            .into_iter()
            .map(|method| (method, Sent::modern(method, json!({})), Is::Modern))
            .collect(),
    );
}

#[test]
fn a_stateless_request_arrives_whole() {
    let mut meta = meta_with("progressToken", json!("p"));
    meta["io.modelcontextprotocol/clientCapabilities"] =
        json!({"sampling": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    meta["io.modelcontextprotocol/logLevel"] = json!("warning");
    meta["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let sent = Sent::modern_with("tools/list", json!({"cursor": "c"}), meta);
    let Decision::Modern(request) = sent.decide() else {
        panic!("a request of the stateless era")
    };
    assert_eq!(request.id, RequestId::Integer(7));
    assert_eq!(request.method, "tools/list");
    assert_eq!(request.version, ProtocolVersion::V2026_07_28);
    assert!(request.meta.capabilities.has("sampling"));
    assert!(!request.meta.capabilities.has("roots"));
    let tasks = request
        .meta
        .capabilities
        .extension("io.modelcontextprotocol/tasks");
    assert_eq!(tasks, Some(&json!({})));
    assert_eq!(request.meta.log_level, Some(LogLevel::Warning));
    assert_eq!(
        request.meta.progress_token,
        Some(RequestId::Text("p".into()))
    );
    assert!(request.meta.trace.is_some());
    let list: crate::page::ListParams = crate::params::parse(request.params.as_deref()).unwrap();
    assert_eq!(list.cursor.as_deref(), Some("c"));
}

#[test]
fn refusals_carry_what_a_client_corrects_itself_by() {
    let version = "io.modelcontextprotocol/protocolVersion";
    let sent = Sent::modern_with(
        "tools/list",
        json!({}),
        meta_with(version, json!("v999.0.0")),
    )
    .with("mcp-protocol-version", "v999.0.0");
    let data = json!({"supported": ["2026-07-28"], "requested": "v999.0.0"});
    assert_eq!(sent.refusal().error.data, Some(data));

    let required = ClientCapabilities::from_value(json!({"sampling": {}})).unwrap();
    let refusal = HttpRefusal::missing_capability(required).for_request(&RequestId::Integer(7));
    let body: Value = serde_json::from_slice(&refusal.body()).unwrap();
    assert_eq!(refusal.status, 400);
    assert_eq!(body["id"], 7);
    assert_eq!(body["error"]["code"], -32021);
    assert_eq!(
        body["error"]["data"],
        json!({"requiredCapabilities": {"sampling": {}}})
    );
}
