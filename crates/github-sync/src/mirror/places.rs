//! Owners and repositories by their ids: who has an address now, as the events show it.
//!
//! Every event shows its owner and its repository under the names of its time. A rename moves what it names; the rename
//! of an owner moves its repositories, and so does any event on time that shows the owner under another login. What is
//! late, or was made before what is known, changes no present address.

use model::{EventFacts, GithubIds, OwnerId, PlaceId, PlaceName, Rename, RepositoryId, ResourceId};

use super::{addresses::AddressBook, version::EventMoment};
use crate::limits::MAX_MIRRORED_PLACES;

/// The index of addresses.
#[derive(Debug)]
pub(super) struct PlaceIndex {
    owners: AddressBook<OwnerId>,
    repositories: AddressBook<RepositoryId>,
}

impl PlaceIndex {
    pub(super) fn new() -> Self {
        Self {
            owners: AddressBook::new(MAX_MIRRORED_PLACES),
            repositories: AddressBook::new(MAX_MIRRORED_PLACES),
        }
    }

    /// An event shows the node id of its repository, which never changes.
    pub(super) fn name_repository(&mut self, facts: &EventFacts, node_id: ResourceId) {
        if let Some(id) = facts.ids.repository {
            self.repositories.set_node_id(id, node_id);
        }
    }

    pub(super) fn repository_node_id(&self, id: RepositoryId) -> Option<&ResourceId> {
        self.repositories.node_id(id)
    }

    /// Takes what an event says of addresses.
    pub(super) fn observe(&mut self, facts: &EventFacts, at: EventMoment, on_time: bool) {
        if let Some(rename) = facts.rename() {
            self.leave(&rename, at, on_time);
        }
        if let Some(owner) = facts.owner.as_deref() {
            let repo = facts.repo.as_deref();
            self.show(PlaceName { owner, repo }, facts.ids, at, on_time);
        }
    }

    /// An owner, and a repository of it, are shown under their names.
    pub(super) fn show(
        &mut self,
        name: PlaceName<'_>,
        ids: GithubIds,
        at: EventMoment,
        on_time: bool,
    ) {
        let login = name.owner.to_ascii_lowercase();
        if let Some(owner) = ids.owner {
            self.show_owner(owner, &login, at, on_time);
        }
        if let (Some(id), Some(repo)) = (ids.repository, name.repo) {
            let address = format!("{login}/{}", repo.to_ascii_lowercase());
            self.repositories.show(id, &address, ids.owner, at, on_time);
        }
    }

    fn leave(&mut self, rename: &Rename<'_>, at: EventMoment, on_time: bool) {
        let from = rename.from.to_string().to_ascii_lowercase();
        match rename.id {
            PlaceId::Owner(id) => self.owners.leave(id, &from, None, at, on_time),
            PlaceId::Repository(id) => {
                // Of a transfer the former owner is the one that has its login.
                let owner = rename.owner.or_else(|| self.owner_at(rename.from.owner));
                self.repositories.leave(id, &from, owner, at, on_time);
            }
        }
    }

    fn owner_at(&self, login: &str) -> Option<OwnerId> {
        let holder = self.owners.holder(&login.to_ascii_lowercase())?;
        Some(holder.id)
    }

    fn show_owner(&mut self, id: OwnerId, login: &str, at: EventMoment, on_time: bool) {
        let was_here = self.owners.is_at(id, login);
        self.owners.show(id, login, None, at, on_time);
        if was_here || !self.owners.is_at(id, login) {
            return;
        }
        for (repository, address) in self.repositories.in_owner(id, at) {
            if let Some((former, repo)) = address.split_once('/')
                && former != login
            {
                let address = format!("{login}/{repo}");
                self.repositories
                    .show(repository, &address, Some(id), at, on_time);
            }
        }
    }

    /// The owner that a login means: who has it, or who had it last if nobody has taken it.
    pub(super) fn owner(&self, login: &str) -> Option<OwnerId> {
        self.owners.holder(login).map(|holder| holder.id)
    }

    /// The repository that an address means: its present holder, or the one that left it if nobody has taken it. Under
    /// a login that another owner has taken, only what belongs to that one is meant.
    pub(super) fn repository(&self, address: &str) -> Option<RepositoryId> {
        let (login, repo) = address.split_once('/')?;
        let owner = self.owners.holder(login).map(|holder| holder.id);
        let present = owner.filter(|owner| self.owners.is_at(*owner, login));
        if let Some(holder) = self.repositories.holder(address) {
            let is_of_another = present
                .zip(holder.owner)
                .is_some_and(|(present, then)| present != then);
            return (!is_of_another).then_some(holder.id);
        }
        // Its owner had another login when it was last heard of under this one.
        let owner = owner.filter(|_| present.is_none())?;
        let address = format!("{}/{repo}", self.owners.present(owner)?);
        let holder = self.repositories.holder(&address)?;
        let is_there = holder.owner == Some(owner) && self.repositories.is_at(holder.id, &address);
        is_there.then_some(holder.id)
    }

    /// Who has a name now, in any case; nobody has one that its last holder left.
    pub(super) fn holder(&self, name: &str) -> Option<PlaceId> {
        let name = name.to_ascii_lowercase();
        if name.contains('/') {
            let id = self.repository(&name)?;
            let is_here = self.repositories.is_at(id, &name);
            return is_here.then_some(PlaceId::Repository(id));
        }
        let id = self.owner(&name)?;
        let is_here = self.owners.is_at(id, &name);
        is_here.then_some(PlaceId::Owner(id))
    }

    /// The repositories of which the present address is known to be one of this login's owner, in the order of their ids.
    pub(super) fn repositories_of(&self, login: &str) -> Vec<RepositoryId> {
        self.repositories.present_in(self.owner(login), login)
    }

    /// The present address of a place, if it is known.
    pub(super) fn present(&self, id: PlaceId) -> Option<PlaceName<'_>> {
        let address = match id {
            PlaceId::Owner(id) => self.owners.present(id),
            PlaceId::Repository(id) => self.repositories.present(id),
        };
        address.map(PlaceName::read)
    }

    /// The ids by which it is decided who may see what is in a place.
    pub(super) fn ids(&self, id: PlaceId) -> GithubIds {
        match id {
            PlaceId::Owner(owner) => GithubIds {
                owner: Some(owner),
                ..GithubIds::default()
            },
            PlaceId::Repository(repository) => GithubIds {
                owner: self.repositories.owner_of(repository),
                repository: Some(repository),
                resource: None,
            },
        }
    }

    /// Whether the address, or its login, has had several holders.
    pub(super) fn has_changed_hands(&self, address: &str) -> bool {
        match address.split_once('/') {
            None => self.owners.has_changed_hands(address),
            Some((login, _)) => {
                self.owners.has_changed_hands(login) || self.repositories.has_changed_hands(address)
            }
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [[usize; 3]; 2] {
        [self.owners.sizes(), self.repositories.sizes()]
    }
}
