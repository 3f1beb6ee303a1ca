//! The connections of each listener of a process.

use std::collections::BTreeSet;

use super::{Descriptors, MIN_OWN, size};

/// The use of a listener, which decides on its part of the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerUse {
    /// Probes and metrics, in every process.
    Probes,
    /// Calls of other roles: few connections, each of which carries many calls.
    Calls,
    /// Short requests.
    Requests,
    /// Long-lived streams, and short requests beside them.
    Streams,
}

/// The part of a listener that shares its process with one of a greater use: one descriptor in `share`, within bounds.
struct ListenerPart {
    share: u64,
    least: u64,
    most: u64,
}

impl ListenerUse {
    const fn part(self) -> ListenerPart {
        match self {
            // Prometheus, a kubelet, a balancer and an operator, with two connections each, even if there are few.
            Self::Probes => ListenerPart {
                share: 128,
                least: 8,
                most: 64,
            },
            // Each edge has one connection.
            Self::Calls => ListenerPart {
                share: 64,
                least: 8,
                most: 1024,
            },
            // GitHub's deliveries take milliseconds each; idle connections give way to new ones.
            Self::Requests | Self::Streams => ListenerPart {
                share: 16,
                least: 24,
                most: 8192,
            },
        }
    }
}

/// The descriptors of a process, divided among its listeners: those with lesser uses have parts, and the one with the
/// greatest use has the rest. With a limit of 256 and all roles, probes have 8, calls 8, requests 24 and streams 136
/// with 24 connections for requests beside them; with 1,024 the numbers are 8, 16, 64, 856 and 24.
#[derive(Debug, Clone)]
pub struct DescriptorPlan {
    descriptors: Descriptors,
    uses: BTreeSet<ListenerUse>,
}

impl DescriptorPlan {
    /// A plan for a listener of each use, and one for probes.
    #[must_use]
    pub fn new(descriptors: Descriptors, uses: impl IntoIterator<Item = ListenerUse>) -> Self {
        Self {
            descriptors,
            uses: uses.into_iter().chain([ListenerUse::Probes]).collect(),
        }
    }

    /// The descriptors for the listener of streams and for everything that is no connection of a listener.
    #[must_use]
    pub fn streams(&self) -> Descriptors {
        let others = self
            .uses
            .iter()
            .filter(|other| **other != ListenerUse::Streams);
        Descriptors {
            elsewhere: others.map(|other| self.part(*other)).sum(),
            ..self.descriptors
        }
    }

    /// Maximum number of connections of a listener; at least 1.
    #[must_use]
    pub fn max_connections(&self, of: ListenerUse) -> usize {
        if of == ListenerUse::Streams {
            return self.streams().max_connections();
        }
        if self.uses.last() != Some(&of) {
            return size(self.part(of));
        }
        let others = self.uses.iter().filter(|other| **other != of);
        let others: u64 = others.map(|other| self.part(*other)).sum();
        let rest = self.descriptors.available().saturating_sub(others);
        size(rest.saturating_sub(MIN_OWN)).max(1)
    }

    fn part(&self, of: ListenerUse) -> u64 {
        let ListenerPart { share, least, most } = of.part();
        (self.descriptors.available() / share).clamp(least, most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use ListenerUse::{Calls, Probes, Requests, Streams};

    fn numbers(limit: u64, uses: &[ListenerUse]) -> Vec<usize> {
        let plan = DescriptorPlan::new(Descriptors::of(limit), uses.iter().copied());
        let uses = [Probes].into_iter().chain(uses.iter().copied());
        uses.map(|of| plan.max_connections(of)).collect()
    }

    #[test]
    fn a_role_alone_has_nearly_all_and_beside_streams_a_part() {
        assert_eq!(numbers(256, &[Calls, Requests, Streams]), [8, 8, 24, 160]);
        assert_eq!(numbers(1024, &[Calls, Requests, Streams]), [8, 16, 64, 880]);
        assert_eq!(numbers(256, &[Streams]), [8, 192]);
        assert_eq!(numbers(256, &[Requests]), [8, 192]);
        assert_eq!(numbers(256, &[Calls]), [8, 192]);
        assert_eq!(numbers(256, &[]), [200]);
        let plan = DescriptorPlan::new(Descriptors::of(256), [Calls, Requests, Streams]);
        assert_eq!(plan.streams().max_streams(), 136);
        assert_eq!(plan.streams().limit(), 256);
    }

    proptest! {
        #[test]
        fn listeners_never_promise_more_descriptors_than_there_are(
            limit in 128_u64..2_000_000,
            calls: bool,
            requests: bool,
            streams: bool,
        ) {
            let uses = [(Calls, calls), (Requests, requests), (Streams, streams)];
            let uses: Vec<_> = uses.into_iter().filter(|(_, here)| *here).map(|(of, _)| of).collect();
            let promised: usize = numbers(limit, &uses).into_iter().sum();
            prop_assert!(promised as u64 + MIN_OWN <= limit, "{promised}");
            prop_assert!(numbers(limit, &uses).into_iter().all(|one| one >= 8));
        }
    }
}
