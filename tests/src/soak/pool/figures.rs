//! What happened to the streams, in numbers.

use serde::Serialize;

/// Figures of all streams since the run began.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    /// Streams that are open now.
    pub(crate) open: usize,
    /// Whether the stream that wants everything, and stays, was opened: from then on every event is seen.
    pub(crate) witnessed: bool,
    /// Connections that were begun.
    pub(crate) connects: u64,
    /// Streams that were opened, resumed ones included.
    pub(crate) opened: u64,
    /// Those that were resumed.
    pub(crate) resumed: u64,
    /// Streams that ended by other hands than the client's.
    pub(crate) broken: u64,
    /// Streams that their clients closed.
    pub(crate) churned: u64,
    /// Answers with a 5xx.
    pub(crate) unavailable: u64,
    /// Streams that did not begin within 15 s.
    pub(crate) slow_opens: u64,
    /// Events that came.
    pub(crate) events: u64,
    /// Updates that came on listen streams.
    pub(crate) updates: u64,
    /// Bytes that came.
    pub(crate) bytes: u64,
    /// From before an event was sent to its arrival, on streams that have been open for a while.
    pub(crate) delays: Delays,
    /// Faults so far.
    pub(crate) faults: u64,
    /// Streams that still miss something; only known once nothing more is sent.
    pub(crate) unsettled: Option<usize>,
}

/// Delays, by powers of two of milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Delays {
    /// How many were below 1, 2, 4, … ms; the last holds all that were longer.
    below: [u64; 18],
    /// The longest.
    pub(crate) longest_millis: u32,
}

impl Delays {
    /// One more.
    pub(crate) fn add(&mut self, millis: u32) {
        let bucket = (u32::BITS - millis.leading_zeros()) as usize;
        self.below[bucket.min(17)] += 1;
        self.longest_millis = self.longest_millis.max(millis);
    }

    /// So many of a thousand were below this many milliseconds.
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
