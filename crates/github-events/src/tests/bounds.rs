//! Whatever a payload has, an event is bounded.

use proptest::prelude::*;

use super::*;
use crate::limits::{
    MAX_BARE_EVENT_BYTES, MAX_EVENT_BYTES, MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES,
};

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
fn a_payload_with_much_beside_the_object_keeps_the_object() {
    let mut payload = in_repository("issue", "edited");
    payload["filler"] = "x".repeat(MAX_EVENT_BYTES).into();
    let stored = encode(one("issues", &payload), trace(), usize::MAX).unwrap();
    let json: Value = serde_json::from_slice(&stored.json).unwrap();
    assert_eq!(json["data"], payload["issue"]);
    assert_eq!(json["metadata"]["related"], Value::Null);
    assert_eq!(json["metadata"]["dataOmitted"], Value::Null);
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

#[test]
fn the_bound_of_a_bare_event_holds_for_the_largest_of_all_its_parts() {
    // A quote is two bytes in JSON. No id has one.
    let (text, id) = ("\"".repeat(MAX_TEXT_BYTES), "R".repeat(256));
    let label = json!({"name": "\"".repeat(MAX_TAG_BYTES)});
    let number = u64::MAX;
    let payload = json!({
        "action": text,
        "repository": {
            "id": number, "node_id": id, "name": text, "owner": {"login": text, "id": number},
            "labels": vec![label; MAX_TAGS],
            "title": text, "html_url": text, "number": number, "updated_at": "2026-11-20T10:00:00Z",
        },
        "changes": {"repository": {"name": {"from": text}}, "owner": {"from": {"user": {"login": text}}}},
        "installation": {"id": number},
        "sender": {"login": text},
    });
    let envelope = Envelope {
        delivery: DeliveryId::new(&"d".repeat(DeliveryId::MAX_BYTES)).unwrap(),
        hook_id: Some("\"".repeat(100)),
        ..envelope("repository")
    };
    let mut event = normalise(&envelope, payload).unwrap().remove(0);
    assert_eq!(event.metadata.tags.len(), MAX_TAGS);
    assert!(event.resource.former_owner.is_some() && event.resource.former_repo.is_some());
    // What no one payload has together with the rest, and what ingest adds.
    event.metadata.project_id = Some(text);
    event.metadata.event = Some("x".repeat(100));
    event.metadata.repeated_body = true;
    event.metadata.body_digest = Some("0".repeat(32));
    let stored = encode(event, trace(), 1).unwrap();
    let bytes = stored.json.len();
    assert!(bytes <= MAX_BARE_EVENT_BYTES, "{bytes}");
    assert!(
        bytes > MAX_BARE_EVENT_BYTES * 8 / 10,
        "{bytes}: as large as it gets"
    );
}

#[test]
fn a_name_with_control_characters_counts_as_absent() {
    let mut payload = in_repository("issue", "edited");
    payload["sender"]["login"] = json!("a\u{1}b");
    payload["issue"]["html_url"] =
        json!(format!("https://github.com/{}", "x".repeat(MAX_TEXT_BYTES)));
    let event = one("issues", &payload);
    assert_eq!((event.actor, event.resource.url), (None, None));
    payload["sender"]["login"] = json!("tab\tstays");
    assert_eq!(one("issues", &payload).actor.as_deref(), Some("tab\tstays"));
}

#[test]
fn a_title_that_is_long_or_odd_is_kept_as_far_as_it_can_be_shown() {
    let longest = "é".repeat(MAX_TEXT_BYTES / 2);
    let cut = format!("{}…", "é".repeat((MAX_TEXT_BYTES - 3) / 2));
    for (given, kept) in [
        ("Fix it", Some("Fix it")),
        ("tab\tand\nline stay", Some("tab\tand\nline stay")),
        (&longest, Some(longest.as_str())),
        ("a\u{1}b\u{0}", Some("a b")),
        ("\u{1b}[31mred", Some("[31mred")),
        (&format!("{longest}é"), Some(&cut)),
        (&"é".repeat(100_000), Some(&cut)),
        ("\u{1}\u{2}", None),
        ("", None),
    ] {
        let mut payload = in_repository("issue", "edited");
        payload["issue"]["title"] = json!(given);
        let event = one("issues", &payload);
        assert_eq!(event.resource.title.as_deref(), kept, "{given:.40}");
        // The title of what an event belongs to, and those of other fields, are the same kind of text.
        let mut comment = in_repository("comment", "created");
        comment["issue"] = payload["issue"].clone();
        let event = one("issue_comment", &comment);
        assert_eq!(event.resource.title.as_deref(), kept, "{given:.40}");
        let mut label = in_repository("label", "created");
        label["label"]["title"] = json!(null);
        label["label"]["name"] = json!(given);
        let event = one("label", &label);
        assert_eq!(event.resource.title.as_deref(), kept, "{given:.40}");
    }
}

#[test]
fn a_push_of_thousands_of_commits_still_says_what_was_pushed() {
    let commit = json!({"id": "c".repeat(40), "message": "m".repeat(1000)});
    let mut payload = json!({
        "ref": "refs/heads/main", "before": "b".repeat(40), "after": "a".repeat(40),
        "created": false, "deleted": false, "commits": vec![commit; 5000],
    });
    payload["repository"] = json!({
        "id": 1, "node_id": "R_1", "name": "Repo", "owner": {"login": "Octo"}, "pushed_at": 1_795_168_800,
    });
    let event = one("push", &payload);
    assert_eq!(event.resource_id.as_str(), "R_1:refs/heads/main");
    assert_eq!(event.timestamp.to_string(), "2026-11-20T10:00:00.000Z");
    let stored = encode(event, trace(), usize::MAX).unwrap();
    let json: Value = serde_json::from_slice(&stored.json).unwrap();
    assert_eq!(json["data"], Value::Null);
    let sha = json!({"from": "b".repeat(40), "to": "a".repeat(40)});
    assert_eq!(json["metadata"]["changes"], json!({"sha": sha}));
    assert_eq!(json["resource"]["title"], "main");
}

/// JSON that is made of the words that the normaliser reads, in any arrangement.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "action",
        "comment",
        "alert",
        "ref",
        "ref_type",
        "sha",
        "from",
        "login",
        "pull_requests",
        "forkee",
        "member",
        "team",
        "node_id",
        "repository",
        "sub_issue",
        "parent_issue",
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
            "branch",
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

fn any_event() -> impl Strategy<Value = &'static str> {
    let known = families().map(|family| family.event);
    let names: Vec<_> = known.chain(["ping", "issue", "news_of_tomorrow"]).collect();
    prop::sample::select(names)
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(payload in any_json(), event in any_event()) {
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
