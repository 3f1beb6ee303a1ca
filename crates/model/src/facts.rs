//! The fields of an event that filters and indexes compare, kept beside the encoded event so that the
//! hot path never parses JSON.

use bytes::Bytes;

use crate::{
    EventId, EventOrigin, EventType, ResourceId, ResourceType, ResourceUri, Timestamp, TraceContext,
};

/// The fields of an event that filters compare.
#[derive(Clone, PartialEq, Debug)]
pub struct EventFacts {
    /// The event's id.
    pub id: EventId,
    /// The kind of change.
    pub event_type: EventType,
    /// The kind of the resource.
    pub resource_type: ResourceType,
    /// The resource's node id.
    pub resource_id: ResourceId,
    /// The owner's login, as GitHub spells it.
    pub owner: Option<String>,
    /// The repository's name, as GitHub spells it.
    pub repo: Option<String>,
    /// The resource's number.
    pub number: Option<u64>,
    /// Login of the user or app that caused the event.
    pub actor: Option<String>,
    /// The source that reported the event.
    pub source: EventOrigin,
    /// Labels.
    pub tags: Vec<String>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When we received it.
    pub received_at: Timestamp,
}

impl EventFacts {
    /// The URI of the resource itself, if it has one.
    #[must_use]
    pub fn resource_uri(&self) -> Option<ResourceUri> {
        let (owner, repo) = (self.owner.as_deref()?, self.repo.as_deref());
        ResourceUri::numbered(&self.resource_type, owner, repo, self.number?)
    }

    /// Every URI whose content this event changes: the resource, and the event lists that contain the event.
    #[must_use]
    pub fn touched_uris(&self) -> Vec<ResourceUri> {
        let mut uris = vec![ResourceUri::Events {
            owner: None,
            repo: None,
        }];
        if let Some(owner) = self.owner.as_deref().map(str::to_ascii_lowercase) {
            uris.push(ResourceUri::Events {
                owner: Some(owner.clone()),
                repo: None,
            });
            if let Some(repo) = self.repo.as_deref().map(str::to_ascii_lowercase) {
                uris.push(ResourceUri::Events {
                    owner: Some(owner),
                    repo: Some(repo),
                });
            }
        }
        uris.extend(self.resource_uri());
        uris
    }
}

/// An event as the log stores it. `json` is the resource event of design §5, encoded once at ingest and
/// passed on unchanged.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEvent {
    /// The fields that filters compare.
    pub facts: EventFacts,
    /// The encoded event.
    pub json: Bytes,
    /// The trace that began with the webhook's POST.
    pub trace: Option<TraceContext>,
}
