//! The keys of records, and the index of a collection: five keys in one slot, which are changed together.
//!
//! 1. `due`, a sorted set of `<id> <owner>` scored by the time, in milliseconds, before which the record need not
//!    be checked: it counts the living records and finds those that may be gone.
//! 2. `ids`, the same members with equal scores, so that it is ordered by id: for the list of a collection.
//! 3. `owned`, `<owner> <id>` with equal scores: for the list of an owner.
//! 4. `owners`, a hash of the number of records per owner.
//! 5. `weights`, a hash of the steps that a record weighs beyond the first, by the member of `due`; and of their
//!    sums, per owner under `+<owner>` and for all under `+`. Most records have no field.
//!
//! The records are in other slots and cannot change atomically with the index, so the order of operations
//! matters:
//!
//! - An entry is added before its record is stored, at first with a due time in the near future: if the create
//!   fails because this process or the server died in between, the entry is soon removed.
//! - Due entries are checked: those whose record is gone are removed, the others get its weight and become due
//!   when it expires unless it is touched. A touch that postpones this time changes nothing here, so touches cost
//!   nothing; a touch that brings it forward updates the entry.
//! - A call that finds a record gone removes its entry only if the entry is due: otherwise the record may be
//!   about to be stored.
//! - An entry that gives its place to a new one is removed with the same step that adds the new one, and its record
//!   once the new one is stored; if that is not stored, the entry returns. A process that dies in between, or a
//!   call whose time is over, leaves a record without an entry for the little time that it has left.
//! - A record that becomes heavier takes its weight before it is stored, one that becomes lighter gives it back
//!   afterwards: what fails in between counts too much, until the entry is due.
//! - A crash of the server's machine or a failover that loses the last writes may lose an entry but keep its
//!   record. That record works, but is not listed and does not count.
//! - A server that evicts keys removes one of the five alone. The next create or list mends it from the others;
//!   weights are known again when the entries are due. A value of another program under one of them is named and
//!   stays (`foreign_keys`).
//!
//! Neither KEYS nor SCAN is used; both iterate over all other keys on the server.

use model::{PrincipalId, RecordId};
use ports::{Collection, RecordKey};

use crate::{shared_keys::RedisKey, store_keys::hash_tag};

/// An entry of the index. Ids and owners do not contain spaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RecordEntry(String);

impl RecordEntry {
    pub(super) fn new(id: &RecordId, owner: &str) -> Self {
        Self(format!("{id} {owner}"))
    }

    /// An entry from a member of `due` or `ids`.
    pub(super) fn read(text: String) -> Self {
        Self(text)
    }

    /// An entry from a member of `owned`.
    pub(super) fn read_owned(text: &str) -> Self {
        let (owner, id) = text.split_once(' ').unwrap_or(("", text));
        Self(format!("{id} {owner}"))
    }

    pub(super) fn id(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    pub(super) fn owner(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// The names of keys of records.
#[derive(Debug)]
pub(crate) struct RecordKeys {
    key_prefix: String,
}

impl RecordKeys {
    pub(crate) const fn new(key_prefix: String) -> Self {
        Self { key_prefix }
    }

    /// The key of a record.
    pub(super) fn record(&self, collection: Collection, id: &str) -> String {
        let (prefix, name) = (&self.key_prefix, collection.name());
        format!("{prefix}{name}:{{{}}}", hash_tag(id))
    }

    /// As [`Self::record`].
    pub(super) fn of(&self, key: &RecordKey) -> String {
        self.record(key.collection, key.id.as_str())
    }

    /// The keys of the index, in the order of the scripts' `KEYS`: in one slot.
    pub(super) fn index(&self, collection: Collection) -> [RedisKey; 5] {
        let key = |part| format!("{}{{index:{}}}:{part}", self.key_prefix, collection.name());
        [
            RedisKey::sorted_set(key("due")),
            RedisKey::sorted_set(key("ids")),
            RedisKey::sorted_set(key("owned")),
            RedisKey::hash(key("owners")),
            RedisKey::hash(key("weights")),
        ]
    }
}

/// The part of `ids` or `owned` that a list reads.
#[derive(Debug)]
pub(super) struct IndexRange {
    /// Its place among the keys of the index.
    pub(super) key: usize,
    /// Members after this one, exclusively.
    pub(super) from: Option<String>,
    /// Members before this one, exclusively.
    pub(super) to: Option<String>,
}

impl IndexRange {
    /// The entries of a collection, or of one owner in it, after an id. A space, which follows an id or an owner,
    /// sorts before `!`, and that before every other character that ids and owners may have. With a prefix those
    /// of the owner whose ids begin with it.
    pub(super) fn new(
        owner: Option<&PrincipalId>,
        prefix: Option<&RecordId>,
        after: Option<&str>,
    ) -> Self {
        let Some(owner) = owner else {
            return Self {
                key: 1,
                from: after.map(|id| format!("{id}!")),
                to: None,
            };
        };
        let begin = prefix.map(RecordId::as_str).unwrap_or_default();
        let from = after.map_or(begin, |after| after.max(begin));
        Self {
            key: 2,
            from: Some(format!("{owner} {from}")),
            to: Some(match prefix {
                Some(prefix) => format!("{owner} {}", prefix.end_of_prefix()),
                None => format!("{owner}!"),
            }),
        }
    }

    pub(super) fn read(&self, member: String) -> RecordEntry {
        match self.key {
            1 => RecordEntry::read(member),
            _ => RecordEntry::read_owned(&member),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_the_same_however_it_is_read() {
        let entry = RecordEntry::new(&RecordId::new("a{b}+").unwrap(), "+o!w}ner");
        assert_eq!(RecordEntry::read("a{b}+ +o!w}ner".to_owned()), entry);
        assert_eq!(RecordEntry::read_owned("+o!w}ner a{b}+"), entry);
        assert_eq!((entry.id(), entry.owner()), ("a{b}+", "+o!w}ner"));
    }

    #[test]
    fn a_record_has_a_slot_of_its_own() {
        const THINGS: Collection = Collection::new("things");
        let keys = RecordKeys::new("p:".to_owned());
        assert_eq!(keys.record(THINGS, "}a"), "p:things:{%7da}");
        assert_eq!(keys.index(THINGS)[0].name(), "p:{index:things}:due");
    }
}
