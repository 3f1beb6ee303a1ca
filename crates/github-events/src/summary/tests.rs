use proptest::prelude::*;
use serde_json::json;

use super::*;

fn summary(event: &Value) -> Value {
    let json = summarise_event(event.to_string().as_bytes()).unwrap();
    assert!(json.len() <= MAX_SUMMARY_BYTES, "{}: {json}", json.len());
    serde_json::from_str(&json).unwrap()
}

fn pull_request() -> Value {
    json!({
        "id": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "type": "closed", "action": "closed",
        "resourceType": "pull_request", "resourceId": "PR_1",
        "resource": {
            "owner": "octo", "repo": "site", "number": 7, "nodeId": "PR_1", "databaseId": 123, "title": "Fix it",
            "url": "https://github.com/octo/site/pull/7", "ownerId": 1, "repositoryId": 2,
        },
        "timestamp": "2026-11-20T10:00:00Z", "receivedAt": "2026-11-20T10:00:01.123Z", "source": "webhook",
        "actor": "octocat",
        "data": {
            "state": "closed", "merged": false, "draft": false, "body": "A long text", "user": {"login": "alice"},
            "author_association": "MEMBER", "head": {"ref": "topic", "repo": {"full_name": "octo/site"}},
            "base": {"ref": "main"}, "labels": [{"name": "bug"}],
        },
        "metadata": {
            "delivery": "72d3162e", "event": "pull_request", "hookId": "1", "isPullRequest": true, "changes": null,
            "related": {"label": {"name": "bug"}}, "tags": ["bug", "p1"],
        },
    })
}

#[test]
fn a_summary_says_what_happened_to_what_and_where_to_read_on() {
    assert_eq!(
        summary(&pull_request()),
        json!({
            "id": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "type": "closed", "action": "closed",
            "resourceType": "pull_request", "resourceId": "PR_1",
            "resource": {
                "owner": "octo", "repo": "site", "number": 7, "databaseId": 123, "title": "Fix it",
                "url": "https://github.com/octo/site/pull/7",
            },
            "timestamp": "2026-11-20T10:00:00Z", "receivedAt": "2026-11-20T10:00:01.123Z", "source": "webhook",
            "actor": "octocat",
            "details": {
                "state": "closed", "merged": false, "author": "alice", "authorAssociation": "MEMBER", "label": "bug",
                "head": "topic", "base": "main",
            },
            "metadata": {"event": "pull_request", "isPullRequest": true, "tags": ["bug", "p1"]},
        })
    );
}

#[test]
fn a_change_is_shown_short_and_one_without_room_is_named() {
    let mut event = pull_request();
    event["metadata"]["changes"] = json!({
        "body": {"from": "x".repeat(100_000)}, "title": {"from": "Before"}, "empty": null,
    });
    let changes = &summary(&event)["metadata"]["changes"];
    assert_eq!(changes["title"], json!({"from": "Before"}));
    let body = changes["body"]["from"].as_str().unwrap();
    assert!(body.starts_with("xxx") && body.ends_with('…') && body.len() < 130);
    assert_eq!(changes["empty"], "…");
    let long = json!({"from": {"a": "y".repeat(200), "b": "y".repeat(200), "c": "y".repeat(200), "d": "y".repeat(200)}});
    event["metadata"]["changes"] = json!({"parts": long, "title": {"from": "Before"}});
    let changes = &summary(&event)["metadata"]["changes"];
    assert_eq!(*changes, json!({"parts": "…", "title": {"from": "Before"}}));
}

#[test]
fn the_largest_event_has_its_ids_and_a_link_that_leads_somewhere() {
    let text = "\"".repeat(1024);
    let mut event = pull_request();
    let id = "i".repeat(256);
    event["id"] = id.as_str().into();
    event["resourceId"] = id.as_str().into();
    for key in [
        "type",
        "action",
        "resourceType",
        "timestamp",
        "receivedAt",
        "source",
        "actor",
    ] {
        event[key] = text.as_str().into();
    }
    for key in ["owner", "repo", "title", "url"] {
        event["resource"][key] = text.as_str().into();
    }
    event["metadata"]["tags"] = vec![text.as_str(); 100].into();
    event["metadata"]["changes"] = json!({ text.clone(): { "from": text } });
    let shown = summary(&event);
    assert_eq!(
        (&shown["id"], &shown["resourceId"]),
        (&event["id"], &event["id"])
    );
    assert_eq!(shown["resource"]["url"], Value::Null);
    event["resource"] = pull_request()["resource"].clone();
    assert_eq!(summary(&event)["resource"]["owner"], "octo");
}

#[test]
fn a_push_says_how_many_commits_and_the_last() {
    let mut event = pull_request();
    event["data"] = json!({
        "ref": "refs/heads/main", "commits": [{"id": "a"}, {"id": "b"}], "forced": true,
        "head_commit": {"message": "Fix it\n\nAt length."},
    });
    event["metadata"] = json!({"changes": {"sha": {"from": "a", "to": "b"}}});
    let shown = summary(&event);
    assert_eq!(
        shown["details"],
        json!({"commits": 2, "headCommit": "Fix it", "forced": true})
    );
    assert_eq!(shown["metadata"]["changes"]["sha"]["to"], "b");
}

#[test]
fn what_is_no_event_has_no_summary() {
    for json in ["", "{", "null", "[]", "3", "{} {}"] {
        assert_eq!(summarise_event(json.as_bytes()), None, "{json}");
    }
    assert!(summarise_event(b"{}").is_some());
}

/// JSON that is made of the words that a summary reads, in any arrangement.
fn any_part() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "id",
        "type",
        "action",
        "resource",
        "owner",
        "repo",
        "number",
        "title",
        "url",
        "metadata",
        "changes",
        "tags",
        "related",
        "label",
        "name",
        "login",
        "assignee",
        "data",
        "state",
        "user",
        "head",
        "ref",
        "commits",
        "merged",
        "head_commit",
        "message",
        "milestone",
        "actor",
        "resourceId",
        "timestamp",
        "from",
        "isPullRequest",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "[\\x00-\\x1f\"\\\\a]{0,300}".prop_map(Value::from),
        "[é→𝄞]{0,600}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 96, 10, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..10).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner.clone(), 0..12)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            prop::collection::hash_map("\\PC{0,80}", inner, 0..30)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Whether a value has no member that the other has not, and the same elements otherwise.
fn is_part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|whole| is_part_of(value, whole))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len()
                && part
                    .iter()
                    .zip(whole)
                    .all(|(part, whole)| is_part_of(part, whole))
        }
        // A number is read and written again.
        (Value::Number(part), Value::Number(whole)) => part.is_f64() == whole.is_f64(),
        (part, whole) => part == whole,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an event has, its summary is JSON within the bound, always the same, and made of nothing else.
    #[test]
    fn every_summary_is_within_its_bound(
        top in prop::collection::hash_map(prop::sample::select(vec![
            "id", "type", "action", "resourceType", "resourceId", "resource", "timestamp", "receivedAt", "source",
            "actor", "metadata", "data",
        ]), any_part(), 0..12),
    ) {
        let event: Value = top.into_iter().map(|(key, part)| (key.to_owned(), part)).collect();
        let json = event.to_string();
        let shown = summarise_event(json.as_bytes()).unwrap();
        prop_assert!(shown.len() <= MAX_SUMMARY_BYTES, "{}: {shown}", shown.len());
        let again = summarise_event(json.as_bytes());
        prop_assert_eq!(Some(&shown), again.as_ref());
        prop_assert!(serde_json::from_str::<Value>(&shown).is_ok());
    }

    #[test]
    fn a_text_is_cut_to_what_json_writes(text in "[\\x00-\\x1f\"\\\\aé𝄞]{0,100}", max_bytes in 5_usize..200) {
        let kept = text::shortened(&text, max_bytes, CUT);
        let bytes = serde_json::to_string(&kept).unwrap().len();
        prop_assert_eq!(bytes, text::json_bytes(&kept));
        prop_assert!(bytes <= max_bytes);
        prop_assert!(kept == text || text.starts_with(kept.strip_suffix(CUT).unwrap()));
    }

    #[test]
    fn a_trimmed_event_has_nothing_that_the_event_has_not(part in any_part()) {
        let json = json!({"data": part, "metadata": {"related": part}}).to_string();
        let trim = crate::EventTrim::WHOLE;
        prop_assert_eq!(crate::trim_event(json.as_bytes(), trim), Some(json.clone()));
        let trimmed = crate::trim_event(json.as_bytes(), crate::EventTrim::default()).unwrap();
        let (trimmed, event): (Value, Value) =
            (serde_json::from_str(&trimmed).unwrap(), serde_json::from_str(&json).unwrap());
        prop_assert!(is_part_of(&trimmed, &event), "{trimmed}");
    }
}
