use model::{
    EventFacts, EventId, EventOrigin, EventType, FormerPlace, GithubIds, LogPosition, OwnerId,
    RepositoryId, ResourceId, ResourceType, Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::limits::SHOWN_PARTS;

const EPOCH: Epoch = Epoch(7);

fn facts(name: &str, ids: GithubIds, former: Option<&str>) -> EventFacts {
    let name = PlaceName::read(name);
    let former = former.map(|former| {
        let former = PlaceName::read(former);
        Box::new(FormerPlace {
            owner: Some(former.owner.to_owned()),
            repo: former.repo.map(ToOwned::to_owned),
        })
    });
    let kind = match name.repo {
        Some(_) => "repository",
        None => "organization",
    };
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::open(kind),
        resource_id: ResourceId::new("R_1").unwrap(),
        owner: Some(name.owner.to_owned()),
        repo: name.repo.map(ToOwned::to_owned),
        number: None,
        ids,
        former,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

fn at(sequence: u64) -> LogPosition {
    LogPosition {
        epoch: EPOCH,
        sequence: Sequence(sequence),
        tag: None,
    }
}

/// An event of repository `id` of owner 5 under a name, or its rename.
fn of_repository(id: u64, name: &str, former: Option<&str>) -> EventFacts {
    let ids = GithubIds {
        owner: Some(OwnerId(5)),
        repository: Some(RepositoryId(id)),
        resource: None,
    };
    facts(name, ids, former)
}

fn owner_renamed(id: u64, name: &str, former: &str) -> EventFacts {
    let ids = GithubIds {
        owner: Some(OwnerId(id)),
        ..GithubIds::default()
    };
    facts(name, ids, Some(former))
}

fn book_of(events: impl IntoIterator<Item = EventFacts>) -> NameBook {
    let mut book = NameBook::default();
    book.set_epoch(EPOCH);
    for (sequence, event) in (1..).zip(events) {
        book.add(book.read(at(sequence), &event));
    }
    book
}

fn meaning(book: &NameBook, name: &str, at: Option<u64>) -> Option<PlaceId> {
    book.meaning(PlaceName::read(name), at.map(Sequence))
}

const fn repository(id: u64) -> PlaceId {
    PlaceId::Repository(RepositoryId(id))
}

#[test]
fn a_name_means_its_holder_until_another_one_has_it() {
    let book = book_of([
        of_repository(1, "acme/rocket", None),
        of_repository(1, "acme/missile", Some("acme/rocket")),
        of_repository(1, "acme/missile", None),
        of_repository(2, "acme/rocket", None),
    ]);
    for (name, when, id) in [
        ("acme/rocket", Some(0), 1),
        ("ACME/Rocket", Some(2), 1),
        // Nobody has it: as on GitHub, it leads to where its holder is now.
        ("acme/rocket", Some(3), 1),
        ("acme/rocket", Some(4), 2),
        ("acme/rocket", None, 2),
        ("acme/missile", Some(2), 1),
        ("acme/missile", None, 1),
    ] {
        let meaning = meaning(&book, name, when);
        assert_eq!(meaning, Some(repository(id)), "{name} at {when:?}");
    }
    assert_eq!(meaning(&book, "acme/other", None), None);
    assert_eq!(meaning(&book, "acme/missile", Some(1)), None, "not yet");
    assert!(book.has_changed_hands("acme/rocket") && !book.has_changed_hands("acme/missile"));
    assert_eq!(book.present_name(repository(1)).unwrap(), "acme/missile");
    assert!(book.has_left(repository(1), "acme/rocket"));
}

#[test]
fn a_repository_goes_with_its_owner() {
    let book = book_of([
        owner_renamed(5, "apex", "acme"),
        of_repository(1, "apex/missile", Some("apex/rocket")),
        owner_renamed(5, "zenith", "apex"),
        owner_renamed(6, "acme", "acme-6"),
    ]);
    for (name, when, id) in [
        ("acme/rocket", Some(0), repository(1)),
        ("apex/rocket", None, repository(1)),
        ("acme/other", Some(0), PlaceId::Owner(OwnerId(5))),
        ("acme/other", None, PlaceId::Owner(OwnerId(6))),
        ("acme", Some(0), PlaceId::Owner(OwnerId(5))),
        ("zenith", None, PlaceId::Owner(OwnerId(5))),
    ] {
        assert_eq!(meaning(&book, name, when), Some(id), "{name} at {when:?}");
    }
    assert_eq!(book.present_name(repository(1)).unwrap(), "zenith/missile");
    let names = ["apex/rocket", "apex/missile", "zenith/missile"];
    assert_eq!(book.names(repository(1)), names);
    // A repository that was never renamed itself has left its name too.
    assert!(book.has_left(repository(9), "apex/other"));
    assert!(!book.has_left(repository(9), "zenith/other"));
}

#[test]
fn a_rename_that_is_told_twice_is_one_change() {
    let book = book_of([
        owner_renamed(5, "apex", "acme"),
        owner_renamed(5, "apex", "acme"),
        owner_renamed(5, "acme", "apex"),
        owner_renamed(5, "apex", "acme"),
    ]);
    assert_eq!(book.changes().count(), 3);
    assert_eq!(
        book.present_name(PlaceId::Owner(OwnerId(5))).unwrap(),
        "apex"
    );
}

#[test]
fn what_happened_in_another_log_was_before() {
    let mut book = book_of([of_repository(1, "acme/missile", Some("acme/rocket"))]);
    book.set_epoch(Epoch(8));
    let taken = of_repository(2, "acme/rocket", None);
    book.add(book.read(at(1), &taken));
    assert_eq!(meaning(&book, "acme/rocket", Some(0)), Some(repository(1)));
    assert_eq!(meaning(&book, "acme/rocket", Some(1)), Some(repository(2)));
    book.set_epoch(Epoch(9));
    assert_eq!(meaning(&book, "acme/rocket", Some(0)), Some(repository(2)));
    // As after a log that was put back.
    book.set_epoch(Epoch(8));
    book.set_back(Sequence::START);
    assert_eq!(meaning(&book, "acme/rocket", Some(0)), Some(repository(2)));
}

#[test]
fn the_oldest_changes_make_room() {
    let renames = (1..=MAX_NAME_CHANGES as u64 + 1).map(|id| {
        let (from, to) = (format!("o/old{id}"), format!("o/new{id}"));
        of_repository(id, &to, Some(&from))
    });
    let book = book_of(renames);
    assert_eq!(book.changes().count(), MAX_NAME_CHANGES);
    assert_eq!(meaning(&book, "o/old1", None), None);
    assert_eq!(meaning(&book, "o/old2", None), Some(repository(2)));
    // The longest names in the largest book are within one record.
    let longest = NameChange {
        epoch: Epoch(u64::MAX),
        at: Sequence(u64::MAX),
        id: repository(u64::MAX),
        from: Some(format!("{}/{}", "o".repeat(39), "r".repeat(100))),
        name: format!("{}/{}", "o".repeat(39), "r".repeat(100)),
        owner: Some(OwnerId(u64::MAX)),
        from_owner: Some(OwnerId(u64::MAX)),
        known_since: Some(Sequence(u64::MAX)),
        before: Some(repository(u64::MAX)),
        sent: Some(u64::MAX),
        late: false,
    };
    let bytes = serde_json::to_vec(&longest).unwrap().len() + 1;
    assert!(MAX_NAME_CHANGES * bytes < 1_000_000, "{bytes}");
}

/// What happens at GitHub to one of four repositories of an owner, and its event.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// It is created, or gets another name, if the name is free.
    Named(usize, usize),
    /// Something happens in it.
    Shown(usize),
    /// The event of something that happened before its last rename arrives.
    Late(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..4_usize, 0..5_usize).prop_map(|(id, name)| Happening::Named(id, name)),
        1 => (0..4_usize).prop_map(Happening::Shown),
        1 => (0..4_usize).prop_map(Happening::Late),
    ]
}

/// GitHub: the names that each repository has had, and who had which name after each event.
#[derive(Debug, Default)]
struct Truth {
    names: [Vec<usize>; 4],
    held: Vec<[Option<usize>; 5]>,
    events: Vec<EventFacts>,
}

const NAMES: [&str; 5] = ["o/a", "o/b", "o/c", "o/d", "o/e"];

impl Truth {
    fn happens(&mut self, what: Happening) {
        let present: Vec<_> = self
            .names
            .iter()
            .map(|names| names.last().copied())
            .collect();
        let id = |repository: usize| repository as u64 + 1;
        let event = match what {
            Happening::Named(of, name) if present.iter().all(|held| *held != Some(name)) => {
                let former = present[of].map(|name| NAMES[name]);
                self.names[of].push(name);
                of_repository(id(of), NAMES[name], former)
            }
            Happening::Shown(of) if present[of].is_some() => {
                of_repository(id(of), NAMES[present[of].unwrap()], None)
            }
            Happening::Late(of) if self.names[of].len() > 1 => {
                let before = self.names[of][self.names[of].len() - 2];
                of_repository(id(of), NAMES[before], None)
            }
            _ => return,
        };
        self.events.push(event);
        let mut held = [None; 5];
        for (of, names) in self.names.iter().enumerate() {
            if let Some(name) = names.last() {
                held[*name] = Some(of);
            }
        }
        self.held.push(held);
    }
}

proptest! {
    #[test]
    fn the_book_says_who_had_a_name_when(happenings in prop::collection::vec(happening(), 0..16)) {
        let mut truth = Truth::default();
        happenings.into_iter().for_each(|what| truth.happens(what));
        let book = book_of(truth.events.clone());
        let has_changed = |name: usize| {
            let mut names = truth.names.iter();
            names.any(|names| names.len() > 1 && names.contains(&name))
        };
        for (name, text) in NAMES.iter().enumerate() {
            let mut holder = None;
            for (sequence, held) in (1..).zip(&truth.held) {
                holder = held[name].or(holder);
                let Some(of) = holder else { continue };
                let said = meaning(&book, text, Some(sequence));
                let expected = Some(repository(of as u64 + 1));
                prop_assert!(said == expected || (said.is_none() && !has_changed(name)), "{} at {}: {:?}", text, sequence, said);
            }
        }
        for (of, names) in truth.names.iter().enumerate() {
            let present = book.present_name(repository(of as u64 + 1));
            prop_assert!(present.is_some() || names.len() < 2);
            if let (Some(present), Some(last)) = (present, names.last()) {
                prop_assert_eq!(present.as_str(), NAMES[*last]);
            }
        }
        // Another edge that has seen a part, and reads what was stored.
        let mut other = book_of(truth.events.iter().take(truth.events.len() / 2).cloned());
        prop_assert!(!other.merge(book.changes().cloned().collect()));
        for part in 0..SHOWN_PARTS {
            prop_assert!(!other.merge_shown(part, book.shown.part(part)));
        }
        prop_assert!(book.changes().eq(other.changes()));
        prop_assert_eq!(&book.holders, &other.holders);
        prop_assert_eq!(&book.places, &other.places);
    }
}
