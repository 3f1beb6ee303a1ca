//! The parts that all kinds of events have in common.

use model::{
    EventMetadata, EventOrigin, EventType, ResourceEvent, ResourceRef, ResourceType, Timestamp,
};
use serde_json::Value;

use crate::{Envelope, Skip, payload};

/// The content of a payload about one resource.
pub(crate) struct Subject<'a> {
    /// The kind of the resource.
    pub(crate) kind: ResourceType,
    /// The type of the event.
    pub(crate) what: EventType,
    /// GitHub's word for the event.
    pub(crate) action: &'a str,
    /// The resource.
    pub(crate) resource: ResourceRef,
    /// GitHub's object.
    pub(crate) object: &'a Value,
    /// Node id of the project, for project items.
    pub(crate) project_id: Option<String>,
}

/// The event type of an action, for resources with a lifecycle of their own. All other actions (labeled,
/// assigned, transferred, synchronize, … and those that GitHub adds later) are updates.
pub(crate) fn event_type(action: &str) -> EventType {
    match action {
        "opened" | "created" => EventType::CREATED,
        "deleted" => EventType::DELETED,
        "closed" => EventType::CLOSED,
        "reopened" => EventType::REOPENED,
        _ => EventType::UPDATED,
    }
}

/// The payload's action.
pub(crate) fn action<'a>(event: &'static str, payload: &'a Value) -> Result<&'a str, Skip> {
    payload::text(payload, "/action").ok_or(Skip::Incomplete {
        event,
        field: "/action",
    })
}

/// A resource of a repository: `object` has `node_id`, `number`, `title` and similar fields.
/// `None` without a usable node id.
pub(crate) fn in_repository(payload: &Value, object: &Value) -> Option<ResourceRef> {
    Some(ResourceRef {
        owner: payload::owned(payload, "/repository/owner/login"),
        repo: payload::owned(payload, "/repository/name"),
        number: payload::number(object, "/number"),
        node_id: payload::node_id(object, "/node_id")?,
        database_id: payload::number(object, "/id"),
        title: payload::owned(object, "/title"),
        url: payload::owned(object, "/html_url"),
    })
}

/// Builds the event.
pub(crate) fn event(envelope: &Envelope, payload: &Value, subject: Subject<'_>) -> ResourceEvent {
    let Subject {
        kind, what, object, ..
    } = subject;
    ResourceEvent {
        // Each payload is about one resource, so the event's id is the delivery's.
        id: envelope.delivery.event(0),
        event_type: what.clone(),
        action: subject.action.to_owned(),
        resource_type: kind.clone(),
        resource_id: subject.resource.node_id.clone(),
        resource: subject.resource,
        timestamp: happened_at(object, &what).unwrap_or(envelope.received_at),
        received_at: envelope.received_at,
        source: EventOrigin::WEBHOOK,
        actor: payload::owned(payload, "/sender/login"),
        // GitHub's object and changes follow (`normalise`).
        data: Value::Null,
        metadata: EventMetadata {
            delivery: Some(envelope.delivery.to_string()),
            event: Some(envelope.event.clone()),
            hook_id: envelope.hook_id.clone(),
            installation_id: payload::number(payload, "/installation/id"),
            project_id: subject.project_id,
            is_pull_request: kind == ResourceType::PULL_REQUEST,
            changes: Value::Null,
            tags: payload::label_names(object),
            data_omitted: false,
            repeated_body: false,
            body_digest: None,
        },
    }
}

/// The time of the event according to the object: `updated_at`, or the time field of the event's type if
/// that is later (GitHub's `updated_at` may lag behind `closed_at`).
fn happened_at(object: &Value, what: &EventType) -> Option<Timestamp> {
    let field = match what.as_str() {
        "created" => Some("/created_at"),
        "closed" => Some("/closed_at"),
        "deleted" => Some("/deleted_at"),
        _ => None,
    };
    let moment = field.and_then(|field| payload::time(object, field));
    moment.max(payload::time(object, "/updated_at"))
}
