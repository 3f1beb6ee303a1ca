//! What names mean, and which names places have.

use model::{OwnerId, PlaceId, PlaceName, Sequence};

use super::{
    NameBook, NameChange,
    place::{Holder, NameKey, OwnerKey},
};
use crate::names::change::key_of;

/// What an event has shown of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::names) enum NameStanding {
    /// Nothing.
    Unheard,
    /// This id has it: an event has shown both together.
    Of(PlaceId),
    /// It is not known who has it: its holder left it, or no event has shown it since its owner's login changed.
    Open,
}

/// The last of the holders at a position, or now.
fn held(holders: &[Holder], at: Option<Sequence>) -> Option<PlaceId> {
    let mut holders = holders.iter().rev();
    let holder = holders.find(|holder| at.is_none_or(|at| holder.since <= at));
    holder.map(|holder| holder.id)
}

impl NameBook {
    /// Who has or had a login last.
    pub(super) fn login_holder(&self, login: &str, at: Option<Sequence>) -> Option<OwnerId> {
        match held(self.holders.get(&NameKey::login(login))?, at)? {
            PlaceId::Owner(id) => Some(id),
            PlaceId::Repository(_) => None,
        }
    }

    /// The holders of a name within an owner.
    fn holders_in(&self, owner: Option<OwnerId>, name: PlaceName<'_>) -> Option<&Vec<Holder>> {
        let repo = name.repo?;
        let by_id = owner.and_then(|owner| {
            let key = NameKey::repository(OwnerKey::Id(owner), repo);
            self.holders.get(&key)
        });
        by_id.or_else(|| {
            let login = OwnerKey::Login(key_of(name.owner).into());
            self.holders.get(&NameKey::repository(login, repo))
        })
    }

    /// Whether a place has had several names, or has left its only one.
    pub(in crate::names) fn has_changed(&self, id: PlaceId) -> bool {
        let place = self.places.get(&id);
        place.is_some_and(super::KnownPlace::has_changed)
    }

    fn is_login_settled(&self, login: &str) -> bool {
        let holders = self.holders.get(&NameKey::login(login));
        holders.is_none_or(|holders| holders.len() == 1 && !self.has_changed(holders[0].id))
    }

    /// What a name meant at a position, or now: the one that held it last. A name that its holder left and nobody
    /// has taken still means that holder, as on GitHub. A repository of which nothing is known is one of its owner.
    /// `None`: the name has not changed, as far as is known.
    pub(in crate::names) fn meaning(
        &self,
        name: PlaceName<'_>,
        at: Option<Sequence>,
    ) -> Option<PlaceId> {
        let is_settled = self.is_login_settled(name.owner);
        let owner = self.login_holder(name.owner, at);
        let of_owner = owner.map(PlaceId::Owner).filter(|_| !is_settled);
        if name.repo.is_none() {
            return of_owner;
        }
        let Some(holders) = self.holders_in(owner, name) else {
            return of_owner;
        };
        match held(holders, at) {
            Some(id) if is_settled && holders.len() == 1 && !self.has_changed(id) => None,
            Some(id) => Some(id),
            None => of_owner,
        }
    }

    /// Whether events have shown who has a name now.
    pub(in crate::names) fn standing(&self, name: &str) -> NameStanding {
        let name = PlaceName::read(name);
        let owner = self.login_holder(name.owner, None);
        let has_owner = owner.is_none_or(|owner| self.is_called(owner.into_place(), name.owner));
        let Some(_) = name.repo else {
            return match owner {
                None => NameStanding::Unheard,
                Some(owner) if has_owner => NameStanding::Of(owner.into_place()),
                Some(_) => NameStanding::Open,
            };
        };
        let holder = self.holders_in(owner, name).and_then(|h| held(h, None));
        match holder {
            Some(id) if has_owner && self.is_called(id, &name.to_string()) => NameStanding::Of(id),
            None if self.is_login_settled(name.owner) => NameStanding::Unheard,
            _ => NameStanding::Open,
        }
    }

    /// Whether an event has shown a place under a name last.
    fn is_called(&self, id: PlaceId, name: &str) -> bool {
        let place = self.places.get(&id);
        let present = place.and_then(|place| place.present.as_ref());
        present.is_some_and(|present| present.is_spelt(&PlaceName::read(name)))
    }

    /// The name that a place has, with its owner's present login; `None` if that is not known.
    pub(in crate::names) fn current_name(&self, id: PlaceId) -> Option<String> {
        let present = self.places.get(&id)?.present.as_ref()?;
        let spelt = PlaceName::read(&present.spelt);
        let owner = match &present.key {
            NameKey::Repository(OwnerKey::Id(owner), _) => {
                let owner = self.places.get(&PlaceId::Owner(*owner));
                match owner {
                    Some(owner) => owner.present.as_ref()?.spelt.as_str(),
                    None => spelt.owner,
                }
            }
            _ => spelt.owner,
        };
        Some(PlaceName { owner, ..spelt }.to_string())
    }

    /// The present name of a place, if it or its owner has had several, and it is known.
    pub(in crate::names) fn present_name(&self, id: PlaceId) -> Option<String> {
        let owner = match &self.places.get(&id)?.present.as_ref()?.key {
            NameKey::Repository(OwnerKey::Id(owner), _) => Some(owner.into_place()),
            _ => None,
        };
        let has_changed = self.has_changed(id)
            || !self.is_first_of_name(id)
            || owner.is_some_and(|owner| self.has_changed(owner));
        self.current_name(id).filter(|_| has_changed)
    }

    /// All names that a place has had, with the present one; none if it has had one.
    pub(in crate::names) fn names(&self, id: PlaceId) -> Vec<String> {
        let present = self.present_name(id);
        if present.is_none() && !self.has_changed(id) {
            return Vec::new();
        }
        let names = self
            .places
            .get(&id)
            .into_iter()
            .flat_map(|place| &place.names);
        let mut names: Vec<_> = names.map(|known| known.name.clone()).collect();
        names.extend(present.filter(|present| !names.contains(present)));
        names
    }

    /// The holders of a name in the order in which they had it: of a repository, within whoever had the owner's login.
    pub(in crate::names) fn holders_of(
        &self,
        name: PlaceName<'_>,
        at: Option<Sequence>,
    ) -> Vec<PlaceId> {
        let holders = match name.repo {
            None => self.holders.get(&NameKey::login(name.owner)),
            Some(_) => self.holders_in(self.login_holder(name.owner, at), name),
        };
        let holders = holders.map_or(&[][..], Vec::as_slice);
        holders.iter().map(|holder| holder.id).collect()
    }

    /// Whether the name has had several holders.
    pub(in crate::names) fn has_changed_hands(&self, name: &str) -> bool {
        self.holders_of(PlaceName::read(name), None).len() > 1
    }

    /// Whether a place that was pinned under a name has another one now.
    pub(in crate::names) fn has_left(&self, id: PlaceId, name: &str) -> bool {
        if self.places.contains_key(&id) {
            let current = self.current_name(id);
            return current.is_none_or(|current| !current.eq_ignore_ascii_case(name));
        }
        let name = PlaceName::read(name);
        let owner = self.login_holder(name.owner, None);
        let Some(_) = name.repo else {
            return owner.is_some_and(|owner| owner.into_place() != id);
        };
        let holder = self.holders_in(owner, name).and_then(|h| held(h, None));
        holder.is_some_and(|holder| holder != id)
            || owner.is_some_and(|owner| !self.is_called(owner.into_place(), name.owner))
    }

    /// Whether events have shown a place under another name, or another place under this one.
    pub(in crate::names) fn is_elsewhere(&self, id: PlaceId, name: &str) -> bool {
        match self.standing(name) {
            NameStanding::Of(holder) => holder != id,
            NameStanding::Open | NameStanding::Unheard => self.places.contains_key(&id),
        }
    }

    /// The logins that were an owner's alone, with the position at which it left each of them; its present one is not
    /// among them.
    pub(in crate::names) fn left_logins(&self, owner: PlaceId) -> Vec<(String, Sequence)> {
        let Some(place) = self.places.get(&owner).filter(|place| place.has_changed()) else {
            return Vec::new();
        };
        let former = place
            .names
            .iter()
            .filter(|known| !self.is_called(owner, &known.name));
        let alone = former.filter(|known| {
            let holders = self.holders.get(&NameKey::login(&known.name));
            holders.is_some_and(|holders| holders.iter().all(|holder| holder.id == owner))
        });
        let mut left: Vec<_> = Vec::new();
        for known in alone {
            // A name is had until the next one.
            let mut later = place.names.iter().map(|other| other.since);
            let until = later.find(|since| *since > known.since);
            left.push((known.name.clone(), until.unwrap_or(place.since)));
        }
        left
    }

    /// Whether a place was the only one in its owner to have had its name.
    pub(in crate::names) fn is_first_of_name(&self, id: PlaceId) -> bool {
        let present = self
            .places
            .get(&id)
            .and_then(|place| place.present.as_ref());
        let holders = present.and_then(|present| self.holders.get(&present.key));
        holders.is_some_and(|holders| holders.len() == 1)
    }

    /// The place to which a name within an owner led at a position.
    pub(in crate::names) fn led_to(
        &self,
        (name, owner): (PlaceName<'_>, Option<OwnerId>),
        at: Sequence,
    ) -> Option<PlaceId> {
        let holders = match name.repo {
            None => self.holders.get(&NameKey::login(name.owner)),
            Some(_) => {
                let owner = owner.or_else(|| self.login_holder(name.owner, Some(at)));
                self.holders_in(owner, name)
            }
        };
        held(holders?, Some(at))
    }

    /// The changes after a position of the log, in its order.
    pub(in crate::names) fn changes_after(
        &self,
        position: Sequence,
    ) -> impl Iterator<Item = &NameChange> {
        let is_after =
            move |change: &&NameChange| Some(change.epoch) == self.epoch && change.at > position;
        self.changes.iter().filter(is_after)
    }
}

/// The id of an owner as that of a place.
trait IntoPlace {
    fn into_place(self) -> PlaceId;
}

impl IntoPlace for OwnerId {
    fn into_place(self) -> PlaceId {
        PlaceId::Owner(self)
    }
}
