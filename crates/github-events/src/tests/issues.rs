//! Issues, pull requests, milestones and projects, and what belongs to them.

use super::*;

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
fn what_concerns_an_issue_has_its_number_its_title_and_its_labels() {
    let mut payload = in_repository("issue", "created");
    payload["comment"] =
        json!({"id": 1, "node_id": "IC_1", "html_url": "https://github.com/Octo/Repo/issues/7#c"});
    let comment = one("issue_comment", &payload);
    assert_eq!(comment.resource_id.as_str(), "IC_1");
    assert_eq!(comment.resource.number, Some(7));
    assert_eq!(comment.resource.title.as_deref(), Some("A title"));
    assert_eq!(comment.metadata.tags, ["bug", "p1"]);
    assert_eq!(comment.data, payload["comment"]);
    assert_eq!(comment.metadata.related, Value::Null, "not the whole issue");
    assert!(!comment.metadata.is_pull_request);
    payload["issue"]["pull_request"] = json!({"url": "https://api.github.com/…"});
    assert!(one("issue_comment", &payload).metadata.is_pull_request);
}

#[test]
fn two_linked_issues_are_the_event_of_the_one_in_the_deliverys_repository() {
    let issue = |id: &str, repo: &str| json!({"node_id": id, "number": 7, "repository_url": format!("https://api.github.com/repos/Octo/{repo}")});
    let payload = |action: &str, first: (&str, &str), second: (&str, &str)| {
        let mut payload = in_repository("unused", action);
        payload["repository"]["url"] = "https://api.github.com/repos/Octo/Repo".into();
        payload[first.0] = issue("I_first", first.1);
        payload[second.0] = issue("I_second", second.1);
        payload
    };
    for (event, action, own, other) in [
        ("sub_issues", "sub_issue_added", "parent_issue", "sub_issue"),
        (
            "sub_issues",
            "parent_issue_removed",
            "sub_issue",
            "parent_issue",
        ),
        (
            "issue_dependencies",
            "blocked_by_added",
            "blocked_issue",
            "blocking_issue",
        ),
        (
            "issue_dependencies",
            "blocking_removed",
            "blocking_issue",
            "blocked_issue",
        ),
        (
            "issue_relates_to",
            "relates_to_added",
            "issue",
            "related_issue",
        ),
    ] {
        let payload = payload(action, (own, "Repo"), (other, "Elsewhere"));
        let event = one(event, &payload);
        assert_eq!(
            (event.resource_id.as_str(), event.action.as_str()),
            ("I_first", action)
        );
        assert_eq!(event.event_type, EventType::UPDATED);
        assert_eq!(event.data, payload[own]);
        assert_eq!(event.metadata.related[other], payload[other]);
    }
    // Only the other one, which is not of this repository.
    let mut elsewhere = payload(
        "sub_issue_added",
        ("sub_issue", "Elsewhere"),
        ("unused", "Repo"),
    );
    assert!(skipped("sub_issues", &elsewhere).ends_with("/parent_issue/node_id"));
    elsewhere["sub_issue"] = issue("I_first", "Repo");
    assert_eq!(
        one("sub_issues", &elsewhere).resource_id.as_str(),
        "I_first"
    );
}
