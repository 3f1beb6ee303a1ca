//! `sub_issues`, `issue_dependencies` and `issue_relates_to`: two issues that may be in two repositories.
//!
//! GitHub sends each repository a delivery of its own. The resource is the issue that is in the delivery's
//! repository, and the event updates it. The other issue and its repository are `metadata.related`.

use model::{EventType, ResourceType};

use super::issues::issue;
use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

pub(super) const SUB_ISSUES: WebhookFamily = WebhookFamily {
    event: "sub_issues",
    kinds: &[ResourceType::ISSUE],
    resource: "the issue in the delivery's repository: the parent of `sub_issue_*`, the sub-issue of `parent_issue_*`",
    number: "its own",
    rule: Rule::By(|payload| {
        let own = match payload.action().starts_with("parent_issue") {
            true => ["sub_issue", "parent_issue"],
            false => ["parent_issue", "sub_issue"],
        };
        linked(payload, own)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const ISSUE_DEPENDENCIES: WebhookFamily = WebhookFamily {
    event: "issue_dependencies",
    kinds: &[ResourceType::ISSUE],
    resource: "the issue in the delivery's repository: the blocked one of `blocked_by_*`, the blocking one of `blocking_*`",
    number: "its own",
    rule: Rule::By(|payload| {
        let own = match payload.action().starts_with("blocking") {
            true => ["blocking_issue", "blocked_issue"],
            false => ["blocked_issue", "blocking_issue"],
        };
        linked(payload, own)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const ISSUE_RELATES_TO: WebhookFamily = WebhookFamily {
    event: "issue_relates_to",
    kinds: &[ResourceType::ISSUE],
    resource: "the issue to which the relation was added",
    number: "its own",
    rule: Rule::By(|payload| linked(payload, ["issue", "related_issue"])),
    ..WebhookFamily::PLAIN
};

/// The event of the first of the issues. A payload that has only the other one is about that, as long as it is in
/// the delivery's repository.
fn linked(payload: Payload<'_>, [own, other]: [&'static str; 2]) -> Result<Subject, Skip> {
    let has_own = fields::object(payload.json, own).is_some();
    let key = match !has_own && is_at_home(payload, other) {
        true => other,
        false => own,
    };
    let subject = issue(payload, key)?;
    Ok(Subject {
        event_type: EventType::UPDATED,
        ..subject
    })
}

fn is_at_home(payload: Payload<'_>, key: &str) -> bool {
    let repository = fields::text(payload.json, "/repository/url");
    let of_issue = fields::text(payload.json, &format!("/{key}/repository_url"));
    repository.is_some() && repository == of_issue
}
