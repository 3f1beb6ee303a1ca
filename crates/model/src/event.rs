//! The resource event (design §5): what a client gets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    EventFacts, EventId, ResourceId, ResourceType, StoredEvent, Timestamp, TraceContext,
    name::open_name,
};

open_name! {
    /// What happened, in five words that hold for every kind of resource.
    EventType {
        /// It came into being.
        CREATED = "created",
        /// Something about it changed.
        UPDATED = "updated",
        /// It is gone.
        DELETED = "deleted",
        /// It was closed.
        CLOSED = "closed",
        /// It was opened again.
        REOPENED = "reopened",
    }
}

open_name! {
    /// Where an event came from.
    EventOrigin {
        /// A webhook delivery.
        WEBHOOK = "webhook",
        /// A call of GitHub's API that we made.
        API = "api",
        /// The sync role's comparison.
        SYNC = "sync",
    }
}

/// The resource that an event is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// Login of the user or organization that it belongs to, as GitHub spells it.
    pub owner: Option<String>,
    /// Name of the repository; none for projects and their drafts.
    pub repo: Option<String>,
    /// Its number within the repository or owner.
    pub number: Option<u64>,
    /// GitHub's node id; equal to the event's `resourceId`.
    pub node_id: ResourceId,
    /// GitHub's numeric id.
    pub database_id: Option<u64>,
    /// Its title.
    pub title: Option<String>,
    /// Its page on GitHub.
    pub url: Option<String>,
}

/// Where an event came from, and what GitHub said beside it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMetadata {
    /// GitHub's delivery GUID.
    pub delivery: Option<String>,
    /// GitHub's event name (`X-GitHub-Event`).
    pub event: Option<String>,
    /// The hook that delivered it.
    pub hook_id: Option<String>,
    /// The GitHub App installation.
    pub installation_id: Option<u64>,
    /// Node id of the project, for events of project items.
    pub project_id: Option<String>,
    /// Whether the resource is a pull request.
    pub is_pull_request: bool,
    /// GitHub's `changes` object.
    pub changes: Value,
    /// Names of the labels that the resource has.
    pub tags: Vec<String>,
    /// GitHub's object was too large for an event, so `data` is null: fetch it from GitHub.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data_omitted: bool,
}

/// Something that happened to a resource on GitHub.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceEvent {
    /// Unique; consumers dedupe on it.
    pub id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// GitHub's own word for it.
    pub action: String,
    /// The kind of the resource.
    pub resource_type: ResourceType,
    /// The resource's node id.
    pub resource_id: ResourceId,
    /// The resource.
    pub resource: ResourceRef,
    /// When it happened, as far as GitHub says; else when we received it.
    pub timestamp: Timestamp,
    /// When we received it.
    pub received_at: Timestamp,
    /// Who told us.
    pub source: EventOrigin,
    /// Login of who did it.
    pub actor: Option<String>,
    /// GitHub's object, as it was delivered.
    pub data: Value,
    /// Where it came from.
    pub metadata: EventMetadata,
}

impl ResourceEvent {
    /// What filters and indexes look at.
    #[must_use]
    pub fn facts(&self) -> EventFacts {
        EventFacts {
            id: self.id.clone(),
            event_type: self.event_type.clone(),
            resource_type: self.resource_type.clone(),
            resource_id: self.resource_id.clone(),
            owner: self.resource.owner.clone(),
            repo: self.resource.repo.clone(),
            number: self.resource.number,
            actor: self.actor.clone(),
            source: self.source.clone(),
            tags: self.metadata.tags.clone(),
            timestamp: self.timestamp,
            received_at: self.received_at,
        }
    }

    /// The form in which the log keeps it: facts beside the JSON, encoded once.
    ///
    /// # Errors
    /// Never for events made here; a `data` that cannot be JSON is reported by serde.
    pub fn store(&self, trace: TraceContext) -> Result<StoredEvent, serde_json::Error> {
        let json = serde_json::to_vec(self)?.into();
        Ok(StoredEvent {
            facts: self.facts(),
            json,
            trace: Some(trace),
        })
    }
}
