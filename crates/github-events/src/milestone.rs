//! `milestone`.

use model::{EventType, ResourceEvent, ResourceType};
use serde_json::Value;

use crate::{
    Envelope, Skip,
    event::{self, Subject},
    payload,
};

const EVENT: &str = "milestone";

pub(crate) fn normalise(envelope: &Envelope, payload: &Value) -> Result<ResourceEvent, Skip> {
    let missing = |field| Skip::Incomplete {
        event: EVENT,
        field,
    };
    let action = event::action(EVENT, payload)?;
    let milestone = payload::object(payload, "milestone").ok_or(missing("/milestone"))?;
    let resource = event::in_repository(payload, milestone).ok_or(missing("/milestone/node_id"))?;
    let subject = Subject {
        kind: ResourceType::MILESTONE,
        // GitHub sends `created` for a new milestone and `opened` for a closed one that is reopened.
        what: match action {
            "opened" => EventType::REOPENED,
            action => event::event_type(action),
        },
        action,
        resource,
        object: milestone,
        project_id: None,
    };
    Ok(event::event(envelope, payload, subject))
}
