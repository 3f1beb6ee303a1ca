//! `projects_v2_item`: a change of an item's place in a project.

use model::{EventType, ResourceRef, ResourceType};

use crate::{
    Skip,
    event::{self, Content, Subject},
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

const KEY: &str = "projects_v2_item";

pub(super) const PROJECT_ITEM: WebhookFamily = WebhookFamily {
    event: KEY,
    kinds: &[
        ResourceType::ISSUE,
        ResourceType::PULL_REQUEST,
        ResourceType::DRAFT_ISSUE,
    ],
    resource: "the item's content, with the repository, number, `databaseId`, title, page and labels that earlier events have shown for it; `metadata.projectId` is the project, `metadata.changes` the change of a field",
    rule: Rule::By(read),
    ..WebhookFamily::PLAIN
};

fn read(payload: Payload<'_>) -> Result<Subject, Skip> {
    let item = payload.object(KEY);
    let content = fields::text(item, "/content_type")
        .ok_or_else(|| payload.missing("/projects_v2_item/content_type"))?;
    let kind = kind(content)?;
    let id = fields::node_id(item, "/content_node_id")
        .ok_or_else(|| payload.missing("/projects_v2_item/content_node_id"))?;
    let event_type = event_type(&kind, payload.action());
    // The payload names the content by its node id only. `id` is the item's number, not the content's, so it
    // must not become the resource's; [`crate::place_item`] adds what is known of the content.
    let resource: ResourceRef = payload.resource(id);
    Ok(Subject {
        happened_at: event::happened_at(item, &event_type),
        project_id: fields::owned(item, "/project_node_id"),
        content: Content::Member(KEY.to_owned()),
        ..Subject::new(kind, event_type, resource)
    })
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
fn event_type(kind: &ResourceType, action: &str) -> EventType {
    match action {
        "created" if *kind == ResourceType::DRAFT_ISSUE => EventType::CREATED,
        "deleted" if *kind == ResourceType::DRAFT_ISSUE => EventType::DELETED,
        _ => EventType::UPDATED,
    }
}
