//! Traffic of the handshake era.

use super::*;

#[test]
fn batches_are_for_one_revision() {
    let batch = Sent::post(&json!([request("ping"), notification()]));
    let with_initialize = Sent::post(&json!([initialize("2025-03-26")]));
    check(vec![
        ("in a session", batch.clone().in_session(), Is::Batch),
        (
            "without one",
            batch.clone(),
            Is::Refused(400, -32600, false),
        ),
        (
            "in the stateless era",
            batch
                .clone()
                .in_session()
                .with("mcp-protocol-version", MODERN),
            Is::Refused(400, -32600, false),
        ),
        (
            "empty",
            batch.clone().in_session().body("[]"),
            Is::Refused(400, -32600, false),
        ),
        (
            "with initialize",
            with_initialize.in_session(),
            Is::Refused(400, -32600, false),
        ),
    ]);
    let Decision::Handshake(message) = batch.in_session().decide() else {
        panic!("a batch in a session")
    };
    for version in ProtocolVersion::ALL {
        let admitted = message
            .admit(version)
            .map_err(|refusal| refusal.status.as_u16());
        let expected = if version.as_str() == "2025-03-26" {
            Ok(())
        } else {
            Err(400)
        };
        assert_eq!(admitted, expected, "{version}");
    }
}

#[test]
fn initialize_negotiates() {
    use ProtocolVersion as V;
    let sent = |version| Sent::post(&initialize(version));
    let large = json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {"roots": {"x": "x".repeat(17_000)}}
    }});
    let bare = json!({
        "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {"protocolVersion": "x"}
    });
    check(vec![
        ("oldest", sent("2024-11-05"), Is::Initialize(V::V2024_11_05)),
        (
            "batches",
            sent("2025-03-26"),
            Is::Initialize(V::V2025_03_26),
        ),
        ("newest", sent("2025-11-25"), Is::Initialize(V::V2025_11_25)),
        (
            "one without handshake",
            sent(MODERN),
            Is::Initialize(V::V2025_11_25),
        ),
        ("unknown", sent("1.0"), Is::Initialize(V::V2025_11_25)),
        (
            "a lost session's header is ignored",
            sent("2025-06-18").in_session(),
            Is::Initialize(V::V2025_06_18),
        ),
        (
            "a handshake version header is fine",
            sent("2025-06-18").with("mcp-protocol-version", "2025-11-25"),
            Is::Initialize(V::V2025_06_18),
        ),
        (
            "capabilities and clientInfo may be absent",
            Sent::post(&bare),
            Is::Initialize(V::V2025_11_25),
        ),
        (
            "capabilities and clientInfo may be null",
            Sent::post(
                &json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
                    "protocolVersion": "2025-06-18", "capabilities": null, "clientInfo": null,
                    "_meta": null
                }}),
            ),
            Is::Initialize(V::V2025_06_18),
        ),
        (
            "an icon that is too large to store",
            Sent::post(
                &json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
                    "protocolVersion": "2025-11-25", "capabilities": [],
                    "clientInfo": {"name": "a", "icons": [{"src": "x".repeat(300_000)}]}
                }}),
            ),
            Is::Initialize(V::V2025_11_25),
        ),
        (
            "no params",
            Sent::post(&request("initialize")),
            Is::Refused(200, -32602, true),
        ),
        (
            "too many capabilities to store",
            Sent::post(&large),
            Is::Refused(200, -32602, true),
        ),
        (
            "takes no answer of ours",
            sent("2025-11-25").with("accept", "text/html"),
            Is::Refused(406, -32600, true),
        ),
    ]);
}

#[test]
fn notifications_and_responses() {
    let notified = Sent::post(&notification());
    let modern_body = json!({"jsonrpc": "2.0", "method": "n", "params": {"_meta": meta()}});
    let answered = Sent::post(&response());
    check(vec![
        ("in a session", notified.clone().in_session(), Is::Handshake),
        (
            "in a session, no Accept that fits",
            notified.clone().in_session().with("accept", "text/html"),
            Is::Handshake,
        ),
        (
            "stateless by header",
            notified.clone().with("mcp-protocol-version", MODERN),
            Is::Accepted,
        ),
        (
            "stateless by header, in a session: as a request",
            notified
                .clone()
                .with("mcp-protocol-version", MODERN)
                .in_session(),
            Is::Refused(400, -32602, false),
        ),
        ("stateless by _meta", Sent::post(&modern_body), Is::Accepted),
        (
            "stateless by _meta, with a session left over",
            Sent::post(&modern_body)
                .with("mcp-protocol-version", MODERN)
                .in_session(),
            Is::Accepted,
        ),
        ("neither", notified.clone(), Is::Refused(400, -32600, false)),
        (
            "unknown version",
            notified.with("mcp-protocol-version", "2030-01-01"),
            Is::Refused(400, -32022, false),
        ),
        (
            "a response in a session",
            answered.clone().in_session(),
            Is::Handshake,
        ),
        (
            "a response in the stateless era",
            answered.clone().with("mcp-protocol-version", MODERN),
            Is::Refused(400, -32600, false),
        ),
        (
            "a response without a session",
            answered,
            Is::Refused(400, -32600, false),
        ),
    ]);
}

#[test]
fn sessions_are_named_by_ids_of_ours() {
    let ping = Sent::post(&request("ping"));
    let unknown = || Is::Refused(404, -32001, true);
    let long = "a".repeat(10_000);
    check(vec![
        (
            "dots and wildcards",
            ping.clone().with("mcp-session-id", "a.*.>"),
            unknown(),
        ),
        (
            "10 KB",
            ping.clone().with("mcp-session-id", &long),
            unknown(),
        ),
        ("empty", ping.clone().with("mcp-session-id", ""), unknown()),
        (
            "not ASCII",
            ping.clone().with("mcp-session-id", "é"),
            unknown(),
        ),
        (
            "two of them",
            ping.clone().in_session().and("mcp-session-id", "other"),
            unknown(),
        ),
        (
            "white space around it",
            ping.clone().with("mcp-session-id", &format!(" {SESSION} ")),
            Is::Handshake,
        ),
        (
            "on GET",
            Sent::bare(Method::GET).with("mcp-session-id", "a.b"),
            Is::Refused(404, -32001, false),
        ),
        (
            "on DELETE",
            Sent::bare(Method::DELETE).with("mcp-session-id", "a.b"),
            Is::Refused(404, -32001, false),
        ),
    ]);
}

#[test]
fn get_and_delete_exist_within_a_session() {
    let get = Sent::bare(Method::GET);
    let delete = Sent::bare(Method::DELETE);
    let refused = || Is::Refused(405, -32600, false);
    check(vec![
        (
            "GET",
            get.clone().in_session(),
            Is::OpenStream(Resume::Fresh),
        ),
        (
            "GET, anything goes",
            get.clone().in_session().with("accept", "*/*"),
            Is::OpenStream(Resume::Fresh),
        ),
        (
            "GET, no stream wanted",
            get.clone().in_session().with("accept", "application/json"),
            Is::Refused(406, -32600, false),
        ),
        (
            "GET, resume",
            get.clone().in_session().with("last-event-id", "abc"),
            Is::OpenStream(Resume::After("abc".into())),
        ),
        (
            "GET, empty id",
            get.clone().in_session().with("last-event-id", ""),
            Is::OpenStream(Resume::Fresh),
        ),
        (
            "GET, id too long",
            get.clone()
                .in_session()
                .with("last-event-id", &"a".repeat(513)),
            Is::OpenStream(Resume::Unreadable),
        ),
        (
            "GET, id not ASCII",
            get.clone().in_session().with("last-event-id", "é"),
            Is::OpenStream(Resume::Unreadable),
        ),
        (
            "GET, version of the session",
            get.clone()
                .in_session()
                .with("mcp-protocol-version", "2025-11-25"),
            Is::OpenStream(Resume::Fresh),
        ),
        (
            "GET, unknown version",
            get.clone().in_session().with("mcp-protocol-version", "x"),
            Is::Refused(400, -32600, false),
        ),
        ("GET without a session", get.clone(), refused()),
        (
            "GET without a session, Last-Event-ID alone",
            get.clone().with("last-event-id", "abc"),
            refused(),
        ),
        (
            "GET in the stateless era",
            get.in_session().with("mcp-protocol-version", MODERN),
            refused(),
        ),
        ("DELETE", delete.clone().in_session(), Is::EndSession),
        ("DELETE without a session", delete.clone(), refused()),
        (
            "DELETE in the stateless era",
            delete.in_session().with("mcp-protocol-version", MODERN),
            refused(),
        ),
        ("PUT", Sent::bare(Method::PUT).in_session(), refused()),
    ]);
    let refusal = Sent::bare(Method::PUT).refusal();
    assert_eq!(refusal.allow, Some("POST, GET, DELETE"));
}

#[test]
fn only_requests_want_an_answer() {
    for (body, no_answer) in [
        (request("ping"), false),
        (notification(), true),
        (response(), true),
        (json!([notification(), response()]), true),
        (json!([notification(), request("ping")]), false),
        (json!([1]), false),
    ] {
        let Decision::Handshake(message) = Sent::post(&body).in_session().decide() else {
            panic!("session traffic: {body}")
        };
        assert_eq!(message.needs_no_response(), no_answer, "{body}");
    }
}
