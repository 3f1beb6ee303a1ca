use super::*;
use limits::{MAX_BARE_EVENT_BYTES, MAX_EVENT_BYTES};
use model::{DeliveryId, EventType, IdSource, ManualClock, ResourceType, Timestamp, TraceContext};
use proptest::prelude::*;
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
fn every_documented_action_maps() {
    let own = [
        ("opened", EventType::CREATED),
        ("created", EventType::CREATED),
        ("deleted", EventType::DELETED),
        ("closed", EventType::CLOSED),
        ("reopened", EventType::REOPENED),
    ];
    // GitHub, "Webhook events and payloads": all other actions of the four kinds.
    let updates = "assigned auto_merge_disabled auto_merge_enabled converted_to_draft demilestoned \
        dequeued edited enqueued labeled locked milestoned pinned ready_for_review \
        review_request_removed review_requested synchronize transferred typed unassigned unlabeled \
        unlocked unpinned untyped and_one_that_github_adds_tomorrow";
    let updates = updates
        .split(' ')
        .map(|action| (action, EventType::UPDATED));
    for (action, what) in own.into_iter().chain(updates) {
        for (event, key, kind) in [
            ("issues", "issue", ResourceType::ISSUE),
            ("pull_request", "pull_request", ResourceType::PULL_REQUEST),
            ("milestone", "milestone", ResourceType::MILESTONE),
            ("projects_v2", "projects_v2", ResourceType::PROJECT),
        ] {
            // GitHub sends `opened` for a closed milestone that is reopened; a new one is `created`.
            let reopened = kind == ResourceType::MILESTONE && action == "opened";
            let what = if reopened {
                EventType::REOPENED
            } else {
                what.clone()
            };
            let event = one(event, &in_repository(key, action));
            assert_eq!(
                (event.event_type, event.resource_type),
                (what, kind),
                "{action}"
            );
            assert_eq!(event.action, action);
        }
    }
    let merged = one("pull_request", &in_repository("pull_request", "merged"));
    assert_eq!(merged.event_type, EventType::CLOSED);
}

#[test]
fn an_item_is_an_update_of_what_it_holds() {
    let actions = [
        "archived",
        "converted",
        "created",
        "deleted",
        "edited",
        "reordered",
        "restored",
        "new",
    ];
    for action in actions {
        for (content, kind) in [
            ("Issue", ResourceType::ISSUE),
            ("PullRequest", ResourceType::PULL_REQUEST),
        ] {
            let event = one("projects_v2_item", &item(content, action));
            assert_eq!(
                (event.resource_type, event.event_type),
                (kind, EventType::UPDATED)
            );
            assert_eq!(event.resource_id.as_str(), "C_1");
            assert_eq!(event.resource.database_id, None);
            assert_eq!(event.resource.owner.as_deref(), Some("Octo"));
            assert_eq!(event.metadata.project_id.as_deref(), Some("PVT_1"));
            assert_eq!(event.metadata.is_pull_request, content == "PullRequest");
        }
    }
}

#[test]
fn a_draft_comes_and_goes_with_its_item() {
    for (action, what) in [
        ("created", EventType::CREATED),
        ("deleted", EventType::DELETED),
        ("archived", EventType::UPDATED),
        ("restored", EventType::UPDATED),
        ("edited", EventType::UPDATED),
    ] {
        let event = one("projects_v2_item", &item("DraftIssue", action));
        assert_eq!(event.event_type, what, "{action}");
        assert_eq!(event.resource_type, ResourceType::DRAFT_ISSUE);
    }
}

#[test]
fn a_pull_request_among_the_issues_is_a_pull_request() {
    let mut payload = in_repository("issue", "labeled");
    payload["issue"]["pull_request"] = json!({"url": "https://api.github.com/…"});
    let event = one("issues", &payload);
    assert_eq!(event.resource_type, ResourceType::PULL_REQUEST);
    assert!(event.metadata.is_pull_request);
    assert_eq!(
        (event.resource.number, event.resource.database_id),
        (Some(7), None)
    );
    payload["issue"]["pull_request"] = Value::Null;
    assert_eq!(one("issues", &payload).resource_type, ResourceType::ISSUE);
}

#[test]
fn a_project_belongs_to_its_organization_else_to_its_owner() {
    let mut payload = in_repository("projects_v2", "closed");
    payload["projects_v2"]["owner"] = json!({"login": "monalisa"});
    let event = one("projects_v2", &payload);
    assert_eq!(event.resource.owner.as_deref(), Some("Octo"));
    assert_eq!(event.resource.repo, None);
    payload.as_object_mut().unwrap().remove("organization");
    let event = one("projects_v2", &payload);
    assert_eq!(event.resource.owner.as_deref(), Some("monalisa"));
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
fn what_we_do_not_map_is_skipped_with_a_reason() {
    assert_eq!(skipped("ping", &json!({"zen": "x"})), "ping");
    assert_eq!(skipped("push", &json!({})), "event push is not mapped");
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
        assert!(skipped(event, &payload).ends_with(&format!("/{key}")));
        payload["action"] = json!(1);
        assert!(skipped(event, &payload).ends_with("/action"));
    }
    let mut payload = item("Issue", "edited");
    payload["projects_v2_item"]["content_node_id"] = Value::Null;
    assert!(skipped("projects_v2_item", &payload).ends_with("/content_node_id"));
}

#[test]
fn an_event_that_is_too_large_goes_without_its_object() {
    let mut payload = in_repository("issue", "edited");
    payload["issue"]["body"] = "x".repeat(MAX_EVENT_BYTES).into();
    let stored = encode(one("issues", &payload), trace(), usize::MAX).unwrap();
    let json: Value = serde_json::from_slice(&stored.json).unwrap();
    assert!(stored.json.len() < 4096);
    assert_eq!(
        (&json["data"], &json["metadata"]["dataOmitted"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(json["metadata"]["changes"]["title"]["from"], "Before");
    assert_eq!(stored.facts.tags, ["bug", "p1"]);
}

#[test]
fn every_event_fits_whatever_is_too_large_about_it() {
    let long = "\u{1}".repeat(MAX_EVENT_BYTES);
    let mut payload = in_repository("issue", "edited");
    payload["changes"] = json!({"body": {"from": long}});
    payload["sender"]["login"] = json!(long);
    payload["repository"]["name"] = json!(long);
    payload["issue"]["title"] = json!(long);
    let label = json!({"name": "\u{1}".repeat(256)});
    payload["issue"]["labels"] = Value::Array(vec![label; 5000]);
    let stored = encode(one("issues", &payload), trace(), usize::MAX).unwrap();
    assert!(
        stored.json.len() <= MAX_EVENT_BYTES,
        "{}",
        stored.json.len()
    );
}

/// JSON that is made of the words that the normaliser reads, in any arrangement.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "action",
        "issue",
        "pull_request",
        "milestone",
        "projects_v2",
        "projects_v2_item",
        "node_id",
        "content_node_id",
        "content_type",
        "project_node_id",
        "number",
        "id",
        "title",
        "labels",
        "name",
        "login",
        "owner",
        "repository",
        "organization",
        "sender",
        "installation",
        "changes",
        "updated_at",
        "created_at",
        "closed_at",
        "html_url",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "opened",
            "Issue",
            "DraftIssue",
            "N_1",
            "2026-11-20T10:00:00Z"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner, 0..10)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(payload in any_json(), event in prop::sample::select(vec![
        "issues", "pull_request", "milestone", "projects_v2", "projects_v2_item", "ping", "push",
    ])) {
        if let Ok(events) = normalise(&envelope(event), payload.clone()) {
            for event in events {
                prop_assert_eq!(&event.resource_id, &event.resource.node_id);
                for max_bytes in [usize::MAX, MAX_BARE_EVENT_BYTES] {
                    let stored = encode(event.clone(), trace(), max_bytes).unwrap();
                    prop_assert!(stored.json.len() <= max_bytes.min(MAX_EVENT_BYTES));
                }
            }
        }
    }
}
