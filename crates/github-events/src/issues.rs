//! `issues`.

use model::{ResourceEvent, ResourceType};
use serde_json::Value;

use crate::{
    Envelope, Skip,
    event::{self, Subject},
    payload,
};

const EVENT: &str = "issues";

pub(crate) fn normalise(envelope: &Envelope, payload: &Value) -> Result<ResourceEvent, Skip> {
    let missing = |field| Skip::Incomplete {
        event: EVENT,
        field,
    };
    let action = event::action(EVENT, payload)?;
    let issue = payload::object(payload, "issue").ok_or(missing("/issue"))?;
    let mut resource = event::in_repository(payload, issue).ok_or(missing("/issue/node_id"))?;
    // GitHub treats pull requests as issues and sends `issues` for some of their events (milestoned,
    // demilestoned), with this field and the pull request's node id. So the event belongs to the pull
    // request. `id` is that of the underlying issue and differs from the `id` in `pull_request` events, so
    // it is left out: one resource has one identity.
    let is_pull_request = issue.get("pull_request").is_some_and(|it| !it.is_null());
    if is_pull_request {
        resource.database_id = None;
    }
    let kind = if is_pull_request {
        ResourceType::PULL_REQUEST
    } else {
        ResourceType::ISSUE
    };
    let subject = Subject {
        kind,
        what: event::event_type(action),
        action,
        resource,
        object: issue,
        project_id: None,
    };
    Ok(event::event(envelope, payload, subject))
}
