//! What every kind of event has in common.

use model::{
    EventMetadata, EventType, ResourceEvent, ResourceRef, ResourceType, Source, Timestamp,
};
use serde_json::Value;

use super::{Envelope, Skip, payload};

/// What a payload says about one resource.
pub(super) struct Subject<'a> {
    /// The kind of the resource.
    pub(super) kind: ResourceType,
    /// What happened to it.
    pub(super) what: EventType,
    /// GitHub's word for it.
    pub(super) action: &'a str,
    /// The resource.
    pub(super) resource: ResourceRef,
    /// GitHub's object.
    pub(super) object: &'a Value,
    /// The project, for items.
    pub(super) project_id: Option<String>,
}

/// The event type of an action, for resources that have a life of their own. What is not listed
/// (labeled, assigned, transferred, synchronize, … and whatever GitHub adds) is an update.
pub(super) fn event_type(action: &str) -> EventType {
    match action {
        "opened" | "created" => EventType::CREATED,
        "deleted" => EventType::DELETED,
        "closed" => EventType::CLOSED,
        "reopened" => EventType::REOPENED,
        _ => EventType::UPDATED,
    }
}

/// The payload's action.
pub(super) fn action<'a>(event: &'static str, payload: &'a Value) -> Result<&'a str, Skip> {
    payload::text(payload, "/action").ok_or(Skip::Incomplete {
        event,
        field: "/action",
    })
}

/// A resource that lives in a repository: `object` has `node_id`, `number`, `title` and the like.
/// `None` without a usable node id.
pub(super) fn in_repository(payload: &Value, object: &Value) -> Option<ResourceRef> {
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

/// Puts the event together.
pub(super) fn event(envelope: &Envelope, payload: &Value, subject: Subject<'_>) -> ResourceEvent {
    let Subject {
        kind, what, object, ..
    } = subject;
    ResourceEvent {
        // Each payload speaks of one resource, so the event's id is the delivery's.
        id: envelope.delivery.event(0),
        event_type: what.clone(),
        action: subject.action.to_owned(),
        resource_type: kind.clone(),
        resource_id: subject.resource.node_id.clone(),
        resource: subject.resource,
        timestamp: happened_at(object, &what).unwrap_or(envelope.received_at),
        received_at: envelope.received_at,
        source: Source::WEBHOOK,
        actor: payload::owned(payload, "/sender/login"),
        data: object.clone(),
        metadata: EventMetadata {
            delivery: Some(envelope.delivery.to_string()),
            event: Some(envelope.event.clone()),
            hook_id: envelope.hook_id.clone(),
            installation_id: payload::number(payload, "/installation/id"),
            project_id: subject.project_id,
            is_pull_request: kind == ResourceType::PULL_REQUEST,
            changes: payload.get("changes").cloned().unwrap_or_default(),
            tags: payload::label_names(object),
            data_omitted: false,
        },
    }
}

/// When it happened as far as the object says: `updated_at`, or the moment that belongs to the
/// event if that is later (GitHub's `updated_at` may lag behind `closed_at`).
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
