//! Changes that no webhook told.

use std::time::Duration;

use ports::MirroredKind;
use serde_json::{Value, json};

use crate::world::{LONG, MirrorWorld};

fn sync(action: &str, number: u64) -> (String, Option<u64>, String) {
    (action.to_owned(), Some(number), "sync".to_owned())
}

#[tokio::test]
async fn a_change_that_no_webhook_told_becomes_an_event_once() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world.github.change(|github| {
        github.close(issues[0], "completed");
        github.retitle(issues[1], "It is fast");
        github.open_issue(world.repo, "And another");
    });
    world.clock.advance(LONG);
    replica.compare().await;
    let mut told = world.told().await;
    told.sort();
    assert_eq!(
        told,
        [sync("closed", 1), sync("edited", 2), sync("opened", 4)]
    );
    let ids: Vec<_> = world
        .events()
        .await
        .into_iter()
        .map(|event| event.id)
        .collect();
    for _ in 0..2 {
        replica.compare().await;
    }
    assert_eq!(world.events().await.len(), ids.len());
    let issue = replica.object(MirroredKind::Issue, 1).await.unwrap();
    assert_eq!(issue["state"], "closed");
    let edited = world.events().await;
    let edited = edited
        .iter()
        .find(|event| event.action == "edited")
        .unwrap();
    assert_eq!(edited.metadata.changes["title"]["from"], "It is slow (1)");
}

#[tokio::test]
async fn a_change_that_a_webhook_told_is_no_news() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(1);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.close(issues[0], "completed"));
    let object = object_at_github(&world, 1).await;
    world.ingest("issues", "closed", &object).await;
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(tally["events"], 0, "{tally}");
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_comment_changes_the_time_of_an_issue_and_nothing_else() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(1);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.comment(issues[0], "Still"));
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(
        (&tally["events"], &tally["newer"]),
        (&json!(0), &json!(1)),
        "{tally}"
    );
    let issue = replica.object(MirroredKind::Issue, 1).await.unwrap();
    assert_eq!(issue["comments"], 1);
}

#[tokio::test]
async fn a_change_of_just_now_waits_for_its_webhook() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(1);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.close(issues[0], "completed"));
    world.clock.advance(Duration::from_secs(30));
    let tally = replica.compare().await;
    assert_eq!(
        (&tally["events"], &tally["waiting"]),
        (&json!(0), &json!(1)),
        "{tally}"
    );
    assert_eq!(world.told().await, []);
    // It came.
    let object = object_at_github(&world, 1).await;
    world.ingest("issues", "closed", &object).await;
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(
        (&tally["events"], &tally["waiting"]),
        (&json!(0), &json!(0)),
        "{tally}"
    );
    // Another one does not.
    world.github.change(|github| github.reopen(issues[0]));
    let tally = replica.compare().await;
    assert_eq!(tally["waiting"], 1, "{tally}");
    world.clock.advance(LONG);
    replica.compare().await;
    let told = world.told().await;
    assert_eq!(told.last(), Some(&sync("reopened", 1)));
    assert_eq!(told.len(), 2);
}

#[tokio::test]
async fn a_milestone_that_is_gone_is_deleted() {
    let world = MirrorWorld::new().await;
    let kept = world.github.change(|github| {
        github.create_milestone(world.repo, "1.0");
        github.create_milestone(world.repo, "2.0")
    });
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world.github.change(|github| github.delete_milestone(kept));
    let first = replica.compare().await;
    assert_eq!(first["waiting"], 1, "its webhook may still arrive: {first}");
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(world.told().await, [sync("deleted", 2)]);
    assert_eq!(replica.object(MirroredKind::Milestone, 2).await, None);
    assert!(replica.object(MirroredKind::Milestone, 1).await.is_some());
    replica.compare().await;
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_repository_that_was_renamed_says_so_and_is_found_under_its_new_name() {
    let world = MirrorWorld::new().await;
    world.open_issues(1);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.rename_repo(world.repo, "tool"));
    world.clock.advance(LONG);
    replica.compare().await;
    let events = world.events().await;
    let renamed = events
        .iter()
        .find(|event| event.action == "renamed")
        .unwrap();
    assert_eq!(renamed.resource.repo.as_deref(), Some("tool"));
    assert_eq!(renamed.resource.former_repo.as_deref(), Some("reactor"));
    world
        .github
        .change(|github| github.open_issue(world.repo, "After it"));
    world.clock.advance(LONG);
    replica.compare().await;
    let last = world.events().await.pop().unwrap();
    assert_eq!(
        (last.action.as_str(), last.resource.repo.as_deref()),
        ("opened", Some("tool"))
    );
    // Nobody has taken the old name.
    assert!(replica.object(MirroredKind::Issue, 2).await.is_some());
}

#[tokio::test]
async fn a_lost_webhook_is_fetched_and_its_change_is_no_second_event() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(2);
    world.github.change(|github| {
        // Nobody listens there.
        let nowhere = "http://127.0.0.1:1/webhooks/github";
        let owner = fake_github::hooks::FakeHookOwner::Repo(world.repo);
        github.add_hook(owner, nowhere, "a secret", &["issues"])
    });
    world.github.delivered().await;
    let config = github_sync::SyncConfig {
        sweep_seconds: 1,
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica.whole(1).await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.close(issues[0], "completed"));
    world.github.delivered().await;
    let before = replica.running.health().view()["gaps"]["lastWholeSweep"].clone();
    // The webhook had its time, and the sweep may have had its turn or not.
    world.clock.advance(Duration::from_secs(90));
    replica.compare().await;
    replica
        .until("the delivery is fetched", async |_| {
            !world.told().await.is_empty()
        })
        .await;
    replica
        .until("a sweep has begun since", async |it| {
            it.running.health().view()["gaps"]["lastWholeSweep"] != before
        })
        .await;
    let tally = replica.compare().await;
    assert_eq!(tally["waiting"], 0, "{tally}");
    let events = world.events().await;
    assert_eq!(events.len(), 1, "{:?}", world.told().await);
    assert!(events[0].metadata.repaired && events[0].action == "closed");
}

/// GitHub's object, as its API gives it.
async fn object_at_github(world: &MirrorWorld, number: u64) -> Value {
    let path = format!("/repos/octo/reactor/issues/{number}");
    let answer = world.at_github(&path).await;
    assert!(answer["number"] == number, "{answer}");
    answer
}
