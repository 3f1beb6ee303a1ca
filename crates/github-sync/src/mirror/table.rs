//! The newest known state per resource, within bounds.
//!
//! Our own code instead of a cache crate: both bounds hold exactly after every insert, nothing is
//! refused admission, and a single lock makes compare-and-replace atomic.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use model::{EventFacts, EventType, ResourceUri, Sequence, Timestamp};
use ports::ResourceState;

use super::reading::StateReading;

/// The order of states: the greater one is kept, regardless of the order of arrival.
///
/// A whole object beats a partial view. Then GitHub's own timestamp decides. Of two states with the
/// same second a deletion wins, because GitHub never reuses a number; otherwise the later position
/// in the log wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Version {
    whole: bool,
    updated_at: Timestamp,
    deleted: bool,
    sequence: Sequence,
}

#[derive(Debug)]
struct Entry {
    state: ResourceState,
    version: Version,
    last_use: u64,
}

/// The effect of a reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ApplyOutcome {
    /// It is the current state now.
    Newer {
        /// The number of other states that were evicted for it.
        evicted: u64,
    },
    /// A newer state is known.
    Outdated,
}

#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Arc<ResourceUri>, Entry>,
    /// The keys in order of last use, oldest first.
    by_use: BTreeMap<u64, Arc<ResourceUri>>,
    uses: u64,
    bytes: usize,
    max_resources: usize,
    max_bytes: usize,
}

impl Table {
    /// Keeps up to `max_resources` states with up to `max_bytes` of JSON together; at either bound
    /// the least recently read or written are evicted. The newest state stays even if it alone is
    /// too large.
    pub(super) fn new(max_resources: usize, max_bytes: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            bytes: 0,
            max_resources,
            max_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_resources, self.max_bytes);
    }

    /// The log no longer has what came after a position: states from there count as of that position.
    pub(super) fn set_back(&mut self, resumes_after: Sequence) {
        for entry in self.entries.values_mut() {
            entry.version.sequence = entry.version.sequence.min(resumes_after);
            entry.state.sequence = entry.state.sequence.min(resumes_after);
        }
    }

    /// The state of a resource; counts as a use.
    pub(super) fn get(&mut self, uri: &ResourceUri) -> Option<ResourceState> {
        self.uses += 1;
        let entry = self.entries.get_mut(uri)?;
        if let Some(key) = self.by_use.remove(&entry.last_use) {
            self.by_use.insert(self.uses, key);
        }
        entry.last_use = self.uses;
        Some(entry.state.clone())
    }

    /// Applies the state from an event, unless a newer one is known.
    pub(super) fn apply(
        &mut self,
        uri: ResourceUri,
        facts: &EventFacts,
        sequence: Sequence,
        reading: StateReading,
    ) -> ApplyOutcome {
        let deleted = facts.event_type == EventType::DELETED;
        let known = self.entries.get(&uri);
        let (json, updated_at, whole) = match reading {
            StateReading::Nothing => return ApplyOutcome::Outdated,
            StateReading::State {
                json,
                updated_at,
                whole,
            } => (json, updated_at, whole),
            // The last state before the deletion is the best that we can show.
            StateReading::Deleted => (
                known.map_or(Bytes::from_static(b"null"), |known| {
                    known.state.json.clone()
                }),
                facts.timestamp,
                known.is_none_or(|known| known.version.whole),
            ),
        };
        let version = Version {
            whole,
            updated_at,
            deleted,
            sequence,
        };
        if known.is_some_and(|known| known.version >= version) {
            return ApplyOutcome::Outdated;
        }
        let event_id = facts.id.clone();
        let state = ResourceState {
            uri: uri.clone(),
            json,
            event_id,
            sequence,
            updated_at,
            deleted,
        };
        self.remove(&uri);
        self.insert(uri, state, version);
        ApplyOutcome::Newer {
            evicted: self.shrink(),
        }
    }

    fn insert(&mut self, uri: ResourceUri, state: ResourceState, version: Version) {
        let key = Arc::new(uri);
        self.uses += 1;
        self.bytes += state.json.len();
        self.by_use.insert(self.uses, Arc::clone(&key));
        self.entries.insert(
            key,
            Entry {
                state,
                version,
                last_use: self.uses,
            },
        );
    }

    fn remove(&mut self, uri: &ResourceUri) {
        if let Some(entry) = self.entries.remove(uri) {
            self.by_use.remove(&entry.last_use);
            self.bytes -= entry.state.json.len();
        }
    }

    fn shrink(&mut self) -> u64 {
        let mut evicted = 0;
        while self.len() > self.max_resources || (self.bytes > self.max_bytes && self.len() > 1) {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                break;
            };
            let oldest = Arc::clone(oldest);
            self.remove(&oldest);
            evicted += 1;
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use model::{EventId, EventOrigin, ResourceId, ResourceType};
    use proptest::prelude::*;

    use super::*;

    fn uri(number: u64) -> ResourceUri {
        ResourceUri::parse(&format!("github://issues/o/r/{number}")).unwrap()
    }

    #[derive(Debug, Clone)]
    struct EventCase {
        number: u64,
        second: i64,
        sequence: u64,
        deleted: bool,
        whole: bool,
        length: usize,
    }

    impl EventCase {
        fn version(&self) -> Version {
            Version {
                whole: self.whole,
                updated_at: Timestamp::from_unix_millis(self.second * 1000),
                deleted: self.deleted,
                sequence: Sequence(self.sequence),
            }
        }

        fn apply(&self, table: &mut Table) -> ApplyOutcome {
            let updated_at = Timestamp::from_unix_millis(self.second * 1000);
            let facts = EventFacts {
                id: EventId::new(&self.sequence.to_string()).unwrap(),
                event_type: if self.deleted {
                    EventType::DELETED
                } else {
                    EventType::UPDATED
                },
                resource_type: ResourceType::ISSUE,
                resource_id: ResourceId::new("I").unwrap(),
                owner: None,
                repo: None,
                number: None,
                actor: None,
                source: EventOrigin::WEBHOOK,
                tags: Vec::new(),
                timestamp: updated_at,
                received_at: updated_at,
            };
            let json = vec![b'x'; self.length].into();
            let reading = StateReading::State {
                json,
                updated_at,
                whole: self.whole,
            };
            table.apply(uri(self.number), &facts, Sequence(self.sequence), reading)
        }
    }

    fn event_cases() -> impl Strategy<Value = Vec<EventCase>> {
        let one = (
            0..4_u64,
            0..4_i64,
            any::<bool>(),
            prop::bool::weighted(0.8),
            0..50_usize,
        );
        prop::collection::vec(one, 1..40).prop_map(|all| {
            let numbered = all.into_iter().zip(1..);
            let case = |((number, second, deleted, whole, length), sequence)| EventCase {
                number,
                second,
                sequence,
                deleted,
                whole,
                length,
            };
            numbered.map(case).collect()
        })
    }

    #[test]
    fn a_state_of_the_lost_part_of_the_log_gives_way_to_one_of_the_same_second() {
        let case = |sequence| EventCase {
            number: 1,
            second: 1,
            sequence,
            deleted: false,
            whole: true,
            length: 1,
        };
        let mut table = Table::new(10, usize::MAX);
        case(50).apply(&mut table);
        assert_eq!(case(31).apply(&mut table), ApplyOutcome::Outdated);
        table.set_back(Sequence(30));
        case(31).apply(&mut table);
        let sequence = table.get(&uri(1)).map(|state| state.sequence);
        assert_eq!(sequence, Some(Sequence(31)));
    }

    proptest! {
        /// In whatever order events are applied, even twice, the newest state is kept.
        #[test]
        fn the_newest_state_stays_whatever_the_order(
            (events, order) in event_cases().prop_flat_map(|events| {
                let twice: Vec<EventCase> = events.iter().chain(&events).cloned().collect();
                (Just(events), Just(twice).prop_shuffle())
            })
        ) {
            let mut table = Table::new(100, usize::MAX);
            for event in &order {
                event.apply(&mut table);
            }
            for number in 0..4 {
                let newest =
                    events.iter().filter(|t| t.number == number).max_by_key(|t| t.version());
                let kept = table.get(&uri(number));
                prop_assert_eq!(kept.as_ref().map(|s| s.sequence.0), newest.map(|t| t.sequence));
                prop_assert_eq!(kept.map(|s| s.deleted), newest.map(|t| t.deleted));
            }
        }

        /// Both bounds hold after every step, and the bookkeeping stays exact.
        #[test]
        fn the_bounds_hold(events in event_cases(), max_resources in 1..4_usize, max_bytes in 1..120_usize) {
            let mut table = Table::new(max_resources, max_bytes);
            for event in &events {
                event.apply(&mut table);
                table.get(&uri(event.number % 2));
                prop_assert!(table.len() <= max_resources);
                prop_assert!(table.bytes <= max_bytes || table.len() == 1);
                prop_assert_eq!(table.by_use.len(), table.len());
                let bytes: usize = table.entries.values().map(|e| e.state.json.len()).sum();
                prop_assert_eq!(table.bytes, bytes);
            }
        }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut table = Table::new(2, usize::MAX);
        let apply = |table: &mut Table, number| {
            EventCase {
                number,
                second: 0,
                sequence: number,
                deleted: false,
                whole: true,
                length: 1,
            }
            .apply(table)
        };
        apply(&mut table, 1);
        apply(&mut table, 2);
        assert!(table.get(&uri(1)).is_some());
        assert_eq!(apply(&mut table, 3), ApplyOutcome::Newer { evicted: 1 });
        assert!(table.get(&uri(2)).is_none());
        assert!(table.get(&uri(1)).is_some() && table.get(&uri(3)).is_some());
    }

    #[test]
    fn a_deletion_without_object_keeps_the_last_known_one() {
        let mut table = Table::new(2, usize::MAX);
        let event = EventCase {
            number: 1,
            second: 1,
            sequence: 1,
            deleted: false,
            whole: true,
            length: 3,
        };
        event.apply(&mut table);
        let mut facts = facts_of_deletion();
        facts.timestamp = Timestamp::from_unix_millis(1000);
        table.apply(uri(1), &facts, Sequence(2), StateReading::Deleted);
        let state = table.get(&uri(1)).unwrap();
        assert_eq!((state.deleted, &state.json[..]), (true, &b"xxx"[..]));
    }

    fn facts_of_deletion() -> EventFacts {
        EventFacts {
            id: EventId::new("gone").unwrap(),
            event_type: EventType::DELETED,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I").unwrap(),
            owner: None,
            repo: None,
            number: None,
            actor: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        }
    }
}
