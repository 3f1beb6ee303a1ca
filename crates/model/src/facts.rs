//! The fields of an event that filters and indexes compare, kept beside the encoded event so that the
//! hot path never parses JSON.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    EventId, EventOrigin, EventType, OwnerId, RepositoryId, ResourceId, ResourceType, ResourceUri,
    Timestamp, TraceContext,
};

/// Numeric ids on GitHub. Unlike names they are never given again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GithubIds {
    /// The user or organization that owns the resource.
    pub owner: Option<OwnerId>,
    /// The repository.
    pub repository: Option<RepositoryId>,
    /// The resource itself, as GitHub's REST interface numbers it within its kind.
    pub resource: Option<u64>,
}

/// An address that a rename or a transfer has ended. A part that did not change is given too.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FormerPlace {
    /// The former owner's login.
    pub owner: Option<String>,
    /// The former name of the repository; `None` where a whole owner was renamed.
    pub repo: Option<String>,
}

/// Who wrote what an event is about: the comment, review, issue or pull request itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TextAuthor {
    /// Login of the account.
    pub login: Option<String>,
    /// What the account is to the repository, in GitHub's word (`author_association`).
    pub association: Option<String>,
}

/// The fields of an event that filters compare.
#[derive(Clone, PartialEq, Debug)]
pub struct EventFacts {
    /// The event's id.
    pub id: EventId,
    /// The kind of change.
    pub event_type: EventType,
    /// GitHub's own word for the change; `None` in an entry of a build that did not keep it.
    pub action: Option<String>,
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
    /// Ids of owner, repository and resource, which outlive their names.
    pub ids: GithubIds,
    /// The address that the resource had before the event, where the event changed it.
    pub former: Option<Box<FormerPlace>>,
    /// Login of the user or app that caused the event.
    pub actor: Option<String>,
    /// Who wrote what the event is about; `None` where GitHub does not say, and in an entry of a build that did not
    /// keep it.
    pub author: Option<Box<TextAuthor>>,
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

    /// Every URI whose content this event changes: the resource, and the event lists that contain the event;
    /// those of the former address too, where the event ended it.
    #[must_use]
    pub fn touched_uris(&self) -> Vec<ResourceUri> {
        let mut uris = vec![ResourceUri::Events {
            owner: None,
            repo: None,
        }];
        push_lists(&mut uris, (self.owner.as_deref(), self.repo.as_deref()));
        if self.former.is_some() {
            push_lists(&mut uris, self.former_names());
        }
        uris.extend(self.resource_uri());
        uris
    }
}

/// Adds the event lists of an address, each once.
fn push_lists(uris: &mut Vec<ResourceUri>, (owner, repo): (Option<&str>, Option<&str>)) {
    let Some(owner) = owner.map(str::to_ascii_lowercase) else {
        return;
    };
    let repo = repo.map(str::to_ascii_lowercase);
    let owner = Some(owner);
    let lists = [Some(None), repo.map(Some)];
    for repo in lists.into_iter().flatten() {
        let owner = owner.clone();
        let list = ResourceUri::Events { owner, repo };
        if !uris.contains(&list) {
            uris.push(list);
        }
    }
}

/// An event as the log stores it. `json` is the resource event of design §5, encoded once at ingest and
/// passed on unchanged.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEvent {
    /// The fields that filters compare; clones of the event share them.
    pub facts: Arc<EventFacts>,
    /// The encoded event.
    pub json: Bytes,
    /// The trace that began with the webhook's POST.
    pub trace: Option<TraceContext>,
}
