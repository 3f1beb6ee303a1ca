//! What tokens see while names change.

use model::{
    EventId, EventOrigin, EventType, FormerPlace, GithubIds, OwnerId, RepositoryId, ResourceId,
    ResourceType, Timestamp,
};

use super::*;
use crate::Visibility;

const EPOCH: Epoch = Epoch(7);

/// An event of a repository, by name and ids of owner and repository.
pub(super) fn event(name: &str, ids: Option<(u64, u64)>) -> EventFacts {
    let (owner, repo) = name.split_once('/').unwrap();
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::open("repository"),
        resource_id: ResourceId::new("R_1").unwrap(),
        owner: Some(owner.to_owned()),
        repo: Some(repo.to_owned()),
        number: None,
        ids: GithubIds {
            owner: ids.map(|ids| OwnerId(ids.0)),
            repository: ids.map(|ids| RepositoryId(ids.1)),
            resource: None,
        },
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

pub(super) fn renamed(from: &str, to: &str, ids: (u64, u64)) -> EventFacts {
    let (owner, repo) = from.split_once('/').unwrap();
    EventFacts {
        former: Some(Box::new(FormerPlace {
            owner: Some(owner.to_owned()),
            repo: Some(repo.to_owned()),
        })),
        ..event(to, Some(ids))
    }
}

pub(super) fn owner_renamed(from: &str, to: &str, id: u64) -> EventFacts {
    EventFacts {
        resource_type: ResourceType::open("organization"),
        repo: None,
        ids: GithubIds {
            owner: Some(OwnerId(id)),
            ..GithubIds::default()
        },
        former: Some(Box::new(FormerPlace {
            owner: Some(from.to_owned()),
            repo: None,
        })),
        ..event(&format!("{to}/x"), None)
    }
}

/// A directory that follows a log.
#[derive(Default)]
pub(super) struct World {
    pub(super) names: Arc<NameDirectory>,
    position: u64,
}

impl World {
    pub(super) fn happens(&mut self, facts: &EventFacts) {
        self.position += 1;
        let at = LogPosition {
            epoch: EPOCH,
            sequence: Sequence(self.position),
            tag: None,
        };
        self.names.begin_log(EPOCH);
        self.names.observe(at, facts);
    }

    /// A token of a principal that may see these: logins, and `owner/repo`.
    pub(super) fn token(&self, principal: &str, names: &[&str]) -> Visibility {
        let is_repository = |name: &&&str| name.contains('/');
        let repositories = names.iter().filter(is_repository).copied();
        let owners = names.iter().filter(|name| !is_repository(name)).copied();
        let sees = Visibility::only(owners, repositories).unwrap();
        sees.follow_ids(&PrincipalId::new(principal).unwrap(), &self.names);
        sees
    }
}

fn uri(text: &str) -> ResourceUri {
    ResourceUri::parse(text).unwrap()
}

#[test]
fn a_token_goes_with_the_repository_that_it_named() {
    let mut world = World::default();
    let old = world.token("old", &["acme/rocket"]);
    let before = event("acme/rocket", Some((5, 1)));
    world.happens(&before);
    let rename = renamed("acme/rocket", "acme/missile", (5, 1));
    world.happens(&rename);
    let moved = event("acme/missile", Some((5, 1)));
    world.happens(&moved);
    for event in [&before, &rename, &moved] {
        assert!(old.allows(event), "{event:?}");
    }
    assert!(old.allows_uri(&uri("github://issues/acme/rocket/7")));
    assert!(old.allows_uri(&uri("github://issues/acme/missile/7")));
    // A repository that takes the name is another one.
    let other = event("acme/rocket", Some((5, 2)));
    world.happens(&other);
    assert!(!old.allows(&other));
    assert!(!old.allows_uri(&uri("github://issues/acme/rocket/7")));
    assert!(old.allows_uri(&uri("github://events/acme/missile")));
    let new = world.token("new", &["acme/rocket"]);
    assert!(new.allows(&other) && new.allows_uri(&uri("github://issues/acme/rocket/7")));
    for event in [&before, &rename, &moved] {
        assert!(!new.allows(event), "{event:?}");
    }
    assert!(!new.allows_uri(&uri("github://issues/acme/missile/7")));
    // Another token of the principal means the same by the name.
    assert!(
        world
            .token("old", &["acme/rocket", "acme/x"])
            .allows(&moved)
    );
}

#[test]
fn a_name_that_was_left_before_it_was_granted_is_that_of_its_next_holder() {
    let mut world = World::default();
    let before = event("acme/rocket", Some((5, 1)));
    world.happens(&before);
    world.happens(&renamed("acme/rocket", "acme/missile", (5, 1)));
    let token = world.token("late", &["acme/rocket"]);
    assert!(!token.allows(&before) && !token.allows(&event("acme/rocket", None)));
    assert!(!token.allows_uri(&uri("github://events/acme/rocket")));
    // A late delivery from before the rename is not the next holder.
    world.happens(&before);
    assert!(!token.allows(&before));
    let next = event("acme/rocket", Some((5, 2)));
    world.happens(&next);
    assert!(token.allows(&next) && !token.allows(&before));
    assert!(token.allows_uri(&uri("github://events/acme/rocket")));
}

#[test]
fn what_was_granted_with_its_owner_is_over_when_it_leaves_the_owner() {
    let mut world = World::default();
    let (of_owner, of_repository) = (
        world.token("o", &["acme"]),
        world.token("r", &["acme/rocket"]),
    );
    let of_new_owner = world.token("n", &["octo"]);
    world.happens(&event("acme/rocket", Some((5, 1))));
    world.happens(&event("octo/cat", Some((6, 9))));
    let transfer = renamed("acme/rocket", "octo/rocket", (6, 1));
    world.happens(&transfer);
    let after = event("octo/rocket", Some((6, 1)));
    world.happens(&after);
    for (token, sees) in [
        (&of_owner, false),
        (&of_repository, true),
        (&of_new_owner, true),
    ] {
        assert!(token.allows(&transfer), "it says what happened");
        assert_eq!(token.allows(&after), sees);
        let by_old_name = token.allows_uri(&uri("github://issues/acme/rocket/7"));
        let by_new_name = token.allows_uri(&uri("github://issues/octo/rocket/7"));
        assert_eq!((by_old_name, by_new_name), (sees, sees));
    }
    assert!(!world.token("x", &["else"]).allows(&transfer));
}

#[test]
fn a_token_goes_with_the_owner_that_it_named() {
    let mut world = World::default();
    let owner = world.token("o", &["acme"]);
    let repository = world.token("r", &["acme/rocket"]);
    world.happens(&event("acme/rocket", Some((5, 1))));
    let rename = owner_renamed("acme", "apex", 5);
    world.happens(&rename);
    assert!(owner.allows(&rename) && !repository.allows(&rename));
    let after = event("apex/rocket", Some((5, 1)));
    world.happens(&after);
    assert!(owner.allows(&after) && repository.allows(&after));
    assert!(owner.allows_uri(&uri("github://projects/apex/1")));
    assert!(owner.allows_uri(&uri("github://projects/acme/1")));
    assert!(repository.allows_uri(&uri("github://events/apex/rocket")));
    assert!(
        repository.allows_uri(&uri("github://events/apex")),
        "some of it"
    );
    // Somebody else takes the login.
    let other = event("acme/rocket", Some((6, 2)));
    world.happens(&other);
    assert!(!owner.allows(&other) && !repository.allows(&other));
    assert!(!owner.allows_uri(&uri("github://projects/acme/1")));
    assert!(!repository.allows_uri(&uri("github://issues/acme/rocket/7")));
    let late = event("acme/rocket", Some((5, 1)));
    let next = world.token("next", &["acme/rocket"]);
    world.happens(&late);
    assert!(next.allows(&other) && !next.allows(&late));
    assert!(next.allows_uri(&uri("github://issues/acme/rocket/7")));
}

#[test]
fn a_repository_of_which_nothing_was_heard_goes_with_its_owner() {
    let mut world = World::default();
    let token = world.token("t", &["acme/quiet"]);
    world.happens(&owner_renamed("acme", "apex", 5));
    let first = event("apex/quiet", Some((5, 3)));
    world.happens(&first);
    assert!(token.allows(&first));
    assert!(!token.allows(&event("acme/quiet", Some((6, 4)))));
}

/// Builds before this one kept no ids.
#[test]
fn entries_without_ids_are_seen_by_their_names_until_these_have_changed() {
    let mut world = World::default();
    let token = world.token("t", &["acme/rocket", "octo"]);
    let (named, other) = (event("acme/rocket", None), event("octo/cat", None));
    assert!(token.allows(&named) && token.allows(&other));
    world.happens(&event("acme/rocket", Some((5, 1))));
    assert!(token.allows(&named));
    world.happens(&renamed("acme/rocket", "acme/missile", (5, 1)));
    assert!(!token.allows(&named) && token.allows(&other));
    assert!(!token.allows(&event("acme/missile", None)));
    // It comes back.
    world.happens(&renamed("acme/missile", "acme/rocket", (5, 1)));
    assert!(token.allows(&named));
}

#[test]
fn what_edges_stored_counts_more_than_what_one_has_seen() {
    let mut world = World::default();
    let token = world.token("t", &["acme/rocket", "acme/x"]);
    world.happens(&event("acme/rocket", Some((5, 2))));
    let principal = PrincipalId::new("t").unwrap();
    assert_eq!(
        world.names.unstored_pins(),
        std::slice::from_ref(&principal)
    );
    let mut stored = PinnedNames::default();
    stored
        .repositories
        .insert("acme/rocket".to_owned(), RepositoryId(1));
    // The other name was granted here first.
    let all = world.names.merge_pins(&principal, &stored).unwrap();
    assert!(all.granted_at.contains_key("acme/x"));
    assert!(token.allows(&event("acme/y", Some((5, 1)))));
    assert!(!token.allows(&event("acme/rocket", Some((5, 2)))));
    // What only this edge knows is to be stored.
    world.happens(&event("acme/x", Some((5, 3))));
    let all = world.names.merge_pins(&principal, &stored).unwrap();
    assert_eq!(all.repositories["acme/rocket"], RepositoryId(1));
    assert_eq!(all.repositories["acme/x"], RepositoryId(3));
    assert!(world.names.unstored_pins().is_empty());
}

#[test]
fn who_has_known_a_name_since_before_it_was_lost_knows_better_than_who_found_it_in_the_log() {
    let mut world = World::default();
    let token = world.token("t", &["acme/rocket"]);
    world.happens(&event("acme/rocket", Some((5, 1))));
    let principal = PrincipalId::new("t").unwrap();
    // The log has lost what it had of the first repository, and another edge has found the second one.
    let found = World::default();
    let at = |sequence: u64| LogPosition {
        epoch: EPOCH,
        sequence: Sequence(sequence),
        tag: None,
    };
    found.names.begin_recovery(at(4));
    let other = found.token("t", &["acme/rocket"]);
    let none = PinnedNames::default();
    let _ = found.names.merge_pins(&principal, &none);
    let _ = found
        .names
        .observe(at(5), &event("acme/rocket", Some((5, 2))));
    found.names.end_loading();
    assert!(other.allows(&event("acme/rocket", Some((5, 2)))));
    let stored = found.names.merge_pins(&principal, &none).unwrap();
    assert!(stored.recovered && stored.repositories["acme/rocket"] == RepositoryId(2));
    let right = world.names.merge_pins(&principal, &stored).unwrap();
    assert_eq!(right.repositories["acme/rocket"], RepositoryId(1));
    assert!(found.names.merge_pins(&principal, &right).is_none());
    for token in [&token, &other] {
        assert!(token.allows(&event("acme/rocket", Some((5, 1)))));
        assert!(!token.allows(&event("acme/rocket", Some((5, 2)))));
    }
}

/// While no edge runs, a repository is renamed, another one takes its name, and a token is made for that.
#[test]
fn what_happened_before_a_grant_does_not_say_what_it_means() {
    let before = event("acme/rocket", Some((5, 1)));
    let rename = renamed("acme/rocket", "acme/missile", (5, 1));
    let taken = event("acme/rocket", Some((5, 2)));
    let at = |sequence: u64| LogPosition {
        epoch: EPOCH,
        sequence: Sequence(sequence),
        tag: None,
    };
    for (granted_at, sees) in [(None, [false, true]), (Some(at(0)), [true, false])] {
        let world = World::default();
        world.names.begin_loading(at(3));
        let token = world.token("t", &["acme/rocket"]);
        let mut stored = PinnedNames::default();
        let granted_at = granted_at.map(|at| ("acme/rocket".to_owned(), at));
        stored.granted_at.extend(granted_at);
        let principal = PrincipalId::new("t").unwrap();
        let _ = world.names.merge_pins(&principal, &stored);
        for (sequence, event) in (1..).zip([&before, &rename, &taken]) {
            world.names.observe(at(sequence), event);
        }
        world.names.end_loading();
        assert_eq!([token.allows(&before), token.allows(&taken)], sees);
    }
}

#[test]
fn an_edge_that_begins_later_knows_what_another_one_stored() {
    let mut world = World::default();
    world.happens(&renamed("acme/rocket", "acme/missile", (5, 1)));
    world.happens(&event("acme/rocket", Some((5, 2))));
    assert!(world.names.has_unstored_changes());
    let (changes, has_more) = world.names.merge_changes(Vec::new());
    assert!(has_more && changes.len() == 2);
    let other = NameDirectory::default();
    other.begin_log(EPOCH);
    let (_, has_more) = other.merge_changes(changes);
    assert!(!has_more && !other.has_unstored_changes());
    let name = PlaceName::read("acme/rocket");
    let meant = |at: u64| other.at(Sequence(at)).meaning(name);
    assert_eq!(meant(1), Some(PlaceId::Repository(RepositoryId(1))));
    assert_eq!(meant(2), Some(PlaceId::Repository(RepositoryId(2))));
    let present = other.present_uri(&uri("github://issues/acme/rocket/7"));
    assert_eq!(present, Some(uri("github://issues/acme/rocket/7")));
    let (_, uris) = other
        .at(Sequence(1))
        .uris(&uri("github://issues/acme/rocket/7"))
        .unwrap();
    let moved =
        ["acme/rocket", "acme/missile"].map(|name| uri(&format!("github://issues/{name}/7")));
    assert_eq!(uris, moved);
}

#[test]
fn the_pins_of_one_principal_fit_into_a_record() {
    let mut pins = PinnedNames::default();
    let mut more = PinnedNames::default();
    for n in 0..=crate::limits::MAX_PINS {
        let name = format!("{}/{n:0>100}", "o".repeat(39));
        more.repositories.insert(name, RepositoryId(u64::MAX));
    }
    assert!(pins.add(&more));
    assert_eq!(pins.repositories.len(), crate::limits::MAX_PINS);
    let bytes = serde_json::to_vec(&pins).unwrap().len();
    assert!(bytes < 1_000_000, "{bytes}");
}
