//! The parts that all kinds of events have in common.

use model::{
    EventMetadata, EventOrigin, EventType, ResourceEvent, ResourceRef, ResourceType, Timestamp,
};
use serde_json::Value;

use crate::{Envelope, fields, payload::Payload};

/// Where a payload has the object that is an event's `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Under this key.
    Member(String),
    /// It is the payload, without the parts that every payload has.
    Payload,
}

/// The resource of a payload, and its change.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The kind of the resource.
    pub(crate) kind: ResourceType,
    /// The type of the event.
    pub(crate) event_type: EventType,
    /// The resource.
    pub(crate) resource: ResourceRef,
    /// Time of the event according to the object.
    pub(crate) happened_at: Option<Timestamp>,
    /// Node id of the project, for project items and status updates.
    pub(crate) project_id: Option<String>,
    /// Whether the resource is a pull request, or belongs to one.
    pub(crate) is_pull_request: bool,
    /// Names of the labels of the resource, or of what it belongs to.
    pub(crate) tags: Vec<String>,
    /// GitHub's object.
    pub(crate) content: Content,
    /// What changed, if the payload has no `changes`.
    pub(crate) changes: Value,
}

impl Subject {
    /// A subject of which nothing else is known yet.
    pub(crate) fn new(kind: ResourceType, event_type: EventType, resource: ResourceRef) -> Self {
        Self {
            is_pull_request: kind == ResourceType::PULL_REQUEST,
            kind,
            event_type,
            resource,
            happened_at: None,
            project_id: None,
            tags: Vec::new(),
            content: Content::Payload,
            changes: Value::Null,
        }
    }

    /// With the type of the first of these actions that is the payload's; unchanged if none is.
    pub(crate) fn typed(mut self, action: &str, types: &[(&str, EventType)]) -> Self {
        if let Some((_, event_type)) = types.iter().find(|(known, _)| *known == action) {
            self.event_type = event_type.clone();
        }
        self
    }

    /// At the time in a field of `object`, if the action is one that sets the field.
    pub(crate) fn timed(mut self, action: &str, object: &Value, fields: &[(&str, &str)]) -> Self {
        let field = fields.iter().find(|(known, _)| *known == action);
        let time = field.and_then(|(_, field)| fields::time(object, field));
        self.happened_at = self.happened_at.max(time);
        self
    }

    /// Belonging to an issue, pull request or discussion: with its number, title and labels.
    pub(crate) fn belonging_to(mut self, thread: Option<&Value>, is_pull_request: bool) -> Self {
        self.is_pull_request = is_pull_request;
        if let Some(thread) = thread {
            self.resource.number = fields::number(thread, "/number");
            self.resource.title = fields::title(thread, "/title");
            self.tags = fields::label_names(thread);
        }
        self
    }

    /// Belonging to the only pull request in the object's list that is of the payload's repository. Lists may
    /// have those of forks, too.
    pub(crate) fn of_pull_request(mut self, payload: Payload<'_>, object: &Value) -> Self {
        let repository = fields::number(payload.json, "/repository/id");
        let pulls = object.get("pull_requests").and_then(Value::as_array);
        let mut own = pulls.into_iter().flatten().filter(|pull| {
            let base = fields::number(pull, "/base/repo/id");
            base.is_none() || base == repository
        });
        if let (Some(pull), None) = (own.next(), own.next()) {
            self.resource.number = fields::number(pull, "/number");
        }
        self
    }
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

/// The time of the event according to the object: `updated_at`, or the time field of the event's type if
/// that is later (GitHub's `updated_at` may lag behind `closed_at`). A deletion does not change `updated_at`, which
/// then is the time of an earlier event.
pub(crate) fn happened_at(object: &Value, event_type: &EventType) -> Option<Timestamp> {
    let field = match event_type.as_str() {
        "created" => Some("/created_at"),
        "closed" => Some("/closed_at"),
        "deleted" => Some("/deleted_at"),
        _ => None,
    };
    let moment = field.and_then(|field| fields::time(object, field));
    match *event_type == EventType::DELETED {
        true => moment,
        false => moment.max(fields::time(object, "/updated_at")),
    }
}

/// Builds the event, without GitHub's JSON.
pub(crate) fn event(envelope: &Envelope, payload: Payload<'_>, subject: Subject) -> ResourceEvent {
    ResourceEvent {
        // Each payload is about one resource, so the event's id is the delivery's.
        id: envelope.delivery.event(0),
        event_type: subject.event_type,
        action: payload.action().to_owned(),
        resource_type: subject.kind,
        resource_id: subject.resource.node_id.clone(),
        resource: subject.resource,
        timestamp: subject.happened_at.unwrap_or(envelope.received_at),
        received_at: envelope.received_at,
        source: EventOrigin::WEBHOOK,
        actor: fields::owned(payload.json, "/sender/login"),
        data: Value::Null,
        metadata: EventMetadata {
            delivery: Some(envelope.delivery.to_string()),
            event: Some(envelope.event.clone()),
            hook_id: envelope.hook_id.clone(),
            installation_id: fields::number(payload.json, "/installation/id"),
            project_id: subject.project_id,
            is_pull_request: subject.is_pull_request,
            tags: subject.tags,
            ..EventMetadata::default()
        },
    }
}
