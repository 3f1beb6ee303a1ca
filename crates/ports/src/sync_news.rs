//! The messages of sync replicas over the bus.

use model::GithubIds;

/// States of a place are in the mirror of a replica that no event tells of: a comparison with GitHub found them, or the
/// replica read them from the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MirroredStates {
    /// The replica, by a number that it chose at its start.
    pub replica: u64,
    /// The place as GitHub names it: `owner/repo`, or the login of an organization.
    pub place: String,
    /// The place on GitHub: its owner, and its repository if it is one.
    pub ids: GithubIds,
}

/// What a sync replica tells edges and other replicas ([`Topic::Broadcast`](crate::Topic::Broadcast)). It may be lost,
/// late or duplicated: then they have an older state for a while, and nothing else happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncNews {
    /// The replica answers with newer states of a place from now on, and may have stored them.
    Mirrored(MirroredStates),
}
