//! How states from lists are told apart, and what becomes of them.

use std::fmt::Write as _;

use bytes::Bytes;
use model::{EventId, ResourceId, Timestamp};
use prometheus_client::encoding::EncodeLabelValue;
use sha2::{Digest, Sha256};

/// How a listed state came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum ShownAs {
    /// The first whole reading of its list.
    baseline,
    /// A later reading.
    compared,
}

/// What became of a listed state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ShownOutcome {
    /// Nothing was known of the resource.
    New,
    /// It is the current one now, in place of another.
    Newer {
        /// The one before.
        known: KnownBefore,
    },
    /// The same content is known, as of that time or newer.
    Same,
    /// A newer one is known, or it is gone and nothing is known of it.
    Outdated,
}

/// The state that a listed one replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KnownBefore {
    /// GitHub's object.
    pub(crate) json: Bytes,
    /// Whether it was deleted.
    pub(crate) deleted: bool,
    /// The time of its last change, according to GitHub.
    pub(crate) updated_at: Timestamp,
    /// Whether it was the resource's own object, not a partial view of it.
    pub(crate) whole: bool,
}

/// A resource that is known and not deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LivingState {
    pub(crate) number: u64,
    pub(crate) node_id: ResourceId,
    pub(crate) updated_at: Timestamp,
    /// Of what is open or closed.
    pub(crate) is_open: bool,
    /// GitHub's object.
    pub(crate) json: Bytes,
}

/// What the ids of listed states begin with. GitHub's deliveries have GUIDs, which do not.
const LISTED: &str = "sync-";

/// The id of the event that tells of a state which a list showed: the same for everybody who sees this state. `sync-`, the
/// node id, and the time in milliseconds; of a node id that is too long, its digest.
pub(crate) fn listed_event_id(node_id: &ResourceId, updated_at: Timestamp) -> EventId {
    let millis = updated_at.unix_millis();
    EventId::new(&format!("{LISTED}{node_id}-{millis}")).unwrap_or_else(|_| {
        let mut digest = String::new();
        for byte in Sha256::digest(node_id.as_str()) {
            // Writing into a string cannot fail.
            let _ = write!(digest, "{byte:02x}");
        }
        EventId::new(&format!("{LISTED}sha256-{digest}-{millis}")).expect("short and visible")
    })
}

/// Whether a list showed the state with this event's id.
pub(super) fn is_listed_event_id(id: &EventId) -> bool {
    id.as_str().starts_with(LISTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_event_id_wherever_it_is_seen() {
        let node = |text: &str| ResourceId::new(text).unwrap();
        let at = Timestamp::parse("2026-11-20T10:00:00Z").unwrap();
        let id = listed_event_id(&node("I_kw7"), at);
        assert_eq!(id.as_str(), "sync-I_kw7-1795168800000");
        let later = at.plus(std::time::Duration::from_secs(1));
        assert_ne!(listed_event_id(&node("I_kw7"), later), id);
        let long = |last| node(&format!("{}{last}", "x".repeat(ResourceId::MAX_BYTES - 1)));
        let ids = ["a", "b"].map(|last| listed_event_id(&long(last), at));
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(is_listed_event_id));
    }
}
