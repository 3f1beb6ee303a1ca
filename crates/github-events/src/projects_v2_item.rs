//! `projects_v2_item`: a change of an item's place in a project.

use model::{EventType, ResourceEvent, ResourceRef, ResourceType};
use serde_json::Value;

use crate::{
    Envelope, Skip,
    event::{self, Subject},
    payload,
};

const EVENT: &str = "projects_v2_item";

pub(crate) fn normalise(envelope: &Envelope, payload: &Value) -> Result<ResourceEvent, Skip> {
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

/// The resource is the item's content, so that an issue has one identity regardless of the webhook that
/// reported it.
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

/// The event type of an action on a project item. An issue or pull request outlives its place in a project:
/// adding, archiving or removing the item updates the content, but neither creates, closes nor deletes it. A
/// consumer may drop a resource on `deleted`, so sending that type here would lose the resource. A draft
/// exists only in its item, so it is created and deleted with the item; archiving hides it and can be undone.
fn what(kind: &ResourceType, action: &str) -> EventType {
    match action {
        "created" if *kind == ResourceType::DRAFT_ISSUE => EventType::CREATED,
        "deleted" if *kind == ResourceType::DRAFT_ISSUE => EventType::DELETED,
        _ => EventType::UPDATED,
    }
}
