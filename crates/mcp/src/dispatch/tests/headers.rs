//! Headers of the stateless era, `Accept`, and duplicate members.

use super::*;

#[test]
fn headers_of_the_stateless_era_equal_the_body() {
    let modern = Sent::modern("tools/list", json!({}));
    let mismatch = || Is::Refused(400, -32020, true);
    check(vec![
        (
            "version missing",
            modern.clone().without("mcp-protocol-version"),
            mismatch(),
        ),
        (
            "version differs",
            modern.clone().with("mcp-protocol-version", "2025-11-25"),
            mismatch(),
        ),
        (
            "two versions",
            modern.clone().and("mcp-protocol-version", "2025-11-25"),
            mismatch(),
        ),
        (
            "the same version twice",
            modern.clone().and("mcp-protocol-version", MODERN),
            Is::Modern,
        ),
        (
            "version with white space",
            modern.clone().with("mcp-protocol-version", " 2026-07-28\t"),
            Is::Modern,
        ),
        (
            "method missing",
            modern.clone().without("mcp-method"),
            mismatch(),
        ),
        (
            "method differs",
            modern.clone().with("mcp-method", "tools/call"),
            mismatch(),
        ),
        (
            "method in another case",
            modern.clone().with("mcp-method", "Tools/List"),
            mismatch(),
        ),
        (
            "method with white space",
            modern.clone().with("mcp-method", "  tools/list "),
            Is::Modern,
        ),
        (
            "method empty",
            modern.clone().with("mcp-method", ""),
            mismatch(),
        ),
        (
            "method not ASCII",
            modern.clone().with("mcp-method", "é"),
            mismatch(),
        ),
        (
            "a name that nobody asked for",
            modern.clone().with("mcp-name", "x"),
            Is::Modern,
        ),
    ]);
}

#[test]
fn mcp_name_equals_what_the_body_names() {
    let mismatch = || Is::Refused(400, -32020, true);
    let read = Sent::modern("resources/read", json!({"uri": "github://events"}));
    let unicode = Sent::modern("resources/read", json!({"uri": "github://é"}));
    let nameless = Sent::modern("tools/call", json!({}));
    check(vec![
        ("name", call("get_recent_events"), Is::Modern),
        (
            "name with white space",
            call(" get_recent_events "),
            Is::Modern,
        ),
        ("name missing", call("x").without("mcp-name"), mismatch()),
        ("name differs", call("replay_events"), mismatch()),
        (
            "name in another case",
            call("Get_Recent_Events"),
            mismatch(),
        ),
        (
            "name encoded",
            call("=?base64?Z2V0X3JlY2VudF9ldmVudHM=?="),
            Is::Modern,
        ),
        (
            "name encoded, marker in capitals",
            call("=?BASE64?Z2V0X3JlY2VudF9ldmVudHM=?="),
            mismatch(),
        ),
        (
            "name encoded badly",
            call("=?base64?Z2V0X3JlY2VudF9ldmVudHM?="),
            mismatch(),
        ),
        (
            "name absent in the body",
            nameless.with("mcp-name", "x"),
            mismatch(),
        ),
        (
            "the name of a resource is its URI",
            read.clone().with("mcp-name", "github://events"),
            Is::Modern,
        ),
        ("the name of a resource is missing", read, mismatch()),
        (
            "a URI beyond ASCII, encoded",
            unicode
                .clone()
                .with("mcp-name", "=?base64?Z2l0aHViOi8vw6k=?="),
            Is::Modern,
        ),
        (
            "a URI beyond ASCII, raw",
            unicode.with("mcp-name", "github://é"),
            mismatch(),
        ),
        (
            "Mcp-Param-* of no tool is ignored",
            call("get_recent_events").with("mcp-param-x", "1"),
            Is::Modern,
        ),
    ]);
}

#[test]
fn the_kind_of_answer_follows_accept() {
    let modern = Sent::modern("tools/list", json!({}));
    let listen = Sent::modern("subscriptions/listen", json!({"notifications": {}}));
    let session = Sent::post(&request("ping")).in_session();
    check(vec![
        ("no Accept", modern.clone().without("accept"), Is::Modern),
        ("anything", modern.clone().with("accept", "*/*"), Is::Modern),
        (
            "JSON alone",
            modern.clone().with("accept", "application/json"),
            Is::Modern,
        ),
        (
            "nothing of ours",
            modern.with("accept", "text/html"),
            Is::Refused(400, -32020, true),
        ),
        (
            "listen needs a stream",
            listen.clone().with("accept", "application/json"),
            Is::Refused(400, -32020, true),
        ),
        (
            "listen",
            listen.with("accept", "text/event-stream"),
            Is::Modern,
        ),
        (
            "session, nothing of ours",
            session.clone().with("accept", "text/html"),
            Is::Refused(406, -32600, true),
        ),
        (
            "session, JSON alone",
            session.with("accept", "application/json"),
            Is::Handshake,
        ),
    ]);
}

#[test]
fn duplicate_members_are_refused() {
    let sent = Sent::modern("tools/call", json!({})).with("mcp-name", "a");
    let twice = |params: &str| {
        sent.clone().body(&format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#
        ))
    };
    let meta = meta().to_string();
    let version_twice = meta.replacen(
        '{',
        r#"{"io.modelcontextprotocol/protocolVersion":"2025-11-25","#,
        1,
    );
    check(vec![
        (
            "name",
            twice(&format!(r#"{{"name":"a","name":"b","_meta":{meta}}}"#)),
            Is::Refused(400, -32600, true),
        ),
        (
            "_meta",
            twice(&format!(r#"{{"name":"a","_meta":{meta},"_meta":{{}}}}"#)),
            Is::Refused(400, -32600, true),
        ),
        (
            "version",
            twice(&format!(r#"{{"name":"a","_meta":{version_twice}}}"#)),
            Is::Refused(400, -32600, true),
        ),
        (
            "an escaped key is the same key",
            twice(&format!(
                r#"{{"name":"a","_meta":{}}}"#,
                meta.replace("io.model", "\\u0069o.model")
            )),
            Is::Modern,
        ),
    ]);
}
