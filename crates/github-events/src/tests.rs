//! What holds for every family.

mod bounds;
mod issues;
mod places;

use super::*;
use model::{
    DeliveryId, EventType, IdSource, ManualClock, ResourceRef, ResourceType, Timestamp,
    TraceContext,
};
use serde_json::json;

const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

fn envelope(event: &str) -> Envelope {
    Envelope {
        event: event.to_owned(),
        delivery: DeliveryId::new(DELIVERY).unwrap(),
        hook_id: Some("42".to_owned()),
        received_at: Timestamp::parse("2026-11-20T10:00:01.123Z").unwrap(),
    }
}

fn one(event: &str, payload: &Value) -> ResourceEvent {
    let mut events = normalise(&envelope(event), payload.clone()).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn skipped(event: &str, payload: &Value) -> String {
    normalise(&envelope(event), payload.clone())
        .unwrap_err()
        .to_string()
}

fn trace() -> TraceContext {
    let ids = ManualClock::default();
    let _ = ids.random_u64();
    TraceContext::start(&ids)
}

fn in_repository(key: &str, action: &str) -> Value {
    json!({
        "action": action,
        key: {
            "id": 123, "node_id": "N_1", "number": 7, "title": "A title",
            "html_url": "https://github.com/Octo/Repo/issues/7",
            "created_at": "2026-11-19T08:00:00Z",
            "updated_at": "2026-11-20T10:00:00Z",
            "closed_at": null,
            "labels": [{"name": "bug"}, {"name": "p1"}, {"nameless": true}],
        },
        "changes": {"title": {"from": "Before"}},
        "repository": {"name": "Repo", "owner": {"login": "Octo"}},
        "organization": {"login": "Octo"},
        "installation": {"id": 9},
        "sender": {"login": "octocat"},
    })
}

fn item(content: &str, action: &str) -> Value {
    json!({
        "action": action,
        "projects_v2_item": {
            "id": 5, "node_id": "PVTI_1", "project_node_id": "PVT_1",
            "content_node_id": "C_1", "content_type": content,
            "created_at": "2026-11-19T08:00:00Z", "updated_at": "2026-11-20T10:00:00Z",
            "archived_at": null,
        },
        "organization": {"login": "Octo"},
        "sender": {"login": "octocat"},
    })
}

#[test]
fn an_issue_event_reads_as_designed() {
    let payload = in_repository("issue", "labeled");
    let event = serde_json::to_value(one("issues", &payload)).unwrap();
    let expected = json!({
        "id": DELIVERY, "type": "updated", "action": "labeled",
        "resourceType": "issue", "resourceId": "N_1",
        "resource": {
            "owner": "Octo", "repo": "Repo", "number": 7, "nodeId": "N_1", "databaseId": 123,
            "title": "A title", "url": "https://github.com/Octo/Repo/issues/7",
        },
        "timestamp": "2026-11-20T10:00:00.000Z", "receivedAt": "2026-11-20T10:00:01.123Z",
        "source": "webhook", "actor": "octocat", "data": payload["issue"],
        "metadata": {
            "delivery": DELIVERY, "event": "issues", "hookId": "42", "installationId": 9,
            "projectId": null, "isPullRequest": false,
            "changes": {"title": {"from": "Before"}}, "tags": ["bug", "p1"],
        },
    });
    assert_eq!(event, expected);
}

#[test]
fn the_time_is_the_objects_or_ours() {
    let time = |payload: &Value| one("issues", payload).timestamp.to_string();
    let mut payload = in_repository("issue", "closed");
    payload["issue"]["closed_at"] = json!("2026-11-20T12:00:05+02:00");
    assert_eq!(time(&payload), "2026-11-20T10:00:05.000Z");
    payload["action"] = json!("edited");
    assert_eq!(time(&payload), "2026-11-20T10:00:00.000Z");
    payload["issue"]["updated_at"] = json!("yesterday");
    assert_eq!(time(&payload), "2026-11-20T10:00:01.123Z");
}

#[test]
fn what_names_no_resource_is_skipped_with_a_reason() {
    assert_eq!(skipped("ping", &json!({"zen": "x"})), "ping");
    assert_eq!(
        skipped("push", &json!({})),
        "push payload has no usable /ref"
    );
    assert_eq!(
        skipped("news_of_tomorrow", &json!({"action": "made"})),
        "the payload of event news_of_tomorrow names no resource"
    );
    let reason = skipped("projects_v2_item", &item("Poem", "created"));
    assert_eq!(
        reason,
        "project items with content of type Poem are not mapped"
    );
}

#[test]
fn a_payload_without_what_we_need_is_skipped_naming_it() {
    for (event, key) in [
        ("issues", "issue"),
        ("pull_request", "pull_request"),
        ("milestone", "milestone"),
        ("projects_v2", "projects_v2"),
    ] {
        let mut payload = in_repository(key, "edited");
        payload[key]["node_id"] = json!("with a space");
        assert!(skipped(event, &payload).ends_with(&format!("/{key}/node_id")));
        payload[key] = json!([]);
        assert!(skipped(event, &payload).ends_with(&format!("/{key}/node_id")));
    }
    let mut payload = item("Issue", "edited");
    payload["projects_v2_item"]["content_node_id"] = Value::Null;
    assert!(skipped("projects_v2_item", &payload).ends_with("/content_node_id"));
}

#[test]
fn an_event_of_another_name_never_becomes_the_state_of_an_issue() {
    for name in ["issue", "draft_issue", "branch"] {
        let event = one(name, &in_repository("issue", "edited"));
        assert_eq!(event.resource_type.as_str(), "other", "{name}");
    }
    let classic = one("project", &in_repository("project", "created"));
    assert_eq!(classic.resource_type, ResourceType::CLASSIC_PROJECT);
}

#[test]
fn an_action_of_a_stranger_is_kept_and_means_nothing() {
    for action in ["deleted", "closed", "x; DROP TABLE", "\u{1F680}"] {
        let mut payload = in_repository("unused", action);
        payload["client_payload"] = json!({"deep": [[[{"a": 1}]]]});
        let event = one("repository_dispatch", &payload);
        assert_eq!(
            (event.action.as_str(), event.event_type),
            (action, EventType::UPDATED)
        );
        assert_eq!(event.data["client_payload"], payload["client_payload"]);
    }
}
