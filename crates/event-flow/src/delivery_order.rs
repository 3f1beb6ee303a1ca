//! What tells which of two deliveries about one resource GitHub made first: for ingests, which hold deliveries until their
//! turn, and for the sync role, which stores some that no ingest got.

use model::{DeliveryId, ResourceEvent, guid_time};
use ports::{DeliveryNotice, DeliveryTicket, OrderedResource, StateOrder};
use sha2::{Digest, Sha256};

/// A delivery that has its place among those about the same resource, at the ingest of this number.
///
/// Those that carry the same object have one order, whatever their names (`issues`, `sub_issues`); two objects of one
/// resource (an issue, its item in a project) have one each, because their times do not compare.
#[must_use]
pub fn delivery_notice(
    delivery: &DeliveryId,
    name: &str,
    event: &ResourceEvent,
    ingest: u64,
) -> DeliveryNotice {
    let object = github_events::object_of(name, event);
    let resource = hash(&[object.id, object.class]);
    DeliveryNotice {
        ingest,
        resource: OrderedResource(resource),
        ticket: DeliveryTicket(hash(&[delivery.as_str(), name])),
        order: order(delivery, object.is_timed, event),
    }
}

/// Whether a state is older than the newest known one. One without a place is not.
#[must_use]
pub fn comes_before(order: StateOrder, newest: Option<StateOrder>) -> bool {
    order != StateOrder::default() && newest > Some(order)
}

/// Where some states of an object say when they became so and others do not, no comparison of each with each other is
/// an order; so there, when GitHub made the delivery decides alone. A state that has neither its time nor a GUID which
/// tells has no place: it comes as it arrives, and is never late.
fn order(delivery: &DeliveryId, is_timed: bool, event: &ResourceEvent) -> StateOrder {
    let made_at = guid_time(delivery.as_str(), event.received_at).unwrap_or_default();
    match (is_timed, github_events::updated_at(event)) {
        (true, Some(updated_at)) => StateOrder {
            updated_at,
            made_at,
        },
        (true, None) => StateOrder::default(),
        (false, _) => StateOrder {
            made_at,
            ..StateOrder::default()
        },
    }
}

/// Half a digest of SHA-256: equal in every build, since ingests compare them. Two resources that share one wait for
/// each other now and then.
fn hash(parts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut half = [0; 8];
    half.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_hash_do_not_run_into_each_other() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(
            hash(&["I_1", "issues"]),
            0xe831_64fc_37f6_41e1,
            "stays as it is"
        );
    }
}
