//! What an event says about names.

use model::{EventFacts, LogPosition, PlaceId, PlaceName};

use super::{
    NameBook,
    place::{Holder, KnownPlace, NameKey},
};
use crate::{
    limits::UNTOLD_RETURN_TICKS,
    names::change::{NameChange, NameSight, ShownPlace, sent_at, sights},
};

/// What an event says about names that is not known yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::names) struct NameReading {
    pub(in crate::names) changes: Vec<NameChange>,
    /// Places that are shown for the first time, or spelt otherwise.
    pub(in crate::names) shown: Vec<ShownPlace>,
}

impl NameReading {
    pub(in crate::names) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.shown.is_empty()
    }
}

/// An event, with its place in the log and its time.
#[derive(Debug, Clone, Copy)]
struct SightAt {
    at: LogPosition,
    sent: Option<u64>,
}

impl NameBook {
    /// Reads an event.
    pub(in crate::names) fn read(&self, at: LogPosition, facts: &EventFacts) -> NameReading {
        let rename = facts.rename();
        let mut reading = NameReading::default();
        let is_new = |sight: &NameSight<'_>| sight.from.is_some() || !self.is_as_shown(sight);
        if !sights(facts, rename.as_ref()).any(|sight| is_new(&sight)) {
            return reading;
        }
        let sent = sent_at(facts);
        let at = LogPosition {
            epoch: self.epoch.unwrap_or(at.epoch),
            ..at
        };
        for sight in sights(facts, rename.as_ref()) {
            self.read_sight(&sight, SightAt { at, sent }, &mut reading);
        }
        // The log may be read twice.
        let is_known = |change: &NameChange| {
            let is_same = |known: &&NameChange| {
                (known.epoch, known.at, known.id) == (change.epoch, change.at, change.id)
                    && known.name == change.name
            };
            self.changes.iter().rev().any(|known| is_same(&known))
        };
        reading.changes.retain(|change| !is_known(change));
        reading
    }

    /// Whether a place is shown under the name under which it was shown last.
    fn is_as_shown(&self, sight: &NameSight<'_>) -> bool {
        let known = self.shown.get(sight.id);
        let is_spelt = known.is_some_and(|known| {
            (sight.owner.is_none() || known.owner == sight.owner)
                && PlaceName::read(&known.name).is_same(&sight.name)
        });
        let place = self.places.get(&sight.id).filter(|_| is_spelt);
        let present = place.and_then(|place| place.present.as_ref());
        present.is_some_and(|present| present.is_spelt(&sight.name))
    }

    fn read_sight(&self, sight: &NameSight<'_>, seen: SightAt, reading: &mut NameReading) {
        let key = self.key(sight.name, sight.owner);
        let holders = self.holders.get(&key).and_then(|holders| holders.last());
        let other = holders.filter(|holder| holder.id != sight.id);
        let is_after_other = other.is_some_and(|other| is_earlier(seen, other));
        let Some(place) = self.places.get(&sight.id) else {
            match (other, sight.from) {
                (Some(_), _) if is_after_other => reading.changes.push(Self::was(sight, seen)),
                (None, None) => reading.shown.push(Self::shown_at(sight, seen)),
                (other, _) => {
                    self.read_former(sight, seen, reading);
                    reading.changes.push(self.taken(sight, seen, other, &key));
                    reading.shown.push(Self::shown_at(sight, seen));
                }
            }
            return;
        };
        if place.present.as_ref().is_some_and(|present| {
            present.key == key || (is_by_login(&present.key, &key) && present.is_spelt(&sight.name))
        }) {
            self.spell(place, sight, seen, reading);
        } else if self.is_late(place, sight, seen) || is_after_other {
            let is_told = sight
                .from
                .is_none_or(|from| self.has_had(&sight.before(from)));
            if !(is_told && self.has_had(sight)) {
                reading.changes.push(Self::was(sight, seen));
            }
        } else {
            // Under the login that its owner had then, if the present one is not known.
            let spelt = || place.present.as_ref().map(|present| present.spelt.clone());
            let from = self.current_name(sight.id).or_else(spelt);
            let is_other = |name: &PlaceName<'_>| {
                let from = from.as_deref().map(PlaceName::read);
                from.is_some_and(|from| !from.is_same(name)) && !self.has_had(&sight.before(*name))
            };
            if let Some(told) = sight.from.filter(is_other)
                && !self.read_former(sight, seen, reading)
            {
                reading.changes.push(Self::was(&sight.before(told), seen));
            }
            let mut change = self.taken(sight, seen, other, &key);
            // Another one may have taken the name that it had last.
            let last = || place.names.last().map(|last| last.name.clone());
            change.known_since = Some(place.since).filter(|_| from.is_some());
            change.from = from.or(change.from).or_else(last);
            change.from_owner = match place.present.as_ref().map(|present| &present.key) {
                Some(NameKey::Repository(super::OwnerKey::Id(owner), _)) => Some(*owner),
                _ => change.from_owner,
            };
            reading.changes.push(change);
            reading.shown.push(Self::shown_at(sight, seen));
        }
    }

    /// An event tells that a place had a name until now which another one had until then, as far as was known: that
    /// one had left it. Returns whether it is so. Without times, the log's order is that of the events.
    fn read_former(&self, sight: &NameSight<'_>, seen: SightAt, reading: &mut NameReading) -> bool {
        let Some(former) = sight.from.map(|from| sight.before(from)) else {
            return false;
        };
        let key = self.key(former.name, former.owner);
        let last = self.holders.get(&key).and_then(|holders| holders.last());
        let other = last.filter(|other| other.id != sight.id && self.has(other.id, &key));
        let Some(other) = other.filter(|other| !is_earlier(seen, other)) else {
            return false;
        };
        let taken = self.taken(&former, seen, Some(other), &key);
        reading.changes.push(taken);
        true
    }

    /// A place has the name that it has. It may be spelt otherwise, and a rename to it may tell of a former one.
    fn spell(
        &self,
        place: &KnownPlace,
        sight: &NameSight<'_>,
        seen: SightAt,
        reading: &mut NameReading,
    ) {
        let from = sight
            .from
            .filter(|from| !self.has_had(&sight.before(*from)));
        if let Some(from) = from {
            reading.changes.push(Self::was(&sight.before(from), seen));
        }
        let is_older = self.is_here(seen.at.epoch) && place.since > seen.at.sequence;
        // A late event shows a former login of the owner.
        let owner = sight.owner.map(PlaceId::Owner);
        let is_former = owner
            .and_then(|owner| self.current_name(owner))
            .is_some_and(|login| !login.eq_ignore_ascii_case(sight.name.owner));
        let is_owner_new = reading
            .changes
            .iter()
            .any(|change| Some(change.id) == owner);
        if !self.is_as_shown(sight) && !is_older && (!is_former || is_owner_new) {
            let since = ShownPlace {
                sent: place.sent.or(seen.sent),
                ..Self::shown_at(sight, seen)
            };
            reading.shown.push(since);
        }
    }

    /// Whether a place has had a name, as far as is known.
    fn has_had(&self, sight: &NameSight<'_>) -> bool {
        let place = self.places.get(&sight.id);
        let holders = self.holders.get(&self.key(sight.name, sight.owner));
        place.is_some_and(|place| place.has_had(&sight.name))
            || holders.is_some_and(|holders| holders.iter().any(|holder| holder.id == sight.id))
    }

    /// Whether an event that shows a place under another name than its present one is from before that. If nothing
    /// says when it was sent, a name that the place has had is a former one, unless the event tells that it was
    /// renamed.
    fn is_late(&self, place: &KnownPlace, sight: &NameSight<'_>, seen: SightAt) -> bool {
        if place.since > seen.at.sequence {
            return true;
        }
        let is_former = sight.from.is_none() && self.has_had(sight);
        match seen.sent.zip(place.sent) {
            Some((sent, since)) if is_former => sent < since.saturating_add(UNTOLD_RETURN_TICKS),
            Some((sent, since)) => sent < since,
            None => is_former,
        }
    }

    /// A late event: the place had these names once.
    fn was(sight: &NameSight<'_>, seen: SightAt) -> NameChange {
        NameChange {
            late: true,
            ..Self::change(sight, seen)
        }
    }

    fn taken(
        &self,
        sight: &NameSight<'_>,
        seen: SightAt,
        other: Option<&Holder>,
        key: &NameKey,
    ) -> NameChange {
        let before = other.map(|other| other.id).filter(|id| self.has(*id, key));
        NameChange {
            before,
            ..Self::change(sight, seen)
        }
    }

    fn change(sight: &NameSight<'_>, seen: SightAt) -> NameChange {
        let from = sight.from.map(|from| from.to_string());
        let from_owner = sight.from.and_then(|from| sight.before(from).owner);
        NameChange {
            epoch: seen.at.epoch,
            at: seen.at.sequence,
            id: sight.id,
            from,
            name: sight.name.to_string(),
            owner: sight.owner,
            from_owner,
            known_since: None,
            before: None,
            sent: seen.sent,
            late: false,
        }
    }

    fn shown_at(sight: &NameSight<'_>, seen: SightAt) -> ShownPlace {
        ShownPlace {
            epoch: seen.at.epoch,
            at: seen.at.sequence,
            id: sight.id,
            name: sight.name.to_string(),
            owner: sight.owner,
            sent: seen.sent,
        }
    }
}

const fn is_by_login(one: &NameKey, other: &NameKey) -> bool {
    one.is_by_login() || other.is_by_login()
}

/// Whether an event was sent, or stands in the log, before a name got its holder.
fn is_earlier(seen: SightAt, holder: &Holder) -> bool {
    let sent = seen.sent.zip(holder.sent);
    sent.is_some_and(|(seen, holder)| seen < holder) || holder.since > seen.at.sequence
}
