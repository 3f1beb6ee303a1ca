//! The name of an event is not signed: whoever has seen a delivery can send its body under another one.

use std::collections::BTreeSet;

use github_events::normalise;
use model::EventType;

use crate::{events::envelope, packages};

/// Events whose objects look alike and that are about settings, and those that name a run which has begun.
const ALIKE: [[&str; 2]; 4] = [
    ["deployment", "workflow_run"],
    ["deployment_status", "check_run"],
    ["custom_property", "organization_custom_property"],
    [
        "custom_property_values",
        "organization_custom_property_values",
    ],
];

/// No published payload becomes, under another name, the begin or the end of a resource that it is not about.
#[test]
fn a_payload_under_another_name_begins_and_ends_nothing_else() {
    let mut wrong = BTreeSet::new();
    for (name, payload) in packages::examples() {
        let own = normalise(&envelope(&name), payload.clone());
        let own = own.ok().and_then(|mut events| events.pop());
        for family in github_events::families().filter(|family| family.event != name) {
            let Ok(mut events) = normalise(&envelope(family.event), payload.clone()) else {
                continue;
            };
            let event = events.pop().unwrap();
            let is_same = own
                .as_ref()
                .is_some_and(|own| own.resource_id == event.resource_id);
            let is_alike = ALIKE
                .iter()
                .any(|pair| pair.contains(&name.as_str()) && pair.contains(&family.event));
            if event.event_type != EventType::UPDATED && !is_same && !is_alike {
                wrong.insert(format!("{name} as {}: {}", family.event, event.event_type));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_deleted_comment_is_no_deleted_repository_issue_or_member() {
    let examples = packages::examples();
    let mut deleted = examples
        .iter()
        .filter(|(name, payload)| name == "issue_comment" && payload["action"] == "deleted");
    let (_, payload) = deleted.next().expect("an example");
    for event in [
        "repository",
        "public",
        "issues",
        "member",
        "team",
        "user",
        "deploy_key",
        "release",
        "star",
        "fork",
        "pull_request",
        "commit_comment",
        "organization",
        "installation",
    ] {
        let refused = normalise(&envelope(event), payload.clone()).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("of another event") || refused.contains("no usable"),
            "{event}: {refused}"
        );
    }
}

/// What GitHub adds to the payload of a push is no reason to lose it, and a branch that was made is none.
#[test]
fn a_push_is_one_with_new_members_and_a_new_branch_is_none() {
    let examples = packages::examples();
    let of = |event: &str| {
        let mut of_event = examples.iter().filter(|(name, _)| name == event);
        of_event.next().expect("an example").1.clone()
    };
    let mut push = of("push");
    for member in ["issue", "pull_request", "release", "deployment"] {
        push[member] = serde_json::json!({ "id": 1 });
    }
    normalise(&envelope("push"), push).unwrap();
    for event in ["create", "delete", "workflow_dispatch"] {
        let refused = normalise(&envelope("push"), of(event)).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("of another event") || refused.contains("no usable"),
            "{event}: {refused}"
        );
    }
}
