//! What has changed, and when: the moments at which events and hints may have changed answers of the sync role.
//!
//! Entries are not looked up when something happens. Each thing that an answer can depend on (a name, an id, a resource) has
//! the moment of its last change here, and an entry is valid as long as nothing that it depends on changed after the moment
//! at which its reading began. So an answer that was on its way while an event arrived is never valid, and a change costs a
//! few writes into a table, however many entries there are.
//!
//! Names, ids and resources are digests: a collision drops an entry too many.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash},
};

use model::{EventFacts, EventType, GithubIds, OwnerId, PlaceName, RepositoryId, ResourceType};
use ports::MirroredStates;
use tokio::time::Instant;

use crate::limits::{MAX_AGE, MAX_REMEMBERED};

/// A moment in the order of changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct ChangeMoment(u64);

/// Something that has an answer, as a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ChangeKey(u64);

/// What an answer depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dependency {
    /// Every event, of whatever.
    Anything,
    /// Every change of this.
    Change(ChangeKey),
    /// That the first one goes with the second: a name with an id, or an id with a name. It changes with every event that
    /// shows the first one with another, and with a rename. Where events contradict each other, it changes with each of them.
    Pair(ChangeKey, ChangeKey),
    /// What a name is shown with, whatever that is.
    Steady(ChangeKey),
}

/// Makes keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeKeys(RandomState);

/// The number that stands for a repository itself among the resources in it.
pub(crate) const REPOSITORY_ITSELF: u64 = u64::MAX;

impl ChangeKeys {
    fn of(&self, what: impl Hash) -> ChangeKey {
        ChangeKey(self.0.hash_one(what))
    }

    /// A login, or `owner/repo`, in lower case.
    pub(crate) fn name(&self, name: &str) -> ChangeKey {
        self.of(("name", name))
    }

    pub(crate) fn owner(&self, id: OwnerId) -> ChangeKey {
        self.of(("owner", id.0))
    }

    pub(crate) fn repository(&self, id: RepositoryId) -> ChangeKey {
        self.of(("repository", id.0))
    }

    /// What has a number, or an id, in a place, of whatever kind.
    pub(crate) fn resource(&self, place: &str, number: u64) -> ChangeKey {
        self.of(("resource", place, number))
    }
}

/// What is remembered of a key.
#[derive(Clone, Copy, Debug, Default)]
struct ChangeRecord {
    changed: ChangeMoment,
    /// Everything that depends on it may have changed.
    dropped: ChangeMoment,
    /// What it was last shown with, and when.
    pair: Option<ChangeKey>,
    paired: ChangeMoment,
    /// When it was shown with something else than before, or first.
    varied: ChangeMoment,
    /// It was shown with several.
    is_contested: bool,
}

impl ChangeRecord {
    /// One of a key of which an older record is there.
    fn after(older: Option<&Self>) -> Self {
        let pair = older.and_then(|older| older.pair);
        Self {
            pair,
            ..Self::default()
        }
    }

    fn last_change(&self, dependency: Dependency, is_contested: bool) -> ChangeMoment {
        let of_pair = match dependency {
            Dependency::Anything => ChangeMoment::default(),
            Dependency::Change(_) => self.changed,
            Dependency::Pair(..) | Dependency::Steady(_) if is_contested => self.paired,
            Dependency::Pair(_, with) if self.pair == Some(with) => ChangeMoment::default(),
            Dependency::Pair(..) => self.paired,
            Dependency::Steady(_) => self.varied,
        };
        of_pair.max(self.dropped)
    }

    fn show_with(&mut self, with: ChangeKey, at: ChangeMoment) {
        if self.pair != Some(with) {
            self.is_contested |= self.pair.is_some();
            self.pair = Some(with);
            self.varied = at;
        }
        self.paired = at;
    }
}

/// The moments of the last changes.
#[derive(Debug)]
pub(crate) struct ChangeTable {
    keys: ChangeKeys,
    now: ChangeMoment,
    /// Of the last event.
    last_event: ChangeMoment,
    /// Everything that was read before is dropped.
    all_dropped: ChangeMoment,
    current: HashMap<ChangeKey, ChangeRecord>,
    /// What was not written for [`MAX_AGE`] goes: whatever was read before that is too old anyway.
    previous: HashMap<ChangeKey, ChangeRecord>,
    turned_at: Instant,
    max: usize,
}

impl ChangeTable {
    pub(crate) fn new(keys: ChangeKeys) -> Self {
        Self::bounded(keys, MAX_REMEMBERED)
    }

    fn bounded(keys: ChangeKeys, max: usize) -> Self {
        Self {
            keys,
            now: ChangeMoment::default(),
            last_event: ChangeMoment::default(),
            all_dropped: ChangeMoment::default(),
            current: HashMap::new(),
            previous: HashMap::new(),
            turned_at: Instant::now(),
            max,
        }
    }

    /// The moment of the last change.
    pub(crate) fn now(&self) -> ChangeMoment {
        self.now
    }

    /// Whether something of this has changed after a moment.
    pub(crate) fn has_changed(&self, since: ChangeMoment, dependencies: &[Dependency]) -> bool {
        let last = |dependency: &Dependency| match dependency {
            Dependency::Anything => self.last_event,
            Dependency::Change(key) | Dependency::Pair(key, _) | Dependency::Steady(key) => {
                let parts = [&self.current, &self.previous].into_iter();
                let records = parts.filter_map(|part| part.get(key));
                let is_contested = records.clone().any(|record| record.is_contested);
                let moments = records.map(|record| record.last_change(*dependency, is_contested));
                moments.max().unwrap_or_default()
            }
        };
        self.all_dropped > since || dependencies.iter().any(|one| last(one) > since)
    }

    /// Everything may have changed. What was shown with what is still known: names that changed hands may do so again.
    pub(crate) fn drop_all(&mut self) {
        self.all_dropped = self.begin();
    }

    /// An event has come.
    pub(crate) fn event(&mut self, facts: &EventFacts) {
        let at = self.begin();
        self.last_event = at;
        self.renamed(facts, at);
        let Some(owner) = facts.owner.as_deref() else {
            return;
        };
        let place = PlaceName {
            owner,
            repo: facts.repo.as_deref(),
        };
        self.place_shown(place, facts.ids, at);
        for name in [Some(place), owner_of(place)].into_iter().flatten() {
            self.resources_changed(&name.to_string().to_ascii_lowercase(), facts, at);
        }
        if is_carried(facts) {
            self.all_in_changed(place, facts.ids, at);
        }
        self.turn();
    }

    /// A replica has states that no event told of, and has seen the place under its name.
    pub(crate) fn mirrored(&mut self, states: &MirroredStates) {
        let at = self.begin();
        self.last_event = at;
        let MirroredStates { place, ids, .. } = states;
        let place = PlaceName::read(place);
        self.place_shown(place, *ids, at);
        self.all_in_changed(place, *ids, at);
        self.turn();
    }

    /// Nothing that was read of a place holds.
    fn all_in_changed(&mut self, place: PlaceName<'_>, ids: GithubIds, at: ChangeMoment) {
        let name = self.keys.name(&place.to_string().to_ascii_lowercase());
        let id = self.id_of(ids);
        for key in [Some(name), id].into_iter().flatten() {
            self.record(key).dropped = at;
        }
    }

    fn begin(&mut self) -> ChangeMoment {
        self.now.0 += 1;
        self.now
    }

    fn record(&mut self, key: ChangeKey) -> &mut ChangeRecord {
        let older = self.previous.get(&key);
        let record = self.current.entry(key);
        record.or_insert_with(|| ChangeRecord::after(older))
    }

    /// An owner, and a repository of it, are shown under their names.
    fn place_shown(&mut self, place: PlaceName<'_>, ids: GithubIds, at: ChangeMoment) {
        let login = place.owner.to_ascii_lowercase();
        self.shown(&login, ids.owner.map(|id| self.keys.owner(id)), at);
        if place.repo.is_some() {
            let address = place.to_string().to_ascii_lowercase();
            let id = ids.repository.map(|id| self.keys.repository(id));
            self.shown(&address, id, at);
        }
    }

    /// The repository, or else the owner.
    fn id_of(&self, ids: GithubIds) -> Option<ChangeKey> {
        match ids.repository {
            Some(id) => Some(self.keys.repository(id)),
            None => ids.owner.map(|id| self.keys.owner(id)),
        }
    }

    /// A place is shown under a name, and so the name with its id.
    fn shown(&mut self, name: &str, id: Option<ChangeKey>, at: ChangeMoment) {
        let name = self.keys.name(name);
        self.record(name).changed = at;
        if let Some(id) = id {
            self.record(name).show_with(id, at);
            self.record(id).show_with(name, at);
        }
    }

    /// Which number is the resource's depends on its kind.
    fn resources_changed(&mut self, place: &str, facts: &EventFacts, at: ChangeMoment) {
        let is_repository = facts.resource_type == ResourceType::REPOSITORY;
        let itself = is_repository.then_some(REPOSITORY_ITSELF);
        let numbers = [facts.number, facts.ids.resource, itself];
        for number in numbers.into_iter().flatten() {
            let key = self.keys.resource(place, number);
            self.record(key).changed = at;
        }
    }

    /// After a rename or a transfer, nothing that was read under the one name or the other holds.
    fn renamed(&mut self, facts: &EventFacts, at: ChangeMoment) {
        let (Some(owner), repo) = facts.former_names() else {
            return;
        };
        let former = PlaceName { owner, repo };
        let present = facts.owner.as_deref().map(|owner| PlaceName {
            owner,
            repo: facts.repo.as_deref(),
        });
        for name in [Some(former), present].into_iter().flatten() {
            let key = self.keys.name(&name.to_string().to_ascii_lowercase());
            self.record(key).dropped = at;
            let login = self.keys.name(&name.owner.to_ascii_lowercase());
            self.record(login).changed = at;
        }
        let id = self.id_of(facts.ids);
        if let Some(id) = id {
            self.record(id).dropped = at;
        }
    }

    /// Forgets what is too old to matter, and everything at the bound.
    fn turn(&mut self) {
        if self.current.len() > self.max {
            self.forget();
            return;
        }
        let now = Instant::now();
        if now.duration_since(self.turned_at) >= MAX_AGE {
            self.previous = std::mem::take(&mut self.current);
            self.turned_at = now;
        }
    }

    fn forget(&mut self) {
        self.all_dropped = self.now;
        self.current = HashMap::new();
        self.previous = HashMap::new();
        self.turned_at = Instant::now();
    }
}

/// Whether an event is about what other resources of its place show: issues and pull requests show their labels and their
/// milestone as they are now. Nothing shows one that was just created.
fn is_carried(facts: &EventFacts) -> bool {
    let kinds = [ResourceType::LABEL, ResourceType::MILESTONE];
    kinds.contains(&facts.resource_type) && facts.event_type != EventType::CREATED
}

/// The owner of a repository.
fn owner_of(place: PlaceName<'_>) -> Option<PlaceName<'_>> {
    place.repo.is_some().then_some(PlaceName {
        repo: None,
        ..place
    })
}

#[cfg(test)]
mod tests;
