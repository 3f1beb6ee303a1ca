//! Which name is which owner's or repository's, since which position of the log.
//!
//! It is derived from the log alone, so every edge has the same one: a rename event says that an id has another name,
//! and so does every other event that shows an id under a name that it has not had; an event that shows a name under
//! another id says that the name has a new holder. A late event says what was, and changes nothing that is. Of a name
//! that has not changed, name and id say the same: nothing is answered of it.

mod meaning;
mod place;
mod reading;

use std::collections::{HashMap, VecDeque};

use model::{Epoch, OwnerId, PlaceId, PlaceName, Sequence};

use super::{
    change::{NameChange, ShownPlace},
    shown::ShownPlaces,
};
use crate::limits::{MAX_HOLDERS_OF_NAME, MAX_NAME_CHANGES, MAX_NAMES_OF_PLACE};
use place::{Holder, KnownPlace, NameKey, NameSince, OwnerKey, PresentName};

pub(super) use meaning::NameStanding;
pub(super) use reading::NameReading;

/// When a place had a former name.
#[derive(Debug, Clone, Copy)]
enum ToldName {
    /// Until the event at this position.
    UntilNow(Sequence),
    /// At some time before the event at this position.
    Once(Sequence),
}

/// The book.
#[derive(Debug, Default)]
pub(super) struct NameBook {
    epoch: Option<Epoch>,
    /// In the order of the log.
    changes: VecDeque<NameChange>,
    /// The name under which each place was shown last.
    shown: ShownPlaces,
    /// The holders of each name, in the order in which they had it.
    holders: HashMap<NameKey, Vec<Holder>>,
    places: HashMap<PlaceId, KnownPlace>,
}

impl NameBook {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.shown.is_empty()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &NameChange> {
        self.changes.iter()
    }

    /// The log that is followed. Positions of another one are before all of it.
    /// Returns whether it is another one.
    pub(super) fn set_epoch(&mut self, epoch: Epoch) -> bool {
        let is_other = self.epoch.replace(epoch) != Some(epoch);
        if is_other {
            self.rebuild();
        }
        is_other
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.unwrap_or(Epoch(0))
    }

    /// The log lost what came after a position. The changes happened at GitHub all the same.
    pub(super) fn set_back(&mut self, resumes_after: Sequence) {
        for change in &mut self.changes {
            if Some(change.epoch) == self.epoch {
                change.at = change.at.min(resumes_after);
            }
        }
        self.shown.set_back(self.epoch, resumes_after);
        self.rebuild();
    }

    /// Takes the changes that are stored, before what this edge has seen; returns whether they lack something.
    pub(super) fn merge(&mut self, stored: Vec<NameChange>) -> bool {
        if self.changes.iter().eq(&stored) {
            return false;
        }
        let own = std::mem::take(&mut self.changes);
        self.changes = stored.into();
        let before = self.changes.len();
        for change in own {
            if !self.changes.contains(&change) {
                self.changes.push_back(change);
            }
        }
        let has_more = self.changes.len() > before;
        let epoch = self.epoch;
        let place = |change: &NameChange| {
            let is_here = Some(change.epoch) == epoch;
            (is_here, is_here.then_some(change.at))
        };
        // Those of another log keep the order in which they are stored.
        self.changes.make_contiguous().sort_by_key(place);
        self.cut();
        self.rebuild();
        has_more
    }

    /// Takes a stored part of the places; returns whether it lacks something.
    pub(super) fn merge_shown(&mut self, part: usize, stored: Vec<ShownPlace>) -> bool {
        let (has_changed, has_more) = self.shown.merge(part, stored, self.epoch);
        if has_changed {
            self.rebuild();
        }
        has_more
    }

    pub(super) const fn shown(&mut self) -> &mut ShownPlaces {
        &mut self.shown
    }

    /// Takes what an event of the log says.
    pub(super) fn add(&mut self, reading: NameReading) {
        let has_new_changes = !reading.changes.is_empty();
        for change in reading.changes {
            self.apply(&change);
            self.changes.push_back(change);
        }
        for place in reading.shown {
            self.see(&place);
            if let Some(forgotten) = self.shown.set(place) {
                self.forget(forgotten);
            }
        }
        if has_new_changes && self.cut() {
            self.rebuild();
        }
    }

    /// Removes the oldest changes beyond the bound; returns whether there were any.
    fn cut(&mut self) -> bool {
        let beyond = self.changes.len().saturating_sub(MAX_NAME_CHANGES);
        self.changes.drain(..beyond);
        beyond > 0
    }

    fn rebuild(&mut self) {
        self.holders.clear();
        self.places.clear();
        let (changes, shown) = (
            std::mem::take(&mut self.changes),
            std::mem::take(&mut self.shown),
        );
        // What has changed had its first name before that.
        let mut changed: HashMap<PlaceId, &NameChange> = HashMap::new();
        for change in changes.iter().filter(|change| !change.late) {
            changed.entry(change.id).or_insert(change);
        }
        let places = shown.in_order(self.epoch);
        let same = places
            .iter()
            .filter(|place| !changed.contains_key(&place.id));
        let first = changed.values().filter_map(|change| first_name(change));
        let mut first: Vec<_> = same.map(|place| (*place).clone()).chain(first).collect();
        first.sort_by_key(|place| (self.is_here(place.epoch), place.at, place.id));
        first.iter().for_each(|place| self.see(place));
        changes.iter().for_each(|change| self.apply(change));
        for place in places
            .iter()
            .filter(|place| changed.contains_key(&place.id))
        {
            self.see(place);
        }
        // Where only the changes are stored.
        let owners = changes.iter().filter(|change| !change.late);
        owners.for_each(|change| self.imply_owner(PlaceName::read(&change.name), change.owner));
        (self.changes, self.shown) = (changes, shown);
    }

    fn is_here(&self, epoch: Epoch) -> bool {
        self.epoch.is_none_or(|here| here == epoch)
    }

    fn apply(&mut self, change: &NameChange) {
        let since = if self.is_here(change.epoch) {
            change.at
        } else {
            Sequence::START
        };
        let (id, name) = (change.id, PlaceName::read(&change.name));
        let told = match change.late {
            true => ToldName::Once(since),
            false => ToldName::UntilNow(since),
        };
        if let Some(from) = change.from.as_deref().map(PlaceName::read) {
            self.had((id, told), from, change.from_owner);
        }
        if change.late {
            self.had((id, told), name, change.owner);
            return;
        }
        let key = self.key(name, change.owner);
        if let Some(before) = change.before {
            let until_now = ToldName::UntilNow(since);
            self.had((before, until_now), name, change.owner);
        }
        self.leave(&key, id, since, change.sent);
        let holder = Holder {
            id,
            since,
            sent: change.sent,
        };
        self.hold(&key, holder);
        self.call(id, &change.name, since, Some(key));
        if let Some(place) = self.places.get_mut(&id) {
            (place.since, place.sent) = (since, change.sent);
        }
    }

    /// An event shows a place under a name that nobody else has.
    fn see(&mut self, shown: &ShownPlace) {
        let since = if self.is_here(shown.epoch) {
            shown.at
        } else {
            Sequence::START
        };
        let (id, name) = (shown.id, PlaceName::read(&shown.name));
        let key = self.key(name, shown.owner);
        if let Some(place) = self.places.get_mut(&id) {
            // Its owner's login may be another one, or its owner's id may have been unknown.
            if let Some(present) = &mut place.present
                && (present.key == key || present.is_spelt(&name))
            {
                present.spelt.clone_from(&shown.name);
                present.key = key.clone();
                let since = Sequence::START;
                self.hold(
                    &key,
                    Holder {
                        id,
                        since,
                        sent: shown.sent,
                    },
                );
            }
            return;
        }
        self.leave(&key, id, since, shown.sent);
        let is_first = !self.holders.contains_key(&key);
        let held_since = if is_first { Sequence::START } else { since };
        let holder = Holder {
            id,
            since: held_since,
            sent: shown.sent,
        };
        self.hold(&key, holder);
        self.call(id, &shown.name, Sequence::START, Some(key));
        if let Some(place) = self.places.get_mut(&id) {
            (place.since, place.sent) = (since, shown.sent);
        }
    }

    /// Who is an owner's repository's owner has the login that stands before the repository's name.
    fn imply_owner(&mut self, name: PlaceName<'_>, owner: Option<OwnerId>) {
        let login = NameKey::login(name.owner);
        let id = owner.filter(|_| name.repo.is_some()).map(PlaceId::Owner);
        if let Some(id) = id
            && !self.places.contains_key(&id)
            && !self.holders.contains_key(&login)
        {
            let holder = Holder {
                id,
                since: Sequence::START,
                sent: None,
            };
            self.hold(&login, holder);
            self.call(id, name.owner, Sequence::START, Some(login));
        }
    }

    /// A place had a name, which is known since a position.
    fn had(
        &mut self,
        (id, told): (PlaceId, ToldName),
        name: PlaceName<'_>,
        owner: Option<OwnerId>,
    ) {
        let key = self.key(name, owner);
        let holders = self.holders.get(&key).map_or(&[][..], Vec::as_slice);
        let is_known = holders.iter().any(|holder| holder.id == id);
        let has_left = holders.last().is_some_and(|last| !self.has(last.id, &key));
        let since = match told {
            // For as long as is known: since it left the name under which it was shown, if it was.
            ToldName::UntilNow(_) if holders.is_empty() => {
                let place = self.places.get(&id);
                let nameless = place.filter(|place| place.present.is_none());
                nameless.map_or(Sequence::START, |place| place.since)
            }
            // The last one left it before this one had it.
            ToldName::UntilNow(since) => since,
            ToldName::Once(since) if holders.is_empty() => since,
            ToldName::Once(_) => Sequence::START,
        };
        let holder = Holder {
            id,
            since,
            sent: None,
        };
        if !is_known && (holders.is_empty() || (has_left && matches!(told, ToldName::UntilNow(_))))
        {
            self.hold(&key, holder);
        } else if !is_known {
            // Before the one that has it now.
            let holders = self.holders.entry(key).or_default();
            let since = Sequence::START;
            holders.insert(0, Holder { since, ..holder });
            holders.truncate(MAX_HOLDERS_OF_NAME);
        }
        self.call(id, &name.to_string(), Sequence::START, None);
    }

    /// Whether a place has a name, as far as is known.
    fn has(&self, id: PlaceId, key: &NameKey) -> bool {
        let present = self
            .places
            .get(&id)
            .and_then(|place| place.present.as_ref());
        present.is_some_and(|present| present.key == *key)
    }

    /// Who has a name has left it, because this id has it now.
    fn leave(&mut self, key: &NameKey, id: PlaceId, since: Sequence, sent: Option<u64>) {
        let last = self.holders.get(key).and_then(|holders| holders.last());
        let Some(other) = last.map(|last| last.id).filter(|other| *other != id) else {
            return;
        };
        if self.has(other, key)
            && let Some(place) = self.places.get_mut(&other)
        {
            place.present = None;
            (place.since, place.sent) = (since, sent);
        }
    }

    fn hold(&mut self, key: &NameKey, holder: Holder) {
        let holders = self.holders.entry(key.clone()).or_default();
        if holders.last().is_some_and(|last| last.id == holder.id) {
            return;
        }
        if holders.len() == MAX_HOLDERS_OF_NAME {
            holders.remove(0);
        }
        holders.push(holder);
    }

    /// A place has a name, or had it; the present one stands last.
    fn call(&mut self, id: PlaceId, name: &str, since: Sequence, present: Option<NameKey>) {
        let place = self.places.entry(id).or_insert_with(|| KnownPlace {
            present: None,
            names: Vec::new(),
            since: Sequence::START,
            sent: None,
        });
        let names = &mut place.names;
        let known = PlaceName::read(name);
        let known = names
            .iter()
            .position(|other| PlaceName::read(&other.name).is_same(&known));
        let is_present = present.is_some();
        let name = name.to_owned();
        if let Some(key) = present {
            let spelt = name.clone();
            place.present = Some(PresentName { key, spelt });
        }
        match known {
            Some(_) if !is_present => return,
            Some(known) => drop(names.remove(known)),
            None if names.len() == MAX_NAMES_OF_PLACE => drop(names.remove(0)),
            None => {}
        }
        // A former name never stands last, if another is known.
        let last = names
            .len()
            .saturating_sub(usize::from(!is_present && place.present.is_some()));
        names.insert(last, NameSince { name, since });
    }

    /// A place is no longer remembered: it has had one name.
    fn forget(&mut self, id: PlaceId) {
        let Some(place) = self.places.get(&id).filter(|place| !place.has_changed()) else {
            return;
        };
        let key = place.present.as_ref().map(|present| present.key.clone());
        self.places.remove(&id);
        if let Some(key) = key
            && self
                .holders
                .get(&key)
                .is_some_and(|holders| holders.len() == 1)
        {
            self.holders.remove(&key);
        }
    }

    /// The key of a name: within the owner, or whoever has the owner's login now.
    fn key(&self, name: PlaceName<'_>, owner: Option<OwnerId>) -> NameKey {
        let Some(repo) = name.repo else {
            return NameKey::login(name.owner);
        };
        let owner = owner.or_else(|| self.login_holder(name.owner, None));
        let owner = owner.map_or_else(
            || OwnerKey::Login(super::change::key_of(name.owner).into()),
            OwnerKey::Id,
        );
        NameKey::repository(owner, repo)
    }
}

/// The name under which a place was shown before a change.
fn first_name(change: &NameChange) -> Option<ShownPlace> {
    Some(ShownPlace {
        epoch: change.epoch,
        at: change.known_since?,
        id: change.id,
        name: change.from.clone()?,
        owner: change.from_owner,
        sent: None,
    })
}

#[cfg(test)]
mod tests;
