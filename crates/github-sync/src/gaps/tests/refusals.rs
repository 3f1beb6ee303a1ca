//! Deliveries that GitHub lists and does not give: they hold up nothing but themselves.

use std::time::Duration;

use fake_github::server::FakeFault;
use serde_json::Value;

use super::world::GapWorld;
use crate::{gaps::metrics::SweepEnd, limits::DELIVERIES_KEPT};

const DETAILS: &str = "/deliveries/";

#[tokio::test]
async fn a_delivery_that_github_lists_and_does_not_give_is_told_and_holds_up_nothing() {
    let (world, hook) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(4).await;
    let lost = world.path_of(hook, &guids[1]);
    world.github.break_next(&lost, FakeFault::Status(404), 3);
    let mut sweeper = world.sweeper();
    for unrepairable in [0, 0, 1] {
        assert_ne!(sweeper.sweep().await, SweepEnd::bound);
        assert_eq!(
            world.stored().await.len(),
            3,
            "the others are there at once"
        );
        let view = world.status.view();
        assert_eq!(view["lastSweep"]["unrepairable"], unrepairable, "{view}");
    }
    let view = world.status.view();
    assert_eq!(view["lastSweep"]["end"], "whole", "{view}");
    let recent = view["recent"].as_array().unwrap();
    let gone: Vec<&Value> = recent
        .iter()
        .filter(|gap| gap["outcome"] == "gone")
        .collect();
    assert_eq!(gone.len(), 1, "{view}");
    assert_eq!(gone[0]["delivery"], *guids[1]);
    // It is not asked for again and again.
    let fetches = world.fetches();
    world.happen(1).await;
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.fetches(), fetches + 1);
}

#[tokio::test]
async fn a_delivery_that_github_always_fails_to_give_holds_up_neither_the_others_nor_later_ones() {
    let (world, hook) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(30).await;
    let failing = world.path_of(hook, &guids[0]);
    // Five attempts in the first sweep, and one in each of the others.
    world
        .github
        .break_next(&failing, FakeFault::Status(502), 5 + 7);
    let mut sweeper = world.sweeper();
    let mut expected = guids[1..].to_vec();
    for n in 0..8 {
        // The circuit breaker closes again.
        tokio::time::sleep(Duration::from_millis(2)).await;
        if n > 0 {
            expected.extend(world.happen(1).await);
        }
        let end = sweeper.sweep().await;
        if n > 0 {
            assert_eq!(world.stored().await, expected, "in the same sweep");
            assert_eq!(world.status.failure(), None);
        }
        if n > 2 {
            assert_eq!(end, SweepEnd::whole, "{}", world.status.view());
            assert_eq!(world.status.view()["pending"], 1);
        }
    }
    // It is there as soon as GitHub gives it.
    assert_eq!(world.github.faults_left(), 0, "it was tried in each sweep");
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await.last(), Some(&guids[0]));
    assert_eq!(world.status.view()["pending"], 0);
}

#[tokio::test]
async fn a_delivery_that_github_refuses_is_given_up_after_three_sweeps_and_holds_up_nothing() {
    for status in [400, 403, 404, 422, 451] {
        let (world, hook) = GapWorld::with_lost_webhook().await;
        let guids = world.happen(4).await;
        let refused = world.path_of(hook, &guids[0]);
        world
            .github
            .break_next(&refused, FakeFault::Status(status), 10_000);
        let mut sweeper = world.sweeper();
        let mut expected = guids[1..].to_vec();
        for unrepairable in [0, 0, 1] {
            sweeper.sweep().await;
            assert_eq!(world.stored().await, expected, "{status}");
            assert_eq!(world.status.failure(), None, "{status}");
            let view = world.status.view();
            assert_eq!(view["lastSweep"]["unrepairable"], unrepairable, "{view}");
            expected.extend(world.happen(1).await);
        }
        let recent = world.status.view()["recent"].clone();
        let mut recent = recent.as_array().unwrap().iter();
        let gone = recent.find(|gap| gap["outcome"] == "gone").unwrap();
        assert_eq!(gone["delivery"], *guids[0], "{status}");
        let fetches = world.fetches();
        assert_eq!(sweeper.sweep().await, SweepEnd::whole);
        assert_eq!(world.stored().await, expected, "{status}");
        assert_eq!(world.fetches(), fetches + 1, "it is not asked for again");
    }
}

#[tokio::test]
async fn where_everything_is_refused_nothing_is_given_up() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(7).await;
    world.github.break_next(DETAILS, FakeFault::Status(403), 40);
    let mut sweeper = world.sweeper();
    while world.github.faults_left() > 0 {
        assert_eq!(sweeper.sweep().await, SweepEnd::failed);
        assert_eq!(world.status.view()["lastSweep"]["unrepairable"], 0);
        assert!(world.fetches() < 1_000);
    }
    let (class, reason) = world.status.failure().unwrap();
    assert_eq!(class.as_str(), "unauthorized", "{reason}");
    sweeper.sweep().await;
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    world.has_stored_each_once(guids).await;
    assert_eq!(world.status.failure(), None);
}

#[tokio::test]
async fn what_github_never_gives_is_given_up_when_github_no_longer_lists_it() {
    for status in [403, 502] {
        let (world, _) = GapWorld::with_lost_webhook().await;
        world.happen(1).await;
        world
            .github
            .break_next(DETAILS, FakeFault::Status(status), 10_000);
        let mut sweeper = world.sweeper();
        for _ in 0..5 {
            sweeper.sweep().await;
            let view = world.status.view();
            assert_eq!(view["pending"], 1, "{status}: {view}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        world.clock.advance(DELIVERIES_KEPT);
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(sweeper.sweep().await, SweepEnd::whole, "{status}");
        let view = world.status.view();
        assert_eq!(view["pending"], 0, "{status}: {view}");
        assert_eq!(view["recent"][0]["outcome"], "gone", "{status}: {view}");
    }
}

#[tokio::test]
async fn what_was_fetched_before_the_credentials_ended_is_stored_in_that_sweep() {
    let (world, hook) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(4).await;
    let refused = world.path_of(hook, &guids[2]);
    world
        .github
        .break_next(&refused, FakeFault::Unauthorized, 10);
    assert_eq!(world.sweeper().sweep().await, SweepEnd::failed);
    let stored = world.stored().await;
    assert_eq!(stored, [&*guids[0], &*guids[1], &*guids[3]]);
    assert!(world.status.failure().is_some());
}

#[tokio::test]
async fn what_cannot_be_read_is_tried_in_three_sweeps_and_then_given_up() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    world.happen(1).await;
    let mut sweeper = world.sweeper();
    for unrepairable in [0, 0, 1] {
        world.github.break_next(DETAILS, FakeFault::BadJson, 1);
        sweeper.sweep().await;
        let view = world.status.view();
        assert_eq!(view["lastSweep"]["unrepairable"], unrepairable, "{view}");
    }
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await.len(), 0);
}
