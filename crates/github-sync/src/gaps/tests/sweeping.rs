//! What a sweep finds, stores, leaves out and tells.

use std::time::Duration;

use fake_github::{
    hooks::{FakeHookKey, FakeHookOwner},
    server::{FakeFault, FakeLimits},
};
use model::EventOrigin;

use super::world::{GapWorld, TOKEN, forgetful_receiver};
use crate::{
    gaps::metrics::SweepEnd,
    limits::{DELIVERIES_KEPT, SWEEP_RESERVE},
    webhook_place::SweptPlace,
};

const DETAILS: &str = "/deliveries/";

#[tokio::test]
async fn what_the_webhook_lost_is_stored_once_in_githubs_order_and_a_list_without_news_costs_nothing()
 {
    let (world, _) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(220).await;
    let mut sweeper = world.sweeper();
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await, guids);
    let events = world.events().await;
    assert!(events.iter().all(|event| event.metadata.repaired));
    assert!(
        events
            .iter()
            .all(|event| event.source == EventOrigin::WEBHOOK)
    );
    assert!(events.iter().all(|event| !event.metadata.late));
    assert_eq!(world.fetches(), 220, "each is fetched once");
    let (points, unchanged) = (world.github.points(), world.github.not_modified());
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(
        world.github.points(),
        points,
        "nothing of the hour's budget"
    );
    assert_eq!(world.github.not_modified(), unchanged + 2);
    let view = world.status.view();
    assert_eq!(view["lastSweep"]["end"], "whole", "{view}");
    assert_eq!(view["recent"].as_array().map(Vec::len), Some(50), "{view}");
    assert_eq!(view["places"][0]["state"], "ok", "{view}");
    // What comes later is found without looking at all of it again.
    let later = world.happen(3).await;
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await, [guids, later].concat());
    assert_eq!(world.fetches(), 223);
}

#[tokio::test]
async fn what_github_believes_delivered_is_fetched_if_the_log_lost_it() {
    let world = GapWorld::new(10_000).await;
    let url = forgetful_receiver().await;
    let hook = world.hook(FakeHookOwner::Repo(world.repo), &url);
    let guids = world.happen(10).await;
    let mut sweeper = world.sweeper();
    world.ingest(hook, &guids[3]).await;
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    let mut stored = world.stored().await;
    assert_eq!(stored.remove(0), guids[3]);
    let others: Vec<_> = guids.iter().filter(|guid| **guid != guids[3]).collect();
    assert_eq!(stored.iter().collect::<Vec<_>>(), others);
    assert_eq!(world.fetches(), 9, "what the log has costs no request");
}

#[tokio::test]
async fn what_comes_twice_is_stored_once_whichever_way_came_first() {
    let (world, hook) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(5).await;
    // GitHub delivers two of them again, and an ingest gets one before the sweep and one after.
    world.ingest(hook, &guids[1]).await;
    let mut sweeper = world.sweeper();
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    world.ingest(hook, &guids[2]).await;
    world.github.change(|github| {
        let now = github.now();
        let ids: Vec<_> = github
            .hooks
            .attempts_of(hook, now)
            .map(|it| it.id)
            .collect();
        ids.into_iter().for_each(|id| {
            github.redeliver(id);
        });
    });
    world.github.delivered().await;
    sweeper.forget_settled();
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    world.has_stored_each_once(guids).await;
}

#[tokio::test]
async fn an_event_whose_later_state_is_stored_already_is_marked_as_late() {
    let (world, hook) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(3).await;
    world.ingest(hook, &guids[1]).await;
    assert_eq!(world.sweeper().sweep().await, SweepEnd::whole);
    let events = world.events().await;
    let late = |guid: &String| {
        let mut events = events.iter();
        let found = events.find(|event| event.metadata.delivery.as_ref() == Some(guid));
        found.unwrap().metadata.late
    };
    let marks: Vec<_> = guids.iter().map(late).collect();
    assert_eq!(marks, [true, false, false]);
}

#[tokio::test]
async fn a_repaired_event_has_the_time_of_its_attempt_and_was_received_now() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    world.happen(1).await;
    world.clock.advance(Duration::from_secs(3600));
    let now = model::Clock::now(&*world.clock);
    assert_eq!(world.sweeper().sweep().await, SweepEnd::whole);
    let event = world.events().await.remove(0);
    assert_eq!(event.received_at, now);
    assert!(event.timestamp < now.minus(Duration::from_secs(3500)));
    assert!(event.metadata.hook_id.is_some());
}

#[tokio::test]
async fn what_is_older_than_githubs_list_is_not_there_and_breaks_nothing() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    world.happen(2).await;
    world.clock.advance(Duration::from_secs(4 * 24 * 3600));
    let new = world.happen(2).await;
    assert_eq!(world.sweeper().sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await, new);
}

/// A log from which age has removed all that it had.
async fn emptied_world() -> (GapWorld, FakeHookKey) {
    let (world, hook) = GapWorld::with_lost_webhook().await;
    let old = world.happen(2).await;
    for guid in &old {
        world.ingest(hook, guid).await;
    }
    world.clock.advance(DELIVERIES_KEPT);
    world.clock.advance(Duration::from_secs(60));
    let kept_from = model::Clock::now(&*world.clock).minus(DELIVERIES_KEPT);
    assert_eq!(world.log.trim(kept_from).await.unwrap(), 2);
    (world, hook)
}

#[tokio::test]
async fn what_retention_removed_does_not_come_back_and_hides_nothing_that_is_lost() {
    let (world, hook) = emptied_world().await;
    assert_eq!(world.sweeper().sweep().await, SweepEnd::whole);
    assert_eq!(world.fetches(), 0, "it was removed, and not lost");
    // Everything before the log's only event is lost.
    let lost = world.happen(5).await;
    let live = world.happen(1).await;
    world.ingest(hook, &live[0]).await;
    assert_eq!(world.sweeper().sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await, [live, lost].concat());
}

#[tokio::test]
async fn a_sweep_that_was_killed_over_an_emptied_log_is_finished_by_the_next_one() {
    let (world, hook) = emptied_world().await;
    let lost = world.happen(30).await;
    let last = world.path_of(hook, &lost[10]);
    world.clock.advance(Duration::from_secs(3600));
    world.github.break_next(&last, FakeFault::Unauthorized, 10);
    assert_eq!(world.sweeper().sweep().await, SweepEnd::failed);
    let stored = world.stored().await.len();
    assert!((10..20).contains(&stored), "{stored}");
    while world.github.faults_left() > 0 {
        world.sweeper().sweep().await;
    }
    assert_eq!(world.sweeper().sweep().await, SweepEnd::whole);
    world.has_stored_each_once(lost).await;
}

#[tokio::test]
async fn credentials_that_are_refused_are_told_with_the_place_until_they_work_again() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(2).await;
    world.github.revoke(TOKEN);
    let mut sweeper = world.sweeper();
    assert_eq!(sweeper.sweep().await, SweepEnd::failed);
    let (class, reason) = world.status.failure().unwrap();
    assert_eq!(class.as_str(), "unauthorized", "{reason}");
    assert!(
        reason.contains("octo/reactor") && reason.contains("github.token_file"),
        "{reason}"
    );
    assert!(!reason.contains(TOKEN) && !world.status.view().to_string().contains(TOKEN));
    assert_eq!(world.status.failing_places(), 1);
    world.github.admit(TOKEN, world.user);
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.status.failure(), None);
    assert_eq!(world.stored().await, guids);
}

#[tokio::test]
async fn a_github_that_fails_or_limits_costs_one_call_in_a_sweep_and_what_is_missing_comes_later() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    let guids = world.happen(20).await;
    let mut sweeper = world.sweeper();
    // The list is there, and then details fail.
    world.github.break_next(DETAILS, FakeFault::Status(502), 30);
    assert_eq!(sweeper.sweep().await, SweepEnd::failed);
    assert!(
        world.github.faults_left() > 0,
        "the rest is not tried in vain"
    );
    assert!(world.status.failure().is_some());
    while world.github.faults_left() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        sweeper.sweep().await;
    }
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    let mut stored = world.stored().await;
    // What failed went behind the others, and those that come after later states say so.
    let events = world.events().await.into_iter();
    let in_time = events.filter(|event| !event.metadata.late);
    let in_time: Vec<_> = in_time.map(|it| it.metadata.delivery.unwrap()).collect();
    let expected = guids.iter().filter(|guid| in_time.contains(guid));
    assert_eq!(
        in_time.iter().collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    assert!(in_time.contains(&guids[19]));
    stored.sort_unstable();
    let mut expected = guids;
    expected.sort_unstable();
    assert_eq!(stored, expected);
    // A limit for an hour: the sweep ends, and the next ones send nothing.
    let limit = FakeFault::Secondary {
        status: 429,
        retry_after_seconds: Some(3600),
    };
    world.happen(1).await;
    world.github.break_next("/hooks", limit, 1);
    assert_eq!(sweeper.sweep().await, SweepEnd::failed);
    let asked: u64 = world.github.counts().requests.values().sum();
    assert_eq!(sweeper.sweep().await, SweepEnd::failed);
    let (class, _) = world.status.failure().unwrap();
    assert_eq!(class.as_str(), "overloaded");
    assert_eq!(world.github.counts().requests.values().sum::<u64>(), asked);
}

#[tokio::test]
async fn a_part_of_the_budget_is_left_to_others() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    world.happen(120).await;
    let core = u64::from(SWEEP_RESERVE) + 40;
    world.github.limit(FakeLimits {
        core,
        ..FakeLimits::default()
    });
    let mut sweeper = world.sweeper();
    assert_eq!(sweeper.sweep().await, SweepEnd::budget);
    let stored = world.stored().await.len();
    assert!((30..50).contains(&stored), "{stored}");
    let points = world.github.points();
    assert!(points <= 50, "{points}");
    assert_eq!(sweeper.sweep().await, SweepEnd::budget);
    assert_eq!(world.github.points(), points, "it waits for the next hour");
    assert!(world.status.view()["pending"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_place_without_a_webhook_that_sends_here_is_told_with_the_fix() {
    let world = GapWorld::new(100).await;
    world.hook(FakeHookOwner::Repo(world.repo), "http://127.0.0.1:1/ci");
    let mut sweeper = world.sweeper();
    assert_eq!(sweeper.sweep().await, SweepEnd::failed);
    let (_, reason) = world.status.failure().unwrap();
    assert!(reason.contains("sync.webhook_url"), "{reason}");
    world.lost_hook(FakeHookOwner::Repo(world.repo));
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
}

#[tokio::test]
async fn what_two_webhooks_and_the_app_were_told_is_fetched_once() {
    let (world, _) = GapWorld::with_lost_webhook().await;
    world.lost_hook(FakeHookOwner::Organization(world.organization));
    let guids = world.happen(5).await;
    let places = vec![
        SweptPlace::Organization("octo".to_owned()),
        SweptPlace::Repository {
            owner: "octo".to_owned(),
            repo: "reactor".to_owned(),
        },
    ];
    assert_eq!(world.sweeper_of(places).sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await, guids);
    assert_eq!(
        world.status.view()["places"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn the_webhook_of_an_app_is_looked_through_with_its_key() {
    let world = GapWorld::new(100).await;
    world
        .github
        .change(|github| github.install_app(world.organization, None));
    world.lost_hook(FakeHookOwner::App);
    let guids = world.happen(3).await;
    let mut sweeper = world.sweeper_of_app();
    assert_eq!(sweeper.sweep().await, SweepEnd::whole);
    assert_eq!(world.stored().await, guids);
    let events = world.events().await;
    assert!(
        events
            .iter()
            .all(|event| event.metadata.installation_id.is_some())
    );
}
