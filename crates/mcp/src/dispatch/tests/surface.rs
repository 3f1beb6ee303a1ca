//! Only declared features are served (prompts, completions, tasks); the arguments that a call
//! mirrors.

use super::*;
use crate::capability::{ListChanged, ResourceCapability};

const TASKS: &str = "io.modelcontextprotocol/tasks";

fn everything() -> Surface {
    let capabilities = Capabilities {
        tools: Some(ListChanged(true)),
        resources: Some(ResourceCapability::default()),
        prompts: Some(ListChanged(true)),
        completions: true,
        logging: true,
        channels: true,
    };
    Surface::of(&capabilities, &Extensions::none().with(TASKS))
}

fn with_tasks() -> Value {
    let capabilities = json!({"extensions": {TASKS: {}}});
    meta_with("io.modelcontextprotocol/clientCapabilities", capabilities)
}

fn get_task(header: &str) -> Sent {
    Sent::modern_with("tasks/get", json!({"taskId": "t-1"}), with_tasks()).with("mcp-name", header)
}

#[test]
fn what_is_declared_is_served_and_what_is_not_is_not() {
    let nothing = Surface::of(&Capabilities::default(), &Extensions::none());
    let unknown = Is::Refused(404, -32601, true);
    for (method, params, name) in [
        ("tools/list", json!({}), None),
        ("tools/call", json!({"name": "t"}), Some("t")),
        ("resources/list", json!({}), None),
        ("resources/templates/list", json!({}), None),
        ("resources/read", json!({"uri": "t"}), Some("t")),
        ("prompts/list", json!({}), None),
        ("prompts/get", json!({"name": "t"}), Some("t")),
        ("completion/complete", json!({}), None),
        ("tasks/get", json!({"taskId": "t"}), Some("t")),
        ("tasks/update", json!({"taskId": "t"}), Some("t")),
        ("tasks/cancel", json!({"taskId": "t"}), Some("t")),
    ] {
        let sent = Sent::modern_with(method, params, with_tasks());
        let sent = name.map_or(sent.clone(), |name| sent.with("mcp-name", name));
        assert_eq!(sent.kind_on(&everything()), Is::Modern, "{method}");
        assert_eq!(sent.kind_on(&nothing), unknown, "{method}");
    }
    for method in ["server/discover", "subscriptions/listen"] {
        let sent = Sent::modern(method, json!({}));
        assert_eq!(sent.kind_on(&nothing), Is::Modern, "{method}");
    }
    for removed in [
        "tasks/list",
        "tasks/result",
        "initialize",
        "ping",
        "logging/setLevel",
    ] {
        let sent = Sent::modern_with(removed, json!({}), with_tasks());
        assert_eq!(sent.kind_on(&everything()), unknown, "{removed}");
    }
}

#[test]
fn a_surface_of_today_is_the_default() {
    let capabilities = Capabilities {
        tools: Some(ListChanged(false)),
        resources: Some(ResourceCapability::default()),
        ..Capabilities::default()
    };
    let declared = Surface::of(&capabilities, &Extensions::none());
    assert_eq!(declared.methods, Surface::default().methods);
}

#[test]
fn tasks_need_the_extension_and_a_name_that_agrees() {
    let mismatch = Is::Refused(400, -32020, true);
    for (what, sent, expected) in [
        ("agrees", get_task("t-1"), Is::Modern),
        ("encoded", get_task("=?base64?dC0x?="), Is::Modern),
        ("differs", get_task("t-2"), mismatch),
        (
            "missing",
            get_task("t-1").without("mcp-name"),
            Is::Refused(400, -32020, true),
        ),
    ] {
        assert_eq!(sent.kind_on(&everything()), expected, "{what}");
    }
    let undeclared = Sent::modern("tasks/get", json!({"taskId": "t-1"})).with("mcp-name", "t-1");
    let Decision::Refuse(refusal) = undeclared.decide_on(&everything()) else {
        panic!("tasks without the extension")
    };
    assert_eq!(refusal.status, 400);
    assert_eq!(refusal.id, Some(RequestId::Integer(7)));
    let required = json!({"requiredCapabilities": {"extensions": {TASKS: {}}}});
    assert_eq!(refusal.error.code.number(), -32021);
    assert_eq!(refusal.error.data, Some(required));
}

#[test]
fn a_call_brings_the_headers_that_mirror_its_arguments_and_no_others() {
    let mirrored = |sent: Sent| match sent.decide_on(&everything()) {
        Decision::Modern(request) => request.param_headers,
        other => panic!("{other:?}"),
    };
    let call = call("get_recent_events")
        .with("mcp-param-region", "eu")
        .and("mcp-param-region", "us")
        .with("authorization", "secret");
    let headers = mirrored(call);
    assert_eq!(headers.keys_len(), 1);
    assert_eq!(headers.get_all("mcp-param-region").iter().count(), 2);
    let list = Sent::modern("tools/list", json!({})).with("mcp-param-region", "eu");
    assert!(mirrored(list).is_empty());
}
