//! The number of streams that an edge serves, and the maximum age of a stream.

use std::fmt;

use service_kit::descriptors::Descriptors;
use tracing::{info, warn};

use super::lag::LagLimits;

/// The bounds on an edge's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamBounds {
    /// Maximum number of streams open at once.
    pub max_streams: usize,
    /// The reason for that number.
    pub bound: StreamBound,
    /// Maximum age of a stream.
    pub age: MaxAge,
    /// The limits on how far and how long a client may be behind.
    pub lag: LagLimits,
}

/// The setting or limit that determines the maximum number of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamBound {
    /// `edge.max_streams`.
    Configured,
    /// The process's limit on file descriptors.
    Descriptors,
}

impl StreamBound {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Descriptors => "descriptors",
        }
    }
}

/// The bound and where it comes from, for the client whose stream exceeds it.
impl fmt::Display for StreamBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "streams (edge.max_streams)",
            Self::Descriptors => "streams (its limit of file descriptors)",
        })
    }
}

impl StreamBounds {
    /// The tighter of the configured bound and what the descriptors allow.
    pub fn new(max_streams: usize, descriptors: Descriptors, age: MaxAge, lag: LagLimits) -> Self {
        let possible = descriptors.max_streams();
        let bound = match possible < max_streams {
            true => StreamBound::Descriptors,
            false => StreamBound::Configured,
        };
        Self {
            max_streams: max_streams.min(possible),
            bound,
            age,
            lag,
        }
    }

    /// Logs which bound applies, and how to raise it.
    pub fn log(self, descriptors: Descriptors) {
        let (max_streams, limit) = (self.max_streams, descriptors.limit());
        if self.bound == StreamBound::Descriptors {
            warn!(
                max_streams,
                file_descriptors = limit,
                reserve = descriptors.reserve(),
                "fewer streams than edge.max_streams: the hard limit of file descriptors is too low; \
                 raise it (ulimit -Hn, LimitNOFILE= of systemd, the container runtime's nofile)"
            );
        } else {
            info!(
                max_streams,
                file_descriptors = limit,
                "edge.max_streams limits the number of streams"
            );
        }
    }
}

/// The maximum age of a stream, in seconds of its hub. Reconnecting clients are spread over all
/// edges, including new ones; the jitter keeps clients that connected at the same time from
/// reconnecting at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge {
    /// 0 means no bound.
    max_seconds: u32,
    /// Time that may pass between a stream's end being due and the wheel's next visit to it.
    check_seconds: u32,
}

impl MaxAge {
    /// The end of a stream that has no maximum age.
    pub const NEVER: u32 = u32::MAX;

    /// Up to `max_seconds`, checked every `heartbeat_seconds`; 0 means no bound.
    pub fn new(max_seconds: u32, heartbeat_seconds: u64) -> Self {
        Self {
            max_seconds,
            check_seconds: u32::try_from(heartbeat_seconds).unwrap_or(u32::MAX),
        }
    }

    /// The second in which a stream that opens in second `now` has to end: its age is then between
    /// three quarters of the bound and the whole bound, including the wait for the wheel.
    pub(crate) fn end(self, now: u32, random: impl FnOnce() -> u64) -> u32 {
        if self.max_seconds == 0 {
            return Self::NEVER;
        }
        // Seconds that have begun count at both ends, so that no stream ends too young or too old.
        let least = self.max_seconds - self.max_seconds / 4;
        let late = self.check_seconds.saturating_add(1);
        let jitter = (self.max_seconds - least).saturating_sub(late);
        let jitter = u32::try_from(random() % (u64::from(jitter) + 1)).expect("at most a u32");
        now.saturating_add(1)
            .saturating_add(least)
            .saturating_add(jitter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGE: MaxAge = MaxAge {
        max_seconds: 0,
        check_seconds: 15,
    };

    #[test]
    fn the_tighter_bound_holds_and_zero_refuses_every_stream() {
        let bounds = |configured, limit| {
            let bounds = StreamBounds::new(
                configured,
                Descriptors::of(limit),
                AGE,
                LagLimits::default(),
            );
            (bounds.max_streams, bounds.bound)
        };
        assert_eq!(bounds(15_000, 1024), (944, StreamBound::Descriptors));
        assert_eq!(bounds(15_000, 20), (1, StreamBound::Descriptors));
        assert_eq!(bounds(944, 1024), (944, StreamBound::Configured));
        assert_eq!(bounds(15_000, 1 << 20), (15_000, StreamBound::Configured));
        assert_eq!(bounds(0, 1024), (0, StreamBound::Configured));
    }

    #[test]
    fn without_a_bound_no_stream_ends() {
        assert_eq!(AGE.end(7, || 7), MaxAge::NEVER);
    }

    proptest! {
        #[test]
        fn a_stream_ends_between_three_quarters_of_its_age_and_all_of_it(
            heartbeat in 1_u64..100,
            more in 0_u32..10_000,
            opened_millis in 0_u64..1_000_000,
            phase_millis in 0_u64..100_000,
            random in any::<u64>(),
        ) {
            let least = u32::try_from(crate::limits::MIN_STREAM_HEARTBEATS * heartbeat).unwrap();
            let max = least + more;
            let second = |millis: u64| u32::try_from(millis / 1000).unwrap();
            let end = MaxAge::new(max, heartbeat).end(second(opened_millis), || random);
            // The wheel visits a stream once per heartbeat, at a phase of the stream's own.
            let mut look = phase_millis % (heartbeat * 1000);
            while look < opened_millis || second(look) < end {
                look += heartbeat * 1000;
            }
            let (age, max) = (look - opened_millis, u64::from(max) * 1000);
            prop_assert!(age * 4 >= max * 3, "{age} ms of {max}");
            prop_assert!(age <= max, "{age} ms of {max}");
        }
    }
}
