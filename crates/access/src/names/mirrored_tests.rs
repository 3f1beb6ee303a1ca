//! What tokens see of places that the mirror knows, and of which no event has told.

use model::{OwnerId, RepositoryId};

use super::{
    tests::{World, event, owner_renamed, renamed},
    *,
};
use crate::Visibility;

const ROCKET: &str = "acme/rocket";

fn repository(id: u64) -> PlaceId {
    PlaceId::Repository(RepositoryId(id))
}

/// Whether the state of a repository, which has this name now, is seen.
fn sees_state(token: &Visibility, name: &str, id: u64) -> bool {
    let ids = event(name, Some((5, id))).ids;
    token.allows_place_with(PlaceName::read(name), ids)
}

#[test]
fn a_name_means_the_id_that_the_mirror_knew_first_also_for_events() {
    let mut world = World::default();
    let token = world.token("t", &[ROCKET]);
    assert_eq!(world.names.open_names(), [ROCKET]);
    world.names.learn_holder("Acme/Rocket", repository(1));
    assert!(world.names.open_names().is_empty());
    // It is renamed without any event, and another one takes its name.
    world.names.learn_holder(ROCKET, repository(2));
    assert!(sees_state(&token, "acme/missile", 1) && !sees_state(&token, ROCKET, 2));
    let (taken, moved) = (
        event(ROCKET, Some((5, 2))),
        event("acme/missile", Some((5, 1))),
    );
    world.happens(&taken);
    world.happens(&moved);
    assert!(token.allows(&moved) && !token.allows(&taken));
    // Nor is what has no ids, and has the name.
    assert!(!token.allows(&event(ROCKET, None)));
    assert!(!token.allows_uri(&ResourceUri::parse("github://issues/acme/rocket/7").unwrap()));
}

#[test]
fn a_rename_of_what_only_the_mirror_knew_is_followed() {
    let mut world = World::default();
    let token = world.token("t", &[ROCKET]);
    world.names.learn_holder(ROCKET, repository(1));
    world.happens(&renamed(ROCKET, "acme/missile", (5, 1)));
    let uri = |text: &str| ResourceUri::parse(text).unwrap();
    assert!(token.allows_uri(&uri("github://issues/acme/missile/7")));
    assert!(
        token.allows_uri(&uri("github://issues/acme/rocket/7")),
        "it leads there"
    );
    assert!(sees_state(&token, "acme/missile", 1));
    let taken = event(ROCKET, Some((5, 2)));
    world.happens(&taken);
    assert!(!token.allows(&taken));
    assert!(!token.allows_uri(&uri("github://issues/acme/rocket/7")));
}

#[test]
fn what_an_event_has_said_the_mirror_does_not_change() {
    let mut world = World::default();
    let token = world.token("t", &[ROCKET]);
    world.happens(&event(ROCKET, Some((5, 1))));
    world.names.learn_holder(ROCKET, repository(2));
    assert!(sees_state(&token, ROCKET, 1) && !sees_state(&token, ROCKET, 2));
    // The id is known under another name: the mirror is behind, or knew it of before.
    let late = world.token("late", &["acme/missile"]);
    world.names.learn_holder("acme/missile", repository(1));
    assert_eq!(world.names.open_names(), ["acme/missile"]);
    assert!(!sees_state(&late, ROCKET, 1));
}

#[test]
fn a_name_that_was_left_is_that_of_its_next_holder_whoever_shows_it() {
    let mut world = World::default();
    world.happens(&event(ROCKET, Some((5, 1))));
    world.happens(&renamed(ROCKET, "acme/missile", (5, 1)));
    let token = world.token("t", &[ROCKET]);
    assert!(!sees_state(&token, ROCKET, 2), "nobody has the name");
    world.names.learn_holder(ROCKET, repository(1));
    assert!(
        !sees_state(&token, "acme/missile", 1),
        "it has left the name"
    );
    world.names.learn_holder(ROCKET, repository(2));
    assert!(sees_state(&token, ROCKET, 2) && !sees_state(&token, "acme/missile", 1));
}

#[test]
fn an_owner_is_known_by_its_id_as_well() {
    let mut world = World::default();
    let token = world.token("t", &["acme"]);
    world.names.learn_holder("acme", repository(5));
    assert_eq!(
        world.names.open_names(),
        ["acme"],
        "a login is no repository's"
    );
    world.names.learn_holder("acme", PlaceId::Owner(OwnerId(5)));
    world.happens(&owner_renamed("acme", "apex", 5));
    let (own, other) = (event("apex/x", Some((5, 1))), event("acme/x", Some((6, 2))));
    world.happens(&own);
    world.happens(&other);
    assert!(token.allows(&own) && !token.allows(&other));
}

#[test]
fn nothing_is_learned_before_stored_names_are_read_and_these_count_more() {
    let world = World::default();
    let at = LogPosition {
        epoch: Epoch(7),
        sequence: Sequence(3),
        tag: None,
    };
    world.names.begin_loading(at);
    let token = world.token("t", &[ROCKET]);
    assert!(world.names.open_names().is_empty());
    world.names.learn_holder(ROCKET, repository(2));
    let mut stored = PinnedNames::default();
    stored
        .repositories
        .insert(ROCKET.to_owned(), RepositoryId(1));
    let principal = PrincipalId::new("t").unwrap();
    let _ = world.names.merge_pins(&principal, &stored);
    world.names.end_loading();
    world.names.learn_holder(ROCKET, repository(2));
    assert!(sees_state(&token, ROCKET, 1) && !sees_state(&token, ROCKET, 2));
}

#[test]
fn what_the_mirror_showed_is_stored_and_the_first_edge_is_right() {
    let worlds = [World::default(), World::default()];
    let principal = PrincipalId::new("t").unwrap();
    let tokens = [&worlds[0], &worlds[1]].map(|world| world.token("t", &[ROCKET]));
    for (world, id) in worlds.iter().zip([1, 2]) {
        world.names.learn_holder(ROCKET, repository(id));
        assert_eq!(
            world.names.unstored_pins(),
            std::slice::from_ref(&principal)
        );
    }
    let stored = worlds[0]
        .names
        .merge_pins(&principal, &PinnedNames::default());
    let stored = stored.unwrap();
    assert!(worlds[1].names.merge_pins(&principal, &stored).is_none());
    for token in &tokens {
        assert!(sees_state(token, ROCKET, 1) && !sees_state(token, ROCKET, 2));
    }
}

#[tokio::test]
async fn who_waits_for_unknown_names_is_woken_by_a_new_token() {
    let world = World::default();
    let names = Arc::clone(&world.names);
    let waiting = tokio::spawn(async move { names.has_open_names().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let _token = world.token("t", &[ROCKET]);
    waiting.await.unwrap();
}
