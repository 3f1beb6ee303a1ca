//! The keys, and the index of sessions: three keys in one slot, which are changed together.
//!
//! 1. `due`, a sorted set of `<id> <owner>` scored by the time, in milliseconds, before which the
//!    session need not be checked: it counts the living sessions and finds those that may be gone.
//! 2. `ids`, the same members with equal scores, so that it is ordered by id: for listing.
//! 3. `owners`, a hash of the number of sessions per owner.
//!
//! The sessions are in other slots and cannot change atomically with the index, so the order of
//! operations matters:
//!
//! - An entry is added before its session is stored, at first with a due time in the near future:
//!   if the create fails because this process or the server died in between, the entry is soon
//!   removed.
//! - Due entries are checked: those whose session is gone are removed, the others become due at the
//!   time when their session expires unless it is touched. A touch that postpones this time changes
//!   nothing here, so touches cost nothing; a touch that brings it forward updates the entry.
//! - A call that finds a session gone removes its entry only if the entry is due: otherwise the
//!   session may be about to be stored.
//! - A crash of the server's machine or a failover that loses the last writes may lose an entry but
//!   keep its session. That session works, but is not listed and does not count.
//! - A server that evicts keys removes one of the three alone. The next create or list mends it from the
//!   others. A value of another program under one of them is named and stays (`foreign_keys`).
//!
//! Neither KEYS nor SCAN is used; both iterate over all other keys on the server.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use fred::{
    clients::Client,
    error::Error,
    interfaces::SortedSetsInterface,
    types::sorted_sets::{ZRange, ZRangeBound, ZRangeKind},
};
use model::{LeaseName, PrincipalId, SessionId};

use crate::shared_keys::RedisKey;

/// One in this number of creates checks due entries.
const SWEEP_EVERY: u64 = 16;

/// An entry of the index. Ids and owners do not contain spaces.
#[derive(Clone, Debug)]
pub(crate) struct IndexEntry(String);

impl IndexEntry {
    pub(crate) fn new(id: &SessionId, owner: &PrincipalId) -> Self {
        Self::of(id.as_str(), owner.as_str())
    }

    /// Builds an entry from an id and the owner in a session's hash.
    pub(crate) fn of(id: &str, owner: &str) -> Self {
        Self(format!("{id} {owner}"))
    }

    /// Builds an entry from a member that the server returned.
    pub(crate) fn read(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn id(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// An owner or an id for use inside braces: its own braces would end the hash tag, and its keys would be in
/// several slots.
pub(crate) fn hash_tag(name: &str) -> String {
    let mut tag = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '{' | '}' | '%') {
            // Writing to a string cannot fail.
            let _ = write!(tag, "%{:02x}", u32::from(character));
        } else {
            tag.push(character);
        }
    }
    tag
}

/// The names of the keys.
pub(crate) struct SessionIndex {
    key_prefix: String,
    creates: AtomicU64,
}

impl SessionIndex {
    pub(crate) fn new(key_prefix: String) -> Self {
        Self {
            key_prefix,
            creates: AtomicU64::new(0),
        }
    }

    /// The key of a session.
    pub(crate) fn session_key(&self, id: &str) -> String {
        format!("{}session:{{{id}}}", self.key_prefix)
    }

    /// The keys of a mailbox, in the order of the scripts' `KEYS`: all in one slot.
    pub(crate) fn mailbox_keys(&self, session: &SessionId) -> Vec<String> {
        let prefix = &self.key_prefix;
        let parts = ["", ":order", ":index", ":payloads", ":streams"];
        let keys = parts.map(|part| format!("{prefix}mailbox:{{{session}}}{part}"));
        keys.into()
    }

    /// The keys of the weight of an owner's mailboxes, in the order of the scripts' `KEYS`: in the owner's slot.
    pub(crate) fn mail_account_keys(&self, owner: &str) -> [RedisKey; 2] {
        let account = format!("{}mail:{{{}}}", self.key_prefix, hash_tag(owner));
        let times = format!("{account}:times");
        [RedisKey::hash(account), RedisKey::sorted_set(times)]
    }

    /// The key of a lock.
    pub(crate) fn lease_key(&self, name: &LeaseName) -> RedisKey {
        RedisKey::hash(format!("{}lock:{name}", self.key_prefix))
    }

    /// The key that a check of the store writes; nothing reads it.
    pub(crate) fn check_key(&self) -> String {
        format!("{}{{sessions}}:check", self.key_prefix)
    }

    /// One key of each kind that a pattern could leave out; none of them is in use, because no id and no owner
    /// is empty. Those of the index are in use (`keys`).
    pub(crate) fn key_of_each_kind(&self) -> [String; 4] {
        let kinds = ["session:{}", "mailbox:{}", "mail:{}", "lock:"];
        kinds.map(|kind| format!("{}{kind}", self.key_prefix))
    }

    /// The keys of the index, in the order of the scripts' `KEYS`: in one slot.
    pub(crate) fn keys(&self) -> [RedisKey; 3] {
        let key = |part| format!("{}{{sessions}}:{part}", self.key_prefix);
        [
            RedisKey::sorted_set(key("due")),
            RedisKey::sorted_set(key("ids")),
            RedisKey::hash(key("owners")),
        ]
    }

    /// Returns whether this create should sweep.
    pub(crate) fn is_time_to_sweep(&self) -> bool {
        self.creates.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1
    }

    /// Returns up to `limit` entries after an id, in order. Some of their sessions may be gone.
    pub(crate) async fn entries_after(
        &self,
        client: &Client,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<IndexEntry>, Error> {
        let from = match after {
            // `!` sorts after the space that follows the id, and before every character of an id.
            Some(id) => ZRange {
                kind: ZRangeKind::Exclusive,
                range: ZRangeBound::Lex(format!("{id}!")),
            },
            None => ZRange {
                kind: ZRangeKind::Inclusive,
                range: ZRangeBound::NegInfinityLex,
            },
        };
        let to = ZRange {
            kind: ZRangeKind::Inclusive,
            range: ZRangeBound::InfiniteLex,
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let [_, ids, _] = self.keys();
        let entries = client.zrangebylex(ids.name(), from, to, Some((0, limit)));
        let found: Vec<String> = entries.await?;
        Ok(found.into_iter().map(IndexEntry::read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_hash_tag_or_be_another() {
        assert_eq!(hash_tag("user:1@example.org"), "user:1@example.org");
        assert_eq!(hash_tag("}{%"), "%7d%7b%25");
        assert_ne!(hash_tag("a%7d"), hash_tag("a}"));
    }
}
