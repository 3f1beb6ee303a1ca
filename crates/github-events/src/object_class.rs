//! Which deliveries tell of one object, and what tells their order.
//!
//! An object that several webhooks carry has one sequence of states: `sub_issues` has the issue that `issues` has.
//! Two objects of one resource have two, because their times do not compare: a project's item and the issue that it
//! is about.

use model::{ResourceEvent, Timestamp};

use crate::fields;

/// The webhooks whose object always has `updated_at`, which its changes set, and the object. A test compares the list
/// with GitHub's descriptions. An installation is not among them: its time is a number or a text, and a suspension or
/// the end does not change it.
const TIMED: [(&str, &str); 27] = [
    ("branch_protection_rule", "branch_protection_rule"),
    ("check_suite", "check_suite"),
    ("commit_comment", "commit_comment"),
    ("dependabot_alert", "dependabot_alert"),
    ("deployment", "deployment"),
    ("deployment_status", "deployment_status"),
    ("discussion", "discussion"),
    ("discussion_comment", "discussion_comment"),
    ("fork", "fork"),
    ("issue_comment", "issue_comment"),
    ("issue_dependencies", "issues"),
    ("issue_relates_to", "issues"),
    ("issues", "issues"),
    ("meta", "meta"),
    ("milestone", "milestone"),
    ("project", "project"),
    ("project_card", "project_card"),
    ("project_column", "project_column"),
    ("projects_v2", "projects_v2"),
    ("projects_v2_item", "projects_v2_item"),
    ("projects_v2_status_update", "projects_v2_status_update"),
    ("pull_request", "pull_request"),
    ("pull_request_review_comment", "pull_request_review_comment"),
    ("security_advisory", "security_advisory"),
    ("status", "status"),
    ("sub_issues", "issues"),
    ("workflow_run", "workflow_run"),
];

/// What an event tells of, among the events about its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventObject<'e> {
    /// The class of the object: events of one resource and class are states of one object.
    pub class: &'e str,
    /// The id of the object.
    pub id: &'e str,
    /// Whether every state of it says when it became so.
    pub is_timed: bool,
}

/// The object of an event of the webhook with this name.
#[must_use]
pub fn object_of<'e>(webhook: &str, event: &'e ResourceEvent) -> EventObject<'e> {
    let timed = TIMED.iter().find(|(name, _)| *name == webhook);
    let resource = event.resource_id.as_str();
    EventObject {
        class: timed.map_or(event.resource_type.as_str(), |(_, class)| class),
        // An issue has an item in each of its projects.
        id: match webhook {
            "projects_v2_item" => fields::text(&event.data, "/node_id").unwrap_or(resource),
            _ => resource,
        },
        is_timed: timed.is_some(),
    }
}

/// When the state in an event became so, as far as GitHub's object says.
#[must_use]
pub fn updated_at(event: &ResourceEvent) -> Option<Timestamp> {
    fields::time(&event.data, "/updated_at")
}
