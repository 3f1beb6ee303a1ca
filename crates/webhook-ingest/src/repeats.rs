//! Bodies that come again under another GUID.
//!
//! GitHub signs the body of a delivery, and neither its GUID nor the event's name. A body that somebody has
//! seen can therefore be sent again as a new delivery. It cannot be told from a body that GitHub sends
//! twice, so it is marked and not dropped (ADR 001).

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
};

use model::DeliveryId;
use parking_lot::Mutex;

use crate::{limits::REMEMBERED_BODIES, signature::DIGEST_BYTES};

/// The first half of a signature: enough to tell bodies apart, and cheap to keep.
type BodyKey = [u8; DIGEST_BYTES / 2];

/// The bodies of the last deliveries, known by their signatures. A body that is repeated has the signature
/// of the first time: only who knows the secret could make another.
#[derive(Default)]
pub(crate) struct SeenBodies {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The delivery that had the body first, as a hash of its GUID and the event's name.
    deliveries: HashMap<BodyKey, u64>,
    /// In the order in which they arrived.
    order: VecDeque<BodyKey>,
}

impl fmt::Debug for SeenBodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeenBodies({})", self.seen.lock().order.len())
    }
}

impl SeenBodies {
    /// Notes a body whose signature is good; whether an earlier delivery had it under another GUID or
    /// another name. A redelivery is no repetition.
    pub(crate) fn is_repeated(
        &self,
        signature: &[u8; DIGEST_BYTES],
        delivery: &DeliveryId,
        event: &str,
    ) -> bool {
        let delivery = self.hasher.hash_one((delivery, event));
        let mut key = BodyKey::default();
        let length = key.len();
        key.copy_from_slice(&signature[..length]);
        let mut seen = self.seen.lock();
        if let Some(first) = seen.deliveries.get(&key) {
            return *first != delivery;
        }
        if seen.order.len() >= REMEMBERED_BODIES
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.deliveries.remove(&oldest);
        }
        seen.deliveries.insert(key, delivery);
        seen.order.push_back(key);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(n: usize) -> [u8; DIGEST_BYTES] {
        let mut signature = [0; DIGEST_BYTES];
        signature[..8].copy_from_slice(&n.to_be_bytes());
        signature
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let (seen, first) = (SeenBodies::default(), DeliveryId::new("first").unwrap());
        let again = DeliveryId::new("again").unwrap();
        for n in 0..=REMEMBERED_BODIES {
            assert!(!seen.is_repeated(&signature(n), &first, "issues"));
        }
        assert_eq!(
            format!("{seen:?}"),
            format!("SeenBodies({REMEMBERED_BODIES})")
        );
        assert!(
            !seen.is_repeated(&signature(0), &again, "issues"),
            "forgotten"
        );
        assert!(seen.is_repeated(&signature(REMEMBERED_BODIES), &again, "issues"));
    }
}
