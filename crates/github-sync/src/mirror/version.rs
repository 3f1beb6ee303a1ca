//! Which of two states, and of two addresses, is the newer one.
//!
//! Only what the stored event says decides, so the answer is the same in every process, after a restart, and whichever
//! ingest stored the event. GitHub gives `updated_at` in whole seconds; within a second the delivery's GUID tells when
//! it was made ([`model::delivery_time`]).

use model::{Sequence, Timestamp};
use serde::{Deserialize, Serialize};

/// When GitHub made the delivery of an event, then its position in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct EventMoment {
    /// In units of 100 ns.
    pub(super) made_at: u64,
    pub(super) sequence: Sequence,
}

/// The order of states: the greater one is kept, regardless of the order of arrival.
///
/// A whole object beats a partial view. Then GitHub's own timestamp decides. Of two states with the same second a
/// deletion wins, because GitHub never reuses a number; then the one whose delivery GitHub made later; then one that
/// ingest has not marked as late; then the later position in the log. A state from a list counts as made when GitHub
/// answered, on time, and at position 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateVersion {
    pub(super) whole: bool,
    pub(super) updated_at: Timestamp,
    pub(super) deleted: bool,
    pub(super) made_at: u64,
    pub(super) on_time: bool,
    pub(super) sequence: Sequence,
}
