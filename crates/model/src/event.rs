//! The resource event (design §5), as clients get it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    EventFacts, EventId, ResourceId, ResourceType, StoredEvent, Timestamp, TraceContext,
    name::open_name,
};

open_name! {
    /// The type of an event: five words that apply to every kind of resource.
    EventType {
        /// The resource was created.
        CREATED = "created",
        /// The resource changed in any other way.
        UPDATED = "updated",
        /// The resource was deleted.
        DELETED = "deleted",
        /// The resource was closed.
        CLOSED = "closed",
        /// The resource was reopened.
        REOPENED = "reopened",
    }
}

open_name! {
    /// The origin of an event.
    EventOrigin {
        /// A webhook delivery.
        WEBHOOK = "webhook",
        /// A call of GitHub's API by Forgewire.
        API = "api",
        /// The sync role's comparison with GitHub.
        SYNC = "sync",
    }
}

/// The resource that an event is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// Login of the user or organization that owns it, as GitHub spells it.
    pub owner: Option<String>,
    /// Name of the repository; `None` for projects and their drafts.
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

/// The delivery that an event comes from, and further data that GitHub sent with it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMetadata {
    /// GitHub's delivery GUID.
    pub delivery: Option<String>,
    /// GitHub's event name (`X-GitHub-Event`).
    pub event: Option<String>,
    /// Id of the hook that delivered it.
    pub hook_id: Option<String>,
    /// Id of the GitHub App installation.
    pub installation_id: Option<u64>,
    /// Node id of the project, for events of project items.
    pub project_id: Option<String>,
    /// Whether the resource is a pull request.
    pub is_pull_request: bool,
    /// GitHub's `changes` object.
    pub changes: Value,
    /// Names of the labels that the resource has.
    pub tags: Vec<String>,
    /// Whether GitHub's object was too large for an event: then `data` is null, and clients fetch the object
    /// from GitHub.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data_omitted: bool,
    /// Whether an earlier delivery, under another GUID, had the same body and signature. GitHub may send
    /// one body twice, and somebody who has seen a body can send it again, because its GUID is not signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated_body: bool,
    /// A digest of the signature of the delivery's body, 32 hexadecimal digits: events of different deliveries
    /// with the same digest come from one body. Unlike [`Self::repeated_body`], which is what one ingest
    /// remembers, it does not depend on who received them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_digest: Option<String>,
}

/// A change of a resource on GitHub.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceEvent {
    /// The unique id; consumers use it to remove duplicates.
    pub id: EventId,
    /// The type of the event.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// GitHub's own word for the event.
    pub action: String,
    /// The kind of the resource.
    pub resource_type: ResourceType,
    /// The resource's node id.
    pub resource_id: ResourceId,
    /// The resource.
    pub resource: ResourceRef,
    /// Time of the event according to GitHub; if GitHub gives none, the time of reception.
    pub timestamp: Timestamp,
    /// Time at which Forgewire received it.
    pub received_at: Timestamp,
    /// The origin of the event.
    pub source: EventOrigin,
    /// Login of the account that acted.
    pub actor: Option<String>,
    /// GitHub's object, as it was delivered.
    pub data: Value,
    /// The delivery and further data.
    pub metadata: EventMetadata,
}

impl ResourceEvent {
    /// The fields that filters and indexes use.
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

    /// The stored form: the facts, and the JSON, which is encoded once.
    ///
    /// # Errors
    /// `data` cannot be encoded as JSON, which does not occur for events of this workspace.
    pub fn store(&self, trace: TraceContext) -> Result<StoredEvent, serde_json::Error> {
        let json = serde_json::to_vec(self)?.into();
        Ok(StoredEvent {
            facts: self.facts(),
            json,
            trace: Some(trace),
        })
    }
}

impl StoredEvent {
    /// GitHub's name of the event (`X-GitHub-Event`); `None` if it is not of a webhook.
    #[must_use]
    pub fn webhook_event(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            metadata: NamedMetadata,
        }
        #[derive(Deserialize)]
        struct NamedMetadata {
            event: Option<String>,
        }
        let named: Named = serde_json::from_slice(&self.json).ok()?;
        named.metadata.event
    }

    /// The same event under another id; `None` if its JSON is not that of a resource event.
    #[must_use]
    pub fn under_id(&self, id: EventId) -> Option<Self> {
        let mut event: ResourceEvent = serde_json::from_slice(&self.json).ok()?;
        event.id = id;
        Some(Self {
            json: serde_json::to_vec(&event).ok()?.into(),
            facts: event.facts(),
            trace: self.trace,
        })
    }
}
