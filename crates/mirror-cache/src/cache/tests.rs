mod role;

use std::{sync::Arc, time::Duration};

use event_flow::follow::Followed;
use futures_util::future::join_all;
use model::{Epoch, Sequence};
use ports::{MirrorReads, MirroredStates, ResourceReader, SyncNews};

use super::*;
use role::{CachedRole, address, listing, uri};

const MAX_BYTES: u64 = 256 << 10;

#[tokio::test(start_paused = true)]
async fn who_ask_for_the_same_at_the_same_time_share_one_call() {
    let world = CachedRole::new(MAX_BYTES).await;
    let asking = (0..100).map(|_| world.resource(7));
    let states = join_all(asking).await;
    assert!(states.iter().all(|state| state == &states[0]));
    assert_eq!(world.role.calls(), 1);
    let asking = (0..100).map(|_| world.states(&[1, 2]));
    join_all(asking).await;
    let asking = (0..100).map(|_| world.page());
    join_all(asking).await;
    assert_eq!(world.role.calls(), 3);
    assert_eq!(world.cache.calls.count(), 0, "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn while_the_edge_is_behind_calls_are_still_shared() {
    let world = CachedRole::new(MAX_BYTES).await;
    world.happens(7).await;
    let asking = (0..100).map(|_| world.resource(7));
    join_all(asking).await;
    // The one of the first, and one for all who asked before it was made.
    assert!(world.role.calls() <= 2, "{}", world.role.calls());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_and_not_kept() {
    let world = CachedRole::new(MAX_BYTES).await;
    world.role.fail(true);
    let asking = (0..100).map(|_| async {
        let uri = uri(7);
        let read = world.cache.get_resource(&uri, Some(world.seen()), None);
        read.await.unwrap_err().to_string()
    });
    let errors = join_all(asking).await;
    assert!(errors.iter().all(|error| error == &errors[0]));
    assert!(world.role.calls() <= 2, "{}", world.role.calls());
    world.role.fail(false);
    assert!(world.resource(7).await.is_some());
}

#[tokio::test]
async fn entries_stay_within_their_bytes_and_the_least_recently_used_go() {
    let world = CachedRole::new(MAX_BYTES).await;
    world.role.set_json_bytes(10_000);
    for number in 1..=100 {
        world.resource(number).await;
        world.resource(1).await;
        let sizes = world.cache.sizes();
        assert!(sizes.bytes <= MAX_BYTES, "{sizes:?}");
    }
    let sizes = world.cache.sizes();
    assert!((20..=25).contains(&sizes.entries), "{sizes:?}");
    let before = world.role.calls();
    world.resource(1).await;
    world.resource(100).await;
    assert_eq!(world.role.calls(), before, "they were used last");
    world.resource(2).await;
    assert_eq!(world.role.calls(), before + 1);
    // What is larger than everything together is not kept at all.
    world.role.set_json_bytes(300_000);
    world.resource(200).await;
    assert!(world.cache.sizes().bytes <= MAX_BYTES);
}

#[tokio::test(start_paused = true)]
async fn many_are_asked_for_as_far_as_they_are_not_known() {
    let world = CachedRole::new(MAX_BYTES).await;
    world.states(&[1, 2, 3]).await;
    let states = world.states(&[4, 3, 1, 5]).await;
    assert_eq!(world.role.asked(), [vec![1, 2, 3], vec![4, 5]]);
    let numbers: Vec<_> = states
        .iter()
        .flatten()
        .map(|it| it.address.number)
        .collect();
    assert_eq!(numbers, [4, 3, 1, 5]);
    let too_many: Vec<_> = (1..=101).map(address).collect();
    let refused = world
        .cache
        .get_many(&too_many, Some(world.seen()), None)
        .await;
    assert!(
        matches!(refused, Err(ResourceError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_drops_what_it_is_about_and_lists_of_its_place() {
    let world = CachedRole::new(MAX_BYTES).await;
    let read_all = async || {
        let before = world.role.calls();
        world.resource(7).await;
        let seventh = world.role.calls() - before;
        world.resource(8).await;
        world.states(&[8]).await;
        let eighth = world.role.calls() - before - seventh;
        world.page().await;
        (
            seventh,
            eighth,
            world.role.calls() - before - seventh - eighth,
        )
    };
    assert_eq!(read_all().await, (1, 2, 1));
    assert_eq!(read_all().await, (0, 0, 0));
    world.happens(7).await;
    world.follow().await;
    assert_eq!(
        read_all().await,
        (1, 0, 1),
        "the first event is of a known owner"
    );
    world.renamed().await;
    world.follow().await;
    assert_eq!(read_all().await, (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_comparison_found_drops_its_place() {
    let world = CachedRole::new(MAX_BYTES).await;
    world.resource(7).await;
    let news = |place: &str, id| {
        Followed::Other(ports::BusMessage::Sync(SyncNews::Mirrored(
            MirroredStates {
                replica: 1,
                place: place.to_owned(),
                ids: role::ids(id),
            },
        )))
    };
    world.cache.apply(&news("Octo/Dog", 21));
    world.resource(7).await;
    assert_eq!(world.role.calls(), 1);
    world.cache.apply(&news("Octo/Cat", 20));
    world.resource(7).await;
    assert_eq!(world.role.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_again_after_a_while_and_none_sooner() {
    let world = CachedRole::new(MAX_BYTES).await;
    let none = role::MISSING;
    for number in [7, none] {
        world.resource(number).await;
    }
    tokio::time::advance(Duration::from_secs(4)).await;
    for number in [7, none] {
        world.resource(number).await;
    }
    assert_eq!(world.role.calls(), 2);
    tokio::time::advance(Duration::from_secs(2)).await;
    for number in [7, none] {
        world.resource(number).await;
    }
    assert_eq!(world.role.calls(), 3);
    tokio::time::advance(Duration::from_secs(60)).await;
    world.resource(7).await;
    assert_eq!(world.role.calls(), 4);
    let view = world.cache.view();
    assert_eq!(view["hits"], 3, "{view}");
    assert_eq!(view["lookups"], 7, "{view}");
}

#[tokio::test(start_paused = true)]
async fn another_log_drops_everything_and_is_not_mixed_with_the_old_one() {
    let world = CachedRole::new(MAX_BYTES).await;
    world.resource(7).await;
    let another = Epoch(world.seen().epoch.0.wrapping_add(1));
    world.cache.apply(&Followed::Started {
        epoch: another,
        position: Sequence(1000),
        head: Sequence(1000),
        tag: None,
    });
    // The log itself is still the old one: nothing is given, and nothing is kept.
    for calls in 2..=3 {
        world.resource(7).await;
        assert_eq!(world.role.calls(), calls);
    }
    world.start();
    world.follow().await;
    world.resource(7).await;
    world.resource(7).await;
    assert_eq!(world.role.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn without_a_position_what_is_known_is_given_and_nothing_is_kept() {
    let world = CachedRole::new(MAX_BYTES).await;
    for calls in 1..=2 {
        world.cache.get_resource(&uri(7), None, None).await.unwrap();
        world.cache.list(&listing(), None, None).await.unwrap();
        assert_eq!(world.role.calls(), 2 * calls);
    }
    world.resource(7).await;
    world.happens(8).await;
    // It is not at the log's end, and need not be.
    world.cache.get_resource(&uri(7), None, None).await.unwrap();
    assert_eq!(world.role.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_which_nobody_follows_the_log_passes_everything_on() {
    let world = CachedRole::without_follower(MAX_BYTES).await;
    for calls in 1..=3 {
        world.resource(7).await;
        assert_eq!(world.role.calls(), calls);
    }
    assert_eq!(world.cache.sizes(), CacheSizes::default());
    let cache: Arc<MirrorCache> = Arc::clone(&world.cache);
    assert!(cache.progress(None).await.unwrap().is_empty());
}
