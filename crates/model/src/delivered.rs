//! An event with GitHub's JSON as it was delivered: what was read once need not be written again.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::{
    EventId, EventMetadata, EventOrigin, EventType, ResourceEvent, ResourceId, ResourceRef,
    ResourceType, StoredEvent, Timestamp, TraceContext,
};

/// GitHub's JSON of an event.
#[derive(Debug, Default)]
pub struct DeliveredJson<'j> {
    /// In place of `data`.
    pub data: DeliveredPart<'j>,
    /// In place of `metadata.changes`; null leaves the event's own.
    pub changes: DeliveredPart<'j>,
    /// In place of `metadata.related`.
    pub related: DeliveredPart<'j>,
}

/// A part of it.
#[derive(Debug, Default)]
pub enum DeliveredPart<'j> {
    /// There is none.
    #[default]
    Null,
    /// A member of the payload.
    Whole(&'j RawValue),
    /// An object of some members of the payload.
    Members(Vec<(Cow<'j, str>, &'j RawValue)>),
}

impl DeliveredPart<'_> {
    fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Whole(json) => json.get() == "null",
            Self::Members(_) => false,
        }
    }
}

impl Serialize for DeliveredPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Whole(json) => json.serialize(serializer),
            Self::Members(members) => {
                serializer.collect_map(members.iter().map(|(key, json)| (key, json)))
            }
        }
    }
}

/// What is GitHub's, or else the event's own.
#[derive(Serialize)]
#[serde(untagged)]
enum EitherPart<'e> {
    Delivered(&'e DeliveredPart<'e>),
    Own(&'e Value),
}

/// A [`ResourceEvent`] as JSON, with other parts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveredEvent<'e> {
    id: &'e EventId,
    #[serde(rename = "type")]
    event_type: &'e EventType,
    action: &'e str,
    resource_type: &'e ResourceType,
    resource_id: &'e ResourceId,
    resource: &'e ResourceRef,
    timestamp: Timestamp,
    received_at: Timestamp,
    source: &'e EventOrigin,
    actor: Option<&'e str>,
    data: &'e DeliveredPart<'e>,
    metadata: DeliveredMetadata<'e>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveredMetadata<'e> {
    delivery: Option<&'e str>,
    event: Option<&'e str>,
    hook_id: Option<&'e str>,
    installation_id: Option<u64>,
    project_id: Option<&'e str>,
    is_pull_request: bool,
    changes: EitherPart<'e>,
    #[serde(skip_serializing_if = "DeliveredPart::is_null")]
    related: &'e DeliveredPart<'e>,
    tags: &'e [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    data_omitted: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated_body: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repaired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_digest: Option<&'e str>,
}

impl<'e> DeliveredEvent<'e> {
    fn of(event: &'e ResourceEvent, delivered: &'e DeliveredJson<'_>) -> Self {
        // Each field is named, so that none is forgotten.
        let ResourceEvent {
            id,
            event_type,
            action,
            resource_type,
            resource_id,
            resource,
            timestamp,
            received_at,
            source,
            actor,
            data: _,
            metadata,
        } = event;
        Self {
            id,
            event_type,
            action,
            resource_type,
            resource_id,
            resource,
            timestamp: *timestamp,
            received_at: *received_at,
            source,
            actor: actor.as_deref(),
            data: &delivered.data,
            metadata: DeliveredMetadata::of(metadata, delivered),
        }
    }
}

impl<'e> DeliveredMetadata<'e> {
    fn of(metadata: &'e EventMetadata, delivered: &'e DeliveredJson<'_>) -> Self {
        let EventMetadata {
            delivery,
            event,
            hook_id,
            installation_id,
            project_id,
            is_pull_request,
            changes,
            related: _,
            tags,
            data_omitted,
            repeated_body,
            late,
            repaired,
            body_digest,
        } = metadata;
        Self {
            delivery: delivery.as_deref(),
            event: event.as_deref(),
            hook_id: hook_id.as_deref(),
            installation_id: *installation_id,
            project_id: project_id.as_deref(),
            is_pull_request: *is_pull_request,
            changes: match delivered.changes.is_null() {
                true => EitherPart::Own(changes),
                false => EitherPart::Delivered(&delivered.changes),
            },
            related: &delivered.related,
            tags,
            data_omitted: *data_omitted,
            repeated_body: *repeated_body,
            late: *late,
            repaired: *repaired,
            body_digest: body_digest.as_deref(),
        }
    }
}

impl ResourceEvent {
    /// As [`Self::store_expecting`], with GitHub's JSON as it was delivered in place of the event's own.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub fn store_delivered(
        &self,
        delivered: &DeliveredJson<'_>,
        trace: TraceContext,
        expected_bytes: usize,
    ) -> Result<StoredEvent, serde_json::Error> {
        let event = DeliveredEvent::of(self, delivered);
        self.store_json(&event, trace, expected_bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{GithubIds, OwnerId, RepositoryId};

    fn event() -> ResourceEvent {
        let resource_id = ResourceId::new("I_1").unwrap();
        let ids = GithubIds::default();
        ResourceEvent {
            id: EventId::new("e1").unwrap(),
            event_type: EventType::UPDATED,
            action: "edited".to_owned(),
            resource_type: ResourceType::ISSUE,
            resource_id: resource_id.clone(),
            resource: ResourceRef {
                owner: Some("octo".to_owned()),
                owner_id: Some(OwnerId(1)),
                repository_id: Some(RepositoryId(2)),
                former_repo: Some("old".to_owned()),
                database_id: ids.resource,
                ..ResourceRef::of(resource_id)
            },
            timestamp: Timestamp::from_unix_millis(1),
            received_at: Timestamp::from_unix_millis(2),
            source: EventOrigin::WEBHOOK,
            actor: Some("cat".to_owned()),
            data: json!({"node_id": "I_1", "body": "a\nb"}),
            metadata: EventMetadata {
                delivery: Some("d".to_owned()),
                event: Some("issues".to_owned()),
                hook_id: Some("7".to_owned()),
                installation_id: Some(3),
                project_id: Some("P".to_owned()),
                is_pull_request: true,
                changes: json!({"title": {"from": "x"}}),
                related: json!({"label": {"name": "bug"}}),
                tags: vec!["bug".to_owned()],
                data_omitted: true,
                repeated_body: true,
                late: true,
                repaired: true,
                body_digest: Some("d1".to_owned()),
            },
        }
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    #[test]
    fn the_json_of_an_event_is_the_same_with_what_was_delivered() {
        for event in [
            event(),
            ResourceEvent {
                metadata: EventMetadata::default(),
                ..event()
            },
        ] {
            let (data, changes) = (raw(&event.data), raw(&event.metadata.changes));
            let label = raw(&event.metadata.related["label"]);
            let has_related = !event.metadata.related.is_null();
            let delivered = DeliveredJson {
                data: DeliveredPart::Whole(&data),
                changes: DeliveredPart::Whole(&changes),
                related: match has_related {
                    true => DeliveredPart::Members(vec![("label".into(), &*label)]),
                    false => DeliveredPart::Null,
                },
            };
            let trace = TraceContext::start(&crate::RandomIds);
            let own = event.store(trace).unwrap();
            assert_eq!(event.store_delivered(&delivered, trace, 0).unwrap(), own);
        }
    }

    #[test]
    fn changes_of_its_own_stay_where_none_were_delivered() {
        let trace = TraceContext::start(&crate::RandomIds);
        let stored = event().store_delivered(&DeliveredJson::default(), trace, 0);
        let json: Value = serde_json::from_slice(&stored.unwrap().json).unwrap();
        assert_eq!(json["metadata"]["changes"], event().metadata.changes);
        assert_eq!(
            (&json["data"], json["metadata"].get("related")),
            (&Value::Null, None)
        );
    }
}
