//! Which id has an address, and which addresses an id has had.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use model::{OwnerId, ResourceId};

use super::version::EventMoment;
use crate::limits::MAX_ADDRESSES_OF_PLACE;

/// Who has an address, or had it last. The holder may have another address by now.
#[derive(Debug, Clone, Copy)]
pub(super) struct AddressHolder<I> {
    pub(super) id: I,
    /// Of a repository: its owner at that address, if an event has said it.
    pub(super) owner: Option<OwnerId>,
    /// The newest event that showed it here.
    at: EventMoment,
    /// Another one had it before.
    is_second: bool,
}

/// What is known of an owner or a repository.
#[derive(Debug)]
struct KnownPlace {
    /// Its address according to the newest event.
    address: Box<str>,
    /// Somebody else has been shown there since: where this one is now is not known.
    is_displaced: bool,
    owner: Option<OwnerId>,
    node_id: Option<ResourceId>,
    at: EventMoment,
    /// All its addresses, the oldest first.
    all: Vec<Box<str>>,
    last_use: u64,
}

/// The addresses of owners, or of repositories, in lower case.
#[derive(Debug)]
pub(super) struct AddressBook<I> {
    places: HashMap<I, KnownPlace>,
    holders: HashMap<Box<str>, AddressHolder<I>>,
    /// In order of the last event, oldest first.
    by_use: BTreeMap<u64, I>,
    uses: u64,
    max: usize,
}

impl<I: Copy + Ord + Hash> AddressBook<I> {
    /// Knows up to `max` places; the ones of which nothing was heard for longest are forgotten.
    pub(super) fn new(max: usize) -> Self {
        Self {
            places: HashMap::new(),
            holders: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            max,
        }
    }

    /// An event shows an id at an address. One that is late, or older than what is known, adds a former address at
    /// most.
    pub(super) fn show(
        &mut self,
        id: I,
        address: &str,
        owner: Option<OwnerId>,
        at: EventMoment,
        on_time: bool,
    ) {
        let known = self.places.get(&id);
        let is_newest = known.is_none_or(|known| on_time && at >= known.at);
        let holds = self.hold(id, address, owner, at, on_time);
        let last_use = self.use_of(id);
        let place = self.places.entry(id).or_insert_with(|| KnownPlace {
            address: address.into(),
            is_displaced: !holds,
            owner,
            node_id: None,
            at,
            all: Vec::new(),
            last_use,
        });
        place.last_use = last_use;
        if is_newest {
            let same_login = login_of(&place.address) == login_of(address);
            place.owner = owner.or(place.owner.filter(|_| same_login));
            place.address = address.into();
            place.is_displaced = !holds;
            place.at = at;
        }
        self.add(id, address);
        self.forget_oldest();
    }

    /// An id left an address; one that is known to have it now keeps it.
    pub(super) fn leave(
        &mut self,
        id: I,
        address: &str,
        owner: Option<OwnerId>,
        at: EventMoment,
        on_time: bool,
    ) {
        let other = self.holder(address).filter(|holder| holder.id != id);
        let is_kept = other.is_some_and(|other| self.is_at(other.id, address));
        self.hold(id, address, owner, at, on_time && !is_kept);
        if self.places.contains_key(&id) {
            self.add(id, address);
        }
    }

    /// Whether the id is the last one that was shown at the address, with this event.
    fn hold(
        &mut self,
        id: I,
        address: &str,
        owner: Option<OwnerId>,
        at: EventMoment,
        on_time: bool,
    ) -> bool {
        let Some(holder) = self.holders.get_mut(address) else {
            let holder = AddressHolder {
                id,
                owner,
                at,
                is_second: false,
            };
            self.holders.insert(address.into(), holder);
            return true;
        };
        if holder.id == id {
            if at > holder.at {
                holder.at = at;
                holder.owner = owner.or(holder.owner);
            }
            return true;
        }
        if !on_time || at < holder.at {
            holder.is_second = true;
            return false;
        }
        let former = std::mem::replace(
            holder,
            AddressHolder {
                id,
                owner,
                at,
                is_second: true,
            },
        );
        if let Some(displaced) = self.places.get_mut(&former.id)
            && &*displaced.address == address
        {
            displaced.is_displaced = true;
        }
        true
    }

    /// Remembers an address of an id, within the bound.
    fn add(&mut self, id: I, address: &str) {
        let Some(place) = self.places.get_mut(&id) else {
            return;
        };
        place.all.retain(|known| &**known != address);
        place.all.push(address.into());
        if place.all.len() <= MAX_ADDRESSES_OF_PLACE {
            return;
        }
        let oldest = place.all.iter().position(|known| *known != place.address);
        let oldest = place.all.remove(oldest.unwrap_or_default());
        self.release(id, &oldest);
    }

    fn release(&mut self, id: I, address: &str) {
        let is_held = |holder: &AddressHolder<I>| holder.id == id;
        if self.holders.get(address).is_some_and(is_held) {
            self.holders.remove(address);
        }
    }

    fn use_of(&mut self, id: I) -> u64 {
        self.uses += 1;
        if let Some(place) = self.places.get(&id) {
            self.by_use.remove(&place.last_use);
        }
        self.by_use.insert(self.uses, id);
        self.uses
    }

    fn forget_oldest(&mut self) {
        if self.places.len() <= self.max {
            return;
        }
        let Some((_, id)) = self.by_use.pop_first() else {
            return;
        };
        if let Some(place) = self.places.remove(&id) {
            place.all.iter().for_each(|known| self.release(id, known));
        }
    }

    /// Who has the address, or had it last.
    pub(super) fn holder(&self, address: &str) -> Option<AddressHolder<I>> {
        self.holders.get(address).copied()
    }

    /// Whether several ids have had the address.
    pub(super) fn has_changed_hands(&self, address: &str) -> bool {
        self.holder(address).is_some_and(|holder| holder.is_second)
    }

    /// The present address of an id; `None` if it is not known.
    pub(super) fn present(&self, id: I) -> Option<&str> {
        let place = self.places.get(&id)?;
        (!place.is_displaced).then_some(&*place.address)
    }

    /// Whether an id has this address now.
    pub(super) fn is_at(&self, id: I, address: &str) -> bool {
        self.present(id) == Some(address)
    }

    /// The present owner of a repository.
    pub(super) fn owner_of(&self, id: I) -> Option<OwnerId> {
        self.places.get(&id)?.owner
    }

    /// An event shows the node id of a place that is known.
    pub(super) fn set_node_id(&mut self, id: I, node_id: ResourceId) {
        if let Some(place) = self.places.get_mut(&id) {
            place.node_id = Some(node_id);
        }
    }

    pub(super) fn node_id(&self, id: I) -> Option<&ResourceId> {
        self.places.get(&id)?.node_id.as_ref()
    }

    /// The last known addresses of what belonged to an owner before an event. One that was displaced comes before the
    /// one that displaced it.
    pub(super) fn in_owner(&self, owner: OwnerId, before: EventMoment) -> Vec<(I, Box<str>)> {
        let places = self.places.iter();
        let of_owner = places.filter(|(_, place)| place.owner == Some(owner) && place.at < before);
        let mut of_owner: Vec<_> = of_owner.collect();
        of_owner.sort_by_key(|(_, place)| (!place.is_displaced, place.at));
        let addresses = of_owner.into_iter();
        addresses
            .map(|(id, place)| (*id, place.address.clone()))
            .collect()
    }

    /// What an owner has at known addresses, in order; where no event has said the owner, its login decides.
    pub(super) fn present_in(&self, owner: Option<OwnerId>, login: &str) -> Vec<I> {
        let places = self.places.iter().filter(|(_, place)| !place.is_displaced);
        let of_owner = places.filter(|(_, place)| match place.owner {
            Some(id) => Some(id) == owner,
            None => login_of(&place.address) == login,
        });
        let mut ids: Vec<I> = of_owner.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.places.len(), self.holders.len(), self.by_use.len()]
    }
}

fn login_of(address: &str) -> &str {
    address.split_once('/').map_or(address, |(login, _)| login)
}
