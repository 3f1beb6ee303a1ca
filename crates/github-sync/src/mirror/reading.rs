//! The state of a resource, as one event shows it.
//!
//! Many webhooks mention an issue, few contain the issue itself. The rules, in this order:
//! 1. `projects_v2_item` deliveries are about a card on a board, not about the issue on it.
//!    An event of ours about a condition (`forgewire_…`) tells of none either: its object is the mirror's own.
//! 2. Without an object in `data` (it was too large, or there is none) only a deletion is
//!    informative.
//! 3. An object with another `node_id` is a different thing (a comment, a review).
//! 4. A pull request in the form of an issue (as comments have it) is a partial view: it never
//!    replaces the pull request's own object.

use bytes::Bytes;
use model::{
    EventFacts, EventType, ResourceId, ResourceType, StoredEvent, Timestamp, delivery_time,
    delivery_timestamp,
};
use ports::MirroredKind;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::key::{MirrorKey, is_numbered};

/// What an event says, as far as the mirror is concerned.
#[derive(Debug, PartialEq)]
pub(crate) struct EventReading {
    /// Whether ingest knew a later state when it stored the event.
    pub(crate) late: bool,
    /// When GitHub made the delivery ([`model::delivery_time`]).
    pub(crate) made_at: u64,
    /// Node id of the resource's repository.
    pub(crate) repository_node_id: Option<ResourceId>,
    /// The state of its resource.
    pub(crate) state: StateReading,
}

/// The state in an event.
#[derive(Debug, PartialEq)]
pub(crate) enum StateReading {
    /// The resource's object.
    State {
        /// GitHub's object, as a copy: a slice would keep the whole event in memory.
        json: Bytes,
        /// GitHub's timestamp of the object; if the object has none, the event's, or the delivery's of a label or release.
        updated_at: Timestamp,
        /// Whether it is the resource's own object, not a partial view of it.
        whole: bool,
    },
    /// The resource was deleted; the event has no object.
    Deleted,
    /// Nothing about the resource's own state.
    Nothing,
}

/// The members of the event that matter here; `data` stays raw.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Resource {
    repository_node_id: Option<ResourceId>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    delivery: Option<String>,
    event: Option<String>,
    #[serde(default)]
    late: bool,
}

/// The members of GitHub's object that matter here. GraphQL spells the time `updatedAt`.
#[derive(Deserialize)]
struct Object {
    node_id: Option<String>,
    #[serde(alias = "updatedAt")]
    updated_at: Option<Timestamp>,
    head: Option<IgnoredAny>,
}

/// Reads an event.
///
/// # Errors
/// The stored JSON is not a resource event.
pub(crate) fn read(event: &StoredEvent) -> Result<EventReading, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(&event.json)?;
    let metadata = &envelope.metadata;
    Ok(EventReading {
        late: metadata.late,
        made_at: delivery_time(metadata.delivery.as_deref(), event.facts.received_at),
        repository_node_id: envelope.resource.repository_node_id.clone(),
        state: state(&event.facts, &envelope)?,
    })
}

fn state(facts: &EventFacts, envelope: &Envelope<'_>) -> Result<StateReading, serde_json::Error> {
    let Some(key) = MirrorKey::of(facts) else {
        return Ok(StateReading::Nothing);
    };
    let event = envelope.metadata.event.as_deref();
    if event.is_some_and(|event| event == "projects_v2_item" || event.starts_with("forgewire_")) {
        return Ok(StateReading::Nothing);
    }
    let data = envelope
        .data
        .map(RawValue::get)
        .filter(|data| data.starts_with('{'));
    let Some(data) = data else {
        let gone = facts.event_type == EventType::DELETED;
        return Ok(if gone {
            StateReading::Deleted
        } else {
            StateReading::Nothing
        });
    };
    let object: Object = serde_json::from_str(data)?;
    let is_own = match object.node_id {
        Some(id) => id == facts.resource_id.as_str(),
        // Objects of these kinds always have one; another thing of a repository may have none.
        None => is_numbered(key.kind),
    };
    if !is_own {
        return Ok(StateReading::Nothing);
    }
    Ok(StateReading::State {
        json: Bytes::copy_from_slice(data.as_bytes()),
        updated_at: object.updated_at.unwrap_or_else(|| match key.kind {
            // Lists have the time of the answer: the same clock is compared with it.
            MirroredKind::Label | MirroredKind::Release => {
                delivery_timestamp(envelope.metadata.delivery.as_deref(), facts.received_at)
            }
            _ => facts.timestamp,
        }),
        whole: facts.resource_type != ResourceType::PULL_REQUEST || object.head.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use model::{EventId, EventOrigin};
    use serde_json::{Value, json};

    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn event(kind: ResourceType, event_type: EventType, name: &str, data: &Value) -> StoredEvent {
        let facts = EventFacts {
            id: EventId::new("e").unwrap(),
            event_type,
            action: None,
            resource_type: kind,
            resource_id: ResourceId::new("I_7").unwrap(),
            owner: Some("o".into()),
            repo: Some("r".into()),
            number: Some(7),
            ids: model::GithubIds::default(),
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: time("2026-11-20T10:00:00Z"),
            received_at: time("2026-11-20T10:00:01Z"),
        };
        let json = json!({ "id": "e", "data": data, "metadata": { "event": name } });
        StoredEvent {
            facts: facts.into(),
            json: json.to_string().into(),
            trace: None,
        }
    }

    fn issue(event_type: EventType, name: &str, data: &Value) -> StateReading {
        read(&event(ResourceType::ISSUE, event_type, name, data))
            .unwrap()
            .state
    }

    #[test]
    fn the_objects_own_time_is_the_version_and_its_text_is_kept() {
        let data = json!({ "node_id": "I_7", "updated_at": "2026-11-20T09:59:00Z", "title": "t" });
        let reading = issue(EventType::UPDATED, "issues", &data);
        let json = data.to_string().into();
        let updated_at = time("2026-11-20T09:59:00Z");
        assert_eq!(
            reading,
            StateReading::State {
                json,
                updated_at,
                whole: true,
            }
        );
    }

    #[test]
    fn a_card_on_a_board_says_nothing_of_the_issue_not_even_its_removal() {
        let card = json!({ "node_id": "PVTI_1", "content_node_id": "I_7" });
        for event_type in [EventType::UPDATED, EventType::DELETED] {
            assert_eq!(
                issue(event_type.clone(), "projects_v2_item", &card),
                StateReading::Nothing
            );
            assert_eq!(
                issue(event_type, "projects_v2_item", &Value::Null),
                StateReading::Nothing
            );
        }
    }

    #[test]
    fn another_things_object_is_not_the_issue() {
        let comment = json!({ "node_id": "IC_1", "body": "hi" });
        assert_eq!(
            issue(EventType::UPDATED, "issue_comment", &comment),
            StateReading::Nothing
        );
    }

    #[test]
    fn without_an_object_only_a_deletion_tells_something() {
        assert_eq!(
            issue(EventType::UPDATED, "issues", &Value::Null),
            StateReading::Nothing
        );
        assert_eq!(
            issue(EventType::DELETED, "issues", &Value::Null),
            StateReading::Deleted
        );
    }

    #[test]
    fn a_pull_request_in_the_shape_of_an_issue_is_a_partial_view() {
        for (data, expected) in [
            (json!({ "node_id": "I_7", "head": { "sha": "0" } }), true),
            (json!({ "node_id": "I_7", "pull_request": {} }), false),
        ] {
            let event = event(ResourceType::PULL_REQUEST, EventType::UPDATED, "x", &data);
            let StateReading::State { whole, .. } = read(&event).unwrap().state else {
                panic!("no state")
            };
            assert_eq!(whole, expected);
        }
    }

    #[test]
    fn the_delivery_says_when_it_was_made_and_whether_it_is_late() {
        let mut event = event(
            ResourceType::ISSUE,
            EventType::UPDATED,
            "issues",
            &Value::Null,
        );
        assert_eq!(
            read(&event).unwrap().made_at,
            delivery_time(None, event.facts.received_at)
        );
        let guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
        std::sync::Arc::make_mut(&mut event.facts).received_at = time("2014-04-25T13:00:00Z");
        let metadata = json!({ "delivery": guid, "late": true });
        event.json = json!({ "id": "e", "metadata": metadata })
            .to_string()
            .into();
        let reading = read(&event).unwrap();
        assert!(reading.late);
        let made_at = delivery_time(Some(guid), event.facts.received_at);
        assert_eq!(reading.made_at, made_at);
        assert!(made_at < delivery_time(None, event.facts.received_at));
    }

    #[test]
    fn a_release_without_a_time_is_as_old_as_its_delivery_however_late_it_came() {
        let data = json!({ "node_id": "I_7", "body": "b" });
        let mut event = event(ResourceType::RELEASE, EventType::UPDATED, "release", &data);
        let facts = std::sync::Arc::make_mut(&mut event.facts);
        facts.received_at = time("2014-04-25T15:00:00Z");
        facts.ids.resource = Some(7);
        let guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
        event.json = json!({ "data": data, "metadata": { "delivery": guid } })
            .to_string()
            .into();
        let StateReading::State { updated_at, .. } = read(&event).unwrap().state else {
            panic!("no state")
        };
        let hour = time("2014-04-25T12:00:00Z")..time("2014-04-25T13:00:00Z");
        assert!(hour.contains(&updated_at), "{updated_at}");
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        let mut broken = event(
            ResourceType::ISSUE,
            EventType::UPDATED,
            "issues",
            &Value::Null,
        );
        broken.json = "not json".into();
        assert!(read(&broken).is_err());
    }
}
