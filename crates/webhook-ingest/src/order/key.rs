//! What tells which of two deliveries about one resource GitHub made first.

use model::{DeliveryId, EventType, ResourceEvent, Timestamp};
use ports::{DeliveryNotice, DeliveryTicket, OrderedResource, StateOrder};
use sha2::{Digest, Sha256};

/// A delivery that has its place among those about the same resource.
///
/// Those that carry the same object have one order, whatever their names (`issues`, `sub_issues`); two objects of one
/// resource (an issue, its item in a project) have one each, because their times do not compare.
pub(super) fn notice(
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

/// Where some states of an object say when they became so and others do not, no comparison of each with each other is
/// an order; so there, when GitHub made the delivery decides alone. A state that has neither its time nor a GUID which
/// tells has no place: it comes as it arrives, and is never late.
fn order(delivery: &DeliveryId, is_timed: bool, event: &ResourceEvent) -> StateOrder {
    let made_at = made_at(delivery.as_str(), event.received_at).unwrap_or_default();
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

/// Whether GitHub can have made no delivery about the resource before: it was created, and has a node id. Ids that are
/// derived from a place (a branch, a star) have a colon or a slash, and what they name can be created again.
pub(super) fn is_first(event: &ResourceEvent) -> bool {
    let has_node_id = !event.resource_id.as_str().contains([':', '/']);
    event.event_type == EventType::CREATED && has_node_id
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

/// Largest difference between the times in a GUID and on our clock at which the former is believed: GitHub
/// delivers again for three days.
const BELIEVED_MILLIS: i64 = 4 * 24 * 3600 * 1000;
/// The time from the beginning of the Gregorian calendar, from which version 1 counts, to 1970 (RFC 9562 §5.1).
const GREGORIAN_MILLIS: i64 = 12_219_292_800_000;

/// The time at which GitHub made the delivery, in units of 100 ns since 1582: its GUIDs are of version 1 (RFC 9562
/// §5.1), which begin with it. `None` for any other GUID, and for a time that cannot be.
fn made_at(guid: &str, received_at: Timestamp) -> Option<u64> {
    let mut parts = guid.split('-');
    let mut part = |digits: usize| {
        let text = parts.next().filter(|text| text.len() == digits)?;
        u64::from_str_radix(text, 16).ok()
    };
    let (low, middle, high) = (part(8)?, part(4)?, part(4)?);
    if high >> 12 != 1 {
        return None;
    }
    let ticks = (high & 0x0fff) << 48 | middle << 32 | low;
    let millis = i64::try_from(ticks / 10_000).ok()? - GREGORIAN_MILLIS;
    let difference = millis.abs_diff(received_at.unix_millis());
    (difference <= BELIEVED_MILLIS.unsigned_abs()).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_of_version_1_tells_when_it_was_made() {
        let made = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
        // 2014-04-25T12:27:37.8646570Z, as other readers of such GUIDs say.
        let ticks = made_at(made, Timestamp::parse("2014-04-25T12:30:00Z").unwrap()).unwrap();
        let millis = i64::try_from(ticks / 10_000).unwrap() - GREGORIAN_MILLIS;
        let time = Timestamp::from_unix_millis(millis);
        assert!(
            time > Timestamp::parse("2014-04-25T00:00:00Z").unwrap(),
            "{time}"
        );
        assert!(
            time < Timestamp::parse("2014-04-26T00:00:00Z").unwrap(),
            "{time}"
        );
        let later = "72d3162f-cc78-11e3-81ab-4c9367dc0958";
        assert_eq!(made_at(later, time), Some(ticks + 1));
    }

    #[test]
    fn no_other_guid_does() {
        let now = Timestamp::parse("2026-11-29T00:00:00Z").unwrap();
        for guid in [
            "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "d1",
            "",
            "72d3162e-cc78-1-81ab",
            "zzzzzzzz-cc78-11e3-81ab-4c9367dc0958",
        ] {
            assert_eq!(made_at(guid, now), None, "{guid}");
        }
    }

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
