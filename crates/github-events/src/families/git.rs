//! `push`, `create`, `delete`: branches and tags; `status` and `commit_comment`: commits.
//!
//! A branch or tag has no node id in a payload, and all three webhooks are about the same thing: its id is that of
//! its repository and its full name (see `identity`).

use model::{EventType, ResourceRef, ResourceType};
use serde_json::{Value, json};

use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

const KINDS: &[ResourceType] = &[ResourceType::BRANCH, ResourceType::TAG];

pub(super) const PUSH: WebhookFamily = WebhookFamily {
    event: "push",
    kinds: KINDS,
    resource: "the branch or tag; `metadata.changes.sha` has the commits before and after",
    rule: Rule::By(push),
    ..WebhookFamily::PLAIN
};

pub(super) const CREATE: WebhookFamily = WebhookFamily {
    event: "create",
    kinds: KINDS,
    resource: "the branch or tag",
    rule: Rule::By(|payload| reference_of(payload, EventType::CREATED)),
    ..WebhookFamily::PLAIN
};

pub(super) const DELETE: WebhookFamily = WebhookFamily {
    event: "delete",
    kinds: KINDS,
    resource: "the branch or tag",
    rule: Rule::By(|payload| reference_of(payload, EventType::DELETED)),
    ..WebhookFamily::PLAIN
};

pub(super) const STATUS: WebhookFamily = WebhookFamily {
    event: "status",
    kinds: &[ResourceType::COMMIT_STATUS],
    resource: "the statuses of the commit; the title is the context",
    rule: Rule::By(status),
    ..WebhookFamily::PLAIN
};

pub(super) const COMMIT_COMMENT: WebhookFamily = WebhookFamily {
    event: "commit_comment",
    kinds: &[ResourceType::COMMIT_COMMENT],
    resource: "the comment",
    rule: Rule::Object("comment", "/id"),
    ..WebhookFamily::PLAIN
};

fn push(payload: Payload<'_>) -> Result<Subject, Skip> {
    let json = payload.json;
    let name = json.get("ref").and_then(Value::as_str);
    let name = name.ok_or_else(|| payload.missing("/ref"))?;
    let is_set = |flag: &str| json.get(flag) == Some(&Value::Bool(true));
    let event_type = match (is_set("created"), is_set("deleted")) {
        (true, _) => EventType::CREATED,
        (_, true) => EventType::DELETED,
        _ => EventType::UPDATED,
    };
    let mut subject = reference(payload, name, event_type)?;
    subject.resource.url = fields::owned(json, "/compare");
    subject.happened_at = fields::time(json, "/repository/pushed_at");
    // They stay where the commits are too many for an event.
    if let Some((before, after)) = fields::text(json, "/before").zip(fields::text(json, "/after")) {
        subject.changes = json!({"sha": {"from": before, "to": after}});
    }
    Ok(subject)
}

/// `create` and `delete` have the short name and its type.
fn reference_of(payload: Payload<'_>, event_type: EventType) -> Result<Subject, Skip> {
    let name = payload.json.get("ref").and_then(Value::as_str);
    let name = name.ok_or_else(|| payload.missing("/ref"))?;
    let prefix = match fields::text(payload.json, "/ref_type") {
        Some("branch") => "refs/heads/",
        Some("tag") => "refs/tags/",
        _ => return Err(payload.missing("/ref_type")),
    };
    reference(payload, &format!("{prefix}{name}"), event_type)
}

fn reference(payload: Payload<'_>, name: &str, event_type: EventType) -> Result<Subject, Skip> {
    let kind = match name.starts_with("refs/tags/") {
        true => ResourceType::TAG,
        false => ResourceType::BRANCH,
    };
    let prefixes = ["refs/heads/", "refs/tags/"];
    let mut short = prefixes
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix));
    let title = short.next().unwrap_or(name);
    let id = payload.derived_id(name);
    let resource = ResourceRef {
        title: fields::title(&Value::from(title), ""),
        ..payload.resource(id.ok_or_else(|| payload.missing("/ref"))?)
    };
    Ok(Subject::new(kind, event_type, resource))
}

/// A commit has one status per context, and every delivery is about one of them.
fn status(payload: Payload<'_>) -> Result<Subject, Skip> {
    let json = payload.json;
    let sha = fields::text(json, "/sha").ok_or_else(|| payload.missing("/sha"))?;
    let kind = ResourceType::COMMIT_STATUS;
    let id = payload.derived_id(&format!("{kind}/{sha}"));
    let resource = ResourceRef {
        title: fields::title(json, "/context"),
        url: fields::owned(json, "/commit/html_url"),
        ..payload.resource(id.ok_or_else(|| payload.missing("/sha"))?)
    };
    Ok(Subject {
        happened_at: fields::time(json, "/updated_at"),
        ..Subject::new(kind, EventType::UPDATED, resource)
    })
}
