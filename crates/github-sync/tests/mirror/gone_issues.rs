//! Issues that were deleted or transferred, of which no webhook told.

use std::time::Duration;

use fake_github::server::FakeFault;
use model::Clock;
use ports::MirroredKind;
use serde_json::json;

use crate::world::{LONG, MirrorWorld, Replica};

const A_DAY: Duration = Duration::from_secs(24 * 3600 + 60);

/// More issues than a page of their list.
const MANY: usize = 120;

fn sync(action: &str, number: u64) -> (String, Option<u64>, String) {
    (action.to_owned(), Some(number), "sync".to_owned())
}

/// Compares twice, with the time of a webhook between; the points of both.
async fn compare_twice(world: &MirrorWorld, replica: &Replica) -> u64 {
    world.clock.advance(LONG);
    let first = replica.compare().await;
    world.clock.advance(LONG);
    let second = replica.compare().await;
    first["points"].as_u64().unwrap() + second["points"].as_u64().unwrap()
}

#[tokio::test]
async fn an_issue_that_was_deleted_is_found_by_the_next_comparison() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(MANY);
    let replica = world.mirrored().await;
    world.github.change(|github| github.delete_issue(issues[4]));
    world.clock.advance(LONG);
    let first = replica.compare().await;
    assert_eq!(
        (&first["waiting"], &first["points"]),
        (&json!(1), &json!(2)),
        "its webhook may still arrive, and two pages have all numbers: {first}"
    );
    assert_eq!(world.told().await, []);
    world.clock.advance(LONG);
    let second = replica.compare().await;
    assert_eq!(second["points"], 0, "{second}");
    assert_eq!(world.told().await, [sync("deleted", 5)]);
    assert_eq!(replica.object(MirroredKind::Issue, 5).await, None);
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), MANY - 1);
    assert_eq!(compare_twice(&world, &replica).await, 0);
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn an_issue_that_was_transferred_says_so() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    let replica = world.mirrored().await;
    world.github.change(|github| {
        let other = github.create_repo(world.organization, "archive");
        github.transfer_issue(issues[1], other)
    });
    compare_twice(&world, &replica).await;
    assert_eq!(world.told().await, [sync("transferred", 2)]);
    assert_eq!(replica.object(MirroredKind::Issue, 2).await, None);
    assert!(replica.object(MirroredKind::Issue, 1).await.is_some());
}

#[tokio::test]
async fn a_closed_issue_that_was_deleted_is_found_within_a_day() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    world
        .github
        .change(|github| github.close(issues[0], "completed"));
    let replica = world.mirrored().await;
    world.github.change(|github| github.delete_issue(issues[0]));
    assert_eq!(compare_twice(&world, &replica).await, 0, "nothing shows it");
    world.clock.advance(A_DAY);
    assert_eq!(compare_twice(&world, &replica).await, 1);
    assert_eq!(world.told().await, [sync("deleted", 1)]);
    world.clock.advance(A_DAY);
    assert_eq!(compare_twice(&world, &replica).await, 1, "a point a day");
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_webhook_of_a_transfer_takes_the_issue_out_of_the_mirror() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(2);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    let issue = world.at_github("/repos/octo/reactor/issues/2").await;
    world.github.change(|github| {
        let other = github.create_repo(world.organization, "archive");
        github.transfer_issue(issues[1], other)
    });
    world.ingest("issues", "transferred", &issue).await;
    replica
        .until("the issue is gone", async |it| {
            it.object(MirroredKind::Issue, 2).await.is_none()
        })
        .await;
    compare_twice(&world, &replica).await;
    assert_eq!(world.events().await.len(), 1, "the webhook told it");
}

/// With the list of issues refused, and with an empty one.
#[tokio::test]
async fn issues_that_are_switched_off_are_not_gone() {
    for is_list_empty in [false, true] {
        let world = MirrorWorld::new().await;
        let issues = world.open_issues(4);
        let replica = world.mirrored().await;
        world.github.change(|github| github.delete_issue(issues[1]));
        world.clock.advance(LONG);
        assert_eq!(replica.compare().await["waiting"], 1);
        world.github.change(|github| {
            github.set_issues(world.repo, false);
            github.hide_issues(world.repo, is_list_empty);
        });
        compare_twice(&world, &replica).await;
        world.clock.advance(A_DAY);
        compare_twice(&world, &replica).await;
        assert_eq!(world.told().await, [], "empty: {is_list_empty}");
        assert_eq!(replica.all(MirroredKind::Issue).await.len(), 4);
        world.github.change(|github| {
            github.hide_issues(world.repo, false);
            github.set_issues(world.repo, true);
        });
        world.clock.advance(A_DAY);
        compare_twice(&world, &replica).await;
        assert_eq!(world.told().await, [sync("deleted", 2)]);
        assert_eq!(replica.all(MirroredKind::Issue).await.len(), 3);
    }
}

#[tokio::test]
async fn issues_that_the_credentials_no_longer_see_are_not_gone() {
    let world = MirrorWorld::new().await;
    world.open_issues(3);
    let replica = world.mirrored().await;
    world
        .github
        .change(|github| github.hide_issues(world.repo, true));
    for _ in 0..2 {
        world.clock.advance(A_DAY);
        assert_eq!(compare_twice(&world, &replica).await, 1, "a point a day");
    }
    assert_eq!(world.told().await, []);
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 3);
}

#[tokio::test]
async fn a_count_that_fails_hinders_nothing_else_and_is_made_up_for() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    world.github.change(|github| {
        let milestone = github.create_milestone(world.repo, "1.0");
        github.set_due(milestone, Some(world.clock.now().plus(3 * A_DAY)));
    });
    let replica = world.mirrored().await;
    world.github.change(|github| github.delete_issue(issues[1]));
    world.clock.advance(5 * A_DAY);
    world
        .github
        .break_next("/graphql", FakeFault::Status(502), 40);
    let tally = replica.compare().await;
    assert_eq!(tally["end"], "whole", "{tally}");
    assert_eq!(world.told().await, [sync("overdue", 1)]);
    while world.github.faults_left() > 0 {
        replica.compare().await;
    }
    compare_twice(&world, &replica).await;
    assert_eq!(world.told().await, [sync("overdue", 1), sync("deleted", 2)]);
}

#[tokio::test]
async fn an_issue_that_cannot_be_asked_for_keeps_no_other_one_waiting() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(4);
    let replica = world.mirrored().await;
    world.github.change(|github| {
        github.delete_issue(issues[0]);
        github.delete_issue(issues[2]);
    });
    world
        .github
        .break_next("/issues/1", FakeFault::Status(500), 40);
    compare_twice(&world, &replica).await;
    assert_eq!(world.told().await, [sync("deleted", 3)]);
    while world.github.faults_left() > 0 {
        replica.compare().await;
    }
    compare_twice(&world, &replica).await;
    let both = [sync("deleted", 3), sync("deleted", 1)];
    assert_eq!(world.told().await, both);
}
