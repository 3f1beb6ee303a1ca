//! A GitHub that fails, is slow, or knows nothing of a list.

use std::time::Duration;

use fake_github::server::FakeFault;
use github_sync::SyncConfig;
use ports::MirroredKind;

use crate::world::{LONG, MirrorWorld};

#[tokio::test]
async fn a_comparison_that_is_too_slow_keeps_what_it_has_and_goes_on() {
    let world = MirrorWorld::new().await;
    world.open_issues(250);
    let slow = FakeFault::Slow(Duration::from_millis(800));
    world.github.break_next("/issues", slow, 4);
    let config = SyncConfig {
        initial_timeout_seconds: 1,
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica
        .until("a part of the list is there", async |it| {
            let known = it.all(MirroredKind::Issue).await.len();
            (1..250).contains(&known) && it.health()["places"][0]["state"] == "first comparison"
        })
        .await;
    replica.whole(1).await;
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 250);
    assert_eq!(world.told().await, []);
}

#[tokio::test]
async fn a_github_that_fails_is_told_of_and_its_end_too() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(2);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.close(issues[0], "completed"));
    world.clock.advance(LONG);
    world
        .github
        .break_next("/repos/octo/reactor", FakeFault::Status(503), 40);
    let tally = replica.compare().await;
    assert_eq!(tally["end"], "failed", "{tally}");
    let place = &replica.health()["places"][0];
    assert_eq!(place["state"], "failing");
    assert!(
        place["reason"].as_str().unwrap().contains("GitHub"),
        "{place}"
    );
    assert!(replica.object(MirroredKind::Issue, 1).await.is_some());
    replica
        .until("it is compared again", async |it| {
            it.reads.compare_now(None, None).await.unwrap();
            it.health()["places"][0]["state"] == "whole"
        })
        .await;
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_repository_that_does_not_exist_is_named_and_hinders_no_other() {
    let world = MirrorWorld::new().await;
    world.open_issues(1);
    let config = SyncConfig {
        repositories: vec!["octo/reactor".to_owned(), "octo/wrong".to_owned()],
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica.whole(1).await;
    replica
        .until("the other fails", async |it| {
            it.health()["places"][1]["state"] == "failing"
        })
        .await;
    let health = replica.health();
    let reason = health["places"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("octo/wrong"), "{reason}");
}
