//! File descriptors: every connection uses one, and the system limits their number per process.
//!
//! A process without a free descriptor cannot even accept the connection that it would refuse. So the
//! limit is read when the process starts, raised as far as the process may raise it, and divided among the
//! listeners ([`DescriptorPlan`]): no listener takes the descriptors of another one, and there are always some for
//! probes. Long-lived connections are refused while there is still room for an answer.

mod plan;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

pub use plan::{DescriptorPlan, ListenerUse};

/// One descriptor in this many is reserved for uses other than streams.
const RESERVE_SHARE: u64 = 20;
/// The smallest reserve: [`MIN_OWN`] and some short requests.
const MIN_RESERVE: u64 = 80;
/// The largest reserve: beyond it, more requests would wait at once than a core serves.
const MAX_RESERVE: u64 = 1024;
/// Descriptors that connections of listeners never use: files, listeners and the connection that waits at each,
/// stores and wakers (27 with all roles and SQLite, up to four that wait, and four for the runtime of each of three
/// listeners).
const MIN_OWN: u64 = 56;

/// The number of file descriptors that this process may have open, and how they are divided.
///
/// In a process that serves only streams, 944 of 1,024 are for streams, 24 for other requests of the same listener, and 56 for
/// everything else; of 100,000 the numbers are 98,976, 512 and 512.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    limit: u64,
    /// Those that other listeners have.
    elsewhere: u64,
}

impl Descriptors {
    /// No limit, or no known limit.
    pub const UNLIMITED: Self = Self::of(u64::MAX);

    /// A known limit, for instance in a test.
    #[must_use]
    pub const fn of(limit: u64) -> Self {
        Self {
            limit,
            elsewhere: 0,
        }
    }

    /// Raises this process's soft limit to the hard limit, and reads and logs the limit that is then in
    /// force. To be called at the start of a process, before it divides its descriptors.
    ///
    /// A limit that cannot be raised stays as it is: the process starts nevertheless, with room for
    /// fewer streams.
    #[must_use]
    pub fn raise() -> Self {
        let found = getrlimit(Resource::Nofile);
        if found.current != found.maximum {
            let raised = Rlimit {
                current: found.maximum,
                ..found
            };
            if let Err(error) = setrlimit(Resource::Nofile, raised) {
                warn!(%error, "the soft limit of file descriptors cannot be raised to the hard one");
            }
        }
        let limit = getrlimit(Resource::Nofile).current;
        info!(limit, was = found.current, "file descriptors");
        limit.map_or(Self::UNLIMITED, Self::of)
    }

    /// The limit; `u64::MAX` for none.
    #[must_use]
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// The limit without those that other listeners have.
    fn available(self) -> u64 {
        self.limit.saturating_sub(self.elsewhere)
    }

    /// The reserve for everything but streams and other listeners: a twentieth, from 80 to 1,024.
    #[must_use]
    pub fn reserve(self) -> u64 {
        (self.available() / RESERVE_SHARE).clamp(MIN_RESERVE, MAX_RESERVE)
    }

    /// Maximum number of long-lived connections such as streams; at least 1.
    #[must_use]
    pub fn max_streams(self) -> usize {
        size(self.available().saturating_sub(self.reserve())).max(1)
    }

    /// Maximum number of connections that the listener of streams may have open: all streams and about
    /// half of the reserve, so that a request for one stream too many can be answered; at least 2.
    #[must_use]
    pub fn max_connections(self) -> usize {
        let all = size(
            self.available()
                .saturating_sub(MIN_OWN.max(self.reserve() / 2)),
        );
        all.max(self.max_streams().saturating_add(1))
    }
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_leave_a_reserve_and_one_too_many_can_be_answered() {
        for (limit, streams, connections) in [
            (0, 1, 2),
            (64, 1, 8),
            (65, 1, 9),
            (256, 176, 200),
            (1024, 944, 968),
            (10_000, 9_500, 9_750),
            (100_000, 98_976, 99_488),
            (1_048_576, 1_047_552, 1_048_064),
        ] {
            let descriptors = Descriptors::of(limit);
            assert_eq!(descriptors.max_streams(), streams, "of {limit}");
            assert_eq!(descriptors.max_connections(), connections, "of {limit}");
        }
        assert!(Descriptors::UNLIMITED.max_streams() > 1 << 40);
        assert!(Descriptors::UNLIMITED.max_connections() > Descriptors::UNLIMITED.max_streams());
    }
}
