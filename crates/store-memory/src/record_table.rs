//! The table of records, with its indexes and its accounts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp, next_number};
use ports::{
    Collection, NewRecord, RecordBound, RecordKey, RecordLife, RecordLimits, RecordPage,
    RecordsError, Revision, StoredRecord,
};

/// All records of a store.
#[derive(Clone, Default)]
pub(crate) struct RecordTable {
    entries: BTreeMap<RecordKey, Entry>,
    /// Every entry by its end, living and ended ones separately.
    living: BTreeSet<(Timestamp, RecordKey)>,
    ended: BTreeSet<(Timestamp, RecordKey)>,
    /// The living records of each owner.
    owned: BTreeMap<(Collection, PrincipalId), BTreeSet<RecordId>>,
    /// What counts: for each collection, and for each owner in it. Accounts of nothing are removed.
    collections: HashMap<Collection, Account>,
    owners: HashMap<(Collection, PrincipalId), Account>,
    /// The highest revision that was given out.
    last_revision: u64,
}

#[derive(Clone)]
struct Entry {
    owner: PrincipalId,
    /// `None` once the record has ended.
    state: Option<Bytes>,
    revision: Revision,
    expires_at: Timestamp,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Account {
    records: u64,
    steps: u64,
}

fn stored(id: &RecordId, entry: &Entry) -> Option<StoredRecord> {
    Some(StoredRecord {
        id: id.clone(),
        owner: entry.owner.clone(),
        state: entry.state.clone()?,
        revision: entry.revision,
        expires_at: entry.expires_at,
    })
}

impl RecordTable {
    pub(crate) fn forget_expired(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.living.first().filter(|(at, _)| *at <= now) {
            let key = key.clone();
            self.remove(&key);
        }
        while let Some((_, key)) = self.ended.first().filter(|(at, _)| *at <= now) {
            let key = key.clone();
            self.remove(&key);
        }
    }

    /// What is under a key; `Err` if that has ended.
    pub(crate) fn find(&self, key: &RecordKey) -> Option<Result<StoredRecord, ()>> {
        let entry = self.entries.get(key)?;
        Some(stored(&key.id, entry).ok_or(()))
    }

    pub(crate) fn load(&self, key: &RecordKey) -> Option<StoredRecord> {
        self.find(key)?.ok()
    }

    /// Adds a record under a free key.
    pub(crate) fn create(
        &mut self,
        new: &NewRecord,
        limits: RecordLimits,
        now: Timestamp,
    ) -> Result<Revision, RecordsError> {
        let steps = RecordLimits::steps(&new.state);
        self.admit(new, steps, limits, now)?;
        let revision = self.next_revision(now);
        let entry = Entry {
            owner: new.owner.clone(),
            // A slice of a larger buffer would keep the whole buffer alive, uncounted.
            state: Some(Bytes::copy_from_slice(&new.state)),
            revision,
            expires_at: now.plus(new.ttl),
        };
        self.living.insert((entry.expires_at, new.key.clone()));
        let place = (new.key.collection, new.owner.clone());
        self.owned
            .entry(place)
            .or_default()
            .insert(new.key.id.clone());
        self.count(&new.key, &new.owner, |account| {
            account.records += 1;
            account.steps += steps;
        });
        self.entries.insert(new.key.clone(), entry);
        Ok(revision)
    }

    fn next_revision(&mut self, now: Timestamp) -> Revision {
        self.last_revision = next_number(self.last_revision, now);
        Revision(self.last_revision)
    }

    /// Makes room for one more record, or refuses it.
    fn admit(
        &mut self,
        new: &NewRecord,
        steps: u64,
        limits: RecordLimits,
        now: Timestamp,
    ) -> Result<(), RecordsError> {
        let (collection, owner) = (new.key.collection, &new.owner);
        let refuse = |bound| Err(RecordsError::NoRoom { bound });
        let theirs = self.of_owner(collection, owner).records;
        let most = u64::from(limits.max_records_per_owner);
        let spare = match theirs == most {
            true => self.first_expiring(collection, owner, now.plus(limits.spare_ttl)),
            false => None,
        };
        let spare = spare.filter(|_| !limits.spare_ttl.is_zero());
        let (freed, freed_steps) = match &spare {
            Some(key) => (1, self.entries.get(key).map_or(0, entry_steps)),
            None => (0, 0),
        };
        if theirs - freed >= most {
            return refuse(RecordBound::RecordsOfOwner);
        }
        let in_all = self.collections.get(&collection).copied();
        let in_all = in_all.unwrap_or_default();
        if in_all.records - freed >= limits.max_records {
            return refuse(RecordBound::Records);
        }
        self.check_weight(collection, owner, steps, freed_steps, limits)?;
        if let Some(key) = spare {
            self.remove(&key);
        }
        Ok(())
    }

    fn of_owner(&self, collection: Collection, owner: &PrincipalId) -> Account {
        let account = self.owners.get(&(collection, owner.clone())).copied();
        account.unwrap_or_default()
    }

    /// Refuses a weight that does not fit when `freed` steps are gone.
    fn check_weight(
        &self,
        collection: Collection,
        owner: &PrincipalId,
        steps: u64,
        freed: u64,
        limits: RecordLimits,
    ) -> Result<(), RecordsError> {
        let in_all = self.collections.get(&collection).copied();
        let in_all = in_all.unwrap_or_default().steps;
        let theirs = self.of_owner(collection, owner).steps;
        for (held, most, bound) in [
            (
                theirs,
                limits.max_bytes_per_owner,
                RecordBound::BytesOfOwner,
            ),
            (in_all, limits.max_bytes, RecordBound::Bytes),
        ] {
            if held - freed + steps > RecordLimits::steps_in(most) {
                return Err(RecordsError::NoRoom { bound });
            }
        }
        Ok(())
    }

    fn first_expiring(
        &self,
        collection: Collection,
        owner: &PrincipalId,
        until: Timestamp,
    ) -> Option<RecordKey> {
        let ids = self.owned.get(&(collection, owner.clone()))?;
        let keys = ids.iter().map(|id| RecordKey {
            collection,
            id: id.clone(),
        });
        let ends = keys.filter_map(|key| Some((self.entries.get(&key)?.expires_at, key)));
        let first = ends.filter(|(at, _)| *at <= until).min();
        first.map(|(_, key)| key)
    }

    pub(crate) fn replace(
        &mut self,
        key: &RecordKey,
        state: &Bytes,
        expected: Revision,
        (life, limits, now): (RecordLife, RecordLimits, Timestamp),
    ) -> Result<Revision, RecordsError> {
        let current = self.load(key).ok_or(RecordsError::Missing)?;
        if current.revision != expected {
            let current = current.revision;
            return Err(RecordsError::Conflict { current });
        }
        let (before, steps) = (
            RecordLimits::steps(&current.state),
            RecordLimits::steps(state),
        );
        if steps > before {
            self.check_weight(key.collection, &current.owner, steps, before, limits)?;
        }
        self.count(key, &current.owner, |account| {
            account.steps = account.steps - before + steps;
        });
        let revision = self.next_revision(now);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.state = Some(Bytes::copy_from_slice(state));
            entry.revision = revision;
        }
        if let RecordLife::For(ttl) = life {
            self.set_end(key, now.plus(ttl));
        }
        Ok(revision)
    }

    pub(crate) fn touch(&mut self, key: &RecordKey, expires_at: Timestamp) -> bool {
        let is_living = self.load(key).is_some();
        if is_living {
            self.set_end(key, expires_at);
        }
        is_living
    }

    fn set_end(&mut self, key: &RecordKey, expires_at: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            self.living.remove(&(entry.expires_at, key.clone()));
            entry.expires_at = expires_at;
            self.living.insert((expires_at, key.clone()));
        }
    }

    /// Ends a record; up to `max_ended` keys of ended ones are kept.
    pub(crate) fn end(&mut self, key: &RecordKey, max_ended: usize) -> bool {
        let Some(record) = self.load(key) else {
            return false;
        };
        self.uncount(key, &record.owner, RecordLimits::steps(&record.state));
        self.living.remove(&(record.expires_at, key.clone()));
        self.ended.insert((record.expires_at, key.clone()));
        if let Some(entry) = self.entries.get_mut(key) {
            entry.state = None;
        }
        if self.ended.len() > max_ended
            && let Some((_, key)) = self.ended.pop_first()
        {
            self.entries.remove(&key);
        }
        true
    }

    /// Removes an entry, living or ended.
    fn remove(&mut self, key: &RecordKey) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        let by_time = (entry.expires_at, key.clone());
        if entry.state.is_some() {
            self.living.remove(&by_time);
            self.uncount(key, &entry.owner, entry_steps(&entry));
        } else {
            self.ended.remove(&by_time);
        }
    }

    fn count(&mut self, key: &RecordKey, owner: &PrincipalId, change: impl Fn(&mut Account)) {
        let place = (key.collection, owner.clone());
        change(self.owners.entry(place).or_default());
        change(self.collections.entry(key.collection).or_default());
    }

    fn uncount(&mut self, key: &RecordKey, owner: &PrincipalId, steps: u64) {
        self.count(key, owner, |account| {
            account.records -= 1;
            account.steps -= steps;
        });
        let place = (key.collection, owner.clone());
        if let Some(ids) = self.owned.get_mut(&place) {
            ids.remove(&key.id);
            if ids.is_empty() {
                self.owned.remove(&place);
                self.owners.remove(&place);
            }
        }
    }

    /// A page after an id.
    pub(crate) fn page(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> RecordPage {
        match owner {
            Some(owner) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let place = (collection, owner.clone());
                let ids = self.owned.get(&place).into_iter();
                let ids = ids.flat_map(|ids| ids.range::<RecordId, _>((from, Bound::Unbounded)));
                let key = |id: &RecordId| RecordKey {
                    collection,
                    id: id.clone(),
                };
                collect_page(ids.filter_map(|id| self.load(&key(id))), limit)
            }
            None => {
                let living = self.entries_after(collection, after);
                collect_page(
                    living.filter_map(|(key, entry)| stored(&key.id, entry)),
                    limit,
                )
            }
        }
    }

    /// A page of what an owner has under a prefix, after an id.
    pub(crate) fn page_under(
        &self,
        collection: Collection,
        owner: &PrincipalId,
        (prefix, after): (&RecordId, Option<&RecordId>),
        limit: usize,
    ) -> RecordPage {
        let from = Bound::Excluded(after.map_or(prefix, |after| after.max(prefix)));
        let ids = self.owned.get(&(collection, owner.clone())).into_iter();
        let ids = ids.flat_map(|ids| ids.range::<RecordId, _>((from, Bound::Unbounded)));
        let under = ids.take_while(|id| id.as_str().starts_with(prefix.as_str()));
        let found = under.filter_map(|id| {
            self.load(&RecordKey {
                collection,
                id: id.clone(),
            })
        });
        collect_page(found, limit)
    }

    fn entries_after(
        &self,
        collection: Collection,
        after: Option<&RecordId>,
    ) -> impl Iterator<Item = (&RecordKey, &Entry)> {
        let key = |id| RecordKey { collection, id };
        let from = match after {
            Some(id) => Bound::Excluded(key(id.clone())),
            None => Bound::Included(key(RecordId::first())),
        };
        let entries = self.entries.range((from, Bound::Unbounded));
        entries.take_while(move |(key, _)| key.collection == collection)
    }

    #[cfg(test)]
    pub(crate) fn assert_consistent(&self) -> usize {
        assert_eq!(self.entries.len(), self.living.len() + self.ended.len());
        let owned: usize = self.owned.values().map(BTreeSet::len).sum();
        assert_eq!(owned, self.living.len());
        let counted: u64 = self.owners.values().map(|account| account.records).sum();
        assert_eq!(usize::try_from(counted).unwrap(), owned);
        self.entries.len()
    }
}

fn entry_steps(entry: &Entry) -> u64 {
    entry.state.as_deref().map_or(0, RecordLimits::steps)
}

/// Collects a page within the bounds of pages.
fn collect_page(records: impl Iterator<Item = StoredRecord>, limit: usize) -> RecordPage {
    let limit = limit.clamp(1, RecordPage::MAX_RECORDS);
    let (mut page, mut bytes) = (RecordPage::default(), 0);
    for record in records {
        bytes += record.state.len();
        let is_full = page.records.len() == limit
            || (bytes > RecordPage::MAX_BYTES && !page.records.is_empty());
        if is_full {
            page.next = page.records.last().map(|last| last.id.clone());
            break;
        }
        page.records.push(record);
    }
    page
}
