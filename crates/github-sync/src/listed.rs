//! What GitHub's lists show: the form in which it goes from the lists to the mirror.

use bytes::Bytes;
use model::{OwnerId, PlaceId, PlaceName, RepositoryId, ResourceId, Timestamp};
use ports::MirroredKind;
use serde::{Deserialize, Serialize};

/// A repository, or an owner, whose state is mirrored, as GitHub's own object of it says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ListedPlace {
    /// Login of the owner, as GitHub spells it.
    pub(crate) owner: String,
    pub(crate) owner_id: OwnerId,
    /// The repository; `None` for what belongs to the owner itself.
    pub(crate) repository: Option<ListedRepository>,
}

impl ListedPlace {
    /// Its id, which outlives its name.
    pub(crate) fn id(&self) -> PlaceId {
        let repository = self.repository.as_ref();
        repository.map_or(PlaceId::Owner(self.owner_id), |repository| {
            PlaceId::Repository(repository.id)
        })
    }

    /// Its name, as GitHub spells it.
    pub(crate) fn name(&self) -> PlaceName<'_> {
        PlaceName {
            owner: &self.owner,
            repo: self.repository.as_ref().map(|known| known.name.as_str()),
        }
    }
}

/// The repository of a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ListedRepository {
    /// Its name, as GitHub spells it.
    pub(crate) name: String,
    pub(crate) id: RepositoryId,
}

/// The state of a resource, as one of GitHub's lists shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ListedObject {
    pub(crate) kind: MirroredKind,
    /// Its number, or its id where it has none.
    pub(crate) number: u64,
    pub(crate) node_id: ResourceId,
    /// GitHub's time of its last change; that of its creation where it has none (a run), and that of the answer where it has
    /// neither (a label), or another one (a release of an older server).
    pub(crate) updated_at: Timestamp,
    /// GitHub's object.
    pub(crate) json: Bytes,
    /// Whether it is the resource's own object, not a partial view of it.
    pub(crate) whole: bool,
}

/// Whether a kind is in no list of the REST API: it is read with GraphQL, as a detail of a resource that is.
pub(crate) const fn is_detail(kind: MirroredKind) -> bool {
    matches!(
        kind,
        MirroredKind::ProjectField
            | MirroredKind::ProjectView
            | MirroredKind::ProjectItem
            | MirroredKind::PullState
            | MirroredKind::IssueLinks
    )
}
