//! The bytes of begun frames that streams hold for clients that do not read, in one budget for the edge, shared
//! out between principals. A frame that has begun is finished, so its rest is kept; all else is a position.

use access::PlaceShares;
use model::PrincipalId;
use prometheus_client::metrics::gauge::Gauge;
use stream_driver::sync::Mutex;

use crate::limits::{SMALL_UNREAD_BYTES, UNREAD_BYTES};

/// The budget of one edge.
#[derive(Debug)]
pub(crate) struct UnreadBytes {
    taken: Mutex<PlaceShares>,
    metric: Gauge,
}

impl UnreadBytes {
    pub(crate) fn new(metric: Gauge) -> Self {
        Self {
            taken: Mutex::default(),
            metric,
        }
    }

    /// Changes what one stream holds from `held` to what it takes for a rest of this size, if there is room.
    /// Returns what the stream holds then; `None` if there is no room, and nothing has changed.
    pub(crate) fn change(
        &self,
        principal: &PrincipalId,
        held: usize,
        rest_bytes: usize,
    ) -> Option<usize> {
        let wanted = rest_bytes.saturating_sub(SMALL_UNREAD_BYTES);
        if wanted == held {
            return Some(held);
        }
        let mut taken = self.taken.lock();
        match wanted.checked_sub(held) {
            Some(more) => taken.take_many(principal, more, UNREAD_BYTES).ok()?,
            None => taken.give_back_many(principal, held - wanted),
        }
        let all = i64::try_from(taken.taken()).unwrap_or(i64::MAX);
        self.metric.set(all);
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: usize = 512 << 10;

    #[test]
    fn who_reads_nothing_has_its_share_and_others_have_theirs() {
        let unread = UnreadBytes::new(Gauge::default());
        let (greedy, modest) = ("greedy", "modest");
        let [greedy, modest] = [greedy, modest].map(|name| PrincipalId::new(name).unwrap());
        let mut held = Vec::new();
        while let Some(more) = unread.change(&greedy, 0, EVENT) {
            held.push(more);
        }
        let bytes: usize = held.iter().sum();
        assert!((UNREAD_BYTES / 2..UNREAD_BYTES).contains(&bytes), "{bytes}");
        assert_eq!(unread.metric.get(), bytes as i64);
        assert_eq!(unread.change(&greedy, 0, SMALL_UNREAD_BYTES), Some(0));
        let other = unread.change(&modest, 0, EVENT);
        assert!(other.is_some(), "another has its share");
        // What is sent meanwhile is free again.
        assert_eq!(
            unread.change(&greedy, held[0], SMALL_UNREAD_BYTES + 1),
            Some(1)
        );
        held[0] = 1;
        for one in held.into_iter().chain([0]) {
            assert_eq!(unread.change(&greedy, one, 0), Some(0));
        }
        unread.change(&modest, other.unwrap(), 0);
        assert_eq!(unread.metric.get(), 0);
    }
}
