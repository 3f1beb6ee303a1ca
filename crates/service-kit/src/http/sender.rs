//! Of whom a connection is, for the order in which connections end at the bound.

use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, LazyLock},
};

use super::state::ConnectionState;

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

/// The connection of a request, to say who has sent it. It is in each request's extensions. Without a word the sender
/// is the address of the other end, which may be a proxy's.
#[derive(Clone)]
pub struct RequestSender(pub(super) Arc<ConnectionState>);

impl RequestSender {
    /// Names the sender of the request, until its answer is written: at the bound of the listener, the connections of
    /// the sender that has most of those which can end do so first.
    pub fn name(&self, sender: &impl Hash) {
        self.0.set_sender(SenderKey::of(sender));
    }
}

impl fmt::Debug for RequestSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSender")
    }
}
