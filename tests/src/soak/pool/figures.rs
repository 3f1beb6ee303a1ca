//! Counts of what happened to the streams.

use serde::Serialize;

/// Figures of all streams since the run began.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct StreamFigures {
    /// Streams that are currently open.
    pub(crate) open: usize,
    /// Whether the permanent stream that wants everything was opened: from then on every event is
    /// received on some stream.
    pub(crate) witnessed: bool,
    /// Connects that were started.
    pub(crate) connects: u64,
    /// Streams that were opened, resumed ones included.
    pub(crate) opened: u64,
    /// Those that were resumed.
    pub(crate) resumed: u64,
    /// Streams that ended for any other reason than a close by their client.
    pub(crate) broken: u64,
    /// Streams that their clients closed.
    pub(crate) churned: u64,
    /// Answers with a 5xx.
    pub(crate) unavailable: u64,
    /// Streams whose first frame did not arrive within 15 s.
    pub(crate) slow_opens: u64,
    /// Events received.
    pub(crate) events: u64,
    /// Updates received on listen streams.
    pub(crate) updates: u64,
    /// Bytes received.
    pub(crate) bytes: u64,
    /// From before an event was sent to its arrival, on streams that have been open for a while.
    pub(crate) delays: Delays,
    /// Faults so far.
    pub(crate) faults: u64,
    /// Streams that still miss an event; known only once no more events are sent.
    pub(crate) unsettled: Option<usize>,
}

/// Delays, by powers of two of milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Delays {
    /// Number of delays below 1, 2, 4, … ms; the last entry holds all longer ones.
    below: [u64; 18],
    /// The longest.
    pub(crate) longest_millis: u32,
}

impl Delays {
    /// Adds one delay.
    pub(crate) fn add(&mut self, millis: u32) {
        let bucket = (u32::BITS - millis.leading_zeros()) as usize;
        self.below[bucket.min(17)] += 1;
        self.longest_millis = self.longest_millis.max(millis);
    }

    /// An upper bound, a power of two in milliseconds, of `per_mille` thousandths of the delays.
    pub(crate) fn below_millis(&self, per_mille: u64) -> u64 {
        let all: u64 = self.below.iter().sum();
        let mut so_far = 0;
        for (bucket, count) in self.below.iter().enumerate() {
            so_far += count;
            if so_far * 1000 >= all * per_mille {
                return 1 << bucket;
            }
        }
        u64::from(self.longest_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_given_for_a_share_of_the_delays() {
        let mut delays = Delays::default();
        (0..990).for_each(|_| delays.add(3));
        (0..10).for_each(|_| delays.add(100));
        assert_eq!(delays.below_millis(500), 4);
        assert_eq!(delays.below_millis(990), 4);
        assert_eq!(delays.below_millis(991), 128);
        delays.add(u32::MAX);
        assert_eq!(delays.longest_millis, u32::MAX);
    }
}
