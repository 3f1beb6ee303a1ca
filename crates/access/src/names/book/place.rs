//! Names as keys, and what is known of the one who has or had them.

use model::{OwnerId, PlaceId, PlaceName, Sequence};

use super::super::change::key_of;

/// The owner in whom a repository has its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum OwnerKey {
    Id(OwnerId),
    /// Of whom no event has shown the id; in lower case.
    Login(Box<str>),
}

/// What a name is compared by. A repository's is within its owner's id, so that it goes along when the owner gets
/// another login, and never means what another owner of that login has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum NameKey {
    /// In lower case.
    Login(Box<str>),
    /// The repository's part is in lower case.
    Repository(OwnerKey, Box<str>),
}

impl NameKey {
    pub(super) fn login(login: &str) -> Self {
        Self::Login(key_of(login).into())
    }

    pub(super) fn repository(owner: OwnerKey, repo: &str) -> Self {
        Self::Repository(owner, key_of(repo).into())
    }

    /// Whether the owner's id is missing.
    pub(super) const fn is_by_login(&self) -> bool {
        matches!(self, Self::Repository(OwnerKey::Login(_), _))
    }
}

/// The holder of a name from a position on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) id: PlaceId,
    pub(super) since: Sequence,
    /// When GitHub sent the event that showed it so, in units of 100 ns.
    pub(super) sent: Option<u64>,
}

/// A name that a place has had, as GitHub spells it, and the position since which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameSince {
    pub(super) name: String,
    pub(super) since: Sequence,
}

/// The name that a place has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PresentName {
    pub(super) key: NameKey,
    /// As an event has shown it; the owner may have been renamed since.
    pub(super) spelt: String,
}

impl PresentName {
    pub(super) fn is_spelt(&self, name: &PlaceName<'_>) -> bool {
        PlaceName::read(&self.spelt).is_same(name)
    }
}

/// What is known of the names of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownPlace {
    /// `None`: another one has its name, and no event has shown its new one.
    pub(super) present: Option<PresentName>,
    /// Each that it has had; the present one stands last.
    pub(super) names: Vec<NameSince>,
    /// The position and the time of what is known of its present name.
    pub(super) since: Sequence,
    pub(super) sent: Option<u64>,
}

impl KnownPlace {
    /// Whether it has had several names, or has left its only one.
    pub(super) fn has_changed(&self) -> bool {
        self.names.len() > 1 || self.present.is_none()
    }

    pub(super) fn has_had(&self, name: &PlaceName<'_>) -> bool {
        let mut names = self.names.iter();
        names.any(|known| PlaceName::read(&known.name).is_same(name))
    }
}
