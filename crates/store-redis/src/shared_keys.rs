//! A key that many calls share, with what is kept there.

use std::fmt;

/// The type of a value on the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RedisKeyKind {
    Hash,
    SortedSet,
}

impl RedisKeyKind {
    /// As `TYPE` answers it.
    pub(crate) const fn of_server(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::SortedSet => "zset",
        }
    }
}

impl fmt::Display for RedisKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash => "hash",
            Self::SortedSet => "sorted set",
        })
    }
}

/// A key that many calls share, and what is kept there.
#[derive(Clone, Debug)]
pub(crate) struct RedisKey {
    name: String,
    kind: RedisKeyKind,
}

impl RedisKey {
    pub(crate) const fn hash(name: String) -> Self {
        let kind = RedisKeyKind::Hash;
        Self { name, kind }
    }

    pub(crate) const fn sorted_set(name: String) -> Self {
        let kind = RedisKeyKind::SortedSet;
        Self { name, kind }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn kind(&self) -> RedisKeyKind {
        self.kind
    }
}

/// The names of keys, for the `KEYS` of a script.
pub(crate) fn names(keys: &[RedisKey]) -> Vec<String> {
    keys.iter().map(|key| key.name.clone()).collect()
}
