//! Of whom a connection is, for the order in which connections end at the bound.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::LazyLock,
};

/// Its secret is of this process, so that nobody can choose to collide with another sender.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A sender as a number. Two that share one by chance only share their places in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SenderKey(pub(super) u64);

impl SenderKey {
    pub(super) fn of(sender: &impl Hash) -> Self {
        Self(HASHER.hash_one(sender))
    }
}
