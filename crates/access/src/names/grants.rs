//! The names that principals were granted, and the ids to which they are pinned.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Weak},
};

use model::{EventFacts, LogPosition, OwnerId, PlaceId, PrincipalId, RepositoryId};
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::{
    book::{NameBook, NameStanding},
    change::names_shown_by,
    pin::NamedRights,
};
use crate::limits::MAX_PINS;

/// The pins of one principal: the ids that its names mean, for good. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PinnedNames {
    /// By login.
    pub owners: BTreeMap<String, OwnerId>,
    /// By `owner/repo`.
    pub repositories: BTreeMap<String, RepositoryId>,
    /// Names whose id no event has shown since the name was granted: earlier events say nothing about what it means.
    pub granted_at: BTreeMap<String, LogPosition>,
    /// What was stored was lost, and these were found again in what the log still had: an edge that has known them
    /// since before knows better.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}

impl PinnedNames {
    fn get(&self, name: &str) -> Option<PlaceId> {
        match name.contains('/') {
            true => self
                .repositories
                .get(name)
                .copied()
                .map(PlaceId::Repository),
            false => self.owners.get(name).copied().map(PlaceId::Owner),
        }
    }

    fn len(&self) -> usize {
        self.owners.len() + self.repositories.len()
    }

    fn names(&self) -> impl Iterator<Item = (&str, PlaceId)> {
        let owners = self.owners.iter();
        let owners = owners.map(|(name, id)| (name.as_str(), PlaceId::Owner(*id)));
        let repositories = self.repositories.iter();
        let repositories = repositories.map(|(name, id)| (name.as_str(), PlaceId::Repository(*id)));
        owners.chain(repositories)
    }

    /// A name was granted at a position of the log, if that is news; returns whether it is.
    fn grant(&mut self, name: &str, at: LogPosition) -> bool {
        let has_room = self.len() + self.granted_at.len() < MAX_PINS;
        let is_new = self.get(name).is_none() && !self.granted_at.contains_key(name);
        if is_new && has_room {
            self.granted_at.insert(name.to_owned(), at);
        }
        is_new && has_room
    }

    /// Whether an event at a position comes after the grant of a name.
    fn is_granted_before(&self, name: &str, at: LogPosition) -> bool {
        let granted = self.granted_at.get(name);
        granted.is_none_or(|granted| granted.epoch != at.epoch || granted.sequence < at.sequence)
    }

    /// Pins a name that is not pinned yet; returns whether there was room.
    fn pin(&mut self, name: &str, id: PlaceId) -> bool {
        if self.len() >= MAX_PINS {
            return false;
        }
        match id {
            PlaceId::Owner(id) => drop(self.owners.entry(name.to_owned()).or_insert(id)),
            PlaceId::Repository(id) => {
                self.repositories.entry(name.to_owned()).or_insert(id);
            }
        }
        self.granted_at.remove(name);
        true
    }

    fn is_empty(&self) -> bool {
        self.len() == 0 && self.granted_at.is_empty()
    }

    /// Takes the pins of an edge that has known them since before what is stored was lost.
    fn correct(&mut self, known: &Self) {
        for (name, id) in known.names() {
            match id {
                PlaceId::Owner(id) => drop(self.owners.insert(name.to_owned(), id)),
                PlaceId::Repository(id) => drop(self.repositories.insert(name.to_owned(), id)),
            }
            self.granted_at.remove(name);
        }
    }

    /// Adds the names that only `other` has pinned, as far as there is room; returns whether there are any.
    pub fn add(&mut self, other: &Self) -> bool {
        let before = self.len();
        for (name, id) in other.names() {
            self.pin(name, id);
        }
        let mut has_more = self.len() > before;
        for (name, at) in &other.granted_at {
            has_more |= self.grant(name, *at);
        }
        has_more
    }
}

/// A principal's rights that have a name.
type Grantee = (PrincipalId, Weak<dyn NamedRights>);

/// All grants of this edge.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pins: HashMap<PrincipalId, PinnedNames>,
    grantees: HashMap<Box<str>, Vec<Grantee>>,
    /// Names whose id some grant does not know yet.
    open: HashSet<Box<str>>,
    /// Principals with pins that are not stored yet.
    unstored: BTreeSet<PrincipalId>,
    /// Stored names are still being read: what nobody holds is found when the log has been read too.
    pub(super) is_loading: bool,
    /// What was stored is lost: names are pinned by what the log still has.
    pub(super) is_recovering: bool,
}

impl Grants {
    /// Begins to pin the names of a principal's rights.
    pub(super) fn attach(
        &mut self,
        principal: &PrincipalId,
        rights: &Arc<dyn NamedRights>,
        (book, at): (&NameBook, LogPosition),
    ) {
        for name in rights.names() {
            let grantees = self.grantees.entry(name.as_str().into()).or_default();
            grantees.retain(|(_, rights)| rights.strong_count() > 0);
            grantees.push((principal.clone(), Arc::downgrade(rights)));
            let pinned = self.pins.get(principal).and_then(|pins| pins.get(&name));
            if let Some(id) = pinned {
                rights.pin(&name, id.number(), book.has_left(id, &name));
                continue;
            }
            self.open.insert(name.as_str().into());
            let recovered = self.is_recovering;
            let pins = self.pins.entry(principal.clone());
            let pins = pins.or_insert_with(|| PinnedNames {
                recovered,
                ..PinnedNames::default()
            });
            if pins.grant(&name, at) {
                self.unstored.insert(principal.clone());
            }
            if !self.is_loading {
                self.look_up(&name, book, at);
            }
        }
    }

    /// Stored names and the log have been read.
    pub(super) fn end_loading(&mut self, book: &NameBook, at: LogPosition) {
        self.is_loading = false;
        let open: Vec<_> = self.open.iter().cloned().collect();
        open.iter().for_each(|name| self.look_up(name, book, at));
    }

    /// Asks the book who has a name whose id is not known yet. A name whose holder no event has shown yet under it,
    /// though it has changed hands or its owner's login has, shows nothing until one does.
    fn look_up(&mut self, name: &str, book: &NameBook, at: LogPosition) {
        match book.standing(name) {
            // What is known of now is known after every grant.
            NameStanding::Of(id) => self.pin(name, id, (book, after(at))),
            NameStanding::Open => {
                let grantees = self.grantees.get(name).into_iter().flatten();
                for (principal, rights) in grantees {
                    let pins = self.pins.get(principal);
                    let is_open = pins.is_none_or(|pins| pins.get(name).is_none());
                    if let Some(rights) = rights.upgrade().filter(|_| is_open) {
                        debug!(%principal, name, "nobody has a name that is granted");
                        rights.set_vacant(name);
                    }
                }
            }
            NameStanding::Unheard => {}
        }
    }

    /// Forgets the grants of tokens that are gone.
    pub(super) fn sweep(&mut self) {
        self.grantees.retain(|_, grantees| {
            grantees.retain(|(_, rights)| rights.strong_count() > 0);
            !grantees.is_empty()
        });
        self.open.retain(|name| self.grantees.contains_key(name));
    }

    /// Whether an event may show the id of a name that is not pinned.
    pub(super) fn concerns(&self, facts: &EventFacts, book: &NameBook) -> bool {
        let is_open = |(_, name): (PlaceId, String)| self.open.contains(name.as_str());
        let owner = facts.ids.owner.map(PlaceId::Owner);
        !self.open.is_empty()
            && (names_shown_by(facts).any(is_open) || owner.is_some_and(|id| book.has_changed(id)))
    }

    /// An event shows this id under a name, in lower case.
    pub(super) fn show(&mut self, name: &str, id: PlaceId, shown: (&NameBook, LogPosition)) {
        if self.open.contains(name) {
            self.pin(name, id, shown);
        }
    }

    /// Pins a name for everyone who was granted it and does not know yet what it means.
    fn pin(&mut self, name: &str, id: PlaceId, (book, at): (&NameBook, LogPosition)) {
        let mut is_open = false;
        let Some(grantees) = self.grantees.get(name) else {
            return;
        };
        for (principal, rights) in grantees {
            let pins = self.pins.entry(principal.clone()).or_default();
            let pinned = match pins.get(name) {
                Some(pinned) => pinned,
                None if !pins.is_granted_before(name, at) => {
                    is_open = true;
                    continue;
                }
                None if pins.pin(name, id) => {
                    self.unstored.insert(principal.clone());
                    debug!(%principal, name, id = id.number(), "a name of a principal is pinned");
                    id
                }
                None => {
                    warn!(%principal, name, "a name is not pinned: the principal has too many");
                    continue;
                }
            };
            if let Some(rights) = rights.upgrade() {
                rights.pin(name, pinned.number(), book.has_left(pinned, name));
            }
        }
        if !is_open {
            self.open.remove(name);
        }
    }

    /// Takes the stored pins of a principal, which come before those of this edge. Returns all of them, if there
    /// are any that are not stored.
    pub(super) fn merge(
        &mut self,
        principal: &PrincipalId,
        stored: &PinnedNames,
        book: &NameBook,
    ) -> Option<PinnedNames> {
        let own = self.pins.remove(principal).unwrap_or_default();
        let is_lost = stored.is_empty();
        let mut pins = stored.clone();
        pins.recovered = if is_lost {
            own.recovered
        } else {
            stored.recovered
        };
        if stored.recovered && !own.recovered {
            pins.correct(&own);
        }
        pins.add(&own);
        let has_more = pins != *stored && !pins.is_empty();
        self.unstored.remove(principal);
        for (name, id) in pins.names() {
            let grantees = self.grantees.get(name).into_iter().flatten();
            let of_principal = grantees.filter(|(grantee, _)| grantee == principal);
            if own.get(name).is_some_and(|own| own != id) {
                warn!(%principal, %name, id = id.number(), "another edge pinned the name first");
            }
            for rights in of_principal.filter_map(|(_, rights)| rights.upgrade()) {
                rights.pin(name, id.number(), book.has_left(id, name));
            }
        }
        self.pins.insert(principal.clone(), pins.clone());
        has_more.then_some(pins)
    }

    /// The pins were not stored.
    pub(super) fn keep(&mut self, principal: PrincipalId) {
        self.unstored.insert(principal);
    }

    pub(super) fn has_unstored(&self) -> bool {
        !self.unstored.is_empty()
    }

    pub(super) fn unstored(&self) -> Vec<PrincipalId> {
        self.unstored.iter().cloned().collect()
    }

    /// Principals with rights that have names.
    pub(super) fn principals(&self) -> BTreeSet<PrincipalId> {
        let grantees = self.grantees.values().flatten();
        grantees.map(|(principal, _)| principal.clone()).collect()
    }

    /// Names changed: some pinned places may have left theirs.
    pub(super) fn follow(&self, book: &NameBook) {
        self.grantees
            .keys()
            .for_each(|name| self.follow_name(name, book));
    }

    /// As [`Self::follow`], of one name.
    pub(super) fn follow_name(&self, name: &str, book: &NameBook) {
        let grantees = self.grantees.get(name).into_iter().flatten();
        for rights in grantees.filter_map(|(_, rights)| rights.upgrade()) {
            rights.set_left(name, &|id| book.has_left(id, name));
        }
    }

    /// Whether some grant does not know the id of a name.
    pub(super) fn is_open(&self, name: &str) -> bool {
        self.open.contains(name)
    }

    /// The names whose id some grant does not know; none while stored names are read.
    pub(super) fn open_names(&self) -> Vec<String> {
        let open = self.open.iter().filter(|_| !self.is_loading);
        open.map(ToString::to_string).collect()
    }
}

/// A position after this one.
pub(super) const fn after(at: LogPosition) -> LogPosition {
    LogPosition {
        sequence: at.sequence.next(),
        ..at
    }
}
