//! What is kept of a state, and what becomes of one that is offered.

use std::sync::Arc;

use bytes::Bytes;
use model::{EventId, OwnerId, ResourceId, Sequence, Timestamp};

use super::{
    facts::ListFacts,
    shown::{KnownBefore, is_listed_event_id},
    version::StateVersion,
};

/// What is kept of a state, whatever its address is.
#[derive(Debug, Clone)]
pub(super) struct KeptState {
    /// GitHub's node id of the resource.
    pub(super) node_id: ResourceId,
    /// The owner at the address that was shown.
    pub(super) owner: Option<OwnerId>,
    /// The address that was shown, as GitHub spells it.
    pub(super) spelt: Option<Box<str>>,
    pub(super) json: Bytes,
    pub(super) facts: Arc<ListFacts>,
    pub(super) event_id: EventId,
    /// Of the event; 0 of a state from a list, or of another log.
    pub(super) sequence: Sequence,
    pub(super) updated_at: Timestamp,
    pub(super) deleted: bool,
}

/// A state in the table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) state: KeptState,
    pub(super) version: StateVersion,
    pub(super) last_use: u64,
    /// The number of the table's change that brought it: a later one is greater.
    pub(super) changed: u64,
}

impl KeptState {
    /// Whether both are what one event, or one listing, reported.
    pub(super) fn is_report_of(&self, other: &Self) -> bool {
        self.event_id == other.event_id
            && self.node_id == other.node_id
            && self.deleted == other.deleted
            && self.updated_at == other.updated_at
            && self.json == other.json
    }
}

impl Entry {
    /// Of what is open or closed.
    pub(super) fn is_open(&self) -> bool {
        self.state.facts.state.as_deref() == Some("open")
    }

    /// Whether it was found to be gone by comparison, not told by GitHub.
    pub(super) fn was_missed(&self) -> bool {
        self.state.deleted && is_listed_event_id(&self.state.event_id)
    }

    /// What a newer state replaces.
    pub(super) fn before(&self) -> KnownBefore {
        KnownBefore {
            json: self.state.json.clone(),
            deleted: self.state.deleted,
            updated_at: self.state.updated_at,
            whole: self.version.whole,
        }
    }
}

/// The effect of a state that is offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ApplyOutcome {
    /// It is the current one now.
    Newer {
        /// The number of other states that were evicted for it.
        evicted: u64,
    },
    /// A newer state is known.
    Outdated,
    /// There is none.
    Stateless,
}
