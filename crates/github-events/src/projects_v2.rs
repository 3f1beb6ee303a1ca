//! `projects_v2`: a project itself.

use model::{ResourceEvent, ResourceRef, ResourceType};
use serde_json::Value;

use crate::{
    Envelope, Skip,
    event::{self, Subject},
    payload,
};

const EVENT: &str = "projects_v2";

pub(crate) fn normalise(envelope: &Envelope, payload: &Value) -> Result<ResourceEvent, Skip> {
    let missing = |field| Skip::Incomplete {
        event: EVENT,
        field,
    };
    let action = event::action(EVENT, payload)?;
    let project = payload::object(payload, "projects_v2").ok_or(missing("/projects_v2"))?;
    let node_id = payload::node_id(project, "/node_id").ok_or(missing("/projects_v2/node_id"))?;
    let subject = Subject {
        kind: ResourceType::PROJECT,
        what: event::event_type(action),
        action,
        resource: ResourceRef {
            owner: owner(payload, project),
            repo: None,
            number: payload::number(project, "/number"),
            node_id,
            database_id: payload::number(project, "/id"),
            title: payload::owned(project, "/title"),
            url: payload::owned(project, "/html_url"),
        },
        object: project,
        project_id: None,
    };
    Ok(event::event(envelope, payload, subject))
}

/// Login of the project's owner: the organization, or else the user that the object names.
fn owner(payload: &Value, project: &Value) -> Option<String> {
    payload::owned(payload, "/organization/login")
        .or_else(|| payload::owned(project, "/owner/login"))
}
