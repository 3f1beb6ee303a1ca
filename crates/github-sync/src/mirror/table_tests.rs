use bytes::Bytes;
use model::{
    EventFacts, EventId, EventOrigin, EventType, FormerPlace, OwnerId, RepositoryId, ResourceType,
    Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::mirror::{
    kept::ApplyOutcome,
    reading::{EventReading, StateReading},
    version::StateVersion,
};

impl Table {
    fn get(&mut self, uri: &ResourceUri) -> Option<ResourceState> {
        Some(self.found(uri)?.0)
    }
}

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
    late: bool,
    length: usize,
}

impl EventCase {
    fn version(&self) -> StateVersion {
        StateVersion {
            whole: self.whole,
            updated_at: Timestamp::from_unix_millis(self.second * 1000),
            deleted: self.deleted,
            made_at: 0,
            on_time: !self.late,
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
            number: Some(self.number),
            timestamp: updated_at,
            ..issue("o/r", GithubIds::default())
        };
        let state = StateReading::State {
            json: vec![b'x'; self.length].into(),
            updated_at,
            whole: self.whole,
        };
        let reading = EventReading {
            late: self.late,
            made_at: 0,
            repository_node_id: None,
            state,
        };
        table.apply(&facts, Sequence(self.sequence), reading)
    }
}

/// An event of issue 7 of a repository.
pub(super) fn issue(name: &str, ids: GithubIds) -> EventFacts {
    let (owner, repo) = name.split_once('/').unwrap();
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I").unwrap(),
        owner: Some(owner.to_owned()),
        repo: Some(repo.to_owned()),
        number: Some(7),
        ids,
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

pub(super) fn ids(owner: u64, repository: u64) -> GithubIds {
    GithubIds {
        owner: Some(OwnerId(owner)),
        repository: Some(RepositoryId(repository)),
        resource: None,
    }
}

/// A rename or a transfer of a repository.
pub(super) fn renamed(from: &str, to: &str, ids: GithubIds) -> EventFacts {
    let (owner, repo) = from.split_once('/').unwrap();
    EventFacts {
        resource_type: ResourceType::open("repository"),
        number: None,
        former: Some(Box::new(FormerPlace {
            owner: Some(owner.to_owned()),
            repo: Some(repo.to_owned()),
        })),
        ..issue(to, ids)
    }
}

/// A rename of an owner.
pub(super) fn owner_renamed(from: &str, to: &str, id: u64) -> EventFacts {
    EventFacts {
        resource_type: ResourceType::open("organization"),
        repo: None,
        number: None,
        former: Some(Box::new(FormerPlace {
            owner: Some(from.to_owned()),
            repo: None,
        })),
        ..issue(
            &format!("{to}/x"),
            GithubIds {
                repository: None,
                ..ids(id, 0)
            },
        )
    }
}

/// A log that a table follows; each event is made one unit of time after the one before.
struct Followed {
    table: Table,
    sequence: u64,
}

impl Followed {
    fn new() -> Self {
        Self {
            table: Table::new(100, usize::MAX),
            sequence: 0,
        }
    }

    fn happens(&mut self, facts: &EventFacts, text: &str) {
        let made_at = 10 * (self.sequence + 1);
        self.happens_late(facts, text, made_at, false);
    }

    /// A delivery that GitHub made at another time than that of its arrival.
    fn happens_late(&mut self, facts: &EventFacts, text: &str, made_at: u64, late: bool) {
        self.sequence += 1;
        let state = match facts.resource_uri() {
            None => StateReading::Nothing,
            Some(_) => StateReading::State {
                json: Bytes::copy_from_slice(text.as_bytes()),
                updated_at: facts.timestamp,
                whole: true,
            },
        };
        let reading = EventReading {
            late,
            made_at,
            repository_node_id: None,
            state,
        };
        self.table.apply(facts, Sequence(self.sequence), reading);
    }

    /// The state of issue 7 under an address, with the ids of the repository and of its owner.
    fn read(&mut self, name: &str) -> Option<(String, Option<u64>, Option<u64>)> {
        let uri = ResourceUri::parse(&format!("github://issues/{name}/7")).unwrap();
        let state = self.table.get(&uri)?;
        Some((
            String::from_utf8(state.json.to_vec()).unwrap(),
            state.ids.repository.map(|id| id.0),
            state.ids.owner.map(|id| id.0),
        ))
    }

    fn reads(&mut self, names: &[&str], text: &str, ids: (u64, u64)) {
        for name in names {
            let expected = (text.to_owned(), Some(ids.1), Some(ids.0));
            assert_eq!(self.read(name), Some(expected), "{name}");
        }
    }
}

#[test]
fn a_state_goes_with_its_repository_and_then_with_its_owner() {
    let mut log = Followed::new();
    log.happens(&issue("acme/van", ids(10, 50)), "v1");
    log.happens(&renamed("acme/van", "beta/van", ids(20, 50)), "");
    log.reads(&["acme/van", "beta/van"], "v1", (20, 50));
    log.happens(&issue("beta/van", ids(20, 50)), "v2");
    log.happens(&owner_renamed("beta", "gamma", 20), "");
    let all = ["acme/van", "beta/van", "gamma/van"];
    log.reads(&all, "v2", (20, 50));
    for text in ["v3", "v4"] {
        log.happens(&issue("gamma/van", ids(20, 50)), text);
        log.reads(&all, text, (20, 50));
    }
    let uri = ResourceUri::parse("github://issues/beta/van/7").unwrap();
    let state = log.table.get(&uri).unwrap();
    assert_eq!(state.uri.to_string(), "github://issues/gamma/van/7");
    // Somebody else takes the login, and then makes a repository of the same name.
    log.happens(&issue("beta/other", ids(88, 52)), "other");
    assert_eq!(log.read("beta/van"), None);
    log.happens(&issue("beta/van", ids(88, 51)), "theirs");
    log.happens(&issue("gamma/van", ids(20, 50)), "v5");
    log.reads(&["beta/van"], "theirs", (88, 51));
    log.reads(&["acme/van", "gamma/van"], "v5", (20, 50));
}

#[test]
fn a_repository_that_was_made_anew_has_nothing_of_the_former_one() {
    let mut log = Followed::new();
    log.happens(&issue("acme/del", ids(10, 5)), "before");
    let created = EventFacts {
        resource_type: ResourceType::open("repository"),
        number: None,
        ..issue("acme/del", ids(10, 6))
    };
    log.happens(&created, "");
    assert_eq!(log.read("acme/del"), None);
    // A late delivery of the former one does not bring it back.
    log.happens_late(&issue("acme/del", ids(10, 5)), "late", 15, false);
    assert_eq!(log.read("acme/del"), None);
    log.happens(&issue("acme/del", ids(10, 6)), "after");
    log.reads(&["acme/del"], "after", (10, 6));
}

#[test]
fn an_event_under_another_name_corrects_the_address_without_any_rename() {
    let mut log = Followed::new();
    log.happens(&issue("mona1/cat", ids(30, 40)), "cat");
    log.happens(&issue("mona1/dog", ids(30, 41)), "dog");
    log.happens(&issue("lisa/cat", ids(30, 40)), "cat 2");
    log.reads(&["mona1/cat", "lisa/cat"], "cat 2", (30, 40));
    // What belongs to the owner went with it.
    log.reads(&["mona1/dog", "lisa/dog"], "dog", (30, 41));
    log.happens(&issue("mona1/cat", ids(99, 42)), "stranger");
    log.reads(&["mona1/cat"], "stranger", (99, 42));
    assert_eq!(log.read("mona1/dog"), None);
    log.reads(&["lisa/dog"], "dog", (30, 41));
}

#[test]
fn of_two_that_had_one_name_the_present_holder_goes_with_the_owner() {
    for first in [1, 2] {
        let mut log = Followed::new();
        let second = 3 - first;
        log.happens(&issue("acme/rocket", ids(10, first)), "deleted");
        log.happens(&issue("acme/rocket", ids(10, second)), "made anew");
        log.happens(&owner_renamed("acme", "apex", 10), "");
        log.reads(&["acme/rocket", "apex/rocket"], "made anew", (10, second));
    }
}

#[test]
fn a_project_is_that_of_whoever_has_the_login() {
    let project = |owner: &str, id: u64| EventFacts {
        resource_type: ResourceType::PROJECT,
        repo: None,
        ..owner_renamed("unused", owner, id)
    };
    let project = |owner: &str, id: u64| EventFacts {
        former: None,
        number: Some(7),
        ..project(owner, id)
    };
    let mut log = Followed::new();
    let read = |log: &mut Followed, owner: &str| {
        let uri = ResourceUri::parse(&format!("github://projects/{owner}/7")).unwrap();
        let state = log.table.get(&uri)?;
        Some((state.json, state.ids.owner.map(|id| id.0)))
    };
    log.happens(&project("mona1", 30), "mine");
    log.happens(&project("mona1", 99), "theirs");
    assert_eq!(read(&mut log, "mona1"), Some(("theirs".into(), Some(99))));
    log.happens(&owner_renamed("mona1", "lisa", 30), "");
    assert_eq!(read(&mut log, "lisa"), Some(("mine".into(), Some(30))));
    assert_eq!(read(&mut log, "mona1"), Some(("theirs".into(), Some(99))));
}

#[test]
fn names_that_are_swapped_mean_their_present_holders() {
    let mut log = Followed::new();
    log.happens(&issue("acme/rocket", ids(10, 1)), "r");
    log.happens(&issue("acme/missile", ids(10, 2)), "m");
    for (from, to, id) in [
        ("rocket", "tmp", 1),
        ("missile", "rocket", 2),
        ("tmp", "missile", 1),
    ] {
        let name = |repo: &str| format!("acme/{repo}");
        log.happens(&renamed(&name(from), &name(to), ids(10, id)), "");
    }
    log.reads(&["acme/rocket"], "m", (10, 2));
    log.reads(&["acme/missile", "acme/tmp"], "r", (10, 1));
}

#[test]
fn a_late_copy_of_a_rename_changes_no_present_address() {
    for late in [true, false] {
        let mut log = Followed::new();
        log.happens(&issue("acme/pp", ids(10, 2)), "p1");
        let away = renamed("acme/pp", "acme/qq", ids(10, 2));
        log.happens(&away, "");
        log.happens(&renamed("acme/qq", "acme/pp", ids(10, 2)), "");
        log.happens(&issue("acme/pp", ids(10, 2)), "p2");
        log.happens_late(&away, "", 15, late);
        let uri = ResourceUri::parse("github://issues/acme/qq/7").unwrap();
        let state = log.table.get(&uri).unwrap();
        assert_eq!(state.uri.to_string(), "github://issues/acme/pp/7");
        log.happens(&issue("acme/qq", ids(10, 3)), "other");
        log.happens_late(&away, "", 15, late);
        log.happens(&issue("acme/pp", ids(10, 2)), "p3");
        log.reads(&["acme/pp"], "p3", (10, 2));
        log.reads(&["acme/qq"], "other", (10, 3));
    }
}

/// Ingest marks what it remembers; what it forgot when it was restarted, the delivery itself says.
#[test]
fn an_older_state_of_the_same_second_changes_nothing_though_it_is_not_marked() {
    let mut log = Followed::new();
    let event = issue("acme/rocket", ids(10, 1));
    log.happens_late(&event, "v2", 20, false);
    log.happens_late(&event, "v1 delivered again", 10, false);
    log.reads(&["acme/rocket"], "v2", (10, 1));
    log.happens_late(&event, "v3", 30, false);
    log.reads(&["acme/rocket"], "v3", (10, 1));
}

#[test]
fn places_are_forgotten_beyond_the_bound_and_leave_nothing() {
    let mut log = Followed::new();
    let most = crate::limits::MAX_MIRRORED_PLACES as u64;
    for id in 0..most + 10 {
        log.happens(&issue(&format!("o{id}/r"), ids(id, id)), "x");
    }
    let most = crate::limits::MAX_MIRRORED_PLACES;
    assert_eq!(log.table.places.sizes(), [[most; 3]; 2]);
    let most = crate::limits::MAX_ADDRESSES_OF_PLACE;
    for n in 0..2 * most {
        let (from, to) = (format!("o99/r{n}"), format!("o99/r{}", n + 1));
        log.happens(&renamed(&from, &to, ids(99, 99)), "");
    }
    let last = format!("o99/r{}", 2 * most);
    log.happens(&issue(&last, ids(99, 99)), "x");
    let [_, [places, addresses, _]] = log.table.places.sizes();
    assert_eq!(addresses, places + most - 1);
    log.reads(&[&last], "x", (99, 99));
}

#[test]
fn what_is_known_by_a_name_alone_goes_with_it() {
    let mut table = Table::new(10, 1000);
    let case = EventCase {
        number: 7,
        second: 1,
        sequence: 1,
        deleted: false,
        whole: true,
        late: false,
        length: 20,
    };
    case.apply(&mut table);
    let (bytes, uses) = (table.bytes, table.by_use.len());
    let rename = renamed("o/r", "o/new", ids(5, 1));
    let reading = EventReading {
        late: false,
        made_at: 0,
        repository_node_id: None,
        state: StateReading::Nothing,
    };
    table.apply(&rename, Sequence(2), reading);
    assert_eq!(table.get(&uri(7)), None);
    let moved = ResourceUri::parse("github://issues/o/new/7").unwrap();
    let state = table.get(&moved).unwrap();
    assert_eq!((state.uri, state.json.len()), (moved.clone(), 20));
    assert_eq!((table.bytes, table.by_use.len()), (bytes, uses));
}

fn event_cases() -> impl Strategy<Value = Vec<EventCase>> {
    let one = (
        0..4_u64,
        0..4_i64,
        any::<bool>(),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.2),
        0..50_usize,
    );
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let numbered = all.into_iter().zip(1..);
        let case = |((number, second, deleted, whole, late, length), sequence)| EventCase {
            number,
            second,
            sequence,
            deleted,
            whole,
            late,
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
        late: false,
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

#[test]
fn a_late_state_of_the_same_second_never_replaces_the_newer_one() {
    let case = |sequence, late| EventCase {
        number: 1,
        second: 1,
        sequence,
        deleted: false,
        whole: true,
        late,
        length: 1,
    };
    let mut table = Table::new(10, usize::MAX);
    case(1, false).apply(&mut table);
    assert_eq!(case(2, true).apply(&mut table), ApplyOutcome::Outdated);
    let sequence = table.get(&uri(1)).map(|state| state.sequence);
    assert_eq!(sequence, Some(Sequence(1)));
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
            late: false,
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
        late: false,
        length: 3,
    };
    event.apply(&mut table);
    let facts = EventFacts {
        event_type: EventType::DELETED,
        number: Some(1),
        timestamp: Timestamp::from_unix_millis(1000),
        ..issue("o/r", GithubIds::default())
    };
    let reading = EventReading {
        late: false,
        made_at: 0,
        repository_node_id: None,
        state: StateReading::Deleted,
    };
    table.apply(&facts, Sequence(2), reading);
    let state = table.get(&uri(1)).unwrap();
    assert_eq!((state.deleted, &state.json[..]), (true, &b"xxx"[..]));
}

#[test]
fn a_resource_is_found_by_its_node_id_wherever_its_repository_went() {
    let mut table = Table::new(2, usize::MAX);
    let state = || EventReading {
        late: false,
        made_at: 0,
        repository_node_id: None,
        state: StateReading::State {
            json: Bytes::from_static(b"{}"),
            updated_at: Timestamp::default(),
            whole: true,
        },
    };
    let of = |node: &str, number, name: &str, ids| EventFacts {
        resource_id: ResourceId::new(node).unwrap(),
        number: Some(number),
        ..issue(name, ids)
    };
    let at = |table: &Table, node: &str| {
        let found = table.find(&ResourceId::new(node).unwrap());
        found.map(|(found, ..)| {
            let address = format!("{}/{}/{}", found.owner, found.repo, found.number);
            (address, found.ids)
        })
    };
    table.apply(&of("I_7", 7, "Octo/Cat", ids(5, 1)), Sequence(1), state());
    let here = "Octo/Cat/7".to_owned();
    assert_eq!(at(&table, "I_7"), Some((here, ids(5, 1))));
    let moved = renamed("Octo/Cat", "Octo/Lion", ids(5, 1));
    let nothing = EventReading {
        state: StateReading::Nothing,
        ..state()
    };
    table.apply(&moved, Sequence(2), nothing);
    let there = "octo/lion/7".to_owned();
    assert_eq!(at(&table, "I_7"), Some((there, ids(5, 1))));
    // An evicted state is forgotten under its id too, and one without ids is found by its name.
    table.apply(
        &of("I_8", 8, "o/r", GithubIds::default()),
        Sequence(3),
        state(),
    );
    table.apply(
        &of("I_9", 9, "o/r", GithubIds::default()),
        Sequence(4),
        state(),
    );
    assert_eq!(at(&table, "I_7"), None);
    let named = "o/r/8".to_owned();
    assert_eq!(at(&table, "I_8"), Some((named, GithubIds::default())));
    assert_eq!(table.by_node.len(), table.len());
}
