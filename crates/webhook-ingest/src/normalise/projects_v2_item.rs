//! `projects_v2_item`: something happened to an item's place in a project.

use model::{EventType, ResourceEvent, ResourceRef, ResourceType};
use serde_json::Value;

use super::{
    Envelope, Skip,
    event::{self, Subject},
    payload,
};

const EVENT: &str = "projects_v2_item";

pub(super) fn normalise(envelope: &Envelope, payload: &Value) -> Result<ResourceEvent, Skip> {
    let missing = |field| Skip::Incomplete {
        event: EVENT,
        field,
    };
    let action = event::action(EVENT, payload)?;
    let item = payload::object(payload, EVENT).ok_or(missing("/projects_v2_item"))?;
    let content =
        payload::text(item, "/content_type").ok_or(missing("/projects_v2_item/content_type"))?;
    let kind = kind(content)?;
    let node_id = payload::node_id(item, "/content_node_id")
        .ok_or(missing("/projects_v2_item/content_node_id"))?;
    let subject = Subject {
        what: what(&kind, action),
        kind,
        action,
        resource: ResourceRef {
            owner: payload::owned(payload, "/organization/login"),
            // The payload names the content by its node id only. `id` is the item's number, not the
            // content's, so it must not become the resource's.
            repo: None,
            number: None,
            node_id,
            database_id: None,
            title: None,
            url: None,
        },
        object: item,
        project_id: payload::owned(item, "/project_node_id"),
    };
    Ok(event::event(envelope, payload, subject))
}

/// The resource is what the item holds, so that an issue has one identity whichever webhook spoke
/// of it.
fn kind(content_type: &str) -> Result<ResourceType, Skip> {
    match content_type {
        "Issue" => Ok(ResourceType::ISSUE),
        "PullRequest" => Ok(ResourceType::PULL_REQUEST),
        "DraftIssue" => Ok(ResourceType::DRAFT_ISSUE),
        other => Err(Skip::UnknownContent {
            content_type: other.to_owned(),
        }),
    }
}

/// An issue or pull request outlives its place in a project: adding, archiving or removing the item
/// updates the content, it neither creates nor closes nor deletes it. Who reads `deleted` may drop
/// the resource, so saying that here would lose it. A draft lives in its item only, so it comes and
/// goes with the item; archiving hides it and can be undone.
fn what(kind: &ResourceType, action: &str) -> EventType {
    match action {
        "created" if *kind == ResourceType::DRAFT_ISSUE => EventType::CREATED,
        "deleted" if *kind == ResourceType::DRAFT_ISSUE => EventType::DELETED,
        _ => EventType::UPDATED,
    }
}
