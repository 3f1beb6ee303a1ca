//! `projects_v2` and `projects_v2_status_update`: a project itself.

use model::{OwnerId, ResourceRef, ResourceType};
use serde_json::Value;

use crate::{
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const PROJECT: WebhookFamily = WebhookFamily {
    event: "projects_v2",
    kinds: &[ResourceType::PROJECT],
    resource: "the project",
    number: "its own",
    rule: Rule::By(|payload| {
        let subject = payload.node_subject(ResourceType::PROJECT, "projects_v2")?;
        let owner = payload.resource_of_owner(subject.resource.node_id.clone());
        let project = payload.object("projects_v2");
        Ok(Subject {
            resource: ResourceRef {
                number: subject.resource.number,
                database_id: subject.resource.database_id,
                title: subject.resource.title,
                url: subject.resource.url,
                ..owned_by(owner, project)
            },
            ..subject
        })
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const STATUS_UPDATE: WebhookFamily = WebhookFamily {
    event: "projects_v2_status_update",
    kinds: &[ResourceType::PROJECT_STATUS_UPDATE],
    resource: "the status update; `metadata.projectId` is the project",
    rule: Rule::By(|payload| {
        let kind = ResourceType::PROJECT_STATUS_UPDATE;
        let subject = payload.subject(kind, "projects_v2_status_update")?;
        let update = payload.object("projects_v2_status_update");
        Ok(Subject {
            project_id: fields::owned(update, "/project_node_id"),
            resource: ResourceRef {
                database_id: subject.resource.database_id,
                ..payload.resource_of_owner(subject.resource.node_id)
            },
            ..subject
        })
    }),
    ..WebhookFamily::PLAIN
};

/// A project is in no repository. Its owner is the organization, or else the user that the object names.
fn owned_by(resource: ResourceRef, project: &Value) -> ResourceRef {
    ResourceRef {
        owner_id: match resource.owner {
            Some(_) => resource.owner_id,
            None => fields::number(project, "/owner/id").map(OwnerId),
        },
        owner: resource
            .owner
            .or_else(|| fields::owned(project, "/owner/login")),
        ..resource
    }
}
