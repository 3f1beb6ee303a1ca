//! Past events that subscriptions want, and which of them want each.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use event_flow::{
    matching::{MatchIndex, MatchedEvent},
    query::EventChoice,
};
use model::{EventDigest, EventFacts, Sequence};

use crate::{
    hub::Hub,
    interest::{FollowedSubscription, StreamInterest},
    limits::MAX_QUERY_COMPARISONS,
};

/// Several subscriptions, as events of the past are compared with them: each has its events after its own position,
/// and its names mean what they meant there, as on a stream that follows it.
#[derive(Debug)]
pub struct SubscribedEvents {
    /// In the order in which they were given, each with the comparisons that it may need.
    subscriptions: Vec<(StreamInterest, usize)>,
    index: MatchIndex<usize>,
    earliest: Sequence,
    comparisons: AtomicUsize,
}

impl Hub {
    /// The events of these subscriptions, in this edge's log.
    #[must_use]
    pub fn subscribed_events<'f>(
        &self,
        subscriptions: impl IntoIterator<Item = FollowedSubscription<'f>>,
    ) -> SubscribedEvents {
        let index = MatchIndex::default();
        let mut all = Vec::new();
        for subscription in subscriptions {
            let interest = self.interest_in([subscription], 0, 0);
            index.add(&all.len(), interest.terms_of_all_times());
            let cost = interest.cost();
            all.push((interest, cost));
        }
        let earliest = all.iter().filter_map(|(one, _)| one.earliest()).min();
        SubscribedEvents {
            subscriptions: all,
            index,
            earliest: earliest.unwrap_or(self.position().sequence),
            comparisons: AtomicUsize::new(0),
        }
    }
}

impl SubscribedEvents {
    /// None of them wants anything up to here.
    #[must_use]
    pub fn earliest(&self) -> Sequence {
        self.earliest
    }

    /// The places of the subscriptions that want an event, ascending.
    #[must_use]
    pub fn wanted_by(&self, position: Sequence, event: &EventFacts) -> Vec<usize> {
        let digest = EventDigest::of(event);
        let matched = MatchedEvent {
            sequence: position,
            facts: event,
            digest: &digest,
            uris: &OnceLock::from(Vec::new()),
        };
        let (mut wanted, mut compared) = (Vec::new(), 0);
        compared += self.index.visit(matched, |place| {
            let (interest, cost) = &self.subscriptions[*place];
            // Before a rename the index knows less than the interest.
            if interest.wants_at(position, &digest) {
                wanted.push(*place);
            }
            compared += cost;
        });
        self.comparisons.fetch_add(compared, Ordering::Relaxed);
        wanted.sort_unstable();
        wanted
    }
}

impl EventChoice for SubscribedEvents {
    fn takes(&self, position: Sequence, event: &EventFacts) -> bool {
        !self.wanted_by(position, event).is_empty()
    }

    fn is_spent(&self) -> bool {
        self.comparisons.load(Ordering::Relaxed) >= MAX_QUERY_COMPARISONS
    }
}
