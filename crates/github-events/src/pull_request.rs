//! `pull_request`.

use model::{EventType, ResourceEvent, ResourceType};
use serde_json::Value;

use crate::{
    Envelope, Skip,
    event::{self, Subject},
    payload,
};

const EVENT: &str = "pull_request";

pub(crate) fn normalise(envelope: &Envelope, payload: &Value) -> Result<ResourceEvent, Skip> {
    let missing = |field| Skip::Incomplete {
        event: EVENT,
        field,
    };
    let action = event::action(EVENT, payload)?;
    let pull = payload::object(payload, "pull_request").ok_or(missing("/pull_request"))?;
    let resource = event::in_repository(payload, pull).ok_or(missing("/pull_request/node_id"))?;
    // A merge is sent as `closed` with `merged: true` in the object; some lists of actions also have
    // `merged`. In both cases the pull request is closed, and `data` shows how.
    let what = match action {
        "merged" => EventType::CLOSED,
        other => event::event_type(other),
    };
    let subject = Subject {
        kind: ResourceType::PULL_REQUEST,
        what,
        action,
        resource,
        object: pull,
        project_id: None,
    };
    Ok(event::event(envelope, payload, subject))
}
