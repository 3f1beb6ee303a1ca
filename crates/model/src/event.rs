//! The resource event (design §5), as clients get it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    EventFacts, EventId, FormerPlace, GithubIds, OwnerId, RepositoryId, ResourceId, ResourceType,
    StoredEvent, TextAuthor, Timestamp, TraceContext, limits::MAX_AUTHOR_BYTES, name::open_name,
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// Login of the user or organization that owns it, as GitHub spells it.
    pub owner: Option<String>,
    /// Name of the repository; `None` for projects and their drafts.
    pub repo: Option<String>,
    /// Its number within the repository or owner.
    pub number: Option<u64>,
    /// GitHub's node id; equal to the event's `resourceId`.
    #[schemars(with = "String")]
    pub node_id: ResourceId,
    /// GitHub's numeric id.
    pub database_id: Option<u64>,
    /// Its title.
    pub title: Option<String>,
    /// Its page on GitHub.
    pub url: Option<String>,
    /// Numeric id of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub owner_id: Option<OwnerId>,
    /// Numeric id of its repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub repository_id: Option<RepositoryId>,
    /// Node id of its repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub repository_node_id: Option<ResourceId>,
    /// The owner's login before this event, where the event changed the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_owner: Option<String>,
    /// The repository's name before this event, where the event changed the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_repo: Option<String>,
}

impl ResourceRef {
    /// A resource of which only the node id is known.
    #[must_use]
    pub fn of(node_id: ResourceId) -> Self {
        Self {
            node_id,
            owner: None,
            repo: None,
            number: None,
            database_id: None,
            title: None,
            url: None,
            owner_id: None,
            repository_id: None,
            repository_node_id: None,
            former_owner: None,
            former_repo: None,
        }
    }

    fn former(&self) -> Option<FormerPlace> {
        let former = FormerPlace {
            owner: self.former_owner.clone(),
            repo: self.former_repo.clone(),
        };
        (former != FormerPlace::default()).then_some(former)
    }
}

/// The delivery that an event comes from, and further data that GitHub sent with it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
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
    /// Whether the resource is a pull request, or belongs to one.
    pub is_pull_request: bool,
    /// GitHub's `changes` object; for a push, the commits before and after.
    pub changes: Value,
    /// The rest of GitHub's payload, which says what the action was about: the label, the assignee, the other
    /// issue. Null if there is none, or if it was too large for an event.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub related: Value,
    /// Names of the labels that the resource has, or else the issue, pull request or discussion to which it belongs.
    pub tags: Vec<String>,
    /// Whether GitHub's object was too large for an event: then `data` is null, and clients fetch the object
    /// from GitHub.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data_omitted: bool,
    /// Whether an earlier delivery, under another GUID, had the same body and signature. GitHub may send
    /// one body twice, and somebody who has seen a body can send it again, because its GUID is not signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated_body: bool,
    /// Whether a later state of the resource was stored before this event: it arrived too late for its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Whether no ingest stored the delivery that GitHub sent: the sync role found it in GitHub's list of deliveries
    /// and fetched it. `receivedAt` is when it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
    /// A digest of the signature of the delivery's body, 32 hexadecimal digits: events of different deliveries
    /// with the same digest come from one body. Unlike `repeatedBody`, which is what one ingest
    /// remembers, it does not depend on who received them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_digest: Option<String>,
}

/// A change of a resource on GitHub.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceEvent {
    /// The unique id; consumers use it to remove duplicates.
    #[schemars(with = "String")]
    pub id: EventId,
    /// The type of the event.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub event_type: EventType,
    /// GitHub's own word for the event; the event's name where GitHub has none (`push`).
    pub action: String,
    /// The kind of the resource.
    #[schemars(with = "String")]
    pub resource_type: ResourceType,
    /// The resource's node id.
    #[schemars(with = "String")]
    pub resource_id: ResourceId,
    /// The resource.
    pub resource: ResourceRef,
    /// Time of the event according to GitHub; if GitHub gives none, the time of reception.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub timestamp: Timestamp,
    /// Time at which Forgewire received it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub received_at: Timestamp,
    /// The origin of the event.
    #[schemars(with = "String")]
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
            action: Some(self.action.clone()),
            resource_type: self.resource_type.clone(),
            resource_id: self.resource_id.clone(),
            owner: self.resource.owner.clone(),
            repo: self.resource.repo.clone(),
            number: self.resource.number,
            ids: GithubIds {
                owner: self.resource.owner_id,
                repository: self.resource.repository_id,
                resource: self.resource.database_id,
            },
            former: self.resource.former().map(Box::new),
            actor: self.actor.clone(),
            author: self.author().map(Box::new),
            source: self.source.clone(),
            tags: self.metadata.tags.clone(),
            timestamp: self.timestamp,
            received_at: self.received_at,
        }
    }

    /// Who wrote GitHub's object: releases and some others name an `author`.
    fn author(&self) -> Option<TextAuthor> {
        let text = |pointer| self.data.pointer(pointer).and_then(Value::as_str);
        let short = |text: &str| text.len() <= MAX_AUTHOR_BYTES;
        let login = text("/user/login").or_else(|| text("/author/login"));
        let association = text("/author_association");
        let author = TextAuthor {
            login: login.filter(|login| short(login)).map(str::to_owned),
            association: association.filter(|word| short(word)).map(str::to_owned),
        };
        (author != TextAuthor::default()).then_some(author)
    }

    /// The stored form: the facts, and the JSON, which is encoded once.
    ///
    /// # Errors
    /// `data` cannot be encoded as JSON, which does not occur for events of this workspace.
    pub fn store(&self, trace: TraceContext) -> Result<StoredEvent, serde_json::Error> {
        self.store_expecting(trace, 0)
    }

    /// As [`Self::store`], where about so many bytes of JSON are expected: a large one is not moved while it grows.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub fn store_expecting(
        &self,
        trace: TraceContext,
        expected_bytes: usize,
    ) -> Result<StoredEvent, serde_json::Error> {
        self.store_json(self, trace, expected_bytes)
    }
}

impl ResourceEvent {
    /// The stored form, with this as its JSON.
    pub(crate) fn store_json(
        &self,
        json: &impl Serialize,
        trace: TraceContext,
        expected_bytes: usize,
    ) -> Result<StoredEvent, serde_json::Error> {
        let mut encoded = Vec::with_capacity(expected_bytes);
        serde_json::to_writer(&mut encoded, json)?;
        Ok(StoredEvent {
            facts: Arc::new(self.facts()),
            json: encoded.into(),
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

    /// The same event, marked as one that came after a later state of its resource; unchanged if its JSON is not
    /// that of a resource event.
    #[must_use]
    pub fn marked_late(self) -> Self {
        let Ok(mut event) = serde_json::from_slice::<ResourceEvent>(&self.json) else {
            return self;
        };
        event.metadata.late = true;
        match serde_json::to_vec(&event) {
            Ok(json) => Self {
                json: json.into(),
                ..self
            },
            Err(_) => self,
        }
    }

    /// The same event under another id; `None` if its JSON is not that of a resource event.
    #[must_use]
    pub fn under_id(&self, id: EventId) -> Option<Self> {
        let mut event: ResourceEvent = serde_json::from_slice(&self.json).ok()?;
        event.id = id;
        Some(Self {
            json: serde_json::to_vec(&event).ok()?.into(),
            facts: Arc::new(event.facts()),
            trace: self.trace,
        })
    }
}
