//! By what a state is found: the id of its place, its kind and its number.

use model::{EventFacts, PlaceId, PlaceName, ResourceType, ResourceUri};
use ports::MirroredKind;
use serde::{Deserialize, Serialize};

use crate::listed::ListedPlace;

/// The place of a resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum MirroredPlace {
    /// A repository or an owner that events showed with its id.
    Known(PlaceId),
    /// One whose events have no id: its address in lower case.
    Named(Box<str>),
}

/// A resource, whatever its address is. Those of one place and kind are neighbours, in the order of their numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct MirrorKey {
    pub(super) place: MirroredPlace,
    pub(super) kind: MirroredKind,
    /// Its number, or its id where it has none.
    pub(super) number: u64,
}

/// The kind of what events of a type tell of; `None` if it is not mirrored.
pub(super) fn kind_of(resource: &ResourceType) -> Option<MirroredKind> {
    const KINDS: [(ResourceType, MirroredKind); 9] = [
        (ResourceType::REPOSITORY, MirroredKind::Repository),
        (ResourceType::ISSUE, MirroredKind::Issue),
        (ResourceType::PULL_REQUEST, MirroredKind::PullRequest),
        (ResourceType::MILESTONE, MirroredKind::Milestone),
        (ResourceType::LABEL, MirroredKind::Label),
        (ResourceType::RELEASE, MirroredKind::Release),
        (ResourceType::WORKFLOW_RUN, MirroredKind::WorkflowRun),
        (ResourceType::PROJECT, MirroredKind::Project),
        (ResourceType::DRAFT_ISSUE, MirroredKind::DraftIssue),
    ];
    let mut kinds = KINDS.iter();
    let (_, kind) = kinds.find(|(known, _)| known == resource)?;
    Some(*kind)
}

/// Whether resources of a kind belong to their owner, not to a repository.
pub(crate) const fn is_of_owner(kind: MirroredKind) -> bool {
    matches!(
        kind,
        MirroredKind::Project
            | MirroredKind::DraftIssue
            | MirroredKind::ProjectField
            | MirroredKind::ProjectView
            | MirroredKind::ProjectItem
    )
}

/// Whether a state of a kind is about a resource that has a state of its own, under the same node id.
pub(super) const fn is_second_state(kind: MirroredKind) -> bool {
    matches!(kind, MirroredKind::PullState | MirroredKind::IssueLinks)
}

/// Whether resources of a kind have a number that GitHub shows, not an id alone.
pub(super) const fn is_numbered(kind: MirroredKind) -> bool {
    matches!(
        kind,
        MirroredKind::Issue
            | MirroredKind::PullRequest
            | MirroredKind::Milestone
            | MirroredKind::Project
    )
}

/// The address, the kind and the number in a resource's URI; `None` for a list of events.
pub(super) fn parts_of(uri: &ResourceUri) -> Option<(String, MirroredKind, u64)> {
    let address = uri.place()?.to_string();
    match uri {
        ResourceUri::Events { .. } => None,
        ResourceUri::Numbered {
            collection, number, ..
        } => Some((address, MirroredKind::parse(collection)?, *number)),
        ResourceUri::Project { number, .. } => Some((address, MirroredKind::Project, *number)),
    }
}

impl MirrorKey {
    /// The resource of an event; `None` if it is not mirrored, or its place or number is not known.
    pub(super) fn of(facts: &EventFacts) -> Option<Self> {
        let kind = kind_of(&facts.resource_type)?;
        let owner = facts.owner.as_deref()?.to_ascii_lowercase();
        let (address, id) = match is_of_owner(kind) {
            true => (owner, facts.ids.owner.map(PlaceId::Owner)),
            false => {
                let repo = facts.repo.as_deref()?.to_ascii_lowercase();
                let id = facts.ids.repository.map(PlaceId::Repository);
                (format!("{owner}/{repo}"), id)
            }
        };
        let number = match kind {
            MirroredKind::Repository => facts.ids.repository?.0,
            kind if is_numbered(kind) => facts.number?,
            _ => facts.ids.resource?,
        };
        let named = || MirroredPlace::Named(address.into());
        Some(Self {
            place: id.map_or_else(named, MirroredPlace::Known),
            kind,
            number,
        })
    }

    /// A resource in a list.
    pub(super) fn listed(place: &ListedPlace, kind: MirroredKind, number: u64) -> Self {
        Self {
            place: MirroredPlace::Known(place.id()),
            kind,
            number,
        }
    }

    /// The first and the last key that a kind in a place may have; of all kinds without one.
    pub(super) fn bounds(place: &MirroredPlace, kind: Option<MirroredKind>) -> (Self, Self) {
        let [first, .., last] = MirroredKind::ALL;
        let key = |kind, number| Self {
            place: place.clone(),
            kind,
            number,
        };
        (
            key(kind.unwrap_or(first), 0),
            key(kind.unwrap_or(last), u64::MAX),
        )
    }

    /// The same resource in a place that was only known by a name, after that was renamed.
    pub(super) fn renamed(&self, from: PlaceName<'_>, to: PlaceName<'_>) -> Option<Self> {
        let MirroredPlace::Named(address) = &self.place else {
            return None;
        };
        let name = PlaceName::read(address);
        let is_whole_owner = from.repo.is_none();
        let part = PlaceName {
            repo: name.repo.filter(|_| !is_whole_owner),
            ..name
        };
        let renamed = PlaceName {
            repo: if is_whole_owner { name.repo } else { to.repo },
            ..to
        };
        part.is_same(&from).then(|| Self {
            place: MirroredPlace::Named(renamed.to_string().to_ascii_lowercase().into()),
            ..self.clone()
        })
    }
}

/// A URI with another place.
pub(super) fn moved(uri: &ResourceUri, to: PlaceName<'_>) -> ResourceUri {
    let mut moved = uri.clone();
    match (&mut moved, to.repo) {
        (ResourceUri::Numbered { owner, repo, .. }, Some(name)) => {
            to.owner.clone_into(owner);
            name.clone_into(repo);
        }
        (ResourceUri::Project { owner, .. }, _) => to.owner.clone_into(owner),
        _ => {}
    }
    moved
}
