//! The owners and repositories that a principal was granted by name, and what the names mean.

use std::{
    cmp::Ordering,
    sync::{Arc, OnceLock},
};

use model::{
    EventFacts, GithubIds, OwnerId, PlaceId, PlaceName, Rename, RepositoryId, ResourceUri,
};

use crate::names::{NameDirectory, NamedRights, Pin};

/// Both lists are sorted and in lower case, so that a check takes a few comparisons and no
/// allocation; each name has its pin at the same place.
#[derive(Debug, Default)]
pub(crate) struct VisibleNames {
    owners: Box<[Box<str>]>,
    repositories: Box<[(Box<str>, Box<str>)]>,
    owner_pins: Box<[Pin]>,
    repository_pins: Box<[Pin]>,
    /// Without one, names are compared as names.
    directory: OnceLock<Arc<NameDirectory>>,
}

impl PartialEq for VisibleNames {
    fn eq(&self, other: &Self) -> bool {
        (&self.owners, &self.repositories) == (&other.owners, &other.repositories)
    }
}

impl Eq for VisibleNames {}

impl NamedRights for VisibleNames {
    fn names(&self) -> Vec<String> {
        let owners = self.owners().map(ToOwned::to_owned);
        owners.chain(self.repositories()).collect()
    }

    fn pin(&self, name: &str, id: u64, has_left: bool) {
        if let Some(pin) = self.pin_of(name) {
            pin.set(id, has_left);
        }
    }

    fn set_vacant(&self, name: &str) {
        if let Some(pin) = self.pin_of(name) {
            pin.set_vacant();
        }
    }

    fn set_left(&self, name: &str, has_left: &dyn Fn(PlaceId) -> bool) {
        if let Some(pin) = self.pin_of(name)
            && let Some(id) = pin.id()
        {
            let id = match name.contains('/') {
                true => PlaceId::Repository(RepositoryId(id)),
                false => PlaceId::Owner(OwnerId(id)),
            };
            pin.set_left(has_left(id));
        }
    }
}

impl VisibleNames {
    /// Of sorted lists, each name once.
    pub(super) fn new(owners: Vec<Box<str>>, repositories: Vec<(Box<str>, Box<str>)>) -> Self {
        Self {
            owner_pins: owners.iter().map(|_| Pin::default()).collect(),
            repository_pins: repositories.iter().map(|_| Pin::default()).collect(),
            owners: owners.into(),
            repositories: repositories.into(),
            directory: OnceLock::new(),
        }
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.iter().map(AsRef::as_ref)
    }

    pub(super) fn repositories(&self) -> impl Iterator<Item = String> {
        let repositories = self.repositories.iter();
        repositories.map(|(owner, repo)| format!("{owner}/{repo}"))
    }

    /// Uses a directory of names; `false` if it already uses one.
    pub(super) fn set_directory(&self, directory: &Arc<NameDirectory>) -> bool {
        self.directory.set(Arc::clone(directory)).is_ok()
    }

    /// Whether everything was granted that was granted to `other`, by name.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut repositories = other.repositories.iter();
        let owns = |owner: &str| self.owner_pin(owner).is_some();
        other.owners().all(owns)
            && repositories
                .all(|(owner, repo)| owns(owner) || self.repository_pin(owner, repo).is_some())
    }

    /// Whether the event may be seen.
    pub(super) fn shows(&self, event: &EventFacts) -> bool {
        let ids = event.ids;
        if self.has_pinned(ids) {
            return true;
        }
        let Some(owner) = event.owner.as_deref() else {
            return false;
        };
        let by_owner = self.owner_pin(owner);
        let by_owner = by_owner.is_some_and(|pin| pin.admits_name(ids.owner.map(|id| id.0)));
        let by_repository = || {
            let pin = self.repository_pin(owner, event.repo.as_deref()?)?;
            Some(pin.admits_name(ids.repository.map(|id| id.0)))
        };
        by_owner || by_repository().unwrap_or(false) || self.shows_end(event)
    }

    /// Whether one of the ids is what a name means.
    fn has_pinned(&self, ids: GithubIds) -> bool {
        let is = |id: u64| move |pin: &Pin| pin.is(id);
        ids.repository
            .is_some_and(|id| self.repository_pins.iter().any(is(id.0)))
            || ids
                .owner
                .is_some_and(|id| self.owner_pins.iter().any(is(id.0)))
    }

    /// Whether what has these ids may be seen, and has this name.
    pub(super) fn shows_place(&self, name: PlaceName<'_>, ids: GithubIds) -> bool {
        let is_open = |pin: &Pin| pin.is(0);
        let by_repository = |repo| self.repository_pin(name.owner, repo).is_some_and(is_open);
        self.has_pinned(ids)
            || self.owner_pin(name.owner).is_some_and(is_open)
            || name.repo.is_some_and(by_repository)
    }

    /// Whether the event ends an address that may be seen: who saw it there learns where it is now. What is pinned
    /// is known by its id; a name that has had several holders does not say whose it was.
    fn shows_end(&self, event: &EventFacts) -> bool {
        let ended = event.former.as_ref().and_then(|_| event.rename());
        let Some(Rename { from, .. }) = ended else {
            return false;
        };
        let owner = PlaceName { repo: None, ..from };
        let is_open =
            |pin: Option<&Pin>, name| pin.is_some_and(|pin| pin.is(0)) && !self.is_ambiguous(name);
        match from.repo {
            None => is_open(self.owner_pin(from.owner), from),
            Some(repo) => {
                (self.shows_owner(from.owner) && !self.is_ambiguous(owner))
                    || is_open(self.repository_pin(from.owner, repo), from)
            }
        }
    }

    /// Whether the resource may be read and subscribed to, by the names of this moment.
    pub(super) fn shows_uri(&self, uri: &ResourceUri) -> bool {
        match uri {
            ResourceUri::Events { owner: None, .. } => true,
            ResourceUri::Events {
                owner: Some(owner),
                repo: None,
            } => self.shows_owner(owner) || self.shows_some_repository_of(owner),
            ResourceUri::Events {
                owner: Some(owner),
                repo: Some(repo),
            }
            | ResourceUri::Numbered { owner, repo, .. } => self.shows_repository(owner, repo),
            ResourceUri::Project { owner, .. } => self.shows_owner(owner),
        }
    }

    /// Whether content of the repository may be seen that an event of another one has, with these ids as far as it
    /// has them.
    pub(super) fn shows_content_of(&self, owner: &str, repo: &str, ids: GithubIds) -> bool {
        let name = PlaceName {
            owner,
            repo: Some(repo),
        };
        let is_sure = !self.is_ambiguous(name);
        // A name that changed, and had one holder, is known as well.
        let known = || self.known_ids(name, ids);
        self.has_pinned(ids)
            || (is_sure && (self.shows_place(name, ids) || self.has_pinned(known())))
    }

    /// Ids that are missing, where the directory has the very name.
    fn known_ids(&self, name: PlaceName<'_>, ids: GithubIds) -> GithubIds {
        let has_name = |id: &PlaceId, name: PlaceName<'_>| {
            let directory = self.directory.get();
            let names = directory
                .map(|names| names.names_of(*id))
                .unwrap_or_default();
            names
                .iter()
                .any(|known| PlaceName::read(known).is_same(&name))
        };
        let meaning = |name| self.meaning(name).filter(|id| has_name(id, name));
        let login = PlaceName { repo: None, ..name };
        let repository = match (ids.repository, meaning(name)) {
            (None, Some(PlaceId::Repository(id))) => Some(id),
            (given, _) => given,
        };
        let owner = match (ids.owner, meaning(login)) {
            (None, Some(PlaceId::Owner(id))) => Some(id),
            (given, _) => given,
        };
        GithubIds {
            owner,
            repository,
            ..ids
        }
    }

    /// Whether the name alone does not say whose it was.
    fn is_ambiguous(&self, name: PlaceName<'_>) -> bool {
        let directory = self.directory.get();
        directory.is_some_and(|names| names.has_changed_hands(name))
    }

    fn meaning(&self, name: PlaceName<'_>) -> Option<PlaceId> {
        self.directory.get()?.now().meaning(name)
    }

    fn present_name(&self, id: PlaceId) -> Option<String> {
        self.directory.get()?.present_name(id)
    }

    fn shows_owner(&self, owner: &str) -> bool {
        let pin = self.owner_pin(owner);
        match self.meaning(PlaceName { owner, repo: None }) {
            Some(PlaceId::Owner(id)) => {
                self.owner_pins.iter().any(|pin| pin.is(id.0)) || pin.is_some_and(|pin| pin.is(0))
            }
            _ => pin.is_some_and(Pin::is_current),
        }
    }

    fn shows_repository(&self, owner: &str, repo: &str) -> bool {
        let name = PlaceName {
            owner,
            repo: Some(repo),
        };
        let pin = self.repository_pin(owner, repo);
        let id = match self.meaning(name) {
            Some(PlaceId::Repository(id)) => id,
            meaning => {
                let went_with = |id| self.shows_with_owner(id, repo);
                return pin.is_some_and(Pin::is_current)
                    || self.shows_owner(owner)
                    || meaning.is_some_and(went_with);
            }
        };
        let mut pins = self.repository_pins.iter();
        if pins.any(|pin| pin.is(id.0)) || pin.is_some_and(|pin| pin.is(0)) {
            return true;
        }
        // It may have left the owner that its name has here.
        let present = self.present_name(PlaceId::Repository(id));
        let owner = present
            .as_deref()
            .map_or(owner, |name| PlaceName::read(name).owner);
        self.shows_owner(owner)
    }

    /// Whether a repository may be seen that has its name still, while its owner has another one. Under a login that
    /// has had two holders it is not known whose it was.
    fn shows_with_owner(&self, owner: PlaceId, repo: &str) -> bool {
        let Some(directory) = self.directory.get() else {
            return false;
        };
        directory.names_of(owner).iter().any(|login| {
            let pin = self.repository_pin(login, repo).and_then(Pin::id);
            let id = pin.map(|id| PlaceId::Repository(RepositoryId(id)));
            id.is_some_and(|id| self.is_with(owner, id, repo))
                && !self.is_ambiguous(PlaceName::read(login))
        })
    }

    /// Whether a repository has this name, and belongs to this owner.
    fn is_with(&self, owner: PlaceId, id: PlaceId, repo: &str) -> bool {
        let Some(present) = self.present_name(id) else {
            return true;
        };
        let present = PlaceName::read(&present);
        let login = PlaceName {
            repo: None,
            ..present
        };
        let has_name = present
            .repo
            .is_some_and(|name| name.eq_ignore_ascii_case(repo));
        has_name && self.meaning(login) == Some(owner)
    }

    /// Whether a repository that may be seen belongs to the owner now. It is no more than a list that may have
    /// something in it.
    fn shows_some_repository_of(&self, owner: &str) -> bool {
        let present_login = |login: &str| {
            let owner = PlaceName {
                owner: login,
                repo: None,
            };
            let present = self.meaning(owner).and_then(|id| self.present_name(id));
            present.unwrap_or_else(|| login.to_owned())
        };
        let owner = present_login(owner);
        let mut repositories = self.repositories.iter().zip(&self.repository_pins);
        repositories.any(|((login, _), pin)| {
            let id = pin.id().filter(|_| !pin.is_current());
            let id = id.map(|id| PlaceId::Repository(RepositoryId(id)));
            let present = id.and_then(|id| self.present_name(id));
            let login = match present.as_deref() {
                Some(name) => PlaceName::read(name).owner.to_owned(),
                None => present_login(login),
            };
            login.eq_ignore_ascii_case(&owner)
        })
    }

    fn pin_of(&self, name: &str) -> Option<&Pin> {
        let name = PlaceName::read(name);
        match name.repo {
            None => self.owner_pin(name.owner),
            Some(repo) => self.repository_pin(name.owner, repo),
        }
    }

    fn owner_pin(&self, owner: &str) -> Option<&Pin> {
        let found = self
            .owners
            .binary_search_by(|known| compare_ignoring_case(known, owner));
        found.ok().map(|place| &self.owner_pins[place])
    }

    fn repository_pin(&self, owner: &str, repo: &str) -> Option<&Pin> {
        let found = self
            .repositories
            .binary_search_by(|(known_owner, known_repo)| {
                compare_ignoring_case(known_owner, owner)
                    .then_with(|| compare_ignoring_case(known_repo, repo))
            });
        found.ok().map(|place| &self.repository_pins[place])
    }
}

/// Compares a name in lower case with one in any case.
fn compare_ignoring_case(known: &str, given: &str) -> Ordering {
    known
        .bytes()
        .cmp(given.bytes().map(|b| b.to_ascii_lowercase()))
}
