//! The names of the keys beside those of records.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use model::{BudgetAccount, LeaseName, SessionId};

use crate::shared_keys::RedisKey;

/// One in this number of creates checks due entries of its index.
const SWEEP_EVERY: u64 = 16;

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
pub(crate) struct StoreKeys {
    key_prefix: String,
    creates: AtomicU64,
}

impl StoreKeys {
    pub(crate) fn new(key_prefix: String) -> Self {
        Self {
            key_prefix,
            creates: AtomicU64::new(0),
        }
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

    /// The keys of the account of a budget, in the order of the scripts' `KEYS`: in one slot.
    pub(crate) fn budget_keys(&self, account: &BudgetAccount) -> [RedisKey; 2] {
        let account = format!(
            "{}budget:{{{}}}",
            self.key_prefix,
            hash_tag(account.as_str())
        );
        let slots = format!("{account}:slots");
        [RedisKey::hash(account), RedisKey::sorted_set(slots)]
    }

    /// The key that a check of the store writes; nothing reads it.
    pub(crate) fn check_key(&self) -> String {
        format!("{}check", self.key_prefix)
    }

    /// One key of each kind beside records that a pattern could leave out; none of them is in use, because no id
    /// and no owner is empty.
    pub(crate) fn key_of_each_kind(&self) -> [String; 4] {
        let kinds = ["mailbox:{}", "mail:{}", "lock:", "budget:{}"];
        kinds.map(|kind| format!("{}{kind}", self.key_prefix))
    }

    /// Returns whether this create should sweep.
    pub(crate) fn is_time_to_sweep(&self) -> bool {
        self.creates.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1
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
