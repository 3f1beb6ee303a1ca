//! The event of a change that no webhook told: made of GitHub's object by the functions that make events of webhooks.

use github_events::{Envelope, Skip};
use model::{
    DeliveryId, EventId, EventOrigin, ResourceEvent, StoredEvent, Timestamp, TraceContext,
};
use ports::MirroredKind;
use serde_json::{Map, Value, json};

use super::content::FoundChange;
use crate::listed::ListedPlace;

/// Why there is no event of a change.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnEvent {
    /// As of a webhook.
    #[error(transparent)]
    Skipped(#[from] Skip),
    /// No webhook is about this kind.
    #[error("no webhook is about it")]
    NoWebhook,
    /// It cannot be encoded.
    #[error("it cannot be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
}

/// The webhook of a kind, and the member of its payload that has the object.
const fn webhook(kind: MirroredKind) -> Option<(&'static str, &'static str)> {
    match kind {
        MirroredKind::Issue => Some(("issues", "issue")),
        MirroredKind::PullRequest => Some(("pull_request", "pull_request")),
        MirroredKind::Milestone => Some(("milestone", "milestone")),
        MirroredKind::Release => Some(("release", "release")),
        MirroredKind::WorkflowRun => Some(("workflow_run", "workflow_run")),
        MirroredKind::Repository => Some(("repository", "repository")),
        MirroredKind::Label
        | MirroredKind::Project
        | MirroredKind::DraftIssue
        | MirroredKind::ProjectField
        | MirroredKind::ProjectView
        | MirroredKind::ProjectItem
        | MirroredKind::PullState
        | MirroredKind::IssueLinks => None,
    }
}

/// A change of an object of a place, and when it was found.
pub(super) struct FoundEvent<'a> {
    pub(super) id: EventId,
    pub(super) place: &'a ListedPlace,
    pub(super) kind: MirroredKind,
    pub(super) change: FoundChange,
    pub(super) object: Value,
    pub(super) found_at: Timestamp,
}

impl FoundEvent<'_> {
    /// The event. It has no delivery, its source is `sync`, and its id is that of the state: found twice, it is one event.
    pub(super) fn store(
        self,
        trace: TraceContext,
        max_bytes: usize,
    ) -> Result<StoredEvent, NotAnEvent> {
        let event = self.event()?;
        Ok(github_events::encode(event, trace, max_bytes)?)
    }

    pub(super) fn event(self) -> Result<ResourceEvent, NotAnEvent> {
        let (name, member) = webhook(self.kind).ok_or(NotAnEvent::NoWebhook)?;
        let mut payload = Map::new();
        payload.insert("action".into(), self.change.action.into());
        payload.insert("changes".into(), self.change.changes);
        payload.insert("repository".into(), repository(self.place));
        if self.kind == MirroredKind::WorkflowRun {
            payload.insert("workflow".into(), Value::Null);
        }
        payload.insert(member.into(), self.object);
        let envelope = Envelope {
            event: name.to_owned(),
            delivery: DeliveryId::new("sync").expect("a constant of letters"),
            hook_id: None,
            received_at: self.found_at,
        };
        let events = github_events::normalise(&envelope, payload.into())?;
        let event = events.into_iter().next().ok_or(NotAnEvent::NoWebhook)?;
        Ok(of_comparison(event, self.id))
    }
}

fn of_comparison(mut event: ResourceEvent, id: EventId) -> ResourceEvent {
    event.id = id;
    event.source = EventOrigin::SYNC;
    event.metadata.delivery = None;
    event
}

fn repository(place: &ListedPlace) -> Value {
    let owner = json!({ "login": place.owner, "id": place.owner_id });
    match &place.repository {
        None => Value::Null,
        Some(repository) => json!({
            "id": repository.id,
            "name": repository.name,
            "full_name": format!("{}/{}", place.owner, repository.name),
            "owner": owner,
        }),
    }
}

#[cfg(test)]
mod tests {
    use model::{OwnerId, RepositoryId, ResourceType};

    use super::*;
    use crate::listed::ListedRepository;

    #[test]
    fn a_change_is_an_event_of_its_resource_without_a_delivery() {
        let place = ListedPlace {
            owner: "octo".to_owned(),
            owner_id: OwnerId(1),
            repository: Some(ListedRepository {
                name: "cat".to_owned(),
                id: RepositoryId(2),
            }),
        };
        let found = FoundEvent {
            id: EventId::new("sync-1").unwrap(),
            place: &place,
            kind: MirroredKind::Issue,
            change: FoundChange {
                action: "closed",
                changes: json!({}),
            },
            object: json!({ "id": 3, "node_id": "I_3", "number": 7, "title": "t", "state": "closed",
                "updated_at": "2026-11-20T10:00:00Z", "user": { "login": "ada" } }),
            found_at: Timestamp::parse("2026-11-20T11:00:00Z").unwrap(),
        };
        let event = found.event().unwrap();
        assert_eq!(
            (event.id.as_str(), &event.source),
            ("sync-1", &EventOrigin::SYNC)
        );
        assert_eq!(
            (event.action.as_str(), &event.resource_type),
            ("closed", &ResourceType::ISSUE)
        );
        let resource = &event.resource;
        assert_eq!(
            (resource.number, resource.repository_id),
            (Some(7), Some(RepositoryId(2)))
        );
        assert_eq!(
            event.timestamp,
            Timestamp::parse("2026-11-20T10:00:00Z").unwrap()
        );
        assert_eq!(event.metadata.delivery, None);
        assert!(event.actor.is_none());
    }
}
