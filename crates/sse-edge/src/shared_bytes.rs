//! Memory of one kind, shared out between the principals of an edge.

use std::sync::Arc;

use access::PlaceShares;
use model::PrincipalId;
use parking_lot::Mutex;

/// Bytes that requests may hold together. A small part of each needs no share, so whatever others hold,
/// ordinary requests pass.
#[derive(Debug)]
pub(crate) struct SharedBytes {
    max: usize,
    small: usize,
    taken: Mutex<PlaceShares>,
}

/// The bytes that one request holds; they are free again when this is dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    shared: Arc<SharedBytes>,
    principal: PrincipalId,
    taken: usize,
}

impl SharedBytes {
    /// `max` bytes for all, beyond `small` bytes of each.
    pub(crate) fn new(max: usize, small: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            small,
            taken: Mutex::default(),
        })
    }

    /// A request of a principal, which holds nothing yet.
    pub(crate) fn hold(self: &Arc<Self>, principal: &PrincipalId) -> HeldBytes {
        HeldBytes {
            shared: Arc::clone(self),
            principal: principal.clone(),
            taken: 0,
        }
    }
}

impl HeldBytes {
    /// Holds this many bytes, if there is room; returns whether there is.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let more = self.beyond_small(bytes).saturating_sub(self.taken);
        let mut taken = self.shared.taken.lock();
        let has_room = taken
            .take_many(&self.principal, more, self.shared.max)
            .is_ok();
        if has_room {
            self.taken += more;
        }
        has_room
    }

    /// Holds no more than this many bytes from now on.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let less = self.taken.saturating_sub(self.beyond_small(bytes));
        if less > 0 {
            self.taken -= less;
            let mut taken = self.shared.taken.lock();
            taken.give_back_many(&self.principal, less);
        }
    }

    fn beyond_small(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.shared.small)
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BATCH_BYTES, MAX_CALLS, SMALL_BATCH_BYTES};

    fn principal(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    #[test]
    fn requests_hold_what_the_bound_allows_and_leave_room_to_others() {
        let shared = SharedBytes::new(BATCH_BYTES, SMALL_BATCH_BYTES);
        let greedy = principal("greedy");
        let all = (0..MAX_CALLS).map(|_| shared.hold(&greedy));
        let mut all: Vec<_> = all.collect();
        for one in &mut all {
            one.grow(4 << 20);
        }
        let held: usize = all.iter().map(|one| one.taken).sum();
        assert!(
            (BATCH_BYTES / 2..BATCH_BYTES).contains(&held),
            "{held} bytes"
        );
        assert_eq!(shared.taken.lock().taken(), held);
        let mut other = shared.hold(&principal("other"));
        assert!(other.grow(4 << 20), "another has its share");
        let mut last = all.pop().unwrap();
        assert!(last.grow(SMALL_BATCH_BYTES), "a small one needs no room");
        assert!(!last.grow(4 << 20));
        all.iter_mut().for_each(|one| one.shrink(0));
        assert!(last.grow(4 << 20));
        drop((all, last, other));
        assert_eq!(shared.taken.lock().taken(), 0);
    }
}
