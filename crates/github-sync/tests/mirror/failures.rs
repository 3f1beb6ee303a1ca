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

/// A store that has lost everything, or its last changes, has all of it again after the next comparison.
#[tokio::test]
async fn a_store_that_was_put_back_has_the_whole_mirror_again() {
    let world = MirrorWorld::new().await;
    let empty = world.store.save();
    world.open_issues(30);
    let replica = world.mirrored().await;
    let early = world.store.save();
    world.clock.advance(LONG);
    let issues = world.open_issues(1);
    world
        .github
        .change(|github| github.comment(issues[0], "Still"));
    world.clock.advance(LONG);
    replica.compare().await;
    for saved in [&early, &empty] {
        world.store.restore(saved);
        replica.compare().await;
    }
    let events = world.events().await.len();
    replica.stop().await;
    world.github.revoke(crate::world::TOKEN);
    let replica = world.start(&MirrorWorld::config());
    replica.whole(1).await;
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 31);
    let commented = replica.object(MirroredKind::Issue, 31).await.unwrap();
    assert_eq!(commented["comments"], 1);
    assert_eq!(
        world.events().await.len(),
        events,
        "no change was told twice"
    );
}

#[tokio::test]
async fn a_list_in_which_something_always_waits_gets_newer_all_the_same() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    let as_of = async || {
        let progress = replica.reads.progress(None).await.unwrap();
        let issues = progress
            .iter()
            .find(|list| list.kind == MirroredKind::Issue);
        issues.unwrap().as_of.unwrap()
    };
    let before = as_of().await;
    for n in 0..8 {
        world.clock.advance(Duration::from_secs(40));
        let title = format!("It is slow, again ({n})");
        world
            .github
            .change(|github| github.retitle(issues[n % 3], &title));
        world.clock.advance(Duration::from_secs(5));
        let tally = replica.compare().await;
        assert_ne!(tally["waiting"], 0, "{tally}");
    }
    let newer = as_of().await;
    assert!(
        newer.since(before) > Duration::from_secs(4 * 45),
        "{before} {newer}"
    );
    let told = world.events().await.len();
    assert!((3..8).contains(&told), "{told}");
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(tally["waiting"], 0, "{tally}");
    let issue = replica.object(MirroredKind::Issue, 2).await.unwrap();
    assert_eq!(issue["title"], "It is slow, again (7)");
}

#[tokio::test]
async fn another_repository_under_the_name_is_read_from_its_start() {
    let world = MirrorWorld::new().await;
    let other = world
        .github
        .change(|github| github.create_repo(world.organization, "other"));
    for n in 0..5 {
        world
            .github
            .change(|github| github.open_issue(other, &format!("Old ({n})")));
    }
    world.clock.advance(LONG);
    world.open_issues(3);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world.github.change(|github| {
        github.rename_repo(world.repo, "former");
        github.rename_repo(other, "reactor");
    });
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 5);
}

/// A repository of which nothing can be read but itself is failing, and says why; an organization without a repository is not.
#[tokio::test]
async fn a_place_of_which_no_list_is_given_is_failing() {
    let world = MirrorWorld::new().await;
    for list in [
        "/issues",
        "/pulls",
        "/milestones",
        "/labels",
        "/releases",
        "/actions/runs",
    ] {
        let path = format!("/repos/octo/reactor{list}");
        world.github.break_next(&path, FakeFault::Status(410), 100);
    }
    let empty = world
        .github
        .change(|github| github.add_organization("empty"));
    let _ = empty;
    let config = SyncConfig {
        organizations: vec!["empty".to_owned()],
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica
        .until("both are told of", async |it| {
            let health = it.health();
            let state = |n: usize| health["places"][n]["state"].clone();
            state(0) == "whole" && state(1) == "failing"
        })
        .await;
    let reason = replica.health()["places"][1]["reason"].clone();
    assert!(reason.as_str().is_some_and(|reason| !reason.is_empty()));
}

#[tokio::test]
async fn a_mirror_that_is_too_small_says_so_and_what_helps() {
    let world = MirrorWorld::new().await;
    world.open_issues(12);
    let config = github_sync::SyncConfig {
        max_resources: 10,
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica
        .until("it says that not all of it fits", async |it| {
            it.health()["places"][0]["state"] == "not all of it fits"
        })
        .await;
    let health = replica.health();
    assert_eq!(health["wholePlaces"], 0, "{health}");
    let issues = &health["places"][0]["lists"]["issues"];
    let expected =
        "not all of it is here: the mirror holds 10 of 10 resources; raise sync.max_resources";
    assert_eq!(issues["reason"], expected);
    assert!(issues["asOf"].is_null(), "{issues}");
    assert!(health["places"][0]["lists"]["milestones"]["asOf"].is_string());
}
